"""Checks and mails, after the commit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flask import url_for

from moderation.models import OUTCOME_LABELS, Case, CaseState, Decision, Report
from moderation.operations import examine, keep_findings
from moderation.reasons import REASONS, REPORT_REASONS
from participation import clock, outbox
from participation.accounts.models import ParticipantKind
from participation.accounts.queries import recipient_of
from participation.contributions.comments.models import Comment
from participation.contributions.guests.operations import hold_for_mail, link_for_mail
from participation.contributions.proposals.models import Proposal
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.text import shorten
from participation.web import current_keyring

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.contributions.models import Contribution

# How much of a comment tells its author which one is meant.
FIRST_WORDS = 120


@outbox.job("check_case", N_("Erste Prüfung eines Beitrags"))
def check_case(context: outbox.JobContext) -> None:
    """First checks of one revision: looked at without holding anything, kept in one short transaction."""
    with context.database.reading() as session:
        case = session.get(Case, context.args["case_id"])
        found = examine(session, case) if case is not None and case.state is CaseState.OPEN else []
    with context.database.unit_of_work() as session:
        if not context.finish(session):
            return
        case = session.get(Case, context.args["case_id"])
        if case is not None and case.state is CaseState.OPEN:
            keep_findings(session, case, found, clock.now())


@outbox.job("mail_decision", N_("E-Mail: Entscheidung der Moderation"))
def mail_decision(context: outbox.JobContext) -> None:
    """Tell the author what was decided, by whom kind of, why, and what can be done about it (Art. 17 DSA)."""
    keyring = current_keyring()
    with context.database.unit_of_work() as session:
        decision = session.get(Decision, context.args["decision_id"])
        if decision is None:
            return
        contribution = decision.case.contribution
        hold_for_mail(session, contribution)
        recipient = recipient_of(session, keyring, contribution.participant)
        if recipient is None:
            return
        slug, name = contribution.process.slug, contribution.participant.pseudonym
        title, words = _named(session, contribution)
        # Nobody confirmed a guest's address: what was refused must not reach a stranger through us.
        is_guest = contribution.participant.kind is ParticipantKind.GUEST
        number = contribution.receipt_number if is_guest and not contribution.is_published else ""
        comment_id, proposal_id = _numbers(contribution)
        outcome, rule, statement = decision.outcome, REASONS.get(decision.rule_key, ""), decision.statement
        visible = contribution.is_published
        is_change = bool(context.args.get("is_change"))
        # A guest on another device is known by nothing but this link.
        token = None if visible else link_for_mail(keyring, contribution)
    with mail_context():
        if visible:
            link = _link(slug, proposal_id, comment_id)
        elif token:
            link = url_for("submissions.receipt", token=token, _external=True)
        elif comment_id is None:
            link = url_for("submissions.mine", slug=slug, proposal_id=proposal_id, _external=True)
        else:
            link = url_for("personal.contributions", _external=True)
        send(render_mail(
            "decision", key=context.key, recipient=recipient, name="" if is_guest else name,
            title="" if number else title, words="" if number else words, is_comment=comment_id is not None,
            number=number, link=link, rule=rule,
            statement=statement, outcome=outcome.value, outcome_label=OUTCOME_LABELS[outcome], is_change=is_change,
            is_visible=visible,
        ))


def _named(session: Session, contribution: Contribution) -> tuple[str, str]:
    """By which title people know a contribution, and the first words of a comment; no title of what is not public."""
    if not isinstance(contribution, Comment):
        return str(getattr(contribution, "title", "")), ""
    proposal = session.get(Proposal, contribution.proposal_id)
    return proposal.title if proposal and proposal.is_published else "", shorten(contribution.body, FIRST_WORDS)


def _numbers(contribution: Contribution) -> tuple[int | None, int]:
    """Of the comment, if it is one, and of the proposal."""
    return (contribution.id, contribution.proposal_id) if isinstance(contribution, Comment) else (None, contribution.id)


def _link(slug: str, proposal_id: int, comment_id: int | None) -> str:
    """Where everybody reads it."""
    if comment_id is None:
        return url_for("proposals.show", slug=slug, proposal_id=proposal_id, _external=True)
    return url_for("comments.show", slug=slug, proposal_id=proposal_id, comment_id=comment_id, _external=True)


@outbox.job("mail_report_receipt", N_("E-Mail: Meldung eingegangen"))
def mail_report_receipt(context: outbox.JobContext) -> None:
    """That a report arrived, with its number (Art. 16 (4) DSA)."""
    _mail_reporter(context, "report_receipt")


@outbox.job("mail_report_outcome", N_("E-Mail: Ergebnis einer Meldung"))
def mail_report_outcome(context: outbox.JobContext) -> None:
    """What became of a report (Art. 16 (5) DSA)."""
    _mail_reporter(context, "report_outcome")


# Nobody confirmed the address, so what is no name, a link for one, is not sent there.
_NAME = re.compile(r"(?:[^\W\d_]|[ '’-]|\.(?=\s|$))+")


def _mail_reporter(context: outbox.JobContext, template: str) -> None:
    with context.database.reading() as session:
        report = session.get(Report, context.args["report_id"])
        contact = current_keyring().unseal(report.contact_sealed) if report and report.contact_sealed else None
        if report is None or not contact:
            return
        recipient, _, name = contact.partition("\n")
        name = name if _NAME.fullmatch(name) else ""
        contribution = report.contribution
        number, is_gone = report.receipt_number, not contribution.is_published
        reason, process = REPORT_REASONS[report.reason_key], contribution.process.title
        slug, (comment_id, proposal_id) = contribution.process.slug, _numbers(contribution)
        # Nobody confirmed the address: what no moderator has read yet, or what was refused, is not sent there.
        is_read = report.handled_at is not None and not is_gone
        title, words = _named(session, contribution) if is_read else ("", "")
    with mail_context():
        link = "" if is_gone else _link(slug, proposal_id, comment_id)
        send(render_mail(template, key=context.key, recipient=recipient, name=name, number=number, reason=reason,
                         is_gone=is_gone, is_comment=comment_id is not None, process=process, title=title, words=words,
                         link=link))
