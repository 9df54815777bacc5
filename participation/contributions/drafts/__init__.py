"""Proposals that somebody with an account is still writing."""
