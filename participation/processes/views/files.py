"""Files of a process: its picture, its documents, its dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, request, send_file, url_for
from flask_babel import gettext as _

from participation import web
from participation.errors import NotFound
from participation.processes.edge import load_process
from participation.processes.export import calendar
from participation.processes.models import Process, ProcessDocument
from participation.processes.queries import (
    LARGEST_ID,
    documents_of,
)
from participation.processes.views.pages import blueprint, process_of_preview_link
from participation.uploads import SIZES, Upload, document_path, picture_path

if TYPE_CHECKING:
    from pathlib import Path

    from flask.typing import ResponseReturnValue

FILE_SECONDS = 3600


@blueprint.get("/vorschau/<token>/bild")
@web.public
@web.limiter.limit("600 per hour", deduct_when=web.was_refused)
def preview_picture(token: str) -> ResponseReturnValue:
    """The picture of a draft, for whoever was given the link."""
    return _picture(process_of_preview_link(token), "large")


@blueprint.get("/vorschau/<token>/dokumente/<int:document_id>")
@web.public
@web.limiter.limit("600 per hour", deduct_when=web.was_refused)
def preview_document(token: str, document_id: int) -> ResponseReturnValue:
    """A document of a draft, for whoever was given the link."""
    return _document(process_of_preview_link(token), document_id)


@blueprint.get("/verfahren/<slug>/termine.ics")
@web.public
def dates(slug: str) -> ResponseReturnValue:
    """The dates of a process for one's own calendar."""
    process = load_process(slug)
    address = url_for("processes.show", slug=slug, _external=True)
    host = request.host.split(":")[0]
    response = Response(calendar(process, address, host, web.current_now(), _), content_type="text/calendar; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{process.slug}.ics"'
    return response


@blueprint.get("/verfahren/<slug>/bild/<any(small,large):size>")
@web.public
def picture(slug: str, size: str) -> ResponseReturnValue:
    """The picture of a process."""
    return _picture(load_process(slug), size)


def _picture(process: Process, size: str) -> ResponseReturnValue:
    upload = web.current_session().get(Upload, process.picture_id or 0)
    if upload is None or size not in SIZES:
        raise NotFound
    return _file(picture_path(web.current_settings().upload_dir, upload.name, size), upload, process)


@blueprint.get("/verfahren/<slug>/dokumente/<int:document_id>")
@web.public
def document(slug: str, document_id: int) -> ResponseReturnValue:
    """A document to download, under the name it came with."""
    return _document(load_process(slug), document_id)


def _document(process: Process, document_id: int) -> ResponseReturnValue:
    if document_id > LARGEST_ID:
        raise NotFound
    row = web.current_session().scalar(documents_of(process.id).where(ProcessDocument.id == document_id))
    if row is None:
        raise NotFound
    path = document_path(web.current_settings().upload_dir, row.upload.name)
    return _file(path, row.upload, process, download_name=row.upload.shown_name)


def _file(path: Path, upload: Upload, process: Process, download_name: str | None = None) -> ResponseReturnValue:
    """Send a stored file; what belongs to a draft stays out of every cache."""
    if not path.exists():
        raise NotFound
    response = send_file(
        # The charset of a text is added there once more.
        path, mimetype=upload.media_type.partition(";")[0], as_attachment=download_name is not None, download_name=download_name,
        max_age=FILE_SECONDS,
    )
    if not process.is_visible:
        response.headers["Cache-Control"] = "no-store"
    return response
