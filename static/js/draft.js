/**
 * What somebody writes is kept in this browser until it is handed in: a closed page, an empty battery or a dead
 * connection loses nothing. Never an address or a name, never at a device that many use. Without this module the form
 * works as ever; the server keeps what it was sent.
 *
 * Hook: <span hidden data-draft="key" data-form="id of the form" data-offer="… {when}" data-take="…" data-drop="…"
 * data-offline="…">
 */
const KEPT_DAYS = 30;
const FIELDS = "input[name=title], textarea[name=body], input[name=place], [name=theme_id], [name^=own-]";

function storage() {
  try {
    localStorage.setItem("draft-probe", "1");
    localStorage.removeItem("draft-probe");
    return localStorage;
  } catch {
    return null;
  }
}

const config = document.querySelector("[data-draft]")?.dataset;
const form = config && document.getElementById(config.form);
const store = form && storage();
if (form && store) {
  const key = `draft:${config.draft}`;
  const fields = () => [...form.querySelectorAll(FIELDS)];
  const read = () => {
    try {
      const kept = JSON.parse(store.getItem(key) ?? "null");
      return kept && Date.now() - kept.at < KEPT_DAYS * 86_400_000 ? kept : null;
    } catch {
      return null;
    }
  };
  const write = () => {
    const values = {};
    for (const field of fields()) {
      if (field.type === "checkbox") { if (field.checked) values[field.name] = [...(values[field.name] ?? []), field.value]; }
      else if (field.type === "radio") { if (field.checked) values[field.name] = field.value; } else if (field.value.trim()) values[field.name] = field.value;
    }
    if (values.title || values.body) store.setItem(key, JSON.stringify({ at: Date.now(), values }));
    else store.removeItem(key);
  };
  const note = (text, ...buttons) => {
    const box = document.createElement("div");
    box.className = "bp-panel bp-panel--accent bp-stack--s";
    box.setAttribute("role", "status");
    const words = document.createElement("p");
    words.textContent = text;
    box.append(words);
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

  const kept = read();
  const isEmpty = fields().every((field) => field.type === "radio" || field.type === "checkbox" || field.tagName === "SELECT" || !field.value.trim());
  if (kept && isEmpty) {
    const when = new Date(kept.at).toLocaleString(document.documentElement.lang, { dateStyle: "long", timeStyle: "short" });
    const box = note(
      config.offer.replace("{when}", when),
      button(config.take, "primary", () => {
        for (const field of fields()) {
          if (field.type === "checkbox") field.checked = (kept.values[field.name] ?? []).includes(field.value);
          else if (field.type === "radio") field.checked = field.value === kept.values[field.name];
          else if (kept.values[field.name] !== undefined) {
            field.value = kept.values[field.name];
            field.dispatchEvent(new Event("input", { bubbles: true }));
          }
        }
        // What comes back must be seen: optional fields lie folded.
        for (const field of fields()) {
          const fold = field.closest("details");
          if (fold && (field.type === "checkbox" || field.type === "radio" ? field.checked && field.value : field.value)) fold.open = true;
        }
        box.remove();
        form.querySelector("[name=title]")?.focus();
      }),
      button(config.drop, "secondary", () => { store.removeItem(key); box.remove(); }),
    );
  } else if (!kept) {
    store.removeItem(key);
  }

  let timer = 0;
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(write, 400); });
  addEventListener("pagehide", () => { if (timer) write(); });
  let told = null;
  form.addEventListener("submit", (event) => {
    write();
    if (navigator.onLine === false) {
      event.preventDefault();
      event.stopImmediatePropagation();
      told?.remove();
      told = note(config.offline);
      told.scrollIntoView({ block: "center" });
    }
  }, { capture: true });
}
// The receipt, or the form saved with the account, says that it arrived; only then is the copy here no longer needed.
const done = document.querySelector("[data-draft-done]")?.dataset.draftDone;
if (done && document.referrer.includes("/vorschlaege/neu")) {
  try { localStorage.removeItem(`draft:${done}`); } catch { /* nothing is kept here */ }
}
