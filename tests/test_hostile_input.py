"""Whatever is typed into whatever field: an answer in German, never a fault of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html

from participation.formats import BallotRule, VoteSettings
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser

STRINGS = Path(__file__).parents[2] / "shared" / "data" / "hostile_input" / "blns.json"
# What the list of naughty strings lacks: what PostgreSQL refuses, what sorts or cuts text wrongly, what forges headers.
OWN = (
    "\x00", "a\x00b", "\ud800", "\u202etxt", "\u200b", "x\r\nBcc: a@b.example", "=1+1", "-2147483649", "9" * 400,
    "ſtraße\u0301" * 50, "<!--:0-->", "{{ 7*7 }}", "%s%n", "a" * 100_001, "2026-02-30", "2026-10-25T02:30", "NaN", "1e999",
)
RESIDENT_PAGES = (
    "/verfahren/{slug}/vorschlaege/neu", "/verfahren/{slug}/vorschlaege/{proposal}", "/konto", "/konto/e-mail",
    "/verfahren/{slug}/vorschlaege/{proposal}/kommentare", "/barrierefreiheit/melden", "/beleg",
    "/verfahren/{slug}/abstimmung/{points}",
)
STRANGER_PAGES = ("/konto/anmelden", "/konto/registrieren", "/konto/passwort-vergessen", "/konto/anmelden-per-link", "/melden/{proposal}",
                  "/verfahren/{slug}/folgen", "/verfahren/{slug}/folgen?vorschlag={proposal}")
STAFF_PAGES = (
    "/verwaltung/verfahren/neu", "/verwaltung/verfahren/{process}", "/verwaltung/verfahren/{process}/phasen/neu",
    "/verwaltung/verfahren/{process}/phasen/{phase}", "/verwaltung/verfahren/{process}/themen",
    "/verwaltung/verfahren/{process}/dokumente", "/verwaltung/verfahren/{process}/massnahmen/neu", "/verwaltung/kommune",
    "/verwaltung/kommune/seiten/impressum", "/verwaltung/konten", "/verwaltung/verfahren/{process}/rollen", "/moderation",
    "/verfahren/{slug}/vorschlaege/{proposal}/antwort",
    "/verfahren/{slug}/vorschlaege/{proposal}", "/verwaltung/verfahren/{process}/rundbriefe",
    "/verwaltung/verfahren/{process}/neuigkeiten", "/verwaltung/verfahren/{process}/sprachen?sprache=en",
    "/verwaltung/verfahren/{process}/phasen/{budget}/stimmzettel",
)
TYPED = "self::textarea or (self::input and not(@type) or @type='text' or @type='email' or @type='password' or "
TYPED += "@type='search' or @type='url' or @type='number' or @type='date' or @type='datetime-local' or @type='color' or "
TYPED += "@type='tel')"


def forms_of(page: str, text: str) -> list[tuple[str, str, dict[str, Any], list[str]]]:
    """(method, address, preset values, typed fields) of every form of a page that has something to type into."""
    found = []
    for form in html.fromstring(text).forms:
        typed = [field.get("name") for field in form.xpath(f".//*[{TYPED}]") if field.get("name")]
        if typed:
            found.append(((form.method or "GET").upper(), form.action or page, dict(form.form_values()), typed))
    return found


def _strings(part: int, database: str) -> list[str]:
    """Our own for every form; of the long list a part each, so that every string reaches every part of the platform.

    The two databases share the long list; what they treat differently is among our own.
    """
    every = json.loads(STRINGS.read_text(encoding="utf-8")) if STRINGS.is_file() else []
    return [*OWN, *every[2 * (part % 6) + (database == "sqlite") :: 12]]


@pytest.mark.parametrize("who", ["resident", "stranger", "staff"])
def test_no_text_in_any_field_breaks_the_server(
    session: Session, new_browser: Callable[[], Browser], who: str
) -> None:
    town = factories.municipality(session)
    process = factories.process(session, town, phases=[
        factories.phase("collect"), factories.phase("budget"),
        factories.phase("vote", settings=VoteSettings(ballot=BallotRule.POINTS)),
    ])
    proposal = factories.proposal(session, process)
    place = {"budget": process.phases[1].id, "points": process.phases[2].id, "slug": process.slug, "proposal": proposal.id, "process": process.id, "phase": process.phases[0].id}
    browser = new_browser()
    if who != "stranger":
        roles = tuple(Role) if who == "staff" else ()
        account = factories.account(session, *roles, town=town)
        session.commit()
        browser.sign_in(account)
    session.commit()
    pages = {"resident": RESIDENT_PAGES, "stranger": STRANGER_PAGES, "staff": STAFF_PAGES}[who]
    part = 0
    for page in pages:
        opened = browser.get(page.format(**place))
        assert opened.status_code == 200, page
        for method, address, preset, typed in forms_of(page.format(**place), opened.get_data(as_text=True)):
            part += 1
            for text in _strings(part, session.get_bind().dialect.name):
                values = {**preset, **dict.fromkeys(typed, text.encode("utf-8", "surrogatepass"))}
                if method == "GET":
                    response = browser.get(address.split("#")[0], query_string=values)
                else:
                    response = browser.post(address, values)
                assert response.status_code < 500, (address, typed, text[:80])
    assert part >= len(pages) - 1


def test_addresses_full_of_junk_show_a_page_or_are_not_found(session: Session, new_browser: Callable[[], Browser]) -> None:
    town = factories.municipality(session)
    process = factories.process(session, town)
    proposal = factories.proposal(session, process)
    admin = factories.account(session, *Role, town=town)
    session.commit()
    browser = new_browser().sign_in(admin)
    junk = ("-1", "1000000000", "1e9", "' OR 1=1 --", "<script>", "\x00", "created_at", "neu,unterstuetzt", "٣", "9" * 30)
    base = f"/verfahren/{process.slug}"
    addresses = {
        f"{base}/vorschlaege": ("q", "thema", "sort", "nach", "per_page", "seite"),
        base: ("sprache",), f"{base}/neuigkeiten": ("vor",), f"{base}/folgen": ("vorschlag",), "/konto/beitraege": ("vor",),
        f"/verwaltung/verfahren/{process.id}/sprachen": ("sprache",),
        f"/verwaltung/verfahren/{process.id}/verlauf": ("vor",),
        f"{base}/vorschlaege/{proposal.id}": ("kommentare", "kommentare_nach"),
        f"{base}/karte.geojson": ("thema", "bbox", "zoom", "z"),
        "/verfahren": ("archiv",), "/moderation": ("verfahren", "art", "auffaellig", "nach"),
        "/moderation/entscheidungen": ("vor",), "/verwaltung/verfahren": ("nach",), "/verwaltung/konten": ("nach",),
        f"/verwaltung/verfahren/{process.id}/massnahmen": ("q", "nach"),
    }
    for address, names in addresses.items():
        for name in names:
            for value in junk:
                assert browser.get(address, query_string={name: value}).status_code in {200, 303, 400, 404}, (
                    address, name, value)
