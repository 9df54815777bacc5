"""Mails about accounts. Links are made here: a token in the outbox would be a token in the database."""

from __future__ import annotations

from typing import Any

from flask import url_for

from participation import clock, outbox, schedule
from participation.accounts.models import Account, TokenPurpose
from participation.accounts.operations.access import issue_email_change
from participation.accounts.operations.leaving import forget_expired
from participation.accounts.operations.links import issue_token, may_get_link, uncount_link
from participation.accounts.queries import account_by_email
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.permissions import ROLE_LABELS, Role
from participation.web import current_database, current_keyring


@schedule.hourly
def forget_expired_accounts() -> None:
    """Unconfirmed accounts after a week, sign-ins and links that ended."""
    with current_database().unit_of_work() as session:
        forget_expired(session, clock.now())


def _send_link(
    context: outbox.JobContext, purpose: TokenPurpose, template: str, endpoint: str, *, is_bounded: bool = False,
    **values: Any,  # noqa: ANN401 - as render_mail
) -> None:
    """The token is stored, then the mail sent, then the job is done: a second run makes a new link, the old one dies.

    `is_bounded` where anybody can have it sent: then the account gets no more than may hold at once.
    """
    with context.database.unit_of_work() as session:
        account, now = session.get(Account, context.args["account_id"]), clock.now()
        if account is None or account.is_disabled:
            return
        if is_bounded and not may_get_link(session, account, purpose, now):
            return
        token = issue_token(session, account.id, purpose, now)
        # The name in an invitation was given by a colleague.
        email, name = account.email, _greeted(account) if is_bounded else account.display_name
    _mail_link(context, template, endpoint, token, email, name, **values)


def _greeted(account: Account) -> str:
    """The name for the greeting. Of an address that nobody confirmed it may be what a stranger wants somebody to read."""
    return account.display_name if account.email_confirmed_at is not None else ""


def _mail_link(
    context: outbox.JobContext, template: str, endpoint: str, token: str, recipient: str, name: str, **values: Any  # noqa: ANN401 - as render_mail
) -> None:
    target = current_keyring().unseal(context.args["target"]) if context.args.get("target") else None
    try:
        with mail_context():
            link = url_for(endpoint, token=token, next=target or None, _external=True)
            send(render_mail(template, key=context.key, recipient=recipient, name=name, link=link, **values))
    except Exception:
        # The next try makes another; a link that perhaps nobody got is none of those that an account may get.
        with context.database.unit_of_work() as session:
            uncount_link(session, token)
        raise


@outbox.job("mail_confirm_email", N_("E-Mail: Adresse bestätigen"))
def mail_confirm_email(context: outbox.JobContext) -> None:
    """The link that confirms an address. Registrations of one moment are all stored before the first of these mails goes."""
    _send_link(context, TokenPurpose.CONFIRM_EMAIL, "confirm_email", "accounts.confirm", is_bounded=True)


@outbox.job("mail_reset", N_("E-Mail: neues Kennwort"))
def mail_reset(context: outbox.JobContext) -> None:
    """The link to a new password."""
    _send_link_if_known(context, TokenPurpose.RESET_PASSWORD, "reset", "accounts.reset")


@outbox.job("mail_invitation", N_("E-Mail: Einladung"))
def mail_invitation(context: outbox.JobContext) -> None:
    """The link for new staff, with what they are asked to do, and where."""
    _send_link(context, TokenPurpose.STAFF_INVITATION, "invitation", "accounts.invitation",
               role=ROLE_LABELS[Role(context.args["role"])], place=context.args["place"])


@outbox.job("mail_role_given", N_("E-Mail: neue Rolle"))
def mail_role_given(context: outbox.JobContext) -> None:
    """What somebody with an account may do now, and where."""
    with context.database.reading() as session:
        account = session.get(Account, context.args["account_id"])
        if account is None or account.is_disabled:
            return
        recipient, name = account.email, account.display_name
    with mail_context():
        link = url_for("administration.index", _external=True)
        send(render_mail("role_given", key=context.key, recipient=recipient, name=name, link=link,
                         role=ROLE_LABELS[Role(context.args["role"])], place=context.args["place"]))


@outbox.job("mail_known_address", N_("E-Mail: Adresse schon bekannt"))
def mail_known_address(context: outbox.JobContext) -> None:
    """Somebody registered with an address that has an account."""
    _notify(context, "known_address")


@outbox.job("mail_sign_in", N_("E-Mail: Anmelden per Link"))
def mail_sign_in(context: outbox.JobContext) -> None:
    """The link that signs in."""
    _send_link_if_known(context, TokenPurpose.SIGN_IN, "sign_in", "accounts.sign_in_by_link")


def _send_link_if_known(context: outbox.JobContext, purpose: TokenPurpose, template: str, endpoint: str) -> None:
    """If the address has an account, and it did not get too many already."""
    email = current_keyring().unseal(context.args["email"])
    with context.database.unit_of_work() as session:
        now = clock.now()
        account = session.scalar(account_by_email(email or ""))
        if account is None or not may_get_link(session, account, purpose, now):
            return
        token = issue_token(session, account.id, purpose, now)
        recipient, name = account.email, _greeted(account)
    _mail_link(context, template, endpoint, token, recipient, name)


@outbox.job("mail_change_email", N_("E-Mail: neue Adresse bestätigen"))
def mail_change_email(context: outbox.JobContext) -> None:
    """The link that confirms a new address; where that address has an account of its own, a mail that says so.

    The link is kept in either case, where it is taken for nobody: what the asking account shows then must not tell who
    else has one, nor whether an earlier link still works.
    """
    email = current_keyring().unseal(context.args["email"])
    with context.database.unit_of_work() as session:
        account = session.get(Account, context.args["account_id"])
        if account is None or account.is_disabled or email is None:
            return
        token = issue_email_change(session, account, context.args["email"], clock.now())
        other = session.scalar(account_by_email(email))
        name, is_taken = _greeted(other) if other is not None else "", other is not None
        if other is not None and other.is_disabled:
            return
    if is_taken:
        _mail_plain(context, "taken_address", email, name, "accounts.request_reset")
    else:
        _mail_link(context, "change_email", "accounts.confirm_new_email", token, email, name)


@outbox.job("mail_email_changed", N_("E-Mail: Adresse geändert"))
def mail_email_changed(context: outbox.JobContext) -> None:
    """To the old address, so that nobody loses an account unnoticed."""
    _notify(context, "email_changed", current_keyring().unseal(context.args["email"]))


@outbox.job("mail_password_changed", N_("E-Mail: Kennwort geändert"))
def mail_password_changed(context: outbox.JobContext) -> None:
    """So that the owner notices when it was somebody else."""
    _notify(context, "password_changed")


def _notify(context: outbox.JobContext, template: str, recipient: str | None = None) -> None:
    with context.database.reading() as session:
        account = session.get(Account, context.args["account_id"])
        if account is None or account.is_disabled:
            return
        recipient, name = recipient or account.email, _greeted(account)
    _mail_plain(context, template, recipient, name, "accounts.request_reset")


def _mail_plain(context: outbox.JobContext, template: str, recipient: str, name: str, endpoint: str) -> None:
    with mail_context():
        link = url_for(endpoint, _external=True)
        send(render_mail(template, key=context.key, recipient=recipient, name=name, link=link))
