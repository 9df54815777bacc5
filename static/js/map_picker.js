/**
 * Choosing a place in a form: a click, a dragged pin, the middle of the map by keyboard, or the own position. Fills two
 * inputs that the form sends; what they hold at the start (also after a refused form) is shown as a pin.
 */

export async function pickPlace(map, config, base) {
  const { labels } = config;
  const inputs = { lon: document.getElementById(config.lonInput), lat: document.getElementById(config.latInput) };
  const container = map.getContainer();
  const frame = container.parentElement;

  const tools = base.element("div", "map-tools");
  const button = (label, action) => {
    const made = base.element("button", "map-tool", label);
    made.type = "button";
    made.addEventListener("click", action);
    tools.append(made);
    return made;
  };
  const status = base.element("p", "map-status", labels.none);
  status.setAttribute("role", "status");
  const crosshair = base.element("div", "map-crosshair");
  crosshair.setAttribute("aria-hidden", "true");
  container.append(crosshair);

  let layers = {};
  let pin = null;
  const number = (value) => value.toLocaleString(document.documentElement.lang, { minimumFractionDigits: 5, maximumFractionDigits: 5 });

  /** As the server does, take places up to some 500 m beyond the line, which may be coarse. */
  function inside(lon, lat) {
    if (!layers.boundary) return true;
    const [dx, dy] = [0.0072, 0.0045];
    const around = [[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [0.7, 0.7], [-0.7, 0.7], [0.7, -0.7], [-0.7, -0.7]];
    return around.some(([x, y]) => base.contains(layers.boundary, lon + x * dx, lat + y * dy));
  }

  function describe(lon, lat) {
    const district = layers.districts?.features.find(({ geometry }) => base.contains(geometry, lon, lat));
    const where = base.fill(labels.coordinates, { lat: number(lat), lon: number(lon) });
    return base.fill(labels.chosen, { place: district ? `${district.properties.name} (${where})` : where });
  }

  function show(lon, lat) {
    if (!pin) {
      pin = L.marker([lat, lon], { icon: base.pinIcon(labels.place), draggable: true, keyboard: false, autoPan: true });
      pin.on("dragend", () => choose(pin.getLatLng()));
      pin.on("add", () => pin.getElement().setAttribute("role", "img"));
    }
    pin.setLatLng([lat, lon]).addTo(map);
    remove.hidden = false;
  }

  function fillInputs(lon, lat) {
    for (const [name, value] of [["lon", lon], ["lat", lat]]) {
      inputs[name].value = value;
      inputs[name].dispatchEvent(new Event("input", { bubbles: true }));
    }
  }

  function choose({ lat, lng }) {
    const place = L.latLng(lat, lng).wrap();
    if (!inside(place.lng, place.lat)) {
      status.textContent = labels.outside;
      const before = written();
      if (before) show(before.lng, before.lat);
      return false;
    }
    fillInputs(place.lng.toFixed(6), place.lat.toFixed(6));
    show(place.lng, place.lat);
    // From afar a click is coarse: go near, so that the pin can be put right.
    if (map.getZoom() < 14) map.setView(place, 15);
    status.textContent = describe(place.lng, place.lat);
    return true;
  }

  /** What the inputs say now, or null; a comma is a decimal sign. */
  function written() {
    const [lng, lat] = [inputs.lon, inputs.lat].map((input) => {
      const text = input.value.trim().replace(",", ".");
      return /^[+-]?\d{1,3}(\.\d+)?$/u.test(text) ? Number(text) : NaN;
    });
    return Number.isFinite(lng) && Number.isFinite(lat) && Math.abs(lat) <= 85 ? { lat, lng } : null;
  }

  function clear() {
    fillInputs("", "");
    pin?.remove();
    remove.hidden = true;
    status.textContent = labels.removed;
    take.focus();
  }

  function locate() {
    status.textContent = labels.locating;
    if (!navigator.geolocation) {
      status.textContent = labels.locateFailed;
      return;
    }
    navigator.geolocation.getCurrentPosition(({ coords }) => {
      if (choose({ lat: coords.latitude, lng: coords.longitude })) map.setView([coords.latitude, coords.longitude], 16);
      else status.textContent = labels.locateOutside;
    }, () => { status.textContent = labels.locateFailed; }, { timeout: 10_000, maximumAge: 60_000 });
  }

  const take = button(labels.take, () => choose(map.getCenter()));
  button(labels.locate, locate);
  const remove = button(labels.remove, clear);
  remove.hidden = true;
  frame.after(tools, status);

  map.on("click", ({ latlng }) => choose(latlng));
  container.addEventListener("keydown", (event) => {
    // Enter on the map itself takes its middle and must not send the form.
    if (event.key === "Enter" && event.target === container) {
      event.preventDefault();
      choose(map.getCenter());
    }
  });
  for (const input of Object.values(inputs)) {
    input.addEventListener("change", () => {
      const place = written();
      if (!place) return;
      show(place.lng, place.lat);
      map.panTo(place);
      status.textContent = inside(place.lng, place.lat) ? describe(place.lng, place.lat) : labels.outside;
    });
  }

  const ready = base.prepare(map, config);
  const start = written();
  if (start) {
    show(start.lng, start.lat);
    map.setView(start, 15, { animate: false });
  }
  // What a draft brought back, or a pair of numbers, may have come while the map was folded away.
  map.on("unfolded", () => {
    const place = written();
    if (place) map.setView(place, 15, { animate: false });
  });
  layers = await ready;
  if (start) status.textContent = inside(start.lng, start.lat) ? describe(start.lng, start.lat) : labels.outside;
}
