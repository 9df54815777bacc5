// Single keys for moderators, only while the focus is inside the case (WCAG 2.1.4).
const pane = document.querySelector("[data-desk]");
if (pane) {
  const hint = document.querySelector("[data-desk-keys]");
  if (hint) hint.hidden = false;
  pane.tabIndex = -1;
  if (pane.dataset.desk === "chosen") pane.focus({ preventScroll: true });
  pane.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
    if (event.key === "a") pane.querySelector('button[value="approve"]')?.click();
    if (event.key === "g") {
      event.preventDefault();
      pane.querySelector('[name="rule_key"]')?.focus();
    }
  });
}
