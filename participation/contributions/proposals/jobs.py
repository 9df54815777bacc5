"""The mail that brings an official answer, searches that must know of other answers, and the shuffled order."""

from __future__ import annotations

from flask import url_for
from sqlalchemy import select

from participation import clock, outbox, schedule
from participation.accounts.models import ParticipantKind
from participation.accounts.queries import recipient_of
from participation.contributions.proposals.models import ANSWER_LABELS, Proposal
from participation.contributions.proposals.operations.searching import reindex
from participation.contributions.proposals.operations.shuffling import shuffle_anew
from participation.contributions.proposals.queries import public_ids_of
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.processes.models import Process, ProcessState
from participation.web import current_database, current_keyring

BATCH = 100
# When hardly anybody reads: a list that somebody is in the middle of changes its order.
SHUFFLE_HOUR = 3


@schedule.hourly
def shuffle_lists() -> None:
    """Once a night, in Berlin's time, the shuffled lists of all running processes begin anew."""
    if clock.to_berlin(clock.now()).hour != SHUFFLE_HOUR:
        return
    with current_database().reading() as session:
        ids = session.scalars(select(Process.id).where(Process.state == ProcessState.PUBLISHED)).all()
    for process_id in ids:
        with current_database().unit_of_work() as session:
            shuffle_anew(session, process_id)


@outbox.job("mail_answer", N_("E-Mail: Antwort auf einen Vorschlag"))
def mail_answer(context: outbox.JobContext) -> None:
    """To the author, as far as there is an address; with the answer as it stands now."""
    with context.database.reading() as session:
        proposal = session.get(Proposal, context.args["proposal_id"])
        if proposal is None or proposal.answer_status is None or not proposal.is_published:
            return
        recipient = recipient_of(session, current_keyring(), proposal.participant)
        if recipient is None:
            return
        slug, proposal_id, name, title = (
            proposal.process.slug, proposal.id, proposal.participant.pseudonym, proposal.title)
        if proposal.participant.kind is ParticipantKind.GUEST:
            # Nobody confirmed the address: the name may be what somebody else is to read.
            name = ""
        label, answer, cost = ANSWER_LABELS[proposal.answer_status], proposal.answer_body, proposal.answer_cost
    with mail_context():
        link = url_for("proposals.show", slug=slug, proposal_id=proposal_id, _anchor="antwort", _external=True)
        send(render_mail("answer", key=context.key, recipient=recipient, name=name, title=title, label=label,
                         answer=answer, cost=cost, link=link, is_change=context.args.get("is_change", False),
                         had_cost=context.args.get("had_cost", False)))


@outbox.job("index_phase", N_("Suche: Vorschläge einer Phase neu aufnehmen"))
def index_phase(context: outbox.JobContext) -> None:
    """Other answers are public now; a hundred proposals at a time, so that nobody waits."""
    phase_id, last = context.args["phase_id"], 0
    while True:
        with context.database.unit_of_work() as session:
            ids = session.scalars(public_ids_of(phase_id, last, BATCH)).all()
            reindex(session, ids)
        if len(ids) < BATCH:
            return
        last = ids[-1]
