"""Hands that have no mouse: everything is reached with Tab."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

STEPS = 150


def reach(page: Page, target: Locator) -> None:
    """By the Tab key alone, as far as it takes."""
    target.wait_for()
    for _step in range(STEPS):
        if target.evaluate("one => one === document.activeElement"):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"the keyboard does not reach {target}")


def press(page: Page, target: Locator, key: str = "Enter") -> None:
    """Enter on what is reached, or another key."""
    reach(page, target)
    page.keyboard.press(key)


def follow(page: Page, target: Locator) -> None:
    """Enter on what leads to another page, until all of that page is there."""
    reach(page, target)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def write(page: Page, target: Locator, text: str) -> None:
    """Text instead of what stood there."""
    reach(page, target)
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
