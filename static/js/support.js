/**
 * Supports a proposal, or takes the support back, without leaving the page. The form works without this module; when
 * anything goes wrong here, it is sent as it stands, and the server's page says what hinders. Only where too many votes
 * came from one address (429) the answer is shown here: sent again it would count as one more.
 */
for (const box of document.querySelectorAll("[data-support]")) {
  const form = box.querySelector("form");
  if (!form) { continue; }
  const button = form.querySelector("button");
  const label = button.querySelector(".kern-label");
  const status = box.querySelector("[data-support-status]");
  let sending = false;

  const show = ({ supported, count, message }) => {
    // No count: it is secret until the phase is over.
    const unit = count === 1 ? box.dataset.one : box.dataset.many;
    const number = count === null ? "" : count.toLocaleString(document.documentElement.lang);
    if (count !== null) {
      box.querySelector("[data-support-count]").textContent = number;
      box.querySelector("[data-support-unit]").textContent = unit;
    }
    form.action = supported ? form.dataset.withdrawUrl : form.dataset.supportUrl;
    label.textContent = supported ? form.dataset.withdrawLabel : form.dataset.supportLabel;
    button.classList.toggle("kern-btn--primary", !supported);
    button.classList.toggle("kern-btn--secondary", supported);
    status.textContent = count === null ? message : `${message} ${number} ${unit}.`;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) { return; }
    sending = true;
    button.setAttribute("aria-disabled", "true");
    try {
      const answer = await fetch(form.action, {
        method: "POST",
        headers: { Accept: "application/json", "X-CSRFToken": form.elements.csrf_token.value },
      });
      if (answer.status === 429) {
        status.textContent = (await answer.json()).message;
      } else {
        if (!answer.ok) { throw new Error(`HTTP ${answer.status}`); }
        show(await answer.json());
      }
    } catch {
      form.submit();
      return;
    }
    sending = false;
    button.removeAttribute("aria-disabled");
  });
}
