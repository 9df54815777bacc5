"""Commenting without an account, where the phase allows it: checked first, found again in the same browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from moderation.models import Case
from participation import clock
from participation.accounts.models import ParticipantKind
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.models import ContributionState
from participation.formats import CollectSettings, Moderation, Verification
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from tests.browser_client import Browser


def _proposal(session: Session, **settings: Any) -> Proposal:
    chosen = CollectSettings(**{"guest_comments": True, "moderation": Moderation.AFTER, **settings})
    process = factories.process(session, phases=[factories.phase("collect", settings=chosen)])
    found = factories.proposal(session, process)
    session.commit()
    return found


def _page(proposal: Proposal) -> str:
    return f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"


def test_a_guest_comments_changes_and_withdraws_in_the_same_browser(
    session: Session, browser: Browser, new_browser: Callable[[], Browser],
) -> None:
    proposal = _proposal(session)
    page = _page(proposal)
    shown = browser.open(page)
    link = shown.xpath("//a[contains(., 'Kommentar schreiben')]/@href")[0]
    assert not browser.client.get_cookie("session"), "reading sets no cookie"
    answer = browser.submit(link, {"body": "Gute Idee, aber bitte mit Lehne.", "pseudonym": "Nachbarin"}, form=-1)
    assert "Ihr Beleg" in answer.get_data(as_text=True)
    comment = session.scalars(select(Comment)).one()
    assert comment.state is ContributionState.SUBMITTED, "checked first, though the phase checks afterwards"
    assert (comment.participant.kind, comment.participant.pseudonym) == (ParticipantKind.GUEST, "Nachbarin")
    assert session.scalar(select(func.count()).select_from(Case)) == 1
    stranger = new_browser()
    assert "mit Lehne" not in stranger.text(page)
    edit = f"{page}/kommentare/{comment.id}/bearbeiten"
    assert stranger.get(edit).status_code in {401, 403, 404, 302}
    browser.submit(edit, {"body": "Gute Idee, bitte mit hoher Lehne."}, form="bearbeiten")
    contributions.publish(session, comment, clock.now())
    session.commit()
    assert "mit hoher Lehne" in stranger.text(page)
    own = browser.open(page)
    assert own.xpath("//a[contains(., 'Ändern oder zurückziehen')]")
    assert not stranger.open(page).xpath("//a[contains(., 'Ändern oder zurückziehen')]")
    again = browser.submit(link, {"body": "Noch etwas."}, form=-1)
    assert again.status_code == 200
    assert {one.participant.pseudonym for one in session.scalars(select(Comment))} == {"Nachbarin"}
    browser.post(f"{page}/kommentare/{comment.id}/zurueckziehen")
    assert "mit hoher Lehne" not in new_browser().text(page)


@pytest.mark.parametrize("settings", [{"guest_comments": False}, {"comment_verification": Verification.LETTER}])
def test_where_the_phase_does_not_allow_it_an_account_is_needed(
    session: Session, browser: Browser, settings: dict[str, Any],
) -> None:
    proposal = _proposal(session, **settings)
    assert "Anmelden und kommentieren" in browser.text(_page(proposal))
    assert browser.post(f"{_page(proposal)}/kommentare", {"body": "Ohne Konto"}).status_code in {302, 303, 401}
    assert session.scalar(select(func.count()).select_from(Comment)) == 0


def test_a_wrong_address_is_named_beside_its_field_and_the_text_stays(session: Session, browser: Browser) -> None:
    proposal = _proposal(session)
    answer = browser.submit(f"{_page(proposal)}/kommentare", {"body": "Bleibt stehen.", "email": "keine"}, form=-1)
    assert answer.status_code == 422
    text = answer.get_data(as_text=True)
    assert "Das ist keine E-Mail-Adresse" in text
    assert "Bleibt stehen." in text
    assert session.scalar(select(func.count()).select_from(Comment)) == 0


def test_the_decision_reaches_a_guest_who_left_an_address(
    session: Session, browser: Browser, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    proposal = _proposal(session)
    browser.submit(f"{_page(proposal)}/kommentare", {"body": "Mit Adresse.", "email": "gast@beispiel.example"}, form=-1)
    case = session.scalars(select(Case)).one()
    moderator = factories.account(session, factories.Role.MODERATOR, town=proposal.process.municipality)
    from moderation.models import Outcome
    from moderation.operations import decide

    decide(session, factories.actor(moderator), case, outcome=Outcome.APPROVE, rule_key="", statement="",
           revision_seen=1, now=clock.now())
    session.commit()
    run_jobs()
    (text,) = mails()
    assert "To: gast@beispiel.example" in text
    assert _page(proposal) in text


@pytest.mark.parametrize("name", ["Moderation", "Stadtverw\u0430ltung"])
def test_a_guest_is_not_taken_for_the_town_hall(session: Session, browser: Browser, name: str) -> None:
    process = factories.process(session, phases=[factories.phase("collect", settings=CollectSettings(guest_comments=True))])
    proposal = factories.proposal(session, process)
    session.commit()
    answer = browser.post(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}/kommentare",
                          {"body": "Der Vorschlag ist erledigt.", "pseudonym": name})
    assert answer.status_code == 422
    assert "klingt nach Verwaltung" in answer.get_data(as_text=True)
    assert "Der Vorschlag ist erledigt." in answer.get_data(as_text=True)


def test_the_receipt_finds_a_comment_again_at_another_device_and_changes_it_there(
    session: Session, browser: Browser, new_browser: Callable[[], Browser],
) -> None:
    proposal = _proposal(session)
    answer = browser.submit(f"{_page(proposal)}/kommentare", {"body": "Mit Lehne."}, form=-1)
    path = answer.request.path
    comment = session.scalars(select(Comment)).one()
    assert comment.receipt_number in answer.get_data(as_text=True)
    other = new_browser()
    assert "Mit Lehne." in other.text(path)
    by_number = other.submit("/beleg", {"number": comment.receipt_number}).get_data(as_text=True)
    assert "Wird geprüft" in by_number
    assert "Mit Lehne" not in by_number
    edit = other.open(path).xpath("//a[contains(., 'Kommentar ändern')]/@href")[0]
    assert other.submit(edit, {"body": "Mit hoher Lehne."}, form="bearbeiten").request.path == path
    assert "Mit hoher Lehne." in other.text(path)
    assert new_browser().get(edit.split("?")[0] + "?token=falsch").status_code in {302, 303, 401, 403, 404}
    contributions.reject(session, comment, "Bitte ohne Namen.", clock.now())
    session.commit()
    assert "Bitte ohne Namen." in other.text(path)
    assert not other.open(path).xpath("//a[contains(., 'Kommentar ändern')]")


def test_a_comment_is_taken_back_by_its_receipt_and_belongs_to_an_account_later(
    session: Session, browser: Browser, new_browser: Callable[[], Browser],
) -> None:
    proposal = _proposal(session)
    path = browser.submit(f"{_page(proposal)}/kommentare", {"body": "Mit Lehne."}, form=-1).request.path
    account = factories.account(session)
    session.commit()
    member = new_browser().sign_in(account)
    member.submit(path, form="zuordnen")
    assert "Mit Lehne." in member.text("/konto/beitraege")
    comment = session.scalars(select(Comment)).one()
    session.refresh(comment.participant)
    assert comment.participant.kind is ParticipantKind.ACCOUNT
    new_browser().submit(path, form="zurueckziehen")
    session.refresh(comment)
    assert comment.state is ContributionState.WITHDRAWN
