"""A small server with the platform's policy, and a real Chromium that writes down what it must not do."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, Response, render_template_string, request
from werkzeug.serving import make_server

from mapping import clustering, features
from mapping.basemap import Basemap
from mapping.boundaries import load_boundary, load_districts
from mapping.features import MapPoint
from mapping.folium_map import (
    DetailOptions,
    MapOptions,
    MapParts,
    PickerOptions,
    Theme,
    render_detail_map,
    render_map,
    render_picker,
)
from mapping.geometry import BBox

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(features.__file__).parents[1]
DEMO = ROOT / "participation" / "demo"
THEMES = (Theme("mobil", "Mobilität"), Theme("klima", "Klima"))
# Milliseconds until something counts as missing, on a machine that does other things as well.
PATIENCE = 60_000
POINTS: dict[str, list[MapPoint]] = {}
PAGE = """<!doctype html><html lang="de"><head><meta charset="utf-8"><title>Karte</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
{{ map.head_tags() }}</head><body><main><h1>Karte</h1>
{% if kind == "overview" %}
<fieldset data-map-filter="map_karte"><legend>Themen</legend>
{% for theme in themes %}<label><input type="checkbox" value="{{ theme.key }}"> {{ theme.label }}</label>{% endfor %}
</fieldset>{{ map.html }}
<ul>{% for point in points[:40] %}<li data-feature-id="{{ point.id }}" data-theme="{{ point.theme }}">
<a href="/idee/{{ point.id }}">{{ point.title }}</a>
<button type="button" data-map-show hidden aria-label="Auf der Karte zeigen: {{ point.id }}">Karte</button>
</li>{% endfor %}</ul>
{% else %}<form method="post"><label>Länge <input id="lon" name="lon" value="{{ request.args.lon or "" }}"></label>
<label>Breite <input id="lat" name="lat" value="{{ request.args.lat or "" }}"></label>
{{ map.html }}<button>Absenden</button></form>{% endif %}</main>{{ map.script_tags(nonce) }}</body></html>"""


def build_app() -> Flask:  # noqa: C901 - one short function a page
    app = Flask(__name__, static_folder=str(ROOT / "static"))
    boundary = load_boundary((DEMO / "billerbeck_boundary.geojson").read_bytes())
    ground = features.layers_document(
        boundary=boundary.geojson,
        districts=[(str(one.name), one.geojson)
                   for one in load_districts((DEMO / "billerbeck_districts.geojson").read_bytes())],
        sketch=(DEMO / "billerbeck_sketch.geojson").read_text("utf-8"),
    )
    common: dict[str, Any] = {"bbox": boundary.bbox, "layers_url": "/grund.json"}

    def page(parts: MapParts, kind: str, points: list[MapPoint]) -> Response:
        nonce = secrets.token_urlsafe(12)
        response = Response(render_template_string(
            PAGE, map=parts, kind=kind, points=points, themes=THEMES, nonce=nonce
        ))
        response.headers["Content-Security-Policy"] = (
            f"default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
            "img-src 'self' data:; connect-src 'self'"
        )
        return response

    @app.get("/karte/<name>")
    def overview(name: str) -> Response:
        parts = render_map(MapOptions(
            data_url=f"/daten/{name}", detail_url="/idee/{id}", themes=THEMES,
            clustered_by_server="server" in request.args,
            basemap=Basemap("xyz_proxy", "https://tiles.example/{z}/{x}/{y}", "© Beispiel & Söhne")
            if "tiles" in request.args else Basemap(), **common,
        ))
        return page(parts, "overview", POINTS.get(name, []))

    @app.get("/daten/<name>")
    def data(name: str) -> Response:
        if name not in POINTS:
            return Response(status=503)
        points = POINTS[name]
        if "bbox" not in request.args:
            return Response(features.point_collection(points), mimetype=features.MIME_TYPE)
        box = BBox(*map(float, request.args["bbox"].split(",")))
        seen = {point.id: point for point in points if box.contains(point.lon, point.lat)}
        groups = clustering.cluster_points(
            ((point.id, point.lon, point.lat) for point in seen.values()), int(request.args["zoom"])
        )
        return Response(features.cluster_collection(groups, seen), mimetype=features.MIME_TYPE)

    @app.get("/ort")
    def picker() -> Response:
        return page(render_picker(PickerOptions(**common)), "picker", [])

    @app.post("/ort")
    def picked() -> Response:
        return Response(f"{request.form['lon']} {request.form['lat']}", mimetype="text/plain")

    @app.get("/idee/<id>")
    def detail(id: str) -> Response:
        return page(render_detail_map(DetailOptions(lon=7.2938, lat=51.979, **common)), "detail", [])

    @app.get("/grund.json")
    def layers() -> Response:
        return Response(ground, mimetype="application/json")

    @app.get("/karte/kacheln/<int:z>/<int:x>/<int:y>")
    def tile(z: int, x: int, y: int) -> Response:
        return Response(bytes.fromhex(
            "47494638396101000100800000d0d8d0000000 21f90400000000002c00000000010001000002024401003b".replace(" ", "")
        ), mimetype="image/gif")

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status=204)

    return app


@pytest.fixture(scope="session")
def map_server() -> Iterator[str]:
    """The address of the small server."""
    server = make_server("127.0.0.1", 0, build_app(), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()




class Visit:
    """One page, and all that went wrong on it."""

    def __init__(self, page: Page, server: str) -> None:
        self.page = page
        self.server = server
        self.troubles: list[str] = []
        self.foreign: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("console", lambda message: message.type in {"error", "warning"}
                and self.troubles.append(f"console: {message.text}"))
        page.on("dialog", lambda dialog: (self.troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda sent: None if sent.url.startswith((server, "data:", "blob:"))
                else self.foreign.append(sent.url))

    def open(self, path: str) -> Page:
        self.page.goto(self.server + path)
        return self.page

    def axe(self) -> list[str]:
        """Violations of WCAG A/AA and best practice on the page as it is now."""
        script = next((ROOT / "tests" / "vendor").glob("axe-core-*/axe.min.js"))
        self.page.evaluate(script.read_text("utf-8"))
        found = self.page.evaluate("() => axe.run(document)")
        return [
            f"{one['id']}: {one['help']} {[node['html'][:120] for node in one['nodes'][:3]]}"
            for one in found["violations"]
        ]


@pytest.fixture
def visit(chromium: Browser, map_server: str) -> Iterator[Callable[..., Visit]]:
    """Open a browser window with the given properties; each must end without trouble."""
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    opened: list[Visit] = []

    def new(**properties: Any) -> Visit:
        properties.setdefault("viewport", {"width": 1280, "height": 900})
        context = chromium.new_context(locale="de-DE", **properties)
        context.set_default_timeout(PATIENCE)
        opened.append(Visit(context.new_page(), map_server))
        return opened[-1]

    yield new
    for one in opened:
        one.page.context.close()
    assert [trouble for one in opened for trouble in one.troubles] == []
    assert [url for one in opened for url in one.foreign] == []


@pytest.fixture
def points() -> Iterator[dict[str, list[MapPoint]]]:
    """What the small server has to show, by name."""
    yield POINTS
    POINTS.clear()
