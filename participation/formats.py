"""FORMATS: what each format of a phase asks, its typed settings, and which actions it opens.

A new format is one entry here. Forms, the grid of permissions and exports loop over it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from typing import Any

from participation.actions import Action
from participation.i18n import N_


class Moderation(enum.Enum):
    """When moderators look at a contribution."""

    BEFORE = "before"
    AFTER = "after"


class PlaceRule(enum.Enum):
    """Whether a proposal names a place."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class ThemeRule(enum.Enum):
    """Whether a proposal stands under a theme."""

    HIDDEN = "hidden"
    OPTIONAL = "optional"
    REQUIRED = "required"


class CommentStyle(enum.Enum):
    """Whether comments say where they stand."""

    NEUTRAL = "neutral"
    PRO_CONTRA = "pro_contra"


class Verification(enum.Enum):
    """What a person must have shown to take part in a phase."""

    NONE = "none"
    EMAIL = "email"
    LETTER = "letter"
    RESIDENCE = "residence"
    OIDC = "oidc"


class PicturesFrom(enum.Enum):
    """Who may attach pictures to a proposal."""

    EVERYBODY = "everybody"
    ACCOUNT = "account"
    NOBODY = "nobody"


class BallotRule(enum.Enum):
    """How people vote in a phase."""

    SUPPORT = "support"
    CHOICE = "choice"
    PRO_CONTRA = "pro_contra"
    POINTS = "points"
    BUDGET = "budget"


class Results(enum.Enum):
    """When everybody may see the numbers. Until then nobody sees them, staff included."""

    DURING = "during"
    AFTER = "after"


# Who has shown one of these may pass: staff look at the same address that a letter is sent to, and closer.
SATISFIED_BY: dict[Verification, frozenset[Verification]] = {
    Verification.LETTER: frozenset({Verification.LETTER, Verification.RESIDENCE}),
    Verification.RESIDENCE: frozenset({Verification.RESIDENCE}),
    Verification.OIDC: frozenset({Verification.OIDC}),
}

CHOICE_LABELS: dict[enum.Enum, str] = {
    Moderation.BEFORE: N_("Vor der Veröffentlichung prüfen"),
    Moderation.AFTER: N_("Sofort veröffentlichen, danach prüfen"),
    PlaceRule.NONE: N_("Kein Ort"),
    PlaceRule.OPTIONAL: N_("Ort ist freiwillig"),
    PlaceRule.REQUIRED: N_("Ort ist Pflicht"),
    ThemeRule.HIDDEN: N_("Nicht danach fragen"),
    ThemeRule.OPTIONAL: N_("Thema ist freiwillig"),
    ThemeRule.REQUIRED: N_("Thema ist Pflicht"),
    Verification.NONE: N_("Kein Nachweis"),
    Verification.EMAIL: N_("Konto mit bestätigter E-Mail-Adresse"),
    Verification.LETTER: N_("Code aus einem Brief der Kommune"),
    Verification.RESIDENCE: N_("Wohnsitz, von der Verwaltung bestätigt"),
    Verification.OIDC: N_("Geprüfte Person über die Anmeldung bei einem anderen Anbieter"),
    PicturesFrom.EVERYBODY: N_("Alle, die einreichen dürfen"),
    PicturesFrom.ACCOUNT: N_("Nur wer ein Konto hat"),
    PicturesFrom.NOBODY: N_("Niemand"),
    CommentStyle.NEUTRAL: N_("Ohne Haltung"),
    CommentStyle.PRO_CONTRA: N_("Mit Haltung: dafür, dagegen oder Anmerkung"),
    BallotRule.SUPPORT: N_("Unterstützen: eine Stimme für jeden Vorschlag, der gefällt"),
    BallotRule.CHOICE: N_("Stimmen vergeben: so viele je Person, wie Sie festlegen"),
    BallotRule.PRO_CONTRA: N_("Dafür oder dagegen, bei jedem Vorschlag"),
    BallotRule.POINTS: N_("Punkte verteilen"),
    BallotRule.BUDGET: N_("Bürgerhaushalt: Vorschläge auswählen, solange das Geld reicht"),
    Results.DURING: N_("Sofort und laufend"),
    Results.AFTER: N_("Erst nach dem Ende der Phase"),
}


# Where a format of its own offers it, the choice among others does not.
NOT_OFFERED = frozenset({BallotRule.BUDGET})
VERIFICATION_LABEL = N_("Nachweis, um mitzumachen")
RESULTS_LABEL = N_("Wann sind Ergebnisse zu sehen?")
NUMBER_MAX = 100_000
EURO_MAX = 2_000_000_000


# The headings under which the form of a phase asks for its settings.
SUBMITTING, COMMENTING, SUPPORTING = N_("Vorschläge einreichen"), N_("Kommentieren"), N_("Unterstützen")
CHECKING = N_("Prüfung und Liste")
NEEDED_HINT = N_("Wer das noch nicht gezeigt hat, erfährt auf der Seite, wie es geht.")


def _setting(default: Any, label: str, hint: str = "", *, low: int = 0, high: int = NUMBER_MAX, group: str = "") -> Any:  # noqa: ANN401 - a dataclass field of any type
    """A setting; `low` and `high` bound whole numbers, settings of one `group` stand under one heading."""
    return field(default=default, metadata={"label": label, "hint": hint, "low": low, "high": high, "group": group})


@dataclass(frozen=True, slots=True)
class PhaseSettings:
    """The settings of a format that needs none."""

    def contradiction(self) -> tuple[str, str] | None:
        """(name of a setting, German message) when two settings exclude each other."""
        return None

    def verification_for(self, action: Action) -> Verification:  # noqa: ARG002 - most formats ask for the same all over
        """What a person must have shown for an action."""
        found: Verification = getattr(self, "verification", Verification.NONE)
        return found

    @classmethod
    def renewed(cls, stored: dict[str, Any]) -> dict[str, Any]:
        """What was stored before there were the settings of today, in their terms."""
        return stored


@dataclass(frozen=True, slots=True)
class CollectSettings(PhaseSettings):
    """Collecting ideas."""

    guests_may_submit: bool = _setting(
        True, N_("Ohne Konto einreichen ist möglich"),  # noqa: FBT003
        N_("Gilt nur, wenn Sie zum Einreichen keinen Nachweis verlangen."), group=SUBMITTING)
    verification: Verification = _setting(
        Verification.NONE, N_("Nachweis, um einzureichen"), NEEDED_HINT, group=SUBMITTING)
    pictures: PicturesFrom = _setting(
        PicturesFrom.EVERYBODY, N_("Wer darf Bilder anhängen?"), N_("Bis zu fünf Bilder für jeden Vorschlag."),
        group=SUBMITTING)
    picture_required: bool = _setting(False, N_("Ein Bild ist Pflicht"), group=SUBMITTING)  # noqa: FBT003
    theme: ThemeRule = _setting(
        ThemeRule.REQUIRED, N_("Thema"), N_("Gilt nur, wenn das Verfahren Themen hat."), group=SUBMITTING)
    place: PlaceRule = _setting(PlaceRule.OPTIONAL, N_("Ort"), group=SUBMITTING)
    comments_open: bool = _setting(True, N_("Kommentare sind möglich"), group=COMMENTING)  # noqa: FBT003
    guest_comments: bool = _setting(
        False, N_("Kommentieren geht auch ohne Konto"),  # noqa: FBT003
        N_("Solche Kommentare werden immer geprüft, bevor sie erscheinen. Gilt nur ohne Nachweis."), group=COMMENTING)
    comment_verification: Verification = _setting(
        Verification.NONE, N_("Nachweis, um zu kommentieren"), group=COMMENTING)
    comment_style: CommentStyle = _setting(CommentStyle.NEUTRAL, N_("Art der Kommentare"), group=COMMENTING)
    supports_open: bool = _setting(
        True, N_("Unterstützen ist möglich"),  # noqa: FBT003
        N_("Dafür braucht man immer ein Konto, damit jede Person nur einmal zählt."), group=SUPPORTING)
    support_verification: Verification = _setting(
        Verification.NONE, N_("Nachweis, um zu unterstützen"), group=SUPPORTING)
    moderation: Moderation = _setting(
        Moderation.BEFORE, N_("Prüfung"),
        N_("Sofort veröffentlichen heißt: Auch Unpassendes ist zu sehen, bis jemand es prüft."), group=CHECKING)
    fair_order: bool = _setting(
        False, N_("Liste in zufälliger Reihenfolge"),  # noqa: FBT003
        N_("Jede Person sieht die Vorschläge in einer eigenen Reihenfolge, damit späte nicht untergehen."),
        group=CHECKING)

    @property
    def admits_guests(self) -> bool:
        """Whether somebody without an account may hand in a proposal."""
        return self.guests_may_submit and self.verification is Verification.NONE

    def contradiction(self) -> tuple[str, str] | None:
        """What everybody must attach, everybody must be able to attach."""
        if self.picture_required and self.pictures is not PicturesFrom.EVERYBODY:
            return "picture_required", N_("Ein Bild kann nur Pflicht sein, wenn alle Bilder anhängen dürfen.")
        return None

    def verification_for(self, action: Action) -> Verification:
        """Handing in, commenting and supporting may each ask for something else."""
        return {Action.COMMENT: self.comment_verification, Action.SUPPORT: self.support_verification}.get(
            action, self.verification)

    @classmethod
    def renewed(cls, stored: dict[str, Any]) -> dict[str, Any]:
        """One proof held for everything, and pictures were for all or nobody."""
        same = stored.get("verification", Verification.NONE.value)
        pictures = PicturesFrom.EVERYBODY if stored.get("pictures_allowed", True) else PicturesFrom.NOBODY
        return {"comment_verification": same, "support_verification": same, "pictures": pictures.value, **stored}


@dataclass(frozen=True, slots=True)
class DiscussSettings(PhaseSettings):
    """Discussing what is there."""

    moderation: Moderation = _setting(Moderation.BEFORE, N_("Prüfung"))
    guest_comments: bool = _setting(
        False, N_("Kommentieren geht auch ohne Konto"),  # noqa: FBT003
        N_("Solche Kommentare werden immer geprüft, bevor sie erscheinen."))
    comment_style: CommentStyle = _setting(CommentStyle.NEUTRAL, N_("Art der Kommentare"))
    supports_open: bool = _setting(False, N_("Unterstützen ist möglich"))  # noqa: FBT003
    verification: Verification = _setting(Verification.NONE, VERIFICATION_LABEL)


@dataclass(frozen=True, slots=True)
class VoteSettings(PhaseSettings):
    """Weighing ideas: by support, by a number of votes, for or against, or by points.

    Supports belong to the process, and one for a proposal counts in every phase. Whatever is counted out to each person
    stands on a ballot of the phase instead.
    """

    ballot: BallotRule = _setting(
        BallotRule.SUPPORT, N_("So wird abgestimmt"),
        N_("Unterstützungen gehören zum ganzen Verfahren: Was vor dieser Phase gegeben wurde, zählt mit. Bei allem anderen "
           "zählt nur diese Phase."))
    votes: int = _setting(
        3, N_("Stimmen je Person"), N_("Gilt nur beim Vergeben von Stimmen: höchstens eine für jeden Vorschlag."), low=1,
        high=1000)
    points: int = _setting(10, N_("Punkte je Person"), N_("Gilt nur beim Verteilen von Punkten."), low=1, high=1000)
    points_max: int = _setting(
        3, N_("Höchstens so viele Punkte für einen Vorschlag"), N_("Gilt nur beim Verteilen von Punkten."), low=1,
        high=1000)
    results: Results = _setting(Results.DURING, RESULTS_LABEL)
    comments_open: bool = _setting(False, N_("Kommentare sind möglich"))  # noqa: FBT003
    moderation: Moderation = _setting(Moderation.BEFORE, N_("Prüfung der Kommentare"))
    verification: Verification = _setting(Verification.NONE, VERIFICATION_LABEL)

    @property
    def supports_open(self) -> bool:
        """Whether people vote by supporting."""
        return self.ballot is BallotRule.SUPPORT

    @property
    def ballots_open(self) -> bool:
        """Whether people have a ballot of this phase."""
        return self.ballot is not BallotRule.SUPPORT

    def contradiction(self) -> tuple[str, str] | None:
        """Nobody can give more points than they have."""
        if self.ballot is BallotRule.POINTS and self.points_max > self.points:
            return "points_max", N_("Das ist mehr, als eine Person an Punkten hat.")
        return None


@dataclass(frozen=True, slots=True)
class BudgetSettings(PhaseSettings):
    """Spending a given sum on proposals that have a price."""

    total: int = _setting(100_000, N_("Gesamtbetrag in Euro"), N_("Ganze Euro, ohne Punkt, zum Beispiel 100000."),
                          low=1, high=EURO_MAX)
    min_number: int = _setting(0, N_("Mindestens so viele Vorschläge auswählen"), N_("0 heißt: ohne Untergrenze."),
                               high=200)
    max_number: int = _setting(0, N_("Höchstens so viele Vorschläge auswählen"), N_("0 heißt: ohne Obergrenze."),
                               high=200)
    results: Results = _setting(Results.AFTER, RESULTS_LABEL)
    comments_open: bool = _setting(False, N_("Kommentare sind möglich"))  # noqa: FBT003
    moderation: Moderation = _setting(Moderation.BEFORE, N_("Prüfung der Kommentare"))
    verification: Verification = _setting(Verification.NONE, VERIFICATION_LABEL)

    @property
    def ballot(self) -> BallotRule:
        """How people vote."""
        return BallotRule.BUDGET

    def contradiction(self) -> tuple[str, str] | None:
        """The least number must not be above the greatest."""
        if 0 < self.max_number < self.min_number:
            return "max_number", N_("Das ist weniger als die Untergrenze.")
        return None


@dataclass(frozen=True, slots=True)
class WorkshopSettings(PhaseSettings):
    """Meeting in one room or by video."""

    place: str = _setting("", N_("Ort der Veranstaltung"), N_("Zum Beispiel: Rathaus, Ratssaal"))
    seats: int = _setting(30, N_("Plätze"))


@dataclass(frozen=True, slots=True)
class Format:
    """One format: its names, its settings, and the actions it opens while the phase is open."""

    key: str
    label: str
    question: str
    icon: str
    settings: type[PhaseSettings]
    opens: frozenset[Action] = frozenset()
    # Actions that a boolean setting of the phase switches on or off.
    switched: tuple[tuple[str, Action], ...] = ()

    def opened_actions(self, settings: PhaseSettings) -> frozenset[Action]:
        """The actions that a phase with these settings opens."""
        closed = {action for name, action in self.switched if not getattr(settings, name)}
        return self.opens - closed


FORMATS: dict[str, Format] = {
    entry.key: entry
    for entry in (
        Format("inform", N_("Information"), N_("Was ist geplant?"), "info", PhaseSettings),
        Format(
            "collect",
            N_("Ideensammlung"),
            N_("Was schlagen Sie vor?"),
            "plus",
            CollectSettings,
            frozenset({Action.SUBMIT_PROPOSAL, Action.EDIT_PROPOSAL, Action.COMMENT, Action.SUPPORT}),
            (("comments_open", Action.COMMENT), ("supports_open", Action.SUPPORT)),
        ),
        Format(
            "discuss",
            N_("Diskussion"),
            N_("Was meinen Sie dazu?"),
            "comment",
            DiscussSettings,
            frozenset({Action.COMMENT, Action.SUPPORT}),
            (("supports_open", Action.SUPPORT),),
        ),
        Format(
            "vote",
            N_("Abstimmung"),
            N_("Was ist Ihnen wichtig?"),
            "check",
            VoteSettings,
            frozenset({Action.SUPPORT, Action.CAST_BALLOT, Action.COMMENT}),
            (("comments_open", Action.COMMENT), ("supports_open", Action.SUPPORT),
             ("ballots_open", Action.CAST_BALLOT)),
        ),
        Format(
            "budget",
            N_("Bürgerhaushalt"),
            N_("Wofür soll das Geld ausgegeben werden?"),
            "target",
            BudgetSettings,
            frozenset({Action.CAST_BALLOT, Action.COMMENT}),
            (("comments_open", Action.COMMENT),),
        ),
        Format("workshop", N_("Workshop"), N_("Wann treffen wir uns?"), "user", WorkshopSettings),
        Format("results", N_("Ergebnisse"), N_("Was ist daraus geworden?"), "document", PhaseSettings),
    )
}


def read_settings(format_key: str, stored: dict[str, Any]) -> PhaseSettings:
    """The typed settings of a phase from their stored form; unknown keys are ignored, missing ones default."""
    kind = FORMATS[format_key].settings
    stored = kind.renewed(stored)
    values: dict[str, Any] = {}
    for entry in fields(kind):
        if entry.name not in stored:
            continue
        default = entry.default
        values[entry.name] = type(default)(stored[entry.name]) if isinstance(default, enum.Enum) else stored[entry.name]
    return kind(**values)


def store_settings(settings: PhaseSettings) -> dict[str, Any]:
    """The stored form of typed settings: enums by value."""
    stored: dict[str, Any] = {}
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        stored[entry.name] = value.value if isinstance(value, enum.Enum) else value
    return stored
