"""Newsletters on their way: in batches, a second try for whom a server hesitated, and the test to the writer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import url_for
from flask_babel import force_locale, gettext as _

from participation import outbox, schedule
from participation.accounts.models import Account
from participation.following.jobs import BATCH, Reader, go_on, list_headers, own_links, post_one, reader_of
from participation.following.models import Follower
from participation.following.newsletters import operations
from participation.following.newsletters.models import Newsletter, NewsletterState
from participation.following.newsletters.queries import newsletter_receivers
from participation.i18n import N_
from participation.language import DEFAULT, LANGUAGES
from participation.mail import Mail, RefusedError, outgoing
from participation.mail_templates import mail_context, render_mail, send
from participation.processes.queries import title_in
from participation.web import current_database, current_keyring, current_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


@schedule.hourly
def resume_stopped_newsletters() -> None:
    """Whatever a mail server kept from being sent."""
    with current_database().unit_of_work() as session:
        operations.resume_newsletters(session)


@outbox.job("send_newsletter", N_("E-Mails: Rundbrief"))
def send_newsletter(context: outbox.JobContext) -> None:
    """One batch of a newsletter; asks for the next."""
    newsletter_id, keyring = context.args["newsletter_id"], current_keyring()
    with context.database.reading() as session:
        newsletter = session.get(Newsletter, newsletter_id)
        if newsletter is None or newsletter.state is not NewsletterState.SENDING:
            return
        due = session.execute(
            newsletter_receivers(newsletter.process_id).where(Follower.id > newsletter.reached).limit(BATCH)).all()
        readers = [reader_of(keyring, follower, account) for follower, account in due]
        letter = _Letter(session, newsletter)
    with mail_context():
        mails = [letter.to(one) if one.address else None for one in readers]
    with outgoing(current_settings()) as post:
        for reader, message in zip(readers, mails, strict=True):
            refused = post_one(post, message) if message is not None else True
            with context.database.unit_of_work() as session:
                operations.note_reached(session, newsletter_id, reader.id, refused=refused)
    if len(readers) == BATCH:
        go_on(context, "send_newsletter", f"newsletter:{newsletter_id}:{readers[-1].id}", newsletter_id=newsletter_id)
    else:
        with context.database.unit_of_work() as session:
            operations.finish_newsletter(session, newsletter_id)


@outbox.job("mail_newsletter_late", N_("E-Mail: Rundbrief, zweiter Versuch"))
def mail_newsletter_late(context: outbox.JobContext) -> None:
    """To one whose server asked for patience. Raises DelayedError when it still does; the outbox tries again."""
    keyring = current_keyring()
    with context.database.reading() as session:
        newsletter = session.get(Newsletter, context.args["newsletter_id"])
        if newsletter is None:
            return
        due = session.execute(
            newsletter_receivers(newsletter.process_id).where(Follower.id == context.args["follower_id"])).first()
        if due is None:
            return
        letter, reader = _Letter(session, newsletter), reader_of(keyring, due[0], due[1])
    with mail_context():
        message = letter.to(reader)
    with outgoing(current_settings()) as post:
        try:
            post(message)
            refused = False
        except RefusedError:
            refused = True
    with context.database.unit_of_work() as session:
        if context.finish(session):
            operations.note_delivery(session, letter.id, reader.id, refused=refused)


@outbox.job("mail_newsletter_test", N_("E-Mail: Probe eines Rundbriefs"))
def mail_newsletter_test(context: outbox.JobContext) -> None:
    """To its writer alone."""
    with context.database.reading() as session:
        newsletter = session.get(Newsletter, context.args["newsletter_id"])
        account = session.get(Account, context.args["account_id"])
        if newsletter is None or account is None or account.is_disabled:
            return
        letter, writer = _Letter(session, newsletter), Reader(0, account.email, account.display_name, "", account.locale)
    with mail_context():
        send(letter.to(writer, key=context.key))


class _Letter:
    """A newsletter, ready to be addressed."""

    def __init__(self, session: Session, newsletter: Newsletter) -> None:
        self.id, self.subject, self.body = newsletter.id, newsletter.subject, newsletter.body
        self.slug, self.author = newsletter.process.slug, newsletter.author
        self.titles = {language: title_in(session, newsletter.process, language) for language in LANGUAGES}

    def to(self, reader: Reader, *, key: str = "") -> Mail:
        """The letter to one reader."""
        with force_locale(reader.locale):
            return render_mail(
                "newsletter", key=key or operations.newsletter_key(self.id, reader.id), recipient=reader.address or "",
                name=reader.name, letter=self, process=self.titles.get(reader.locale, self.titles[DEFAULT]),
                link=url_for("processes.show", slug=self.slug, _external=True),
                headers=list_headers(reader.token, "rundbrief") if reader.token else (),
                test_mark="" if reader.id else _("Probe: "), **own_links(reader.token),
            )
