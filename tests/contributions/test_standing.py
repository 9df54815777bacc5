"""A proposal as rules ask for it: what was not read is an error, never "nothing"."""

from __future__ import annotations

import pytest
from sqlalchemy.orm.exc import DetachedInstanceError

from participation.contributions.models import ContributionState
from participation.contributions.proposals.edge import _copy
from participation.contributions.proposals.models import Proposal


@pytest.mark.parametrize("name", ["body", "title", "edited_at", "theme", "district", "pictures", "revisions"])
def test_what_was_not_read_of_a_proposal_raises(name: str) -> None:
    found = _copy(Proposal, {"id": 7, "state": ContributionState.PUBLISHED, "support_count": 3})
    assert (found.id, found.is_published, found.support_count) == (7, True, 3)
    for _ in range(2):
        with pytest.raises(DetachedInstanceError):
            getattr(found, name)
