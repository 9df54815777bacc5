"""Handing in a proposal, the receipt that finds it again, and revising what was returned."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, render_template, request, url_for
from flask_babel import format_date, gettext as _
from sqlalchemy import select
from sqlalchemy.orm import undefer

from mapping.folium_map import MapParts, PickerOptions, render_picker
from mapping.geometry import Area, BBox, GeometryError, area_from_geojson, district_of, parse_point
from participation import clock, text, tokens, web
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.edge import load_proposal
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations import (
    ProposalDraft,
    Receipt,
    find_submission,
    resubmit_proposal,
    submit_proposal,
)
from participation.contributions.submissions import jobs  # noqa: F401 - registers itself
from participation.contributions.submissions.forms import EmptyForm, ProposalForm, ReceiptForm
from participation.errors import Conflict, InvalidInput, NotFound, SignInNeeded
from participation.formats import CollectSettings, PlaceRule
from participation.municipalities.models import District, Municipality
from participation.processes.edge import load_process
from participation.static_files import static_url
from participation.uploads import store_picture

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from participation.processes.models import Process

blueprint = Blueprint("submissions", __name__)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a contribution's way, as the macro progress_steps shows it."""

    label: str
    date: str
    state: str
    text: str = ""


def _area(municipality: Municipality) -> Area | BBox | None:
    """The boundary that a point must lie in."""
    import json  # noqa: PLC0415 - next to its only use

    boundary = web.current_session().scalar(
        select(Municipality.boundary).where(Municipality.id == municipality.id)
    )
    return area_from_geojson(json.dumps(boundary)) if boundary else None


def _district(municipality: Municipality, lon: float, lat: float) -> int | None:
    import json  # noqa: PLC0415 - next to its only use

    rows = web.current_session().scalars(
        select(District).where(District.municipality_id == municipality.id).options(undefer(District.boundary))
    )
    return district_of(lon, lat, [(row.id, area_from_geojson(json.dumps(row.boundary))) for row in rows])


def _read_draft(form: ProposalForm, process: Process, *, with_picture: bool) -> ProposalDraft | None:
    """The form as a draft; None when the place or the picture can't be accepted, with a message beside the field."""
    draft = ProposalDraft(title=form.title.data or "", body=form.body.data or "", theme_id=form.theme_id.data or None,
                          place=form.place.data or "")
    try:
        point = parse_point(form.lon.data, form.lat.data, _area(process.municipality), place=process.municipality.name)
    except GeometryError as error:
        web.attach(form, InvalidInput(error.message, field=error.field or "lon", **error.params))
        return None
    if point is not None:
        draft.lon, draft.lat = point
        draft.district_id = _district(process.municipality, *point)
    upload = form.picture.data
    if with_picture and upload is not None and getattr(upload, "filename", ""):
        settings = web.current_settings()
        try:
            stored = store_picture(web.current_session(), settings.upload_dir, process.municipality_id, upload.stream,
                                   settings.max_upload_bytes)
        except InvalidInput as error:
            web.attach(form, error)
            return None
        draft.pictures = [(stored, form.picture_alt.data or "")]
    return draft


def _settings(process: Process, now: datetime) -> CollectSettings:
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, now)
    return phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()


@blueprint.route("/verfahren/<slug>/vorschlaege/neu", methods=["GET", "POST"])
@web.public
@web.limiter.limit("60 per hour", methods=["POST"])
def new(slug: str) -> ResponseReturnValue:
    """One clear page; works without JavaScript."""
    process = load_process(slug)
    now = web.current_now()
    actor = web.current_actor()
    if process.phase_opening(Action.SUBMIT_PROPOSAL, now) is None:
        if request.method == "POST":
            raise Conflict(_("Phase beendet: Vorschläge sind zurzeit nicht möglich."))
        return render_template("contributions/submissions/closed.html", process=process), 409
    settings = _settings(process, now)
    if not actor.is_signed_in and not settings.guests_may_submit:
        raise SignInNeeded
    if not actor.is_signed_in:
        actor = web.ensure_guest()
    form = ProposalForm()
    form.offer(process)
    if not form.submission_key.data:
        form.submission_key.data = secrets.token_urlsafe(24)
    if form.validate_on_submit():
        receipt = _submit(form, process)
        if receipt is not None:
            if receipt.token is None:
                return web.go("submissions.mine", slug=slug, proposal_id=receipt.proposal.id)
            return web.go("submissions.receipt", token=receipt.token)
    return render_template(
        "contributions/submissions/new.html", form=form, process=process, settings=settings, is_guest=not
        actor.is_signed_in, picker=_picker(process) if settings.place is not PlaceRule.NONE else None,
        had_picture=bool(form.is_submitted() and form.picture.data),
    ), 422 if form.is_submitted() else 200


def _submit(form: ProposalForm, process: Process) -> Receipt | None:
    session = web.current_session()
    key = (form.submission_key.data or "")[:64]
    repeated = find_submission(session, key)
    if repeated is not None:
        return Receipt(repeated, repeated.receipt_number or "", None, is_repeat=True)
    draft = _read_draft(form, process, with_picture=True)
    if draft is None:
        return None
    email = text.clean_line(form.email.data)
    try:
        if email:
            from participation.accounts.operations import clean_email  # noqa: PLC0415 - guests with an address only

            email = clean_email(email)
        return submit_proposal(
            session, web.current_keyring(), web.current_actor(), process, draft, submission_key=key,
            now=web.current_now(), pseudonym=form.pseudonym.data or "", guest_email=email,
        )
    except InvalidInput as error:
        web.attach(form, error)
        return None


def _picker(process: Process) -> MapParts:
    bounds = process.municipality.bounds
    return render_picker(PickerOptions(
        bbox=BBox(*bounds) if bounds else BBox(5.8, 47.2, 15.1, 55.1), layers_url=url_for("proposals.layers"),
        lon_input_id="lon", lat_input_id="lat", asset_url=static_url, translate=_,
    ))


@blueprint.get("/verfahren/<slug>/vorschlaege/neu/karte.js")
@web.public
def picker_script(slug: str) -> ResponseReturnValue:
    """The picker's own few lines, as a file: the page then needs no inline code."""
    response = Response(_picker(load_process(slug)).script, mimetype="text/javascript")
    response.headers["Cache-Control"] = "private, max-age=300"
    return response


def _steps(contribution: Contribution) -> list[Step]:
    def day(instant: datetime | None) -> str:
        return format_date(clock.to_berlin(instant), "long") if instant else ""

    state = contribution.state
    checked = state not in {ContributionState.SUBMITTED, ContributionState.DRAFT}
    result = {
        ContributionState.PUBLISHED: _("Veröffentlicht"), ContributionState.RETURNED: _("Zur Überarbeitung zurückgegeben"),
        ContributionState.REJECTED: _("Abgelehnt"), ContributionState.HIDDEN: _("Ausgeblendet"),
        ContributionState.WITHDRAWN: _("Zurückgezogen"),
    }.get(state, _("Veröffentlicht"))
    return [
        Step(_("Eingereicht"), day(contribution.submitted_at), "done"),
        Step(_("Geprüft"), day(contribution.decided_at) if checked else "", "done" if checked else "current",
             "" if checked else _("Das dauert meist einen Werktag.")),
        Step(result, day(contribution.published_at) if state is ContributionState.PUBLISHED else "",
             "done" if checked else "open"),
    ]


def _of_token(token: str) -> Proposal:
    """Whoever holds the link is the author. Raises NotFound."""
    proposal = web.current_session().scalar(
        select(Proposal).where(Contribution.claim_token_hash == tokens.hash_token(token))
    )
    if proposal is None:
        raise NotFound
    proposal.is_own = True
    return proposal


def _receipt_page(proposal: Proposal, link: str, token: str | None) -> str:
    web.do_not_cache()
    may_edit = proposal.state is ContributionState.RETURNED
    may_withdraw = proposal.state in {ContributionState.SUBMITTED, ContributionState.RETURNED,
                                      ContributionState.PUBLISHED}
    return render_template("contributions/submissions/receipt.html", proposal=proposal, process=proposal.process,
                           steps=_steps(proposal), link=link, token=token, form=EmptyForm(), may_edit=may_edit,
                           may_withdraw=may_withdraw)


@blueprint.get("/beleg/<token>")
@web.public
@web.limiter.limit("120 per hour")
def receipt(token: str) -> ResponseReturnValue:
    """The receipt: number, link, way, and what the author can still do."""
    proposal = _of_token(token)
    link = web.current_settings().base_url + url_for("submissions.receipt", token=token)
    return _receipt_page(proposal, link, token)


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/beleg")
@web.public
def mine(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The same for an author who is known by account or browser."""
    proposal = load_proposal(slug, proposal_id)
    if not contributions.mark_own(web.current_session(), web.current_keyring(), web.current_actor(), proposal):
        raise NotFound
    return _receipt_page(proposal, "", None)


@blueprint.route("/beleg", methods=["GET", "POST"])
@web.public
@web.limiter.limit("20 per hour", methods=["POST"])
def find() -> ResponseReturnValue:
    """Where does my idea stand? Answers the state only: a number read over a shoulder opens nothing."""
    form = ReceiptForm()
    found = None
    if form.validate_on_submit():
        number = tokens.normalise_receipt_number(form.number.data or "")
        found = web.current_session().scalar(select(Proposal).where(Contribution.receipt_number == number))
        if found is None:
            web.attach(form, InvalidInput(_("Diese Nummer kennen wir nicht. Bitte prüfen Sie jedes Zeichen."),
                                          field="number"))
    return render_template("contributions/submissions/find.html", form=form, found=found,
                           steps=_steps(found) if found else []), 422 if form.is_submitted() and not found else 200


def _authored(slug: str, proposal_id: int) -> tuple[Proposal, str]:
    """A proposal for its author: by token in the address or form, by account, or by this browser."""
    token = request.values.get("token", "")
    if token:
        proposal = _of_token(token)
        if proposal.id != proposal_id or proposal.process.slug != slug:
            raise NotFound
        return proposal, token
    proposal = load_proposal(slug, proposal_id)
    if not contributions.mark_own(web.current_session(), web.current_keyring(), web.current_actor(), proposal):
        raise NotFound
    return proposal, ""


def _back(proposal: Proposal, token: str) -> ResponseReturnValue:
    if token:
        return web.go("submissions.receipt", token=token)
    return web.go("submissions.mine", slug=proposal.process.slug, proposal_id=proposal.id)


@blueprint.route("/verfahren/<slug>/vorschlaege/<int:proposal_id>/bearbeiten", methods=["GET", "POST"])
@web.public
def edit(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Revise what a moderator returned."""
    web.do_not_cache()
    proposal, token = _authored(slug, proposal_id)
    if not web.current_actor().identity:
        web.ensure_guest()
    process = proposal.process
    form = ProposalForm(obj=None if request.method == "POST" else proposal)
    form.offer(process)
    if request.method == "GET":
        form.lon.data = "" if proposal.lon is None else str(proposal.lon).replace(".", ",")
        form.lat.data = "" if proposal.lat is None else str(proposal.lat).replace(".", ",")
    if form.validate_on_submit():
        draft = _read_draft(form, process, with_picture=False)
        if draft is not None:
            try:
                resubmit_proposal(web.current_session(), web.current_actor(), proposal, draft, web.current_now())
            except InvalidInput as error:
                web.attach(form, error)
            else:
                flash(_("Danke. Ihr überarbeiteter Vorschlag wird jetzt geprüft."), "success")
                return _back(proposal, token)
    settings = _settings(process, web.current_now())
    return render_template("contributions/submissions/edit.html", form=form, process=process, proposal=proposal,
                           settings=settings, token=token,
                           picker=_picker(process) if settings.place is not PlaceRule.NONE else None), (
        422 if form.is_submitted() else 200
    )


@blueprint.post("/verfahren/<slug>/vorschlaege/<int:proposal_id>/zurueckziehen")
@web.public
def withdraw(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Take it back; the page asks before."""
    proposal, token = _authored(slug, proposal_id)
    actor = web.current_actor() if web.current_actor().identity else web.ensure_guest()
    contributions.withdraw(web.current_session(), actor, proposal, web.current_now())
    flash(_("Ihr Vorschlag ist zurückgezogen."), "success")
    return _back(proposal, token)
