"""Passkeys: an authenticator made of a few lines, and what it must not get away with."""

from __future__ import annotations

import hashlib
import json
import struct
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select, update
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

from participation import clock
from participation.accounts.models import Passkey, SignInSession
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.accounts.models import Account
    from tests.browser_client import Browser


@pytest.fixture
def town(session: Session):
    process = factories.process(session)
    session.commit()
    return process.municipality


class Device:
    """A telephone with one passkey. `verifies`: whether it asks for a finger or PIN."""

    def __init__(self, *, verifies: bool = True, origin: str = "http://localhost") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.id = hashlib.sha256(str(id(self)).encode()).digest()
        self.handle = b""
        self.count = 0
        self.flags = 0x01 | (0x04 if verifies else 0)
        self.origin = origin

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _answer(self, **response: bytes) -> dict[str, Any]:
        own = bytes_to_base64url(self.id)
        return {"id": own, "rawId": own, "type": "public-key",
                "response": {name: bytes_to_base64url(value) for name, value in response.items()}}

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        self.handle = base64url_to_bytes(options["user"]["id"])
        numbers = self.key.public_key().public_numbers()
        cose = encode_cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
        data = (hashlib.sha256(options["rp"]["id"].encode()).digest() + bytes([self.flags | 0x40])
                + struct.pack(">I", self.count) + bytes(16) + struct.pack(">H", len(self.id)) + self.id + cose)
        return self._answer(clientDataJSON=self._client_data("webauthn.create", options["challenge"]),
                            attestationObject=encode_cbor({"fmt": "none", "attStmt": {}, "authData": data}))

    def get(self, options: dict[str, Any], handle: bytes | None = None) -> dict[str, Any]:
        self.count += 1
        data = (hashlib.sha256(options["rpId"].encode()).digest() + bytes([self.flags])
                + struct.pack(">I", self.count))
        client = self._client_data("webauthn.get", options["challenge"])
        signature = self.key.sign(data + hashlib.sha256(client).digest(), ec.ECDSA(hashes.SHA256()))
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature,
                            userHandle=handle or self.handle)


def register(browser: Browser, device: Device, name: str = "Telefon") -> Any:
    options = browser.post("/konto/passkeys/neu/beginnen").get_json()
    return browser.client.post("/konto/passkeys/neu", json={"credential": device.create(options), "name": name})


def sign_in(browser: Browser, device: Device, **wrong: Any) -> Any:
    options = browser.post("/konto/passkey/beginnen").get_json()
    return browser.client.post("/konto/passkey/anmelden", json={"credential": device.get(options, **wrong)})


def owner(session: Session, browser: Browser, device: Device, *roles: Role, town: Any = None) -> Account:
    account = factories.account(session, *roles, town=town)
    session.commit()
    browser.sign_in(account, second_factor=False)
    assert register(browser, device).status_code == 200
    browser.post("/konto/abmelden")
    return account


def test_several_passkeys_sign_in_without_an_address_and_can_be_removed(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town
) -> None:
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    telephone, laptop = Device(), Device()
    for device, name in ((telephone, "Mein Telefon"), (laptop, "Rechner")):
        assert register(browser, device, name).get_json() == {"location": "/konto/sicherheit"}
    page = browser.text("/konto/sicherheit")
    assert "Mein Telefon" in page
    assert "Rechner" in page
    for device in (telephone, laptop):
        visitor = new_browser()
        assert sign_in(visitor, device).get_json() == {"location": "/"}
        assert account.display_name in visitor.text("/konto")
    browser.submit("/konto/sicherheit", form="entfernen")
    assert "Mein Telefon" not in browser.text("/konto/sicherheit")
    assert sign_in(new_browser(), telephone).status_code == 422
    assert sign_in(new_browser(), laptop).status_code == 200


def test_an_answer_counts_once_for_its_own_question_and_account(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town
) -> None:
    device, other = Device(), Device()
    owner(session, browser, device)
    other_account = owner(session, new_browser(), other)
    options = browser.post("/konto/passkey/beginnen").get_json()
    cookie = browser.client.get_cookie("session")
    assert cookie is not None
    answer = device.get(options)
    assert browser.client.post("/konto/passkey/anmelden", json={"credential": answer}).status_code == 200
    thief = new_browser()
    thief.client.set_cookie("session", cookie.value)
    replayed = thief.client.post("/konto/passkey/anmelden", json={"credential": answer})
    assert replayed.status_code == 422
    assert "Passkey" in replayed.get_json()["message"]
    assert sign_in(new_browser(), device, handle=other.handle).status_code == 422
    forged = Device()
    forged.id, forged.handle, forged.count = other.id, other.handle, 50
    assert sign_in(new_browser(), forged).status_code == 422
    assert session.scalar(select(func.count()).select_from(SignInSession).where(
        SignInSession.account_id == other_account.id, SignInSession.revoked_at.is_(None))) == 0


def test_a_copied_page_elsewhere_gets_nothing(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town
) -> None:
    device = Device()
    owner(session, browser, device)
    device.origin = "https://beteiligung.evil.example"
    assert sign_in(new_browser(), device).status_code == 422


@pytest.mark.parametrize("sent", [None, [], {}, {"credential": None}, {"credential": {"id": 5}}, {"credential": {
    "id": "x", "rawId": "x", "type": "public-key", "response": {}}}])
def test_nonsense_gets_a_sentence(browser: Browser, town, sent: Any) -> None:
    assert browser.client.post("/konto/passkey/anmelden", json=sent).status_code == 422
    browser.post("/konto/passkey/beginnen")
    answer = browser.client.post("/konto/passkey/anmelden", json=sent)
    assert answer.status_code == 422
    assert answer.get_json()["message"]


def test_brackets_in_brackets_get_a_sentence(browser: Browser, town) -> None:
    browser.post("/konto/passkey/beginnen")
    answer = browser.client.post("/konto/passkey/anmelden", data="[" * 100_000, content_type="application/json")
    assert answer.status_code == 422
    assert answer.get_json()["message"]


def test_a_question_ends_after_five_minutes(session: Session, browser: Browser, town) -> None:
    device = Device()
    owner(session, browser, device)
    options = browser.post("/konto/passkey/beginnen").get_json()
    with browser.client.session_transaction() as cookie:
        cookie["passkey"] = [*cookie["passkey"][:2], cookie["passkey"][2] - 301]
    answer = browser.client.post("/konto/passkey/anmelden", json={"credential": device.get(options)})
    assert answer.status_code == 422
    assert "zu lange" in answer.get_json()["message"]


def test_staff_get_in_by_a_passkey_that_checks_who_is_there(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town
) -> None:
    careful, careless = Device(), Device(verifies=False)
    staff = owner(session, browser, careful, Role.ADMIN, town=town)
    visitor = new_browser()
    assert sign_in(visitor, careful).status_code == 200
    assert visitor.get("/verwaltung").status_code == 200
    assert register(visitor, careless, "Stick").status_code == 200
    half = new_browser()
    assert "/konto/zweiter-faktor" in sign_in(half, careless).get_json()["location"]
    assert half.get("/verwaltung").status_code == 302
    assert "Passkey" in half.text("/konto/zweiter-faktor")
    assert staff.totp_confirmed_at is None


def test_the_password_alone_adds_no_second_factor_where_a_passkey_is_one(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town
) -> None:
    staff = owner(session, browser, Device(), Role.ADMIN, town=town)
    thief = new_browser().sign_in(staff, second_factor=False)
    for path in ("/konto/zweiter-faktor/einrichten", "/konto/passkeys/neu", "/konto/kennwort", "/konto/e-mail"):
        assert "/konto/zweiter-faktor?" in thief.get(path).headers["Location"]
    assert thief.post("/konto/passkeys/neu/beginnen").status_code == 401
    passkey = session.scalars(select(Passkey)).one()
    thief.post(f"/konto/passkeys/{passkey.id}/entfernen")
    session.expire_all()
    assert session.scalars(select(Passkey)).one()


def test_adding_asks_again_after_a_while_and_needs_a_name(session: Session, browser: Browser, town) -> None:
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    device = Device()
    assert register(browser, device, " ").status_code == 422
    assert register(browser, device, "A").status_code == 200
    again = register(browser, device, "B")
    assert again.status_code == 422
    assert "gibt es schon" in again.get_json()["message"]
    session.execute(update(SignInSession).values(created_at=clock.now() - timedelta(hours=2)))
    session.commit()
    assert browser.post("/konto/passkeys/neu/beginnen").get_json()["location"].startswith("/konto/nochmal-anmelden")


def test_only_a_confirmed_address_gets_a_passkey(session: Session, browser: Browser, town) -> None:
    account = factories.account(session, email_confirmed_at=None)
    session.commit()
    browser.sign_in(account)
    assert browser.post("/konto/passkeys/neu/beginnen").status_code == 409
