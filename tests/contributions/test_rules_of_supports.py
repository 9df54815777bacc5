"""What a vote by supports asks of people stays as it was when the first of them gave theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html

from participation import clock
from participation.contributions.votes import operations as votes
from participation.errors import Conflict, InvalidInput
from participation.formats import (
    CollectSettings,
    DiscussSettings,
    PhaseSettings,
    Verification,
    VoteSettings,
)
from participation.permissions import Role
from participation.processes import operations
from participation.processes.models import Phase, ProcessVersion
from tests import factories
from tests.contributions.test_extended_votes import _entered as entered, _wall as wall

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.contributions.proposals.models import Proposal
    from participation.permissions import Actor
    from participation.tokens import Keyring
    from tests.browser_client import Browser

OPEN = VoteSettings()
DAY = timedelta(days=1)


@pytest.fixture
def begun(session: Session, keyring: Keyring) -> Callable[..., tuple[Phase, Proposal]]:
    """A phase in which somebody has supported a proposal, `ago` before now."""

    def begin(settings: PhaseSettings, kind: str = "vote", ago: timedelta = DAY / 24, **values: Any) -> tuple[Phase, Proposal]:
        process = factories.process(session, phases=[
            factories.phase(kind, title="Abstimmung", settings=settings, **values),
            factories.phase("collect", opens=-90, closes=-60, position=1)])
        liked = factories.proposal(session, process)
        session.commit()
        proofs = frozenset({(Verification.LETTER, process.municipality_id)})
        voter = replace(factories.actor(factories.account(session)), verifications=proofs)
        votes.support(session, keyring, voter, liked, clock.now() - ago)
        session.commit()
        return process.phases[0], liked

    return begin


def _editor(session: Session, phase: Phase) -> Actor:
    return factories.actor(factories.account(session, Role.EDITOR, on=phase.process))


def _save(session: Session, actor: Actor, phase: Phase, settings: PhaseSettings, **values: Any) -> None:
    operations.save_phase(session, actor, phase.process, phase, clock.now(), **{
        "format_key": phase.format_key, "title": phase.title, "body": "", "starts_at": wall(phase.starts_at),
        "ends_at": operations.shown_end(phase.ends_at), "settings": settings, **values})


@pytest.mark.parametrize(("field", "value"), [
    ("setting_verification", "letter"), ("setting_ballot", "points"), ("setting_results", "after"),
])
def test_the_form_says_beside_the_field_what_stays_and_keeps_the_rest(
    session: Session, begun: Callable[..., tuple[Phase, Proposal]], browser: Browser, field: str, value: str,
) -> None:
    phase, _liked = begun(OPEN)
    before = dict(phase.stored_settings)
    browser.sign_in(factories.account(session, Role.EDITOR, on=phase.process))
    session.commit()
    address = f"/verwaltung/verfahren/{phase.process_id}/phasen/{phase.id}"
    answer = browser.submit(address, {field: value, "title": "Ein neuer Titel"}, form=1)
    assert answer.status_code == 409
    page = html.fromstring(answer.get_data(as_text=True))
    told = page.get_element_by_id(f"{field}-fehler")
    assert "Die Regeln der Abstimmung bleiben, wie sie sind." in told.text_content()
    assert page.xpath("//input[@name='title']/@value") == ["Ein neuer Titel"]
    session.expire_all()
    assert (phase.title, phase.stored_settings) == ("Abstimmung", before)
    assert browser.submit(address, {"title": "Ein neuer Titel", "setting_comments_open": True}, form=1).status_code == 200
    session.expire_all()
    assert phase.title == "Ein neuer Titel"


def test_rules_are_free_until_the_first_support_of_the_phase(
    session: Session, keyring: Keyring, begun: Callable[..., tuple[Phase, Proposal]],
) -> None:
    """Supports of an earlier phase bind nobody here."""
    strict = VoteSettings(verification=Verification.EMAIL)
    phase, liked = begun(OPEN, opens=-80, ago=70 * DAY)
    phase.starts_at = clock.now() - DAY
    session.commit()
    _save(session, _editor(session, phase), phase, strict)
    assert phase.settings == strict
    votes.support(session, keyring, factories.actor(factories.account(session)), liked, clock.now())
    with pytest.raises(Conflict):
        _save(session, _editor(session, phase), phase, OPEN)
    waiting, _liked = begun(OPEN)
    waiting.starts_at, waiting.vague_dates = None, "Im Frühjahr"
    session.commit()
    _save(session, _editor(session, waiting), waiting, strict, vague_dates="Im Frühjahr")
    assert waiting.settings == strict


def test_an_end_that_is_set_back_frees_no_rules(
    session: Session, begun: Callable[..., tuple[Phase, Proposal]],
) -> None:
    settings = CollectSettings()
    phase, _liked = begun(settings, "collect", ago=DAY / 48)
    editor = _editor(session, phase)
    phase.ends_at = clock.now() - DAY / 2
    session.commit()
    with pytest.raises(Conflict):
        _save(session, editor, phase, replace(settings, support_verification=Verification.LETTER),
              ends_at=wall(clock.now() + DAY))


def test_a_vote_is_not_removed_from_under_those_who_voted(
    session: Session, begun: Callable[..., tuple[Phase, Proposal]],
) -> None:
    phase, _liked = begun(VoteSettings())
    with pytest.raises(Conflict, match="Beenden Sie sie, statt sie zu löschen"):
        operations.delete_phase(session, _editor(session, phase), phase, clock.now())


def test_a_vote_by_supports_does_not_become_another_format(
    session: Session, begun: Callable[..., tuple[Phase, Proposal]],
) -> None:
    phase, _liked = begun(OPEN)
    with pytest.raises(Conflict) as refused:
        _save(session, _editor(session, phase), phase, DiscussSettings(supports_open=True), format_key="discuss")
    assert refused.value.field == "format_key"


@pytest.mark.parametrize(("kind", "settings", "other", "field"), [
    ("collect", CollectSettings(), {"support_verification": Verification.LETTER}, "setting_support_verification"),
    ("collect", CollectSettings(support_verification=Verification.LETTER), {"support_verification": Verification.NONE},
     "setting_support_verification"),
    ("discuss", DiscussSettings(supports_open=True), {"verification": Verification.RESIDENCE}, "setting_verification"),
])
def test_supports_given_beside_something_else_keep_their_proof(
    session: Session, begun: Callable[..., tuple[Phase, Proposal]], kind: str, settings: PhaseSettings,
    other: dict[str, Any], field: str,
) -> None:
    phase, _liked = begun(settings, kind)
    editor = _editor(session, phase)
    with pytest.raises(Conflict, match="Der Nachweis dafür bleibt, wie er ist") as refused:
        _save(session, editor, phase, replace(settings, **other))
    assert refused.value.field == field
    # Nobody supports any more: that is no other rule.
    closed = replace(settings, supports_open=False)
    _save(session, editor, phase, closed)
    assert phase.settings == closed


@pytest.mark.parametrize("moved", ["later", "earlier", "none"])
def test_a_vote_that_has_begun_does_not_begin_at_another_time(
    session: Session, begun: Callable[..., tuple[Phase, Proposal]], browser: Browser, moved: str,
) -> None:
    """Everybody would have all their votes again, or those of an earlier phase would be taken from them."""
    phase, _liked = begun(OPEN)
    start = phase.starts_at
    assert start is not None
    browser.sign_in(factories.account(session, Role.EDITOR, on=phase.process))
    session.commit()
    wanted: dict[str, datetime] = {"later": start + DAY / 2, "earlier": start - DAY}
    sent = entered(wanted[moved]) if moved in wanted else ""
    address = f"/verwaltung/verfahren/{phase.process_id}/phasen/{phase.id}"
    answer = browser.submit(address, {"starts_at": sent}, form=1)
    assert answer.status_code == 422
    told = html.fromstring(answer.get_data(as_text=True)).get_element_by_id("starts_at-fehler")
    assert "Der Beginn bleibt, wie er ist" in told.text_content()
    session.expire_all()
    assert phase.starts_at == start
    with pytest.raises(InvalidInput):
        _save(session, _editor(session, phase), phase, OPEN, starts_at=wall(start - 2 * DAY))


def test_the_way_back_in_the_history_moves_no_beginning_either(
    session: Session, begun: Callable[..., tuple[Phase, Proposal]], browser: Browser,
) -> None:
    phase, _liked = begun(OPEN)
    start, editor = phase.starts_at, _editor(session, phase)
    assert start is not None
    phase.starts_at = start - DAY
    _save(session, editor, phase, OPEN, title="Von früher")
    old = session.query(ProcessVersion).order_by(ProcessVersion.id.desc()).first()
    assert old is not None
    phase.starts_at = start
    _save(session, editor, phase, OPEN, title="Abstimmung")
    begins = phase.starts_at
    browser.sign_in(factories.account(session, Role.EDITOR, on=phase.process))
    session.commit()
    browser.submit(f"/verwaltung/verfahren/{phase.process_id}/verlauf", form=f"/{old.id}/wiederherstellen")
    session.expire_all()
    assert (phase.title, phase.starts_at) == ("Von früher", begins)
