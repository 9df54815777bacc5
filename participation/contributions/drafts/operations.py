"""Putting a form aside, going on with it, forgetting it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from participation.accounts.operations.leaving import hold_account
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.drafts.models import DRAFTS_MAX, Draft
from participation.contributions.drafts.queries import draft_of_form, form_hash, own_drafts, owner_hash
from participation.errors import InvalidInput, NotFound, SignInNeeded
from participation.i18n import N_
from participation.permissions import Actor, require
from participation.text import clean_line, clean_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from participation.tokens import Keyring
    from participation.uploads import Upload

KEPT_FOR = timedelta(days=90)
# Several times what a proposal may be long: who wrote too much can put it aside before making it shorter.
CONTENT_MAX = 40_000
_NAME_MAX = 60
_AT_ONCE = 200


class ChangedElsewhere(InvalidInput):
    """Another window or device saved the same draft meanwhile."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a draft says: the key of its form and the raw values of all fields, by the fields' names."""

    submission_key: str
    values: dict[str, list[str]]

    @property
    def title(self) -> str:
        """What to call it in a list; empty when it has none yet."""
        return clean_line(self.values.get("title", [""])[0])[:120]

    @property
    def body(self) -> str:
        """The text alone."""
        return self.values.get("body", [""])[0]


def save_draft(
    session: Session, keyring: Keyring, actor: Actor, process: Process, submission_key: str,
    values: Mapping[str, Sequence[str]], *, seen: int, now: datetime, upload: Upload | None = None,
    drops_picture: bool = False,
) -> Draft:
    """Keep a form as it is, however incomplete; the same form again replaces what is there.

    `seen` is the version that the author went on from, 0 for a form never saved. Raises ChangedElsewhere when there is
    a newer one, InvalidInput (too many, too long), SignInNeeded, Conflict (phase over) or NotAllowed.
    """
    if actor.account_id is None:
        raise SignInNeeded
    require(actor, Action.SUBMIT_PROPOSAL, process, now)
    hold_account(session, actor.account_id)
    sealed = keyring.seal(_written(submission_key, values))
    draft = session.scalar(
        draft_of_form(keyring, actor.account_id, submission_key).with_for_update()
        .execution_options(populate_existing=True)
    )
    if draft is None:
        draft = _new_draft(session, keyring, actor.account_id, process.id, submission_key, sealed, now)
        if draft is None:
            # The other half of a double click was faster.
            return save_draft(session, keyring, actor, process, submission_key, values, seen=seen, now=now,
                              upload=upload, drops_picture=drops_picture)
    else:
        known = read_draft(keyring, draft)
        is_same = known is not None and known.values == _cleaned(values)
        if draft.version != seen and not is_same:
            raise ChangedElsewhere(N_(
                "Dieser Entwurf ist inzwischen in einem anderen Fenster oder auf einem anderen Gerät gespeichert worden. "
                "Hier steht Ihr Text von diesem Fenster. Speichern Sie noch einmal, dann ersetzt er den anderen."))
        draft.content_sealed, draft.saved_at = sealed, now
        draft.version += 0 if is_same else 1
    if upload is not None or drops_picture:
        earlier, draft.upload = draft.upload, upload
        session.flush()
        contributions.drop_uploads(session, [earlier] if earlier else [])
    session.flush()
    return draft


def _new_draft(
    session: Session, keyring: Keyring, account_id: int, process_id: int, submission_key: str, sealed: str,
    now: datetime,
) -> Draft | None:
    """A new row in the first free slot; None when the same form got one at the same time."""
    owner = owner_hash(keyring, account_id)
    for _attempt in range(DRAFTS_MAX):
        taken = set(session.scalars(select(Draft.slot).where(Draft.owner_hash == owner, Draft.process_id == process_id)))
        free = next((slot for slot in range(1, DRAFTS_MAX + 1) if slot not in taken), None)
        if free is None:
            break
        draft = Draft(process_id=process_id, owner_hash=owner, slot=free, content_sealed=sealed,
                      form_hash=form_hash(keyring, account_id, submission_key), created_at=now, saved_at=now)
        try:
            with session.begin_nested():
                session.add(draft)
                session.flush()
        except IntegrityError:
            if session.scalar(draft_of_form(keyring, account_id, submission_key)) is not None:
                return None
            continue
        return draft
    raise InvalidInput(N_("Sie haben zu diesem Verfahren schon %(number)s Entwürfe. Verwerfen Sie zuerst einen davon "
                          "unter „Meine Beiträge“. Ihr Text steht noch hier."), number=DRAFTS_MAX)


def _cleaned(values: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Every value without what no text may hold; names that no field of ours can have are left out."""
    return {name: [clean_text(value) for value in some] for name, some in values.items()
            if len(name) <= _NAME_MAX and name.isprintable()}


def _written(submission_key: str, values: Mapping[str, Sequence[str]]) -> str:
    """The content as it is sealed. Raises InvalidInput when it is too long."""
    plain = json.dumps({"key": submission_key, "values": _cleaned(values)}, ensure_ascii=False)
    if len(plain) > CONTENT_MAX:
        raise InvalidInput(N_("Der Entwurf ist zu lang: Höchstens %(number)s Zeichen sind möglich. Bitte kürzen Sie "
                              "ihn."), field="body", number=CONTENT_MAX)
    return plain


def read_draft(keyring: Keyring, draft: Draft) -> Content | None:
    """What it says; None when the installation's key was changed since."""
    plain = keyring.unseal(draft.content_sealed)
    if plain is None:
        return None
    known = json.loads(plain)
    return Content(known["key"], known["values"])


def own_draft(session: Session, keyring: Keyring, actor: Actor, process_id: int, draft_id: int) -> Draft:
    """One's own draft. Raises SignInNeeded, and NotFound for any other: that there is one is nobody's business."""
    if actor.account_id is None:
        raise SignInNeeded
    found = session.scalar(own_drafts(keyring, actor.account_id, process_id).where(Draft.id == draft_id))
    if found is None:
        raise NotFound
    return found


def discard_draft(session: Session, draft: Draft) -> None:
    """It is gone, with its picture. Whoever calls has loaded it as the actor's own."""
    upload = draft.upload
    session.delete(draft)
    session.flush()
    contributions.drop_uploads(session, [upload] if upload else [])


def consume_draft(session: Session, keyring: Keyring, actor: Actor, submission_key: str) -> None:
    """The form was handed in: its draft has done its work."""
    if actor.account_id is None or not submission_key:
        return
    draft = session.scalar(draft_of_form(keyring, actor.account_id, submission_key).with_for_update())
    if draft is not None:
        discard_draft(session, draft)


def forget_account(session: Session, keyring: Keyring, account_id: int) -> None:
    """Somebody leaves: with what they have not handed in."""
    for draft in session.scalars(own_drafts(keyring, account_id)).all():
        discard_draft(session, draft)


def forget_old(session: Session, now: datetime) -> int:
    """Drafts that nobody touched for KEPT_FOR; returns how many, at most some at once."""
    old = session.scalars(
        select(Draft).where(Draft.saved_at < now - KEPT_FOR).order_by(Draft.saved_at).limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    ).all()
    for draft in old:
        discard_draft(session, draft)
    return len(old)
