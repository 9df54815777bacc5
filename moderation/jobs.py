"""Checks and mails, after the commit."""

from __future__ import annotations

import re

from flask import url_for

from moderation.models import OUTCOME_LABELS, Case, CaseState, Decision, Outcome, Report
from moderation.operations import examine, keep_findings
from moderation.reasons import REASONS, REPORT_REASONS
from participation import clock, outbox
from participation.accounts.models import ParticipantKind
from participation.accounts.queries import recipient_of
from participation.contributions.comments.models import Comment
from participation.contributions.operations import receipt_token
from participation.contributions.proposals.models import Proposal
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.web import current_keyring


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
    with context.database.reading() as session:
        decision = session.get(Decision, context.args["decision_id"])
        if decision is None:
            return
        contribution = decision.case.contribution
        recipient = recipient_of(session, keyring, contribution.participant)
        if recipient is None:
            return
        slug, name = contribution.process.slug, contribution.participant.pseudonym
        title = contribution.title if isinstance(contribution, Proposal) else ""
        # Nobody confirmed a guest's address: what was refused must not reach a stranger through us.
        number = contribution.receipt_number if (
            contribution.participant.kind is ParticipantKind.GUEST and not contribution.is_published) else ""
        proposal_id = contribution.proposal_id if isinstance(contribution, Comment) else contribution.id
        outcome, rule, statement = decision.outcome, REASONS.get(decision.rule_key, ""), decision.statement
        visible = contribution.is_published
        is_change = bool(context.args.get("is_change"))
        # A guest on another device is known by nothing but this link.
        token = receipt_token(keyring, contribution)
    with mail_context():
        link = ""
        if visible or (title == "" and not token and outcome is not Outcome.REJECT):
            link = url_for("proposals.show", slug=slug, proposal_id=proposal_id, _external=True)
        elif token:
            link = url_for("submissions.receipt", token=token, _external=True)
        elif title:
            link = url_for("submissions.mine", slug=slug, proposal_id=proposal_id, _external=True)
        send(render_mail(
            "decision", key=context.key, recipient=recipient, name="" if number else name,
            title="" if number else title, number=number, link=link, rule=rule,
            statement=statement, outcome=outcome.value, outcome_label=OUTCOME_LABELS[outcome], is_change=is_change,
        ))


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
        number, is_gone = report.receipt_number, not report.contribution.is_published
        reason = REPORT_REASONS[report.reason_key]
    with mail_context():
        send(render_mail(template, key=context.key, recipient=recipient, name=name, number=number, reason=reason,
                         is_gone=is_gone))
