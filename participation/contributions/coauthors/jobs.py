"""The mail that invites somebody to write along."""

from __future__ import annotations

from flask import url_for

from participation import clock, outbox, schedule
from participation.contributions.coauthors.operations import forget_expired
from participation.contributions.proposals.models import Proposal
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.web import current_database, current_keyring


@schedule.hourly
def forget_expired_invitations() -> None:
    """After two weeks."""
    with current_database().unit_of_work() as session:
        forget_expired(session, clock.now())


@outbox.job("mail_invite_co_author", N_("E-Mail: Einladung zum Mitschreiben"))
def mail_invite_co_author(context: outbox.JobContext) -> None:
    """To an address that somebody typed: so it repeats nothing that they wrote."""
    keyring = current_keyring()
    address, token = keyring.unseal(context.args["email"]), keyring.unseal(context.args["token"])
    with context.database.reading() as session:
        proposal = session.get(Proposal, context.args["proposal_id"])
        process = proposal.process.title if proposal is not None else ""
    if not (address and token and process):
        return
    with mail_context():
        link = url_for("coauthors.invitation", token=token, _external=True)
        send(render_mail("invite_co_author", key=context.key, recipient=address, process=process, link=link))
