"""Loads the process that an address names, for views of every feature."""

from __future__ import annotations

from flask import g

from participation import web
from participation.actions import Action
from participation.errors import NotAllowed, NotFound
from participation.processes.models import Process
from participation.processes.queries import process_by_slug


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
