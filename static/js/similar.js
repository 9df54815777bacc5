/**
 * Shows what others proposed already while somebody writes. Waits for a pause, asks only when title and text have
 * changed, and says the number once. Without this module the preview shows the same.
 */
const place = document.querySelector("[data-similar]");
const form = place?.closest("form");
const title = form?.querySelector("[name=title]");
const body = form?.querySelector("[name=body]");
if (title && body) {
  const status = form.querySelector("[data-similar-status]");
  const LEAST = 8;
  const PAUSE = 700;
  let timer;
  let asked = "";
  let running;

  const ask = async () => {
    const words = `${title.value}\u0000${body.value}`;
    if (title.value.trim().length + body.value.trim().length < LEAST || words === asked) { return; }
    asked = words;
    running?.abort();
    running = new AbortController();
    const data = new FormData();
    data.set("csrf_token", form.querySelector("[name=csrf_token]").value);
    data.set("title", title.value);
    data.set("body", body.value);
    try {
      const answer = await fetch(place.dataset.similar, { method: "POST", body: data, signal: running.signal });
      if (!answer.ok) { return; }
      const piece = document.createRange().createContextualFragment(await answer.text());
      const found = piece.querySelector("[data-similar-found]")?.dataset.similarFound ?? "";
      // A link that somebody is about to press must not move away.
      if (place.contains(document.activeElement)) { return; }
      const fold = piece.querySelector("details");
      if (fold) { fold.open = place.querySelector("details")?.open ?? false; }
      place.replaceChildren(piece);
      if (status.textContent !== found) { status.textContent = found; }
    } catch {
      // No connection: writing goes on without hints.
    }
  };

  for (const field of [title, body]) {
    field.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(ask, PAUSE);
    });
  }
}
