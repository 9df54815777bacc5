/**
 * The map of all ideas: pins from our GeoJSON, grouped; a popup by textContent; the list beside it and the choice of
 * themes act on the map too.
 *
 * Hooks in the page, all optional:
 *   data-feature-id="12"                 an entry of the list; it and its pin light up together
 *   data-map-show (hidden button in it)  appears and leads to the pin
 *   data-map-filter="map_karte"          around checkboxes or a select whose values are keys of themes; an entry of
 *                                        the list with data-theme is hidden with its pin
 */

export function showContributions(map, config, base) {
  const { labels, themes } = config;
  const byTheme = new Map(themes.map((theme, index) => [theme.key, { ...theme, index }]));
  const frame = map.getContainer().parentElement;
  const status = base.element("p", "map-status");
  status.setAttribute("role", "status");
  frame.after(status);

  const counted = (one, many, count) => (count === 1 ? one : base.fill(many, { count: count.toLocaleString(document.documentElement.lang) }));
  const tell = (count) => {
    status.textContent = count === 0 ? labels.shownNone : counted(labels.shownOne, labels.shown, count);
  };
  const address = ({ id, properties }) => properties.url
    ?? config.detailUrl.replace("{id}", encodeURIComponent(String(id)));

  function popup(marker) {
    const { properties } = marker.feature;
    const box = base.element("div", "map-popup");
    const theme = byTheme.get(properties.theme);
    if (theme) {
      box.append(base.element("p", `map-popup__theme ${base.tone(theme.index)}`, theme.label));
    }
    box.append(base.element("p", "map-popup__title", properties.title));
    const counts = [];
    if (properties.supports !== undefined) counts.push(counted(labels.supportsOne, labels.supports, properties.supports));
    if (properties.comments !== undefined) counts.push(counted(labels.commentsOne, labels.comments, properties.comments));
    if (counts.length) box.append(base.element("p", "map-popup__counts", counts.join(" · ")));
    const link = base.element("a", "map-popup__link", labels.open);
    link.href = address(marker.feature);
    link.setAttribute("aria-label", `${labels.open}: ${properties.title}`);
    box.append(link);
    return box;
  }

  const group = L.markerClusterGroup({
    maxClusterRadius: 56,
    showCoverageOnHover: false,
    spiderfyDistanceMultiplier: 2,
    animate: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    chunkedLoading: true,
    iconCreateFunction: (cluster) => base.clusterIcon(
      cluster.getChildCount(), base.fill(labels.cluster, { count: cluster.getChildCount() }),
    ),
  });
  group.bindPopup(popup, { minWidth: 180, maxWidth: 250, autoPanPaddingTopLeft: [64, 20], autoPanPaddingBottomRight: [12, 12] });

  let markers = new Map();
  const names = new Map();
  function marker(feature) {
    const [lon, lat] = feature.geometry.coordinates;
    const title = feature.properties.title;
    const seen = (names.get(title) ?? 0) + 1;
    names.set(title, seen);
    const name = base.fill(labels.pin, { title: seen > 1 ? `${title} (${seen})` : title });
    const index = byTheme.get(feature.properties.theme)?.index ?? -1;
    const made = L.marker([lat, lon], { icon: base.pinIcon(name, base.tone(index)) });
    made.feature = feature;
    return made;
  }

  // ---- a tooltip for the eye, one for all pins; the pin's name already says the same to others

  const tip = L.tooltip({ direction: "top", offset: [0, -36], className: "map-tooltip", opacity: 1 });
  const showTip = (target) => {
    tip.setLatLng(target.getLatLng()).setContent(base.element("span", "", target.feature.properties.title));
    map.openTooltip(tip);
  };
  const entry = (id) => document.querySelector(`[data-feature-id="${CSS.escape(String(id))}"]`);
  const light = (target, on) => entry(target.feature.id)?.classList.toggle("is-highlighted", on);
  group.on("mouseover", ({ layer }) => { showTip(layer); light(layer, true); });
  group.on("mouseout", ({ layer }) => { map.closeTooltip(tip); light(layer, false); });
  map.on("popupopen", () => map.closeTooltip(tip));

  // ---- keyboard: after a group has been opened, the focus goes on to what was in it

  group.on("clusterkeypress clusterclick", ({ layer: cluster }) => {
    if (document.activeElement !== cluster.getElement?.()) return;
    const [first] = cluster.getAllChildMarkers();
    const follow = () => {
      if (document.activeElement !== document.body && document.activeElement?.isConnected) return;
      const next = group.getVisibleParent(first) ?? first;
      (next.getElement?.() ?? map.getContainer()).focus({ preventScroll: true });
    };
    group.once("animationend spiderfied", () => setTimeout(follow));
    map.once("moveend", () => setTimeout(follow, 350));
  });

  // ---- the list beside the map

  let lit = null;
  const unlight = () => { lit?.classList.remove("is-highlighted"); lit = null; };
  const fromList = ({ target }) => {
    const item = target.closest?.("[data-feature-id]");
    unlight();
    const found = item && markers.get(item.dataset.featureId);
    lit = (found && group.hasLayer(found) && group.getVisibleParent(found)?.getElement?.()) || null;
    lit?.classList.add("is-highlighted");
  };
  document.addEventListener("pointerover", fromList);
  document.addEventListener("focusin", fromList);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-map-show]");
    const found = button && markers.get(button.closest("[data-feature-id]")?.dataset.featureId);
    if (!found || !group.hasLayer(found)) return;
    frame.scrollIntoView({ block: "nearest" });
    group.zoomToShowLayer(found, () => group.getPopup() && found.fire("click", { latlng: found.getLatLng() }, true));
  });
  const offerButtons = () => document.querySelectorAll("[data-map-show]").forEach((button) => {
    button.hidden = !markers.has(button.closest("[data-feature-id]")?.dataset.featureId);
  });

  // ---- choice of themes

  const filters = document.querySelectorAll(`[data-map-filter="${map.getContainer().id}"]`);
  function chosen() {
    const values = [];
    for (const filter of filters) {
      filter.querySelectorAll("input:checked, option:checked").forEach(({ value }) => value && values.push(value));
    }
    return new Set(values);
  }
  function applyFilter() {
    const wanted = chosen();
    const fits = (theme) => wanted.size === 0 || wanted.has(theme);
    const visible = [...markers.values()].filter(({ feature }) => fits(feature.properties.theme));
    group.clearLayers();
    group.addLayers(visible);
    if (filters.length) {
      document.querySelectorAll("[data-feature-id][data-theme]").forEach((item) => {
        item.hidden = !fits(item.dataset.theme);
      });
    }
    tell(visible.length);
  }
  filters.forEach((filter) => filter.addEventListener("change", applyFilter));

  // ---- data

  function failed(again) {
    status.textContent = `${labels.failed} `;
    const button = base.element("button", "map-retry", labels.retry);
    button.type = "button";
    button.addEventListener("click", again);
    status.append(button);
  }

  async function loadAll() {
    status.textContent = labels.loading;
    try {
      const { features } = await base.fetchJson(config.dataUrl);
      names.clear();
      markers = new Map(features.map((feature) => [String(feature.id), marker(feature)]));
      applyFilter();
      offerButtons();
    } catch {
      failed(loadAll);
    }
  }

  const circles = L.layerGroup();
  function circle({ geometry, bbox, properties: { count } }) {
    const [lon, lat] = geometry.coordinates;
    const [west, south, east, north] = bbox;
    const made = L.marker([lat, lon], { icon: base.clusterIcon(count, base.fill(labels.cluster, { count })) });
    const open = () => {
      const near = map.getBoundsZoom([[south, west], [north, east]]);
      map.setView([lat, lon], Math.min(map.getMaxZoom(), Math.max(Math.min(near, 17), map.getZoom() + 1)));
      map.getContainer().focus({ preventScroll: true });
    };
    return made.on("click", open).on("keypress", ({ originalEvent }) => originalEvent.key === "Enter" && open());
  }

  let running = null;
  async function loadVisible() {
    running?.abort();
    running = new AbortController();
    const bounds = map.getBounds().pad(0.2);
    const url = new URL(config.dataUrl, location.href);
    url.searchParams.set("zoom", String(Math.round(map.getZoom())));
    url.searchParams.set("bbox", bounds.toBBoxString());
    for (const key of chosen()) url.searchParams.append("thema", key);
    try {
      const { features } = await base.fetchJson(url, running.signal);
      const open = map._popup?.isOpen() && map._popup._source?.feature;
      names.clear();
      circles.clearLayers();
      markers = new Map();
      let total = 0;
      for (const feature of features) {
        const { count } = feature.properties;
        total += count ?? 1;
        if (count) circle(feature).addTo(circles);
        else if (!open || open.id !== feature.id) markers.set(String(feature.id), marker(feature));
      }
      const keep = open ? group.getLayers().filter(({ feature }) => feature.id === open.id) : [];
      keep.forEach((kept) => markers.set(String(kept.feature.id), kept));
      group.removeLayers(group.getLayers().filter((layer) => !keep.includes(layer)));
      group.addLayers([...markers.values()].filter((layer) => !keep.includes(layer)));
      tell(total);
      offerButtons();
    } catch (error) {
      if (error.name !== "AbortError") failed(loadVisible);
    }
  }

  base.prepare(map, config);
  group.addTo(map);
  if (config.clustered) {
    circles.addTo(map);
    map.on("moveend", loadVisible);
    filters.forEach((filter) => {
      filter.removeEventListener("change", applyFilter);
      filter.addEventListener("change", loadVisible);
    });
    loadVisible();
  } else {
    loadAll();
  }
}
