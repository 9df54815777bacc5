"""Who follows what, who is due, and what happened since."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import joinedload

from participation.accounts.models import Account, Participant
from participation.catalogue.models import Measure, MeasureSource
from participation.contributions.comments.models import Comment
from participation.contributions.models import AnswerStatus, Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.following.models import REFUSALS_MAX, Follower, Frequency, Newsletter, Subscription
from participation.outbox import OutboxRow
from participation.processes.models import Phase, Process, ProcessNews, ProcessState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

# How many new titles of a process one mail names; the others are counted.
NAMED = 5
# An end that comes is told this long before, and not more than once: the length of the time between two mails.
AHEAD = {Frequency.AT_ONCE: timedelta(days=1), Frequency.DAILY: timedelta(days=1), Frequency.WEEKLY: timedelta(days=7),
         Frequency.NEVER: timedelta(0)}

FOLLOWED = (
    select(Subscription.target)
    .join(Follower, Follower.id == Subscription.follower_id)
    .where(Follower.account_id == bindparam("account_id"), Subscription.target == bindparam("target"))
)


@dataclass(slots=True)
class ProcessDigest:
    """What happened in a process that somebody follows."""

    title: str
    slug: str
    news: list[tuple[int, str]] = field(default_factory=list)
    proposals: list[tuple[int, str]] = field(default_factory=list)
    more_proposals: int = 0
    answers: list[tuple[int, str, AnswerStatus]] = field(default_factory=list)
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
        Follower.refusals < REFUSALS_MAX,
        or_(Follower.account_id.is_(None),
            and_(Account.email_confirmed_at.is_not(None), Account.is_disabled.is_(False), Account.deleted_at.is_(None))),
    )


def due_followers(
    session: Session, frequency: Frequency, until: datetime, after_id: int, limit: int, *, process_id: int | None = None
) -> Sequence[tuple[Follower, Account | None]]:
    """Those of a frequency who have not been told everything up to an instant, in the order of their numbers.

    With a process: those of them who follow it, or a proposal of it.
    """
    due = (
        select(Follower, Account).outerjoin(Account, Account.id == Follower.account_id)
        .where(Follower.frequency == frequency, Follower.id > after_id, Follower.told_until < until, reachable())
        .order_by(Follower.id).limit(limit)
    )
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


def stopped_newsletters(session: Session) -> list[tuple[int, int]]:
    """(job, newsletter) of sendings that failed so often that they were parked."""
    rows = session.execute(
        select(OutboxRow.id, OutboxRow.args)
        .where(OutboxRow.job == "send_newsletter", OutboxRow.done_at.is_(None), OutboxRow.failed_at.is_not(None)))
    return [(row.id, int(row.args["newsletter_id"])) for row in rows]


def newsletter_receivers(process_id: int) -> Select[Follower, Account]:
    """(follower, account or None) of everybody who follows a process and wants mail, in the order of their numbers."""
    return (
        select(Follower, Account).join(Subscription, Subscription.follower_id == Follower.id)
        .outerjoin(Account, Account.id == Follower.account_id)
        .where(Subscription.process_id == process_id, Subscription.proposal_id.is_(None),
               Subscription.confirmed_at.is_not(None), Follower.frequency != Frequency.NEVER, reachable())
        .order_by(Follower.id)
    )


def receivers_number(session: Session, process_id: int) -> int:
    """How many would get a newsletter that is sent now."""
    return session.scalar(select(func.count()).select_from(newsletter_receivers(process_id).order_by(None).subquery())) or 0


def newsletters_of(process_id: int) -> Select[Newsletter]:
    """The newsletters of a process, the newest first."""
    return select(Newsletter).where(Newsletter.process_id == process_id).order_by(Newsletter.id.desc())


def follower_numbers(session: Session, process_id: int) -> tuple[int, int]:
    """How many follow a process, and to how many of these nothing can be sent because their servers refuse it."""
    row = session.execute(
        select(func.count(), func.count().filter(Follower.refusals >= REFUSALS_MAX)).select_from(Subscription)
        .join(Follower, Follower.id == Subscription.follower_id)
        .where(Subscription.process_id == process_id, Subscription.proposal_id.is_(None),
               Subscription.confirmed_at.is_not(None))
    ).one()
    return int(row[0]), int(row[1])


def gather_news(
    session: Session, keyring: Keyring, followers: Sequence[Follower], frequency: Frequency, until: datetime
) -> dict[int, News]:
    """What to tell each of these followers: public things between what they know and `until`.

    What nobody may see any more is told to nobody, whenever it happened. A fixed number of queries for each different
    instant up to which followers have been told; those of one frequency share it.
    """
    rows = session.execute(
        select(Subscription.follower_id, Subscription.process_id, Subscription.proposal_id)
        .where(Subscription.follower_id.in_([one.id for one in followers]), Subscription.confirmed_at.is_not(None))
        .order_by(Subscription.id)
    ).all()
    followed: defaultdict[int, list[tuple[int, int | None]]] = defaultdict(list)
    for row in rows:
        followed[row.follower_id].append((row.process_id, row.proposal_id))
    own = _own_participants(session, keyring, followers, {row.process_id for row in rows})
    groups: defaultdict[datetime, list[Follower]] = defaultdict(list)
    for follower in followers:
        groups[follower.told_until].append(follower)
    told: dict[int, News] = {}
    for since, group in groups.items():
        targets = [target for follower in group for target in followed[follower.id]]
        whole = {process_id for process_id, proposal_id in targets if proposal_id is None}
        processes = _process_news(session, whole, since, until, frequency)
        ids = {proposal_id for _process_id, proposal_id in targets if proposal_id is not None}
        proposals, written = _proposal_news(session, ids, since, until)
        for follower in group:
            told[follower.id] = _of_follower(followed[follower.id], processes, proposals, written, own[follower.id])
    return told


def _of_follower(
    targets: Iterable[tuple[int, int | None]], processes: dict[int, ProcessDigest], proposals: dict[int, ProposalDigest],
    written: dict[int, Counter[int]], own: set[int],
) -> News:
    news = News()
    for process_id, proposal_id in targets:
        if proposal_id is None:
            if processes.get(process_id):
                news.processes.append(processes[process_id])
        elif proposal_id in proposals:
            found = proposals[proposal_id]
            # Nobody needs to be told what they wrote themselves.
            comments = sum(number for author, number in written[proposal_id].items() if author not in own)
            mine = ProposalDigest(found.id, found.title, found.slug, found.process_title, comments, found.answer,
                                found.measures)
            if mine:
                news.proposals.append(mine)
    return news


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


def _process_news(
    session: Session, process_ids: set[int], since: datetime, until: datetime, frequency: Frequency
) -> dict[int, ProcessDigest]:
    if not process_ids:
        return {}
    found = {
        row.id: ProcessDigest(row.title, row.slug)
        for row in session.execute(select(Process.id, Process.title, Process.slug).where(
            Process.id.in_(process_ids), Process.state == ProcessState.PUBLISHED))
    }
    ahead = AHEAD[frequency]
    # Mails "at once" come often: each speaks only of the ends that the one before could not know of.
    told_of_ends_until = max(until, since + ahead) if frequency is Frequency.AT_ONCE else until
    for phase in session.scalars(select(Phase).where(Phase.process_id.in_(found)).order_by(Phase.position, Phase.id)):
        if phase.starts_at is not None and since < phase.starts_at <= until:
            found[phase.process_id].begun.append(phase.title)
        elif phase.ends_at is not None and told_of_ends_until < phase.ends_at <= until + ahead:
            found[phase.process_id].ending.append((phase.title, phase.ends_at - phase.ends_at.resolution))
    for item in session.execute(
        select(ProcessNews.process_id, ProcessNews.id, ProcessNews.title)
        .where(ProcessNews.process_id.in_(found), ProcessNews.published_at > since, ProcessNews.published_at <= until)
        .order_by(ProcessNews.id)
    ):
        found[item.process_id].news.append((item.id, item.title))
    for process_id, news in found.items():
        public = and_(Contribution.process_id == process_id, Contribution.kind == "proposal",
                      Contribution.state == ContributionState.PUBLISHED)
        new = and_(public, Contribution.published_at > since, Contribution.published_at <= until)
        rows = session.execute(
            select(Proposal.id, Proposal.title).where(new)
            .order_by(Contribution.published_at.desc(), Contribution.id.desc()).limit(NAMED + 1)
        ).all()
        news.proposals = [(row.id, row.title) for row in rows[:NAMED]]
        if len(rows) > NAMED:
            news.more_proposals = _number_of(session, Contribution.__table__, new) - NAMED
        answered = and_(public, Contribution.answer_status.is_not(None), Proposal.answered_at > since,
                        Proposal.answered_at <= until)
        told = session.execute(
            select(Proposal.id, Proposal.title, Contribution.answer_status).where(answered)
            .order_by(Proposal.answered_at.desc()).limit(NAMED + 1)
        ).all()
        news.answers = [(row.id, row.title, row.answer_status) for row in told[:NAMED]]
        if len(told) > NAMED:
            news.more_answers = _number_of(session, Proposal, answered) - NAMED
    return found


def _number_of(session: Session, table: Any, condition: Any) -> int:  # noqa: ANN401 - what SQLAlchemy selects from
    return session.scalar(select(func.count()).select_from(table).where(condition)) or 0


def _proposal_news(
    session: Session, ids: set[int], since: datetime, until: datetime
) -> tuple[dict[int, ProposalDigest], dict[int, Counter[int]]]:
    """News by proposal, and how many comments each participant wrote to it."""
    written: defaultdict[int, Counter[int]] = defaultdict(Counter)
    if not ids:
        return {}, written
    found: dict[int, ProposalDigest] = {}
    for row in session.execute(
        select(Proposal.id, Proposal.title, Process.slug, Process.title.label("process_title"),
               Contribution.answer_status, Proposal.answered_at)
        .join(Process, Process.id == Contribution.process_id)
        .where(Proposal.id.in_(ids), Contribution.state == ContributionState.PUBLISHED,
               Process.state != ProcessState.DRAFT)
    ):
        is_new = row.answered_at is not None and since < row.answered_at <= until
        found[row.id] = ProposalDigest(row.id, row.title, row.slug, row.process_title,
                                     answer=row.answer_status if is_new else None)
    for proposal_id, author, number in session.execute(
        select(Comment.proposal_id, Contribution.participant_id, func.count())
        .where(Comment.proposal_id.in_(found), Contribution.state == ContributionState.PUBLISHED,
               Contribution.published_at > since, Contribution.published_at <= until)
        .group_by(Comment.proposal_id, Contribution.participant_id)
    ):
        written[proposal_id][author] = number
    for proposal_id, code, title in session.execute(
        select(MeasureSource.proposal_id, Measure.code, Measure.title)
        .join(Measure, Measure.id == MeasureSource.measure_id)
        .join(Process, Process.id == Measure.process_id)
        .where(MeasureSource.proposal_id.in_(found), MeasureSource.taken_up_at > since,
               MeasureSource.taken_up_at <= until, Process.catalogue_is_public)
        .order_by(Measure.id)
    ):
        found[proposal_id].measures.append((code, title))
    return found, written
