"""Mails to followers, in batches: many addresses, one connection, and after each mail a note that it is out.

A process that is killed goes on where it stopped, and no two processes write to the same person at once. The one mail
that was just on its way when the process was killed may come twice, under the same Message-ID, so that mail programs
show it once. A recipient whose server refuses or hesitates keeps nobody else waiting.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import render_template, url_for
from flask_babel import force_locale
from markupsafe import Markup

from participation import clock, outbox, schedule
from participation.accounts.models import Account
from participation.contributions.proposals.models import ANSWER_LABELS
from participation.following import delivery, operations
from participation.following.models import Follower, Frequency, Subscription
from participation.following.queries import News, ProcessDigest, ProposalDigest, due_followers, gather_news
from participation.i18n import N_
from participation.mail import DelayedError, Mail, RefusedError, outgoing
from participation.mail_templates import mail_context, render_mail, send
from participation.processes.queries import title_in
from participation.web import current_database, current_keyring, current_settings, platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

log = logging.getLogger(__name__)
# As many as fit into one job's time even where a mail server takes a second for each.
BATCH = 50


@schedule.hourly
def begin_due_digests() -> None:
    """Whatever is due by now and not out yet."""
    with current_database().unit_of_work() as session:
        for frequency in (Frequency.AT_ONCE, Frequency.DAILY, Frequency.WEEKLY):
            delivery.begin_digests(session, frequency, clock.now())
        delivery.announce_phases(session, clock.now())


@schedule.hourly
def forget_unconfirmed_addresses() -> None:
    """As the privacy notice promises."""
    with current_database().unit_of_work() as session:
        operations.forget_unconfirmed(session, clock.now())


@outbox.job("send_digests", N_("E-Mails: Neuigkeiten"))
def send_digests(context: outbox.JobContext) -> None:
    """One batch of one frequency (of one process, where it happened at once); asks for the next when there may be more."""
    frequency, until = Frequency(context.args["frequency"]), datetime.fromisoformat(context.args["until"])
    process_id: int | None = context.args.get("process_id")
    keyring, now, pause = current_keyring(), clock.now(), delivery.PAUSES[frequency]
    with context.database.reading() as session:
        due = due_followers(session, frequency, until, context.args["after"], BATCH, process_id=process_id,
                            municipality_id=context.args.get("of"))
        resting = [one.mailed_at for one, _account in due if one.mailed_at and one.mailed_at > now - pause]
        awake = [one for one in due if not (one[0].mailed_at and one[0].mailed_at > now - pause)]
        news = gather_news(session, keyring, [one for one, _account in awake], frequency, until,
                           {one.id: account.locale if account else one.locale for one, account in awake})
        readers = [reader_of(keyring, follower, account) for follower, account in awake if news[follower.id]]
        silent, last = [one.id for one, _account in awake if not news[one.id]], due[-1][0].id if due else 0
    with mail_context():
        told = Told()
        mails = [_digest(one, news[one.id], told, until) for one in readers]
    with context.database.unit_of_work() as session:
        unreadable = [one.id for one, message in zip(readers, mails, strict=True) if message is None]
        delivery.note_silent(session, silent + unreadable, until)
    _send_digests(context, [(one, message) for one, message in zip(readers, mails, strict=True) if message is not None],
                  frequency, until)
    if process_id is not None and resting:
        # Not more than one mail in ten minutes: these hear of it when their pause is over.
        with context.database.unit_of_work() as session:
            delivery.tell_at_once(session, process_id, min(resting) + pause)
    if len(due) == BATCH:
        head = context.key.split(":after:")[0]
        go_on(context, "send_digests", f"{head}:after:{last}", **{**context.args, "after": last})


def _send_digests(
    context: outbox.JobContext, mails: list[tuple[Reader, Mail]], frequency: Frequency, until: datetime
) -> None:
    """Each mail by this process alone. One that has to wait keeps its claim, and is tried again within the hour.

    Between two mails there is one transaction: it notes that the one is out and claims the other.
    """
    out: tuple[int, bool] | None = None

    def note(session: Session) -> None:
        if out is not None:
            delivery.note_told(session, out[0], until, refused=out[1])

    with outgoing(current_settings()) as post:
        for reader, message in mails:
            with context.database.unit_of_work() as session:
                note(session)
                is_ours = delivery.claim(session, reader.id, frequency, until, clock.now())
            out = None
            if not is_ours:
                continue
            try:
                refused = post_one(post, message)
            except Exception:
                with context.database.unit_of_work() as session:
                    delivery.give_back(session, reader.id, reader.mailed_at)
                raise
            if refused is not None:
                out = (reader.id, refused)
        # Before the connection is closed, for a server that is away by then must not make the last one come twice.
        with context.database.unit_of_work() as session:
            note(session)


@outbox.job("mail_confirm_following", N_("E-Mail: Abo bestätigen"))
def mail_confirm_following(context: outbox.JobContext) -> None:
    """Asks the owner of the address. It repeats no word of whoever typed it."""
    keyring = current_keyring()
    with context.database.reading() as session:
        subscription = session.get(Subscription, context.args["subscription_id"])
        if subscription is None or subscription.follower.email_sealed is None:
            return
        address, locale = keyring.unseal(subscription.follower.email_sealed), subscription.follower.locale
        is_known, token = subscription.confirmed_at is not None, operations.subscription_token(keyring, subscription)
        own = operations.follower_token(keyring, subscription.follower)
        proposal = subscription.shown_proposal
        title = proposal.title if proposal is not None else title_in(session, subscription.process, locale)
    if address is None:
        return
    with mail_context(), force_locale(locale):
        if is_known:
            link = url_for("following.own", token=own, _external=True)
        else:
            link = url_for("following.confirm", token=token, oft=context.args["frequency"], _external=True)
        send(render_mail("confirm_following", key=context.key, recipient=address, title=title, link=link,
                         is_known=is_known))


@dataclass(frozen=True, slots=True)
class Reader:
    """Whom to write to; without an address when the key of the installation was changed. Number 0 gets a test."""

    id: int
    address: str | None
    name: str
    token: str
    locale: str
    mailed_at: datetime | None = None


def reader_of(keyring: Keyring, follower: Follower, account: Account | None) -> Reader:
    """An account is written to as it is now, a bare address as it was left."""
    token = operations.follower_token(keyring, follower)
    if account is not None:
        return Reader(follower.id, account.email, account.display_name, token, account.locale, follower.mailed_at)
    return Reader(follower.id, keyring.unseal(follower.email_sealed or ""), "", token, follower.locale,
                  follower.mailed_at)


def list_headers(token: str, name: str) -> tuple[tuple[str, str], ...]:
    """So that a mail program can show a button that ends it (RFC 2369, RFC 8058)."""
    address = url_for("following.leave", token=token, _external=True)
    return (("List-Unsubscribe", f"<{address}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("List-Id", f"<{name}.{urlsplit(address).hostname}>"))


@dataclass(frozen=True, slots=True)
class _Part:
    """What a digest says of one process or proposal, in both forms."""

    plain: str
    html: Markup


@dataclass(frozen=True, slots=True)
class Told:
    """The parts of one batch: most followers of a process are told the same of it, so it is put into words once."""

    _parts: dict[tuple[str, str], _Part] = field(default_factory=dict)

    def parts(self, news: News, locale: str) -> list[_Part]:
        """In the language that holds here, which is `locale`."""
        return [self._part("proposal", one, locale) for one in news.proposals] + [
            self._part("process", one, locale) for one in news.processes]

    def _part(self, kind: str, one: ProposalDigest | ProcessDigest, locale: str) -> _Part:
        key = (locale, repr(one))
        if key not in self._parts:
            plain, html = (render_template(f"mail/_digest_{kind}.{form}", one=one, answer_labels=ANSWER_LABELS)
                           for form in ("txt", "html"))
            self._parts[key] = _Part(plain, Markup(html))  # noqa: S704 - a template has escaped it
        return self._parts[key]


def _digest(reader: Reader, news: News, told: Told, until: datetime) -> Mail | None:
    """None where nobody can read the address any more."""
    if not reader.address:
        return None
    with force_locale(reader.locale):
        parts = told.parts(news, reader.locale)
    return render_mail(
        "digest", key=f"digest:{reader.id}:{until.isoformat()}", recipient=reader.address, name=reader.name,
        first=(news.proposals or news.processes)[0].title, told=parts, locale=reader.locale,
        headers=list_headers(reader.token, "neuigkeiten"), **own_links(reader.token),
    )


def own_links(token: str) -> dict[str, str]:
    """What every mail to a follower ends with: where to change what comes, and where to end it."""
    if not token:
        return {"settings_link": "", "leave_link": ""}
    return {"settings_link": url_for("following.own", token=token, _external=True),
            "leave_link": url_for("following.leave", token=token, _external=True)}


def post_one(post: Callable[[Mail], None], mail: Mail) -> bool | None:
    """Send; returns whether the recipient's server refused it for good, None when this one has to wait."""
    try:
        post(mail)
    except RefusedError:
        return True
    except DelayedError as error:
        log.warning("mail_delayed", extra={"error": type(error.__cause__).__name__})
        return None
    return False


def go_on(context: outbox.JobContext, name: str, key: str, **args: object) -> None:
    """Ask for the next batch, at once. This one is done in the same instant, so that it is never worked beside the next."""
    with context.database.unit_of_work() as session:
        if not context.finish(session):
            return
        outbox.enqueue(session, name, key, not_before=None, owner_id=None, **args)
        rows = outbox.written_rows(session)
    outbox.send(context.database, platform().redis, rows)
