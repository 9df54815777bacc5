"""Proofs: what a phase may ask for, codes from letters, and residents whom staff have seen."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from sqlalchemy import func, select, update

from participation import clock, formats
from participation.accounts.models import AccountVerification, LetterBatch, LetterCode
from participation.accounts.queries import signed_in_actor
from participation.accounts.verification import WRONG_MAX, issue_codes, redeem_code, verify
from participation.actions import Action
from participation.audit import AuditEntry
from participation.errors import NotAllowed, SignInNeeded
from participation.formats import Verification
from participation.permissions import Actor, Role, can, require
from participation.tokens import hash_token
from tests import factories
from tests.conftest import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.accounts.models import Account
    from participation.db import Database
    from participation.processes.models import Process
    from participation.tokens import Keyring
    from tests.browser_client import Browser


def asking(session: Session, level: Verification, **values: Any) -> Process:
    """A process whose phase asks for a proof."""
    settings = formats.CollectSettings(verification=level, comment_verification=level, support_verification=level)
    return factories.process(session, phases=[factories.phase("collect", settings=settings)], **values)


@pytest.fixture
def process(session: Session) -> Process:
    found = asking(session, Verification.LETTER)
    session.commit()
    return found


@pytest.fixture
def codes(session: Session, keyring: Keyring, process: Process) -> list[str]:
    admin = factories.actor(factories.account(session, Role.ADMIN, town=process.municipality))
    found = issue_codes(session, keyring, admin, process.municipality, label="Kernort", count=3, days=30,
                        now=clock.now())
    session.commit()
    return found


def shown(account: Account, *levels: tuple[Verification, int | None]) -> Actor:
    base = factories.actor(account)
    return Actor(account_id=base.account_id, display_name=base.display_name, email=base.email,
                 email_is_confirmed=True, verifications=frozenset(levels))


@pytest.mark.parametrize("needed", list(Verification))
@pytest.mark.parametrize("has", [None, *list(Verification)[2:]])
def test_who_may_take_part_by_what_they_have_shown(
    session: Session, needed: Verification, has: Verification | None
) -> None:
    process = asking(session, needed)
    proposal = factories.proposal(session, process)
    place = None if has is Verification.OIDC else process.municipality_id
    actor = shown(factories.account(session), *([(has, place)] if has else []))
    enough = {
        Verification.NONE: True, Verification.EMAIL: True,
        Verification.LETTER: has in {Verification.LETTER, Verification.RESIDENCE},
        Verification.RESIDENCE: has is Verification.RESIDENCE, Verification.OIDC: has is Verification.OIDC,
    }[needed]
    now = clock.now()
    for action, target in ((Action.SUBMIT_PROPOSAL, process), (Action.COMMENT, proposal), (Action.SUPPORT, proposal)):
        assert can(actor, action, target, now) == enough
        if not enough:
            with pytest.raises(NotAllowed, match=r"Kommune|Wohnsitz|Anbieter"):
                require(actor, action, target, now)


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize(("beside", "told"), [
    (Verification.NONE, "Code aus dem Brief"), (Verification.EMAIL, "Code aus dem Brief"),
    (Verification.RESIDENCE, "Wohnsitz"), (Verification.OIDC, "Anbieter"),
])
def test_a_phase_beside_it_that_asks_for_something_else_lets_nobody_support_without_proof(
    session: Session, new_browser: Callable[[], Browser], place: int, beside: Verification, told: str,
) -> None:
    """A support counts in both."""
    process = factories.process(session, phases=[
        factories.phase("vote", position=1, settings=formats.VoteSettings(verification=Verification.LETTER)),
        factories.phase("collect", position=place * 2, settings=formats.CollectSettings(support_verification=beside)),
    ])
    session.expire(process, ["phases"])
    proposal, now, town = factories.proposal(session, process), clock.now(), process.municipality_id
    account = factories.account(session)
    enough = {(Verification.LETTER, town), *([(beside, town)] if beside in {Verification.RESIDENCE, Verification.OIDC} else [])}
    for number in range(len(enough) + 1):
        for levels in combinations(enough, number):
            may = set(levels) == enough or (Verification.RESIDENCE, town) in levels
            assert can(shown(account, *levels), Action.SUPPORT, proposal, now) == may, levels
    assert can(shown(account), Action.SUBMIT_PROPOSAL, process, now), "other things as their phase says"
    session.commit()
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}"
    assert told in new_browser().text(page)
    signed_in = new_browser().sign_in(account)
    assert told in signed_in.text(page)
    assert signed_in.post(f"{page}/unterstuetzen", headers={"Accept": "application/json"}).status_code == 403


def test_guests_hand_in_only_where_nothing_is_asked(session: Session) -> None:
    guest, now = Actor(guest_token="abc"), clock.now()
    assert can(guest, Action.SUBMIT_PROPOSAL, asking(session, Verification.NONE), now)
    with pytest.raises(SignInNeeded):
        require(guest, Action.SUBMIT_PROPOSAL, asking(session, Verification.EMAIL), now)
    unconfirmed = factories.actor(factories.account(session, email_confirmed_at=None))
    with pytest.raises(NotAllowed, match="E-Mail-Adresse"):
        require(unconfirmed, Action.SUBMIT_PROPOSAL, asking(session, Verification.EMAIL), now)


def test_a_proof_holds_in_its_town_and_the_kreis_above_and_not_next_door(
    session: Session, database: Database, browser: Browser
) -> None:
    kreis = factories.municipality(session)
    town, other = (factories.municipality(session, parent_id=kreis.id) for _ in range(2))
    account = factories.account(session, Role.EDITOR, town=other)
    verify(session, account.id, Verification.LETTER, town.id, clock.now())
    verify(session, account.id, Verification.OIDC, None, clock.now())
    session.commit()
    browser.sign_in(account)
    with browser.client.session_transaction() as cookie:
        token = cookie["_user_id"]
    found = signed_in_actor(database, hash_token(token), clock.now())
    actor = found[0] if found else None
    assert actor is not None
    assert len(actor.grants) == 1
    for place, holds in ((town, True), (kreis, True), (other, False)):
        process = asking(session, Verification.LETTER, town=place)
        assert can(actor, Action.SUBMIT_PROPOSAL, process, clock.now()) == holds
        assert can(actor, Action.SUBMIT_PROPOSAL, asking(session, Verification.OIDC, town=place), clock.now())


def test_a_letter_opens_the_phase_once(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, codes: list[str]
) -> None:
    first, second = factories.account(session), factories.account(session)
    proposal = factories.proposal(session, process)
    session.commit()
    browser.sign_in(first)
    address = f"/verfahren/{process.slug}/vorschlaege/neu"
    asked = browser.get(address)
    assert asked.headers["Location"].startswith("/konto/nachweise?next=")
    refused = browser.post(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}/unterstuetzen")
    assert refused.status_code == 403
    assert "Zum Unterstützen brauchen Sie hier den Code aus dem Brief" in refused.get_data(as_text=True)
    assert "Mein Konto → Nachweise" in refused.get_data(as_text=True)
    assert "Zum Kommentieren brauchen Sie hier den Code" in browser.text(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}")
    answer = browser.submit(asked.headers["Location"], {"code": codes[0].lower().replace("-", " ")}, form=-1)
    assert answer.request.path == address
    assert browser.post(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}/unterstuetzen").status_code == 303
    assert "Liegt vor" in browser.text("/konto/nachweise")
    again = new_browser().sign_in(second)
    taken = again.submit("/konto/nachweise", {"code": codes[0]}, form=-1)
    assert taken.status_code == 409
    assert "schon benutzt" in taken.get_data(as_text=True)
    mine = browser.submit("/konto/nachweise", {"code": codes[1]}, form=-1)
    assert mine.status_code == 409
    assert again.submit("/konto/nachweise", {"code": codes[1]}, form=-1).status_code == 200


def test_late_and_ended_codes_are_refused(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, codes: list[str]
) -> None:
    account, admin = factories.account(session), factories.account(session, Role.ADMIN, town=process.municipality)
    session.commit()
    browser.sign_in(account)
    new_browser().sign_in(admin).submit("/verwaltung/nachweise", form="beenden")
    answer = browser.submit("/konto/nachweise", {"code": codes[0]}, form=-1)
    assert answer.status_code == 410
    assert "gilt nicht mehr" in answer.get_data(as_text=True)
    session.execute(update(LetterBatch).values(expires_at=clock.now() + timedelta(days=1)))
    session.commit()
    assert browser.submit("/konto/nachweise", {"code": codes[0]}, form=-1).status_code == 200


def test_guessing_is_logged_and_ends_also_with_the_right_code(
    session: Session, browser: Browser, process: Process, codes: list[str]
) -> None:
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    for number in range(WRONG_MAX):
        answer = browser.post("/konto/nachweise", {"code": f"AAAA-AAA-AA{number}"})
        assert answer.status_code == 422
        assert "vergleichen Sie jedes Zeichen" in answer.get_data(as_text=True)
    assert browser.post("/konto/nachweise", {"code": codes[0]}).status_code == 429
    logged = session.scalar(select(func.count()).select_from(AuditEntry).where(
        AuditEntry.action == "wrong_letter_code", AuditEntry.actor == f"account:{account.id}"))
    assert logged == WRONG_MAX
    session.execute(update(AuditEntry).values(at=clock.now() - timedelta(hours=2)))
    session.commit()
    assert browser.post("/konto/nachweise", {"code": codes[0]}).status_code == 303


@pytest.mark.parametrize("code", ["", " ", "\x00", "ß" * 500, "'; DROP TABLE letter_code", "💥"])
def test_nonsense_is_no_code(session: Session, browser: Browser, process: Process, code: str) -> None:
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    assert browser.post("/konto/nachweise", {"code": code}).status_code == 422


def test_codes_are_seen_once_and_only_their_hashes_stay(
    session: Session, browser: Browser, process: Process, keyring: Keyring
) -> None:
    admin = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    browser.sign_in(admin)
    page = browser.submit("/verwaltung/nachweise", {"label": "Kernort", "count": "12", "days": "30", "as": "print"},
                          form=-1).get_data(as_text=True)
    printed = re.findall(r"<strong>([A-Z0-9]{4}-[A-Z0-9]{3}-[A-Z0-9]{3})</strong>", page)
    assert len(set(printed)) == 12
    table = browser.post("/verwaltung/nachweise", {"label": "Außen", "count": "5", "days": "30", "as": "csv"})
    rows = list(csv.reader(io.StringIO(table.get_data(as_text=True).lstrip("\ufeff")), delimiter=";"))
    assert len(rows) == 6
    assert rows[1][1] == "http://localhost/konto/nachweise"
    overview = browser.text("/verwaltung/nachweise")
    assert "Kernort" in overview
    assert not [code for code in printed if code in overview]
    stored = set(session.scalars(select(LetterCode.code_hash)))
    assert not stored & {hash_token(code.replace("-", "")) for code in printed}
    resident = factories.actor(factories.account(session))
    redeem_code(session, keyring, resident, printed[0], clock.now())
    assert session.scalar(select(func.count(LetterCode.used_at))) == 1


@pytest.mark.parametrize(("field", "value"), [("label", " "), ("count", "0"), ("count", "20001"), ("count", "viele"),
                                              ("days", "400"), ("days", "-1"), ("count", "9" * 30)])
def test_impossible_batches_get_a_sentence(
    session: Session, browser: Browser, process: Process, field: str, value: str
) -> None:
    admin = factories.account(session, Role.ADMIN, town=process.municipality)
    session.commit()
    browser.sign_in(admin)
    answer = browser.post("/verwaltung/nachweise", {"label": "Kernort", "count": "5", "days": "30", field: value})
    assert answer.status_code == 422
    assert f'id="{field}-fehler"' in answer.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(LetterBatch)) == 0


def test_staff_confirm_who_lives_here_but_not_themselves(
    session: Session, browser: Browser, process: Process
) -> None:
    admin = factories.account(session, Role.ADMIN, town=process.municipality)
    resident, new = factories.account(session), factories.account(session, email_confirmed_at=None)
    session.commit()
    browser.sign_in(admin)
    for email, status in ((resident.email.upper(), 303), (resident.email, 422), (admin.email, 422), (new.email, 422),
                          ("niemand@beispiel.example", 422), ("", 422)):
        assert browser.post("/verwaltung/nachweise/wohnsitz", {"email": email}).status_code == status
    row = session.scalars(select(AccountVerification)).one()
    assert (row.account_id, row.level, row.confirmed_by_id) == (resident.id, Verification.RESIDENCE, admin.id)


def test_staff_of_one_town_give_out_nothing_for_another(session: Session, keyring: Keyring, process: Process) -> None:
    other = factories.actor(factories.account(session, Role.ADMIN, town=factories.municipality(session)))
    with pytest.raises(NotAllowed):
        issue_codes(session, keyring, other, process.municipality, label="X", count=1, days=1, now=clock.now())


def test_the_page_with_the_codes_sent_again_makes_no_others(
    session: Session, browser: Browser, process: Process
) -> None:
    admin = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    browser.sign_in(admin)
    sent = dict(next(form for form in browser.open("/verwaltung/nachweise").forms if "label" in form.fields).form_values())
    sent |= {"label": "Kernort", "count": "3", "days": "30", "as": "print"}
    assert browser.post("/verwaltung/nachweise", sent).status_code == 200
    again = browser.post("/verwaltung/nachweise", sent)
    assert again.status_code == 409
    text = again.get_data(as_text=True)
    assert "schon Codes angelegt" in text
    assert not re.findall(r"[A-Z0-9]{4}-[A-Z0-9]{3}-[A-Z0-9]{3}<", text)
    assert session.scalar(select(func.count()).select_from(LetterBatch)) == 1
    # Whoever means it sends that form: it is another one.
    form = next(one for one in html.fromstring(text).forms if "label" in one.fields)
    assert form.fields["label"] == "Kernort"
    assert browser.post("/verwaltung/nachweise", dict(form.form_values()) | {"as": "csv"}).status_code == 200
    assert session.scalar(select(func.count()).select_from(LetterBatch)) == 2


def test_a_slip_says_from_whom_it_comes_what_to_do_and_until_when(
    session: Session, browser: Browser, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    monkeypatch.setattr(clock, "now", lambda: NOW)
    browser.sign_in(admin)
    answer = browser.submit("/verwaltung/nachweise", {"label": "Kernort", "count": "1", "days": "30", "as": "print"},
                            form=-1)
    (slip,) = html.fromstring(answer.get_data(as_text=True)).xpath("//ul[@class='letter-codes']/li")
    said = slip.text_content()
    for part in (process.municipality.name, "dass Sie hier wohnen", "http://localhost/konto/nachweise", "20. Dezember 2026"):
        assert part in said


def test_all_that_is_wrong_about_a_batch_is_said_at_once(session: Session, browser: Browser, process: Process) -> None:
    admin = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    browser.sign_in(admin)
    answer = browser.post("/verwaltung/nachweise", {"label": " ", "count": "0", "days": "400"})
    assert answer.status_code == 422
    tree = html.fromstring(answer.get_data(as_text=True))
    assert all(tree.get_element_by_id(f"{name}-fehler") is not None for name in ("label", "count", "days"))


def test_too_many_guessed_codes_say_once_how_long_to_wait(
    session: Session, browser: Browser, process: Process
) -> None:
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    for guess in range(WRONG_MAX + 1):
        answer = browser.post("/konto/nachweise", {"code": f"FALSCH{guess:04}"})
    assert answer.status_code == 429
    text = answer.get_data(as_text=True)
    assert "in einer Stunde noch einmal" in text
    assert "Bitte warten Sie eine Weile" not in text
