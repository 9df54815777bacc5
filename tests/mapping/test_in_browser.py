"""Maps in a real Chromium: hostile titles, keyboard, names, groups, picking a place."""

from __future__ import annotations

import random
import re

import pytest
from playwright.sync_api import expect

from mapping.features import MapPoint

pytestmark = pytest.mark.browser

MARKET = (7.2938, 51.979)
PIN = ".map-pin"
# What is drawn last: then a place can be chosen, and judged.
GROUND = ".map-boundary"
HOSTILE = [
    "${alert(1)}", "`${document.title='gone'}`", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "'\"><svg onload=alert(1)>", "{{7*7}}",
]


def until(page, expression, argument=None):
    """Wait for a condition. The page's policy forbids playwright's own way, which evaluates strings inside the page."""
    for _ in range(1_500):
        if page.evaluate(expression, argument):
            return
        page.wait_for_timeout(40)
    pytest.fail(f"never true: {expression}")


def spread(titles: list[str], themes: tuple[str, ...] = ("mobil", "klima")) -> list[MapPoint]:
    """Points far enough apart to be single pins."""
    return [
        MapPoint(i, 7.235 + 0.03 * (i % 4), 51.956 + 0.014 * (i // 4), title, themes[i % len(themes)], i, 1)
        for i, title in enumerate(titles)
    ]


def crowd(count: int) -> list[MapPoint]:
    chance = random.Random(count)  # noqa: S311 - places of a test
    return [
        MapPoint(i, chance.gauss(7.3, 0.02), chance.gauss(51.98, 0.01), f"Idee Nummer {i}", "mobil", 2, 1)
        for i in range(1, count + 1)
    ]


@pytest.mark.parametrize("title", HOSTILE)
def test_hostile_titles_are_only_text_in_name_tooltip_and_popup(visit, points, title):
    points["x"] = spread([title])
    page = visit().open("/karte/x")
    pin = page.locator(PIN)
    expect(pin).to_have_accessible_name(f"Vorschlag: {title}")
    pin.hover()
    expect(page.locator(".leaflet-tooltip")).to_have_text(title)
    pin.click()
    popup = page.get_by_role("dialog")
    expect(popup.locator(".map-popup__title")).to_have_text(title)
    assert page.locator(".leaflet-pane img, .leaflet-pane script, .leaflet-popup svg").count() == 0
    assert page.title() == "Karte"


def test_a_popup_tells_theme_counts_and_leads_to_the_idea(visit, points):
    points["x"] = spread(["Radweg zur Schule", "Bänke am Markt"])
    page = visit().open("/karte/x")
    page.get_by_role("button", name="Vorschlag: Bänke am Markt").click()
    popup = page.get_by_role("dialog")
    expect(popup).to_contain_text("Klima")
    expect(popup).to_contain_text("1 Unterstützung · 1 Kommentar")
    popup.get_by_role("link").click()
    expect(page).to_have_url(re.compile("/idee/1$"))


def test_two_ideas_of_the_same_title_have_different_names(visit, points):
    points["x"] = spread(["Mehr Grün", "Mehr Grün"])
    page = visit().open("/karte/x")
    expect(page.get_by_role("button", name="Vorschlag: Mehr Grün (2)")).to_be_visible()
    expect(page.locator(PIN)).to_have_count(2)


def test_by_keyboard_enter_opens_and_escape_gives_the_focus_back(visit, points):
    points["x"] = spread(["Radweg zur Schule"])
    page = visit().open("/karte/x")
    pin = page.locator(PIN)
    pin.wait_for()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.classList.contains('map-pin')"):
            break
    expect(pin).to_be_focused()
    for key in ("Enter", "Space"):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog").get_by_role("link")).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(pin).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Schließen").press("Enter")
    expect(pin).to_be_focused()


def test_groups_are_named_and_open_by_keyboard_without_losing_the_focus(visit, points):
    points["x"] = [MapPoint(i, 7.29 + 0.0004 * i, 51.979, f"Idee {i}") for i in range(12)]
    page = visit(reduced_motion="reduce").open("/karte/x")
    group = page.get_by_role("button", name="12 Vorschläge, vergrößern")
    group.focus()
    page.keyboard.press("Enter")
    expect(group).to_have_count(0)
    until(page, "document.activeElement.closest('.leaflet-container') !== null")


def test_controls_speak_german(visit, points):
    points["x"] = []
    page = visit().open("/karte/x")
    for name in ("Hineinzoomen", "Herauszoomen", "Vollbild"):
        box = page.get_by_role("button", name=name, exact=True).bounding_box()
        assert min(box["width"], box["height"]) >= 24
    expect(page.get_by_role("region", name="Karte der Vorschläge")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("Kein Vorschlag auf der Karte")


@pytest.mark.parametrize("path", ["/karte/many", "/karte/many?server=1", "/karte/many?tiles=1", "/ort", "/idee/1"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_axe_finds_nothing(visit, points, path, scheme, width):
    points["many"] = crowd(60)
    window = visit(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = window.open(path)
    page.locator(".map-pin, .map-cluster, .map-crosshair").first.wait_for()
    page.wait_for_load_state("networkidle")
    if path == "/karte/many" and page.locator(PIN).count():
        page.locator(PIN).last.dispatch_event("click")
        page.get_by_role("dialog").wait_for()
        until(page, "!document.querySelector('.leaflet-pan-anim, .leaflet-zoom-anim')"
                    " && getComputedStyle(document.querySelector('.leaflet-popup')).opacity === '1'")
    assert window.axe() == []
    if width == 320:
        assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_pins_stand_out_from_the_ground(visit, points):
    points["x"] = spread(["a"])
    ratio = """() => {
      const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => {
        const c = v / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
      const light = (c) => 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
      const of = (name) => { const p = document.createElement("i"); p.style.color = `var(${name})`;
        document.querySelector(".map-frame").append(p); const c = light(rgb(getComputedStyle(p).color)); p.remove();
        return c; };
      const grounds = ["land", "outside", "built", "wood", "water"].map((n) => of(`--map-${n}`));
      const pins = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => of(`--map-tone-${n}`)).concat(of("--map-cluster"));
      return Math.min(...pins.flatMap((p) => grounds.map((g) => (Math.max(p, g) + 0.05) / (Math.min(p, g) + 0.05))));
    }"""
    for scheme in ("light", "dark"):
        page = visit(color_scheme=scheme).open("/karte/x")
        page.locator(PIN).wait_for()
        assert page.evaluate(ratio) >= 3


def test_pins_are_seen_in_forced_colours(visit, points):
    points["x"] = spread(["a"])
    page = visit(forced_colors="active").open("/karte/x")
    page.locator(PIN).wait_for()
    fill, edge = page.evaluate("(() => { const s = getComputedStyle(document.querySelector('.map-pin path'));"
                               " return [s.fill, s.stroke]; })()")
    assert fill != edge


def test_choosing_a_theme_filters_pins_and_list_at_once(visit, points):
    points["x"] = spread(["Eins", "Zwei", "Drei"])
    page = visit().open("/karte/x")
    expect(page.get_by_role("status")).to_have_text("3 Vorschläge auf der Karte")
    page.get_by_label("Klima").check()
    expect(page.get_by_role("status")).to_have_text("1 Vorschlag auf der Karte")
    expect(page.locator(PIN)).to_have_count(1)
    expect(page.get_by_role("link", name="Eins")).to_be_hidden()
    expect(page.get_by_role("link", name="Zwei")).to_be_visible()


def test_list_and_pin_light_up_together_and_the_list_leads_to_the_pin(visit, points):
    points["x"] = spread(["Eins", "Zwei"])
    page = visit().open("/karte/x")
    pin = page.get_by_role("button", name="Vorschlag: Zwei")
    pin.hover()
    expect(page.locator("[data-feature-id='1']")).to_have_class("is-highlighted")
    page.get_by_role("link", name="Eins").hover()
    expect(page.get_by_role("button", name="Vorschlag: Eins")).to_have_class(re.compile("is-highlighted"))
    page.get_by_role("button", name="Auf der Karte zeigen: 1").click()
    expect(page.get_by_role("dialog").locator(".map-popup__title")).to_have_text("Zwei")


def test_the_wheel_scrolls_the_page_until_the_map_is_used(visit, points):
    points["x"] = spread(["Eins"])
    page = visit(viewport={"width": 1000, "height": 500}).open("/karte/x")
    page.locator(PIN).wait_for()
    scale = "document.querySelector('.map').style.getPropertyValue('--map-scale')"
    before = page.evaluate(scale)
    page.locator("#map_karte").hover()
    page.mouse.wheel(0, 300)
    until(page, "scrollY > 0")
    assert page.evaluate(scale) == before
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    until(page, f"{scale} !== '{before}'")


def test_a_failed_answer_is_told_and_can_be_tried_again(visit, points):
    window = visit()
    page = window.open("/karte/later")
    expect(page.get_by_role("status")).to_contain_text("Sie finden alle auch in der Liste.")
    points["later"] = spread(["Eins"])
    page.get_by_role("button", name="Erneut versuchen").click()
    expect(page.get_by_role("status")).to_have_text("1 Vorschlag auf der Karte")
    assert [trouble for trouble in window.troubles if "503" not in trouble] == []
    window.troubles.clear()


def test_a_big_town_is_grouped_by_the_server_down_to_single_ideas(visit, points):
    points["big"] = crowd(6_000)
    page = visit().open("/karte/big?server=1")
    expect(page.get_by_role("status")).to_contain_text("Vorschläge auf der Karte")
    assert page.locator(".leaflet-marker-icon[role=button]").count() < 80
    for _ in range(12):
        if page.locator(PIN).count():
            break
        group = page.locator(".map-cluster").first.element_handle()
        group.dispatch_event("click")
        # All groups go when those that take their place come.
        until(page, "group => !group.isConnected", group)
    page.locator(PIN).first.dispatch_event("click")
    expect(page.get_by_role("dialog").locator(".map-popup__title")).to_contain_text("Idee Nummer")


def test_5000_ideas_are_shown_in_groups(visit, points):
    points["many"] = crowd(5_000)
    page = visit().open("/karte/many")
    expect(page.get_by_role("status")).to_have_text("5.000 Vorschläge auf der Karte")
    page.locator(".map-cluster").first.wait_for()
    assert page.locator(".leaflet-marker-icon[role=button]").count() < 150


def test_tiles_come_from_our_own_host_with_their_source_named_as_text(visit, points):
    points["x"] = spread(["Eins"])
    page = visit().open("/karte/x?tiles=1")
    page.locator("img.leaflet-tile-loaded").first.wait_for()
    expect(page.locator(".leaflet-control-attribution")).to_have_text("© Beispiel & Söhne")


def test_without_scripts_there_is_no_empty_box(visit, points):
    points["x"] = spread(["Eins"])
    page = visit(java_script_enabled=False).open("/karte/x")
    expect(page.locator(".map-frame")).to_be_hidden()
    expect(page.locator(".map-help")).to_be_hidden()
    assert "Die Karte braucht JavaScript." in page.content()
    expect(page.get_by_role("link", name="Eins")).to_be_visible()


# ---- picking a place


def test_a_click_on_the_map_fills_both_inputs_and_says_where(visit):
    page = visit().open("/ort")
    page.locator(GROUND).first.wait_for(state="attached")
    box = page.locator("#map_ortswahl").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.get_by_role("status")).to_contain_text("Ort gewählt:")
    lon, lat = (float(page.locator(f"#{name}").input_value()) for name in ("lon", "lat"))
    assert 7.21 < lon < 7.44
    assert 51.93 < lat < 52.05
    expect(page.get_by_role("img", name="Ort des Vorschlags")).to_be_visible()
    page.get_by_role("button", name="Ort entfernen").click()
    expect(page.locator("#lon")).to_have_value("")
    expect(page.get_by_role("img", name="Ort des Vorschlags")).to_have_count(0)
    expect(page.get_by_role("button", name="Ort entfernen")).to_be_hidden()


def test_a_place_is_chosen_by_keyboard_alone_and_the_form_is_not_sent(visit):
    page = visit(reduced_motion="reduce").open("/ort")
    page.locator(GROUND).first.wait_for(state="attached")
    page.locator("#map_ortswahl").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#lat")).not_to_have_value("")
    first = page.locator("#lat").input_value()

    def is_further_south() -> bool:
        page.locator("#map_ortswahl").press("ArrowDown")
        page.get_by_role("button", name="Diesen Ort übernehmen").press("Enter")
        return float(page.locator("#lat").input_value()) < float(first)

    # The map takes no key while it still moves: then somebody presses it again.
    assert any(is_further_south() for _ in range(100))
    page.get_by_role("button", name="Absenden").click()
    expect(page.locator("body")).to_contain_text(re.compile(r"^7\.\d+ 5[12]\.\d+$"))


def test_a_place_outside_is_told_and_not_taken(visit):
    page = visit().open("/ort")
    page.locator(GROUND).first.wait_for(state="attached")
    box = page.locator("#map_ortswahl").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 30, box["y"] + box["height"] / 2)
    expect(page.get_by_role("status")).to_contain_text("liegt außerhalb")
    expect(page.locator("#lon")).to_have_value("")


def test_what_a_refused_form_kept_is_shown_again(visit):
    page = visit().open("/ort?lon=7,2938&lat=51,979")
    expect(page.get_by_role("img", name="Ort des Vorschlags")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("Kernstadt (51,97900 Nord, 7,29380 Ost)")
    expect(page.locator("#lat")).to_have_value("51,979")
    page.locator("#lat").fill("52,0100")
    page.locator("#lon").fill("7,3560")
    page.locator("#lon").blur()
    expect(page.get_by_role("status")).to_contain_text("Beerlage")


def test_the_own_position_is_asked_only_on_demand(visit):
    window = visit(geolocation={"longitude": MARKET[0], "latitude": MARKET[1]}, permissions=["geolocation"])
    page = window.open("/ort")
    page.locator(GROUND).first.wait_for(state="attached")
    expect(page.locator("#lon")).to_have_value("")
    page.get_by_role("button", name="Mein Standort").click()
    expect(page.locator("#lon")).to_have_value("7.293800")
    expect(page.get_by_role("status")).to_contain_text("Kernstadt")


def test_a_refused_position_is_no_dead_end(visit):
    page = visit(permissions=[]).open("/ort")
    page.locator(GROUND).first.wait_for(state="attached")
    page.get_by_role("button", name="Mein Standort").click()
    expect(page.get_by_role("status")).to_contain_text("Bitte tippen Sie auf die Karte.")


# ---- room and fingers


@pytest.mark.parametrize("size", [(320, 480), (700, 620), (1000, 500), (1440, 1000)])
def test_no_idea_is_lost_at_any_size_of_the_map(visit, points, size):
    points["some"] = crowd(57)
    page = visit(viewport={"width": size[0], "height": size[1]}).open("/karte/some")
    expect(page.get_by_role("status")).to_have_text("57 Vorschläge auf der Karte")
    # They are put on the map in several goes when the machine is slow.
    until(page, """[...document.querySelectorAll(".map-cluster__count")].reduce(
        (sum, one) => sum + Number(one.textContent), document.querySelectorAll(".map-pin").length) === 57""")


def test_one_finger_scrolls_the_page_until_the_map_is_tapped(visit, points):
    points["x"] = spread(["Eins"])
    page = visit(viewport={"width": 390, "height": 700}, has_touch=True, is_mobile=True).open("/karte/x")
    page.locator(PIN).wait_for()
    touch = "getComputedStyle(document.getElementById('map_karte')).touchAction"
    assert page.evaluate(touch) == "pan-x pan-y"
    page.locator("#map_karte").tap(position={"x": 200, "y": 60})
    until(page, f"{touch} === 'none'")
    page.get_by_role("heading", name="Karte").tap()
    until(page, f"{touch} === 'pan-x pan-y'")
