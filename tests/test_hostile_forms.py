"""Every form that there is, filled with what nobody expects: an answer, never a fault of the server.

The forms come from the application's own map of addresses, so a new one cannot be forgotten. What each kind of text does
in the fields that matter most is asked by test_hostile_input.
"""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from app import Beteiligung, create_app
from moderation.commands import JOBS_OF_THE_DEMO
from participation import clock, outbox
from participation.demo.builder import build_town
from participation.settings import Settings
from tests.browser_client import Browser
from tests.conftest import SECRET
from tests.databases import migrated_sqlite
from tests.journeys import places
from tests.test_hostile_input import OWN, forms_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What is typed into the same form in one go, of all the texts in turn.
EACH = 4
# Digits that a keyboard of another script gives: for `isdecimal` as good as ours.
DIGITS = ("١٢٣٤٥٦", "１２３４５６", "²³¼")


class Town:
    """The demo town with everything that its pages can be about, as often as anew."""

    def __init__(self, app: Beteiligung, file: Path) -> None:
        """Fill the file."""
        self.app, self.file, platform = app, file, app.extensions["platform"]
        with app.app_context():
            with platform.database.unit_of_work() as session:
                build_town(session, platform.keyring, platform.settings, clock.now())
            with platform.database.reading() as session:
                rows = session.scalars(select(outbox.OutboxRow.id).where(outbox.OutboxRow.job.in_(JOBS_OF_THE_DEMO))).all()
            for row in rows:
                outbox.work_row(platform.database, row)
        with platform.database.unit_of_work() as session:
            found = places.prepared(session, platform.keyring, platform.settings.mail_dir)
            self.cookies = {who: places.signed_in(session, app, email) if email else ""
                            for who, email in places.PEOPLE.items()}
        self.addresses = [address for _rule, address in places.addresses(app, found)]
        platform.database.dispose()
        self.content = file.read_bytes()

    def visitor(self, who: str) -> Browser:
        """A browser in the town as it was before anybody sent anything."""
        self.app.extensions["platform"].database.dispose()
        for beside in ("-wal", "-shm"):
            self.file.with_name(self.file.name + beside).unlink(missing_ok=True)
        self.file.write_bytes(self.content)
        browser = Browser(self.app)
        if self.cookies[who]:
            browser.client.set_cookie("session", self.cookies[who])
        return browser


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Built once; what a form changes is undone before the next one."""
    folder = tmp_path_factory.mktemp("forms")
    app = create_app(Settings(
        environment="test", data_dir=folder, database_url=migrated_sqlite(folder / "town.sqlite3"), secret_key=SECRET,
        base_url="http://localhost", rate_limits=False, page_cache=False,
    ))
    app.config["WTF_CSRF_ENABLED"] = False
    yield Town(app, folder / "town.sqlite3")
    app.extensions["platform"].database.dispose()


@pytest.mark.parametrize("who", ["administrator", "resident", "visitor"])
def test_no_form_breaks_the_server(town: Town, who: str) -> None:
    texts, seen = cycle(OWN), set[tuple[str, ...]]()
    for page in town.addresses:
        for number, (method, address, preset, typed) in enumerate(_forms(town.visitor(who), page)):
            # The search in the head of every page is one form.
            kind = (method, address.split("?")[0].rstrip("0123456789"), *typed)
            if kind in seen:
                continue
            seen.add(kind)
            for text in (*DIGITS, *islice(texts, EACH)):
                browser = town.visitor(who)
                values = {**preset, **dict.fromkeys(typed, text.encode("utf-8", "surrogatepass"))}
                response = (browser.get(address.split("#")[0], query_string=values) if method == "GET"
                            else browser.post(address, values))
                assert response.status_code < 500, (page, number, address, typed, text[:60])
    assert len(seen) >= {"administrator": 50, "resident": 15, "visitor": 6}[who]


def _forms(browser: Browser, page: str) -> list[tuple[str, str, dict[str, Any], list[str]]]:
    """None where this reader sees no page."""
    response = browser.get(page)
    assert response.status_code < 500, page
    is_page = response.status_code == 200 and response.mimetype == "text/html"
    return forms_of(page, response.get_data(as_text=True)) if is_page else []
