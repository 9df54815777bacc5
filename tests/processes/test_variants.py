"""Texts of a process in other languages, and in Leichte Sprache; what is missing stays German and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from babel.dates import format_date
from lxml import html
from sqlalchemy import func, select

from participation import clock
from participation.errors import InvalidInput, NotAllowed
from participation.own_fields import Answer, FieldKind, OwnField, store_answers, store_field
from participation.permissions import Role
from participation.processes import history, operations
from participation.processes.models import Process, ProcessDocument, ProcessNews, ProcessVersion, TextVariant, Theme
from participation.uploads import Upload
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser


@pytest.fixture
def process(session: Session) -> Process:
    found = factories.process(session, title="Ein Platz für alle", body="Worum **es** geht.", faq="# Wer?\nAlle.")
    session.commit()
    return found


@pytest.fixture
def editor(session: Session, process: Process, new_browser: Callable[[], Browser]) -> Browser:
    account = factories.account(session, Role.EDITOR, on=process)
    session.commit()
    return new_browser().sign_in(account)


def _key(process: Process, field: str) -> str:
    return f"process-{process.id}-{field}"


def test_a_reader_gets_the_own_language_and_german_where_it_is_missing(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    page = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=en"
    phase = process.phases[0]
    editor.submit(page, {_key(process, "title"): "A square for all", f"phase-{phase.id}-title": "Your ideas",
                         _key(process, "faq"): "# Who?\nEverybody."}, form=-1)
    english = new_browser()
    english.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    tree = english.open(f"/verfahren/{process.slug}")
    assert tree.xpath("//h1")[0].text_content() == "A square for all"
    assert tree.xpath("//h1//@lang") == []
    assert "Your ideas" in tree.text_content()
    assert "Everybody." in tree.text_content()
    german = tree.xpath("//div[contains(@class, 'bp-prose')][.//strong]")[0]
    assert german.get("lang") == "de", "what is not translated is marked as German (WCAG 3.1.2)"
    other = new_browser().open(f"/verfahren/{process.slug}")
    assert other.xpath("//h1")[0].text_content() == "Ein Platz für alle"
    dutch = new_browser()
    dutch.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "nl"
    tree = dutch.open(f"/verfahren/{process.slug}")
    assert tree.xpath("//h1//@lang") == ["de"]


def test_a_page_says_german_only_of_what_is_german(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    process.summary = "Wie soll er aussehen?"
    session.commit()
    page, only = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=en", "This text is only available in German."
    english = new_browser()
    english.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"

    def notes() -> list[str]:
        tree = english.open(f"/verfahren/{process.slug}")
        return [one.getprevious().tag for one in tree.xpath(f"//p[text()='{only}']")]

    assert notes() == ["p"], "under the summary, for the whole page"
    editor.submit(page, {_key(process, "summary"): "What shall it look like?"}, form=-1)
    assert notes() == ["h2", "h2"], "the title is a name and may stay; the text below and the answers are German"
    editor.submit(page, {_key(process, "summary"): "What shall it look like?", _key(process, "body"): "It is about this.",
                         _key(process, "faq"): "# Who?\nEverybody."}, form=-1)
    assert notes() == []


def test_every_part_of_a_translated_page_that_is_german_says_so_once(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    phase = process.phases[0]
    phase.body = "Schreiben Sie uns."
    session.commit()
    page, only = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=en", "This text is only available in German."
    english = new_browser()
    english.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"

    def said(part: str) -> int:
        shown = english.open(f"/verfahren/{process.slug}").xpath(f"//section[@aria-labelledby='{part}']")[0]
        return shown.text_content().count(only)

    editor.submit(page, {_key(process, "summary"): "Who decides?", _key(process, "body"): "What *it* is about."}, form=-1)
    assert (said("phasen"), said("fragen")) == (1, 1)
    editor.submit(page, {_key(process, "faq"): "# Who?\nEverybody."}, form=-1)
    assert (said("phasen"), said("fragen")) == (1, 0)
    editor.submit(page, {f"phase-{phase.id}-body": "Write to us."}, form=-1)
    assert (said("phasen"), said("fragen")) == (0, 0)


def test_leichte_sprache_is_one_link_away_once_its_title_is_there(
    session: Session, process: Process, editor: Browser, browser: Browser,
) -> None:
    address = f"/verfahren/{process.slug}"
    page = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=de-x-ls"
    editor.submit(page, {_key(process, "body"): "Es geht um einen Platz."}, form=-1)
    assert "In Leichter Sprache lesen" not in browser.text(address)
    assert "Es geht um einen Platz." in editor.text(page), "what is there already can be gone on with"
    editor.submit(page, {_key(process, "title"): "Ein Platz. Für alle."}, form=-1)
    link = browser.open(address).xpath("//a[contains(., 'In Leichter Sprache lesen')]/@href")[0]
    easy = browser.open(link)
    assert easy.get("lang") == "de"
    assert easy.xpath("//h1")[0].text_content() == "Ein Platz. Für alle."
    assert "Es geht um einen Platz." in easy.text_content()
    assert "Ein Platz. Für alle." in browser.text("/"), "kept while reading on"
    assert "Ein Platz. Für alle." in browser.text("/verfahren")
    browser.open(easy.xpath("//a[contains(., 'In Alltagssprache lesen')]/@href")[0])
    assert "Es geht um einen Platz." not in browser.text(address)
    editor.submit(page, {_key(process, "title"): "", _key(process, "body"): ""}, form=-1)
    assert session.scalar(select(func.count()).select_from(TextVariant)) == 0
    assert "In Leichter Sprache lesen" not in browser.text(address)


def test_too_long_and_foreign_texts_are_refused_and_kept(session: Session, process: Process, editor: Browser) -> None:
    page = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=nl"
    long = {_key(process, "title"): "x" * 500, _key(process, "summary"): "x" * 5000}
    answer = editor.submit(page, {**long, _key(process, "body"): "Blijft staan."}, form=-1)
    assert answer.status_code == 422
    assert [name for name in long if f'id="{name}-fehler"' not in answer.get_data(as_text=True)] == [], "all at once"
    assert "Blijft staan." in answer.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(TextVariant)) == 0
    other = factories.process(session)
    actor = factories.actor(factories.account(session, Role.EDITOR, on=process))
    operations.save_variants(session, actor, process, "en", {("process", other.id, "title"): "Stolen"}, clock.now())
    assert session.scalar(select(func.count()).select_from(TextVariant)) == 0
    with pytest.raises(InvalidInput):
        operations.save_variants(session, actor, process, "xx", {}, clock.now())
    with pytest.raises(NotAllowed):
        operations.save_variants(session, actor, other, "en", {}, clock.now())


def test_lists_news_and_filters_speak_the_readers_language_too(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser], count_queries: Any,
) -> None:
    theme = Theme(process=process, slug="wege", name="Wege")
    news = ProcessNews(process_id=process.id, title="Es geht los", body="Heute.", published_at=clock.now())
    session.add_all([theme, news])
    session.commit()
    editor.submit(f"/verwaltung/verfahren/{process.id}/sprachen?sprache=en", {
        _key(process, "title"): "A square for all", f"theme-{theme.id}-name": "Paths",
        f"phase-{process.phases[0].id}-title": "Your ideas", f"news-{news.id}-title": "Off we go"}, form=-1)
    english = new_browser()
    english.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    with count_queries() as statements:
        home = english.open("/")
    assert len([one for one in statements if "text_variant" in one]) == 1
    assert "A square for all" in home.text_content()
    assert "Your ideas" in home.text_content()
    assert "Ein Platz für alle" not in home.text_content()
    assert "A square for all" in english.text("/verfahren")
    assert "Paths" in english.text(f"/verfahren/{process.slug}/vorschlaege")
    told = english.open(f"/verfahren/{process.slug}/neuigkeiten")
    assert "Off we go" in told.text_content()
    assert told.xpath("//div[contains(@class, 'bp-prose')]/@lang") == ["de"], "its text is German and says so"
    dutch = new_browser()
    dutch.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "nl"
    title = dutch.open("/verfahren").xpath("//span[@lang='de'][. = 'Ein Platz für alle']")
    assert title, "German on a Dutch page is marked as German"


PARTS = {
    "proposals": "vorschlaege", "proposal": "vorschlaege/{number}", "related": "vorschlaege/{number}/aehnliche",
    "map": "karte", "new": "vorschlaege/neu",
    "news": "neuigkeiten", "follow": "folgen", "catalogue": "massnahmen",
}


@pytest.mark.parametrize("part", ["", *PARTS.values()], ids=["process", *PARTS])
def test_every_page_about_a_part_names_the_process_in_the_readers_language(
    session: Session, process: Process, new_browser: Callable[[], Browser], count_queries: Any, part: str,
) -> None:
    process.catalogue_is_public = True
    theme = Theme(process=process, slug="wege", name="Wege")
    session.add(theme)
    session.flush()
    proposal = factories.proposal(session, process, title="Eine Bank", theme_id=theme.id)
    session.add_all(TextVariant(process_id=process.id, entity=entity, entity_id=number, field=field, language="en", text=text)
                    for entity, number, field, text in (("process", process.id, "title", "A square for all"),
                                                        ("theme", theme.id, "name", "Paths")))
    session.commit()
    address = f"/verfahren/{process.slug}/{part.format(number=proposal.id)}".rstrip("/")
    readers = {}
    for code in ("en", "nl", "de"):
        readers[code] = new_browser()
        readers[code].client.environ_base["HTTP_ACCEPT_LANGUAGE"] = code
    with count_queries() as statements:
        english = readers["en"].open(address)
    assert len([one for one in statements if "text_variant.text" in one]) <= 2
    assert "A square for all" in english.text_content()
    assert "Ein Platz für alle" not in english.text_content()
    assert "Wege" not in english.xpath("string(//main)")
    assert not english.xpath("//*[@lang='de'][contains(., 'A square for all')]")
    dutch = readers["nl"].open(address)
    shown = dutch.xpath("//body//text()[contains(., 'Ein Platz für alle')]")
    assert shown
    assert all(one.getparent().xpath("ancestor-or-self::*[@lang][1]/@lang") == ["de"] for one in shown)
    with count_queries() as statements:
        readers["de"].open(address)
    assert not [one for one in statements if "text_variant.text" in one], "none more for readers of German"


def test_answers_to_own_fields_are_read_in_the_readers_language_and_what_people_wrote_stays(
    session: Session, process: Process, new_browser: Callable[[], Browser],
) -> None:
    phase = process.phases[0]
    choice = OwnField(key="k1", kind=FieldKind.CHOICE, label="Für wen?", options=("Kinder", "Alte"))
    line = OwnField(key="k2", kind=FieldKind.LINE, label="Wer hilft?")
    phase.stored_fields = [store_field(choice), store_field(line)]
    proposal = factories.proposal(session, process, phase_id=phase.id, stored_answers=store_answers([
        Answer("k1", "Für wen?", ("Kinder",)), Answer("k2", "Wer hilft?", ("Der Verein",))]))
    session.add_all(TextVariant(process_id=process.id, entity="phase", entity_id=phase.id, field=f"{choice.name}-{name}",
                                language="en", text=text) for name, text in (("label", "For whom?"), ("options", "Children\nOld")))
    session.commit()
    english = new_browser()
    english.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    shown = english.open(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}").xpath("//dl[contains(., 'For whom?')]")[0]
    assert "Children" in shown.text_content()
    assert "Kinder" not in shown.text_content()
    assert shown.xpath(".//*[@lang='de']/text()") == ["Wer hilft?", "Der Verein"]
    german = new_browser().open(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}")
    assert "Für wen? Kinder" in " ".join(german.text_content().split())


def test_a_page_in_leichte_sprache_says_which_of_its_parts_are_not(
    session: Session, process: Process, editor: Browser, browser: Browser,
) -> None:
    phase = process.phases[0]
    phase.body, process.summary, process.themes[0].description = "Schreiben Sie uns.", "Wie soll er aussehen?", "Autos."
    news = ProcessNews(process_id=process.id, title="Es geht los", body="Heute.", published_at=clock.now())
    session.add(news)
    session.commit()
    page, address = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=de-x-ls", f"/verfahren/{process.slug}"
    only = "Diesen Text gibt es noch nicht in Leichter Sprache."
    written = {_key(process, "title"): "Ein Platz.", _key(process, "summary"): "Sagen Sie uns Ihre Ideen."}
    some = "Einige dieser Texte gibt es noch nicht in Leichter Sprache."
    for code, count in (("de-x-ls", 1), ("de", 0)):
        browser.get(f"/sprache/{code}?next=/")
        assert [browser.text(each).count(some) for each in ("/", "/verfahren")] == [count, count]
    editor.submit(page, written, form=-1)
    browser.get("/sprache/de-x-ls?next=/")
    assert some not in browser.text("/") + browser.text("/verfahren")

    def said() -> set[str]:
        """The headings above which parts say so."""
        return {one.xpath("ancestor::section[1]//h2")[0].text_content() for one in browser.open(address).xpath(f"//p[text()='{only}']")}

    everything = {"Worum es geht", "Neuigkeiten", "Vorschläge nach Thema", "Die Phasen im Einzelnen", "Fragen und Antworten"}
    assert said() == everything
    assert only in browser.text(f"{address}/neuigkeiten")
    editor.submit(page, written | {f"phase-{phase.id}-body": "Schreiben Sie Ihre Ideen auf.", f"news-{news.id}-body": "Heute geht es los."}, form=-1)
    assert said() == everything - {"Die Phasen im Einzelnen", "Neuigkeiten"}
    assert only not in browser.text(f"{address}/neuigkeiten")
    browser.get("/sprache/de?next=/")
    assert said() == set(), "who reads everyday German misses nothing"


def test_a_vague_date_documents_and_the_picture_are_read_in_another_language_too(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    phase = process.phases[0]
    phase.starts_at, phase.ends_at, phase.vague_dates = None, None, "Frühjahr 2027"
    upload = Upload(municipality_id=process.municipality_id, name="0" * 32, media_type="image/webp", shown_name="a.pdf",
                    sha256="0" * 64, byte_size=1)
    document = ProcessDocument(process_id=process.id, upload=upload, title="Der Plan")
    session.add_all([upload, document])
    session.flush()
    process.picture_id, process.picture_alt = upload.id, "Ein leerer Platz"
    session.commit()
    page, address = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=en", f"/verfahren/{process.slug}"
    english = new_browser()
    english.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    before = english.open(address)
    assert before.xpath("//*[@lang='de'][contains(., 'Frühjahr 2027')]")
    assert before.xpath("//img[@alt='Ein leerer Platz']/@lang") == ["de"]
    editor.submit(page, {f"phase-{phase.id}-vague_dates": "Spring 2027", f"document-{document.id}-title": "The plan",
                         _key(process, "picture_alt"): "An empty square"}, form=-1)
    after = english.open(address)
    assert "Spring 2027" in after.text_content()
    assert "Frühjahr" not in after.text_content()
    assert after.xpath("//a[contains(., 'The plan')]//*[@dir='auto']")[0].get("lang") is None
    assert after.xpath("//img[@alt='An empty square']")[0].get("lang") is None
    assert "Frühjahr 2027" in new_browser().text(address)
    editor.submit(f"/verwaltung/verfahren/{process.id}/phasen/{phase.id}", {"vague_dates": "Herbst 2027"}, form=1)
    assert "Herbst 2027" in english.text(address), "no old season beside the new one"
    editor.submit(f"/verwaltung/verfahren/{process.id}/dokumente", form="loeschen")
    assert session.scalar(select(func.count()).select_from(TextVariant).where(TextVariant.entity == "document")) == 0


def test_texts_in_other_languages_are_previewed_and_nothing_is_saved(
    session: Session, process: Process, editor: Browser,
) -> None:
    page = f"/verwaltung/verfahren/{process.id}/sprachen?sprache=en"
    answer = editor.submit(page, {_key(process, "body"): "What **it** is about.", _key(process, "faq"): "# Who?\nEverybody.",
                                  "preview": "1"}, form=-1)
    shown = html.fromstring(answer.get_data(as_text=True))
    (preview,) = shown.xpath("//section[@aria-labelledby='vorschau']")
    assert preview.xpath(".//p[contains(., 'is about')]/strong/text()") == ["it"]
    assert preview.xpath(".//*[@lang='en'][contains(., 'What it is about.')]")
    assert "Who?" in preview.text_content()
    assert shown.xpath(f"//textarea[@name='{_key(process, 'body')}']")[0].text.strip() == "What **it** is about."
    assert session.scalar(select(func.count()).select_from(TextVariant)) == 0


def test_a_translation_says_that_the_german_text_was_changed_after_it_until_somebody_has_looked(
    session: Session, process: Process, editor: Browser,
) -> None:
    base = f"/verwaltung/verfahren/{process.id}"
    page, title, body = f"{base}/sprachen?sprache=en", _key(process, "title"), _key(process, "body")
    phase = f"phase-{process.phases[0].id}-title"

    def marked(address: str = page) -> set[str]:
        return {one.get("id").removesuffix("-neuer") for one in editor.open(address).xpath("//*[contains(@id, '-neuer')]")}

    german = {"title": process.title, "summary": "Kurz.", "body": process.body, "faq": process.faq, "slug": process.slug}

    def in_german(**values: str) -> None:
        german.update(values)
        assert editor.post(base, german).status_code == 303

    in_german(summary="Kurz.")
    editor.submit(page, {title: "A square", body: "About it.", phase: "Ideas"}, form=-1)
    assert marked() == set()
    in_german(title="Zwei Plätze", contact="Frau Muster")
    assert marked() == {title}, "of the others nothing was changed, or nothing is translated"
    assert f"am {format_date(clock.to_berlin(clock.now()), 'long', locale='de')} geändert" in editor.text(page)
    assert "English (1 zu prüfen)" in editor.text(f"{base}/sprachen?sprache=nl")
    editor.submit(f"{base}/phasen/{process.phases[0].id}", {"title": "Ideen sammeln"}, form=-1)
    in_german(body="Etwas anderes.")
    assert marked() == {title, body, phase}
    editor.submit(page, {body: "Something else."}, form=-1)
    assert marked() == {title, phase}, "written anew; saving says nothing of the rest"
    editor.submit(page, {"geprueft": [phase]}, form=-1)
    assert marked() == {title}
    in_german(title="Ein Platz für alle")
    assert marked() == set(), "as it was when it was translated"
    editor.submit(f"{base}/phasen/{process.phases[0].id}", {"title": "Ideen finden"}, form=-1)
    assert marked() == {phase}, "what was looked at before says nothing of a later change"
    outdated = session.scalars(select(ProcessVersion).order_by(ProcessVersion.id.desc())).first()
    editor.submit(page, {phase: "Finding ideas"}, form=-1)
    assert marked() == set()
    actor = factories.actor(factories.account(session, Role.EDITOR, on=process))
    history.restore_version(session, actor, process, outdated, clock.now())
    session.commit()
    assert marked() == {phase}, "an old pair is as outdated as it was"
