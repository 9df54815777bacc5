"""What a card says of a process: its state, its dates, and what one can do there now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import url_for
from flask_babel import get_locale, gettext as _, ngettext
from markupsafe import Markup

from participation import clock, web
from participation.actions import TAKING_PART, Action
from participation.formats import BallotRule, CollectSettings
from participation.language import DEFAULT
from participation.permissions import NEEDED
from participation.processes.edge import beginning, ending, has_hour
from participation.processes.models import ONE_MOMENT, Phase, PhaseState, Process, ProcessState
from participation.written import format_date, format_decimal

CARD_PHASES = 2


@dataclass(frozen=True, slots=True)
class Step:
    """Something that a visitor can do now: where, until when, and by which button."""

    process: Process
    phase: Phase | None
    title: str
    text: str
    label: str
    href: str
    icon: str
    until: str = ""
    # The phase's own words, not ours: in the language that its editors wrote.
    title_is_own: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A process as lists show it."""

    process: Process
    status: PhaseState
    until: str
    href: str
    figures: list[tuple[str, str]]


def phase_until(phase: Phase) -> str:
    """Until when a phase is open."""
    return str(_("bis %(date)s", date=ending(phase.ends_at))) if phase.ends_at else str(_("durchgehend"))


def hours_of(phase: Phase) -> str:
    """When a phase begins and ends, in figures; nothing where days say it all."""
    start, end = phase.starts_at, phase.ends_at
    if not has_hour(start) and not has_hour(end):
        return ""
    if end is None:
        return str(_("ab %(date)s", date=_figures(start))) if start is not None else ""
    if start is None:
        return str(_("bis %(date)s", date=_figures(end)))
    if _date(start) != _date(end - ONE_MOMENT):
        return f"{_figures(start)}\u202f– {_figures(end, end - ONE_MOMENT)}"
    until = f"{clock.to_berlin(end):%H:%M}" if has_hour(end) else "24:00"
    return f"{_date(start)}, " + _oclock(f"{clock.to_berlin(start):%H:%M}–{until}")


def _figures(instant: datetime, day_of: datetime | None = None) -> str:
    """A day (that of `day_of`), or the day and the hour where one was given."""
    if has_hour(instant):
        return f"{_date(instant)}, " + _oclock(f"{clock.to_berlin(instant):%H:%M}")
    return _date(day_of or instant)


def _date(instant: datetime) -> str:
    return format_date(instant)


def _oclock(hours: str) -> str:
    """With the word that belongs to it in German."""
    return f"{hours}\u00a0Uhr" if str(get_locale()) == DEFAULT else hours


def status_of(process: Process, now: datetime) -> PhaseState:
    """Running, not begun, or over."""
    if process.state is ProcessState.ARCHIVED:
        return PhaseState.CLOSED
    states = {phase.state(now) for phase in process.phases}
    for state in (PhaseState.OPEN, PhaseState.UPCOMING):
        if state in states:
            return state
    return PhaseState.CLOSED


def next_start(process: Process, now: datetime) -> datetime | None:
    """When the next phase begins."""
    return min((phase.starts_at for phase in process.phases if phase.starts_at and phase.starts_at > now), default=None)


def card(process: Process, now: datetime) -> Card:
    """What a list shows of a process: where it stands, until when, what is open, how many took part."""
    status = status_of(process, now)
    until = ""
    figures: list[tuple[str, str]] = []
    if status is PhaseState.OPEN:
        # Asked of the phases, not of the process: editors see their draft as it will look.
        phases = sorted((one for one in process.phases if one.is_open(now)), key=lambda one: rank(one, now))
        until = phase_until(phases[0])
        figures += [(phase.format.icon, Markup("{}, {}").format(web.in_language(phase.title), phase_until(phase))) for phase in phases[:CARD_PHASES]]
    elif status is PhaseState.UPCOMING:
        start = next_start(process, now)
        until = str(_("ab %(date)s", date=beginning(start))) if start else ""
    if process.proposal_count:
        figures.append(("idea", ngettext("%(num)s Vorschlag", "%(num)s Vorschläge", process.proposal_count)))
    if process.participant_count:
        figures.append(("users", ngettext("%(num)s Person", "%(num)s Personen", process.participant_count)))
    return Card(process, status, until, url_for("processes.show", slug=process.slug), figures)


def rank(phase: Phase, now: datetime) -> tuple[int, datetime]:
    """Submitting before discussing, discussing before reading; what ends sooner first."""
    kinds = (Action.SUBMIT_PROPOSAL, Action.CAST_BALLOT, Action.COMMENT, Action.SUPPORT)
    kind = next((number for number, action in enumerate(kinds) if phase.opens(action)), len(kinds))
    return kind, phase.ends_at or now + timedelta(days=36_500)


def _step(process: Process, phase: Phase) -> Step:
    """What a visitor can do in an open phase."""
    slug = process.slug
    if phase.opens(Action.SUBMIT_PROPOSAL):
        settings = phase.settings
        hint = (
            _("Das geht auch ohne Konto und dauert zwei Minuten.")
            if isinstance(settings, CollectSettings) and settings.admits_guests
            else _("Das dauert zwei Minuten. Sie brauchen ein Konto.")
        )
        needed = NEEDED.get((Action.SUBMIT_PROPOSAL, settings.verification_for(Action.SUBMIT_PROPOSAL)))
        hint = f"{hint} {_(needed)}" if needed else hint
        label, href, icon = _("Vorschlag einreichen"), url_for("submissions.new", slug=slug), "plus"
        title = _("Was schlagen Sie vor?")
    elif phase.opens(Action.CAST_BALLOT) or phase.ballot is BallotRule.SUPPORT:
        # Where each support is a vote, they are given where the proposals stand.
        href = (url_for("ballots.show", slug=slug, phase_id=phase.id) if phase.opens(Action.CAST_BALLOT)
                else url_for("proposals.index", slug=slug))
        label, icon = _("Jetzt abstimmen"), "check"
        title, hint = phase.title, _(phase.format.question)
    elif phase.opens(Action.COMMENT) or phase.opens(Action.SUPPORT):
        label, href, icon = _("Mitreden"), url_for("proposals.index", slug=slug), "comment"
        title = _("Was meinen Sie dazu?")
        hint = _("Lesen Sie, was andere vorschlagen. Unterstützen Sie, was Ihnen gefällt.")
    else:
        label, icon = _("Mehr dazu"), phase.format.icon
        href = url_for("processes.show", slug=slug, _anchor=f"phase-{phase.id}")
        title, hint = phase.title, _(phase.format.question)
    is_own = title is phase.title
    return Step(process, phase, title if is_own else str(title), str(hint), str(label), href, icon, phase_until(phase),
                is_own)


def open_steps(process: Process, now: datetime) -> list[Step]:
    """Everything that is open in a process, the most active first."""
    return [_step(process, phase) for phase in sorted(process.open_phases(now), key=lambda one: rank(one, now))]


def main_step(process: Process, now: datetime) -> Step | None:
    """The one thing that a process asks its visitors to do now."""
    steps = open_steps(process, now)
    if steps and steps[0].phase is not None and takes_part(steps[0].phase):
        return steps[0]
    slug = process.slug
    if process.catalogue_is_public:
        return Step(
            process, None, str(_("Was ist daraus geworden?")), str(_("Aus den Vorschlägen sind Maßnahmen entstanden.")),
            str(_("Maßnahmenkatalog ansehen")), url_for("catalogue.index", slug=slug), "target",
        )
    if steps:
        return steps[0]
    if process.proposal_count:
        return Step(
            process, None, str(_("Lesen Sie nach")), str(_("Die Beiträge bleiben hier stehen.")),
            str(_("Vorschläge ansehen")), url_for("proposals.index", slug=slug), "list",
        )
    return None


def takes_part(phase: Phase) -> bool:
    """Whether people can contribute something themselves."""
    return any(phase.opens(action) for action in TAKING_PART)


def shown_figures(figures: dict[str, int]) -> dict[str, str]:
    """Numbers as they are written in the language of the page: 4.005 in German."""
    return {name: format_decimal(number) for name, number in figures.items()}


def has_results(process: Process, now: datetime) -> bool:
    """Whether there is something to read of what became of it."""
    return (
        process.catalogue_is_public
        or process.state is ProcessState.ARCHIVED
        or any(phase.format_key == "results" and phase.state(now) is not PhaseState.UPCOMING for phase in process.phases)
    )
