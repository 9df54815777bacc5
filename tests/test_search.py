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
