"""Signing in (signing, external), further factors (factors), one's own account (own) and proofs (verification)."""

from __future__ import annotations

from participation.accounts import jobs  # noqa: F401 - registers itself
from participation.accounts.views import external, factors, own, verification  # noqa: F401 - their routes join the blueprint
from participation.accounts.views.signing import HOLES, PARTS, blueprint, load_actor, load_user

WITHOUT_CSRF = external.WITHOUT_CSRF

__all__ = ["HOLES", "PARTS", "WITHOUT_CSRF", "blueprint", "load_actor", "load_user"]
