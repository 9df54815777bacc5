"""D08: who has the whole database and not the key learns from no row who voted for what."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select, update

from participation import clock
from participation.contributions.ballots.models import Ballot, BallotMark
from participation.contributions.models import Contribution, ContributionState, Voter
from participation.contributions.votes.models import Vote
from participation.db import Base, UTCDateTime
from participation.formats import BallotRule, VoteSettings
from participation.outbox import OutboxRow
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.accounts.models import Account
    from participation.processes.models import Process
    from participation.tokens import Keyring
    from tests.browser_client import Browser

Dump = dict[str, list[dict[str, Any]]]
BALLOT_BOX = {"voter", "vote", "ballot", "ballot_mark"}
# What a vote is about, and the times of phases, which everybody may know.
ABOUT = {"contribution", "phase", "process", "annulment"}


def dump(session: Session) -> Dump:
    """Every row of every table, as whoever steals a backup has it."""
    session.expire_all()
    return {table.name: [dict(row._mapping) for row in session.execute(select(table))]
            for table in Base.metadata.sorted_tables}


def leaks(found: Dump) -> list[str]:
    """Values of somebody's votes that also stand in a row of something else: numbers, hashes, times."""
    told = []
    # Numbers of votes in any form, also within a text.
    names = {str(row["id"]) for row in found["voter"]} | {
        row["source_hash"] for table in ("vote", "ballot") for row in found[table] if row["source_hash"]}
    times = {row["given_at"] for row in found["vote"]} | {row["changed_at"] for row in found["ballot"]}
    told += [f"a time of a vote is no full hour: {at}" for at in times if at.minute or at.second or at.microsecond]
    for table, rows in found.items():
        if table in BALLOT_BOX:
            continue
        for row in rows:
            for column, value in row.items():
                text = json.dumps(value, default=str)
                told += [f"{table}.{column} names {name}" for name in names if name in text and table != "vote_flag"]
                if isinstance(value, datetime) and value in times:
                    told.append(f"{table}.{column} is of the same time: {value}")
    return told


@pytest.fixture
def town(session: Session) -> Process:
    process = factories.process(session, phases=[
        factories.phase("collect"), factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS))])
    factories.proposal(session, process, title="Ein Baum am Markt")
    session.commit()
    return process


@pytest.fixture
def busy(
    session: Session, town: Process, new_browser: Callable[[], Browser], run_jobs: Callable[[], int],
) -> list[tuple[Account, Browser]]:
    """Three who write, comment, follow, support and vote, in this order and in the other; one who only votes."""
    base, (tree,) = f"/verfahren/{town.slug}", session.scalars(select(Contribution.id)).all()
    people = [(factories.account(session), new_browser()) for _ in range(4)]
    session.commit()

    def write(number: int, browser: Browser) -> None:
        browser.submit(f"{base}/vorschlaege/neu", {"title": f"Bank {number}", "body": "Im Schatten.",
                                                   "theme_id": str(town.themes[0].id)}, form=-1)
        browser.post(f"{base}/vorschlaege/{tree}/kommentare", {"body": f"Gut, sagt {number}."})
        browser.post(f"{base}/folgen")

    def vote(browser: Browser) -> None:
        assert browser.post(f"{base}/vorschlaege/{tree}/unterstuetzen").status_code == 303
        page = f"{base}/abstimmung/{town.phases[1].id}"
        assert browser.post(page, {"zeile": str(tree), f"marke-{tree}": "2"}).status_code == 303

    for number, (account, browser) in enumerate(people):
        browser.sign_in(account)
        if number < 2:
            write(number, browser)
        vote(browser)
        if number == 2:
            write(number, browser)
    run_jobs()
    session.expire_all()
    return people


def test_no_value_of_a_vote_stands_anywhere_else(
    session: Session, keyring: Keyring, town: Process, busy: list[tuple[Account, Browser]],
) -> None:
    found = dump(session)
    assert len(found["voter"]) == len(found["vote"]) == len(found["ballot"]) == 4
    assert len(found["contribution"]) == 7, "a tree, and of three people a bank and a comment"
    assert len(found["audit_entry"]) >= 6
    assert leaks(found) == []
    # Nor is the number a hash that needs no key.
    for row in found["participant"]:
        for text in (row["person_hash"], f"voter:{row['person_hash']}", f"{row['process_id']}:{row['person_hash']}", str(row["id"])):
            digest = hashlib.sha256(text.encode()).digest()
            assert not {int.from_bytes(digest[:8]), int.from_bytes(digest[:8]) >> 1} & {one["id"] for one in found["voter"]}
    # With the key the person finds them, as the download shows.
    for account, browser in busy:
        assert session.get(Voter, keyring.voter_of(town.id, f"account:{account.id}")) is not None
        (mine,) = json.loads(browser.get("/konto/meine-daten.json").get_data(as_text=True))["teilnahmen"]
        assert [one["titel"] for one in mine["unterstuetzungen"]] == ["Ein Baum am Markt"]
        assert [one["stimme"] for one in mine["stimmzettel"]] == [2]


def test_the_check_sees_what_it_looks_for(
    session: Session, busy: list[tuple[Account, Browser]],
) -> None:
    """Each of these once was so, or could become so by a careless change."""
    assert busy
    voter_id = session.scalars(select(Voter.id)).first()
    at = session.scalars(select(Contribution.created_at)).first()
    for change in (
        update(Vote).values(given_at=at), update(Ballot).values(changed_at=at),
        update(OutboxRow).values(args={"voter": voter_id}), update(Contribution).values(source_key=None, body=f"von {voter_id}"),
    ):
        with session.begin_nested() as step:
            session.execute(change.execution_options(synchronize_session=False))
            assert leaks(dump(session)), str(change)
            step.rollback()
    session.expire_all()


def test_a_vote_writes_nothing_that_is_of_a_person_or_of_a_time(
    session: Session, town: Process, busy: list[tuple[Account, Browser]], new_browser: Callable[[], Browser],
) -> None:
    """What one transaction writes can be joined by its number, or by the order of rows."""
    tree = session.scalars(select(Vote.contribution_id)).first()
    bank = next(row.id for row in session.scalars(select(Contribution)) if row.id != tree and row.kind == "proposal")
    session.execute(update(Contribution).where(Contribution.id == bank).values(
        state=ContributionState.PUBLISHED, published_at=clock.now()).execution_options(synchronize_session=False))
    newcomer = factories.account(session)
    session.commit()
    base = f"/verfahren/{town.slug}"
    for browser in (busy[0][1], new_browser().sign_in(newcomer)):
        before = dump(session)
        assert browser.post(f"{base}/vorschlaege/{bank}/unterstuetzen").status_code == 303
        assert browser.post(f"{base}/abstimmung/{town.phases[1].id}", {"zeile": str(bank), f"marke-{bank}": "1"}).status_code == 303
        after = dump(session)
        touched: dict[str, set[str]] = {}
        for table, rows in after.items():
            old = {json.dumps(row, default=str) for row in before[table]}
            for row in rows:
                if json.dumps(row, default=str) in old:
                    continue
                same = next((one for one in before[table] if one.get("id") == row.get("id") and "id" in row), {})
                touched.setdefault(table, set()).update(name for name, value in row.items() if same.get(name, ...) != value)
        assert touched.pop("contribution") == {"support_count"}
        assert touched.pop("process", set()) <= {"participant_count"}
        assert set(touched) <= BALLOT_BOX | {"ballot_tally", "ballot_turnout"}


def test_no_key_leads_from_the_ballot_box_to_people_or_back() -> None:
    refers = {table.name: {key.column.table.name for key in table.foreign_keys} for table in Base.metadata.sorted_tables}
    assert set().union(*(refers[name] for name in BALLOT_BOX)) - BALLOT_BOX <= ABOUT
    assert {name for name, targets in refers.items() if targets & {"voter", "vote", "ballot", "ballot_mark"}} <= BALLOT_BOX
    columns = {column.name for name in BALLOT_BOX for column in Base.metadata.tables[name].columns}
    times = {column.name for name in BALLOT_BOX for column in Base.metadata.tables[name].columns
             if isinstance(column.type, UTCDateTime)}
    assert times == {"given_at", "changed_at"}
    assert not columns & {"participant_id", "account_id", "person_hash", "contact_sealed", "created_at"}


def test_no_order_of_coming_is_kept(
    session: Session, busy: list[tuple[Account, Browser]],
) -> None:
    """On SQLite rows come as they lie in the file; on PostgreSQL at least the numbers tell nothing."""
    assert busy
    voters = session.scalars(select(Voter.id)).all()
    if session.get_bind().dialect.name == "sqlite":
        assert list(voters) == sorted(voters)
        assert [*session.execute(select(Vote.contribution_id, Vote.voter_id))] == sorted(
            session.execute(select(Vote.contribution_id, Vote.voter_id)).all())
        marks = session.execute(select(BallotMark.ballot_id, BallotMark.contribution_id, BallotMark.value)).all()
        assert marks == sorted(marks)
    for numbers in (voters, session.scalars(select(Ballot.id)).all()):
        assert max(numbers) - min(numbers) > 2**40, "counted up"
    assert session.scalars(select(BallotMark.value)).all() == [2] * 4


def test_no_role_reads_in_the_browser_who_voted(
    session: Session, town: Process, busy: list[tuple[Account, Browser]], new_browser: Callable[[], Browser],
) -> None:
    staff = new_browser().sign_in(factories.account(session, *Role, town=town.municipality))
    session.commit()
    numbers = [str(one) for one in session.scalars(select(Voter.id))]
    desk = f"/verwaltung/verfahren/{town.id}"
    for path in (f"{desk}/stimmen", f"{desk}/auswertung", "/verwaltung/konten", f"/verfahren/{town.slug}"):
        page = staff.get(path, follow_redirects=True)
        assert page.status_code == 200, path
        assert not [one for one in numbers if one in page.get_data(as_text=True)]
    assert busy
