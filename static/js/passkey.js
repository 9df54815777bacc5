/**
 * Passkeys: makes a key or signs in by one. Forms marked data-passkey stay hidden where the browser knows no passkeys;
 * password and mailed link stand beside them and need no script.
 */
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/** The server's options with bytes where the browser wants bytes. */
const decoded = (options) => ({
  ...options,
  challenge: bytes(options.challenge),
  ...(options.user && { user: { ...options.user, id: bytes(options.user.id) } }),
  ...["allowCredentials", "excludeCredentials"].reduce((all, name) => (options[name]
    ? { ...all, [name]: options[name].map((one) => ({ ...one, id: bytes(one.id) })) } : all), {}),
});

/** What the device answered, with text where JSON wants text. */
const encoded = (credential) => {
  const response = { clientDataJSON: base64url(credential.response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) { response[name] = base64url(credential.response[name]); }
  }
  return { id: credential.id, rawId: base64url(credential.rawId), type: credential.type, response };
};

/** What the server refuses, in words for people. */
class Refusal extends Error {}

const post = async (address, token, body) => {
  const answer = await fetch(address, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify(body),
  });
  const content = await answer.json();
  if (content.location) { location.assign(content.location); }
  if (!answer.ok) { throw new Refusal(content.message); }
  return content;
};

if (window.PublicKeyCredential && navigator.credentials) {
  document.querySelectorAll("[data-passkey-missing]").forEach((note) => { note.hidden = true; });
  for (const form of document.querySelectorAll("[data-passkey]")) {
    const status = form.querySelector("[role=alert]");
    const error = form.querySelector("[data-passkey-error]").content;
    const button = form.querySelector("button");
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (button.getAttribute("aria-disabled") === "true") { return; }
      button.setAttribute("aria-disabled", "true");
      status.replaceChildren();
      const token = form.elements.csrf_token.value;
      try {
        const publicKey = decoded(await post(form.dataset.begin, token, {}));
        const credential = await navigator.credentials[form.dataset.passkey]({ publicKey });
        await post(form.dataset.finish, token, { credential: encoded(credential), name: form.elements.name?.value });
        return;
      } catch (reason) {
        const said = error.cloneNode(true);
        said.querySelector("[data-passkey-message]").textContent = (reason instanceof Refusal && reason.message) || form.dataset.failed;
        status.replaceChildren(said);
        button.removeAttribute("aria-disabled");
      }
    });
  }
}
