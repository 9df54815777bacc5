"""The mail that invites somebody to write along."""

from __future__ import annotations

from flask import url_for

from participation import clock, outbox, schedule
from participation.contributions.coauthors.operations import forget_expired
from participation.contributions.proposals.models import Proposal
from participation.i18n import N_
from participation.language import DEFAULT
from participation.mail_templates import language_of_address, mail_context, render_mail, send
from participation.processes.queries import title_in
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
        if proposal is None or not (address and token):
            return
        title = title_in(session, proposal.process, language_of_address(address) or DEFAULT)
    with mail_context():
        link = url_for("coauthors.invitation", token=token, _external=True)
        send(render_mail("invite_co_author", key=context.key, recipient=address, process=title, link=link))
