"""German texts of the maps: marked for translation here, translated by whoever renders the page."""

from __future__ import annotations


def N_(message: str) -> str:  # noqa: N802 - the name every gettext tool knows
    """Return the German source text unchanged; extraction finds it."""
    return message


SHARED_LABELS: dict[str, str] = {
    "zoomIn": N_("Hineinzoomen"),
    "zoomOut": N_("Herauszoomen"),
    "close": N_("Schließen"),
    "ctrlHint": N_("Zum Zoomen die Strg-Taste halten oder in die Karte klicken"),
    "touchHint": N_("Zum Verschieben zwei Finger benutzen oder auf die Karte tippen"),
    "place": N_("Ort des Vorschlags"),
}
"""What the scripts of every map say."""

OVERVIEW_LABELS: dict[str, str] = {
    "fullscreen": N_("Vollbild"),
    "exitFullscreen": N_("Vollbild beenden"),
    "cluster": N_("{count} Vorschläge, vergrößern"),
    "pin": N_("Vorschlag: {title}"),
    "supports": N_("{count} Unterstützungen"),
    "supportsOne": N_("1 Unterstützung"),
    "comments": N_("{count} Kommentare"),
    "commentsOne": N_("1 Kommentar"),
    "open": N_("Vorschlag ansehen"),
    "shown": N_("{count} Vorschläge auf der Karte"),
    "shownOne": N_("1 Vorschlag auf der Karte"),
    "shownNone": N_("Kein Vorschlag auf der Karte"),
    "loading": N_("Die Vorschläge werden geladen …"),
    "failed": N_("Die Vorschläge konnten nicht geladen werden. Sie finden alle auch in der Liste."),
    "retry": N_("Erneut versuchen"),
}
"""What the script of the overview says besides; {name} is filled in the browser."""

PICKER_LABELS: dict[str, str] = {
    "take": N_("Diesen Ort übernehmen"),
    "remove": N_("Ort entfernen"),
    "locate": N_("Mein Standort"),
    "locating": N_("Ihr Standort wird gesucht …"),
    "locateFailed": N_("Ihr Standort ist nicht bekannt. Bitte tippen Sie auf die Karte."),
    "locateOutside": N_("Ihr Standort liegt außerhalb. Bitte tippen Sie auf die Karte."),
    "chosen": N_("Ort gewählt: {place}"),
    "coordinates": N_("{lat} Nord, {lon} Ost"),
    "removed": N_("Der Ort ist entfernt."),
    "none": N_("Noch kein Ort gewählt."),
    "outside": N_("Dieser Ort liegt außerhalb. Bitte wählen Sie einen Ort innerhalb der Grenze."),
}
"""What the script of the picker says besides."""

OVERVIEW_NAME = N_("Karte der Vorschläge")
PICKER_NAME = N_("Karte: Ort wählen")
DETAIL_NAME = N_("Karte: Lage des Vorschlags")
OVERVIEW_HELP = N_(
    "Mit den Pfeiltasten verschieben Sie die Karte, mit Plus und Minus ändern Sie den Maßstab. "
    "Alle Vorschläge stehen auch in der Liste."
)
PICKER_HELP = N_(
    "Tippen oder klicken Sie auf die Karte. Mit der Tastatur: Karte mit den Pfeiltasten verschieben, "
    "dann „Diesen Ort übernehmen“ wählen."
)
NO_SCRIPT = N_("Die Karte braucht JavaScript. Alle Vorschläge stehen auch in der Liste.")
SKETCH_ATTRIBUTION = N_("Schematische Karte")
