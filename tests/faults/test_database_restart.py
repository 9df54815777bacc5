"""The database goes away in the middle and comes back: a clear page meanwhile, and nobody has to lift a finger."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from app import create_app
from participation import db
from participation.commands.database import migrate
from participation.settings import Settings
from tests import factories
from tests.browser_client import Browser
from tests.conftest import SECRET
from tests.databases import migrated_sqlite, start_postgresql

if TYPE_CHECKING:
    from pathlib import Path

RECOVERY_SECONDS = 60


def test_a_restart_of_postgresql_costs_a_clear_page_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    url, stop = start_postgresql(tmp_path, tmp_path)
    migrate(url)
    app = create_app(Settings(
        environment="test", data_dir=tmp_path, database_url=url, secret_key=SECRET, base_url="http://localhost",
        rate_limits=False,
    ))
    app.config["WTF_CSRF_ENABLED"] = False
    database = app.extensions["platform"].database
    try:
        with database.unit_of_work() as session:
            process = factories.process(session)
            proposal = factories.proposal(session, process)
            account = factories.account(session)
            page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
        anonymous, resident = Browser(app), Browser(app).sign_in(account)
        for browser in (anonymous, resident, anonymous):
            assert browser.get(page).status_code == 200
        stop()
        for browser in (anonymous, resident):
            away = browser.get(page)
            assert away.status_code == 503
            assert "gleich noch einmal" in away.get_data(as_text=True)
            assert "Traceback" not in away.get_data(as_text=True)
        lost = resident.post(f"{page}/kommentare", {"body": "Diesen Text will ich behalten", "submission_key": "x"})
        assert lost.status_code == 503
        assert "Diesen Text will ich behalten" in lost.get_data(as_text=True)
        assert anonymous.get("/readyz").status_code == 503
        assert anonymous.get("/healthz").status_code == 200
        _url, stop = start_postgresql(tmp_path, tmp_path)
        started = time.monotonic()
        while {browser.get(page).status_code for browser in (anonymous, resident)} != {200}:
            assert time.monotonic() - started < RECOVERY_SECONDS
            time.sleep(0.1)
        done = resident.post(f"{page}/kommentare", {"body": "Diesen Text will ich behalten", "submission_key": "x"})
        assert done.status_code == 303
    finally:
        database.dispose()
        stop()


def test_a_database_that_somebody_else_is_writing_to_for_very_long_costs_a_clear_page_with_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "SQLITE_BUSY_TIMEOUT_MS", 200)
    app = create_app(Settings(
        environment="test", data_dir=tmp_path, database_url=migrated_sqlite(tmp_path / "busy.sqlite3"), secret_key=SECRET,
        base_url="http://localhost", rate_limits=False,
    ))
    app.config["WTF_CSRF_ENABLED"] = False
    database = app.extensions["platform"].database
    with database.unit_of_work() as session:
        proposal = factories.proposal(session, factories.process(session))
        account = factories.account(session)
        page = f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"
    resident = Browser(app).sign_in(account)
    comment = {"body": "Diesen Text will ich behalten", "submission_key": "x"}
    with closing(sqlite3.connect(tmp_path / "busy.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = resident.post(f"{page}/kommentare", comment)
        assert resident.get(page).status_code == 200, "reading goes on"
        other.execute("ROLLBACK")
    assert answer.status_code == 503
    shown = answer.get_data(as_text=True)
    assert "Diesen Text will ich behalten" in shown
    assert "Netiquette" in shown, "a whole page: it did not wait for the database once more"
    assert resident.post(f"{page}/kommentare", comment).status_code == 303
    database.dispose()
