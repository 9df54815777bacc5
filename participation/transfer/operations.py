"""Brings entries of another platform in: all of them or none, a second time nothing."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Table, func, insert, select, text as sql, update

from participation import audit, clock, search, text
from participation.accounts.models import Participant, ParticipantKind
from participation.contributions.comments.models import MAX_DEPTH, Comment
from participation.contributions.models import Contribution, ContributionState, Revision, Voter, new_shuffle_key
from participation.contributions.operations import count_people
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes.models import Vote
from participation.contributions.votes.operations import recount as recount_votes
from participation.db import Base, is_sqlite
from participation.municipalities.operations import raise_content_version
from participation.processes.models import Process, Theme
from participation.transfer.mapping import (
    CommentRow,
    Entry,
    FieldMap,
    Reply,
    RowError,
    is_left_out,
    read_comment,
    read_entry,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

CHUNK = 2000
# Names whose participants are kept in memory.
PEOPLE_KEPT = 50_000
TONES = 6
Value = TypeVar("Value")


@dataclass(slots=True)
class Survey:
    """What the first pass over the file found."""

    rows: int = 0
    left_out: int = 0
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
        if is_left_out(row, fields):
            found.left_out += 1
            continue
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
        self._known_to_planner = self._next_id

    def run(
        self, rows: Iterable[tuple[int, dict[str, Any]]], found: Survey, progress: Callable[[int], None]
    ) -> Outcome:
        """Store every readable row. The caller commits."""
        self._make_themes(found.themes)
        self._make_voters(found.most_supports)
        chunk: list[Entry] = []
        for _number, row in rows:
            try:
                if is_left_out(row, self.fields):
                    continue
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
        """Supports came as a number: as many nameless voters stand for them, so that they can be recounted."""
        self._voters = [self.keyring.voter_of(self.process.id, f"import:{self.fields.source}:\x00supporter:{one}")
                        for one in range(number)]
        known = set(self.session.scalars(select(Voter.id).where(Voter.process_id == self.process.id)))
        new = [one for one in self._voters if one not in known]
        if new:
            self.session.execute(insert(_table(Voter)), [
                {"id": one, "process_id": self.process.id, "channel": ParticipantKind.IMPORTED, "supports": 0}
                for one in new])

    def _know_people(self, authors: Iterable[str]) -> None:
        """Find or make the participants behind these names, a few statements for all of them."""
        if len(self._people) > PEOPLE_KEPT:
            self._people.clear()
        missing = {
            self.keyring.person_hash(self.process.id, f"import:{self.fields.source}:{author}"): author
            for author in authors if author not in self._people
        }
        for hashes in batched(missing, CHUNK):
            self._find_people(hashes, missing)
            new = [one for one in hashes if missing[one] not in self._people]
            if new:
                self.session.execute(insert(_table(Participant)), [
                    {"process_id": self.process.id, "person_hash": one, "pseudonym": missing[one],
                     "kind": ParticipantKind.IMPORTED, "is_staff": False, "created_at": self.now} for one in new])
                self._find_people(new, missing)

    def _find_people(self, hashes: Sequence[str], names: dict[str, str]) -> None:
        rows = self.session.execute(select(Participant.person_hash, Participant.id).where(
            Participant.process_id == self.process.id, Participant.person_hash.in_(hashes)))
        self._people |= {names[row.person_hash]: row.id for row in rows}

    def _store(self, entries: list[Entry]) -> None:
        keys = [entry.key for entry in entries]
        known = set(self.session.scalars(select(Contribution.source_key).where(
            Contribution.process_id == self.process.id, Contribution.source_key.in_(keys))))
        bases: list[dict[str, Any]] = []
        proposals: list[dict[str, Any]] = []
        comments: list[dict[str, Any]] = []
        votes: list[dict[str, Any]] = []
        index: list[tuple[int, str, str]] = []
        self._know_people({name for entry in entries for name in _authors(entry)})
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
            votes += [{"contribution_id": key, "voter_id": voter, "given_at": clock.hour_of(entry.at)}
                      for voter in self._voters[: entry.supports]]
            index.append((key, entry.title, f"{entry.body} {entry.place}"))
            self.outcome.proposals += 1
            self.outcome.supports += entry.supports
        self.outcome.comments += len(comments)
        titles = {row["id"]: row["title"] for row in proposals}
        revisions = [{"contribution_id": row["id"], "number": 1, "title": titles.get(row["id"], ""),
                      "body": row["body"], "created_at": row["created_at"]} for row in bases]
        self._insert_all((Contribution, bases), (Proposal, proposals), (Comment, comments), (Revision, revisions), (Vote, votes))
        search.index_many(self.session, self.process.id, index)

    def _insert_all(self, *rows_of: tuple[type[Base], list[dict[str, Any]]]) -> None:
        for model, rows in rows_of:
            if rows:
                self._insert(model, rows)
        # Not after each of many: reading for that would grow with the import as well.
        if self._next_id > 2 * self._known_to_planner:
            self._tell_planner()

    def _insert(self, model: type[Base], rows: list[dict[str, Any]]) -> None:
        """Many rows at once; by COPY on PostgreSQL, where single inserts would take three times as long."""
        table = _table(model)
        if is_sqlite(self.session):
            self.session.execute(insert(table), rows)
            return
        defaults = {
            column.name: column.default.arg  # type: ignore[attr-defined]
            for column in table.columns
            if column.default is not None and column.default.is_scalar and column.name not in rows[0]
        }
        names = [*rows[0], *defaults]
        columns = ", ".join(f'"{name}"' for name in names)
        raw = self.session.connection().connection.dbapi_connection
        with raw.cursor().copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:  # type: ignore[union-attr]
            for row in rows:
                values = (row.get(name, defaults.get(name)) for name in names)
                copy.write_row([value.value if isinstance(value, enum.Enum) else value for value in values])

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _base(self, key: int, kind: str, author: str, body: str, at: datetime, **values: Any) -> dict[str, Any]:  # noqa: ANN401
        return {
            "id": key, "kind": kind, "process_id": self.process.id, "phase_id": None, "theme_id": None,
            "participant_id": self._people[author], "state": ContributionState.PUBLISHED, "body": body,
            "revision_number": 1, "shuffle_key": new_shuffle_key(), "source_key": None, "support_count": 0, "comment_count": 0, "created_at": at,
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
                             "thread_id": thread_id or key, "depth": depth, "quote": "", "stance": None})
            yield self._base(key, "comment", reply.author, reply.body, reply.at)
            deeper = depth < MAX_DEPTH
            yield from self._replies(reply.answers, proposal_id, key if deeper else parent_id, thread_id or key,
                                     depth + 1 if deeper else depth, comments)

    def _tell_planner(self) -> None:
        """To PostgreSQL's planner these tables are as small as before: it would read them whole to find a few rows."""
        if not is_sqlite(self.session):
            self.session.execute(sql("ANALYZE contribution, comment, participant, proposal, vote, voter"))
            self._known_to_planner = self._next_id

    def _finish(self) -> None:
        """Counters in one statement each; visitors see the new state at their next request."""
        if not is_sqlite(self.session):
            self.session.execute(
                sql("SELECT setval(pg_get_serial_sequence('contribution', 'id'), greatest(max(id), 1)) FROM contribution")
            )
            self._tell_planner()
        process_id = self.process.id
        published = (Contribution.process_id == process_id, Contribution.state == ContributionState.PUBLISHED)
        proposals = (*published, Contribution.kind == "proposal")
        sums = self.session.execute(select(
            func.count(), func.coalesce(func.sum(Contribution.comment_count), 0)).where(*proposals)).one()
        people = count_people(self.session, self.keyring, process_id)
        recount_votes(self.session, process_id)
        self.session.execute(update(Process).where(Process.id == process_id).values(
            proposal_count=sums[0], comment_count=sums[1], participant_count=people))
        counts = select(func.count()).select_from(Contribution).where(
            Contribution.theme_id == Theme.id, Contribution.kind == "proposal",
            Contribution.state == ContributionState.PUBLISHED).scalar_subquery()
        self.session.execute(update(Theme).where(Theme.process_id == process_id).values(proposal_count=counts))
        raise_content_version(self.session, self.process.municipality_id)
        audit.record(self.session, at=self.now, actor="command:import", action="import_proposals",
                     subject_type="process", subject_id=process_id, proposals=self.outcome.proposals,
                     comments=self.outcome.comments)


class CommentImport(Import):
    """Comments from a file of their own, to proposals that came before them from the same platform."""

    def run_comments(
        self, rows: Iterable[tuple[int, dict[str, Any]]], progress: Callable[[int], None]
    ) -> list[tuple[int, RowError]]:
        """Store every readable comment whose proposal or parent is known; returns the others with their reasons.

        A parent may stand further down in the file: what has none yet waits for the next round. The caller commits.
        """
        errors: list[tuple[int, RowError]] = []
        waiting: list[tuple[int, CommentRow]] = []
        for chunk in batched(rows, CHUNK):
            readable: list[tuple[int, CommentRow]] = []
            for number, row in chunk:
                try:
                    if not is_left_out(row, self.fields):
                        readable.append((number, read_comment(row, self.fields)))
                except RowError as error:
                    errors.append((number, error))
            waiting += self._store_comments(readable)
            progress(len(chunk))
        while waiting:
            left = [one for chunk in batched(waiting, CHUNK) for one in self._store_comments(chunk)]
            if len(left) == len(waiting):
                cure = "Zuerst die Vorschläge derselben Plattform übernehmen."
                errors += [(number, RowError("Ziel", "Der Vorschlag oder Kommentar dazu ist nicht da.", cure))
                           for number, _row in left]
                break
            waiting = left
        self._count_comments()
        self._finish()
        return errors

    def _store_comments(self, rows: Sequence[tuple[int, CommentRow]]) -> list[tuple[int, CommentRow]]:
        """Store those whose target is known; returns the rest."""
        wanted = {key for _number, row in rows for key in (row.key, row.parent_key, row.proposal_key) if key}
        contribution, comment = _table(Contribution).c, _table(Comment).c
        found = {
            row.source_key: row
            for keys in batched(wanted, CHUNK)
            for row in self.session.execute(
                select(contribution.source_key, contribution.id, comment.proposal_id, comment.thread_id, comment.depth,
                       comment.parent_id)
                .select_from(_table(Contribution)).outerjoin(_table(Comment), comment.id == contribution.id)
                .where(contribution.process_id == self.process.id, contribution.source_key.in_(keys)))
        }
        self._know_people({row.author for _number, row in rows})
        left: list[tuple[int, CommentRow]] = []
        bases: list[dict[str, Any]] = []
        comments: list[dict[str, Any]] = []
        taken: set[str] = set()
        for number, row in rows:
            if row.key in found or row.key in taken:
                self.outcome.known += 1
                continue
            parent = found.get(row.parent_key)
            target = parent if row.parent_key else found.get(row.proposal_key)
            if target is None:
                left.append((number, row))
                continue
            key = self._take_id()
            taken.add(row.key)
            values: dict[str, Any] = {"id": key, "proposal_id": target.id, "parent_id": None, "thread_id": key,
                                      "depth": 0, "quote": "", "stance": row.stance}
            if parent is not None:
                is_deepest = parent.depth >= MAX_DEPTH
                values |= {"proposal_id": parent.proposal_id, "thread_id": parent.thread_id, "stance": None,
                           "parent_id": parent.parent_id if is_deepest else parent.id,
                           "depth": parent.depth if is_deepest else parent.depth + 1}
            comments.append(values)
            bases.append(self._base(key, "comment", row.author, row.body, row.at, source_key=row.key))
        if bases:
            revisions = [{"contribution_id": row["id"], "number": 1, "title": "", "body": row["body"],
                          "created_at": row["created_at"]} for row in bases]
            self._insert_all((Contribution, bases), (Comment, comments), (Revision, revisions))
        self.outcome.comments += len(comments)
        return left

    def _count_comments(self) -> None:
        """The counts of the proposals, in one statement."""
        base, own = _table(Contribution).alias("base"), _table(Comment)
        counts = (
            select(func.count()).select_from(own.join(base, base.c.id == own.c.id))
            .where(own.c.proposal_id == Contribution.id, base.c.state == ContributionState.PUBLISHED)
            .scalar_subquery()
        )
        self.session.execute(
            update(Contribution)
            .where(Contribution.process_id == self.process.id, Contribution.kind == "proposal")
            .values(comment_count=counts)
            .execution_options(synchronize_session=False)
        )


def _authors(entry: Entry) -> Iterator[str]:
    """The author of an entry and those of all comments under it."""
    yield entry.author
    replies = list(entry.comments)
    while replies:
        reply = replies.pop()
        yield reply.author
        replies += reply.answers


def batched(values: Iterable[Value], size: int) -> Iterator[tuple[Value, ...]]:
    """In groups of at most `size`."""
    rest = iter(values)
    while group := tuple(islice(rest, size)):
        yield group


def _table(model: type[Base]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):  # pragma: no cover - every model has one
        raise TypeError(model)
    return table
