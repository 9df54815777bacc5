"""What a page of an error says: what hinders, once, and a cure that fits."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lxml import html

from participation import clock
from participation.contributions.votes import operations as votes
from participation.error_pages import error_page
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from werkzeug.test import TestResponse

    from app import Beteiligung
    from participation.tokens import Keyring


def _said(answer: TestResponse) -> str:
    main = html.fromstring(answer.get_data(as_text=True)).xpath("//main")[0]
    return " ".join(main.text_content().split())


def test_a_conflict_leads_back_to_the_page_as_it_is_now(session: Session, keyring: Keyring, browser: Browser) -> None:
    over, now = factories.phase("vote", opens=-9, closes=-2), clock.now()
    process = factories.process(session, phases=[over, factories.phase("collect", opens=-9)])
    proposal, account = factories.proposal(session, process), factories.account(session)
    votes.support(session, keyring, factories.actor(account), proposal, now - timedelta(days=4))
    session.commit()
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    browser.sign_in(account)
    refused = browser.post(f"{page}/unterstuetzung-zuruecknehmen", headers={"Referer": f"http://localhost{page}"})
    assert refused.status_code == 409
    said = _said(refused)
    assert "zählt im Ergebnis einer Abstimmung, die zu Ende ist." in said
    assert "Sehen Sie sich die Seite an, wie sie jetzt ist." in said
    assert "laden" not in said, "to load this page anew would send the same again"
    assert "nicht mehr möglich" not in said
    way = html.fromstring(refused.get_data(as_text=True)).xpath("//main//a/@href")[0]
    assert browser.get(way, follow_redirects=True).request.path == page


@pytest.mark.parametrize(("opens", "closes", "message"), [
    (-9, -2, "Phase beendet: Hier kann man nicht mehr abstimmen."),
    (2, 9, "Hier kann man noch nicht abstimmen."),
])
def test_a_vote_at_the_wrong_time_reads_whether_it_is_late_or_early(
    session: Session, browser: Browser, opens: int, closes: int, message: str,
) -> None:
    phase = factories.phase("vote")
    phase.starts_at, phase.ends_at = (clock.now() + timedelta(days=days) for days in (opens, closes))
    process = factories.process(session, phases=[phase])
    proposal = factories.proposal(session, process)
    browser.sign_in(factories.account(session))
    session.commit()
    said = _said(browser.post(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}/unterstuetzen"))
    assert f"{message} Ihre Stimme ist nicht gespeichert." in said
    assert "oder noch nicht" not in said


@pytest.mark.parametrize("status", [500, 503])
def test_a_fault_of_ours_is_said_once_on_the_plain_page_too(
    app: Beteiligung, monkeypatch: pytest.MonkeyPatch, status: int,
) -> None:
    def broken(*_names: object, **_values: object) -> str:
        raise RuntimeError

    with app.test_request_context("/"), monkeypatch.context() as without_database:
        without_database.setattr("participation.error_pages.render_template", broken)
        plain = error_page(status).get_data(as_text=True)
    tree = html.fromstring(plain)
    for icon in tree.xpath("//link[@rel='icon']/@href"):
        assert (Path(app.static_folder or "") / icon.removeprefix("/static/")).is_file()
    assert tree.xpath("//link[@rel='icon']"), "or browsers ask for /favicon.ico"
    said = tree.text_content()
    assert said.count("nicht an Ihnen") <= 1
    assert said.count("erreichbar") <= 2, "as title of the window and of the page"


def test_a_method_that_an_address_does_not_take_reads_which_it_does(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    session.commit()
    answer = browser.client.delete(f"/verfahren/{process.slug}/vorschlaege")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
