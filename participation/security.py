"""Headers of every response. The Content-Security-Policy allows nothing from elsewhere and no inline code."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from flask import current_app, g, request

from participation.actions import Action

if TYPE_CHECKING:
    from werkzeug.wrappers import Response

    from participation.settings import Settings

_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
    "img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
_FIXED = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), microphone=(), payment=(), usb=(), geolocation=(self)"),
)
HSTS_SECONDS = 63_072_000


def new_nonce() -> str:
    """A fresh nonce; never reused, also not for a page from the cache."""
    return secrets.token_urlsafe(16)


def csp_nonce() -> str:
    """In a template with inline code of ours: this response's nonce. Such a page is not kept in the page cache."""
    g.do_not_cache = True
    if "nonce" not in g:
        g.nonce = new_nonce()
    return str(g.nonce)


def header_list(settings: Settings, nonce: str | None = None) -> list[tuple[str, str]]:
    """The headers that every response carries."""
    headers = [("Content-Security-Policy", _POLICY.format(nonce=nonce or new_nonce())), *_FIXED]
    if settings.cookies_are_secure:
        headers.append(("Strict-Transport-Security", f"max-age={HSTS_SECONDS}; includeSubDomains"))
    return headers


def add_headers(response: Response, settings: Settings) -> Response:
    """Set them, without overriding what a view decided."""
    known = {name.lower() for name, _value in response.headers}
    for name, value in header_list(settings, g.get("nonce")):
        if name.lower() not in known:
            response.headers.add(name, value)
    if "cache-control" not in known:
        # What is somebody's own is nowhere kept, not even for the button "back".
        is_own = getattr(current_app.view_functions.get(request.endpoint or ""), "access", None) is (
            Action.MANAGE_OWN_ACCOUNT) or "token" in (request.view_args or {})
        kept = response.mimetype == "text/html" and not is_own
        response.headers["Cache-Control"] = "private, no-cache" if kept else "no-store"
    if "vary" in known:
        response.vary.add("Cookie")
    else:
        response.headers["Vary"] = "Cookie"
    return response
