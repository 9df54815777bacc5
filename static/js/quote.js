/**
 * A passage of the proposal that somebody marks can be quoted with one press. Without this module it is copied into the
 * field by hand.
 */
const text = document.querySelector("[data-quotable]");
if (text) {
  const button = document.createElement("a");
  button.className = "kern-btn kern-btn--secondary bp-quote-button";
  button.hidden = true;
  const label = document.createElement("span");
  label.className = "kern-label";
  label.textContent = text.dataset.quoteLabel;
  button.append(label);
  text.after(button);
  document.addEventListener("selectionchange", () => {
    const selection = document.getSelection();
    const inside = selection && selection.rangeCount && text.contains(selection.getRangeAt(0).commonAncestorContainer);
    const words = inside ? selection.toString().replace(/\s+/g, " ").trim() : "";
    button.hidden = words.length < 8 || words.length > 500;
    if (!button.hidden) {
      const address = new URL(text.dataset.quotable, location.href);
      address.searchParams.set("zitat", words);
      button.href = address;
    }
  });
}
