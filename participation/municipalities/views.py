"""The home page, the pages that a municipality owes, and its colours."""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Blueprint, Response, render_template, send_file
from flask_babel import format_date, gettext as _
from sqlalchemy import select

from participation import text, web
from participation.errors import NotFound
from participation.municipalities.models import PAGE_TITLES, MunicipalityPage, PageKind
from participation.page_cache import cached
from participation.uploads import Upload, picture_path

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("municipalities", __name__)
DARK_TEXT_FROM = 0.179


@lru_cache(maxsize=1)
def _drafts() -> dict[str, dict[str, str]]:
    return tomllib.loads((Path(__file__).parent / "pages.toml").read_text(encoding="utf-8"))


def _page(kind: PageKind) -> ResponseReturnValue:
    """One of the owed pages: the municipality's own wording, or the draft filled with its data."""
    municipality = web.the_municipality()
    own = web.current_session().scalar(
        select(MunicipalityPage).where(
            MunicipalityPage.municipality_id == municipality.id, MunicipalityPage.kind == kind
        )
    )
    changed = own.updated_at if own else municipality.created_at
    body = text.fill(
        own.body if own else _drafts()[kind.value]["body"],
        {
            "municipality": municipality.name,
            "email": municipality.email,
            # A backslash at the end of a line is Markdown's line break; without it the address runs together.
            "address": municipality.address.strip().replace("\n", "\\\n"),
            "date": format_date(changed, "long"),
        },
    )
    return render_template(
        "municipalities/page.html", title=_(PAGE_TITLES[kind]), body=body, changed_at=changed, kind=kind
    )


@blueprint.get("/impressum")
@web.public
@cached
def imprint() -> ResponseReturnValue:
    """Who runs it (§ 5 DDG)."""
    return _page(PageKind.IMPRINT)


@blueprint.get("/datenschutz")
@web.public
@cached
def privacy() -> ResponseReturnValue:
    """The notice of Art. 13 DSGVO."""
    return _page(PageKind.PRIVACY)


@blueprint.get("/barrierefreiheit")
@web.public
@cached
def accessibility() -> ResponseReturnValue:
    """The statement of § 10b BGG NRW."""
    return _page(PageKind.ACCESSIBILITY)


@blueprint.get("/netiquette")
@web.public
@cached
def rules() -> ResponseReturnValue:
    """How we treat each other."""
    return _page(PageKind.NETIQUETTE)


@blueprint.get("/hilfe")
@web.public
@cached
def help() -> ResponseReturnValue:  # noqa: A001 - the page is called so
    """How to take part."""
    return _page(PageKind.HELP)


@blueprint.get("/leichte-sprache")
@web.public
@cached
def easy_language() -> ResponseReturnValue:
    """The platform in Leichte Sprache (BITV 2.0, § 4)."""
    return _page(PageKind.EASY_LANGUAGE)


@blueprint.get("/stil/akzent.css")
@web.public
def accent_css() -> ResponseReturnValue:
    """The municipality's colour, and black or white on it, whichever contrasts more (WCAG 1.4.3)."""
    municipality = web.current_municipality()
    accent = municipality.accent_color if municipality else "#00529b"
    response = Response(f":root{{--accent:{accent};--on-accent:{_on(accent)}}}\n", mimetype="text/css")
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


def _on(color: str) -> str:
    channels = [int(color[position : position + 2], 16) / 255 for position in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > DARK_TEXT_FROM else "#ffffff"


@blueprint.get("/stil/logo")
@web.public
def logo() -> ResponseReturnValue:
    """The municipality's logo."""
    municipality = web.the_municipality()
    upload = web.current_session().get(Upload, municipality.logo_upload_id or 0)
    if upload is None:
        raise NotFound
    return send_file(picture_path(web.current_settings().upload_dir, upload.name, "small"), mimetype="image/webp",
                     max_age=3600)
