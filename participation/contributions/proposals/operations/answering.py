"""The administration's answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from participation import audit, outbox, text
from participation.actions import Action
from participation.contributions.models import AnswerStatus
from participation.contributions.proposals.models import ANSWER_LABELS, Proposal
from participation.contributions.queries import lock_contribution
from participation.errors import Checks, Conflict, InvalidInput
from participation.events import ProposalAnswered, emit
from participation.i18n import N_
from participation.municipalities.operations import raise_content_version
from participation.permissions import Actor, require
from participation.tokens import hash_token

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

ANSWER_MAX = 6000
COST_MAX = 1_000_000_000


def answer_fingerprint(proposal: Proposal) -> str:
    """What a form was filled with: who sends it back can be told that somebody else answered meanwhile."""
    status = proposal.answer_status.value if proposal.answer_status else ""
    return hash_token(json.dumps([status, proposal.answer_body, proposal.answer_cost]))


def answer_proposal(
    session: Session,
    actor: Actor,
    proposal: Proposal,
    *,
    status: AnswerStatus | None,
    body: str,
    cost: str,
    seen: str = "",
    now: datetime,
) -> bool:
    """Give, or change, the administration's answer to a published proposal; its author hears of it by mail.

    Returns whether anything is different now: what is sent a second time is no news, and nobody is told.

    `cost` is what was typed: whole euros, with or without points and the euro sign; empty for unknown. `seen`
    is the fingerprint of the answer that was read before. Raises InvalidInput, Conflict (not public, or somebody else
    answered meanwhile), or NotAllowed.
    """
    require(actor, Action.ANSWER_PROPOSAL, proposal, now)
    lock_contribution(session, proposal.id)
    session.refresh(proposal, ["state", "answer_status", "answer_body", "answer_cost", "answered_at", "answered_by",
                               "first_answered_at"])
    if not proposal.is_published:
        raise Conflict(N_("Beantworten lässt sich nur, was öffentlich ist."))
    if seen not in {"", answer_fingerprint(proposal)}:
        raise _answered_meanwhile(proposal)
    status, clean, amount = _checked_answer(status, body, cost)
    before = (proposal.answer_status, proposal.answer_body, proposal.answer_cost)
    if before == (status, clean, amount):
        return False
    if is_change := proposal.answer_status is not None:
        proposal.first_answered_at = proposal.first_answered_at or proposal.answered_at
    proposal.answer_status, proposal.answer_body, proposal.answer_cost = status, clean, amount
    proposal.answered_at, proposal.answered_by = now, actor.display_name
    session.flush()
    raise_content_version(session, proposal.process.municipality_id)
    emit(session, ProposalAnswered(proposal.id, proposal.process_id, now))
    outbox.enqueue(session, "mail_answer", f"mail-answer:{proposal.id}:{now.isoformat()}",
                   proposal_id=proposal.id, is_change=is_change, had_cost=before[2] is not None)
    audit.record(session, at=now, actor=actor.label, action="answer_proposal", subject_type="proposal",
                 subject_id=proposal.id, status=status.value)
    return True


def _checked_answer(status: AnswerStatus | None, body: str, cost: str) -> tuple[AnswerStatus, str, int | None]:
    """An answer as it may be kept. Raises InvalidInput with everything that is wrong."""
    checks = Checks()
    with checks:
        chosen = _chosen(status)
    with checks:
        clean = text.checked(text.clean_text(body), ANSWER_MAX, field="body",
                             missing=N_("Bitte schreiben Sie eine Antwort. Alle können sie lesen."),
                             too_long=N_("Die Antwort ist zu lang. Höchstens %(number)s Zeichen sind möglich."))
    with checks:
        amount = text.whole_euros(cost, COST_MAX, field="cost")
    checks.done()
    return chosen, clean, amount


def _chosen(status: AnswerStatus | None) -> AnswerStatus:
    if status is None:
        raise InvalidInput(N_("Bitte wählen Sie, was aus dem Vorschlag wird."), field="status")
    return status


def _answered_meanwhile(proposal: Proposal) -> Conflict:
    return Conflict(
        N_("Inzwischen hat %(name)s geantwortet: %(label)s. Diese Antwort steht unten. Ihre Eingaben stehen noch da, sind "
           "aber nicht gespeichert. Veröffentlichen Sie noch einmal, gelten Ihre Eingaben."),
        name=proposal.answered_by, label=ANSWER_LABELS[proposal.answer_status] if proposal.answer_status else "",
    )
