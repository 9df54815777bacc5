"""kill -9 of the web server in the middle of a busy evening: what was acknowledged is there afterwards."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from contextlib import closing
from pathlib import Path
from urllib.parse import urlencode

import psutil
import pytest
from flask_wtf.csrf import generate_csrf
from sqlalchemy import func, select

from app import create_app
from participation import clock, tokens
from participation.accounts.models import Account, SignInSession
from participation.contributions.models import Contribution
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.db import Database
from participation.processes.models import Process
from participation.settings import Settings
from tests import factories
from tests.databases import migrated_sqlite
from tests.live import LivePlatform, serving

VOTERS, ROUNDS = 10, 50


def _town(folder: Path) -> None:
    """A town with as much to support as is needed; the demo town would take longer to build than all the rest."""
    folder.mkdir()
    database = Database(migrated_sqlite(folder / "beteiligung.sqlite3"))
    with database.unit_of_work() as session:
        process = factories.process(session, slug="smart-city")
        for _number in range(ROUNDS):
            factories.proposal(session, process)
    database.dispose()


def _sign_in(platform: LivePlatform, number: int) -> tuple[dict[str, str], list[str], dict[int, int]]:
    """Accounts with a cookie each and one CSRF token each, and the addresses of what can be supported."""
    app = create_app(Settings.from_environ(platform.environment))
    headers = {}
    with app.extensions["platform"].database.unit_of_work() as session:
        process = session.scalars(select(Process).where(Process.slug == "smart-city")).one()
        ids = list(session.scalars(select(Proposal.id).where(
            Proposal.process_id == process.id, Contribution.published_at.is_not(None)).limit(ROUNDS)))
        counts = [session.get_one(Contribution, key).support_count for key in ids]
        for voter in range(number):
            token = tokens.new_token()
            account = Account(email=f"w{voter}@beispiel.example", display_name=f"W{voter}", created_at=clock.now(),
                              email_confirmed_at=clock.now())
            session.add(account)
            session.flush()
            session.add(SignInSession(account_id=account.id, token_hash=tokens.hash_token(token),
                                      created_at=clock.now(), expires_at=clock.now() + clock.days(1)))
            with app.test_request_context():
                from flask import session as cookie

                cookie["_user_id"], cookie["_fresh"] = token, True
                csrf = generate_csrf()
                value = app.session_interface.get_signing_serializer(app).dumps(dict(cookie))  # type: ignore[attr-defined]
            headers[f"session={value}"] = csrf
    app.extensions["platform"].database.dispose()
    baseline = dict(zip(ids, counts, strict=True))
    return headers, [f"/verfahren/smart-city/vorschlaege/{key}/unterstuetzen" for key in ids], baseline


def _vote(platform: LivePlatform, cookie: str, csrf: str, addresses: list[str], acknowledged: list[tuple[str, str]]) -> None:
    body = urlencode({"csrf_token": csrf})
    for address in addresses:
        try:
            with closing(http.client.HTTPConnection("localhost", platform.port, timeout=60)) as connection:
                connection.request(
                    "POST",
                    address,
                    body,
                    {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                )
                answer = connection.getresponse()
                answer.read()
        except (OSError, http.client.HTTPException):
            return
        if answer.status == 201:
            acknowledged.append((cookie, address))


@pytest.mark.fault
def test_every_acknowledged_vote_survives_a_killed_web_server(tmp_path: Path) -> None:
    acknowledged: list[tuple[str, str]] = []
    _town(tmp_path / "data")
    with serving(tmp_path / "data") as platform:
        voters, addresses, baseline = _sign_in(platform, VOTERS)
        threads = [threading.Thread(target=_vote, args=(platform, cookie, csrf, addresses, acknowledged))
                   for cookie, csrf in voters.items()]
        for thread in threads:
            thread.start()
        while len(acknowledged) < VOTERS * ROUNDS // 3 and any(thread.is_alive() for thread in threads):
            threads[0].join(0.01)
        for child in psutil.Process(platform.process.pid).children(recursive=True):
            if "granian" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
        for thread in threads:
            thread.join()
        assert platform.process.wait(120) != 0, "one part died, so all of it must end with an error"
    assert len(acknowledged) >= VOTERS * ROUNDS // 3
    with serving(tmp_path / "data") as platform:
        app = create_app(Settings.from_environ(platform.environment))
        with app.extensions["platform"].database.reading() as session:
            for address in {address for _cookie, address in acknowledged}:
                key = int(address.split("/")[4])
                stored = session.scalar(select(func.count()).select_from(Vote).where(Vote.contribution_id == key))
                counter = session.scalar(select(Contribution.support_count).where(Contribution.id == key))
                assert stored == counter, "counter and votes differ"
                told = sum(1 for _cookie, one in acknowledged if one == address)
                assert (stored or 0) - baseline[key] >= told, "a vote was acknowledged and is gone"
        app.extensions["platform"].database.dispose()
