"""Accounts of staff, from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from sqlalchemy import delete, select
from sqlalchemy.orm import selectinload

from participation import audit, clock
from participation.accounts.models import Account, Passkey, RoleGrant
from participation.accounts.operations.factors import forget_second_factor
from participation.accounts.operations.sessions import revoke_sessions
from participation.accounts.operations.staff import invite_staff
from participation.errors import DomainError
from participation.municipalities.models import Municipality
from participation.permissions import Role
from participation.processes.models import Process
from participation.web import current_database, current_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy.orm import Session


@click.group("staff", help="Konten des Personals: einladen, auflisten, Rollen entziehen.")
def staff_group() -> None:
    """Collect the subcommands."""


def _municipality(session: Session, slug: str | None) -> Municipality:
    statement = select(Municipality).order_by(Municipality.parent_id.is_(None), Municipality.id)
    if slug:
        statement = statement.where(Municipality.slug == slug)
    found = session.scalars(statement.limit(1)).first()
    if found is None:
        message = "Diese Kommune gibt es nicht. Richten Sie sie zuerst mit `beteiligung init` ein."
        raise click.ClickException(message)
    return found


@staff_group.command("add", help="Jemandem eine Rolle geben; gibt einen Link aus, der einmal gilt.")
@click.argument("email")
@click.option("--name", required=True, help="Name, wie er bei Antworten steht")
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option("--process", "process_slug", help="Nur für dieses Verfahren")
@click.option("--municipality", "municipality_slug", help="Kürzel der Kommune, wenn es mehrere gibt")
@click.pass_obj
def add_command(
    create_app: Callable[[], Flask], email: str, name: str, role: str, process_slug: str | None,
    municipality_slug: str | None,
) -> None:
    """Invite; no password is ever set by somebody else."""
    with create_app().app_context(), current_database().unit_of_work() as session:
        municipality = _municipality(session, municipality_slug)
        process_id = None
        if process_slug:
            process_id = session.scalar(
                select(Process.id).where(Process.municipality_id == municipality.id, Process.slug == process_slug)
            )
            if process_id is None:
                message = f"Das Verfahren {process_slug} gibt es in {municipality.name} nicht."
                raise click.ClickException(message)
        try:
            token = invite_staff(session, email, name, Role(role), municipality.id, process_id, clock.now())
        except DomainError as error:
            raise click.ClickException(str(error)) from error
        audit.record(session, at=clock.now(), actor="command:staff", action="invite_staff",
                     subject_type="municipality", subject_id=municipality.id, role=role)
        click.echo("Dieser Link gilt sieben Tage und einmal:")
        click.echo(f"{current_settings().base_url}/konto/einladung/{token}")


@staff_group.command("list", help="Personal mit Rollen auflisten.")
@click.pass_obj
def list_command(create_app: Callable[[], Flask]) -> None:
    """One line per account."""
    with create_app().app_context(), current_database().reading() as session:
        people = session.scalars(
            select(Account).where(Account.id.in_(select(RoleGrant.account_id))).options(selectinload(Account.grants))
            .order_by(Account.email)
        )
        with_passkey = set(session.scalars(select(Passkey.account_id)))
        for account in people:
            roles = ", ".join(sorted({grant.role.value for grant in account.grants}))
            factor = "" if account.totp_confirmed_at or account.id in with_passkey else "  (zweiter Faktor fehlt)"
            click.echo(f"{account.email:<40}{roles}{factor}")


@staff_group.command("remove", help="Jemandem alle Rollen entziehen und alle Sitzungen beenden.")
@click.argument("email")
@click.pass_obj
def remove_command(create_app: Callable[[], Flask], email: str) -> None:
    """It counts at that person's next click."""
    with create_app().app_context(), current_database().unit_of_work() as session:
        account = session.scalar(select(Account).where(Account.email == email.strip().lower()))
        if account is None:
            message = f"Ein Konto {email} gibt es nicht."
            raise click.ClickException(message)
        session.execute(delete(RoleGrant).where(RoleGrant.account_id == account.id))
        revoke_sessions(session, account.id, clock.now())
        audit.record(session, at=clock.now(), actor="command:staff", action="revoke_role", subject_type="account",
                     subject_id=account.id)
        click.echo(f"{email} hat keine Rolle mehr.")


@staff_group.command("forget-factor", help="Zweiten Faktor vergessen, wenn Telefon und Notfall-Codes verloren sind.")
@click.argument("email")
@click.pass_obj
def forget_factor_command(create_app: Callable[[], Flask], email: str) -> None:
    """The person sets up a new one at the next sign-in. Make sure who asks for it."""
    with create_app().app_context(), current_database().unit_of_work() as session:
        account = session.scalar(select(Account).where(Account.email == email.strip().lower()))
        if account is None:
            message = f"Ein Konto {email} gibt es nicht."
            raise click.ClickException(message)
        forget_second_factor(session, account, clock.now())
        audit.record(session, at=clock.now(), actor="command:staff", action="forget_second_factor",
                     subject_type="account", subject_id=account.id)
        click.echo(f"{email} richtet den zweiten Faktor beim nächsten Anmelden neu ein.")


COMMANDS = (staff_group,)
