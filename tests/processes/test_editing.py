"""Editors create and change processes in the browser, without JavaScript."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from lxml import html
from PIL import Image
from sqlalchemy import select

from participation.audit import AuditEntry
from participation.formats import CollectSettings, Moderation, PicturesFrom, PlaceRule, WorkshopSettings
from participation.municipalities.models import Municipality
from participation.permissions import Role
from participation.processes.models import Phase, Process, ProcessState, Theme
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser

# The first form of a page for somebody signed in is the one that signs out.
MAIN = 1
PHASE = {
    "format_key": "collect", "title": "Ideen", "body": "Schreiben Sie.", "starts_at": "2027-05-01T00:00",
    "ends_at": "2027-06-30T23:59", "setting_moderation": "after", "setting_place": "required",
    "setting_comments_open": "y", "setting_pictures": "nobody",
}


@pytest.fixture
def process(session: Session) -> Process:
    row = factories.process(session, factories.municipality(session))
    session.commit()
    return row


@pytest.fixture
def editor(session: Session, process: Process, browser: Browser) -> Browser:
    account = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    return browser.sign_in(account)


def _version(session: Session, process: Process) -> int:
    session.expire_all()
    return session.scalar(
        select(Municipality.content_version).where(Municipality.id == process.municipality_id)
    ) or 0


def _phases(session: Session, process: Process) -> list[Phase]:
    session.expire_all()
    return list(session.scalars(select(Phase).where(Phase.process_id == process.id).order_by(Phase.id)))


def _errors(response: Any) -> str:

    tree = html.fromstring(response.get_data(as_text=True))
    return " ".join(" ".join(tree.xpath("//*[contains(@class, 'bp-error__texts')]//text()")).split())


def test_from_nothing_to_a_published_process(session: Session, process: Process, editor: Browser) -> None:
    editor.submit("/verwaltung/verfahren/neu", {"title": "Grüne Höfe", "summary": "Was soll wachsen?"}, form=MAIN)
    session.expire_all()
    draft = session.scalars(select(Process).where(Process.title == "Grüne Höfe")).one()
    assert (draft.state, draft.slug) == (ProcessState.DRAFT, "gruene-hoefe")
    base = f"/verwaltung/verfahren/{draft.id}"
    refused = editor.submit(base, form="veroeffentlichen")
    assert refused.status_code == 422
    assert "noch keine Phase" in refused.get_data(as_text=True)
    editor.submit(base, {"body": "## Worum\n\nUm **Höfe**."}, form=MAIN)
    editor.post(f"{base}/phasen/neu", PHASE)
    assert editor.submit(base, form="veroeffentlichen").status_code == 200
    assert "Höfe" in editor.text("/verfahren/gruene-hoefe")
    assert "Grüne Höfe" in editor.text("/")
    acts = set(session.scalars(select(AuditEntry.action).where(AuditEntry.subject_id == draft.id)))
    assert {"process_created", "process_edited", "phase_added", "process_published"} <= acts


def test_every_part_of_a_process_says_in_its_title_which_it_is(session: Session, process: Process, editor: Browser) -> None:
    parts = editor.open(f"/verwaltung/verfahren/{process.id}").xpath("//nav[contains(@class, 'bp-tabs')]//a/@href")
    titles = [editor.open(part).findtext("head/title") for part in parts]
    assert len(set(titles)) == len(parts) > 5
    assert all(process.title in title for title in titles)


def test_same_title_gets_another_address(session: Session, process: Process, editor: Browser) -> None:
    for _ in range(2):
        editor.submit("/verwaltung/verfahren/neu", {"title": "Doppelt"}, form=MAIN)
    assert set(session.scalars(select(Process.slug).where(Process.title == "Doppelt"))) == {"doppelt", "doppelt-2"}


def test_phase_form_stores_typed_settings_and_berlin_times(
    session: Session, process: Process, editor: Browser
) -> None:
    before = _version(session, process)
    assert editor.post(f"/verwaltung/verfahren/{process.id}/phasen/neu", PHASE).status_code == 303
    phase = _phases(session, process)[-1]
    assert phase.settings == CollectSettings(
        guests_may_submit=False, moderation=Moderation.AFTER, place=PlaceRule.REQUIRED, pictures=PicturesFrom.NOBODY,
        comments_open=True, supports_open=False,
    )
    assert phase.starts_at == datetime(2027, 4, 30, 22, 0, tzinfo=UTC)
    # 23:59 means the whole day, to the midnight after it.
    assert phase.ends_at == datetime(2027, 6, 30, 22, 0, tzinfo=UTC)
    assert _version(session, process) == before + 1
    page = editor.open(f"/verwaltung/verfahren/{process.id}/phasen/{phase.id}")
    assert page.get_element_by_id("ends_at").value == "2027-06-30T23:59"
    assert page.get_element_by_id("setting_place").value == "required"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"starts_at": "2027-03-28T02:30"}, "Diese Uhrzeit gibt es nicht"),
        ({"ends_at": "2027-04-30T12:00"}, "Das Ende muss nach dem Beginn liegen"),
        ({"ends_at": "2027-05-01T00:00"}, "Das Ende muss nach dem Beginn liegen"),
        ({"ends_at": "bald"}, "Dieses Datum verstehen wir nicht"),
        ({"starts_at": "0001-01-01T00:00"}, "Bitte prüfen Sie das Jahr"),
        ({"title": "\u200b "}, "Bitte geben Sie der Phase einen Titel"),
        ({"setting_place": "überall"}, "Bitte wählen Sie etwas aus der Liste"),
    ],
)
def test_phase_with_an_impossible_value_is_refused_and_kept(
    session: Session, process: Process, editor: Browser, values: dict[str, str], message: str
) -> None:
    before = len(_phases(session, process))
    response = editor.post(f"/verwaltung/verfahren/{process.id}/phasen/neu", {**PHASE, **values})
    assert response.status_code == 422
    assert message in _errors(response)
    assert "Schreiben Sie." in response.get_data(as_text=True)
    assert len(_phases(session, process)) == before


def test_dates_may_be_typed_the_german_way(session: Session, process: Process, editor: Browser) -> None:
    values = {**PHASE, "starts_at": "01.12.2027 18:00", "ends_at": "02.12.2027, 18:00"}
    assert editor.post(f"/verwaltung/verfahren/{process.id}/phasen/neu", values).status_code == 303
    assert _phases(session, process)[-1].starts_at == datetime(2027, 12, 1, 17, 0, tzinfo=UTC)


def test_another_format_asks_other_settings_and_saves_nothing_yet(
    session: Session, process: Process, editor: Browser
) -> None:
    phase = _phases(session, process)[0]
    address = f"/verwaltung/verfahren/{process.id}/phasen/{phase.id}"
    response = editor.submit(address, {"format_key": "workshop", "title": "Werkstatt", "change_format": "1"}, form=MAIN)
    shown = response.get_data(as_text=True)
    assert "Plätze" in shown
    assert "Ohne Konto einreichen" not in shown
    assert 'value="Werkstatt"' in shown
    assert _phases(session, process)[0].format_key == "collect"
    values = {"format_key": "workshop", "title": "Werkstatt", "setting_place": "Ratssaal", "setting_seats": "25"}
    assert editor.post(address, values).status_code == 303
    assert _phases(session, process)[0].settings == WorkshopSettings(place="Ratssaal", seats=25)
    wrong = editor.post(address, {**values, "setting_seats": "viele"})
    assert wrong.status_code == 422
    assert "ganze Zahl" in _errors(wrong)


def test_preview_shows_the_text_and_saves_nothing(session: Session, process: Process, editor: Browser) -> None:
    response = editor.submit(f"/verwaltung/verfahren/{process.id}", {"body": "Das ist **fett**.", "preview": "1"}, form=MAIN)
    assert "<strong>fett</strong>" in response.get_data(as_text=True)
    session.expire_all()
    assert session.get_one(Process, process.id).body == ""


def test_phase_with_contributions_and_used_theme_stay(session: Session, process: Process, editor: Browser) -> None:
    phase, theme = process.phases[0], process.themes[0]
    factories.proposal(session, process, phase_id=phase.id, theme_id=theme.id)
    unused = process.themes[1].id
    editor.post(f"/verwaltung/verfahren/{process.id}/phasen/neu", {**PHASE, "title": "Leer"})
    session.commit()
    empty = _phases(session, process)[-1].id
    base = f"/verwaltung/verfahren/{process.id}"
    refused = editor.post(f"{base}/phasen/{phase.id}/loeschen")
    assert refused.status_code == 409
    assert "schon Beiträge" in refused.get_data(as_text=True)
    assert editor.post(f"{base}/themen/{theme.id}/loeschen").status_code == 409
    assert editor.post(f"{base}/phasen/{empty}/loeschen").status_code == 303
    assert editor.post(f"{base}/themen/{unused}/loeschen").status_code == 303
    assert [one.id for one in _phases(session, process)] == [phase.id]
    assert list(session.scalars(select(Theme.id).where(Theme.process_id == process.id))) == [theme.id]


def test_themes_are_added_renamed_and_moved(session: Session, process: Process, editor: Browser) -> None:
    base = f"/verwaltung/verfahren/{process.id}/themen"
    assert editor.post(base, {"name": "Freizeit", "tone": "5"}).status_code == 303
    assert editor.post(base, {"name": "freizeit", "tone": "1"}).status_code == 422
    added = session.scalars(select(Theme).where(Theme.process_id == process.id, Theme.name == "Freizeit")).one()
    editor.post(f"{base}/{added.id}", {"name": "Freizeit & Sport", "tone": "5"})
    editor.post(f"{base}/{added.id}/verschieben", {"richtung": "hoch"})
    session.expire_all()
    names = [theme.name for theme in session.get_one(Process, process.id).themes]
    assert names == ["Verkehr", "Freizeit & Sport", "Wohnen"]
    assert session.get_one(Theme, added.id).slug == "freizeit"


def test_picture_needs_a_description(session: Session, process: Process, editor: Browser) -> None:
    base = f"/verwaltung/verfahren/{process.id}"
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(buffer, "PNG")
    values = {"title": process.title, "summary": "S", "body": "B"}

    def send(alt: str) -> Any:
        picture = (io.BytesIO(buffer.getvalue()), "bild.png")
        return editor.post(base, {**values, "picture_alt": alt, "picture": picture}, content_type="multipart/form-data")

    assert "Bitte beschreiben Sie" in _errors(send(""))
    assert send("Eine grüne Wiese").status_code == 303
    image = editor.open(f"/verfahren/{process.slug}").xpath("//img[@alt='Eine grüne Wiese']/@src")[0]
    with editor.get(image) as answer:
        assert answer.mimetype == "image/webp"
    assert editor.post(base, {**values, "picture_alt": "Eine grüne Wiese"}).status_code == 303, "no file field at all"
    assert editor.open(f"/verfahren/{process.slug}").xpath("//img[@alt='Eine grüne Wiese']/@src") == [image]
    broken = editor.post(
        base, {**values, "picture_alt": "x", "picture": (io.BytesIO(b"GIF89a"), "x.gif")},
        content_type="multipart/form-data",
    )
    assert "kein lesbares Bild" in _errors(broken)
    assert "zurückholen" in editor.submit(base, form="bild/entfernen").get_data(as_text=True)
    session.expire_all()
    assert process.picture_id is None
    back = editor.open(f"{base}/verlauf").xpath("//form[contains(@action, 'wiederherstellen')]/@action")[0]
    editor.post(back, {"confirmed": "yes"}, follow_redirects=True)
    session.expire_all()
    assert process.picture_id is not None, "the history gives it back"


def test_document_is_offered_until_it_is_deleted(session: Session, process: Process, editor: Browser) -> None:
    base = f"/verwaltung/verfahren/{process.id}/dokumente"
    values = {"title": "Protokoll", "document": (io.BytesIO(b"%PDF-1.7 ..."), "protokoll.pdf")}
    assert editor.post(base, values, content_type="multipart/form-data").status_code == 303
    link = editor.open(f"/verfahren/{process.slug}").xpath("//a[contains(@href, '/dokumente/')]/@href")[0]
    with editor.get(link) as answer:
        assert answer.data.startswith(b"%PDF")
        assert "protokoll.pdf" in answer.headers["Content-Disposition"]
    editor.submit(base, form="loeschen")
    assert editor.get(link).status_code == 404
    disguised = {"title": "Programm", "document": (io.BytesIO(b"MZ"), "programm.pdf")}
    assert editor.post(base, disguised, content_type="multipart/form-data").status_code == 422


def test_saving_with_another_format_shows_its_settings_first(session: Session, process: Process, editor: Browser) -> None:
    (phase,) = _phases(session, process)
    page = f"/verwaltung/verfahren/{process.id}/phasen/{phase.id}"
    answer = editor.submit(page, {"format_key": "vote", "title": "Neu"}, form=MAIN)
    text = answer.get_data(as_text=True)
    assert "Gespeichert ist noch nichts" in text
    assert 'name="setting_ballot"' in text
    assert 'value="Neu"' in text
    assert _phases(session, process)[0].format_key == "collect"
    values = dict(html.fromstring(text).forms[MAIN].form_values())
    assert editor.post(page, values).status_code == 303
    assert _phases(session, process)[0].format_key == "vote"


def test_a_document_is_renamed_and_that_can_be_undone(session: Session, process: Process, editor: Browser) -> None:
    base = f"/verwaltung/verfahren/{process.id}/dokumente"
    for title in ("Protokol", "Plan"):
        editor.post(base, {"title": title, "document": (io.BytesIO(b"%PDF-1.7 ..."), "datei.pdf")}, content_type="multipart/form-data")
    page, shown = editor.open(base).xpath("//th/a/@href")[0], f"/verfahren/{process.slug}"
    address = editor.open(shown).xpath("//a[contains(@href, '/dokumente/')]/@href")
    answer = editor.submit(page, {"title": " "}, form=-1)
    assert (answer.status_code, "Bitte" in answer.get_data(as_text=True)) == (422, True)
    opened = dict(editor.open(page).forms[-1].form_values())
    editor.submit(page, {"title": "Protokoll"}, form=-1)
    assert "Protokoll" in editor.text(shown)
    assert editor.open(shown).xpath("//a[contains(@href, '/dokumente/')]/@href") == address, "links go on working"
    late = editor.post(page, {**opened, "title": "Etwas anderes"})
    assert (late.status_code, "Etwas anderes" in late.get_data(as_text=True)) == (409, True)
    editor.submit(base, form="verschieben")
    history = f"/verwaltung/verfahren/{process.id}/verlauf"
    assert "Dokument umbenannt" in editor.text(history)
    before = [one for one in editor.open(history).forms if "wiederherstellen" in (one.action or "")]
    editor.submit(history, form=before[-2].action)
    assert "Protokoll" not in editor.text(shown)
    assert "Protokol" in editor.text(shown)


def test_archived_process_is_read_but_takes_nothing(session: Session, process: Process, editor: Browser) -> None:
    process.body = "Text"
    session.commit()
    editor.submit(f"/verwaltung/verfahren/{process.id}", form="archivieren")
    assert "Vorschlag einreichen" not in editor.text(f"/verfahren/{process.slug}")
    assert editor.submit(f"/verwaltung/verfahren/{process.id}", form="veroeffentlichen").status_code == 200
    assert "Vorschlag einreichen" in editor.text(f"/verfahren/{process.slug}")


def test_an_archived_process_says_that_nothing_comes_any_more(session: Session, process: Process, editor: Browser) -> None:
    process.phases[:] = [factories.phase("collect", title="Ideen", opens=-1), factories.phase("vote", title="Wahl", opens=40, closes=50)]
    session.commit()
    page = f"/verfahren/{process.slug}"
    shown = editor.open(page)
    assert "Bald" not in shown.text_content()
    assert shown.xpath("//a[contains(@href, '.ics')]")
    process.state = ProcessState.ARCHIVED
    process.municipality.content_version += 1
    session.commit()
    shown = editor.open(page)
    timeline = shown.xpath("//ol[contains(@class, 'bp-timeline')]/li")
    assert ["Entfällt" in one.text_content() for one in timeline] == [False, True]
    assert not any("Kommt noch" in one.text_content() or "Läuft" in one.text_content() for one in timeline)
    assert "Dieses Verfahren ist abgeschlossen." in shown.text_content()
    assert not shown.xpath("//a[contains(@href, '.ics')]")


@pytest.mark.parametrize(("formats_before", "heading", "sentence"), [
    ([], "Bald geht es los", "Die erste Phase beginnt am"),
    (["inform"], "Bald geht es weiter", "Die nächste Phase beginnt am"),
])
def test_what_comes_first_is_no_next_one(
    session: Session, process: Process, browser: Browser, formats_before: list[str], heading: str, sentence: str
) -> None:
    process.phases[:] = [*(factories.phase(one, opens=-9, closes=-3) for one in formats_before), factories.phase("collect", opens=10, closes=20)]
    session.commit()
    shown = browser.text(f"/verfahren/{process.slug}")
    assert heading in shown
    assert sentence in shown


def test_a_phase_in_words_stands_in_the_table_as_it_was_written(session: Session, process: Process, editor: Browser) -> None:
    process.phases[0].starts_at, process.phases[0].ends_at, process.phases[0].vague_dates = None, None, "Frühjahr 2027"
    session.commit()
    assert "Frühjahr 2027" in editor.text(f"/verwaltung/verfahren/{process.id}/phasen")


def test_what_is_no_whole_number_is_answered_with_one_that_fits(session: Session, process: Process, editor: Browser) -> None:
    answer = editor.submit(f"/verwaltung/verfahren/{process.id}/phasen/neu?format=budget",
                           {"title": "Budget", "setting_total": "viel"}, form=-1)
    assert "Bitte geben Sie eine ganze Zahl an, zum Beispiel 100000." in _errors(answer)


def test_own_fields_are_shown_as_the_form_shows_them(session: Session, process: Process, editor: Browser) -> None:
    page = f"/verwaltung/verfahren/{process.id}/phasen/{process.phases[0].id}/felder"
    for kind in ("choice", "choices"):
        editor.submit(f"{page}?art={kind}", {"label": f"Frage {kind}", "options": "Ja\nNein"}, form=-1)
    shown = editor.open(page).xpath("//section[@aria-labelledby='vorschau']")[0]
    assert [one.get("type") for one in shown.xpath(".//fieldset//input")] == ["radio", "radio", "checkbox", "checkbox"]
    assert [" ".join(one.text_content().split()) for one in shown.xpath(".//fieldset//label")] == ["Ja", "Nein"] * 2


def test_a_published_process_keeps_the_texts_that_it_needs(session: Session, process: Process, editor: Browser) -> None:
    process.body = "Text"
    session.commit()
    page = f"/verwaltung/verfahren/{process.id}"
    for name, message in (("summary", "Es fehlt die Kurzbeschreibung."), ("body", "Es fehlt der Text, worum es geht.")):
        answer = editor.post(page, {"title": "Ohne", "summary": "S", "body": "B", name: " "})
        assert (answer.status_code, _errors(answer).count(message)) == (422, 1)
        assert html.fromstring(answer.get_data(as_text=True)).get_element_by_id(name).get("aria-invalid") == "true"
    session.expire_all()
    assert session.get_one(Process, process.id).title == process.title != "Ohne"


def test_address_stays_once_published(session: Session, process: Process, editor: Browser) -> None:
    slug = process.slug
    editor.post(f"/verwaltung/verfahren/{process.id}", {"title": "Ganz anders", "slug": "neu", "summary": "S"})
    session.expire_all()
    assert (session.get_one(Process, process.id).title, session.get_one(Process, process.id).slug) == (
        "Ganz anders", slug,
    )


def test_editor_of_one_process_can_do_nothing_to_another(
    session: Session, process: Process, new_browser: Callable[[], Browser]
) -> None:
    own = factories.process(session, process.municipality, title="Eigenes Verfahren")
    browser = new_browser().sign_in(factories.account(session, Role.EDITOR, on=own))
    session.commit()
    base, phase, theme = f"/verwaltung/verfahren/{process.id}", process.phases[0], process.themes[0]
    for path in ("", "/phasen", "/phasen/neu", f"/phasen/{phase.id}", "/themen", "/dokumente"):
        assert browser.get(base + path).status_code == 403, path
    for path in (
        "", "/veroeffentlichen", "/archivieren", "/verschieben", "/bild/entfernen", "/phasen/neu", f"/phasen/{phase.id}",
        f"/phasen/{phase.id}/loeschen", f"/phasen/{phase.id}/verschieben", "/themen", f"/themen/{theme.id}",
        f"/themen/{theme.id}/loeschen", "/dokumente", "/dokumente/1/loeschen",
    ):
        assert browser.post(base + path, {"title": "X", "name": "X", "tone": "1"}).status_code == 403, path
    # Nor reach a foreign phase through the address of the own process.
    assert browser.post(f"/verwaltung/verfahren/{own.id}/phasen/{phase.id}/loeschen").status_code == 404
    assert browser.get("/verwaltung/verfahren/neu").status_code == 403
    listed = browser.text("/verwaltung/verfahren")
    assert "Eigenes Verfahren" in listed
    assert process.title not in listed


def test_staff_list_costs_the_same_however_much_there_is(
    session: Session, process: Process, editor: Browser, count_queries: Any
) -> None:
    editor.open("/verwaltung/verfahren")
    with count_queries() as few:
        editor.open("/verwaltung/verfahren")
    for _ in range(8):
        factories.process(session, process.municipality)
    session.commit()
    with count_queries() as many:
        editor.open("/verwaltung/verfahren")
    assert len(few) == len(many)
    assert len([one for one in many if "BEGIN" not in one]) <= 5
