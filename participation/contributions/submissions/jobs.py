"""The mail that confirms a submission."""

from __future__ import annotations

from flask import url_for

from participation import outbox
from participation.accounts.queries import recipient_of
from participation.contributions.models import Contribution
from participation.mail_templates import mail_context, render_mail, send
from participation.web import current_keyring


@outbox.job("mail_receipt")
def mail_receipt(context: outbox.JobContext) -> None:
    """Number and link, to whoever gave an address."""
    keyring = current_keyring()
    with context.database.reading() as session:
        contribution = session.get(Contribution, context.args["contribution_id"])
        token = keyring.unseal(context.args["token"])
        if contribution is None or token is None:
            return
        recipient = recipient_of(session, keyring, contribution.participant)
        number, name = contribution.receipt_number, contribution.participant.pseudonym
        title = getattr(contribution, "title", "")
    if recipient is None:
        return
    with mail_context():
        link = url_for("submissions.receipt", token=token, _external=True)
        send(render_mail("receipt", key=context.key, recipient=recipient, name=name, number=number, title=title,
                         link=link))
