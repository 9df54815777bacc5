"""Full-text search: FTS5 with stems by snowball on SQLite, `german` on PostgreSQL.

Only published proposals are in the index, so that what is hidden can't be found. Beside it stand the words of each
process, by which "Platz" finds "Spielplatz" and "Bibliotek" the "Bibliothek"; a word goes with its last proposal.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import snowballstemmer
from rapidfuzz.distance import OSA
from sqlalchemy import ColumnElement, Integer, Subquery, column, select, text
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
# German joins words: how long one must be to be looked for at the end of others, and how many of these are taken.
JOINED_FROM = 4
JOINED_MAX = 30
# A slip of the finger: how long a word must be, how long a part of one, from which length two slips are forgiven, how many words are compared.
SPELT_FROM = 4
PART_FROM = 6
TWO_SLIPS_FROM = 8
WORDS_COMPARED = 5000
# How long a word may be of which every two neighbours are tried the other way round.
SWAPPED_TO = 20
# When a proposal goes: words of so many of the newest need no look into the index.
NEWEST_READ = 300
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
_LETTERS = re.compile(r"[^\W\d_]{4,40}")
# Behind every letter: the end of a range of words that begin alike.
_LAST = "\uffff"
_ADD_WORD = text(
    "INSERT INTO proposal_search_word (process_id, stem, backwards, word) "
    "VALUES (:process_id, :stem, :backwards, :word) ON CONFLICT DO NOTHING"
)
# In one order for all, so that two who hand in at the same moment never wait for each other in a circle.
_ADD_WORDS = text(
    "INSERT INTO proposal_search_word (process_id, stem, backwards, word) "  # noqa: S608 - numbers of this module
    "SELECT DISTINCT ON (stem) CAST(:process_id AS integer), stem, reverse(stem), word "
    "FROM (SELECT (ts_lexize('german_stem', folded))[1] AS stem, word "
    "FROM unnest(CAST(:folded AS text[]), CAST(:words AS text[])) AS given (folded, word)) AS read "
    f"WHERE length(stem) BETWEEN {JOINED_FROM} AND {MAX_WORD_LENGTH} AND stem IN (SELECT unnest(tsvector_to_array("
    "document)) FROM proposal_search WHERE proposal_id = ANY(:ids)) ORDER BY stem ON CONFLICT DO NOTHING"
)


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
    index_many(session, process_id, [(proposal_id, title, body)])


def _fold_keeping(value: str) -> str:
    return value.lower().replace("ß", "ss")


def _words_alone(value: str) -> str:
    """Without the signs between words: PostgreSQL would take "Bänke/Tische" for a file, which neither word finds."""
    return " ".join(_WORD.findall(_fold_keeping(value)))


def remove_proposal(session: Session, proposal_id: int) -> None:
    """Take a proposal out of the index, and the words that no other one of its process has."""
    if is_sqlite(session):
        row = session.execute(
            text("SELECT scope, title, body FROM proposal_search WHERE rowid = :id"), {"id": proposal_id}
        ).one_or_none()
        session.execute(text("DELETE FROM proposal_search WHERE rowid = :id"), {"id": proposal_id})
        if row is None:
            return
        process_id, had = int(row.scope[1:-1]), {*row.title.split(), *row.body.split()}
    else:
        gone = session.execute(
            text("DELETE FROM proposal_search WHERE proposal_id = :id "
                 "RETURNING process_id, tsvector_to_array(document) AS stems"), {"id": proposal_id}
        ).one_or_none()
        if gone is None:
            return
        process_id, had = gone.process_id, set(gone.stems)
    _forget_words(session, process_id, had)


def _add_words(session: Session, process_id: int, proposals: list[tuple[int, str, str]]) -> None:
    """Note the words of proposals that came into the index, each by its stem as the index has it.

    Only whole words of the index: what is part of one there ("Meier" of "meier2024") would stay when it goes.
    """
    found: dict[str, str] = {}
    for word in (word for _key, *texts in proposals for value in texts for word in _WORD.findall(value)):
        if _LETTERS.fullmatch(word):
            found.setdefault(_fold_keeping(word), word)
    if not is_sqlite(session):
        session.execute(_ADD_WORDS, {"process_id": process_id, "folded": list(found), "words": list(found.values()),
                                     "ids": [key for key, _title, _body in proposals]})
        return
    known: dict[str, str] = {}
    for word in found.values():
        known.setdefault(_stem(_fold(word)[:MAX_WORD_LENGTH]), word)
    rows = [{"process_id": process_id, "stem": stem, "backwards": stem[::-1], "word": word}
            for stem, word in known.items() if len(stem) >= JOINED_FROM and _WORD.fullmatch(stem)]
    if rows:
        session.execute(_ADD_WORD, rows)


def _forget_words(session: Session, process_id: int, gone: set[str]) -> None:
    """Drop those of some stems that no proposal of the process has any more: nothing hidden may be guessed from them."""
    sqlite = is_sqlite(session)
    scope = f"p{process_id}x" if sqlite else process_id
    # Most words stand in a recent one too; only rare ones are asked for, since a frequent one is slow to look up.
    recent = session.execute(text(
        "SELECT title, body FROM proposal_search WHERE rowid IN (SELECT rowid FROM proposal_search "
        "WHERE proposal_search MATCH 'scope:' || :scope ORDER BY rowid DESC LIMIT :limit)" if sqlite else
        "SELECT array_to_string(tsvector_to_array(document), ' '), '' FROM proposal_search WHERE process_id = :scope "
        "ORDER BY proposal_id DESC LIMIT :limit"
    ), {"scope": scope, "limit": NEWEST_READ})
    rare = sorted(gone - {stem for row in recent for part in row for stem in part.split()})
    still = ("SELECT 1 FROM proposal_search WHERE proposal_search MATCH :scope || stem" if sqlite else
             "SELECT 1 FROM proposal_search AS s WHERE s.process_id = :scope AND s.document @@ to_tsquery('simple', stem)")
    if rare:
        session.execute(
            text("DELETE FROM proposal_search_word WHERE process_id = :process_id AND stem = :stem "  # noqa: S608
                 f"AND NOT EXISTS ({still})"),
            [{"process_id": process_id, "scope": f'scope:"{scope}" AND ' if sqlite else scope, "stem": stem}
             for stem in rare],
        )


def _joined(session: Session, process_id: int, stems_asked: list[str]) -> dict[str, list[str]]:
    """For each stem, stems of the process that end like it, the shortest first: "spielplatz" for "platz"."""
    found: dict[str, list[str]] = {stem: [] for stem in stems_asked}
    asked = [stem for stem in found if len(stem) >= JOINED_FROM]
    if not asked:
        return found
    parts = " UNION ALL ".join(
        f"SELECT {number} AS number, stem FROM (SELECT stem FROM proposal_search_word "  # noqa: S608 - numbers
        f"WHERE process_id = :process_id AND backwards > :from{number} AND backwards < :to{number} "
        f"ORDER BY length(stem), stem LIMIT {JOINED_MAX}) AS part{number}"
        for number in range(len(asked))
    )
    values = {f"from{number}": stem[::-1] for number, stem in enumerate(asked)}
    values |= {f"to{number}": stem[::-1] + _LAST for number, stem in enumerate(asked)}
    for number, stem in session.execute(text(parts), {"process_id": process_id, **values}):
        found[asked[number]].append(stem)
    return found


def spelt_right(session: Session, process_id: int, query: str) -> str | None:
    """A search as its process spells it, when words of it are typed almost like that; None when there is nothing better.

    A word that the process knows stays. One slip is forgiven, two in long words; of the first two letters and the last
    three, either must be right, so that few words need to be compared. What stands only within a longer word counts as
    known too, and is found by its slips: "Farrad" means the beginning of "Fahrradständer".
    """
    words, changed = [], False
    for typed in query.split()[:MAX_WORDS]:
        better = _nearest(session, process_id, typed)
        words.append(better or typed)
        changed = changed or better is not None
    return " ".join(words) if changed else None


def _nearest(session: Session, process_id: int, typed: str) -> str | None:
    folded = _fold(typed)
    stem = _stem(folded[:MAX_WORD_LENGTH])
    if not _LETTERS.fullmatch(folded) or _is_known(session, process_id, folded, stem):
        return None
    if swapped := _swapped_back(session, process_id, folded):
        return swapped
    # Of some slips the stemmer takes more away than an ending: "Lateren" leaves "lat".
    if len(stem) < SPELT_FROM:
        return None
    start, end = stem[:2], folded[-3:][::-1]
    rows = session.execute(
        text(
            "SELECT stem, word FROM proposal_search_word WHERE process_id = :process_id AND length(stem) >= :shortest "
            "AND (stem BETWEEN :start AND :start_to OR backwards BETWEEN :stem_end AND :stem_end_to "
            "OR backwards BETWEEN :end AND :end_to) LIMIT :limit"
        ),
        {"process_id": process_id, "start": start, "start_to": start + _LAST, "end": end, "end_to": end + _LAST,
         "stem_end": stem[-3:][::-1], "stem_end_to": stem[-3:][::-1] + _LAST, "shortest": len(stem) - 2,
         "limit": WORDS_COMPARED},
    ).all()
    most = 2 if len(stem) >= TWO_SLIPS_FROM else 1
    near = min(((OSA.distance(stem, row.stem, score_cutoff=most), row.stem, row.word) for row in rows), default=None)
    if near and near[0] <= most:
        return near[2] if near[0] else None
    return _nearest_part(folded, [row.word for row in rows], most) if len(folded) >= PART_FROM else None


def _is_known(session: Session, process_id: int, folded: str, stem: str) -> bool:
    """Whether the process has a word, or longer ones that begin or end with it: then it is spelt right as it is.

    Asked by itself, since of all words that look alike only so many are read.
    """
    conditions = ["stem = :stem", "stem BETWEEN :folded AND :folded_to"]
    values: dict[str, object] = {"process_id": process_id, "stem": stem, "folded": folded, "folded_to": folded + _LAST}
    if len(stem) >= JOINED_FROM:
        conditions.append("backwards BETWEEN :end AND :end_to")
        values |= {"end": stem[::-1], "end_to": stem[::-1] + _LAST}
    parts = " UNION ALL ".join(
        f"SELECT 1 FROM (SELECT 1 FROM proposal_search_word WHERE process_id = :process_id AND {condition} LIMIT 1) "  # noqa: S608
        f"AS part{number}" for number, condition in enumerate(conditions))
    return session.execute(text(parts), values).first() is not None


def _swapped_back(session: Session, process_id: int, typed: str) -> str | None:
    """The word that two neighbouring letters in the wrong order stand for ("Lateren"), or such a part of a longer one.

    Letters may be swapped where the words to compare are looked for, so each order is asked for by itself: as many as a
    word has letters, in one query.
    """
    if len(typed) > SWAPPED_TO:
        return None
    orders = [typed[:at] + typed[at + 1] + typed[at] + typed[at + 2:] for at in range(len(typed) - 1)]
    conditions: list[str] = []
    values: dict[str, object] = {"process_id": process_id}
    for number, order in enumerate(orders):
        stem = _stem(order)
        conditions.append(f"stem = :stem{number}")
        values[f"stem{number}"] = stem
        if len(typed) >= PART_FROM and len(stem) >= JOINED_FROM:
            conditions += [f"stem BETWEEN :from{number} AND :to{number}", f"backwards BETWEEN :end{number} AND :end_to{number}"]
            values |= {f"from{number}": order, f"to{number}": order + _LAST, f"end{number}": stem[::-1],
                       f"end_to{number}": stem[::-1] + _LAST}
    # Each by itself: joined by OR, SQLite would read all words of the process instead of asking its index.
    parts = " UNION ALL ".join(
        f"SELECT stem, word FROM (SELECT stem, word FROM proposal_search_word WHERE process_id = :process_id "  # noqa: S608
        f"AND {condition} ORDER BY length(stem), stem LIMIT 1) AS part{number}" for number, condition in enumerate(conditions))
    row = min(session.execute(text(parts), values), key=lambda one: (len(one.stem), one.stem), default=None)
    if row is None:
        return None
    whole = any(_stem(order) == row.stem for order in orders)
    meant = next((one for one in orders if len(_stem(one)) >= JOINED_FROM
                  and (row.stem.startswith(one) or row.stem.endswith(_stem(one)))), "")
    if whole or not meant:
        return str(row.word)
    at = 0 if row.stem.startswith(meant) else len(row.stem) - len(_stem(meant))
    return _as_in(row.word, meant, at).capitalize()


def _as_in(word: str, part: str, at: int) -> str:
    """A folded part of a word, from a place in the folded word on, with the letters of the word: "müll" for "mull"."""
    shown, place = "", 0
    for letter in word:
        folded = _fold(letter)
        if place >= at:
            if not part.startswith(folded):
                break
            shown, part = shown + letter, part[len(folded):]
        place += len(folded)
    return shown + part


def _nearest_part(typed: str, words: list[str], most: int) -> str | None:
    """The beginning or end of a longer word that comes nearest; None where that is just what was typed.

    Of several, one that is a word by itself, then one as long as what was typed: the others are torn off somewhere.
    """
    size, near = len(typed), (most + 1, True, 0, "")
    known = {_fold(word) for word in words}
    for word in words:
        folded = _fold(word)
        if len(folded) != len(word) or len(folded) < size + MIN_PREFIX_LENGTH:
            continue
        for length in (size, size - 1, size + 1):
            for part, shown in ((folded[:length], word[:length]), (folded[-length:], word[-length:].capitalize())):
                near = min(near, (OSA.distance(typed, part, score_cutoff=most), part not in known, abs(size - length), shown))
    return near[-1] if 0 < near[0] <= most else None


def matching(
    session: Session,
    process_id: int,
    query: str,
    proposal_id: ColumnElement[int] | InstrumentedAttribute[int],
    newest: int = NEWEST,
) -> ColumnElement[bool]:
    """The condition that a proposal of a process matches what somebody typed; see `matches`."""
    return proposal_id.in_(select(matches(session, process_id, query, newest).c.proposal_id))


def matches(session: Session, process_id: int, query: str, newest: int = NEWEST) -> Subquery:
    """(proposal_id) of the proposals of a process that match what somebody typed, newest first; all words must occur.

    A word also stands for those that end with it ("Platz" for "Spielplatz"), and the last one for its beginnings, so that
    results appear while somebody still types. Only the `newest` matches are looked at, so that a word which everybody
    uses costs no more in a large town than in a small one.
    """
    words = [word[:MAX_WORD_LENGTH] for word in _WORD.findall(_fold(query))][:MAX_WORDS]
    joined = _joined(session, process_id, [_stem(word) for word in words])
    if is_sqlite(session):
        terms = []
        for number, word in enumerate(words):
            either = [f'"{stem}"' for stem in (_stem(word), *joined[_stem(word)])]
            if number == len(words) - 1:
                either += [f'"{beginning}"*' for beginning in _beginnings(word)]
            terms.append(f"({' OR '.join(either)})")
        expression = " AND ".join([f'scope:"p{process_id}x"', *terms]) if terms else '"nothing"'
        found = text(
            "SELECT rowid AS proposal_id FROM proposal_search WHERE proposal_search MATCH :fts_query ORDER BY rowid DESC LIMIT :newest"
        )
        return found.bindparams(fts_query=expression, newest=newest).columns(column("proposal_id", Integer)).subquery()
    parts, values = [], {}
    for number, word in enumerate(words):
        values[f"w{number}"] = word
        # Without marks that mean something to the parser: lexemes of letters, and a beginning.
        either = joined[_stem(word)]
        if number == len(words) - 1:
            either = [*either, *(f"{beginning}:*" for beginning in _beginnings(word))]
        values[f"j{number}"] = " | ".join(either)
        parts.append(f"(plainto_tsquery('german', :w{number}) || to_tsquery('simple', :j{number}))")
    condition = " && ".join(parts) or "to_tsquery('simple', '')"
    found = text(
        f"SELECT proposal_id FROM proposal_search WHERE process_id = :search_process AND document @@ ({condition}) "  # noqa: S608
        "ORDER BY proposal_id DESC LIMIT :newest"
    )
    bound = found.bindparams(search_process=process_id, newest=newest, **values)
    return bound.columns(column("proposal_id", Integer)).subquery()


def _beginnings(word: str) -> list[str]:
    """How words may begin that somebody is still typing, or joined to others: "Fahrräder" for "Fahrradständer"."""
    stem = _stem(word)
    if len(stem) >= JOINED_FROM:
        return [stem] if word.startswith(stem) else [word, stem]
    return [word] if len(word) >= MIN_PREFIX_LENGTH else []


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
        _add_words(session, process_id, proposals)
        return
    session.execute(
        text(
            "INSERT INTO proposal_search (proposal_id, process_id, document) VALUES (:id, :process_id, "
            "setweight(to_tsvector('german', :title), 'A') || to_tsvector('german', :body))"
        ),
        [
            {"id": key, "process_id": process_id, "title": _words_alone(title), "body": _words_alone(body)}
            for key, title, body in proposals
        ],
    )
    _add_words(session, process_id, proposals)
