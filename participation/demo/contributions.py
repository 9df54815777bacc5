"""What people of the demo wrote: proposals, answers to them, comments."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from mapping.geometry import district_of
from participation import search, tokens
from participation.accounts.models import Participant, ParticipantKind
from participation.contributions.comments.models import Comment
from participation.contributions.models import AnswerStatus, Contribution, ContributionState, Revision
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.searching import searched_text
from participation.demo.stage import Demo, read
from participation.events import ContributionSubmitted, emit
from participation.own_fields import read_answers, store_answers
from participation.processes.models import Process

# Whom a proposal of the demo concerns, by words of its text: what its author might have ticked.
CONCERNED = {
    "Kinder und Jugendliche": ("Schul", "Kind", "Jugend", "Spielplatz", "Skater"),
    "Familien": ("Famil", "Eltern", "Kita"),
    "Ältere Menschen": ("Rollator", "Senior", "ältere", "Oma", "Opa", "Pflege", "Hausnotruf"),
    "Vereine": ("Verein", "Chor", "Ehrenamt"),
    "Betriebe": ("Laden", "Betrieb", "Händler", "Handwerk", "Gasthof"),
}


def add_proposal(demo: Demo, entry: dict[str, Any]) -> None:
    """A proposal, with its author and its place in the search."""
    process = demo.processes[entry["process"]]
    at = demo.written_at(entry)
    collecting = next((phase for phase in process.phases if phase.format_key == "collect"), None)
    lon, lat = entry.get("lon"), entry.get("lat")
    row = Proposal(
        process_id=process.id,
        phase_id=collecting.id if collecting else None,
        theme_id=demo.themes[entry["process"], entry["theme"]].id,
        participant_id=_author(demo, process, entry["author"], entry.get("pseudonym")).id,
        state=ContributionState(entry["state"]),
        title=entry["title"],
        body=entry["text"].strip(),
        place=entry.get("place", ""),
        lon=lon,
        lat=lat,
        district_id=district_of(lon, lat, demo.districts) if lon is not None and lat is not None else None,
    )
    row.process = process
    asked = row.own_fields
    concerned = [group for group, marks in CONCERNED.items() if any(mark in f"{row.title} {row.body}" for mark in marks)]
    if asked and concerned:
        said = {asked[0].key: concerned[:2]}
        row.stored_answers = store_answers(read_answers(asked, said)[0])
    _add(demo, row, at, row.title)
    demo.proposals[entry["key"]] = row
    row.support_target = entry.get("support", 0)  # type: ignore[attr-defined]
    if row.is_published:
        search.index_proposal(demo.session, row.id, process.id, row.title, searched_text(row))


def add_answers(demo: Demo) -> None:
    """What the administration said to proposals."""
    for entry in read("answers")["answer"]:
        row = demo.proposals[entry["proposal"]]
        row.answer_status = AnswerStatus(entry["status"])
        row.answer_body = entry["text"].strip()
        row.answer_cost = entry.get("cost")
        row.answered_by = entry["by"]
        row.answered_at = demo.now - timedelta(days=entry["days_ago"])


def add_comments(demo: Demo) -> None:
    """Comments and replies, each some time after what it is about."""
    written: dict[str, Comment] = {}
    for entry in read("comments")["comment"]:
        proposal = demo.proposals[entry["proposal"]]
        parent = written.get(entry.get("reply_to", ""))
        at = (
            demo.now - timedelta(hours=entry["hours_ago"])
            if "hours_ago" in entry
            else proposal.created_at + timedelta(hours=entry["hours_after"])
        )
        row = Comment(
            process_id=proposal.process_id,
            phase_id=proposal.phase_id,
            participant_id=_author(demo, proposal.process, entry["author"], entry.get("pseudonym")).id,
            state=ContributionState(entry["state"]),
            body=entry["text"].strip(),
            proposal_id=proposal.id,
            parent_id=parent.id if parent else None,
            thread_id=parent.thread_id if parent else None,
            depth=parent.depth + 1 if parent else 0,
        )
        row.process = proposal.process
        _add(demo, row, min(at, demo.now), "")
        row.thread_id = row.thread_id or row.id
        written[entry["key"]] = row
        if row.is_published:
            proposal.comment_count = (proposal.comment_count or 0) + 1


def _author(demo: Demo, process: Process, key: str, pseudonym: str | None) -> Participant:
    person = demo.people.get(key, {"name": pseudonym or "Gast", "kind": "guest"})
    name = pseudonym or person["name"]
    known = demo.authors.get((process.id, f"{key}:{name}"))
    if known is not None:
        return known
    account = demo.accounts.get(key)
    identity = f"account:{account.id}" if account else f"demo:{key}:{name}"
    author = Participant(
        process_id=process.id,
        person_hash=demo.keyring.person_hash(process.id, identity),
        pseudonym=name,
        kind=ParticipantKind.ACCOUNT if person["kind"] == "account" else ParticipantKind.GUEST,
        is_staff="roles" in person,
        created_at=demo.now,
        contact_sealed=demo.keyring.seal(identity) if account else None,
    )
    demo.session.add(author)
    demo.session.flush()
    demo.authors[process.id, f"{key}:{name}"] = author
    return author


def _add(demo: Demo, row: Contribution, at: datetime, title: str) -> None:
    row.created_at = row.submitted_at = at
    row.revision_number = 1
    row.receipt_number = tokens.new_receipt_number() if isinstance(row, Proposal) else None
    if row.state is ContributionState.PUBLISHED:
        # Moderators work in office hours: most is checked within a day.
        row.published_at = row.decided_at = min(at + timedelta(minutes=demo.random.randint(12, 600)), demo.now)
    row.revisions = [Revision(number=1, title=title, body=row.body, created_at=at)]
    demo.session.add(row)
    demo.session.flush()
    if row.state is ContributionState.SUBMITTED:
        emit(demo.session, ContributionSubmitted(row.id, 1, row.process_id, at))
