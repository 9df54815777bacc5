"""The rules that a decision can name, in the words that its author reads (Art. 17 DSA in plain language)."""

from __future__ import annotations

from participation.i18n import N_

OTHER = "other"

REASONS: dict[str, str] = {
    "personal_data": N_("Der Beitrag nennt persönliche Daten, zum Beispiel Namen, Telefonnummer oder Adresse."),
    "insult": N_("Der Beitrag beleidigt oder bedroht andere."),
    "advertising": N_("Der Beitrag ist Werbung oder enthält fremde Links."),
    "off_topic": N_("Der Beitrag gehört nicht zum Thema dieses Verfahrens."),
    "duplicate": N_("Diesen Vorschlag gibt es schon. Bitte unterstützen Sie den vorhandenen."),
    "unlawful": N_("Der Beitrag verstößt gegen ein Gesetz."),
    "unclear": N_("Der Beitrag ist nicht zu verstehen oder zu kurz."),
    OTHER: N_("Ein anderer Grund (bitte im Text nennen)."),
}

# A beginning for the statement, which the moderator changes to fit. The other reason has none: it must be said.
TEMPLATES: dict[str, str] = {
    "personal_data": N_(
        "In Ihrem Text stehen persönliche Daten. Jeder könnte sie lesen. Bitte nehmen Sie diese Angaben heraus."
    ),
    "insult": N_(
        "Einige Wörter in Ihrem Text verletzen andere. Bitte sagen Sie Ihre Meinung so, dass niemand beleidigt wird."
    ),
    "advertising": N_(
        "Ihr Text wirbt für ein Angebot oder führt auf andere Seiten. Bitte schreiben Sie ohne Werbung und Links."
    ),
    "off_topic": N_(
        "Ihr Anliegen ist wichtig, gehört aber nicht in dieses Verfahren. Bitte wenden Sie sich damit an das Rathaus."
    ),
    "duplicate": N_(
        "Diese Idee hat schon jemand eingereicht. Bitte unterstützen oder kommentieren Sie den vorhandenen Vorschlag."
    ),
    "unlawful": N_("Ihr Text verstößt gegen geltendes Recht. Deshalb dürfen wir ihn nicht veröffentlichen."),
    "unclear": N_(
        "Wir haben Ihren Text nicht ganz verstanden. Bitte schreiben Sie genauer, was sich wo ändern soll und warum."
    ),
}


def public_reason(rule_key: str, statement: str) -> str:
    """The rule and the moderator's own words, as the author reads them."""
    rule = REASONS.get(rule_key, "") if rule_key != OTHER else ""
    return "\n\n".join(part for part in (rule, statement) if part)
