"""Maps and places: a leaf that knows no database, no Flask and no rights.

It receives points and layers already filtered by rights, and gives back data and safe parts of pages. Coordinates are
always (lon, lat) in degrees, EPSG:4326, unless a name says otherwise.

geometry     `parse_point(lon_text, lat_text, area, place=…)` for forms: None if both are empty, else the checked point;
             `check_point`, `parse_coordinate`; `load_boundary(bytes)` and `load_districts(bytes)` for uploads (WGS 84
             or UTM 32); `area_from_geojson(text)` (cached) → `Area.contains`; `district_of`; `distance_metres`.
             All raise `GeometryError` with `.message` (German gettext source), `.params`, `.field`.
projection   `to_utm`, `to_wgs84`: EPSG:4326 ↔ EPSG:25832.
clustering   `cluster_points(points, zoom)`: groups for a zoom level; worth it above `CLUSTER_FROM` points.
features     `point_collection(MapPoint…)`, `cluster_collection(…)` → pieces of GeoJSON; `layers_document(…)` → ground.
basemap      `basemap_from_settings(kind, source, attribution)`; none, xyz_proxy or pmtiles, always from our own host.
tiles        `TileStore(basemap, folder, bbox).tile(z, x, y)`: what the view of xyz_proxy answers, from disk or afar.
folium_map   `render_map(MapOptions)`, `render_picker(PickerOptions)`, `render_detail_map(DetailOptions)` → `MapParts`.

In a template, with `map` a `MapParts`:

    {% block head_extra %}{{ map.head_tags() }}{% endblock %}
    {{ map.html }}
    {% block scripts %}{{ map.script_tags(csp_nonce()) }}{% endblock %}

`map.script` is the same for the same options. A page that must stay in the page cache serves it as a file of its own
(text/javascript) and calls `map.script_file_tags(address)` instead, which needs no nonce.

The scripts are static/js/map_base.js (ground, names, focus), map_overview.js and map_picker.js; the hooks that lists
and filters beside a map can use are described at the top of map_overview.js. Styles are in static/map.css.
"""
