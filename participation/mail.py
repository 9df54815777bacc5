"""Sending one mail. Without a mail server mails land in a folder, where staff can read them."""

from __future__ import annotations

import binascii
import hashlib
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.header import Header
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import idna

from participation import clock, text

if TYPE_CHECKING:
    from pathlib import Path

    from participation.settings import Settings

SMTP_TIMEOUT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, in both forms. `key` makes its Message-ID, so that a second delivery can be told as the same."""

    key: str
    recipient: str
    subject: str
    plain: str
    html: str
    sender_name: str = ""
    # Further headers, as List-Unsubscribe.
    headers: tuple[tuple[str, str], ...] = ()
    # In whose name it is written; that administration reads it where it is kept.
    municipality_id: int | None = None


class RefusedError(Exception):
    """The recipient's server wants no mail for this address, now and later."""


class DelayedError(Exception):
    """This one mail cannot be handed over now (greylisting, a full mailbox, a filter); others can."""


# RFC 5321, 4.2.1: from here on a refusal is for good.
PERMANENT = 500


# RFC 5322, 2.1.1 allows 998 characters a line; an address of List-Unsubscribe that is not folded is understood by all.
POLICY = compat32.clone(max_line_length=300)
ON_THE_WIRE = POLICY.clone(linesep="\r\n")


def build_message(mail: Mail, sender: str) -> MIMEMultipart:
    """The mail as a message. Line breaks in names and subjects are taken out, so that no header can be added.

    With the older half of the email package: its newer one reads every header that it writes as a grammar, which took
    ten times as long and half of the time of a digest. Bodies are plain ASCII on the wire (quoted-printable), for
    servers that know nothing else.
    """
    domain = sender.rpartition("@")[2]
    number = number_of(mail.key)
    message = MIMEMultipart("alternative", boundary=f"={number}=", policy=POLICY)
    message["From"] = formataddr((text.clean_line(mail.sender_name), sender))
    message["To"] = recipient_of(mail)
    message["Subject"] = _header(mail.subject)
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{number}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    for name, value in mail.headers:
        message[name] = _header(value)
    message.attach(_part("plain", mail.plain))
    message.attach(_part("html", mail.html))
    return message


def number_of(key: str) -> str:
    """What the Message-ID of a mail begins with."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _header(value: str) -> str:
    line = text.clean_line(value)
    return line if line.isascii() else Header(line, "utf-8", maxlinelen=75).encode(linesep="")


def _part(subtype: str, content: str) -> MIMENonMultipart:
    part = MIMENonMultipart("text", subtype, charset="utf-8", policy=POLICY)
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(binascii.b2a_qp(content.encode(), istext=True).decode("ascii"))
    return part


def recipient_of(mail: Mail) -> str:
    """The address of the envelope."""
    return _for_the_wire(text.clean_line(mail.recipient))


def _for_the_wire(address: str) -> str:
    """An address whose domain every server understands: xn--bcher-kva.example for bücher.example (RFC 5891)."""
    local, _, domain = address.rpartition("@")
    return f"{local}@{idna.encode(domain, uts46=True).decode()}" if local and not domain.isascii() else address


def deliver(mail: Mail, settings: Settings) -> None:
    """Send the mail, or keep it as a file. Raises OSError or smtplib.SMTPException when the server is away."""
    if settings.smtp_url:
        with _connection(settings.smtp_url) as connection:
            _hand_over(connection, mail, settings.mail_from)
    else:
        _keep(bytes(build_message(mail, settings.mail_from)), mail, settings.mail_dir)


@contextmanager
def outgoing(settings: Settings) -> Iterator[Callable[[Mail], None]]:
    """Send many mails over one connection.

    What is yielded raises RefusedError when the recipient's server refuses the address for good or the address can't
    be written to at all, DelayedError when this one mail has to wait, and OSError or smtplib.SMTPException when our own
    server is away or does not accept us.
    """
    if not settings.smtp_url:
        yield lambda mail: deliver(mail, settings)
        return
    with _connection(settings.smtp_url) as connection:
        def post(mail: Mail) -> None:
            try:
                _hand_over(connection, mail, settings.mail_from)
            except smtplib.SMTPRecipientsRefused as error:
                if all(code >= PERMANENT for code, _text in error.recipients.values()):
                    raise RefusedError from error
                raise DelayedError from error
            except smtplib.SMTPDataError as error:
                # What a server says of the text is no word about the address, even if it says it for good.
                raise DelayedError from error
            except (smtplib.SMTPNotSupportedError, ValueError) as error:
                raise RefusedError from error

        yield post


def _hand_over(connection: smtplib.SMTP, mail: Mail, sender: str) -> None:
    recipient = recipient_of(mail)
    # RFC 6531: only an address with an umlaut before the @ needs a server that knows more than ASCII.
    options = () if recipient.isascii() else ("SMTPUTF8", "BODY=8BITMIME")
    connection.sendmail(sender, [recipient], build_message(mail, sender).as_bytes(policy=ON_THE_WIRE), mail_options=options)


@contextmanager
def _connection(url: str) -> Iterator[smtplib.SMTP]:
    """`smtp://user:password@host:587` speaks STARTTLS, `smtps://` TLS at once; `?tls=off` for a relay on the host."""
    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    context = ssl.create_default_context()
    connection: smtplib.SMTP
    if parts.scheme == "smtps":
        connection = smtplib.SMTP_SSL(host, parts.port or 465, timeout=SMTP_TIMEOUT_SECONDS, context=context)
    else:
        connection = smtplib.SMTP(host, parts.port or 587, timeout=SMTP_TIMEOUT_SECONDS)
    with connection:
        if parts.scheme != "smtps" and parse_qs(parts.query).get("tls") != ["off"]:
            connection.starttls(context=context)
        if parts.username:
            connection.login(unquote(parts.username), unquote(parts.password or ""))
        yield connection


def kept_mails(folder: Path, municipality_id: int, *, with_nobodys: bool) -> Iterator[Path]:
    """The mails kept for one municipality, the newest first; `with_nobodys`: also those that belong to none."""
    for path in sorted(folder.glob("*.eml"), reverse=True) if folder.exists() else ():
        owner = path.stem.split("_")[2:]
        if owner == [str(municipality_id)] or (with_nobodys and not owner):
            yield path


def _keep(message: bytes, mail: Mail, folder: Path) -> None:
    """One file per key: the same mail delivered twice stays one. Its name says whose it is."""
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", mail.key)[:100]
    name += "" if mail.municipality_id is None else f"_{mail.municipality_id}"
    stamp = clock.now().strftime("%Y%m%dT%H%M%S")
    existing = next(folder.glob(f"*_{name}.eml"), None)
    path = existing or folder / f"{stamp}_{name}.eml"
    temporary = path.with_suffix(".part")
    temporary.write_bytes(message)
    temporary.replace(path)
