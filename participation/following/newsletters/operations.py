"""Writing, trying and sending a newsletter, and counting whom it reached."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import update

from participation import audit, clock, outbox, text
from participation.actions import Action
from participation.errors import Checks, Conflict
from participation.following.delivery import note_bounce
from participation.following.models import Follower
from participation.following.newsletters.models import Newsletter, NewsletterState
from participation.following.newsletters.queries import late_newsletters, receivers_number, stopped_newsletters
from participation.i18n import N_
from participation.mail import number_of
from participation.permissions import Actor, require

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from participation.returned_mail import Returned
    from participation.tokens import Keyring

SUBJECT_MAX = 150
BODY_MAX = 20_000
# A server that asks for patience (greylisting) usually means some minutes.
PATIENCE = timedelta(minutes=20)
# So long after it was sent a letter may still come back.
COMES_BACK_WITHIN = timedelta(days=30)


def write_newsletter(
    session: Session, actor: Actor, process: Process, subject: str, body: str, now: datetime,
    newsletter: Newsletter | None = None,
) -> Newsletter:
    """Keep a draft. Raises InvalidInput, NotAllowed, or Conflict when it is already on its way."""
    require(actor, Action.SEND_NEWSLETTER, process, now)
    checks = Checks()
    with checks:
        clean_subject = text.checked(
            text.clean_line(subject), SUBJECT_MAX, field="subject", missing=N_("Bitte geben Sie einen Betreff an."),
            too_long=N_("Der Betreff ist zu lang. Höchstens %(number)s Zeichen sind möglich."))
    with checks:
        clean_body = text.checked(
            text.clean_text(body), BODY_MAX, field="body", missing=N_("Bitte schreiben Sie einen Text."),
            too_long=N_("Der Text ist zu lang. Höchstens %(number)s Zeichen sind möglich."))
    checks.done()
    if newsletter is None:
        newsletter = Newsletter(process_id=process.id, created_at=now, author=actor.display_name)
        session.add(newsletter)
    elif newsletter.state is not NewsletterState.DRAFT:
        raise Conflict(N_("Dieser Rundbrief ist schon verschickt."))
    newsletter.subject, newsletter.body = clean_subject, clean_body
    session.flush()
    return newsletter


def test_newsletter(session: Session, actor: Actor, newsletter: Newsletter, now: datetime) -> None:
    """Send it to its writer alone."""
    require(actor, Action.SEND_NEWSLETTER, newsletter.process, now)
    outbox.enqueue(session, "mail_newsletter_test", f"newsletter-test:{newsletter.id}:{now.isoformat()}",
                   newsletter_id=newsletter.id, account_id=actor.account_id)


def send_newsletter(session: Session, actor: Actor, newsletter: Newsletter, now: datetime) -> None:
    """Send it to everybody who follows the process. Raises Conflict when it is already on its way, or for nobody."""
    require(actor, Action.SEND_NEWSLETTER, newsletter.process, now)
    receivers = receivers_number(session, newsletter.process_id)
    if not receivers:
        raise Conflict(N_("Noch folgt niemand diesem Verfahren. Der Rundbrief bleibt als Entwurf gespeichert."))
    started = session.execute(
        update(Newsletter).where(Newsletter.id == newsletter.id, Newsletter.state == NewsletterState.DRAFT)
        .values(state=NewsletterState.SENDING, receivers=receivers, sent_at=now)
        .execution_options(synchronize_session=False).returning(Newsletter.id)
    ).all()
    if not started:
        raise Conflict(N_("Dieser Rundbrief ist schon verschickt."))
    session.expire(newsletter)
    outbox.enqueue(session, "send_newsletter", f"newsletter:{newsletter.id}:0", newsletter_id=newsletter.id)
    audit.record(session, at=now, actor=actor.label, action="send_newsletter", subject_type="newsletter",
                 subject_id=newsletter.id, receivers=receivers)


def delete_newsletter(session: Session, actor: Actor, newsletter: Newsletter, now: datetime) -> None:
    """Drop a draft. Raises Conflict when it was sent."""
    require(actor, Action.SEND_NEWSLETTER, newsletter.process, now)
    if newsletter.state is not NewsletterState.DRAFT:
        raise Conflict(N_("Dieser Rundbrief ist schon verschickt."))
    session.delete(newsletter)
    session.flush()


def newsletter_key(newsletter_id: int, follower_id: int) -> str:
    """Of the mail in which one follower gets one newsletter."""
    return f"newsletter:{newsletter_id}:{follower_id}"


def note_reached(session: Session, newsletter_id: int, follower_id: int, *, refused: bool | None) -> None:
    """One of them has got it, or their server refused it; None: it gets it later, by a job of its own."""
    reached = update(Newsletter).where(Newsletter.id == newsletter_id, Newsletter.reached < follower_id)
    session.execute(reached.values(reached=follower_id).execution_options(synchronize_session=False))
    if refused is None:
        outbox.enqueue(session, "mail_newsletter_late", f"newsletter:{newsletter_id}:to:{follower_id}",
                       not_before=clock.now() + PATIENCE, newsletter_id=newsletter_id, follower_id=follower_id)
    else:
        note_delivery(session, newsletter_id, follower_id, refused=refused)


def note_delivery(session: Session, newsletter_id: int, follower_id: int, *, refused: bool) -> None:
    """Count one letter that is out, or refused for good."""
    column = Newsletter.refused if refused else Newsletter.delivered
    session.execute(update(Newsletter).where(Newsletter.id == newsletter_id).values({column: column + 1})
                    .execution_options(synchronize_session=False))
    session.execute(update(Follower).where(Follower.id == follower_id)
                    .values(refusals=Follower.refusals + 1 if refused else 0)
                    .execution_options(synchronize_session=False))


def note_returned(session: Session, keyring: Keyring, returned: Returned, now: datetime) -> bool:
    """A mail that was handed over came back. Returns whether it counted: not twice, and not by a link that is no more.

    The newsletter that it was counts it with those that were refused.
    """
    follower = note_bounce(session, keyring, returned, now)
    if follower is None:
        return False
    for newsletter_id in session.scalars(late_newsletters(follower.municipality_id, now - COMES_BACK_WITHIN)).all():
        if number_of(newsletter_key(newsletter_id, follower.id)) == returned.number:
            session.execute(
                update(Newsletter).where(Newsletter.id == newsletter_id, Newsletter.delivered > 0)
                .values(delivered=Newsletter.delivered - 1, refused=Newsletter.refused + 1)
                .execution_options(synchronize_session=False))
    return True


def resume_newsletters(session: Session) -> None:
    """Go on with letters that stopped because the mail server was away for longer than a job waits."""
    for row_id, newsletter_id in stopped_newsletters(session):
        newsletter = session.get(Newsletter, newsletter_id)
        if newsletter is not None and newsletter.state is NewsletterState.SENDING:
            outbox.retry(session, row_id)


def finish_newsletter(session: Session, newsletter_id: int) -> None:
    """Everybody was reached."""
    session.execute(update(Newsletter).where(Newsletter.id == newsletter_id).values(state=NewsletterState.SENT)
                    .execution_options(synchronize_session=False))
