"""Signing in and out (signing, external), further factors (factors), and one's own account (own)."""

from __future__ import annotations

from participation.accounts import jobs  # noqa: F401 - registers itself
from participation.accounts.views import external, factors, own  # noqa: F401 - their routes join the blueprint
from participation.accounts.views.signing import HOLES, blueprint, load_actor, load_user

__all__ = ["HOLES", "blueprint", "load_actor", "load_user"]
