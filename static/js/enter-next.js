/**
 * The keyboard of a phone says "next" in fields marked data-enter-next, and means it. Without this module Enter sends the
 * form, as ever.
 */
for (const field of document.querySelectorAll("[data-enter-next]")) {
  field.enterKeyHint = "next";
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.ctrlKey || event.metaKey) { return; }
    const fields = [...field.form.elements].filter((one) => one.matches("input:not([type=hidden]), textarea, select"));
    const next = fields[fields.indexOf(field) + 1];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  });
}
