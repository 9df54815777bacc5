"""What happens to proposals, by idea: content, submitting, revising, answering, searching, counting."""

from __future__ import annotations

from participation.contributions.proposals.operations import counting  # noqa: F401 - it registers how they are counted
