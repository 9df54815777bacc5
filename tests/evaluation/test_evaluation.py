"""What planners take along is complete, runs nothing, names nobody's vote, and is theirs alone."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from openpyxl import load_workbook
from sqlalchemy import event, select

from participation.audit import AuditEntry
from participation.contributions.models import AnswerStatus, ContributionState
from participation.evaluation import queries
from participation.formats import BallotRule, Results, VoteSettings
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from tests.browser_client import Browser

FORMULA = '=HYPERLINK("https://boese.example","Klick")'


@pytest.fixture
def process(session: Session) -> Process:
    """Three proposals, one of them waiting, and a comment."""
    found = factories.process(session, title="Ideen für den Markt")
    factories.proposal(session, found, title=FORMULA, body="Mehr\nBänke am Markt", theme_id=found.themes[0].id, lon=7.2939,
                       lat=51.9795, answer_status=AnswerStatus.ACCEPTED, answer_body="Machen wir.", answer_cost=1200)
    second = factories.proposal(session, found, title="Ein Brunnen", body="Umlaute: äöüß 🚲")
    factories.proposal(session, found, title="Noch geheim", state=ContributionState.SUBMITTED)
    factories.comment(session, second, body="+1, gute Idee")
    session.commit()
    return found


@pytest.fixture
def planner(session: Session, process: Process, browser: Browser) -> Browser:
    account = factories.account(session, Role.PLANNER, town=process.municipality)
    session.commit()
    return browser.sign_in(account)


def _page(process: Process) -> str:
    return f"/verwaltung/verfahren/{process.id}/auswertung"


def _take(browser: Browser, process: Process, kind: str, **values: str) -> Any:
    answer = (browser.submit(_page(process), values, form="auswertung/tabelle", buffered=True) if kind == "tabelle"
              else browser.post(f"{_page(process)}/{kind}", values, buffered=True))
    assert answer.status_code == 200, answer.get_data(as_text=True)[:300]
    return answer


def _table(answer: Any) -> list[dict[str, str]]:
    text = answer.get_data().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text), delimiter=";"))


def test_the_workbook_holds_all_that_is_public_and_no_formula(planner: Browser, process: Process) -> None:
    answer = _take(planner, process, "tabelle")
    assert "attachment" in answer.headers["Content-Disposition"]
    assert "beitraege-" in answer.headers["Content-Disposition"]
    book = load_workbook(io.BytesIO(answer.get_data()))
    proposals = list(book["Vorschläge"].iter_rows(values_only=True))
    rows = [dict(zip(proposals[0], row, strict=True)) for row in proposals[1:]]
    assert [row["Titel"] for row in rows] == [FORMULA, "Ein Brunnen"]
    assert book["Vorschläge"]["B2"].data_type == "s"
    assert rows[0][process.theme_label] == "Verkehr"
    assert rows[0]["Breite (WGS 84)"] == pytest.approx(51.9795)
    # UTM zone 32: near Billerbeck some 382 km east, 5760 km north.
    assert 380_000 < rows[0]["Ostwert (EPSG:25832)"] < 385_000
    assert 5_755_000 < rows[0]["Nordwert (EPSG:25832)"] < 5_765_000
    assert rows[0]["Kosten in Euro"] == 1200
    assert rows[0]["Antwort der Verwaltung"] == "Wird umgesetzt"
    assert rows[1]["Text"] == "Umlaute: äöüß 🚲"
    comments = list(book["Kommentare"].iter_rows(values_only=True))
    assert [row[3] for row in comments[1:]] == ["+1, gute Idee"]


def test_the_csv_reads_the_same_and_guards_its_cells(planner: Browser, process: Process) -> None:
    taken = _take(planner, process, "vorschlaege")
    assert taken.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = _table(taken)
    assert [row["Titel"] for row in rows] == ["'" + FORMULA, "Ein Brunnen"]
    assert rows[0]["Text"] == "Mehr\nBänke am Markt"
    assert rows[0]["Breite (WGS 84)"] == "51,9795"
    assert [row["Text"] for row in _table(_take(planner, process, "kommentare"))] == ["'+1, gute Idee"]


def test_what_waits_comes_along_only_when_it_is_asked_for(planner: Browser, process: Process) -> None:
    everything = _table(_take(planner, process, "vorschlaege", umfang="alle"))
    assert [(row["Titel"], row["Veröffentlicht"] != "") for row in everything][-1] == ("Noch geheim", False)
    assert len(everything) == 3
    assert len(_table(_take(planner, process, "vorschlaege", umfang="' OR 1=1"))) == 2


def test_the_map_holds_points_as_geojson_wants_them(planner: Browser, process: Process) -> None:
    answer = _take(planner, process, "karte")
    assert answer.mimetype == "application/geo+json"
    features = json.loads(answer.get_data())["features"]
    assert [one["geometry"] for one in features] == [{"type": "Point", "coordinates": [7.2939, 51.9795]}]
    assert features[0]["properties"]["Titel"] == FORMULA


def test_the_log_says_who_took_what_along(session: Session, planner: Browser, process: Process) -> None:
    _take(planner, process, "karte", umfang="alle")
    session.expire_all()
    entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "export_contributions")).one()
    assert (entry.subject_id, entry.details) == (process.id, {"kind": "karte", "everything": True})


def test_an_export_is_for_staff_of_this_process_alone(
    session: Session, process: Process, new_browser: Callable[[], Browser]
) -> None:
    elsewhere = factories.process(session, town := process.municipality)
    resident = factories.account(session)
    stranger = factories.account(session, Role.MODERATOR, on=elsewhere)
    own = factories.account(session, Role.MODERATOR, on=process)
    session.commit()
    assert town.id == elsewhere.municipality_id
    for who, status in ((None, 401), (resident, 403), (stranger, 403), (own, 200)):
        visitor = new_browser()
        if who is not None:
            visitor.sign_in(who)
        answer = visitor.post(f"{_page(process)}/vorschlaege", {"umfang": "alle"}, buffered=True)
        assert answer.status_code in ({302, 303, 401} if status == 401 else {status})
        assert visitor.get(_page(process)).status_code in ({302, 303, 401} if status == 401 else {status})
        assert (b"Ein Brunnen" in answer.get_data()) == (status == 200)
        assert answer.headers["Cache-Control"] == "no-store" or status != 200
    assert new_browser().get(f"{_page(process)}/vorschlaege").status_code == 405


def test_nothing_is_left_out_between_steps(
    session: Session, planner: Browser, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "STEP", 2)
    for number in range(5):
        factories.proposal(session, process, title=f"Noch einer {number}")
    session.commit()
    assert [row["Titel"] for row in _table(_take(planner, process, "vorschlaege"))] == [
        "'" + FORMULA, "Ein Brunnen", *(f"Noch einer {number}" for number in range(5))]


def test_an_empty_process_gives_empty_tables(session: Session, new_browser: Callable[[], Browser]) -> None:
    process = factories.process(session)
    account = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    editor = new_browser().sign_in(account)
    assert _table(_take(editor, process, "vorschlaege")) == []
    assert json.loads(_take(editor, process, "karte").get_data())["features"] == []
    assert load_workbook(io.BytesIO(_take(editor, process, "tabelle").get_data()))["Vorschläge"].max_row == 1


def test_supports_that_are_secret_stay_so_for_staff(session: Session, new_browser: Callable[[], Browser]) -> None:
    process = factories.process(session, phases=[
        factories.phase("vote", settings=VoteSettings(ballot=BallotRule.SUPPORT, results=Results.AFTER))])
    factories.proposal(session, process, title="Ein Brunnen", support_count=4321)
    account = factories.account(session, Role.PLANNER, town=process.municipality)
    session.commit()
    planner = new_browser().sign_in(account)
    assert _table(_take(planner, process, "vorschlaege"))[0]["Unterstützungen"] == ""
    shown = planner.open(_page(process)).find_class("bp-staff-main")[0].text_content()
    assert not re.search(r"4\.?321", shown)


# PostgreSQL chooses by its statistics, of which three proposals have none.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True, scope="session")
@pytest.mark.parametrize("steps", [queries.proposals_in_steps, queries.comments_in_steps])
def test_a_step_of_an_export_reads_only_what_it_gives(session: Session, process: Process, steps: Any) -> None:
    """SQLite would read and sort the whole process for every thousand rows."""
    connection = session.connection()
    seen: list[tuple[str, Any]] = []
    note = lambda _connection, _cursor, statement, values, *_rest: seen.append((statement, values))  # noqa: E731
    event.listen(connection, "before_cursor_execute", note)
    assert list(steps(session, process.id, queries.ALL))
    event.remove(connection, "before_cursor_execute", note)
    statement, values = seen[0]
    plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert not [line for line in plan if "ORDER BY" in line], plan
