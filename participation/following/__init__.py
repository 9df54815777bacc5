"""Staying in touch: following processes and proposals by mail, digests, newsletters."""
