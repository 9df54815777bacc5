"""Whoever edits a process can see who changed what, and go back."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from sqlalchemy import func, select

from participation import clock, formats
from participation.errors import Conflict
from participation.permissions import Role
from participation.processes import history, operations
from participation.processes.models import (
    Phase,
    Process,
    ProcessDocument,
    ProcessState,
    ProcessVersion,
    TextVariant,
    Theme,
)
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy.orm import Session

    from participation.permissions import Actor
    from tests.browser_client import Browser

TEXTS: dict[str, Any] = {
    "slug": "", "theme_label": "Thema", "contact": "", "attribution": "", "picture_alt": "", "has_new_picture": False,
}


@pytest.fixture
def process(session: Session) -> Process:
    found = factories.process(session, title="Der Platz")
    session.commit()
    return found


@pytest.fixture
def actor(session: Session, process: Process) -> Actor:
    return factories.actor(factories.account(session, Role.EDITOR, on=process, display_name="Frau Lampe"))


def _edit(session: Session, actor: Actor, process: Process, title: str, body: str) -> None:
    operations.edit_process(session, actor, process, clock.now(), title=title, summary="Kurz.", body=body, **TEXTS)
    session.commit()


def test_every_change_can_be_read_and_undone_and_that_too(
    session: Session, process: Process, actor: Actor, new_browser: Callable[[], Browser],
) -> None:
    _edit(session, actor, process, "Der Platz", "Alter Text.")
    _edit(session, actor, process, "Der neue Platz", "Neuer Text mit Bäumen.")
    _edit(session, actor, process, "Der neue Platz", "Neuer Text mit Bäumen.")
    assert session.scalar(select(func.count()).select_from(ProcessVersion)) == 3, "the state before and two changes; no change, no version"
    operations.delete_theme(session, actor, process.themes[1], clock.now())
    operations.save_theme(session, actor, process, None, clock.now(), name="Später dazu", description="", tone=3)
    account = factories.account(session, Role.EDITOR, on=process, display_name="Herr Docht")
    session.commit()
    editor = new_browser().sign_in(account)
    base = f"/verwaltung/verfahren/{process.id}/verlauf"
    page = editor.open(base)
    text = " ".join(page.text_content().split())
    for wanted in ("Frau Lampe", "Angaben geändert", "Thema gelöscht", "jetziger Stand"):
        assert wanted in text, wanted
    assert any("Bäumen" in one.text_content() for one in page.xpath("//ins"))
    ids = list(session.scalars(select(ProcessVersion.id).order_by(ProcessVersion.id)))[1:]
    editor.post(f"{base}/{ids[0]}/wiederherstellen")
    session.expire_all()
    assert (process.title, process.body) == ("Der Platz", "Alter Text.")
    assert {theme.name for theme in process.themes} == {"Verkehr", "Wohnen"}
    assert "Alter Text." in new_browser().text(f"/verfahren/{process.slug}")
    editor.post(f"{base}/{ids[-1]}/wiederherstellen")
    session.expire_all()
    assert process.title == "Der neue Platz"
    assert {theme.name for theme in process.themes} == {"Verkehr", "Später dazu"}
    assert "Früheren Stand wiederhergestellt" in editor.text(base)


def test_the_history_says_what_was_copied_and_whose_translation_changed(
    session: Session, process: Process, new_browser: Callable[[], Browser],
) -> None:
    account = factories.account(session, Role.EDITOR, town=process.municipality)
    actor = factories.actor(account)
    copy = operations.copy_process(session, actor, process, clock.now(), title="Noch ein Platz", summary="",
                                   starts_on=date(2027, 3, 1))
    phase, theme = copy.phases[0], copy.themes[0]
    operations.save_variants(session, actor, copy, "en", {
        ("process", copy.id, "title"): "Another square", ("phase", phase.id, "title"): "Collecting",
        ("theme", theme.id, "name"): "Traffic"}, clock.now())
    session.commit()
    page = new_browser().sign_in(account).open(f"/verwaltung/verfahren/{copy.id}/verlauf")
    assert "Aus einem anderen Verfahren kopiert" in page.text_content()
    assert "Vorlage" not in " ".join(page.xpath("//h2//text()"))
    named = {" ".join(one.text_content().split()) for one in page.xpath("//summary") if "Übersetzung" in one.text_content()}
    assert named == {"English, Titel: Übersetzung", f"English, Phase „{phase.title}“, Titel: Übersetzung",
                     f"English, Thema „{theme.name}“, Name: Übersetzung"}


def test_versions_of_another_process_can_not_be_used(
    session: Session, process: Process, actor: Actor, new_browser: Callable[[], Browser],
) -> None:
    _edit(session, actor, process, "Der Platz", "Text.")
    version = session.scalars(select(ProcessVersion).order_by(ProcessVersion.id.desc())).first()
    assert version is not None
    other = factories.process(session, process.municipality)
    account = factories.account(session, Role.EDITOR, on=other)
    session.commit()
    editor = new_browser().sign_in(account)
    assert editor.post(f"/verwaltung/verfahren/{other.id}/verlauf/{version.id}/wiederherstellen").status_code == 404
    assert editor.post(f"/verwaltung/verfahren/{process.id}/verlauf/{version.id}/wiederherstellen").status_code in {403, 404}


def test_contributions_stay_with_their_theme_when_a_state_comes_back(
    session: Session, process: Process, actor: Actor,
) -> None:
    proposal = factories.proposal(session, process)
    theme_id = proposal.theme_id
    _edit(session, actor, process, "Der Platz", "Text.")
    version = session.scalars(select(ProcessVersion).order_by(ProcessVersion.id.desc())).first()
    assert version is not None
    operations.save_theme(session, actor, process, session.get_one(Theme, theme_id), clock.now(), name="Anders",
                          description="", tone=1)
    history.restore_version(session, actor, process, version, clock.now())
    assert session.get_one(Theme, theme_id).name == "Verkehr"
    assert proposal.theme_id == theme_id


def _newest(session: Session) -> ProcessVersion:
    return session.scalars(select(ProcessVersion).order_by(ProcessVersion.id.desc()).limit(1)).one()


def _phase(session: Session, actor: Actor, process: Process, title: str) -> Phase:
    return operations.save_phase(
        session, actor, process, None, clock.now(), format_key="collect", title=title, body="Los.", starts_at=None,
        ends_at=None, settings=formats.CollectSettings())


def _pdf(session: Session, actor: Actor, process: Process, title: str, folder: Path) -> ProcessDocument:
    return operations.add_document(session, actor, process, clock.now(), title=title, stream=io.BytesIO(b"%PDF-1.4\n%%EOF"),
                                   file_name="a.pdf", folder=folder, limit=10_000)


def test_whatever_editors_can_change_comes_back_and_goes_again(
    session: Session, process: Process, actor: Actor, tmp_path: Path, browser: Browser,
) -> None:
    now = clock.now()
    first, second = (_pdf(session, actor, process, title, tmp_path) for title in ("Plan", "Bericht"))
    news = operations.save_news(session, actor, process, None, now, title="Es geht los", body="Kommen Sie.")
    extra = _phase(session, actor, process, "Zweite Phase")
    texts = {("phase", extra.id, "title"): "Second phase", ("process", process.id, "title"): "The square",
             ("news", news.id, "title"): "Off we go"}
    operations.save_variants(session, actor, process, "en", texts, now)
    picture = io.BytesIO()
    Image.new("RGB", (60, 40)).save(picture, "PNG")
    picture.seek(0)
    process.picture_alt = "Ein Platz"
    operations.set_picture(session, actor, process, picture, tmp_path, 100_000, now)
    session.commit()
    wanted, state = _newest(session), history.content_of(session, process)
    numbers = (extra.id, news.id, first.id, process.picture_id)

    operations.remove_picture(session, actor, process, now)
    operations.move_document(session, actor, process, second, -1, now)
    operations.delete_document(session, actor, process, first, now)
    operations.save_news(session, actor, process, news, now, title="Anders", body="Anders.")
    operations.delete_news(session, actor, process, news, now)
    operations.save_news(session, actor, process, None, now, title="Später", body="Später.")
    operations.delete_phase(session, actor, extra, now)
    _phase(session, actor, process, "Dritte Phase")
    operations.save_variants(session, actor, process, "nl", {("process", process.id, "title"): "Het plein"}, now)
    session.commit()
    later, changed = _newest(session), history.content_of(session, process)

    for _time in range(2):
        history.restore_version(session, actor, process, wanted, now)
        session.commit()
        assert history.content_of(session, process) == state
        history.restore_version(session, actor, process, later, now)
        session.commit()
        assert history.content_of(session, process) == changed
    history.restore_version(session, actor, process, wanted, now)
    assert (process.phases[-1].id, process.picture_id) == (numbers[0], numbers[3])
    editor = factories.account(session, Role.EDITOR, on=process)
    session.commit()
    shown = [" ".join(one.text_content().split()) for one in browser.sign_in(editor).open(
        f"/verwaltung/verfahren/{process.id}/verlauf").xpath("//details")]
    assert any("neues Bild" in one for one in shown)
    assert any("bisheriges Bild" in one for one in shown)
    assert not [one for one in shown if one.startswith("Bild") and str(numbers[3]) in one], "a number says nothing to anybody"
    assert {row.text for row in session.scalars(select(TextVariant))} == {"Second phase", "The square", "Off we go"}


def test_a_link_to_an_item_of_the_news_never_leads_to_another_one(
    session: Session, process: Process, actor: Actor, browser: Browser,
) -> None:
    page = f"/verfahren/{process.slug}/neuigkeiten"
    _edit(session, actor, process, "Der Platz", "Worum es geht.")
    before = _newest(session)

    def tell(title: str) -> str:
        operations.save_news(session, actor, process, None, clock.now(), title=title, body="Kommen Sie.")
        session.commit()
        return str(browser.open(page).xpath(f"//article[h2[. = '{title}']]/@id")[0])

    first = tell("Erste")
    told = _newest(session)
    history.restore_version(session, actor, process, before, clock.now())
    second = tell("Zweite")
    assert first != second
    assert "Erste" not in browser.text(page)
    feed = browser.get(f"{page}.atom").get_data(as_text=True)
    assert f"#{second}<" in feed
    history.restore_version(session, actor, process, told, clock.now())
    session.commit()
    assert browser.open(page).xpath("//article/@id") == [first], "what comes back is found under its old link"


def test_what_people_use_stays_and_the_page_says_so_before_and_after(
    session: Session, process: Process, actor: Actor, new_browser: Callable[[], Browser],
) -> None:
    _edit(session, actor, process, "Der Platz", "Text.")
    version = _newest(session)
    operations.save_theme(session, actor, process, None, clock.now(), name="Benutzt", description="", tone=1)
    used = process.themes[-1]
    operations.save_theme(session, actor, process, None, clock.now(), name="Unbenutzt", description="", tone=1)
    operations.save_variants(session, actor, process, "en", {("theme", used.id, "name"): "Used"}, clock.now())
    operations.delete_theme(session, actor, process.themes[0], clock.now())
    factories.proposal(session, process, theme_id=used.id)
    account = factories.account(session, Role.EDITOR, on=process)
    session.commit()
    editor = new_browser().sign_in(account)
    base = f"/verwaltung/verfahren/{process.id}/verlauf"
    page = editor.text(base)
    assert "Bleibt, weil schon Beiträge dazugehören: Thema „Benutzt“" in page
    assert "Kommt weg: Thema „Unbenutzt“" in page
    assert "Kommt zurück: Thema „Verkehr“" in page
    answer = editor.post(f"{base}/{version.id}/wiederherstellen", follow_redirects=True).get_data(as_text=True)
    assert "Geblieben ist, weil schon Beiträge dazugehören: Thema „Benutzt“." in answer
    session.expire_all()
    assert {theme.name for theme in process.themes} == {"Verkehr", "Wohnen", "Benutzt"}
    assert session.scalars(select(TextVariant.text)).all() == ["Used"], "what stays keeps its translations"


def test_the_state_before_the_first_change_and_a_filled_template_can_come_back(
    session: Session, process: Process, actor: Actor,
) -> None:
    process.body = "Wie alles anfing."
    _edit(session, actor, process, "Neu", "Neu.")
    first = session.scalars(select(ProcessVersion).order_by(ProcessVersion.id)).first()
    assert first is not None
    history.restore_version(session, actor, process, first, clock.now())
    assert process.title == "Der Platz"
    admin = factories.actor(factories.account(session, Role.EDITOR, town=process.municipality))
    made = operations.create_from_template(session, admin, process.municipality, clock.now(), title="Aus Vorlage",
                                           summary="", key=next(iter(operations.templates())), starts_on=date(2027, 5, 3))
    filled = _newest(session)
    kept = len(made.phases)
    for phase in list(made.phases):
        operations.delete_phase(session, admin, phase, clock.now())
    history.restore_version(session, admin, made, filled, clock.now())
    assert len(made.phases) == kept > 1


def test_a_published_process_is_never_left_without_a_phase(session: Session, process: Process, actor: Actor) -> None:
    process.phases = []
    _edit(session, actor, process, "Leer", "Leer.")
    empty = _newest(session)
    _phase(session, actor, process, "Einzige")
    with pytest.raises(Conflict, match="mindestens eine Phase"):
        history.restore_version(session, actor, process, empty, clock.now())


def test_a_published_process_is_never_left_without_its_texts(session: Session, process: Process, actor: Actor) -> None:
    process.state, process.summary = ProcessState.DRAFT, ""
    operations.edit_process(session, actor, process, clock.now(), title="Leer", summary="", body="", **TEXTS)
    empty = _newest(session)
    _edit(session, actor, process, "Voll", "Worum es geht.")
    history.restore_version(session, actor, process, empty, clock.now())
    assert process.summary == "", "a draft may be empty"
    _edit(session, actor, process, "Voll", "Worum es geht.")
    process.state = ProcessState.PUBLISHED
    session.commit()
    with pytest.raises(Conflict, match="fehlt die Kurzbeschreibung oder der Text"):
        history.restore_version(session, actor, process, empty, clock.now())
    assert process.summary == "Kurz."


def test_a_new_phase_does_not_inherit_the_translations_of_a_deleted_one(
    session: Session, process: Process, actor: Actor,
) -> None:
    old = _phase(session, actor, process, "Alt")
    operations.save_variants(session, actor, process, "en", {("phase", old.id, "title"): "Old"}, clock.now())
    operations.delete_phase(session, actor, old, clock.now())
    _phase(session, actor, process, "Neu")
    assert session.scalars(select(TextVariant)).all() == []


def test_the_page_of_the_history_asks_the_same_number_of_queries_at_any_length(
    session: Session, process: Process, actor: Actor, new_browser: Callable[[], Browser],
    count_queries: Callable[[], AbstractContextManager[list[str]]],
) -> None:
    editor = new_browser().sign_in(factories.account(session, Role.EDITOR, on=process))
    _edit(session, actor, process, "Eins", "Eins.")
    base, counts = f"/verwaltung/verfahren/{process.id}/verlauf", []
    for number in range(2):
        with count_queries() as queries:
            editor.open(base)
        counts.append(len(queries))
        for place in range(4):
            _phase(session, actor, process, f"Phase {number}{place}")
            operations.save_theme(session, actor, process, None, clock.now(), name=f"T{number}{place}", description="",
                                  tone=1)
            session.commit()
    assert counts[0] == counts[1]
