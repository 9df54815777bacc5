"""What hinders publishing a process, and what its editor may have overlooked, each with the place where it is mended.

Written for somebody who does this for the first time: one sentence, no word of ours that is not on the page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select

from participation.accounts.models import LetterBatch, RoleGrant
from participation.actions import TAKING_PART, Action
from participation.formats import CollectSettings, Moderation, Verification, WorkshopSettings
from participation.i18n import N_
from participation.municipalities.models import PAGE_TITLES, MunicipalityPage, PageKind
from participation.permissions import Role
from participation.processes.history import OBLIGATORY
from participation.processes.models import Phase, PhaseState, Process, ProcessDocument, ProcessState

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

SOON = timedelta(days=7)
FAR = timedelta(days=548)
GAP = timedelta(days=1)
# As templates.toml leaves them for the editor to fill.
_PLACEHOLDER = re.compile(r"<[A-ZÄÖÜ][^<>\n]{3,300}>")
# "… finden Sie unter **Dokumente**": a part of the page that is there only once something was uploaded.
_POINTS_TO_DOCUMENTS = re.compile(r"\bunter\s+[*_„\"]*Dokumente\b")


@dataclass(frozen=True, slots=True)
class Hint:
    """A German message with the name it speaks of, or two; endpoint, values and anchor of the place where it is mended."""

    message: str
    endpoint: str
    title: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    anchor: str = ""
    other: str = ""


# Features above this one know more: what stands on a ballot paper, for one.
MORE_HINTS: list[Callable[[Session, Process], list[Hint]]] = []


def publish_problems(process: Process, now: datetime) -> list[str]:
    """What hinders publishing, as German messages; nothing when it is fit to be seen."""
    problems = [message for name, message in OBLIGATORY.items() if not getattr(process, name)]
    if not process.phases:
        problems.append(N_("Es gibt noch keine Phase. Legen Sie mindestens eine an."))
    elif process.published_at is None and all(phase.state(now) is PhaseState.CLOSED for phase in process.phases):
        problems.append(N_("Alle Phasen sind schon vorbei. Bitte prüfen Sie die Termine."))
    return problems


def publish_hints(session: Session, process: Process, now: datetime, *, has_provider: bool) -> list[Hint]:
    """What may have been overlooked; nothing of it hinders publishing. The same number of queries for any process.

    `has_provider`: whether people can sign in by another provider here.
    """
    hints = _text_hints(session, process)
    for phase in process.phases:
        hints += [_of_phase(phase, message, anchor) for message, anchor in _phase_hints(process, phase, now)]
    hints += _order_hints(process)
    hints += _proof_hints(session, process, has_provider=has_provider)
    hints += _staff_hints(session, process)
    for more in MORE_HINTS:
        hints += more(session, process)
    return hints


def _of_phase(phase: Phase, message: str, anchor: str = "") -> Hint:
    return Hint(message, "processes.edit_phase", phase.title, {"phase_id": phase.id}, anchor)


def _text_hints(session: Session, process: Process) -> list[Hint]:
    hints = []
    if not process.contact:
        hints.append(Hint(N_("Es gibt keinen Kontakt für Fragen."), "processes.edit", anchor="contact"))
    if process.picture_id is not None and not process.picture_alt:
        hints.append(Hint(N_("Das Bild hat keine Beschreibung. Wer es nicht sehen kann, erfährt nichts davon."),
                          "processes.edit", anchor="picture_alt"))
    if any(_PLACEHOLDER.search(text) for text in (process.summary, process.body, process.faq, process.contact)):
        hints.append(Hint(N_("Im Text steht noch ein Platzhalter der Vorlage in spitzen Klammern. Alle würden ihn lesen."),
                          "processes.edit", anchor="body"))
    texts = [process.summary, process.body, process.faq, process.contact, *(phase.body for phase in process.phases)]
    has_documents = session.scalar(select(ProcessDocument.id).where(ProcessDocument.process_id == process.id).limit(1))
    if has_documents is None and any(_POINTS_TO_DOCUMENTS.search(text) for text in texts):
        hints.append(Hint(N_("Ein Text verweist auf „Dokumente“, aber es ist noch keines hochgeladen."), "processes.documents"))
    twin = select(Process.id).where(
        Process.municipality_id == process.municipality_id, Process.id != process.id, Process.title == process.title,
        Process.state != ProcessState.ARCHIVED)
    if session.scalar(twin.limit(1)) is not None:
        hints.append(Hint(N_("Ein anderes Verfahren heißt genauso. In Listen und E-Mails lassen sie sich nicht "
                             "unterscheiden."), "processes.edit", anchor="title"))
    if _collecting(process) and not process.themes:
        hints.append(Hint(N_("Es gibt keine Themen. Bei vielen Vorschlägen hilft das beim Finden und Auswerten."),
                          "processes.themes"))
    return hints


def _collecting(process: Process) -> list[Phase]:
    return [phase for phase in process.phases if phase.opens(Action.SUBMIT_PROPOSAL)]


def _phase_hints(process: Process, phase: Phase, now: datetime) -> list[tuple[str, str]]:
    """(message, field) about one phase alone."""
    takes_part, found = any(phase.opens(action) for action in TAKING_PART), []
    if phase.state(now) is PhaseState.CLOSED and process.published_at is None:
        found.append((N_("Die Phase „%(title)s“ ist schon vorbei."), "ends_at"))
    if phase.ends_at is None and not phase.is_always_on and not phase.vague_dates:
        found.append((N_("Die Phase „%(title)s“ hat kein Ende."), "ends_at"))
    if not phase.body:
        found.append((N_("Die Phase „%(title)s“ hat keinen Text. Was können die Leute dort tun?"), "body"))
    if _PLACEHOLDER.search(phase.body):
        found.append((N_("In „%(title)s“ steht noch ein Platzhalter der Vorlage in spitzen Klammern."), "body"))
    if phase.vague_dates and phase.starts_at is None and takes_part:
        found.append((N_("Die Phase „%(title)s“ beginnt erst, wenn Sie ein Datum eintragen."), "starts_at"))
    if phase.starts_at is not None and phase.starts_at > now + FAR:
        found.append((N_("Die Phase „%(title)s“ beginnt erst in mehr als anderthalb Jahren. Stimmt das Jahr?"), "starts_at"))
    if takes_part and phase.starts_at and phase.ends_at and phase.ends_at - phase.starts_at < SOON:
        found.append((N_("Die Phase „%(title)s“ dauert keine Woche. Nicht alle schauen so schnell vorbei."), "ends_at"))
    return found + _setting_hints(phase)


def _setting_hints(phase: Phase) -> list[tuple[str, str]]:
    settings, found = phase.settings, []
    if isinstance(settings, WorkshopSettings) and not settings.place:
        found.append((N_("Für „%(title)s“ fehlt der Ort der Veranstaltung."), "setting_place"))
    if isinstance(settings, CollectSettings) and settings.guests_may_submit and not settings.admits_guests:
        found.append((N_("In „%(title)s“ ist Einreichen ohne Konto erlaubt, aber auch ein Nachweis verlangt. Es gilt der "
                         "Nachweis: Ohne Konto geht es nicht."), "setting_guests_may_submit"))
    if getattr(settings, "guest_comments", False) and settings.verification_for(Action.COMMENT) is not Verification.NONE:
        found.append((N_("In „%(title)s“ ist Kommentieren ohne Konto erlaubt, aber auch ein Nachweis verlangt. Es gilt "
                         "der Nachweis: Ohne Konto geht es nicht."), "setting_guest_comments"))
    return found


def _order_hints(process: Process) -> list[Hint]:
    """What phases say about each other."""
    hints = []
    dated = [(phase.starts_at, phase) for phase in process.phases if phase.starts_at is not None]
    for (start, one), (next_start, _other) in pairwise(dated):
        if next_start < start:
            hints.append(Hint(N_("Die Phase „%(title)s“ steht vor einer, die früher beginnt."), "processes.phases", one.title))
    for one, other in combinations(_collecting(process), 2):
        if _overlap(one, other):
            hints.append(_of_phase(
                one, N_("Die Phase „%(title)s“ sammelt zur gleichen Zeit Vorschläge wie eine andere."), "starts_at"))
    supporting = [phase for phase in process.phases if phase.opens(Action.SUPPORT)]
    hints += [_of_two_proofs(one, other) for one, other in combinations(supporting, 2)
              if _proof_of_supports(one) is not _proof_of_supports(other)]
    for one, other in combinations(process.phases, 2):
        if one.title.casefold() == other.title.casefold():
            hints.append(_of_phase(other, N_("Zwei Phasen heißen „%(title)s“."), "title"))
    return hints + _gap_hints(process) + _nothing_there_hints(process)


def _proof_of_supports(phase: Phase) -> Verification:
    """What it asks for beyond the account that supporting always needs."""
    asked = phase.settings.verification_for(Action.SUPPORT)
    return Verification.NONE if asked is Verification.EMAIL else asked


def _of_two_proofs(one: Phase, other: Phase) -> Hint:
    """Supports belong to the process: who gave one in either phase counts in both."""
    message = N_("In „%(title)s“ und „%(other)s“ braucht man zum Unterstützen verschiedene Nachweise. Gezählt wird im ganzen "
                 "Verfahren zusammen: Wer in der einen Phase unterstützt, zählt auch im Ergebnis der anderen.")
    if _overlap(one, other):
        message = N_("In „%(title)s“ und „%(other)s“ braucht man zum Unterstützen verschiedene Nachweise. Solange beide offen "
                     "sind, gilt der strengere. Gezählt wird aber im ganzen Verfahren zusammen, auch was davor oder danach "
                     "mit weniger Nachweis dazukommt.")
    anchor = "setting_support_verification" if isinstance(one.settings, CollectSettings) else "setting_verification"
    return Hint(message, "processes.edit_phase", one.title, {"phase_id": one.id}, anchor, other.title)


def _ends_before(one: Phase, other: Phase) -> bool:
    return one.ends_at is not None and other.starts_at is not None and one.ends_at <= other.starts_at


def _overlap(one: Phase, other: Phase) -> bool:
    starts = [phase.starts_at for phase in (one, other) if phase.starts_at]
    ends = [phase.ends_at for phase in (one, other) if phase.ends_at]
    return not starts or not ends or max(starts) < min(ends)


def _gap_hints(process: Process) -> list[Hint]:
    if any(phase.is_always_on for phase in process.phases):
        return []
    hints: list[Hint] = []
    dated = [(phase.starts_at, phase) for phase in process.phases if phase.starts_at is not None]
    dated.sort(key=lambda one: one[0])
    open_until = dated[0][0] if dated else None
    for start, phase in dated:
        if open_until is not None and start - open_until >= GAP:
            hints.append(_of_phase(phase, N_("Vor der Phase „%(title)s“ ist eine Zeit lang gar nichts offen."), "starts_at"))
        # Without an end it stays open, and nothing after it can be a gap.
        open_until = max(open_until, phase.ends_at) if open_until is not None and phase.ends_at is not None else None
    return hints


def _nothing_there_hints(process: Process) -> list[Hint]:
    """Voting and discussing need proposals: from before, or from a phase that begins earlier."""
    if process.proposal_count:
        return []
    hints = []
    for phase in process.phases:
        is_empty = not phase.opens(Action.SUBMIT_PROPOSAL) and any(phase.opens(action) for action in TAKING_PART)
        if is_empty and not any(_begins_before(one, phase) for one in _collecting(process)):
            hints.append(Hint(N_("Für die Phase „%(title)s“ gibt es nichts: Es sind keine Vorschläge da, und keine Phase "
                                 "sammelt vorher welche."), "processes.phases", phase.title))
    return hints


def _begins_before(one: Phase, other: Phase) -> bool:
    if one.starts_at is None:
        return not one.vague_dates
    return other.starts_at is None or one.starts_at < other.starts_at


def _proof_hints(session: Session, process: Process, *, has_provider: bool) -> list[Hint]:
    """Phases that nobody may use, since nobody can get the proof that they ask for."""
    asked = [(phase, {phase.settings.verification_for(action) for action in TAKING_PART if phase.opens(action)})
             for phase in process.phases]
    hints = []
    batches = select(LetterBatch.id).where(LetterBatch.municipality_id.in_(process.scope.municipality_ids))
    has_letters = session.scalar(batches.limit(1)) is not None
    for phase, levels in asked:
        if Verification.LETTER in levels and not has_letters:
            hints.append(_of_phase(phase, N_("„%(title)s“ verlangt einen Code aus einem Brief, aber es gibt noch keine "
                                             "Codes. Niemand könnte mitmachen.")))
        if Verification.OIDC in levels and not has_provider:
            hints.append(_of_phase(phase, N_("„%(title)s“ verlangt die Anmeldung bei einem anderen Anbieter, aber hier "
                                             "ist keiner eingerichtet. Niemand könnte mitmachen.")))
    return hints


def _staff_hints(session: Session, process: Process) -> list[Hint]:
    """What others have to do first: somebody who looks at contributions, and the pages that the law asks for."""
    hints = []
    checked = any(getattr(phase.settings, "moderation", None) is Moderation.BEFORE for phase in process.phases)
    watches = select(RoleGrant.id).where(
        RoleGrant.role.in_((Role.MODERATOR, Role.ADMIN)), RoleGrant.municipality_id.in_(process.scope.municipality_ids),
        or_(RoleGrant.process_id.is_(None), RoleGrant.process_id == process.id))
    if session.scalar(watches.limit(1)) is None and checked:
        hints.append(Hint(N_("Beiträge werden vor der Veröffentlichung geprüft, aber niemand hat die Rolle Moderation. "
                             "Es würde nie einer erscheinen."), "administration.roles"))
    own = set(session.scalars(select(MunicipalityPage.kind).where(
        MunicipalityPage.municipality_id == process.municipality_id)))
    hints += [
        Hint(N_("Die Seite „%(title)s“ ist noch der Entwurf der Plattform. Bitte lassen Sie sie von der Verwaltung prüfen."),
             "municipalities.edit_page", PAGE_TITLES[kind], {"kind": kind.value})
        for kind in (PageKind.IMPRINT, PageKind.PRIVACY) if kind not in own
    ]
    return hints
