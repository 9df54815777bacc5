"""The page of those who write together, and the one that an invitation leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, flash, make_response, render_template, request, url_for
from flask_babel import gettext as _

from participation import web
from participation.contributions.coauthors import jobs, operations  # noqa: F401 - jobs register themselves
from participation.contributions.coauthors.forms import InviteForm
from participation.contributions.operations import mark_own
from participation.contributions.proposals.edge import LARGEST_ID, load_proposal
from participation.contributions.queries import co_authors_of
from participation.errors import Conflict, InvalidInput, NotFound, SignInNeeded

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.contributions.proposals.models import Proposal

blueprint = Blueprint("coauthors", __name__)
operations.connect()
ADDRESS = "/verfahren/<slug>/vorschlaege/<int:proposal_id>/mitschreibende"


def _shared(slug: str, proposal_id: int) -> Proposal:
    """A proposal for those who write it, with an account. Raises SignInNeeded, NotFound."""
    actor = web.current_actor()
    if not actor.is_signed_in:
        raise SignInNeeded
    proposal = load_proposal(slug, proposal_id)
    if not mark_own(web.current_keyring(), actor, proposal) and not proposal.is_shared:
        raise NotFound
    return proposal


@blueprint.route(ADDRESS, methods=["GET", "POST"])
@web.public
@web.limiter.limit("20 per hour", methods=["POST"], key_func=web.sender)
def manage(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Who writes along; the author invites."""
    web.do_not_cache()
    proposal = _shared(slug, proposal_id)
    form, link, status = InviteForm(), "", 200
    if form.is_submitted():
        try:
            token = operations.invite(web.current_session(), web.current_keyring(), web.current_actor(), proposal,
                                      web.current_now(), email=form.email.data or "")
        except InvalidInput as error:
            web.attach(form, error)
            status = 422
        except Conflict as error:
            flash(web.translated(error), "warning")
            return web.go("coauthors.manage", slug=slug, proposal_id=proposal_id)
        else:
            link = url_for("coauthors.invitation", token=token, _external=True)
            flash(_("Die Einladung ist unterwegs.") if form.email.data else _("Der Link zur Einladung steht unten."),
                  "success")
    rows = list(web.current_session().scalars(co_authors_of(proposal.id)))
    body = render_template("contributions/coauthors/manage.html", proposal=proposal, process=proposal.process, form=form,
                           rows=rows, link=link, most=operations.CO_AUTHORS_MAX,
                           waiting=operations.open_invitations(web.current_session(), proposal.id, web.current_now()))
    response = make_response(body, status)
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post(f"{ADDRESS}/einladungen-widerrufen")
@web.public
def revoke(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Links that are still open lead nowhere from now on."""
    proposal = _shared(slug, proposal_id)
    operations.revoke_invitations(web.current_session(), web.current_actor(), proposal, web.current_now())
    flash(_("Die offenen Einladungen gelten nicht mehr."), "success")
    return web.go("coauthors.manage", slug=slug, proposal_id=proposal_id)


@blueprint.post(f"{ADDRESS}/<int:participant_id>/beenden")
@web.public
def remove(slug: str, proposal_id: int, participant_id: int) -> ResponseReturnValue:
    """The author goes on without somebody."""
    proposal = _shared(slug, proposal_id)
    operations.remove(web.current_session(), web.current_actor(), proposal, min(participant_id, LARGEST_ID),
                      web.current_now())
    flash(_("Beendet. Was geschrieben wurde, bleibt."), "success")
    return web.go("coauthors.manage", slug=slug, proposal_id=proposal_id)


@blueprint.post(f"{ADDRESS}/verlassen")
@web.public
def leave(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Write along no more."""
    proposal = _shared(slug, proposal_id)
    operations.leave(web.current_session(), web.current_keyring(), web.current_actor(), proposal, web.current_now())
    flash(_("Sie schreiben nicht mehr mit."), "success")
    return web.go("personal.contributions")


@blueprint.route("/mitschreiben/<token>", methods=["GET", "POST"])
@web.public
@web.limiter.limit("60 per hour", methods=["POST"], deduct_when=web.was_refused)
def invitation(token: str) -> ResponseReturnValue:
    """What an invitation leads to: the text, and a button. Opening it alone accepts nothing."""
    web.do_not_cache()
    session, actor = web.current_session(), web.current_actor()
    found = operations.invitation_of(session, token, web.current_now())
    if found.proposal.process.municipality_id != web.the_municipality().id:
        raise NotFound
    if request.method == "POST":
        try:
            proposal = operations.accept(session, web.current_keyring(), actor, found, web.current_now())
        except Conflict as error:
            session.rollback()
            flash(web.translated(error), "warning")
            return web.go("municipalities.home")
        flash(_("Danke! Sie schreiben jetzt mit."), "success")
        return web.go("submissions.mine", slug=proposal.process.slug, proposal_id=proposal.id)
    body = render_template("contributions/coauthors/invitation.html", proposal=found.proposal, token=token,
                           process=found.proposal.process, is_signed_in=actor.is_signed_in and actor.email_is_confirmed)
    response = make_response(body)
    response.headers["Cache-Control"], response.headers["X-Robots-Tag"] = "no-store", "noindex"
    return response
