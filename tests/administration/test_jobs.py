"""In an installation of several towns each administration sees its own jobs and mails."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from participation import clock, outbox
from participation.accounts.models import Account
from participation.permissions import Role
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.municipalities.models import Municipality

OTHER = "anderswo.example"


@pytest.fixture
def town(session: Session) -> Municipality:
    return factories.municipality(session, name="Hier")


@pytest.fixture
def other(session: Session, town: Municipality) -> Municipality:
    return factories.municipality(session, name="Anderswo", host=OTHER)


class _Visitor(Browser):
    """A browser at the address of one town."""

    def __init__(self, app: Beteiligung, town: Municipality) -> None:
        super().__init__(app)
        for name in ("get", "post", "session_transaction"):
            setattr(self.client, name, partial(getattr(self.client, name), base_url=f"http://{town.host or 'localhost'}"))


def _admin(session: Session, app: Beteiligung, town: Municipality) -> Browser:
    account = factories.account(session, Role.ADMIN, town=town, totp_confirmed_at=clock.now())
    session.commit()
    return _Visitor(app, town).sign_in(account)


def _ask_for_a_link(app: Beteiligung, town: Municipality, account: Account) -> None:
    assert _Visitor(app, town).post("/konto/anmelden-per-link", {"email": account.email}).status_code in {302, 303}


def test_each_town_sees_its_own_jobs_and_mails_and_their_links_lead_to_it(
    session: Session, app: Beteiligung, town: Municipality, other: Municipality,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    people = {place.id: factories.account(session, locale="de") for place in (town, other)}
    here, there = _admin(session, app, town), _admin(session, app, other)
    for place in (town, other):
        _ask_for_a_link(app, place, people[place.id])
    rows = {row.municipality_id: row.id for row in session.scalars(select(outbox.OutboxRow))}
    assert set(rows) == {town.id, other.id}
    run_jobs()
    texts = {one.split("\n")[0].removeprefix("To: "): one for one in mails()}
    assert f"http://{OTHER}" in texts[people[other.id].email]
    assert OTHER not in texts[people[town.id].email]
    for browser, own, foreign in ((here, town, other), (there, other, town)):
        table = browser.open("/verwaltung/auftraege").xpath("//td[1]/text()")
        assert table == [str(rows[own.id])]
        page = browser.open("/verwaltung/mails")
        assert people[own.id].email in page.text_content()
        assert people[foreign.id].email not in page.text_content()
    address = here.open("/verwaltung/mails").xpath("//tbody//a/@href")[0]
    assert here.get(address).status_code == 200
    for page in ("/verwaltung/mails", address):
        assert re.search(r"\d\d\.\d\d\.\d{4}, \d\d:\d\d Uhr", here.text(page)), "as Germans write it"
        assert "+0000" not in here.text(page)
    assert there.get(address).status_code == 404
    kept = next(path for path in app.extensions["platform"].settings.mail_dir.iterdir() if path.name in address)
    kept.write_text("".join(line for line in kept.read_text().splitlines(keepends=True) if not line.startswith("Date:")))
    for page in ("/verwaltung/mails", address):
        assert re.search(r"\d\d\.\d\d\.\d{4}, \d\d:\d\d Uhr", here.text(page)), "without a date, when it was kept"


def test_a_parked_job_of_another_town_is_left_alone_and_nobodys_belongs_to_the_operator(
    session: Session, app: Beteiligung, town: Municipality, other: Municipality,
) -> None:
    for place in (other.id, None):
        outbox.enqueue(session, "check_case", f"stuck:{place}", owner_id=place, case_id=1)
    for row in session.scalars(select(outbox.OutboxRow)):
        row.failed_at, row.attempts = clock.now(), 3
    here, there = _admin(session, app, town), _admin(session, app, other)
    rows = {row.municipality_id: row for row in session.scalars(select(outbox.OutboxRow))}
    assert here.open("/verwaltung/auftraege").xpath("//td") == []
    for row in rows.values():
        assert here.post(f"/verwaltung/auftraege/{row.id}/wiederholen").status_code == 404
    assert there.open("/verwaltung/auftraege").xpath("//td[1]/text()") == [str(rows[other.id].id)]
    assert there.post(f"/verwaltung/auftraege/{rows[other.id].id}/wiederholen").status_code == 303
    session.expire_all()
    assert rows[other.id].failed_at is None
    assert rows[None].failed_at is not None


def test_the_only_town_sees_what_belongs_to_none(session: Session, app: Beteiligung, town: Municipality) -> None:
    outbox.enqueue(session, "check_case", "of-a-command", case_id=1)
    assert len(_admin(session, app, town).open("/verwaltung/auftraege").xpath("//tbody/tr")) == 1
