"""Mails as templates: the same words as plain text and as HTML."""

from __future__ import annotations

import re
import textwrap
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import current_app, render_template
from flask_babel import force_locale, get_locale
from sqlalchemy import Integer, Select, String, bindparam, column, select, table

from participation import mail, outbox
from participation.web import current_database, current_municipality, current_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


# Not the models: they belong to features, and this module knows none.
_HOST: Select[str] = (
    select(column("host", String)).select_from(table("municipality")).where(column("id", Integer) == bindparam("id"))
)
_LANGUAGE: Select[str] = (
    select(column("locale", String)).select_from(table("account")).where(column("email", String) == bindparam("email"))
)


LINE_LENGTH = 76


@contextmanager
def mail_context() -> Iterator[None]:
    """A request's context on the public address, so that links in mails never follow somebody's Host header.

    On that of the municipality whose job it is, where it has a host name of its own. With an application context of its own: what a job has loaded before must not be taken for this request's.
    """
    app = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - the way Flask documents
    with app.app_context(), app.test_request_context(base_url=_base_url()):
        yield


def _base_url() -> str:
    settings, municipality_id = current_settings(), outbox.current_municipality_id.get()
    rows = current_database().glance(_HOST, {"id": municipality_id}) if municipality_id is not None else ()
    host = rows[0][0] if rows else None
    if not host or (settings.trusted_hosts and host not in settings.trusted_hosts):
        return settings.base_url
    parts = urlsplit(settings.base_url)
    return parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl()


def render_mail(
    template: str, /, *, key: str, recipient: str, headers: tuple[tuple[str, str], ...] = (), locale: str | None = None,
    **context: object,
) -> mail.Mail:
    """Render templates/mail/<template>.txt and .html; the first line of the text is the subject.

    In the given language, else that of the account that has the address, else the one that holds here.
    """
    locale = locale or language_of_address(recipient)
    context["name"] = addressed(str(context.get("name") or ""))
    with force_locale(locale) if locale else nullcontext():
        plain = render_template(f"mail/{template}.txt", **context)
        foot = render_template("mail/_foot.txt")
        html = render_template(f"mail/{template}.html", language=get_locale(), **context)
    subject, _, body = plain.partition("\n")
    municipality = current_municipality()
    if municipality and all(name != "Reply-To" for name, _value in headers):
        # The address that mails come from need not have a mailbox; who answers shall reach somebody.
        headers = (*headers, ("Reply-To", municipality.email))
    return mail.Mail(
        key=key, recipient=recipient, subject=subject.removeprefix("Betreff:").strip(), plain=wrapped(f"{body.strip()}\n{foot}"),
        html=html, sender_name=municipality.name if municipality else "", headers=headers,
        municipality_id=municipality.id if municipality else None,
    )


def addressed(name: str) -> str:
    """How somebody is greeted: staff write behind a comma where they are of. "Meier, Ute" stays, for it is all name."""
    first, comma, rest = (part.strip() for part in name.partition(","))
    return first if comma and (" " in first or " " in rest) else name


def language_of_address(address: str) -> str | None:
    """In which language the account that has an address last signed in; None without one."""
    rows = current_database().glance(_LANGUAGE, {"email": address})
    return str(rows[0][0]) if rows else None


def wrapped(plain: str) -> str:
    """Lines of a length that every mail program shows; addresses stay whole. Not more than one empty line at a time."""
    lines: list[str] = []
    for line in plain.splitlines():
        indent = "  " if line.startswith(("- ", "  ")) else ""
        lines += textwrap.wrap(line, LINE_LENGTH, subsequent_indent=indent, break_long_words=False,
                               break_on_hyphens=False) or [""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def send(message: mail.Mail) -> None:
    """Deliver by the installation's settings. Raises OSError or SMTPException; the outbox tries again."""
    mail.deliver(message, current_settings())
