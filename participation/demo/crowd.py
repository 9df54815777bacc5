"""The many who only vote, and the numbers that come of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from participation import clock
from participation.accounts.models import ParticipantKind
from participation.contributions.ballots.models import Ballot, BallotMark, BallotOption
from participation.contributions.ballots.operations import recount as recount_ballots
from participation.contributions.models import Voter
from participation.contributions.operations import count_people
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import recount as recount_votes
from participation.demo.stage import Demo

SYNTHETIC_SUPPORTERS = 165
# How many packed a basket so far.
BASKETS = 143


def add_votes(demo: Demo) -> None:
    """Supporters vote while an idea is young; some ideas are found late."""
    for key, process in demo.processes.items():
        pool = [
            Voter(
                id=demo.keyring.voter_of(process.id, f"demo:{key}:{number}"),
                process_id=process.id,
                channel=ParticipantKind.ACCOUNT,
            )
            for number in range(SYNTHETIC_SUPPORTERS)
        ]
        demo.session.add_all(pool)
        demo.session.flush()
        ids = [one.id for one in pool]
        rows: list[dict[str, Any]] = []
        for proposal in demo.proposals.values():
            wanted = getattr(proposal, "support_target", 0)
            if proposal.process_id != process.id or not proposal.is_published or not wanted:
                continue
            start = proposal.published_at or proposal.created_at
            span = (demo.now - start).total_seconds()
            for voter in demo.random.sample(ids, min(wanted, len(ids))):
                at = start + timedelta(seconds=span * demo.random.betavariate(0.7, 2.2))
                rows.append({"contribution_id": proposal.id, "voter_id": voter, "given_at": clock.hour_of(at)})
            proposal.support_count = min(wanted, len(ids))
        if rows:
            demo.session.execute(insert(Vote), rows)
    recount_votes(demo.session)


def add_ballots(demo: Demo, entries: list[dict[str, Any]]) -> None:
    """Baskets that people packed within the money, each from what most of them like."""
    process = demo.processes["buergerbudget"]
    phase = next(one for one in process.phases if one.format_key == "budget")
    total, most = phase.settings.total, phase.settings.max_number  # type: ignore[attr-defined]
    for entry in entries:
        row = demo.proposals[entry["key"]]
        demo.session.add(BallotOption(phase_id=phase.id, contribution_id=row.id, cost=entry["cost"]))
    for number in range(BASKETS):
        voter = Voter(id=demo.keyring.voter_of(process.id, f"demo:basket:{number}"), process_id=process.id,
                      channel=ParticipantKind.ACCOUNT)
        at = demo.now - timedelta(hours=demo.random.uniform(1, 200))
        demo.session.add(voter)
        demo.session.flush()
        left = total
        chosen: list[int] = []
        for entry in demo.random.sample(entries, len(entries)):
            if demo.random.random() < entry["weight"] and entry["cost"] <= left and len(chosen) < most:
                left -= entry["cost"]
                chosen.append(demo.proposals[entry["key"]].id)
        if chosen:
            ballot = Ballot(phase_id=phase.id, voter_id=voter.id, channel=voter.channel, size=len(chosen),
                            changed_at=clock.hour_of(at))
            demo.session.add(ballot)
            demo.session.flush()
            demo.session.execute(insert(BallotMark), [
                {"ballot_id": ballot.id, "contribution_id": key, "value": 1} for key in chosen])
    recount_ballots(demo.session)


def count(demo: Demo) -> None:
    """The numbers that are kept beside the rows."""
    for process in demo.processes.values():
        visible = [one for one in demo.proposals.values() if one.process_id == process.id and one.is_published]
        process.proposal_count = len(visible)
        process.comment_count = sum(one.comment_count or 0 for one in visible)
        process.participant_count = count_people(demo.session, demo.keyring, process.id)
        for theme in process.themes:
            theme.proposal_count = len([one for one in visible if one.theme_id == theme.id])
    demo.session.flush()
