"""Comments: writing them on the page of the proposal or on one of their own, supporting, mending, taking back."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flask import Blueprint, flash, g, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm.attributes import set_committed_value

from participation import web
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.abuse.edge import current_source, slow_down
from participation.contributions.comments.forms import CommentForm
from participation.contributions.comments.models import MAX_DEPTH, QUOTE_MAX, Comment, Stance
from participation.contributions.comments.operations import (
    BODY_MAX,
    asks_for_stance,
    edit_comment,
    may_edit,
    post_comment,
)
from participation.contributions.comments.queries import HAS_UNSEEN, UNSEEN, asides_and_unseen, newest_first_of
from participation.contributions.guests import operations as guests
from participation.contributions.models import WITHDRAWABLE, ContributionState
from participation.contributions.proposals.edge import LARGEST_ID, load_proposal, load_standing
from participation.contributions.proposals.models import Proposal
from participation.contributions.votes import operations as votes
from participation.contributions.votes.queries import ASIDES, Aside, OwnPart
from participation.contributions.votes.views import annulled_message, is_annulled, own_part_here, why_annulled
from participation.errors import InvalidInput, NotFound
from participation.permissions import Actor, can, proof_asked, require as actor_require
from participation.pieces import Filling, render_kept
from participation.tokens import hash_token, new_token

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response

    from participation.contributions.models import Contribution
    from participation.processes.models import Process

blueprint = Blueprint("comments", __name__)
_HAS_UNSEEN = "has_unseen_comments"


def comment_form(slug: str, proposal_id: int) -> Filling:
    """The field below the comments, or what is missing to use it."""
    proposal = load_standing(slug, proposal_id)
    if not proposal.is_published:
        return ""
    now, actor = web.current_now(), web.current_actor()
    phase = proposal.process.phase_opening(Action.COMMENT, now)
    mode = "closed"
    if phase is not None:
        # A form here would set a cookie for everybody who only reads, so guests get one on a page of its own.
        mode = "write" if actor.is_signed_in else "guest"
        if not web.can(Action.COMMENT, proposal):
            hindered = "unverified" if actor.email_is_confirmed else "unconfirmed"
            mode = hindered if actor.is_signed_in else "sign_in"
    return render_kept(
        "contributions/comments/_form.html", slug=slug, proposal_id=proposal_id, mode=mode, body_max=BODY_MAX,
        make_form=CommentForm, asks_for_stance=asks_for_stance(phase),
        opens_at=_next_opening(proposal.process, now) if mode == "closed" else None,
        needed=proof_asked(Action.COMMENT, proposal, now) if mode in {"sign_in", "unverified"} else "",
    )


def _next_opening(process: Process, now: datetime) -> datetime | None:
    """When a later phase opens commenting, if one is planned."""
    starts = [phase.starts_at for phase in process.phases if phase.starts_at and phase.opens(Action.COMMENT)]
    return min((start for start in starts if start > now), default=None)


def comment_votes(target: str) -> Filling:
    """The form that the buttons below the comments send: they themselves are the same for every reader."""
    return render_kept("contributions/comments/_votes.html", is_signed_in=web.current_actor().is_signed_in,
                           target=target)


@web.at_once
def own_comment(comments: list[dict[str, Any]]) -> dict[int, str]:
    """What a signed-in reader can do with each comment: take a support back, change or withdraw what is their own."""
    if web.current_actor().identity is None:
        return {}
    part = own_part_here(comments[0]["slug"], comments[0]["proposal_id"])
    return {place: _own_comment(part, **comment) for place, comment in enumerate(comments)
            if comment["comment_id"] in part.supported or comment["participant_id"] == part.participant_id}


def _own_comment(part: OwnPart, slug: str, proposal_id: int, comment_id: int, participant_id: int) -> str:
    return str(render_kept(
        "contributions/comments/_own.html", slug=slug, proposal_id=proposal_id, comment_id=comment_id,
        is_supported=comment_id in part.supported, is_own=participant_id == part.participant_id,
        why=why_annulled(slug) if comment_id in part.annulled else None,
    ))


def _author_values(slug: str, proposal_id: int) -> dict[str, Any]:
    process_id = load_standing(slug, proposal_id).process_id
    person_hash = web.current_keyring().person_hash(process_id, web.current_actor().identity or "")
    return {"process_id": process_id, "person_hash": person_hash, "contribution_id": proposal_id}


def aside_here(name: str, slug: str, proposal_id: int) -> Any:  # noqa: ANN401 - whatever its column holds
    """What came along with the reader's own part of this page, see `votes.queries.Aside`.

    On a page that is not kept nothing came along: all are asked for then, with the comments below.
    """
    if web.current_actor().identity is None:
        return None
    part = own_part_here(slug, proposal_id)
    if name not in part.asides:
        values = _author_values(slug, proposal_id)
        for one in ASIDES.values():
            values |= one.values(web.current_actor(), proposal_id)
        rows = web.glance(asides_and_unseen(tuple(ASIDES)), values)
        g.unseen_comments = [row for row in rows if row.id is not None]
        part = g.own_part = replace(part, asides={key: getattr(rows[0], key) for key in ASIDES})
    return part.asides[name]


def unseen_comments(slug: str, proposal_id: int) -> str:
    """The reader's own comments that nobody else sees yet: they would look lost otherwise."""
    if not aside_here(_HAS_UNSEEN, slug, proposal_id):
        return ""
    rows = g.get("unseen_comments") or web.glance(UNSEEN, _author_values(slug, proposal_id))
    return web.render_part("contributions/comments/_unseen.html", slug=slug, proposal_id=proposal_id, comments=rows)


HOLES: dict[str, Callable[..., Any]] = {
    "comment_form": comment_form, "comment_votes": comment_votes, "own_comment": own_comment,
    "unseen_comments": unseen_comments,
}
# Its author and its proposal are asked for in the same statement under these names already.
ASIDES[_HAS_UNSEEN] = Aside(HAS_UNSEEN, lambda _actor, _proposal_id: {})


def _comments_at_once() -> str:
    """How much may be written, or changed."""
    return "20 per 10 minutes" if web.current_actor().is_signed_in else web.GUESTS_WRITE


def _parent(proposal: Proposal, raw: str) -> Comment | None:
    """The comment that is answered; None for anything else."""
    if re.fullmatch(r"[0-9]{1,10}", raw) is None or int(raw) > LARGEST_ID:
        return None
    found = web.current_session().get(Comment, int(raw))
    return found if found is not None and found.proposal_id == proposal.id and found.is_published else None


def _form(proposal: Proposal, parent: Comment | None, *, formdata: bool, **values: object) -> CommentForm:
    """The form, with the question where a first comment stands if the phase asks it."""
    form = CommentForm(**values) if formdata else CommentForm(formdata=None, **values)
    phase = proposal.process.phase_opening(Action.COMMENT, web.current_now())
    return form.offer_stances(parent is None and asks_for_stance(phase))


def _mention(parent: Comment | None) -> str:
    """What an answer begins with where it can stand no deeper: beside the one it answers, and nothing keeps which that is."""
    return f"@{parent.participant.pseudonym}: " if parent is not None and parent.depth >= MAX_DEPTH else ""


def _stance(form: CommentForm) -> Stance | None:
    raw = form.stance.data if "stance" in form else None
    return next((one for one in Stance if one.value == raw), None)


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/kommentare")
@web.public
def new(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The form on a page of its own; ?antwort=<id> answers a comment, ?zitat=… quotes the proposal."""
    proposal = load_proposal(slug, proposal_id)
    web.require(Action.COMMENT, proposal)
    parent = _parent(proposal, request.args.get("antwort", ""))
    quote = request.args.get("zitat", "")[:QUOTE_MAX]
    form = _form(proposal, parent, formdata=False, parent_id=parent.id if parent else "", quote=quote,
                 body=_mention(parent))
    return _form_page(proposal, parent, form)


@blueprint.post("/verfahren/<slug>/vorschlaege/<int:proposal_id>/kommentare")
@web.public
@web.limiter.limit(web.TRIES, key_func=web.sender)
@web.limiter.limit(_comments_at_once, key_func=web.sender, deduct_when=web.was_done)
def post(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Store a comment and go back to the proposal; with an error the form comes back with its text, 422."""
    proposal = load_proposal(slug, proposal_id)
    web.require(Action.COMMENT, proposal)
    wanted = request.form.get("parent_id", "")
    parent = _parent(proposal, wanted)
    form = _form(proposal, parent, formdata=True)
    if wanted and parent is None:
        form.body.errors = [_("Diesen Kommentar gibt es nicht mehr. Senden Sie Ihren Text als neuen Kommentar.")]
        form.parent_id.data = ""
        return _form_page(proposal, None, form), 422
    body = form.body.data or ""
    try:
        web.require_no_change_of_person()
        actor = web.current_actor() if web.current_actor().is_signed_in else web.ensure_guest()
        comment = post_comment(
            web.current_session(), web.current_keyring(), actor, proposal,
            "" if body.strip() == _mention(parent).strip() else body, submission_key=form.submission_key.data or new_token(), now=web.current_now(), parent=parent,
            quote=form.quote.data or "", stance=_stance(form),
        )
    except InvalidInput as error:
        web.attach(form, error)
        return _form_page(proposal, parent, form), 422
    token = None if actor.is_signed_in else guests.receipt_token(web.current_keyring(), comment)
    if token:
        flash(_("Danke! Ihr Kommentar ist gespeichert und wird geprüft."), "success")
        return web.go("submissions.receipt", token=token)
    if not comment.is_published:
        flash(_("Danke! Ihr Kommentar wird geprüft. Danach erscheint er hier."), "success")
        return web.go("proposals.show", slug=slug, proposal_id=proposal.id, _anchor="kommentare")
    flash(_("Danke! Ihr Kommentar ist veröffentlicht."), "success")
    return _to_comment(slug, comment)


def _to_comment(slug: str, comment: Comment) -> Response:
    """The proposal's page at this comment; with many threads the one that begins with its own thread."""
    thread = comment.thread_id or comment.id
    after = newest_first_of(thread) if thread != comment.id or comment.depth == 0 else None
    return web.go("proposals.show", slug=slug, proposal_id=comment.proposal_id, kommentare_nach=after,
                  _anchor=f"kommentar-{comment.id}")


def _comment(slug: str, proposal_id: int, comment_id: int) -> tuple[Contribution, Comment]:
    """A comment of a proposal that the reader may see. Raises NotFound (404)."""
    proposal = load_standing(slug, proposal_id, in_session=True)
    found = web.current_session().get(Comment, min(comment_id, LARGEST_ID))
    if found is None or found.proposal_id != proposal.id:
        raise NotFound
    set_committed_value(found, "process", proposal.process)
    contributions.mark_own(web.current_keyring(), web.current_actor(), found)
    token = request.values.get("token", "")
    if token and found.claim_token_hash == hash_token(token) and not contributions.is_of_account(found):
        found.is_own = True
    if not (found.is_published or found.is_own):
        raise NotFound
    return proposal, found


def _holder() -> Actor:
    """Who acts: the person of this browser, else nobody but the holder of the receipt's link."""
    actor, token = web.current_actor(), request.values.get("token", "")
    return actor if actor.identity or not token else Actor(guest_token=token)


def _back(slug: str, comment: Comment) -> Response:
    """To the receipt for whoever came from there, else to the proposal."""
    if request.values.get("token"):
        return web.go("submissions.receipt", token=request.values["token"])
    return web.go("proposals.show", slug=slug, proposal_id=comment.proposal_id, _anchor="kommentare")


ADDRESS = "/verfahren/<slug>/vorschlaege/<int:proposal_id>/kommentare/<int:comment_id>"


@blueprint.get(ADDRESS)
@web.public
def show(slug: str, proposal_id: int, comment_id: int) -> ResponseReturnValue:
    """The lasting address of one comment."""
    return _to_comment(slug, _comment(slug, proposal_id, comment_id)[1])


@blueprint.post(f"{ADDRESS}/unterstuetzen")
@web.public
@slow_down
def support(slug: str, proposal_id: int, comment_id: int) -> ResponseReturnValue:
    """Support a comment; sent twice it counts once."""
    comment = _comment(slug, proposal_id, comment_id)[1]
    added = votes.support(web.current_session(), web.current_keyring(), web.current_actor(), comment,
                          web.current_now(), current_source(comment.process_id))
    if not added and is_annulled(slug, proposal_id, comment_id):
        flash(annulled_message(), "warning")
    else:
        flash(_("Danke! Ihre Unterstützung ist gezählt.") if added else _("Sie haben diesen Kommentar schon unterstützt."),
              "success" if added else "info")
    return _to_comment(slug, comment)


@blueprint.post(f"{ADDRESS}/unterstuetzung-zuruecknehmen")
@web.public
def withdraw_support(slug: str, proposal_id: int, comment_id: int) -> ResponseReturnValue:
    """Take the support back."""
    comment = _comment(slug, proposal_id, comment_id)[1]
    votes.withdraw_support(web.current_session(), web.current_keyring(), web.current_actor(), comment,
                           web.current_now())
    flash(_("Ihre Unterstützung ist zurückgenommen."), "success")
    return _to_comment(slug, comment)


@blueprint.get(f"{ADDRESS}/unterstuetzen")
@blueprint.get(f"{ADDRESS}/unterstuetzung-zuruecknehmen", endpoint="back_again")
@web.public
def back(slug: str, proposal_id: int, comment_id: int) -> ResponseReturnValue:
    """Whoever is not signed in yet comes here: to the sign-in, and from there back to the comment."""
    if not web.current_actor().is_signed_in:
        target = url_for("comments.show", slug=slug, proposal_id=proposal_id, comment_id=comment_id)
        return web.go("accounts.sign_in", next=target)
    return _to_comment(slug, _comment(slug, proposal_id, comment_id)[1])


@blueprint.route(f"{ADDRESS}/bearbeiten", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"], key_func=web.sender)
@web.limiter.limit(_comments_at_once, methods=["POST"], key_func=web.sender, deduct_when=web.was_done)
def edit(slug: str, proposal_id: int, comment_id: int) -> ResponseReturnValue:
    """Mend one's own comment while it is fresh, or after a moderator asked for it."""
    proposal, comment = _comment(slug, proposal_id, comment_id)
    web.do_not_cache()
    if comment.state is ContributionState.WITHDRAWN and request.method == "GET":
        flash(_("Diesen Kommentar haben Sie zurückgezogen. Sie können ihn nicht mehr ändern."), "info")
        return _back(slug, comment)
    # After the phase nothing changes any more, but what still waits can be taken back here.
    takes_back = request.method == "GET" and not can(_holder(), Action.EDIT_COMMENT, comment, web.current_now())
    actor_require(_holder(), Action.WITHDRAW_CONTRIBUTION if takes_back else Action.EDIT_COMMENT, comment, web.current_now())
    form = CommentForm(formdata=request.form or None, body=comment.body).offer_stances(False)  # noqa: FBT003
    status = 200
    if request.method == "POST":
        try:
            edit_comment(web.current_session(), _holder(), comment, form.body.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(form, error)
            status = 422
        else:
            flash(_("Ihr Kommentar ist geändert.") if comment.is_published
                  else _("Ihr Kommentar ist geändert und wird geprüft."), "success")
            return _to_comment(slug, comment) if comment.is_published else _back(slug, comment)
    return render_template(
        "contributions/comments/edit.html", proposal=proposal, process=proposal.process, comment=comment, form=form,
        body_max=BODY_MAX, token=request.values.get("token", ""), may_edit=may_edit(_holder(), comment, web.current_now()),
        may_withdraw=comment.state in WITHDRAWABLE,
        title=web.current_session().get_one(Proposal, proposal_id).title,
    ), status


@blueprint.post(f"{ADDRESS}/zurueckziehen")
@web.public
def withdraw(slug: str, proposal_id: int, comment_id: int) -> ResponseReturnValue:
    """Take one's own comment back; where others answered, its place stays."""
    comment = _comment(slug, proposal_id, comment_id)[1]
    contributions.withdraw(web.current_session(), _holder(), comment, web.current_now())
    flash(_("Ihr Kommentar ist zurückgezogen."), "success")
    return _back(slug, comment)


def _form_page(proposal: Proposal, parent: Comment | None, form: CommentForm) -> str:
    actor = web.current_actor()
    known = contributions.find_participant(
        web.current_session(), web.current_keyring(), proposal.process_id, actor.identity)
    return render_template(
        "contributions/comments/new.html", proposal=proposal, process=proposal.process, parent=parent,
        parent_author=parent.participant.pseudonym if parent else "", is_beside=bool(_mention(parent)), form=form, body_max=BODY_MAX,
        is_guest=not actor.is_signed_in, known=known, guest_name=guests.GUEST_NAME,
    )
