"""Proposals put aside before they are handed in: on every device, for nobody else's eyes, gone when they are done."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from PIL import Image
from sqlalchemy import func, select

from participation import clock
from participation.accounts.models import Account
from participation.contributions.drafts.models import DRAFTS_MAX, Draft
from participation.contributions.drafts.operations import KEPT_FOR, forget_old, save_draft
from participation.contributions.models import Contribution, ContributionPicture
from participation.contributions.personal.export import own_data
from participation.contributions.personal.operations import delete_account
from participation.contributions.proposals.models import Proposal
from participation.outbox import OutboxRow
from participation.permissions import Role
from participation.uploads import SIZES, Upload, picture_path
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.processes.models import Process
    from participation.tokens import Keyring
    from tests.browser_client import Browser


@pytest.fixture
def process(session: Session) -> Process:
    found = factories.process(session)
    session.commit()
    return found


@pytest.fixture
def page(process: Process) -> str:
    return f"/verfahren/{process.slug}/vorschlaege/neu"


@pytest.fixture
def writer(session: Session, browser: Browser) -> Account:
    """Who writes, signed in in `browser`."""
    account = factories.account(session)
    session.commit()
    browser.sign_in(account)
    return account


def save(browser: Browser, page: str, **values: Any) -> Any:
    return browser.submit(page, {"step": "draft", **values}, form=-1)


def drafts(session: Session) -> list[Draft]:
    session.expire_all()
    return list(session.scalars(select(Draft).order_by(Draft.id)))


def a_picture() -> tuple[io.BytesIO, str]:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 200), "#336699").save(buffer, "JPEG")
    return io.BytesIO(buffer.getvalue()), "bank.jpg"


def values_of(tree: html.HtmlElement) -> dict[str, str]:
    return dict(tree.forms[-1].form_values())


def test_an_unfinished_form_is_found_again_on_another_device_with_everything_in_it(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, page: str,
    writer: Account, app: Beteiligung,
) -> None:
    answer = save(browser, page, title="Eine Bank", body="Weil\n\nman müde wird", place="Am Markt", lat="51,98",
                  lon="keine Ahnung", theme_id=str(process.themes[1].id), picture=a_picture(), picture_alt="Ein Platz")
    assert answer.status_code == 200
    assert "Ihr Entwurf ist gespeichert" in answer.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Contribution)) == 0

    phone = new_browser().sign_in(writer)
    notice = phone.open(page)
    assert "Sie haben einen Entwurf" in notice.text_content()
    assert values_of(notice)["title"] == ""
    link = notice.xpath("//a[contains(., 'Weiterschreiben')]/@href")[0]
    again = phone.open(link)
    found = values_of(again)
    assert (found["title"], found["body"].strip().splitlines()) == ("Eine Bank", ["Weil", "", "man müde wird"])
    assert (found["place"], found["lat"], found["lon"]) == ("Am Markt", "51,98", "keine Ahnung")
    assert (found["theme_id"], found["picture_alt"]) == (str(process.themes[1].id), "Ein Platz")
    assert again.xpath("//img[starts-with(@src, 'data:image/webp')]")
    assert link in phone.open("/konto/beitraege").xpath("//a/@href")

    sent = phone.submit(link, {"lon": "", "lat": "", "step": "send"}, form=-1)
    assert "Ihr Beleg" in sent.get_data(as_text=True)
    stored = session.scalars(select(Proposal)).one()
    assert (stored.title, stored.theme_id, stored.place) == ("Eine Bank", process.themes[1].id, "Am Markt")
    kept = session.scalars(select(ContributionPicture)).one()
    assert kept.alt == "Ein Platz"
    assert all(picture_path(app.extensions["platform"].settings.upload_dir, kept.upload.name, size).is_file()
               for size in SIZES)
    assert drafts(session) == []
    assert session.scalars(select(Upload.id)).all() == [kept.upload_id]
    assert session.scalar(select(OutboxRow.id).where(OutboxRow.job == "remove_picture"))


def test_saving_again_replaces_and_a_second_window_does_not_overwrite_unasked(
    session: Session, browser: Browser, page: str, writer: Account,
) -> None:
    save(browser, page, title="Erste Worte")
    address = f"{page}?entwurf={drafts(session)[0].id}"
    old_window = values_of(browser.open(address))
    assert save(browser, address, title="Zweite Worte").status_code == 200
    late = browser.post(page, old_window | {"title": "Dritte Worte", "step": "draft"})
    assert late.status_code == 422
    tree = html.fromstring(late.get_data(as_text=True))
    assert "in einem anderen Fenster" in tree.text_content()
    assert values_of(tree)["title"] == "Dritte Worte"
    assert values_of(browser.open(address))["title"] == "Zweite Worte"
    assert browser.post(page, values_of(tree) | {"step": "draft"}).status_code in {200, 303}
    assert values_of(browser.open(address))["title"] == "Dritte Worte"
    assert len(drafts(session)) == 1


def test_a_double_click_saves_once_and_two_windows_submit_once(
    session: Session, browser: Browser, process: Process, page: str, writer: Account,
) -> None:
    first = values_of(browser.open(page)) | {"title": "Eine Bank", "step": "draft"}
    browser.post(page, first)
    browser.post(page, first)
    assert [one.version for one in drafts(session)] == [1]
    address = f"{page}?entwurf={drafts(session)[0].id}"
    ready = values_of(browser.open(address)) | {"body": "Zum Ausruhen", "theme_id": str(process.themes[0].id)}
    browser.post(page, ready | {"step": "send"})
    browser.post(page, ready | {"step": "send"})
    assert session.scalar(select(func.count()).select_from(Proposal)) == 1
    assert drafts(session) == []
    # The third window knows nothing of it and saves: its words are not lost, nor is anything handed in twice.
    browser.post(page, ready | {"title": "Eine andere Bank", "step": "draft"})
    assert len(drafts(session)) == 1
    assert session.scalar(select(func.count()).select_from(Proposal)) == 1


def test_there_is_room_for_a_few_only_and_the_text_stays(
    session: Session, browser: Browser, page: str, writer: Account,
) -> None:
    for number in range(DRAFTS_MAX):
        assert save(browser, page, title=f"Entwurf {number}").status_code == 200
    refused = save(browser, page, title="Einer zu viel")
    assert refused.status_code == 422
    assert "schon 5 Entwürfe" in refused.get_data(as_text=True)
    assert values_of(html.fromstring(refused.get_data(as_text=True)))["title"] == "Einer zu viel"
    assert len(drafts(session)) == DRAFTS_MAX
    assert "5 Entwürfe" in browser.text(page)


def test_what_is_far_too_long_is_refused_with_a_reason(
    session: Session, browser: Browser, page: str, writer: Account,
) -> None:
    answer = save(browser, page, body="x" * 50_000)
    assert answer.status_code == 422
    assert "Der Entwurf ist zu lang" in answer.get_data(as_text=True)
    assert drafts(session) == []


def test_fields_of_other_features_come_back_and_hostile_signs_do_not(
    session: Session, browser: Browser, page: str, writer: Account, keyring: Keyring,
) -> None:
    filled = values_of(browser.open(page))
    browser.post(page, filled | {"title": "A\x00B\u202e", "own-alter": ["18 bis 30", "über 60"], "step": "draft"})
    draft = drafts(session)[0]
    content = json.loads(keyring.unseal(draft.content_sealed) or "")
    assert content["values"]["own-alter"] == ["18 bis 30", "über 60"]
    assert content["values"]["title"] == ["AB"]
    assert "csrf_token" not in content["values"]


def test_nobody_else_reaches_a_draft_not_even_staff(
    session: Session, browser: Browser, new_browser: Callable[[], Browser], process: Process, page: str,
    writer: Account,
) -> None:
    save(browser, page, title="Ganz geheim", body="Noch nicht reif")
    draft = drafts(session)[0]
    stored = " ".join(str(value) for value in vars(draft).values())
    assert "geheim" not in stored
    address, discard = f"{page}?entwurf={draft.id}", f"/verfahren/{process.slug}/entwuerfe/{draft.id}/verwerfen"
    staff = factories.account(session, Role.ADMIN, town=process.municipality)
    other = factories.account(session)
    session.commit()
    for stranger in (new_browser().sign_in(other), new_browser().sign_in(staff)):
        assert stranger.get(address).status_code == 404
        assert stranger.post(discard, {"confirmed": "yes"}).status_code == 404
        assert "Ganz geheim" not in stranger.text(page)
    guest = new_browser()
    assert guest.get(address).status_code in {302, 303, 401}
    assert guest.post(discard, {"confirmed": "yes"}).status_code in {302, 303, 401}
    for wrong in ("0", "-1", "99999999999999999999", "x", "²"):
        assert browser.get(f"{page}?entwurf={wrong}").status_code == 404
    # Its key opens nothing for others either: sending it makes a proposal of theirs and leaves the draft alone.
    key = values_of(browser.open(address))["submission_key"]
    thief = new_browser().sign_in(other)
    save(thief, page, title="Meins", submission_key=key)
    assert values_of(browser.open(address))["title"] == "Ganz geheim"
    public = new_browser()
    for path in (f"/verfahren/{process.slug}/vorschlaege", f"/verfahren/{process.slug}/vorschlaege?q=geheim"):
        assert "Ganz geheim" not in public.text(path)


def test_a_guest_is_not_offered_it_and_loses_nothing_by_trying(
    session: Session, browser: Browser, page: str,
) -> None:
    assert "Als Entwurf speichern" not in browser.text(page)
    answer = save(browser, page, title="Abgemeldet", body="Inzwischen")
    assert answer.status_code == 422
    text = answer.get_data(as_text=True)
    assert "nur mit einem Konto" in text
    assert "Abgemeldet" in text
    assert drafts(session) == []


def test_discarding_asks_first_and_takes_the_picture_along(
    session: Session, browser: Browser, process: Process, page: str, writer: Account,
) -> None:
    save(browser, page, title="Doch nicht", picture=a_picture())
    draft = drafts(session)[0]
    path = f"/verfahren/{process.slug}/entwuerfe/{draft.id}/verwerfen"
    assert "wirklich verwerfen" in browser.post(path).get_data(as_text=True)
    assert len(drafts(session)) == 1
    browser.post(path, {"confirmed": "yes"})
    assert drafts(session) == []
    assert session.scalar(select(func.count()).select_from(Upload)) == 0
    assert "Doch nicht" not in browser.text("/konto/beitraege")


def test_a_picture_can_be_left_out_of_a_draft(session: Session, browser: Browser, page: str, writer: Account) -> None:
    save(browser, page, title="Mit Bild", picture=a_picture())
    address = f"{page}?entwurf={drafts(session)[0].id}"
    save(browser, address, title="Mit Bild, zweite Fassung")
    assert drafts(session)[0].upload_id is not None
    save(browser, address, picture_drop="y")
    assert drafts(session)[0].upload_id is None
    assert session.scalar(select(func.count()).select_from(Upload)) == 0


def test_a_refused_submission_keeps_the_draft_and_its_picture(
    session: Session, browser: Browser, process: Process, page: str, writer: Account,
) -> None:
    save(browser, page, title="Noch ohne Text", picture=a_picture())
    address = f"{page}?entwurf={drafts(session)[0].id}"
    refused = browser.submit(address, {"step": "send"}, form=-1)
    assert refused.status_code == 422
    assert "data:image/webp" in refused.get_data(as_text=True)
    assert drafts(session)[0].upload_id is not None
    preview = browser.submit(address, {"step": "preview", "body": "Jetzt mit Text",
                                       "theme_id": str(process.themes[0].id)}, form=-1)
    assert preview.status_code == 200
    sent = values_of(html.fromstring(preview.get_data(as_text=True))) | {"step": "send"}
    browser.post(page, sent)
    assert session.scalar(select(func.count()).select_from(ContributionPicture)) == 1
    assert drafts(session) == []


def test_when_the_phase_is_over_the_text_can_still_be_read(
    session: Session, browser: Browser, process: Process, page: str, writer: Account,
) -> None:
    save(browser, page, title="Zu spät", body="Nicht fertig geworden")
    process.phases[0].ends_at = clock.now() - timedelta(minutes=1)
    session.commit()
    answer = browser.get(f"{page}?entwurf={drafts(session)[0].id}")
    assert answer.status_code == 409
    assert "Nicht fertig geworden" in answer.get_data(as_text=True)


def test_a_draft_is_forgotten_in_time_and_goes_with_its_account_and_into_its_own_data_only(
    session: Session, browser: Browser, page: str, writer: Account, keyring: Keyring, app: Beteiligung,
) -> None:
    save(browser, page, title="Für die Auskunft", body="Worte")
    save(browser, page, title="Alt")
    old = drafts(session)[1]
    old.saved_at = clock.now() - KEPT_FOR - timedelta(minutes=1)
    session.commit()
    assert forget_old(session, clock.now()) == 1
    assert forget_old(session, clock.now()) == 0
    account = session.get_one(Account, writer.id)
    folder = app.extensions["platform"].settings.upload_dir
    told = own_data(session, keyring, account, folder, clock.now())["entwuerfe"]
    assert [(one["felder"]["title"], one["felder"]["body"]) for one in told] == [(["Für die Auskunft"], ["Worte"])]
    other = factories.account(session)
    assert own_data(session, keyring, other, folder, clock.now())["entwuerfe"] == []
    delete_account(session, keyring, factories.actor(account), account, take_along=False, now=clock.now())
    assert drafts(session) == []


def test_a_draft_tells_the_answer_to_a_question_that_editors_took_away_since(
    session: Session, browser: Browser, page: str, writer: Account,
) -> None:
    answer = save(browser, page, title="Eine Bank", **{"own-0000dead": "Nur mit <b>Rampe</b>"})
    assert "Eine Frage steht nicht mehr im Formular" in answer.get_data(as_text=True)
    assert "Nur mit &lt;b&gt;Rampe&lt;/b&gt;" in answer.get_data(as_text=True)


def test_what_one_window_saved_while_the_other_handed_it_in_can_still_be_handed_in(
    session: Session, browser: Browser, page: str, writer: Account, process: Process, keyring: Keyring,
) -> None:
    first = values_of(browser.open(page))
    sent = {**first, "title": "Das Erste", "body": "Ein Text.", "theme_id": str(process.themes[0].id)}
    browser.post(page, sent)
    # What only a race leaves behind: the second window asked before the first one was done.
    save_draft(session, keyring, factories.actor(writer), process, first["submission_key"],
               {"title": ["Das Zweite"], "body": ["Mein Text."], "theme_id": [sent["theme_id"]]}, seen=0, now=clock.now())
    session.commit()
    (draft,) = drafts(session)
    browser.submit(f"{page}?entwurf={draft.id}", {"step": "send"}, form=-1)
    assert set(session.scalars(select(Proposal.title))) == {"Das Erste", "Das Zweite"}
