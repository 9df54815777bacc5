"""What a proposal consists of, and what of it can't be stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from participation import text
from participation.errors import InvalidInput
from participation.formats import CollectSettings, PicturesFrom, PlaceRule, ThemeRule
from participation.i18n import N_
from participation.own_fields import Answer, OwnField, read_answers
from participation.processes.models import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from participation.uploads import Upload

TITLE_MAX = 120
BODY_MAX = 6000
PLACE_MAX = 200
ALT_MAX = 300
# What a revision changes besides title and text.
CHANGEABLE = ("theme_id", "place", "lon", "lat", "district_id")
PICTURE_MISSING = N_("Bitte wählen Sie ein Bild aus.")


@dataclass(slots=True)
class ProposalDraft:
    """What a person entered. The point is (lon, lat; EPSG:4326), checked against the boundary by the form."""

    title: str
    body: str
    theme_id: int | None = None
    place: str = ""
    lon: float | None = None
    lat: float | None = None
    district_id: int | None = None
    # All pictures in their order, each with its description; None means none, or "as they are" when revising.
    pictures: list[tuple[Upload, str]] | None = None
    # What was answered in the fields of the phase; None as for pictures.
    answers: list[Answer] | None = None


def check_content(
    draft: ProposalDraft, process: Process, settings: CollectSettings, theme_id: int | None = None, *,
    may_attach: bool,
) -> None:
    """Clean the draft in place and refuse what can't be stored."""
    draft.title = text.checked(
        text.clean_line(draft.title), TITLE_MAX, field="title", missing=N_("Bitte geben Sie Ihrem Vorschlag einen Titel."),
        too_long=N_("Der Titel ist zu lang. Höchstens %(number)s Zeichen sind möglich."))
    draft.body = text.checked(
        text.clean_text(draft.body), BODY_MAX, field="body", missing=N_("Bitte beschreiben Sie Ihren Vorschlag."),
        too_long=N_("Der Text ist zu lang. Höchstens %(number)s Zeichen sind möglich."))
    draft.place = text.clean_line(draft.place)
    if len(draft.place) > PLACE_MAX:
        raise InvalidInput(N_("Die Beschreibung des Ortes ist zu lang."), field="place")
    if settings.theme is ThemeRule.HIDDEN:
        draft.theme_id = theme_id
    elif process.themes and draft.theme_id not in possible_themes(process, settings):
        raise InvalidInput(N_("Bitte wählen Sie ein Thema aus."), field="theme_id")
    if settings.place is PlaceRule.REQUIRED and draft.lon is None and not draft.place:
        raise InvalidInput(N_("Bitte nennen Sie den Ort, um den es geht."), field="place")
    if draft.pictures and not may_attach:
        raise InvalidInput(
            N_("Bilder sind hier nur mit Konto möglich. Bitte melden Sie sich an.")
            if settings.pictures is PicturesFrom.ACCOUNT else N_("Bilder sind in dieser Phase nicht möglich."),
            field="picture")


def check_answers(answers: Sequence[Answer], asked: Sequence[OwnField], answered: Sequence[Answer] = ()) -> None:
    """Refuse what the form would; an option that was reworded since may stay where it was `answered` before."""
    wrong = read_answers(asked, {one.key: one.values for one in answers}, answered)[1]
    if wrong:
        raise wrong[0]


def possible_themes(process: Process, settings: CollectSettings) -> set[int | None]:
    """What a proposal may stand under; None is without a theme."""
    themes: set[int | None] = {theme.id for theme in process.themes}
    return themes | ({None} if settings.theme is ThemeRule.OPTIONAL else set())
