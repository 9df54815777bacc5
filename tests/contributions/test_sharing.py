"""Passing a proposal on, what is like it, and a search that forgives a slip of the finger."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from lxml import etree

from participation.contributions.models import ContributionState
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from tests.browser_client import Browser


@pytest.fixture
def proposal(session: Session) -> Proposal:
    process = factories.process(session)
    found = factories.proposal(session, process, title="Bürgerbus am Abend", body="Der Bürgerbus soll auch abends fahren.")
    factories.proposal(session, process, title="Laternen am Radweg", body="Es ist dunkel.")
    session.commit()
    return found


def _page(proposal: Proposal) -> str:
    return f"/verfahren/{proposal.process.slug}/vorschlaege"


def test_a_public_proposal_has_a_code_to_put_up_and_ways_to_pass_it_on(session: Session, proposal: Proposal, browser: Browser) -> None:
    page = browser.open(f"{_page(proposal)}/{proposal.id}")
    assert page.xpath("//a[starts-with(@href, 'mailto:?subject=B%C3%BCrgerbus')]")
    assert page.xpath("//li[@data-copy][@hidden]"), "offered only where a script can do it"
    answer = browser.get(page.xpath("//img[contains(@src, 'qr.svg')]/@src")[0])
    assert answer.mimetype == "image/svg+xml"
    assert etree.fromstring(answer.get_data()).tag.endswith("svg")
    hidden = factories.proposal(session, proposal.process, state=ContributionState.SUBMITTED)
    session.commit()
    for name in ("qr.svg", "aehnliche"):
        assert browser.get(f"{_page(proposal)}/{hidden.id}/{name}").status_code == 404


def test_similar_proposals_are_listed_without_itself(session: Session, proposal: Proposal, browser: Browser) -> None:
    address = f"{_page(proposal)}/{proposal.id}/aehnliche"
    assert "Bisher gibt es keinen ähnlichen Vorschlag" in browser.text(address)
    other = factories.proposal(session, proposal.process, title="Bürgerbus am Abend auch sonntags", body="Bürgerbus, Abend, Sonntag.")
    proposal.process.municipality.content_version += 1
    session.commit()
    links = browser.open(address).xpath("//article//h3//a/@href")
    assert links == [f"{_page(proposal)}/{other.id}"]


@pytest.mark.parametrize(("typed", "found"), [
    ("Bürgerbuss", True), ("bügerbus", True), ("Laterne Radweeg", True), ("Bürgerbus", True), ("Quittengelee", False),
    ("xy", False), ("'\"%_*", False), ("ß" * 100, False),
])
def test_a_slip_of_the_finger_still_finds(proposal: Proposal, browser: Browser, typed: str, found: bool) -> None:  # noqa: FBT001
    text = browser.client.get(_page(proposal), query_string={"q": typed}).get_data(as_text=True)
    assert ("1 Vorschlag" in text) is found
    assert ("gibt es nichts. Hier stehen" in text) is (found and typed != "Bürgerbus")
