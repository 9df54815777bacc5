"""Votes that are counted out to each person stand on ballots of their phase.

As supports, which belong to the process, they counted in the next vote as well. A vote that is over stays a vote by
supports, so that its published result stays; of one that is open, what was given since it began moves.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter, defaultdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0033_counted_out_votes"
down_revision = "0032_changed_answers"
CHUNK = 1000
_WIDE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TIME = sa.DateTime(timezone=True)


def _table(name: str, **columns: Any) -> sa.TableClause:  # noqa: ANN401 - types of columns
    return sa.table(name, *(sa.column(key, kind) for key, kind in columns.items()))


_PHASE = _table("phase", id=sa.Integer, process_id=sa.Integer, starts_at=_TIME, ends_at=_TIME, vague_dates=sa.String,
                stored_settings=sa.JSON, format_key=sa.String)
_ANNULMENT = _table("annulment", id=sa.Integer, votes=sa.Integer, ballots=sa.Integer)
_VERSION = _table("process_version", id=sa.Integer, content=sa.JSON)
_CONTRIBUTION = _table("contribution", id=sa.Integer, process_id=sa.Integer, kind=sa.String, support_count=sa.Integer)
_VOTER = _table("voter", id=_WIDE, process_id=sa.Integer, channel=sa.String, supports=sa.Integer)
_VOTE = _table("vote", contribution_id=sa.Integer, voter_id=_WIDE, given_at=_TIME, source_hash=sa.String,
               annulment_id=sa.Integer)
_BALLOT = _table("ballot", id=_WIDE, phase_id=sa.Integer, voter_id=_WIDE, channel=sa.String, size=sa.Integer,
                 source_hash=sa.String, annulment_id=sa.Integer, changed_at=_TIME)
_MARK = _table("ballot_mark", ballot_id=_WIDE, contribution_id=sa.Integer, value=sa.Integer)
_TALLY = _table("ballot_tally", phase_id=sa.Integer, contribution_id=sa.Integer, people=sa.Integer, against=sa.Integer,
                total=sa.Integer)
_TURNOUT = _table("ballot_turnout", phase_id=sa.Integer, channel=sa.String, people=sa.Integer)


def upgrade() -> None:
    """Go one step up."""
    connection, now = op.get_bind(), datetime.now(UTC)
    over, processes = set(), set()
    for phase in _votes():
        settings = dict(phase.stored_settings or {})
        limit = settings.get("votes_per_person", 0)
        if phase.ends_at is not None and phase.ends_at.replace(tzinfo=phase.ends_at.tzinfo or UTC) <= now:
            over.add(phase.id)
        elif limit and settings.get("ballot", "support") == "support":
            _fill_ballots(phase)
            processes.add(phase.process_id)
        connection.execute(sa.update(_PHASE).where(_PHASE.c.id == phase.id).values(
            stored_settings=_counted_out(settings, phase.id in over)))
    _rewrite_versions(lambda settings, phase_id: _counted_out(settings, phase_id in over))
    _count_supports(processes)


def downgrade() -> None:
    """Go one step down: what stands on these ballots is a support again."""
    connection, processes = op.get_bind(), set()
    for phase in _votes():
        settings = dict(phase.stored_settings or {})
        if settings.get("ballot") == "choice":
            _empty_ballots(phase)
            processes.add(phase.process_id)
        connection.execute(sa.update(_PHASE).where(_PHASE.c.id == phase.id).values(stored_settings=_of_supports(settings)))
    _rewrite_versions(lambda settings, _phase_id: _of_supports(settings))
    _count_supports(processes)


def _votes() -> Any:  # noqa: ANN401 - rows
    return op.get_bind().execute(sa.select(_PHASE).where(_PHASE.c.format_key == "vote").order_by(_PHASE.c.id)).all()


def _counted_out(settings: dict[str, Any], is_over: bool) -> dict[str, Any]:  # noqa: FBT001
    settings = dict(settings)
    limit = settings.pop("votes_per_person", 0)
    is_ballot = limit and not is_over and settings.get("ballot", "support") == "support"
    return {**settings, "ballot": "choice", "votes": limit} if is_ballot else settings


def _of_supports(settings: dict[str, Any]) -> dict[str, Any]:
    settings = dict(settings)
    limit = settings.pop("votes", 0)
    return {**settings, "ballot": "support", "votes_per_person": limit} if settings.get("ballot") == "choice" else settings


def _rewrite_versions(renewed: Any) -> None:  # noqa: ANN401 - a function
    """What the history would put back."""
    connection = op.get_bind()
    for row_id in connection.scalars(sa.select(_VERSION.c.id)).all():
        content = connection.scalar(sa.select(_VERSION.c.content).where(_VERSION.c.id == row_id)) or {}
        before = json.dumps(content)
        phases = content.get("phases") if isinstance(content, dict) else None
        for phase in (phases.values() if isinstance(phases, dict) else ()):
            if phase.get("format_key") == "vote":
                phase["stored_settings"] = renewed(phase.get("stored_settings") or {}, phase.get("id"))
        if json.dumps(content) != before:
            connection.execute(sa.update(_VERSION).where(_VERSION.c.id == row_id).values(content=content))


def _fill_ballots(phase: Any) -> None:  # noqa: ANN401 - a row
    if phase.starts_at is None and phase.vague_dates:
        return
    connection = op.get_bind()
    proposals = sa.select(_CONTRIBUTION.c.id).where(_CONTRIBUTION.c.process_id == phase.process_id,
                                                    _CONTRIBUTION.c.kind == "proposal")
    given = [_VOTE.c.contribution_id.in_(proposals)]
    if phase.starts_at is not None:
        given.append(_VOTE.c.given_at >= phase.starts_at)
    rows = connection.execute(sa.select(_VOTE, _VOTER.c.channel).join_from(_VOTE, _VOTER, _VOTER.c.id == _VOTE.c.voter_id)
                              .where(*given)).all()
    of_voter: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        of_voter[row.voter_id].append(row)
    ballots, marks = [], []
    tally: dict[int, int] = defaultdict(int)
    turnout: dict[str, int] = defaultdict(int)
    # In the order of their numbers, which are random: how they lie tells nothing.
    numbers = sorted(secrets.randbits(63) for _ in of_voter)
    for number, (voter_id, votes) in zip(numbers, sorted(of_voter.items()), strict=True):
        # A ballot counts as a whole or not at all: what was annulled of one that counts is gone.
        counted = [one for one in votes if one.annulment_id is None]
        kept = counted or votes
        ballots.append({
            "id": number, "phase_id": phase.id, "voter_id": voter_id, "channel": kept[0].channel, "size": len(kept),
            "source_hash": next((one.source_hash for one in kept if one.source_hash), None),
            "annulment_id": None if counted else kept[0].annulment_id, "changed_at": max(one.given_at for one in kept)})
        marks += [{"ballot_id": number, "contribution_id": one.contribution_id, "value": 1} for one in kept]
        for one in counted:
            tally[one.contribution_id] += 1
        turnout[kept[0].channel] += bool(counted)
    _insert(_BALLOT, ballots)
    _insert(_MARK, marks)
    _insert(_TALLY, [{"phase_id": phase.id, "contribution_id": key, "people": number, "against": 0, "total": number}
                     for key, number in sorted(tally.items())])
    _insert(_TURNOUT, [{"phase_id": phase.id, "channel": key, "people": number} for key, number in turnout.items() if number])
    for annulment_id, number in Counter(row.annulment_id for row in rows if row.annulment_id is not None).items():
        moved = sum(one["annulment_id"] == annulment_id for one in ballots)
        connection.execute(sa.update(_ANNULMENT).where(_ANNULMENT.c.id == annulment_id)
                           .values(votes=_ANNULMENT.c.votes - number, ballots=_ANNULMENT.c.ballots + moved))
    connection.execute(sa.delete(_VOTE).where(*given))


def _empty_ballots(phase: Any) -> None:  # noqa: ANN401 - a row
    connection = op.get_bind()
    known = {(row.contribution_id, row.voter_id) for row in connection.execute(
        sa.select(_VOTE.c.contribution_id, _VOTE.c.voter_id)
        .where(_VOTE.c.voter_id.in_(sa.select(_BALLOT.c.voter_id).where(_BALLOT.c.phase_id == phase.id))))}
    rows = connection.execute(
        sa.select(_MARK.c.contribution_id, _BALLOT.c.voter_id, _BALLOT.c.changed_at, _BALLOT.c.source_hash,
                  _BALLOT.c.annulment_id)
        .join_from(_MARK, _BALLOT, _BALLOT.c.id == _MARK.c.ballot_id).where(_BALLOT.c.phase_id == phase.id)).all()
    _insert(_VOTE, [{"contribution_id": row.contribution_id, "voter_id": row.voter_id, "given_at": row.changed_at,
                     "source_hash": row.source_hash, "annulment_id": row.annulment_id}
                    for row in rows if (row.contribution_id, row.voter_id) not in known])
    for annulment_id, number in Counter(row.annulment_id for row in rows if row.annulment_id is not None).items():
        own = sa.select(sa.func.count()).select_from(_BALLOT).where(
            _BALLOT.c.phase_id == phase.id, _BALLOT.c.annulment_id == annulment_id).scalar_subquery()
        connection.execute(sa.update(_ANNULMENT).where(_ANNULMENT.c.id == annulment_id)
                           .values(votes=_ANNULMENT.c.votes + number, ballots=_ANNULMENT.c.ballots - own))
    ballots = sa.select(_BALLOT.c.id).where(_BALLOT.c.phase_id == phase.id)
    connection.execute(sa.delete(_MARK).where(_MARK.c.ballot_id.in_(ballots)))
    for table in (_BALLOT, _TALLY, _TURNOUT):
        connection.execute(sa.delete(table).where(table.c.phase_id == phase.id))


def _insert(table: sa.TableClause, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), CHUNK):
        op.get_bind().execute(sa.insert(table), rows[start : start + CHUNK])


def _count_supports(processes: set[int]) -> None:
    connection = op.get_bind()
    votes = sa.select(sa.func.count()).select_from(_VOTE)
    of_proposal = votes.where(_VOTE.c.contribution_id == _CONTRIBUTION.c.id, _VOTE.c.annulment_id.is_(None)).scalar_subquery()
    of_voter = (
        votes.join(_CONTRIBUTION, _CONTRIBUTION.c.id == _VOTE.c.contribution_id)
        .where(_VOTE.c.voter_id == _VOTER.c.id, _VOTE.c.annulment_id.is_(None), _CONTRIBUTION.c.kind == "proposal")
        .correlate(_VOTER).scalar_subquery())
    for process_id in sorted(processes):
        connection.execute(sa.update(_CONTRIBUTION).where(_CONTRIBUTION.c.process_id == process_id)
                           .values(support_count=of_proposal))
        connection.execute(sa.update(_VOTER).where(_VOTER.c.process_id == process_id).values(supports=of_voter))
