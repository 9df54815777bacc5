"""The staff's room: what waits, jobs, mails, accounts."""

from __future__ import annotations

import email
from email import policy
from typing import TYPE_CHECKING

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import delete, func, select
from sqlalchemy.orm import selectinload

from participation import audit, outbox, web
from participation.accounts.models import Account, Passkey, RoleGrant
from participation.accounts.operations import invite_staff, revoke_sessions
from participation.actions import Action
from participation.administration.forms import InviteForm
from participation.contributions.models import Contribution, ContributionState
from participation.db import bounded_count
from participation.errors import Conflict, InvalidInput, NotFound
from participation.permissions import ROLE_LABELS, Role
from participation.processes.models import Process

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("administration", __name__)
COUNTED = 500
LISTED = 50
LARGEST_ID = 2**31 - 1


@blueprint.get("/verwaltung")
@web.allows(Action.ENTER_STAFF_ROOM)
def index() -> ResponseReturnValue:
    """What waits for whom."""
    session, municipality = web.current_session(), web.the_municipality()
    waiting = bounded_count(session, select(Contribution.id).join(Process, Process.id == Contribution.process_id).where(
        Process.municipality_id == municipality.id, Contribution.state == ContributionState.SUBMITTED), COUNTED)
    parked = session.scalar(select(func.count()).select_from(outbox.OutboxRow).where(
        outbox.OutboxRow.failed_at.is_not(None), outbox.OutboxRow.done_at.is_(None))) or 0
    return render_template("administration/index.html", waiting=waiting, parked=parked, counted=COUNTED)


@blueprint.get("/verwaltung/auftraege")
@web.allows(Action.MANAGE_JOBS)
def jobs() -> ResponseReturnValue:
    """Jobs that are parked, wait, or were done last."""
    session, row = web.current_session(), outbox.OutboxRow
    parked = session.scalars(select(row).where(row.failed_at.is_not(None), row.done_at.is_(None))
                             .order_by(row.id.desc()).limit(LISTED)).all()
    waiting = session.scalars(select(row).where(row.done_at.is_(None), row.failed_at.is_(None))
                              .order_by(row.id).limit(LISTED)).all()
    done = session.scalars(select(row).where(row.done_at.is_not(None)).order_by(row.id.desc()).limit(20)).all()
    return render_template("administration/jobs.html", parked=parked, waiting=waiting, done=done,
                           labels=outbox.job_labels)


@blueprint.post("/verwaltung/auftraege/<int:row_id>/wiederholen")
@web.allows(Action.MANAGE_JOBS)
def retry_job(row_id: int) -> ResponseReturnValue:
    """Give a parked job another three tries."""
    outbox.retry(web.current_session(), min(row_id, LARGEST_ID))
    flash(_("Der Auftrag wird noch einmal versucht."), "success")
    return web.go("administration.jobs")


@blueprint.get("/verwaltung/mails")
@web.allows(Action.MANAGE_JOBS)
def mails() -> ResponseReturnValue:
    """Mails that were kept because no mail server is set."""
    folder = web.current_settings().mail_dir
    files = sorted(folder.glob("*.eml"), reverse=True)[:LISTED] if folder.exists() else []
    return render_template("administration/mails.html", mails=[(path.name, _read(path.name)) for path in files],
                           has_server=bool(web.current_settings().smtp_url))


def _read(name: str) -> dict[str, str]:
    path = next((one for one in web.current_settings().mail_dir.glob("*.eml") if one.name == name), None)
    if path is None:
        raise NotFound
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    body = message.get_body(("plain",))
    return {"to": str(message["To"]), "subject": str(message["Subject"]), "date": str(message["Date"]),
            "text": str(body.get_content()) if body else ""}


@blueprint.get("/verwaltung/mails/<name>")
@web.allows(Action.MANAGE_JOBS)
def mail(name: str) -> ResponseReturnValue:
    """One kept mail as text."""
    return render_template("administration/mail.html", mail=_read(name))


@blueprint.route("/verwaltung/konten", methods=["GET", "POST"])
@web.allows(Action.MANAGE_ACCOUNTS)
def accounts() -> ResponseReturnValue:
    """Staff of this municipality; invite, take roles away."""
    session, municipality = web.current_session(), web.the_municipality()
    web.require(Action.MANAGE_ACCOUNTS, municipality)
    form = InviteForm()
    form.role.choices = [(role.value, _(label)) for role, label in ROLE_LABELS.items()]
    if form.validate_on_submit():
        try:
            invite_staff(session, form.email.data or "", form.display_name.data or "", Role(form.role.data),
                         municipality.id, None, web.current_now())
            account = session.scalars(select(Account).where(Account.email == (form.email.data or "").strip().lower())).one()
            outbox.enqueue(session, "mail_invitation", f"mail-invitation:{account.id}:{web.current_now():%Y%m%d%H%M}",
                           account_id=account.id)
            audit.record(session, at=web.current_now(), actor=web.current_actor().label, action="invite_staff",
                         subject_type="account", subject_id=account.id, role=form.role.data)
        except InvalidInput as error:
            web.attach(form, error)
        else:
            flash(_("Die Einladung ist unterwegs."), "success")
            return web.go("administration.accounts")
    people = session.scalars(
        select(Account).where(Account.id.in_(select(RoleGrant.account_id).where(
            RoleGrant.municipality_id == municipality.id)))
        .options(selectinload(Account.grants)).order_by(Account.display_name).limit(200)
    ).all()
    with_passkey = set(session.scalars(select(Passkey.account_id).where(
        Passkey.account_id.in_([person.id for person in people]))))
    return render_template("administration/accounts.html", people=people, with_passkey=with_passkey, form=form, labels=ROLE_LABELS,
                           municipality_id=municipality.id, own_id=web.current_actor().account_id), (
        422 if form.is_submitted() else 200
    )


@blueprint.post("/verwaltung/konten/<int:account_id>/rolle-entziehen")
@web.allows(Action.MANAGE_ACCOUNTS)
def revoke_role(account_id: int) -> ResponseReturnValue:
    """Take a role away; it counts at that person's next click. Nobody can take away the last administration."""
    session, municipality = web.current_session(), web.the_municipality()
    web.require(Action.MANAGE_ACCOUNTS, municipality)
    raw = request.form.get("grant", "")
    grant = session.get(RoleGrant, int(raw)) if raw.isdecimal() and len(raw) < 10 else None  # noqa: PLR2004 - fits the column
    if grant is None or grant.account_id != account_id or grant.municipality_id != municipality.id:
        raise NotFound
    admins = session.scalar(select(func.count()).select_from(RoleGrant).where(
        RoleGrant.municipality_id == municipality.id, RoleGrant.role == Role.ADMIN)) or 0
    if grant.role is Role.ADMIN and admins <= 1:
        raise Conflict(_("Das ist die letzte Administration. Geben Sie zuerst jemand anderem diese Rolle."))
    session.execute(delete(RoleGrant).where(RoleGrant.id == grant.id))
    revoke_sessions(session, account_id, web.current_now())
    audit.record(session, at=web.current_now(), actor=web.current_actor().label, action="revoke_role",
                 subject_type="account", subject_id=account_id, role=grant.role.value)
    flash(_("Die Rolle ist entzogen."), "success")
    return redirect(url_for("administration.accounts"), code=303)
