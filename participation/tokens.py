"""Random tokens, keyed hashes and sealed values. Plain tokens are never stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from cryptography.fernet import Fernet, InvalidToken

# Without 0/O, 1/I/L and U: a receipt number is read from paper and spoken on the telephone.
RECEIPT_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
RECEIPT_LENGTH = 12


def new_token() -> str:
    """A link token with 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What the database keeps of a token. Tokens are random, so a plain fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def new_receipt_number() -> str:
    """A receipt number like K7QM-92XA-PDTR (58 bits), guessable only against the rate limit."""
    raw = "".join(secrets.choice(RECEIPT_ALPHABET) for _ in range(RECEIPT_LENGTH))
    return f"{raw[:4]}-{raw[4:8]}-{raw[8:]}"


def normalise_receipt_number(entered: str) -> str:
    """Accept lower case, missing or additional dashes and blanks."""
    raw = "".join(char for char in entered.upper() if char.isalnum())
    return f"{raw[:4]}-{raw[4:8]}-{raw[8:]}"


class Keyring:
    """Keys derived from the one secret, each for its own purpose, so that one value never serves two."""

    def __init__(self, secret_key: str) -> None:
        """Derive the keys. The secret must be the same on every machine of the installation."""
        self._secret = secret_key.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self._derive("seal")))
        # Asked several times in every request of whoever takes part.
        self._person, self._voter = self._derive("person"), self._derive("voter")

    def _derive(self, purpose: str) -> bytes:
        return hmac.new(self._secret, f"beteiligung:{purpose}".encode(), hashlib.sha256).digest()

    def person_hash(self, process_id: int, identity: str) -> str:
        """Who somebody is within one process: stable there, not linkable to another process without the key."""
        return hmac.digest(self._person, f"{process_id}:{identity}".encode(), "sha256").hex()

    def voter_number(self, person_hash: str) -> int:
        """Under which number a person votes: only the key leads from a participant's hash to it, and nothing leads back."""
        digest = hmac.digest(self._voter, person_hash.encode(), "sha256")
        # 63 bits are what both databases hold in a whole number.
        return int.from_bytes(digest[:8]) >> 1

    def voter_of(self, process_id: int, identity: str) -> int:
        """The same for who acts."""
        return self.voter_number(self.person_hash(process_id, identity))

    def mark(self, purpose: str, value: str) -> str:
        """A keyed hash of a value for one purpose: a link that nobody can make, a lookup that tells nothing."""
        return hmac.new(self._derive(f"mark:{purpose}"), value.encode(), hashlib.sha256).hexdigest()

    def seal(self, plain: str) -> str:
        """Encrypt a value that jobs need later (an address to write to) but no reader of the database may see."""
        return self._fernet.encrypt(plain.encode()).decode()

    def unseal(self, sealed: str) -> str | None:
        """Decrypt, or None when the key has changed since."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            return None
