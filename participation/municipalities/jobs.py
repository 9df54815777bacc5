"""Mails of a municipality to itself."""

from __future__ import annotations

import json

from participation import outbox
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.municipalities.models import Municipality
from participation.web import current_keyring


@outbox.job("mail_barrier", N_("E-Mail: gemeldete Barriere"))
def mail_barrier(context: outbox.JobContext) -> None:
    """What somebody could not use, to the municipality's own address."""
    with context.database.reading() as session:
        municipality = session.get(Municipality, context.args["municipality_id"])
        recipient = municipality.email if municipality else ""
    plain = current_keyring().unseal(context.args["sealed"])
    if not recipient or plain is None:
        return
    content = json.loads(plain)
    with mail_context():
        send(render_mail(
            "barrier", key=context.key, recipient=recipient, message=content["message"], page=content["page"],
            reply_to=content["reply_to"],
            headers=(("Reply-To", content["reply_to"]),) if content["reply_to"] else (),
        ))
