"""What a person sees of their drafts, and throwing one away."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, flash, render_template, request
from flask_babel import gettext as _

from participation import web
from participation.actions import Action
from participation.contributions.drafts import jobs  # noqa: F401 - registers itself
from participation.contributions.drafts.operations import KEPT_FOR, discard_draft, own_draft, read_draft
from participation.contributions.drafts.queries import own_drafts
from participation.processes.edge import load_process, shown_names
from participation.uploads import picture_path

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from participation.contributions.drafts.models import Draft
    from participation.processes.models import Process

blueprint = Blueprint("drafts", __name__)

LARGEST_ID = 2**31 - 1
KEPT_DAYS = KEPT_FOR.days


@dataclass(frozen=True, slots=True)
class Row:
    """One draft in a list."""

    id: int
    title: str
    saved_at: datetime
    # As it is read.
    process: Any


def rows_of(process_id: int | None = None) -> list[Row]:
    """The actor's drafts, of a process or of all; none for guests, whose texts stay in their browser."""
    actor = web.current_actor()
    if actor.account_id is None:
        return []
    keyring = web.current_keyring()
    statement = own_drafts(keyring, actor.account_id, process_id)
    found = web.current_session().scalars(statement).all()
    names = {one.id: one for one in shown_names(list({draft.process.id: draft.process for draft in found}.values()))}
    return [Row(draft.id, content.title, draft.saved_at, names[draft.process_id])
            for draft in found if (content := read_draft(keyring, draft)) is not None]


def load_draft(process: Process, raw: str) -> Draft:
    """The actor's own draft of a process by what the address says. Raises SignInNeeded or NotFound."""
    number = int(raw) if raw.isascii() and raw.isdecimal() and len(raw) < 11 else LARGEST_ID  # noqa: PLR2004 - no id is longer
    return own_draft(web.current_session(), web.current_keyring(), web.current_actor(), process.id,
                     min(number, LARGEST_ID))


def shown_picture(draft: Draft | None) -> str:
    """The picture of a draft as a data URL, in the page itself: no address leads to it."""
    if draft is None or draft.upload is None:
        return ""
    path = picture_path(web.current_settings().upload_dir, draft.upload.name, "small")
    return f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}" if path.is_file() else ""


@blueprint.post("/verfahren/<slug>/entwuerfe/<int:draft_id>/verwerfen")
@web.allows(Action.MANAGE_OWN_ACCOUNT)
def discard(slug: str, draft_id: int) -> ResponseReturnValue:
    """Throw it away: the first post asks, the second does."""
    process = load_process(slug)
    is_confirmed = request.form.get("confirmed") == "yes"
    draft = load_draft(process, str(draft_id))
    content = read_draft(web.current_keyring(), draft)
    if not is_confirmed:
        web.do_not_cache()
        return render_template("contributions/drafts/discard.html", process=process, draft=draft,
                               title=content.title if content else "")
    discard_draft(web.current_session(), draft)
    flash(_("Der Entwurf ist verworfen."), "success")
    return web.go("personal.contributions")

