"""A form that is sent twice is done once: by a double click, or by going back and sending it again.

The second delivery gets the answer of the first. What was changed in between is another form, and nothing of it is lost.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

from flask import flash, make_response, redirect, request, session as cookie
from flask_babel import gettext as _
from sqlalchemy import JSON, String, Text, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from participation import clock, schedule, web
from participation.db import Base, is_sqlite

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

# The hidden field with a random value of one form; see form_open(once=True).
FIELD = "form_key"
_NOT_CONTENT = frozenset({"csrf_token", FIELD})
# Whoever sends it later than that means it.
KEPT = timedelta(minutes=10)
# So soon it was a double click, or an answer that did not come: then the first answer is all there is to say.
AT_ONCE = timedelta(seconds=10)


class SentForm(Base):
    """A form that was done, and what was answered. The key is a keyed hash of all that was sent, and tells none of it."""

    __tablename__ = "sent_form"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    sent_at: Mapped[datetime] = mapped_column(index=True)
    target: Mapped[str] = mapped_column(Text, default="")
    # (category, text), as they were said after it.
    messages: Mapped[list[list[str]]] = mapped_column(JSON, default=list)


def sent_once(view: web.View) -> web.View:
    """Mark a route whose form makes something new. It answers by a redirect when that is done, else nothing was done."""

    @wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> ResponseReturnValue:  # noqa: ANN401 - any view
        if request.method != "POST" or not request.form.get(FIELD):
            return cast("ResponseReturnValue", view(*args, **kwargs))
        session, key = web.current_session(), _key()
        if not _claim(session, key):
            return _answer_again(session, key)
        before = len(cookie.get("_flashes", []))
        response = make_response(view(*args, **kwargs))
        if web.was_done(response):
            session.execute(update(SentForm).where(SentForm.key == key).values(
                target=response.location, messages=[list(one) for one in cookie.get("_flashes", [])[before:]]))
        else:
            session.execute(delete(SentForm).where(SentForm.key == key))
        return response

    return cast("web.View", guarded)


def _claim(session: Session, key: str) -> bool:
    """Whether this is the first delivery. The same one at the same moment waits here until the first is committed."""
    kind, now = sqlite if is_sqlite(session) else postgresql, web.current_now()
    values = {"sent_at": now, "target": "", "messages": []}
    return session.execute(
        kind.insert(SentForm).values(key=key, **values)
        .on_conflict_do_update(index_elements=["key"], set_=values, where=SentForm.sent_at < now - KEPT)
        .returning(SentForm.key)
    ).first() is not None


def _answer_again(session: Session, key: str) -> ResponseReturnValue:
    known = session.scalars(select(SentForm).where(SentForm.key == key)).one()
    messages = known.messages
    if known.sent_at < web.current_now() - AT_ONCE:
        # What was made may be gone meanwhile, or changed.
        messages = [["info", str(_("Dieses Formular haben Sie gerade schon einmal gesendet. Es ist nicht noch einmal gespeichert. Wollen "
                                   "Sie das Gleiche noch einmal, dann öffnen Sie bitte ein neues Formular."))]]
    # Where the first answer is not read yet, its message would stand there twice.
    said = {tuple(one) for one in cookie.get("_flashes", [])}
    for category, message in messages:
        if (category, message) not in said:
            flash(message, category)
    return redirect(known.target or request.path, code=303)


def _key() -> str:
    fields = sorted((name, request.form.getlist(name)) for name in request.form if name not in _NOT_CONTENT)
    files = [(name, one.filename, _digest(one)) for name, one in sorted(request.files.items(multi=True), key=lambda pair: pair[0])]
    sent = [web.current_actor().identity, request.full_path, request.form[FIELD], fields, files]
    return web.current_keyring().mark("sent-form", json.dumps(sent))


def _digest(file: Any) -> str:  # noqa: ANN401 - werkzeug's FileStorage
    found = hashlib.file_digest(file.stream, "sha256").hexdigest()
    file.stream.seek(0)
    return found


@schedule.hourly
def forget_sent_forms() -> None:
    """They stand for what was sent just now only."""
    with web.current_database().unit_of_work() as session:
        session.execute(delete(SentForm).where(SentForm.sent_at < clock.now() - KEPT))
