"""What only one of many may get, when all come in the same moment. Changes are really committed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from participation import clock
from participation.accounts.models import Account, AccountVerification, Participant, ParticipantKind, TokenPurpose
from participation.accounts.operations.access import sign_in_by_link
from participation.accounts.operations.links import issue_token
from participation.accounts.verification import issue_codes, redeem_code
from participation.contributions import operations as contributions
from participation.contributions.abuse.operations import annul
from participation.contributions.abuse.queries import Suspect
from participation.contributions.ballots.operations import cast
from participation.contributions.comments.operations import post_comment
from participation.contributions.personal.operations import attach_to_account, delete_account
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.counting import recount
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import support
from participation.db import Database
from participation.errors import DomainError
from participation.formats import BallotRule, VoteSettings
from participation.permissions import Role
from participation.processes.models import Phase, Process
from tests import factories

if TYPE_CHECKING:

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

AT_ONCE = 8


@pytest.fixture
def committing(committing_url: str) -> Iterator[Database]:
    database = Database(committing_url)
    yield database
    database.dispose()


def at_once(database: Database, act: Callable[[Session, int], Any]) -> list[str]:
    """All try in the same moment; says of each "done" or the error's name."""
    gate = Barrier(AT_ONCE)

    def one(number: int) -> str:
        gate.wait()
        try:
            with database.unit_of_work() as session:
                act(session, number)
        except DomainError as error:
            return type(error).__name__
        return "done"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sorted(pool.map(one, range(AT_ONCE)))


def people(session: Session) -> list[int]:
    return [factories.account(session).id for _number in range(AT_ONCE)]


def test_one_letter_is_one_person(committing: Database, keyring: Keyring) -> None:
    with committing.unit_of_work() as session:
        town = factories.municipality(session)
        admin = factories.actor(factories.account(session, Role.ADMIN, town=town))
        code = issue_codes(session, keyring, admin, town, label="X", count=1, days=1, now=clock.now())[0]
        accounts = people(session)

    def redeem(session: Session, number: int) -> None:
        actor = factories.actor(session.get_one(Account, accounts[number]))
        redeem_code(session, keyring, actor, code, clock.now())

    assert at_once(committing, redeem) == ["Conflict"] * (AT_ONCE - 1) + ["done"]
    with committing.reading() as session:
        assert session.scalar(select(func.count()).select_from(AccountVerification)) == 1


def test_one_link_signs_in_once(committing: Database) -> None:
    with committing.unit_of_work() as session:
        token = issue_token(session, factories.account(session).id, TokenPurpose.SIGN_IN, clock.now())
    outcome = at_once(committing, lambda session, _number: sign_in_by_link(session, token, clock.now()))
    assert outcome == ["Gone"] * (AT_ONCE - 1) + ["done"]


def test_a_receipt_in_many_hands_goes_to_one_account(committing: Database, keyring: Keyring) -> None:
    with committing.unit_of_work() as session:
        process = factories.process(session)
        process.participant_count = 1
        guest = factories.participant(session, process, kind=ParticipantKind.GUEST)
        number, accounts = factories.proposal(session, process, participant=guest).id, people(session)

    def attach(session: Session, one: int) -> None:
        proposal = session.get_one(Proposal, number)
        proposal.is_own = True
        attach_to_account(session, keyring, factories.actor(session.get_one(Account, accounts[one])), proposal,
                          clock.now())

    assert at_once(committing, attach) == ["Conflict"] * (AT_ONCE - 1) + ["done"]
    with committing.unit_of_work() as session:
        assert session.scalars(select(Participant.kind)).all() == [ParticipantKind.ACCOUNT]
        assert set(recount(session, keyring).values()) == {0}


def test_a_vote_in_the_moment_of_merging_is_kept_and_counted_once(committing: Database, keyring: Keyring) -> None:
    with committing.unit_of_work() as session:
        process = factories.process(session)
        account = factories.account(session)
        guest = factories.participant(session, process, kind=ParticipantKind.GUEST)
        mine, liked = factories.proposal(session, process, participant=guest), factories.proposal(session, process)
        mine_id, liked_id, account_id = mine.id, liked.id, account.id
        contributions.ensure_participant(
            session, keyring, process.id, f"account:{account.id}", kind=ParticipantKind.ACCOUNT, pseudonym="Ich",
            now=clock.now())
        factories.vote(session, liked, keyring.voter_number(guest.person_hash))
        recount(session, keyring)

    def act(session: Session, number: int) -> None:
        actor = factories.actor(session.get_one(Account, account_id))
        if number:
            support(session, keyring, actor, session.get_one(Proposal, liked_id), clock.now())
            return
        proposal = session.get_one(Proposal, mine_id)
        proposal.is_own = True
        attach_to_account(session, keyring, actor, proposal, clock.now())

    assert at_once(committing, act) == ["done"] * AT_ONCE
    with committing.unit_of_work() as session:
        assert session.scalar(select(func.count()).select_from(Vote)) == 1
        assert session.get_one(Proposal, liked_id).support_count == 1
        assert set(recount(session, keyring).values()) == {0}


def test_a_first_vote_and_a_first_text_at_once_are_one_person(committing: Database, keyring: Keyring) -> None:
    with committing.unit_of_work() as session:
        process = factories.process(session)
        liked = [factories.proposal(session, process).id for _ in range(2)]
        process_id, account_ids = process.id, people(session)
        recount(session, keyring)

    def act(session: Session, number: int) -> None:
        # Each account does both, in two of the threads.
        account_id = account_ids[number // 2]
        actor = factories.actor(session.get_one(Account, account_id))
        if number % 2:
            support(session, keyring, actor, session.get_one(Proposal, liked[number // 2 % 2]), clock.now())
        else:
            contributions.ensure_participant(
                session, keyring, process_id, f"account:{account_id}", kind=ParticipantKind.ACCOUNT, pseudonym="Ich",
                now=clock.now())

    assert at_once(committing, act) == ["done"] * AT_ONCE
    with committing.unit_of_work() as session:
        assert set(recount(session, keyring).values()) == {0}


def test_first_ballots_and_first_comments_on_one_proposal_wait_for_each_other_in_one_order(
    committing: Database, keyring: Keyring,
) -> None:
    with committing.unit_of_work() as session:
        process = factories.process(session, phases=[
            factories.phase("collect"), factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS))])
        on, phase_id = factories.proposal(session, process).id, process.phases[1].id
        rounds = [people(session) for _ in range(4)]
        recount(session, keyring)

    for account_ids in rounds:
        def act(session: Session, number: int, account_ids: list[int] = account_ids) -> None:
            actor = factories.actor(session.get_one(Account, account_ids[number]))
            if number % 2:
                cast(session, keyring, actor, session.get_one(Phase, phase_id), {on: 1}, clock.now())
            else:
                post_comment(session, keyring, actor, session.get_one(Proposal, on), "Gut so.", submission_key="eins",
                             now=clock.now())

        assert at_once(committing, act) == ["done"] * AT_ONCE
    with committing.unit_of_work() as session:
        assert not any(recount(session, keyring).values())


def test_who_leaves_while_planners_annul_is_counted_by_neither_twice(committing: Database, keyring: Keyring) -> None:
    with committing.unit_of_work() as session:
        process = factories.process(session)
        planner = factories.actor(factories.account(session, Role.PLANNER, on=process))
        liked, account_ids = factories.proposal(session, process).id, people(session)
        process_id, source = process.id, "c" * 16
        for account_id in account_ids:
            actor = factories.actor(session.get_one(Account, account_id))
            support(session, keyring, actor, session.get_one(Proposal, liked), clock.now(), source)
        recount(session, keyring)

    def act(session: Session, number: int) -> None:
        if number == 0:
            annul(session, planner, session.get_one(Process, process_id), Suspect(source), "Programm.", clock.now())
            return
        account = session.get_one(Account, account_ids[number])
        delete_account(session, keyring, factories.actor(account), account, take_along=False, now=clock.now())

    assert set(at_once(committing, act)) == {"done"}
    with committing.unit_of_work() as session:
        assert session.get_one(Proposal, liked).support_count == 0
        assert not any(recount(session, keyring).values())
