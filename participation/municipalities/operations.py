"""Changing municipalities, and telling caches that visitors see something new."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import delete, select, update

from participation import audit, outbox, text, tokens
from participation.actions import Action
from participation.errors import Checks, InvalidInput
from participation.i18n import N_
from participation.language import DEFAULT, READINGS, VARIANTS
from participation.municipalities.models import District, Municipality, MunicipalityKind, MunicipalityPage, PageKind
from participation.municipalities.queries import own_pages
from participation.permissions import SYSTEM, Actor, require
from participation.uploads import store_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy.orm import Session

    from mapping.boundaries import Shape

NAME_MAX = 120
ADDRESS_MAX = 1000
INTRO_MAX = 1000
WEBSITE_MAX = 300
BARRIER_MAX = 5000
TOWN_AGS_LENGTH = 8
KREIS_AGS_LENGTH = 5
DEFAULT_COLOR = "#00529b"
FORM_FIELDS = ("name", "intro", "intro_variants", "email", "address", "website", "accent_color")
_COLOR = re.compile(r"#[0-9a-f]{6}")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def raise_content_version(session: Session, municipality_id: int) -> None:
    """Make every cached page of a municipality outdated, in the transaction that changes what is visible."""
    session.execute(
        update(Municipality)
        .where(Municipality.id == municipality_id)
        .values(content_version=Municipality.content_version + 1)
        .execution_options(synchronize_session=False)
    )


def clean_name(raw: str) -> str:
    """A municipality's name. Raises InvalidInput (field "name")."""
    name = text.clean_line(raw)
    if not name:
        raise InvalidInput(N_("Bitte geben Sie den Namen der Kommune an."), field="name")
    if len(name) > NAME_MAX:
        raise InvalidInput(
            N_("Der Name ist zu lang. Möglich sind %(limit)s Zeichen."), field="name", limit=NAME_MAX
        )
    return name


def clean_email(raw: str) -> str:
    """An address that mail can be sent to. Raises InvalidInput (field "email")."""
    try:
        return validate_email(text.clean_line(raw), check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise InvalidInput(
            N_("Das ist keine E-Mail-Adresse. Sie sieht zum Beispiel so aus: rathaus@stadt.de"), field="email"
        ) from error


def clean_ags(raw: str) -> str:
    """An Amtlicher Gemeindeschlüssel: 8 digits for a town, 5 for a Kreis. Raises InvalidInput (field "ags")."""
    ags = raw.replace(" ", "").strip()
    if not (ags.isascii() and ags.isdecimal()) or len(ags) not in {TOWN_AGS_LENGTH, KREIS_AGS_LENGTH}:
        raise InvalidInput(
            N_("Der Gemeindeschlüssel (AGS) hat 8 Ziffern, der eines Kreises 5. Zum Beispiel: 05558008"), field="ags"
        )
    return ags


def clean_color(raw: str) -> str:
    """A colour as #rrggbb. Raises InvalidInput (field "accent_color")."""
    color = raw.strip().lower()
    if color and not color.startswith("#"):
        color = f"#{color}"
    if not _COLOR.fullmatch(color):
        raise InvalidInput(
            N_("Bitte geben Sie die Farbe als # und sechs Ziffern oder Buchstaben a bis f an, zum Beispiel #1b6a56."),
            field="accent_color",
        )
    return color


def clean_host(raw: str) -> str | None:
    """A host name without scheme or port; None when empty. Raises InvalidInput (field "host")."""
    host = raw.strip().lower()
    if not host:
        return None
    if not _HOST.fullmatch(host):
        raise InvalidInput(
            N_("Bitte nur den Namen angeben, ohne https:// und ohne Pfad. Zum Beispiel: beteiligung.stadt.de"),
            field="host",
        )
    return host


def clean_website(raw: str) -> str:
    """A web address with http or https, or nothing. Raises InvalidInput (field "website")."""
    website = text.clean_line(raw)
    if not website:
        return ""
    try:
        parts = urlsplit(website)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or " " in website or len(website) > WEBSITE_MAX:
        raise InvalidInput(
            N_("Bitte geben Sie die ganze Adresse an, mit https:// am Anfang."), field="website"
        )
    return website


def _clean_long(raw: str, limit: int, field: str) -> str:
    value = text.clean_text(raw)
    if len(value) > limit:
        raise InvalidInput(
            N_("Der Text ist zu lang: %(length)s Zeichen. Möglich sind %(limit)s."),
            field=field, length=len(value), limit=limit,
        )
    return value


def _clean_address(raw: str) -> str:
    address = _clean_long(raw, ADDRESS_MAX, "address")
    if not address:
        raise InvalidInput(
            N_("Bitte geben Sie die Anschrift an. Das Impressum muss sie nennen."), field="address"
        )
    return address


def fingerprint(municipality: Municipality) -> str:
    """What the form about a municipality was filled with: who sends it back can be told that somebody saved meanwhile."""
    values = {name: getattr(municipality, name) for name in FORM_FIELDS}
    return tokens.hash_token(json.dumps(values, sort_keys=True))


def hold_municipality(session: Session, municipality: Municipality) -> None:
    """Whoever else changes it waits until this transaction ends, and then reads what it has left."""
    session.refresh(municipality, with_for_update={"key_share": True})


def edit_municipality(
    session: Session,
    actor: Actor,
    municipality: Municipality,
    now: datetime,
    *,
    name: str,
    email: str,
    address: str,
    website: str,
    intro: str,
    accent_color: str,
    intro_variants: dict[str, str] | None = None,
) -> None:
    """Change what every page shows of a municipality; the welcome in other readings stays where none is given.

    Raises InvalidInput with every value that can't be taken.
    """
    require(actor, Action.EDIT_MUNICIPALITY, municipality, now)
    checks = Checks()
    values: dict[str, object] = {}
    for key, read in {
        "name": partial(clean_name, name), "email": partial(clean_email, email),
        "address": partial(_clean_address, address), "website": partial(clean_website, website),
        "intro": partial(_clean_long, intro, INTRO_MAX, "intro"), "accent_color": partial(clean_color, accent_color),
    }.items():
        with checks:
            values[key] = read()
    if intro_variants is not None:
        wordings: dict[str, str] = {}
        for number, code in enumerate(VARIANTS):
            with checks:
                wordings[code] = _clean_long(intro_variants.get(code, ""), INTRO_MAX, f"intro_{number}")
        values["intro_variants"] = {code: wording for code, wording in wordings.items() if wording}
    checks.done()
    changed = sorted(key for key, value in values.items() if getattr(municipality, key) != value)
    for key, value in values.items():
        setattr(municipality, key, value)
    _changed(session, actor, municipality, now, "municipality_edited", fields=changed)


def set_logo(
    session: Session, actor: Actor, municipality: Municipality, stream: IO[bytes], folder: Path, limit: int, now: datetime
) -> None:
    """Store a logo (`limit` in bytes). Raises InvalidInput (field "picture") when it is no picture that we read."""
    require(actor, Action.EDIT_MUNICIPALITY, municipality, now)
    upload = store_picture(session, folder, municipality.id, stream, limit)
    municipality.logo_upload_id = upload.id
    _changed(session, actor, municipality, now, "logo_set", upload=upload.id)


def remove_logo(session: Session, actor: Actor, municipality: Municipality, now: datetime) -> None:
    """Show the neutral mark again."""
    require(actor, Action.EDIT_MUNICIPALITY, municipality, now)
    municipality.logo_upload_id = None
    _changed(session, actor, municipality, now, "logo_removed")


def save_page(
    session: Session, actor: Actor, municipality: Municipality, kind: PageKind, body: str, now: datetime,
    language: str = DEFAULT,
) -> None:
    """Keep a municipality's own wording of a page. Raises InvalidInput (field "body") when empty or too long."""
    require(actor, Action.EDIT_MUNICIPALITY, municipality, now)
    if language not in READINGS:
        raise InvalidInput(N_("Diese Sprache gibt es hier nicht."))
    wording = _clean_long(body, text.MAX_MARKDOWN_LENGTH, "body")
    if not wording:
        raise InvalidInput(
            N_("Diese Seite darf nicht leer sein. Mit „Eigenen Text entfernen“ kommt der Mustertext zurück."),
            field="body",
        )
    page = session.scalar(
        own_pages(municipality.id).where(MunicipalityPage.kind == kind, MunicipalityPage.language == language))
    if page is None:
        page = MunicipalityPage(municipality_id=municipality.id, kind=kind, language=language)
        session.add(page)
    page.body = wording
    page.updated_at = now
    _changed(session, actor, municipality, now, "page_saved", page=kind.value, language=language)


def reset_page(
    session: Session, actor: Actor, municipality: Municipality, kind: PageKind, now: datetime, language: str = DEFAULT
) -> None:
    """Go back to the draft of that reading, or to the German wording where none holds."""
    require(actor, Action.EDIT_MUNICIPALITY, municipality, now)
    session.execute(
        delete(MunicipalityPage).where(
            MunicipalityPage.municipality_id == municipality.id, MunicipalityPage.kind == kind,
            MunicipalityPage.language == language,
        )
    )
    _changed(session, actor, municipality, now, "page_reset", page=kind.value, language=language)


def create_municipality(
    session: Session, now: datetime, *, name: str, ags: str, email: str, address: str, host: str = ""
) -> Municipality:
    """Set up a municipality, by the operator's command. A town comes under its Kreis if that is already there.

    Raises InvalidInput for a value that can't be taken.
    """
    ags = clean_ags(ags)
    name = clean_name(name)
    row = Municipality(
        kind=MunicipalityKind.KREIS if len(ags) == KREIS_AGS_LENGTH else MunicipalityKind.TOWN,
        slug=_free_slug(session, name, ags),
        name=name,
        ags=ags,
        email=clean_email(email),
        address=_clean_long(address, ADDRESS_MAX, "address"),
        host=_free_host(session, host, None),
        created_at=now,
    )
    session.add(row)
    session.flush()
    if row.kind is MunicipalityKind.TOWN:
        row.parent_id = session.scalar(select(Municipality.id).where(Municipality.ags == ags[:KREIS_AGS_LENGTH]))
    _changed(session, SYSTEM, row, now, "municipality_created")
    return row


def set_host(session: Session, municipality: Municipality, host: str, now: datetime) -> None:
    """Let a municipality answer to a host name. Raises InvalidInput (field "host") when another one has it."""
    municipality.host = _free_host(session, host, municipality.id)
    _changed(session, SYSTEM, municipality, now, "host_set")


def set_parent(session: Session, municipality: Municipality, parent_ags: str, now: datetime) -> None:
    """Put a town under its Kreis. Raises InvalidInput (field "parent") when there is no such Kreis."""
    parent = session.scalar(select(Municipality).where(Municipality.ags == clean_ags(parent_ags)))
    if parent is None or parent.kind is not MunicipalityKind.KREIS or municipality.kind is not MunicipalityKind.TOWN:
        raise InvalidInput(
            N_("Einen Kreis mit dem Gemeindeschlüssel %(ags)s gibt es hier nicht. Legen Sie ihn zuerst an."),
            field="parent", ags=parent_ags,
        )
    municipality.parent_id = parent.id
    _changed(session, SYSTEM, municipality, now, "parent_set", parent=parent.id)


def set_boundary(session: Session, municipality: Municipality, shape: Shape, now: datetime) -> None:
    """Keep the outline (EPSG:4326) and its box."""
    municipality.boundary = json.loads(shape.geojson)
    municipality.west, municipality.south, municipality.east, municipality.north = shape.bbox
    _changed(session, SYSTEM, municipality, now, "boundary_set")


def set_districts(session: Session, municipality: Municipality, shapes: Sequence[Shape], now: datetime) -> None:
    """Keep the districts (EPSG:4326) by name: known ones get the new outline, so that nothing loses its district."""
    known = {
        row.name: row for row in session.scalars(select(District).where(District.municipality_id == municipality.id))
    }
    for shape in shapes:
        row = known.get(shape.name or "")
        if row is None:
            row = District(municipality_id=municipality.id, name=shape.name or "")
            session.add(row)
        row.boundary = json.loads(shape.geojson)
    _changed(session, SYSTEM, municipality, now, "districts_set", number=len(shapes))


def report_barrier(
    session: Session, keyring: tokens.Keyring, municipality: Municipality, *, message: str, page: str, email: str
) -> None:
    """Send a barrier that somebody met to the municipality by mail (BGG NRW, § 10b); nothing else keeps it.

    What was written stands sealed in the job until it is sent. Raises InvalidInput.
    """
    checks = Checks()
    with checks:
        body = _clean_long(message, BARRIER_MAX, "message")
        if not body:
            raise InvalidInput(N_("Bitte beschreiben Sie kurz, was nicht geht."), field="message")
    with checks:
        reply_to = clean_email(email) if text.clean_line(email) else ""
    checks.done()
    content = json.dumps({"message": body, "page": text.clean_line(page)[:500], "reply_to": reply_to})
    outbox.enqueue(
        session, "mail_barrier", f"barrier-{tokens.new_token()}", municipality_id=municipality.id,
        sealed=keyring.seal(content),
    )


def _free_slug(session: Session, name: str, ags: str) -> str:
    slug = text.make_slug(name, "kommune")[:50]
    taken = session.scalar(select(Municipality.id).where(Municipality.slug == slug))
    return slug if taken is None else f"{slug}-{ags}"


def _free_host(session: Session, raw: str, own_id: int | None) -> str | None:
    host = clean_host(raw)
    if host is None:
        return None
    other = session.scalar(select(Municipality).where(Municipality.host == host))
    if other is not None and other.id != own_id:
        raise InvalidInput(
            N_("Unter %(host)s ist schon %(name)s zu finden. Bitte wählen Sie einen anderen Namen."),
            field="host", host=host, name=other.name,
        )
    return host


def _changed(
    session: Session, actor: Actor, municipality: Municipality, now: datetime, action: str, **details: object
) -> None:
    session.flush()
    raise_content_version(session, municipality.id)
    audit.record(
        session, at=now, actor=actor.label, action=action, subject_type="municipality", subject_id=municipality.id,
        **details,
    )
