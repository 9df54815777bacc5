"""Handing in a proposal, the receipt that finds it again, and revising what was returned."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, make_response, render_template, request, session as cookie, url_for
from flask_babel import format_date, format_decimal, gettext as _
from flask_limiter.util import get_remote_address
from markupsafe import Markup
from sqlalchemy import event, select
from sqlalchemy.orm import Session, undefer
from werkzeug.datastructures import FileStorage, MultiDict

from mapping.basemap import basemap_from_settings
from mapping.folium_map import MapParts, PickerOptions, render_picker
from mapping.geometry import GERMANY, Area, BBox, GeometryError, area_from_geojson, district_of, parse_point
from participation import clock, tokens, web
from participation.accounts.models import ParticipantKind
from participation.accounts.operations import clean_email
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.comments.operations import may_edit as may_edit_comment
from participation.contributions.drafts.models import Draft
from participation.contributions.drafts.operations import ChangedElsewhere, read_draft, save_draft
from participation.contributions.drafts.queries import draft_of_form
from participation.contributions.drafts.views import KEPT_DAYS, load_draft, rows_of, shown_picture
from participation.contributions.models import STATE_LABELS, Contribution, ContributionPicture, ContributionState
from participation.contributions.proposals.edge import load_proposal
from participation.contributions.proposals.models import ANSWER_LABELS, Proposal
from participation.contributions.proposals.operations import (
    ALT_MAX,
    BODY_MAX,
    EDITABLE,
    PICTURE_MISSING,
    PLACE_MAX,
    PSEUDONYM_MAX,
    TITLE_MAX,
    ProposalDraft,
    Receipt,
    find_submission,
    possible_themes,
    revise_proposal,
    submit_proposal,
    withdraw_proposal,
)
from participation.contributions.proposals.queries import similar_cards
from participation.contributions.queries import newest_revision, pictures_of
from participation.contributions.submissions import jobs  # noqa: F401 - registers itself
from participation.contributions.submissions.forms import (
    PictureForm,
    ProposalForm,
    ReceiptForm,
    WithdrawForm,
    entered_answers,
    proposal_form,
)
from participation.contributions.submissions.operations import (
    copy_picture,
    discard_files,
    forget_pictures,
    keep_picture,
    kept_picture,
    kept_preview,
    take_picture,
)
from participation.errors import Conflict, InvalidInput, NotFound, SignInNeeded
from participation.formats import CollectSettings, PlaceRule, ThemeRule
from participation.municipalities.models import District, Municipality
from participation.own_fields import PREFIX, Answer, OwnField, in_order, load_answers, read_answers
from participation.permissions import Actor, can as actor_can
from participation.processes.edge import load_process, shown_fields
from participation.static_files import static_url
from participation.text import clean_line, clean_text
from participation.uploads import Upload, picture_path, store_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response as BaseResponse

    from participation.accounts.models import Participant
    from participation.contributions.proposals.queries import Card
    from participation.processes.models import Phase, Process, Theme

blueprint = Blueprint("submissions", __name__)

LIMITS = {"title": TITLE_MAX, "body": BODY_MAX, "place": PLACE_MAX, "pseudonym": PSEUDONYM_MAX, "alt": ALT_MAX}
WITHDRAWABLE = frozenset({ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.PUBLISHED})
# A tenth of a degree is too coarse for an example, a street's number too fine.
EXAMPLE_FORMAT = "0.00"
PICTURES_MAX = 5
# What a form holds besides what its author wrote. The picture is kept as a file.
NOT_OF_DRAFTS = frozenset({"csrf_token", "step", "submission_key", "draft_version", "picture_kept", "picture_drop"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a contribution's way, as the macro progress_steps shows it."""

    label: str
    date: str
    state: str
    text: str = ""


def _sender() -> str:
    """Who is throttled: an account, so that a town hall behind one address is not; else the address."""
    actor = web.current_actor()
    return f"account:{actor.account_id}" if actor.is_signed_in else get_remote_address()


# ------------------------------------------------------------------------------------------------------- the form


@blueprint.route("/verfahren/<slug>/vorschlaege/neu", methods=["GET", "POST"])
@web.public
@web.limiter.limit("30 per hour", methods=["POST"], key_func=_sender)
def new(slug: str) -> ResponseReturnValue:
    """One page with everything; works without JavaScript."""
    process = load_process(slug)
    shown = _shown_fields(process, process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now()))
    form, wanted = proposal_form(shown)(), request.args.get("entwurf", "")
    repeated = _already_sent(form, process) if form.is_submitted() else None
    if repeated is not None:
        return _to_receipt(repeated)
    now = web.current_now()
    put_aside = load_draft(process, wanted) if wanted and not form.is_submitted() else None
    if process.phase_opening(Action.SUBMIT_PROPOSAL, now) is None:
        return _closed(process, now, put_aside, is_submitted=form.is_submitted())
    web.require(Action.SUBMIT_PROPOSAL, process)
    actor = web.current_actor()
    if not actor.is_signed_in:
        actor = web.ensure_guest()
    author = contributions.find_participant(
        web.current_session(), web.current_keyring(), process.id, actor.identity
    )
    if put_aside is not None:
        form = _form_of_draft(put_aside, shown)
    form.offer(process, optional=_settings(process).theme is ThemeRule.OPTIONAL)
    preview = None
    if form.is_submitted():
        done = _draft_or_proposal(form, process, author)
        if done is not None and not isinstance(done, Preview):
            return done
        preview = done
    elif put_aside is None:
        chosen = request.args.get("thema", "")
        form.theme_id.data = next((theme.id for theme in process.themes if theme.slug == chosen), 0)
    page = _form_page("new", form, process, author=author, is_guest=not actor.is_signed_in,
                      actor_name=actor.display_name, preview=preview, own_fields=shown,
                      **_about_drafts(form, process, put_aside))
    response = make_response(page, 422 if form.is_submitted() and preview is None else 200)
    if actor.is_signed_in:
        response.headers["Cache-Control"] = "no-store"
    return response


def _already_sent(form: ProposalForm, process: Process) -> Proposal | None:
    """Before all rules: who sends again after the answer was lost gets the receipt, also when the phase is over."""
    found = find_submission(web.current_session(), web.current_keyring(), process.id, web.current_actor().identity,
                            form.submission_key.data or "")
    if found is not None and request.form.get("step") == "draft":
        # Another window handed it in meanwhile: what stands in this one is a draft of its own.
        form.submission_key.data, form.draft_version.data = tokens.new_token(), ""
        return None
    return found


def _closed(process: Process, now: datetime, put_aside: Draft | None, *, is_submitted: bool) -> ResponseReturnValue:
    """No phase is open: when there will be one; what somebody had put aside can still be read and copied."""
    dates = _phase_dates(process, now)
    if is_submitted:
        raise Conflict(" ".join([_("Vorschläge sind zurzeit nicht möglich."), *dates]))
    content = read_draft(web.current_keyring(), put_aside) if put_aside else None
    page = render_template("contributions/submissions/closed.html", process=process, dates=dates, draft=content)
    return page, 409


def _draft_or_proposal(form: ProposalForm, process: Process, author: Participant | None) -> BaseResponse | Preview | None:
    """Do what the pressed button says. None when something is wrong, with messages in the form."""
    step = request.form.get("step", "")
    if step == "preview":
        return _preview(form, process)
    if step == "draft":
        saved = _save_draft(form, process)
        if saved is None:
            return None
        flash(_("Ihr Entwurf ist gespeichert. Sie finden ihn auf jedem Gerät unter „Meine Beiträge“."), "success")
        return web.go("submissions.new", slug=process.slug, entwurf=saved.id,
                      gespeichert="neu" if saved.version == 1 else "weiter")
    receipt = _submit(form, process, author)
    if receipt is None:
        return None
    flash(_("Danke! Ihr Vorschlag ist veröffentlicht.") if receipt.proposal.is_published
          else _("Danke! Ihr Vorschlag ist gespeichert."), "success")
    return _to_receipt(receipt.proposal)


def _about_drafts(form: ProposalForm, process: Process, put_aside: Draft | None) -> dict[str, object]:
    """What the form's page says about drafts; the copy that the browser keeps has a key for each of them."""
    draft = put_aside or (_draft_of(form) if form.is_submitted() else None)
    picture = "" if form.picture_drop.data else shown_picture(draft)
    key = f"{process.slug}:{draft.id}" if draft else process.slug
    saved = {"neu": process.slug, "weiter": key}.get(request.args.get("gespeichert", ""), "") if put_aside else ""
    return {
        "draft": draft, "kept_days": KEPT_DAYS, "draft_key": key, "draft_done": saved,
        "pictures": [(picture, form.picture_alt.data or "")] if picture else [],
        "drafts": rows_of(process.id) if draft is None and not form.is_submitted() else [],
    }


def _draft_of(form: ProposalForm) -> Draft | None:
    """The draft that this form was put aside as, if it was."""
    account_id = web.current_actor().account_id
    if account_id is None or not form.submission_key.data:
        return None
    return web.current_session().scalar(
        draft_of_form(web.current_keyring(), account_id, form.submission_key.data))


def _form_of_draft(draft: Draft, shown: Sequence[OwnField]) -> ProposalForm:
    """The form as it was put aside. Raises NotFound when it can't be read any more."""
    content = read_draft(web.current_keyring(), draft)
    if content is None:
        raise NotFound
    values = MultiDict([(name, value) for name, some in content.values.items() for value in some])
    values["submission_key"], values["draft_version"] = content.submission_key, str(draft.version)
    return proposal_form(shown)(formdata=values)


def _save_draft(form: ProposalForm, process: Process) -> Draft | None:
    """Put the form aside as it is; None when that is not possible, with a message."""
    actor = web.current_actor()
    if not actor.is_signed_in:
        web.attach(form, InvalidInput(_("Speichern können Sie einen Entwurf nur mit einem Konto. Sind Sie inzwischen "
                                        "abgemeldet? Dann melden Sie sich in einem zweiten Fenster an und speichern "
                                        "Sie noch einmal.")))
        return None
    # Only its picture is of interest: what is missing may stay missing.
    sent = ProposalDraft(title="", body="")
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    if not _read_picture(form, process, sent, is_valid=True, takes_draft=False):
        return None
    seen = form.draft_version.data or ""
    values = {name: some for name, some in request.form.lists() if name not in NOT_OF_DRAFTS}
    try:
        return save_draft(
            web.current_session(), web.current_keyring(), actor, process,
            form.submission_key.data or tokens.new_token(), values,
            seen=int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else 0,  # noqa: PLR2004
            now=web.current_now(), upload=sent.pictures[0][0] if sent.pictures else None, drops_picture=drops,
        )
    except InvalidInput as error:
        web.attach(form, error)
        _keep_pictures(form, sent, drops_shown=drops)
        if isinstance(error, ChangedElsewhere):
            draft = _draft_of(form)
            form.draft_version.data = str(draft.version) if draft else ""
        return None


@dataclass(frozen=True, slots=True)
class Preview:
    """What others will read, and what they can read already."""

    draft: ProposalDraft
    theme: Theme | None
    picture_alt: str
    answers: list[Answer]
    similar: list[Card]


def _preview(form: ProposalForm, process: Process) -> Preview | None:
    """Show what was entered as others will see it, and store nothing. None when something is wrong with it."""
    settings = _settings(process)
    draft, is_valid = _read_draft(form, process, settings, _asked(process))
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    is_valid = _read_picture(form, process, draft, is_valid=is_valid) and is_valid
    is_valid = _has_picture(form, settings, draft) and is_valid
    session = web.current_session()
    # The picture is laid aside; its row must not stay.
    for upload, _alt in draft.pictures or []:
        session.delete(upload)
    _keep_pictures(form, draft, drops_shown=drops)
    if not is_valid:
        return None
    return Preview(
        draft, next((one for one in process.themes if one.id == draft.theme_id), None), form.picture_alt.data or "",
        draft.answers or [], similar_cards(session, process.id, draft.title, draft.body),
    )


@blueprint.post("/verfahren/<slug>/vorschlaege/neu/aehnliche")
@web.public
@web.limiter.limit("600 per hour", key_func=_sender)
def similar(slug: str) -> ResponseReturnValue:
    """While somebody writes: what others proposed already, as a piece of the page. Nothing of the text is kept."""
    web.reads_only()
    process = load_process(slug)
    title = clean_line(request.form.get("title", "")[:TITLE_MAX])
    body = clean_text(request.form.get("body", "")[:BODY_MAX])
    return _private(render_template(
        "contributions/submissions/_similar.html", process=process,
        hides_supports=process.hides_supports(web.current_now()),
        cards=similar_cards(web.current_session(), process.id, title, body),
    ))


def _form_page(name: str, form: ProposalForm, process: Process, **values: object) -> str:
    """The form, first or again with what was entered."""
    settings = _settings(process)
    bounds = process.municipality.bounds
    example = BBox(*bounds).centre if bounds else GERMANY.centre
    reference = form.picture_kept.data or ""
    kept = kept_picture(web.current_keyring(), web.current_settings().upload_dir, reference)
    if kept is None:
        form.picture_kept.data = ""
    return render_template(
        f"contributions/submissions/{name}.html", form=form, process=process, settings=settings, limits=LIMITS,
        picker=_picker(process) if settings.place is not PlaceRule.NONE else None,
        example=[format_decimal(number, format=EXAMPLE_FORMAT) for number in example],
        kept_src=_data_url(kept_preview(web.current_settings().upload_dir, kept)) if kept else "",
        megabytes=web.current_settings().max_upload_bytes // (1024 * 1024),
        hides_supports=process.hides_supports(web.current_now()),
        picture_is_lost=kept is None and bool(form.picture.data or reference), **values,
    )


def _settings(process: Process) -> CollectSettings:
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now())
    return phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()


def _asked(process: Process) -> Sequence[OwnField]:
    """What the form asks besides, now."""
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now())
    return phase.own_fields if phase else ()


def _shown_fields(process: Process, phase: Phase | None) -> Sequence[OwnField]:
    return shown_fields(process, phase) if phase else ()


def _phase_dates(process: Process, now: datetime) -> list[str]:
    """When proposals were or will be possible: the next phase, else the last one."""
    phases = [phase for phase in process.phases if phase.opens(Action.SUBMIT_PROPOSAL)]
    starts = [phase.starts_at for phase in phases if phase.starts_at and phase.starts_at > now]
    if starts:
        return [_("Sie können ab %(date)s Vorschläge einreichen.", date=_day(min(starts)))]
    ends = [phase.ends_at for phase in phases if phase.ends_at and phase.ends_at <= now]
    if ends:
        # An end is stored as the first instant that is over.
        end = max(ends)
        return [_("Die Phase ist beendet. Sie endete am %(date)s.", date=_day(end - end.resolution))]
    return []


def _day(instant: datetime | None) -> str:
    return str(format_date(clock.to_berlin(instant), "long")) if instant else ""


def _submit(form: ProposalForm, process: Process, author: Participant | None) -> Receipt | None:
    """Store what the form says; None when something is wrong, with a message beside each field concerned."""
    actor = web.current_actor()
    settings = _settings(process)
    draft, is_valid = _read_draft(form, process, settings, _asked(process))
    email = "" if actor.is_signed_in or (author is not None and author.contact_sealed) else form.email.data or ""
    try:
        email = clean_email(email) if email else ""
    except InvalidInput as error:
        web.attach(form, error)
        is_valid = False
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    is_valid = _read_picture(form, process, draft, is_valid=is_valid) and is_valid
    is_valid = _has_picture(form, settings, draft) and is_valid
    if not is_valid:
        _keep_pictures(form, draft, drops_shown=drops)
        return None
    try:
        receipt = submit_proposal(
            web.current_session(), web.current_keyring(), actor, process, draft,
            submission_key=form.submission_key.data or tokens.new_token(), now=web.current_now(),
            pseudonym="" if actor.is_signed_in else form.pseudonym.data or "", guest_email=email,
        )
    except InvalidInput as error:
        web.attach(form, error)
        _keep_pictures(form, draft, drops_shown=drops)
        return None
    if receipt.is_repeat:
        for upload, _alt in draft.pictures or []:
            web.current_session().delete(upload)
            discard_files(web.current_settings().upload_dir, upload)
    return receipt


def _read_draft(
    form: ProposalForm, process: Process, settings: CollectSettings, asked: Sequence[OwnField],
    answered: Sequence[Answer] = (),
) -> tuple[ProposalDraft, bool]:
    """The texts and the place as a draft, and whether all of it can be accepted; messages stand beside the fields."""
    is_valid = form.validate()
    draft = ProposalDraft(title=form.title.data or "", body=form.body.data or "", theme_id=form.theme_id.data or None)
    draft.answers, wrong = read_answers(asked, entered_answers(form), answered)
    for error in wrong:
        web.attach(form, error)
    # Editors took a field away while this form was open: its answer must not go without a word.
    names = {one.name for one in asked}
    gone = [value for name, some in request.form.lists() if name.startswith(PREFIX) and name not in names
            for value in (clean_text(one)[:BODY_MAX] for one in some) if value]
    if gone:
        form.form_errors.append(_(
            "Eine Frage steht nicht mehr im Formular. Ihre Antwort war: „%(answer)s“. Ist sie wichtig, dann schreiben Sie "
            "sie in Ihren Vorschlag. Reichen Sie ihn danach noch einmal ein.", answer=", ".join(gone)))
    is_valid = is_valid and not wrong and not gone
    if (process.themes and settings.theme is not ThemeRule.HIDDEN
            and draft.theme_id not in possible_themes(process, settings)):
        web.attach(form, InvalidInput(_("Bitte wählen Sie aus, wozu Ihr Vorschlag gehört."), field="theme_id"))
        is_valid = False
    if settings.place is PlaceRule.NONE:
        return draft, is_valid
    draft.place = form.place.data or ""
    try:
        point = parse_point(form.lon.data, form.lat.data, _area(process.municipality), place=process.municipality.name)
    except GeometryError as error:
        web.attach(form, InvalidInput(error.message, field=error.field or "lon", **error.params))
        return draft, False
    if point is not None:
        draft.lon, draft.lat = point
        draft.district_id = _district(process.municipality, *point)
    elif settings.place is PlaceRule.REQUIRED and not draft.place:
        web.attach(form, InvalidInput(
            _("Bitte nennen Sie den Ort: in Worten oder mit einem Punkt auf der Karte."), field="place"
        ))
        is_valid = False
    return draft, is_valid


def _area(municipality: Municipality) -> Area | BBox | None:
    """The boundary that a point must lie in."""
    boundary = web.current_session().scalar(select(Municipality.boundary).where(Municipality.id == municipality.id))
    return area_from_geojson(json.dumps(boundary)) if boundary else None


def _district(municipality: Municipality, lon: float, lat: float) -> int | None:
    rows = web.current_session().scalars(
        select(District).where(District.municipality_id == municipality.id).options(undefer(District.boundary))
    )
    return district_of(lon, lat, [(row.id, area_from_geojson(json.dumps(row.boundary))) for row in rows])


# ------------------------------------------------------------------------------------------------------- pictures


def _read_picture(
    form: ProposalForm, process: Process, draft: ProposalDraft, *, is_valid: bool, takes_draft: bool = True,
) -> bool:
    """Put the picture into the draft: a new one, or the one kept from an earlier try when all else is right.

    `takes_draft`: else that of the draft that the form was put aside as.
    """
    if not web.can(Action.ATTACH_PICTURES, process):
        return True
    session, known = web.current_session(), web.current_settings()
    sent = form.picture.data
    try:
        if isinstance(sent, FileStorage) and sent.filename:
            # Nothing is written so far. On SQLite this gives the write lock back while the picture is decoded.
            session.commit()
            forget_pictures(known.upload_dir, web.current_now())
            upload = store_picture(
                session, known.upload_dir, process.municipality_id, sent.stream, known.max_upload_bytes
            )
            draft.pictures = [(upload, form.picture_alt.data or "")]
            form.picture_kept.data = ""
        elif form.picture_kept.data and not form.picture_drop.data and is_valid:
            taken = take_picture(
                session, web.current_keyring(), known.upload_dir, process.municipality_id, form.picture_kept.data
            )
            draft.pictures = [(taken, form.picture_alt.data or "")]
        elif takes_draft and is_valid and not form.picture_drop.data:
            put_aside = _draft_of(form)
            if put_aside is not None and put_aside.upload is not None:
                copied = copy_picture(session, known.upload_dir, put_aside.upload)
                draft.pictures = [(copied, form.picture_alt.data or "")]
    except InvalidInput as error:
        web.attach(form, error)
        return False
    return True


def _has_picture(form: ProposalForm, settings: CollectSettings, draft: ProposalDraft) -> bool:
    """Whether there is a picture where one must be; a kept one is taken when all else is right."""
    has_one = draft.pictures or (
        not form.picture_drop.data and (form.picture_kept.data or shown_picture(_draft_of(form))))
    if settings.picture_required and not has_one and not form.picture.errors:
        web.attach(form, InvalidInput(PICTURE_MISSING, field="picture"))
        return False
    return True


def _keep_pictures(form: ProposalForm, draft: ProposalDraft, *, drops_shown: bool = False) -> None:
    """The form goes back: its picture is laid aside, and the next try finds it."""
    folder = web.current_settings().upload_dir
    if form.picture_drop.data:
        form.picture_kept.data = ""
    for upload, _alt in draft.pictures or []:
        if form.picture_kept.data:
            discard_files(folder, upload)
        else:
            form.picture_kept.data = keep_picture(web.current_keyring(), folder, upload)
    form.picture_drop.data = drops_shown
    draft.pictures = None


def _data_url(content: bytes) -> str:
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}" if content else ""


def _shown_pictures(proposal: Proposal) -> list[tuple[str, str]]:
    """Address and description of each picture. In the page itself: the holder of a link may have no cookie."""
    return _shown(web.current_session().scalars(pictures_of(proposal.id)).all())


def _shown(pictures: Sequence[ContributionPicture]) -> list[tuple[str, str]]:
    folder = web.current_settings().upload_dir
    shown = []
    for picture in pictures:
        path = picture_path(folder, picture.upload.name, "small")
        if path.is_file():
            shown.append((_data_url(path.read_bytes()), picture.alt))
    return shown


# ------------------------------------------------------------------------------------------------------------ map


def _picker(process: Process) -> MapParts:
    bounds = process.municipality.bounds
    settings = web.current_settings()
    return render_picker(PickerOptions(
        bbox=BBox(*bounds) if bounds else GERMANY, layers_url=url_for("proposals.layers"), lon_input_id="lon",
        lat_input_id="lat", asset_url=static_url, translate=_,
        basemap=basemap_from_settings(settings.basemap, settings.basemap_url, settings.basemap_attribution),
    ))


@blueprint.get("/verfahren/<slug>/vorschlaege/neu/karte.js")
@web.public
def picker_script(slug: str) -> ResponseReturnValue:
    """The picker's own few lines, as a file: the page then needs no inline code."""
    script = str(_picker(load_process(slug)).script)
    response = Response(script, mimetype="text/javascript")
    response.set_etag(hashlib.sha256(script.encode()).hexdigest()[:16])
    response.headers["Cache-Control"] = "private, no-cache"
    return response.make_conditional(request)


@blueprint.post("/verfahren/<slug>/vorschlaege/neu/andere-person")
@web.public
def other_person(slug: str) -> ResponseReturnValue:
    """On a shared computer: forget the guest who wrote here before, and begin with an empty form."""
    cookie.pop(web.GUEST_TOKEN, None)
    return web.go("submissions.new", slug=slug)


# -------------------------------------------------------------------------------------------------------- receipt


def _to_receipt(proposal: Proposal) -> BaseResponse:
    token = contributions.receipt_token(web.current_keyring(), proposal)
    if token is not None:
        return web.go("submissions.receipt", token=token)
    return web.go("submissions.mine", slug=proposal.process.slug, proposal_id=proposal.id)


def _steps(contribution: Contribution) -> list[Step]:
    """Submitted, checked, published, taken up: each done, current or open."""
    state = contribution.state
    steps = [Step(_("Eingereicht"), _day(contribution.submitted_at or contribution.created_at), "done")]
    if state in {ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.DRAFT}:
        hint = (
            _("Bitte überarbeiten Sie Ihren Vorschlag. Danach prüfen wir ihn noch einmal.")
            if state is ContributionState.RETURNED
            else _("Ein Mensch aus der Verwaltung liest jeden Vorschlag, bevor er erscheint.")
        )
        steps += [
            Step(_("Wird geprüft") if state is ContributionState.SUBMITTED else _(STATE_LABELS[state]),
                 _day(contribution.decided_at) if state is ContributionState.RETURNED else "", "current", hint),
            Step(_("Veröffentlicht"), "", "open", _("Dann können andere ihn lesen und unterstützen.")),
            Step(_("Auswertung für den Maßnahmenkatalog"), "", "open"),
        ]
    elif state is ContributionState.PUBLISHED:
        steps += [
            Step(_("Geprüft"), _day(contribution.decided_at or contribution.published_at), "done"),
            Step(_("Veröffentlicht"), _day(contribution.published_at), "done"),
            *([Step(_("Antwort der Verwaltung"), "", "done", _(ANSWER_LABELS[contribution.answer_status]))]
              if contribution.answer_status else []),
            Step(_("Auswertung für den Maßnahmenkatalog"), "", "current",
                 _("Wird daraus eine Maßnahme, steht es auf der Seite Ihres Vorschlags.")),
        ]
    else:
        steps.append(Step(_(STATE_LABELS[state]), _day(contribution.decided_at), "current"))
    return steps


def contribution_of_token(token: str) -> Contribution:
    """Whoever holds the link is the author. Raises NotFound."""
    found = web.current_session().scalar(
        select(Contribution).where(Contribution.claim_token_hash == tokens.hash_token(token))
    )
    if found is None:
        raise NotFound
    found.is_own = True
    return found


def proposal_of_token(token: str) -> Proposal:
    """The same for a proposal alone. Raises NotFound."""
    found = contribution_of_token(token)
    if not isinstance(found, Proposal):
        raise NotFound
    return found


def _comment_receipt(comment: Comment, token: str) -> ResponseReturnValue:
    """The receipt of a guest's comment."""
    web.do_not_cache()
    proposal, state = web.current_session().get_one(Proposal, comment.proposal_id), comment.state
    link = web.current_settings().base_url + url_for("submissions.receipt", token=token)
    is_readable = proposal.is_published and proposal.process.is_visible
    return _private(render_template(
        "contributions/comments/receipt.html", comment=comment, proposal=proposal, process=comment.process,
        steps=_comment_steps(comment), link=link, qr_code=_qr_code(link), token=token,
        may_attach=_is_of_guest(comment), is_signed_in=web.current_actor().is_signed_in, is_readable=is_readable,
        may_edit=is_readable and may_edit_comment(_holder(token), comment, web.current_now()),
        may_withdraw=is_readable and state in WITHDRAWABLE,
        decision=_hole("decision_of", contribution_id=comment.id) if state is ContributionState.RETURNED else "",
    ))


def _comment_steps(comment: Comment) -> list[Step]:
    """Submitted, checked, published."""
    state, decided = comment.state, _day(comment.decided_at or comment.published_at)
    steps = [Step(_("Eingereicht"), _day(comment.submitted_at or comment.created_at), "done")]
    if state is ContributionState.PUBLISHED:
        return [*steps, Step(_("Geprüft"), decided, "done"), Step(_("Veröffentlicht"), _day(comment.published_at), "done")]
    if state in {ContributionState.SUBMITTED, ContributionState.RETURNED}:
        hint = (_("Bitte überarbeiten Sie Ihren Kommentar. Danach prüfen wir ihn noch einmal.")
                if state is ContributionState.RETURNED
                else _("Ein Mensch aus der Verwaltung liest jeden Kommentar, bevor er erscheint."))
        return [*steps, Step(_(STATE_LABELS[state]), decided if state is ContributionState.RETURNED else "", "current", hint),
                Step(_("Veröffentlicht"), "", "open")]
    return [*steps, Step(_(STATE_LABELS[state]), decided, "current")]


def _receipt_page(proposal: Proposal, actor: Actor, token: str) -> ResponseReturnValue:
    web.do_not_cache()
    link = web.current_settings().base_url + url_for("submissions.receipt", token=token) if token else ""
    state = proposal.state
    body = render_template(
        "contributions/submissions/receipt.html", proposal=proposal, process=proposal.process, steps=_steps(proposal),
        link=link, qr_code=_qr_code(link) if link else "", pictures=_shown_pictures(proposal),
        own=_own_address(proposal, token), token=token, may_attach=token and _is_of_guest(proposal), is_signed_in=web.current_actor().is_signed_in,
        is_own_account=actor.is_signed_in and not token and proposal.is_own,
        may_edit=state in EDITABLE
        and actor_can(actor, Action.EDIT_PROPOSAL, proposal, web.current_now()),
        pictures_allowed=web.can(Action.ATTACH_PICTURES, proposal.process),
        may_withdraw=state in WITHDRAWABLE and proposal.is_own,
        decision=_hole("decision_of", contribution_id=proposal.id) if state is ContributionState.RETURNED else "",
        measures=web.part("proposal_measures", proposal=proposal) if proposal.is_published else "",
    )
    return _private(body)


def _is_of_guest(contribution: Contribution) -> bool:
    return contribution.participant.kind is ParticipantKind.GUEST


def _private(body: str, status: int = 200) -> Response:
    """A page that stands under a secret address: kept by no browser, found by no search engine."""
    response = make_response(body, status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def _hole(name: str, **values: object) -> Markup:
    """What a feature above this one has to say here; nothing where it is not installed."""
    fill = web.platform().holes.get(name)
    return Markup(fill(**values)) if fill else Markup("")  # noqa: S704 - a rendered template


def _qr_code(link: str) -> Markup:
    """The link as a QR code, drawn as SVG in the page."""
    import segno  # noqa: PLC0415 - for receipts only

    svg = segno.make(link, error="m", micro=False).svg_inline(
        scale=4, border=3, dark="#000", light="#fff", title=_("QR-Code mit dem Link zu Ihrem Beleg")
    )
    return Markup(svg)  # noqa: S704 - made of the modules of the code


def _own_address(proposal: Proposal, token: str) -> dict[str, object]:
    """The values of the addresses that an author uses; with the token where it is the key."""
    values: dict[str, object] = {"slug": proposal.process.slug, "proposal_id": proposal.id}
    return {**values, "token": token} if token else values


@blueprint.get("/beleg/<token>")
@web.public
def receipt(token: str) -> ResponseReturnValue:
    """The receipt: number, link, way, and what the author can still do."""
    contribution = contribution_of_token(token)
    if isinstance(contribution, Comment):
        return _comment_receipt(contribution, token)
    return _receipt_page(proposal_of_token(token), _holder(token), token)


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/beleg")
@web.public
def mine(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The same for an author who is known by account or browser."""
    proposal = _own_proposal(slug, proposal_id)
    actor = web.current_actor()
    # An account needs no link that opens without it.
    token = "" if actor.is_signed_in else contributions.receipt_token(web.current_keyring(), proposal)
    return _receipt_page(proposal, actor, token or "")


@blueprint.route("/beleg", methods=["GET", "POST"])
@web.public
@web.limiter.limit("20 per hour", methods=["POST"])
def find() -> ResponseReturnValue:
    """Where does my proposal stand? Answers the state only: a number read over a shoulder opens nothing."""
    form = ReceiptForm()
    found = None
    if form.validate_on_submit():
        number = tokens.normalise_receipt_number(form.number.data or "")
        found = web.current_session().scalar(select(Contribution).where(Contribution.receipt_number == number))
        if found is None:
            web.attach(form, InvalidInput(_("Diese Nummer kennen wir nicht. Bitte prüfen Sie jedes Zeichen."),
                                          field="number"))
    body = render_template("contributions/submissions/find.html", form=form, found=found,
                           steps=(_comment_steps(found) if isinstance(found, Comment) else _steps(found)) if found else [])
    return _private(body, 422 if form.is_submitted() and found is None else 200)


# ---------------------------------------------------------------------------------------------- revise, take back


def _holder(token: str) -> Actor:
    """Who acts by a link: the person of this browser, else nobody but the holder of the link. Sets no cookie."""
    actor = web.current_actor()
    return actor if actor.identity else Actor(guest_token=token)


def _own_proposal(slug: str, proposal_id: int) -> Proposal:
    """A proposal whose author, or one of its authors, is known by account or browser.

    Raises SignInNeeded for strangers, whether there is such a proposal or not: a link from a mail then leads to the
    sign-in page and back. Raises NotFound for accounts that did not write it.
    """
    actor = web.current_actor()
    try:
        proposal = load_proposal(slug, proposal_id)
        is_own = contributions.mark_own(web.current_keyring(), actor, proposal) or proposal.is_shared
    except NotFound:
        is_own = False
    if not is_own:
        if not actor.is_signed_in:
            raise SignInNeeded
        raise NotFound
    return proposal


def _authored(slug: str, proposal_id: int) -> tuple[Proposal, Actor, str]:
    """A proposal for its author, who acts, and the token: by token in the address or form, by account, by browser."""
    token = request.values.get("token", "")
    if not token:
        return _own_proposal(slug, proposal_id), web.current_actor(), ""
    proposal = proposal_of_token(token)
    if proposal.id != proposal_id or proposal.process.slug != slug:
        raise NotFound
    return proposal, _holder(token), token


def _back(proposal: Proposal, token: str) -> ResponseReturnValue:
    if token:
        return web.go("submissions.receipt", token=token)
    return web.go("submissions.mine", slug=proposal.process.slug, proposal_id=proposal.id)


@blueprint.route("/verfahren/<slug>/vorschlaege/<int:proposal_id>/bearbeiten", methods=["GET", "POST"])
@web.public
@web.limiter.limit("60 per hour", methods=["POST"], key_func=_sender)
def edit(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Change what was handed in: before it is decided, after it was returned, or as a change of what is public."""
    web.do_not_cache()
    proposal, actor, token = _authored(slug, proposal_id)
    process, now = proposal.process, web.current_now()
    base = _base(proposal)
    settings = _settings(process)
    asking = next((one for one in process.phases if one.id == proposal.phase_id), None)
    shown = _shown_fields(process, asking)
    form = proposal_form(shown, base.answers)(data=_entered(base))
    form.offer(process, optional=settings.theme is ThemeRule.OPTIONAL)
    if proposal.state not in EDITABLE:
        if form.is_submitted() and (form.title.data, form.body.data) != (proposal.title, proposal.body):
            raise Conflict(_("Ihr Vorschlag hat inzwischen einen anderen Stand. Ihr Text ist nicht gespeichert."))
        return _back(proposal, token)
    if process.phase_opening(Action.EDIT_PROPOSAL, now) is None:
        raise Conflict(" ".join([_("Überarbeiten ist zurzeit nicht möglich."), *_phase_dates(process, now)]))
    if form.is_submitted():
        message = _revise(form, proposal, base, actor)
        if message:
            flash(message, "success")
            return _back(proposal, token)
    is_returned = proposal.state is ContributionState.RETURNED
    form.revision_seen.data = form.revision_seen.data or str(base.number)
    body = _form_page(
        "edit", form, process, proposal=proposal, token=token, pictures=_shown(base.pictures), base=base,
        decision=_hole("decision_of", contribution_id=proposal.id) if is_returned or base.was_refused else "",
        own=_own_address(proposal, token), own_fields=shown,
    )
    return _private(body, 422 if form.is_submitted() else 200)


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
    settings = _settings(process)
    draft, is_valid = _read_draft(form, process, settings, proposal.own_fields, base.answers)
    draft.theme_id = base.theme_id if settings.theme is ThemeRule.HIDDEN else draft.theme_id
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    is_valid = _read_picture(form, process, draft, is_valid=is_valid, takes_draft=False) and is_valid
    if not is_valid:
        _keep_pictures(form, draft, drops_shown=drops)
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
        raise Conflict(_("Der Vorschlag wurde inzwischen an anderer Stelle geändert. Ihr Text ist nicht gespeichert."))
    if draft.pictures is None and base.has_own_pictures:
        draft.pictures = [(picture.upload, picture.alt) for picture in base.pictures]
    try:
        waits = revise_proposal(session, actor, proposal, draft, web.current_now(), onto=base.number)
    except InvalidInput as error:
        web.attach(form, error)
        _keep_pictures(form, draft, drops_shown=drops)
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
@web.limiter.limit("60 per hour", methods=["POST"], key_func=_sender)
def pictures(slug: str, proposal_id: int) -> ResponseReturnValue:
    """Up to five pictures: add, take away, put first. Each change is a revision, checked like one of the text."""
    web.do_not_cache()
    proposal, actor, token = _authored(slug, proposal_id)
    process, now = proposal.process, web.current_now()
    if proposal.state not in EDITABLE:
        raise NotFound
    if process.phase_opening(Action.EDIT_PROPOSAL, now) is None:
        raise Conflict(" ".join([_("Überarbeiten ist zurzeit nicht möglich."), *_phase_dates(process, now)]))
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
                              _district(process.municipality, base.lon, base.lat)
                              if base.lon is not None and base.lat is not None else None, wanted),
                now, onto=base.number)
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Gespeichert. Ihre Änderung wird geprüft, bevor sie erscheint.") if waits else _("Gespeichert."),
                  "success")
            return web.go("submissions.pictures", **_own_address(proposal, token))
    return _private(render_template(
        "contributions/submissions/pictures.html", proposal=proposal, process=process, form=form, token=token,
        shown=list(enumerate(_shown(base.pictures))), most=PICTURES_MAX, limits=LIMITS, own=_own_address(proposal, token),
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
    form = WithdrawForm()
    form.offer(is_public=proposal.is_published)
    if request.form.get("confirmed") == "yes":
        try:
            withdraw_proposal(web.current_session(), actor, proposal, web.current_now(), form.reason.data or "")
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Ihr Vorschlag ist zurückgezogen. Niemand liest ihn mehr."), "success")
            return _back(proposal, token)
    else:
        form.reason.data = ""
    return _private(render_template(
        "contributions/submissions/withdraw.html", proposal=proposal, process=proposal.process, token=token, form=form,
        own=_own_address(proposal, token),
    ), 422 if form.errors else 200)
