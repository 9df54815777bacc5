"""Whoever goes through a page with the Tab key sees where they are: nothing that stays on the screen lies on top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from app import create_app
from participation.formats import BallotRule, VoteSettings
from participation.processes.models import Phase, Process
from participation.settings import Settings
from tests import factories
from tests.journeys import places

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.journeys.conftest import Visitor
    from tests.live import LivePlatform

pytestmark = pytest.mark.browser
STEPS = 300
# What has the focus, and whether any of it can be seen: at its corners and in its middle lies something else.
FOCUSED = """() => {
  const one = document.activeElement, box = one.getBoundingClientRect();
  const points = [[0.5, 0.5], [0.02, 0.1], [0.98, 0.1], [0.02, 0.9], [0.98, 0.9]].map(
    ([x, y]) => document.elementFromPoint(box.left + box.width * x, box.top + box.height * y));
  const seen = points.filter(each => each && (one.contains(each) || each.contains(one) ||
    [...(one.labels ?? [])].some(label => label.contains(each))) && !each.matches(".ballot__foot"));
  return {what: one.outerHTML.slice(0, 160), isEnd: one === document.body, isSeen: seen.length === points.length,
    isInMain: !!one.closest("main")};
}"""


@pytest.fixture(scope="module")
def papers(platform: LivePlatform) -> tuple[str, list[str]]:
    """The cookie of a resident who may vote, and the addresses of a basket and of a paper for and against."""
    app = create_app(Settings.from_environ(platform.environment))
    database = app.extensions["platform"].database
    with database.unit_of_work() as session:
        # Other journeys on the same platform may have added phases.
        basket = session.scalars(select(Phase).join(Process).where(
            Process.slug == "buergerbudget", Phase.format_key == "budget").order_by(Phase.id)).first()
        assert basket is not None
        vote = factories.phase("vote", settings=VoteSettings(ballot=BallotRule.PRO_CONTRA))
        process = factories.process(session, basket.process.municipality, title="Dafür oder dagegen", phases=[vote], position=99)
        for _number in range(12):
            factories.proposal(session, process)
        found = [f"/verfahren/{one.process.slug}/abstimmung/{one.id}" for one in (basket, vote)]
        cookie = places.signed_in(session, app, places.PEOPLE["resident"])
    database.dispose()
    return cookie, found


@pytest.mark.parametrize("width", [320, 1280])
def test_the_foot_of_a_ballot_paper_covers_nothing_that_has_the_focus(
    papers: tuple[str, list[str]], visit: Callable[..., Visitor], platform: LivePlatform, width: int
) -> None:
    """WCAG 2.2, 2.4.11."""
    cookie, addresses = papers
    visitor = visit(width, reduced_motion="reduce")
    visitor.page.context.add_cookies([{"name": "session", "value": cookie, "url": platform.url}])
    for address in addresses:
        page = visitor.go(address)
        for height in (700, 600, 400):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(platform.url + address)
            _go_through(visitor, "Tab")
            # Back from the end, too.
            _go_through(visitor, "Shift+Tab")


def _go_through(visitor: Visitor, key: str) -> None:
    """From one end of the page to the other."""
    hidden, reached = [], 0
    for _step in range(STEPS):
        visitor.page.keyboard.press(key)
        focused = visitor.page.evaluate(FOCUSED)
        if focused["isEnd"]:
            break
        reached += focused["isInMain"]
        if focused["isInMain"] and not focused["isSeen"]:
            hidden.append(focused["what"])
    assert reached > 8
    assert hidden == [], visitor.page.url
