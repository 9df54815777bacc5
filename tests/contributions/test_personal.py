"""What belongs to one person: attaching what a guest wrote, taking it along, leaving, and reading all of it."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from sqlalchemy import func, select

from participation import clock
from participation.accounts.models import (
    Account,
    OneTimeToken,
    Participant,
    ParticipantKind,
    SignInSession,
    TokenPurpose,
)
from participation.accounts.operations.links import issue_token
from participation.contributions import operations as contributions
from participation.contributions.ballots.models import BallotTally
from participation.contributions.ballots.operations import cast, recount as recount_ballots
from participation.contributions.models import Contribution, ContributionState, Revision, Voter
from participation.contributions.personal.operations import attach_to_account, delete_account
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.counting import recount
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import support
from participation.errors import Conflict, NotAllowed, SignInNeeded
from participation.formats import BallotRule, VoteSettings
from participation.permissions import Role
from participation.uploads import Upload
from tests import factories
from tests.accounts.test_own_account import link_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from participation.tokens import Keyring
    from tests.browser_client import Browser

PASSWORD = "drei lose Wörter im Wind"


@pytest.fixture
def process(session: Session) -> Process:
    found = factories.process(session)
    session.commit()
    return found


def submit(browser: Browser, process: Process, title: str, **values: Any) -> str:
    """Hand in a proposal; returns the path of its receipt."""
    fields = {"title": title, "body": "Im Schatten.", "theme_id": str(process.themes[0].id), **values}
    answer = browser.submit(f"/verfahren/{process.slug}/vorschlaege/neu", fields, form=-1)
    assert answer.status_code == 200
    return answer.request.path


def member(session: Session, keyring: Keyring, account: Account, process: Process) -> Participant:
    """The account as a participant."""
    return contributions.ensure_participant(
        session, keyring, process.id, f"account:{account.id}", kind=ParticipantKind.ACCOUNT,
        pseudonym=account.display_name, now=clock.now(), contact=f"account:{account.id}",
    )


def guest(session: Session, process: Process) -> Participant:
    process.participant_count += 1
    return factories.participant(session, process, kind=ParticipantKind.GUEST, pseudonym="Gast")


def vote(session: Session, keyring: Keyring, who: Participant, proposal: Proposal) -> None:
    factories.vote(session, proposal, keyring.voter_number(who.person_hash))
    session.refresh(proposal)
    proposal.support_count += 1
    session.flush()


def test_what_a_guest_handed_in_goes_to_the_account_by_the_receipt(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process
) -> None:
    receipt = submit(browser, process, "Eine Bank am Markt")
    submit(browser, process, "Ein Baum am Markt")
    assert "Konto anlegen" in browser.text(receipt)
    account = factories.account(session)
    session.commit()
    assert browser.get(f"{receipt}/zuordnen").headers["Location"] == receipt
    home = new_browser().sign_in(account)
    assert "Noch nichts geschrieben" in home.text("/konto/beitraege")
    answer = home.submit(receipt, form="zuordnen")
    assert "gehört jetzt zu Ihrem Konto" in answer.get_data(as_text=True)
    page = home.text("/konto/beitraege")
    assert "Eine Bank am Markt" in page
    assert "Ein Baum am Markt" in page
    assert "zuordnen" not in home.text(receipt)
    session.expire_all()
    assert [one.kind for one in session.scalars(select(Participant))] == [ParticipantKind.ACCOUNT]
    stranger = new_browser().sign_in(factories.account(session))
    session.commit()
    stranger.post(f"{receipt}/zuordnen")
    assert "Noch nichts geschrieben" in stranger.text("/konto/beitraege")


def test_merging_keeps_every_vote_once_and_every_counter_right(
    session: Session, keyring: Keyring, process: Process
) -> None:
    account = factories.account(session)
    mine, theirs = member(session, keyring, account, process), guest(session, process)
    session.refresh(process)
    both, one = factories.proposal(session, process), factories.proposal(session, process)
    written = factories.proposal(session, process, participant=theirs)
    answer = factories.comment(session, both, participant=theirs)
    process.participant_count = session.scalar(
        select(func.count()).select_from(Participant).where(Participant.process_id == process.id)) or 0
    for who, what in ((mine, both), (theirs, both), (theirs, one)):
        vote(session, keyring, who, what)
    session.flush()
    source = theirs.id
    written.is_own = True
    attach_to_account(session, keyring, factories.actor(account), written, clock.now())
    session.flush()
    assert session.get(Participant, source) is None
    assert {row.voter_id for row in session.scalars(select(Vote))} == {keyring.voter_number(mine.person_hash)}
    assert session.scalar(select(func.count()).select_from(Vote)) == 2
    for row in (both, one, written, answer):
        session.refresh(row)
    assert (both.support_count, one.support_count) == (1, 1)
    assert written.participant_id == answer.participant_id == mine.id
    assert set(recount(session, keyring).values()) == {0}


def test_of_two_accounts_the_first_gets_it_and_nobody_without_the_receipt(
    session: Session, keyring: Keyring, process: Process
) -> None:
    proposal = factories.proposal(session, process, participant=guest(session, process))
    first, second = factories.account(session), factories.account(session)
    with pytest.raises(NotAllowed):
        attach_to_account(session, keyring, factories.actor(first), proposal, clock.now())
    proposal.is_own = True
    unconfirmed = factories.account(session, email_confirmed_at=None)
    with pytest.raises(NotAllowed, match="E-Mail-Adresse"):
        attach_to_account(session, keyring, factories.actor(unconfirmed), proposal, clock.now())
    attach_to_account(session, keyring, factories.actor(first), proposal, clock.now())
    with pytest.raises(Conflict):
        attach_to_account(session, keyring, factories.actor(second), proposal, clock.now())


def test_registering_from_the_receipt_leads_back_to_it(
    session: Session, browser: Browser, process: Process, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    receipt = submit(browser, process, "Eine Bank")
    register = browser.open(receipt).xpath("//a[contains(@href, '/konto/registrieren')]/@href")[0]
    browser.submit(register, {"email": "neu@beispiel.example", "display_name": "Neu", "password": PASSWORD})
    run_jobs()
    link = link_in(next(mail for mail in mails() if "neu@" in mail))
    answer = browser.submit(link, {"password": PASSWORD})
    assert answer.request.path == receipt
    assert "gehört jetzt" in browser.submit(receipt, form="zuordnen").get_data(as_text=True)


def test_a_new_name_can_hold_for_what_was_written_before(
    session: Session, browser: Browser, keyring: Keyring, process: Process
) -> None:
    account = factories.account(session, display_name="Früher")
    proposal = factories.proposal(session, process, participant=member(session, keyring, account, process))
    session.commit()
    version = process.municipality.content_version
    browser.sign_in(account)
    browser.submit("/konto", {"display_name": "Heute"}, form="name")
    address = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    assert "Früher" in browser.text(address)
    browser.submit("/konto", {"display_name": "Morgen", "everywhere": "y"}, form="name")
    assert "Morgen" in browser.text(address)
    session.refresh(process.municipality)
    assert process.municipality.content_version > version


@pytest.fixture
def busy(session: Session, keyring: Keyring, process: Process) -> tuple[Account, Proposal, Proposal]:
    """Somebody with a proposal, a comment and a vote; and a proposal of somebody else."""
    account = factories.account(session, display_name="Die Leserin")
    who = member(session, keyring, account, process)
    session.refresh(process)
    own = factories.proposal(session, process, participant=who, title="Meine Bank", body="Mein Text",
                             claim_token_hash="c" * 64)
    other = factories.proposal(session, process, title="Fremder Baum", body="Fremder Text")
    factories.comment(session, other, participant=who, body="Meine Antwort")
    factories.comment(session, own, body="Fremde Antwort")
    support(session, keyring, factories.actor(account), other, clock.now())
    process.participant_count = contributions.count_people(session, keyring, process.id)
    session.commit()
    return account, own, other


@pytest.mark.parametrize("choice", ["keep", "take"])
def test_leaving_takes_everything_personal_and_the_votes_of_what_still_runs(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], busy: tuple[Account, Proposal, Proposal],
    process: Process, keyring: Keyring, choice: str, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    account, own, other = busy
    number, email = account.id, account.email
    issue_token(session, number, TokenPurpose.RESET_PASSWORD, clock.now())
    session.commit()
    elsewhere = new_browser().sign_in(account)
    browser.sign_in(account)
    assert browser.submit("/konto/loeschen", form=-1).status_code == 422
    answer = browser.submit("/konto/loeschen", {"contributions": choice}, form=-1)
    assert "Ihr Konto ist gelöscht" in answer.get_data(as_text=True)
    assert browser.get("/konto").status_code == elsewhere.get("/konto").status_code == 302
    session.expire_all()
    left = session.get_one(Account, number)
    assert left.is_disabled
    assert email not in left.email
    for model in (SignInSession, OneTimeToken):
        assert session.scalars(select(model).where(model.account_id == number)).all() == []
    assert contributions.find_participant(session, keyring, process.id, f"account:{number}") is None
    assert session.get_one(Participant, own.participant_id).contact_sealed is None
    assert other.support_count == 0
    assert session.scalar(select(func.count()).select_from(Voter)) == 0
    assert own.claim_token_hash is None
    address = f"/verfahren/{process.slug}/vorschlaege/{own.id}"
    if choice == "keep":
        page = browser.text(address)
        assert "Meine Bank" in page
        assert "Gelöschtes Konto" in page
        assert "Die Leserin" not in page
    else:
        assert browser.get(address).status_code == 404
        texts = [*session.scalars(select(Contribution.body).where(Contribution.participant_id == own.participant_id)),
                 *session.scalars(select(Revision.body).where(Revision.contribution_id == own.id))]
        assert set(texts) == {""}
        assert "Meine Antwort" not in browser.text(f"/verfahren/{process.slug}/vorschlaege/{other.id}")
    assert set(recount(session, keyring).values()) == {0}
    run_jobs()
    assert [mail for mail in mails() if f"To: {email}" in mail and "Konto ist gelöscht" in mail]


def test_who_was_signed_in_a_moment_ago_casts_no_vote_that_outlives_the_account(
    session: Session, keyring: Keyring, process: Process,
) -> None:
    """A vote sent along with the deletion would count, and a new account could give it once more."""
    liked, account = factories.proposal(session, process), factories.account(session)
    phase = factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS))
    process.phases.append(phase)
    session.flush()
    actor = factories.actor(account)
    support(session, keyring, actor, liked, clock.now())
    delete_account(session, keyring, actor, account, take_along=False, now=clock.now())
    for act in (
        lambda: support(session, keyring, actor, liked, clock.now()),
        lambda: cast(session, keyring, actor, phase, {liked.id: 1}, clock.now()),
    ):
        with session.begin_nested() as step:
            with pytest.raises(SignInNeeded):
                act()
            step.rollback()
    session.refresh(liked)
    assert liked.support_count == 0
    assert session.scalars(select(Voter.id)).all() == []


def test_whoever_leaves_and_comes_back_has_one_vote_where_it_still_counts(
    session: Session, keyring: Keyring, process: Process,
) -> None:
    """Supports, comments' supports and ballots; with and without anything written."""
    voting = factories.phase("vote", opens=-2, closes=5, settings=VoteSettings(ballot=BallotRule.POINTS))
    process.phases.append(voting)
    session.flush()
    proposal = factories.proposal(session, process)
    comment, now = factories.comment(session, proposal), clock.now()
    recount(session, keyring)
    for writes in (True, False):
        for _time in range(2):
            account = factories.account(session)
            actor = factories.actor(account)
            if writes:
                member(session, keyring, account, process)
            assert support(session, keyring, actor, proposal, now)
            assert support(session, keyring, actor, comment, now)
            cast(session, keyring, actor, voting, {proposal.id: 2}, now)
            session.expire_all()
            assert (proposal.support_count, comment.support_count) == (1, 1)
            assert session.scalars(select(BallotTally.total)).all() == [2]
            delete_account(session, keyring, actor, account, take_along=False, now=now)
    session.expire_all()
    assert (proposal.support_count, comment.support_count) == (0, 0)
    assert not any((recount(session, keyring) | recount_ballots(session)).values())


def test_votes_of_what_is_over_stay_counted_of_nobody(session: Session, keyring: Keyring) -> None:
    now = clock.now()
    process = factories.process(session, phases=[
        factories.phase("collect"), factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS))])
    proposal = factories.proposal(session, process)
    process.participant_count = 1
    for writes in (True, False):
        account = factories.account(session)
        actor = factories.actor(account)
        if writes:
            member(session, keyring, account, process)
        support(session, keyring, actor, proposal, now)
        cast(session, keyring, actor, process.phases[1], {proposal.id: 2}, now)
        before = set(session.scalars(select(Voter.id)))
        delete_account(session, keyring, actor, account, take_along=False, now=now + timedelta(days=40))
        assert keyring.voter_of(process.id, f"account:{account.id}") in before
        assert keyring.voter_of(process.id, f"account:{account.id}") not in set(session.scalars(select(Voter.id)))
    session.expire_all()
    assert (proposal.support_count, process.participant_count) == (2, 3)
    assert session.scalars(select(BallotTally.total)).all() == [4]
    assert not any((recount(session, keyring) | recount_ballots(session)).values())


def test_a_voter_who_hands_something_in_as_a_guest_stays_one_person(
    session: Session, keyring: Keyring, process: Process,
) -> None:
    account = factories.account(session)
    liked = factories.proposal(session, process)
    recount(session, keyring)
    support(session, keyring, factories.actor(account), liked, clock.now())
    theirs = guest(session, process)
    written = factories.proposal(session, process, participant=theirs)
    session.refresh(process)
    assert process.participant_count == 2
    process.participant_count += 1
    written.is_own = True
    attach_to_account(session, keyring, factories.actor(account), written, clock.now())
    session.flush()
    session.expire_all()
    assert process.participant_count == 2
    assert liked.support_count == 1
    assert not any(recount(session, keyring).values())


def test_a_picture_goes_with_its_author(
    session: Session, browser: Browser, process: Process, app: Any, keyring: Keyring
) -> None:
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    buffer = io.BytesIO()
    Image.new("RGB", (90, 70), "#336699").save(buffer, "PNG")
    buffer.seek(0)
    submit(browser, process, "Mit Bild", picture=(buffer, "bild.png"))
    upload = session.scalars(select(Upload)).one()
    folder = app.extensions["platform"].settings.upload_dir
    assert list(folder.glob(f"*/{upload.name}*"))
    browser.submit("/konto/loeschen", {"contributions": "take"}, form=-1)
    assert session.scalar(select(func.count()).select_from(Upload)) == 0
    assert list(folder.glob(f"*/{upload.name}*")) == []


def test_the_last_administration_stays(session: Session, keyring: Keyring, process: Process) -> None:
    town = process.municipality
    admin = factories.account(session, Role.ADMIN, town=town)
    with pytest.raises(Conflict, match="letzte Administration"):
        delete_account(session, keyring, factories.actor(admin), admin, take_along=False, now=clock.now())
    factories.account(session, Role.ADMIN, town=town)
    delete_account(session, keyring, factories.actor(admin), admin, take_along=False, now=clock.now())
    assert admin.deleted_at is not None


def test_the_download_has_all_of_ones_own_and_nothing_of_others(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], busy: tuple[Account, Proposal, Proposal],
    process: Process, keyring: Keyring,
) -> None:
    account, _own, other = busy
    second = factories.process(session)
    factories.proposal(session, second, participant=member(session, keyring, account, second),
                       state=ContributionState.SUBMITTED, title="Anderswo")
    session.commit()
    assert new_browser().get("/konto/meine-daten.json").status_code == 302
    browser.sign_in(account)
    answer = browser.get("/konto/meine-daten.json")
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.headers["Cache-Control"] == "no-store"
    data = json.loads(answer.get_data(as_text=True))
    assert data["konto"]["e_mail"] == account.email
    assert len(data["anmeldungen"]) == 1
    first, elsewhere = data["teilnahmen"]
    assert [one["titel"] for one in first["vorschlaege"]] == ["Meine Bank"]
    assert [one["text"] for one in first["kommentare"]] == ["Meine Antwort"]
    assert [one["beitrag"] for one in first["unterstuetzungen"]] == [other.id]
    assert [one["titel"] for one in elsewhere["vorschlaege"]] == ["Anderswo"]
    raw = answer.get_data(as_text=True)
    assert "Fremde" not in raw.replace("Fremder Baum", "")
    assert not re.search(r"[0-9a-f]{64}", raw), "neither hashes nor tokens"
    browser.post("/konto/abmelden")
    assert browser.get("/konto/meine-daten.json").status_code == 302


def test_own_contributions_are_read_page_by_page_in_few_queries(
    session: Session, browser: Browser, keyring: Keyring, process: Process, count_queries: Any
) -> None:
    account = factories.account(session)
    who = member(session, keyring, account, process)
    for number in range(25):
        factories.proposal(session, process, participant=who, title=f"Idee {number:02d}")
    session.commit()
    browser.sign_in(account)
    with count_queries() as statements:
        first = browser.open("/konto/beitraege")
    # One of them for drafts.
    assert len(statements) <= 9
    assert "Idee 24" in first.text_content()
    assert "Idee 04" not in first.text_content()
    second = browser.text(first.xpath("//a[@rel='next']/@href")[0])
    assert "Idee 04" in second
    assert "Idee 00" in second


@pytest.mark.parametrize("reason", [None, "done"])
def test_a_comment_below_a_withdrawn_proposal_says_so_and_can_be_taken_back(
    session: Session, keyring: Keyring, browser: Browser, new_browser: Callable[[], Browser], process: Process,
    reason: str | None,
) -> None:
    account = factories.account(session)
    proposal = factories.proposal(session, process, title="Der Brunnen")
    comment = factories.comment(session, proposal, participant=member(session, keyring, account, process))
    proposal.state, proposal.withdrawal_reason, proposal.decided_at = ContributionState.WITHDRAWN, reason, clock.now()
    session.commit()
    home, stranger = browser.sign_in(account), new_browser().sign_in(factories.account(session))
    session.commit()
    (card,) = home.open("/konto/beitraege").find_class("bp-contribution")
    assert "Der Vorschlag wurde zurückgezogen." in card.getparent().text_content()
    assert "Veröffentlicht" not in card.text_content()
    assert ("Der Brunnen" in card.text_content()) is bool(reason)
    assert [home.get(link).status_code for link in card.xpath(".//a/@href")] == ([410] if reason else [])
    address = f"/konto/beitraege/{comment.id}/zurueckziehen"
    assert stranger.post(address).status_code == 404
    home.submit("/konto/beitraege", form=address)
    session.expire_all()
    assert session.get_one(Contribution, comment.id).state is ContributionState.WITHDRAWN
    assert address not in home.open("/konto/beitraege").xpath("//form/@action")


def test_the_download_names_what_one_voted_for_at_the_same_cost_for_one_and_for_many(
    session: Session, keyring: Keyring, browser: Browser, process: Process, count_queries: Callable[..., Any],
) -> None:
    phase = factories.phase("vote", title="Was zuerst?", settings=VoteSettings(ballot=BallotRule.POINTS))
    process.phases.append(phase)
    account, wanted = factories.account(session), [factories.proposal(session, process) for _number in range(3)]
    session.flush()
    browser.sign_in(account)
    costs = []
    for given in ({wanted[0].id: 2}, {one.id: 1 for one in wanted}):
        cast(session, keyring, factories.actor(account), phase, given, clock.now())
        session.commit()
        with count_queries() as statements:
            found = json.loads(browser.get("/konto/meine-daten.json").get_data(as_text=True))
        costs.append(len(statements))
    (mine,) = found["teilnahmen"]
    assert {(one["phase_titel"], one["titel"]) for one in mine["stimmzettel"]} == {
        ("Was zuerst?", one.title) for one in wanted}
    assert costs[0] == costs[1]


def test_taking_a_proposal_back_with_a_reason_says_what_stays(
    session: Session, keyring: Keyring, browser: Browser, process: Process,
) -> None:
    account = factories.account(session)
    proposal = factories.proposal(session, process, participant=member(session, keyring, account, process))
    session.commit()
    browser.sign_in(account)
    answer = browser.post(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}/zurueckziehen",
                          {"confirmed": "yes", "reason": "done"}, follow_redirects=True)
    said = answer.get_data(as_text=True)
    assert "nur noch der Titel und Ihr Grund" in said
    assert "Niemand liest ihn mehr" not in said
