"""What somebody tries who wants into an account that is not theirs, or wants its owner out."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import policy
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pyotp
import pytest
from sqlalchemy import func, select

from participation import clock, mail, tokens
from participation.accounts import external
from participation.accounts.models import Account, ExternalIdentity, RecoveryCode, SignInSession, TokenPurpose
from participation.accounts.oidc import Claims
from participation.accounts.operations import access, factors, links, sessions, staff
from participation.accounts.operations.entered import clean_email
from participation.accounts.passwords import hash_password
from participation.contributions.personal.operations import delete_account
from participation.errors import Conflict, Gone, InvalidInput
from participation.outbox import OutboxRow
from participation.permissions import Role
from tests import factories
from tests.accounts.test_own_account import OTHER, PASSWORD, link_in, throttled, town  # noqa: F401 - fixtures
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.tokens import Keyring


@pytest.mark.parametrize("path", ["/konto/passwort-vergessen", "/konto/anmelden-per-link"])
def test_known_and_unknown_addresses_cost_the_same_work(
    session: Session, new_browser: Callable[[], Browser], town: Any, path: str, count_queries: Any,  # noqa: F811
) -> None:
    known = factories.account(session)
    session.commit()
    answers = []
    for email in (known.email, "niemand@beispiel.example"):
        with count_queries() as statements:
            answer = new_browser().post(path, {"email": email})
        answers.append((answer.status_code, answer.headers["Location"], [one.split()[0] for one in statements]))
    assert answers[0] == answers[1]
    assert session.scalar(select(func.count()).select_from(OutboxRow)) == 2


@pytest.mark.parametrize("purpose", [TokenPurpose.RESET_PASSWORD, TokenPurpose.SIGN_IN])
def test_asking_for_links_again_and_again_leaves_the_owner_one_that_works(session: Session, purpose: TokenPurpose) -> None:
    account, now = factories.account(session), clock.now()
    held = ""
    for minute in range(int(links.LIFETIMES[purpose].total_seconds() // 60)):
        at = now + timedelta(minutes=minute)
        if links.may_get_link(session, account, purpose, at):
            held = links.issue_token(session, account.id, purpose, at)
        assert links.account_of_token(session, held, purpose, at) is account
    assert links.may_get_link(session, account, purpose, now + links.LIFETIMES[purpose])


def test_an_address_that_nobody_has_confirmed_gets_no_second_factor_and_no_provider(
    session: Session, keyring: Keyring, town: Any,  # noqa: F811
) -> None:
    planted = factories.account(session, email_confirmed_at=None, password_hash=hash_password(PASSWORD))
    with pytest.raises(Conflict):
        factors.begin_second_factor(session, keyring, planted)
    with pytest.raises(Conflict):
        external.connect_own(session, planted, Claims("https://id.example", "fremd"), clock.now())
    assert session.scalars(select(ExternalIdentity)).all() == []


@pytest.mark.parametrize("way", ["confirmation", "reset", "link", "invitation"])
def test_nothing_that_a_stranger_set_up_for_an_unconfirmed_address_outlives_its_owner(
    session: Session, keyring: Keyring, town: Any, way: str,  # noqa: F811
) -> None:
    now = clock.now()
    planted = factories.account(session, email_confirmed_at=None, password_hash=hash_password(PASSWORD))
    session.add(ExternalIdentity(account_id=planted.id, issuer="https://id.example", subject="fremd", created_at=now))
    stolen = sessions.open_session(session, planted, "Firefox", now)
    planted.totp_secret_sealed, planted.totp_confirmed_at = keyring.seal(pyotp.random_base32()), now
    session.add(RecoveryCode(account_id=planted.id, code_hash="fremd"))
    elsewhere = links.issue_token(session, planted.id, TokenPurpose.CHANGE_EMAIL, now, keyring.seal("dieb@x.example"))
    if way == "reset":
        link = links.issue_token(session, planted.id, TokenPurpose.RESET_PASSWORD, now)
        access.set_password(session, link, TokenPurpose.RESET_PASSWORD, OTHER, "Stadt", now)
    elif way == "confirmation":
        link = links.issue_token(session, planted.id, TokenPurpose.CONFIRM_EMAIL, now)
        with pytest.raises(InvalidInput):
            access.confirm_email(session, link, OTHER, now)
        assert planted.email_confirmed_at is None, "not by somebody who does not know the password"
        access.confirm_email(session, link, PASSWORD, now)
    elif way == "link":
        access.sign_in_by_link(session, links.issue_token(session, planted.id, TokenPurpose.SIGN_IN, now), now)
    else:
        staff.invite_staff(session, planted.email, "Chefin", Role.ADMIN, town.id, None, now)
    session.flush()
    session.expire_all()
    assert (sessions.check_credentials(session, planted.email, PASSWORD) is None) == (way != "confirmation")
    assert session.scalars(select(ExternalIdentity)).all() == []
    assert session.scalars(select(RecoveryCode)).all() == []
    assert planted.totp_confirmed_at is None
    assert session.scalars(select(SignInSession.revoked_at).where(
        SignInSession.token_hash == tokens.hash_token(stolen))).one() is not None
    with pytest.raises(Gone):
        access.change_email(session, keyring, elsewhere, now)


def test_the_password_alone_opens_nothing_where_a_second_factor_is_set_up(
    session: Session, browser: Browser, keyring: Keyring, town: Any,  # noqa: F811
) -> None:
    account, now = factories.account(session, password_hash=hash_password(PASSWORD)), clock.now()
    secret = factors.begin_second_factor(session, keyring, account)
    factors.confirm_second_factor(session, keyring, account, pyotp.TOTP(secret).at(now - timedelta(seconds=60)),
                                     now - timedelta(seconds=60))
    session.commit()
    answer = browser.post("/konto/anmelden?next=/hilfe", {"email": account.email, "password": PASSWORD})
    assert answer.headers["Location"] == "/konto/zweiter-faktor?next=/hilfe"
    for path in ("/konto", "/konto/sicherheit", "/konto/beitraege", "/konto/benachrichtigungen", "/konto/meine-daten.json"):
        assert browser.get(path).status_code == 302, path
    assert account.display_name not in browser.text("/hilfe")
    assert browser.get("/konto/anmelden?next=/hilfe").headers["Location"] == "/konto/zweiter-faktor?next=/hilfe"
    answer = browser.submit("/konto/zweiter-faktor?next=/hilfe", {"code": pyotp.TOTP(secret).at(now)}, form=-1)
    assert answer.request.path == "/hilfe"
    assert browser.get("/konto").status_code == 200


def test_codes_of_one_account_are_guessed_ten_times_and_no_more_from_wherever(
    session: Session, keyring: Keyring, throttled: Beteiligung, town: Any,  # noqa: F811
) -> None:
    account, now = factories.account(session), clock.now()
    secret = factors.begin_second_factor(session, keyring, account)
    factors.confirm_second_factor(session, keyring, account, pyotp.TOTP(secret).at(now), now)
    session.commit()
    answers = []
    for number in range(11):
        one = Browser(throttled).sign_in(account, second_factor=False)
        answers.append(one.post("/konto/zweiter-faktor", {"code": "000000"},
                                environ_base={"REMOTE_ADDR": f"10.0.0.{number}"}).status_code)
    assert answers == [422] * 10 + [429]


def test_an_ipv6_line_is_throttled_as_one_however_often_its_address_changes(
    throttled: Beteiligung, town: Any,  # noqa: F811
) -> None:
    attacker = Browser(throttled)

    def statuses(addresses: list[str], number: int) -> list[int]:
        return [attacker.post("/konto/passkey/anmelden", environ_base={"REMOTE_ADDR": addresses[one % len(addresses)]}).status_code
                for one in range(number)]

    same_line = [f"2001:db8:0:7:{number:x}::1" for number in range(40)]
    assert statuses(same_line, 31)[-2:] == [422, 429]
    assert statuses(["2001:db8:0:8::1"], 1) == [422], "the neighbour is somebody else"
    assert statuses(["::ffff:10.0.0.1", "10.0.0.1"], 31)[-2:] == [422, 429], "one address written in two ways"
    assert statuses(["10.0.0.2"], 1) == [422]
    assert statuses([f"10.0.0.3:{port}" for port in range(40)], 31)[-2:] == [422, 429], "some proxies name the port"
    assert statuses([f"[2001:db8:0:9::1]:{port}" for port in range(40)], 31)[-2:] == [422, 429]


def test_another_spelling_of_the_address_gets_no_more_tries(
    session: Session, throttled: Beteiligung, town: Any,  # noqa: F811
) -> None:
    account = factories.account(session, email="frieda@bücher.example", password_hash=hash_password(PASSWORD))
    session.commit()
    spellings = ["frieda@bücher.example", " FRIEDA@bücher.example", "fri\u200beda@bücher.example",
                 "frieda@xn--bcher-kva.example", "frieda@BU\u0308CHER.example"]
    attacker = Browser(throttled)
    answers = [attacker.post("/konto/anmelden", {"email": spellings[number % 5], "password": "falsch"},
                             environ_base={"REMOTE_ADDR": f"10.0.0.{number}"}).status_code for number in range(11)]
    assert answers == [422] * 10 + [429]
    assert sessions.check_credentials(session, "Frieda@xn--bcher-kva.example", PASSWORD) is account


def test_a_copied_cookie_of_this_very_browser_is_dead_after_a_new_password(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town: Any,  # noqa: F811
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    browser.sign_in(account)
    thief = new_browser()
    thief.client.set_cookie("session", browser.client.get_cookie("session").value)
    assert thief.get("/konto").status_code == 200
    browser.submit("/konto/kennwort", {"password": OTHER}, form=-1)
    assert browser.get("/konto").status_code == 200
    assert thief.get("/konto").status_code == 302


def test_all_other_devices_are_signed_out_by_one_button(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town: Any,  # noqa: F811
) -> None:
    account, stranger = factories.account(session), factories.account(session)
    session.commit()
    browser.sign_in(account)
    assert "Alle anderen Geräte abmelden" not in browser.text("/konto/sicherheit")
    others, theirs = [new_browser().sign_in(account) for _number in range(3)], new_browser().sign_in(stranger)
    answer = browser.submit("/konto/sicherheit", form="andere-beenden")
    assert "Alle anderen Geräte sind abgemeldet" in answer.get_data(as_text=True)
    assert [one.get("/konto").status_code for one in (browser, *others, theirs)] == [200, 302, 302, 302, 200]


def test_a_stolen_old_session_adds_no_second_factor(session: Session, browser: Browser, town: Any) -> None:  # noqa: F811
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    browser.sign_in(account)
    session.scalars(select(SignInSession)).one().created_at = clock.now() - timedelta(hours=2)
    session.commit()
    for answer in (browser.get("/konto/zweiter-faktor/einrichten"), browser.post("/konto/zweiter-faktor/einrichten")):
        assert answer.headers["Location"].startswith("/konto/nochmal-anmelden")
    session.expire_all()
    assert account.totp_secret_sealed is None


def test_a_session_planted_in_the_browser_is_not_the_one_after_signing_in(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town: Any,  # noqa: F811
) -> None:
    attacker = factories.account(session)
    victim = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    planted = new_browser().sign_in(attacker)
    browser.client.set_cookie("session", planted.client.get_cookie("session").value)
    browser.post("/konto/anmelden", {"email": victim.email, "password": PASSWORD})
    assert victim.display_name in browser.text("/konto")
    assert planted.get("/konto").status_code == 302


@pytest.mark.parametrize("target", ["//[", "//evil", "/\\evil", "\\\\evil", "javascript:alert(1)", "/%09/evil", "/%0d%0aX:y",
                                    "%20//evil", "https:evil", "///evil", "/\u2028/[::1", "/%00"])
def test_no_address_to_go_on_to_leads_away_or_breaks(
    session: Session, browser: Browser, town: Any, target: str,  # noqa: F811
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    answer = browser.post(f"/konto/anmelden?next={target}", {"email": account.email, "password": PASSWORD})
    assert answer.status_code == 303
    place = answer.headers["Location"]
    assert place.startswith("/")
    assert not place.startswith(("//", "/\\"))
    assert not re.search(r"[\x00-\x1f\\]", place)


@pytest.mark.parametrize("path", ["/konto/passwort-vergessen", "/konto/anmelden-per-link", "/konto/registrieren"])
def test_no_forged_host_gets_into_a_mail(
    session: Session, browser: Browser, town: Any, path: str,  # noqa: F811
    run_jobs: Callable[[], int], mails: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = factories.account(session)
    session.commit()
    monkeypatch.setitem(browser.app.config, "TRUSTED_HOSTS", ["localhost"])
    fields = {"email": account.email, "display_name": "X", "password": PASSWORD}
    assert browser.post(path, fields, headers={"Host": "evil.example"}).status_code == 400
    forged = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example", "X-Original-Host": "evil.example"}
    assert browser.post(path, fields, headers=forged).status_code == 303
    run_jobs()
    assert len(mails()) == 1
    assert "evil" not in mails()[0]
    assert "http://localhost/konto" in mails()[0]


@pytest.mark.parametrize(("entered", "stored"), [
    ("Frieda+stadt@Beispiel.example", "frieda+stadt@beispiel.example"),
    ("frieda@xn--bcher-kva.example", "frieda@bücher.example"),
    ("frieda@ＢＥＩＳＰＩＥＬ.example", "frieda@beispiel.example"),
    ("a@b.example\r\nBcc: c@d.example", None), ("5@geloescht.invalid", None), ("müller@beispiel.example", None),
    ("a@" + "b." * 130 + "example", None), ("@", None), ("a@b@c.example", None),
    ("\u202ea@b.example", "a@b.example"), ('"a b"@c.example', None), ("a@[127.0.0.1]", None),
])
def test_addresses_are_kept_in_one_spelling_or_refused(entered: str, stored: str | None) -> None:
    if stored is None:
        with pytest.raises(InvalidInput):
            clean_email(entered)
    else:
        assert clean_email(entered) == stored == clean_email(stored)


def test_a_domain_with_an_umlaut_gets_its_mail(tmp_path: Any) -> None:
    letter = mail.Mail(key="k", recipient="frieda@bücher.example", subject="Ü\r\nBcc: x@y.example", plain="Hallo\n",
                       html="<p>Hallo</p>", sender_name="Stadt\nX: y")
    raw = mail.build_message(letter, "rathaus@stadt.example").as_bytes(policy=policy.SMTP)
    assert b"To: frieda@xn--bcher-kva.example\r\n" in raw
    assert b"\r\nBcc:" not in raw
    assert b"\r\nX:" not in raw


def test_two_who_register_with_one_address_at_once_get_the_same_answer(committing: Beteiligung) -> None:
    with committing.extensions["platform"].database.unit_of_work() as session:
        factories.process(session)
    gate = Barrier(4)

    def one(_number: int) -> int:
        browser = Browser(committing)
        gate.wait()
        return browser.post("/konto/registrieren", {"email": "neu@beispiel.example", "display_name": "N",
                                                    "password": PASSWORD}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == [303] * 4
    with committing.extensions["platform"].database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Account)) == 1


@pytest.mark.parametrize("other", [{"is_disabled": True}, {"email_confirmed_at": None}])
def test_an_administration_that_cannot_come_in_does_not_count_as_another(
    session: Session, keyring: Keyring, town: Any, other: dict[str, Any],  # noqa: F811
) -> None:
    admin = factories.account(session, Role.ADMIN, town=town)
    factories.account(session, Role.ADMIN, town=town, **other)
    with pytest.raises(Conflict, match="letzte Administration"):
        delete_account(session, keyring, factories.actor(admin), admin, take_along=False, now=clock.now())


def test_the_last_two_administrations_do_not_leave_together(committing: Beteiligung, keyring: Keyring) -> None:
    database = committing.extensions["platform"].database
    with database.unit_of_work() as session:
        town = factories.municipality(session)
        ids = [factories.account(session, Role.ADMIN, town=town).id for _number in range(2)]
    gate = Barrier(2)

    def leave(number: int) -> str:
        gate.wait()
        try:
            with database.unit_of_work() as session:
                account = session.get_one(Account, ids[number])
                delete_account(session, keyring, factories.actor(account), account, take_along=False, now=clock.now())
        except Conflict:
            return "stays"
        return "left"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(leave, range(2))) == ["left", "stays"]


def test_the_database_alone_makes_no_recovery_code(session: Session, keyring: Keyring) -> None:
    account, now = factories.account(session), clock.now()
    secret = factors.begin_second_factor(session, keyring, account)
    codes = factors.confirm_second_factor(session, keyring, account, pyotp.TOTP(secret).at(now), now)
    kept = set(session.scalars(select(RecoveryCode.code_hash)))
    assert not kept & {tokens.hash_token(code) for code in codes}
    other = factories.account(session)
    with pytest.raises(InvalidInput):
        factors.check_code(session, keyring, other, codes[0], now)


def test_what_is_ones_own_is_kept_in_no_cache(session: Session, browser: Browser, town: Any) -> None:  # noqa: F811
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    token = links.issue_token(session, account.id, TokenPurpose.RESET_PASSWORD, clock.now())
    session.commit()
    assert browser.get(f"/konto/passwort/{token}").headers["Cache-Control"] == "no-store"
    browser.sign_in(account)
    for path in ("/konto", "/konto/sicherheit", "/konto/beitraege", "/konto/daten", "/konto/benachrichtigungen"):
        assert browser.get(path).headers["Cache-Control"] == "no-store", path
    answer = browser.post("/konto/abmelden")
    assert answer.headers["Clear-Site-Data"] == '"cache"'
    assert browser.client.get_cookie("remember_token") is None
