/**
 * Says how many characters are left, once that matters. The text is spoken only near the end and after a pause, so that a screen reader
 * is not interrupted at every key.
 */
for (const counter of document.querySelectorAll("[data-char-count]")) {
  const field = document.getElementById(counter.dataset.charCount);
  if (!field) { continue; }
  const most = Number(counter.dataset.charCountMax);
  const spoken = document.createElement("span");
  spoken.className = "kern-sr-only";
  spoken.setAttribute("aria-live", "polite");
  counter.after(spoken);
  // The browser would cut pasted text without a word; we let it in and say how much is too much.
  field.removeAttribute("maxlength");
  let timer;
  const update = () => {
    const left = most - [...field.value.replace(/\r\n?/gu, "\n")].length;
    const pattern = left < 0 ? counter.dataset.charCountOver : counter.dataset.charCountText;
    const text = pattern.replace("{n}", Math.abs(left).toLocaleString(document.documentElement.lang));
    counter.textContent = text;
    counter.hidden = left > most * 0.2;
    counter.classList.toggle("bp-counter--over", left < 0);
    clearTimeout(timer);
    if (left < most * 0.1) { timer = setTimeout(() => { spoken.textContent = text; }, 1000); }
  };
  field.addEventListener("input", update);
  update();
}
