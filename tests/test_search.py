"""Search finds what people mean, on both databases, and never what is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from participation import search
from participation.contributions.proposals.models import Proposal
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def test_search_finds_stems_umlauts_and_beginnings(session: Session) -> None:
    process = factories.process(session)
    wanted = factories.proposal(session, process, title="Radweg", body="Bitte einen Radweg an der Lange Straße bauen.")
    factories.proposal(session, process, title="Bänke am Markt", body="Mehr Sitzplätze.")

    def found(query: str) -> list[int]:
        return list(
            session.scalars(select(Proposal.id).where(search.matching(session, process.id, query, Proposal.id)))
        )

    for query in ("Radwege", "radweg straße", "strasse", "Straßen", "radw", "RADWEG"):
        assert found(query) == [wanted.id], query
    for query in ("Hund", "radweg markt", '"', "AND", "scope:p", "*", "'", "a:b & c", "\\", "🚲"):
        assert found(query) == [], query


def test_search_stays_within_its_process(session: Session) -> None:
    here, there = factories.process(session), factories.process(session)
    factories.proposal(session, there, title="Radweg")
    assert (
        list(session.scalars(select(Proposal.id).where(search.matching(session, here.id, "Radweg", Proposal.id)))) == []
    )


def test_removed_proposals_are_not_found(session: Session) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process, title="Radweg")
    search.remove_proposal(session, proposal.id)
    assert (
        list(session.scalars(select(Proposal.id).where(search.matching(session, process.id, "Radweg", Proposal.id))))
        == []
    )


def _found(session: Session, process_id: int, query: str) -> set[int]:
    return set(session.scalars(select(Proposal.id).where(search.matching(session, process_id, query, Proposal.id))))


def test_a_word_finds_those_that_end_with_it(session: Session) -> None:
    process, other = factories.process(session), factories.process(session)
    playground = factories.proposal(session, process, title="Neues auf dem Spielplatz", body="Eine Schaukel.")
    market = factories.proposal(session, process, title="Bänke", body="Am Marktplatz und an zwei Sitzplätzen.")
    factories.proposal(session, process, title="Platzregen", body="Läuft nicht ab.")
    factories.proposal(session, other, title="Der Sportplatz", body="Liegt in einem anderen Verfahren.")

    assert _found(session, process.id, "Plätze Schaukel") == {playground.id}
    assert _found(session, process.id, "Schaukel Platz") == {playground.id}
    assert {playground.id, market.id} <= _found(session, process.id, "Platz")
    assert _found(session, process.id, "Plätze Bank") == {market.id}
    assert _found(session, process.id, "atz") == set(), "too short a stem means the word alone"


def test_slips_of_the_finger_are_forgiven_also_for_words_of_the_text(session: Session) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Abends lesen", body="Die Bibliothek soll länger öffnen. Fahrräder auch.")
    for typed, meant in (("Bibliotek", "Bibliothek"), ("Biblitohek", "Bibliothek"),
                         ("Fahrader", "Fahrräder"), ("abends Bibliotek", "abends Bibliothek")):
        assert search.spelt_right(session, process.id, typed) == meant, typed
    for typed in ("Bibliothek", "Schwimmbad", "xx", "", "%%%%", "12345", "a" * 500, "\u202eBiblio", "🚲🚲🚲🚲"):
        assert search.spelt_right(session, process.id, typed) is None, typed


def test_a_word_is_found_and_mended_also_where_it_is_part_of_longer_ones(session: Session) -> None:
    process = factories.process(session)
    wanted = factories.proposal(session, process, title="Überdachte Fahrradständer", body="Vor dem Feuerwehrhaus.")
    factories.proposal(session, process, title="Ein Bücherschrank", body="Auf dem Wochenmarkt.")
    for typed in ("Fahrrad", "Fahrräder", "Ständer", "Feuerwehr"):
        assert _found(session, process.id, typed) == {wanted.id}, typed
        assert search.spelt_right(session, process.id, typed) is None, typed
    for typed, meant in (("Farrad", "Fahrrad"), ("Fahrad", "Fahrrad"), ("Feuerwher", "Feuerwehr"), ("Shcrank", "Schrank")):
        assert search.spelt_right(session, process.id, typed) == meant, typed
        assert _found(session, process.id, meant), typed
    for typed in ("Schwimmbad", "Theater", "Ferien"):
        assert search.spelt_right(session, process.id, typed) is None, typed


def test_words_of_what_is_hidden_are_forgotten(session: Session) -> None:
    process = factories.process(session)
    hidden = factories.proposal(session, process, title="Laternen", body="Herr Quastenflosser wohnt am Lärchenweg.")
    factories.proposal(session, process, title="Mehr Laternen", body="Es ist dunkel am Buchenweg.")
    assert search.spelt_right(session, process.id, "Quastenfloser") == "Quastenflosser"

    search.remove_proposal(session, hidden.id)

    assert search.spelt_right(session, process.id, "Quastenfloser") is None
    assert search.spelt_right(session, process.id, "Laterrnen") == "Laternen", "another proposal has it still"


def test_a_changed_text_takes_its_old_words_with_it(session: Session) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process, title="Radweg", body="Meine Telefonnummer kennt Quastenflosser.")
    search.index_proposal(session, proposal.id, process.id, "Radweg", "Bitte bauen.")
    assert search.spelt_right(session, process.id, "Quastenfloser") is None
    assert search.spelt_right(session, process.id, "Radwweg") == "Radweg"


def test_a_batch_of_an_import_is_found_like_the_rest(session: Session) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process, title="x", body="y")
    search.remove_proposal(session, proposal.id)
    search.index_many(session, process.id, [(proposal.id, "Trinkbrunnen", "Am Rathausplatz")])
    assert _found(session, process.id, "Brunnen Platz") == {proposal.id}


def test_parts_of_words_leave_nothing_behind_when_a_proposal_is_hidden(session: Session) -> None:
    """An address is often why something is hidden: nothing of it may be suggested to who types almost the same."""
    process = factories.process(session)
    hidden = factories.proposal(
        session, process, title="Quastenflosser2024", body="quastenflosser@lerchenfeld.example, www.schnurzelbein.example, "
        "Amselhausen/Drosselhausen, sperlingsnest_finkenschlag, Rotkehlchen-Zaunkönig, c:\\Elsternbach\\Dohlenturm")
    session.commit()
    search.remove_proposal(session, hidden.id)
    session.commit()
    for typed in ("Quastenfloser", "Lerchenfeldt", "Schnurzelbain", "Amselhaussen", "Drosselhaussen", "Sperlingsnesd",
                  "Finkenschlak", "Rotkelchen", "Zaunkönik", "Elsternbech", "Dohlenturn"):
        assert search.spelt_right(session, process.id, typed) is None, typed


def test_signs_between_words_hide_neither(session: Session) -> None:
    process = factories.process(session)
    wanted = factories.proposal(session, process, title="Bänke/Tische", body="Siehe www.schnurzelbein.example am Markt.")
    session.commit()
    for query in ("Tische", "Bänke", "Schnurzelbein", "bänke/tische"):
        found = session.scalars(select(Proposal.id).where(search.matching(session, process.id, query, Proposal.id)))
        assert list(found) == [wanted.id], query


def test_letters_in_the_wrong_order_are_put_right_also_within_longer_words(session: Session) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Straßenlaternen am Weg", body="Und Fahrradständer an der Bibliothek.")
    for typed, meant in (("Lateren", "Laterne"), ("Latrene", "Laterne"), ("Fharrad", "Fahrrad"), ("Fahrrda", "Fahrrad"),
                         ("Biblitohek", "Bibliothek"), ("Latrenen", "Laternen")):
        assert search.spelt_right(session, process.id, typed) == meant, typed
        assert _found(session, process.id, meant), meant
    factories.proposal(session, process, title="Laternen am Bach", body="Ein Fahrrad für alle.")
    assert search.spelt_right(session, process.id, "Lateren") == "Laternen", "a word that stands there by itself"
    assert search.spelt_right(session, process.id, "x" * 39 + "ab") is None


def test_a_word_that_stands_in_longer_ones_is_not_put_right(session: Session) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Sensoren für Parkplätze", body="Sie zählen.")
    assert search.spelt_right(session, process.id, "Senioren") == "Sensoren"
    factories.proposal(session, process, title="Ein Seniorentreff", body="Kaffee.")
    assert search.spelt_right(session, process.id, "Senioren Kafffee") == "Senioren Kaffee"


def test_a_part_of_a_longer_word_is_suggested_as_it_is_written_there(session: Session) -> None:
    process = factories.process(session)
    factories.proposal(session, process, title="Müllabfuhrkalender", body="Für alle Fußgängerüberwege.")
    for typed, meant in (("Müllabfhur", "Müllabfuhr"), ("Mullabfhur", "Müllabfuhr"), ("Fußgägner", "Fußgänger"),
                         ("Überwgee", "Überwege")):
        assert search.spelt_right(session, process.id, typed) == meant, typed
