"""Casting ballots: exact under any race, since each person's ballot is one row that is held while it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast as as_type

from sqlalchemy import bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from participation import audit, clock
from participation.accounts.models import ParticipantKind
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.ballots.models import Ballot, BallotMark, BallotOption, BallotTally, BallotTurnout
from participation.contributions.ballots.queries import (
    costs_of,
    has_ballots,
    has_supports,
    has_supports_since,
    turnout as turnout_of,
)
from participation.contributions.models import AnswerStatus, Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.operations import coarse
from participation.db import is_sqlite
from participation.errors import Checks, Conflict, InvalidInput
from participation.events import Event, PhaseRulesChanging, listen
from participation.formats import BallotRule, BudgetSettings, CollectSettings, PhaseSettings, Results, VoteSettings
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.processes.models import Phase
from participation.processes.operations import PEOPLE_OF_VOTE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Table
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

OPTIONS_MAX = 200
COST_MAX = 2_000_000_000
# A mark that says nothing, by whatever rule people vote.
NO_MARK = -COST_MAX
# Field of an error that is about the mark of one proposal: this and its number.
MARK_OF = "marke-"
_BALLOT = as_type("Table", Ballot.__table__)
# What nobody may change any more once people have voted by it.
RULES = ("ballot", "votes", "points", "points_max", "total", "min_number", "max_number", "results")
RULES_OF_SUPPORTS = ("ballot", "results", "verification")


class Vanished(Conflict):
    """What nobody can vote for any more, by number; all else on the ballot is as good as before."""

    def __init__(self, gone: Iterable[int]) -> None:
        """Say it without names: who shows the ballot again knows them."""
        super().__init__(N_("Einer der Vorschläge steht nicht mehr zur Wahl. Ihre Stimme ist nicht gespeichert."))
        self.gone = list(gone)


def cast(
    session: Session, keyring: Keyring, actor: Actor, phase: Phase, changes: Mapping[int, int], now: datetime,
    *, replace: bool = False, source: str | None = None,
) -> dict[int, int]:
    """Put marks (by proposal) on the actor's ballot; 0 takes one back. With `replace` all others are taken back too.

    The same sent twice is the same once. Returns all marks that stand on the ballot now. Raises InvalidInput when there
    are more points or euros than one has, Vanished when a proposal is not to be voted for any more, Conflict when the
    phase is over, SignInNeeded, NotAllowed, VerificationNeeded.
    """
    phase = hold_phase(session, phase.id, alone=False)
    require(actor, Action.CAST_BALLOT, phase, now)
    voter_id, is_new = contributions.begin_voting(session, keyring, actor, phase.process_id)
    ballot = _held_ballot(session, phase, voter_id, now)
    if ballot.annulment_id is not None:
        raise Conflict(N_("Ihre Stimme in dieser Phase zählt nicht. Der Grund steht auf der Seite des Verfahrens."))
    ballot.source_hash = source or ballot.source_hash
    before = _marks_of(session, ballot)
    wanted = {} if replace else dict(before)
    wanted.update(changes)
    wanted = {key: value for key, value in wanted.items() if value}
    public = set(session.scalars(
        select(Contribution.id).where(
            Contribution.id.in_(list(wanted)), Contribution.process_id == phase.process_id,
            Contribution.kind == "proposal", Contribution.state == ContributionState.PUBLISHED)))
    gone = [key for key, value in changes.items() if value and key not in public]
    if gone:
        raise Vanished(gone)
    # What was hidden meanwhile gives its points back.
    after = {key: value for key, value in wanted.items() if key in public}
    _require_rules(session, phase, after, changes)
    _write(session, ballot, before, after, coarse(now, clock.hour_of(now), (phase.starts_at,)))
    if is_new:
        # Last: who comments for the first time holds the proposal and waits for the process (lock_contribution).
        contributions.count_voter(session, keyring, phase.process_id, actor.identity or "")
    return after


def hold_phase(session: Session, phase_id: int, *, alone: bool) -> Phase:
    """The phase as it is now, held until the end of the transaction. Raises Conflict when it is gone.

    Voters share it; whoever changes its rules or its paper has it alone, so that no ballot is counted by rules that
    changed meanwhile, and none vanishes with a phase that was empty a moment ago.
    """
    phase = session.scalars(
        select(Phase).where(Phase.id == phase_id).with_for_update(read=not alone, of=Phase)
        .execution_options(populate_existing=True)
    ).one_or_none()
    if phase is None:
        raise Conflict(N_("Diese Phase gibt es nicht mehr."))
    return phase


def _held_ballot(session: Session, phase: Phase, voter_id: int, now: datetime) -> Ballot:
    """The person's ballot, made if needed, and held until the end of the transaction."""
    kind = sqlite if is_sqlite(session) else postgresql
    session.execute(
        kind.insert(_BALLOT)
        .values(phase_id=phase.id, voter_id=voter_id, channel=ParticipantKind.ACCOUNT, size=0,
                changed_at=clock.hour_of(now))
        .on_conflict_do_nothing(index_elements=["phase_id", "voter_id"])
    )
    return session.scalars(
        select(Ballot).where(Ballot.phase_id == phase.id, Ballot.voter_id == voter_id).with_for_update()
        .execution_options(populate_existing=True)
    ).one()


def _marks_of(session: Session, ballot: Ballot) -> dict[int, int]:
    rows = session.execute(
        select(BallotMark.contribution_id, BallotMark.value).where(BallotMark.ballot_id == ballot.id))
    return {row[0]: row[1] for row in rows}


def _require_rules(session: Session, phase: Phase, marks: dict[int, int], changes: Mapping[int, int]) -> None:
    settings = phase.settings
    if isinstance(settings, BudgetSettings):
        _require_budget(session, phase, settings, marks)
    elif not isinstance(settings, VoteSettings):
        raise Conflict(N_("In dieser Phase wird nicht abgestimmt."))
    elif settings.ballot is BallotRule.PRO_CONTRA:
        if any(value not in {1, -1} for value in changes.values() if value):
            raise InvalidInput(N_("Bitte wählen Sie dafür oder dagegen."), field="marks")
    elif settings.ballot is BallotRule.CHOICE:
        _require_choice(settings, marks, changes)
    else:
        _require_points(settings, marks, changes)


def _require_choice(settings: VoteSettings, marks: dict[int, int], changes: Mapping[int, int]) -> None:
    if any(value not in {0, 1} for value in changes.values()):
        raise InvalidInput(N_("Ein Vorschlag kann höchstens eine Stimme von Ihnen bekommen."), field="marks")
    if len(marks) > settings.votes:
        raise InvalidInput(
            N_("Sie haben nur eine Stimme. Nehmen Sie sie zuerst bei dem anderen Vorschlag zurück.") if settings.votes == 1
            else N_("Das sind %(spent)s Stimmen, und Sie haben %(total)s. Bitte nehmen Sie bei anderen Vorschlägen welche "
                    "zurück."),
            field="marks", spent=len(marks), total=settings.votes)


def _require_points(settings: VoteSettings, marks: dict[int, int], changes: Mapping[int, int]) -> None:
    checks = Checks()
    for key, value in changes.items():
        with checks:
            _require_mark(settings.points_max, key, value)
    checks.done()
    if sum(marks.values()) > settings.points:
        raise InvalidInput(
            N_("Das sind %(spent)s Punkte, und Sie haben %(total)s. Bitte geben Sie anderen Vorschlägen weniger."),
            field="marks", spent=sum(marks.values()), total=settings.points)


def _require_mark(most: int, key: int, value: int) -> None:
    if value < 0:
        raise InvalidInput(N_("Bitte geben Sie jedem Vorschlag eine ganze Zahl von 0 bis %(number)s. Halbe und negative "
                              "Punkte gibt es nicht."), field=f"{MARK_OF}{key}", number=most)
    if value > most:
        raise InvalidInput(
            N_("Ein Vorschlag kann höchstens einen Punkt von Ihnen bekommen.") if most == 1
            else N_("Ein Vorschlag kann höchstens %(number)s Punkte von Ihnen bekommen."),
            field=f"{MARK_OF}{key}", number=most)


def _require_budget(session: Session, phase: Phase, settings: BudgetSettings, marks: dict[int, int]) -> None:
    costs = {row[0]: row[1] for row in session.execute(costs_of(phase.id))}
    gone = [key for key, value in marks.items() if key not in costs or value != 1]
    if gone:
        raise Vanished(gone)
    spent, checks = sum(costs[key] for key in marks), Checks()
    with checks:
        if spent > settings.total:
            raise InvalidInput(
                N_("Das sind %(spent)s Euro, und es gibt nur %(total)s Euro. Bitte nehmen Sie etwas heraus."),
                field="marks", spent=spent, total=settings.total)
    with checks:
        _require_number(settings, len(marks))
    checks.done()


def _require_number(settings: BudgetSettings, number: int) -> None:
    if settings.max_number and number > settings.max_number:
        raise InvalidInput(
            N_("Sie können höchstens einen Vorschlag auswählen. Bitte nehmen Sie etwas heraus.") if settings.max_number == 1
            else N_("Sie können höchstens %(number)s Vorschläge auswählen. Bitte nehmen Sie etwas heraus."),
            field="marks", number=settings.max_number)
    # One at least needs no words: an empty basket is none.
    if 0 < number < settings.min_number:
        raise InvalidInput(N_("Bitte wählen Sie mindestens %(number)s Vorschläge aus."), field="marks",
                           number=settings.min_number)


def _write(session: Session, ballot: Ballot, before: dict[int, int], after: dict[int, int], at: datetime) -> None:
    """Marks, and the counters that change with them: as many statements for a whole basket as for one proposal.

    `at` is what is kept of the time.
    """
    marks = as_type("Table", BallotMark.__table__)
    changed = [(key, before.get(key, 0), after.get(key, 0)) for key in {*before, *after}
               if before.get(key, 0) != after.get(key, 0)]
    gone = [key for key, _old, new in changed if not new]
    other = [{"key": key, "mark": new} for key, old, new in changed if old and new]
    fresh = [{"ballot_id": ballot.id, "contribution_id": key, "value": new} for key, old, new in changed if not old]
    if gone:
        session.execute(delete(BallotMark).where(BallotMark.ballot_id == ballot.id, BallotMark.contribution_id.in_(gone)))
    if other:
        session.execute(update(marks).where(marks.c.ballot_id == ballot.id, marks.c.contribution_id == bindparam("key"))
                        .values(value=bindparam("mark")), other)
    if fresh:
        session.execute(insert(marks), fresh)
    _tally(session, ballot.phase_id, changed)
    _turn_out(session, ballot, bool(before), bool(after))
    ballot.size, ballot.changed_at = len(after), at
    session.flush()


def count_ballot(session: Session, ballot: Ballot, step: int) -> None:
    """Take a ballot out of the counters (-1) or put it back (1), leaving what stands on it."""
    marks = _marks_of(session, ballot)
    _tally(session, ballot.phase_id, [(key, *((value, 0) if step < 0 else (0, value))) for key, value in marks.items()])
    _turn_out(session, ballot, bool(marks) and step < 0, bool(marks) and step > 0)


def _tally(session: Session, phase_id: int, changed: Iterable[tuple[int, int, int]]) -> None:
    """Count marks (proposal, as it was, as it is). In the order of the proposals, so that no two voters block each other."""
    kind, tally = sqlite if is_sqlite(session) else postgresql, as_type("Table", BallotTally.__table__)
    rows = [{"key": key, "more": bool(new) - bool(old), "more_against": (new < 0) - (old < 0), "more_total": new - old}
            for key, old, new in sorted(changed)]
    if not rows:
        return
    session.execute(
        kind.insert(tally).on_conflict_do_nothing(index_elements=["phase_id", "contribution_id"]),
        [{"phase_id": phase_id, "contribution_id": row["key"], "people": 0, "against": 0, "total": 0} for row in rows],
    )
    session.execute(
        update(tally).where(tally.c.phase_id == phase_id, tally.c.contribution_id == bindparam("key"))
        .values(people=tally.c.people + bindparam("more"), against=tally.c.against + bindparam("more_against"),
                total=tally.c.total + bindparam("more_total")),
        rows,
    )


def _turn_out(session: Session, ballot: Ballot, was: bool, now_is: bool) -> None:  # noqa: FBT001
    if was == now_is:
        return
    kind = sqlite if is_sqlite(session) else postgresql
    session.execute(
        kind.insert(as_type("Table", BallotTurnout.__table__))
        .values(phase_id=ballot.phase_id, channel=ballot.channel, people=0)
        .on_conflict_do_nothing(index_elements=["phase_id", "channel"])
    )
    session.execute(
        update(BallotTurnout).where(BallotTurnout.phase_id == ballot.phase_id, BallotTurnout.channel == ballot.channel)
        .values(people=BallotTurnout.people + (now_is - was)).execution_options(synchronize_session=False)
    )


# ---- the ballot paper of a budget


def set_option(session: Session, actor: Actor, phase: Phase, proposal_id: int, cost: int, now: datetime) -> None:
    """Put a public proposal with its price in whole euros on the ballot paper, or change the price.

    Raises InvalidInput, NotAllowed, or Conflict once people have voted.
    """
    require(actor, Action.MANAGE_BALLOTS, phase, now)
    _require_unused(session, phase)
    if not 0 < cost <= COST_MAX:
        raise InvalidInput(N_("Bitte schreiben Sie die Kosten als ganze Zahl in Euro, zum Beispiel 12000."), field="cost")
    found = session.scalar(select(Proposal).where(
        Proposal.id == proposal_id, Contribution.process_id == phase.process_id,
        Contribution.state == ContributionState.PUBLISHED))
    if found is None:
        raise InvalidInput(N_("Einen öffentlichen Vorschlag mit dieser Nummer gibt es hier nicht."), field="proposal_id")
    option = session.get(BallotOption, (phase.id, proposal_id))
    if option is None:
        number = session.scalar(
            select(func.count()).select_from(BallotOption).where(BallotOption.phase_id == phase.id)) or 0
        if number >= OPTIONS_MAX:
            raise InvalidInput(N_("Mehr als %(number)s Vorschläge passen nicht auf einen Stimmzettel."),
                               field="proposal_id", number=OPTIONS_MAX)
        session.add(BallotOption(phase_id=phase.id, contribution_id=proposal_id, cost=cost))
    else:
        option.cost = cost
    _changed(session, actor, phase, now)


def drop_option(session: Session, actor: Actor, phase: Phase, proposal_id: int, now: datetime) -> None:
    """Take a proposal off the ballot paper. Raises NotAllowed, or Conflict once people have voted."""
    require(actor, Action.MANAGE_BALLOTS, phase, now)
    _require_unused(session, phase)
    session.execute(delete(BallotOption).where(BallotOption.phase_id == phase.id,
                                               BallotOption.contribution_id == proposal_id))
    _changed(session, actor, phase, now)


def take_answered(session: Session, actor: Actor, phase: Phase, now: datetime) -> int:
    """Put on the paper what the administration answered with a price and did not decline; returns how many came.

    When there are too many, those with the most supports; the first ones while these are secret.
    """
    require(actor, Action.MANAGE_BALLOTS, phase, now)
    _require_unused(session, phase)
    known = set(session.scalars(select(BallotOption.contribution_id).where(BallotOption.phase_id == phase.id)))
    rows = session.execute(
        select(Proposal.id, Proposal.answer_cost).where(
            Contribution.process_id == phase.process_id, Contribution.state == ContributionState.PUBLISHED,
            Contribution.answer_status.in_([AnswerStatus.IN_REVIEW, AnswerStatus.ACCEPTED, AnswerStatus.PARTLY]),
            Proposal.answer_cost > 0)
        .order_by(*(() if phase.process.hides_supports(now) else (Contribution.support_count.desc(),)), Contribution.id)
        .limit(OPTIONS_MAX)
    ).all()
    fresh = [(row[0], row[1]) for row in rows if row[0] not in known][: OPTIONS_MAX - len(known)]
    session.add_all(BallotOption(phase_id=phase.id, contribution_id=key, cost=cost) for key, cost in fresh)
    _changed(session, actor, phase, now)
    return len(fresh)


def _require_unused(session: Session, phase: Phase) -> None:
    hold_phase(session, phase.id, alone=True)
    if session.scalar(has_ballots(phase.id)):
        raise Conflict(N_("Es sind schon Stimmen abgegeben. Der Stimmzettel lässt sich nicht mehr ändern."))


def _changed(session: Session, actor: Actor, phase: Phase, now: datetime) -> None:
    session.flush()
    raise_content_version(session, phase.process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action="change_ballot_paper", subject_type="phase",
                 subject_id=phase.id)


# ---- what happens elsewhere


def _rules_changing(session: Session, event: Event) -> None:
    """Nobody changes the rules, or removes the phase, after people have voted by them."""
    if not isinstance(event, PhaseRulesChanging):
        return
    # The row only: what the editor is about to change stands in the session's own phase.
    row = session.execute(
        select(Phase.process_id, Phase.starts_at, Phase.ends_at, Phase.vague_dates).where(Phase.id == event.phase_id)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return
    phase, names = Phase(**row._asdict()), _rules_that_stay(session, event, row.process_id)
    has_supported = bool(getattr(event.before, "supports_open", False)) and bool(session.scalar(has_supports_since(phase)))
    if has_supported and isinstance(event.before, VoteSettings):
        names = RULES_OF_SUPPORTS
    before, after = event.before, event.after
    changed = next((name for name in names if getattr(before, name, None) != getattr(after, name, None)), None)
    if changed is not None and after is None:
        raise Conflict(N_("In dieser Phase sind schon Stimmen abgegeben. Beenden Sie sie, statt sie zu löschen."))
    if changed is not None:
        raise Conflict(
            N_("In dieser Phase sind schon Stimmen abgegeben. Die Regeln der Abstimmung bleiben, wie sie sind."),
            field=f"setting_{changed}" if type(after) is type(before) else "format_key")
    if has_supported and after is not None and getattr(after, "supports_open", False):
        _require_same_proof(before, after)


def _rules_that_stay(session: Session, event: PhaseRulesChanging, process_id: int) -> tuple[str, ...]:
    if _is_secret_support(event.before):
        # These may be older than the phase, whose own rules they do not follow; but their numbers are secret now.
        return RULES if session.scalar(has_supports(process_id)) else ()
    return (*RULES, "verification") if session.scalar(has_ballots(event.phase_id)) else ()


def _require_same_proof(before: PhaseSettings, after: PhaseSettings) -> None:
    """Where supports are given beside something else: who gave theirs by one proof could not take them back by another."""
    if before.verification_for(Action.SUPPORT) is not after.verification_for(Action.SUPPORT):
        raise Conflict(
            N_("Hier haben schon Menschen unterstützt. Der Nachweis dafür bleibt, wie er ist. Brauchen Sie einen anderen, "
               "dann beenden Sie diese Phase und legen eine neue an."),
            field="setting_support_verification" if isinstance(after, CollectSettings) else "setting_verification")


def _is_secret_support(settings: PhaseSettings) -> bool:
    """Whether people supported because nobody sees the numbers until the end."""
    return (isinstance(settings, VoteSettings) and settings.ballot is BallotRule.SUPPORT
            and settings.results is Results.AFTER)


def move_ballots(session: Session, source_id: int, target_id: int) -> None:
    """What one voter cast is another's from now on; where both voted in a phase, that of the other counts."""
    theirs = set(session.scalars(select(Ballot.phase_id).where(Ballot.voter_id == target_id)))
    for ballot in session.scalars(select(Ballot).where(Ballot.voter_id == source_id).with_for_update()).all():
        if ballot.phase_id not in theirs:
            ballot.voter_id = target_id
        else:
            _drop(session, ballot)
    session.flush()


def _people_of(session: Session, phase: Phase) -> int:
    """How many people voted; whoever votes this very moment is waited for."""
    session.execute(select(Phase.id).where(Phase.id == phase.id).with_for_update())
    return sum(turnout_of(session, phase).values())


def take_back_all(session: Session, voter_id: int, phase_ids: Sequence[int]) -> None:
    """The ballots of a voter in some phases, annulled or not (as with supports). Whoever calls knows that they may go."""
    for ballot in session.scalars(
        select(Ballot).where(Ballot.voter_id == voter_id, Ballot.phase_id.in_(phase_ids))
        .order_by(Ballot.phase_id).with_for_update()
    ).all():
        _drop(session, ballot)
    session.flush()


def _drop(session: Session, ballot: Ballot) -> None:
    if ballot.annulment_id is None:
        _write(session, ballot, _marks_of(session, ballot), {}, ballot.changed_at)
    session.delete(ballot)


def connect() -> None:
    """Called once when the application is built."""
    listen(PhaseRulesChanging, _rules_changing)
    if _people_of not in PEOPLE_OF_VOTE:
        PEOPLE_OF_VOTE.append(_people_of)


# ---- recounting


def recount(session: Session) -> dict[str, int]:
    """Count all ballots anew; returns how many rows were wrong, per counter. Commit is the caller's."""
    mark, ballot = BallotMark.__table__.c, Ballot.__table__.c
    truth = {
        (row[0], row[1]): (row[2], row[3], row[4]) for row in session.execute(
            select(ballot.phase_id, mark.contribution_id, func.count(),
                   func.count().filter(mark.value < 0), func.sum(mark.value))
            .select_from(BallotMark.__table__.join(Ballot.__table__, ballot.id == mark.ballot_id))
            .where(ballot.annulment_id.is_(None))
            .group_by(ballot.phase_id, mark.contribution_id))
    }
    wrong = {"ballot_tally": 0, "ballot_turnout": 0}
    for tally in session.scalars(select(BallotTally)):
        expected = truth.pop((tally.phase_id, tally.contribution_id), (0, 0, 0))
        if (tally.people, tally.against, tally.total) != expected:
            tally.people, tally.against, tally.total = expected
            wrong["ballot_tally"] += 1
    for (phase_id, contribution_id), (people, against, total) in truth.items():
        session.add(BallotTally(phase_id=phase_id, contribution_id=contribution_id, people=people, against=against,
                                total=total))
        wrong["ballot_tally"] += 1
    voters = {(row[0], row[1]): row[2] for row in session.execute(
        select(ballot.phase_id, ballot.channel, func.count()).where(ballot.size > 0, ballot.annulment_id.is_(None))
        .group_by(ballot.phase_id, ballot.channel))}
    for turnout in session.scalars(select(BallotTurnout)):
        people = voters.pop((turnout.phase_id, turnout.channel), 0)
        if turnout.people != people:
            turnout.people = people
            wrong["ballot_turnout"] += 1
    for (phase_id, channel), people in voters.items():
        session.add(BallotTurnout(phase_id=phase_id, channel=channel, people=people))
        wrong["ballot_turnout"] += 1
    session.flush()
    return wrong
