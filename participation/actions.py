"""The list of everything a person can do. Who may is said in permissions.py, what a phase opens in formats.py."""

from __future__ import annotations

import enum


class Action(enum.Enum):
    """One thing a person can do; the value is its German name for the printed table of rights."""

    # There is one of each, and rules look them up in sets dozens of times a page; by their names that takes far longer.
    __hash__ = object.__hash__

    SEE_PROCESS = "Verfahren ansehen"
    SEE_CONTRIBUTION = "Beitrag ansehen"
    SUBMIT_PROPOSAL = "Vorschlag einreichen"
    ATTACH_PICTURES = "Bilder anhängen"
    EDIT_PROPOSAL = "Eigenen Vorschlag überarbeiten"
    WITHDRAW_CONTRIBUTION = "Eigenen Beitrag zurückziehen"
    INTRODUCE_ONESELF = "Als Gast Name und Adresse nachtragen"
    ATTACH_CONTRIBUTION = "Eigenen Beitrag dem Konto zuordnen"
    INVITE_CO_AUTHORS = "Zum Mitschreiben einladen"
    COMMENT = "Kommentieren"
    EDIT_COMMENT = "Eigenen Kommentar ändern"
    SUPPORT = "Unterstützen"
    FOLLOW = "Folgen"
    CAST_BALLOT = "Abstimmen"
    MANAGE_OWN_ACCOUNT = "Eigenes Konto verwalten"
    ENTER_STAFF_ROOM = "Interne Seiten betreten"
    MODERATE = "Beiträge moderieren"
    CREATE_PROCESS = "Verfahren anlegen"
    EDIT_PROCESS = "Verfahren bearbeiten"
    ANSWER_PROPOSAL = "Vorschläge offiziell beantworten"
    SEND_NEWSLETTER = "Rundbriefe schreiben"
    MANAGE_BALLOTS = "Stimmzettel vorbereiten"
    ANNUL_VOTES = "Stimmen annullieren"
    EXPORT_CONTRIBUTIONS = "Beiträge auswerten und mitnehmen"
    MANAGE_CATALOGUE = "Maßnahmenkatalog bearbeiten"
    VERIFY_RESIDENTS = "Nachweise ausstellen"
    GIVE_ROLES = "Rollen in einem Verfahren vergeben"
    MANAGE_JOBS = "Aufträge und E-Mails einsehen"
    MANAGE_ACCOUNTS = "Konten des Personals verwalten"
    EDIT_MUNICIPALITY = "Kommune bearbeiten"


# By which residents contribute something themselves.
TAKING_PART = (Action.SUBMIT_PROPOSAL, Action.COMMENT, Action.SUPPORT, Action.CAST_BALLOT)
