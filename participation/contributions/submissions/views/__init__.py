"""Handing in a proposal, the receipt that finds it again, and revising what was returned."""

from __future__ import annotations

from participation.contributions.submissions import jobs  # noqa: F401 - registers itself
from participation.contributions.submissions.views import handing_in  # noqa: F401 - its routes join the blueprint
from participation.contributions.submissions.views.changing import remove_after_commit
from participation.contributions.submissions.views.page import blueprint
from participation.contributions.submissions.views.receipts import contribution_of_token

__all__ = ["blueprint", "contribution_of_token", "remove_after_commit"]
