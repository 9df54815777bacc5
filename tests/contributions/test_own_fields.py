"""Fields that editors add to the form: asked, judged, shown to whom they are meant for, and never lost."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from moderation.models import Case
from moderation.operations import examine
from participation import clock, text
from participation.catalogue.export import Catalogue, as_xlsx
from participation.catalogue.models import Measure, MeasureState
from participation.contributions.drafts.models import Draft
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.content import ProposalDraft
from participation.contributions.proposals.operations.submitting import submit_proposal
from participation.errors import InvalidInput, NotAllowed
from participation.formats import CollectSettings, Moderation, ThemeRule
from participation.outbox import OutboxRow, work_row
from participation.own_fields import Answer, FieldKind, OwnField, checked_field, read_answers, read_fields, store_field
from participation.permissions import Role
from participation.processes import history, operations
from participation.processes.models import Phase, Process, ProcessVersion, TextVariant
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.tokens import Keyring

BLNS = Path(__file__).parents[3] / "shared" / "data" / "hostile_input" / "blns.json"
WHO = OwnField(key="00000001", kind=FieldKind.CHOICE, label="Wen betrifft es?", options=("Kinder", "Ältere", "Alle"),
               is_required=True)
COST = OwnField(key="00000002", kind=FieldKind.NUMBER, label="Was kostet es?", low="0", high="1000000",
                has_decimals=True, unit="Euro")
PHONE = OwnField(key="00000003", kind=FieldKind.LINE, label="Wie erreichen wir Sie?", is_public=False, longest=40)
WHEN = OwnField(key="00000004", kind=FieldKind.CHOICES, label="Wann?", options=("Morgens", "Abends"))
MORE = OwnField(key="00000005", kind=FieldKind.TEXT, label="Was noch?", longest=500)
ALL = (WHO, COST, PHONE, WHEN, MORE)
GOOD = {"own-00000001": "Ältere", "own-00000002": "1.234,50", "own-00000003": "abends am Zaun",
        "own-00000004": ["Abends", "Morgens"], "own-00000005": "Eine Zisterne.\nMit Deckel."}


def begun(session: Session, *fields: OwnField, **settings: Any) -> Process:
    """A process whose form asks for these."""
    phase = factories.phase("collect", settings=replace(CollectSettings(), moderation=Moderation.AFTER, **settings))
    phase.stored_fields = [store_field(one) for one in fields]
    found = factories.process(session, phases=[phase])
    session.commit()
    return found


@pytest.fixture
def process(session: Session) -> Process:
    return begun(session, *ALL)


def filled(process: Process) -> dict[str, Any]:
    return {"title": "Eine Bank am Markt", "body": "Zum Ausruhen im Schatten.",
            "theme_id": str(process.themes[0].id), **GOOD}


@pytest.fixture
def values(process: Process) -> dict[str, Any]:
    return filled(process)


def page_of(process: Process) -> str:
    return f"/verfahren/{process.slug}/vorschlaege/neu"


def the_proposal(session: Session) -> Proposal:
    session.expire_all()
    return session.scalars(select(Proposal)).one()


def test_a_guest_answers_and_everybody_reads_what_was_asked_in_public(
    session: Session, process: Process, values: dict[str, Any], new_browser: Callable[[], Browser],
) -> None:
    guest = new_browser()
    answer = guest.submit(page_of(process), values, form=-1)
    receipt = answer.get_data(as_text=True)
    assert "Vorgangsnummer" in receipt
    assert all(word in receipt for word in ("Ältere", "1234,5 Euro", "abends am Zaun", "Morgens, Abends", "Zisterne"))
    row = the_proposal(session)
    page = new_browser().text(f"/verfahren/{process.slug}/vorschlaege/{row.id}")
    assert "Wen betrifft es? Ältere" in page
    assert "Was kostet es? 1234,5 Euro" in page
    assert "Zaun" not in page
    assert "Wie erreichen wir Sie?" not in page
    # Search finds what is public, and nothing else.
    assert row.title in new_browser().text(f"/verfahren/{process.slug}/vorschlaege?q=Zisterne")
    assert row.title not in new_browser().text(f"/verfahren/{process.slug}/vorschlaege?q=Zaun")


@pytest.mark.parametrize(("name", "entered", "message"), [
    ("own-00000001", "", "Bitte wählen Sie etwas aus."),
    ("own-00000001", "Hunde", "Bitte wählen Sie etwas aus der Liste."),
    ("own-00000002", "viel", "Bitte geben Sie eine Zahl an, zum Beispiel 2,5."),
    ("own-00000002", "-1", "Das ist zu wenig. Bitte geben Sie mindestens 0 an."),
    ("own-00000002", "1.000.000,01", "Das ist zu viel. Bitte geben Sie höchstens 1000000 an."),
    ("own-00000003", "x" * 41, "Das ist zu lang: 41 Zeichen. Höchstens 40 sind möglich."),
    ("own-00000004", ["Nachts"], "Bitte wählen Sie etwas aus der Liste."),
])
def test_what_does_not_fit_is_named_beside_its_field_and_nothing_is_lost(
    session: Session, process: Process, values: dict[str, Any], browser: Browser, name: str, entered: Any, message: str,
) -> None:
    answer = browser.submit(page_of(process), values | {name: entered}, form=-1)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert page.count(message) == 2  # above the form and beside the field
    assert f'id="{name}-fehler"' in page
    assert 'value="Eine Bank am Markt"' in page
    assert "Zisterne" in page
    assert session.scalar(select(func.count()).select_from(Proposal)) == 0


def test_an_answer_whose_field_went_meanwhile_does_not_go_without_a_word(
    session: Session, process: Process, values: dict[str, Any], browser: Browser,
) -> None:
    sent = values | {"own-0000dead": ["Nur mit <b>Rampe</b>"]}
    answer = browser.submit(page_of(process), sent, form=-1)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert "Eine Frage steht nicht mehr im Formular" in page
    assert "Nur mit &lt;b&gt;Rampe&lt;/b&gt;" in page
    assert session.scalar(select(func.count()).select_from(Proposal)) == 0
    assert "Vorgangsnummer" in browser.submit(page_of(process), values, form=-1).get_data(as_text=True)


def test_a_draft_names_the_answers_that_editors_took_away_since_beside_their_field(
    session: Session, process: Process, values: dict[str, Any], browser: Browser,
) -> None:
    browser.sign_in(factories.account(session))
    session.commit()
    browser.submit(page_of(process), values | {"step": "draft"}, form=-1)
    (draft,) = session.scalars(select(Draft))
    process.phases[0].stored_fields = [store_field(one) for one in (
        replace(WHO, options=("Kinder", "Alle")), COST, PHONE, replace(WHEN, options=("Morgens", "<b>Nachts</b>")), MORE)]
    session.commit()
    tree = browser.open(f"{page_of(process)}?entwurf={draft.id}")
    for name, answer in (("own-00000001", "Ältere"), ("own-00000004", "Abends")):
        (field,) = tree.xpath(f"//fieldset[.//input[@name='{name}']]")
        assert f"„{answer}“ steht nicht mehr zur Auswahl. Bitte wählen Sie neu." in field.text_content()
        assert not field.xpath("ancestor::details[not(@open)]"), "nobody has to open anything to read it"
    assert tree.text_content().count("steht nicht mehr zur Auswahl") == 4, "beside the field and in the summary above"
    kept = {name: value.strip() for name, value in tree.forms[-1].form_values()}
    assert {name: kept[name] for name in ("title", "body", "own-00000002", "own-00000003", "own-00000004")} == {
        **{name: values[name] for name in ("title", "body", "own-00000002", "own-00000003")}, "own-00000004": "Morgens"}
    answer = browser.submit(f"{page_of(process)}?entwurf={draft.id}", {"own-00000001": "Alle"}, form=-1)
    assert "Vorgangsnummer" in answer.get_data(as_text=True)
    assert {one.key: one.values for one in the_proposal(session).answers}[WHO.key] == ("Alle",)


def test_the_preview_shows_the_answers_and_says_which_ones_others_will_not_read(
    session: Session, process: Process, values: dict[str, Any], browser: Browser,
) -> None:
    page = browser.submit(page_of(process), values | {"step": "preview"}, form=-1)
    assert page.status_code == 200
    assert "Morgens, Abends" in page.get_data(as_text=True)
    assert "nur für die Verwaltung" in page.get_data(as_text=True)
    assert session.scalar(select(func.count()).select_from(Proposal)) == 0


def test_every_hostile_text_comes_back_as_it_was_or_is_refused(
    session: Session, process: Process, values: dict[str, Any], browser: Browser,
) -> None:
    """Through the rules for each kind; a sample goes all the way to the page."""
    for raw in json.loads(BLNS.read_text(encoding="utf-8")):
        for one in ALL:
            found, wrong = read_answers([one], {one.key: [raw]})
            assert not found or one.kind is FieldKind.NUMBER or found[0].values == (
                (text.clean_text if one.kind is FieldKind.TEXT else text.clean_line)(raw),)
            assert all(error.field == one.name for error in wrong)
    nasty = '<script>alert(1)</script> ${7*7} =1+1 \u202e"\''
    answer = browser.submit(page_of(process), values | {"own-00000005": nasty}, form=-1)
    assert answer.status_code == 200
    row = the_proposal(session)
    assert row.answers[-1].shown == text.clean_text(nasty)
    page = browser.get(f"/verfahren/{process.slug}/vorschlaege/{row.id}").get_data(as_text=True)
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(("raw", "kept"), [
    ("12,50", "12,5"), ("12.5", "12,5"), ("1.234", "1234"), ("1 234,5", "1234,5"), ("007", "7"), ("−3", "-3"), ("-0", "0"),
    ("12,0", "12"), ("30 Euro", "30"),
])
def test_numbers_are_read_as_they_are_written_in_germany(raw: str, kept: str) -> None:
    one = replace(COST, low="", high="")
    found, wrong = read_answers([one], {one.key: [raw]})
    assert not wrong
    assert found[0].values == (kept,)
    assert read_answers([one], {one.key: [kept]})[0] == found


@pytest.mark.parametrize("raw", ["1e5", "NaN", "inf", "٣", "1,2,3", "--1", "1" * 20, "0x10", ",5", "½"])
def test_what_is_no_number_is_refused(raw: str) -> None:
    assert read_answers([COST], {COST.key: [raw]})[1]


@pytest.mark.parametrize(("one", "name"), [
    (replace(WHO, label=" \u200b"), "label"), (replace(WHO, label="x" * 121), "label"),
    (replace(WHO, options=("Eine",)), "options"), (replace(WHO, options=("Eine", "Eine ")), "options"),
    (replace(WHO, options=tuple(map(str, range(31)))), "options"), (replace(PHONE, longest=0), "longest"),
    (replace(PHONE, longest=301), "longest"), (replace(COST, low="5", high="4"), "high"),
    (replace(COST, low="wenig"), "low"), (replace(COST, has_decimals=False, high="1,5"), "high"),
])
def test_a_field_that_makes_no_sense_is_refused(one: OwnField, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_field(one)
    assert refused.value.field == name


def test_moderators_see_everything_and_the_checks_read_it_too(
    session: Session, process: Process, values: dict[str, Any], new_browser: Callable[[], Browser],
) -> None:
    values = values | {"own-00000003": "erika@muster.example"}
    new_browser().submit(page_of(process), values, form=-1)
    case = session.scalars(select(Case)).one()
    assert [(part, one.key) for part, one in examine(session, case) if part == "answers"] == [("answers", "contact")]
    moderator = factories.account(session, Role.MODERATOR, town=process.municipality)
    session.commit()
    desk = new_browser().sign_in(moderator).text(f"/moderation/faelle/{case.id}")
    assert "erika@muster.example" in desk
    assert "Ältere" in desk


def test_a_change_of_an_answer_is_a_revision_that_others_can_follow(
    session: Session, process: Process, values: dict[str, Any], new_browser: Callable[[], Browser],
) -> None:
    guest = new_browser()
    guest.submit(page_of(process), values, form=-1)
    row = the_proposal(session)
    factories.comment(session, row)
    session.commit()
    path = f"/verfahren/{process.slug}/vorschlaege/{row.id}"
    answer = guest.submit(f"{path}/bearbeiten", {"own-00000001": "Alle", "own-00000003": "am Brunnen"}, form=-1)
    assert "Ihre Änderung ist veröffentlicht" in answer.get_data(as_text=True)
    said = {one.key: one.shown for one in the_proposal(session).answers}
    assert said["00000001"] == "Alle"
    assert said["00000002"] == "1234,5 Euro"
    steps = new_browser().text(f"{path}/verlauf")
    assert "Ältere" in steps
    assert "Alle" in steps
    assert "Brunnen" not in steps
    again = guest.submit(f"{path}/bearbeiten", {}, form=-1).get_data(as_text=True)
    assert "Sie haben nichts geändert" in again


def test_reworded_deleted_and_hidden_fields_lose_nothing_and_reveal_nothing(
    session: Session, process: Process, values: dict[str, Any], new_browser: Callable[[], Browser], app: Beteiligung,
) -> None:
    guest = new_browser()
    guest.submit(page_of(process), values, form=-1)
    row, phase = the_proposal(session), session.get_one(Phase, process.phases[0].id)
    actor = factories.actor(factories.account(session, Role.EDITOR, on=process))
    path = f"/verfahren/{process.slug}/vorschlaege/{row.id}"

    def save(one: OwnField) -> None:
        operations.save_own_field(session, actor, phase, one, clock.now(), is_new=False)
        session.commit()

    save(replace(WHO, options=("Kinder", "Seniorinnen und Senioren", "Alle")))
    save(replace(PHONE, is_public=True))
    page = new_browser().text(path)
    assert "Ältere" in page
    assert "Zaun" not in page
    # Its author may leave the old wording as it is.
    changed = guest.submit(f"{path}/bearbeiten", {"title": "Zwei Bänke"}, form=-1)
    assert "veröffentlicht" in changed.get_data(as_text=True)
    assert "Zaun" not in new_browser().text(path)
    save(replace(MORE, is_public=False))
    operations.delete_own_field(session, actor, phase, WHO.key, clock.now())
    session.commit()
    for job in session.scalars(select(OutboxRow.id).where(OutboxRow.job == "index_phase")).all():
        work_row(app.extensions["platform"].database, job)
    page = new_browser().text(path)
    assert "Zisterne" not in page
    assert "Ältere" not in page
    assert "Zwei Bänke" not in new_browser().text(f"/verfahren/{process.slug}/vorschlaege?q=Zisterne")
    assert {one.shown for one in the_proposal(session).answers} >= {"Ältere", "Eine Zisterne.\nMit Deckel."}
    version = session.scalars(select(ProcessVersion).order_by(ProcessVersion.id)).all()[0]
    history.restore_version(session, actor, session.get_one(Process, process.id), version, clock.now())
    session.commit()
    assert "Wen betrifft es? Ältere" in new_browser().text(path)


def test_exports_of_staff_hold_all_answers_also_to_fields_that_are_gone_and_no_formulas(session: Session) -> None:
    from openpyxl import load_workbook

    process = begun(session, WHO)
    row = factories.proposal(session, process, phase_id=process.phases[0].id, stored_answers=[
        {"key": "00000001", "label": "Wen betrifft es?", "values": ["=1+1"], "unit": "", "public": True},
        {"key": "000000ff", "label": "Früher gefragt", "values": ["@SUM(A1)"], "unit": "", "public": False}])
    measure = Measure(id=1, process_id=process.id, code="V1", title="Bänke", points="", remark="", deviation_reason="",
                      state=MeasureState.IDEA)
    sheet = load_workbook(io.BytesIO(as_xlsx(Catalogue(
        process, "Stadt", [measure], {1: [row]}, clock.now(), "https://stadt.example")))).worksheets[2]
    assert [cell.value for cell in sheet[1]][5:] == ["Wen betrifft es?", "Früher gefragt"]
    assert [(cell.value, cell.data_type) for cell in sheet[2]][5:] == [("=1+1", "s"), ("@SUM(A1)", "s")]


def test_a_copy_asks_the_same_and_other_languages_have_their_words(
    session: Session, process: Process, values: dict[str, Any], new_browser: Callable[[], Browser],
) -> None:
    actor = factories.actor(factories.account(session, Role.EDITOR, town=process.municipality))
    copy = operations.copy_process(session, actor, process, clock.now(), title="Noch einmal", summary="",
                                   starts_on=clock.now().date())
    assert copy.phases[0].own_fields == process.phases[0].own_fields
    key = ("phase", process.phases[0].id)
    known = operations.variant_keys(session, process)
    assert known[*key, "own-00000001-options"][0] == "Kinder\nÄltere\nAlle"
    with pytest.raises(InvalidInput):
        operations.save_variants(session, actor, process, "en", {(*key, "own-00000001-options"): "Children"}, clock.now())
    operations.save_variants(session, actor, process, "en", {
        (*key, "own-00000001-label"): "Who is it for?", (*key, "own-00000001-options"): "Children\nThe old\nEverybody"},
        clock.now())
    session.commit()
    assert session.scalar(select(func.count()).select_from(TextVariant)) == 2
    reader = new_browser()
    page = reader.client.get(page_of(process), headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert "Who is it for?" in page
    assert "The old" in page
    assert 'value="Ältere"' in page
    assert "Was kostet es?" in page


def test_the_editor_adds_moves_changes_and_deletes_fields(
    session: Session, new_browser: Callable[[], Browser],
) -> None:
    process = begun(session)
    phase = process.phases[0]
    editor = new_browser().sign_in(factories.account(session, Role.EDITOR, on=process))
    session.commit()
    path = f"/verwaltung/verfahren/{process.id}/phasen/{phase.id}/felder"

    def fields() -> tuple[OwnField, ...]:
        session.expire_all()
        return session.get_one(Phase, phase.id).own_fields

    assert editor.submit(f"{path}?art=choice", {"label": "Wen betrifft es?", "options": "Kinder"}, form=-1).status_code == 422
    editor.submit(f"{path}?art=choice", {"label": "Wen betrifft es?", "options": "Kinder\nAlle", "is_required": "y"}, form=-1)
    editor.submit(f"{path}?art=number", {"label": "Kosten", "low": "0", "unit": "Euro"}, form=-1)
    assert [(one.label, one.is_required, one.is_public) for one in fields()] == [
        ("Wen betrifft es?", True, True), ("Kosten", False, True)]
    first, second = fields()
    editor.submit(path, {"richtung": "hoch"}, form=f"{second.key}/verschieben")
    assert [one.key for one in fields()] == [second.key, first.key]
    assert editor.submit(f"{path}?art=line", {"label": "kosten"}, form=-1).status_code == 422
    editor.submit(f"{path}/{second.key}", {"label": "Kosten ungefähr", "high": "500"}, form=-1)
    assert fields()[0] == replace(second, label="Kosten ungefähr", high="500")
    values = {name: value for name, value in filled(process).items() if name not in GOOD} | {first.name: "Kinder"}
    new_browser().submit(page_of(process), values, form=-1)
    asked = editor.submit(path, form=f"{first.key}/loeschen")
    assert "1 Vorschlag enthält eine Antwort darauf" in asked.get_data(as_text=True)
    assert len(fields()) == 2
    editor.post(f"{path}/{first.key}/loeschen", {"confirmed": "yes"})
    for number in range(9):
        editor.submit(f"{path}?art=line", {"label": f"Frage {number}"}, form=-1)
    assert "Mehr als 10" in editor.text(path)
    seen = editor.text(f"/verwaltung/verfahren/{process.id}/verlauf")
    assert "Eigenes Feld hinzugefügt" in seen


def test_only_who_may_edit_the_process_may_change_its_form(
    session: Session, process: Process, new_browser: Callable[[], Browser],
) -> None:
    path = f"/verwaltung/verfahren/{process.id}/phasen/{process.phases[0].id}/felder"
    other = factories.process(session, process.municipality)
    stranger = factories.account(session, Role.EDITOR, on=other)
    session.commit()
    for visitor in (new_browser().sign_in(stranger), new_browser().sign_in(
            factories.account(session, Role.MODERATOR, town=process.municipality))):
        session.commit()
        assert visitor.get(path).status_code == 403
        assert visitor.post(f"{path}/{WHO.key}/loeschen", {"confirmed": "yes"}).status_code in {400, 403}
    with pytest.raises(NotAllowed):
        operations.delete_own_field(session, factories.actor(stranger), process.phases[0], WHO.key, clock.now())


def test_no_phase_has_more_than_ten_fields(session: Session, process: Process) -> None:
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(update(Phase).where(Phase.id == process.phases[0].id)
                        .values(stored_fields=[store_field(PHONE)] * 11))


@pytest.mark.parametrize(("rule", "sent", "status"), [
    (ThemeRule.REQUIRED, "", 422), (ThemeRule.OPTIONAL, "0", 200), (ThemeRule.HIDDEN, "", 200),
])
def test_a_theme_is_asked_for_as_the_phase_says(
    session: Session, browser: Browser, rule: ThemeRule, sent: str, status: int,
) -> None:
    process = begun(session, theme=rule)
    assert bool(browser.open(page_of(process)).xpath("//*[@name='theme_id']")) is (rule is not ThemeRule.HIDDEN)
    answer = browser.submit(page_of(process), {"title": "Eine Bank", "body": "Am Markt.", "theme_id": sent}, form=-1)
    assert answer.status_code == status
    if status == 200:
        assert the_proposal(session).theme_id is None


def test_a_picture_may_be_required(session: Session, browser: Browser) -> None:
    process = begun(session, picture_required=True, theme=ThemeRule.HIDDEN)
    answer = browser.submit(page_of(process), {"title": "Eine Bank", "body": "Am Markt."}, form=-1)
    assert answer.status_code == 422
    assert "Bitte wählen Sie ein Bild aus." in answer.get_data(as_text=True)


def test_the_operation_itself_refuses_what_the_form_would(
    session: Session, process: Process, keyring: Keyring,
) -> None:
    actor = factories.actor(factories.account(session))
    draft = ProposalDraft("Eine Bank", "Am Markt.", process.themes[0].id, answers=[Answer(WHO.key, "", ("Hunde",))])
    with pytest.raises(InvalidInput):
        submit_proposal(session, keyring, actor, process, draft, submission_key="a", now=clock.now())
    assert read_fields(process.phases[0].stored_fields) == ALL


def test_the_tables_of_all_contributions_have_a_column_for_each_question(
    session: Session, new_browser: Callable[[], Browser],
) -> None:
    process = begun(session, WHO, PHONE)
    factories.proposal(session, process, phase_id=process.phases[0].id, stored_answers=[
        {"key": "00000001", "label": "Wen?", "values": ["=1+1"], "unit": "", "public": True},
        {"key": "000000ff", "label": "Früher gefragt", "values": ["Vielleicht"], "unit": "", "public": False}])
    planner = factories.account(session, Role.PLANNER, town=process.municipality)
    session.commit()
    answer = new_browser().sign_in(planner).submit(
        f"/verwaltung/verfahren/{process.id}/auswertung", {}, form="auswertung/tabelle", buffered=True)
    rows = list(load_workbook(io.BytesIO(answer.get_data()))["Vorschläge"].iter_rows(values_only=True))
    row = dict(zip(rows[0], rows[1], strict=True))
    assert row["Wen betrifft es?"] == "=1+1"
    assert "Wie erreichen wir Sie? (nur für die Verwaltung)" in row
    assert row["Antworten auf frühere Fragen"] == "Früher gefragt: Vielleicht"


def test_the_same_question_of_two_phases_has_two_columns_everywhere(
    session: Session, new_browser: Callable[[], Browser],
) -> None:
    """A question may also be called like a column that is always there; nothing overwrites anything."""
    process = begun(session, WHO, replace(MORE, label="Titel"))
    first, town = process.phases[0], process.municipality
    second = factories.phase("collect")
    second.title, second.stored_fields = "Zweite Runde", [store_field(replace(WHO, key="000000aa"))]
    process.phases.append(second)
    process.theme_label = "Text"
    session.flush()
    factories.proposal(session, process, phase_id=first.id, lon=7.29, lat=51.98, title="Eine Bank", stored_answers=[
        {"key": "00000001", "label": "Wen?", "values": ["Kinder"], "unit": "", "public": True},
        {"key": "00000005", "label": "Titel", "values": ["Dr."], "unit": "", "public": True}])
    planner = factories.account(session, Role.PLANNER, town=town)
    session.commit()
    browser = new_browser().sign_in(planner)
    page = f"/verwaltung/verfahren/{process.id}/auswertung"
    known = json.loads(browser.post(f"{page}/karte", {}, buffered=True).get_data())["features"][0]["properties"]
    assert known[f"Wen betrifft es? ({first.title})"] == "Kinder"
    assert known["Wen betrifft es? (Zweite Runde)"] == ""
    assert (known["Titel"], known["Titel (2)"]) == ("Eine Bank", "Dr.")
    assert known["Text"] != known["Text (2)"]
    table = browser.submit(page, {}, form="auswertung/tabelle", buffered=True)
    names = [cell.value for cell in load_workbook(io.BytesIO(table.get_data()))["Vorschläge"][1]]
    assert len(names) == len({name.casefold() for name in names})
