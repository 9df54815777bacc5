"""The brake for votes: from one address so many an hour, whatever they are. What is refused is told, never dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import jsonify, make_response, request
from flask_babel import gettext as _
from sqlalchemy import select

from participation import web
from participation.contributions.abuse.operations import flag, source_of
from participation.contributions.proposals.edge import municipality_id
from participation.error_pages import error_page, seconds_left, try_again
from participation.processes.models import Process

if TYPE_CHECKING:
    from flask import Response
    from flask_limiter import RequestLimit

# A school, a town hall or a family behind one address stays far below; a script does not.
FROM_ONE_ADDRESS = "200 per hour"


def current_source(process_id: int) -> str:
    """Where the vote of this request comes from, as far as it is kept."""
    return source_of(web.current_keyring(), process_id, web.client_network(), web.current_now())


def _breached(limit: RequestLimit) -> Response:
    """Planners see that somebody was slowed down; who did nothing but vote once learns why, and that it was not stored."""
    _tell_planners()
    left = seconds_left(limit)
    heading = _("Diese Stimme ist nicht gespeichert")
    message = _("Von Ihrem Internet-Anschluss kamen gerade sehr viele Stimmen. Das kann in einer Schule, im Rathaus oder in einer "
                "Familie so sein. Darum nehmen wir von dort für eine Weile keine mehr an.")
    if web.wants_json():
        answer = make_response(jsonify(message=" ".join(filter(None, (f"{heading}.", message, try_again(left))))), 429)
        answer.headers["Retry-After"] = str(left or 30)
        return answer
    where = _("Zurück zum Vorschlag") if "proposal_id" in (request.view_args or {}) else _("Zum Stimmzettel")
    return error_page(429, message, try_again(left), left or 30, heading=heading, back=(where, web.way_back()))


def _tell_planners() -> None:
    slug = (request.view_args or {}).get("slug", "")
    town = municipality_id()
    with web.current_database().unit_of_work() as session:
        process_id = session.scalar(select(Process.id).where(Process.slug == slug, Process.municipality_id == town))
        if process_id is not None:
            flag(session, process_id, current_source(process_id), web.current_now())


slow_down = web.limiter.shared_limit(FROM_ONE_ADDRESS, scope="votes", on_breach=_breached)
