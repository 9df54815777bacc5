/**
 * Two kindnesses for forms marked data-form-guard: a second press of the button sends nothing more, and leaving with
 * unsaved text asks first. The button stays focusable; it says that it is busy.
 */
for (const form of document.querySelectorAll("form[data-form-guard]")) {
  const texts = () => [...form.querySelectorAll("textarea, input:not([type=hidden], [type=password], [type=file])")]
    .map((field) => (field.type === "checkbox" || field.type === "radio" ? field.checked : field.value)).join("\u0000");
  const before = texts();
  let sending = false;
  const release = () => {
    sending = false;
    for (const button of form.querySelectorAll("[aria-disabled=true]")) { button.removeAttribute("aria-disabled"); }
  };

  form.addEventListener("submit", (event) => {
    if (sending) {
      event.preventDefault();
      return;
    }
    sending = true;
    const button = event.submitter ?? form.querySelector("[type=submit]");
    button?.setAttribute("aria-disabled", "true");
    // A lost connection leaves the page standing; then the button must work again.
    setTimeout(release, 15000);
  });

  addEventListener("beforeunload", (event) => {
    if (!sending && texts() !== before) { event.preventDefault(); }
  });

  // Back in the browser shows the page as it was left: it must be possible to send again.
  addEventListener("pageshow", (event) => {
    if (event.persisted) { release(); }
  });
}
