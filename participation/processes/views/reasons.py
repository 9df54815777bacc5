"""Why whoever wanted to take part stands before the sign-in page, or the one of the proofs.

Read off the address that leads back: whatever sends somebody there says it by itself, and nobody can put words of their
own on our page.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from flask import current_app, request, url_for
from flask_babel import gettext as _
from markupsafe import escape
from werkzeug.exceptions import HTTPException

from participation import web
from participation.actions import Action
from participation.errors import NotFound
from participation.formats import Verification
from participation.i18n import N_
from participation.permissions import NEEDED, phase_for, proofs_asked, verification_missing
from participation.processes.edge import load_process
from participation.processes.models import Phase, Process

# What people came for, by the page they come back to, and by the place on it.
_ON_PAGE = {
    "submissions.new": Action.SUBMIT_PROPOSAL, "comments.new": Action.COMMENT, "votes.back": Action.SUPPORT,
    "votes.back_again": Action.SUPPORT, "comments.show": Action.SUPPORT, "ballots.show": Action.CAST_BALLOT,
}
_AT_PLACE = {
    "mitreden": Action.COMMENT, "unterstuetzen": Action.SUPPORT, "kommentare": Action.SUPPORT, "abstimmen": Action.CAST_BALLOT,
}
_ACCOUNT = {
    Action.SUBMIT_PROPOSAL: N_("Zum Einreichen brauchen Sie hier ein Konto mit bestätigter E-Mail-Adresse."),
    Action.COMMENT: N_("Zum Kommentieren brauchen Sie hier ein Konto mit bestätigter E-Mail-Adresse."),
    Action.SUPPORT: N_("Zum Unterstützen brauchen Sie hier ein Konto mit bestätigter E-Mail-Adresse."),
    Action.CAST_BALLOT: N_("Zum Abstimmen brauchen Sie hier ein Konto mit bestätigter E-Mail-Adresse."),
}
# Which setting of a phase lets people do it without an account.
_WITHOUT_ACCOUNT = {Action.SUBMIT_PROPOSAL: "admits_guests", Action.COMMENT: "guest_comments"}


def why_sign_in(target: str, provider: str) -> str:
    """What an account is needed for, and which proof is asked for besides; empty where nothing is known to hinder."""
    action, place = _meant(target)
    phase = phase_for(action, place, web.current_now()) if action and place else None
    if action is None or phase is None:
        return ""
    asked = proofs_asked(action, place, web.current_now())
    level = next((one for one in asked if (action, one) in NEEDED), None)
    if level is not None:
        how = (_("Nehmen Sie dafür „Weiter mit %(provider)s“.", provider=provider) if level is Verification.OIDC and provider
               else _("Melden Sie sich zuerst an. Danach zeigen wir Ihnen, wie Sie das nachweisen."))
        return str(escape(f"{_(NEEDED[action, level])} {how}"))
    if not asked and getattr(phase.settings, _WITHOUT_ACCOUNT.get(action, ""), False):
        return ""
    return str(escape(_(_ACCOUNT[action])))


def why_proof(target: str, provider: str) -> str:
    """Which proof whoever is signed in still owes, and how to give it; empty where none is missing."""
    action, place = _meant(target)
    missing = verification_missing(web.current_actor(), action, place, web.current_now()) if action and place else None
    if action is None or missing is None or (action, missing) not in NEEDED:
        return ""
    how = {
        Verification.LETTER: _("Geben Sie ihn unten ein. Danach geht es dort weiter, wo Sie waren."),
        Verification.RESIDENCE: _("Wie das geht, steht unten bei „Wohnsitz bestätigen lassen“."),
        Verification.OIDC: _("Nehmen Sie dafür „Weiter mit %(provider)s“.", provider=provider) if provider else "",
    }.get(missing, "")
    return str(escape(f"{_(NEEDED[action, missing])} {how}".strip()))


def back_without(target: str) -> str:
    """Where to go back to without the proof: a form that asks for it would only lead here again."""
    endpoint, values = _page_of(target)
    if endpoint == "submissions.new":
        target = url_for("processes.show", slug=values["slug"])
    elif endpoint == "comments.new":
        target = url_for("proposals.show", **values)
    # What a part says goes onto the page as it is.
    return str(escape(target))


def _page_of(target: str) -> tuple[str, dict[str, Any]]:
    """Which page of ours an address opens, with its values; nothing for any other."""
    adapter = current_app.create_url_adapter(request)
    try:
        endpoint, values = adapter.match(unquote(urlsplit(target).path), method="GET") if target and adapter else ("", {})
    except (HTTPException, ValueError):
        return "", {}
    return str(endpoint), dict(values)


def _meant(target: str) -> tuple[Action | None, Process | Phase | None]:
    """What somebody wants to do, and where; nothing for an address that says neither."""
    endpoint, values = _page_of(target)
    # Of several votes each has a place: "abstimmen-7".
    place = urlsplit(target).fragment.partition("-")[0]
    action = _ON_PAGE.get(endpoint) or (_AT_PLACE.get(place) if endpoint == "proposals.show" else None)
    try:
        process = load_process(values["slug"]) if action else None
    except NotFound:
        return None, None
    phase = next((one for one in process.phases if one.id == values.get("phase_id")), None) if process else None
    return action, phase or process


PARTS = {"why_sign_in": why_sign_in, "why_proof": why_proof, "back_without": back_without}
