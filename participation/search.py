"""Full-text search behind three functions: FTS5 with stems by snowball on SQLite, `german` on PostgreSQL.

Only published proposals are in the index, so that what is hidden can't be found.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

import snowballstemmer
from sqlalchemy import ColumnElement, Integer, column, select, text
from sqlalchemy.orm import InstrumentedAttribute

from participation.db import is_sqlite

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

MAX_WORDS = 8
MAX_WORD_LENGTH = 40
MIN_PREFIX_LENGTH = 3
# How many matches a search looks at, where it is narrowed further (by a theme, a place).
NEWEST = 20_000
_WORD = re.compile(r"\w+", re.UNICODE)


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    # A stemmer keeps state while it works, so each call has its own; the cache makes that cheap.
    return str(snowballstemmer.stemmer("german").stemWord(word))


def _fold(value: str) -> str:
    """Lower case, `ß` as `ss`, accents off: `Strasse` finds `Straße`, `Fussweg` finds `Fußweg`."""
    spelt = value.lower().replace("ß", "ss")
    return "".join(char for char in unicodedata.normalize("NFKD", spelt) if not unicodedata.combining(char))


def stems(value: str) -> list[str]:
    """The stems of a text, in order."""
    return [_stem(_fold(word)[:MAX_WORD_LENGTH]) for word in _WORD.findall(value)]


def index_proposal(session: Session, proposal_id: int, process_id: int, title: str, body: str) -> None:
    """Put a published proposal into the index, or replace it there. `body` holds all else that should be found."""
    remove_proposal(session, proposal_id)
    if is_sqlite(session):
        session.execute(
            text("INSERT INTO proposal_search (rowid, scope, title, body) VALUES (:id, :scope, :title, :body)"),
            {
                "id": proposal_id,
                "scope": f"p{process_id}x",
                "title": " ".join(stems(title)),
                "body": " ".join(stems(body)),
            },
        )
        return
    session.execute(
        text(
            "INSERT INTO proposal_search (proposal_id, process_id, document) VALUES (:id, :process_id, "
            "setweight(to_tsvector('german', :title), 'A') || to_tsvector('german', :body))"
        ),
        {"id": proposal_id, "process_id": process_id, "title": _fold_keeping(title), "body": _fold_keeping(body)},
    )


def _fold_keeping(value: str) -> str:
    return value.lower().replace("ß", "ss")


def remove_proposal(session: Session, proposal_id: int) -> None:
    """Take a proposal out of the index."""
    key = "rowid" if is_sqlite(session) else "proposal_id"
    session.execute(text(f"DELETE FROM proposal_search WHERE {key} = :id"), {"id": proposal_id})  # noqa: S608


def matching(
    session: Session,
    process_id: int,
    query: str,
    proposal_id: ColumnElement[int] | InstrumentedAttribute[int],
    newest: int = NEWEST,
) -> ColumnElement[bool]:
    """The condition that a proposal of a process matches what somebody typed; all words must occur.

    The last word also matches as a beginning, so that results appear while somebody still types. Only the `newest`
    matches are looked at, so that a word which everybody uses costs no more in a large town than in a small one.
    """
    words = [word[:MAX_WORD_LENGTH] for word in _WORD.findall(_fold(query))][:MAX_WORDS]
    if is_sqlite(session):
        terms = [f'"{_stem(word)}"' for word in words]
        if words and len(words[-1]) >= MIN_PREFIX_LENGTH:
            terms[-1] = f'({terms[-1]} OR "{words[-1]}"*)'
        expression = " AND ".join([f'scope:"p{process_id}x"', *terms]) if terms else '"nothing"'
        matches = text(
            "SELECT rowid FROM proposal_search WHERE proposal_search MATCH :fts_query ORDER BY rowid DESC LIMIT :newest"
        )
        subquery = matches.bindparams(fts_query=expression, newest=newest).columns(column("rowid", Integer)).subquery()
        return proposal_id.in_(select(subquery.c.rowid))
    parts = [f"plainto_tsquery('german', :w{number})" for number in range(len(words))]
    values: dict[str, object] = {f"w{number}": word for number, word in enumerate(words)}
    if words and len(words[-1]) >= MIN_PREFIX_LENGTH:
        parts[-1] = f"({parts[-1]} || to_tsquery('simple', :prefix))"
        values["prefix"] = f"{words[-1]}:*"
    condition = " && ".join(parts) or "to_tsquery('simple', '')"
    matches = text(
        f"SELECT proposal_id FROM proposal_search WHERE process_id = :search_process AND document @@ ({condition}) "  # noqa: S608
        "ORDER BY proposal_id DESC LIMIT :newest"
    )
    bound = matches.bindparams(search_process=process_id, newest=newest, **values)
    subquery = bound.columns(column("proposal_id", Integer)).subquery()
    return proposal_id.in_(select(subquery.c.proposal_id))


def newest_matching(session: Session, process_id: int, word: str, limit: int) -> list[int]:
    """The ids of the newest published proposals with a word, at most `limit`: quick also for a word that all have."""
    found = _WORD.findall(_fold(word))[:1]
    if not found:
        return []
    if is_sqlite(session):
        statement = text(
            "SELECT rowid FROM proposal_search WHERE proposal_search MATCH :query ORDER BY rowid DESC LIMIT :limit"
        )
        values: dict[str, object] = {"query": f'scope:"p{process_id}x" AND "{_stem(found[0][:MAX_WORD_LENGTH])}"'}
    else:
        statement = text(
            "SELECT proposal_id FROM proposal_search WHERE process_id = :process_id "
            "AND document @@ plainto_tsquery('german', :word) ORDER BY proposal_id DESC LIMIT :limit"
        )
        values = {"process_id": process_id, "word": found[0][:MAX_WORD_LENGTH]}
    return list(session.scalars(statement, {**values, "limit": limit}))


def index_many(session: Session, process_id: int, proposals: list[tuple[int, str, str]]) -> None:
    """Put new proposals (id, title, everything else) into the index in one go, for imports."""
    if not proposals:
        return
    if is_sqlite(session):
        session.execute(
            text("INSERT INTO proposal_search (rowid, scope, title, body) VALUES (:id, :scope, :title, :body)"),
            [
                {"id": key, "scope": f"p{process_id}x", "title": " ".join(stems(title)), "body": " ".join(stems(body))}
                for key, title, body in proposals
            ],
        )
        return
    session.execute(
        text(
            "INSERT INTO proposal_search (proposal_id, process_id, document) VALUES (:id, :process_id, "
            "setweight(to_tsvector('german', :title), 'A') || to_tsvector('german', :body))"
        ),
        [
            {"id": key, "process_id": process_id, "title": _fold_keeping(title), "body": _fold_keeping(body)}
            for key, title, body in proposals
        ],
    )
