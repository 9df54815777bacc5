/**
 * Closes an open menu with Escape or by a click elsewhere. Without this module the menu opens and closes by its button.
 * Who signs out takes along what they had not sent yet (draft.js): the next person sits at the same browser.
 */
document.addEventListener("submit", (event) => {
  const mark = event.target.closest("[data-forget]")?.dataset.forget;
  if (!mark) { return; }
  try {
    for (const name of Object.keys(localStorage)) {
      if (name.startsWith("draft:") && name.includes(`|${mark}|`)) { localStorage.removeItem(name); }
    }
  } catch {
    // A browser that keeps nothing has nothing to forget.
  }
});
for (const menu of document.querySelectorAll("details[data-menu]")) {
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) { menu.open = false; }
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}
