"""The page on which staff arrive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation import clock
from participation.permissions import Role
from tests import factories
from tests.browser_client import Browser

if TYPE_CHECKING:
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
