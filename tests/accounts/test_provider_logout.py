"""Signing out where one signed in by another provider: here, there, and what the provider itself may say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from joserfc import jwt
from sqlalchemy import select, update

from participation import clock
from participation.accounts import oidc
from participation.accounts.models import SignInSession
from participation.accounts.operations.leaving import forget_expired
from participation.settings import Settings
from tests import factories
from tests.accounts.provider import CLIENT, LOGOUT_EVENT, Provider
from tests.accounts.test_oidc import go_there, one_provider, provider, sign_in  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser

ENDED = "/konto/anmelden-extern/beendet"


@pytest.fixture
def keycloak(provider: Provider) -> Iterator[Provider]:  # noqa: F811
    """A provider that can be asked to sign somebody out."""
    provider.more = {"end_session_endpoint": f"{provider.issuer}/logout"}
    provider.person |= {"email": "neu@beispiel.example", "email_verified": True, "sid": "sitzung-1"}
    provider.left.clear()
    oidc._metadata.clear()
    yield provider
    provider.more = {}
    oidc._metadata.clear()


def tell(browser: Browser, token: str) -> int:
    """The provider speaks: from nowhere, without a cookie."""
    return browser.post(ENDED, {"logout_token": token}).status_code


def encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed_by_public_key(provider: Provider, claims: dict[str, Any]) -> str:  # noqa: F811
    """As by whoever hopes that the public key is taken for a shared secret."""
    signed = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{encoded(claims)}"
    mac = hmac.new(provider.key.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def test_whoever_signs_out_here_can_sign_out_there_by_a_link_and_comes_back(
    browser: Browser, keycloak: Provider
) -> None:
    sign_in(browser)
    keycloak.asked.clear()
    page = browser.post("/konto/abmelden", follow_redirects=True)
    assert browser.get("/konto").status_code == 302
    assert keycloak.asked == [], "nobody is asked before the person wants it"
    assert "Auch bei „Stadtkonto“ abmelden" in page.get_data(as_text=True)
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    assert "ey" + "J" not in page.get_data(as_text=True), "no token on a page"
    out = browser.get("/konto/abmelden-extern")
    assert out.status_code == 303
    query = parse_qs(urlsplit(out.headers["Location"]).query)
    assert query["client_id"] == [CLIENT]
    assert query["post_logout_redirect_uri"] == ["http://localhost/konto/abgemeldet"]
    back = requests.get(out.headers["Location"], allow_redirects=False, timeout=60).headers["Location"]
    assert len(keycloak.left) == 1
    parts = urlsplit(back)
    assert "Hier und bei „Stadtkonto“" in browser.text(f"{parts.path}?{parts.query}")
    assert browser.get("/konto/abmelden-extern").headers["Location"] == "/", "once"


def test_a_foreign_state_confirms_nothing(browser: Browser, keycloak: Provider) -> None:
    sign_in(browser)
    browser.post("/konto/abmelden")
    browser.get("/konto/abmelden-extern")
    for state in ("", "?state=geraten", "?state=%ff"):
        assert browser.get(f"/konto/abgemeldet{state}").headers["Location"] == "/"


def test_the_way_to_the_provider_closes_after_a_while_and_the_token_is_forgotten(
    session: Session, browser: Browser, keycloak: Provider
) -> None:
    sign_in(browser)
    browser.post("/konto/abmelden")
    kept = session.scalars(select(SignInSession.id_token_sealed)).one()
    assert kept
    assert "eyJ" not in kept, "sealed"
    session.execute(update(SignInSession).values(revoked_at=clock.now() - timedelta(minutes=16)))
    session.commit()
    assert browser.get("/konto/abmelden-extern").headers["Location"] == "/"
    forget_expired(session, clock.now() + timedelta(hours=1))
    assert session.scalars(select(SignInSession.id_token_sealed)).all() == [None]


def test_who_signed_in_otherwise_or_by_a_provider_without_such_an_address_is_simply_out(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], provider: Provider  # noqa: F811
) -> None:
    provider.person |= {"email": "neu@beispiel.example", "email_verified": True}
    oidc._metadata.clear()
    sign_in(browser)
    assert session.scalars(select(SignInSession.id_token_sealed)).all() == [None]
    assert browser.post("/konto/abmelden").headers["Location"] == "/"
    account = factories.account(session)
    session.commit()
    other = new_browser().sign_in(account)
    assert other.post("/konto/abmelden").headers["Location"] == "/"


def test_a_provider_that_is_away_keeps_nobody_signed_in_here(browser: Browser, keycloak: Provider) -> None:
    sign_in(browser)
    browser.post("/konto/abmelden")
    oidc._metadata[keycloak.issuer][1]["end_session_endpoint"] = "javascript:alert(1)"
    answer = browser.get("/konto/abmelden-extern", follow_redirects=True)
    assert "Hier sind Sie abgemeldet" in answer.get_data(as_text=True)


@pytest.mark.parametrize("said", [{}, {"sub": None, "sid": "sitzung-1"}, {"sid": "sitzung-1"}])
def test_the_provider_ends_the_sessions_that_came_from_it_and_no_other(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], keycloak: Provider, said: dict[str, Any],
    csrf: None,
) -> None:
    browser.app.config["WTF_CSRF_ENABLED"] = False
    sign_in(browser)
    account = session.scalars(select(SignInSession)).one().account
    by_password = new_browser().sign_in(account)
    browser.app.config["WTF_CSRF_ENABLED"] = True
    assert tell(new_browser(), keycloak.logout_token(**said)) == 200
    assert browser.get("/konto").status_code == 302
    assert by_password.get("/konto").status_code == 200


def test_another_session_of_the_same_person_goes_on(
    browser: Browser, new_browser: Callable[[], Browser], keycloak: Provider
) -> None:
    sign_in(browser)
    keycloak.person["sid"] = "sitzung-2"
    second = new_browser()
    sign_in(second)
    assert tell(new_browser(), keycloak.logout_token(sid="sitzung-2")) == 200
    assert (browser.get("/konto").status_code, second.get("/konto").status_code) == (200, 302)
    assert tell(new_browser(), keycloak.logout_token(sub="wer anders", sid="sitzung-9")) == 200
    assert browser.get("/konto").status_code == 200


def test_a_word_said_before_ends_nothing_that_began_after(browser: Browser, keycloak: Provider) -> None:
    old = keycloak.logout_token(iat=int(time.time()) - 60)
    sign_in(browser)
    assert tell(browser, old) == 200
    assert browser.get("/konto").status_code == 200


@pytest.mark.parametrize(("header", "wrong"), [
    ({}, {"iss": "https://anderswo.example"}), ({}, {"aud": "jemand-anders"}), ({}, {"exp": 1}), ({}, {"exp": None}),
    ({}, {"iat": None}), ({}, {"iat": 9_999_999_999}), ({}, {"jti": None}), ({}, {"nonce": "n"}), ({}, {"sub": None}),
    ({}, {"events": None}), ({}, {"events": {}}), ({}, {"events": {LOGOUT_EVENT: "ja"}}), ({}, {"events": [LOGOUT_EVENT]}),
    ({}, {"sub": ["person-1"]}), ({"typ": "at+jwt"}, {}), ({"kid": "unbekannt"}, {}),
])
def test_what_is_not_the_providers_word_to_us_ends_nothing(
    browser: Browser, new_browser: Callable[[], Browser], keycloak: Provider, header: dict[str, Any], wrong: dict[str, Any]
) -> None:
    sign_in(browser)
    assert tell(new_browser(), keycloak.logout_token(header, **wrong)) == 400
    assert browser.get("/konto").status_code == 200


def test_forged_words_end_nothing_and_do_not_make_us_ask_again_and_again(
    browser: Browser, new_browser: Callable[[], Browser], keycloak: Provider
) -> None:
    sign_in(browser)
    now = int(time.time())
    claims = {"iss": keycloak.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "jti": "x", "sub": "person-1",
              "events": {LOGOUT_EVENT: {}}}
    by_public_key = signed_by_public_key(keycloak, claims)
    by_other_key = jwt.encode({"alg": "RS256", "kid": "k1"}, claims, Provider.new_key("k1"))
    head, body, _signature = by_other_key.split(".")
    unsigned = f"eyJhbGciOiJub25lIn0.{body}."
    keycloak.asked.clear()
    for token in (by_public_key, by_other_key, unsigned, f"{head}.{body}.", "", "a.b.c", "x" * 100_000, "ü", "\x00"):
        assert tell(new_browser(), token) == 400
    assert keycloak.asked == []
    assert browser.get("/konto").status_code == 200


@pytest.mark.parametrize("way", ["none", "HS256"])
def test_an_id_token_without_a_real_signature_signs_nobody_in(
    browser: Browser, keycloak: Provider, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = oidc.fetch_json

    def forged(url: str, **options: Any) -> dict[str, Any]:
        answer = real(url, **options)
        if "id_token" in answer:
            claims = jwt.decode(answer["id_token"], keycloak.key).claims
            unsigned = f"{encoded({'alg': 'none'})}.{encoded(claims)}."
            answer["id_token"] = unsigned if way == "none" else signed_by_public_key(keycloak, claims)
        return answer

    monkeypatch.setattr(oidc, "fetch_json", forged)
    assert "hat nicht geklappt" in sign_in(browser).get_data(as_text=True)
    assert browser.get("/konto").status_code == 302


def test_an_answer_without_issuer_is_refused_where_the_provider_promises_one(
    browser: Browser, keycloak: Provider
) -> None:
    keycloak.more |= {"authorization_response_iss_parameter_supported": True}
    oidc._metadata.clear()
    back = go_there(browser)
    tree = browser.open(back)
    sent = {one.name: one.value for one in tree.xpath("//form//input[@name]") if one.name in {"code", "state"}}
    answer = browser.post("/konto/anmelden-extern/zurueck", sent, follow_redirects=True)
    assert "hat nicht geklappt" in answer.get_data(as_text=True)


def test_an_address_from_another_claim_counts_as_verified_only_where_the_operator_says_by_what(
    session: Session, browser: Browser, keycloak: Provider
) -> None:
    owner = factories.account(session)
    session.commit()
    platform = browser.app.extensions["platform"]
    mapped = Settings.from_environ({"OIDC_CLAIMS": "email=upn", "BETEILIGUNG_ENV": "test", "DATA_DIR": "/tmp"})  # noqa: S108
    platform.settings = replace(platform.settings, oidc_claims=mapped.oidc_claims)
    keycloak.person |= {"upn": owner.email, "email": "eigene@beispiel.example", "email_verified": True}
    assert "keine bestätigte Adresse" in sign_in(browser).get_data(as_text=True)
    assert browser.get("/konto").status_code == 302
