"""What happens when somebody has left: the last mail, and what a vote that goes on still holds of them."""

from __future__ import annotations

from participation import clock, outbox
from participation.contributions.personal.operations import take_back_of_left
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.processes.models import Phase
from participation.web import current_keyring


@outbox.job("take_back_of_left", N_("Stimmen gelöschter Konten in einer verlängerten Abstimmung zurücknehmen"))
def take_back_votes_of_left(context: outbox.JobContext) -> None:
    """Once more is the same as once."""
    with context.database.unit_of_work() as session:
        phase = session.get(Phase, context.args["phase_id"])
        if phase is not None:
            take_back_of_left(session, current_keyring(), phase, clock.now())


@outbox.job("mail_account_deleted", N_("E-Mail: Konto gelöscht"))
def mail_account_deleted(context: outbox.JobContext) -> None:
    """That it is done, and what became of the contributions."""
    recipient = current_keyring().unseal(context.args["email"])
    if recipient is None:
        return
    with mail_context():
        send(render_mail("account_deleted", key=context.key, recipient=recipient, name="",
                         take_along=context.args["take_along"]))
