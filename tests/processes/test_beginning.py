"""How a process begins: from a template, as a copy, shown before it is public; and what editors tell while it runs."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree, html
from PIL import Image
from sqlalchemy import select, update

from participation import clock, formats, own_fields, text
from participation.accounts.models import Participant
from participation.errors import Conflict
from participation.formats import FORMATS, BallotRule, VoteSettings
from participation.municipalities.models import MunicipalityPage, PageKind
from participation.permissions import Role
from participation.processes import operations, plausibility
from participation.processes.models import PhaseState, Process, ProcessNews, ProcessState, TextVariant
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.municipalities.models import Municipality
    from tests.browser_client import Browser

NEW = "/verwaltung/verfahren/neu"


@pytest.fixture
def town(session: Session) -> Municipality:
    found = factories.municipality(session)
    session.commit()
    return found


@pytest.fixture
def editor(session: Session, town: Municipality, browser: Browser) -> Browser:
    account = factories.account(session, Role.EDITOR, town=town)
    session.commit()
    return browser.sign_in(account)


def test_a_day_that_is_none_is_told_with_an_example(editor: Browser) -> None:
    answer = editor.submit(NEW, {"title": "Der neue Park", "starts_on": "irgendwann im Mai"}, form=-1)
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "Schreiben Sie zum Beispiel: 30.06.2027" in text
    assert "Der neue Park" in text


def _newest(session: Session) -> Process:
    session.expire_all()
    return session.scalars(select(Process).order_by(Process.id.desc()).limit(1)).one()


@pytest.mark.parametrize("key", sorted(operations.templates()))
def test_every_template_makes_a_process_that_can_be_published(session: Session, town: Municipality, key: str) -> None:
    actor = factories.actor(factories.account(session, Role.EDITOR, town=town))
    now = datetime(2027, 2, 20, 9, tzinfo=UTC)
    process = operations.create_from_template(
        session, actor, town, now, title="Neu hier", summary="", key=key, starts_on=date(2027, 3, 1))
    assert plausibility.publish_problems(process, now) == []
    assert process.phases[0].starts_at == datetime(2027, 2, 28, 23, tzinfo=UTC), "midnight in Berlin"
    for phase in process.phases:
        assert isinstance(phase.settings, FORMATS[phase.format_key].settings)
        assert phase.settings.contradiction() is None
        assert phase.state(now) is PhaseState.UPCOMING
        operations.check_phase(
            session, phase, now, title=phase.title, body=phase.body, vague_dates="", settings=phase.settings,
            starts_at=operations.shown_start(phase.starts_at), ends_at=operations.shown_end(phase.ends_at), extension_reason="")
    operations.publish_process(session, actor, process, now)


def test_an_editor_begins_with_a_template_in_the_browser(session: Session, editor: Browser) -> None:
    editor.submit(NEW, {"title": "Ideen für den Markt", "source": "smart-city", "starts_on": "01.03.2027"}, form=-1)
    process = _newest(session)
    assert [phase.title for phase in process.phases] == [
        "Auftakt", "Ideen sammeln", "Werkstatt zu den Handlungsfeldern", "Was ist wichtig?", "Maßnahmenkatalog"]
    assert isinstance(process.phases[3].settings, VoteSettings)
    assert process.phases[3].settings.ballot is BallotRule.POINTS
    assert clock.to_berlin(process.phases[0].starts_at).date() == date(2027, 3, 1)  # type: ignore[arg-type]
    assert process.phases[1].ends_at == datetime(2027, 4, 25, 22, tzinfo=UTC), "summer time has begun"
    assert [theme.name for theme in process.themes][:2] == ["Mobilität", "Verwaltung und Beteiligung"]
    page = editor.text(f"/verwaltung/verfahren/{process.id}")
    assert "Es gibt keinen Kontakt für Fragen." in page


@pytest.mark.parametrize(("values", "message"), [
    ({"title": "", "source": "ideen"}, "Bitte"), ({"title": "T", "source": "gibt-es-nicht"}, "Vorlage"),
    ({"title": "T", "source": "kopie-999999"}, "Liste"), ({"title": "T", "source": "ideen", "starts_on": "31.02.2027"}, ""),
    ({"title": "T", "source": "ideen", "starts_on": "01.03.9999"}, "Jahr"),
])
def test_what_makes_no_sense_is_refused_and_kept(
    session: Session, editor: Browser, values: dict[str, str], message: str,
) -> None:
    answer = editor.submit(NEW, values | {"summary": "Bleibt stehen."}, form=-1)
    assert answer.status_code == 422
    assert message in answer.get_data(as_text=True)
    assert "Bleibt stehen." in answer.get_data(as_text=True)
    assert session.scalars(select(Process)).all() == []


def test_a_copy_has_texts_themes_and_phases_on_other_days_but_nothing_of_the_people(
    session: Session, town: Municipality, editor: Browser,
) -> None:
    source = factories.process(session, town, title="Vom letzten Jahr", body="Worum es ging.", faq="# Wer?\nAlle.")
    source.phases[0].starts_at = datetime(2026, 10, 20, 16, tzinfo=UTC)
    source.phases[0].ends_at = datetime(2026, 10, 30, 17, tzinfo=UTC)
    factories.proposal(session, source)
    session.commit()
    editor.submit(NEW, {"title": "In diesem Jahr", "source": f"kopie-{source.id}", "starts_on": "2027-05-03"}, form=-1)
    process = _newest(session)
    assert (process.state, process.body, process.faq) == (ProcessState.DRAFT, "Worum es ging.", "# Wer?\nAlle.")
    assert (process.proposal_count, len(process.themes)) == (0, 2)
    wall = clock.to_berlin(process.phases[0].starts_at)  # type: ignore[arg-type]
    assert (wall.date(), wall.hour) == (date(2027, 5, 3), 18), "the same hour, whatever summer time does"
    assert clock.to_berlin(process.phases[0].ends_at).hour == 18  # type: ignore[arg-type]


def test_a_copy_brings_texts_in_other_languages_picture_and_documents_and_needs_its_source_no_more(
    session: Session, town: Municipality, editor: Browser,
) -> None:
    actor = factories.actor(factories.account(session, Role.EDITOR, town=town))
    asked = own_fields.OwnField(key="a1b2c3d4", kind=own_fields.FieldKind.LINE, label="Straße")
    source = factories.process(session, town, title="Vom letzten Jahr", state=ProcessState.DRAFT, published_at=None, phases=[
        factories.phase("collect", stored_fields=[own_fields.store_field(asked)]),
        factories.phase("discuss", starts_at=None, ends_at=None, vague_dates="Im Herbst")])
    source.body, now, phase, theme = "Worum es geht.", clock.now(), source.phases[0], source.themes[0]
    folder = editor.app.extensions["platform"].settings.upload_dir
    picture = io.BytesIO()
    Image.new("RGB", (80, 60), "green").save(picture, "PNG")
    picture.seek(0)
    source.picture_alt = "Eine Wiese"
    operations.set_picture(session, actor, source, picture, folder, 10**6, now)
    operations.add_document(session, actor, source, now, title="Der Plan", stream=io.BytesIO(b"Text"), file_name="plan.txt",
                            folder=folder, limit=10**6)
    operations.save_variants(session, actor, source, "en", {
        ("process", source.id, "title"): "From last year", ("process", source.id, "summary"): "What it is about.",
        ("process", source.id, "body"): "All of it.", ("phase", phase.id, "title"): "Collecting",
        ("phase", phase.id, f"{asked.name}-label"): "Street", ("theme", theme.id, "name"): "Traffic"}, now)
    session.commit()
    page = editor.submit(NEW, {"title": "In diesem Jahr", "source": f"kopie-{source.id}", "starts_on": "2027-05-03"}, form=-1)
    assert "Nicht kopiert sind Neuigkeiten, Beiträge und Rollen." in page.get_data(as_text=True)
    copy = _newest(session)
    operations.delete_process(session, actor, session.get_one(Process, source.id), now)
    operations.publish_process(session, actor, copy, now)
    session.commit()
    editor.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    shown = editor.get(f"/verfahren/{copy.slug}").get_data(as_text=True)
    for wanted in ("In diesem Jahr", "All of it.", "What it is about.", "Collecting", "Traffic", "Eine Wiese", "Der Plan"):
        assert wanted in shown, wanted
    assert "From last year" not in shown, "the title is another one"
    texts = {(row.field, row.text) for row in session.scalars(select(TextVariant).where(TextVariant.process_id == copy.id))}
    assert (f"{asked.name}-label", "Street") in texts
    assert copy.phases[1].state(now) is PhaseState.UPCOMING, "a day that is not known yet does not open it"
    assert editor.get(f"/verfahren/{copy.slug}/bild/large", buffered=True).status_code == 200
    assert editor.get(f"/verfahren/{copy.slug}/dokumente/{copy.documents[0].id}", buffered=True).data == b"Text"


def test_hints_name_what_may_have_been_overlooked(session: Session, town: Municipality) -> None:
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None, phases=[
        factories.phase("collect", title="Erste", opens=10, closes=20),
        factories.phase("collect", title="Zweite", opens=5, closes=15),
        factories.phase("discuss", title="Vorbei", opens=-9, closes=-5, body="Text."),
    ])
    process.themes = []
    messages = _hints(session, process)
    for wanted in ("Es gibt keinen Kontakt für Fragen.", "Die Phase „Vorbei“ ist schon vorbei.",
                   "Die Phase „Erste“ sammelt zur gleichen Zeit Vorschläge wie eine andere.",
                   "Die Phase „Erste“ steht vor einer, die früher beginnt."):
        assert wanted in messages, wanted
    assert not [one for one in messages if "Vorbei“ hat keinen Text" in one]


def _hints(session: Session, process: Process) -> list[str]:
    found = plausibility.publish_hints(session, process, clock.now(), has_provider=False)
    return [hint.message % {"title": hint.title, "other": hint.other} if hint.title else hint.message for hint in found]


def test_a_phase_without_dates_hides_no_wrong_order(session: Session, town: Municipality) -> None:
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None, phases=[
        factories.phase("collect", title="Später", opens=30, closes=50),
        factories.phase("inform", title="Irgendwann", starts_at=None, ends_at=None, vague_dates="Frühjahr 2028"),
        factories.phase("discuss", title="Früher", opens=10, closes=30),
    ])
    assert "Die Phase „Später“ steht vor einer, die früher beginnt." in _hints(session, process)


def test_whoever_points_to_documents_is_told_that_there_are_none(session: Session, town: Municipality) -> None:
    wanted = "Ein Text verweist auf „Dokumente“, aber es ist noch keines hochgeladen."
    actor = factories.actor(factories.account(session, Role.EDITOR, town=town))
    for key in sorted(operations.templates()):
        process = operations.create_from_template(
            session, actor, town, clock.now(), title=key, summary="", key=key, starts_on=date(2027, 3, 1))
        texts = " ".join([process.body, process.faq, *(phase.body for phase in process.phases)])
        assert (wanted in _hints(session, process)) == ("unter **Dokumente**" in texts), key
    plan = factories.process(session, town, body="Alles steht unter „Dokumente“.")
    assert wanted in _hints(session, plan)
    plan.body = "Bringen Sie Dokumente mit."
    assert wanted not in _hints(session, plan)


def test_two_proofs_are_pointed_out_where_the_editor_reads_it_and_an_account_is_none(
    session: Session, town: Municipality, editor: Browser,
) -> None:
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None, phases=[
        factories.phase("collect", title="Ideen", opens=1, closes=20),
        factories.phase("vote", title="Wahl", opens=20, closes=40, settings=formats.VoteSettings(
            verification=formats.Verification.EMAIL)),
    ])
    session.commit()
    page = f"/verwaltung/verfahren/{process.id}"
    assert "verschiedene Nachweise" not in editor.text(page), "supporting always needs an account"
    process.phases[1].stored_settings = formats.store_settings(formats.VoteSettings(verification=formats.Verification.RESIDENCE))
    session.commit()
    assert "In „Ideen“ und „Wahl“ braucht man zum Unterstützen verschiedene Nachweise." in editor.text(page)


@pytest.mark.parametrize(("phases", "hint"), [
    ([("collect", 1, 20, {}), ("discuss", 40, 60, {})], "Vor der Phase „2 discuss“ ist eine Zeit lang gar nichts offen."),
    ([("collect", 1, 20, {}), ("vote", 20, 40, {"verification": "letter"})],
     ("In „1 collect“ und „2 vote“ braucht man zum Unterstützen verschiedene Nachweise. Gezählt wird im ganzen Verfahren "
      "zusammen: Wer in der einen Phase unterstützt, zählt auch im Ergebnis der anderen.")),
    ([("vote", 1, 20, {"verification": "oidc"}), ("discuss", 10, 30, {"supports_open": True, "verification": "letter"})],
     ("In „1 vote“ und „2 discuss“ braucht man zum Unterstützen verschiedene Nachweise. Solange beide offen sind, gilt der "
      "strengere. Gezählt wird aber im ganzen Verfahren zusammen, auch was davor oder danach mit weniger Nachweis dazukommt.")),
    ([("vote", 1, 20, {})], "Für die Phase „1 vote“ gibt es nichts: Es sind keine Vorschläge da, und keine Phase sammelt vorher welche."),
    ([("budget", 1, 20, {})], "Auf dem Stimmzettel von „1 budget“ steht noch kein Vorschlag mit seinen Kosten."),
    ([("collect", 700, 720, {})], "Die Phase „1 collect“ beginnt erst in mehr als anderthalb Jahren. Stimmt das Jahr?"),
    ([("collect", 1, 5, {})], "Die Phase „1 collect“ dauert keine Woche. Nicht alle schauen so schnell vorbei."),
    ([("workshop", 1, 2, {})], "Für „1 workshop“ fehlt der Ort der Veranstaltung."),
    ([("discuss", 1, 20, {"verification": "letter"})], "„1 discuss“ verlangt einen Code aus einem Brief, aber es gibt noch keine Codes. Niemand könnte mitmachen."),
    ([("collect", 1, 20, {"support_verification": "oidc"})], "„1 collect“ verlangt die Anmeldung bei einem anderen Anbieter, aber hier ist keiner eingerichtet. Niemand könnte mitmachen."),
    ([("collect", 1, 20, {"verification": "letter"})], "In „1 collect“ ist Einreichen ohne Konto erlaubt, aber auch ein Nachweis verlangt. Es gilt der Nachweis: Ohne Konto geht es nicht."),
    ([("collect", 1, 20, {})], "Beiträge werden vor der Veröffentlichung geprüft, aber niemand hat die Rolle Moderation. Es würde nie einer erscheinen."),
    ([("collect", 1, 20, {})], "Die Seite „Impressum“ ist noch der Entwurf der Plattform. Bitte lassen Sie sie von der Verwaltung prüfen."),
    ([("collect", 1, 20, {})], "Ein anderes Verfahren heißt genauso. In Listen und E-Mails lassen sie sich nicht unterscheiden."),
])
def test_what_a_beginner_overlooks_is_pointed_out_and_gone_when_mended(
    session: Session, town: Municipality, phases: list[tuple[str, float, float, dict[str, Any]]], hint: str,
) -> None:
    made = [factories.phase(kind, title=f"{number} {kind}", opens=opens, closes=closes,
                            settings=formats.read_settings(kind, settings))
            for number, (kind, opens, closes, settings) in enumerate(phases, 1)]
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None, title="Doppelt", phases=made)
    factories.process(session, town, title="Doppelt")
    assert _hints(session, process).count(hint) == 1
    sound = factories.process(session, town, state=ProcessState.DRAFT, published_at=None, contact="Frau Lampe", phases=[
        factories.phase("collect", title="Ideen", opens=1, closes=20, body="Schreiben Sie."),
        factories.phase("vote", title="Wahl", opens=20, closes=40, body="Wählen Sie."),
    ])
    factories.account(session, Role.MODERATOR, on=sound)
    for kind in (PageKind.IMPRINT, PageKind.PRIVACY):
        session.add(MunicipalityPage(municipality_id=town.id, kind=kind, body="Unseres.", updated_at=clock.now()))
    session.flush()
    assert _hints(session, sound) == []


def test_a_placeholder_of_the_template_is_pointed_out(session: Session, town: Municipality, editor: Browser) -> None:
    editor.submit(NEW, {"title": "Neu", "source": "entwurf"}, form=-1)
    process = _newest(session)
    assert "<" in process.body
    wanted = "Im Text steht noch ein Platzhalter der Vorlage in spitzen Klammern. Alle würden ihn lesen."
    assert wanted in _hints(session, process)
    process.body = "Der Plan liegt vor, 3 < 5 & <b>fett</b>."
    assert wanted not in _hints(session, process)


def test_every_hint_leads_to_a_page_where_it_is_mended(session: Session, town: Municipality, editor: Browser) -> None:
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None, phases=[
        factories.phase("budget", opens=1, closes=3), factories.phase("workshop", opens=90, closes=91),
    ])
    session.commit()
    page = editor.open(f"/verwaltung/verfahren/{process.id}")
    links = page.xpath("//section[@aria-labelledby='hinweise']//a/@href")
    assert len(links) > 5
    for link in links:
        shown = editor.open(link.split("#")[0])
        if "#" in link:
            assert shown.get_element_by_id(link.split("#")[1]) is not None, link


def test_a_vague_phase_stands_in_words_and_has_not_begun(session: Session, town: Municipality, browser: Browser) -> None:
    process = factories.process(session, town)
    process.phases.append(factories.phase("vote", title="Auswahl", vague_dates="Frühjahr 2028"))
    process.phases[1].starts_at = process.phases[1].ends_at = None
    session.commit()
    assert process.phases[1].state(clock.now()) is PhaseState.UPCOMING
    page = browser.text(f"/verfahren/{process.slug}")
    assert "Frühjahr 2028" in page
    assert "Durchgehend" not in page


def test_everything_that_is_wrong_is_said_in_one_round(session: Session, town: Municipality, editor: Browser) -> None:
    process = factories.process(session, town, phases=[factories.phase("vote"), factories.phase("collect")],
                                state=ProcessState.DRAFT, published_at=None)
    factories.process(session, town, slug="schon-da")
    session.commit()

    def wrong(page: str, values: dict[str, Any], form: int = -1) -> set[str]:
        answer = editor.submit(page, values, form=form)
        assert answer.status_code == 422
        tree = html.fromstring(answer.get_data(as_text=True))
        return {str(one).removesuffix("-fehler") for one in tree.xpath("//*[contains(@class, 'bp-error')]/@id")}

    assert wrong("/verwaltung/verfahren/neu", {"title": "", "starts_on": "irgendwann"}) == {"title", "starts_on"}
    assert wrong("/verwaltung/verfahren/neu", {"title": " ", "starts_on": "2999-01-01"}) == {"title", "starts_on"}
    phase = f"/verwaltung/verfahren/{process.id}/phasen/{process.phases[0].id}"
    numbers = {"setting_points": "0", "setting_points_max": "-3"}
    assert wrong(phase, {"title": "", "starts_at": "bald", "ends_at": "später", **numbers}) == {
        "title", "starts_at", "ends_at", *numbers}
    assert wrong(phase, {"starts_at": "2027-05-01T00:00", "ends_at": "2027-04-01T00:00", **numbers}) == {"ends_at", *numbers}
    assert wrong("/verwaltung/verfahren/neu", {"title": "", "summary": "x" * 2000}) == {"title", "summary"}
    texts = {"title": "", "body": "x" * (operations.BODY_MAX + 1), "vague_dates": "y" * 300}
    assert wrong(phase, {**texts, "starts_at": "", "setting_ballot": "points", "setting_points": "2", "setting_points_max": "5"}) == {
        *texts, "setting_points_max"}
    assert wrong(phase, {"title": "", "starts_at": "", "ends_at": "", "setting_results": "after"}) == {"title", "ends_at"}
    assert wrong(phase, {"setting_ballot": "points", "setting_points": "zwei", "setting_points_max": "50"}) == {"setting_points"}, (
        "nothing is concluded from what could not be read")
    collect = f"/verwaltung/verfahren/{process.id}/phasen/{process.phases[1].id}"
    assert wrong(collect, {"title": "", "setting_pictures": "nobody", "setting_picture_required": "y"}) == {
        "title", "setting_picture_required"}
    own = {"label": "", "hint": "x" * 999, "options": "nur eine"}
    assert wrong(f"{collect}/felder?art=choice", own) == set(own)
    assert wrong(f"{collect}/felder?art=line", {"label": "", "hint": "x" * 999, "longest": "viele"}) == {"label", "hint", "longest"}
    base = f"/verwaltung/verfahren/{process.id}"
    broken = (io.BytesIO(b"kein Bild"), "bild.png")
    about = {"title": " ", "slug": "schon-da", "summary": "x" * 2000, "theme_label": "x" * 200, "contact": "x" * 9000,
             "faq": "Ohne Raute", "attribution": "x" * 999, "picture_alt": "", "picture": broken}
    assert wrong(base, about, form=1) == set(about)
    assert wrong(f"{base}/neuigkeiten", {"title": "", "body": ""}) == {"title", "body"}
    assert wrong(f"{base}/themen", {"name": "", "description": "x" * 9000}) == {"name", "description"}
    assert wrong(f"{base}/dokumente", {"title": "", "document": (io.BytesIO(b"x"), "boese.exe")}) == {"title", "document"}
    assert wrong(f"{base}/rundbriefe", {"subject": "", "body": ""}) == {"subject", "body"}


def test_a_file_that_browsers_do_not_send_again_is_asked_for_in_words(
    session: Session, town: Municipality, editor: Browser
) -> None:
    process = factories.process(session, town)
    session.commit()
    page, again = f"/verwaltung/verfahren/{process.id}", "Bitte wählen Sie das Bild noch einmal aus."

    def beside(values: dict[str, Any], field: str = "picture") -> str:
        picture = io.BytesIO()
        Image.new("RGB", (40, 30), "green").save(picture, "PNG")
        picture.seek(0)
        file = {"document": (io.BytesIO(b"Plan"), "plan.txt")} if field == "document" else {"picture": (picture, "bild.png")}
        at = f"{page}/dokumente" if field == "document" else page
        tree = html.fromstring(editor.submit(at, {**values, **file}, form=-1 if field == "document" else 1).get_data(as_text=True))
        return str(tree.get_element_by_id(f"{field}-hinweis").text_content())

    assert again not in editor.text(page)
    assert again in beside({"title": "", "picture_alt": "Ein Feld"})
    assert again in beside({"preview": "1"})
    assert "Bitte wählen Sie die Datei noch einmal aus." in beside({"title": ""}, "document")


def test_the_preview_of_a_process_shows_whatever_can_be_written_there(
    session: Session, town: Municipality, editor: Browser
) -> None:
    process = factories.process(session, town)
    session.commit()
    values = {"summary": "In einem Satz.", "body": "## Worum", "faq": "# Wer darf?\n**Alle**", "contact": "Frau *Meier*",
              "preview": "1"}
    answer = editor.submit(f"/verwaltung/verfahren/{process.id}", values, form=1)
    shown = html.fromstring(answer.get_data(as_text=True)).xpath("//section[@aria-labelledby='vorschau']")[0]
    assert [one.text_content() for one in shown.xpath(".//strong | .//em | .//h3 | .//h2")][1:] == [
        "Worum", "Fragen und Antworten", "Alle", "Fragen? Wir sind da.", "Meier"]
    assert "In einem Satz." in shown.text_content()
    assert "Wer darf?" in shown.text_content()


def test_words_for_the_time_and_a_beginning_contradict_each_other(
    session: Session, town: Municipality, editor: Browser, browser: Browser,
) -> None:
    process = factories.process(session, town)
    session.commit()
    page = f"/verwaltung/verfahren/{process.id}/phasen/{process.phases[0].id}"
    answer = editor.submit(page, {"vague_dates": "Frühjahr 2028"}, form=-1)
    assert answer.status_code == 422
    beside = html.fromstring(answer.get_data(as_text=True)).get_element_by_id("vague_dates-fehler")
    assert "Sie haben auch einen Beginn angegeben" in beside.text_content()
    process.phases[0].vague_dates = "Frühjahr 2028"
    session.commit()
    timeline = browser.text(f"/verfahren/{process.slug}")
    assert "Läuft" in timeline
    assert "Frühjahr 2028" not in timeline, "what runs shows its dates"


def test_the_link_to_a_draft_shows_it_until_it_ends(
    session: Session, town: Municipality, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None, title="Noch geheim",
                                faq="# Was kostet das?\nNichts.")
    session.commit()
    stranger = new_browser()
    assert stranger.get(f"/verfahren/{process.slug}").status_code == 404
    page = editor.submit(f"/verwaltung/verfahren/{process.id}", form="/vorschau-link").get_data(as_text=True)
    link = page.split('href="http://localhost/vorschau/')[1].split('"')[0]
    shown = stranger.get(f"/vorschau/{link}")
    assert shown.status_code == 200
    assert "Noch geheim" in shown.get_data(as_text=True)
    assert "Was kostet das?" in shown.get_data(as_text=True)
    assert shown.headers["X-Robots-Tag"] == "noindex"
    assert link not in editor.submit(f"/verwaltung/verfahren/{process.id}", form="/vorschau-link").get_data(as_text=True)
    assert stranger.get(f"/vorschau/{link}").status_code == 404, "a new link ends the old one"
    token = operations.make_preview_link(
        session, factories.actor(factories.account(session, Role.EDITOR, town=town)), process, clock.now())
    session.commit()
    assert stranger.get(f"/vorschau/{token}").status_code == 200
    session.execute(update(Process).values(preview_until=clock.now() - timedelta(seconds=1)))
    session.commit()
    assert stranger.get(f"/vorschau/{token}").status_code == 404


def test_everything_on_the_page_of_a_draft_opens_for_whoever_has_the_link(
    session: Session, town: Municipality, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None,
                                phases=[factories.phase("collect", body="Schreiben Sie.")])
    session.commit()
    assert process.themes
    base = f"/verwaltung/verfahren/{process.id}"
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(buffer, "PNG")
    editor.submit(base, {"picture_alt": "Eine Wiese", "picture": (io.BytesIO(buffer.getvalue()), "bild.png")}, form=1)
    editor.submit(f"{base}/dokumente", {"title": "Der Plan", "document": (io.BytesIO("grün".encode()), "plan.txt")}, form=1)
    page = editor.submit(base, form="/vorschau-link").get_data(as_text=True)
    link = "/vorschau/" + page.split('href="http://localhost/vorschau/')[1].split('"')[0]
    stranger = new_browser()
    shown = [address for address in stranger.open(link).xpath("//main//img/@src | //main//a/@href") if address.startswith("/")]
    kinds = []
    for address in shown:
        with stranger.get(address) as answer:
            assert answer.status_code == 200, address
            kinds.append(answer.headers["Content-Type"])
    assert {"image/webp", "text/plain; charset=utf-8"} <= set(kinds)
    own = [address for address in shown if address.startswith(link)]
    assert len(own) == 2, "the picture and the document"
    session.execute(update(Process).values(preview_until=clock.now() - timedelta(seconds=1)))
    session.commit()
    assert {stranger.get(address).status_code for address in own} == {404}


def test_the_link_to_a_draft_leads_on_to_the_page_once_that_is_public(
    session: Session, town: Municipality, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    process = factories.process(session, town, state=ProcessState.DRAFT, published_at=None)
    session.commit()
    page = editor.submit(f"/verwaltung/verfahren/{process.id}", form="/vorschau-link").get_data(as_text=True)
    link = "/vorschau/" + page.split('href="http://localhost/vorschau/')[1].split('"')[0]
    process.state, process.published_at = ProcessState.PUBLISHED, clock.now()
    session.commit()
    answer = new_browser().get(link)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/verfahren/{process.slug}")


def test_a_draft_can_be_deleted_what_others_saw_can_not(session: Session, town: Municipality, editor: Browser) -> None:
    draft = factories.process(session, town, state=ProcessState.DRAFT, published_at=None)
    public = factories.process(session, town)
    used = factories.process(session, town, state=ProcessState.DRAFT, published_at=None)
    session.add(Participant(process_id=used.id, person_hash="0" * 64, kind=factories.ParticipantKind.GUEST, pseudonym="P"))
    session.commit()
    number, page = draft.id, f"/verwaltung/verfahren/{draft.id}"
    asked = editor.submit(page, form="/loeschen")
    assert "Diesen Entwurf löschen?" in asked.get_data(as_text=True)
    editor.post(f"{page}/loeschen", {"confirmed": "yes"})
    session.expunge(draft)
    assert session.get(Process, number) is None
    actor = factories.actor(factories.account(session, Role.EDITOR, town=town))
    for process in (public, used):
        with pytest.raises(Conflict):
            operations.delete_process(session, actor, process, clock.now())


def test_news_are_written_read_followed_and_taken_down(
    session: Session, town: Municipality, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    process = factories.process(session, town)
    session.commit()
    page, reader = f"/verwaltung/verfahren/{process.id}/neuigkeiten", new_browser()
    preview = editor.submit(page, {"title": "Termin", "body": "Wir **kommen** vorbei.", "preview": "1"}, form=-1)
    assert "<strong>kommen</strong>" in preview.get_data(as_text=True)
    assert session.scalars(select(ProcessNews)).all() == []
    assert editor.submit(page, {"title": "", "body": ""}, form=-1).status_code == 422
    for number in range(4):
        editor.submit(page, {"title": f"Neues & {number}", "body": "Wir **kommen**. <script>alert(1)</script>"},
                      form="/neuigkeiten")
    shown = reader.get(f"/verfahren/{process.slug}").get_data(as_text=True)
    assert "Neues &amp; 3" in shown
    assert "<strong>kommen</strong>" in shown
    assert "<script>alert(1)" not in shown
    assert "Neues &amp; 0" not in shown, "the newest two, the others one click away"
    assert "Neues & 0" in reader.text(f"/verfahren/{process.slug}/neuigkeiten")
    feed = etree.fromstring(reader.get(f"/verfahren/{process.slug}/neuigkeiten.atom").get_data())
    titles = [one.text for one in feed.iterfind(".//{*}entry/{*}title")]
    assert titles == [f"Neues & {number}" for number in (3, 2, 1, 0)]
    item = session.scalars(select(ProcessNews).order_by(ProcessNews.id)).first()
    assert item is not None
    editor.submit(f"{page}/{item.id}", {"title": "Anders"}, form="/neuigkeiten")
    assert "Anders" in reader.text(f"/verfahren/{process.slug}/neuigkeiten")
    editor.post(f"{page}/{item.id}/loeschen")
    assert "Anders" not in reader.text(f"/verfahren/{process.slug}/neuigkeiten")


def test_questions_stand_on_the_page_and_a_text_without_any_is_refused(
    session: Session, town: Municipality, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    process = factories.process(session, town)
    session.commit()
    page = f"/verwaltung/verfahren/{process.id}"
    refused = editor.submit(page, {"faq": "Nur ein Satz."}, form="/verwaltung/verfahren/")
    assert refused.status_code == 422
    assert "Nur ein Satz." in refused.get_data(as_text=True)
    editor.submit(page, {"faq": "# Wer darf?\nAlle.\n\n## Und Kinder?\nAuch **Kinder**."}, form="/verwaltung/verfahren/")
    shown = new_browser().open(f"/verfahren/{process.slug}")
    assert [one.text_content().strip() for one in shown.xpath("//section[@aria-labelledby='fragen']//summary")] == [
        "Wer darf?", "Und Kinder?"]


def test_markdown_reads_well_as_a_plain_mail() -> None:
    source = "## Termin\n\nWir **freuen** uns: [Anmeldung](https://stadt.example/a_b_c).\n\n- eins\n- zwei"
    assert text.mail_text(source) == "Termin\n\nWir freuen uns: Anmeldung (https://stadt.example/a_b_c).\n\n- eins\n- zwei"
