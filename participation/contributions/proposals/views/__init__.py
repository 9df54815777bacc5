"""What everybody reads of proposals (lists, detail, maps), and what the administration does there (staff)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from participation.contributions.proposals import jobs  # noqa: F401 - registers itself
from participation.contributions.proposals.views import maps  # noqa: F401 - its routes join the blueprint
from participation.contributions.proposals.views.detail import own_actions
from participation.contributions.proposals.views.lists import blueprint
from participation.contributions.proposals.views.staff import answer_link, field_answers, hide_comment

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS: dict[str, Callable[..., str]] = {"field_answers": field_answers}
HOLES: dict[str, Callable[..., Any]] = {
    "answer_link": answer_link, "own_actions": own_actions, "hide_comment": hide_comment,
}

__all__ = ["HOLES", "PARTS", "blueprint"]
