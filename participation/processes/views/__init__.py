"""What residents read of processes (pages), and where editors change them (the others, on what staff gives)."""

from __future__ import annotations

from participation.processes import jobs  # noqa: F401 - registers itself
from participation.processes.views import (  # noqa: F401 - their routes join the blueprint
    documents,
    editing,
    fields,
    files,
    phases,
    poster,
    texts,
    themes,
    versions,
)
from participation.processes.views.pages import HOLES, blueprint
from participation.processes.views.reasons import PARTS

__all__ = ["HOLES", "PARTS", "blueprint"]
