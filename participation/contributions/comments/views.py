"""Writing a comment: in the page of the proposal, or on a page of its own (answers, and after an error)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, flash, render_template, request
from flask_babel import gettext as _
from flask_limiter.util import get_remote_address

from participation import web
from participation.actions import Action
from participation.contributions.comments.forms import CommentForm
from participation.contributions.comments.models import Comment
from participation.contributions.comments.operations import BODY_MAX, post_comment
from participation.contributions.comments.queries import THREADS_PER_PAGE
from participation.contributions.proposals.edge import LARGEST_ID, load_proposal, load_standing
from participation.errors import InvalidInput
from participation.tokens import new_token

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from participation.contributions.proposals.models import Proposal
    from participation.processes.models import Process

blueprint = Blueprint("comments", __name__)


def comment_form(slug: str, proposal_id: int) -> str:
    """The field below the comments, or what is missing to use it."""
    proposal = load_standing(slug, proposal_id)
    if not proposal.is_published:
        return ""
    now, actor = web.current_now(), web.current_actor()
    mode = "closed"
    if proposal.process.phase_opening(Action.COMMENT, now) is not None:
        may_write = "write" if web.can(Action.COMMENT, proposal) else "unconfirmed"
        mode = may_write if actor.is_signed_in else "sign_in"
    return web.render_kept(
        "contributions/comments/_form.html", slug=slug, proposal_id=proposal_id, mode=mode, body_max=BODY_MAX,
        make_form=CommentForm,
        opens_at=_next_opening(proposal.process, now) if mode == "closed" else None,
    )


def _next_opening(process: Process, now: datetime) -> datetime | None:
    """When a later phase opens commenting, if one is planned."""
    starts = [phase.starts_at for phase in process.phases if phase.starts_at and phase.opens(Action.COMMENT)]
    return min((start for start in starts if start > now), default=None)


HOLES: dict[str, Callable[..., str]] = {"comment_form": comment_form}


def _writer() -> str:
    """Who is throttled: the account, so that a whole town hall behind one address is not."""
    actor = web.current_actor()
    return f"account:{actor.account_id}" if actor.is_signed_in else get_remote_address()


def _parent(proposal: Proposal, raw: str) -> Comment | None:
    """The comment that is answered; None for anything else."""
    if re.fullmatch(r"[0-9]{1,10}", raw) is None or int(raw) > LARGEST_ID:
        return None
    found = web.current_session().get(Comment, int(raw))
    return found if found is not None and found.proposal_id == proposal.id and found.is_published else None


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/kommentare")
@web.public
def new(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The form on a page of its own; ?antwort=<id> answers a comment."""
    proposal = load_proposal(slug, proposal_id)
    web.require(Action.COMMENT, proposal)
    parent = _parent(proposal, request.args.get("antwort", ""))
    form = CommentForm(formdata=None, parent_id=parent.id if parent else "")
    return _form_page(proposal, parent, form)


@blueprint.post("/verfahren/<slug>/vorschlaege/<int:proposal_id>/kommentare")
@web.public
@web.limiter.limit("20 per 10 minutes", key_func=_writer)
def post(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Store a comment and go back to the proposal; with an error the form comes back with its text, 422."""
    proposal = load_proposal(slug, proposal_id)
    web.require(Action.COMMENT, proposal)
    form = CommentForm()
    wanted = form.parent_id.data or ""
    parent = _parent(proposal, wanted)
    if wanted and parent is None:
        form.body.errors = [_("Diesen Kommentar gibt es nicht mehr. Senden Sie Ihren Text als neuen Kommentar.")]
        form.parent_id.data = ""
        return _form_page(proposal, None, form), 422
    try:
        comment = post_comment(
            web.current_session(), web.current_keyring(), web.current_actor(), proposal, form.body.data or "",
            submission_key=form.submission_key.data or new_token(), now=web.current_now(), parent=parent,
        )
    except InvalidInput as error:
        web.attach(form, error)
        return _form_page(proposal, parent, form), 422
    if not comment.is_published:
        flash(_("Danke! Ihr Kommentar wird geprüft. Danach erscheint er hier."), "success")
        return web.go("proposals.show", slug=slug, proposal_id=proposal.id, _anchor="kommentare")
    flash(_("Danke! Ihr Kommentar ist veröffentlicht."), "success")
    # With many threads its page is the one that begins with its own thread.
    after = (comment.thread_id or comment.id) - 1 if proposal.comment_count >= THREADS_PER_PAGE else None
    return web.go("proposals.show", slug=slug, proposal_id=proposal.id, kommentare_nach=after,
                  _anchor=f"kommentar-{comment.id}")


def _form_page(proposal: Proposal, parent: Comment | None, form: CommentForm) -> str:
    return render_template(
        "contributions/comments/new.html", proposal=proposal, process=proposal.process, parent=parent,
        parent_author=parent.participant.pseudonym if parent else "", form=form, body_max=BODY_MAX,
    )
