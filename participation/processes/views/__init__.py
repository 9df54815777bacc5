"""What residents read of processes (pages), and where editors change them (staff)."""

from __future__ import annotations

from participation.processes import jobs  # noqa: F401 - registers itself
from participation.processes.views import fields, staff  # noqa: F401 - their routes join the blueprint
from participation.processes.views.pages import HOLES, blueprint

__all__ = ["HOLES", "blueprint"]
