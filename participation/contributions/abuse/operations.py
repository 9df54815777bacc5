"""Flagging, annulling, and taking an annulment back. Nobody learns what the votes say."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from participation import audit, clock, text
from participation.actions import Action
from participation.contributions.abuse.models import Annulment, VoteFlag
from participation.contributions.abuse.queries import KEPT, Suspect
from participation.contributions.ballots.models import Ballot
from participation.contributions.ballots.operations import count_ballot
from participation.contributions.models import Contribution
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import coarse, count_many, hold_votes
from participation.db import is_sqlite
from participation.errors import Conflict, InvalidInput
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.processes.models import Phase, Process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

REASON_MAX = 1000
# As exactly as it is known when a vote was given.
HOUR = timedelta(hours=1)


def source_of(keyring: Keyring, process_id: int, address: str, now: datetime) -> str:
    """An address under a key of the day and the process: tells that two votes there came from one place, and not from where."""
    return keyring.mark("vote-source", f"{now:%Y-%m-%d}:{process_id}:{address}")[:16]


def flag(session: Session, process_id: int, source_hash: str, now: datetime) -> None:
    """An address was slowed down. Told again, only the time moves on: the hour, as with votes."""
    kind, hour = sqlite if is_sqlite(session) else postgresql, clock.hour_of(now)
    session.execute(
        kind.insert(VoteFlag).values(process_id=process_id, source_hash=source_hash, first_at=hour, last_at=hour)
        .on_conflict_do_update(index_elements=["process_id", "source_hash"], set_={"last_at": hour})
    )


def annul(
    session: Session, actor: Actor, process: Process, suspect: Suspect, reason: str, now: datetime,
    *, expected: int | None = None,
) -> Annulment:
    """What the suspect describes counts no more. `expected` is the number that was shown before.

    Raises InvalidInput, NotAllowed, or Conflict when there is nothing, or not what was shown.
    """
    require(actor, Action.ANNUL_VOTES, process, now)
    wording = _clean_reason(reason)
    annulment = Annulment(process_id=process.id, reason=wording, votes=0, ballots=0, created_at=now,
                          created_by=actor.display_name)
    session.add(annulment)
    session.flush()
    here = select(Contribution.id).where(Contribution.process_id == process.id)
    hold_votes(session, *suspect.votes(), Vote.contribution_id.in_(here))
    taken = session.execute(
        update(Vote).where(*suspect.votes(), Vote.contribution_id.in_(here))
        .values(annulment_id=annulment.id).returning(Vote.contribution_id, Vote.voter_id, Vote.given_at)
        .execution_options(synchronize_session=False)
    ).all()
    count_many(session, [(row[0], row[1]) for row in taken], -1)
    ballots = session.scalars(
        select(Ballot).join(Phase, Phase.id == Ballot.phase_id)
        .where(*suspect.ballots(), Phase.process_id == process.id).order_by(Ballot.id).with_for_update(of=Ballot)
    ).all()
    for ballot in ballots:
        count_ballot(session, ballot, -1)
        ballot.annulment_id = annulment.id
    annulment.votes, annulment.ballots, annulment.ballots_by_phase = len(taken), len(ballots), _by_phase(ballots)
    annulment.proposal_votes = session.scalar(
        select(func.count()).select_from(Vote).join(Contribution, Contribution.id == Vote.contribution_id)
        .where(Vote.annulment_id == annulment.id, Contribution.kind == "proposal"))
    if not taken and not ballots:
        raise Conflict(N_("Von dort zählt keine Stimme mehr. Es gibt nichts zu annullieren."))
    if expected is not None and expected != len(taken) + len(ballots):
        raise Conflict(N_("Inzwischen sind es andere Stimmen als eben angezeigt. Bitte sehen Sie noch einmal hin."))
    hours = [*(row[2] for row in taken), *(ballot.changed_at for ballot in ballots)]
    annulment.since, annulment.until = suspect.since or min(hours), suspect.until or max(hours) + HOUR
    _done(session, actor, process, annulment, now, "annul_votes", **suspect.described())
    return annulment


def _by_phase(ballots: Sequence[Ballot]) -> dict[str, int]:
    return dict(Counter(str(ballot.phase_id) for ballot in ballots))


def undo(session: Session, actor: Actor, process: Process, annulment: Annulment, reason: str, now: datetime) -> int:
    """They count again, as if nothing had been: the number of those that do; who left meanwhile took theirs along.

    Raises InvalidInput, Conflict, NotAllowed.
    """
    require(actor, Action.ANNUL_VOTES, process, now)
    wording = _clean_reason(reason)
    won = session.execute(
        update(Annulment).where(Annulment.id == annulment.id, Annulment.undone_at.is_(None))
        .values(undone_at=now, undone_reason=wording).returning(Annulment.id)
        .execution_options(synchronize_session=False)
    ).all()
    if not won:
        raise Conflict(N_("Diese Stimmen zählen schon wieder."))
    hold_votes(session, Vote.annulment_id == annulment.id)
    given = session.execute(
        update(Vote).where(Vote.annulment_id == annulment.id).values(annulment_id=None)
        .returning(Vote.contribution_id, Vote.voter_id).execution_options(synchronize_session=False)
    ).all()
    count_many(session, given, 1)
    ballots = session.scalars(
        select(Ballot).where(Ballot.annulment_id == annulment.id).order_by(Ballot.id).with_for_update()
    ).all()
    for ballot in ballots:
        ballot.annulment_id = None
        count_ballot(session, ballot, 1)
    session.expire(annulment)
    if annulment.ballots_by_phase is None:
        annulment.ballots_by_phase = _by_phase(ballots)
    _done(session, actor, process, annulment, now, "undo_annulment")
    return len(given) + len(ballots)


def _clean_reason(reason: str) -> str:
    wording = text.clean_text(reason)
    if not wording:
        raise InvalidInput(N_("Bitte nennen Sie den Grund. Alle können ihn lesen."), field="reason")
    if len(wording) > REASON_MAX:
        raise InvalidInput(N_("Die Begründung ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="reason",
                           number=REASON_MAX)
    return wording


def _done(
    session: Session, actor: Actor, process: Process, annulment: Annulment, now: datetime, action: str, **details: str
) -> None:
    session.flush()
    raise_content_version(session, process.municipality_id)
    audit.record(session, at=now, actor=actor.label, action=action, subject_type="annulment", subject_id=annulment.id,
                 votes=annulment.votes, ballots=annulment.ballots, **details)


def forget_sources(session: Session, now: datetime) -> None:
    """After two weeks nobody can tell any more which votes came from one place, nor at what hour."""
    before = now - KEPT
    for source, at in ((Vote.source_hash, Vote.given_at), (Ballot.source_hash, Ballot.changed_at)):
        known = (source.is_not(None), at < before)
        for hour in session.scalars(select(at).where(*known).distinct()).all():
            # What a vote counts hangs on its phase: none may move to before the begin of its own, or the end of another.
            day = clock.day_of(hour)
            bounds = [session.scalars(select(bound).where(bound > day, bound <= hour)).all()
                      for bound in (Phase.starts_at, Phase.ends_at)]
            session.execute(
                update(source.class_).where(*known, at == hour)
                .values({source: None, at: coarse(hour, day, chain(*bounds))})
                .execution_options(synchronize_session=False))
    session.execute(delete(VoteFlag).where(VoteFlag.last_at < before))
