"""A town of any size, written in bulk: five comments and ten supports per proposal."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, func, insert, select, text

from participation import search, tokens
from participation.accounts.models import Participant, ParticipantKind, SignInSession
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionState, Revision, Voter
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import recount as recount_votes
from participation.db import Base, Database, is_sqlite
from participation.municipalities.models import Municipality
from participation.processes.models import Process
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

COMMENTS, VOTES, VOTERS, ACCOUNTS = 5, 10, 2000, 64
LONG_THREAD = 200
CHUNK = 5000
WORDS = [
    "Radweg",
    "Bürgerbus",
    "Laterne",
    "Spielplatz",
    "Markt",
    "Bahnhof",
    "Berkel",
    "Schule",
    "Turnhalle",
    "Glasfaser",
    "Hof",
    "Wald",
    "Brücke",
    "Ampel",
    "Bank",
    "Bücherei",
    "Freibad",
    "Wohnung",
    "Garten",
    "Energie",
    "Sonne",
    "Wind",
    "Speicher",
    "Funknetz",
    "Sensor",
    "Termin",
    "Antrag",
    "Formular",
    "App",
    "Karte",
    "Nachbarn",
    "Jugend",
    "Verein",
    "Ehrenamt",
    "Werkstatt",
    "Handwerk",
    "Laden",
    "Lieferung",
    "Straße",
    "Gehweg",
    "Kreuzung",
    "Parkplatz",
    "Ladesäule",
    "Fahrrad",
    "Auto",
    "Zug",
    "Bus",
    "Bauernhof",
    "Kirche",
    "Rathaus",
    "Platz",
    "Baum",
    "Hecke",
    "Blume",
    "Wasser",
    "Regen",
    "Hitze",
    "Schatten",
    "Licht",
    "Dunkel",
]
START = datetime(2026, 1, 1, 8, tzinfo=UTC)


def fill(database: Database, keyring: Keyring, proposals: int) -> tuple[str, int, list[str]]:
    """Write the town. Returns the process's slug, the proposal with the long thread, and sign-in tokens."""
    dice = random.Random(7)  # noqa: S311 - test data
    with database.unit_of_work() as session:
        town = factories.municipality(session, name="Messstadt")
        process = factories.process(session, town, slug="messung", phases=[factories.phase("collect")])
        session_tokens = _accounts(session, town)
        _bulk(
            session,
            _table(Participant),
            (
                {
                    "process_id": process.id,
                    "person_hash": f"{number:064d}",
                    "kind": ParticipantKind.ACCOUNT,
                    "pseudonym": f"Nachbarin {number}",
                    "is_staff": False,
                    "created_at": START,
                }
                for number in range(VOTERS)
            ),
        )
        people = list(session.scalars(select(Participant.id).where(Participant.process_id == process.id)))
        voters = [keyring.voter_number(f"{number:064d}") for number in range(VOTERS)]
        _bulk(session, _table(Voter), ({"id": one, "process_id": process.id, "channel": ParticipantKind.ACCOUNT}
                                       for one in voters))
        themes = [theme.id for theme in process.themes]
        first = _contributions(session, process, themes, people, voters, proposals, dice)
        recount_votes(session)
        session.execute(
            text("UPDATE process SET proposal_count = :n, comment_count = :c"),
            {"n": proposals, "c": proposals * COMMENTS + LONG_THREAD},
        )
        for number, theme in enumerate(process.themes):
            theme.proposal_count = len(range(number, proposals, len(themes)))
    with database.engine.connect() as connection:
        # PostgreSQL does this by itself; SQLite runs without statistics, as in a town.
        if not database.is_sqlite:
            connection.execute(text("ANALYZE"))
        connection.commit()
    return "messung", first, session_tokens


def _accounts(session: Session, town: Municipality) -> list[str]:
    found = []
    for _ in range(ACCOUNTS):
        account = factories.account(session, town=town)
        token = tokens.new_token()
        session.add(
            SignInSession(
                account_id=account.id,
                token_hash=tokens.hash_token(token),
                created_at=START,
                expires_at=datetime.now(UTC) + timedelta(days=9),
            )
        )
        found.append(token)
    session.flush()
    return found


def _contributions(
    session: Session, process: Process, themes: list[int], people: list[int], voters: list[int], number_of: int,
    dice: random.Random,
) -> int:
    start = (session.scalar(select(func.max(Contribution.id))) or 0) + 1
    step = COMMENTS + 1
    # German joins words, so a town's vocabulary is far larger than its simple words.
    compounds = [first + second.lower() for first in WORDS for second in WORDS if first != second]
    texts = [" ".join(dice.choices(WORDS, k=36) + dice.choices(compounds, k=4)) for _ in range(997)]
    titles = [" ".join(dice.choices(WORDS, k=4)) for _ in range(997)]

    def base(key: int, kind: str, at: datetime, **values: Any) -> dict[str, Any]:
        return {
            "id": key,
            "kind": kind,
            "process_id": process.id,
            "phase_id": process.phases[0].id,
            "theme_id": None,
            "participant_id": people[key % len(people)],
            "state": ContributionState.PUBLISHED,
            "body": "",
            "revision_number": 1,
            "support_count": 0,
            "comment_count": 0,
            "created_at": at,
            "submitted_at": at,
            "published_at": at,
            **values,
        }

    def bases() -> Iterator[dict[str, Any]]:
        for number in range(number_of):
            key, at = start + number * step, START + timedelta(seconds=number * 240)
            yield base(
                key,
                "proposal",
                at,
                theme_id=themes[number % len(themes)],
                body=texts[number % 997],
                support_count=VOTES,
                comment_count=COMMENTS + (LONG_THREAD if number == 0 else 0),
            )
            for reply in range(COMMENTS):
                yield base(key + 1 + reply, "comment", at, body=texts[(number + reply) % 997][:120])
        for reply in range(LONG_THREAD):
            yield base(start + number_of * step + reply, "comment", START, body=texts[reply % 997][:120])

    def comments() -> Iterator[dict[str, Any]]:
        for number in range(number_of):
            for reply in range(COMMENTS):
                key = start + number * step + 1 + reply
                yield {"id": key, "proposal_id": start + number * step, "thread_id": key, "depth": 0, "parent_id": None}
        for reply in range(LONG_THREAD):
            key = start + number_of * step + reply
            yield {"id": key, "proposal_id": start, "thread_id": key, "depth": 0, "parent_id": None}

    keys = [start + number * step for number in range(number_of)]
    _bulk(session, _table(Contribution), bases())
    _bulk(
        session,
        _table(Proposal),
        (
            {
                "id": key,
                "title": titles[number % 997],
                "place": "",
                "lon": 7.22 + (number * 37 % 1000) / 6000,
                "lat": 51.94 + (number * 91 % 1000) / 12000,
                "district_id": None,
            }
            for number, key in enumerate(keys)
        ),
    )
    _bulk(session, _table(Comment), comments())
    _bulk(
        session,
        _table(Revision),
        (
            {
                "contribution_id": key,
                "number": 1,
                "title": titles[number % 997],
                "body": texts[number % 997],
                "created_at": START,
            }
            for number, key in enumerate(keys)
        ),
    )
    _bulk(
        session,
        _table(Vote),
        (
            {"contribution_id": key, "voter_id": voters[(key + vote * 17) % len(voters)], "given_at": START}
            for key in keys
            for vote in range(VOTES)
        ),
    )
    _index(session, process.id, keys, titles, texts)
    if not is_sqlite(session):
        session.execute(text("SELECT setval(pg_get_serial_sequence('contribution', 'id'), max(id)) FROM contribution"))
    return start


def _index(session: Session, process_id: int, keys: list[int], titles: list[str], texts: list[str]) -> None:
    """The same rows that search.index_proposal writes; stems are made once per text."""
    if is_sqlite(session):
        stemmed = [
            (" ".join(search.stems(title)), " ".join(search.stems(body)))
            for title, body in zip(titles, texts, strict=True)
        ]
        statement = text("INSERT INTO proposal_search (rowid, scope, title, body) VALUES (:id, :scope, :title, :body)")
        rows = [
            {"id": key, "scope": f"p{process_id}x", "title": stemmed[number % 997][0], "body": stemmed[number % 997][1]}
            for number, key in enumerate(keys)
        ]
    else:
        statement = text(
            "INSERT INTO proposal_search (proposal_id, process_id, document) VALUES (:id, :process, "
            "setweight(to_tsvector('german', :title), 'A') || to_tsvector('german', :body))"
        )
        rows = [
            {"id": key, "process": process_id, "title": titles[number % 997], "body": texts[number % 997]}
            for number, key in enumerate(keys)
        ]
    for begin in range(0, len(rows), CHUNK):
        session.execute(statement, rows[begin : begin + CHUNK])
    # Every text occurs among these.
    search._add_words(session, process_id, list(zip(keys, titles, texts, strict=False)))


def _table(model: type[Base]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(model)
    return table


def _bulk(session: Session, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    batch: list[dict[str, Any]] = []
    write: Callable[[], object] = lambda: session.execute(insert(table), batch)  # noqa: E731
    for row in rows:
        batch.append(row)
        if len(batch) == CHUNK:
            write()
            batch = []
    if batch:
        write()
