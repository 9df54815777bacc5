"""The page on which staff arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation import clock
from participation.permissions import Role
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung


@pytest.mark.parametrize("role", [Role.ADMIN, Role.EDITOR, Role.MODERATOR, Role.PLANNER])
def test_whatever_the_menu_leads_to_has_a_card(session: Session, app: Beteiligung, role: Role) -> None:
    account = factories.account(session, role, town=factories.municipality(session), totp_confirmed_at=clock.now())
    session.commit()
    page = Browser(app).sign_in(account).open("/verwaltung")
    menu = set(page.xpath("//nav[@aria-label='Verwaltung']//a/@href")) - {"/verwaltung"}
    assert menu
    assert menu == set(page.xpath("//article//a/@href"))


@pytest.mark.parametrize("role", list(Role))
def test_whoever_has_a_role_in_one_process_sees_only_what_opens_to_them(
    session: Session, new_browser: Callable[[], Browser], role: Role,
) -> None:
    process = factories.process(session)
    account = factories.account(session, role, on=process)
    session.commit()
    browser = new_browser().sign_in(account)
    shown = set(browser.open("/verwaltung").xpath("//*[contains(@class, 'bp-staff-layout')]//a/@href"))
    assert "/verwaltung/nachweise" not in shown
    assert [address for address in shown if browser.get(address).status_code != 200] == []
    own = factories.account(session, Role.EDITOR, town=process.municipality)
    session.commit()
    assert "/verwaltung/nachweise" in new_browser().sign_in(own).open("/verwaltung").xpath("//nav//a/@href")
