"""Where editors create and change processes. Works without JavaScript; a preview never saves."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from participation import clock, text, web
from participation.actions import Action
from participation.errors import Conflict, DomainError, InvalidInput, NotFound
from participation.formats import CHOICE_LABELS, FORMATS, read_settings
from participation.i18n import N_
from participation.language import EASY, VARIANTS
from participation.own_fields import KIND_LABELS, OwnField, read_fields
from participation.permissions import Role
from participation.processes import history, operations, plausibility
from participation.processes.forms import (
    EMPTY,
    DocumentForm,
    NewProcessForm,
    NewsForm,
    PhaseForm,
    ProcessForm,
    ThemeForm,
    phase_form_class,
    settings_data,
    theme_data,
)
from participation.processes.models import Phase, Process, ProcessDocument, ProcessNews, ProcessVersion, Theme
from participation.processes.queries import (
    LARGEST_ID,
    documents_of,
    news_of,
    process_for_editing,
    processes_of_staff,
    variants_of,
    versions_of,
)
from participation.processes.views.pages import blueprint, card
from participation.tokens import hash_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flask.typing import ResponseReturnValue

    from participation.municipalities.models import Municipality

PER_PAGE = 50
# How many processes are offered to be copied, the newest in order.
COPIED = 50
COPY = "kopie-"
STEPS = {"hoch": -1, "runter": 1}
_more_tabs: list[tuple[str, str, tuple[str, ...]]] = []


def add_tab(label: str, endpoint: str, endpoints: tuple[str, ...]) -> None:
    """Features above this one have pages about a process too: (German label, first page, all pages of the tab)."""
    _more_tabs.append((label, endpoint, endpoints))


def load_for_editing(process_id: int) -> Process:
    """The process that the address names, for those who may edit it."""
    process = process_for_editing(web.current_session(), web.the_municipality().id, process_id,
                                  to_change=request.method == "POST")
    if process is None:
        raise NotFound
    web.require(Action.EDIT_PROCESS, process)
    return process


def tabs_of(process: Process) -> list[tuple[str, str, bool]]:
    """The parts of a process as tabs: (label, address, whether it is this page)."""
    parts = (
        (_("Angaben"), "processes.edit", ("processes.edit",)),
        (_("Phasen"), "processes.phases", ("processes.phases", "processes.new_phase", "processes.edit_phase",
                                             "processes.own_fields", "processes.edit_own_field")),
        (_("Themen"), "processes.themes", ("processes.themes", "processes.edit_theme")),
        (_("Dokumente"), "processes.documents", ("processes.documents",)),
        (_("Sprachen"), "processes.variants", ("processes.variants",)),
        (_("Verlauf"), "processes.versions", ("processes.versions",)),
        (_("Neuigkeiten"), "processes.news", ("processes.news", "processes.edit_news")),
        *((_(label), endpoint, endpoints) for label, endpoint, endpoints in _more_tabs),
    )
    return [
        (label, url_for(endpoint, process_id=process.id), request.endpoint in covered)
        for label, endpoint, covered in parts
    ]


def _render(template: str, process: Process, **context: Any) -> str:  # noqa: ANN401 - as render_template
    return render_template(
        template, process=process, tabs=tabs_of(process), limits=operations,
        **context,
    )


def _edit_page(process: Process, form: ProcessForm, **context: Any) -> str:  # noqa: ANN401 - as render_template
    now = web.current_now()
    found = plausibility.publish_hints(web.current_session(), process, now,
                                       has_provider=bool(web.current_settings().oidc_issuer))
    return _render(
        "processes/edit.html", process, form=form, **{"preview": "", "seen": history.fingerprint(process), **context},
        problems=[_(problem) for problem in plausibility.publish_problems(process, now)],
        hints=[(_(hint.message, title=_(hint.title)) if hint.title else _(hint.message), _place(hint, process))
               for hint in found],
    )


def _place(hint: plausibility.Hint, process: Process) -> str:
    """Where a hint is mended; a page that is not theirs to change is shown as everybody sees it."""
    if hint.endpoint == "municipalities.edit_page" and not web.can(Action.EDIT_MUNICIPALITY, process.municipality):
        return f"/{hint.values['kind']}"
    mine: dict[str, Any] = {} if hint.endpoint.startswith("municipalities.") else {"process_id": process.id}
    return url_for(hint.endpoint, _anchor=hint.anchor or None, **{**mine, **hint.values})


def _refuse_overwriting(process: Process, current: str) -> None:
    history.refuse_overwriting(web.current_session(), process, request.form.get("seen", ""), current)


def _seen(current: str, error: Exception | None = None) -> str:
    """What the form goes on from: what it was opened with, until its author has read that somebody else saved."""
    return current if isinstance(error, Conflict) else request.form.get("seen") or current


@blueprint.get("/verwaltung/verfahren")
@web.allows(Action.EDIT_PROCESS)
def manage() -> ResponseReturnValue:
    """The processes that one may edit."""
    municipality = web.the_municipality()
    everywhere = web.can(Action.EDIT_PROCESS, municipality)
    own = [grant.process_id for grant in web.current_actor().grants
           if grant.process_id is not None and grant.role in {Role.EDITOR, Role.ADMIN}]
    position, dash, number = request.args.get("nach", "").partition("-")
    after = (int(position), int(number)) if dash and _is_number(position) and _is_number(number) else None
    found = processes_of_staff(web.current_session(), municipality.id, None if everywhere else own, after, PER_PAGE)
    rows = found[:PER_PAGE]
    return render_template(
        "processes/manage.html", cards=[card(process, web.current_now()) for process in rows],
        next_cursor=f"{rows[-1].position}-{rows[-1].id}" if len(found) > PER_PAGE else None, is_later_page=bool(after),
        may_create=web.can(Action.CREATE_PROCESS, municipality),
    )


def _is_number(raw: str) -> bool:
    return raw.isascii() and raw.isdecimal() and len(raw) < 10  # noqa: PLR2004 - fits into the column


@blueprint.route("/verwaltung/verfahren/neu", methods=["GET", "POST"])
@web.allows(Action.CREATE_PROCESS)
def new() -> ResponseReturnValue:
    """Begin a draft: title and one line, everything else afterwards."""
    municipality = web.the_municipality()
    web.require(Action.CREATE_PROCESS, municipality)
    known = processes_of_staff(web.current_session(), municipality.id, None, None, COPIED)
    form = NewProcessForm().offer(
        [(key, f"{entry['name']}: {entry['text']}") for key, entry in operations.templates().items()],
        [(f"{COPY}{one.id}", _("Kopie von: %(title)s", title=one.title)) for one in known],
    )
    if request.method == "POST" and form.validate():
        try:
            process = _begin(form, municipality, known)
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Der Entwurf ist angelegt. Bis zur Veröffentlichung sieht ihn nur die Redaktion."), "success")
            return web.go("processes.edit", process_id=process.id)
    page = render_template("processes/new.html", form=form, limits=operations)
    return page, 422 if request.method == "POST" else 200


def _begin(form: NewProcessForm, municipality: Municipality, known: Sequence[Process]) -> Process:
    """The draft that was asked for. Raises InvalidInput."""
    session, actor, now = web.current_session(), web.current_actor(), web.current_now()
    texts = {"title": form.title.data or "", "summary": form.summary.data or ""}
    source = form.source.data or EMPTY
    starts_on = form.starts_on.data or clock.to_berlin(now + timedelta(days=1)).date()
    if not operations.FIRST_YEAR <= starts_on.year <= operations.LAST_YEAR - 2:
        raise InvalidInput(_("Bitte prüfen Sie das Jahr."), field="starts_on")
    if source.startswith(COPY):
        copied = next((one for one in known if f"{COPY}{one.id}" == source), None)
        if copied is None:
            raise InvalidInput(_("Bitte wählen Sie etwas aus der Liste."), field="source")
        return operations.copy_process(session, actor, copied, now, starts_on=starts_on, **texts)
    if source != EMPTY:
        return operations.create_from_template(session, actor, municipality, now, key=source, starts_on=starts_on, **texts)
    return operations.create_process(session, actor, municipality, now, **texts)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def delete(process_id: int) -> ResponseReturnValue:
    """Drop a draft that nobody else has seen; the first post asks, the second does."""
    process = load_for_editing(process_id)
    if request.form.get("confirmed") != "yes":
        return _render("processes/delete.html", process)
    try:
        operations.delete_process(web.current_session(), web.current_actor(), process, web.current_now())
    except Conflict as error:
        flash(web.translated(error), "error")
        return web.go("processes.edit", process_id=process_id)
    flash(_("Der Entwurf ist gelöscht."), "success")
    return web.go("processes.manage")


@blueprint.post("/verwaltung/verfahren/<int:process_id>/vorschau-link")
@web.allows(Action.EDIT_PROCESS)
def preview_link(process_id: int) -> ResponseReturnValue:
    """Make a link that shows the draft to whoever gets it, or end it."""
    process = load_for_editing(process_id)
    session, actor, now = web.current_session(), web.current_actor(), web.current_now()
    if request.form.get("ende"):
        operations.end_preview_link(session, actor, process, now)
        flash(_("Der Link zeigt nichts mehr."), "success")
        return web.go("processes.edit", process_id=process.id)
    token = operations.make_preview_link(session, actor, process, now)
    form = ProcessForm(formdata=None, obj=process)
    # Shown once: only its hash is kept.
    link = url_for("processes.preview", token=token, _external=True)
    return _edit_page(process, form, preview_address=link)


# ----------------------------------------------------------------------------------------------------------- history
VERSIONS = 10
ACTIONS = {
    "before_first_change": N_("Vor der ersten Änderung"), "process_created": N_("Angelegt"),
    "process_filled": N_("Mit einer Vorlage gefüllt"), "process_edited": N_("Angaben geändert"),
    "process_picture_set": N_("Bild gewählt"), "process_picture_removed": N_("Bild entfernt"),
    "phase_added": N_("Phase hinzugefügt"), "phase_edited": N_("Phase geändert"), "phase_deleted": N_("Phase gelöscht"),
    "phase_moved": N_("Phase verschoben"), "theme_added": N_("Thema hinzugefügt"), "theme_edited": N_("Thema geändert"),
    "theme_deleted": N_("Thema gelöscht"), "theme_moved": N_("Thema verschoben"),
    "document_added": N_("Dokument hochgeladen"), "document_deleted": N_("Dokument gelöscht"),
    "document_moved": N_("Dokument verschoben"), "process_news_saved": N_("Neuigkeit geschrieben"),
    "process_news_deleted": N_("Neuigkeit gelöscht"), "process_translated": N_("Übersetzung geändert"),
    "own_field_added": N_("Eigenes Feld hinzugefügt"), "own_field_edited": N_("Eigenes Feld geändert"),
    "own_field_moved": N_("Eigenes Feld verschoben"), "own_field_deleted": N_("Eigenes Feld gelöscht"),
    "process_restored": N_("Früheren Stand wiederhergestellt"),
}
NAMES = {
    "title": N_("Titel"), "slug": N_("Adresse"), "summary": N_("Kurzbeschreibung"), "body": N_("Text"),
    "faq": N_("Fragen und Antworten"), "contact": N_("Kontakt"), "theme_label": N_("Wie heißen Themen hier?"),
    "name": N_("Name"), "description": N_("Beschreibung"), "picture_id": N_("Bild"),
    "picture_alt": N_("Beschreibung des Bildes"), "starts_at": N_("Beginn"), "ends_at": N_("Ende"),
    "vague_dates": N_("Zeitraum in Worten"), "stored_settings": N_("Einstellungen"),
    "attribution": N_("Quelle der Beiträge"), "upload_id": N_("Datei"), "text": N_("Übersetzung"),
    "stored_fields": N_("Eigene Felder"), "format_key": N_("Format"), "tone": N_("Farbe"), "position": N_("Reihenfolge"),
}
OWN_FIELD = N_("Eigenes Feld")
GROUP_NAMES = {"phases": N_("Phase „%(title)s“"), "themes": N_("Thema „%(title)s“"),
               "documents": N_("Dokument „%(title)s“"), "news": N_("Neuigkeit „%(title)s“")}


@blueprint.get("/verwaltung/verfahren/<int:process_id>/verlauf")
@web.allows(Action.EDIT_PROCESS)
def versions(process_id: int) -> ResponseReturnValue:
    """Who changed what, word by word; every earlier state can come back, and what that would do is said before."""
    process, session = load_for_editing(process_id), web.current_session()
    raw = request.args.get("vor", "")
    before = min(int(raw), LARGEST_ID) if _is_number(raw) else None
    rows = list(session.scalars(versions_of(process.id, before).limit(VERSIONS + 1)))
    current = history.content_of(session, process)
    held = history.held_rows(session, current)
    return _render(
        "processes/versions.html", process, actions=ACTIONS, is_newest=before is None,
        rows=[(row, _differences(rows[place + 1] if place + 1 < len(rows) else None, row),
               _effect(history.effect_of(current, row.content, held)))
              for place, row in enumerate(rows[:VERSIONS])],
        next_url=url_for("processes.versions", process_id=process.id, vor=rows[VERSIONS - 1].id)
        if len(rows) > VERSIONS else None,
    )


def _named(rows: list[tuple[str, str]]) -> str:
    return ", ".join(_(GROUP_NAMES[group], title=title) for group, title in rows)


def _effect(effect: history.Effect) -> list[tuple[str, str]]:
    """What going back would do, as (what happens, to what)."""
    parts = ((_("Kommt zurück"), effect.returns), (_("Kommt weg"), effect.goes),
             (_("Bleibt, weil schon Beiträge dazugehören"), effect.stays))
    return [(label, _named(rows)) for label, rows in parts if rows]


def _differences(before: ProcessVersion | None, after: ProcessVersion) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(what it belongs to, its name, word by word) of everything that one change changed."""
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for group in ("process", *history.GROUPS, "variants") if before is not None else ():
        old: dict[str, Any] = before.content.get(group, {}) if before is not None else {}
        new: dict[str, Any] = after.content.get(group, {})
        if group == "process":
            old, new = {"": old}, {"": new}
        for key in sorted({*old, *new}):
            one, other = old.get(key, {}), new.get(key, {})
            owner = _owner_of(group, key, other or one)
            if group in history.GROUPS and not (one and other):
                # What came or went as a whole is one line, with what it said.
                label = _("hinzugefügt") if other else _("gelöscht")
                found.append((owner, label, text.difference(_whole(one), _whole(other))))
                continue
            found += [(owner, _(label), text.difference(_plain(name, one), _plain(name, other)))
                      for name, label in NAMES.items() if one.get(name) != other.get(name)]
    return found


def _whole(values: dict[str, Any]) -> str:
    return "\n".join(str(values[name]) for name in ("title", "name", "body", "description") if values.get(name))


def _owner_of(group: str, key: str, values: dict[str, Any]) -> str:
    if group in GROUP_NAMES:
        return str(_(GROUP_NAMES[group], title=values[history.GROUPS[group].name]))
    if group == "variants":
        language, _entity, _lineage, name = key.split("/", 3)
        return f"{VARIANTS.get(language, language)}, {_(NAMES.get(name, OWN_FIELD))}"
    return ""


def _plain(name: str, values: dict[str, Any]) -> str:
    """A value as editors know it from the form."""
    value = values.get(name)
    if value is None:
        return ""
    if name == "stored_settings":
        return "\n".join(_shown_settings(values["format_key"], value))
    if name == "stored_fields":
        return "\n".join(_shown_field(one) for one in read_fields(value))
    if name == "format_key":
        return _(FORMATS[value].label) if value in FORMATS else str(value)
    if name in {"starts_at", "ends_at"}:
        shown = operations.shown_end if name == "ends_at" else operations.shown_start
        wall = shown(datetime.fromisoformat(value))
        return f"{wall:%d.%m.%Y, %H:%M}" if wall else ""
    return str(value)


def _shown_settings(format_key: str, stored: dict[str, Any]) -> list[str]:
    settings = read_settings(format_key, stored)
    shown = []
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        word = _(CHOICE_LABELS[value]) if value in CHOICE_LABELS else value
        if isinstance(value, bool):
            word = _("ja") if value else _("nein")
        shown.append(f"{_(entry.metadata['label'])}: {word}")
    return shown


def _shown_field(one: OwnField) -> str:
    parts = [_(KIND_LABELS[one.kind]), one.hint, *one.options, _("Pflichtfeld") if one.is_required else "",
             "" if one.is_public else _("nur für die Verwaltung")]
    return f"{one.label}: {', '.join(part for part in parts if part)}"


@blueprint.post("/verwaltung/verfahren/<int:process_id>/verlauf/<int:version_id>/wiederherstellen")
@web.allows(Action.EDIT_PROCESS)
def restore(process_id: int, version_id: int) -> ResponseReturnValue:
    """Go back to an earlier state; what people use already stays, and is named."""
    process, session = load_for_editing(process_id), web.current_session()
    version = history.version_of(session, process, min(version_id, LARGEST_ID))
    if version is None:
        raise NotFound
    try:
        effect = history.restore_version(session, web.current_actor(), process, version, web.current_now())
    except Conflict as error:
        session.rollback()
        flash(web.translated(error), "error")
        return web.go("processes.versions", process_id=process_id)
    flash(_("Der frühere Stand ist wiederhergestellt. Auch das lässt sich hier rückgängig machen."), "success")
    if effect.stays:
        flash(_("Geblieben ist, weil schon Beiträge dazugehören: %(names)s.", names=_named(effect.stays)), "warning")
    return web.go("processes.versions", process_id=process_id)


# --------------------------------------------------------------------------------------------------------- languages
@blueprint.route("/verwaltung/verfahren/<int:process_id>/sprachen", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def variants(process_id: int) -> ResponseReturnValue:
    """Every text of a process beside its wording in another language, or in Leichte Sprache."""
    process = load_for_editing(process_id)
    code = request.args.get("sprache", EASY)
    code = code if code in VARIANTS else EASY
    keys = operations.variant_keys(web.current_session(), process)
    problems: dict[str, str] = {}
    rows = web.current_session().scalars(variants_of(process.id, code))
    stored = {(row.entity, row.entity_id, row.field): row.text for row in rows if row.language == code}
    current = hash_token(json.dumps(sorted(stored.items())))
    seen, status = _seen(current), 200
    if request.method == "POST":
        entered = {key: request.form.get("-".join(map(str, key)), "") for key in keys}
        try:
            _refuse_overwriting(process, current)
            operations.save_variants(web.current_session(), web.current_actor(), process, code, entered,
                                     web.current_now())
        except (InvalidInput, Conflict) as error:
            problems[error.field or "texte"] = web.translated(error)
            seen, status = _seen(current, error), _status(error)
        else:
            flash(_("Gespeichert."), "success")
            return web.go("processes.variants", process_id=process.id, sprache=code)
    else:
        entered = stored
    texts = [("-".join(map(str, key)), german, limit, entered.get(key, ""), key) for key, (german, limit) in keys.items()]
    page = _render("processes/variants.html", process, texts=texts, code=code, languages_of_texts=VARIANTS, refused=problems,
                   written=sum(1 for one in texts if one[3]), seen=seen)
    return page, status


# -------------------------------------------------------------------------------------------------------------- news
@blueprint.route("/verwaltung/verfahren/<int:process_id>/neuigkeiten", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def news(process_id: int) -> ResponseReturnValue:
    """What was told, and something new."""
    return _news_page(load_for_editing(process_id), None)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/neuigkeiten/<int:news_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_news(process_id: int, news_id: int) -> ResponseReturnValue:
    """Mend what was told."""
    process = load_for_editing(process_id)
    return _news_page(process, _one_news(process, news_id))


def _one_news(process: Process, news_id: int) -> ProcessNews:
    found = web.current_session().get(ProcessNews, min(news_id, LARGEST_ID))
    if found is None or found.process_id != process.id:
        raise NotFound
    return found


def _news_page(process: Process, item: ProcessNews | None) -> ResponseReturnValue:
    form = NewsForm(data={"title": item.title, "body": item.body} if item else None)
    preview = text.clean_text(form.body.data or "") if "preview" in request.form else ""
    current, status = history.fingerprint(item), 422 if request.method == "POST" and not preview else 200
    seen = _seen(current)
    if request.method == "POST" and not preview and form.validate():
        try:
            _refuse_overwriting(process, current)
            operations.save_news(web.current_session(), web.current_actor(), process, item, web.current_now(),
                                 title=form.title.data or "", body=form.body.data or "")
        except (InvalidInput, Conflict) as error:
            web.attach(form, error)
            seen, status = _seen(current, error), _status(error)
        else:
            flash(_("Die Neuigkeit ist gespeichert."), "success")
            return web.go("processes.news", process_id=process.id)
    rows = web.current_session().scalars(news_of(process.id).limit(PER_PAGE)).all()
    page = _render("processes/news_edit.html", process, form=form, item=item, rows=rows, preview=preview,
                   seen=seen)
    return page, status


@blueprint.post("/verwaltung/verfahren/<int:process_id>/neuigkeiten/<int:news_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_news(process_id: int, news_id: int) -> ResponseReturnValue:
    """Take it down."""
    process = load_for_editing(process_id)
    operations.delete_news(web.current_session(), web.current_actor(), process, _one_news(process, news_id),
                           web.current_now())
    flash(_("Die Neuigkeit ist gelöscht."), "success")
    return web.go("processes.news", process_id=process.id)


@blueprint.route("/verwaltung/verfahren/<int:process_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit(process_id: int) -> ResponseReturnValue:
    """What the process says of itself; preview without saving."""
    process = load_for_editing(process_id)
    form = ProcessForm(obj=process)
    current = history.fingerprint(process)
    if request.method == "GET":
        return _edit_page(process, form, seen=current)
    if "preview" in request.form:
        return _edit_page(process, form, seen=_seen(current), preview=text.clean_text(form.body.data))
    settings = web.current_settings()
    file = form.picture.data
    try:
        _refuse_overwriting(process, current)
        operations.edit_process(
            web.current_session(), web.current_actor(), process, web.current_now(), title=form.title.data or "",
            slug=form.slug.data or "", summary=form.summary.data or "", body=form.body.data or "",
            theme_label=form.theme_label.data or "", contact=form.contact.data or "",
            faq=form.faq.data or "", attribution=form.attribution.data or "", picture_alt=form.picture_alt.data or "",
            has_new_picture=bool(file),
        )
        if file:
            operations.set_picture(
                web.current_session(), web.current_actor(), process, file.stream, settings.upload_dir,
                settings.max_upload_bytes, web.current_now(),
            )
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        return _edit_page(process, form, seen=_seen(current, error)), _status(error)
    flash(_("Gespeichert."), "success")
    return web.go("processes.edit", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/bild/entfernen")
@web.allows(Action.EDIT_PROCESS)
def drop_picture(process_id: int) -> ResponseReturnValue:
    """Show the drawing again."""
    process = load_for_editing(process_id)
    operations.remove_picture(web.current_session(), web.current_actor(), process, web.current_now())
    flash(_("Das Bild ist entfernt."), "success")
    return web.go("processes.edit", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/veroeffentlichen")
@web.allows(Action.EDIT_PROCESS)
def publish(process_id: int) -> ResponseReturnValue:
    """Let everybody see it; what is missing is said on the page."""
    process = load_for_editing(process_id)
    try:
        operations.publish_process(web.current_session(), web.current_actor(), process, web.current_now())
    except InvalidInput:
        form = ProcessForm(formdata=None, obj=process)
        return _edit_page(process, form, insists=True), 422
    flash(_("Das Verfahren ist jetzt öffentlich."), "success")
    return web.go("processes.edit", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/archivieren")
@web.allows(Action.EDIT_PROCESS)
def archive(process_id: int) -> ResponseReturnValue:
    """End it; everything stays readable."""
    process = load_for_editing(process_id)
    operations.archive_process(web.current_session(), web.current_actor(), process, web.current_now())
    flash(_("Das Verfahren ist im Archiv. Alles bleibt lesbar, nichts kann mehr dazukommen."), "success")
    return web.go("processes.edit", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move(process_id: int) -> ResponseReturnValue:
    """Earlier or later on the home page."""
    process = load_for_editing(process_id)
    web.require(Action.EDIT_PROCESS, web.the_municipality())
    operations.move_process(web.current_session(), web.current_actor(), process, _step(), web.current_now())
    return web.go("processes.manage")


def _status(error: DomainError) -> int:
    """A form with something wrong in it, or one that came too late."""
    return 409 if isinstance(error, Conflict) else 422


def _step() -> int:
    return STEPS.get(request.form.get("richtung", ""), 1)


# ------------------------------------------------------------------------------------------------------------ phases
def _phase(process: Process, phase_id: int) -> Phase:
    found = next((phase for phase in process.phases if phase.id == phase_id), None)
    if found is None:
        raise NotFound
    return found


@blueprint.get("/verwaltung/verfahren/<int:process_id>/phasen")
@web.allows(Action.EDIT_PROCESS)
def phases(process_id: int) -> ResponseReturnValue:
    """The timeline, with what each phase opens."""
    return _render("processes/phases.html", load_for_editing(process_id), formats=FORMATS)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/phasen/neu", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def new_phase(process_id: int) -> ResponseReturnValue:
    """Add a phase; ?format= chooses which settings are asked."""
    return _phase_page(load_for_editing(process_id), None)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_phase(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Change a phase."""
    process = load_for_editing(process_id)
    return _phase_page(process, _phase(process, phase_id))


def _phase_form(phase: Phase | None) -> tuple[PhaseForm, str]:
    """The form of the format that is wanted now, filled with what is stored or was sent."""
    stored_key = phase.format_key if phase else "collect"
    wanted = request.form.get("format_key") or request.args.get("format") or stored_key
    key = wanted if wanted in FORMATS else stored_key
    data: dict[str, Any] = {"format_key": key}
    if phase is not None:
        data |= {
            "title": phase.title, "body": phase.body, "vague_dates": phase.vague_dates, "ends_at": operations.shown_end(phase.ends_at),
            "starts_at": operations.shown_start(phase.starts_at),
        }
        if key == phase.format_key:
            data |= settings_data(phase.settings)
    return phase_form_class(key)(data=data), key


def _phase_page(process: Process, phase: Phase | None) -> ResponseReturnValue:
    form, key = _phase_form(phase)
    current = history.fingerprint(phase)
    shown: dict[str, Any] = {"form": form, "phase": phase, "format": FORMATS[key], "preview": "", "seen": _seen(current)}
    if request.method == "GET":
        return _render("processes/phase.html", process, **shown)
    if "change_format" in request.form or "preview" in request.form:
        if "change_format" in request.form:
            # The settings of another format were not on the page that was sent: its defaults are no answer of anybody.
            form = phase_form_class(key)(formdata=None, data={
                "format_key": key, "title": form.title.data, "body": form.body.data, "vague_dates": form.vague_dates.data,
            })
            for name in ("starts_at", "ends_at"):
                form[name].raw_data = [request.form.get(name, "")]
            shown["form"] = form
        else:
            shown["preview"] = text.clean_text(form.body.data)
        return _render("processes/phase.html", process, **shown)
    if not form.validate():
        return _render("processes/phase.html", process, **shown), 422
    try:
        _refuse_overwriting(process, current)
        operations.save_phase(
            web.current_session(), web.current_actor(), process, phase, web.current_now(), format_key=key,
            title=form.title.data or "", body=form.body.data or "", starts_at=form.starts_at.data,
            ends_at=form.ends_at.data, settings=form.settings(key), vague_dates=form.vague_dates.data or "",
        )
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        return _render("processes/phase.html", process, **{**shown, "seen": _seen(current, error)}), _status(error)
    flash(_("Die Phase ist gespeichert."), "success")
    return web.go("processes.phases", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move_phase(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Earlier or later in the timeline."""
    process = load_for_editing(process_id)
    operations.move_phase(
        web.current_session(), web.current_actor(), _phase(process, phase_id), _step(), web.current_now()
    )
    return web.go("processes.phases", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/phasen/<int:phase_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_phase(process_id: int, phase_id: int) -> ResponseReturnValue:
    """Take it away while nothing came in."""
    process = load_for_editing(process_id)
    phase = _phase(process, phase_id)
    return _try(
        lambda: operations.delete_phase(web.current_session(), web.current_actor(), phase, web.current_now()),
        _("Die Phase ist gelöscht."), lambda: _render("processes/phases.html", process, formats=FORMATS),
        url_for("processes.phases", process_id=process.id),
    )


def _try(change: Callable[[], None], done: str, page: Callable[[], str], address: str) -> ResponseReturnValue:
    """Do it and go on, or show the same page with what hinders, 409."""
    try:
        change()
    except Conflict as error:
        flash(web.translated(error), "error")
        return page(), error.status
    flash(done, "success")
    return redirect(address, code=303)


# ------------------------------------------------------------------------------------------------------------ themes
def _theme(process: Process, theme_id: int) -> Theme:
    found = next((theme for theme in process.themes if theme.id == theme_id), None)
    if found is None:
        raise NotFound
    return found


@blueprint.route("/verwaltung/verfahren/<int:process_id>/themen", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def themes(process_id: int) -> ResponseReturnValue:
    """The themes, and one more."""
    process = load_for_editing(process_id)
    return _theme_page(process, None)


@blueprint.route("/verwaltung/verfahren/<int:process_id>/themen/<int:theme_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_theme(process_id: int, theme_id: int) -> ResponseReturnValue:
    """Rename a theme, or give it another tone."""
    process = load_for_editing(process_id)
    return _theme_page(process, _theme(process, theme_id))


def _theme_page(process: Process, theme: Theme | None) -> ResponseReturnValue:
    form = ThemeForm(data=theme_data(theme) if theme else {"tone": len(process.themes) % len(operations.TONES)})
    current = history.fingerprint(theme)
    if request.method == "GET":
        return _render("processes/themes.html", process, form=form, theme=theme, seen=current)
    if not form.validate():
        return _render("processes/themes.html", process, form=form, theme=theme, seen=_seen(current)), 422
    try:
        _refuse_overwriting(process, current)
        operations.save_theme(
            web.current_session(), web.current_actor(), process, theme, web.current_now(), name=form.name.data or "",
            description=form.description.data or "", tone=cast("int", form.tone.data),
        )
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        page = _render("processes/themes.html", process, form=form, theme=theme, seen=_seen(current, error))
        return page, _status(error)
    flash(_("Das Thema ist gespeichert."), "success")
    return web.go("processes.themes", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/themen/<int:theme_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move_theme(process_id: int, theme_id: int) -> ResponseReturnValue:
    """Earlier or later."""
    process = load_for_editing(process_id)
    operations.move_theme(
        web.current_session(), web.current_actor(), _theme(process, theme_id), _step(), web.current_now()
    )
    return web.go("processes.themes", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/themen/<int:theme_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_theme(process_id: int, theme_id: int) -> ResponseReturnValue:
    """Take it away while nothing stands under it."""
    process = load_for_editing(process_id)
    theme = _theme(process, theme_id)
    return _try(
        lambda: operations.delete_theme(web.current_session(), web.current_actor(), theme, web.current_now()),
        _("Das Thema ist gelöscht."),
        lambda: _render("processes/themes.html", process, form=ThemeForm(formdata=None), theme=None, seen=""),
        url_for("processes.themes", process_id=process.id),
    )


# --------------------------------------------------------------------------------------------------------- documents
@blueprint.route("/verwaltung/verfahren/<int:process_id>/dokumente", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def documents(process_id: int) -> ResponseReturnValue:
    """The documents, and one more."""
    process = load_for_editing(process_id)
    form = DocumentForm()
    rows = web.current_session().scalars(documents_of(process.id)).all()
    if request.method == "GET":
        return _render("processes/documents.html", process, form=form, documents=rows)
    settings = web.current_settings()
    file = form.document.data
    try:
        operations.add_document(
            web.current_session(), web.current_actor(), process, web.current_now(), title=form.title.data or "",
            stream=file.stream if file else io.BytesIO(), file_name=(file.filename or "") if file else "",
            folder=settings.upload_dir, limit=settings.max_upload_bytes,
        )
    except InvalidInput as error:
        web.attach(form, error)
        return _render("processes/documents.html", process, form=form, documents=rows), 422
    flash(_("Das Dokument ist hochgeladen."), "success")
    return web.go("processes.documents", process_id=process.id)


def _document(process: Process, document_id: int) -> ProcessDocument:
    rows = web.current_session().scalars(documents_of(process.id))
    found = next((one for one in rows if one.id == document_id), None)
    if found is None:
        raise NotFound
    return found


@blueprint.post("/verwaltung/verfahren/<int:process_id>/dokumente/<int:document_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move_document(process_id: int, document_id: int) -> ResponseReturnValue:
    """Earlier or later."""
    process = load_for_editing(process_id)
    operations.move_document(web.current_session(), web.current_actor(), process, _document(process, document_id),
                             _step(), web.current_now())
    return web.go("processes.documents", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/dokumente/<int:document_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def drop_document(process_id: int, document_id: int) -> ResponseReturnValue:
    """Take a document down."""
    process = load_for_editing(process_id)
    operations.delete_document(web.current_session(), web.current_actor(), process, _document(process, document_id),
                               web.current_now())
    flash(_("Das Dokument ist gelöscht."), "success")
    return web.go("processes.documents", process_id=process.id)
