"""Mails that a server took and sent back later, in the shapes in which servers say so."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from participation import clock
from participation.commands.mails import bounces_command
from participation.following import delivery, operations
from participation.following.models import REFUSALS_MAX, Follower
from participation.following.newsletters import operations as newsletters
from participation.following.newsletters.models import Newsletter
from participation.following.newsletters.queries import receivers_number
from participation.permissions import Role
from participation.returned_mail import LONGEST, Returned, read_returned
from tests import factories
from tests.following.conftest import follow

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.accounts.models import Account
    from participation.contributions.proposals.models import Proposal
    from participation.tokens import Keyring
    from tests.browser_client import Browser

POSTFIX = """\
Return-Path: <>
Received: by mail.stadt.example (Postfix) id 4F1B; Sun, 29 Nov 2026 11:00:00 +0100 (CET)
From: MAILER-DAEMON@mail.stadt.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: beteiligung@stadt.example
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
\tboundary="4F1B.1764410400/mail.stadt.example"

This is a MIME-encapsulated message.

--4F1B.1764410400/mail.stadt.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

I'm sorry to have to inform you that your message could not be delivered.

--4F1B.1764410400/mail.stadt.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.stadt.example
X-Postfix-Queue-ID: 4F1B
Arrival-Date: Sun, 29 Nov 2026 10:59:58 +0100 (CET)

Final-Recipient: rfc822; leserin@beispiel.example
Original-Recipient: rfc822;leserin@beispiel.example
Action: {action}
Status: {status}
Remote-MTA: dns; mx.beispiel.example
Diagnostic-Code: smtp; 550 5.1.1 <leserin@beispiel.example>: User unknown

--4F1B.1764410400/mail.stadt.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

{headers}
--4F1B.1764410400/mail.stadt.example--
"""
EXCHANGE = """\
From: <postmaster@beispiel.example>
To: <beteiligung@stadt.example>
Subject: =?utf-8?Q?Unzustellbar=3A_Neuigkeiten?=
Content-Type: multipart/report; boundary="_000_1c"; report-type="delivery-status"
MIME-Version: 1.0

--_000_1c
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: base64

PGI+TmljaHQgenVnZXN0ZWxsdDwvYj4=

--_000_1c
Content-Type: message/delivery-status

Reporting-MTA: dns;FR2P281.beispiel.example

Final-Recipient: rfc822;leserin@beispiel.example
Action: {action}
Status: {status}
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound

--_000_1c
Content-Type: message/rfc822

{headers}

Der Text von damals.
--_000_1c--
"""


@pytest.fixture
def letter(session: Session, proposal: Proposal) -> Newsletter:
    actor = factories.actor(factories.account(session, Role.EDITOR, town=proposal.process.municipality))
    return newsletters.write_newsletter(session, actor, proposal.process, "Werkstatt", "Kommen Sie.", clock.now())


@pytest.fixture
def sent(
    session: Session, keyring: Keyring, proposal: Proposal, reader: Account, letter: Newsletter, data_dir: Path,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> str:
    """The headers of a newsletter as it went out to the reader."""
    follow(session, keyring, reader, proposal, whole=True)
    editor = factories.actor(factories.account(session, Role.EDITOR, town=proposal.process.municipality))
    newsletters.send_newsletter(session, editor, letter, clock.now())
    session.commit()
    run_jobs()
    assert len(mails()) == 1
    path = max((data_dir / "mails").glob("*newsletter*.eml"), key=lambda one: one.stat().st_mtime_ns)
    return path.read_text().partition("\n\n")[0]


def _report(headers: str, shape: str = POSTFIX, *, action: str = "failed", status: str = "5.1.1") -> bytes:
    return shape.format(headers=headers, action=action, status=status).encode()


def _take(session: Session, keyring: Keyring, raw: bytes) -> bool:
    returned = read_returned(raw)
    return returned is not None and newsletters.note_returned(session, keyring, returned, clock.now())


def _counts(session: Session, letter: Newsletter) -> tuple[int, int]:
    session.expire_all()
    return letter.delivered, letter.refused


@pytest.mark.parametrize("shape", [POSTFIX, EXCHANGE])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_letter_that_came_back_is_counted_once_and_shown(
    session: Session, keyring: Keyring, letter: Newsletter, sent: str, browser: Browser, shape: str, line_end: str,
) -> None:
    assert _counts(session, letter) == (1, 0)
    raw = _report(sent, shape).replace(b"\n", line_end.encode())
    assert _take(session, keyring, raw)
    assert not _take(session, keyring, raw), "servers report the same mail twice"
    assert _counts(session, letter) == (0, 1)
    editor = factories.account(session, Role.EDITOR, town=letter.process.municipality)
    session.commit()
    page = f"/verwaltung/verfahren/{letter.process_id}/rundbriefe"
    cells = browser.sign_in(editor).open(page).xpath("//table//tbody//td")
    assert [" ".join(one.text_content().split()) for one in cells[1:]] == ["0 von 1", "1"]


def test_what_is_no_failure_of_a_mail_of_ours_changes_nothing(
    session: Session, keyring: Keyring, letter: Newsletter, sent: str,
) -> None:
    answer = f"From: a@b.example\nAuto-Submitted: auto-replied\nSubject: Im Urlaub\n\n{sent}".encode()
    stranger = sent.replace("/abo/", "/abo/9")
    for raw in (_report(sent, action="delayed", status="4.4.1"), _report(sent, action="relayed"), answer, b"",
                b"\xff\x00" * 500, _report("From: a@b.example\nSubject: X"), _report(stranger),
                _report(sent)[:1200], _report(sent).replace(b"delivery-status", b"disposition-notification")):
        assert not _take(session, keyring, raw)
    assert _counts(session, letter) == (1, 0)


def test_an_address_that_sends_back_again_and_again_gets_nothing_until_its_owner_asks(
    session: Session, keyring: Keyring, letter: Newsletter, sent: str, reader: Account, browser: Browser,
) -> None:
    follower, now = session.scalars(select(Follower)).one(), clock.now()
    token = operations.follower_token(keyring, follower)

    def comes_back(number: int, after: int, *, is_address_wrong: bool = True) -> None:
        newsletters.note_returned(session, keyring, Returned(f"{number:032x}", token, is_address_wrong),
                                 now + timedelta(days=after))

    comes_back(1, 0)
    newsletters.note_delivery(session, letter.id, follower.id, refused=False)
    comes_back(2, 100)
    comes_back(3, 107)
    comes_back(4, 108, is_address_wrong=False)
    session.refresh(follower)
    assert follower.bounces == REFUSALS_MAX - 1, "the first one is long ago, and a filter is no wrong address"
    comes_back(5, 114)
    assert delivery.is_unreachable(follower)
    session.commit()
    assert receivers_number(session, letter.process_id) == 0
    page = "/konto/benachrichtigungen"
    assert "kommen bei Ihnen nicht an" in browser.sign_in(reader).text(page)
    browser.submit(page, form=-1)
    assert "kommen bei Ihnen nicht an" not in browser.text(page)
    assert receivers_number(session, letter.process_id) == 1


@pytest.mark.parametrize(("status", "is_wrong"), [
    ("5.1.1", True), ("5.1.10", True), ("5.0.0", True), ("4.4.7", True), ("5.2.1", True), ("5.7.1", False),
    ("5.6.0", False), ("5.3.4", False),
])
def test_what_a_server_says_of_the_text_is_no_word_about_the_address(sent: str, status: str, *, is_wrong: bool) -> None:
    found = read_returned(_report(sent, status=status))
    assert found is not None
    assert found.is_address_wrong is is_wrong


def _nested(depth: int) -> list[bytes]:
    """Reports in which each part holds another one: more than a parser can follow."""
    start = b"Content-Type: multipart/report; boundary=0\n\n"
    parts = [b"--%d\nContent-Type: multipart/mixed; boundary=%d\n\n" % (one, one + 1) for one in range(depth)]
    return [start + b"".join(parts), start + b"--0\n" + b"Content-Type: message/rfc822\n\n" * depth,
            start + b"--0\n" + b"Content-Type: Message/news\n\n" * depth]


def test_the_command_reads_a_report_and_takes_whatever_else_it_is_given(
    app: Beteiligung, session: Session, letter: Newsletter, sent: str,
) -> None:
    for raw in (_report(sent), b"Subject: Hallo\n\nText", b"\x00" * (LONGEST + 10), *_nested(3000)):
        done = CliRunner().invoke(bounces_command, input=raw, obj=lambda: app)
        assert (done.exit_code, done.output) == (0, "")
    assert _counts(session, letter) == (0, 1)
