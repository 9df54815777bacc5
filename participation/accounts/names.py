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
    "Stadtverwaltung", "Gemeindeverwaltung", "Kreisverwaltung", "Verwaltung", "Moderation", "Moderator",
    "Moderatorin", "Moderationsteam", "Redaktion", "Administration", "Administrator", "Admin", "Bürgermeister",
    "Bürgermeisterin", "Landrätin", "Ordnungsamt", "Bauamt", "Standesamt", "Bürgeramt", "Planungsamt", "Stadtplanung", "Bürgerbüro",
    "Bürgerservice", "Kämmerei", "Stadtkämmerei", "Stadtmarketing", "Stadtrat", "Feuerwehr", "Moderatoren",
    "Administratorin", "Rathausteam",
    # What we call whoever left.
    "Gelöschtes Konto",
)
# People are called so, too: "Karol Rathaus". So these claim something only where no first name stands before them.
_ALSO_SURNAMES = ("Rathaus", "Landrat", "Kämmerer")
# Also within a longer word.
_ANYWHERE = ("Polizei", "Stadtverwaltung", "Gemeindeverwaltung", "Kreisverwaltung", "Moderationsteam", "Bürgermeister")


def _skeleton(name: str) -> str:
    """How a name looks: without accents, case and script; "ü" and "ue" are one."""
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
    return _without_umlauts("".join(char for char in plain if not unicodedata.combining(char)).translate(_LOOKS_LIKE))


def _without_umlauts(skeleton: str) -> str:
    return re.sub("([aou])e+", r"\1", skeleton)


_PLACES = tuple(_skeleton(word) for word in ("Stadt", "Gemeinde", "Kreis", "Landkreis"))
# "Stadt Billerbeck" and "Meier, Stadt Billerbeck", but not "Stadtkind" or "Anna Kreis"; nor "Stadt Land Fluss", "Stadt der Zukunft".
_TOWN = re.compile(rf"(?:^|[^\w\s-]\s*)(?:(?:die|der)\s+)?(?:{'|'.join(_PLACES)})\s+"
                   rf"(?!(?:{_skeleton('Land')}|und|der|die|das|mit|ohne|fur|im|am)\b)\w")
# At the beginning of a name or of a part of it, or after a word that no name consists of.
_BEFORE_OFFICES = ("die", "der", "das", "dem", "vom", "beim", "im", "aus", "Team", "Herr", "Frau", "Ihr", "Ihre", "Unser", "Unsere",
                   "Info", "Service", "Kontakt", "Presse", "Pressestelle", "Büro", "Sekretariat")
_LEADING = re.compile(rf"(?:^|[^\w\s-]\s*|\s-\s+|\b(?:{'|'.join(map(_skeleton, _BEFORE_OFFICES))})[\s-]+)"
                      rf"(?:{'|'.join(map(_skeleton, _ALSO_SURNAMES))})\b")
# "Jugendamt", "Amt für Ordnung".
_BUREAU = re.compile(r"\b(?!insgesamt|gesamt)\w{3,}amt\b|\bamt fur\b")
# What staff add to their name.
_OFFICE_BEHIND = re.compile(r"\s*[,(|/\u2013\u2014]|\s-\s")
_TITLES = re.compile(r"^(?:(?:herr|hr|frau|fr|dr|prof)\b[\s.]*)+")
# What mail programs make a link of: a name greets its owner in mails that anybody can have sent to anybody.
# Two letters before the dot at least: "J.de Vries" leads nowhere.
_ADDRESS = re.compile(
    r"://|\bwww\.|\w{2,}\.(?:de|at|ch|nl|com|net|org|info|eu|ru|xyz|shop|top|online|site|link|app|live|io|example)\b|\w\.\w{2,}/|@\w",
    re.IGNORECASE)
_WORDS, _ALONE = (frozenset(_skeleton(name).replace(" ", "") for name in names) for names in (_OFFICES, (*_OFFICES, *_ALSO_SURNAMES)))
_PARTS = tuple(_skeleton(name) for name in _ANYWHERE)


def claims_office(name: str) -> bool:
    """Whether a name reads like an office of the town, however it is spelt."""
    # "Moderator1": numbers count as letters that look like them, and as nothing.
    return any(_claims_office(one) for one in (name, re.sub(r"\d+", " ", name)))


def _claims_office(name: str) -> bool:
    skeleton = _skeleton(name)
    joined = _joined(name)
    return (joined in _ALONE or any(part in joined for part in _PARTS)
            or not _WORDS.isdisjoint(re.split(r"[\W_]+", skeleton))
            or any(pattern.search(skeleton) for pattern in (_TOWN, _LEADING, _BUREAU)))


def is_taken_for(name: str, towns: Iterable[str], staff: Iterable[str]) -> bool:
    """Whether a name looks like one of these people, or is or holds one of these towns ("Stadt-Billerbeck"). "Herr" is no name.

    Staff add their office ("Svenja Oelkers, Stadt Billerbeck"); without it they are the same to residents.
    """
    joined, words, people = _joined(name), _words(name), list(staff)
    if any(_joined(town) == joined or place + _joined(town) in joined for town in towns for place in _PLACES):
        return True
    # First and last name, in whatever order and whatever stands beside them; one word alone is everybody's.
    alone = [one for one in (_OFFICE_BEHIND.split(one, maxsplit=1)[0].strip() for one in people) if len(_words(one)) > 1]
    return _person(name) in {_person(one) for one in (*people, *alone)} or any(_words(one) <= words for one in alone)


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
    # Anew: what ends with "u" and goes on with "e" is joined only now.
    return _without_umlauts(re.sub(r"[\W_]", "", _skeleton(name)))


def _words(name: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W_]+", _TITLES.sub("", _skeleton(re.sub(r"\d+", " ", name)))))


def _person(name: str) -> str:
    return _joined(_TITLES.sub("", _skeleton(name)))
