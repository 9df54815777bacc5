"""The documents of a process."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from sqlalchemy import func, select

from participation.errors import Checks, InvalidInput
from participation.i18n import N_
from participation.permissions import Actor
from participation.processes.history import begin_change, changed, forget_variants
from participation.processes.models import Process, ProcessDocument
from participation.processes.operations.common import DOCUMENTS_MAX, TITLE_MAX, checked_line, move_row
from participation.uploads import check_document, store_document

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def add_document(
    session: Session,
    actor: Actor,
    process: Process,
    now: datetime,
    *,
    title: str,
    stream: IO[bytes],
    file_name: str,
    folder: Path,
    limit: int,
) -> ProcessDocument:
    """Put a document up (`limit` in bytes). Raises InvalidInput (fields "title", "document")."""
    begin_change(session, actor, process, now)
    checks = Checks()
    with checks:
        name = _checked_title(title)
    if checks.found:
        with checks:
            check_document(stream, file_name, limit)
    checks.done()
    number = session.scalar(select(func.count(ProcessDocument.id)).where(ProcessDocument.process_id == process.id)) or 0
    if number >= DOCUMENTS_MAX:
        raise InvalidInput(
            N_("Mehr als %(limit)s Dokumente sind nicht möglich."), field="document", limit=DOCUMENTS_MAX
        )
    upload = store_document(session, folder, process.municipality_id, stream, file_name, limit)
    document = ProcessDocument(process_id=process.id, upload=upload, title=name, position=number)
    session.add(document)
    session.flush()
    changed(session, actor, process, now, "document_added", document=document.id)
    return document


def rename_document(
    session: Session, actor: Actor, process: Process, document: ProcessDocument, now: datetime, *, title: str
) -> None:
    """Change how it is called; file and address stay. Raises InvalidInput (field "title")."""
    begin_change(session, actor, process, now)
    document.title = _checked_title(title)
    changed(session, actor, process, now, "document_renamed", document=document.id)


def move_document(session: Session, actor: Actor, process: Process, document: ProcessDocument, step: int, now: datetime) -> None:
    """Let it stand earlier (step -1) or later (+1)."""
    begin_change(session, actor, process, now)
    move_row(process.documents, document, step)
    changed(session, actor, process, now, "document_moved", document=document.id)


def _checked_title(raw: str) -> str:
    return checked_line(raw, "title", TITLE_MAX, N_("Bitte geben Sie an, wie das Dokument heißt."))


def delete_document(
    session: Session, actor: Actor, process: Process, document: ProcessDocument, now: datetime
) -> None:
    """Take a document down; its address answers 404 from the next request on."""
    begin_change(session, actor, process, now)
    number = document.id
    forget_variants(session, process, "document", number)
    session.delete(document)
    changed(session, actor, process, now, "document_deleted", document=number)
