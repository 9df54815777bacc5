/**
 * The one main action of a long page comes under the thumb of a phone once it has gone out of sight above; on the first
 * screen it stands in its place and covers nothing. Without this module it stays there.
 *
 * Hook: <div class="bp-dock" data-dock> around the button.
 */
for (const place of document.querySelectorAll("[data-dock]")) {
  new IntersectionObserver(([seen]) => {
    const isPast = !seen.isIntersecting && seen.boundingClientRect.bottom < 0;
    place.classList.toggle("bp-dock--under-thumb", isPast);
  }).observe(place);
}
