"""Rows that tests need, each valid by itself. Every function flushes, so that ids are there."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from participation import clock, formats, search
from participation.accounts.models import Account, Participant, ParticipantKind, RoleGrant
from participation.contributions.comments.models import Comment
from participation.contributions.models import ContributionState, Revision, Voter
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.municipalities.models import Municipality
from participation.permissions import Actor, Grant, Role
from participation.processes.models import Phase, Process, ProcessState, Theme

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.contributions.models import Contribution

_number = itertools.count(1)
SQUARE = {
    "type": "Polygon",
    "coordinates": [[[7.2, 51.92], [7.4, 51.92], [7.4, 52.04], [7.2, 52.04], [7.2, 51.92]]],
}


def municipality(session: Session, **values: Any) -> Municipality:
    """A town with a square boundary around Billerbeck."""
    number = next(_number)
    row = Municipality(
        **{
            "slug": f"stadt-{number}",
            "name": f"Stadt {number}",
            "ags": f"{number:08d}",
            "email": "rathaus@stadt.example",
            "address": "Markt 1\n48727 Stadt",
            "boundary": SQUARE,
            "west": 7.2,
            "south": 51.92,
            "east": 7.4,
            "north": 52.04,
            **values,
        }
    )
    session.add(row)
    session.flush()
    return row


def process(session: Session, town: Municipality | None = None, **values: Any) -> Process:
    """A published process with two themes and an open phase that collects ideas."""
    town = town or municipality(session)
    number = next(_number)
    phases = values.pop("phases", None)
    row = Process(
        **{
            "municipality": town,
            "slug": f"verfahren-{number}",
            "state": ProcessState.PUBLISHED,
            "title": f"Verfahren {number}",
            "summary": "Worum es geht.",
            "published_at": clock.now(),
            **values,
        }
    )
    row.themes = [
        Theme(slug="verkehr", name="Verkehr", position=0),
        Theme(slug="wohnen", name="Wohnen", position=1, tone=2),
    ]
    row.phases = phases if phases is not None else [phase("collect")]
    session.add(row)
    session.flush()
    return row


def phase(format_key: str, *, opens: float = -1, closes: float | None = 30, **values: Any) -> Phase:
    """A phase, not yet added; `opens` and `closes` in days from now."""
    now = clock.now()
    settings = values.pop("settings", None) or formats.FORMATS[format_key].settings()
    return Phase(
        **{
            "format_key": format_key,
            "title": f"Phase {format_key}",
            "starts_at": now + timedelta(days=opens),
            "ends_at": None if closes is None else now + timedelta(days=closes),
            "stored_settings": formats.store_settings(settings),
            **values,
        }
    )


def account(
    session: Session, *roles: Role, town: Municipality | None = None, on: Process | None = None, **values: Any
) -> Account:
    """A confirmed account; with roles for a town, or for one process of it."""
    number = next(_number)
    row = Account(
        **{
            "email": f"person{number}@beispiel.example",
            "display_name": f"Person {number}",
            "email_confirmed_at": clock.now(),
            **values,
        }
    )
    session.add(row)
    session.flush()
    for role in roles:
        municipality_id = on.municipality_id if on else (town.id if town else 0)
        row.grants.append(RoleGrant(role=role, municipality_id=municipality_id, process_id=on.id if on else None))
    session.flush()
    return row


def actor(row: Account, *, second_factor: bool = True) -> Actor:
    """The actor that an account is when signed in."""
    return Actor(
        account_id=row.id,
        display_name=row.display_name,
        email=row.email,
        email_is_confirmed=row.email_confirmed_at is not None,
        second_factor_done=second_factor,
        grants=tuple(Grant(grant.role, grant.municipality_id, grant.process_id) for grant in row.grants),
    )


def participant(session: Session, on: Process, **values: Any) -> Participant:
    """Somebody who takes part."""
    number = next(_number)
    row = Participant(
        **{
            "process_id": on.id,
            "person_hash": f"{number:064d}",
            "kind": ParticipantKind.ACCOUNT,
            "pseudonym": f"Nachbarin {number}",
            **values,
        }
    )
    session.add(row)
    session.flush()
    return row


def vote(session: Session, on: Contribution, voter_id: int | None = None, **values: Any) -> Vote:
    """A support, of somebody whom nobody knows unless said otherwise. Only the voter's own counter knows of it."""
    number = voter_id if voter_id is not None else next(_number)
    channel = values.pop("channel", ParticipantKind.ACCOUNT)
    voter = session.get(Voter, number) or Voter(id=number, process_id=on.process_id, channel=channel, supports=0)
    voter.supports += on.kind == "proposal" and values.get("annulment_id") is None
    session.add(voter)
    session.flush()
    row = Vote(**{"contribution_id": on.id, "voter_id": number, "given_at": clock.hour_of(clock.now()), **values})
    session.add(row)
    session.flush()
    return row


def proposal(session: Session, on: Process, **values: Any) -> Proposal:
    """A proposal, published unless said otherwise, with counters and search index as they should be."""
    number = next(_number)
    now: datetime = values.pop("at", clock.now())
    state = values.pop("state", ContributionState.PUBLISHED)
    author = values.pop("participant", None) or participant(session, on)
    row = Proposal(
        **{
            "process_id": on.id,
            "participant_id": author.id,
            "state": state,
            "title": f"Vorschlag {number}",
            "body": "Ein Text.",
            "theme_id": on.themes[0].id if on.themes else None,
            "created_at": now,
            "submitted_at": now,
            "published_at": now if state is ContributionState.PUBLISHED else None,
            **values,
        }
    )
    row.process = on
    changes = {"theme_id": row.theme_id, "place": row.place or "", "lon": row.lon, "lat": row.lat, "district_id": None}
    row.revisions = [Revision(number=1, title=row.title, body=row.body, created_at=now, changes=changes)]
    session.add(row)
    session.flush()
    if row.is_published:
        on.proposal_count += 1
        for theme in on.themes:
            theme.proposal_count += theme.id == row.theme_id
        search.index_proposal(session, row.id, on.id, row.title, f"{row.body} {row.place}")
        session.flush()
    return row


def comment(session: Session, to: Proposal, **values: Any) -> Comment:
    """A comment, published unless said otherwise."""
    now: datetime = values.pop("at", clock.now())
    state = values.pop("state", ContributionState.PUBLISHED)
    parent: Comment | None = values.pop("parent", None)
    author = values.pop("participant", None) or participant(session, to.process)
    row = Comment(
        **{
            "process_id": to.process_id,
            "participant_id": author.id,
            "state": state,
            "body": "Eine Antwort.",
            "proposal_id": to.id,
            "parent_id": parent.id if parent else None,
            "depth": parent.depth + 1 if parent else 0,
            "thread_id": parent.thread_id if parent else None,
            "created_at": now,
            "submitted_at": now,
            "published_at": now if state is ContributionState.PUBLISHED else None,
            **values,
        }
    )
    row.process = to.process
    row.revisions = [Revision(number=1, body=row.body, created_at=now)]
    session.add(row)
    session.flush()
    row.thread_id = row.thread_id or row.id
    if row.is_published:
        to.comment_count += 1
        to.process.comment_count += 1
    session.flush()
    return row
