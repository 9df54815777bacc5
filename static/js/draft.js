/**
 * What somebody writes is kept in this browser until it is handed in: a closed page, an empty battery or a dead
 * connection loses nothing. Never an address or a name, never at a device that many use. Without this module the form
 * works as ever; the server keeps what it was sent.
 *
 * Each text has a place of its own: what was left here once stays until the person takes it up or throws it away,
 * whatever they write meanwhile.
 *
 * Its place also says whose it is (draft:key|mark|number): what somebody wrote while they were signed in is offered to
 * nobody else, and goes when they sign out (menu.js). What a guest wrote is offered to whoever signs in afterwards, for
 * that is how one goes on with an account; written on by them, it is theirs.
 *
 * Hook: <span hidden data-draft="key" data-mark="mark of the account, empty for guests" data-form="id of the form" data-offer="… {when}" data-typed="…" data-take="…"
 * data-drop="…" data-offline="…">
 */
const KEPT_DAYS = 30;
const FIELDS = "input[name=title], textarea[name=body], input[name=place], [name=theme_id], [name^=own-]";
// Which text this tab is writing: the page that comes back from the server goes on with it.
const CURRENT = "draft-current";

function storage(kind) {
  try {
    const found = window[kind];
    found.setItem("draft-probe", "1");
    found.removeItem("draft-probe");
    return found;
  } catch {
    return null;
  }
}

const store = storage("localStorage");
const tab = storage("sessionStorage");
// The receipt, or the form saved with the account, says that it arrived; only then is the copy here no longer needed.
if (store && tab && document.querySelector("[data-draft-done]") && document.referrer.includes("/vorschlaege/neu")) {
  const sent = tab.getItem(CURRENT);
  if (sent) store.removeItem(sent);
  tab.removeItem(CURRENT);
}

const config = document.querySelector("[data-draft]")?.dataset;
const form = config && document.getElementById(config.form);
if (form && store) {
  const guests = `draft:${config.draft}|guest|`;
  const own = config.mark ? `draft:${config.draft}|${config.mark}|` : guests;
  const isOurs = (name) => Boolean(name?.startsWith(own) || name?.startsWith(guests));
  // Earlier ones did not say whose they are.
  for (const name of Object.keys(store)) if (name.startsWith("draft:") && name.split("|").length !== 3) store.removeItem(name);
  const fields = () => [...form.querySelectorAll(FIELDS)];
  const isChoice = (field) => field.type === "radio" || field.type === "checkbox" || field.tagName === "SELECT";
  const isEmpty = () => fields().every((field) => isChoice(field) || !field.value.trim());
  const entered = () => {
    const values = {};
    for (const field of fields()) {
      if (field.type === "checkbox") { if (field.checked) values[field.name] = [...(values[field.name] ?? []), field.value]; }
      else if (field.type === "radio") { if (field.checked) values[field.name] = field.value; } else if (field.value.trim()) values[field.name] = field.value;
    }
    return values;
  };
  const read = (name) => {
    try {
      const kept = JSON.parse(store.getItem(name) ?? "null");
      return kept && Date.now() - kept.at < KEPT_DAYS * 86_400_000 ? kept : null;
    } catch {
      return null;
    }
  };
  let current = tab?.getItem(CURRENT);
  if (isEmpty() || !isOurs(current)) current = null;
  const write = () => {
    if (isEmpty()) {
      if (current) store.removeItem(current);
      return;
    }
    if (current && !current.startsWith(own)) {
      store.removeItem(current);
      current = null;
    }
    current ??= `${own}${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
    store.setItem(current, JSON.stringify({ at: Date.now(), values: entered() }));
    tab?.setItem(CURRENT, current);
  };
  const fill = (values) => {
    for (const field of fields()) {
      if (field.type === "checkbox") field.checked = (values[field.name] ?? []).includes(field.value);
      else if (field.type === "radio") field.checked = field.value === values[field.name];
      else if (values[field.name] !== undefined || !isChoice(field)) {
        field.value = values[field.name] ?? "";
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
    }
    // What comes back must be seen: optional fields lie folded.
    for (const field of fields()) {
      const fold = field.closest("details");
      if (fold && (field.type === "checkbox" || field.type === "radio" ? field.checked && field.value : field.value)) fold.open = true;
    }
  };
  const note = (words, ...buttons) => {
    const box = document.createElement("div");
    box.className = "bp-panel bp-panel--accent bp-stack--s";
    box.setAttribute("role", "status");
    for (const text of words) {
      const line = document.createElement("p");
      line.textContent = text;
      box.append(line);
    }
    if (buttons.length) {
      const row = document.createElement("div");
      row.className = "bp-actions";
      row.append(...buttons);
      box.append(row);
    }
    form.before(box);
    return box;
  };
  const button = (label, kind, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = `kern-btn kern-btn--${kind}`;
    const text = document.createElement("span");
    text.className = "kern-label";
    text.textContent = label;
    made.append(text);
    made.addEventListener("click", act);
    return made;
  };
  // How each text was offered: one that is only put aside again is not what was "just written".
  const wordsOf = new Map();
  const offer = (name, kept, words) => {
    wordsOf.set(name, words);
    const { title, body, place } = kept.values;
    const beginning = title || body || place;
    const box = note(
      beginning ? [words, `„${beginning.slice(0, 80)}${beginning.length > 80 ? "…" : ""}“`] : [words],
      button(config.take, "primary", () => {
        // What stands in the form changes places with it: neither replaces the other.
        write();
        if (!isEmpty()) offer(current, read(current), wordsOf.get(current) ?? config.typed);
        current = name;
        tab?.setItem(CURRENT, current);
        fill(kept.values);
        // A guest's text is theirs from now on: signing out takes it along.
        if (!current.startsWith(own)) write();
        box.remove();
        form.querySelector("[name=title]")?.focus();
      }),
      button(config.drop, "secondary", () => { store.removeItem(name); box.remove(); }),
    );
  };

  if (!current) {
    const now = JSON.stringify(entered());
    const found = Object.keys(store).filter(isOurs).map((name) => [name, read(name)]);
    for (const [name, kept] of found.sort((one, other) => (other[1]?.at ?? 0) - (one[1]?.at ?? 0))) {
      if (!kept) store.removeItem(name);
      else if (JSON.stringify(kept.values) !== now) {
        const when = new Date(kept.at).toLocaleString(document.documentElement.lang.replace(/^en$/u, "en-GB"), { dateStyle: "long", timeStyle: "short" });
        offer(name, kept, config.offer.replace("{when}", when));
      }
    }
  }

  let timer = 0;
  form.addEventListener("input", (event) => {
    if (event.isTrusted) wordsOf.delete(current);
    clearTimeout(timer);
    timer = setTimeout(write, 400);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.closest("[data-forget]")) return;
    clearTimeout(timer);
    timer = 0;
  });
  addEventListener("pagehide", () => { if (timer) write(); });
  let told = null;
  form.addEventListener("submit", (event) => {
    write();
    if (navigator.onLine === false) {
      event.preventDefault();
      event.stopImmediatePropagation();
      told?.remove();
      told = note([config.offline]);
      told.scrollIntoView({ block: "center" });
    }
  }, { capture: true });
}
