"""Where editors begin, describe, publish and end a process. Works without JavaScript; a preview never saves."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from flask import flash, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.datastructures import FileStorage

from participation import clock, text, web
from participation.actions import Action
from participation.errors import Checks, Conflict, InvalidInput
from participation.permissions import Role
from participation.processes import history, operations, plausibility
from participation.processes.forms import EMPTY, NewProcessForm, ProcessForm
from participation.processes.models import Process
from participation.processes.queries import processes_of_staff
from participation.processes.views.cards import card
from participation.processes.views.pages import blueprint
from participation.processes.views.staff import (
    PER_PAGE,
    is_number,
    load_for_editing,
    refuse_overwriting,
    render_page,
    wanted_step,
)
from participation.sent_forms import sent_once
from participation.uploads import check_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue

    from participation.municipalities.models import Municipality

# How many processes are offered to be copied, the newest in order.
COPIED = 50
COPY = "kopie-"


@blueprint.get("/verwaltung/verfahren")
@web.allows(Action.EDIT_PROCESS)
def manage() -> ResponseReturnValue:
    """The processes that one may edit."""
    municipality = web.the_municipality()
    everywhere = web.can(Action.EDIT_PROCESS, municipality)
    own = [grant.process_id for grant in web.current_actor().grants
           if grant.process_id is not None and grant.role in {Role.EDITOR, Role.ADMIN}]
    position, dash, number = request.args.get("nach", "").partition("-")
    after = (int(position), int(number)) if dash and is_number(position) and is_number(number) else None
    found = processes_of_staff(web.current_session(), municipality.id, None if everywhere else own, after, PER_PAGE)
    rows = found[:PER_PAGE]
    return render_template(
        "processes/manage.html", cards=[card(process, web.current_now()) for process in rows],
        next_cursor=f"{rows[-1].position}-{rows[-1].id}" if len(found) > PER_PAGE else None, is_later_page=bool(after),
        may_create=web.can(Action.CREATE_PROCESS, municipality),
    )


@blueprint.route("/verwaltung/verfahren/neu", methods=["GET", "POST"])
@web.allows(Action.CREATE_PROCESS)
@sent_once
def new() -> ResponseReturnValue:
    """Begin a draft: title and one line, everything else afterwards."""
    municipality = web.the_municipality()
    web.require(Action.CREATE_PROCESS, municipality)
    known = processes_of_staff(web.current_session(), municipality.id, None, None, COPIED)
    form = NewProcessForm().offer(
        [(key, f"{entry['name']}: {entry['text']}") for key, entry in operations.templates().items()],
        [(f"{COPY}{one.id}", _("Kopie von: %(title)s", title=one.title)) for one in known],
    )
    if request.method == "POST" and web.all_right(
        form, lambda: operations.checked_title(form.title.data or ""),
        lambda: operations.checked_summary(form.summary.data or ""), lambda: _starts_on(form),
    ):
        try:
            process = _begin(form, municipality, known)
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Der Entwurf ist angelegt. Bis zur Veröffentlichung sieht ihn nur die Redaktion."), "success")
            if (form.source.data or EMPTY).startswith(COPY):
                flash(_("Kopiert sind Texte, Themen, Phasen, Bild und Dokumente. Nicht kopiert sind Neuigkeiten, Beiträge und "
                        "Rollen. Titel und Kurzbeschreibung, die Sie neu geschrieben haben, fehlen noch in den anderen "
                        "Sprachen."), "info")
            return web.go("processes.edit", process_id=process.id)
    page = render_template("processes/new.html", form=form, limits=operations)
    return page, 422 if request.method == "POST" else 200


def _begin(form: NewProcessForm, municipality: Municipality, known: Sequence[Process]) -> Process:
    """The draft that was asked for. Raises InvalidInput."""
    session, actor, now = web.current_session(), web.current_actor(), web.current_now()
    texts = {"title": form.title.data or "", "summary": form.summary.data or ""}
    source = form.source.data or EMPTY
    starts_on = _starts_on(form)
    if source.startswith(COPY):
        copied = next((one for one in known if f"{COPY}{one.id}" == source), None)
        if copied is None:
            raise InvalidInput(_("Bitte wählen Sie etwas aus der Liste."), field="source")
        return operations.copy_process(session, actor, copied, now, starts_on=starts_on, **texts)
    if source != EMPTY:
        return operations.create_from_template(session, actor, municipality, now, key=source, starts_on=starts_on, **texts)
    return operations.create_process(session, actor, municipality, now, **texts)


def _starts_on(form: NewProcessForm) -> date:
    """The first day, tomorrow unless said otherwise. Raises InvalidInput."""
    found: date = form.starts_on.data or clock.to_berlin(web.current_now() + timedelta(days=1)).date()
    if not operations.FIRST_YEAR <= found.year <= operations.LAST_YEAR - 2:
        raise InvalidInput(_("Bitte prüfen Sie das Jahr."), field="starts_on")
    return found


@blueprint.route("/verwaltung/verfahren/<int:process_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit(process_id: int) -> ResponseReturnValue:
    """What the process says of itself; preview without saving."""
    process = load_for_editing(process_id)
    form = ProcessForm(obj=process)
    current = history.fingerprint(process)
    if request.method == "GET":
        return _edit_page(process, form, seen=current)
    # Where nothing was sent in this field, the form holds what the process has.
    file = form.picture.data if isinstance(form.picture.data, FileStorage) else None
    if "preview" in request.form:
        return _edit_page(process, form, seen=web.seen_by_form(current), picture_is_lost=bool(file), preview=_preview(form))
    settings = web.current_settings()
    checks = Checks()
    try:
        refuse_overwriting(process, current)
        with checks:
            operations.edit_process(
                web.current_session(), web.current_actor(), process, web.current_now(), title=form.title.data or "",
                slug=form.slug.data or "", summary=form.summary.data or "", body=form.body.data or "",
                theme_label=form.theme_label.data or "", contact=form.contact.data or "",
                faq=form.faq.data or "", attribution=form.attribution.data or "", picture_alt=form.picture_alt.data or "",
                has_new_picture=bool(file),
            )
        if file and checks.found:
            with checks:
                check_picture(file.stream, settings.max_upload_bytes)
        checks.done()
        if file:
            operations.set_picture(
                web.current_session(), web.current_actor(), process, file.stream, settings.upload_dir,
                settings.max_upload_bytes, web.current_now(),
            )
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        is_lost = bool(file) and not form.picture.errors
        return _edit_page(process, form, seen=web.seen_by_form(current, error), picture_is_lost=is_lost), web.status_of(error)
    flash(_("Gespeichert."), "success")
    return web.go("processes.edit", process_id=process.id)


def _preview(form: ProcessForm) -> dict[str, Any]:
    """The texts as they would be read."""
    clean = {name: text.clean_text(form[name].data or "") for name in ("summary", "body", "contact")}
    return {**clean, "questions": text.questions(text.clean_text(form.faq.data or ""))}


def _edit_page(process: Process, form: ProcessForm, **context: Any) -> str:  # noqa: ANN401 - as render_template
    now = web.current_now()
    found = plausibility.publish_hints(web.current_session(), process, now,
                                       has_provider=bool(web.current_settings().oidc_issuer))
    return render_page(
        "processes/edit.html", process, form=form, **{"preview": None, "picture_is_lost": False, "seen": history.fingerprint(process), **context},
        problems=[_(problem) for problem in plausibility.publish_problems(process, now)],
        hints=[(_(hint.message, title=_(hint.title), other=hint.other) if hint.title else _(hint.message), _place(hint, process))
               for hint in found],
    )


def _place(hint: plausibility.Hint, process: Process) -> str:
    """Where a hint is mended; a page that is not theirs to change is shown as everybody sees it."""
    if hint.endpoint == "municipalities.edit_page" and not web.can(Action.EDIT_MUNICIPALITY, process.municipality):
        return f"/{hint.values['kind']}"
    mine: dict[str, Any] = {} if hint.endpoint.startswith("municipalities.") else {"process_id": process.id}
    return url_for(hint.endpoint, _anchor=hint.anchor or None, **{**mine, **hint.values})


@blueprint.post("/verwaltung/verfahren/<int:process_id>/loeschen")
@web.allows(Action.EDIT_PROCESS)
def delete(process_id: int) -> ResponseReturnValue:
    """Drop a draft that nobody else has seen; the first post asks, the second does."""
    process = load_for_editing(process_id)
    if request.form.get("confirmed") != "yes":
        return render_page("processes/delete.html", process)
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


@blueprint.post("/verwaltung/verfahren/<int:process_id>/bild/entfernen")
@web.allows(Action.EDIT_PROCESS)
def drop_picture(process_id: int) -> ResponseReturnValue:
    """Show the drawing again."""
    process = load_for_editing(process_id)
    operations.remove_picture(web.current_session(), web.current_actor(), process, web.current_now())
    flash(_("Das Bild ist entfernt. Unter „Verlauf“ können Sie es zurückholen."), "success")
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
    try:
        operations.archive_process(web.current_session(), web.current_actor(), process, web.current_now())
    except Conflict as error:
        flash(web.translated(error), "error")
        return _edit_page(process, ProcessForm(formdata=None, obj=process)), error.status
    flash(_("Das Verfahren ist im Archiv. Alles bleibt lesbar, nichts kann mehr dazukommen."), "success")
    return web.go("processes.edit", process_id=process.id)


@blueprint.post("/verwaltung/verfahren/<int:process_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move(process_id: int) -> ResponseReturnValue:
    """Earlier or later on the home page."""
    process = load_for_editing(process_id)
    web.require(Action.EDIT_PROCESS, web.the_municipality())
    operations.move_process(web.current_session(), web.current_actor(), process, wanted_step(), web.current_now())
    return web.go("processes.manage")
