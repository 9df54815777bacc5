/**
 * The place of this device for a list by distance, asked for by a button only. It is rounded here, before it leaves the
 * device, and stands in the address alone. Without this module a district or coordinates do.
 */
const form = document.querySelector("form[data-near]");
const offer = form?.querySelector("[data-near-locate]");
if (offer && navigator.geolocation) {
  const status = form.querySelector("[data-near-status]");
  offer.hidden = false;
  offer.querySelector("button").addEventListener("click", () => {
    status.textContent = form.dataset.waiting;
    navigator.geolocation.getCurrentPosition(({ coords }) => {
      form.elements.lat.value = coords.latitude.toFixed(3);
      form.elements.lon.value = coords.longitude.toFixed(3);
      if (form.elements.ortsteil) form.elements.ortsteil.value = "";
      form.submit();
    }, () => { status.textContent = form.dataset.failed; }, { timeout: 10_000, maximumAge: 60_000 });
  });
}
