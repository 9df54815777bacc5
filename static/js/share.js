/** Copying a link and printing need a script; without it they are not offered. */

for (const item of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) continue;
  item.hidden = false;
  item.querySelector("button").addEventListener("click", async () => {
    await navigator.clipboard.writeText(item.dataset.copy);
    item.querySelector("[role=status]").textContent = item.dataset.copied;
  });
}
for (const item of document.querySelectorAll("[data-print]")) {
  item.hidden = false;
  item.querySelector("button").addEventListener("click", () => print());
}
