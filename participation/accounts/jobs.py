"""Mails about accounts. Links are made here: a token in the outbox would be a token in the database."""

from __future__ import annotations

from flask import url_for

from participation import clock, outbox, schedule
from participation.accounts.models import Account, TokenPurpose
from participation.accounts.operations import forget_expired, issue_token
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.web import current_database


@schedule.hourly
def forget_expired_accounts() -> None:
    """Unconfirmed accounts after a week, sign-ins and links that ended."""
    with current_database().unit_of_work() as session:
        forget_expired(session, clock.now())


def _send_link(context: outbox.JobContext, purpose: TokenPurpose, template: str, endpoint: str) -> None:
    """The token is stored, then the mail sent, then the job is done: a second run makes a new link, the old one dies."""
    with context.database.unit_of_work() as session:
        account = session.get(Account, context.args["account_id"])
        if account is None or account.is_disabled:
            return
        token = issue_token(session, account.id, purpose, clock.now())
        email, name = account.email, account.display_name
    with mail_context():
        link = url_for(endpoint, token=token, _external=True)
        send(render_mail(template, key=context.key, recipient=email, name=name, link=link))


@outbox.job("mail_confirm_email", N_("E-Mail: Adresse bestätigen"))
def mail_confirm_email(context: outbox.JobContext) -> None:
    """The link that confirms an address."""
    _send_link(context, TokenPurpose.CONFIRM_EMAIL, "confirm_email", "accounts.confirm")


@outbox.job("mail_reset", N_("E-Mail: neues Kennwort"))
def mail_reset(context: outbox.JobContext) -> None:
    """The link to a new password."""
    _send_link(context, TokenPurpose.RESET_PASSWORD, "reset", "accounts.reset")


@outbox.job("mail_invitation", N_("E-Mail: Einladung"))
def mail_invitation(context: outbox.JobContext) -> None:
    """The link for new staff."""
    _send_link(context, TokenPurpose.STAFF_INVITATION, "invitation", "accounts.invitation")


@outbox.job("mail_known_address", N_("E-Mail: Adresse schon bekannt"))
def mail_known_address(context: outbox.JobContext) -> None:
    """Somebody registered with an address that has an account."""
    with context.database.reading() as session:
        account = session.get(Account, context.args["account_id"])
        if account is None or account.is_disabled:
            return
        email, name = account.email, account.display_name
    with mail_context():
        link = url_for("accounts.request_reset", _external=True)
        send(render_mail("known_address", key=context.key, recipient=email, name=name, link=link))
