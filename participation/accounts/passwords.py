"""Passwords: argon2id above OWASP's floor, length instead of composition rules, the common ones refused (S07)."""

from __future__ import annotations

import re
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from participation.errors import InvalidInput
from participation.i18n import N_

MIN_LENGTH, MAX_LENGTH = 10, 200
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_COMMON = frozenset(
    ["passwort", "password", "kennwort", "hallo", "schatz", "liebe", "sommer", "winter", "herbst", "fruehling", "frühling", "deutschland", "fussball", "fußball", "borussia", "schalke", "bayern", "muenster", "münster", "willkommen", "geheim", "ficken", "arschloch", "engel", "sonne", "sonnenschein", "mausi", "schatzi", "michael", "thomas", "andreas", "daniel", "alexander", "christian", "sebastian", "stefan", "martin", "frank", "peter", "qwertz", "qwerty", "asdfgh", "yxcvbn", "iloveyou", "princess", "dragon", "monkey", "football", "baseball", "master", "superman", "batman", "shadow", "letmein", "welcome", "login", "admin", "administrator", "access", "starwars", "freedom", "whatever", "trustno", "killer", "pokemon", "computer", "internet", "samsung", "iphone", "google", "facebook", "beteiligung", "stadt", "gemeinde", "rathaus", "buerger", "bürger", "test", "testtest", "abcdef",
     # Words of ten letters and more that lead the lists of leaked passwords.
     "basketball", "volleyball", "california", "sunshine", "butterfly", "liverpool", "leverkusen", "dortmund",
     "christopher", "elizabeth", "motorcycle", "manchester", "newcastle", "chocolate", "metallica", "slipknot",
     "portugal", "barcelona", "juventus", "arsenal", "chelsea", "lovely", "forever", "jordan", "harley", "hunter",
     "ranger", "buster", "soccer", "hockey", "george", "charlie", "andrew", "michelle", "jessica", "pepper", "ashley",
     "nicole", "maverick", "phoenix", "mercedes", "porsche", "yamaha", "ferrari", "nintendo", "minecraft", "fortnite",
     "blink", "linkin", "angel", "babygirl", "loveme", "friends", "family", "jesus", "hannover", "hamburg", "berlin",
     "schmetterling", "weihnachten", "familie", "schokolade", "feuerwehr", "werder", "bremen", "stuttgart"]
)
_RUNS = ("1q2w3e4r5t6z7u8i9o0p", "1q2w3e4r5t6y7u8i9o0p", "1qay2wsx3edc4rfv5tgb", "1qaz2wsx3edc4rfv5tgb",
         "0123456789", "01234567890", "9876543210", "qwertzuiop", "qwertyuiop", "asdfghjkl", "yxcvbnm", "zxcvbnm",
         "abcdefghijklmnopqrstuvwxyz")


def hash_password(password: str) -> str:
    """The hash to store."""
    return _hasher.hash(password)


def password_matches(stored: str | None, password: str) -> bool:
    """Compare. Without a stored hash the same work is done, so that time tells nothing about who has an account."""
    try:
        _hasher.verify(stored or _hash_of_nobody(), password[: MAX_LENGTH * 4])
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether the hash was made with weaker parameters."""
    return _hasher.check_needs_rehash(stored)


@lru_cache(maxsize=1)
def _hash_of_nobody() -> str:
    return _hasher.hash("nobody has this password")


def check_password(password: str, *personal: str) -> None:
    """Refuse what is short, common, or made of the person's address, their name or the town's. Raises InvalidInput."""
    if len(password) < MIN_LENGTH:
        raise InvalidInput(
            N_("Das Kennwort ist zu kurz. Nehmen Sie mindestens %(number)s Zeichen, zum Beispiel drei Wörter."),
            field="password", number=MIN_LENGTH,
        )
    if len(password) > MAX_LENGTH:
        raise InvalidInput(
            N_("Das Kennwort ist zu lang. Höchstens %(number)s Zeichen sind möglich."), field="password",
            number=MAX_LENGTH,
        )
    if _is_easy(password.casefold(), personal):
        raise InvalidInput(
            N_("Dieses Kennwort ist leicht zu erraten. Nehmen Sie zum Beispiel drei Wörter, die nichts miteinander "
               "zu tun haben."), field="password",
        )


def _is_easy(password: str, personal: tuple[str, ...]) -> bool:
    """Whether nothing but a few characters remain when known words, runs and repetitions are taken away."""
    rest = password
    # Whole too: an address may consist of parts that are too short to count alone.
    words = {part for name in personal for part in [*re.split(r"[^\w]+", name.casefold()), name.strip().casefold()]
             if len(part) > 3}  # noqa: PLR2004
    for word in sorted(_COMMON | words, key=len, reverse=True):
        rest = rest.replace(word, "")
    for run in _RUNS:
        for length in range(len(run), 2, -1):
            for start in range(len(run) - length + 1):
                rest = rest.replace(run[start : start + length], "")
    rest = re.sub(r"(.)\1+", r"\1", re.sub(r"[\d\W_]+", "", rest) if len(rest) <= 6 else rest)  # noqa: PLR2004
    return len(set(rest)) < 4  # noqa: PLR2004 - aaaaaaaaaa, 1212121212
