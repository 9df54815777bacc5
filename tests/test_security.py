"""Headers, cookies, CSRF and hosts: what holds on every answer."""

from __future__ import annotations

import dataclasses
import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from flask import session

from app import create_app
from participation.settings import Settings
from tests import factories
from tests.conftest import SECRET

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from tests.browser_client import Browser


@pytest.mark.parametrize("path", ["/", "/healthz", "/gibt-es-nicht", "/static/style.css", "/konto/anmelden"])
def test_every_answer_carries_the_headers(browser: Browser, session: Session, path: str) -> None:
    factories.process(session)
    session.commit()
    answer = browser.get(path)
    answer.close()
    headers = answer.headers
    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert re.search(r"script-src 'self' 'nonce-[\w-]{20,}'", policy)
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_nonces_are_never_reused(browser: Browser) -> None:
    policies = {browser.get("/healthz").headers["Content-Security-Policy"] for _ in range(5)}
    assert len(policies) == 5


def test_cookies_and_transport_are_safe_on_https(tmp_path: Path) -> None:
    settings = Settings(
        environment="test",
        data_dir=tmp_path,
        database_url=f"sqlite:///{tmp_path}/x.sqlite3",
        secret_key=SECRET,
        base_url="https://stadt.example",
        trusted_hosts=("stadt.example",),
    )
    app = create_app(settings)
    assert app.config["SESSION_COOKIE_NAME"] == "__Host-session"
    assert app.config["SESSION_COOKIE_SECURE"]
    assert app.config["SESSION_COOKIE_HTTPONLY"]
    assert app.config["SESSION_COOKIE_SAMESITE"] == "Lax"
    answer = app.test_client().get("/healthz", base_url="https://stadt.example")
    assert "max-age=63072000" in answer.headers["Strict-Transport-Security"]
    assert app.test_client().get("/healthz", base_url="https://evil.example").status_code == 400


def test_a_request_under_a_foreign_name_rings_no_alarm(
    app: Beteiligung, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "TRUSTED_HOSTS", ["stadt.example"])
    answer = app.test_client().get("/gibt-es-nicht", base_url="https://evil.example")
    assert answer.status_code == 400
    assert "evil" not in answer.get_data(as_text=True)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.usefixtures("csrf")
def test_post_without_token_is_refused_and_keeps_the_text(browser: Browser, session: Session) -> None:
    process = factories.process(session)
    session.commit()
    answer = browser.post(
        f"/verfahren/{process.slug}/vorschlaege/neu",
        {"title": "Ein Titel", "body": "Mein langer Text <b>", "password": "geheim-1234"},
    )
    page = answer.get_data(as_text=True)
    assert answer.status_code == 400
    assert "Mein langer Text &lt;b&gt;" in page
    assert "geheim-1234" not in page


@pytest.mark.usefixtures("csrf")
def test_post_with_a_foreign_token_is_refused(app: Beteiligung, browser: Browser, session: Session) -> None:
    process = factories.process(session)
    session.commit()
    foreign = type(browser)(app)
    token = foreign.open(f"/verfahren/{process.slug}/vorschlaege/neu").xpath("//input[@name='csrf_token']/@value")[0]
    answer = browser.post(
        f"/verfahren/{process.slug}/vorschlaege/neu", {"title": "T", "body": "B", "csrf_token": token}
    )
    assert answer.status_code == 400


def test_unknown_pages_are_german_and_helpful(browser: Browser, session: Session) -> None:
    factories.process(session)
    session.commit()
    answer = browser.get("/gibt-es-nicht")
    assert answer.status_code == 404
    assert "Seite nicht gefunden" in answer.get_data(as_text=True)


def test_settings_do_not_show_secrets() -> None:
    shown = repr(Settings(secret_key=SECRET, smtp_url="smtp://user:pass@mail", metrics_token="abc"))
    assert SECRET not in shown
    assert "pass@mail" not in shown
    assert "abc" not in shown
    assert dataclasses.is_dataclass(Settings)


def _cookie_with(app: Beteiligung, values: dict[str, object]) -> str:
    signer = app.session_interface.get_signing_serializer(app)
    return f"session={signer.dumps(values)}"


def test_a_cookie_that_was_read_before_is_still_refused_when_it_is_too_old(
    app: Beteiligung, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = _cookie_with(app, {"guest": "a token"})
    for _ in range(2):
        with app.test_request_context("/", headers={"Cookie": sent}):
            assert session.get("guest") == "a token"
    monkeypatch.setitem(app.config, "PERMANENT_SESSION_LIFETIME", timedelta(seconds=-1))
    with app.test_request_context("/", headers={"Cookie": sent}):
        assert "guest" not in session


def test_a_forged_cookie_holds_nothing_however_often_it_is_sent(app: Beteiligung) -> None:
    real = _cookie_with(app, {"guest": "a token"})
    with app.test_request_context("/", headers={"Cookie": real}):
        assert session.get("guest") == "a token"
    forged = real[:-1] + ("A" if real[-1] != "A" else "B")
    for _ in range(2):
        with app.test_request_context("/", headers={"Cookie": forged}):
            assert "guest" not in session


def test_what_one_request_changes_in_its_session_is_not_seen_by_another_with_the_same_cookie(app: Beteiligung) -> None:
    sent = _cookie_with(app, {"guest": "a token", "some": ["first"]})
    for _ in range(3):
        with app.test_request_context("/", headers={"Cookie": sent}):
            assert session["some"] == ["first"]
            session["some"].append("second")
    plain = _cookie_with(app, {"guest": "a token"})
    for _ in range(3):
        with app.test_request_context("/", headers={"Cookie": plain}):
            assert session["guest"] == "a token"
            session["guest"] = "another"
