"""Changing what was handed in, its pictures too, and taking it back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import flash, render_template, request
from flask_babel import gettext as _
from sqlalchemy import event
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage

from participation import web
from participation.actions import Action
from participation.contributions.models import ContributionPicture, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.content import ALT_MAX, ProposalDraft
from participation.contributions.proposals.operations.revising import (
    EDITABLE,
    ChangedMeanwhile,
    revise_proposal,
    withdraw_proposal,
)
from participation.contributions.queries import newest_revision, pictures_of
from participation.contributions.submissions.forms import PictureForm, ProposalForm, WithdrawForm, proposal_form
from participation.contributions.submissions.operations import discard_files
from participation.contributions.submissions.views.entered import district_at, keep_pictures, read_entered, read_picture
from participation.contributions.submissions.views.page import (
    LIMITS,
    blueprint,
    changes_an_hour,
    fields_of,
    filled_hole,
    form_page,
    holder_of,
    own_address,
    phase_dates,
    pictures_an_hour,
    private,
    sends_no_picture,
    settings_of,
    shown_inline,
)
from participation.contributions.submissions.views.receipts import own_proposal, proposal_of_token
from participation.errors import Conflict, InvalidInput, NotFound
from participation.formats import ThemeRule
from participation.own_fields import Answer, in_order, load_answers
from participation.permissions import Actor, require
from participation.text import clean_line
from participation.uploads import Upload, store_picture

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.processes.models import Process

PICTURES_MAX = 5


def _authored(slug: str, proposal_id: int) -> tuple[Proposal, Actor, str]:
    """A proposal for its author, who acts, and the token: by token in the address or form, by account, by browser."""
    token = request.values.get("token", "")
    if not token:
        return own_proposal(slug, proposal_id), web.current_actor(), ""
    proposal = proposal_of_token(token)
    if proposal.id != proposal_id or proposal.process.slug != slug:
        raise NotFound
    return proposal, holder_of(token), token


def _back(proposal: Proposal, token: str) -> ResponseReturnValue:
    if token:
        return web.go("submissions.receipt", token=token)
    return web.go("submissions.mine", slug=proposal.process.slug, proposal_id=proposal.id)


@blueprint.route("/verfahren/<slug>/vorschlaege/<int:proposal_id>/bearbeiten", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"], key_func=web.sender)
@web.limiter.limit(pictures_an_hour, methods=["POST"], key_func=web.sender, exempt_when=sends_no_picture)
@web.limiter.limit(changes_an_hour, methods=["POST"], key_func=web.sender, deduct_when=web.was_done)
def edit(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Change what was handed in: before it is decided, after it was returned, or as a change of what is public."""
    web.do_not_cache()
    proposal, actor, token = _authored(slug, proposal_id)
    process, now = proposal.process, web.current_now()
    base = _base(proposal)
    settings = settings_of(process)
    asking = next((one for one in process.phases if one.id == proposal.phase_id), None)
    shown = fields_of(process, asking)
    form = proposal_form(shown, base.answers)(data=_entered(base))
    form.offer(process, optional=settings.theme is ThemeRule.OPTIONAL)
    if proposal.state not in EDITABLE:
        if form.is_submitted() and (form.title.data, form.body.data) != (proposal.title, proposal.body):
            raise Conflict(_("Ihr Vorschlag hat inzwischen einen anderen Stand. Ihr Text ist nicht gespeichert."))
        return _back(proposal, token)
    if process.phase_opening(Action.EDIT_PROPOSAL, now) is None:
        raise Conflict(" ".join([_("Überarbeiten ist zurzeit nicht möglich."), *phase_dates(process, now)]))
    is_changed_elsewhere = False
    if form.is_submitted():
        try:
            message = _revise(form, proposal, base, actor)
        except ChangedMeanwhile as error:
            # The form again, with the other text to compare: sent once more, it goes on from that one.
            is_changed_elsewhere, message = True, ""
            web.attach(form, error)
            web.current_session().refresh(proposal, ["title", "body", "revision_number", "pending_revision"])
            base = _base(proposal)
            form.revision_seen.data = str(base.number)
        if message:
            flash(message, "success")
            return _back(proposal, token)
    is_returned = proposal.state is ContributionState.RETURNED
    form.revision_seen.data = form.revision_seen.data or str(base.number)
    body = form_page(
        "edit", form, process, proposal=proposal, token=token, pictures=shown_inline(base.pictures), base=base,
        decision=filled_hole("decision_of", contribution_id=proposal.id) if is_returned or base.was_refused else "",
        own=own_address(proposal, token), own_fields=shown, is_changed_elsewhere=is_changed_elsewhere,
    )
    return private(body, 409 if is_changed_elsewhere else 422 if form.is_submitted() else 200)


@dataclass(frozen=True, slots=True)
class Base:
    """What an author goes on from: the text that is there, or a change of it that was handed in after it."""

    title: str
    body: str
    theme_id: int | None
    place: str
    lon: float | None
    lat: float | None
    pictures: list[ContributionPicture]
    number: int
    answers: list[Answer] = field(default_factory=list)
    has_own_pictures: bool = False
    waits: bool = False
    was_refused: bool = False


def _base(proposal: Proposal) -> Base:
    session = web.current_session()
    newest = newest_revision(session, proposal.id)
    shown = list(session.scalars(pictures_of(proposal.id)))
    if newest is None or newest.number <= proposal.revision_number:
        return Base(proposal.title, proposal.body, proposal.theme_id, proposal.place, proposal.lon, proposal.lat, shown,
                    proposal.revision_number, proposal.answers)
    waits, changes = newest.number == proposal.pending_revision, newest.changes or {}
    has_own = waits and bool(changes.get("pictures"))
    return Base(
        newest.title, newest.body, changes.get("theme_id"), changes.get("place", ""), changes.get("lon"),
        changes.get("lat"), list(session.scalars(pictures_of(proposal.id, newest.number))) if has_own else shown,
        newest.number, in_order(load_answers(changes.get("answers", proposal.stored_answers)), proposal.own_fields),
        has_own_pictures=has_own, waits=waits, was_refused=not waits,
    )


def _entered(base: Base) -> dict[str, object]:
    """A text as its form had it."""
    lon, lat = ("" if number is None else str(number).replace(".", ",") for number in (base.lon, base.lat))
    return {
        "title": base.title, "body": base.body, "theme_id": base.theme_id, "place": base.place,
        "lon": lon, "lat": lat, "picture_alt": next((picture.alt for picture in base.pictures), ""),
    }


def _revise(form: ProposalForm, proposal: Proposal, base: Base, actor: Actor) -> str:
    """Store the revision; returns what to tell, or "" when something is wrong, with messages beside the fields."""
    process, session = proposal.process, web.current_session()
    settings = settings_of(process)
    draft, is_valid = read_entered(form, process, settings, proposal.own_fields, base.answers)
    draft.theme_id = base.theme_id if settings.theme is ThemeRule.HIDDEN else draft.theme_id
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    is_valid = read_picture(form, process, draft, is_valid=is_valid, takes_draft=False) and is_valid
    if not is_valid:
        keep_pictures(form, draft, drops_shown=drops)
        return ""
    if draft.pictures:
        # The form shows the first one; the others have a page of their own.
        draft.pictures += [(picture.upload, picture.alt) for picture in base.pictures[1:]]
    elif draft.pictures is None:
        draft.pictures = _changed_pictures(base, form.picture_alt.data or "", drops=drops)
    entered = (draft.title, draft.body, draft.theme_id, draft.place, draft.lon, draft.lat, _said(draft.answers or []))
    is_same = entered == (base.title, base.body, base.theme_id, base.place, base.lon, base.lat, _said(base.answers))
    if is_same and draft.pictures is None and proposal.state is not ContributionState.RETURNED:
        return str(_("Sie haben nichts geändert."))
    if (form.revision_seen.data or str(base.number)) != str(base.number):
        keep_pictures(form, draft, drops_shown=drops)
        raise ChangedMeanwhile
    if draft.pictures is None and base.has_own_pictures:
        draft.pictures = [(picture.upload, picture.alt) for picture in base.pictures]
    try:
        waits = revise_proposal(session, actor, proposal, draft, web.current_now(), onto=base.number)
    except InvalidInput as error:
        web.attach(form, error)
        keep_pictures(form, draft, drops_shown=drops)
        return ""
    if waits:
        return str(_("Danke! Ihre Änderung wird jetzt geprüft. Bis dahin ist die bisherige Fassung zu lesen."))
    if proposal.is_published:
        return str(_("Danke! Ihre Änderung ist veröffentlicht."))
    return str(_("Danke! Ihr überarbeiteter Vorschlag wird jetzt geprüft."))


def _said(answers: list[Answer]) -> dict[str, tuple[str, ...]]:
    return {one.key: one.values for one in answers}


def _changed_pictures(base: Base, alt: str, *, drops: bool) -> list[tuple[Upload, str]] | None:
    """The pictures that are there, when something about them changes; None when nothing does."""
    if not base.pictures:
        return None
    if drops:
        return []
    first, *others = base.pictures
    if alt == first.alt:
        return None
    return [(first.upload, alt), *((picture.upload, picture.alt) for picture in others)]


@blueprint.route("/verfahren/<slug>/vorschlaege/<int:proposal_id>/bilder", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"], key_func=web.sender)
@web.limiter.limit(pictures_an_hour, methods=["POST"], key_func=web.sender, exempt_when=sends_no_picture)
@web.limiter.limit(changes_an_hour, methods=["POST"], key_func=web.sender, deduct_when=web.was_done)
def pictures(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Up to five pictures: add, take away, put first. Each change is a revision, checked like one of the text."""
    web.do_not_cache()
    proposal, actor, token = _authored(slug, proposal_id)
    process, now = proposal.process, web.current_now()
    if proposal.state not in EDITABLE:
        raise NotFound
    if process.phase_opening(Action.EDIT_PROPOSAL, now) is None:
        raise Conflict(" ".join([_("Überarbeiten ist zurzeit nicht möglich."), *phase_dates(process, now)]))
    if not web.can(Action.ATTACH_PICTURES, process):
        raise NotFound
    form, base = PictureForm(), _base(proposal)
    kept = [(picture.upload, picture.alt) for picture in base.pictures]
    if form.is_submitted():
        try:
            wanted = _wanted_pictures(form, process, kept)
            waits = revise_proposal(
                web.current_session(), actor, proposal,
                ProposalDraft(base.title, base.body, base.theme_id, base.place, base.lon, base.lat,
                              district_at(process.municipality, base.lon, base.lat)
                              if base.lon is not None and base.lat is not None else None, wanted),
                now, onto=base.number)
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Gespeichert. Ihre Änderung wird geprüft, bevor sie erscheint.") if waits else _("Gespeichert."),
                  "success")
            return web.go("submissions.pictures", **own_address(proposal, token))
    return private(render_template(
        "contributions/submissions/pictures.html", proposal=proposal, process=process, form=form, token=token,
        shown=list(enumerate(shown_inline(base.pictures))), most=PICTURES_MAX, limits=LIMITS, own=own_address(proposal, token),
        megabytes=web.current_settings().max_upload_bytes // (1024 * 1024),
    ), 422 if form.errors else 200)


def _wanted_pictures(form: PictureForm, process: Process, kept: list[tuple[Upload, str]]) -> list[tuple[Upload, str]]:
    """The pictures after what was asked for. Raises InvalidInput."""
    place = request.form.get("place", "")
    number = int(place) if place.isascii() and place.isdecimal() and len(place) < 3 else -1  # noqa: PLR2004
    if request.form.get("step") == "drop":
        return [one for position, one in enumerate(kept) if position != number]
    if request.form.get("step") == "first" and 0 < number < len(kept):
        return [kept[number], *kept[:number], *kept[number + 1:]]
    sent = form.picture.data
    if not (isinstance(sent, FileStorage) and sent.filename):
        raise InvalidInput(_("Bitte wählen Sie ein Bild aus."), field="picture")
    if len(kept) >= PICTURES_MAX:
        raise InvalidInput(_("Mehr als %(number)s Bilder sind nicht möglich.", number=PICTURES_MAX), field="picture")
    session, known = web.current_session(), web.current_settings()
    upload = store_picture(session, known.upload_dir, process.municipality_id, sent.stream, known.max_upload_bytes)
    return [*kept, (upload, clean_line(form.picture_alt.data or "")[:ALT_MAX])]


def remove_after_commit(uploads: list[Upload]) -> None:
    """Files go when their rows are certainly gone."""
    folder = web.current_settings().upload_dir

    def remove(_session: Session) -> None:
        for upload in uploads:
            discard_files(folder, upload)

    event.listen(web.current_session(), "after_commit", remove, once=True)


@blueprint.post("/verfahren/<slug>/vorschlaege/<int:proposal_id>/zurueckziehen")
@web.public
def withdraw(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Take it back: the first post asks, the second does."""
    proposal, actor, token = _authored(slug, proposal_id)
    if proposal.state is ContributionState.WITHDRAWN:
        return _back(proposal, token)
    # Whoever writes along may not; that is said before the question, not after it.
    require(actor, Action.WITHDRAW_CONTRIBUTION, proposal, web.current_now())
    form = WithdrawForm()
    form.offer(is_public=proposal.is_published)
    if request.form.get("confirmed") == "yes":
        try:
            withdraw_proposal(web.current_session(), actor, proposal, web.current_now(), form.reason.data or "")
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Ihr Vorschlag ist zurückgezogen. Unter seiner Adresse stehen nur noch der Titel und Ihr Grund.")
                  if proposal.withdrawal_reason else _("Ihr Vorschlag ist zurückgezogen. Niemand liest ihn mehr."),
                  "success")
            return _back(proposal, token)
    else:
        form.reason.data = ""
    return private(render_template(
        "contributions/submissions/withdraw.html", proposal=proposal, process=proposal.process, token=token, form=form,
        own=own_address(proposal, token),
    ), 422 if form.errors else 200)
