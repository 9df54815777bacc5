"""Supporting a proposal and taking the support back; by form, or by static/js/support.js without leaving the page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from flask import Blueprint, flash, g, jsonify, make_response, request, url_for
from flask_babel import gettext as _

from participation import web
from participation.actions import Action
from participation.contributions.abuse.edge import current_source, slow_down
from participation.contributions.proposals.edge import keep_standing, load_standing
from participation.contributions.votes import operations as votes
from participation.contributions.votes.queries import (
    OwnPart,
    counted_until,
    own_part,
    standing_and_own,
    supports_of,
)
from participation.errors import DomainError, SignInNeeded
from participation.permissions import proof_asked
from participation.pieces import Filling, render_kept
from participation.processes.edge import kept_rules
from participation.processes.queries import SUPPORTS_OF

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from participation.contributions.models import Contribution
    from participation.permissions import Actor
    from participation.processes.models import Process
    from participation.tokens import Keyring

    Change = Callable[[Session, Keyring, Actor, Contribution, datetime], bool]

blueprint = Blueprint("votes", __name__)
if supports_of not in SUPPORTS_OF:
    SUPPORTS_OF.append(supports_of)


def support_box(slug: str, proposal_id: int) -> Filling:
    """The number of supports with the one button that fits the reader; empty for what is not public."""
    # First, because it may bring along what is loaded next.
    own = own_part_here(slug, proposal_id)
    contribution = load_standing(slug, proposal_id)
    if not contribution.is_published:
        return ""
    now, actor, process = web.current_now(), web.current_actor(), contribution.process
    mode, why = "closed", None
    phase = process.phase_opening(Action.SUPPORT, now)
    if phase is not None:
        if not actor.is_signed_in:
            mode = "sign_in"
        elif not web.can(Action.SUPPORT, contribution):
            mode = "unverified" if actor.email_is_confirmed else "unconfirmed"
        else:
            mode = "withdraw" if contribution.id in own.supported else "support"
            over = counted_until(process.phases, now)
            if contribution.id in own.annulled:
                mode, why = "annulled", why_annulled(slug)
            elif mode == "withdraw" and over is not None and own.given_at is not None and own.given_at < over:
                mode = "counted"
    is_secret = process.hides_supports(now)
    return render_kept(
        "contributions/votes/_box.html", slug=slug, proposal_id=contribution.id, mode=mode, why=why,
        needed=proof_asked(Action.SUPPORT, contribution, now) if mode in {"sign_in", "unverified"} else "", count=None if is_secret else contribution.support_count,
        opens_at=_next_opening(process, now) if mode == "closed" else None,
    )


def own_part_here(slug: str, proposal_id: int) -> OwnPart:
    """What the reader did on this page; asked once per request, however many holes want to know."""
    known: OwnPart | None = g.get("own_part")
    if known is None:
        identity = web.current_actor().identity
        if identity is None:
            known = OwnPart(None, None, frozenset())
        else:
            known = _with_standing(slug, proposal_id, identity)
            if known is None:
                process_id = load_standing(slug, proposal_id).process_id
                known = own_part(web.glance, proposal_id, process_id, *_who(process_id, identity))
        g.own_part = known
    return known


def _who(process_id: int, identity: str) -> tuple[str, int]:
    keyring = web.current_keyring()
    person_hash = keyring.person_hash(process_id, identity)
    return person_hash, keyring.voter_number(person_hash)


def _with_standing(slug: str, proposal_id: int, identity: str) -> OwnPart | None:
    """On a kept page, whose process is known without asking, what `load_standing` would read comes along."""
    page = g.get("shared_page")
    if page is None or "standing" in g:
        return None
    process = kept_rules(page.municipality_id, slug, page.version)
    if process is None:
        return None
    found = standing_and_own(web.glance, web.current_actor(), proposal_id, process.id, *_who(process.id, identity))
    if found is None:
        return None
    # A kept page is shown while these hold, and both were asked in this request.
    standing = found[0] | {"municipality_id": page.municipality_id, "content_version": page.version}
    return found[1] if keep_standing(slug, proposal_id, standing) else None


HOLES: dict[str, Callable[..., Filling]] = {"support": support_box}


def why_annulled(slug: str) -> str:
    """Where everybody can read why supports do not count."""
    return url_for("processes.show", slug=slug, _anchor="annulliert")


def is_annulled(slug: str, proposal_id: int, contribution_id: int) -> bool:
    """Whether the reader's support of the proposal or of a comment below it was taken out of the count."""
    return contribution_id in own_part_here(slug, proposal_id).annulled


def annulled_message() -> str:
    """For whoever tries anew; beside the button stands the reason."""
    return str(_("Ihre Unterstützung wurde nach einer Prüfung aus der Zählung genommen."))


def _next_opening(process: Process, now: datetime) -> datetime | None:
    """When a later phase opens supporting, if one is planned."""
    starts = [phase.starts_at for phase in process.phases if phase.starts_at and phase.opens(Action.SUPPORT)]
    return min((start for start in starts if start > now), default=None)


@blueprint.post("/verfahren/<slug>/vorschlaege/<int:proposal_id>/unterstuetzen")
@web.public
@slow_down
def support(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Support a proposal. Sent twice it counts once, and the second answer says so."""
    source = current_source(load_standing(slug, proposal_id).process_id)
    return _change(slug, proposal_id, partial(votes.support, source=source), True)  # noqa: FBT003 - what holds afterwards


@blueprint.post("/verfahren/<slug>/vorschlaege/<int:proposal_id>/unterstuetzung-zuruecknehmen")
@web.public
def withdraw(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Take the support back."""
    return _change(slug, proposal_id, votes.withdraw_support, False)  # noqa: FBT003 - what holds afterwards


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/unterstuetzen")
@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/unterstuetzung-zuruecknehmen", endpoint="back_again")
@web.public
def back(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Whoever signed in on the way to a support comes back here: to the page with the button, changing nothing."""
    return web.go("proposals.show", slug=slug, proposal_id=proposal_id, _anchor="unterstuetzen")


def _change(slug: str, proposal_id: int, change: Change, supported: bool) -> ResponseReturnValue:  # noqa: FBT001
    if not web.wants_json():
        changed = _apply(slug, proposal_id, change)[0]
        if changed:
            web.save()
        if not changed and is_annulled(slug, proposal_id, proposal_id):
            flash(annulled_message(), "warning")
        else:
            flash(_message(changed, supported), "success" if changed else "info")
        return web.go("proposals.show", slug=slug, proposal_id=proposal_id, _anchor="unterstuetzen")
    try:
        changed, count = _apply(slug, proposal_id, change)
        if changed:
            web.save()
    except DomainError as error:
        address = url_for("accounts.sign_in", next=request.path) if isinstance(error, SignInNeeded) else None
        return make_response(jsonify(message=web.translated(error), sign_in=address), error.status)
    if not changed and is_annulled(slug, proposal_id, proposal_id):
        # The script then opens the page anew, which says why.
        return make_response(jsonify(message=annulled_message()), 409)
    answer = jsonify(supported=supported, count=count, changed=changed, message=_message(changed, supported))
    return make_response(answer, 201 if changed and supported else 200)


def _apply(slug: str, proposal_id: int, change: Change) -> tuple[bool, int | None]:
    contribution = load_standing(slug, proposal_id)
    changed = change(web.current_session(), web.current_keyring(), web.current_actor(), contribution,
                     web.current_now())
    return changed, None if contribution.process.hides_supports(web.current_now()) else contribution.support_count


def _message(changed: bool, supported: bool) -> str:  # noqa: FBT001
    if supported:
        return str(_("Danke! Ihre Unterstützung ist gezählt.") if changed
                   else _("Sie haben schon abgestimmt. Ihre Unterstützung zählt einmal."))
    return str(_("Ihre Unterstützung ist zurückgenommen.") if changed
               else _("Es gab keine Unterstützung von Ihnen, die Sie zurücknehmen könnten."))
