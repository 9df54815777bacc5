"""Writing a proposal together: invited, agreed, changed by both, and kept when the first author leaves."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from lxml import html
from sqlalchemy import func, select, update

from participation import clock
from participation.contributions import operations as contributions
from participation.contributions.coauthors import operations
from participation.contributions.coauthors.models import Invitation
from participation.contributions.models import CoAuthor, Revision
from participation.contributions.personal.operations import delete_account
from participation.contributions.proposals.models import Proposal
from participation.errors import Conflict, NotAllowed
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.accounts.models import Account
    from participation.tokens import Keyring
    from tests.browser_client import Browser


@pytest.fixture
def author(session: Session) -> Account:
    return factories.account(session, display_name="Anna")


@pytest.fixture
def friend(session: Session) -> Account:
    return factories.account(session, display_name="Bert", email="bert@beispiel.example")


@pytest.fixture
def proposal(session: Session, keyring: Keyring, author: Account) -> Proposal:
    process = factories.process(session)
    participant = factories.participant(
        session, process, pseudonym="Anna", person_hash=keyring.person_hash(process.id, f"account:{author.id}"))
    found = factories.proposal(session, process, title="Bänke am Fluss", participant=participant)
    session.commit()
    return found


def _page(proposal: Proposal) -> str:
    return f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"


def _join(session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account) -> None:
    proposal.is_own = True
    token = operations.invite(session, keyring, factories.actor(author), proposal, clock.now())
    invitation = operations.invitation_of(session, token, clock.now())
    operations.accept(session, keyring, factories.actor(friend), invitation, clock.now())
    session.commit()


def test_invited_by_link_agreed_by_button_and_both_change_the_text(
    session: Session, proposal: Proposal, author: Account, friend: Account, new_browser: Callable[[], Browser],
) -> None:
    anna, bert, stranger = new_browser().sign_in(author), new_browser().sign_in(friend), new_browser()
    page = _page(proposal)
    assert bert.get(f"{page}/bearbeiten").status_code == 404
    shown = anna.submit(f"{page}/mitschreibende", form=-1).get_data(as_text=True)
    link = re.findall(r"http://localhost(/mitschreiben/[\w-]+)", shown)[0]
    assert "Anmelden" in stranger.text(link)
    assert stranger.post(link).status_code in {302, 303, 401}
    assert session.scalar(select(func.count()).select_from(CoAuthor)) == 0, "looking accepts nothing"
    bert.submit(link, form=-1)
    assert "Anna mit Bert" in stranger.text(page)
    bert.submit(f"{page}/bearbeiten", {"body": "Drei Bänke, und Schatten."}, form=-1)
    session.expire_all()
    text = session.get_one(Proposal, proposal.id)
    assert "Schatten" in (text.body if text.pending_revision is None else text.revisions[-1].body)
    for values in ({}, {"confirmed": "yes"}):
        assert bert.post(f"{page}/zurueckziehen", values).status_code in {403, 404}
    assert "Das schreiben Sie mit" in bert.text("/konto/beitraege")
    assert stranger.get(link).status_code == 410, "an invitation is for one"
    assert new_browser().sign_in(factories.account(session)).get(f"{page}/mitschreibende").status_code == 404


def test_an_invitation_by_mail_repeats_no_word_of_the_author(
    session: Session, proposal: Proposal, author: Account, new_browser: Callable[[], Browser],
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    anna, page = new_browser().sign_in(author), f"{_page(proposal)}/mitschreibende"
    refused = anna.submit(page, {"email": "keine"}, form=-1)
    assert refused.status_code == 422
    assert "keine E-Mail-Adresse" in refused.get_data(as_text=True)
    anna.submit(page, {"email": "bert@beispiel.example"}, form=-1)
    run_jobs()
    (text,) = mails()
    assert "To: bert@beispiel.example" in text
    assert "/mitschreiben/" in text
    assert "Bänke" not in text
    assert session.scalar(select(func.count()).select_from(Invitation)) == 1


def test_only_the_author_invites_and_ends_and_anybody_may_leave(
    session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account,
    new_browser: Callable[[], Browser],
) -> None:
    _join(session, keyring, proposal, author, friend)
    bert, page = new_browser().sign_in(friend), f"{_page(proposal)}/mitschreibende"
    assert bert.post(page).status_code == 403
    row = session.scalars(select(CoAuthor)).one()
    assert bert.post(f"{page}/{row.participant_id}/beenden").status_code == 403
    bert.submit(page, form="/verlassen")
    assert session.scalar(select(func.count()).select_from(CoAuthor)) == 0
    assert bert.get(f"{_page(proposal)}/bearbeiten").status_code == 404
    assert " mit Bert" not in new_browser().text(_page(proposal))
    _join(session, keyring, proposal, author, friend)
    new_browser().sign_in(author).submit(page, form="/beenden")
    assert session.scalar(select(func.count()).select_from(CoAuthor)) == 0


def test_invitations_expire_are_counted_and_never_for_oneself(
    session: Session, keyring: Keyring, proposal: Proposal, author: Account,
) -> None:
    proposal.is_own = True
    actor, now = factories.actor(author), clock.now()
    token = operations.invite(session, keyring, actor, proposal, now)
    with pytest.raises(Conflict):
        operations.accept(session, keyring, actor, operations.invitation_of(session, token, now), now)
    session.execute(update(Invitation).values(expires_at=now - timedelta(seconds=1)))
    operations.forget_expired(session, now)
    assert session.scalar(select(func.count()).select_from(Invitation)) == 0
    for _number in range(operations.OPEN_MAX):
        operations.invite(session, keyring, actor, proposal, now)
    with pytest.raises(Conflict):
        operations.invite(session, keyring, actor, proposal, now)
    proposal.is_own = False
    with pytest.raises(NotAllowed):
        operations.invite(session, keyring, actor, proposal, now)


@pytest.mark.parametrize("take_along", [True, False])
def test_when_the_first_author_leaves_the_text_belongs_to_the_next(
    app: Beteiligung, session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account,
    take_along: bool, new_browser: Callable[[], Browser],  # noqa: FBT001
) -> None:
    _join(session, keyring, proposal, author, friend)
    with app.app_context():
        delete_account(session, keyring, factories.actor(author), author, take_along=take_along, now=clock.now())
    session.commit()
    session.expire_all()
    kept = session.get_one(Proposal, proposal.id)
    assert kept.is_published
    assert (kept.participant.pseudonym, kept.co_author_count) == ("Bert", 0)
    assert kept.body
    assert new_browser().sign_in(friend).get(f"{_page(kept)}/beleg").status_code == 200


def test_a_reader_of_a_shared_text_costs_one_question_more_and_of_another_none(
    session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account,
    new_browser: Callable[[], Browser], count_queries: Callable[..., object],
) -> None:
    reader = new_browser().sign_in(factories.account(session))
    session.commit()
    counts = []
    for number in range(2):
        reader.open(_page(proposal))
        with count_queries() as statements:  # type: ignore[attr-defined]
            reader.open(_page(proposal))
        counts.append(len([one for one in statements if "co_author " in one]))
        if number == 0:
            _join(session, keyring, proposal, author, friend)
    assert counts[0] == 0
    assert counts[1] <= 2


def test_a_link_opens_nothing_once_it_was_used_revoked_or_the_text_is_gone(
    session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account,
    new_browser: Callable[[], Browser],
) -> None:
    actor, now = factories.actor(author), clock.now()
    proposal.is_own = True
    first, second = (operations.invite(session, keyring, actor, proposal, now) for _ in range(2))
    session.commit()
    bert, other = new_browser().sign_in(friend), new_browser().sign_in(factories.account(session))
    session.commit()
    bert.submit(f"/mitschreiben/{first}", form=-1)
    assert other.get(f"/mitschreiben/{first}").status_code == 410
    again = bert.post(f"/mitschreiben/{second}", follow_redirects=True)
    assert "schreiben hier schon mit" in again.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Invitation)) == 1, "who is in leaves it to somebody else"
    page = f"{_page(proposal)}/mitschreibende"
    assert bert.post(f"{page}/einladungen-widerrufen").status_code == 403
    new_browser().sign_in(author).submit(page, form="/einladungen-widerrufen")
    assert other.get(f"/mitschreiben/{second}").status_code == 410
    session.expire_all()
    proposal.is_own = True
    third = operations.invite(session, keyring, actor, proposal, now)
    contributions.withdraw(session, actor, proposal, now)
    session.commit()
    assert other.get(f"/mitschreiben/{third}").status_code == 410, "a withdrawn text is shown to nobody"
    assert other.post(f"/mitschreiben/{third}").status_code == 410
    with pytest.raises(Conflict):
        operations.invite(session, keyring, actor, proposal, now)


def test_the_invitations_of_somebody_who_left_for_good_are_void(
    session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account,
) -> None:
    _join(session, keyring, proposal, author, friend)
    proposal.is_own = True
    operations.invite(session, keyring, factories.actor(author), proposal, clock.now())
    operations.pass_on(session, [proposal.participant_id])
    assert session.scalar(select(func.count()).select_from(Invitation)) == 0


def test_the_open_form_of_somebody_who_writes_along_no_more_changes_nothing(
    session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account,
    new_browser: Callable[[], Browser],
) -> None:
    _join(session, keyring, proposal, author, friend)
    bert = new_browser().sign_in(friend)
    assert bert.get(f"{_page(proposal)}/bearbeiten").status_code == 200
    operations.remove(session, factories.actor(author), proposal, session.scalars(select(CoAuthor)).one().participant_id,
                      clock.now())
    session.commit()
    before = proposal.body
    answer = bert.post(f"{_page(proposal)}/bearbeiten", {"title": proposal.title, "body": "Mein langer neuer Text."})
    assert answer.status_code == 404
    assert "Mein langer neuer Text." in answer.get_data(as_text=True), "what was written is not lost"
    session.expire_all()
    assert session.get_one(Proposal, proposal.id).body == before


def test_whoever_of_two_is_later_gets_the_form_back_beside_the_new_text(
    session: Session, keyring: Keyring, proposal: Proposal, author: Account, friend: Account,
    new_browser: Callable[[], Browser],
) -> None:
    _join(session, keyring, proposal, author, friend)
    anna, bert = new_browser().sign_in(author), new_browser().sign_in(friend)
    page = f"{_page(proposal)}/bearbeiten"
    open_form = dict(bert.open(page).forms[-1].form_values())
    anna.submit(page, {"body": "Annas neuer Text."}, form=-1)
    late = bert.post(page, open_form | {"body": "Berts neuer Text."})
    assert late.status_code == 409
    tree = html.fromstring(late.get_data(as_text=True))
    assert "Annas neuer Text." in tree.get_element_by_id("neue-fassung").text_content()
    form = tree.forms[-1]
    assert form.fields["body"].strip() == "Berts neuer Text."
    # Having read the other one, they save what they make of both.
    both = dict(form.form_values()) | {"body": "Annas und Berts Text."}
    assert bert.post(page, both).status_code == 303
    session.expire_all()
    newest = session.scalars(select(Revision.body).where(Revision.contribution_id == proposal.id)
                             .order_by(Revision.number)).all()
    assert newest[-2:] == ["Annas neuer Text.", "Annas und Berts Text."]
