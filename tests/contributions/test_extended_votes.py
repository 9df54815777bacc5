"""Who has read a result can't let the vote go on in secret."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import update

from participation import clock
from participation.contributions.ballots import operations as ballots
from participation.contributions.ballots.queries import results
from participation.contributions.personal.operations import delete_account
from participation.contributions.proposals.operations.counting import recount
from participation.contributions.votes import operations as votes
from participation.errors import Conflict, InvalidInput
from participation.formats import BallotRule, Results, VoteSettings
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, Role
from participation.processes import operations
from participation.processes.models import Phase, PhaseState, ProcessVersion
from tests import factories
from tests.contributions.test_personal import member

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.accounts.models import Account
    from participation.tokens import Keyring
    from tests.browser_client import Browser

SECRET = VoteSettings(ballot=BallotRule.PRO_CONTRA, results=Results.AFTER)
HOUR = timedelta(hours=1)


def _wall(moment: datetime | None) -> datetime | None:
    return None if moment is None else clock.to_berlin(moment).replace(tzinfo=None, second=0, microsecond=0)


def _entered(moment: datetime) -> str:
    return f"{_wall(moment):%Y-%m-%dT%H:%M}"


def _phase(session: Session, settings: VoteSettings = SECRET, *, closes: float = 30) -> Phase:
    process = factories.process(session, phases=[factories.phase("vote", title="Abstimmung", settings=settings, closes=closes)])
    session.commit()
    return process.phases[0]


def _save(session: Session, actor: Actor, phase: Phase, now: datetime, **values: Any) -> None:
    operations.save_phase(session, actor, phase.process, phase, now, **{
        "format_key": "vote", "title": phase.title, "body": "", "starts_at": _wall(phase.starts_at),
        "ends_at": operations.shown_end(phase.ends_at), "settings": phase.settings, **values})


@pytest.fixture
def editor(session: Session, new_browser: Callable[[], Browser]) -> Callable[[Phase], Browser]:
    def signed_in(phase: Phase) -> Browser:
        account = factories.account(session, Role.EDITOR, on=phase.process)
        session.commit()
        return new_browser().sign_in(account)
    return signed_in


def _actor(session: Session, phase: Phase) -> Actor:
    return factories.actor(factories.account(session, Role.EDITOR, on=phase.process))


def test_a_vote_goes_on_only_with_a_reason_that_everybody_reads(
    session: Session, keyring: Keyring, browser: Browser, editor: Callable[[Phase], Browser],
) -> None:
    phase = _phase(session)
    proposal = factories.proposal(session, phase.process, title="Linde")
    ended, page = clock.now() - HOUR, f"/verfahren/{phase.process.slug}/abstimmung/{phase.id}"
    ballots.cast(session, keyring, factories.actor(factories.account(session)), phase, {proposal.id: 1}, ended - HOUR)
    session.execute(update(Phase).values(ends_at=ended))
    session.commit()
    assert "Person hat mitgemacht" in browser.text(f"{page}/ergebnis")

    form = f"/verwaltung/verfahren/{phase.process_id}/phasen/{phase.id}"
    wanted = clock.now() + 48 * HOUR
    signed_in = editor(phase)
    answer = signed_in.submit(form, {"ends_at": _entered(wanted)}, form=1)
    assert (answer.status_code, "warum sie weitergeht" in answer.get_data(as_text=True)) == (422, True)
    assert f'value="{_entered(wanted)}"' in answer.get_data(as_text=True), "what was entered stays"
    session.expire_all()
    assert (phase.ends_at, phase.extensions) == (ended, ())

    reason = "Das Netz <b>fiel</b> aus"
    answer = signed_in.submit(form, {"ends_at": _entered(wanted), "extension_reason": reason}, form=1)
    assert answer.status_code == 200
    for address in (page, f"{page}/ergebnis", f"/verfahren/{phase.process.slug}"):
        assert reason in browser.text(address), address
    assert "Zwischenstand" in browser.text(f"{page}/ergebnis"), "nobody alone knows what everybody could read"

    session.expire_all()
    ballots.cast(session, keyring, factories.actor(factories.account(session)), phase, {proposal.id: -1}, clock.now())
    session.commit()
    raise_content_version(session, phase.process.municipality_id)
    session.commit()
    text = browser.text(f"{page}/ergebnis")
    assert "Personen haben mitgemacht" in text
    assert "Teilnehmende bis dahin: 1." in text, "as it was then"


@pytest.mark.parametrize("settings", [VoteSettings(), SECRET])
def test_when_a_vote_goes_on_nobody_is_counted_twice(
    session: Session, keyring: Keyring, browser: Browser, run_jobs: Callable[[], int], settings: VoteSettings,
) -> None:
    """Who leaves after the end leaves their votes behind, and could give them again by a new account."""
    phase, before = _phase(session, settings), clock.now() - 2 * HOUR
    linde, eiche = (factories.proposal(session, phase.process, title=name) for name in ("Linde", "Eiche"))

    def vote(account: Account, at: datetime) -> None:
        actor = factories.actor(account)
        if settings is SECRET:
            ballots.cast(session, keyring, actor, phase, {linde.id: 1, eiche.id: 1}, at)
        else:
            assert votes.support(session, keyring, actor, linde, at)
            assert votes.support(session, keyring, actor, eiche, at)

    def people() -> list[int]:
        session.expire_all()
        return [one.people for one in results(session, phase)]

    recount(session, keyring)
    stays, writes, votes_only = (factories.account(session) for _number in range(3))
    member(session, keyring, writes, phase.process)
    for account in (stays, writes, votes_only):
        vote(account, before)
    session.execute(update(Phase).values(ends_at=clock.now() - HOUR))
    session.expire_all()
    for account in (writes, votes_only):
        delete_account(session, keyring, factories.actor(account), account, take_along=False, now=clock.now())
    assert people() == [3, 3], "what is over stays as it was"
    _save(session, _actor(session, phase), phase, clock.now(), ends_at=_wall(clock.now() + HOUR), extension_reason="Stromausfall")
    session.commit()
    run_jobs()
    assert people() == [1, 1]
    again = factories.account(session)
    vote(again, clock.now())
    assert people() == [2, 2]
    assert not any((recount(session, keyring) | ballots.recount(session)).values())
    session.commit()
    text = browser.text(f"/verfahren/{phase.process.slug}/abstimmung/{phase.id}/ergebnis")
    assert "Teilnehmende bis dahin: 3." in text
    assert "die ihr Konto seitdem gelöscht haben, zählt nicht mehr" in text


def test_supports_that_everybody_saw_are_not_hidden_again(session: Session, keyring: Keyring) -> None:
    phase = _phase(session, VoteSettings(results=Results.AFTER), closes=-0.1)
    votes.support(session, keyring, factories.actor(factories.account(session)), factories.proposal(session, phase.process),
                  clock.now() - 24 * HOUR / 5)
    _save(session, _actor(session, phase), phase, clock.now(), ends_at=_wall(clock.now() + HOUR), extension_reason="Darum")
    assert phase.is_open(clock.now())
    assert not phase.process.hides_supports(clock.now())
    assert phase.shows_results(clock.now())


def test_the_end_of_a_vote_never_lies_before_votes_that_were_given(session: Session) -> None:
    phase, now = _phase(session), clock.now()
    actor = _actor(session, phase)
    with pytest.raises(InvalidInput) as refused:
        _save(session, actor, phase, now, ends_at=_wall(now - HOUR))
    assert refused.value.field == "ends_at"
    _save(session, actor, phase, now, ends_at=_wall(now + HOUR))
    over = now + 2 * HOUR
    for values in ({"ends_at": _wall(now + HOUR / 2)}, {"ends_at": _wall(now + HOUR * 1.5)},
                   {"starts_at": _wall(over + HOUR), "ends_at": _wall(over + 2 * HOUR)}):
        with pytest.raises(InvalidInput):
            _save(session, actor, phase, over, extension_reason="Darum", **values)
    _save(session, actor, phase, over, title="Nur der Titel")
    assert (phase.title, phase.state(over), phase.extensions) == ("Nur der Titel", PhaseState.CLOSED, ())


@pytest.mark.parametrize("settings", [VoteSettings(results=Results.AFTER), SECRET])
@pytest.mark.parametrize("later", [{"starts_at": True}, {"starts_at": None, "vague_dates": "Im Frühjahr"}])
def test_a_later_beginning_is_no_way_to_read_secret_numbers(
    session: Session, keyring: Keyring, settings: VoteSettings, later: dict[str, Any],
) -> None:
    phase, now = _phase(session, settings), clock.now()
    actor, voter = _actor(session, phase), factories.actor(factories.account(session))
    before, wanted = _wall(phase.starts_at), later | ({"starts_at": _wall(now + HOUR)} if later["starts_at"] else {})
    _save(session, actor, phase, now, **wanted)
    assert phase.state(now) is PhaseState.UPCOMING, "nobody voted so far"
    _save(session, actor, phase, now, starts_at=before, vague_dates="")
    liked = factories.proposal(session, phase.process)
    if settings is SECRET:
        ballots.cast(session, keyring, voter, phase, {liked.id: 1}, now)
    else:
        votes.support(session, keyring, voter, liked, now)
    with pytest.raises(InvalidInput, match="schon Menschen abgestimmt") as refused:
        _save(session, actor, phase, now, **wanted)
    assert refused.value.field == "starts_at"


def test_going_back_to_a_later_beginning_leaves_an_open_vote_open(
    session: Session, editor: Callable[[Phase], Browser],
) -> None:
    phase, now = _phase(session), clock.now()
    actor, began = _actor(session, phase), _wall(phase.starts_at)
    _save(session, actor, phase, now, title="Erst morgen", starts_at=_wall(now + 24 * HOUR))
    old = session.query(ProcessVersion).order_by(ProcessVersion.id.desc()).first()
    assert old is not None
    _save(session, actor, phase, now, title="Schon heute", starts_at=began)
    session.commit()
    editor(phase).submit(f"/verwaltung/verfahren/{phase.process_id}/verlauf", form=f"/{old.id}/wiederherstellen")
    session.expire_all()
    assert (phase.title, phase.state(now)) == ("Erst morgen", PhaseState.OPEN)


def test_a_draft_and_phases_without_a_vote_are_as_free_as_before(session: Session) -> None:
    phase, now = _phase(session, closes=-0.1), clock.now()
    phase.process.published_at = None
    actor = _actor(session, phase)
    _save(session, actor, phase, now, ends_at=_wall(now + HOUR))
    other = factories.process(session, phases=[factories.phase("discuss", closes=-0.1)]).phases[0]
    _save(session, _actor(session, other), other, now, format_key="discuss", ends_at=_wall(now + HOUR))
    assert other.is_open(now)
    assert (phase.extensions, other.extensions) == ((), ())


def test_going_back_in_the_history_opens_no_vote_and_says_so(
    session: Session, editor: Callable[[Phase], Browser],
) -> None:
    phase, now = _phase(session), clock.now()
    actor = _actor(session, phase)
    _save(session, actor, phase, now - 4 * HOUR, title="Mit langem Ende")
    old = session.query(ProcessVersion).order_by(ProcessVersion.id.desc()).first()
    assert old is not None
    _save(session, actor, phase, now - 3 * HOUR, title="Früher zu Ende", ends_at=_wall(now - 2 * HOUR))
    ended = phase.ends_at
    session.commit()
    page = f"/verwaltung/verfahren/{phase.process_id}/verlauf"
    signed_in = editor(phase)
    assert "Zeitraum bleibt, weil schon abgestimmt wurde" in signed_in.text(page)
    answer = signed_in.submit(page, form=f"/{old.id}/wiederherstellen")
    assert "Der Zeitraum ist geblieben" in answer.get_data(as_text=True)
    session.expire_all()
    assert (phase.title, phase.ends_at) == ("Mit langem Ende", ended)


def test_the_archive_is_no_way_to_read_a_secret_result_early(
    session: Session, editor: Callable[[Phase], Browser], browser: Browser,
) -> None:
    phase = _phase(session)
    answer = editor(phase).submit(f"/verwaltung/verfahren/{phase.process_id}", form="/archivieren")
    assert (answer.status_code, "Beenden Sie zuerst" in answer.get_data(as_text=True)) == (409, True)
    assert browser.get(f"/verfahren/{phase.process.slug}/abstimmung/{phase.id}/ergebnis").status_code == 404
    with pytest.raises(Conflict):
        operations.archive_process(session, _actor(session, phase), phase.process, clock.now())
    operations.archive_process(session, _actor(session, phase), phase.process, clock.now() + timedelta(days=31))
