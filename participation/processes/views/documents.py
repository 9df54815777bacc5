"""Where editors change the documents of a process."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from flask import flash, request
from flask_babel import gettext as _

from participation import web
from participation.actions import Action
from participation.errors import Conflict, InvalidInput, NotFound
from participation.processes import history, operations
from participation.processes.forms import DocumentForm, DocumentTitleForm
from participation.processes.models import Process, ProcessDocument
from participation.processes.queries import documents_of
from participation.processes.views.pages import blueprint
from participation.processes.views.staff import (
    load_for_editing,
    refuse_overwriting,
    render_page,
    wanted_step,
)
from participation.sent_forms import sent_once

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.route("/verwaltung/verfahren/<int:process_id>/dokumente", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
@sent_once
def documents(process_id: int) -> ResponseReturnValue:
    """The documents, and one more."""
    process = load_for_editing(process_id)
    form = DocumentForm()
    rows = web.current_session().scalars(documents_of(process.id)).all()
    if request.method == "GET":
        return _documents_page(process, form=form, documents=rows, item=None)
    settings = web.current_settings()
    file = form.document.data
    try:
        operations.add_document(
            web.current_session(), web.current_actor(), process, web.current_now(), title=form.title.data or "",
            stream=file.stream if file else io.BytesIO(), file_name=(file.filename or "") if file else "",
            folder=settings.upload_dir, limit=settings.max_document_bytes,
        )
    except InvalidInput as error:
        web.attach(form, error)
        return _documents_page(process, form=form, documents=rows, item=None), 422
    flash(_("Das Dokument ist hochgeladen."), "success")
    return web.go("processes.documents", process_id=process.id)


def _documents_page(process: Process, **context: Any) -> str:  # noqa: ANN401 - as render_page
    megabytes = web.current_settings().max_document_bytes // (1024 * 1024)
    return render_page("processes/documents.html", process, megabytes=megabytes, **context)


def _document(process: Process, document_id: int) -> ProcessDocument:
    rows = web.current_session().scalars(documents_of(process.id))
    found = next((one for one in rows if one.id == document_id), None)
    if found is None:
        raise NotFound
    return found


@blueprint.route("/verwaltung/verfahren/<int:process_id>/dokumente/<int:document_id>", methods=["GET", "POST"])
@web.allows(Action.EDIT_PROCESS)
def edit_document(process_id: int, document_id: int) -> ResponseReturnValue:
    """Call a document something else."""
    process = load_for_editing(process_id)
    document = _document(process, document_id)
    form = DocumentTitleForm(data={"title": document.title})
    current, status = history.fingerprint(document), 200
    seen = web.seen_by_form(current)
    if request.method == "POST":
        status = 422
        if form.validate():
            try:
                refuse_overwriting(process, current)
                operations.rename_document(web.current_session(), web.current_actor(), process, document,
                                           web.current_now(), title=form.title.data or "")
            except (InvalidInput, Conflict) as error:
                web.attach(form, error)
                seen, status = web.seen_by_form(current, error), web.status_of(error)
            else:
                flash(_("Die Bezeichnung ist geändert."), "success")
                return web.go("processes.documents", process_id=process.id)
    rows = web.current_session().scalars(documents_of(process.id)).all()
    return _documents_page(process, form=form, documents=rows, item=document, seen=seen), status


@blueprint.post("/verwaltung/verfahren/<int:process_id>/dokumente/<int:document_id>/verschieben")
@web.allows(Action.EDIT_PROCESS)
def move_document(process_id: int, document_id: int) -> ResponseReturnValue:
    """Earlier or later."""
    process = load_for_editing(process_id)
    operations.move_document(web.current_session(), web.current_actor(), process, _document(process, document_id),
                             wanted_step(), web.current_now())
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
