/**
 * What all maps share: the ground (boundary, districts, sketch), names for assistive technology, popups that give the
 * focus back, and no trap for people who only want to scroll past. Leaflet is a classic script and global as `L`.
 */

const SVG = "http://www.w3.org/2000/svg";
const PIN = "M15 38.5C14 35 2 25 2 15a13 13 0 0 1 26 0c0 10-12 20-13 23.5Z";
const TONES = 8;

/** Puts values into a label: fill("{count} Ideen", {count: 3}). */
export const fill = (label, values) => label.replace(/\{(\w+)\}/gu, (_all, name) => String(values[name] ?? ""));

/** An element with classes and a text; texts never pass through HTML. */
export function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Shows the frame of a map; it stays hidden where scripts don't run or Leaflet did not arrive. */
export function reveal(id) {
  if (!window.L) throw new Error("Leaflet is missing");
  document.getElementById(`${id}-frame`).classList.add("is-ready");
}

/** The class of a pin's colour; the colour is never the only information. */
export const tone = (index) => `map-pin--tone-${index < 0 ? "none" : index % TONES}`;

function pinDrawing() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 30 40");
  svg.setAttribute("aria-hidden", "true");
  const body = document.createElementNS(SVG, "path");
  body.setAttribute("d", PIN);
  const eye = document.createElementNS(SVG, "circle");
  for (const [name, value] of [["cx", 15], ["cy", 15], ["r", 5]]) eye.setAttribute(name, value);
  svg.append(body, eye);
  return svg;
}

/** Icons are created by us so that each has its name from the first moment on. */
function namedIcon(options, name, content) {
  const Named = L.DivIcon.extend({
    createIcon(old) {
      const node = L.DivIcon.prototype.createIcon.call(this, old);
      node.replaceChildren(content());
      node.setAttribute("aria-label", name);
      return node;
    },
  });
  return new Named(options);
}

export const pinIcon = (name, toneClass = tone(0)) => namedIcon({
  className: `map-pin ${toneClass}`, iconSize: [30, 40], iconAnchor: [15, 39], popupAnchor: [0, -34],
}, name, pinDrawing);

export function clusterIcon(count, name) {
  const size = count < 10 ? 40 : count < 100 ? 46 : count < 10_000 ? 54 : 64;
  return namedIcon(
    { className: "map-cluster", iconSize: [size, size] },
    name,
    () => element("span", "map-cluster__count", count.toLocaleString(document.documentElement.lang)),
  );
}

/** Fetches JSON of our own host. */
export async function fetchJson(url, signal) {
  const answer = await fetch(url, { headers: { Accept: "application/geo+json, application/json" }, signal });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return answer.json();
}

/** Whether [lon, lat] lies in a Polygon or MultiPolygon geometry. */
export function contains(geometry, lon, lat) {
  const inRing = (ring) => {
    let inside = false;
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
      const [x1, y1] = ring[i];
      const [x2, y2] = ring[j];
      if ((y1 > lat) !== (y2 > lat) && lon < ((x2 - x1) * (lat - y1)) / (y2 - y1) + x1) inside = !inside;
    }
    return inside;
  };
  const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
  return polygons.some(([outer, ...holes]) => inRing(outer) && !holes.some(inRing));
}

const rings = (geometry) => (geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates)
  .map(([outer]) => outer.map(([lon, lat]) => [lat, lon]));

function pane(map, name, zIndex) {
  map.createPane(name).style.zIndex = zIndex;
  return { pane: name, interactive: false };
}

/** The point of a coarse grid that lies deepest in a polygon: where its name has most room. */
function middle(polygon) {
  const bounds = polygon.getBounds();
  const edges = polygon.getLatLngs().flat(2);
  const scale = Math.cos((bounds.getCenter().lat * Math.PI) / 180);
  const geometry = polygon.toGeoJSON().geometry;
  let best = bounds.getCenter();
  let room = 0;
  for (let i = 1; i < 14; i += 1) {
    for (let j = 1; j < 14; j += 1) {
      const lat = bounds.getSouth() + ((bounds.getNorth() - bounds.getSouth()) * i) / 14;
      const lng = bounds.getWest() + ((bounds.getEast() - bounds.getWest()) * j) / 14;
      const free = Math.min(...edges.map((edge) => Math.hypot((edge.lng - lng) * scale * 0.6, edge.lat - lat)));
      if (free > room && contains(geometry, lng, lat)) [best, room] = [L.latLng(lat, lng), free];
    }
  }
  return best;
}

function label(map, latLng, text, kind, minZoom, maxZoom = 99) {
  const marker = L.marker(latLng, {
    pane: "map-labels", interactive: false, keyboard: false,
    icon: L.divIcon({ className: `map-label map-label--${kind}`, html: element("span", "", text), iconSize: null }),
  });
  const update = () => {
    const visible = map.getZoom() >= minZoom && map.getZoom() <= maxZoom;
    if (visible !== map.hasLayer(marker)) map[visible ? "addLayer" : "removeLayer"](marker);
  };
  map.on("zoomend", update);
  update();
}

const LINES = new Set(["stream", "railway", "road", "street"]);

function drawSketch(map, sketch) {
  const shapes = sketch.features.filter((feature) => feature.geometry.type !== "Point");
  const draw = (feature, className) => L.geoJSON(feature, {
    ...map.groundOptions, style: { className, fill: !feature.geometry.type.includes("Line") },
  }).addTo(map);
  const kind = (feature) => (/^[a-z]+$/u.test(feature.properties.kind) ? feature.properties.kind : "street");
  shapes.filter((feature) => !LINES.has(kind(feature))).forEach((f) => draw(f, `map-ground map-ground--${kind(f)}`));
  const lines = shapes.filter((feature) => LINES.has(kind(feature)));
  // All casings before all fills, so that crossing roads flow into each other.
  lines.filter((f) => kind(f) !== "stream").forEach((f) => draw(f, `map-casing map-casing--${kind(f)}`));
  for (const wanted of ["stream", "street", "road", "railway"]) {
    lines.filter((f) => kind(f) === wanted).forEach((f) => draw(f, `map-ground map-ground--${wanted}`));
  }
  for (const feature of sketch.features) {
    const { name, kind: what, min_zoom: minZoom = 13, max_zoom: maxZoom } = feature.properties;
    const [lon, lat] = feature.geometry.type === "Point" ? feature.geometry.coordinates
      : feature.properties.label ?? [];
    if (name && lat !== undefined) label(map, [lat, lon], name, what, minZoom, maxZoom);
  }
}

function drawLayers(map, layers, withSketch) {
  map.groundOptions = pane(map, "map-ground", 210);
  const borders = pane(map, "map-borders", 230);
  pane(map, "map-labels", 450);
  map.getPane("map-labels").style.pointerEvents = "none";
  const outlines = layers.boundary ? rings(layers.boundary) : [];
  if (outlines.length && withSketch) {
    L.polygon(outlines, { ...map.groundOptions, className: "map-town" }).addTo(map);
  }
  if (withSketch && layers.sketch) drawSketch(map, layers.sketch);
  for (const district of layers.districts?.features ?? []) {
    const outline = L.polygon(rings(district.geometry), { ...borders, className: "map-district" }).addTo(map);
    label(map, middle(outline), district.properties.name, "district", 11.5, 14.5);
  }
  if (outlines.length) {
    const world = [[85, -180], [85, 180], [-85, 180], [-85, -180]];
    L.polygon([world, ...outlines], { ...borders, className: "map-outside" }).addTo(map);
    L.polygon(outlines, { ...borders, className: "map-boundary" }).addTo(map);
  }
}

function nameControls(map, labels) {
  const container = map.getContainer();
  for (const [selector, text] of [["zoom-in", labels.zoomIn], ["zoom-out", labels.zoomOut]]) {
    const button = container.querySelector(`.leaflet-control-${selector}`);
    button?.setAttribute("aria-label", text);
    button?.setAttribute("title", text);
  }
  const full = container.querySelector(".leaflet-control-zoom-fullscreen");
  if (full) {
    map.on("enterFullscreen exitFullscreen", ({ type }) => {
      full.setAttribute("aria-label", type === "enterFullscreen" ? labels.exitFullscreen : labels.fullscreen);
    });
  }
}

/** Links and pins that act as buttons also answer to the space bar. */
function pressWithSpace(event) {
  if (event.key === " " && event.target.getAttribute("role") === "button") {
    event.preventDefault();
    event.target.click();
  }
}

function carePopups(map, labels) {
  let opener = null;
  map.on("popupopen", ({ popup }) => {
    opener = document.activeElement?.classList.contains("leaflet-marker-icon") ? document.activeElement
      : popup._source?.getElement?.() ?? null;
    const node = popup.getElement();
    const heading = node.querySelector(".map-popup__title");
    node.setAttribute("role", "dialog");
    if (heading) node.setAttribute("aria-label", heading.textContent);
    node.querySelector(".leaflet-popup-close-button")?.setAttribute("aria-label", labels.close);
    (node.querySelector("a:not(.leaflet-popup-close-button)") ?? node).focus({ preventScroll: true });
  });
  map.on("popupclose", ({ popup }) => {
    const active = document.activeElement;
    if (active !== document.body && !popup.getElement()?.contains(active)) return;
    (opener?.isConnected ? opener : map.getContainer()).focus({ preventScroll: true });
  });
  map.getContainer().addEventListener("keydown", (event) => {
    if (event.key === "Escape" && map._popup?.isOpen()) {
      event.preventDefault();
      event.stopPropagation();
      map.closePopup();
    }
  });
}

/** The wheel and a single finger scroll the page until the map has the focus. */
function letPagesScroll(map, labels) {
  const container = map.getContainer();
  const coarse = matchMedia("(pointer: coarse)").matches;
  const hint = element("div", "map-hint");
  hint.setAttribute("aria-hidden", "true");
  container.append(hint);
  let timer = 0;
  const tell = (text) => {
    hint.textContent = text;
    hint.classList.add("is-shown");
    clearTimeout(timer);
    timer = setTimeout(() => hint.classList.remove("is-shown"), 1400);
  };
  const awake = (yes) => {
    map.scrollWheelZoom[yes ? "enable" : "disable"]();
    if (coarse) map.dragging[yes ? "enable" : "disable"]();
  };
  awake(false);
  container.addEventListener("pointerup", () => awake(true));
  container.addEventListener("focusin", () => awake(true));
  document.addEventListener("pointerdown", (event) => { if (!container.contains(event.target)) awake(false); });
  container.addEventListener("focusout", (event) => { if (!container.contains(event.relatedTarget)) awake(false); });
  container.addEventListener("wheel", (event) => {
    if (map.scrollWheelZoom.enabled()) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      map.setZoomAround(map.mouseEventToLatLng(event), map.getZoom() - Math.sign(event.deltaY) * 0.5);
    } else {
      tell(labels.ctrlHint);
    }
  }, { passive: false });
  if (coarse) {
    container.addEventListener("touchmove", (event) => {
      if (event.touches.length === 1 && !map.dragging.enabled()) tell(labels.touchHint);
    }, { passive: true });
  }
}

/**
 * Makes a fresh map of Folium ready. Gives a promise of the layers document, so that others can ask it too; it
 * resolves to {} if the ground can't be fetched: the points matter more.
 */
export async function prepare(map, config) {
  const container = map.getContainer();
  const { labels } = config;
  container.classList.add("map");
  container.setAttribute("role", "region");
  container.setAttribute("aria-label", config.name);
  if (document.getElementById(`${container.id}-help`)) {
    container.setAttribute("aria-describedby", `${container.id}-help`);
  }
  map.attributionControl.setPrefix(false);
  if (config.attribution && config.basemap !== "xyz_proxy") {
    const source = element("span", "", config.attribution);
    map.attributionControl.addAttribution(source.innerHTML);
  }
  nameControls(map, labels);
  carePopups(map, labels);
  letPagesScroll(map, labels);
  container.addEventListener("keydown", pressWithSpace);
  const scale = () => container.style.setProperty("--map-scale", 2 ** ((map.getZoom() - 13) / 2.2));
  map.on("zoomend", scale);
  map.setMaxZoom(config.maxZoom);
  map.setMaxBounds(L.latLngBounds(config.bounds).pad(1));
  const frame = () => {
    map.invalidateSize({ animate: false });
    // A whole number: markercluster loses single pins below a broken one.
    map.setMinZoom(Math.max(3, Math.floor(map.getBoundsZoom(config.bounds)) - 1));
    map.fitBounds(config.bounds, { padding: [8, 8], animate: false });
  };
  if (container.clientWidth) frame();
  else {
    // Folded away, a map has no size to fit into.
    map.setView(L.latLngBounds(config.bounds).getCenter(), 12, { animate: false });
    new ResizeObserver((_, observer) => {
      if (!container.clientWidth) return;
      observer.disconnect();
      frame();
      map.fire("unfolded");
    }).observe(container);
  }
  scale();
  if (config.basemap === "pmtiles") {
    const flavor = getComputedStyle(container).getPropertyValue("--map-flavor").trim() || "light";
    window.protomapsL.leafletLayer({ url: config.pmtilesUrl, flavor, lang: "de", attribution: "" }).addTo(map);
  }
  let layers = config.layers ?? {};
  if (config.layersUrl) {
    layers = await fetchJson(config.layersUrl).catch(() => ({}));
  }
  drawLayers(map, layers, config.basemap === "none");
  return layers;
}

/** The small map of a detail page. */
export function showPlace(map, config) {
  prepare(map, config);
  map.setView(config.point, 14.5, { animate: false });
  L.marker(config.point, { icon: pinIcon(config.labels.place), keyboard: false, interactive: false })
    .on("add", ({ target }) => target.getElement().setAttribute("role", "img"))
    .addTo(map);
}
