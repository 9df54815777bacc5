"""The last mail to somebody who left."""

from __future__ import annotations

from participation import outbox
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.web import current_keyring


@outbox.job("mail_account_deleted", N_("E-Mail: Konto gelöscht"))
def mail_account_deleted(context: outbox.JobContext) -> None:
    """That it is done, and what became of the contributions."""
    recipient = current_keyring().unseal(context.args["email"])
    if recipient is None:
        return
    with mail_context():
        send(render_mail("account_deleted", key=context.key, recipient=recipient, name="",
                         take_along=context.args["take_along"]))
