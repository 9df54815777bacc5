/** Brings the error summary into focus after a refused form, and the field behind a link of it. */
const summary = document.querySelector("[data-error-summary]");
if (summary) {
  summary.focus();
  summary.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) { return; }
    const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
    if (!target) { return; }
    event.preventDefault();
    const field = target.matches("fieldset") ? target.querySelector("input, select, textarea") ?? target : target;
    field.focus({ preventScroll: true });
    (field.closest(".bp-field") ?? field).scrollIntoView({ block: "start" });
  });
}
