"""Everybody reads in their language: what they chose, what their browser asks for, and mails too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from participation.language import language_of
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from tests.browser_client import Browser


@pytest.mark.parametrize(("cookies", "accepted", "wanted"), [
    ("", "", "de"), ("", "en", "en"), ("", "en-GB,en;q=0.9", "en"), ("", "fr,en;q=0.5", "en"), ("", "fr", "de"),
    ("", "nl;q=0.4, de;q=0.8", "de"), ("", "en;q=0, nl;q=0.1", "nl"), ("", "en;q=viel,,;;nl", "en"), ("", "*", "de"),
    ("language=nl", "en", "nl"), ("a=b; language=en; c=d", "de", "en"), ("language=fr", "en", "en"),
    ("mylanguage=nl", "de", "de"), ("language=en2", "de", "de"),
])
def test_what_was_chosen_counts_then_what_the_browser_asks_for(cookies: str, accepted: str, wanted: str) -> None:
    assert language_of(cookies, accepted) == wanted


def test_a_choice_is_kept_in_the_browser_and_leads_back(session: Session, browser: Browser) -> None:
    process = factories.process(session)
    session.commit()
    page = browser.open(f"/verfahren/{process.slug}")
    assert page.get("lang") == "de"
    link = page.xpath("//footer//a[@hreflang='en']/@href")[0]
    answer = browser.get(link)
    assert answer.location == f"/verfahren/{process.slug}"
    english = browser.open(f"/verfahren/{process.slug}")
    assert english.get("lang") == "en"
    assert english.xpath("//footer//a[@aria-current]/@hreflang") == ["en"]
    assert browser.get("/sprache/en?next=//evil.example").location == "/"
    assert browser.get("/sprache/xx").status_code == 404


def test_pages_of_one_language_are_never_served_for_another(
    session: Session, new_browser: Callable[[], Browser],
) -> None:
    process = factories.process(session)
    session.commit()
    for _number in range(2):
        for asked, wanted in (("de", "de"), ("en-US,en;q=0.5", "en"), ("nl", "nl"), ("fr", "de")):
            answer = new_browser().get(f"/verfahren/{process.slug}", headers={"Accept-Language": asked})
            assert f'<html lang="{wanted}">' in answer.get_data(as_text=True)


def test_mails_come_in_the_language_somebody_last_signed_in_with(
    session: Session, new_browser: Callable[[], Browser], run_jobs: Callable[[], int], mails: Callable[[], list[str]],
) -> None:
    factories.municipality(session)
    account = factories.account(session, email="reader@beispiel.example", locale="en")
    session.commit()
    new_browser().submit("/konto/passwort-vergessen", {"email": account.email}, form=-1)
    run_jobs()
    (text,) = mails()
    assert "Guten Tag" not in text
    assert "Hello" in text
