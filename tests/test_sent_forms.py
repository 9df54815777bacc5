"""What editors send twice, by a double click or by going back, is there once."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete, func, select

from participation import clock, sent_forms
from participation.catalogue.models import Measure
from participation.following.newsletters.models import Newsletter
from participation.outbox import OutboxRow
from participation.permissions import Role
from participation.processes.models import Phase, Process, ProcessDocument, ProcessNews, Theme
from participation.sent_forms import SentForm
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung

BASE = "/verwaltung/verfahren/{id}"
FORMS: dict[str, tuple[str, type[Any], dict[str, str]]] = {
    "news": (f"{BASE}/neuigkeiten", ProcessNews, {"title": "Es geht los", "body": "Am Montag."}),
    "documents": (f"{BASE}/dokumente", ProcessDocument, {"title": "Protokoll"}),
    "themes": (f"{BASE}/themen", Theme, {"name": "Wasser"}),
    "phases": (f"{BASE}/phasen/neu", Phase, {"title": "Noch eine Phase"}),
    "newsletters": (f"{BASE}/rundbriefe", Newsletter, {"subject": "Es geht los", "body": "Am Montag.", "step": "save"}),
    "processes": ("/verwaltung/verfahren/neu", Process, {"title": "Neues Verfahren", "summary": "Kurz."}),
    "measures": (f"{BASE}/massnahmen/neu", Measure, {"title": "Bänke", "code": "K1"}),
    "barriers": ("/barrierefreiheit/melden", OutboxRow, {"message": "Die Karte geht nicht."}),
}


@pytest.fixture
def process(session: Session) -> Process:
    found = factories.process(session)
    session.commit()
    return found


@pytest.fixture
def editor(session: Session, process: Process, browser: Browser) -> Browser:
    account = factories.account(session, Role.EDITOR, Role.PLANNER, town=process.municipality)
    session.commit()
    return browser.sign_in(account)


def _filled(browser: Browser, page: str, values: dict[str, str]) -> dict[str, Any]:
    """The form as a browser holds it, to be sent more than once."""
    (form,) = browser.open(page).xpath("//form[input[@name='form_key']]")
    return dict(form.form_values()) | values


def _sent(browser: Browser, page: str, data: dict[str, Any]) -> Any:
    if not page.endswith("dokumente"):
        return browser.post(page, data)
    file = (io.BytesIO(b"%PDF-1.7 ..."), "protokoll.pdf")
    return browser.post(page, {**data, "document": file}, content_type="multipart/form-data")


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_sent_twice_makes_one_thing_and_answers_the_same(
    session: Session, process: Process, editor: Browser, kind: str,
) -> None:
    address, model, values = FORMS[kind]
    page = address.format(id=process.id)
    data = _filled(editor, page, values)

    def number() -> int:
        return session.scalar(select(func.count()).select_from(model)) or 0

    before = number()
    first = _sent(editor, page, data)
    said = editor.open(first.location).xpath("//*[@role='status']")[0].text_content().split()
    again = _sent(editor, page, data)
    assert (first.status_code, again.status_code) == (303, 303)
    assert again.location == first.location
    assert editor.open(again.location).xpath("//*[@role='status']")[0].text_content().split() == said
    assert number() == before + 1
    # Two of one name, or one number, are refused.
    fresh = _filled(editor, page, values) | {"themes": {"name": "Luft"}, "measures": {"code": "K2"}}.get(kind, {})
    assert _sent(editor, page, fresh).status_code == 303
    assert number() == before + 2, "once more, by a form of its own"


def test_nothing_of_what_was_changed_before_it_was_sent_again_is_lost(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    address, _model, values = FORMS["news"]
    page = address.format(id=process.id)
    data = _filled(editor, page, values)
    refused = _sent(editor, page, {**data, "title": ""})
    assert refused.status_code == 422
    assert _sent(editor, page, {**data, "preview": "1"}).status_code == 200
    assert session.scalars(select(SentForm)).all() == [], "neither did anything"
    assert _sent(editor, page, data).status_code == 303
    assert _sent(editor, page, {**data, "body": "Am Dienstag."}).status_code == 303
    assert sorted(session.scalars(select(ProcessNews.body))) == ["Am Dienstag.", "Am Montag."]
    other = factories.account(session, Role.EDITOR, on=process)
    session.commit()
    _sent(new_browser().sign_in(other), page, data)
    assert len(session.scalars(select(ProcessNews)).all()) == 3, "a key is worth nothing to others"


def test_what_is_sent_again_later_is_not_said_to_be_saved_and_later_still_it_is_done_anew(
    session: Session, process: Process, editor: Browser, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was made may be deleted meanwhile."""
    page, begun = FORMS["news"][0].format(id=process.id), clock.now()
    data = _filled(editor, page, FORMS["news"][2])
    _sent(editor, page, data)
    editor.open(page)
    session.execute(delete(ProcessNews))
    session.commit()
    monkeypatch.setattr(clock, "now", lambda: begun + timedelta(minutes=2))
    again = _sent(editor, page, data)
    (said,) = editor.open(again.location).xpath("//*[@role='status'][contains(@class, 'bp-messages')]")
    assert "Es ist nicht noch einmal gespeichert." in said.text_content()
    assert "Die Neuigkeit ist gespeichert" not in said.text_content()
    assert not session.scalars(select(ProcessNews)).all()
    monkeypatch.setattr(clock, "now", lambda: begun + timedelta(minutes=61))
    _sent(editor, page, data)
    assert len(session.scalars(select(ProcessNews)).all()) == 1


def test_another_button_is_another_form(session: Session, process: Process, editor: Browser) -> None:
    page = FORMS["newsletters"][0].format(id=process.id)
    data = _filled(editor, page, FORMS["newsletters"][2])
    _sent(editor, page, data)
    _sent(editor, page, {**data, "step": "test"})
    jobs = session.scalars(select(OutboxRow.job)).all()
    assert jobs.count("mail_newsletter_test") == 1
    _sent(editor, page, {**data, "step": "test"})
    assert session.scalars(select(OutboxRow.job)).all() == jobs, "a double click is one"


def test_sent_forms_are_forgotten(session: Session, process: Process, editor: Browser, app: Beteiligung) -> None:
    page = FORMS["news"][0].format(id=process.id)
    _sent(editor, page, _filled(editor, page, FORMS["news"][2]))
    row = session.scalars(select(SentForm)).one()
    assert "Montag" not in f"{row.key}{row.target}{row.messages}"
    with app.app_context():
        sent_forms.forget_sent_forms()
        session.expire_all()
        assert session.scalars(select(SentForm)).all()
        row.sent_at = clock.now() - timedelta(hours=2)
        session.commit()
        sent_forms.forget_sent_forms()
    assert session.scalars(select(SentForm.key)).all() == []


def test_a_double_click_makes_one_thing(committing: Beteiligung) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        process = factories.process(session)
        account = factories.account(session, Role.EDITOR, on=process)
        page = f"/verwaltung/verfahren/{process.id}/neuigkeiten"
        session.flush()
        session.expunge(account)
    browsers = [Browser(committing).sign_in(account) for _number in range(4)]
    data = _filled(browsers[0], page, FORMS["news"][2])
    start = Barrier(len(browsers))

    def send(browser: Browser) -> tuple[int, str]:
        start.wait()
        answer = browser.post(page, data)
        return answer.status_code, answer.location

    with ThreadPoolExecutor(len(browsers)) as pool:
        answers = list(pool.map(send, browsers))
    assert answers == [(303, page)] * len(browsers)
    with database.reading() as session:
        assert len(session.scalars(select(ProcessNews)).all()) == 1
