"""The rules that a decision can name, in the words that its author reads (Art. 17 DSA in plain language)."""

from __future__ import annotations

from participation.i18n import N_

REASONS: dict[str, str] = {
    "personal_data": N_("Der Beitrag nennt persönliche Daten, zum Beispiel Namen, Telefonnummer oder Adresse."),
    "insult": N_("Der Beitrag beleidigt oder bedroht andere."),
    "advertising": N_("Der Beitrag ist Werbung oder enthält fremde Links."),
    "off_topic": N_("Der Beitrag gehört nicht zum Thema dieses Verfahrens."),
    "duplicate": N_("Diesen Vorschlag gibt es schon. Bitte unterstützen Sie den vorhandenen."),
    "unlawful": N_("Der Beitrag verstößt gegen ein Gesetz."),
    "unclear": N_("Der Beitrag ist nicht zu verstehen oder zu kurz."),
    "other": N_("Ein anderer Grund (bitte im Text nennen)."),
}

# What a reader can point out, in the reader's words; the keys are those of REASONS.
REPORT_REASONS: dict[str, str] = {
    "personal_data": N_("Persönliche Daten, zum Beispiel Name, Telefonnummer oder Adresse"),
    "insult": N_("Beleidigung, Bedrohung oder Hetze"),
    "advertising": N_("Werbung oder Betrug"),
    "unlawful": N_("Verstoß gegen ein Gesetz oder gegen meine Rechte"),
    "off_topic": N_("Gehört nicht hierher"),
    "other": N_("Etwas anderes"),
}
