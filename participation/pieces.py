"""Pieces of pages that are the same for many readers but for their form tokens: rendered and compressed once, see page_cache."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import g, session as cookie
from flask_wtf.csrf import generate_csrf

from participation.compression import Packed, Piece, as_it_is
from participation.tokens import new_token
from participation.web import language, render_part

KEPT_PIECES = 1000
_kept: dict[tuple[Any, ...], _Kept] = {}
_signed_tokens: dict[str | None, str] = {}
# Random marks of this process: nothing that a resident writes can look like them.
_CSRF_PLACE, _FRESH_PLACE = new_token(), new_token()
_TOKEN_PLACE = re.compile(f"({re.escape(_CSRF_PLACE)}|{re.escape(_FRESH_PLACE)})")


@dataclass(frozen=True, slots=True)
class _Kept:
    """Texts, and between them what makes the token that belongs there. Compressed at the second time: many are needed once."""

    parts: list[Piece | Callable[[], str]]
    is_packed: bool = False


class KeptPiece:
    """What `render_kept` makes: a text in pieces, of which most are compressed already."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: list[Piece]) -> None:
        """In their order."""
        self.pieces = pieces

    def __str__(self) -> str:
        """The text, for where it becomes part of another one."""
        return b"".join([whole for whole, _packed in self.pieces]).decode()


# What a hole is filled with.
Filling = str | KeptPiece


def render_kept(template: str, /, **values: Any) -> KeptPiece:  # noqa: ANN401 - hashable values only
    """As `render_part`, for a piece that is the same for many readers but for its form tokens.

    The piece is made once per language and values; `csrf_token()` and `fresh_token()` are put in per request.
    """
    key = (template, language(), *sorted(values.items()))
    kept = _kept.get(key)
    if kept is None:
        g.tokens_later = True
        try:
            text = str(render_part(template, **values))
        finally:
            g.tokens_later = False
        if len(_kept) >= KEPT_PIECES:
            _kept.clear()
        # Most are needed once only: a count moves on.
        kept = _kept[key] = _Kept([_TOKENS.get(part) or (part.encode(), None) for part in _TOKEN_PLACE.split(text)])
    elif not kept.is_packed:
        kept = _kept[key] = _Kept([one if callable(one) else (one[0], Packed.of(one[0])) for one in kept.parts], is_packed=True)
    return KeptPiece([as_it_is(one().encode()) if callable(one) else one for one in kept.parts])


def csrf_token() -> str:
    """In templates: the token against forged requests, or its place in a piece that is kept."""
    if g.get("tokens_later"):
        return _CSRF_PLACE
    found: str | None = g.get("csrf_token")
    if found is None:
        raw = cookie.get("csrf_token")
        # Where Flask-WTF keeps it too: signed for every request, the same would be signed again and again.
        found = g.csrf_token = _signed_tokens.get(raw) or generate_csrf()
        if raw is None or raw not in _signed_tokens:
            if len(_signed_tokens) >= KEPT_PIECES:
                _signed_tokens.clear()
            _signed_tokens[cookie["csrf_token"]] = found
    return found


def fresh_token() -> str:
    """In templates: a random value that marks one form, so that sending it twice counts once."""
    return _FRESH_PLACE if g.get("tokens_later") else new_token()


_TOKENS: dict[str, Callable[[], str]] = {_CSRF_PLACE: csrf_token, _FRESH_PLACE: new_token}
