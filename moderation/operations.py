"""Opening cases, keeping findings, deciding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select, update

from moderation.checks import Found, check, similar
from moderation.models import OUTCOME_LABELS, Case, CaseState, Decision, Finding, Outcome, Report, Severity
from moderation.queries import answers_of, text_of
from moderation.reasons import REASONS, REPORT_REASONS
from participation import audit, outbox, search, text
from participation.accounts.operations.entered import NAME_MAX, clean_email
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.models import Contribution, ContributionState
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.revising import apply_revision, refuse_revision
from participation.contributions.queries import lock_contribution
from participation.errors import Checks, Conflict, InvalidInput
from participation.i18n import N_
from participation.own_fields import as_text
from participation.permissions import Actor, require
from participation.tokens import new_receipt_number

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

STATEMENT_MAX = 2000
CANDIDATES = 50
DISTINCTIVE_WORDS = 4


class Renamed(Conflict):
    """The name that readers are going to see came after the contribution was read."""


def open_case(session: Session, contribution_id: int, revision_number: int, process_id: int, now: datetime) -> Case:
    """One case per revision; the first checks follow as a job."""
    case = Case(contribution_id=contribution_id, revision_number=revision_number, process_id=process_id, opened_at=now,
                state=CaseState.OPEN)
    session.add(case)
    session.flush()
    outbox.enqueue(session, "check_case", f"check-case:{case.id}", case_id=case.id)
    return case


def report_contribution(
    session: Session,
    keyring: Keyring,
    contribution: Contribution,
    *,
    reason_key: str,
    statement: str,
    in_good_faith: bool,
    name: str,
    email: str,
    submission_key: str,
    now: datetime,
) -> Report:
    """Take a reader's notice and bring the contribution back to the desk; the same form sent twice stays one.

    Needs no account. `email` is for the receipt and the outcome only, and may be left out. Raises InvalidInput, or
    Conflict when the contribution is not public any more.
    """
    known = session.scalar(select(Report).where(Report.submission_key == submission_key))
    if known is not None:
        return known
    if not contribution.is_published:
        raise Conflict(N_("Dieser Beitrag ist nicht mehr zu sehen. Eine Meldung ist nicht mehr nötig."))
    clean = address = ""
    checks = Checks()
    with checks:
        if reason_key not in REPORT_REASONS:
            raise InvalidInput(N_("Bitte wählen Sie aus, worum es geht."), field="reason_key")
    with checks:
        clean = text.checked(
            text.clean_text(statement), STATEMENT_MAX, field="statement",
            missing=N_("Bitte schreiben Sie kurz, was nicht in Ordnung ist."),
            too_long=N_("Der Text ist zu lang. Höchstens %(number)s Zeichen sind möglich."))
    with checks:
        address = clean_email(email) if email.strip() else ""
    with checks:
        if not in_good_faith:
            raise InvalidInput(N_("Bitte bestätigen Sie, dass Ihre Angaben nach Ihrem Wissen stimmen."),
                               field="in_good_faith")
    checks.done()
    contact = f"{address}\n{text.clean_line(name)[:NAME_MAX]}"
    report = Report(
        contribution_id=contribution.id, reason_key=reason_key, statement=clean, created_at=now,
        contact_sealed=keyring.seal(contact) if address else None, receipt_number=new_receipt_number(),
        submission_key=submission_key,
    )
    session.add(report)
    session.flush()
    _reopen(session, contribution, now)
    if address:
        outbox.enqueue(session, "mail_report_receipt", f"mail-report-receipt:{report.id}", report_id=report.id)
    audit.record(session, at=now, actor="reader", action="report_contribution", subject_type=contribution.kind,
                 subject_id=contribution.id, rule=reason_key)
    return report


def _reopen(session: Session, contribution: Contribution, now: datetime) -> None:
    """The case of the revision that readers see is open again, and stands among those with a warning."""
    case = session.scalar(select(Case).where(
        Case.contribution_id == contribution.id, Case.revision_number == contribution.revision_number))
    if case is None:
        case = Case(contribution_id=contribution.id, revision_number=contribution.revision_number,
                    process_id=contribution.process_id, opened_at=now, checked_at=now, state=CaseState.OPEN)
        session.add(case)
    case.state, case.decided_at = CaseState.OPEN, None
    case.warning_count = (case.warning_count or 0) + 1
    session.flush()


def close_outdated(session: Session, contribution_id: int, revision_number: int, now: datetime) -> None:
    """A newer revision came: older ones that nobody reads any more need no decision."""
    visible = select(Contribution.revision_number).where(Contribution.id == contribution_id).scalar_subquery()
    session.execute(
        update(Case).where(Case.contribution_id == contribution_id, Case.state == CaseState.OPEN,
                           Case.revision_number < revision_number, Case.revision_number != visible)
        .values(state=CaseState.OBSOLETE, decided_at=now)
    )


def close_cases(session: Session, contribution_id: int, now: datetime) -> None:
    """The author withdrew: nothing is left to decide."""
    session.execute(
        update(Case).where(Case.contribution_id == contribution_id, Case.state == CaseState.OPEN)
        .values(state=CaseState.OBSOLETE, decided_at=now)
    )


def examine(session: Session, case: Case) -> list[tuple[str, Found]]:
    """Run the checks: (part of the contribution, what was found). Reads only, so that nobody waits meanwhile."""
    contribution = case.contribution
    title, body = text_of(session, case)
    found: list[tuple[str, Found]] = [("title", one) for one in check(title) if one.key != "short"] if title else []
    found += [("body", one) for one in check(body)]
    said = as_text(answers_of(session, case))
    found += [("answers", one) for one in check(said) if one.key != "short"] if said else []
    if isinstance(contribution, Proposal):
        found += [("body", one) for one in similar(title, body, _candidates(session, contribution))]
    return found


def keep_findings(session: Session, case: Case, found: list[tuple[str, Found]], now: datetime) -> None:
    """Keep what the checks say, in place of what they said before; a second run leaves the same."""
    session.execute(delete(Finding).where(Finding.case_id == case.id))
    session.add_all(
        Finding(case_id=case.id, check_key=one.key, severity=one.severity, message=one.message, part=part,
                start=one.start, end=one.end, related_contribution_id=one.related_id)
        for part, one in found
    )
    case.warning_count = sum(one.severity is Severity.WARNING for _part, one in found)
    case.checked_at = now
    session.flush()


def _candidates(session: Session, proposal: Proposal) -> list[tuple[int, str, str]]:
    """Published proposals that share a distinctive word: bounded, whatever the size of the town."""
    words = sorted({word for word in proposal.title.split() if len(word) > 4}, key=len, reverse=True)  # noqa: PLR2004
    found: dict[int, None] = {}
    for word in words[:DISTINCTIVE_WORDS]:
        found |= dict.fromkeys(search.newest_matching(session, proposal.process_id, word, CANDIDATES))
    found.pop(proposal.id, None)
    rows = session.execute(select(Proposal.id, Proposal.title, Proposal.body).where(Proposal.id.in_(found)))
    return [(row[0], row[1], row[2]) for row in rows]


def decide(
    session: Session, actor: Actor, case: Case, outcome: Outcome, *, rule_key: str, statement: str,
    revision_seen: int, now: datetime, name_seen: str | None = None,
) -> Decision:
    """Decide an open case; of two at once the first wins.

    Raises NotAllowed, InvalidInput (no reason given), Renamed, or Conflict naming who decided what and when.
    """
    require(actor, Action.MODERATE, case, now)
    statement = _statement(outcome, rule_key, statement)
    contribution = case.contribution
    # Its author may be changing it at this very moment.
    lock_contribution(session, contribution.id)
    session.refresh(contribution, ["state", "revision_number", "pending_revision"])
    is_change = case.revision_number == contribution.pending_revision
    _require_read(session, case, revision_seen, name_seen if outcome is Outcome.APPROVE else None)
    won = session.execute(
        update(Case).where(Case.id == case.id, Case.state == CaseState.OPEN)
        .values(state=CaseState.DECIDED, decided_at=now)
        .execution_options(synchronize_session=False)
    )
    if not won.rowcount:  # type: ignore[attr-defined]
        raise _already_decided(session, case)
    if not is_change and case.revision_number != contribution.revision_number:
        raise Conflict(N_("Der Text wurde inzwischen überarbeitet. Bitte lesen Sie die neue Fassung."))
    reason = public_reason(rule_key, statement)
    if is_change and isinstance(contribution, Proposal):
        # What was public before stays so, whatever becomes of the change.
        if outcome is Outcome.APPROVE:
            apply_revision(session, contribution, now)
        else:
            refuse_revision(session, contribution)
    elif outcome is Outcome.APPROVE:
        if contribution.state is ContributionState.SUBMITTED:
            contributions.publish(session, contribution, now)
        elif contribution.state is ContributionState.PUBLISHED:
            contributions.keep_published(session, contribution, now)
    elif outcome is Outcome.RETURN:
        contributions.return_to_author(session, contribution, now)
    elif contribution.state is ContributionState.PUBLISHED:
        # It was published first and checked afterwards.
        contributions.hide(session, contribution, reason, now)
    else:
        contributions.reject(session, contribution, reason, now)
    return _record(session, actor, case, outcome, rule_key, statement, now, is_change=is_change)


def _require_read(session: Session, case: Case, revision: int, name: str | None) -> None:
    """What is decided on was read: the newest text and, if it matters, its author's name, which a guest may still give.

    Raises Conflict or Renamed.
    """
    if revision != case.revision_number:
        raise Conflict(N_("Der Text wurde inzwischen überarbeitet. Bitte lesen Sie die neue Fassung."))
    author = case.contribution.participant
    session.refresh(author, ["pseudonym"], with_for_update=True)
    if name not in {None, author.pseudonym}:
        raise Renamed(N_("Der Name über dem Beitrag ist inzwischen ein anderer. Bitte lesen Sie ihn, bevor Sie freigeben."))


def hide_contribution(
    session: Session, actor: Actor, contribution: Contribution, *, rule_key: str, statement: str, now: datetime
) -> Decision:
    """Take a published contribution off all pages. Raises NotAllowed, InvalidInput or Conflict."""
    require(actor, Action.MODERATE, contribution, now)
    statement = _statement(Outcome.HIDE, rule_key, statement)
    contributions.hide(session, contribution, public_reason(rule_key, statement), now)
    return _record(session, actor, _last_case(session, contribution, now), Outcome.HIDE, rule_key, statement, now)


def restore_contribution(session: Session, actor: Actor, contribution: Contribution, *, now: datetime) -> Decision:
    """Show a hidden contribution again. Raises NotAllowed or Conflict."""
    require(actor, Action.MODERATE, contribution, now)
    contributions.publish(session, contribution, now)
    return _record(session, actor, _last_case(session, contribution, now), Outcome.RESTORE, "", "", now)


def public_reason(rule_key: str, statement: str) -> str:
    """The rule and the moderator's own words, as the author reads them."""
    return "\n\n".join(part for part in (REASONS.get(rule_key, "") if rule_key != "other" else "", statement) if part)


def _statement(outcome: Outcome, rule_key: str, statement: str) -> str:
    """Everything but an approval needs a rule and a statement of reasons."""
    clean = text.clean_text(statement)
    if outcome in {Outcome.APPROVE, Outcome.RESTORE}:
        return clean[:STATEMENT_MAX]
    if rule_key not in REASONS:
        raise InvalidInput(N_("Bitte wählen Sie einen Grund aus."), field="rule_key")
    return text.checked(
        clean, STATEMENT_MAX, field="statement",
        missing=N_("Bitte begründen Sie die Entscheidung. Die Verfasserin oder der Verfasser liest das."),
        too_long=N_("Die Begründung ist zu lang. Höchstens %(number)s Zeichen sind möglich."))


def _already_decided(session: Session, case: Case) -> Conflict:
    decision = session.scalar(select(Decision).where(Decision.case_id == case.id).order_by(Decision.id.desc()).limit(1))
    if decision is None:
        return Conflict(N_("Dieser Beitrag wurde inzwischen zurückgezogen."))
    return Conflict(
        N_("Schon entschieden: %(who)s hat am %(when)s so entschieden: %(what)s."),
        who=decision.account.display_name if decision.account else N_("Jemand"),
        when=decision.decided_at,
        what=OUTCOME_LABELS[decision.outcome],
    )


def _last_case(session: Session, contribution: Contribution, now: datetime) -> Case:
    """The case to which a later decision belongs; imported contributions have none yet."""
    case = session.scalar(
        select(Case).where(Case.contribution_id == contribution.id).order_by(Case.revision_number.desc()).limit(1)
    )
    if case is None:
        case = Case(contribution_id=contribution.id, revision_number=contribution.revision_number,
                    process_id=contribution.process_id, opened_at=now, decided_at=now, state=CaseState.DECIDED)
        session.add(case)
        session.flush()
    elif case.state is CaseState.OPEN:
        case.state, case.decided_at = CaseState.DECIDED, now
        session.flush()
    return case


def _record(
    session: Session, actor: Actor, case: Case, outcome: Outcome, rule_key: str, statement: str, now: datetime,
    *, is_change: bool = False,
) -> Decision:
    decision = Decision(case_id=case.id, account_id=actor.account_id, outcome=outcome, rule_key=rule_key,
                        statement=statement, decided_at=now)
    session.add(decision)
    session.flush()
    # Reports mean the text that is public; its own case stands beside that of a change.
    told = not is_change and _handle_reports(session, case, decision, now)
    if told and outcome is Outcome.APPROVE and case.contribution.is_published:
        # It stays as it is: nothing changed for its author, who was told long ago.
        audit.record(session, at=now, actor=actor.label, action="decide_report_unfounded", subject_type="case",
                     subject_id=case.id)
        return decision
    outbox.enqueue(session, "mail_decision", f"mail-decision:{decision.id}", decision_id=decision.id,
                   is_change=is_change)
    audit.record(session, at=now, actor=actor.label, action=f"decide_{outcome.value}", subject_type="case",
                 subject_id=case.id, rule=rule_key)
    return decision


def _handle_reports(session: Session, case: Case, decision: Decision, now: datetime) -> int:
    """Whoever reported the contribution hears of the outcome; returns how many reports that were."""
    reports = session.scalars(select(Report).where(
        Report.contribution_id == case.contribution_id, Report.handled_at.is_(None))).all()
    for report in reports:
        report.handled_at, report.decision_id = now, decision.id
        if report.contact_sealed:
            outbox.enqueue(session, "mail_report_outcome", f"mail-report-outcome:{report.id}", report_id=report.id)
    session.flush()
    return len(reports)
