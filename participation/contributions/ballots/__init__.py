"""Ballots: for or against, points to distribute, a budget to spend; their results, and the annulment of abuse."""
