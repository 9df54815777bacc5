"""Signing in by another provider, and all that such a provider, or somebody in between, could try."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import select

from participation import fetch
from participation.accounts import oidc
from participation.accounts.models import Account, ExternalIdentity
from participation.accounts.passwords import hash_password
from participation.errors import Gone
from participation.fetch import FetchError, fetch_json, is_public
from participation.settings import Settings, SettingsError
from tests import factories
from tests.accounts.provider import CLIENT, SECRET, Provider, running
from tests.accounts.test_own_account import link_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser


@pytest.fixture(scope="module")
def one_provider() -> Iterator[Provider]:
    with running() as found:
        yield found


@pytest.fixture
def provider(one_provider: Provider, app: Any, session: Session) -> Iterator[Provider]:
    """The provider, configured; a town to come back to."""
    factories.process(session)
    session.commit()
    platform = app.extensions["platform"]
    before = platform.settings
    platform.settings = replace(
        before, oidc_issuer=one_provider.issuer, oidc_client_id=CLIENT, oidc_client_secret=SECRET,
        oidc_label="Stadtkonto", oidc_levels=("hoch",),
    )
    one_provider.person, one_provider.wrong, one_provider.userinfo = {"sub": "person-1"}, {}, None
    yield one_provider
    platform.settings = before


def go_there(browser: Browser, query: str = "") -> str:
    """Out and back again; returns the path that the provider sends the browser to."""
    out = browser.get(f"/konto/anmelden-extern{query}")
    assert out.status_code == 303
    back = requests.get(out.headers["Location"], allow_redirects=False, timeout=60).headers["Location"]
    parts = urlsplit(back)
    return f"{parts.path}?{parts.query}"


def sign_in(browser: Browser, query: str = "") -> Any:
    return browser.submit(go_there(browser, query), form="zurueck")


def test_nobody_is_asked_before_the_button_and_the_way_back_is_a_button(
    session: Session, browser: Browser, provider: Provider
) -> None:
    provider.asked.clear()
    assert "Weiter mit Stadtkonto" in browser.text("/konto/anmelden?next=/hilfe")
    assert provider.asked == []
    account = factories.account(session, email="frieda@beispiel.example")
    session.commit()
    provider.person |= {"email": "Frieda@beispiel.example", "email_verified": True}
    back = go_there(browser, "?next=/hilfe")
    assert browser.get(back).status_code == 200
    assert browser.get("/konto").status_code == 302
    answer = browser.submit(back, form="zurueck")
    assert answer.request.path == "/hilfe"
    assert account.display_name in browser.text("/konto")
    assert browser.post(urlsplit(back).path, {"state": "x"}).status_code == 410


def test_the_person_is_known_by_issuer_and_subject_whatever_the_address(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], provider: Provider
) -> None:
    provider.person |= {"email": "neu@beispiel.example", "email_verified": True, "preferred_username": "Amsel\n7"}
    answer = sign_in(browser)
    assert "Guten Tag, Amsel 7" in answer.get_data(as_text=True)
    provider.person["email"] = "ganz-anders@beispiel.example"
    again = new_browser()
    sign_in(again)
    assert "neu@beispiel.example" in again.text("/konto")
    account = session.scalars(select(Account)).one()
    assert account.email_confirmed_at is not None
    assert session.scalars(select(ExternalIdentity.subject)).all() == ["person-1"]


@pytest.mark.parametrize("name", ["Stadtverwaltung", "R@thaus Billerbeck", "   "])
def test_a_provider_makes_nobody_the_town_hall(browser: Browser, provider: Provider, name: str) -> None:
    provider.person |= {"email": "neu@beispiel.example", "email_verified": True, "preferred_username": name}
    text = sign_in(browser).get_data(as_text=True)
    assert "Guten Tag, Neu dabei" in text
    assert name.strip() not in text or not name.strip()


@pytest.mark.parametrize("verified", [False, None, "true"])
def test_an_address_that_the_provider_did_not_verify_opens_no_account(
    session: Session, browser: Browser, provider: Provider, verified: Any,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    owner = factories.account(session, password_hash=hash_password("drei lose Wörter im Wind"))
    session.commit()
    provider.person |= {"email": owner.email, "email_verified": verified}
    back = sign_in(browser)
    assert "keine bestätigte Adresse" in back.get_data(as_text=True)
    sealed = back.get_data(as_text=True).split('name="sealed" value="')[1].split('"')[0]
    taken = browser.post("/konto/anmelden-extern/adresse", {"sealed": sealed, "email": owner.email})
    free = browser.post("/konto/anmelden-extern/adresse", {"sealed": sealed, "email": "frei@beispiel.example"})
    assert taken.headers["Location"] == free.headers["Location"]
    run_jobs()
    texts = {mail.split("\n")[0]: mail for mail in mails()}
    assert "schon ein Konto" in texts[f"To: {owner.email}"]
    link = link_in(texts["To: frei@beispiel.example"])
    # Its owner may be somebody else, whose account this would become beside that of a stranger.
    assert "Weiter mit Stadtkonto" in browser.text(link)
    browser.post(link)
    account = session.scalars(select(Account).where(Account.email == "frei@beispiel.example")).one()
    assert account.email_confirmed_at is None
    assert sign_in(browser, f"?next={link}").request.path == link
    browser.submit(link, form=-1)
    session.expire_all()
    assert account.email_confirmed_at is not None
    assert "frei@beispiel.example" in browser.text("/konto")


def test_an_account_that_never_confirmed_its_address_is_not_taken_over(
    session: Session, browser: Browser, provider: Provider
) -> None:
    planted = factories.account(session, email_confirmed_at=None)
    session.commit()
    provider.person |= {"email": planted.email, "email_verified": True}
    assert "keine bestätigte Adresse" in sign_in(browser).get_data(as_text=True)
    assert session.scalars(select(ExternalIdentity)).all() == []


def test_connecting_and_parting(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], provider: Provider
) -> None:
    account, other = factories.account(session), factories.account(session)
    session.commit()
    browser.sign_in(account)
    sign_in(browser)
    assert "Stadtkonto" in browser.text("/konto/sicherheit")
    second = new_browser().sign_in(other)
    assert sign_in(second).status_code == 409
    browser.submit("/konto/sicherheit", form="trennen")
    session.expire_all()
    assert session.scalars(select(ExternalIdentity)).all() == []


@pytest.mark.parametrize("wrong", [
    {"iss": "https://anderswo.example"}, {"aud": "jemand-anders"}, {"exp": 1}, {"nonce": "geraten"}, {"sub": ""},
    {"sub": "x" * 300}, {"aud": [CLIENT, "noch-wer"]}, {"azp": "noch-wer"}, {"at_hash": "falsch"}, {"iat": 9_999_999_999},
])
def test_a_token_that_is_not_for_us_signs_nobody_in(
    session: Session, browser: Browser, provider: Provider, wrong: dict[str, Any]
) -> None:
    provider.person |= {"email": "neu@beispiel.example", "email_verified": True}
    provider.wrong = wrong
    assert "hat nicht geklappt" in sign_in(browser).get_data(as_text=True)
    assert session.scalars(select(Account)).all() == []


def test_a_forged_signature_is_refused_and_a_new_key_is_fetched(browser: Browser, provider: Provider) -> None:
    provider.person |= {"email": "neu@beispiel.example", "email_verified": True}
    sign_in(browser)
    browser.post("/konto/abmelden")
    published, provider.key = provider.key, Provider.new_key("k2")
    sign_in(browser)
    assert browser.get("/konto").status_code == 200
    browser.post("/konto/abmelden")
    forged = Provider.new_key("k2")
    real = provider.key
    provider.key = forged
    back = go_there(browser)
    keys = {"keys": [real.as_dict(private=False)]}
    oidc._metadata[provider.issuer][1]["keys"] = keys
    unasked = fetch.fetch_json

    def only_real(url: str, **options: Any) -> dict[str, Any]:
        return keys if url.endswith("/keys") else unasked(url, **options)

    oidc.fetch_json = only_real
    try:
        assert "hat nicht geklappt" in browser.submit(back, form="zurueck").get_data(as_text=True)
    finally:
        oidc.fetch_json = unasked
        provider.key = published
        oidc._metadata.clear()


def test_only_the_browser_that_left_can_come_back(
    browser: Browser, new_browser: Callable[[], Browser], provider: Provider
) -> None:
    provider.person |= {"email": "opfer@beispiel.example", "email_verified": True}
    back = go_there(browser)
    victim = new_browser()
    assert victim.submit(back, form="zurueck").status_code == Gone.status
    assert victim.get("/konto").status_code == 302


def test_the_code_works_with_its_own_verifier_only(browser: Browser, provider: Provider) -> None:
    provider.person |= {"email": "neu@beispiel.example", "email_verified": True}
    back = go_there(browser)
    with browser.client.session_transaction() as cookie:
        cookie["oidc"] = {**cookie["oidc"], "verifier": "gestohlen"}
    assert "hat nicht geklappt" in browser.submit(back, form="zurueck").get_data(as_text=True)


def test_missing_claims_come_from_the_user_info_of_the_same_person(browser: Browser, provider: Provider) -> None:
    provider.userinfo = {"sub": "person-1", "email": "info@beispiel.example", "email_verified": True}
    sign_in(browser)
    assert "info@beispiel.example" in browser.text("/konto")
    browser.post("/konto/abmelden")
    provider.person = {"sub": "person-2"}
    assert "hat nicht geklappt" in sign_in(browser).get_data(as_text=True)


def test_a_provider_that_is_away_is_said_so(browser: Browser, provider: Provider, app: Any) -> None:
    platform = app.extensions["platform"]
    platform.settings = replace(platform.settings, oidc_issuer="http://127.0.0.1:9")
    answer = browser.get("/konto/anmelden-extern", follow_redirects=True)
    assert "hat nicht geklappt" in answer.get_data(as_text=True)


def test_without_a_provider_there_is_nothing(browser: Browser, session: Session) -> None:
    factories.process(session)
    session.commit()
    assert browser.get("/konto/anmelden-extern").status_code == 404
    assert "Konto, das Sie schon haben" not in browser.text("/konto/anmelden")


@pytest.mark.parametrize("address", [
    "127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "::1",  # noqa: S104
    "::ffff:127.0.0.1", "fe80::1%eth0", "fc00::1", "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "::",
])
def test_nothing_in_our_own_network_is_asked(address: str) -> None:
    assert not is_public(address)
    host = f"[{address.partition('%')[0]}]" if ":" in address else address
    with pytest.raises(FetchError, match="private"):
        fetch_json(f"https://{host}/.well-known/openid-configuration")


@pytest.mark.parametrize("url", ["http://provider.example/", "file:///etc/passwd", "gopher://x/", "https://a:99999/", "//x"])
def test_nothing_but_https_is_asked(url: str) -> None:
    with pytest.raises(FetchError):
        fetch_json(url)


def test_redirects_and_endless_answers_are_refused(one_provider: Provider) -> None:
    with pytest.raises(FetchError, match="302"):
        fetch_json(f"{one_provider.issuer}/auth?redirect_uri=http://127.0.0.1:1/&state=x", allow_private=True)
    with pytest.raises(FetchError, match="private"):
        fetch_json(f"https://localhost:{urlsplit(one_provider.issuer).port}/keys")


def test_settings_of_a_provider_are_read_and_half_ones_refused(tmp_path: Path) -> None:
    both = {"OIDC_ISSUER": "https://id.example", "OIDC_CLIENT_ID": "a", "OIDC_CLIENT_SECRET": "b",
            "DATA_DIR": str(tmp_path)}
    found = Settings.from_environ({**both, "OIDC_CLAIMS": "name=nickname, level=trust", "OIDC_LEVELS": "hoch, substanziell"})
    assert found.oidc_claims["name"] == "nickname"
    assert found.oidc_claims["sub"] == "sub"
    assert found.oidc_levels == ("hoch", "substanziell")
    with pytest.raises(SettingsError, match="OIDC_CLIENT_SECRET"):
        Settings.from_environ({**both, "OIDC_CLIENT_SECRET": ""})
    with pytest.raises(SettingsError, match="OIDC_CLAIMS"):
        Settings.from_environ({**both, "OIDC_CLAIMS": "vorname=given_name"})
