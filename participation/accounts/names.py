"""Names that nobody may choose: nobody signs as the town hall, as one of its people or as the moderation who is not of it."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from participation.accounts.queries import names_of_staff, names_of_towns
from participation.errors import InvalidInput
from participation.i18n import N_

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

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


_PLACES = tuple(_skeleton(word) for word in ("Stadt", "Gemeinde", "Kreis", "Landkreis"))
# "Stadt Billerbeck" and "Meier, Stadt Billerbeck", but not "Stadtkind" or "Anna Kreis".
_TOWN = re.compile(rf"(?:^|[^\w\s-]\s*)(?:(?:die|der)\s+)?(?:{'|'.join(_PLACES)})\s+\w")
# What mail programs make a link of: a name greets its owner in mails that anybody can have sent to anybody.
# Two letters before the dot at least: "J.de Vries" leads nowhere.
_ADDRESS = re.compile(
    r"://|\bwww\.|\w{2,}\.(?:de|at|ch|nl|com|net|org|info|eu|ru|xyz|shop|top|online|site|link|app|live|io|example)\b|\w\.\w{2,}/|@\w",
    re.IGNORECASE)
_WORDS = frozenset(_skeleton(name) for name in _OFFICES)
_PARTS = tuple(_skeleton(name) for name in _ANYWHERE)


def claims_office(name: str) -> bool:
    """Whether a name reads like an office of the town, however it is spelt."""
    skeleton = _skeleton(name)
    joined = _joined(name)
    return joined in _WORDS or any(part in joined for part in _PARTS) or bool(_TOWN.search(skeleton)) or not _WORDS.isdisjoint(
        re.split(r"[\W_]+", skeleton))


def is_taken_for(name: str, towns: Iterable[str], staff: Iterable[str]) -> bool:
    """Whether a name looks like one of these people, or holds one of these towns by its title ("Stadt-Billerbeck")."""
    joined = _joined(name)
    return any(place + _joined(town) in joined for town in towns for place in _PLACES) or joined in map(_joined, staff)


def has_address(name: str) -> bool:
    """Whether a name leads somewhere."""
    return bool(_ADDRESS.search(unicodedata.normalize("NFKC", name)))


def require_own_name(session: Session, name: str, field: str) -> None:
    """Raises InvalidInput for a name by which others would take its owner for the town hall, or that leads elsewhere."""
    if has_address(name):
        raise InvalidInput(N_("Ein Name kann keine Internet-Adresse und keine E-Mail-Adresse sein. Bitte wählen Sie einen "
                              "anderen."), field=field)
    if claims_office(name) or is_taken_for(name, session.scalars(names_of_towns()), session.scalars(names_of_staff())):
        raise InvalidInput(
            N_("Dieser Name klingt nach Verwaltung oder Moderation. Bitte wählen Sie einen anderen."), field=field)


def _joined(name: str) -> str:
    return re.sub(r"[\W_]", "", _skeleton(name))
