"""Folium's classes with our own files instead of its foreign hosts; imported only when a map is rendered."""

from __future__ import annotations

from typing import Any, Literal

import folium
from folium.elements import JSCSSMixin
from folium.plugins import Fullscreen
from folium.template import Template


class OwnMap(folium.Map):
    """Folium's map: its html and script as they are, its links replaced."""

    def __init__(self, *, scripts: tuple[str, ...], stylesheets: tuple[str, ...], **options: Any) -> None:  # noqa: ANN401 - Folium's own options pass through
        """Set the links on the object, since the lists of the class are shared by everybody."""
        super().__init__(**options)
        self.default_js = _named(scripts)
        self.default_css = _named(stylesheets)


class OwnFullscreen(Fullscreen):
    """The button for the whole screen; its few rules of style are in static/map.css."""

    def __init__(self, *, script: str, **options: Any) -> None:  # noqa: ANN401 - Folium's own options pass through
        """Take the address of our copy."""
        super().__init__(**options)  # type: ignore[no-untyped-call]  # Folium's plugins carry no types
        self.default_js = _named((script,))
        self.default_css = []


class OwnTiles(folium.TileLayer):
    """Tiles of our own host. Folium guesses a name from the address, which it need not."""

    def __init__(self, *, tiles: str, attr: str, max_zoom: int) -> None:
        """Name the layer ourselves."""
        super().__init__(tiles=tiles, attr=attr, max_zoom=max_zoom, name="basemap", control=False)
        self._id = "basemap"


class Behaviour(JSCSSMixin):
    """Calls our module with the map and its configuration: the only data that enters the script."""

    _template = Template(
        """
        {% macro script(this, kwargs) %}
            {{ this.function }}({{ this._parent.get_name() }}, {{ this.config | tojson }}, base);
        {% endmacro %}
        """
    )

    def __init__(
        self, kind: Literal["overview", "picker", "detail"], config: dict[str, Any], *, scripts: tuple[str, ...]
    ) -> None:
        """`config` is dumped as JSON with <, >, & and ' escaped (jinja's tojson)."""
        super().__init__()  # type: ignore[no-untyped-call]  # Folium's mixin carries no types
        self._name = "Behaviour"
        self.function = {"overview": "showContributions", "picker": "pickPlace", "detail": "showPlace"}[kind]
        self.config = config
        self.default_js = _named(scripts)
        self.default_css = []


def _named(urls: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(url, url) for url in urls]
