"""Loading a proposal for a view: only what the reader may see, and nothing personal into the page cache."""

from __future__ import annotations

from typing import Any, TypeVar

from flask import g, request
from sqlalchemy import inspect, select
from sqlalchemy.orm import joinedload
from sqlalchemy.orm.attributes import set_committed_value

from participation import web
from participation.accounts.models import Participant
from participation.actions import Action
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.operations import mark_own
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import STANDING_ROW, standing_of
from participation.errors import NotFound
from participation.municipalities.queries import municipality_id_for_host
from participation.processes.edge import kept_rules, load_process

Row = TypeVar("Row", Proposal, Participant)
# Larger numbers do not fit into the column; PostgreSQL would refuse the query instead of finding nothing.
LARGEST_ID = 2**31 - 1


def load_proposal(slug: str, proposal_id: int) -> Proposal:
    """The proposal of a process, with author, theme and district; `is_own` is set when it is not published.

    What is published is the same for everybody, so the actor is asked only otherwise; such a page is kept out of the
    page cache. Raises NotFound for whoever may not see it: that it exists is nobody's business either.
    """
    process = load_process(slug)
    if proposal_id > LARGEST_ID:
        raise NotFound
    session = web.current_session()
    proposal = session.scalar(
        select(Proposal)
        .where(Proposal.id == proposal_id, Contribution.process_id == process.id)
        .options(joinedload(Proposal.participant), joinedload(Proposal.district), joinedload(Proposal.theme))
    )
    if proposal is None:
        raise NotFound
    set_committed_value(proposal, "process", process)
    if not (proposal.is_published and process.is_visible):
        web.do_not_cache()
    _require_visible(proposal)
    g.standing = (slug, proposal_id, proposal)
    return proposal


def load_standing(slug: str, proposal_id: int, *, in_session: bool = False) -> Contribution:
    """The same proposal for those who only ask what is possible with it: buttons, votes, personal parts of pages.

    One query, and none when the page itself has just loaded them. `in_session` for whoever changes rows that refer to
    it; otherwise it may be a copy. Raises NotFound as `load_proposal`.
    """
    known = g.get("standing")
    if known is not None and known[:2] == (slug, proposal_id) and not inspect(known[2]).expired and not (
            in_session and inspect(known[2]).session is None):
        found: Contribution = known[2]
        return found
    require_storable(slug, proposal_id)
    contribution: Contribution | None = None if in_session else _standing_by_kept_rules(slug, proposal_id)
    if contribution is None:
        contribution = standing_of(web.current_session(), municipality_id(), slug, proposal_id, "proposal")
        if contribution is None:
            raise NotFound
        _require_visible(contribution)
    g.standing = (slug, proposal_id, contribution)
    return contribution


def _standing_by_kept_rules(slug: str, proposal_id: int) -> Proposal | None:
    """A copy of the row that belongs to no session, with the rules of its process as the content version says they are now.

    A third of what loading both costs otherwise. None where that is not enough: not public, or written by several.
    """
    if not web.platform().page_cache.enabled:
        return None
    here = municipality_id()
    rows = web.glance(STANDING_ROW, {"contribution_id": proposal_id})
    return _by_kept_rules(here, slug, rows[0]._asdict()) if rows else None


def keep_standing(slug: str, proposal_id: int, values: dict[str, Any]) -> bool:
    """Whoever read the columns of STANDING_ROW together with something else leaves them for `load_standing`.

    Returns whether they are enough, see `_standing_by_kept_rules`.
    """
    contribution = _by_kept_rules(municipality_id(), slug, values)
    if contribution is not None:
        g.standing = (slug, proposal_id, contribution)
    return contribution is not None


def _by_kept_rules(here: int, slug: str, values: dict[str, Any]) -> Proposal | None:
    if values["state"] is not ContributionState.PUBLISHED or values["co_author_count"]:
        return None
    person_hash, owner_id, version = (values.pop(name) for name in ("person_hash", "municipality_id", "content_version"))
    process = kept_rules(owner_id, slug, version) if owner_id == here else None
    if process is None or not process.is_visible or (values["kind"], values["process_id"]) != ("proposal", process.id):
        return None
    author = _copy(Participant, {"id": values["participant_id"], "person_hash": person_hash})
    return _copy(Proposal, values | {"process": process, "participant": author})


def _copy(kind: type[Row], values: dict[str, Any]) -> Row:
    """A row that belongs to no session, without its constructor, which would take most of the time.

    What was not read raises an error when it is asked for, instead of being taken for empty.
    """
    mapper = inspect(kind)
    found: Row = mapper.class_manager.new_instance()
    found.__dict__.update(values)
    state = inspect(found)
    state.key = mapper.identity_key_from_primary_key((values["id"],))
    state.expired_attributes.update(mapper.attrs.keys() - values.keys())
    return found


def require_storable(slug: str, *ids: int) -> None:
    """Refuse what no row can have: PostgreSQL would not look for it but fail. Raises NotFound."""
    if "\0" in slug or any(number > LARGEST_ID for number in ids):
        raise NotFound


def municipality_id() -> int:
    """The id of this request's municipality, without loading the rest of it. A page from the cache knows it."""
    page = g.get("shared_page")
    if page is not None:
        return int(page.municipality_id)
    found = municipality_id_for_host(web.current_database(), request.host.split(":")[0].lower())
    if found is None:
        raise NotFound
    return found


def _require_visible(contribution: Contribution) -> None:
    if contribution.is_published and contribution.process.is_visible:
        return
    if isinstance(contribution, Proposal) and contribution.withdrawal_reason and contribution.process.is_visible:
        # Its author left word why it went.
        return
    actor = web.current_actor()
    if actor.identity is not None:
        mark_own(web.current_keyring(), actor, contribution)
    if not web.can(Action.SEE_CONTRIBUTION, contribution):
        raise NotFound
