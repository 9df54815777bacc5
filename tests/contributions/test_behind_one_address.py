"""A workshop in one Wi-Fi, a school behind one address: nobody there is locked out, and a script still is."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from sqlalchemy import func, select

from app import Beteiligung, create_app
from participation.accounts.models import Account
from participation.contributions.comments.models import Comment
from participation.contributions.proposals.models import Proposal
from participation.formats import CollectSettings
from participation.tokens import new_token
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.db import Database
    from participation.processes.models import Process

PEOPLE = 60
PASSWORD = "ein recht langes Kennwort 7"


@pytest.fixture
def limited(app: Beteiligung, database: Database) -> Beteiligung:
    """The platform with its limits as in production, from an empty count."""
    strict = create_app(replace(app.extensions["platform"].settings, rate_limits=True), database)
    strict.config["WTF_CSRF_ENABLED"] = False
    return strict


@pytest.fixture
def process(session: Session) -> Process:
    """Ideas of guests, who may comment too."""
    found = factories.process(session, phases=[factories.phase("collect", settings=CollectSettings(guest_comments=True))])
    session.commit()
    return found


def _idea(process: Process, number: int = 0) -> dict[str, Any]:
    return {"title": f"Bank Nummer {number}", "body": "Zum Ausruhen im Schatten.", "theme_id": str(process.themes[0].id),
            "submission_key": new_token()}


def test_sixty_guests_of_a_workshop_look_at_their_proposals_and_hand_them_in(
    session: Session, limited: Beteiligung, process: Process,
) -> None:
    page = f"/verfahren/{process.slug}/vorschlaege/neu"
    for number in range(PEOPLE):
        guest, idea = Browser(limited), _idea(process, number)
        assert guest.get(page).status_code == 200
        assert guest.post(page, idea | {"title": ""}).status_code == 422
        looked = guest.post(page, idea | {"step": "preview"})
        assert looked.status_code == 200, number
        assert guest.post(page, idea).status_code == 303, number
    assert session.scalar(select(func.count()).select_from(Proposal)) == PEOPLE


def test_a_script_hands_in_no_more_than_people_would_and_gets_its_text_back(
    session: Session, limited: Beteiligung, process: Process,
) -> None:
    page, script = f"/verfahren/{process.slug}/vorschlaege/neu", Browser(limited)
    statuses = [script.post(page, _idea(process, number)).status_code for number in range(32)]
    assert statuses == [303] * 31 + [429], "one guest, whose address gets a mail each time once there is one"
    answers = [Browser(limited).post(page, _idea(process, number)) for number in range(121)]
    assert [one.status_code for one in answers] == [303] * 119 + [429] * 2
    assert "Zum Ausruhen im Schatten." in answers[-1].get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Proposal)) == 150
    assert script.get(page).status_code == 200, "reading goes on"


def test_what_is_never_handed_in_ends_too(limited: Beteiligung, process: Process) -> None:
    page, script = f"/verfahren/{process.slug}/vorschlaege/neu", Browser(limited)
    statuses = [script.post(page, {"body": "Ohne Titel"}).status_code for _number in range(602)]
    assert statuses == [422] * 600 + [429] * 2


def test_who_has_an_account_is_counted_alone(session: Session, limited: Beteiligung, process: Process) -> None:
    page, account, colleague = f"/verfahren/{process.slug}/vorschlaege/neu", factories.account(session), factories.account(session)
    session.commit()
    one = Browser(limited).sign_in(account)
    for number in range(30):
        assert one.post(page, _idea(process, number) | {"step": "preview"}).status_code == 200
        assert one.post(page, _idea(process, number)).status_code == 303
    assert one.post(page, _idea(process)).status_code == 429
    assert Browser(limited).sign_in(colleague).post(page, _idea(process)).status_code == 303
    assert Browser(limited).post(page, _idea(process)).status_code == 303


def test_pictures_that_are_never_handed_in_end_earlier(session: Session, limited: Beteiligung, process: Process) -> None:
    """Each lies aside for a day."""
    page, account = f"/verfahren/{process.slug}/vorschlaege/neu", factories.account(session)
    session.commit()
    script, picture = Browser(limited).sign_in(account), BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")

    def look(**values: Any) -> int:
        return script.post(page, _idea(process) | {"step": "preview", **values}).status_code

    statuses = [look(picture=(BytesIO(picture.getvalue()), "bank.png")) for _number in range(61)]
    assert statuses == [200] * 60 + [429]
    assert look() == 200


def test_sixty_guests_comment_twice_and_a_script_ends(session: Session, limited: Beteiligung, process: Process) -> None:
    proposal = factories.proposal(session, process)
    session.commit()
    page = f"/verfahren/{process.slug}/vorschlaege/{proposal.id}/kommentare"
    for number in range(PEOPLE):
        guest = Browser(limited)
        for text in ("Ja, gern.", "Und mit Lehne."):
            assert guest.post(page, {"body": ""}).status_code == 422
            assert guest.post(page, {"body": text, "submission_key": new_token()}).status_code == 303, number
    script = Browser(limited)
    statuses = [script.post(page, {"body": f"Werbung {number}"}).status_code for number in range(32)]
    assert statuses == [303] * 30 + [429] * 2
    assert session.scalar(select(func.count()).select_from(Comment)) == 150


def test_sixty_people_make_an_account_in_one_evening_and_have_a_link_mailed(session: Session, limited: Beteiligung) -> None:
    factories.municipality(session)
    session.commit()
    for number in range(PEOPLE):
        person = {"email": f"person{number}@beispiel.example", "display_name": "Eva Muster", "password": PASSWORD}
        assert Browser(limited).post("/konto/registrieren", person | {"password": "kurz"}).status_code == 422
        assert Browser(limited).post("/konto/registrieren", person).status_code == 303, number
        assert Browser(limited).post("/konto/anmelden-per-link", {"email": "ohne Klammeraffe"}).status_code == 422
        assert Browser(limited).post("/konto/anmelden-per-link", {"email": person["email"]}).status_code == 303, number
    assert session.scalar(select(func.count()).select_from(Account)) == PEOPLE
    script = [Browser(limited).post("/konto/registrieren", {"email": f"x{number}@beispiel.example", "display_name": "Wer auch immer",
                                                            "password": PASSWORD}).status_code for number in range(31)]
    assert script == [303] * 30 + [429]


@pytest.mark.parametrize(("path", "values", "status", "most"), [
    ("/konto/anmelden/kein-solcher-link", {}, 410, 30), ("/konto/passwort/kein-solcher-link", {"password": PASSWORD}, 410, 30),
    ("/beleg", {"number": "AAAA-BBBB-CCCC"}, 422, 20),
])
def test_reading_never_counts_and_guesses_end(
    session: Session, limited: Beteiligung, path: str, values: dict[str, str], status: int, most: int,
) -> None:
    factories.municipality(session)
    session.commit()
    visitor = Browser(limited)
    assert 429 not in {visitor.get(path).status_code for _number in range(most * 2)}
    assert [visitor.post(path, values).status_code for _number in range(most + 1)] == [status] * most + [429]
