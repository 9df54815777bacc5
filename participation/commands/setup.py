"""Setting up a municipality and its first administrator. No password is made: the link lets its owner choose one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from flask import current_app, url_for
from sqlalchemy import inspect, select
from sqlalchemy.exc import OperationalError

from mapping.boundaries import load_boundary, load_districts
from mapping.geometry import GeometryError
from participation import clock
from participation.accounts.models import Account, RoleGrant
from participation.accounts.operations.staff import invite_staff
from participation.accounts.queries import account_by_email
from participation.commands.database import migrate
from participation.errors import DomainError
from participation.municipalities.models import Municipality, PageKind, text_color_on
from participation.municipalities.operations import (
    DEFAULT_COLOR,
    clean_ags,
    clean_email,
    create_municipality,
    edit_municipality,
    save_page,
    set_boundary,
    set_districts,
    set_host,
    set_logo,
    set_parent,
)
from participation.municipalities.queries import municipality_by_ags
from participation.permissions import SYSTEM, Role
from participation.web import current_database, current_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from sqlalchemy.orm import Session

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
# What can be given again to change it: option → attribute.
EDITABLE = {
    "name": "name", "email": "email", "address": "address", "website": "website", "intro": "intro",
    "color": "accent_color",
}


@click.command(
    "init",
    help="Eine Kommune einrichten und die erste Person einladen. Was fehlt, wird erfragt. Für eine Kommune, die es "
    "schon gibt, werden die genannten Angaben geändert.",
)
@click.option("--ags", help="Amtlicher Gemeindeschlüssel: 8 Ziffern, für einen Kreis 5.")
@click.option("--name", help="Name, zum Beispiel Billerbeck.")
@click.option("--email", help="E-Mail-Adresse für Anliegen; steht im Impressum.")
@click.option("--address", help="Anschrift; Zeilen durch ; trennen.")
@click.option("--website", help="Internetseite, mit https://")
@click.option("--intro", help="Begrüßung auf der Startseite.")
@click.option("--imprint", type=_FILE, help="Eigenes Impressum als Markdown-Datei; sonst gilt der Mustertext.")
@click.option("--color", help="Farbe als #rrggbb.")
@click.option("--logo", type=_FILE, help="Logo als PNG, JPEG oder WebP.")
@click.option("--boundary", type=_FILE, help="Grenze als GeoJSON.")
@click.option("--districts", type=_FILE, help="Ortsteile als GeoJSON-FeatureCollection mit Namen.")
@click.option("--host", help="Hostname, unter dem diese Kommune zu finden ist.")
@click.option("--parent", help="Gemeindeschlüssel des Kreises darüber (5 Ziffern).")
@click.option("--admin-email", help="E-Mail-Adresse der Person, die verwalten soll.")
@click.option("--admin-name", help="Name dieser Person.")
@click.pass_obj
def init(create_app: Callable[[], Flask], /, **given: Any) -> None:  # noqa: ANN401 - options as click passes them
    """Everything in one transaction: a mistake in the last file leaves nothing half set up."""
    app = create_app()
    with app.app_context():
        database = current_database()
        try:
            with database.reading() as session:
                is_empty = not inspect(session.connection()).has_table("municipality")
            if is_empty:
                migrate(database.url)
            with database.unit_of_work() as session:
                lines = _Setup(session, given, clock.now()).run()
        except GeometryError as error:
            raise click.ClickException(str(error)) from error
        except DomainError as error:
            raise click.ClickException(str(error)) from error
        except OperationalError as error:
            message = "Die Datenbank ist nicht erreichbar oder nicht aktuell. Versuchen Sie: beteiligung migrate"
            raise click.ClickException(message) from error
    for line in lines:
        click.echo(line)


class _Setup:
    """One run: what was given, and what is said at the end."""

    def __init__(self, session: Session, given: dict[str, Any], now: datetime) -> None:
        self.session = session
        self.given = given
        self.now = now
        self.lines: list[str] = []

    def run(self) -> list[str]:
        """Create or update; then invite."""
        ags = clean_ags(self._ask("ags", "Gemeindeschlüssel (AGS, 8 Ziffern; Kreis: 5)"))
        municipality = self.session.scalar(municipality_by_ags(ags))
        is_new = municipality is None
        if municipality is None:
            municipality = self._create(ags)
            self.lines.append(f"{municipality.name} ist eingerichtet.")
        else:
            self.lines.append(f"{municipality.name} ({ags}) gibt es schon.")
        changed = [*self._edit(municipality), *self._files(municipality), *self._place(municipality, is_new=is_new)]
        if not is_new:
            self.lines.append("Geändert: " + ", ".join(changed) if changed else "Nichts geändert.")
        self._invite(municipality, is_new=is_new)
        self._hints(municipality)
        return self.lines

    def _ask(self, option: str, prompt: str, default: str | None = None) -> str:
        value = self.given[option]
        if value is None:
            value = self.given[option] = click.prompt(prompt, default=default)
        return str(value)

    def _create(self, ags: str) -> Municipality:
        row = create_municipality(
            self.session, self.now, ags=ags, name=self._ask("name", "Name der Kommune"),
            email=self._ask("email", "E-Mail-Adresse für Anliegen (Impressum)"),
            address=self._lines(self._ask("address", "Anschrift (Zeilen durch ; trennen)")),
        )
        self._ask("color", "Farbe (#rrggbb)", DEFAULT_COLOR)
        return row

    @staticmethod
    def _lines(raw: str) -> str:
        return "\n".join(part.strip() for part in raw.replace("\\n", ";").split(";"))

    def _edit(self, municipality: Municipality) -> list[str]:
        named = [option for option in EDITABLE if self.given[option] is not None]
        if named:
            values = {attribute: getattr(municipality, attribute) for attribute in EDITABLE.values()}
            values |= {EDITABLE[option]: self.given[option] for option in named}
            if "address" in named:
                values["address"] = self._lines(values["address"])
            edit_municipality(self.session, SYSTEM, municipality, self.now, **values)
        return named

    def _files(self, municipality: Municipality) -> list[str]:
        named = []
        if self.given["imprint"]:
            body = self._read(self.given["imprint"])
            save_page(self.session, SYSTEM, municipality, PageKind.IMPRINT, body, self.now)
            named.append("imprint")
        if self.given["boundary"]:
            set_boundary(self.session, municipality, load_boundary(self.given["boundary"].read_bytes()), self.now)
            named.append("boundary")
        if self.given["districts"]:
            shapes = load_districts(self.given["districts"].read_bytes())
            set_districts(self.session, municipality, shapes, self.now)
            named.append(f"districts ({len(shapes)})")
        if self.given["logo"]:
            settings = current_settings()
            with self.given["logo"].open("rb") as file:
                set_logo(
                    self.session, SYSTEM, municipality, file, settings.upload_dir, settings.max_upload_bytes, self.now
                )
            named.append("logo")
        return named

    def _read(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            message = f"{path} ist keine Textdatei in UTF-8. Speichern Sie sie bitte so ab."
            raise click.ClickException(message) from error

    def _place(self, municipality: Municipality, *, is_new: bool) -> list[str]:
        named = []
        if self.given["host"] is not None:
            set_host(self.session, municipality, self.given["host"], self.now)
            named.append("host")
        if self.given["parent"]:
            set_parent(self.session, municipality, self.given["parent"], self.now)
            named.append("parent")
        others = self.session.scalar(select(Municipality.id).where(Municipality.id != municipality.id).limit(1))
        if is_new and others is not None and municipality.host is None:
            self.lines.append("Es gibt mehrere Kommunen. Mit --host bekommt jede ihre eigene Adresse.")
        return named

    def _invite(self, municipality: Municipality, *, is_new: bool) -> None:
        """The link is printed and not mailed: the mail server may not be there yet."""
        wanted = self.given["admin_email"]
        if wanted is None and is_new:
            wanted = self._ask("admin_email", "E-Mail-Adresse der ersten Person in der Verwaltung")
        if wanted is None:
            return
        email = clean_email(wanted)
        account = self.session.scalar(account_by_email(email))
        if account is not None and account.password_hash and self._is_admin(account, municipality):
            self.lines.append(f"{email} verwaltet {municipality.name} schon. Es ist kein neuer Link nötig.")
            return
        name = self.given["admin_name"] or email.partition("@")[0]
        token = invite_staff(
            self.session, email=email, name=name, role=Role.ADMIN, municipality_id=municipality.id, process_id=None,
            now=self.now,
        )
        self.lines += ["", f"Einladung für {email} (gilt einmal, 7 Tage):", f"  {_link(token)}"]

    def _is_admin(self, account: Account, municipality: Municipality) -> bool:
        found = self.session.scalar(
            select(RoleGrant.id).where(
                RoleGrant.account_id == account.id, RoleGrant.role == Role.ADMIN,
                RoleGrant.municipality_id == municipality.id, RoleGrant.process_id.is_(None),
            )
        )
        return found is not None

    def _hints(self, municipality: Municipality) -> None:
        color = municipality.accent_color
        written = "schwarz" if text_color_on(color) == "#000000" else "weiß"
        self.lines += ["", f"Farbe {color}: Schrift darauf wird {written} gesetzt."]
        if municipality.west is None:
            self.lines.append("Noch ohne Grenze: Mit --boundary DATEI.geojson zeigt die Karte Ihre Kommune.")
        if not self.given["imprint"]:
            self.lines.append("Impressum, Datenschutz und Hilfe sind Mustertexte. Bitte prüfen: /verwaltung/kommune")


def _link(token: str) -> str:
    """The address that opens the invitation, on the installation's public address."""
    with current_app.test_request_context(base_url=current_settings().base_url):
        return url_for("accounts.invitation", token=token, _external=True)


COMMANDS = (init,)
