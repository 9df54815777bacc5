"""The platform in a language that is written from right to left: nothing sticks out, nothing stays behind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from app import create_app
from participation.settings import Settings
from tests.journeys.conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.live import LivePlatform

pytestmark = pytest.mark.browser
PAGES = ("/", "/verfahren", "/verfahren/smart-city", "/verfahren/smart-city/vorschlaege", "/hilfe", "/barrierefreiheit",
         "/barrierefreiheit/melden", "/konto/anmelden", "/verfahren/smart-city/vorschlaege/1")


@pytest.fixture(scope="module")
def turned(platform: LivePlatform) -> Iterator[str]:
    """The same demo town, every page in Arabic; its words stay German, for there is no catalogue."""
    settings = Settings(
        environment="test", data_dir=platform.data_dir, test_locale="ar", base_url="http://localhost",
        database_url=f"sqlite:///{platform.data_dir / 'beteiligung.sqlite3'}",
        secret_key="a secret of the tests, long enough to pass", rate_limits=False,
    )
    server = make_server("127.0.0.1", 0, create_app(settings), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_turns_round_and_fits(turned: str, chromium: Browser, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    for path in PAGES:
        answer = page.goto(turned + path)
        assert answer is not None
        assert answer.ok, path
        assert page.evaluate("document.documentElement.dir") == "rtl"
        scroll = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert scroll[0] <= scroll[1], f"{path} scrolls sideways"
        brand = page.locator(".bp-brand").bounding_box()
        assert brand is not None
        assert brand["x"] + brand["width"] > width * 0.7, "reading begins at the right"
    context.close()
