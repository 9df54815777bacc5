"""Loads the process that an address names, for views of every feature."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import g, request

from participation import web
from participation.actions import Action
from participation.errors import NotAllowed, NotFound
from participation.language import DEFAULT, EASY, VARIANTS
from participation.processes.models import Process
from participation.processes.queries import process_by_slug, variants_of

if TYPE_CHECKING:
    from participation.processes.models import Phase, Theme


def load_process(slug: str) -> Process:
    """The process of this municipality, if the reader may see it.

    Raises NotFound also where it exists but is a draft: its address must not tell that it is planned.
    """
    municipality = web.the_municipality()
    # Holes of a page ask again for what the page itself has loaded.
    loaded: dict[str, Process] = g.setdefault("processes", {})
    process = loaded.get(slug) or process_by_slug(web.current_session(), municipality.id, slug)
    if process is None:
        raise NotFound
    loaded[slug] = process
    if not process.is_visible:
        web.do_not_cache()
        try:
            web.require(Action.SEE_PROCESS, process)
        except NotAllowed as error:
            raise NotFound from error
    return process


class Translated(str):
    """A text that is in the reader's language; whatever else stands on a page of another language is German."""

    __slots__ = ("language",)
    language: str


class Shown:
    """A row as a reader sees it: its texts in their language where there are such, everything else as it is."""

    def __init__(self, row: Process | Phase | Theme, texts: dict[str, str], **more: Any) -> None:  # noqa: ANN401 - attributes
        """`texts` by name of column."""
        self._row = row
        self.__dict__.update(texts | more)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any attribute of the row
        """What has no variant."""
        return getattr(self._row, name)


def shown_process(process: Process) -> tuple[Any, bool, bool]:
    """The process in the reader's language; whether that is Leichte Sprache, and whether there is such a version.

    ?sprache=de-x-ls asks for it. One query, whatever the process holds.
    """
    wanted = EASY if request.args.get("sprache") == EASY else web.language()
    rows = web.current_session().scalars(variants_of(process.id, wanted)).all()
    has_easy = any(row.language == EASY for row in rows)
    texts: dict[tuple[str, int], dict[str, str]] = {}
    for row in rows:
        if row.language == wanted:
            found = Translated(row.text)
            found.language = DEFAULT if wanted == EASY else wanted
            texts.setdefault((row.entity, row.entity_id), {})[row.field] = found
    if wanted not in VARIANTS or not texts:
        return process, False, has_easy
    phases = [Shown(one, texts.get(("phase", one.id), {})) for one in process.phases]
    themes = [Shown(one, texts.get(("theme", one.id), {})) for one in process.themes]
    shown = Shown(process, texts.get(("process", process.id), {}), phases=phases, themes=themes)
    return shown, wanted == EASY, has_easy
