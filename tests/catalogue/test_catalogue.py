"""The catalogue: planners lose nothing, residents see the way both ways, the council gets a document."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from docx import Document
from openpyxl import load_workbook
from sqlalchemy import select

from participation import clock
from participation.catalogue.models import Measure, MeasureSource
from participation.catalogue.operations import save_measure, take_up_proposal
from participation.contributions import operations as contributions
from participation.errors import Conflict, InvalidInput
from participation.permissions import Role
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser


@pytest.fixture
def process(session: Session):
    return factories.process(session, catalogue_is_public=True, theme_label="Handlungsfeld")


@pytest.fixture
def planner(session: Session, process):
    return factories.account(session, Role.PLANNER, on=process)


def _measure(session: Session, process, planner, **values) -> Measure:
    measure = save_measure(session, factories.actor(planner), process, None,
                           {"code": "K1", "title": "Trinkwasser", "theme_id": process.themes[0].id, **values},
                           version_seen=-1, now=clock.now())
    session.commit()
    return measure


def test_a_proposal_becomes_part_of_a_measure_and_both_say_so(
    session: Session, process, planner, browser: Browser, new_browser: Callable[[], Browser]
) -> None:
    proposal = factories.proposal(session, process, title="Brunnen")
    session.commit()
    browser.sign_in(planner)
    work = f"/verwaltung/verfahren/{process.id}/massnahmen"
    assert "Brunnen" in browser.text(work)
    browser.submit(f"{work}/neu?vorschlag={proposal.id}", {"code": "K7"}, form=-1)
    assert "Kein offener Vorschlag" in browser.text(work)
    visitor = new_browser()
    assert "Brunnen" in visitor.text(f"/verfahren/{process.slug}/massnahmen/K7")
    assert "K7" in visitor.text(f"/verfahren/{process.slug}/vorschlaege/{proposal.id}")
    contributions.hide(session, proposal, "Regel", clock.now())
    session.commit()
    assert f"vorschlaege/{proposal.id}" not in visitor.get(f"/verfahren/{process.slug}/massnahmen/K7").get_data(as_text=True)


def test_taking_up_twice_is_once(session: Session, process, planner) -> None:
    measure, proposal = _measure(session, process, planner), factories.proposal(session, process)
    actor = factories.actor(planner)
    assert take_up_proposal(session, actor, measure, proposal, clock.now())
    assert not take_up_proposal(session, actor, measure, proposal, clock.now())
    assert len(session.scalars(select(MeasureSource)).all()) == 1


@pytest.mark.parametrize(("values", "field"), [
    ({"deviating_priority": "high"}, "deviation_reason"), ({"is_greyed": True}, "remark"), ({"title": " \u200b"}, "title"),
    ({"code": "viel zu lange Kennung"}, "code"), ({"theme_id": 999_999}, "theme_id"), ({"state": "quatsch"}, "state"),
])
def test_rules_of_the_sheet_are_named_beside_their_field(session: Session, process, planner, values, field: str) -> None:
    with pytest.raises(InvalidInput) as error:
        _measure(session, process, planner, **values)
    assert error.value.field == field


def test_the_same_code_twice_is_refused(session: Session, process, planner) -> None:
    _measure(session, process, planner)
    with pytest.raises(InvalidInput, match="gibt es in diesem Katalog schon"):
        _measure(session, process, planner)


def test_a_stale_form_overwrites_nothing_and_keeps_its_text(session: Session, process, planner, browser: Browser) -> None:
    measure = _measure(session, process, planner)
    browser.sign_in(planner)
    with pytest.raises(Conflict):
        save_measure(session, factories.actor(planner), process, measure, {"code": "K1", "title": "Alt"},
                     version_seen=0, now=clock.now())
    answer = browser.post(f"/verwaltung/massnahmen/{measure.id}",
                          {"version_seen": "0", "code": "K1", "title": "Mein neuer Titel", "state": "idea"})
    assert answer.status_code == 409
    assert "Mein neuer Titel" in answer.get_data(as_text=True)
    session.refresh(measure)
    assert measure.title == "Trinkwasser"


def test_an_unpublished_catalogue_is_the_planners_own(
    session: Session, planner, process, browser: Browser, new_browser: Callable[[], Browser]
) -> None:
    _measure(session, process, planner)
    process.catalogue_is_public = False
    session.commit()
    browser.sign_in(planner)
    for path in ("massnahmen", "massnahmen/K1", "massnahmenkatalog.xlsx", "massnahmenkatalog.docx"):
        assert new_browser().get(f"/verfahren/{process.slug}/{path}").status_code == 404
        assert browser.get(f"/verfahren/{process.slug}/{path}").status_code == 200


def test_everything_that_is_wrong_with_a_measure_is_said_at_once(session: Session, process, planner, browser: Browser) -> None:
    session.commit()
    values = {"code": "", "title": "", "is_greyed": "y", "deviating_priority": "high"}
    answer = browser.sign_in(planner).post(f"/verwaltung/verfahren/{process.id}/massnahmen/neu", values)
    assert answer.status_code == 422
    for name in ("code", "title", "remark", "deviation_reason"):
        assert f'id="{name}-fehler"' in answer.get_data(as_text=True), name


def test_planners_of_one_process_have_no_say_in_another(session: Session, planner, browser: Browser) -> None:
    other = factories.process(session)
    session.commit()
    browser.sign_in(planner)
    assert browser.get(f"/verwaltung/verfahren/{other.id}/massnahmen").status_code == 403
    assert browser.post(f"/verwaltung/verfahren/{other.id}/massnahmen/neu", {"code": "X", "title": "Y"}).status_code == 403


def test_exports_hold_every_measure_and_run_nothing(session: Session, process, planner, browser: Browser) -> None:
    measure = _measure(session, process, planner, title="=1+1 Wasser", points="- eins\n- **zwei**", goal="A\x0bB")
    _measure(session, process, planner, code="K2", title="Grau", is_greyed=True, remark="läuft schon")
    proposal = factories.proposal(session, process, title="@SUM(A1) Brunnen")
    take_up_proposal(session, factories.actor(planner), measure, proposal, clock.now())
    session.commit()
    answer = browser.get(f"/verfahren/{process.slug}/massnahmenkatalog.xlsx")
    assert answer.headers["Content-Disposition"].endswith('.xlsx"')
    book = load_workbook(io.BytesIO(answer.data))
    rows = list(book["Maßnahmen"].iter_rows(values_only=True))
    assert [row[1] for row in rows[1:]] == ["K1", "K2"]
    assert rows[1][2] == "=1+1 Wasser"
    assert "– zwei" in rows[1][3]
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)
    assert [row[2] for row in book["Herkunft"].iter_rows(values_only=True)][1:] == ["@SUM(A1) Brunnen"]
    document = Document(io.BytesIO(browser.get(f"/verfahren/{process.slug}/massnahmenkatalog.docx").data))
    text = "\n".join([paragraph.text for paragraph in document.paragraphs]
                     + [cell.text for table in document.tables for row in table.rows for cell in row.cells])
    for part in ("=1+1 Wasser", "Grau", "läuft schon", "@SUM(A1) Brunnen", "Handlungsfeld: Verkehr"):
        assert part in text


def test_the_catalogue_costs_the_same_at_any_length(session: Session, process, planner, browser: Browser, count_queries) -> None:
    lengths = []
    for number in range(2):
        for part in range(1 if number == 0 else 20):
            _measure(session, process, planner, code=f"K{number}-{part}")
        with count_queries() as statements:
            assert browser.get(f"/verfahren/{process.slug}/massnahmen").status_code == 200
        lengths.append(len(statements))
    assert lengths[0] == lengths[1] <= 8
