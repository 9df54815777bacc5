"""Nobody signs as the town hall who is not of it."""

from __future__ import annotations

import pytest

from participation.accounts.names import claims_office


@pytest.mark.parametrize("name", [
    "Stadtverwaltung", "stadtverwaltung Billerbeck", "Moderation", "MODERATION", "M o d e r a t i o n", "Mod\u0435r\u0430tion",
    "\uff2doderation", "Moder\u0430t\u043er", "Verwa1tung", "VerwaItung", "Bu\u0308rgermeister Meier", "Die.Stadtverwaltung",
    "M0derati0n", "Admin", "Mod\u00e9ration", "xxStadtverwaltungxx", "Team Moderation",
    "Stadt Billerbeck", "die  STADT Musterhausen", "Kreis Coesfeld",
])
def test_names_of_offices_are_seen_however_they_are_spelt(name: str) -> None:
    assert claims_office(name)


@pytest.mark.parametrize("name", [
    "Anna", "Anna Kreis", "Stadtkind Anna", "Bert M.", "Admiral", "Rathausplatz-Anwohnerin", "Moderne", "Gast", "\u0410\u043d\u043d\u0430", "\u05d3\u05d5\u05d3", "Person 17", "J\u00fcrgen Meister",
])
def test_other_names_are_left_alone(name: str) -> None:
    assert not claims_office(name)
