"""Who may do what: every role, every action, before, during and after the phase."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from participation import clock
from participation.actions import Action
from participation.contributions.models import ContributionState
from participation.errors import Conflict, NotAllowed, SecondFactorNeeded, SignInNeeded, VerificationNeeded
from participation.formats import (
    FORMATS,
    CollectSettings,
    PicturesFrom,
    Verification,
    read_settings,
    store_settings,
)
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


CODE, RESIDENT = Verification.LETTER, Verification.RESIDENCE


@pytest.mark.parametrize(("settings", "may"), [
    # (settings, what a guest, an account, one with a code may: submit, comment, support, attach pictures)
    ({}, ("s--p", "scup", "scup")),
    ({"guests_may_submit": False}, ("---p", "scup", "scup")),
    ({"guest_comments": True}, ("sc-p", "scup", "scup")),
    ({"verification": CODE}, ("---p", "-cup", "scup")),
    ({"comment_verification": CODE}, ("s--p", "s-up", "scup")),
    ({"comment_verification": CODE, "guest_comments": True}, ("s--p", "s-up", "scup")),
    ({"support_verification": CODE}, ("s--p", "sc-p", "scup")),
    ({"support_verification": RESIDENT}, ("s--p", "sc-p", "sc-p")),
    ({"verification": RESIDENT, "comment_verification": CODE}, ("---p", "--up", "-cup")),
    ({"pictures": PicturesFrom.ACCOUNT}, ("s---", "scup", "scup")),
    ({"pictures": PicturesFrom.NOBODY}, ("s---", "scu-", "scu-")),
    ({"comments_open": False, "supports_open": False}, ("s--p", "s--p", "s--p")),
])
def test_collecting_asks_for_each_action_what_its_phase_says(
    session: Session, settings: dict[str, Any], may: tuple[str, str, str],
) -> None:
    process = factories.process(session, phases=[factories.phase("collect", settings=CollectSettings(**settings))])
    proposal = factories.proposal(session, process)
    resident, now = factories.actor(factories.account(session)), clock.now()
    shown = replace(resident, verifications=frozenset({(CODE, process.municipality_id)}))
    asked = ((Action.SUBMIT_PROPOSAL, process), (Action.COMMENT, proposal), (Action.SUPPORT, proposal),
             (Action.ATTACH_PICTURES, process))
    found = tuple(
        "".join(letter if can(actor, action, target, now) else "-"
                for letter, (action, target) in zip("scup", asked, strict=True))
        for actor in (Actor(guest_token="abc"), resident, shown))
    assert found == may


def test_what_is_missing_is_named_for_the_action(session: Session) -> None:
    settings = CollectSettings(comment_verification=CODE, support_verification=RESIDENT)
    process = factories.process(session, phases=[factories.phase("collect", settings=settings)])
    proposal = factories.proposal(session, process)
    resident, now = factories.actor(factories.account(session)), clock.now()
    with pytest.raises(VerificationNeeded, match="Zum Kommentieren brauchen Sie hier den Code"):
        require(resident, Action.COMMENT, proposal, now)
    with pytest.raises(VerificationNeeded, match="Zum Unterstützen muss hier die Verwaltung"):
        require(resident, Action.SUPPORT, proposal, now)


def test_phases_stored_before_keep_their_meaning() -> None:
    old = {"verification": "letter", "pictures_allowed": False, "comments_open": True}
    settings = read_settings("collect", old)
    assert settings == CollectSettings(verification=CODE, comment_verification=CODE, support_verification=CODE,
                                       pictures=PicturesFrom.NOBODY)
    assert read_settings("collect", store_settings(settings)) == settings
    assert read_settings("collect", {}) == CollectSettings()
