"""The brake for votes: from one address so many an hour, whatever they are. What is refused is told, never dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request
from sqlalchemy import select

from participation import web
from participation.contributions.abuse.operations import flag, source_of
from participation.contributions.proposals.edge import municipality_id
from participation.processes.models import Process

if TYPE_CHECKING:
    from flask_limiter import RequestLimit

# A school, a town hall or a family behind one address stays far below; a script does not.
FROM_ONE_ADDRESS = "200 per hour"


def current_source(process_id: int) -> str:
    """Where the vote of this request comes from, as far as it is kept."""
    return source_of(web.current_keyring(), process_id, web.client_network(), web.current_now())


def _breached(_limit: RequestLimit) -> None:
    """Planners see that somebody was slowed down."""
    slug = (request.view_args or {}).get("slug", "")
    town = municipality_id()
    with web.current_database().unit_of_work() as session:
        process_id = session.scalar(select(Process.id).where(Process.slug == slug, Process.municipality_id == town))
        if process_id is not None:
            flag(session, process_id, current_source(process_id), web.current_now())


slow_down = web.limiter.shared_limit(FROM_ONE_ADDRESS, scope="votes", on_breach=_breached)
