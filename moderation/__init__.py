"""Reviewing what people wrote: cases, checks, decisions, the desk."""
