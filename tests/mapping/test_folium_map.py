"""The parts that Folium gives: nothing foreign, nothing inline but our script, no text of a visitor in it."""

from __future__ import annotations

import re

import pytest
from lxml import html

from mapping.basemap import Basemap
from mapping.folium_map import (
    DetailOptions,
    MapOptions,
    PickerOptions,
    Theme,
    render_detail_map,
    render_map,
    render_picker,
)
from mapping.geometry import BBox

BOX = BBox(7.21, 51.93, 7.44, 52.05)
OVERVIEW = MapOptions(bbox=BOX, data_url="/karte.geojson", detail_url="/vorschlaege/{id}", layers_url="/grund.json")
ALL_KINDS = [
    render_map(OVERVIEW),
    render_picker(PickerOptions(bbox=BOX)),
    render_detail_map(DetailOptions(bbox=BOX, lon=7.3, lat=51.95)),
]


@pytest.mark.parametrize("parts", ALL_KINDS)
def test_no_foreign_host_no_style_no_viewport_no_handler(parts):
    page = f"{parts.head_tags()}{parts.html}{parts.script_tags('n0nce')}"
    assert "//" not in re.sub(r"^\s*//.*$", "", page.replace("</", "<"), flags=re.MULTILINE)
    assert "viewport" not in page
    assert "<style" not in page
    tree = html.fromstring(f"<html><body>{page}</body></html>")
    assert not tree.xpath("//@style")
    assert not tree.xpath("//@*[starts-with(name(), 'on')]")
    for address in tree.xpath("//script/@src | //link/@href"):
        assert address.startswith("/static/")
    inline = tree.xpath("//script[not(@src)]")
    assert [script.get("nonce") for script in inline] == ["n0nce"]


def test_folium_itself_stays_as_it_is_for_others():
    import folium
    from folium.plugins import Fullscreen

    assert folium.Map.default_js[0][1].startswith("https://")
    assert Fullscreen.default_js[0][1].startswith("https://")


def test_the_same_options_give_the_same_script():
    assert render_map(OVERVIEW).script == render_map(OVERVIEW).script
    assert "var map_karte = L.map(" in render_map(OVERVIEW).script


def test_static_addresses_are_the_callers():
    def hashed(path: str) -> str:
        return f"/assets/{path}?v=abc"

    parts = render_map(MapOptions(bbox=BOX, data_url="/k", asset_url=hashed))
    page = f"{parts.head_tags()}{parts.script_tags('n')}"
    assert "/static/" not in page
    assert 'from "/assets/js/map_base.js?v=abc"' in parts.script


HOSTILE = "</script><script>alert(1)</script>${alert(1)}`'"


def test_own_configuration_can_not_leave_its_json():
    parts = render_map(MapOptions(
        bbox=BOX, data_url="/k", name=HOSTILE, themes=(Theme(HOSTILE, HOSTILE),),
        basemap=Basemap("xyz_proxy", "https://tiles.example/{z}/{x}/{y}", HOSTILE),
    ))
    assert "</script" not in parts.script
    assert "<script" not in parts.script
    # Inside a JSON string in double quotes neither a backtick nor ${…} means anything.
    for line in parts.script.splitlines():
        if "alert(1)" in line:
            assert re.search(r'"[^"]*alert\(1\)[^"]*"', line)


@pytest.mark.parametrize("url", [
    "https://evil.example/k", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/k<script>", "k", '/k"',
])
def test_an_address_elsewhere_is_a_mistake_of_the_caller(url):
    with pytest.raises(ValueError, match="own host"):
        render_map(MapOptions(bbox=BOX, data_url=url))


@pytest.mark.parametrize("element_id", ["", "a b", "1a", "x;alert(1)", "a-b", "Ä"])
def test_an_element_id_is_a_plain_name(element_id):
    with pytest.raises(ValueError, match="element id"):
        render_map(MapOptions(bbox=BOX, data_url="/k", element_id=element_id))


def test_a_point_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"(?i)json|nan"):
        render_detail_map(DetailOptions(bbox=BOX, lon=float("nan"), lat=51.95))


def test_texts_are_translated_by_the_caller():
    parts = render_map(MapOptions(bbox=BOX, data_url="/k", translate=str.upper))
    assert "HINEINZOOMEN" in parts.script
    assert "ALLE VORSCHLÄGE STEHEN AUCH IN DER LISTE" in parts.html
    assert "VOLLBILD" in parts.script


def test_without_scripts_the_overview_leads_to_the_list():
    (hint,) = html.fromstring(f"<div>{render_map(OVERVIEW).html}</div>").xpath("//noscript")
    assert "Liste" in hint.text_content()


def test_a_page_that_stays_in_a_cache_needs_no_nonce():
    tags = str(render_map(OVERVIEW).script_file_tags("/karte.js"))
    assert "nonce" not in tags
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", tags))
