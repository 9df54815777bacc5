"""Who may do what in which process, and who decides it."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from participation import clock
from participation.accounts.models import Account, RoleGrant
from participation.accounts.operations.staff import invite_staff
from participation.accounts.passwords import hash_password
from participation.administration import operations
from participation.audit import AuditEntry
from participation.errors import NotAllowed
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.municipalities.models import Municipality
    from participation.processes.models import Process
    from tests.browser_client import Browser

GIVE = {"email": "neu@stadt.example", "display_name": "Frau Neu", "role": "moderator"}


@pytest.fixture
def town(session: Session) -> Municipality:
    return factories.municipality(session, name="Billerbeck")


@pytest.fixture
def process(session: Session, town: Municipality) -> Process:
    return factories.process(session, town, title="Der Platz")


def _page(process: Process) -> str:
    return f"/verwaltung/verfahren/{process.id}/rollen"


def _staff(session: Session, new_browser: Callable[[], Browser], *roles: Role, **where: object) -> Browser:
    account = factories.account(session, *roles, totp_confirmed_at=clock.now(), **where)
    session.commit()
    return new_browser().sign_in(account)


def test_the_page_shows_own_and_inherited_roles(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    factories.account(session, Role.PLANNER, town=town, display_name="Herr Weit", totp_confirmed_at=clock.now())
    factories.account(session, Role.MODERATOR, on=process, display_name="Frau Nah", totp_confirmed_at=clock.now())
    factories.account(session, Role.EDITOR, on=process, display_name="Baumfreund77")
    factories.account(session, Role.MODERATOR, on=factories.process(session, town), display_name="Herr Fern",
                      totp_confirmed_at=clock.now())
    text = _staff(session, new_browser, Role.ADMIN, town=town).text(_page(process))
    assert "Herr Weit" in text
    assert "für alle Verfahren: Billerbeck" in text
    assert "Frau Nah" in text
    assert "Herr Fern" not in text
    assert "Baumfreund77" not in text, "who has not set up the second factor is shown by the address alone"


def test_somebody_new_is_invited_and_somebody_known_is_told(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    admin = _staff(session, new_browser, Role.ADMIN, town=town)
    known = factories.account(session, Role.EDITOR, town=town)
    session.commit()
    assert "bekommt eine E-Mail" in admin.submit(_page(process), GIVE, form=-1).get_data(as_text=True)
    admin.submit(_page(process), {**GIVE, "email": known.email, "role": "planner"}, form=-1)
    run_jobs()
    told, invited = sorted(mails(), key=lambda mail: "/konto/einladung/" in mail)
    assert "/konto/einladung/" in invited
    assert "/konto/einladung/" not in told, "an account of old needs no new password"
    for mail, role in ((told, "Planung"), (invited, "Moderation")):
        assert f"Rolle „{role}“ für „Der Platz“" in " ".join(mail.split())
    grants = session.scalars(select(RoleGrant).where(RoleGrant.process_id == process.id)).all()
    assert {(grant.role, grant.account.email) for grant in grants} == {
        (Role.MODERATOR, "neu@stadt.example"), (Role.PLANNER, known.email)}
    assert session.scalars(
        select(AuditEntry.details).where(AuditEntry.action == "invite_staff").order_by(AuditEntry.id)
    ).all() == [{"role": role, "municipality": town.id, "process": process.id} for role in ("moderator", "planner")]


def test_giving_a_role_twice_is_said_and_an_expired_invitation_is_sent_anew(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
    run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    admin = _staff(session, new_browser, Role.ADMIN, town=town)
    known = factories.account(session, Role.PLANNER, on=process)
    session.commit()
    answer = admin.submit(_page(process), {**GIVE, "email": known.email, "role": "planner"}, form=-1)
    assert answer.status_code == 422
    assert "Diese Person hat die Rolle schon." in answer.get_data(as_text=True)
    assert known.email in answer.get_data(as_text=True), "what was entered is kept"
    for _time in range(2):
        admin.submit(_page(process), GIVE, form=-1)
    run_jobs()
    assert len(mails()) == 2
    assert len(session.scalars(select(RoleGrant).where(RoleGrant.role == Role.MODERATOR)).all()) == 1


@pytest.mark.parametrize("values", [
    {"email": "kein-at"}, {"email": ""}, {"display_name": "\u200b"}, {"role": "king"}, {"role": ""},
    {"display_name": "x" * 200},
])
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_stored(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process, values: dict[str, str],
) -> None:
    admin = _staff(session, new_browser, Role.ADMIN, town=town)
    before = len(session.scalars(select(Account.id)).all())
    answer = admin.post(_page(process), {**GIVE, **values})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.get_data(as_text=True)
    assert len(session.scalars(select(Account.id)).all()) == before


def test_everything_that_is_wrong_is_said_at_once(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    admin = _staff(session, new_browser, Role.ADMIN, town=town)
    for page in (_page(process), "/verwaltung/konten"):
        text = admin.post(page, {"email": "kein-at", "display_name": "", "role": ""}).get_data(as_text=True)
        for message in ("Das ist keine E-Mail-Adresse", "Bitte füllen Sie dieses Feld aus.", "Bitte wählen Sie eine Rolle."):
            assert message in text
        # Blanks that no field shows are no name either.
        assert "wie die Person heißt" in admin.post(page, {**GIVE, "display_name": "\u200b"}).get_data(as_text=True)


def test_no_role_is_given_that_nobody_chose(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    admin = _staff(session, new_browser, Role.ADMIN, town=town)
    for page in (_page(process), "/verwaltung/konten"):
        answer = admin.submit(page, {"email": "neu@stadt.example", "display_name": "Frau Neu"}, form=-1)
        assert answer.status_code == 422
        assert "Bitte wählen Sie eine Rolle." in answer.get_data(as_text=True)
    assert session.scalars(select(Account).where(Account.email == "neu@stadt.example")).one_or_none() is None


def test_nobody_gives_or_takes_more_than_they_have(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    editor = _staff(session, new_browser, Role.EDITOR, on=process)
    moderator = factories.account(session, Role.MODERATOR, on=process)
    admin = factories.account(session, Role.ADMIN, town=town)
    session.commit()
    for role in ("admin", "moderator", "planner"):
        assert editor.post(_page(process), {**GIVE, "role": role}).status_code == 422
    assert "Redaktion: schreibt" in editor.text(_page(process))
    assert editor.post(_page(process), {**GIVE, "role": "editor"}).status_code == 303
    assert editor.post(f"{_page(process)}/entziehen", {"grant": moderator.grants[0].id}).status_code == 403
    # What is inherited is not taken here, by nobody.
    assert editor.post(f"{_page(process)}/entziehen", {"grant": admin.grants[0].id}).status_code == 404
    own = factories.actor(factories.account(session, Role.EDITOR, on=process))
    with pytest.raises(NotAllowed):
        operations.give_role(session, own, town, process, clock.now(), email="a@b.example", name="A", role=Role.ADMIN)
    with pytest.raises(NotAllowed):
        operations.give_role(session, own, town, None, clock.now(), email="a@b.example", name="A", role=Role.EDITOR)
    session.expire_all()
    assert session.get(RoleGrant, moderator.grants[0].id) is not None


@pytest.mark.parametrize("role", [Role.MODERATOR, Role.PLANNER])
def test_moderators_and_planners_give_no_roles(
    session: Session, new_browser: Callable[[], Browser], process: Process, role: Role,
) -> None:
    person = _staff(session, new_browser, role, on=process)
    assert person.get(_page(process)).status_code == 403
    assert person.post(_page(process), GIVE).status_code == 403


def test_the_role_of_one_process_is_worth_nothing_in_another(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    other = factories.process(session, town)
    there = factories.account(session, Role.EDITOR, on=other)
    person = _staff(session, new_browser, *Role, on=process)
    assert person.get(_page(other)).status_code == 403
    assert person.post(_page(other), GIVE).status_code == 403
    assert person.post(f"{_page(process)}/entziehen", {"grant": there.grants[0].id}).status_code == 404
    assert person.post(f"{_page(process)}/entziehen", {"grant": "9" * 30}).status_code == 404
    for page in ("/verwaltung/konten", "/verwaltung/auftraege", "/verwaltung/mails", "/verwaltung/kommune",
                 "/verwaltung/verfahren/neu"):
        assert person.get(page).status_code == 403, page
    elsewhere = factories.process(session)
    session.commit()
    assert person.get(_page(elsewhere)).status_code == 404


def test_moderation_of_one_process_ends_at_its_border(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    other = factories.process(session, town)
    proposal = factories.proposal(session, other)
    moderator = _staff(session, new_browser, Role.MODERATOR, on=process)
    assert moderator.get("/moderation").status_code == 200
    assert moderator.get(f"/verwaltung/verfahren/{other.id}").status_code == 403
    assert moderator.post(f"/verfahren/{other.slug}/vorschlaege/{proposal.id}/antwort", {"text": "x"}).status_code in {403, 404}


def test_who_loses_a_role_is_refused_at_the_very_next_request(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    account = factories.account(session, Role.EDITOR, on=process)
    admin = _staff(session, new_browser, Role.ADMIN, town=town)
    demoted = new_browser().sign_in(account)
    page = f"/verwaltung/verfahren/{process.id}"
    assert demoted.get(page).status_code == 200
    assert admin.submit(_page(process), form="entziehen").status_code == 200
    assert demoted.get(page).status_code == 403
    assert demoted.post(page, {"title": "Meins"}).status_code == 403
    assert session.scalars(select(AuditEntry.details).where(AuditEntry.action == "revoke_role")).one()["role"] == "editor"
    assert demoted.get("/konto").status_code == 200, "the person keeps the account"


def test_the_last_administration_stays(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    account = factories.account(session, Role.ADMIN, town=town, totp_confirmed_at=clock.now())
    invite_staff(session, "nie@stadt.example", "Kommt nie", Role.ADMIN, town.id, None, clock.now())
    factories.account(session, Role.ADMIN, on=process)
    session.commit()
    admin = new_browser().sign_in(account)
    take = f"/verwaltung/konten/{account.id}/rolle-entziehen"
    admin.post(take, {"grant": account.grants[0].id})
    assert "Das ist die letzte Administration" in admin.text("/verwaltung/konten")
    factories.account(session, Role.ADMIN, town=town)
    session.commit()
    admin.post(take, {"grant": account.grants[0].id})
    assert admin.get("/verwaltung/konten").status_code == 403


def test_who_registered_with_the_address_before_gets_nothing_of_the_role(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    squatter = factories.account(session, email="neu@stadt.example", email_confirmed_at=None,
                                 password_hash=hash_password("ein langes Kennwort"), totp_confirmed_at=clock.now())
    session.commit()
    thief = new_browser().sign_in(squatter)
    _staff(session, new_browser, Role.ADMIN, town=town).post(_page(process), {**GIVE, "role": "admin"})
    session.expire_all()
    assert thief.get(_page(process)).status_code in {302, 303, 401}
    assert squatter.password_hash is None
    assert squatter.totp_confirmed_at is None


def test_a_long_list_of_staff_comes_page_by_page_and_can_be_searched(
    session: Session, new_browser: Callable[[], Browser], town: Municipality, process: Process,
) -> None:
    for number in range(120):
        factories.account(session, Role.PLANNER, Role.MODERATOR, town=town, email=f"amt{number:03d}@stadt.example",
                          display_name=f"Frau Nummer {number}", totp_confirmed_at=clock.now())
    factories.account(session, Role.PLANNER, town=town, email="neu@stadt.example", display_name="Baumfreund77")
    browser = _staff(session, new_browser, Role.ADMIN, town=town, email="zuletzt@stadt.example")
    for page in ("/verwaltung/konten", _page(process)):
        seen: list[str] = []
        address: str | None = page
        while address:
            found = browser.get(address).get_data(as_text=True)
            seen += re.findall(r"<td>([a-z0-9]+@stadt.example)</td>", found)
            following = re.search(r'rel="next" href="([^"]+)"', found)
            address = unescape(following[1]) if following else None
        assert seen == [f"amt{number:03d}@stadt.example" for number in range(120)] + [
            "neu@stadt.example", "zuletzt@stadt.example"]
        assert "amt077@stadt.example" in browser.text(f"{page}?q=nummer+77")
        assert "amt077@stadt.example" in browser.text(f"{page}?q=AMT077")
        nobody = browser.text(f"{page}?q=baumfreund")
        assert "neu@stadt.example" not in nobody, "a name that nobody is shown must not be found either"
        assert "Beim Personal gibt es niemanden" in nobody
        assert "amt000@stadt.example" not in browser.text(f"{page}?q=%25&nach=99999999999"), "no pattern, no error"
