"""Handing in a proposal, and the receipt that finds it again."""
