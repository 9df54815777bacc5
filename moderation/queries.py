"""The queue and what stands around a case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import joinedload, selectin_polymorphic, selectinload

from moderation.models import Case, CaseState, Decision, Report
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import revision_of
from participation.own_fields import Answer, in_order, load_answers
from participation.permissions import Actor, Role
from participation.processes.models import Process

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

PAGE = 25
ROLES = frozenset({Role.MODERATOR, Role.ADMIN})


def moderated_by(actor: Actor) -> ColumnElement[bool]:
    """The processes whose contributions an actor may decide; a role of a Kreis holds in its towns."""
    from participation.municipalities.models import Municipality  # noqa: PLC0415 - for this subquery only

    everywhere = [grant.municipality_id for grant in actor.grants if grant.role in ROLES and grant.process_id is None]
    single = [grant.process_id for grant in actor.grants if grant.role in ROLES and grant.process_id is not None]
    towns = select(Municipality.id).where(
        or_(Municipality.id.in_(everywhere), Municipality.parent_id.in_(everywhere))
    )
    return Case.process_id.in_(
        select(Process.id).where(or_(Process.municipality_id.in_(towns), Process.id.in_(single)))
    )


def open_cases(actor: Actor, *, process_id: int | None = None, warned: bool = False, kind: str = "",
               after_id: int | None = None) -> Select[Case]:
    """The queue, oldest first, by keyset; with text, author and process in a constant number of queries."""
    statement = (
        select(Case).join(Contribution, Contribution.id == Case.contribution_id)
        .where(Case.state == CaseState.OPEN, moderated_by(actor))
        .options(
            joinedload(Case.process), selectinload(Case.contribution).options(
                selectin_polymorphic(Contribution, [Proposal, Comment]), joinedload(Contribution.participant)),
        )
        .order_by(Case.id)
    )
    if process_id is not None:
        statement = statement.where(Case.process_id == process_id)
    if warned:
        statement = statement.where(Case.warning_count > 0)
    if kind:
        statement = statement.where(Contribution.kind == kind)
    if after_id is not None:
        statement = statement.where(Case.id > after_id)
    return statement


def full_case(session: Session, case_id: int) -> Case | None:
    """One case with all that its page shows."""
    return session.scalar(
        select(Case).where(Case.id == case_id).options(
            joinedload(Case.process).joinedload(Process.municipality), selectinload(Case.findings),
            selectinload(Case.decisions).joinedload(Decision.account),
            selectinload(Case.contribution).options(
                selectin_polymorphic(Contribution, [Proposal, Comment]), joinedload(Contribution.participant)),
        )
    )


def text_of(session: Session, case: Case) -> tuple[str, str]:
    """Title and body that a case is about: what is there, or a change that awaits its decision. Comments have no title."""
    contribution = case.contribution
    if case.revision_number == contribution.pending_revision:
        revision = revision_of(session, contribution.id, case.revision_number)
        if revision is not None:
            return revision.title, revision.body
    return contribution.title if isinstance(contribution, Proposal) else "", contribution.body


def answers_of(session: Session, case: Case) -> list[Answer]:
    """What its author answered in the fields of the phase, of the same revision as `text_of`."""
    contribution = case.contribution
    if not isinstance(contribution, Proposal):
        return []
    if case.revision_number == contribution.pending_revision:
        revision = revision_of(session, contribution.id, case.revision_number)
        if revision is not None and revision.changes and "answers" in revision.changes:
            return in_order(load_answers(revision.changes["answers"]), contribution.own_fields)
    return contribution.answers


def earlier_decisions(session: Session, participant_id: int) -> Sequence[Decision]:
    """What was decided about the same author before, newest first, five at most."""
    return session.scalars(
        select(Decision).join(Case, Case.id == Decision.case_id)
        .join(Contribution, Contribution.id == Case.contribution_id)
        .where(Contribution.participant_id == participant_id).order_by(Decision.id.desc()).limit(5)
    ).all()


def decisions(actor: Actor, before_id: int | None) -> Select[Decision]:
    """The history, newest first, by keyset."""
    statement = (
        select(Decision).join(Case, Case.id == Decision.case_id).where(moderated_by(actor))
        .options(joinedload(Decision.account), joinedload(Decision.case).options(
            joinedload(Case.process), selectinload(Case.contribution).selectin_polymorphic([Proposal, Comment])))
        .order_by(Decision.id.desc()).limit(PAGE + 1)
    )
    return statement if before_id is None else statement.where(Decision.id < before_id)


def open_reports(contribution_id: int) -> Select[Report]:
    """What readers pointed out about a contribution and nobody decided yet, oldest first, twenty at most."""
    return (
        select(Report).where(Report.contribution_id == contribution_id, Report.handled_at.is_(None))
        .order_by(Report.id).limit(20)
    )
