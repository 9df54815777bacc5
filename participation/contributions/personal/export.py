"""One's own data as JSON (DSGVO Art. 15 and 20): everything that is kept about an account, and nothing about others.

Contributions are read some at a time, and each picture only when its place in the file is written: somebody with many
of them needs no more memory than one picture.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from participation.accounts.models import Account, Participant, SignInSession
from participation.accounts.queries import identities_of, passkeys_of, verifications_of
from participation.audit import AuditEntry
from participation.contributions.ballots.queries import ballots_of
from participation.contributions.comments.models import STANCE_LABELS, Comment
from participation.contributions.drafts.operations import read_draft
from participation.contributions.drafts.queries import own_drafts
from participation.contributions.models import STATE_LABELS, Contribution, ContributionPicture
from participation.contributions.personal.queries import (
    AT_ONCE,
    all_of_kind,
    own_votes,
    participants_of,
    processes_of,
    voters_of,
    written_along,
)
from participation.contributions.proposals.models import Proposal
from participation.formats import CHOICE_LABELS
from participation.own_fields import Answer, load_answers
from participation.permissions import ROLE_LABELS
from participation.uploads import picture_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from participation.processes.models import Process
    from participation.tokens import Keyring
    from participation.uploads import Upload

Section = Callable[["Session", Account, list[Participant]], object]
_sections: dict[str, Section] = {}
# So much is handed to the server at once.
PIECE_LENGTH = 64 * 1024


def section(title: str) -> Callable[[Section], Section]:
    """Register what another feature keeps about a person, under a German title."""

    def register(function: Section) -> Section:
        _sections[title] = function
        return function

    return register


def own_data(session: Session, keyring: Keyring, account: Account, folder: Path, now: datetime) -> dict[str, Any]:
    """Everything, ready for `as_json`. `folder` holds the uploads. Times are ISO 8601 in UTC."""
    participants = participants_of(session, keyring, account.id)
    ids = [participant.id for participant in participants]
    voters = voters_of(session, keyring, account.id)
    voter_ids = [voter.id for voter in voters]
    process_ids = {one.process_id for one in participants} | {one.process_id for one in voters}
    processes = {one.id: one for one in session.scalars(processes_of(list(process_ids)))}
    writes = {one.process_id: one for one in participants}
    takes_part: dict[int, dict[str, Any]] = {
        key: {
            "verfahren": process.title, "kommune": process.municipality.name,
            "name": writes[key].pseudonym if key in writes else None,
            "seit": writes[key].created_at.isoformat() if key in writes else None,
            "vorschlaege": [], "kommentare": [], "unterstuetzungen": [],
        }
        for key, process in sorted(processes.items())
    }
    texts = (selectinload(Contribution.revisions),
             selectinload(Contribution.pictures).joinedload(ContributionPicture.upload))
    some = {"yield_per": AT_ONCE}
    proposals = all_of_kind(Proposal, ids).options(*texts, selectinload(Proposal.theme))
    for proposal in session.scalars(proposals.execution_options(**some)):
        takes_part[proposal.process_id]["vorschlaege"].append(_proposal(proposal, processes, folder))
    comments = all_of_kind(Comment, ids).options(selectinload(Contribution.revisions))
    for comment in session.scalars(comments.execution_options(**some)):
        takes_part[comment.process_id]["kommentare"].append(_comment(comment))
    for row in session.execute(written_along(ids)):
        takes_part[row.process_id].setdefault("mitgeschrieben", []).append(
            {"beitrag": row.id, "titel": row.title, "seit": row.joined_at.isoformat()})
    for process_id, phase_id, phase, contribution_id, title, value, at, counts in session.execute(ballots_of(voter_ids)):
        takes_part[process_id].setdefault("stimmzettel", []).append(
            {"phase": phase_id, "phase_titel": phase, "beitrag": contribution_id, "titel": title, "stimme": value,
             "am": at.isoformat(), "zaehlt": counts})
    for process_id, contribution_id, title, at, counts in session.execute(own_votes(voter_ids)):
        takes_part[process_id]["unterstuetzungen"].append(
            {"beitrag": contribution_id, "titel": title, "am": at.isoformat(), "zaehlt": counts})
    return {
        "stand": now.isoformat(),
        "konto": _account(session, account),
        "anmeldungen": _sessions(session, account.id),
        "teilnahmen": list(takes_part.values()),
        "entwuerfe": _drafts(session, keyring, account.id, folder),
        "protokoll": _log(session, account.id),
        **{title: make(session, account, participants) for title, make in _sections.items()},
    }


def _drafts(session: Session, keyring: Keyring, account_id: int, folder: Path) -> list[dict[str, Any]]:
    return [
        {"verfahren": one.process.title, "begonnen_am": one.created_at.isoformat(),
         "gespeichert_am": one.saved_at.isoformat(), "felder": content.values,
         "bild": _file(one.upload, folder) if one.upload else None}
        for one in session.scalars(own_drafts(keyring, account_id))
        if (content := read_draft(keyring, one)) is not None
    ]


def _at(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


def _account(session: Session, account: Account) -> dict[str, Any]:
    return {
        "e_mail": account.email, "bestaetigt_am": _at(account.email_confirmed_at), "name": account.display_name,
        "sprache": account.locale, "angelegt_am": account.created_at.isoformat(),
        "hat_kennwort": account.password_hash is not None,
        "zweiter_faktor_seit": _at(account.totp_confirmed_at),
        "passkeys": [
            {"name": one.name, "angelegt_am": one.created_at.isoformat(), "zuletzt_benutzt_am": _at(one.last_used_at)}
            for one in session.scalars(passkeys_of(account.id))
        ],
        "andere_anbieter": [
            {"anbieter": one.issuer, "kennung": one.subject, "verbunden_am": one.created_at.isoformat()}
            for one in session.scalars(identities_of(account.id))
        ],
        "nachweise": [
            {"nachweis": CHOICE_LABELS[level], "kommune": name, "am": at.isoformat()}
            for level, at, name in session.execute(verifications_of(account.id))
        ],
        "rollen": [ROLE_LABELS[grant.role] for grant in account.grants],
    }


def _sessions(session: Session, account_id: int) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(SignInSession).where(SignInSession.account_id == account_id).order_by(SignInSession.id)
    )
    return [{"geraet": one.device, "angemeldet_am": one.created_at.isoformat(), "gilt_bis": one.expires_at.isoformat(),
             "beendet_am": _at(one.revoked_at)} for one in rows]


def _log(session: Session, account_id: int) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(AuditEntry).where(AuditEntry.actor == f"account:{account_id}").order_by(AuditEntry.id)
    )
    return [{"am": one.at.isoformat(), "vorgang": one.action, "art": one.subject_type, "nummer": one.subject_id}
            for one in rows]


def _contribution(one: Contribution) -> dict[str, Any]:
    return {
        "nummer": one.id, "text": one.body, "stand": STATE_LABELS[one.state], "begruendung": one.state_reason,
        "erstellt_am": one.created_at.isoformat(), "eingereicht_am": _at(one.submitted_at),
        "veroeffentlicht_am": _at(one.published_at), "entschieden_am": _at(one.decided_at),
        "fassungen": [{"fassung": each.number, "titel": each.title, "text": each.body,
                       "weitere_angaben": [_answer(one) for one in load_answers((each.changes or {}).get("answers"))],
                       "am": each.created_at.isoformat()} for each in one.revisions],
    }


def _comment(comment: Comment) -> dict[str, Any]:
    return _contribution(comment) | {
        "zu_vorschlag": comment.proposal_id, "zitat": comment.quote, "geaendert_am": _at(comment.edited_at),
        "haltung": STANCE_LABELS[comment.stance] if comment.stance else None,
    }


def _proposal(proposal: Proposal, processes: dict[int, Process], folder: Path) -> dict[str, Any]:
    slug = processes[proposal.process_id].slug
    return _contribution(proposal) | {
        "titel": proposal.title, "thema": proposal.theme.name if proposal.theme else None, "ort": proposal.place,
        "laenge": proposal.lon, "breite": proposal.lat, "vorgangsnummer": proposal.receipt_number,
        "adresse": f"/verfahren/{slug}/vorschlaege/{proposal.id}" if proposal.is_published else None,
        "bilder": [_picture(one, folder) for one in proposal.pictures],
        "weitere_angaben": [_answer(one) for one in load_answers(proposal.stored_answers)],
    }


def _answer(one: Answer) -> dict[str, Any]:
    return {"frage": one.label, "antwort": one.shown, "oeffentlich": one.is_public}


def _picture(picture: ContributionPicture, folder: Path) -> dict[str, Any]:
    return {"beschreibung": picture.alt, **_file(picture.upload, folder)}


def _file(upload: Upload, folder: Path) -> dict[str, Any]:
    return {"art": upload.media_type, "inhalt_base64": _Content(picture_path(folder, upload.name, "large"))}


@dataclass(frozen=True, slots=True)
class _Content:
    """A picture that is read when it is written."""

    path: Path

    def read(self) -> str | None:
        """In base64; None when the file is gone."""
        return base64.b64encode(self.path.read_bytes()).decode() if self.path.is_file() else None


def as_json(content: dict[str, Any]) -> Iterator[bytes]:
    """What `own_data` gave, piece by piece."""
    waiting: list[str] = []
    length = 0
    for piece in json.JSONEncoder(ensure_ascii=False, indent=2, default=_Content.read).iterencode(content):
        waiting.append(piece)
        length += len(piece)
        if length >= PIECE_LENGTH:
            yield "".join(waiting).encode()
            waiting, length = [], 0
    yield "".join(waiting).encode()
