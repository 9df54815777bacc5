"""Opening cases, keeping findings, deciding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from moderation.checks import AUTHOR, BODY, PLACE, TITLE, Found, check, distinctive_words, similar
from moderation.models import Case, CaseState, Decision, Finding, Outcome, Severity
from moderation.queries import similar_candidates
from moderation.reasons import REASONS, public_reason
from participation import audit, clock, outbox, text
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.queries import lock_contribution
from participation.errors import Conflict, InvalidInput
from participation.i18n import N_
from participation.permissions import Actor, require

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

STATEMENT_MAX = 2000
DISTINCTIVE_WORDS = 5
# What the desk offers for a case; hiding and showing again belong to what is published.
DECIDABLE = frozenset({Outcome.APPROVE, Outcome.RETURN, Outcome.REJECT})
NEEDS_REASONS = frozenset({Outcome.RETURN, Outcome.REJECT, Outcome.HIDE})

ALREADY = {
    Outcome.APPROVE: N_("Schon entschieden: %(who)s hat den Beitrag am %(day)s um %(hour)s Uhr freigegeben."),
    Outcome.RETURN: N_("Schon entschieden: %(who)s hat den Beitrag am %(day)s um %(hour)s Uhr zurückgegeben."),
    Outcome.REJECT: N_("Schon entschieden: %(who)s hat den Beitrag am %(day)s um %(hour)s Uhr abgelehnt."),
    Outcome.HIDE: N_("Schon entschieden: %(who)s hat den Beitrag am %(day)s um %(hour)s Uhr ausgeblendet."),
    Outcome.RESTORE: N_("Schon entschieden: %(who)s hat den Beitrag am %(day)s um %(hour)s Uhr wieder eingeblendet."),
}


def open_case(session: Session, contribution_id: int, revision_number: int, process_id: int, now: datetime) -> Case:
    """One case per revision, however often it is asked for; the first checks follow as a job.

    Cases of earlier revisions that are still open have nothing left to decide.
    """
    known = session.scalar(
        select(Case).where(Case.contribution_id == contribution_id, Case.revision_number == revision_number)
    )
    if known is not None:
        return known
    close_cases(session, contribution_id, now)
    case = Case(contribution_id=contribution_id, revision_number=revision_number, process_id=process_id, opened_at=now,
                state=CaseState.OPEN)
    session.add(case)
    session.flush()
    outbox.enqueue(session, "check_case", f"check-case:{case.id}", case_id=case.id)
    return case


def close_cases(session: Session, contribution_id: int, now: datetime) -> None:
    """Nothing is left to decide: the author withdrew, or wrote a new revision."""
    session.execute(
        update(Case).where(Case.contribution_id == contribution_id, Case.state == CaseState.OPEN)
        .values(state=CaseState.OBSOLETE, decided_at=now)
    )


def keep_findings(session: Session, case: Case, now: datetime) -> None:
    """Run the checks and keep what they say; a second run leaves the same."""
    contribution = case.contribution
    found: list[Found] = check(contribution.participant.pseudonym, AUTHOR)
    if isinstance(contribution, Proposal):
        found += check(contribution.title, TITLE) + check(contribution.place, PLACE)
    found += check(contribution.body, BODY)
    if isinstance(contribution, Proposal):
        words = distinctive_words(contribution.title, contribution.body, DISTINCTIVE_WORDS)
        found += similar(contribution.title, contribution.body, similar_candidates(session, contribution, words))
    session.execute(delete(Finding).where(Finding.case_id == case.id))
    session.add_all(
        Finding(case_id=case.id, check_key=one.key, severity=one.severity, message=one.message, part=one.part,
                start=one.start, end=one.end, related_contribution_id=one.related_id)
        for one in found
    )
    case.warning_count = sum(one.severity is Severity.WARNING for one in found)
    case.checked_at = now
    session.flush()


def decide(
    session: Session, actor: Actor, case: Case, outcome: Outcome, *, rule_key: str, statement: str,
    revision_seen: int, now: datetime,
) -> Decision:
    """Decide an open case; of two at once the first wins.

    What was published before it was checked is hidden instead of rejected.
    Raises NotAllowed, InvalidInput (no reason given), or Conflict naming who decided what and when.
    """
    require(actor, Action.MODERATE, case, now)
    if outcome not in DECIDABLE:
        raise InvalidInput(N_("Bitte wählen Sie eine Entscheidung."), field="rule_key")
    contribution = case.contribution
    _hold(session, contribution)
    won = session.execute(
        update(Case).where(Case.id == case.id, Case.state == CaseState.OPEN)
        .values(state=CaseState.DECIDED, decided_at=now)
        .execution_options(synchronize_session=False)
    )
    if not won.rowcount:  # type: ignore[attr-defined]
        raise _already_decided(session, case)
    if revision_seen != case.revision_number or revision_seen != contribution.revision_number:
        raise Conflict(N_("Der Text wurde inzwischen überarbeitet. Bitte lesen Sie die neue Fassung."))
    is_public = contribution.state is ContributionState.PUBLISHED
    if outcome is Outcome.REJECT and is_public:
        outcome = Outcome.HIDE
    if outcome is Outcome.RETURN and (is_public or isinstance(contribution, Comment)):
        raise InvalidInput(
            N_("Nur Vorschläge, die noch nicht veröffentlicht sind, können überarbeitet werden."), field="rule_key"
        )
    rule_key, statement = _reasons(outcome, rule_key, statement)
    reason = public_reason(rule_key, statement)
    if outcome is Outcome.HIDE:
        contributions.hide(session, contribution, reason, now)
    elif outcome is Outcome.RETURN:
        contributions.return_to_author(session, contribution, now)
    elif outcome is Outcome.REJECT:
        contributions.reject(session, contribution, reason, now)
    elif not is_public:
        contributions.publish(session, contribution, now)
    case.state, case.decided_at = CaseState.DECIDED, now
    return _record(session, actor, case, outcome, rule_key, statement, now)


def hide_contribution(
    session: Session, actor: Actor, contribution: Contribution, *, rule_key: str, statement: str, now: datetime
) -> Decision:
    """Take a published contribution off all pages. Raises NotAllowed, InvalidInput or Conflict."""
    require(actor, Action.MODERATE, contribution, now)
    rule_key, statement = _reasons(Outcome.HIDE, rule_key, statement)
    _hold(session, contribution)
    contributions.hide(session, contribution, public_reason(rule_key, statement), now)
    return _record(session, actor, _last_case(session, contribution, now), Outcome.HIDE, rule_key, statement, now)


def restore_contribution(session: Session, actor: Actor, contribution: Contribution, *, now: datetime) -> Decision:
    """Show a hidden contribution again. Raises NotAllowed or Conflict (it is not hidden)."""
    require(actor, Action.MODERATE, contribution, now)
    _hold(session, contribution)
    if contribution.state is not ContributionState.HIDDEN:
        raise Conflict(N_("Der Beitrag ist nicht ausgeblendet."))
    contributions.publish(session, contribution, now)
    return _record(session, actor, _last_case(session, contribution, now), Outcome.RESTORE, "", "", now)


def _hold(session: Session, contribution: Contribution) -> None:
    """Lock the contribution before its case, as its author's withdrawing does, and read where it really stands."""
    lock_contribution(session, contribution.id)
    session.refresh(contribution, ["state", "revision_number"])


def _reasons(outcome: Outcome, rule_key: str, statement: str) -> tuple[str, str]:
    """The rule and the statement as they are kept; everything but a release needs both."""
    if outcome not in NEEDS_REASONS:
        return "", ""
    if rule_key not in REASONS:
        raise InvalidInput(N_("Bitte wählen Sie einen Grund aus."), field="rule_key")
    clean = text.clean_text(statement)
    if not clean:
        raise InvalidInput(N_("Bitte begründen Sie die Entscheidung. Die Verfasserin oder der Verfasser liest das."),
                           field="statement")
    if len(clean) > STATEMENT_MAX:
        raise InvalidInput(N_("Die Begründung ist zu lang. Höchstens %(number)s Zeichen sind möglich."),
                           field="statement", number=STATEMENT_MAX)
    return rule_key, clean


def _already_decided(session: Session, case: Case) -> Conflict:
    decision = session.scalar(select(Decision).where(Decision.case_id == case.id).order_by(Decision.id.desc()).limit(1))
    if decision is None:
        return Conflict(N_("Hier ist nichts mehr zu entscheiden: Der Beitrag wurde zurückgezogen oder überarbeitet."))
    when = clock.to_berlin(decision.decided_at)
    return Conflict(
        ALREADY[decision.outcome], who=decision.account.display_name if decision.account else N_("jemand"),
        day=when.strftime("%d.%m.%Y"), hour=when.strftime("%H:%M"),
    )


def _last_case(session: Session, contribution: Contribution, now: datetime) -> Case:
    """The case to which a later decision belongs; imported contributions have none yet."""
    case = session.scalar(
        select(Case).where(Case.contribution_id == contribution.id).order_by(Case.revision_number.desc()).limit(1)
        .execution_options(populate_existing=True)
    )
    if case is None:
        case = Case(contribution_id=contribution.id, revision_number=contribution.revision_number,
                    process_id=contribution.process_id, opened_at=now, decided_at=now, state=CaseState.DECIDED)
        case.contribution = contribution
        session.add(case)
        session.flush()
    elif case.state is CaseState.OPEN:
        case.state, case.decided_at = CaseState.DECIDED, now
        session.flush()
    return case


def _record(
    session: Session, actor: Actor, case: Case, outcome: Outcome, rule_key: str, statement: str, now: datetime
) -> Decision:
    decision = Decision(case_id=case.id, account_id=actor.account_id, outcome=outcome, rule_key=rule_key,
                        statement=statement, decided_at=now)
    session.add(decision)
    session.flush()
    if case.contribution.participant.contact_sealed is not None:
        outbox.enqueue(session, "mail_decision", f"mail-decision:{decision.id}", decision_id=decision.id)
    audit.record(session, at=now, actor=actor.label, action=f"decide_{outcome.value}", subject_type="case",
                 subject_id=case.id, rule=rule_key)
    return decision
