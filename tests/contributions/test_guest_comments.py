"""Commenting without an account, where the phase allows it: checked first, found again in the same browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from sqlalchemy import func, select, update

from moderation.models import Case
from participation import clock
from participation.accounts.models import ParticipantKind, SignInSession
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.models import ContributionState
from participation.contributions.proposals.models import Proposal
from participation.formats import CollectSettings, Moderation, Verification
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

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
    answer = browser.submit(link, {"body": "Gute Idee, aber bitte mit Lehne."}, form=-1)
    assert "Ihr Beleg" in answer.get_data(as_text=True)
    named = browser.submit(answer.request.path, {"pseudonym": "Nachbarin"}, form="zu-ihnen").get_data(as_text=True)
    assert "Danke! Das ist gespeichert." in named
    session.expire_all()
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
    assert "Ihr Kommentar erscheint unter dem Namen „Nachbarin“." in browser.text(link)
    again = browser.submit(link, {"body": "Noch etwas."}, form=-1)
    assert again.status_code == 200
    assert {one.participant.pseudonym for one in session.scalars(select(Comment))} == {"Nachbarin"}
    browser.post(f"{page}/kommentare/{comment.id}/zurueckziehen")
    assert "mit hoher Lehne" not in new_browser().text(page)


def test_whose_session_ended_while_writing_is_asked_before_a_guest_writes_this(
    session: Session, browser: Browser,
) -> None:
    proposal = _proposal(session)
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    page = browser.open(f"{_page(proposal)}/kommentare")
    values = {name: value for form in page.forms for name, value in form.form_values() if name == "submission_key"}
    session.execute(update(SignInSession).values(revoked_at=clock.now()))
    session.commit()
    refused = browser.post(f"{_page(proposal)}/kommentare", values | {"body": "Mit Lehne, bitte."})
    assert refused.status_code == 422
    told = " ".join(html.fromstring(refused.get_data(as_text=True)).text_content().split())
    assert "Sie sind nicht mehr angemeldet, und gespeichert ist noch nichts." in told
    assert "Mit Lehne, bitte." in told
    assert session.scalars(select(Comment)).all() == []
    answer = browser.post(f"{_page(proposal)}/kommentare", values | {"body": "Mit Lehne, bitte."}, follow_redirects=True)
    assert "Ihr Kommentar ist gespeichert" in answer.get_data(as_text=True)
    assert session.scalars(select(Comment)).one().participant.kind is ParticipantKind.GUEST
    assert "nicht mehr angemeldet" not in browser.text("/"), "once is enough"


def test_whose_session_ended_while_writing_a_proposal_is_asked_too(session: Session, browser: Browser) -> None:
    process = _proposal(session).process
    session.commit()
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    page = f"/verfahren/{process.slug}/vorschlaege/neu"
    values = dict(browser.open(page).forms[-1].form_values()) | {
        "title": "Eine Bank", "body": "Im Schatten.", "theme_id": process.themes[0].id}
    session.execute(update(SignInSession).values(revoked_at=clock.now()))
    session.commit()
    known = session.scalar(select(func.count()).select_from(Proposal))
    refused = browser.post(page, values)
    assert refused.status_code == 422
    assert "Sie sind nicht mehr angemeldet, und gespeichert ist noch nichts." in refused.get_data(as_text=True)
    assert "Im Schatten." in refused.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Proposal)) == known
    assert browser.post(page, values).status_code == 303
    assert session.scalar(select(func.count()).select_from(Proposal)) == known + 1


@pytest.mark.parametrize("settings", [{"guest_comments": False}, {"comment_verification": Verification.LETTER}])
def test_where_the_phase_does_not_allow_it_an_account_is_needed(
    session: Session, browser: Browser, settings: dict[str, Any],
) -> None:
    proposal = _proposal(session, **settings)
    assert "Anmelden und kommentieren" in browser.text(_page(proposal))
    assert browser.post(f"{_page(proposal)}/kommentare", {"body": "Ohne Konto"}).status_code in {302, 303, 401}
    assert session.scalar(select(func.count()).select_from(Comment)) == 0


def test_the_form_asks_for_the_text_alone_and_the_receipt_for_the_rest_once(
    session: Session, browser: Browser, new_browser: Callable[[], Browser],
) -> None:
    proposal = _proposal(session)
    form = browser.open(f"{_page(proposal)}/kommentare").forms[-1]
    open_fields = [one.get("name") for one in form.xpath(".//*[self::input or self::textarea or self::select]")
                   if one.get("type") != "hidden" and not one.xpath("ancestor::details[not(@open)]")]
    assert open_fields == ["body"]
    quoting = browser.open(f"{_page(proposal)}/kommentare?zitat=Zum")
    assert quoting.xpath("//details[@open]//textarea[@name='quote']"), "whoever came to quote sees what"
    path = browser.submit(f"{_page(proposal)}/kommentare", {"body": "Mit Lehne."}, form=-1).request.path
    asked = browser.open(path)
    assert asked.xpath("//*[@name='email']")
    assert asked.xpath("//*[@name='pseudonym']")
    on_paper = new_browser()
    on_paper.submit(path, {"pseudonym": "Nachbarin", "email": "gast@beispiel.example"}, form="zu-ihnen")
    assert "Nachbarin" in on_paper.text(path)
    assert not browser.open(path).xpath("//*[@name='pseudonym']"), "once"
    assert "gast@beispiel.example" in browser.text(path)


@pytest.mark.parametrize(("said", "field", "message"), [
    ({"email": "keine"}, "email", "Das ist keine E-Mail-Adresse"),
    ({"pseudonym": "Moderation"}, "pseudonym", "klingt nach Verwaltung"),
    ({"pseudonym": "Stadtverw\u0430ltung"}, "pseudonym", "klingt nach Verwaltung"),
])
def test_what_is_wrong_on_the_receipt_is_named_beside_its_field(
    session: Session, browser: Browser, said: dict[str, str], field: str, message: str,
) -> None:
    proposal = _proposal(session)
    path = browser.submit(f"{_page(proposal)}/kommentare", {"body": "Bleibt stehen."}, form=-1).request.path
    answer = browser.submit(path, said, form="zu-ihnen")
    assert answer.status_code == 422
    tree = html.fromstring(answer.get_data(as_text=True))
    assert message in tree.xpath(f"//*[@id='{field}-fehler']")[0].text_content()
    assert "Bleibt stehen." in tree.text_content()
    participant = session.scalars(select(Comment)).one().participant
    assert (participant.pseudonym, participant.contact_sealed) == ("Gast", None)


def test_the_decision_reaches_a_guest_who_left_an_address(
    session: Session, browser: Browser, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    proposal = _proposal(session)
    path = browser.submit(f"{_page(proposal)}/kommentare", {"body": "Mit Adresse."}, form=-1).request.path
    browser.submit(path, {"email": "gast@beispiel.example"}, form="zu-ihnen")
    run_jobs()
    (receipt,) = mails()
    assert "Subject: Ihr Kommentar ist angekommen" in receipt
    assert path in receipt
    assert "Mit Adresse." not in receipt, "nobody confirmed the address"
    case = session.scalars(select(Case)).one()
    moderator = factories.account(session, factories.Role.MODERATOR, town=proposal.process.municipality)
    from moderation.models import Outcome
    from moderation.operations import decide

    decide(session, factories.actor(moderator), case, outcome=Outcome.APPROVE, rule_key="", statement="",
           revision_seen=1, now=clock.now())
    session.commit()
    run_jobs()
    text = mails()[-1]
    assert "To: gast@beispiel.example" in text
    assert _page(proposal) in text


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
    member.submit(path, form="zurueckziehen")
    session.refresh(comment)
    assert comment.state is ContributionState.WITHDRAWN


def test_the_receipt_leads_to_a_new_account_and_back(session: Session, browser: Browser) -> None:
    path = browser.submit(f"{_page(_proposal(session))}/kommentare", {"body": "Ohne Konto."}, form=-1).request.path
    (register,) = browser.open(path).xpath("//main//a[contains(., 'Konto anlegen')]/@href")
    assert browser.open(register).xpath("//form//input[@name='next']/@value") == [path]
