"""Names that claim an office: nobody signs as the town hall or as the moderation who is not of it."""

from __future__ import annotations

import re
import unicodedata

from participation.errors import InvalidInput
from participation.i18n import N_

# Letters of other scripts, and digits, that look like Latin ones; l, i and 1 are one letter to the eye.
_LOOKS_LIKE = str.maketrans(
    "аеорсхуіјѕһӏвкмнтԁԛԝгαορντικευηωγ01|!3$@ılɩ",
    "aeopcxyijshibkmhtdqwraopvtikeunwyoiiiesaiii",
)
_OFFICES = (
    "Stadtverwaltung", "Gemeindeverwaltung", "Kreisverwaltung", "Verwaltung", "Rathaus", "Moderation", "Moderator",
    "Moderatorin", "Moderationsteam", "Redaktion", "Administration", "Administrator", "Admin", "Bürgermeister",
    "Bürgermeisterin", "Landrat", "Landrätin", "Ordnungsamt", "Bauamt", "Stadtplanung",
)
# Also within a longer word.
_ANYWHERE = ("Stadtverwaltung", "Gemeindeverwaltung", "Kreisverwaltung", "Moderationsteam", "Bürgermeister")


def _skeleton(name: str) -> str:
    """How a name looks: without accents, case and script."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return "".join(char for char in plain if not unicodedata.combining(char)).translate(_LOOKS_LIKE)


# "Stadt Billerbeck", but not "Stadtkind" or "Anna Kreis".
_TOWN = re.compile(rf"(?:(?:die|der)\s+)?(?:{'|'.join(_skeleton(word) for word in ('Stadt', 'Gemeinde', 'Kreis', 'Landkreis'))})\s+\w")
_WORDS = frozenset(_skeleton(name) for name in _OFFICES)
_PARTS = tuple(_skeleton(name) for name in _ANYWHERE)


def claims_office(name: str) -> bool:
    """Whether a name reads like an office of the town, however it is spelt."""
    skeleton = _skeleton(name)
    joined = re.sub(r"[\W_]", "", skeleton)
    return joined in _WORDS or any(part in joined for part in _PARTS) or bool(_TOWN.match(skeleton)) or not _WORDS.isdisjoint(
        re.split(r"[\W_]+", skeleton))


def require_no_office(name: str, field: str) -> None:
    """Raises InvalidInput for a name that would be taken for the town hall."""
    if claims_office(name):
        raise InvalidInput(
            N_("Dieser Name klingt nach Verwaltung oder Moderation. Bitte wählen Sie einen anderen."), field=field)
