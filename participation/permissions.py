"""Who may do what: one table on one page.

Rules are plain functions of actor, target and time. RULES says, per action, which of them allow it: one is enough.
Operations `require`, so that neither the command line nor a job can pass by; templates ask the same `can`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from participation.actions import Action
from participation.errors import Conflict, NotAllowed, SecondFactorNeeded, SignInNeeded, VerificationNeeded
from participation.formats import SATISFIED_BY, CollectSettings, PhaseSettings, PicturesFrom, Verification
from participation.i18n import N_


class Role(enum.Enum):
    """What staff may be, for a whole municipality or for one process of it."""

    ADMIN = "admin"
    EDITOR = "editor"
    MODERATOR = "moderator"
    PLANNER = "planner"


ROLE_LABELS = {
    Role.ADMIN: N_("Administration"),
    Role.EDITOR: N_("Redaktion"),
    Role.MODERATOR: N_("Moderation"),
    Role.PLANNER: N_("Planung"),
}
ROLE_DUTIES = {
    Role.ADMIN: N_("darf alles und gibt anderen ihre Rollen"),
    Role.EDITOR: N_("schreibt die Texte und richtet Phasen ein"),
    Role.MODERATOR: N_("prüft Beiträge und Meldungen"),
    Role.PLANNER: N_("wertet aus, antwortet und schreibt den Maßnahmenkatalog"),
}


class OpenPhase(Protocol):
    """What rules ask of a phase."""

    @property
    def settings(self) -> PhaseSettings:
        """Its typed settings."""


class OpenProcess(Protocol):
    """What rules ask of a process. A protocol, so that this page stands below all features and every one may ask."""

    id: int
    municipality_id: int

    @property
    def is_visible(self) -> bool:
        """Whether residents can open it."""

    def phase_opening(self, action: Action, now: datetime) -> OpenPhase | None:
        """The first open phase that opens an action."""

    def phases_opening(self, action: Action, now: datetime) -> Sequence[OpenPhase]:
        """All of them."""

    def window_of(self, action: Action, now: datetime) -> tuple[bool, bool]:
        """Whether a phase that opens an action is over, and whether one is to come."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a target belongs to: its municipality with the Kreis above, and its process if it has one."""

    municipality_ids: frozenset[int]
    process: OpenProcess | None = None


NOWHERE = Scope(frozenset())


@dataclass(frozen=True, slots=True)
class RoleIn:
    """A role in one process, as something to give or to take."""

    role: Role
    process: OpenProcess


@dataclass(frozen=True, slots=True)
class Grant:
    """A role, for all of a municipality or for one process."""

    role: Role
    municipality_id: int
    process_id: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an account, a guest with a claim token in the browser, or a command of the installation."""

    account_id: int | None = None
    display_name: str = ""
    email: str = ""
    email_is_confirmed: bool = False
    grants: tuple[Grant, ...] = field(default=())
    second_factor_done: bool = False
    # The password alone was right, and the account asks for a code too.
    second_factor_awaited: bool = False
    guest_token: str | None = None
    is_system: bool = False
    # What the account has shown, and for which municipality; none means everywhere.
    verifications: frozenset[tuple[Verification, int | None]] = frozenset()

    @property
    def is_signed_in(self) -> bool:
        """Whether an account acts."""
        return self.account_id is not None

    @property
    def is_staff(self) -> bool:
        """Whether the account has any role, wherever."""
        return bool(self.grants)

    @property
    def identity(self) -> str | None:
        """What a person is recognised by within a process; hashed with a key before it is stored."""
        if self.account_id is not None:
            return f"account:{self.account_id}"
        return f"guest:{self.guest_token}" if self.guest_token else None

    @property
    def label(self) -> str:
        """How the audit log names the actor."""
        if self.is_system:
            return "command"
        return f"account:{self.account_id}" if self.account_id is not None else "guest"

    def has_role(self, roles: frozenset[Role], target: object) -> bool:
        """Whether a role covers the target: a process, anything of one, or a municipality (or its Kreis)."""
        scope = scope_of(target)
        for grant in self.grants:
            if grant.role not in roles:
                continue
            if target is None:
                return True
            if grant.municipality_id not in scope.municipality_ids:
                continue
            if grant.process_id is None or (scope.process is not None and grant.process_id == scope.process.id):
                return True
        return False


ANONYMOUS = Actor()
SYSTEM = Actor(is_system=True)


def scope_of(target: object) -> Scope:
    """What a target belongs to. Municipalities and processes say it; everything else names its process."""
    scope = getattr(target, "scope", None)
    if isinstance(scope, Scope):
        return scope
    process = getattr(target, "process", None)
    return scope_of(process) if process is not None else NOWHERE


def process_of(target: object) -> OpenProcess | None:
    """The process that a target is or belongs to; None for what belongs to none."""
    process: OpenProcess | None = getattr(target, "process", None)
    return process if process is not None else scope_of(target).process


Rule = Callable[[Actor, object, datetime], bool]
_STRICTEST_FIRST = (Verification.RESIDENCE, Verification.OIDC, Verification.LETTER, Verification.EMAIL)


def anybody(_actor: Actor, _target: object, _now: datetime) -> bool:
    """No condition."""
    return True


def signed_in(actor: Actor, _target: object, _now: datetime) -> bool:
    """An account whose e-mail address is confirmed."""
    return actor.is_signed_in and actor.email_is_confirmed


def process_is_visible(_actor: Actor, target: object, _now: datetime) -> bool:
    """The process is published or archived."""
    process = process_of(target)
    return process is not None and process.is_visible


def contribution_is_published(actor: Actor, target: object, now: datetime) -> bool:
    """The contribution is published in a visible process."""
    return bool(getattr(target, "is_published", False)) and process_is_visible(actor, target, now)


def author(actor: Actor, target: object, _now: datetime) -> bool:
    """The contribution is the actor's own; operations set `is_own` after comparing the keyed hash."""
    return bool(actor.identity) and bool(getattr(target, "is_own", False))


def co_author(actor: Actor, target: object, _now: datetime) -> bool:
    """Somebody whom the author invited to write along; operations set `is_shared`."""
    return bool(actor.identity) and bool(getattr(target, "is_shared", False))


def phase_for(action: Action, target: object, now: datetime) -> OpenPhase | None:
    """The open phase that opens an action: the target itself where it is a phase, else the first of its process."""
    if hasattr(target, "phase_for"):
        found: OpenPhase | None = target.phase_for(action, now)
        return found
    process = process_of(target)
    return process.phase_opening(action, now) if process else None


def phase_opens(action: Action) -> Rule:
    """An open phase of the target's process (or the target, where it is a phase itself) opens the action."""

    def rule(_actor: Actor, target: object, now: datetime) -> bool:
        return phase_for(action, target, now) is not None

    rule.__name__ = f"phase_opens_{action.name.lower()}"
    return rule


def guests_may_submit(actor: Actor, target: object, now: datetime) -> bool:
    """The open phase that collects proposals allows guests.

    No account of which nobody knows yet whose it is: what is done by it would be the address's owner's.
    """
    if actor.is_signed_in and not actor.email_is_confirmed:
        return False
    process = process_of(target)
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, now) if process else None
    return phase is not None and isinstance(phase.settings, CollectSettings) and phase.settings.admits_guests


def guests_may_comment(actor: Actor, target: object, now: datetime) -> bool:
    """The open phase that opens comments lets people write without an account; one that asks for a proof does not."""
    process = process_of(target)
    phase = process.phase_opening(Action.COMMENT, now) if process else None
    settings = phase.settings if phase else None
    asks = settings is not None and settings.verification_for(Action.COMMENT) is not Verification.NONE
    return not actor.is_signed_in and bool(getattr(settings, "guest_comments", False)) and not asks


def pictures_are_welcome(actor: Actor, target: object, now: datetime) -> bool:
    """The open phase that collects proposals takes pictures from this person."""
    phase = phase_for(Action.SUBMIT_PROPOSAL, target, now)
    wanted = phase.settings.pictures if phase and isinstance(phase.settings, CollectSettings) else PicturesFrom.NOBODY
    return wanted is PicturesFrom.EVERYBODY or (wanted is PicturesFrom.ACCOUNT and actor.is_signed_in)


def proofs_asked(action: Action, target: object, now: datetime) -> list[Verification]:
    """What everybody is asked for, the strictest first.

    A support counts in every phase that is open for it, so it needs the proof of each: one beside it that asks for less
    must not let anybody in.
    """
    process = process_of(target)
    if action is Action.SUPPORT and process is not None and not hasattr(target, "phase_for"):
        phases = process.phases_opening(action, now)
    else:
        phases = [phase for phase in (phase_for(action, target, now),) if phase is not None]
    asked = {phase.settings.verification_for(action) for phase in phases} - {Verification.NONE}
    return sorted(asked, key=_STRICTEST_FIRST.index)


def verification_missing(actor: Actor, action: Action, target: object, now: datetime) -> Verification | None:
    """What is asked for and the actor has not shown yet."""
    process = process_of(target)
    if process is None:
        return None
    for needed in proofs_asked(action, target, now):
        here = {(level, place) for level in SATISFIED_BY.get(needed, ()) for place in (process.municipality_id, None)}
        if not (actor.email_is_confirmed if needed is Verification.EMAIL else here & actor.verifications):
            return needed
    return None


def verified_for(action: Action) -> Rule:
    """The actor has shown what the open phase asks for."""

    def rule(actor: Actor, target: object, now: datetime) -> bool:
        return verification_missing(actor, action, target, now) is None

    rule.__name__ = f"verified_for_{action.name.lower()}"
    return rule


def staff(*roles: Role) -> Rule:
    """One of the roles (administration always included) for the target, with the second factor done."""
    wanted = frozenset({*roles, Role.ADMIN})

    def rule(actor: Actor, target: object, _now: datetime) -> bool:
        return actor.second_factor_done and actor.has_role(wanted, target)

    rule.__name__ = "staff_" + "_".join(sorted(role.value for role in wanted))
    rule.__dict__["roles"] = wanted
    return rule


def has_the_role(actor: Actor, target: object, _now: datetime) -> bool:
    """Nobody gives or takes what they do not have themselves; administration has everything."""
    role = getattr(target, "role", None)
    return role is None or actor.has_role(frozenset({role, Role.ADMIN}), target)


def system(actor: Actor, _target: object, _now: datetime) -> bool:
    """A command that the operator runs on the machine."""
    return actor.is_system


def all_of(*rules: Rule) -> Rule:
    """Every rule must hold."""

    def rule(actor: Actor, target: object, now: datetime) -> bool:
        return all(part(actor, target, now) for part in rules)

    rule.__name__ = " und ".join(part.__name__ for part in rules)
    rule.__dict__["parts"] = rules
    return rule


any_staff = staff(*Role)

RULES: dict[Action, tuple[Rule, ...]] = {
    Action.SEE_PROCESS: (process_is_visible, staff(Role.EDITOR, Role.PLANNER, Role.MODERATOR), system),
    Action.SEE_CONTRIBUTION: (contribution_is_published, author, co_author, staff(Role.MODERATOR, Role.PLANNER), system),
    Action.SUBMIT_PROPOSAL: (
        all_of(process_is_visible, phase_opens(Action.SUBMIT_PROPOSAL), signed_in,
               verified_for(Action.SUBMIT_PROPOSAL)),
        all_of(process_is_visible, phase_opens(Action.SUBMIT_PROPOSAL), guests_may_submit),
        system,
    ),
    Action.ATTACH_PICTURES: (pictures_are_welcome, system),
    Action.EDIT_PROPOSAL: (
        all_of(author, phase_opens(Action.EDIT_PROPOSAL)), all_of(co_author, phase_opens(Action.EDIT_PROPOSAL)),
    ),
    Action.INVITE_CO_AUTHORS: (all_of(author, signed_in),),
    Action.WITHDRAW_CONTRIBUTION: (author,),
    Action.INTRODUCE_ONESELF: (author,),
    Action.ATTACH_CONTRIBUTION: (all_of(author, signed_in),),
    Action.COMMENT: (
        all_of(contribution_is_published, phase_opens(Action.COMMENT), signed_in, verified_for(Action.COMMENT)),
        all_of(contribution_is_published, phase_opens(Action.COMMENT), guests_may_comment), system,
    ),
    Action.EDIT_COMMENT: (all_of(author, phase_opens(Action.COMMENT)),),
    Action.SUPPORT: (
        all_of(contribution_is_published, phase_opens(Action.SUPPORT), signed_in, verified_for(Action.SUPPORT)), system,
    ),
    Action.FOLLOW: (all_of(process_is_visible, signed_in),),
    Action.CAST_BALLOT: (
        all_of(process_is_visible, phase_opens(Action.CAST_BALLOT), signed_in, verified_for(Action.CAST_BALLOT)),
    ),
    Action.MANAGE_OWN_ACCOUNT: (lambda actor, _target, _now: actor.is_signed_in,),
    Action.ENTER_STAFF_ROOM: (any_staff,),
    Action.MODERATE: (staff(Role.MODERATOR), system),
    Action.CREATE_PROCESS: (staff(Role.EDITOR), system),
    Action.EDIT_PROCESS: (staff(Role.EDITOR), system),
    Action.ANSWER_PROPOSAL: (staff(Role.EDITOR, Role.PLANNER), system),
    Action.SEND_NEWSLETTER: (staff(Role.EDITOR), system),
    Action.MANAGE_BALLOTS: (staff(Role.EDITOR, Role.PLANNER), system),
    Action.ANNUL_VOTES: (staff(Role.EDITOR, Role.PLANNER), system),
    Action.EXPORT_CONTRIBUTIONS: (staff(Role.EDITOR, Role.PLANNER, Role.MODERATOR), system),
    Action.MANAGE_CATALOGUE: (staff(Role.PLANNER), system),
    Action.VERIFY_RESIDENTS: (staff(Role.EDITOR), system),
    Action.GIVE_ROLES: (all_of(staff(Role.EDITOR), has_the_role), system),
    Action.MANAGE_JOBS: (staff(), system),
    Action.MANAGE_ACCOUNTS: (staff(), system),
    Action.EDIT_MUNICIPALITY: (staff(), system),
}

# What is missing for what, in the words of the page that hinders somebody.
NEEDED = {
    (Action.SUBMIT_PROPOSAL, Verification.LETTER):
        N_("Zum Einreichen brauchen Sie hier den Code aus dem Brief Ihrer Kommune."),
    (Action.SUBMIT_PROPOSAL, Verification.RESIDENCE):
        N_("Zum Einreichen muss hier die Verwaltung Ihren Wohnsitz bestätigen."),
    (Action.SUBMIT_PROPOSAL, Verification.OIDC):
        N_("Zum Einreichen müssen Sie sich hier über einen Anbieter anmelden, der Sie kennt."),
    (Action.COMMENT, Verification.LETTER):
        N_("Zum Kommentieren brauchen Sie hier den Code aus dem Brief Ihrer Kommune."),
    (Action.COMMENT, Verification.RESIDENCE):
        N_("Zum Kommentieren muss hier die Verwaltung Ihren Wohnsitz bestätigen."),
    (Action.COMMENT, Verification.OIDC):
        N_("Zum Kommentieren müssen Sie sich hier über einen Anbieter anmelden, der Sie kennt."),
    (Action.SUPPORT, Verification.LETTER):
        N_("Zum Unterstützen brauchen Sie hier den Code aus dem Brief Ihrer Kommune."),
    (Action.SUPPORT, Verification.RESIDENCE):
        N_("Zum Unterstützen muss hier die Verwaltung Ihren Wohnsitz bestätigen."),
    (Action.SUPPORT, Verification.OIDC):
        N_("Zum Unterstützen müssen Sie sich hier über einen Anbieter anmelden, der Sie kennt."),
    (Action.CAST_BALLOT, Verification.LETTER):
        N_("Zum Abstimmen brauchen Sie hier den Code aus dem Brief Ihrer Kommune."),
    (Action.CAST_BALLOT, Verification.RESIDENCE):
        N_("Zum Abstimmen muss hier die Verwaltung Ihren Wohnsitz bestätigen."),
    (Action.CAST_BALLOT, Verification.OIDC):
        N_("Zum Abstimmen müssen Sie sich hier über einen Anbieter anmelden, der Sie kennt."),
}
CONFIRM_EMAIL = N_("Bitte bestätigen Sie zuerst Ihre E-Mail-Adresse über den Link in unserer E-Mail.")


def proof_asked(action: Action, target: object, now: datetime) -> str:
    """What is asked for beyond an account, as a German sentence; empty where an account is enough."""
    return next((NEEDED[action, level] for level in proofs_asked(action, target, now) if (action, level) in NEEDED), "")


# The phase is over, or not begun: for these the answer is 409 and says so, rather than "not allowed".
PHASE_BOUND = frozenset({Action.SUBMIT_PROPOSAL, Action.EDIT_PROPOSAL, Action.COMMENT, Action.SUPPORT,
                         Action.CAST_BALLOT})


def can(actor: Actor, action: Action, target: object, now: datetime) -> bool:
    """Whether the actor may do this to the target now. For staff actions `None` asks "for anything at all"."""
    return any(rule(actor, target, now) for rule in RULES[action])


def _closed(action: Action, target: object, now: datetime) -> Conflict:
    """Too late or too early: whoever reads this must not have to guess which of both."""
    asked: Any = target if hasattr(target, "phase_for") else process_of(target)
    is_over, is_coming = asked.window_of(action, now) if asked is not None else (False, False)
    if action in {Action.SUPPORT, Action.CAST_BALLOT}:
        if is_over and not is_coming:
            return Conflict(N_("Phase beendet: Hier kann man nicht mehr abstimmen. Ihre Stimme ist nicht gespeichert."))
        if is_coming and not is_over:
            return Conflict(N_("Hier kann man noch nicht abstimmen. Ihre Stimme ist nicht gespeichert."))
        return Conflict(N_("Hier kann man zurzeit nicht abstimmen. Ihre Stimme ist nicht gespeichert."))
    if is_over and not is_coming:
        return Conflict(N_("Phase beendet: Das ist nicht mehr möglich. Ihr Text ist nicht gespeichert."))
    if is_coming and not is_over:
        return Conflict(N_("Die Phase hat noch nicht begonnen. Ihr Text ist nicht gespeichert."))
    return Conflict(N_("Das ist zurzeit nicht möglich. Ihr Text ist nicht gespeichert."))


def require(actor: Actor, action: Action, target: object, now: datetime) -> None:
    """Pass, or raise what hinders.

    Conflict (409) when no open phase allows the action or its target is not public any more, SignInNeeded (401), SecondFactorNeeded or NotAllowed (403).
    """
    if can(actor, action, target, now):
        return
    if action in PHASE_BOUND and not phase_opens(action)(actor, target, now):
        raise _closed(action, target, now)
    if action in {Action.COMMENT, Action.SUPPORT} and getattr(target, "is_published", None) is False:
        # Whoever gets here sees it nevertheless: its author left word why it went, or it is their own.
        raise Conflict(N_("Dieser Beitrag wurde zurückgezogen oder ist nicht öffentlich. Ihre Eingabe ist nicht gespeichert."))
    if not actor.is_signed_in:
        raise SignInNeeded
    if not actor.email_is_confirmed and not actor.is_staff:
        raise NotAllowed(CONFIRM_EMAIL)
    missing = verification_missing(actor, action, target, now) if action in PHASE_BOUND else None
    if missing is not None:
        raise VerificationNeeded(NEEDED.get((action, missing), CONFIRM_EMAIL))
    if not actor.second_factor_done and _would_do(actor, action, target, now):
        raise SecondFactorNeeded
    raise NotAllowed


def _would_do(actor: Actor, action: Action, target: object, now: datetime) -> bool:
    """Whether only the second factor is missing."""
    done = Actor(
        account_id=actor.account_id,
        display_name=actor.display_name,
        email=actor.email,
        email_is_confirmed=actor.email_is_confirmed,
        grants=actor.grants,
        second_factor_done=True,
    )
    return can(done, action, target, now)
