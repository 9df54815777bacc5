"""Whoever edits a process can see who changed what, and go back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from participation import clock
from participation.permissions import Role
from participation.processes import operations
from participation.processes.models import Process, ProcessVersion, Theme
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

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
    assert session.scalar(select(func.count()).select_from(ProcessVersion)) == 2, "no change, no version"
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
    ids = list(session.scalars(select(ProcessVersion.id).order_by(ProcessVersion.id)))
    editor.post(f"{base}/{ids[0]}/wiederherstellen")
    session.expire_all()
    assert (process.title, process.body) == ("Der Platz", "Alter Text.")
    assert {theme.name for theme in process.themes} == {"Verkehr", "Wohnen", "Später dazu"}
    assert "Alter Text." in new_browser().text(f"/verfahren/{process.slug}")
    editor.post(f"{base}/{ids[-1]}/wiederherstellen")
    session.expire_all()
    assert process.title == "Der neue Platz"
    assert "Früheren Stand wiederhergestellt" in editor.text(base)


def test_versions_of_another_process_can_not_be_used(
    session: Session, process: Process, actor: Actor, new_browser: Callable[[], Browser],
) -> None:
    _edit(session, actor, process, "Der Platz", "Text.")
    version = session.scalars(select(ProcessVersion)).one()
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
    version = session.scalars(select(ProcessVersion)).one()
    operations.save_theme(session, actor, process, session.get_one(Theme, theme_id), clock.now(), name="Anders",
                          description="", tone=1)
    operations.restore_version(session, actor, process, version, clock.now())
    assert session.get_one(Theme, theme_id).name == "Verkehr"
    assert proposal.theme_id == theme_id
