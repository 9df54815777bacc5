"""Whoever wants to take part and can't yet reads on the next page why, and how to get what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lxml import html

from app import Beteiligung
from participation.formats import BallotRule, CollectSettings, Verification, VoteSettings
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

LETTER = dict.fromkeys(("verification", "comment_verification", "support_verification"), Verification.LETTER)


def _page(session: Session, **settings: Any) -> str:
    process = factories.process(session, phases=[factories.phase("collect", settings=CollectSettings(**settings))])
    proposal = factories.proposal(session, process)
    session.commit()
    return f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"


def _new(page: str) -> str:
    return f"{page.rpartition('/')[0]}/neu"


def _main(answer: TestResponse) -> str:
    return " ".join(html.fromstring(answer.get_data(as_text=True)).xpath("//main")[0].text_content().split())


def test_the_sign_in_page_says_which_proof_the_phase_asks_for(session: Session, browser: Browser) -> None:
    page = _new(_page(session, **LETTER))
    answer = browser.client.get(page, follow_redirects=True)
    assert answer.request.path == "/konto/anmelden"
    shown = _main(answer)
    assert "Zum Einreichen brauchen Sie hier den Code aus dem Brief Ihrer Kommune." in shown
    assert "Danach zeigen wir Ihnen, wie Sie das nachweisen." in shown
    assert "meist auch ohne Konto" not in shown
    assert "Zum Einreichen brauchen Sie hier den Code" in browser.text(f"/konto/registrieren?next={page}")


@pytest.mark.parametrize(("place", "said"), [
    ("mitreden", "Zum Kommentieren brauchen Sie hier den Code aus dem Brief"),
    ("unterstuetzen", "Zum Unterstützen brauchen Sie hier den Code aus dem Brief"),
])
def test_the_buttons_of_a_proposal_lead_to_a_page_that_knows_what_they_are_for(
    session: Session, browser: Browser, place: str, said: str,
) -> None:
    page = _page(session, **LETTER)
    (link,) = [one for one in browser.open(page).xpath("//main//a/@href") if one.startswith("/konto/anmelden") and place in one]
    assert said in browser.text(link)
    signed_in = browser.sign_in(factories.account(session))
    (link,) = [one for one in signed_in.open(page).xpath("//main//a/@href") if one.startswith("/konto/nachweise") and place in one]
    proofs = signed_in.open(link)
    assert said in proofs.text_content()
    assert f"{page}#{place}" in proofs.xpath("//main//a[contains(., 'Zurück')]/@href")


def test_where_an_account_is_enough_that_is_said_and_where_none_is_needed_nothing(session: Session, browser: Browser) -> None:
    strict = _new(_page(session, guests_may_submit=False))
    assert "Zum Einreichen brauchen Sie hier ein Konto mit bestätigter E-Mail-Adresse." in browser.text(strict)
    free = _new(_page(session))
    shown = browser.text(f"/konto/anmelden?next={free}")
    assert "Zum Einreichen" not in shown
    assert "meist auch ohne Konto" in shown


@pytest.mark.parametrize(("level", "how"), [
    (Verification.LETTER, "Geben Sie ihn unten ein."), (Verification.RESIDENCE, "steht unten bei „Wohnsitz bestätigen lassen“"),
])
def test_whoever_is_signed_in_reads_what_is_missing_and_comes_back(
    session: Session, browser: Browser, level: Verification, how: str,
) -> None:
    page = _new(_page(session, verification=level))
    browser.sign_in(factories.account(session))
    session.commit()
    answer = browser.client.get(page, follow_redirects=True)
    assert answer.request.path == "/konto/nachweise"
    assert "Zum Einreichen" in _main(answer)
    assert how in _main(answer)
    (back,) = html.fromstring(answer.get_data(as_text=True)).xpath("//main//a[contains(., 'Zurück')]/@href")
    assert browser.get(back).status_code == 200, "the form itself would only lead here again"
    sent = browser.post(page, {"title": "Eine Bank"})
    assert sent.status_code == 403
    (way,) = html.fromstring(sent.get_data(as_text=True)).xpath("//main//a[contains(., 'Nachweise')]/@href")
    assert "Zum Einreichen" in browser.text(way)


def test_whoever_votes_reads_it_too(session: Session, browser: Browser) -> None:
    settings = VoteSettings(ballot=BallotRule.POINTS, verification=Verification.RESIDENCE)
    process = factories.process(session, phases=[factories.phase("vote", settings=settings)])
    session.commit()
    paper = f"/verfahren/{process.slug}/abstimmung/{process.phases[0].id}"
    assert "muss hier die Verwaltung Ihren Wohnsitz bestätigen" in browser.text(f"/konto/anmelden?next={paper}")


@pytest.mark.parametrize("target", ["/hilfe", "/verfahren/gibt-es-nicht/vorschlaege/neu", "/verfahren/%00/vorschlaege/neu", "/[", "//x", '/"><script>alert(1)</script>'])
def test_any_other_address_says_nothing_and_breaks_nothing(session: Session, app: Beteiligung, target: str) -> None:
    factories.municipality(session)
    session.commit()
    browser = Browser(app)
    assert "brauchen Sie hier" not in browser.text(f"/konto/anmelden?next={target}")
    proofs = browser.sign_in(factories.account(session)).get("/konto/nachweise", query_string={"next": target})
    assert "Warum Sie hier sind" not in proofs.get_data(as_text=True)
    assert "<script>alert" not in proofs.get_data(as_text=True)
