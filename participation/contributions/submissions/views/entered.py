"""Reading what was entered: texts, place and picture, with a message beside each field that is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flask import request
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import undefer
from werkzeug.datastructures import FileStorage

from mapping.boundaries import area_from_geojson
from mapping.geometry import Area, BBox, GeometryError, district_of, parse_point
from participation import web
from participation.actions import Action
from participation.contributions.drafts.models import Draft
from participation.contributions.drafts.queries import draft_of_form
from participation.contributions.drafts.views import shown_picture
from participation.contributions.proposals.operations.content import (
    BODY_MAX,
    PICTURE_MISSING,
    ProposalDraft,
    possible_themes,
)
from participation.contributions.submissions.forms import ProposalForm, entered_answers
from participation.contributions.submissions.operations import (
    copy_picture,
    discard_files,
    forget_pictures,
    keep_picture,
    take_picture,
)
from participation.errors import InvalidInput
from participation.formats import CollectSettings, PlaceRule, ThemeRule
from participation.municipalities.models import District, Municipality
from participation.own_fields import CHOOSING, OPTION_MAX, PREFIX, Answer, OwnField, read_answers
from participation.text import clean_line, clean_text
from participation.uploads import store_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from participation.processes.models import Process

def read_entered(
    form: ProposalForm, process: Process, settings: CollectSettings, asked: Sequence[OwnField],
    answered: Sequence[Answer] = (),
) -> tuple[ProposalDraft, bool]:
    """The texts and the place as a draft, and whether all of it can be accepted; messages stand beside the fields."""
    is_valid = form.validate()
    draft = ProposalDraft(title=form.title.data or "", body=form.body.data or "", theme_id=form.theme_id.data or None)
    draft.answers, wrong = read_answers(asked, entered_answers(form), answered)
    for error in wrong:
        web.attach(form, error)
    gone = name_gone(form, asked, request.form.lists())
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
        draft.district_id = district_at(process.municipality, *point)
    elif settings.place is PlaceRule.REQUIRED and not draft.place:
        web.attach(form, InvalidInput(
            _("Bitte nennen Sie den Ort: in Worten oder mit einem Punkt auf der Karte."), field="place"
        ))
        is_valid = False
    return draft, is_valid


def name_gone(form: ProposalForm, asked: Sequence[OwnField], values: Iterable[tuple[str, list[str]]]) -> bool:
    """Editors took a field away meanwhile: its answer must not go without a word. Whether there is such an answer."""
    names = {one.name for one in asked}
    gone = [value for name, some in values if name.startswith(PREFIX) and name not in names
            for value in (clean_text(one)[:BODY_MAX] for one in some) if value]
    if gone:
        form.form_errors.append(_(
            "Eine Frage steht nicht mehr im Formular. Ihre Antwort war: „%(answer)s“. Ist sie wichtig, dann schreiben Sie "
            "sie in Ihren Vorschlag. Reichen Sie ihn danach noch einmal ein.", answer=", ".join(gone)))
    return bool(gone)


def name_gone_options(form: ProposalForm, asked: Sequence[OwnField], values: Mapping[str, Sequence[str]]) -> None:
    """Editors took an answer out of a list meanwhile: whoever had chosen it in a draft reads that beside the field."""
    for one in asked:
        if one.kind in CHOOSING:
            gone = {clean_line(value)[:OPTION_MAX] for value in values.get(one.name, ())} - {"", *one.options}
            form[one.name].errors = [*form[one.name].errors, *(
                _("„%(answer)s“ steht nicht mehr zur Auswahl. Bitte wählen Sie neu.", answer=answer)
                for answer in sorted(gone))]


def _area(municipality: Municipality) -> Area | BBox | None:
    """The boundary that a point must lie in."""
    boundary = web.current_session().scalar(select(Municipality.boundary).where(Municipality.id == municipality.id))
    return area_from_geojson(json.dumps(boundary)) if boundary else None


def district_at(municipality: Municipality, lon: float, lat: float) -> int | None:
    """The district that a point lies in."""
    rows = web.current_session().scalars(
        select(District).where(District.municipality_id == municipality.id).options(undefer(District.boundary))
    )
    return district_of(lon, lat, [(row.id, area_from_geojson(json.dumps(row.boundary))) for row in rows])


def draft_put_aside(form: ProposalForm) -> Draft | None:
    """The draft that this form was put aside as, if it was."""
    account_id = web.current_actor().account_id
    if account_id is None or not form.submission_key.data:
        return None
    return web.current_session().scalar(
        draft_of_form(web.current_keyring(), account_id, form.submission_key.data))


def read_picture(
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
            put_aside = draft_put_aside(form)
            if put_aside is not None and put_aside.upload is not None:
                copied = copy_picture(session, known.upload_dir, put_aside.upload)
                draft.pictures = [(copied, form.picture_alt.data or "")]
    except InvalidInput as error:
        web.attach(form, error)
        return False
    return True


def has_picture(form: ProposalForm, settings: CollectSettings, draft: ProposalDraft) -> bool:
    """Whether there is a picture where one must be; a kept one is taken when all else is right."""
    has_one = draft.pictures or (
        not form.picture_drop.data and (form.picture_kept.data or shown_picture(draft_put_aside(form))))
    if settings.picture_required and not has_one and not form.picture.errors:
        web.attach(form, InvalidInput(PICTURE_MISSING, field="picture"))
        return False
    return True


def keep_pictures(form: ProposalForm, draft: ProposalDraft, *, drops_shown: bool = False) -> None:
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
