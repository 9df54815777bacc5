"""A proposal, people who follow it, the clock at work, and a mail server that says what a test tells it."""

from __future__ import annotations

import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from participation import clock
from participation.accounts.models import Account
from participation.following import delivery, operations
from participation.following.models import Follower, Frequency
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.contributions.proposals.models import Proposal
    from participation.db import Database
    from participation.tokens import Keyring

ADDRESS = "leserin@beispiel.example"


@pytest.fixture
def proposal(session: Session) -> Proposal:
    """A published proposal in a published process."""
    process = factories.process(session, title="Stadt von morgen")
    found = factories.proposal(session, process, title="Bänke am Fluss", at=clock.now() - timedelta(days=20))
    session.commit()
    return found


@pytest.fixture
def reader(session: Session) -> Account:
    """Somebody with an account."""
    found = factories.account(session, email=ADDRESS, display_name="Die Leserin")
    session.commit()
    return found


def follow(
    session: Session, keyring: Keyring, account: Account, proposal: Proposal, *, whole: bool = False,
    frequency: Frequency = Frequency.WEEKLY,
) -> Follower:
    """An account follows a proposal, or the whole process of it, since yesterday."""
    follower = operations.follow(session, keyring, factories.actor(account), proposal.process,
                                 None if whole else proposal, clock.now() - timedelta(days=1), frequency=frequency)
    session.commit()
    return follower


@pytest.fixture
def digests(
    app: Beteiligung, database: Database, run_jobs: Callable[[], int], monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., None]:
    """Send what is due of one frequency, as if it were some time later."""

    def send(frequency: Frequency = Frequency.WEEKLY, *, later: timedelta = timedelta(days=8)) -> None:
        then = clock.now() + later
        with monkeypatch.context() as time:
            time.setattr(clock, "now", lambda: then)
            with app.app_context(), database.unit_of_work() as session:
                delivery.begin_digests(session, frequency, then)
            run_jobs()

    return send


@dataclass
class MailServer:
    """What arrived, and what is answered to a recipient (RCPT) or to a text (DATA) that contains a word."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def recipients(self) -> list[str]:
        """Who got mail, in alphabetical order."""
        return sorted(recipient for recipient, _text in self.received)

    def answer_to(self, recipient: str, step: str) -> str:
        """250 unless told otherwise."""
        return self.answers.get(f"{step} {recipient}", "250 OK")


class _Handler(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as smtplib speaks."""

    def handle(self) -> None:
        server: MailServer = self.server.told  # type: ignore[attr-defined]
        self._say("220 ready")
        recipient = ""
        while line := self.rfile.readline().decode().strip():
            verb = line.partition(" ")[0].upper()
            if verb == "RCPT":
                recipient = re.findall(r"<([^>]*)>", line)[0]
                server.asked.append(recipient)
                self._say(server.answer_to(recipient, "RCPT"))
            elif verb == "DATA":
                self._say("354 go on")
                text = self._text()
                answer = server.answer_to(recipient, "DATA")
                if answer.startswith("250"):
                    server.received.append((recipient, text))
                self._say(answer)
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 OK")

    def _text(self) -> str:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.decode())
        return "".join(lines)

    def _say(self, answer: str) -> None:
        self.wfile.write(f"{answer}\r\n".encode())


@contextmanager
def mail_server_running() -> Iterator[MailServer]:
    """A server on this host, for as long as it is needed."""
    told = MailServer()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        server.told = told  # type: ignore[attr-defined]
        told.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield told
        server.shutdown()


@pytest.fixture
def mail_server(app: Beteiligung, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    """A server on this host, which the platform sends through."""
    with mail_server_running() as told:
        platform = app.extensions["platform"]
        monkeypatch.setattr(platform, "settings", replace(
            platform.settings, smtp_url=f"smtp://127.0.0.1:{told.port}?tls=off"))
        yield told


@pytest.fixture
def readers(session: Session, keyring: Keyring, proposal: Proposal) -> list[str]:
    """Five people who follow a process and have something to read."""
    addresses = [f"l{number}@beispiel.example" for number in range(5)]
    for address in addresses:
        follow(session, keyring, factories.account(session, email=address), proposal, whole=True)
    factories.proposal(session, proposal.process, title="Neue Idee", at=clock.now())
    session.commit()
    return addresses


def refusals(session: Session) -> dict[str, int]:
    """How often the servers of which addresses have refused mail."""
    session.expire_all()
    return {account.email: follower.refusals for follower, account in session.execute(
        select(Follower, Account).join(Account, Account.id == Follower.account_id)) if follower.refusals}
