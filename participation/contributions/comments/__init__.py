"""Answers to a proposal, in threads."""
