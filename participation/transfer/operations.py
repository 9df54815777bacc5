"""Brings entries of another platform in: all of them or none, a second time nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table, func, insert, select, text as sql, update

from participation import audit, search, text
from participation.accounts.models import Participant, ParticipantKind
from participation.contributions.comments.models import MAX_DEPTH, Comment
from participation.contributions.models import Contribution, ContributionState, Revision
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.db import Base, is_sqlite
from participation.municipalities.operations import raise_content_version
from participation.processes.models import Process, Theme
from participation.transfer.mapping import Entry, FieldMap, Reply, RowError, read_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

CHUNK = 2000
TONES = 6


@dataclass(slots=True)
class Survey:
    """What the first pass over the file found."""

    rows: int = 0
    errors: list[tuple[int, RowError]] = field(default_factory=list)
    themes: dict[str, int] = field(default_factory=dict)
    most_supports: int = 0


@dataclass(slots=True)
class Outcome:
    """What was brought in."""

    proposals: int = 0
    comments: int = 0
    supports: int = 0
    known: int = 0


def survey(rows: Iterable[tuple[int, dict[str, Any]]], fields: FieldMap) -> Survey:
    """Read every row once and change nothing: errors are known before anything is stored."""
    found = Survey()
    for number, row in rows:
        found.rows += 1
        try:
            entry = read_entry(row, fields)
        except RowError as error:
            found.errors.append((number, error))
            continue
        if entry.theme:
            found.themes[entry.theme] = found.themes.get(entry.theme, 0) + 1
        found.most_supports = max(found.most_supports, entry.supports)
    return found


class Import:
    """One import in one transaction. Core inserts in chunks: memory does not grow with the file."""

    def __init__(self, session: Session, keyring: Keyring, process: Process, fields: FieldMap, now: datetime) -> None:
        """Bind to a process."""
        self.session, self.keyring, self.process, self.fields, self.now = session, keyring, process, fields, now
        self.outcome = Outcome()
        self._people: dict[str, int] = {}
        rows = session.execute(select(Theme.name, Theme.id, Theme.slug).where(Theme.process_id == process.id)).all()
        self._themes = {row.name: row.id for row in rows}
        self._slugs = {row.slug for row in rows}
        self._voters: list[int] = []
        if not is_sqlite(session):
            # Ids are given here, so nobody else may take some until the end.
            session.execute(sql("LOCK TABLE contribution IN SHARE ROW EXCLUSIVE MODE"))
        self._next_id = (session.scalar(select(func.max(Contribution.id))) or 0) + 1

    def run(
        self, rows: Iterable[tuple[int, dict[str, Any]]], found: Survey, progress: Callable[[int], None]
    ) -> Outcome:
        """Store every readable row. The caller commits."""
        self._make_themes(found.themes)
        self._make_voters(found.most_supports)
        chunk: list[Entry] = []
        for _number, row in rows:
            try:
                chunk.append(read_entry(row, self.fields))
            except RowError:
                continue
            if len(chunk) == CHUNK:
                self._store(chunk)
                progress(len(chunk))
                chunk = []
        if chunk:
            self._store(chunk)
            progress(len(chunk))
        self._finish()
        return self.outcome

    def _make_themes(self, names: dict[str, int]) -> None:
        for name in sorted(names, key=lambda one: -names[one]):
            if name not in self._themes:
                number = len(self._themes)
                slug = text.make_slug(name, "thema")
                slug = slug if slug not in self._slugs else f"{slug}-{number}"
                self._slugs.add(slug)
                theme = Theme(process_id=self.process.id, name=name, slug=slug, tone=number % TONES + 1, position=number)
                self.session.add(theme)
                self.session.flush()
                self._themes[name] = theme.id

    def _make_voters(self, number: int) -> None:
        """Supports came as a number: as many nameless participants stand for them, so that they can be recounted."""
        self._voters = [self._person(f"\x00supporter:{one}", "Unterstützung") for one in range(number)]

    def _person(self, author: str, shown: str = "") -> int:
        known = self._people.get(author)
        if known is not None:
            return known
        person_hash = self.keyring.person_hash(self.process.id, f"import:{self.fields.source}:{author}")
        found = self.session.scalar(select(Participant.id).where(
            Participant.process_id == self.process.id, Participant.person_hash == person_hash))
        if found is None:
            participant = Participant(process_id=self.process.id, person_hash=person_hash, pseudonym=shown or author,
                                      kind=ParticipantKind.IMPORTED, created_at=self.now)
            self.session.add(participant)
            self.session.flush()
            found = participant.id
            self.session.expunge(participant)
        self._people[author] = found
        return found

    def _store(self, entries: list[Entry]) -> None:
        keys = [entry.key for entry in entries]
        known = set(self.session.scalars(select(Contribution.source_key).where(
            Contribution.process_id == self.process.id, Contribution.source_key.in_(keys))))
        bases: list[dict[str, Any]] = []
        proposals: list[dict[str, Any]] = []
        comments: list[dict[str, Any]] = []
        votes: list[dict[str, Any]] = []
        index: list[tuple[int, str, str]] = []
        for entry in entries:
            if entry.key in known:
                self.outcome.known += 1
                continue
            known.add(entry.key)
            key = self._take_id()
            before = len(comments)
            replies = list(self._replies(entry.comments, key, None, None, 0, comments))
            bases.append(self._base(key, "proposal", entry.author, entry.body, entry.at, theme_id=self._themes.get(
                entry.theme), source_key=entry.key, support_count=entry.supports, comment_count=len(comments) - before))
            bases += replies
            proposals.append({"id": key, "title": entry.title, "lon": entry.lon, "lat": entry.lat,
                              "place": entry.place, "district_id": None})
            votes += [{"contribution_id": key, "participant_id": voter, "created_at": entry.at}
                      for voter in self._voters[: entry.supports]]
            index.append((key, entry.title, f"{entry.body} {entry.place}"))
            self.outcome.proposals += 1
            self.outcome.supports += entry.supports
        self.outcome.comments += len(comments)
        titles = {row["id"]: row["title"] for row in proposals}
        revisions = [{"contribution_id": row["id"], "number": 1, "title": titles.get(row["id"], ""),
                      "body": row["body"], "created_at": row["created_at"]} for row in bases]
        for model, rows in ((Contribution, bases), (Proposal, proposals), (Comment, comments), (Revision, revisions),
                            (Vote, votes)):
            if rows:
                self.session.execute(insert(_table(model)), rows)
        search.index_many(self.session, self.process.id, index)

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _base(self, key: int, kind: str, author: str, body: str, at: datetime, **values: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "id": key, "kind": kind, "process_id": self.process.id, "phase_id": None, "theme_id": None,
            "participant_id": self._person(author), "state": ContributionState.PUBLISHED, "body": body,
            "revision_number": 1, "source_key": None, "support_count": 0, "comment_count": 0, "created_at": at,
            "submitted_at": at, "published_at": at, "decided_at": None, **values,
        }

    def _replies(
        self, replies: list[Reply], proposal_id: int, parent_id: int | None, thread_id: int | None, depth: int,
        comments: list[dict[str, Any]],
    ) -> Iterator[dict[str, Any]]:
        """Threads deeper than ours continue on the deepest level."""
        for reply in replies:
            key = self._take_id()
            comments.append({"id": key, "proposal_id": proposal_id, "parent_id": parent_id,
                             "thread_id": thread_id or key, "depth": depth})
            yield self._base(key, "comment", reply.author, reply.body, reply.at)
            deeper = depth < MAX_DEPTH
            yield from self._replies(reply.answers, proposal_id, key if deeper else parent_id, thread_id or key,
                                     depth + 1 if deeper else depth, comments)

    def _finish(self) -> None:
        """Counters in one statement each; visitors see the new state at their next request."""
        if not is_sqlite(self.session):
            self.session.execute(
                sql("SELECT setval(pg_get_serial_sequence('contribution', 'id'), greatest(max(id), 1)) FROM contribution")
            )
        process_id = self.process.id
        published = (Contribution.process_id == process_id, Contribution.state == ContributionState.PUBLISHED)
        proposals = (*published, Contribution.kind == "proposal")
        sums = self.session.execute(select(
            func.count(), func.coalesce(func.sum(Contribution.comment_count), 0),
            func.coalesce(func.sum(Contribution.support_count), 0)).where(*proposals)).one()
        people = self.session.scalar(select(func.count()).select_from(Participant).where(
            Participant.process_id == process_id))
        self.session.execute(update(Process).where(Process.id == process_id).values(
            proposal_count=sums[0], comment_count=sums[1], support_count=sums[2], participant_count=people))
        counts = select(func.count()).select_from(Contribution).where(
            Contribution.theme_id == Theme.id, Contribution.kind == "proposal",
            Contribution.state == ContributionState.PUBLISHED).scalar_subquery()
        self.session.execute(update(Theme).where(Theme.process_id == process_id).values(proposal_count=counts))
        raise_content_version(self.session, self.process.municipality_id)
        audit.record(self.session, at=self.now, actor="command:import", action="import_proposals",
                     subject_type="process", subject_id=process_id, proposals=self.outcome.proposals,
                     comments=self.outcome.comments)


def _table(model: type[Base]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):  # pragma: no cover - every model has one
        raise TypeError(model)
    return table
