"""The map: what its data holds, that words in it stay words, and that a big town gets groups."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from participation import clock
from participation.contributions.models import ContributionState
from participation.contributions.proposals.export import grown_to_tiles
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from tests.browser_client import Browser

EVIL = "${alert(1)}`</script><img src=x onerror=alert(1)>"


@pytest.fixture
def process(session: Session) -> Process:
    """A process with three proposals on the map, one of them with an evil title, and some that must not be there."""
    found = factories.process(session)
    factories.proposal(session, found, title="Radweg", lon=7.25, lat=51.95, theme_id=found.themes[0].id,
                       support_count=4)
    factories.proposal(session, found, title="Wohnungen", lon=7.2501, lat=51.9501, theme_id=found.themes[1].id)
    factories.proposal(session, found, title=EVIL, lon=7.35, lat=52.0, theme_id=None)
    factories.proposal(session, found, title="Ohne Ort")
    factories.proposal(session, found, title="In Prüfung", lon=7.3, lat=51.97, state=ContributionState.SUBMITTED)
    factories.proposal(session, found, title="Versteckt", lon=7.3, lat=51.97, state=ContributionState.HIDDEN,
                       state_reason="Werbung", published_at=clock.now())
    factories.proposal(session, factories.process(session, found.municipality), title="Anderswo", lon=7.3, lat=51.97)
    session.commit()
    return found


def features(browser: Browser, path: str) -> list[dict[str, Any]]:
    response = browser.get(path)
    assert response.status_code == 200, path
    assert response.mimetype == "application/geo+json"
    found: list[dict[str, Any]] = json.loads(response.get_data())["features"]
    return found


def test_only_public_proposals_with_a_place_are_on_the_map(process: Process, browser: Browser) -> None:
    found = features(browser, f"/verfahren/{process.slug}/karte.geojson")
    assert {feature["properties"]["title"] for feature in found} == {"Radweg", "Wohnungen", EVIL}
    [bike] = [feature for feature in found if feature["properties"]["title"] == "Radweg"]
    assert bike["geometry"]["coordinates"] == [7.25, 51.95]
    assert (bike["properties"]["theme"], bike["properties"]["supports"]) == ("verkehr", 4)


def test_the_theme_narrows_map_and_list_alike(process: Process, browser: Browser) -> None:
    found = features(browser, f"/verfahren/{process.slug}/karte.geojson?thema=wohnen")
    assert [feature["properties"]["title"] for feature in found] == ["Wohnungen"]
    page = browser.open(f"/verfahren/{process.slug}/karte?thema=wohnen")
    assert [title.text_content() for title in page.find_class("bp-contribution__title")] == ["Wohnungen"]
    script = browser.get(page.xpath("//script[contains(@src, '/karte.js')]/@src")[0]).get_data(as_text=True)
    assert "karte.geojson?thema=wohnen" in script


def test_what_was_asked_of_the_list_is_still_asked_after_a_look_at_the_map(process: Process, browser: Browser) -> None:
    base, wanted = f"/verfahren/{process.slug}", "?q=Radweg&thema=verkehr&sort=diskutiert&antwort=ja"

    def tab(page: str, name: str) -> str:
        return str(browser.open(page).xpath(f"//nav[contains(@class, 'bp-tabs')]//a[contains(., '{name}')]/@href")[0])

    there = tab(f"{base}/vorschlaege{wanted}", "Karte")
    assert there == f"{base}/karte{wanted}"
    assert tab(there, "Liste") == f"{base}/vorschlaege{wanted}"
    page = browser.open(f"{base}/karte?q=Wohnungen&sort=diskutiert")
    assert "Die Karte zeigt alle Vorschläge mit Ort, nicht nur die zu „Wohnungen“." in " ".join(page.text_content().split())
    assert len(page.xpath("//*[@data-feature-id]")) == 3, "beside the map stands what is on it"
    assert "Die Karte zeigt alle" not in browser.text(f"{base}/karte?thema=verkehr&sort=diskutiert")


def test_the_page_needs_no_inline_script_and_shows_the_list_beside(process: Process, browser: Browser) -> None:
    page = browser.open(f"/verfahren/{process.slug}/karte")
    assert page.xpath("//script[not(@src)]") == []
    listed = [title.text_content() for title in page.find_class("bp-contribution__title")]
    assert sorted(listed) == sorted(["Radweg", "Wohnungen", EVIL])
    assert len(page.xpath("//*[@data-feature-id]")) == 3


def test_a_title_is_data_and_never_part_of_a_script(process: Process, browser: Browser) -> None:
    script = browser.get(f"/verfahren/{process.slug}/karte.js")
    assert script.mimetype == "text/javascript"
    assert "alert" not in script.get_data(as_text=True)
    html = browser.get(f"/verfahren/{process.slug}/karte").get_data(as_text=True)
    assert "<img src=x" not in html
    assert "${alert(1)}`&lt;/script&gt;" in html


def test_answers_are_compressed_and_known_ones_are_not_sent_again(process: Process, browser: Browser) -> None:
    path = f"/verfahren/{process.slug}/karte.geojson"
    first = browser.get(path, headers={"Accept-Encoding": "gzip"})
    assert json.loads(gzip.decompress(first.get_data())) == json.loads(browser.get(path).get_data())
    again = browser.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.get_data()) == (304, b"")


def test_from_far_away_neighbours_become_a_group(process: Process, browser: Browser) -> None:
    base = f"/verfahren/{process.slug}/karte.geojson?bbox=7.0,51.8,7.6,52.2"
    far = features(browser, base + "&zoom=9")
    assert sum(feature["properties"].get("count", 1) for feature in far) == 3
    assert any(feature["properties"].get("count", 1) > 1 for feature in far)
    near = features(browser, base + "&zoom=18")
    assert sorted(feature["properties"]["title"] for feature in near) == sorted(["Radweg", "Wohnungen", EVIL])
    part = features(browser, f"/verfahren/{process.slug}/karte.geojson?zoom=16&bbox=7.24,51.94,7.26,51.96")
    assert EVIL not in {feature["properties"].get("title") for feature in part}
    assert sum(feature["properties"].get("count", 1) for feature in part) == 2


def test_above_the_limit_the_browser_asks_for_groups(
    process: Process, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f"/verfahren/{process.slug}/karte.js"
    assert '"clustered": false' in browser.get(script).get_data(as_text=True)
    monkeypatch.setattr("participation.contributions.proposals.views.maps.CLUSTER_FROM", 2)
    assert '"clustered": true' in browser.get(script).get_data(as_text=True)


@pytest.mark.parametrize("query", [
    "zoom=-1", "zoom=1e9", "zoom=99", "zoom=12&bbox=a,b,c,d", "zoom=12&bbox=nan,nan,nan,nan", "zoom=12&bbox=1,2,3",
    "zoom=12&bbox=8,52,7,51", "zoom=12&bbox=-1e308,-1e308,1e308,1e308", "zoom=12&bbox=inf,0,0,0", "zoom=%00",
    "thema=%27%20OR%201=1", "zoom=0&bbox=-360,-90,360,90", "zoom=٣", "bbox=" + "9" * 500,
])
def test_questions_that_make_no_sense_get_an_answer_all_the_same(
    process: Process, browser: Browser, query: str
) -> None:
    assert features(browser, f"/verfahren/{process.slug}/karte.geojson?{query}") is not None


def test_boxes_grow_to_the_same_tiles_and_never_shrink() -> None:
    box = (7.2101, 51.9302, 7.3903, 52.0304)
    grown = grown_to_tiles(box, 13)
    assert grown[0] <= box[0]
    assert grown[1] <= box[1]
    assert grown[2] >= box[2]
    assert grown[3] >= box[3]
    assert grown_to_tiles((7.2102, 51.9303, 7.3902, 52.0303), 13) == grown


def test_the_ground_holds_the_boundary_and_needs_no_process(process: Process, browser: Browser) -> None:
    response = browser.get("/karte/ebenen.geojson")
    assert json.loads(response.get_data())["boundary"] == factories.SQUARE
    assert browser.get("/karte/ebenen.geojson", headers={"If-None-Match": response.headers["ETag"]}).status_code == 304


def test_without_a_basemap_nobody_can_ask_us_for_tiles(process: Process, browser: Browser) -> None:
    for path in ("/karte/kacheln/12/2130/1362", "/karte/kacheln/99/1/1", "/karte/grundkarte.pmtiles"):
        assert browser.get(path).status_code == 404
