"""Full-text search behind three functions: FTS5 with stems by snowball on SQLite, `german` on PostgreSQL.

Only published proposals are in the index, so that what is hidden can't be found.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import combinations
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
# Looking for similar texts: how many words of one are looked for, alone and in pairs, and how many hits of each.
TELLING_WORDS = 6
PAIRED_WORDS = 4
CANDIDATES = 60
# One rare word of the title in common, or several that more proposals share.
SCORE_FROM = 1.3
# Of PostgreSQL: how many of the newest are looked at, and which share of them makes a word a frequent one.
LOOKED_AT = 1000
FREQUENT_FROM = 0.02
MIN_TELLING_LENGTH = 4
BODY_READ = 1500
_STOP_WORDS = frozenset({
    "aber", "alle", "allem", "allen", "aller", "alles", "also", "andere", "anderen", "auch", "beim", "bitte",
    "damit", "dann", "dass", "dein", "denn", "deren", "dessen", "deshalb", "dies", "diese", "diesem", "diesen",
    "dieser", "dieses", "doch", "dort", "durch", "eine", "einem", "einen", "einer", "eines", "einige", "etwas",
    "euch", "eure", "ganz", "gegen", "geht", "gerne", "gibt", "habe", "haben", "hatte", "hier", "hinter", "ihre",
    "ihrem", "ihren", "ihrer", "immer", "jede", "jedem", "jeden", "jeder", "jedes", "jetzt", "kann", "kein",
    "keine", "keinen", "konnen", "konnte", "leider", "machen", "macht", "manche", "mehr", "mein", "meine", "meiner",
    "mich", "mochte", "muss", "mussen", "nach", "nicht", "nichts", "noch", "oder", "ohne", "schon", "sehr", "sein",
    "seine", "seit", "sich", "sind", "soll", "sollen", "sollte", "sondern", "sowie", "uber", "unser", "unsere",
    "unserer", "unter", "viel", "viele", "vielen", "vielleicht", "wann", "waren", "warum", "weil", "weiter",
    "welche", "wenn", "werden", "wird", "wieder", "wirklich", "wollen", "wurde", "wurden", "ware", "zum",
    "zwischen",
})
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


def similar_ids(session: Session, process_id: int, title: str, body: str, limit: int) -> list[int]:
    """The ids of published proposals of a process that say much the same as a text, best first.

    Looks at the newest proposals that share a telling word of the text, or two of them, each from the index alone: so
    it costs the same in a large town as in a small one. Longer words tell more in German, where they are compounds;
    words of the title tell more than others. What somebody writes is not stored.
    """
    telling = _telling_words(title, body)
    if not telling:
        return []
    words = list(telling)
    groups = [*([one] for one in words), *([one, other] for one, other in combinations(words[:PAIRED_WORDS], 2))]
    scores: dict[int, float] = {}
    for group, ids in zip(groups, _newest_of_groups(session, process_id, groups), strict=True):
        # Where more share a word than are looked at, the word tells little.
        weight = sum(telling[word] for word in group) * (0.2 if len(ids) >= CANDIDATES else 1.0)
        for proposal_id in ids:
            scores[proposal_id] = scores.get(proposal_id, 0.0) + weight
    best = sorted(scores, key=lambda one: (-scores[one], -one))[:limit]
    return [one for one in best if scores[one] >= SCORE_FROM]


def _telling_words(title: str, body: str) -> dict[str, float]:
    """Words of a text by which others like it are found, folded, with what each tells; the most telling first."""
    found: dict[str, tuple[str, float]] = {}
    for part, share in ((title, 1.0), (body[:BODY_READ], 0.5)):
        longest = sorted(set(_WORD.findall(_fold(part))), key=lambda word: (-len(word), word))
        for word in longest:
            if len(word) >= MIN_TELLING_LENGTH and word not in _STOP_WORDS and not word.isdecimal():
                weight = share * (1 + min(len(word), 12) / 12)
                found.setdefault(_stem(word[:MAX_WORD_LENGTH]), (word[:MAX_WORD_LENGTH], weight))
        if len(found) >= TELLING_WORDS:
            break
    return dict(list(found.values())[:TELLING_WORDS])


def _newest_of_groups(session: Session, process_id: int, groups: list[list[str]]) -> list[list[int]]:
    """For each group, the newest proposals with all of its words, CANDIDATES at most."""
    if is_sqlite(session):
        statement = "SELECT rowid AS id FROM proposal_search WHERE proposal_search MATCH :q{} ORDER BY rowid DESC"
        values = [" AND ".join([f'scope:"p{process_id}x"', *(f'"{_stem(word)}"' for word in group)])
                  for group in groups]
        return _of_groups(session, statement, values)
    # PostgreSQL can't read its index of words in order, and can only guess how frequent one is. So a look at the
    # newest proposals tells which groups are frequent; all others have few hits, which can be sorted.
    values = [" ".join(group) for group in groups]
    tests = ", ".join(f"document @@ plainto_tsquery('german', :q{number})" for number in range(len(values)))
    newest = session.execute(
        text(
            f"SELECT proposal_id, {tests} FROM (SELECT proposal_id, document FROM proposal_search "  # noqa: S608 - numbers
            "WHERE process_id = :process_id ORDER BY proposal_id DESC LIMIT :looked_at) AS newest"
        ),
        {"process_id": process_id, "looked_at": LOOKED_AT, **{f"q{key}": value for key, value in enumerate(values)}},
    ).all()
    result = [[row[0] for row in newest if row[number + 1]][:CANDIDATES] for number in range(len(values))]
    if len(newest) < LOOKED_AT:
        return result
    rare = [number for number, ids in enumerate(result) if len(ids) < LOOKED_AT * FREQUENT_FROM]
    statement = (
        "SELECT proposal_id AS id FROM proposal_search WHERE process_id = :process_id "
        "AND document @@ plainto_tsquery('german', :q{}) ORDER BY proposal_id + 0 DESC"
    )
    found = _of_groups(session, statement, [values[number] for number in rare], process_id=process_id)
    for number, ids in zip(rare, found, strict=True):
        result[number] = ids
    return result


def _of_groups(session: Session, statement: str, values: list[str], **more: object) -> list[list[int]]:
    """The hits of one statement (with one place for a number) for several values, in one query."""
    result: list[list[int]] = [[] for _ in values]
    if not values:
        return result
    parts = " UNION ALL ".join(
        f"SELECT {number} AS number, id FROM ({statement.format(number)} LIMIT {CANDIDATES}) AS part{number}"  # noqa: S608
        for number in range(len(values))
    )
    for number, proposal_id in session.execute(text(parts), {f"q{key}": one for key, one in enumerate(values)} | more):
        result[number].append(proposal_id)
    return result


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
