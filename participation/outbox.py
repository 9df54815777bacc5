"""Jobs that must happen after a commit.

The queue is a hint, the database the truth: a row is written in the transaction that causes the job, and only then
handed to RQ. RQ delivers at least once, so a row is worked under a lease and marked done in the same transaction as
the job's own changes. A row three times failed is parked and shown to staff.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError
from sqlalchemy import JSON, ForeignKey, Index, String, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from participation import clock
from participation.db import Base, Created, Database, Key, is_sqlite
from participation.schedule import QUEUE_NAME

if TYPE_CHECKING:
    from redis import Redis
    from sqlalchemy.orm import Session

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
LEASE = timedelta(seconds=90)
RETRY_DELAYS = (timedelta(seconds=10), timedelta(seconds=60))
# A row unsent or unfinished for this long is sent again by the sweep.
RESEND_AFTER = timedelta(seconds=60)
SWEEP_BATCH = 500

# In the info of a request's session: says which municipality the request belongs to.
MUNICIPALITY = "municipality"
# Of the job that this process works on just now; its mails carry the address of that town, the jobs it asks for too.
current_municipality_id: ContextVar[int | None] = ContextVar("current_municipality_id", default=None)

Handler = Callable[["JobContext"], None]
_handlers: dict[str, Handler] = {}
job_labels: dict[str, str] = {}


class OutboxRow(Base):
    """One job: its name, the ids it needs, and how far it got."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_open", "done_at", "failed_at", "not_before_at"),
        Index("ix_outbox_municipality", "municipality_id", "id"),
    )

    id: Mapped[Key]
    key: Mapped[str] = mapped_column(String(120), unique=True)
    job: Mapped[str] = mapped_column(String(60))
    args: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    # Whose administration sees it; none for what concerns the whole installation.
    municipality_id: Mapped[int | None] = mapped_column(ForeignKey("municipality.id", ondelete="SET NULL"))
    created_at: Mapped[Created]
    not_before_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    last_error: Mapped[str | None] = mapped_column(String(200))
    done_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]


class JobContext:
    """What a handler gets: the row's arguments, and the database to open its own unit of work on."""

    def __init__(self, database: Database, row_id: int, key: str, args: dict[str, Any]) -> None:
        """Bind the context to one leased row."""
        self.database = database
        self.row_id = row_id
        self.key = key
        self.args = args

    def finish(self, session: Session) -> bool:
        """Mark the row done inside the handler's own transaction, so that its changes happen exactly once.

        Returns False when another run was faster; then the handler must change nothing.
        """
        done = session.execute(
            update(OutboxRow)
            .where(OutboxRow.id == self.row_id, OutboxRow.done_at.is_(None))
            .values(done_at=clock.now(), leased_until=None, last_error=None)
        )
        return bool(done.rowcount)  # type: ignore[attr-defined]


def job(name: str, label: str = "") -> Callable[[Handler], Handler]:
    """Register the handler of a job name; `label` is how staff read it (marked by N_)."""

    def register(handler: Handler) -> Handler:
        _handlers[name] = handler
        job_labels[name] = label or name
        return handler

    return register


def enqueue(
    session: Session, name: str, key: str, *, not_before: datetime | None = None, owner_id: int | None = None,
    **args: object,
) -> None:
    """Write the row in the running transaction. The same key is written once, however often it is asked for.

    It belongs to the given municipality (`owner_id`), else to that of the request or job that asks for it.
    """
    now = clock.now()
    if owner_id is None:
        of_request = session.info.get(MUNICIPALITY)
        owner_id = of_request() if of_request is not None else current_municipality_id.get()
    values = {
        "key": key,
        "job": name,
        "args": args,
        "municipality_id": owner_id,
        "created_at": now,
        "not_before_at": not_before or now,
        "attempts": 0,
    }
    insert = sqlite.insert if is_sqlite(session) else postgresql.insert
    statement = insert(OutboxRow).values(**values).on_conflict_do_nothing(index_elements=["key"])
    row_id = session.scalar(statement.returning(OutboxRow.id))
    if row_id is not None and not_before is None:
        session.info.setdefault("outbox", []).append(row_id)


def give_up(session: Session, key_prefix: str, now: datetime) -> int:
    """Jobs that nobody wants any more, unless they are done already; returns how many they were."""
    given_up = session.execute(
        update(OutboxRow).where(OutboxRow.key.startswith(key_prefix, autoescape=True), OutboxRow.done_at.is_(None))
        .values(done_at=now).execution_options(synchronize_session=False)
    )
    return int(given_up.rowcount)  # type: ignore[attr-defined]


def written_rows(session: Session) -> list[int]:
    """The rows that this session wrote since the last call; handed to RQ after the commit."""
    rows: list[int] = session.info.pop("outbox", [])
    return rows


def send(database: Database, redis: Redis, row_ids: list[int]) -> int:
    """Hand rows to RQ. An unreachable queue is nobody's problem now: the sweep sends them later.

    Returns how many were sent.
    """
    from rq import Queue  # noqa: PLC0415 - loading RQ costs 80 ms, and only writers need it

    if not row_ids:
        return 0
    try:
        queue = Queue(QUEUE_NAME, connection=redis)
        for row_id in row_ids:
            queue.enqueue(
                "participation.outbox.work",
                row_id,
                job_id=f"outbox-{row_id}",
                result_ttl=0,
                failure_ttl=86_400,
                job_timeout=int(LEASE.total_seconds()) - 10,
            )
    except (RedisError, OSError) as error:
        log.warning("queue_unreachable", extra={"error": type(error).__name__, "rows": len(row_ids)})
        return 0
    with database.unit_of_work() as session:
        session.execute(update(OutboxRow).where(OutboxRow.id.in_(row_ids)).values(sent_at=clock.now()))
    return len(row_ids)


def sweep(database: Database, redis: Redis) -> int:
    """Send what was never sent, and what was sent but not finished because its worker died."""
    now = clock.now()
    with database.reading() as session:
        due = select(OutboxRow.id).where(
            OutboxRow.done_at.is_(None),
            OutboxRow.failed_at.is_(None),
            OutboxRow.not_before_at <= now,
            or_(OutboxRow.sent_at.is_(None), OutboxRow.sent_at < now - RESEND_AFTER),
            or_(OutboxRow.leased_until.is_(None), OutboxRow.leased_until < now),
        )
        row_ids = list(session.scalars(due.order_by(OutboxRow.id).limit(SWEEP_BATCH)))
    return send(database, redis, row_ids)


def work(row_id: int) -> None:
    """The one function that RQ calls. Runs inside the worker's application context."""
    from participation.web import current_database  # noqa: PLC0415 - only here the edge is needed

    work_row(current_database(), row_id)


def work_row(database: Database, row_id: int) -> bool:
    """Take the lease, run the handler, keep book. Returns whether the job is done now.

    Errors of a handler are kept in the row by type only: their texts may hold personal data.
    """
    now = clock.now()
    with database.unit_of_work() as session:
        leased = session.execute(
            update(OutboxRow)
            .where(
                OutboxRow.id == row_id,
                OutboxRow.done_at.is_(None),
                OutboxRow.failed_at.is_(None),
                or_(OutboxRow.leased_until.is_(None), OutboxRow.leased_until < now),
            )
            .values(leased_until=now + LEASE, attempts=OutboxRow.attempts + 1)
        )
        if not leased.rowcount:  # type: ignore[attr-defined]
            return False
        row = session.get_one(OutboxRow, row_id)
        name, key, args, attempts, municipality_id = row.job, row.key, dict(row.args), row.attempts, row.municipality_id
    context = JobContext(database, row_id, key, args)
    before = current_municipality_id.set(municipality_id)
    try:
        if attempts > MAX_ATTEMPTS:
            message = "the worker died with this job"
            raise RuntimeError(message)  # noqa: TRY301 - parked like any other failure
        _handlers[name](context)
        with database.unit_of_work() as session:
            context.finish(session)
    except Exception as error:  # noqa: BLE001 - whatever a job raises must be kept, and others must proceed
        _keep_failure(database, row_id, attempts, error)
        return False
    finally:
        current_municipality_id.reset(before)
    return True


def _keep_failure(database: Database, row_id: int, attempts: int, error: Exception) -> None:
    now = clock.now()
    log.error("job_failed", extra={"row": row_id, "attempts": attempts, "error": type(error).__name__})
    values: dict[str, object] = {"leased_until": None, "last_error": type(error).__name__[:200], "sent_at": None}
    if attempts >= MAX_ATTEMPTS:
        values["failed_at"] = now
    else:
        values["not_before_at"] = now + RETRY_DELAYS[min(attempts, len(RETRY_DELAYS)) - 1]
    with database.unit_of_work() as session:
        session.execute(update(OutboxRow).where(OutboxRow.id == row_id).values(**values))


def retry(session: Session, row_id: int) -> None:
    """Give a parked job another three tries."""
    session.execute(
        update(OutboxRow)
        .where(OutboxRow.id == row_id, OutboxRow.failed_at.is_not(None))
        .values(failed_at=None, attempts=0, not_before_at=clock.now(), sent_at=None)
    )
    session.info.setdefault("outbox", []).append(row_id)
