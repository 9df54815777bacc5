"""Who may do what: every role, every action, before, during and after the phase."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from participation import clock
from participation.actions import Action
from participation.contributions.models import ContributionState
from participation.errors import Conflict, NotAllowed, SecondFactorNeeded, SignInNeeded
from participation.formats import FORMATS
from participation.permissions import ANONYMOUS, RULES, Actor, Role, can, require
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

PHASE_BOUND = {Action.SUBMIT_PROPOSAL, Action.COMMENT, Action.SUPPORT}
STAFF_ONLY = {
    Action.ENTER_STAFF_ROOM: set(Role),
    Action.MODERATE: {Role.MODERATOR, Role.ADMIN},
    Action.CREATE_PROCESS: {Role.EDITOR, Role.ADMIN},
    Action.EDIT_PROCESS: {Role.EDITOR, Role.ADMIN},
    Action.ANSWER_PROPOSAL: {Role.EDITOR, Role.PLANNER, Role.ADMIN},
    Action.MANAGE_CATALOGUE: {Role.PLANNER, Role.ADMIN},
    Action.VERIFY_RESIDENTS: {Role.EDITOR, Role.ADMIN},
    Action.GIVE_ROLES: {Role.EDITOR, Role.ADMIN},
    Action.MANAGE_JOBS: {Role.ADMIN},
    Action.MANAGE_ACCOUNTS: {Role.ADMIN},
    Action.EDIT_MUNICIPALITY: {Role.ADMIN},
}


def test_every_action_is_in_the_table() -> None:
    assert set(RULES) == set(Action)


def test_every_format_opens_known_actions_and_reads_its_own_settings() -> None:
    for entry in FORMATS.values():
        assert entry.opened_actions(entry.settings()) <= entry.opens <= set(Action)


def test_staff_actions_need_role_scope_and_second_factor(session: Session) -> None:
    process = factories.process(session)
    elsewhere = factories.process(session)
    now = clock.now()
    for role in Role:
        row = factories.account(session, role, on=process)
        with_factor, without = factories.actor(row), factories.actor(row, second_factor=False)
        for action, roles in STAFF_ONLY.items():
            assert can(with_factor, action, process, now) == (role in roles), (role, action)
            assert not can(with_factor, action, elsewhere, now), (role, action)
            assert not can(without, action, process, now)
            if role in roles:
                with pytest.raises(SecondFactorNeeded):
                    require(without, action, process, now)
    for action in STAFF_ONLY:
        assert not can(ANONYMOUS, action, process, now)
        assert not can(factories.actor(factories.account(session)), action, process, now)


def test_roles_of_the_kreis_hold_in_its_towns_and_not_the_other_way(session: Session) -> None:
    kreis = factories.municipality(session)
    town = factories.municipality(session, parent_id=kreis.id)
    process = factories.process(session, town)
    now = clock.now()
    assert can(factories.actor(factories.account(session, Role.EDITOR, town=kreis)), Action.EDIT_PROCESS, process, now)
    assert not can(
        factories.actor(factories.account(session, Role.EDITOR, town=town)),
        Action.EDIT_PROCESS,
        factories.process(session, kreis),
        now,
    )


@pytest.mark.parametrize("action", sorted(PHASE_BOUND, key=lambda one: one.name))
def test_taking_part_depends_on_the_phase(session: Session, action: Action) -> None:
    process = factories.process(session, phases=[factories.phase("collect", opens=0, closes=10)])
    target = process if action is Action.SUBMIT_PROPOSAL else factories.proposal(session, process)
    resident = factories.actor(factories.account(session))
    start = process.phases[0].starts_at
    assert start is not None
    assert not can(resident, action, target, start - timedelta(seconds=1))
    assert can(resident, action, target, start)
    assert can(resident, action, target, start + timedelta(days=10) - timedelta(seconds=1))
    with pytest.raises(Conflict, match="Phase beendet"):
        require(resident, action, target, start + timedelta(days=10))


def test_guests_may_submit_where_the_phase_says_so_but_neither_vote_nor_comment(session: Session) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process)
    guest, now = Actor(guest_token="abc"), clock.now()
    assert can(guest, Action.SUBMIT_PROPOSAL, process, now)
    process.phases[0].stored_settings = {**process.phases[0].stored_settings, "guests_may_submit": False}
    for action, target in ((Action.SUBMIT_PROPOSAL, process), (Action.SUPPORT, proposal), (Action.COMMENT, proposal)):
        with pytest.raises(SignInNeeded):
            require(guest, action, target, now)


def test_an_unconfirmed_address_may_not_take_part_with_its_account(session: Session) -> None:
    proposal = factories.proposal(session, factories.process(session))
    new = factories.actor(factories.account(session, email_confirmed_at=None))
    with pytest.raises(NotAllowed, match="E-Mail-Adresse"):
        require(new, Action.SUPPORT, proposal, clock.now())


def test_hidden_contributions_are_seen_by_author_and_moderators_only(session: Session) -> None:
    process = factories.process(session)
    proposal = factories.proposal(session, process, state=ContributionState.SUBMITTED)
    now = clock.now()
    resident = factories.actor(factories.account(session))
    assert not can(resident, Action.SEE_CONTRIBUTION, proposal, now)
    assert can(
        factories.actor(factories.account(session, Role.MODERATOR, on=process)), Action.SEE_CONTRIBUTION, proposal, now
    )
    proposal.is_own = True
    assert can(resident, Action.SEE_CONTRIBUTION, proposal, now)
