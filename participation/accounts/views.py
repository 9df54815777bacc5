"""Signing in and out, and one's own account."""

from __future__ import annotations

from flask import Blueprint, session as cookie
from flask_login import UserMixin, current_user

from participation import clock, tokens
from participation.accounts.queries import signed_in_actor
from participation.permissions import ANONYMOUS, Actor
from participation.web import GUEST_TOKEN, current_database

blueprint = Blueprint("accounts", __name__)


class SignedIn(UserMixin):
    """What Flask-Login holds: the actor of a live sign-in session."""

    def __init__(self, token: str, actor: Actor) -> None:
        """Keep the token as Flask-Login's id: the cookie names a session that can be revoked, not an account."""
        self.id = token
        self.actor = actor


def load_user(token: str) -> SignedIn | None:
    """Flask-Login asks who a cookie stands for. Read on a short connection of its own."""
    with current_database().reading() as session:
        actor = signed_in_actor(session, tokens.hash_token(token), clock.now())
    return SignedIn(token, actor) if actor else None


def load_actor() -> Actor:
    """Who acts in this request."""
    if "_user_id" in cookie and current_user.is_authenticated:
        actor: Actor = current_user.actor
        return actor
    guest = cookie.get(GUEST_TOKEN)
    return Actor(guest_token=guest) if isinstance(guest, str) else ANONYMOUS
