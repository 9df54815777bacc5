"""Nobody signs as the town hall who is not of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation import clock
from participation.accounts.names import claims_office, has_address, is_taken_for
from participation.contributions.personal.operations import rename
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring
    from tests.browser_client import Browser


@pytest.mark.parametrize("name", [
    "Stadtverwaltung", "stadtverwaltung Billerbeck", "Moderation", "MODERATION", "M o d e r a t i o n", "Mod\u0435r\u0430tion",
    "\uff2doderation", "Moder\u0430t\u043er", "Verwa1tung", "VerwaItung", "Bu\u0308rgermeister Meier", "Die.Stadtverwaltung",
    "M0derati0n", "Admin", "Mod\u00e9ration", "xxStadtverwaltungxx", "Team Moderation",
    "Stadt Billerbeck", "die  STADT Musterhausen", "Kreis Coesfeld", "Tobias L., Stadt Billerbeck", "Jo (Gemeinde Musterhausen)",
    "Bürgerbüro", "Buergerbuero Billerbeck", "Buergermeister", "Frau Burgermeisterin", "Rathaus", "R.a.t.h.a.u.s", "Team Rathaus",
    "Landrat Meier", "Herr Landrat", "Anna vom Rathaus", "Anna (Rathaus)", "Anna - Rathaus", "Landraetin", "Anna Moderation",
    "Info Rathaus", "Ihr Landrat", "Pressestelle Rathaus", "Büro Landrat", "Polizei Billerbeck", "Kaemmerei", "Moderator1", "Verwaltung48", "Jugendamt", "Amt für Ordnung", "Bundespolizei", "Gelöschtes Konto",
])
def test_names_of_offices_are_seen_however_they_are_spelt(name: str) -> None:
    assert claims_office(name)


@pytest.mark.parametrize("name", [
    "Anna", "Anna Kreis", "Stadtkind Anna", "Bert M.", "Admiral", "Rathausplatz-Anwohnerin", "Moderne", "Gast", "\u0410\u043d\u043d\u0430", "\u05d3\u05d5\u05d3", "Person 17", "J\u00fcrgen Meister", "Stadt-Kind", "Karol Rathaus", "Hermann Landrat", "Anna Meyer-Landrat", "Stadt Land Fluss", "Stadt, Land, Fluss",
    "Stadt der Zukunft", "Gemeinde mit Herz", "Kreis und Quer", "Manuela Bauer", "Anna aus dem Kreis Coesfeld",
    "Anna Kämmerer", "Peter Kammerer", "Jan Kammereit", "Insgesamt zufrieden", "Samt und Seide",
])
def test_other_names_are_left_alone(name: str) -> None:
    assert not claims_office(name)


@pytest.mark.parametrize(("name", "taken"), [
    ("Tobias Lünnemann", True), ("tobias  lunnemann", True), ("Tob\u0456as L\u00fcnnemann", True), ("Tobias", False),
    ("Herr Tobias Lünnemann", True), ("Hr. Dr.Tobias Lünnemann", True), ("Tobias Luennemann", True), ("TOBIAS LUENNEMANN", True),
    ("Rita R.", True), ("Dr. Uwe Groß", True), ("Uwe Gross", True), ("Herr Mann", False), ("Frau Rita", False), ("Herrtobias", False),
    ("Stadt-Muenster", True), ("Stadt-Billerbeck", True), ("Die.Stadt.Billerbeck", True), ("Billerbecker Kind", False), ("Billerbeck ist schön", False),
    ("Billerbeck", True), ("Svenja Oelkers", True), ("Frau Svenja Oelkers", True), ("Svenja", False), ("Oelkers, Svenja", True), ("Svenja M. Oelkers", True), ("Svenja Oelkers (Stadt)", True),
    ("Svenja Oelkers 2", True), ("SvenjaOelkers", True), ("Svenja_Oelkers", True), ("Svenja Oelkers48", True), ("Svenja-Oelkers", True),
    ("Tobias Müller", False), ("Svenja Meier", False),
    ("Jutta", False),
])
def test_nobody_looks_like_one_of_the_staff_or_holds_the_town_s_own_name(name: str, *, taken: bool) -> None:
    assert is_taken_for(name, ["Billerbeck", "Münster"], [
        "Tobias Lünnemann", "Rita R.", "Dr. Uwe Groß", "Svenja Oelkers, Stadt Billerbeck", "Jutta, Stadt Billerbeck"]) is taken


@pytest.mark.parametrize(("name", "leads"), [
    ("Gewinn! https://evil.example/x", True), ("www.gewinn.de", True), ("gewinn.de", True), ("a@b.de", True), ("bit.ly/3xYz", True), ("evil\uff0ede", True),
    ("J.de Vries", False), ("M.E.de Boer", False),
    ("Dr. Anna B.", False), ("St. Ludger", False), ("Jo.Hanna", False),
])
def test_a_name_leads_nowhere(name: str, *, leads: bool) -> None:
    assert has_address(name) is leads


def test_a_resident_can_not_take_the_name_of_one_of_the_staff(
    session: Session, new_browser: Callable[[], Browser], keyring: Keyring,
) -> None:
    town = factories.process(session).municipality
    editor = factories.account(session, Role.EDITOR, town=town, display_name="Tobias Lünnemann")
    resident = factories.account(session, display_name="Hanne")
    session.commit()
    answer = new_browser().sign_in(resident).submit("/konto", {"display_name": "Tobias Lunnemann"}, form="/konto/name")
    assert answer.status_code == 422
    assert "klingt nach Verwaltung" in answer.get_data(as_text=True)
    rename(session, keyring, factories.actor(editor), editor, "Tobias Lünnemann", everywhere=True, now=clock.now())
    rename(session, keyring, factories.actor(resident), resident, "Tobias", everywhere=True, now=clock.now())
