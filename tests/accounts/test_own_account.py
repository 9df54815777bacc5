"""Signing in by a mailed link, and changing what one signs in with."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pyotp
import pytest
from lxml import html
from sqlalchemy import select, update

from app import create_app
from participation import clock
from participation.accounts.models import Account, OneTimeToken, SignInSession, TokenPurpose
from participation.accounts.operations import factors
from participation.accounts.operations.access import sign_in_by_link
from participation.accounts.operations.factors import forget_second_factor
from participation.accounts.operations.leaving import forget_expired
from participation.accounts.operations.links import LINKS_AT_ONCE, issue_token
from participation.accounts.operations.staff import invite_staff
from participation.accounts.passwords import check_password, hash_password
from participation.errors import Gone, InvalidInput
from participation.permissions import Role
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.db import Database
    from participation.tokens import Keyring

PASSWORD = "drei lose Wörter im Wind"
OTHER = "vier ganz andere Dinge dort"


@pytest.fixture
def town(session: Session):
    process = factories.process(session)
    session.commit()
    return process.municipality


@pytest.fixture
def throttled(app: Beteiligung, database: Database) -> Beteiligung:
    """The platform with throttling as in production."""
    strict = create_app(replace(app.extensions["platform"].settings, rate_limits=True))
    strict.config["WTF_CSRF_ENABLED"] = False
    strict.extensions["platform"].database.dispose()
    strict.extensions["platform"].database = database
    return strict


def link_in(mail: str) -> str:
    return re.search(r"http://localhost(/\S+)", mail)[1]


def test_a_mailed_link_signs_in_once_and_not_by_looking_at_it(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    account = factories.account(session)
    session.commit()
    known = browser.submit("/konto/anmelden-per-link?next=/verfahren", {"email": account.email.upper()})
    unknown = new_browser().submit("/konto/anmelden-per-link", {"email": "niemand@beispiel.example"})
    assert known.get_data() == unknown.get_data()
    run_jobs()
    assert len(mails()) == 1
    assert f"To: {account.email}" in mails()[0]
    link = link_in(mails()[0])
    for _scanner in range(3):
        assert "Jetzt anmelden" in browser.text(link)
    assert browser.get("/konto").status_code == 302
    answer = browser.submit(link)
    assert answer.request.path == "/verfahren"
    assert browser.get("/konto").status_code == 200
    assert new_browser().get(link).status_code == 410


def test_links_end_after_half_an_hour_and_the_newer_kills_the_older(session: Session) -> None:
    account = factories.account(session)
    now = clock.now()
    first = issue_token(session, account.id, TokenPurpose.SIGN_IN, now)
    second = issue_token(session, account.id, TokenPurpose.SIGN_IN, now)
    with pytest.raises(Gone):
        sign_in_by_link(session, first, now)
    with pytest.raises(Gone):
        sign_in_by_link(session, second, now + timedelta(minutes=30))
    assert sign_in_by_link(session, second, now + timedelta(minutes=29)) is account


def test_nobody_floods_a_postbox(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    account = factories.account(session)
    session.commit()
    now = clock.now()
    for _number in range(LINKS_AT_ONCE):
        issue_token(session, account.id, TokenPurpose.SIGN_IN, now)
    session.commit()
    answer = browser.submit("/konto/anmelden-per-link", {"email": account.email})
    assert answer.request.path == "/konto/post-pruefen"
    run_jobs()
    assert mails() == []


def test_a_link_takes_away_the_password_that_a_stranger_chose(session: Session) -> None:
    planted = factories.account(session, email_confirmed_at=None, password_hash=hash_password(PASSWORD))
    now = clock.now()
    stranger = SignInSession(account_id=planted.id, token_hash="f" * 64, created_at=now,
                             expires_at=now + timedelta(days=1))
    session.add(stranger)
    session.flush()
    sign_in_by_link(session, issue_token(session, planted.id, TokenPurpose.SIGN_IN, now), now)
    session.refresh(stranger)
    assert planted.password_hash is None
    assert planted.email_confirmed_at == now
    assert stranger.revoked_at is not None


def test_staff_still_need_the_second_factor_after_a_link(session: Session, browser: Browser, town) -> None:
    staff = factories.account(session, Role.ADMIN, town=town, totp_confirmed_at=clock.now(), totp_secret_sealed="x")
    token = issue_token(session, staff.id, TokenPurpose.SIGN_IN, clock.now())
    session.commit()
    answer = browser.post(f"/konto/anmelden/{token}")
    assert "/konto/zweiter-faktor" in answer.headers["Location"]
    assert browser.get("/verwaltung").status_code == 302


def test_ten_wrong_passwords_make_waiting_and_the_owner_gets_in_by_mail(
    session: Session, throttled: Beteiligung, town,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    attacker, browser = Browser(throttled), Browser(throttled)
    answers = [attacker.post("/konto/anmelden", {"email": account.email, "password": f"falsch {number}"}).status_code
               for number in range(11)]
    assert answers == [422] * 10 + [429]
    kept_out = attacker.post("/konto/anmelden", {"email": account.email.upper(), "password": PASSWORD})
    assert kept_out.status_code == 429
    ways = html.fromstring(kept_out.get_data(as_text=True)).xpath("//main//a/@href")
    assert {"/konto/anmelden-per-link", "/konto/anmelden"} <= set(ways)
    browser.submit("/konto/passwort-vergessen", {"email": account.email})
    run_jobs()
    browser.submit(link_in(mails()[0]), {"password": OTHER})
    assert account.display_name in browser.text("/konto")


def _make_old(session: Session, account: Account) -> None:
    session.execute(update(SignInSession).where(SignInSession.account_id == account.id)
                    .values(created_at=clock.now() - timedelta(hours=2)))
    session.commit()


def test_a_new_address_counts_when_it_is_confirmed_and_kills_links_to_the_old(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    account = factories.account(session)
    old = account.email
    session.commit()
    reset = issue_token(session, account.id, TokenPurpose.RESET_PASSWORD, clock.now())
    session.commit()
    browser.sign_in(account)
    browser.submit("/konto/e-mail", {"email": "Neue@beispiel.example"}, form=-1)
    run_jobs()
    assert "To: neue@beispiel.example" in mails()[0]
    link = link_in(mails()[0])
    assert new_browser().get(link).headers["Location"].startswith("/konto/anmelden")
    assert new_browser().post(link).status_code == 401
    other = factories.account(session)
    session.commit()
    assert new_browser().sign_in(other).post(link).status_code == 410
    phone = new_browser().sign_in(account)
    assert "neue@beispiel.example" in phone.text(link)
    session.expire_all()
    assert account.email == old
    phone.submit(link, form=-1)
    session.expire_all()
    assert account.email == "neue@beispiel.example"
    run_jobs()
    assert f"To: {old}" in mails()[1]
    assert browser.get(f"/konto/passwort/{reset}").status_code == 410
    assert browser.get(link).status_code == 410
    assert browser.get("/konto").status_code == 200


def test_a_taken_address_is_told_in_its_postbox_only(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    account, other = factories.account(session), factories.account(session)
    session.commit()
    browser.sign_in(account)
    free = browser.submit("/konto/e-mail", {"email": "frei@beispiel.example"}, form=-1)
    taken = browser.submit("/konto/e-mail", {"email": other.email}, form=-1)
    assert [one.status_code for one in (free, taken)] == [200, 200]
    run_jobs()
    assert any(f"To: {other.email}" in mail and "schon ein Konto" in mail for mail in mails())
    purposes = session.scalars(select(OneTimeToken.purpose).where(OneTimeToken.account_id == account.id)).all()
    assert purposes == [TokenPurpose.CHANGE_EMAIL] * 2, "what the account keeps tells nobody which one was taken"


def test_what_changes_the_account_asks_again_after_a_while(session: Session, browser: Browser, town) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    browser.sign_in(account)
    assert browser.get("/konto/kennwort").status_code == 200
    _make_old(session, account)
    for path in ("/konto/kennwort", "/konto/e-mail"):
        assert browser.get(path).headers["Location"].startswith("/konto/nochmal-anmelden?next=")
        assert browser.post(path, {"password": OTHER, "email": "x@y.example"}).status_code == 303
    wrong = browser.submit("/konto/nochmal-anmelden?next=/konto/kennwort", {"password": "falsch"}, form=1)
    assert wrong.status_code == 422
    answer = browser.submit("/konto/nochmal-anmelden?next=/konto/kennwort", {"password": PASSWORD}, form=1)
    assert answer.request.path == "/konto/kennwort"


def test_new_recovery_codes_are_shown_once_and_end_the_old_ones(
    session: Session, browser: Browser, keyring: Keyring, town,
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    browser.sign_in(account)
    assert browser.get("/konto/notfall-codes").headers["Location"] == "/konto/sicherheit", "no app, no codes"
    now = clock.now()
    old = factors.confirm_second_factor(
        session, keyring, account, pyotp.TOTP(factors.begin_second_factor(session, keyring, account)).at(now), now)
    factors.check_code(session, keyring, account, old[0], now)
    session.commit()
    assert "noch 9 unbenutzt" in browser.text("/konto/notfall-codes")
    answer = browser.submit("/konto/notfall-codes", form=-1)
    new = [code.text_content() for code in html.fromstring(answer.get_data(as_text=True)).xpath("//li/code")]
    assert len(set(new)) == 10
    assert not set(new) & set(old)
    assert "no-store" in answer.headers["Cache-Control"]
    assert not any(code in browser.text("/konto/notfall-codes") for code in new)
    with pytest.raises(InvalidInput):
        factors.check_code(session, keyring, account, old[1], now)
    factors.check_code(session, keyring, account, new[3], now)
    session.commit()
    _make_old(session, account)
    assert browser.post("/konto/notfall-codes").headers["Location"].startswith("/konto/nochmal-anmelden")
    password_alone = browser.sign_in(account, second_factor=False)
    assert password_alone.post("/konto/notfall-codes").status_code == 401
    factors.check_code(session, keyring, account, new[4], now)


def test_a_new_password_ends_all_other_sessions(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    elsewhere = new_browser().sign_in(account)
    browser.sign_in(account)
    assert browser.submit("/konto/kennwort", {"password": "passwort1234"}, form=-1).status_code == 422
    browser.submit("/konto/kennwort", {"password": OTHER}, form=-1)
    assert browser.get("/konto").status_code == 200
    assert elsewhere.get("/konto").status_code == 302
    run_jobs()
    assert "Kennwort ist geändert" in mails()[0]
    assert "/konto" in new_browser().submit("/konto/anmelden?next=/konto", {"email": account.email, "password": OTHER}
                                            ).request.path


def test_an_empty_name_gets_a_sentence_and_nothing_changes(session: Session, browser: Browser, town) -> None:
    account = factories.account(session, display_name="Vorher")
    session.commit()
    browser.sign_in(account)
    assert browser.submit("/konto", {"display_name": "  "}, form="name").status_code == 422
    session.expire_all()
    assert account.display_name == "Vorher"
    browser.submit("/konto", {"display_name": "Nachher"}, form="name")
    session.expire_all()
    assert account.display_name == "Nachher"


@pytest.mark.parametrize("password", ["1q2w3e4r5t6z", "basketball12", "Billerbeck!2027", "schmetterling1", "qwertz12345",
                                      "passwort!!!!!", "1qay2wsx3edc", "iloveyou2026"])
def test_what_stands_on_top_of_leaked_lists_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput):
        check_password(password, "Billerbeck")


def test_long_passwords_are_welcome_and_may_be_pasted(browser: Browser, town) -> None:
    check_password("ein ganzer Satz, den nur ich kenne und der länger ist als vierundsechzig Zeichen", "Billerbeck")
    field = browser.open("/konto/registrieren").xpath("//input[@name='password']")[0]
    assert "maxlength" not in field.attrib
    assert not [name for name in field.attrib if name.startswith("on")]


def test_the_number_of_a_forgotten_account_is_never_given_again(session: Session) -> None:
    """SQLite would give it to the next account, and with it whatever its owner wrote."""
    newest = factories.account(session, email_confirmed_at=None, created_at=clock.now() - timedelta(days=8))
    number, email = newest.id, newest.email
    assert forget_expired(session, clock.now()) == 1
    assert forget_expired(session, clock.now()) == 0
    assert factories.account(session).id != number
    assert session.scalars(select(Account.email).where(Account.email == email)).all() == []


def test_whoever_lost_every_factor_starts_anew(session: Session, browser: Browser, town) -> None:
    staff = factories.account(session, Role.ADMIN, town=town, totp_confirmed_at=clock.now(), totp_secret_sealed="x")
    session.commit()
    browser.sign_in(staff)
    forget_second_factor(session, staff, clock.now())
    session.commit()
    assert browser.get("/verwaltung").status_code == 302
    browser.sign_in(staff, second_factor=False)
    assert "Zweiten Faktor einrichten" in browser.text("/konto/zweiter-faktor")


def test_an_expired_invitation_is_not_renewed_by_other_links(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    now = clock.now()
    token = invite_staff(session, "chef@stadt.example", "Chefin", Role.ADMIN, town.id, None, now - timedelta(days=8))
    session.commit()
    assert browser.get(f"/konto/einladung/{token}").status_code == 410
    for path in ("/konto/passwort-vergessen", "/konto/anmelden-per-link"):
        assert browser.submit(path, {"email": "chef@stadt.example"}).request.path == "/konto/post-pruefen"
    run_jobs()
    assert mails() == []


def test_who_has_a_second_factor_but_no_role_goes_on_to_where_they_were(
    session: Session, browser: Browser, keyring: Keyring, town,
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    now = clock.now()
    app = pyotp.TOTP(factors.begin_second_factor(session, keyring, account))
    papers = factors.confirm_second_factor(session, keyring, account, app.at(now), now)
    session.commit()
    for back, landing, code in (("", "/", papers[0]), ("?next=/verfahren", "/verfahren", papers[1])):
        asked = browser.submit(f"/konto/anmelden{back}", {"email": account.email, "password": PASSWORD}, form=-1)
        assert asked.request.path == "/konto/zweiter-faktor"
        answer = browser.submit(asked.request.full_path, {"code": code}, form=-1)
        assert (answer.status_code, answer.request.path) == (200, landing)
        browser.post("/konto/abmelden")


@pytest.mark.parametrize("entered", ["klara@leute.example", " Klara@Leute.EXAMPLE ", "k.m@web.de"])
def test_nobody_takes_their_own_address_as_password(
    session: Session, browser: Browser, town, entered: str,
) -> None:
    email = entered.strip().lower()
    refused = browser.submit("/konto/registrieren", {"email": email, "display_name": "Nachbarin", "password": entered})
    account = factories.account(session, Role.EDITOR, town=town, email=email, password_hash=hash_password(PASSWORD))
    now = clock.now()
    links = [f"/konto/{path}/{issue_token(session, account.id, purpose, now)}" for path, purpose in
             (("passwort", TokenPurpose.RESET_PASSWORD), ("einladung", TokenPurpose.STAFF_INVITATION))]
    session.commit()
    answers = [refused, *(browser.submit(link, {"password": entered}) for link in links),
               browser.sign_in(account).submit("/konto/kennwort", {"password": entered}, form=-1)]
    for answer in answers:
        assert answer.status_code == 422
        beside = html.fromstring(answer.get_data(as_text=True)).get_element_by_id("password-fehler")
        assert "leicht zu erraten" in beside.text_content()


def test_a_password_chosen_by_a_mailed_link_is_told_like_one_changed_while_signed_in(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    newcomer = factories.account(session, Role.EDITOR, town=town, email_confirmed_at=None)
    reset = issue_token(session, account.id, TokenPurpose.RESET_PASSWORD, clock.now())
    invitation = issue_token(session, newcomer.id, TokenPurpose.STAFF_INVITATION, clock.now())
    session.commit()
    browser.submit(f"/konto/passwort/{reset}", {"password": OTHER})
    browser.post("/konto/abmelden")
    browser.submit(f"/konto/einladung/{invitation}", {"password": OTHER})
    run_jobs()
    (told,) = mails()
    assert f"To: {account.email}" in told
    assert "Subject: Ihr Kennwort ist geändert" in told


@pytest.mark.parametrize(("path", "purpose", "ways"), [
    ("anmelden", TokenPurpose.SIGN_IN, ["/konto/anmelden-per-link"]),
    ("passwort", TokenPurpose.RESET_PASSWORD, ["/konto/passwort-vergessen"]),
    ("bestaetigen", TokenPurpose.CONFIRM_EMAIL, ["/konto/anmelden", "/konto/anmelden-per-link"]),
    ("einladung", TokenPurpose.STAFF_INVITATION, ["/konto/anmelden"]),
    ("neue-adresse", TokenPurpose.CHANGE_EMAIL, ["/konto/e-mail"]),
])
def test_a_dead_link_leads_to_where_another_one_is_asked_for(
    session: Session, browser: Browser, town, path: str, purpose: TokenPurpose, ways: list[str],
) -> None:
    account = factories.account(session)
    token = issue_token(session, account.id, purpose, clock.now() - timedelta(days=30))
    session.commit()
    answer = browser.get(f"/konto/{path}/{token}")
    assert answer.status_code == 410
    buttons = html.fromstring(answer.get_data(as_text=True)).xpath("//main//*[@class='bp-actions']/a/@href")
    assert buttons[: len(ways)] == ways


@pytest.mark.usefixtures("csrf")
def test_a_link_pressed_in_a_second_window_leads_on(session: Session, browser: Browser, town) -> None:
    account = factories.account(session, display_name="Klara")
    link = f"/konto/anmelden/{issue_token(session, account.id, TokenPurpose.SIGN_IN, clock.now())}?next=/verfahren"
    session.commit()
    (second,) = browser.open(link).xpath("//form[@method='post']//input[@name='csrf_token']/@value")[-1:]
    assert browser.submit(link, form=-1).request.path == "/verfahren"
    answer = browser.post(link, {"csrf_token": second, "next": "/verfahren"}, follow_redirects=True)
    assert (answer.status_code, answer.request.path) == (200, "/verfahren")
    assert "Sie sind schon angemeldet: Klara" in answer.get_data(as_text=True)
    assert browser.get(link).status_code == 303, "opening it anew says the same"


def test_the_account_shows_which_address_it_shall_get_whether_or_not_somebody_has_it(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    account, other = factories.account(session), factories.account(session)
    town.address, town.email = "Markt 1\n48727 Billerbeck", "rathaus@stadt.example"
    old = account.email
    session.commit()
    browser.sign_in(account)
    for email in (other.email, "neu@beispiel.example"):
        assert browser.submit("/konto/e-mail", {"email": email}, form=-1).request.path == "/konto"
        run_jobs()
        assert f"Bald: {email}" in browser.text("/konto")
        assert "bisherige Adresse bleibt" in browser.submit("/konto", form="abbrechen").get_data(as_text=True)
        assert "Bald:" not in browser.text("/konto")
    told, cancelled = mails()
    assert browser.get(link_in(cancelled)).status_code == 410
    # From a page that is older than that.
    assert "keine neue Adresse mehr offen" in browser.post("/konto/e-mail/abbrechen", follow_redirects=True).get_data(as_text=True)
    # One that has not been mailed yet is not mailed any more.
    browser.submit("/konto/e-mail", {"email": "dritte@beispiel.example"}, form=-1)
    assert "bisherige Adresse bleibt" in browser.post("/konto/e-mail/abbrechen", follow_redirects=True).get_data(as_text=True)
    run_jobs()
    assert len(mails()) == 2
    assert "Bald:" not in browser.text("/konto")
    assert browser.submit("/konto/e-mail", {"email": "neu@beispiel.example"}, form=-1).request.path == "/konto"
    run_jobs()
    asked = mails()[2]
    assert f"To: {other.email}" in told
    assert "bei einem anderen Konto eintragen" in " ".join(told.split())
    assert "Konto anlegen" not in told
    landing = browser.submit(link_in(asked), form=-1)
    assert landing.request.path == "/konto"
    assert "Bald:" not in browser.text("/konto")
    run_jobs()
    assert f"To: {old}" in mails()[3]
    assert "rufen Sie uns an" not in mails()[3]
    assert "Markt 1\n48727 Billerbeck\nrathaus@stadt.example" in mails()[3]


def test_what_is_said_where_the_password_was_emptied(session: Session, browser: Browser, town) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    answer = browser.submit("/konto/anmelden", {"email": account.email, "password": "falsch"}, form=-1)
    (summary,) = html.fromstring(answer.get_data(as_text=True)).xpath("//*[@data-error-summary]")
    said = " ".join(summary.text_content().split())
    assert "Nichts ist verloren" not in said
    assert "Das Kennwort geben Sie bitte noch einmal ein" in said
    assert "E-Mail-Adresse: E-Mail-Adresse" not in said
    browser.sign_in(account)
    answer = browser.submit("/konto/kennwort", {"password": "kurz"}, form=-1)
    assert "Bitte geben Sie das Kennwort noch einmal ein." in answer.get_data(as_text=True)


def test_who_waits_after_wrong_passwords_is_not_told_of_texts(session: Session, throttled: Beteiligung, town) -> None:
    browser = Browser(throttled)
    for _guess in range(11):
        answer = browser.post("/konto/anmelden", {"email": "wer@beispiel.example", "password": "falsch"})
    page = html.fromstring(answer.get_data(as_text=True))
    assert answer.status_code == 429
    assert "Ihr Text ist nicht verloren" not in page.text_content()
    assert page.xpath("//main//*[@class='bp-actions']/a/@href")[:2] == ["/konto/anmelden-per-link", "/konto/anmelden"]
