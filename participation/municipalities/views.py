"""The pages that a municipality owes, its colours, and where its staff change them. The home page is of processes."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from flask import Blueprint, Response, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _

from participation import text, web
from participation.actions import Action
from participation.errors import Conflict, InvalidInput, NotFound
from participation.i18n import N_
from participation.language import (
    COOKIE,
    COOKIE_SECONDS,
    DEFAULT,
    EASY,
    READINGS,
    VARIANTS,
    Translated,
    translated,
    wording_of,
)
from participation.municipalities import jobs  # noqa: F401 - registers the handlers
from participation.municipalities.forms import BarrierForm, LogoForm, MunicipalityForm, PageForm
from participation.municipalities.models import PAGE_TITLES, PageKind, text_color_on
from participation.municipalities.operations import (
    ADDRESS_MAX,
    BARRIER_MAX,
    DEFAULT_COLOR,
    INTRO_MAX,
    edit_municipality,
    fingerprint,
    hold_municipality,
    remove_logo,
    report_barrier,
    reset_page,
    save_page,
    set_logo,
)
from participation.municipalities.queries import last_edit, last_edit_of_page, own_pages, page_text
from participation.page_cache import cached
from participation.sent_forms import sent_once
from participation.uploads import Upload, picture_path
from participation.written import format_date

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from sqlalchemy import Select

    from participation.audit import AuditEntry
    from participation.municipalities.models import Municipality

blueprint = Blueprint("municipalities", __name__)
LOGO_SECONDS = 300
ENDPOINTS = {
    PageKind.IMPRINT: "municipalities.imprint",
    PageKind.PRIVACY: "municipalities.privacy",
    PageKind.ACCESSIBILITY: "municipalities.accessibility",
    PageKind.NETIQUETTE: "municipalities.rules",
    PageKind.HELP: "municipalities.help",
    PageKind.EASY_LANGUAGE: "municipalities.easy_language",
}


def _filled(municipality: Municipality, body: str, changed: datetime) -> str:
    """A page's Markdown with the municipality's data in its places."""
    filled = text.fill(body, {
        "municipality": municipality.name,
        "email": municipality.email,
        # A backslash at the end of a line is Markdown's line break; without it the address runs together.
        "address": municipality.address.strip().replace("\n", "\\\n"),
        # In the language of the text, not of the page around it.
        "date": format_date(changed, "long", language=wording_of(body)),
    })
    if isinstance(body, Translated):
        found = Translated(filled)
        found.language = body.language
        return found
    return filled


def _page(kind: PageKind) -> ResponseReturnValue:
    """One of the owed pages: the municipality's own wording, or the draft filled with its data."""
    municipality = web.the_municipality()
    reading = web.reading()
    page = page_text(web.current_session(), municipality, kind, reading)
    return render_template(
        "municipalities/page.html", title=_(PAGE_TITLES[kind]), kind=kind,
        body=_filled(municipality, page.body, page.updated_at), changed_at=page.updated_at,
        says_its_date="{date}" in page.body,
        has_easy=page.has_easy,
        is_missing=reading != DEFAULT and page.is_german and kind is not PageKind.EASY_LANGUAGE,
    )


@blueprint.get("/sprache/<code>")
@web.public
def choose_language(code: str) -> ResponseReturnValue:
    """Read on in another language, or in Leichte Sprache. The choice is kept in the browser alone."""
    if code not in READINGS:
        raise NotFound
    response = redirect(web.safe_next(url_for("municipalities.home")), code=303)
    response.set_cookie(COOKIE, code, max_age=COOKIE_SECONDS, secure=web.current_settings().cookies_are_secure,
                        httponly=True, samesite="Lax")
    return response


@blueprint.get("/impressum")
@web.public
@cached
def imprint() -> ResponseReturnValue:
    """Who runs it (§ 5 DDG)."""
    return _page(PageKind.IMPRINT)


@blueprint.get("/datenschutz")
@web.public
@cached
def privacy() -> ResponseReturnValue:
    """The notice of Art. 13 DSGVO."""
    return _page(PageKind.PRIVACY)


@blueprint.get("/barrierefreiheit")
@web.public
@cached
def accessibility() -> ResponseReturnValue:
    """The statement of § 10b BGG NRW."""
    return _page(PageKind.ACCESSIBILITY)


@blueprint.get("/netiquette")
@web.public
@cached
def rules() -> ResponseReturnValue:
    """How we treat each other."""
    return _page(PageKind.NETIQUETTE)


@blueprint.get("/hilfe")
@web.public
@cached
def help() -> ResponseReturnValue:  # noqa: A001 - the page is called so
    """How to take part."""
    return _page(PageKind.HELP)


@blueprint.get("/leichte-sprache")
@web.public
@cached
def easy_language() -> ResponseReturnValue:
    """The platform in Leichte Sprache (BITV 2.0, § 4)."""
    return _page(PageKind.EASY_LANGUAGE)


@blueprint.route("/barrierefreiheit/melden", methods=["GET", "POST"])
@web.public
@web.limiter.limit("6 per hour", methods=["POST"], deduct_when=web.was_done)
@sent_once
def report() -> ResponseReturnValue:
    """The electronic way to report a barrier that § 10b BGG NRW asks for."""
    municipality = web.the_municipality()
    form = BarrierForm()
    if request.method == "GET":
        form.page.data = request.args.get("seite", "")[:300]
        return render_template("municipalities/report.html", form=form, limit=BARRIER_MAX)
    try:
        report_barrier(
            web.current_session(), web.current_keyring(), municipality, message=form.message.data or "",
            page=form.page.data or "", email=form.email.data or "",
        )
    except InvalidInput as error:
        web.attach(form, error)
        return render_template("municipalities/report.html", form=form, limit=BARRIER_MAX), 422
    flash(_("Danke! Ihre Meldung ist unterwegs. Wir kümmern uns darum."), "success")
    return web.go("municipalities.accessibility")


@blueprint.get("/stil/akzent.css")
@web.public
def accent_css() -> ResponseReturnValue:
    """The municipality's colour, and black or white on it, whichever contrasts more.

    Pages name the colour in the address (?v=1b6a56), so that the answer never changes and asks no database.
    """
    named = request.args.get("v", "").lower()
    if re.fullmatch(r"[0-9a-f]{6}", named):
        accent, age = f"#{named}", "public, max-age=31536000, immutable"
    else:
        municipality = web.current_municipality()
        accent, age = (municipality.accent_color if municipality else DEFAULT_COLOR), "public, max-age=300"
    response = Response(f":root{{--accent:{accent};--on-accent:{text_color_on(accent)}}}\n", mimetype="text/css")
    response.headers["Cache-Control"] = age
    return response


@blueprint.get("/stil/logo")
@web.public
def logo() -> ResponseReturnValue:
    """The municipality's logo."""
    municipality = web.the_municipality()
    upload = web.current_session().get(Upload, municipality.logo_upload_id or 0)
    path = picture_path(web.current_settings().upload_dir, upload.name, "small") if upload else None
    if path is None or not path.exists():
        raise NotFound
    return send_file(path, mimetype="image/webp", max_age=LOGO_SECONDS)


@blueprint.route("/verwaltung/kommune", methods=["GET", "POST"])
@web.allows(Action.EDIT_MUNICIPALITY)
def manage() -> ResponseReturnValue:
    """Name, addresses, colour; and the way to logo and pages."""
    municipality = web.the_municipality()
    web.require(Action.EDIT_MUNICIPALITY, municipality)
    if request.method == "POST":
        hold_municipality(web.current_session(), municipality)
    form = _municipality_form(municipality)
    if request.method == "GET":
        return _manage_page(municipality, form, LogoForm(formdata=None))
    try:
        _refuse_overwriting(fingerprint(municipality), last_edit(municipality.id))
        edit_municipality(
            web.current_session(), web.current_actor(), municipality, web.current_now(), name=form.name.data or "",
            email=form.email.data or "", address=form.address.data or "", website=form.website.data or "",
            intro=form.intro.data or "", accent_color=form.accent_color.data or "",
            intro_variants={code: form[f"intro_{number}"].data or "" for number, code in enumerate(VARIANTS)},
        )
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        return _manage_page(municipality, form, LogoForm(formdata=None), error), web.status_of(error)
    flash(_("Gespeichert. So sieht es jetzt jeder Besucher."), "success")
    return web.go("municipalities.manage")


@blueprint.post("/verwaltung/kommune/logo")
@web.allows(Action.EDIT_MUNICIPALITY)
def change_logo() -> ResponseReturnValue:
    """Upload a logo."""
    municipality = web.the_municipality()
    web.require(Action.EDIT_MUNICIPALITY, municipality)
    form = LogoForm()
    settings = web.current_settings()
    try:
        set_logo(
            web.current_session(), web.current_actor(), municipality,
            form.picture.data.stream if form.picture.data else io.BytesIO(), settings.upload_dir,
            settings.max_upload_bytes, web.current_now(),
        )
    except InvalidInput as error:
        web.attach(form, error)
        return _manage_page(municipality, _municipality_form(municipality, formdata=None), form), 422
    flash(_("Das Logo ist gespeichert."), "success")
    return web.go("municipalities.manage")


@blueprint.post("/verwaltung/kommune/logo/entfernen")
@web.allows(Action.EDIT_MUNICIPALITY)
def drop_logo() -> ResponseReturnValue:
    """Show the neutral mark again. The first post asks, the second does it."""
    municipality = web.the_municipality()
    web.require(Action.EDIT_MUNICIPALITY, municipality)
    if municipality.has_logo and request.form.get("confirmed") != "yes":
        return render_template("municipalities/drop_logo.html")
    remove_logo(web.current_session(), web.current_actor(), municipality, web.current_now())
    flash(_("Das Logo ist entfernt."), "success")
    return web.go("municipalities.manage")


@blueprint.route("/verwaltung/kommune/seiten/<kind>", methods=["GET", "POST"])
@web.allows(Action.EDIT_MUNICIPALITY)
def edit_page(kind: str) -> ResponseReturnValue:
    """Word an owed page; the preview shows it as visitors will read it, without saving."""
    municipality = web.the_municipality()
    web.require(Action.EDIT_MUNICIPALITY, municipality)
    page_kind, code = _page_kind(kind), _code(kind)
    if request.method == "POST":
        hold_municipality(web.current_session(), municipality)
    page = page_text(web.current_session(), municipality, page_kind, code)
    german = page_text(web.current_session(), municipality, page_kind).body if code != DEFAULT else ""
    form = PageForm(data={"body": "" if german and page.is_german else page.body})
    seen, status, stored = web.seen_by_form(page.fingerprint), 200, None
    if request.method == "POST" and "preview" not in request.form:
        try:
            _refuse_overwriting(page.fingerprint, last_edit_of_page(municipality.id, page_kind, code))
            save_page(
                web.current_session(), web.current_actor(), municipality, page_kind, form.body.data or "",
                web.current_now(), code,
            )
        except (InvalidInput, Conflict) as error:
            web.attach(form, error)
            seen, status = web.seen_by_form(page.fingerprint, error), web.status_of(error)
            stored = page.body if isinstance(error, Conflict) else None
        else:
            flash(_("Die Seite ist gespeichert und öffentlich."), "success")
            return web.go("municipalities.manage")
    preview = ""
    if "preview" in request.form:
        wording = text.clean_text(form.body.data)
        preview = _filled(municipality, translated(wording, code) if code != DEFAULT else wording, web.current_now())
    return render_template(
        "municipalities/edit_page.html", form=form, title=_(PAGE_TITLES[page_kind]), kind=page_kind, page=page,
        preview=preview, code=code, german=german, codes=_codes(page_kind), seen=seen, stored=stored,
    ), status


@blueprint.post("/verwaltung/kommune/seiten/<kind>/zuruecksetzen")
@web.allows(Action.EDIT_MUNICIPALITY)
def restore_page(kind: str) -> ResponseReturnValue:
    """Go back to the draft. The first post asks and shows what would be lost, the second does it."""
    municipality, page_kind, code = web.the_municipality(), _page_kind(kind), _code(kind)
    web.require(Action.EDIT_MUNICIPALITY, municipality)
    session, wanted = web.current_session(), None if code == DEFAULT else code
    hold_municipality(session, municipality)
    page = page_text(session, municipality, page_kind, code)
    if not page.is_own:
        flash(_("Hier gibt es keinen eigenen Text mehr."), "info")
        return web.go("municipalities.edit_page", kind=kind, sprache=wanted)
    if request.form.get("confirmed") != "yes" or request.form.get("seen") != page.fingerprint:
        return render_template("municipalities/restore_page.html", title=_(PAGE_TITLES[page_kind]), kind=page_kind,
                               page=page, code=code)
    reset_page(session, web.current_actor(), municipality, page_kind, web.current_now(), code)
    flash(_("Der eigene Text ist entfernt."), "success")
    return web.go("municipalities.edit_page", kind=kind, sprache=wanted)


def _refuse_overwriting(current: str, last: Select[AuditEntry]) -> None:
    """Raises Conflict when what the form showed is not what is stored any more; `last` finds who saved meanwhile."""
    if request.form.get("seen", "") in {"", current}:
        return
    entry = web.current_session().scalar(last)
    raise Conflict(
        N_("Inzwischen hat %(name)s hier etwas gespeichert, zuletzt am %(at)s. Ihre Eingaben stehen noch da, sind aber "
           "nicht gespeichert. Unter diesem Hinweis steht, was jetzt gilt. Speichern Sie noch einmal, gelten Ihre Eingaben."),
        name=(web.part("account_name", label=entry.actor).unescape() if entry else "") or _("jemand"),
        at=entry.at if entry else web.current_now(),
    )


def _municipality_form(municipality: Municipality, **more: None) -> MunicipalityForm:
    wordings = {f"intro_{number}": municipality.intro_variants.get(code, "") for number, code in enumerate(VARIANTS)}
    return MunicipalityForm(**more, obj=municipality, data=wordings)


def _codes(kind: PageKind) -> dict[str, str]:
    """What a page can be written in; the one about Leichte Sprache is in it and nothing else."""
    return {DEFAULT: READINGS[EASY]} if kind is PageKind.EASY_LANGUAGE else READINGS


def _code(kind: str) -> str:
    wanted = request.args.get("sprache", DEFAULT)
    return wanted if wanted in _codes(_page_kind(kind)) else DEFAULT


def _page_kind(value: str) -> PageKind:
    try:
        return PageKind(value)
    except ValueError as error:
        raise NotFound from error


def _manage_page(
    municipality: Municipality, form: MunicipalityForm, logo_form: LogoForm, error: Exception | None = None,
) -> str:
    stored = _municipality_form(municipality, formdata=None) if isinstance(error, Conflict) else ()
    own = {(page.kind, page.language): page.updated_at
           for page in web.current_session().scalars(own_pages(municipality.id))}
    pages = [(kind, _(PAGE_TITLES[kind]), own.get((kind, DEFAULT)), ENDPOINTS[kind],
              [(code, name, (kind, code) in own) for code, name in _codes(kind).items() if code != DEFAULT])
             for kind in PageKind]
    return render_template(
        "municipalities/manage.html", form=form, logo_form=logo_form, pages=pages, address_max=ADDRESS_MAX,
        intro_max=INTRO_MAX, seen=web.seen_by_form(fingerprint(municipality), error),
        stored=[(field.label.text, field.data or "–") for field in stored
                if field.name in form.data and field.name != "csrf_token" and _differs(field.data, form[field.name].data)],
    )


def _differs(stored: str | None, entered: str | None) -> bool:
    return text.clean_text(stored) != text.clean_text(entered)
