"""Who follows what, who is due, and what happened since."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, String, and_, bindparam, case, exists, func, or_, select, text, type_coerce
from sqlalchemy.orm import joinedload

from participation.accounts.models import Account, Participant
from participation.catalogue.models import Measure, MeasureSource
from participation.contributions.comments.models import Comment
from participation.contributions.models import AnswerStatus, Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.following.models import REFUSALS_MAX, Follower, Frequency, Subscription
from participation.language import DEFAULT, translated
from participation.processes.models import Phase, Process, ProcessNews, ProcessState, TextVariant, news_anchor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

# How many new titles of a process one mail names; the others are counted.
NAMED = 5
# What somebody wrote themselves is no news to them, and others take its place. So many of each author are read for it, one
# more than named so that it shows whether there are more to count; and so many in all: of any one reader, who is one author
# in a process, the last ones by others are always among them.
READ_OF_ONE = NAMED + 1
READ = READ_OF_ONE + NAMED
# An end that comes is told this long before, and not more than once: the length of the time between two mails.
AHEAD = {Frequency.AT_ONCE: timedelta(days=1), Frequency.DAILY: timedelta(days=1), Frequency.WEEKLY: timedelta(days=7),
         Frequency.NEVER: timedelta(0)}

# How many instants one query counts from; PostgreSQL and SQLite allow some more columns.
INSTANTS = 500

# How often whoever follows it gets mail, as the column holds it.
FOLLOWED = (
    select(type_coerce(Follower.frequency, String).label("frequency"))
    .select_from(Subscription).join(Follower, Follower.id == Subscription.follower_id)
    .where(Follower.account_id == bindparam("account_id"), Subscription.target == bindparam("target"))
)


@dataclass(slots=True)
class ProcessDigest:
    """What happened in a process that somebody follows."""

    title: str
    slug: str
    # By where it stands on its page.
    news: list[tuple[str, str]] = field(default_factory=list)
    proposals: list[tuple[int, str]] = field(default_factory=list)
    more_proposals: int = 0
    # The last of each: whether it is an earlier answer that was changed.
    answers: list[tuple[int, str, AnswerStatus, bool]] = field(default_factory=list)
    more_answers: int = 0
    begun: list[str] = field(default_factory=list)
    ending: list[tuple[str, datetime]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.news or self.proposals or self.more_proposals or self.answers or self.begun or self.ending)


@dataclass(slots=True)
class ProposalDigest:
    """What happened to a proposal that somebody follows."""

    id: int
    title: str
    slug: str
    process_title: str
    comments: int = 0
    answer: AnswerStatus | None = None
    # Whether the answer is an earlier one that was changed.
    is_change: bool = False
    measures: list[tuple[str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.comments or self.answer or self.measures)


@dataclass(slots=True)
class News:
    """One digest."""

    processes: list[ProcessDigest] = field(default_factory=list)
    proposals: list[ProposalDigest] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.processes or self.proposals)


def target_of(process_id: int, proposal_id: int | None) -> str:
    """What is followed, as one word."""
    return f"proposal:{proposal_id}" if proposal_id else f"process:{process_id}"


def follower_of_account(session: Session, municipality_id: int, account_id: int) -> Follower | None:
    """The follower that an account is."""
    return session.scalar(
        select(Follower).where(Follower.municipality_id == municipality_id, Follower.account_id == account_id))


def follower_of_address(session: Session, municipality_id: int, email_hash: str) -> Follower | None:
    """The follower that an address is."""
    return session.scalar(
        select(Follower).where(Follower.municipality_id == municipality_id, Follower.email_hash == email_hash))


def subscriptions_of(follower_id: int, limit: int) -> Select[Subscription]:
    """What somebody follows and has confirmed, the newest first."""
    return (
        select(Subscription).where(Subscription.follower_id == follower_id, Subscription.confirmed_at.is_not(None))
        .options(joinedload(Subscription.process), joinedload(Subscription.proposal))
        .order_by(Subscription.id.desc()).limit(limit)
    )


def reachable() -> Any:  # noqa: ANN401 - a condition
    """Followers that may be written to at all."""
    return and_(
        Follower.refusals < REFUSALS_MAX, Follower.bounces < REFUSALS_MAX,
        or_(Follower.account_id.is_(None),
            and_(Account.email_confirmed_at.is_not(None), Account.is_disabled.is_(False), Account.deleted_at.is_(None))),
    )


def due_followers(
    session: Session, frequency: Frequency, until: datetime, after_id: int, limit: int, *, process_id: int | None = None,
    municipality_id: int | None = None,
) -> Sequence[tuple[Follower, Account | None]]:
    """Those of a frequency who have not been told everything up to an instant, in the order of their numbers.

    With a process: those of them who follow it, or a proposal of it. With a municipality: its followers.
    """
    due = (
        select(Follower, Account).outerjoin(Account, Account.id == Follower.account_id)
        .where(Follower.frequency == frequency, Follower.id > after_id, Follower.told_until < until, reachable())
        .order_by(Follower.id).limit(limit)
    )
    if municipality_id is not None:
        due = due.where(Follower.municipality_id == municipality_id)
    if process_id is not None:
        due = due.where(exists().where(Subscription.process_id == process_id, Subscription.follower_id == Follower.id))
    return [(row[0], row[1]) for row in session.execute(due)]


def phase_instants(session: Session, since: datetime, until: datetime) -> list[tuple[int, datetime]]:
    """(process, instant) of what those who want to hear at once hear of phases: their beginning, and the coming end."""
    ahead = AHEAD[Frequency.AT_ONCE]
    public = select(Phase.process_id).join(Process, Process.id == Phase.process_id).where(
        Process.state == ProcessState.PUBLISHED)
    begun = public.add_columns(Phase.starts_at).where(Phase.starts_at > since, Phase.starts_at <= until)
    ending = public.add_columns(Phase.ends_at).where(Phase.ends_at > since + ahead, Phase.ends_at <= until + ahead)
    return [(row[0], row[1]) for row in session.execute(begun)] + [
        (row[0], row[1] - ahead) for row in session.execute(ending)]


def follower_numbers(session: Session, process_id: int) -> tuple[int, int]:
    """How many follow a process, and to how many of these nothing can be sent because their servers refuse it."""
    row = session.execute(
        select(func.count(), func.count().filter(
            or_(Follower.refusals >= REFUSALS_MAX, Follower.bounces >= REFUSALS_MAX))).select_from(Subscription)
        .join(Follower, Follower.id == Subscription.follower_id)
        .where(Subscription.process_id == process_id, Subscription.proposal_id.is_(None),
               Subscription.confirmed_at.is_not(None))
    ).one()
    return int(row[0]), int(row[1])


def gather_news(
    session: Session, keyring: Keyring, followers: Sequence[Follower], frequency: Frequency, until: datetime,
    languages: dict[int, str] | None = None,
) -> dict[int, News]:
    """What to tell each of these followers: public things between what they know and `until`.

    Who follows something is told what happened to it afterwards; what was there before stood on its page.

    `languages` says in which one each of them reads; what the editors have not translated is told in German.

    What nobody may see any more is told to nobody, whenever it happened. The number of queries depends on how many
    processes they follow, and neither on how many they are nor on how many different instants they know everything of.
    """
    rows = session.execute(
        select(Subscription.follower_id, Subscription.process_id, Subscription.proposal_id, Subscription.confirmed_at)
        .where(Subscription.follower_id.in_([one.id for one in followers]), Subscription.confirmed_at.is_not(None))
        .order_by(Subscription.id)
    ).all()
    if not rows:
        return {one.id: News() for one in followers}
    told_until = {one.id: one.told_until for one in followers}
    followed: defaultdict[int, list[tuple[int, int | None, datetime]]] = defaultdict(list)
    for row in rows:
        followed[row.follower_id].append(
            (row.process_id, row.proposal_id, max(told_until[row.follower_id], row.confirmed_at)))
    span = _Span(sorted({since for some in followed.values() for *_ids, since in some}), until)
    own = _own_participants(session, keyring, followers, {row.process_id for row in rows})
    participants = set().union(*own.values())
    processes = _process_facts(session, {row.process_id for row in rows if row.proposal_id is None}, span, participants)
    proposals = _proposal_facts(session, {row.proposal_id for row in rows if row.proposal_id is not None}, span,
                                participants)
    languages = languages or {}
    titles = _translated_titles(session, {row.process_id for row in rows},
                                {number for one in processes.values() for number, _anchor, _title, _at in one.news},
                                set(languages.values()) - {DEFAULT})
    told: dict[int, News] = {}
    for one in followers:
        news = News()
        own_titles = titles[languages.get(one.id, DEFAULT)]
        for process_id, proposal_id, since in followed[one.id]:
            if proposal_id is None and process_id in processes:
                news.processes.append(processes[process_id].since(since, until, frequency, own[one.id], own_titles))
            elif proposal_id in proposals:
                news.proposals.append(proposals[proposal_id].since(since, until, own[one.id], own_titles))
        news.processes = [digest for digest in news.processes if digest]
        news.proposals = [digest for digest in news.proposals if digest]
        told[one.id] = news
    return told


@dataclass(slots=True)
class _Span:
    """From the earliest to the latest instant; and the different instants from which somebody wants to know."""

    instants: list[datetime]
    until: datetime

    def covers(self, column: Any) -> Any:  # noqa: ANN401 - a column, a condition
        return and_(column > self.instants[0], column <= self.until)

    def count(
        self, session: Session, rows: Select[Any], column: Any  # noqa: ANN401 - a column
    ) -> defaultdict[tuple[Any, ...], dict[datetime, int]]:
        """By the columns of `rows`: how many there are since each instant, in one pass over the rows."""
        found: defaultdict[tuple[Any, ...], dict[datetime, int]] = defaultdict(dict)
        for first in range(0, len(self.instants), INSTANTS):
            some = self.instants[first : first + INSTANTS]
            for row in session.execute(rows.add_columns(*(func.count().filter(column > instant) for instant in some))):
                names, numbers = tuple(row[: -len(some)]), row[-len(some) :]
                found[names] |= dict(zip(some, map(int, numbers), strict=True))
        return found


@dataclass(slots=True)
class _ProcessFacts:
    """All that happened in a process; of many new proposals and answers the last ones, and how many they are."""

    id: int
    title: str
    slug: str
    phases: list[Phase] = field(default_factory=list)
    news: list[tuple[int, str, str, datetime]] = field(default_factory=list)
    proposals: list[tuple[int, str, datetime, int]] = field(default_factory=list)
    answers: list[tuple[int, str, datetime, datetime | None, AnswerStatus]] = field(default_factory=list)
    new: dict[datetime, int] = field(default_factory=dict)
    # By participant: nobody needs to be told what they wrote themselves.
    own: dict[int, dict[datetime, int]] = field(default_factory=dict)
    answered: dict[datetime, int] = field(default_factory=dict)

    def since(
        self, since: datetime, until: datetime, frequency: Frequency, own: set[int], titles: dict[tuple[str, int], str]
    ) -> ProcessDigest:
        """What somebody is told who knows everything up to an instant and wrote as these participants."""
        ahead = AHEAD[frequency]
        # Mails "at once" come often: each speaks only of the ends that the one before could not know of.
        told_of_ends_until = max(until, since + ahead) if frequency is Frequency.AT_ONCE else until
        begun = {one.id for one in self.phases if one.starts_at is not None and since < one.starts_at <= until}
        # The last ones of all are the last ones of any shorter time too.
        proposals = [(number, title) for number, title, at, author in self.proposals
                     if at > since and author not in own][:NAMED]
        mine = sum(self.own[one].get(since, 0) for one in own if one in self.own)
        answers = [(number, title, status, first is not None and first <= since)
                   for number, title, at, first, status in self.answers if at > since]
        return ProcessDigest(
            titles.get(("process", self.id), self.title), self.slug,
            news=[(anchor, titles.get(("news", number), title)) for number, anchor, title, at in self.news if at > since],
            proposals=proposals, more_proposals=max(0, self.new.get(since, 0) - mine - len(proposals)),
            answers=answers, more_answers=max(0, self.answered.get(since, 0) - len(answers)),
            begun=[titles.get(("phase", one.id), one.title) for one in self.phases if one.id in begun],
            ending=[(titles.get(("phase", one.id), one.title), one.ends_at) for one in self.phases
                    if one.id not in begun and one.ends_at is not None
                    and told_of_ends_until < one.ends_at <= until + ahead],
        )


@dataclass(slots=True)
class _ProposalFacts:
    """All that happened to a proposal."""

    id: int
    author: int
    title: str
    slug: str
    process_title: str
    process_id: int
    answer: AnswerStatus | None
    answered_at: datetime | None
    first_answered_at: datetime | None
    comments: dict[datetime, int] = field(default_factory=dict)
    # By participant: nobody needs to be told what they wrote themselves.
    own: dict[int, dict[datetime, int]] = field(default_factory=dict)
    measures: list[tuple[str, str, datetime]] = field(default_factory=list)

    def since(
        self, since: datetime, until: datetime, own: set[int], titles: dict[tuple[str, int], str]
    ) -> ProposalDigest:
        """What somebody is told who knows everything up to an instant and wrote as these participants."""
        # Its author gets the answer itself, by a mail of its own.
        is_new = self.author not in own and self.answered_at is not None and since < self.answered_at <= until
        mine = sum(self.own[one].get(since, 0) for one in own if one in self.own)
        return ProposalDigest(
            self.id, self.title, self.slug, titles.get(("process", self.process_id), self.process_title), comments=self.comments.get(since, 0) - mine,
            answer=self.answer if is_new else None,
            is_change=is_new and self.first_answered_at is not None and self.first_answered_at <= since,
            measures=[(code, title) for code, title, at in self.measures if at > since],
        )


def _translated_titles(
    session: Session, process_ids: set[int], news_ids: set[int], languages: set[str]
) -> defaultdict[str, dict[tuple[str, int], str]]:
    """By language: the titles of processes, phases and these news that the editors have translated."""
    found: defaultdict[str, dict[tuple[str, int], str]] = defaultdict(dict)
    if languages:
        for row in session.scalars(select(TextVariant).where(
            TextVariant.process_id.in_(process_ids), TextVariant.language.in_(languages), TextVariant.field == "title",
            or_(TextVariant.entity.in_(("process", "phase")),
                and_(TextVariant.entity == "news", TextVariant.entity_id.in_(news_ids))),
        )):
            found[row.language][row.entity, row.entity_id] = translated(row.text, row.language)
    return found


def _own_participants(
    session: Session, keyring: Keyring, followers: Sequence[Follower], process_ids: set[int]
) -> defaultdict[int, set[int]]:
    """The participants that each follower is in these processes."""
    hashes = {
        keyring.person_hash(process_id, f"account:{one.account_id}"): one.id
        for one in followers if one.account_id is not None for process_id in process_ids
    }
    own: defaultdict[int, set[int]] = defaultdict(set)
    if not hashes:
        return own
    for participant_id, person_hash in session.execute(
        select(Participant.id, Participant.person_hash)
        .where(Participant.process_id.in_(process_ids), Participant.person_hash.in_(hashes))
    ):
        own[hashes[person_hash]].add(participant_id)
    return own


def _process_facts(
    session: Session, process_ids: set[int], span: _Span, participants: set[int]
) -> dict[int, _ProcessFacts]:
    if not process_ids:
        return {}
    found = {
        row.id: _ProcessFacts(row.id, row.title, row.slug)
        for row in session.execute(select(Process.id, Process.title, Process.slug).where(
            Process.id.in_(process_ids), Process.state == ProcessState.PUBLISHED))
    }
    for phase in session.scalars(select(Phase).where(Phase.process_id.in_(found)).order_by(Phase.position, Phase.id)):
        found[phase.process_id].phases.append(phase)
    for item in session.execute(
        select(ProcessNews.process_id, ProcessNews.id, ProcessNews.lineage, ProcessNews.title, ProcessNews.published_at)
        .where(ProcessNews.process_id.in_(found), span.covers(ProcessNews.published_at)).order_by(ProcessNews.id)
    ):
        found[item.process_id].news.append((item.id, news_anchor(item.lineage), item.title, item.published_at))
    for process_id, facts in found.items():
        public = and_(Contribution.process_id == process_id, Contribution.kind == "proposal",
                      Contribution.state == ContributionState.PUBLISHED)
        new = and_(public, span.covers(Contribution.published_at))
        last = (Contribution.published_at.desc(), Contribution.id.desc())
        ranked = select(
            Contribution.id, func.row_number().over(partition_by=Contribution.participant_id, order_by=last).label("place"),
        ).select_from(Contribution.__table__).where(new).subquery()
        rows = session.execute(
            select(Proposal.id, Proposal.title, Contribution.published_at, Contribution.participant_id)
            .join(ranked, ranked.c.id == Proposal.id).where(ranked.c.place <= READ_OF_ONE).order_by(*last).limit(READ)
        ).all()
        facts.proposals = [(row.id, row.title, row.published_at, row.participant_id) for row in rows]
        if len(rows) > NAMED:
            # In one query: those of everybody else stand under 0.
            author = case((Contribution.participant_id.in_(participants), Contribution.participant_id), else_=0)
            by_author = select(author).select_from(Contribution.__table__).where(new).group_by(text("1"))
            for (participant_id,), numbers in span.count(session, by_author, Contribution.published_at).items():
                facts.own[participant_id] = numbers
                for instant, number in numbers.items():
                    facts.new[instant] = facts.new.get(instant, 0) + number
        answered = and_(public, Contribution.answer_status.is_not(None), span.covers(Proposal.answered_at))
        told = session.execute(
            select(Proposal.id, Proposal.title, Proposal.answered_at, Proposal.first_answered_at, Contribution.answer_status)
            .where(answered)
            .order_by(Proposal.answered_at.desc()).limit(NAMED + 1)
        ).all()
        facts.answers = [(row.id, row.title, row.answered_at, row.first_answered_at, row.answer_status)
                         for row in told[:NAMED]]
        if len(told) > NAMED:
            facts.answered = span.count(session, select().select_from(Proposal).where(answered), Proposal.answered_at)[()]
    return found


def _proposal_facts(session: Session, ids: set[int], span: _Span, participants: set[int]) -> dict[int, _ProposalFacts]:
    if not ids:
        return {}
    found = {
        row.id: _ProposalFacts(row.id, row.participant_id, row.title, row.slug, row.process_title, row.process_id,
                               row.answer_status, row.answered_at, row.first_answered_at)
        for row in session.execute(
            select(Proposal.id, Contribution.participant_id, Proposal.title, Process.slug, Process.title.label("process_title"),
                   Contribution.process_id,
                   Contribution.answer_status, Proposal.answered_at, Proposal.first_answered_at)
            .join(Process, Process.id == Contribution.process_id)
            .where(Proposal.id.in_(ids), Contribution.state == ContributionState.PUBLISHED,
                   Process.state != ProcessState.DRAFT))
    }
    public = and_(Comment.proposal_id.in_(found), Contribution.state == ContributionState.PUBLISHED,
                  span.covers(Contribution.published_at))
    comments = select(Comment.proposal_id).where(public).group_by(Comment.proposal_id)
    for (proposal_id,), numbers in span.count(session, comments, Contribution.published_at).items():
        found[proposal_id].comments = numbers
    if participants:
        by_them = comments.add_columns(Contribution.participant_id).where(
            Contribution.participant_id.in_(participants)).group_by(Contribution.participant_id)
        for (proposal_id, participant_id), numbers in span.count(session, by_them, Contribution.published_at).items():
            found[proposal_id].own[participant_id] = numbers
    for row in session.execute(
        select(MeasureSource.proposal_id, Measure.code, Measure.title, MeasureSource.taken_up_at)
        .join(Measure, Measure.id == MeasureSource.measure_id)
        .join(Process, Process.id == Measure.process_id)
        .where(MeasureSource.proposal_id.in_(found), span.covers(MeasureSource.taken_up_at), Process.catalogue_is_public)
        .order_by(Measure.id)
    ):
        found[row.proposal_id].measures.append((row.code, row.title, row.taken_up_at))
    return found
