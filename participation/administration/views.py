"""The staff's room: what waits, jobs, mails, accounts."""

from __future__ import annotations

import email
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from itertools import islice
from typing import TYPE_CHECKING, Any

from flask import Blueprint, flash, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import func, select

from participation import outbox, text, web
from participation.accounts.models import Account, RoleGrant
from participation.accounts.operations.entered import clean_email, clean_staff_name
from participation.actions import Action
from participation.administration.forms import InviteForm
from participation.administration.operations import give_role, take_role
from participation.administration.queries import (
    PEOPLE_PER_PAGE,
    covering,
    in_municipality,
    is_only_one,
    jobs_of,
    roles_of,
    staff_page,
    with_second_factor,
)
from participation.errors import Conflict, InvalidInput, NotFound
from participation.i18n import N_
from participation.mail import kept_mails
from participation.permissions import ROLE_LABELS, Role, RoleIn
from participation.processes.models import Process
from participation.processes.queries import process_for_editing
from participation.processes.views.staff import add_tab, tabs_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flask.typing import ResponseReturnValue
    from sqlalchemy import ColumnElement, Row

    from participation.municipalities.models import Municipality

blueprint = Blueprint("administration", __name__)
LISTED = 50
SEARCH_MAX = 100
LARGEST_ID = 2**31 - 1
DONE = 303


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on the staff: whether they can work yet; per role (number, label, where it holds, where it is taken)."""

    account: Account
    is_ready: bool
    is_self: bool
    roles: list[tuple[int, str, str, str]]


@blueprint.get("/verwaltung")
@web.allows(Action.ENTER_STAFF_ROOM)
def index() -> ResponseReturnValue:
    """What waits for whom."""
    session, municipality = web.current_session(), web.the_municipality()
    parked = session.scalar(select(func.count()).select_from(outbox.OutboxRow).where(
        jobs_of(session, municipality.id), outbox.OutboxRow.failed_at.is_not(None), outbox.OutboxRow.done_at.is_(None))) or 0
    return render_template("administration/index.html", parked=parked)


def _manages_jobs() -> None:
    """Mails hold links that sign in: the administration of one process must not read them."""
    web.require(Action.MANAGE_JOBS, web.the_municipality())


@blueprint.get("/verwaltung/auftraege")
@web.allows(Action.MANAGE_JOBS)
def jobs() -> ResponseReturnValue:
    """Jobs that are parked, wait, or were done last."""
    _manages_jobs()
    session, row = web.current_session(), outbox.OutboxRow
    own = select(row).where(jobs_of(session, web.the_municipality().id))
    parked = session.scalars(own.where(row.failed_at.is_not(None), row.done_at.is_(None))
                             .order_by(row.id.desc()).limit(LISTED)).all()
    waiting = session.scalars(own.where(row.done_at.is_(None), row.failed_at.is_(None))
                              .order_by(row.id).limit(LISTED)).all()
    done = session.scalars(own.where(row.done_at.is_not(None)).order_by(row.id.desc()).limit(20)).all()
    return render_template("administration/jobs.html", parked=parked, waiting=waiting, done=done,
                           labels=outbox.job_labels)


@blueprint.post("/verwaltung/auftraege/<int:row_id>/wiederholen")
@web.allows(Action.MANAGE_JOBS)
def retry_job(row_id: int) -> ResponseReturnValue:
    """Give a parked job another three tries."""
    _manages_jobs()
    session, row = web.current_session(), outbox.OutboxRow
    found = session.scalar(select(row.id).where(row.id == min(row_id, LARGEST_ID),
                                                jobs_of(session, web.the_municipality().id)))
    if found is None:
        raise NotFound
    outbox.retry(session, found)
    flash(_("Der Auftrag wird noch einmal versucht."), "success")
    return web.go("administration.jobs")


@blueprint.get("/verwaltung/mails")
@web.allows(Action.MANAGE_JOBS)
def mails() -> ResponseReturnValue:
    """Mails that were kept because no mail server is set."""
    _manages_jobs()
    return render_template("administration/mails.html",
                           mails=[(path.name, _read(path)) for path in islice(_own_mails(), LISTED)],
                           has_server=bool(web.current_settings().smtp_url))


def _own_mails() -> Iterator[Path]:
    return kept_mails(web.current_settings().mail_dir, web.the_municipality().id,
                      with_nobodys=is_only_one(web.current_session()))


def _read(path: Path) -> dict[str, Any]:
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    body, date = message.get_body(("plain",)), message["Date"]
    # Of a file from elsewhere without a date, or with one that is none, the time at which it was put there.
    sent_at = getattr(date, "datetime", None) or datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return {"to": str(message["To"]), "subject": str(message["Subject"]), "sent_at": sent_at,
            "text": str(body.get_content()) if body else ""}


@blueprint.get("/verwaltung/mails/<name>")
@web.allows(Action.MANAGE_JOBS)
def mail(name: str) -> ResponseReturnValue:
    """One kept mail as text."""
    _manages_jobs()
    path = next((one for one in _own_mails() if one.name == name), None)
    if path is None:
        raise NotFound
    return render_template("administration/mail.html", mail=_read(path))


@blueprint.route("/verwaltung/konten", methods=["GET", "POST"])
@web.allows(Action.MANAGE_ACCOUNTS)
def accounts() -> ResponseReturnValue:
    """Staff of this municipality; invite, take roles away."""
    municipality = web.the_municipality()
    web.require(Action.MANAGE_ACCOUNTS, municipality)
    form = InviteForm().offer(Role)
    status = 200 if request.method == "GET" else _given(form, municipality, None)
    if status == DONE:
        return web.go("administration.accounts")
    words, rows, next_url = _listed(in_municipality(municipality.id))
    return render_template("administration/accounts.html", form=form, words=words, next_url=next_url, people=_people([
        (grant, title or "", url_for("administration.revoke_role", account_id=grant.account_id))
        for grant, _place, title in rows
    ])), status


@blueprint.post("/verwaltung/konten/<int:account_id>/rolle-entziehen")
@web.allows(Action.MANAGE_ACCOUNTS)
def revoke_role(account_id: int) -> ResponseReturnValue:
    """Take a role away, for all of the municipality or for one process of it."""
    municipality = web.the_municipality()
    web.require(Action.MANAGE_ACCOUNTS, municipality)
    grant = _grant()
    if grant.account_id != account_id or grant.municipality_id != municipality.id:
        raise NotFound
    _take(grant, municipality, None)
    return web.go("administration.accounts")


add_tab(N_("Rollen"), "administration.roles", ("administration.roles",))


@blueprint.route("/verwaltung/verfahren/<int:process_id>/rollen", methods=["GET", "POST"])
@web.allows(Action.GIVE_ROLES)
def roles(process_id: int) -> ResponseReturnValue:
    """Who does what in a process, by its own or by an inherited role; give a role."""
    process = _process(process_id)
    form = InviteForm().offer(role for role in Role if web.can(Action.GIVE_ROLES, RoleIn(role, process)))
    status = 200 if request.method == "GET" else _given(form, process.municipality, process)
    if status == DONE:
        return web.go("administration.roles", process_id=process.id)
    words, rows, next_url = _listed(covering(process))
    here = url_for("administration.revoke_role_in", process_id=process.id)
    people = _people([
        (grant, "" if grant.process_id else _("für alle Verfahren: %(place)s", place=place),
         here if grant.process_id and web.can(Action.GIVE_ROLES, RoleIn(grant.role, process)) else "")
        for grant, place, _title in rows
    ])
    return render_template("administration/roles.html", process=process, words=words, next_url=next_url, tabs=tabs_of(process), people=people, form=form,
                           may_invite_for_all=web.can(Action.MANAGE_ACCOUNTS, process.municipality)), status


@blueprint.post("/verwaltung/verfahren/<int:process_id>/rollen/entziehen")
@web.allows(Action.GIVE_ROLES)
def revoke_role_in(process_id: int) -> ResponseReturnValue:
    """Take a role away that holds in this process alone."""
    process = _process(process_id)
    grant = _grant()
    if grant.process_id != process.id:
        raise NotFound
    _take(grant, process.municipality, process)
    if grant.account_id == web.current_actor().account_id:
        # Perhaps the page is theirs no longer.
        return web.go("municipalities.home")
    return web.go("administration.roles", process_id=process.id)


def _listed(roles: ColumnElement[bool]) -> tuple[str, Sequence[Row[RoleGrant, str, str | None]], str | None]:
    """What is searched for, the roles of one page of people, and the address of the next page."""
    session, raw = web.current_session(), request.args.get("nach", "")
    words = text.clean_line(request.args.get("q", "")[:SEARCH_MAX]).strip()
    after = int(raw) if raw.isascii() and raw.isdecimal() and len(raw) < 10 else None  # noqa: PLR2004 - fits the column
    found = session.scalars(staff_page(roles, words, after)).all()
    shown = found[:PEOPLE_PER_PAGE]
    next_url = None
    if len(found) > len(shown):
        next_url = url_for(request.endpoint or "", **request.view_args or {}, q=words or None, nach=shown[-1])
    return words, session.execute(roles_of(roles, shown)).all(), next_url


def _process(process_id: int) -> Process:
    process = process_for_editing(web.current_session(), web.the_municipality().id, process_id)
    if process is None:
        raise NotFound
    web.require(Action.GIVE_ROLES, process)
    return process


def _grant() -> RoleGrant:
    raw = request.form.get("grant", "")
    found = web.current_session().get(RoleGrant, int(raw)) if raw.isascii() and raw.isdecimal() and len(raw) < 10 else None  # noqa: PLR2004 - fits the column
    if found is None:
        raise NotFound
    return found


def _given(form: InviteForm, municipality: Municipality, process: Process | None) -> int:
    """The status of the answer: DONE, or that of what hinders, which then stands beside its field."""
    email, name = form.email.data or "", form.display_name.data or ""
    if not web.all_right(form, lambda: clean_email(email), lambda: clean_staff_name(name)):
        return 422
    try:
        give_role(web.current_session(), web.current_actor(), municipality, process, web.current_now(),
                  email=email, name=name, role=Role(form.role.data))
    except (InvalidInput, Conflict) as error:
        web.attach(form, error)
        return 422
    flash(_("Die Rolle ist vergeben. Die Person bekommt eine E-Mail."), "success")
    return DONE


def _take(grant: RoleGrant, municipality: Municipality, process: Process | None) -> None:
    try:
        take_role(web.current_session(), web.current_actor(), municipality, process, grant, web.current_now())
    except Conflict as error:
        flash(web.translated(error), "error")
    else:
        flash(_("Die Rolle ist entzogen. Das gilt ab sofort."), "success")


def _people(rows: Sequence[tuple[RoleGrant, str, str]]) -> list[Person]:
    """One line per person, from (role, where it holds, where it is taken or nothing)."""
    own, ready = web.current_actor().account_id, with_second_factor(web.current_session(), [one[0].account for one in rows])
    people: dict[int, Person] = {}
    for grant, place, address in rows:
        number = grant.account_id
        person = people.setdefault(number, Person(grant.account, number in ready, number == own, []))
        person.roles.append((grant.id, ROLE_LABELS[grant.role], place, address))
    return list(people.values())
