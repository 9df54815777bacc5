"""Logs without personal data, metrics, and the two addresses that a monitor asks.

A log line names the endpoint, never the path: paths hold tokens and search terms. No address, no account, no text.
"""

from __future__ import annotations

import hmac
import logging
import sys
import time
from functools import lru_cache
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, Response, g, jsonify, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from redis.exceptions import RedisError
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from participation import outbox
from participation.db import ping
from participation.errors import NotFound
from participation.web import SAFE_METHODS, platform, public

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response as AnyResponse

SLOW_SECONDS = 1.0
registry = CollectorRegistry()
requests_total = Counter(
    "http_requests_total", "Answers by endpoint and status class", ["endpoint", "status"], registry=registry
)
request_seconds = Histogram(
    "http_request_seconds", "Time per answer", ["endpoint"], registry=registry, buckets=(0.005, 0.02, 0.1, 0.3, 1, 3)
)
blueprint = Blueprint("telemetry", __name__)
_log = structlog.get_logger("request")
_KNOWN_EXTRAS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def configure_logging() -> None:
    """One JSON object per line on standard error; extras of the standard library's logging included."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exception_without_texts,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("rq.worker", "rq.scheduler", "PIL", "fontTools", "alembic", "rq.cron"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _exception_without_texts(
    _logger: object, _name: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Keep where an error happened, drop its text: SQL parameters and form values would stand in it."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    if isinstance(info, tuple) and info[0] is not None:
        event["exception"] = info[0].__name__
        frames = []
        trace = info[2]
        while trace is not None:
            code = trace.tb_frame.f_code
            frames.append(f"{code.co_filename.rsplit('/', 2)[-1]}:{trace.tb_lineno}:{code.co_name}")
            trace = trace.tb_next
        event["frames"] = frames[-12:]
    return event


def start_timer() -> None:
    """At the beginning of a request."""
    g.started = time.perf_counter()


@lru_cache(maxsize=1000)
def _metrics_of(endpoint: str, status_class: int) -> tuple[Counter, Histogram]:
    return requests_total.labels(endpoint, f"{status_class}xx"), request_seconds.labels(endpoint)


def observe(response: AnyResponse) -> AnyResponse:
    """At its end: count it, and log what changes something, fails or is slow."""
    seconds = time.perf_counter() - g.get("started", time.perf_counter())
    endpoint = request.endpoint or "none"
    counter, histogram = _metrics_of(endpoint, response.status_code // 100)
    counter.inc()
    histogram.observe(seconds)
    if request.method not in SAFE_METHODS or response.status_code >= 500 or seconds > SLOW_SECONDS:  # noqa: PLR2004
        _log.info(
            "request",
            method=request.method if request.method.isalpha() else "other",
            endpoint=endpoint,
            status=response.status_code,
            milliseconds=round(seconds * 1000, 1),
        )
    return response


def observe_kept_page(seconds: float) -> None:
    """A page that was answered before Flask."""
    counter, histogram = _metrics_of("page_cache", 2)
    counter.inc()
    histogram.observe(seconds)
    if seconds > SLOW_SECONDS:
        _log.info("request", method="GET", endpoint="page_cache", status=200, milliseconds=round(seconds * 1000, 1))


@blueprint.get("/healthz")
@public
def healthz() -> ResponseReturnValue:
    """The process lives."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@public
def readyz() -> ResponseReturnValue:
    """It can serve: the database answers. A queue that is away degrades, but does not stop anybody."""
    state = {"database": "ok", "queue": "ok"}
    try:
        with platform().database.reading() as session:
            ping(session)
    except SQLAlchemyError:
        state["database"] = "unreachable"
    try:
        platform().redis.ping()
    except (RedisError, OSError):
        state["queue"] = "unreachable"
    return jsonify(state), 200 if state["database"] == "ok" else 503


@blueprint.get("/metrics")
@public
def metrics() -> ResponseReturnValue:
    """Figures of this process, for Prometheus: with the token, or from the machine itself without one."""
    token = platform().settings.metrics_token
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    local = request.remote_addr in {"127.0.0.1", "::1"} and not token and platform().settings.proxy_count == 0
    if not local and not (token and hmac.compare_digest(given.encode(), token.encode())):
        raise NotFound
    with platform().database.reading() as session:
        waiting = (
            session.scalar(
                select(func.count())
                .select_from(outbox.OutboxRow)
                .where(outbox.OutboxRow.done_at.is_(None), outbox.OutboxRow.failed_at.is_(None))
            )
            or 0
        )
        parked = (
            session.scalar(
                select(func.count())
                .select_from(outbox.OutboxRow)
                .where(outbox.OutboxRow.failed_at.is_not(None), outbox.OutboxRow.done_at.is_(None))
            )
            or 0
        )
    lines = generate_latest(registry).decode()
    lines += (
        f"# TYPE outbox_waiting gauge\noutbox_waiting {waiting}\n# TYPE outbox_parked gauge\noutbox_parked {parked}\n"
    )
    return Response(lines, mimetype="text/plain; version=0.0.4")
