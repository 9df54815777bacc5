"""Signing in and out, by the letter of what could go wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pyotp
import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from lxml import html
from sqlalchemy import delete, select, update

from participation import clock
from participation.accounts.external import disconnect
from participation.accounts.models import (
    Account,
    AccountVerification,
    ExternalIdentity,
    RecoveryCode,
    RoleGrant,
    TokenPurpose,
)
from participation.accounts.operations.access import sign_in_by_link
from participation.accounts.operations.factors import begin_second_factor, check_code, confirm_second_factor
from participation.accounts.operations.links import LINKS_AT_ONCE, issue_token
from participation.accounts.operations.staff import invite_staff
from participation.accounts.passwords import check_password, hash_password, needs_rehash
from participation.accounts.verification import verify
from participation.errors import Conflict, InvalidInput
from participation.formats import Verification
from participation.outbox import OutboxRow
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring
    from tests.browser_client import Browser

PASSWORD = "drei lose Wörter im Wind"


@pytest.fixture
def town(session: Session):
    process = factories.process(session)
    session.commit()
    return process.municipality


def _link(mail: str) -> str:
    return re.search(r"http://localhost(/\S+)", mail)[1]


def test_register_confirm_and_sign_in(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    page = browser.open("/konto/registrieren")
    text = page.text_content()
    assert text.index("Datenschutz") < text.index("E-Mail-Adresse")
    assert not page.xpath("//input[@type='checkbox'][@checked]")
    browser.submit("/konto/registrieren", {"email": "Neu@Beispiel.example", "display_name": "Neu", "password": PASSWORD})
    assert run_jobs() == 1
    link = _link(mails()[0])
    assert browser.get(link).status_code == 200
    assert session.scalar(select(Account.email_confirmed_at).where(Account.email == "neu@beispiel.example")) is None
    refused = browser.submit(link, {"password": "ein anderes Kennwort"})
    assert refused.status_code == 422
    assert "nicht das Kennwort, das beim Registrieren gewählt wurde" in refused.get_data(as_text=True)
    answer = browser.submit(link, {"password": PASSWORD})
    assert "Ihre E-Mail-Adresse ist bestätigt, und Sie sind angemeldet." in answer.get_data(as_text=True)
    assert browser.get("/konto").status_code == 200
    assert browser.get(link).status_code == 410
    assert "Sie sind schon angemeldet." in browser.get(link).get_data(as_text=True)
    browser.post("/konto/abmelden")
    assert "Haben Sie Ihre Adresse schon bestätigt?" in browser.get(link).get_data(as_text=True)
    answer = browser.submit("/konto/anmelden", {"email": "NEU@beispiel.example", "password": PASSWORD})
    assert "Neu" in answer.get_data(as_text=True)


def test_signing_in_tells_nobody_whether_an_address_they_registered_with_has_an_account(
    session: Session, browser: Browser, town, new_browser: Callable[[], Browser],
) -> None:
    known = factories.account(session, password_hash=hash_password("ein ganz anderes Wort"))
    session.commit()
    answers = []
    for email in (known.email, "unbekannt@beispiel.example"):
        browser.submit("/konto/registrieren", {"email": email, "display_name": "X", "password": PASSWORD})
        answer = new_browser().submit("/konto/anmelden", {"email": email, "password": PASSWORD})
        shown = html.fromstring(answer.get_data(as_text=True).replace(email, "ADRESSE"))
        answers.append((answer.status_code, shown.find(".//main").text_content()))
    assert answers[0] == answers[1]
    assert answers[0][0] == 422
    assert "öffnen Sie zuerst den Link in unserer E-Mail" in answers[0][1]


def test_whose_mail_was_lost_registers_once_more_and_the_last_one_counts(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = clock.now()
    for name, password in (("Erste", "das Wort der Fremden"), ("Zweite", PASSWORD)):
        monkeypatch.setattr(clock, "now", lambda name=name: begun + timedelta(minutes=len(name)))
        browser.submit("/konto/registrieren", {"email": "neu@beispiel.example", "display_name": name, "password": password})
        run_jobs()
    first, second = map(_link, mails())
    # What a stranger calls themselves is no text that we send to somebody.
    assert not [one for one in mails() if "Erste" in one or "Zweite" in one]
    assert browser.get(first).status_code == 410
    assert browser.submit(second, {"password": "das Wort der Fremden"}).status_code == 422
    assert "Zweite" in browser.submit(second, {"password": PASSWORD}).get_data(as_text=True)
    assert session.scalars(select(Account.display_name).where(Account.email == "neu@beispiel.example")).all() == ["Zweite"]


def test_registering_again_and_again_floods_no_postbox_and_leaves_a_way_in(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = clock.now()
    for number in range(8):
        monkeypatch.setattr(clock, "now", lambda number=number: begun + timedelta(minutes=number))
        browser.submit("/konto/registrieren", {"email": "neu@beispiel.example", "display_name": f"N{number}", "password": PASSWORD})
        run_jobs()
    told = mails()
    assert len([one for one in told if "bestätigen Sie" in one]) == LINKS_AT_ONCE
    assert len([one for one in told if "schon ein Konto" in one]) == 1
    assert browser.get(_link(next(one for one in reversed(told) if "bestätigen Sie" in one))).status_code == 200


def test_a_burst_of_registrations_of_one_address_floods_no_postbox_either(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, spellings = clock.now(), ["neu@beispiel.example", " NEU@Beispiel.Example", "ne\u200bu@beispiel.example"]
    for number in range(12):
        monkeypatch.setattr(clock, "now", lambda number=number: begun + timedelta(seconds=number))
        browser.submit("/konto/registrieren", {"email": spellings[number % 3], "display_name": f"N{number}", "password": PASSWORD})
    run_jobs()
    told = mails()
    assert len(told) == LINKS_AT_ONCE
    answers = [browser.get(_link(one)).status_code for one in told]
    assert sorted(answers) == [200] + [410] * (LINKS_AT_ONCE - 1), "one of them works"


def test_whoever_came_by_a_provider_writes_nothing_before_the_address_is_confirmed(session: Session, browser: Browser, town) -> None:
    """It would be its owner's, who comes by a mailed link; and the proof of who one is goes then."""
    account = factories.account(session, email_confirmed_at=None, password_hash=None, display_name="Fremder Name")
    session.add(ExternalIdentity(account_id=account.id, issuer="https://id.example", subject="fremd", created_at=clock.now()))
    verify(session, account.id, Verification.OIDC, None, clock.now())
    process = factories.process(session, town)
    session.commit()
    browser.sign_in(account)
    refused = browser.get(f"/verfahren/{process.slug}/vorschlaege/neu")
    assert refused.status_code == 403
    assert "bestätigen Sie" in refused.get_data(as_text=True)
    sign_in_by_link(session, issue_token(session, account.id, TokenPurpose.SIGN_IN, clock.now()), clock.now())
    assert session.scalars(select(AccountVerification)).all() == []
    assert session.scalars(select(ExternalIdentity)).all() == []


def test_a_provider_that_proved_who_one_is_stays_connected(session: Session, town) -> None:
    """By another account the same person could vote once more."""
    account, now = factories.account(session), clock.now()
    identity = ExternalIdentity(account_id=account.id, issuer="https://id.example", subject="eine", created_at=now)
    session.add(identity)
    session.flush()
    verify(session, account.id, Verification.OIDC, None, now)
    with pytest.raises(Conflict, match="mehreren Konten"):
        disconnect(session, account, identity.id, now)


def test_links_that_no_mail_could_carry_are_none_of_those_that_an_account_may_get(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mail server is away for long, and staff have the job done again."""
    browser.submit("/konto/registrieren", {"email": "neu@beispiel.example", "display_name": "Neu", "password": PASSWORD})

    def away(*_args: object, **_values: object) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr("participation.accounts.jobs.send", away)
        for _number in range(LINKS_AT_ONCE + 1):
            session.execute(update(OutboxRow).values(failed_at=None, attempts=0, leased_until=None, not_before_at=clock.now()))
            session.commit()
            run_jobs()
    session.execute(update(OutboxRow).values(failed_at=None, attempts=0, leased_until=None, not_before_at=clock.now()))
    session.commit()
    run_jobs()
    (mail,) = mails()
    assert browser.get(_link(mail)).status_code == 200


def test_whoever_comes_by_a_link_before_confirming_is_told_that_the_password_went(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    browser.submit("/konto/registrieren", {"email": "neu@beispiel.example", "display_name": "Neu", "password": PASSWORD})
    browser.submit("/konto/anmelden-per-link", {"email": "neu@beispiel.example"})
    run_jobs()
    link = _link(next(one for one in mails() if "/konto/anmelden/" in one))
    assert "Das Kennwort vom Registrieren gilt nicht mehr" in browser.submit(link).get_data(as_text=True)


@pytest.mark.parametrize("way", ["/konto/anmelden-per-link", "/konto/passwort-vergessen"])
def test_the_name_a_stranger_chose_for_somebody_s_address_is_not_the_owner_s(
    session: Session, new_browser: Callable[[], Browser], town, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
    way: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    new_browser().submit("/konto/registrieren", {
        "email": "neu@beispiel.example", "display_name": "Böser Name", "password": PASSWORD})
    owner = new_browser()
    owner.submit(way, {"email": "neu@beispiel.example"})
    run_jobs()
    link = _link(next(one for one in mails() if "/konto/anmelden/" in one or "/konto/passwort/" in one))
    assert "Böser Name" not in owner.text(link)
    answer = owner.submit(link, {"password": "noch drei lose Wörter"} if "passwort" in link else {})
    assert answer.request.path == "/konto"
    text = answer.get_data(as_text=True)
    assert "Der Name vom Registrieren gilt nicht mehr" in text
    assert "Böser Name" not in text
    assert session.scalars(select(Account.display_name)).all() == ["Neu dabei"]
    owner.submit("/konto", {"display_name": "Hanne"}, form="/konto/name")
    later = clock.now() + timedelta(minutes=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    new_browser().submit(way, {"email": "neu@beispiel.example"})
    run_jobs()
    link = _link(next(one for one in reversed(mails()) if "/konto/anmelden/" in one or "/konto/passwort/" in one))
    answer = new_browser().submit(link, {"password": "wieder drei lose Wörter"} if "passwort" in link else {})
    assert "Der Name vom Registrieren" not in answer.get_data(as_text=True), "asked once"
    session.expire_all()
    assert session.scalars(select(Account.display_name)).all() == ["Hanne"]


def test_who_registers_reads_everything_that_is_wrong_at_once(browser: Browser, town) -> None:
    answer = browser.submit("/konto/registrieren", {"email": "keine-adresse", "display_name": "", "password": "kurz"})
    assert answer.status_code == 422
    tree = html.fromstring(answer.get_data(as_text=True))
    for field, message in (("email", "Das ist keine E-Mail-Adresse"), ("display_name", "Bitte füllen Sie dieses Feld aus"),
                           ("password", "Das Kennwort ist zu kurz")):
        (beside,) = tree.get_element_by_id(f"{field}-fehler").findall(".//p")
        assert message in beside.text_content()


def test_a_known_address_gets_the_same_answer_and_a_mail_that_says_so(
    session: Session, browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]]
) -> None:
    known = factories.account(session)
    session.commit()
    answers = [browser.submit("/konto/registrieren", {"email": email, "display_name": "X", "password": PASSWORD})
               for email in (known.email, "unbekannt@beispiel.example")]
    assert answers[0].request.path == answers[1].request.path
    run_jobs()
    assert any("schon ein Konto" in mail for mail in mails())


def test_signing_out_kills_a_copied_cookie_and_signing_in_changes_it(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town
) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    browser.get("/konto/anmelden")
    before = browser.client.get_cookie("session")
    browser.submit("/konto/anmelden", {"email": account.email, "password": PASSWORD})
    cookie = browser.client.get_cookie("session")
    assert cookie is not None
    assert before is None or before.value != cookie.value
    thief = new_browser()
    thief.client.set_cookie("session", cookie.value)
    assert thief.get("/konto").status_code == 200
    browser.post("/konto/abmelden")
    assert thief.get("/konto").status_code == 302


@pytest.mark.parametrize("email", ["", "keine", "a@b", "x" * 300 + "@beispiel.example", "a@b.de\r\nBcc: c@d.de"])
def test_bad_addresses_get_a_sentence(browser: Browser, town, email: str) -> None:
    answer = browser.post("/konto/registrieren", {"email": email, "display_name": "Ich", "password": PASSWORD})
    if answer.status_code == 303:
        assert email.startswith("a@b.de"), "cleaned to one line or refused"
        return
    assert answer.status_code == 422
    assert 'value="Ich"' in answer.get_data(as_text=True)


@pytest.mark.parametrize("password", ["kurz", "passwort123", "1234567890", "qwertzuiop", "aaaaaaaaaaaa", "billerbeck2026",
                                      "hallo123456", "x" * 201])
def test_easy_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidInput):
        check_password(password, "hanne", "Billerbeck")


@pytest.mark.parametrize("password", [PASSWORD, "korrekt Pferd Batterie", "y" * 3 + "Regenschirm-Tasse-77", "Ä" + "bcdefghijkl ö ü ß" * 6])
def test_long_passwords_of_any_kind_are_fine(password: str) -> None:
    check_password(password, "hanne", "Billerbeck")


def test_hashes_stand_above_the_floor_and_weaker_ones_are_renewed(
    session: Session, browser: Browser, town, real_hasher: PasswordHasher
) -> None:
    kept = extract_parameters(real_hasher.hash(PASSWORD))
    assert kept.type is Type.ID
    assert kept.memory_cost >= 19_456
    assert kept.time_cost >= 2
    weak = PasswordHasher(time_cost=1, memory_cost=16, parallelism=2).hash(PASSWORD)
    account = factories.account(session, password_hash=weak)
    session.commit()
    assert needs_rehash(weak)
    browser.submit("/konto/anmelden", {"email": account.email, "password": PASSWORD}, form=-1)
    session.refresh(account)
    assert account.password_hash != weak
    assert not needs_rehash(account.password_hash)


def test_reset_links_work_once_and_end_all_sessions(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], town, run_jobs: Callable[[], int],
    mails: Callable[[], list[str]],
) -> None:
    account = factories.account(session)
    session.commit()
    elsewhere = new_browser().sign_in(account)
    browser.submit("/konto/passwort-vergessen", {"email": account.email})
    run_jobs()
    mail = mails()[0]
    assert f"Guten Tag {account.display_name}" in mail
    link = _link(mail)
    browser.submit(link, {"password": PASSWORD})
    assert browser.get(link).status_code == 410
    assert elsewhere.get("/konto").status_code == 302


def test_expired_links_stay_expired(session: Session, browser: Browser, town) -> None:
    account = factories.account(session)
    token = issue_token(session, account.id, TokenPurpose.RESET_PASSWORD, clock.now() - timedelta(minutes=61))
    session.commit()
    assert browser.get(f"/konto/passwort/{token}").status_code == 410


def test_a_code_counts_once_and_so_does_a_recovery_code(session: Session, keyring: Keyring) -> None:
    account = factories.account(session)
    now = clock.now()
    totp = pyotp.TOTP(begin_second_factor(session, keyring, account))
    codes = confirm_second_factor(session, keyring, account, totp.at(now), now)
    assert len(codes) == 10
    with pytest.raises(InvalidInput):
        check_code(session, keyring, account, totp.at(now), now)
    later = now + timedelta(seconds=60)
    check_code(session, keyring, account, totp.at(later), later)
    check_code(session, keyring, account, codes[0].upper(), later)
    with pytest.raises(InvalidInput):
        check_code(session, keyring, account, codes[0], later)
    with pytest.raises(InvalidInput):
        check_code(session, keyring, account, "000000", later)


def test_a_code_may_be_typed_in_the_digits_of_another_script(session: Session, keyring: Keyring) -> None:
    account = factories.account(session)
    now = clock.now()
    totp = pyotp.TOTP(begin_second_factor(session, keyring, account))
    confirm_second_factor(session, keyring, account, totp.at(now), now)
    for minutes, zero in ((1, "\N{ARABIC-INDIC DIGIT ZERO}"), (2, "\N{FULLWIDTH DIGIT ZERO}")):
        later = now + timedelta(minutes=minutes)
        typed = "".join(chr(ord(zero) + int(digit)) for digit in totp.at(later))
        check_code(session, keyring, account, typed, later)
        with pytest.raises(InvalidInput):
            check_code(session, keyring, account, typed, later)


def test_a_recovery_code_that_happens_to_be_all_digits_works(session: Session, keyring: Keyring) -> None:
    account = factories.account(session)
    begin_second_factor(session, keyring, account)
    session.add(RecoveryCode(account_id=account.id, code_hash=keyring.mark("recovery-code", "123456-654321")))
    session.flush()
    check_code(session, keyring, account, "123456 654321", clock.now())
    with pytest.raises(InvalidInput):
        check_code(session, keyring, account, "123456-654321", clock.now())


def test_staff_without_second_factor_sees_no_staff_page(session: Session, browser: Browser, town) -> None:
    staff = factories.account(session, Role.ADMIN, town=town)
    session.commit()
    browser.sign_in(staff, second_factor=False)
    for path in ("/verwaltung", "/moderation", "/verwaltung/massnahmen", "/verwaltung/konten"):
        answer = browser.get(path)
        assert answer.status_code == 302
        assert "/konto/zweiter-faktor" in answer.headers["Location"]


def test_a_role_taken_away_counts_at_the_next_click(session: Session, browser: Browser, town) -> None:
    staff = factories.account(session, Role.MODERATOR, town=town)
    session.commit()
    browser.sign_in(staff)
    assert browser.get("/moderation").status_code == 200
    session.execute(delete(RoleGrant).where(RoleGrant.account_id == staff.id))
    session.commit()
    assert browser.get("/moderation").status_code == 403


def test_who_signs_in_while_reading_comes_back_to_the_page(session: Session, browser: Browser, town) -> None:
    proposal = factories.proposal(session, factories.process(session, town))
    session.commit()
    page = f"/verfahren/{proposal.process.slug}/vorschlaege/{proposal.id}"
    links = [browser.open(where).xpath("//header//a[contains(., 'Anmelden')]/@href")[0] for where in (page, page, "/")]
    assert links == [f"/konto/anmelden?next={page}"] * 2 + ["/konto/anmelden"], "from the start page staff go on to their work"


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "javascript:alert(1)", "https://evil.example", "/\tx"])
def test_next_leads_nowhere_else(session: Session, browser: Browser, town, target: str) -> None:
    account = factories.account(session, password_hash=hash_password(PASSWORD))
    session.commit()
    answer = browser.post("/konto/anmelden", {"email": account.email, "password": PASSWORD, "next": target})
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/"


def test_no_mail_carries_an_address_to_go_on_to_that_is_longer_than_any_of_ours(
    browser: Browser, town, run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    for number, target in enumerate(("/hilfe?q=" + 490 * "x", "/hilfe?q=" + 500 * "y")):
        browser.post("/konto/registrieren", {"email": f"neu{number}@beispiel.example", "display_name": "Neu",
                                             "password": PASSWORD, "next": target})
    run_jobs()
    told = "".join(mails())
    assert 490 * "x" in told
    assert 100 * "y" not in told


def test_an_invitation_sets_the_first_password(session: Session, browser: Browser, town) -> None:
    token = invite_staff(session, "chef@stadt.example", "Chefin", Role.ADMIN, town.id, None, clock.now())
    session.commit()
    browser.submit(f"/konto/einladung/{token}", {"password": PASSWORD})
    assert "Zweiten Faktor einrichten" in browser.text("/konto/zweiter-faktor")
    answer = browser.submit("/konto/zweiter-faktor/einrichten", form=-1)
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", answer.get_data(as_text=True))[1]
    answer = browser.post("/konto/zweiter-faktor/einrichten", {"code": pyotp.TOTP(secret).now()})
    assert answer.get_data(as_text=True).count("<li><code>") == 10
    assert browser.get("/verwaltung").status_code == 200
