"""Somebody acts in one window and deletes the account in another, in the same moment. Changes are really committed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, func, select, text, update

from participation import clock
from participation.accounts.external import connect
from participation.accounts.models import (
    Account,
    AccountVerification,
    ExternalIdentity,
    OneTimeToken,
    Participant,
    ParticipantKind,
    Passkey,
    SignInSession,
)
from participation.accounts.oidc import Claims
from participation.accounts.operations.access import change_email, change_password, issue_email_change
from participation.accounts.operations.factors import begin_second_factor
from participation.accounts.operations.sessions import open_session
from participation.accounts.passkeys import add_passkey
from participation.accounts.verification import confirm_residence, issue_codes, redeem_code
from participation.contributions.ballots.models import Ballot, BallotTally
from participation.contributions.ballots.operations import cast, recount as recount_ballots
from participation.contributions.comments.models import Comment
from participation.contributions.comments.operations import edit_comment, post_comment
from participation.contributions.drafts.models import Draft
from participation.contributions.drafts.operations import save_draft
from participation.contributions.guests.operations import introduce_guest
from participation.contributions.models import Contribution, ContributionState, Revision, Voter
from participation.contributions.operations import withdraw
from participation.contributions.personal.operations import attach_to_account, delete_account, rename
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.content import ProposalDraft
from participation.contributions.proposals.operations.counting import recount
from participation.contributions.proposals.operations.revising import revise_proposal
from participation.contributions.proposals.operations.submitting import submit_proposal
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import support
from participation.db import Database
from participation.errors import AccountGone, Conflict, DomainError, Gone, InvalidInput, NotFound
from participation.following import listening
from participation.following.models import Follower
from participation.following.operations import follow
from participation.formats import BallotRule, CollectSettings, VoteSettings
from participation.permissions import Actor, Role
from participation.processes.models import Phase, Process
from tests import factories
from tests.accounts.test_passkeys import Device

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring
    from tests.browser_client import Browser

Act = Callable[["Session", "Keyring", "Town"], Any]
LONG = 20
CLAIMS = Claims("https://anmeldung.example", "person-1")


class Town:
    """Numbers of what every session loads anew."""

    def __init__(self, session: Session, keyring: Keyring, *, known: bool) -> None:
        process = factories.process(session, phases=[
            factories.phase("collect"), factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS))])
        liked = [factories.proposal(session, process).id for _number in range(2)]
        account = factories.account(session, display_name="Die Eilige")
        self.process_id, self.liked, self.account_id = process.id, liked, account.id
        self.phase_id = process.phases[1].id
        self.actor = factories.actor(account)
        self.staff = factories.actor(factories.account(session, Role.ADMIN, town=process.municipality))
        (self.letter,) = issue_codes(session, keyring, self.staff, process.municipality, label="Kernort", count=1, days=30, now=clock.now())
        self.link = issue_email_change(session, account, keyring.seal("neu@beispiel.example"), clock.now())
        recount(session, keyring)
        session.commit()
        if known:
            # Has voted and written before: no row of a person is made by the next act.
            support(session, keyring, self.actor, session.get_one(Proposal, liked[1]), clock.now())
            post_comment(session, keyring, self.actor, session.get_one(Proposal, liked[1]), "Schön", submission_key="0",
                         now=clock.now())
            session.commit()

    def delete(self, session: Session, keyring: Keyring) -> None:
        delete_account(session, keyring, self.actor, session.get_one(Account, self.account_id), take_along=False,
                       now=clock.now())


def _submit(session: Session, keyring: Keyring, town: Town) -> None:
    process = session.get_one(Process, town.process_id)
    submit_proposal(session, keyring, town.actor, process,
                    ProposalDraft("Bank", "Im Schatten", theme_id=process.themes[0].id), submission_key="1", now=clock.now())


# What it does, and the statement before which the other window deletes the account.
ACTS: dict[str, tuple[Act, str]] = {
    "support": (lambda session, keyring, town: support(
        session, keyring, town.actor, session.get_one(Proposal, town.liked[0]), clock.now()), "INSERT INTO vote "),
    "ballot": (lambda session, keyring, town: cast(
        session, keyring, town.actor, session.get_one(Phase, town.phase_id), {town.liked[0]: 1}, clock.now()),
        "INSERT INTO ballot "),
    "comment": (lambda session, keyring, town: post_comment(
        session, keyring, town.actor, session.get_one(Proposal, town.liked[0]), "Gut", submission_key="1", now=clock.now()),
        "INSERT INTO contribution "),
    "proposal": (_submit, "INSERT INTO contribution "),
    "draft": (lambda session, keyring, town: save_draft(
        session, keyring, town.actor, session.get_one(Process, town.process_id), "1", {"title": ["Bank"]}, seen=0,
        now=clock.now()), "INSERT INTO draft "),
    "follow": (lambda session, keyring, town: follow(
        session, keyring, town.actor, session.get_one(Process, town.process_id), None, clock.now()),
        "INSERT INTO follower "),
    "password": (lambda session, _keyring, town: change_password(
        session, session.get_one(Account, town.account_id), "Lange-Leitung-47", "Stadt", "", clock.now()), "UPDATE account "),
    "new address": (lambda session, keyring, town: change_email(session, keyring, town.link, clock.now()), "UPDATE one_time_token "),
    "link to a new address": (lambda session, keyring, town: issue_email_change(
        session, session.get_one(Account, town.account_id), keyring.seal("neu@beispiel.example"), clock.now()),
        "INSERT INTO one_time_token "),
    "name": (lambda session, keyring, town: rename(
        session, keyring, town.actor, session.get_one(Account, town.account_id), "Neuer Name", everywhere=True,
        now=clock.now()), "UPDATE account "),
    "sign-in": (lambda session, _keyring, town: open_session(
        session, session.get_one(Account, town.account_id), "Telefon", clock.now()), "INSERT INTO sign_in_session "),
    "second factor": (lambda session, keyring, town: begin_second_factor(
        session, keyring, session.get_one(Account, town.account_id)), "UPDATE account "),
    "passkey": (lambda session, _keyring, town: add_passkey(
        session, session.get_one(Account, town.account_id), Device().create(
            {"user": {"id": "AAAA"}, "rp": {"id": "localhost"}, "challenge": "AAAA"}),
        challenge=bytes(3), host="localhost", origin="http://localhost", name="Telefon", now=clock.now()),
        "INSERT INTO passkey "),
    "letter code": (lambda session, keyring, town: redeem_code(
        session, keyring, town.actor, town.letter, clock.now()), "INSERT INTO verification "),
    "provider": (lambda session, _keyring, town: connect(
        session, session.get_one(Account, town.account_id), CLAIMS, clock.now()), "INSERT INTO external_identity "),
}


@pytest.fixture
def committing(committing_url: str) -> Iterator[Database]:
    listening.connect()
    database = Database(committing_url)
    yield database
    database.dispose()


def _require_nothing_of_the_account(session: Session, keyring: Keyring, town: Town) -> None:
    identity = f"account:{town.account_id}"
    account = session.get_one(Account, town.account_id)
    assert (account.display_name, account.password_hash, account.email) == (
        "Gelöschtes Konto", None, f"{town.account_id}@geloescht.invalid")
    assert session.get(Voter, keyring.voter_of(town.process_id, identity)) is None
    assert session.scalars(select(Participant).where(
        Participant.person_hash == keyring.person_hash(town.process_id, identity))).all() == []
    assert set(session.scalars(select(Participant.pseudonym))) & {"Die Eilige", "Neuer Name"} == set()
    for model in (Vote, Ballot, Draft, Follower, OneTimeToken, SignInSession, Passkey, ExternalIdentity, AccountVerification):
        assert session.scalar(select(func.count()).select_from(model)) == 0, model
    assert sum(session.scalars(select(BallotTally.people))) == 0
    assert not any((recount(session, keyring) | recount_ballots(session)).values()), "every counter is right"


def _waits(database: Database, other: Future[None]) -> None:
    """Until the other one is done, or waits for us; on SQLite it waits from its first statement on."""
    begun = monotonic()
    with database.new_session(write=False) as look:
        while not other.done() and monotonic() - begun < LONG:
            if database.is_sqlite or look.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
            look.rollback()
            sleep(0.01)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ACTS)
def test_what_was_begun_before_is_done_and_then_goes_with_the_account(
    committing: Database, keyring: Keyring, name: str, *, known: bool,
) -> None:
    act, before = ACTS[name]
    with committing.unit_of_work() as session:
        town = Town(session, keyring, known=known)

    def delete() -> None:
        with committing.unit_of_work() as other:
            town.delete(other, keyring)

    with ThreadPoolExecutor(1) as pool, committing.unit_of_work() as session:
        deletion: list[Future[None]] = []

        def meanwhile(*args: Any) -> None:
            if not deletion and str(args[2]).startswith(before):
                deletion.append(pool.submit(delete))
                _waits(committing, deletion[0])

        event.listen(session.connection(), "before_cursor_execute", meanwhile)
        act(session, keyring, town)
        session.commit()
        assert deletion, f"no {before}"
        deletion[0].result()
    with committing.unit_of_work() as session:
        _require_nothing_of_the_account(session, keyring, town)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ACTS)
def test_what_comes_after_learns_that_the_account_is_gone_and_stores_nothing(
    committing: Database, keyring: Keyring, name: str, *, known: bool,
) -> None:
    with committing.unit_of_work() as session:
        town = Town(session, keyring, known=known)
        written = session.scalar(select(func.count()).select_from(Proposal)), session.scalar(select(func.count()).select_from(Comment))

    def act() -> None:
        with committing.unit_of_work() as other:
            ACTS[name][0](other, keyring, town)

    with ThreadPoolExecutor(1) as pool:
        with committing.unit_of_work() as session:
            town.delete(session, keyring)
            acting = pool.submit(act)
            _waits(committing, acting)
        # Where one waits from the first statement on, a link is gone before it is read.
        with pytest.raises((AccountGone, Gone)):
            acting.result()
    with committing.unit_of_work() as session:
        _require_nothing_of_the_account(session, keyring, town)
        assert written == (session.scalar(select(func.count()).select_from(Proposal)),
                           session.scalar(select(func.count()).select_from(Comment)))


def test_staff_who_confirm_where_somebody_lives_who_is_just_leaving_learn_that_there_is_no_such_account(
    committing: Database, keyring: Keyring,
) -> None:
    with committing.unit_of_work() as session:
        town = Town(session, keyring, known=False)
        email = session.get_one(Account, town.account_id).email

    def confirm() -> None:
        with committing.unit_of_work() as other:
            place = other.get_one(Process, town.process_id).municipality
            confirm_residence(other, town.staff, place, email, clock.now())

    with ThreadPoolExecutor(1) as pool:
        with committing.unit_of_work() as session:
            town.delete(session, keyring)
            confirming = pool.submit(confirm)
            _waits(committing, confirming)
        with pytest.raises(InvalidInput, match="kein Konto"):
            confirming.result()
    with committing.unit_of_work() as session:
        _require_nothing_of_the_account(session, keyring, town)


def _meanwhile(
    database: Database, before: str, first: Callable[[Session], object], then: Callable[[Session], object],
) -> list[object]:
    """What came of both (or what hindered them), when the other begins before a statement of the first."""
    outcome: list[object] = [None, None]

    def second() -> None:
        try:
            with database.unit_of_work() as other:
                outcome[1] = then(other)
        except DomainError as error:
            outcome[1] = error

    with ThreadPoolExecutor(1) as pool, database.unit_of_work() as session:
        begun: list[Future[None]] = []

        def meanwhile(*args: Any) -> None:
            if not begun and str(args[2]).startswith(before):
                begun.append(pool.submit(second))
                _waits(database, begun[0])

        event.listen(session.connection(), "before_cursor_execute", meanwhile)
        try:
            outcome[0] = first(session)
            session.commit()
        except DomainError as error:
            session.rollback()
            outcome[0] = error
        assert begun, f"no {before}"
        begun[0].result()
    return outcome


class Guest:
    """Somebody without an account who has written a proposal and a comment, and the account that takes them over."""

    def __init__(self, session: Session, keyring: Keyring, *, known: bool) -> None:
        process = factories.process(session, phases=[factories.phase("collect", settings=CollectSettings(guest_comments=True))])
        self.process_id, self.liked = process.id, factories.proposal(session, process).id
        self.actor = Actor(guest_token="bibliothek")
        recount(session, keyring)
        self.proposal_id = self.submit(session, keyring, "1")
        self.comment_id = self.comment(session, keyring)
        account = factories.account(session, display_name="Die Eilige")
        self.account_id, self.account = account.id, factories.actor(account)
        session.commit()
        if known:
            post_comment(session, keyring, self.account, session.get_one(Proposal, self.liked), "Schön", submission_key="0",
                         now=clock.now())

    def submit(self, session: Session, keyring: Keyring, key: str) -> int:
        process = session.get_one(Process, self.process_id)
        return submit_proposal(
            session, keyring, self.actor, process, ProposalDraft("Bank", "Im Schatten", theme_id=process.themes[0].id),
            submission_key=key, now=clock.now()).proposal.id

    def comment(self, session: Session, keyring: Keyring) -> int:
        return post_comment(session, keyring, self.actor, session.get_one(Proposal, self.liked), "Ja", submission_key="9",
                            now=clock.now()).id

    def introduce(self, session: Session, keyring: Keyring) -> None:
        proposal = session.get_one(Proposal, self.proposal_id)
        proposal.is_own = True
        introduce_guest(session, keyring, self.actor, proposal, name="Rita", email="", now=clock.now())

    def attach(self, session: Session, keyring: Keyring) -> None:
        proposal = session.get_one(Proposal, self.proposal_id)
        proposal.is_own = True
        attach_to_account(session, keyring, self.account, proposal, clock.now())

    def leave(self, session: Session, keyring: Keyring, *, take_along: bool) -> None:
        delete_account(session, keyring, self.account, session.get_one(Account, self.account_id), take_along=take_along,
                       now=clock.now())

    def by_receipt(self, session: Session, contribution_id: int) -> Any:
        """As the address of the receipt finds it."""
        found = session.scalar(select(Contribution).where(
            Contribution.id == contribution_id, Contribution.claim_token_hash.is_not(None)))
        if found is None:
            raise NotFound
        found.is_own = True
        return found

    def edit(self, session: Session) -> None:
        edit_comment(session, self.actor, self.by_receipt(session, self.comment_id), "Nein, doch nicht", clock.now())

    def withdraw(self, session: Session) -> None:
        withdraw(session, self.actor, self.by_receipt(session, self.comment_id), clock.now())

    def revise(self, session: Session) -> None:
        proposal = self.by_receipt(session, self.proposal_id)
        revise_proposal(session, self.actor, proposal, ProposalDraft("Bank", "In der Sonne", theme_id=proposal.theme_id), clock.now())


@pytest.mark.parametrize("known", [True, False])
def test_a_guest_who_writes_while_a_receipt_is_attached_is_taken_over_with_it(
    committing: Database, keyring: Keyring, *, known: bool,
) -> None:
    with committing.unit_of_work() as session:
        guest = Guest(session, keyring, known=known)
    done = _meanwhile(committing, "INSERT INTO contribution ", lambda session: guest.submit(session, keyring, "2"),
                      lambda session: guest.attach(session, keyring))
    assert not [one for one in done if isinstance(one, Exception)]
    with committing.unit_of_work() as session:
        assert set(session.scalars(select(Participant.kind))) == {ParticipantKind.ACCOUNT}
        own = keyring.person_hash(guest.process_id, f"account:{guest.account_id}")
        theirs = session.scalars(select(Participant.id).where(Participant.person_hash == own)).one()
        assert set(session.scalars(select(Proposal.participant_id).where(Proposal.id != guest.liked))) == {theirs}
        assert not any(recount(session, keyring).values())


@pytest.mark.parametrize("known", [True, False])
def test_a_guest_who_writes_after_it_begins_anew(committing: Database, keyring: Keyring, *, known: bool) -> None:
    with committing.unit_of_work() as session:
        guest = Guest(session, keyring, known=known)
    before = "DELETE FROM participant" if known else "UPDATE participant "
    done = _meanwhile(committing, before, lambda session: guest.attach(session, keyring),
                      lambda session: guest.submit(session, keyring, "2"))
    with committing.unit_of_work() as session:
        late = session.get_one(Proposal, done[1])
        assert late.participant.kind is ParticipantKind.GUEST
        assert late.participant_id != session.get_one(Proposal, guest.proposal_id).participant_id
        assert not any(recount(session, keyring).values())


@pytest.mark.parametrize("known", [True, False])
def test_a_name_and_an_attached_receipt_never_wait_for_each_other(
    committing: Database, keyring: Keyring, *, known: bool,
) -> None:
    with committing.unit_of_work() as session:
        guest = Guest(session, keyring, known=known)
    named, attached = _meanwhile(committing, "SELECT participant.", lambda session: guest.introduce(session, keyring),
                                 lambda session: guest.attach(session, keyring))
    assert attached is None
    assert named is None or isinstance(named, Conflict)
    with committing.unit_of_work() as session:
        assert set(session.scalars(select(Participant.kind))) == {ParticipantKind.ACCOUNT}


@pytest.mark.parametrize("take_along", [True, False])
@pytest.mark.parametrize("act", ["edit", "withdraw", "revise"])
def test_no_receipt_changes_what_belonged_to_an_account_that_is_gone(
    committing: Database, keyring: Keyring, act: str, *, take_along: bool,
) -> None:
    with committing.unit_of_work() as session:
        guest = Guest(session, keyring, known=False)
        guest.attach(session, keyring)
    done = _meanwhile(committing, "DELETE FROM one_time_token",
                      lambda session: guest.leave(session, keyring, take_along=take_along), getattr(guest, act))
    assert isinstance(done[1], Conflict | NotFound), done
    with committing.unit_of_work() as session:
        words = {"Im Schatten", "Ja"} if not take_along else {""}
        mine = [guest.proposal_id, guest.comment_id]
        assert set(session.scalars(select(Contribution.body).where(Contribution.id.in_(mine)))) == words
        assert set(session.scalars(select(Revision.body).where(Revision.contribution_id.in_(mine)))) == words
        gone = {ContributionState.WITHDRAWN} if take_along else {ContributionState.SUBMITTED}
        assert set(session.scalars(select(Contribution.state).where(Contribution.id.in_(mine)))) == gone
        assert not any(recount(session, keyring).values())


@pytest.mark.parametrize("path", ["unterstuetzen", "kommentare"])
def test_the_answer_says_so(session: Session, browser: Browser, path: str) -> None:
    """Who was signed in is read at the begin of a request."""
    process = factories.process(session)
    page, account = f"/verfahren/{process.slug}/vorschlaege/{factories.proposal(session, process).id}", factories.account(session)
    browser.sign_in(account)
    session.execute(update(Account).where(Account.id == account.id).values(deleted_at=clock.now()))
    session.commit()
    answer = browser.post(f"{page}/{path}", {"body": "Mein langer Kommentar", "submission_key": "1"})
    assert answer.status_code == 401
    text_of_page = answer.get_data(as_text=True)
    assert "Ihr Konto gibt es nicht mehr" in text_of_page
    assert "Mit einem anderen Konto" in text_of_page
    assert account.display_name not in text_of_page
    assert path == "unterstuetzen" or "Mein langer Kommentar" in text_of_page
    for model in (Vote, Comment):
        assert session.scalar(select(func.count()).select_from(model)) == 0


def test_a_vote_leaves_no_mark_at_the_account(session: Session, keyring: Keyring) -> None:
    """The number of a transaction at the account would stand at the vote too."""
    if session.get_bind().dialect.name == "sqlite":
        return
    process, account = factories.process(session), factories.account(session)
    proposal = factories.proposal(session, process)
    session.flush()
    marks = text("SELECT xmax::text FROM account WHERE id = :id")
    before = session.scalar(marks, {"id": account.id})
    support(session, keyring, factories.actor(account), proposal, clock.now())
    assert session.scalar(marks, {"id": account.id}) == before
