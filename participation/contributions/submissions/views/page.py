"""What all pages about a proposal of one's own share: the form, its map, and answers that nobody keeps."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from flask import Blueprint, Response, make_response, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup

from mapping.basemap import basemap_from_settings
from mapping.folium_map import MapParts, PickerOptions, render_picker
from mapping.geometry import GERMANY, BBox
from participation import web
from participation.actions import Action
from participation.contributions.models import ContributionPicture
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.content import ALT_MAX, BODY_MAX, PLACE_MAX, TITLE_MAX
from participation.contributions.proposals.operations.revising import may_be_voted_for
from participation.contributions.proposals.operations.submitting import PSEUDONYM_MAX
from participation.contributions.submissions.forms import ProposalForm
from participation.contributions.submissions.operations import kept_picture, kept_preview
from participation.formats import CollectSettings, PlaceRule
from participation.own_fields import OwnField
from participation.permissions import Actor
from participation.processes.edge import shown_fields
from participation.static_files import static_url
from participation.uploads import picture_path
from participation.written import format_date, format_decimal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from participation.processes.models import Phase, Process

blueprint = Blueprint("submissions", __name__)

LIMITS = {"title": TITLE_MAX, "body": BODY_MAX, "place": PLACE_MAX, "pseudonym": PSEUDONYM_MAX, "alt": ALT_MAX}
# A tenth of a degree is too coarse for an example, a street's number too fine.
EXAMPLE_FORMAT = "0.00"


def new_an_hour() -> str:
    """How much may be handed in."""
    return "30 per hour" if web.current_actor().is_signed_in else web.GUESTS_WRITE


def one_guest() -> str:
    """A guest alone: each proposal of somebody who gave an address is a mail there, and the address may be a stranger's."""
    return web.current_keyring().mark("guest", web.current_actor().guest_token or "")


def is_no_known_guest() -> bool:
    """Whether nothing of a guest can be mailed anywhere: an account acts, or somebody who has just come."""
    return not web.current_actor().guest_token


def changes_an_hour() -> str:
    """How often what was handed in may be changed."""
    return "60 per hour" if web.current_actor().is_signed_in else web.GUESTS_WRITE


def pictures_an_hour() -> str:
    """How many pictures may be sent: one of a form that is never handed in lies aside for a day."""
    return "60 per hour" if web.current_actor().is_signed_in else "200 per hour"


def sends_no_picture() -> bool:
    """Whether a form comes without a file."""
    return not any(one.filename for one in request.files.values())


def private(body: str, status: int = 200) -> Response:
    """A page that stands under a secret address: kept by no browser, found by no search engine."""
    response = make_response(body, status)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def filled_hole(name: str, **values: object) -> Markup:
    """What a feature above this one has to say here; nothing where it is not installed."""
    fill = web.platform().holes.get(name)
    return Markup(fill(**values)) if fill else Markup("")  # noqa: S704 - a rendered template


def form_page(name: str, form: ProposalForm, process: Process, **values: object) -> str:
    """The form, first or again with what was entered."""
    settings = settings_of(process)
    bounds = process.municipality.bounds
    example = BBox(*bounds).centre if bounds else GERMANY.centre
    reference = form.picture_kept.data or ""
    kept = kept_picture(web.current_keyring(), web.current_settings().upload_dir, reference)
    if kept is None:
        form.picture_kept.data = ""
    return render_template(
        f"contributions/submissions/{name}.html", form=form, process=process, settings=settings, limits=LIMITS,
        picker=picker_of(process) if settings.place is not PlaceRule.NONE else None,
        example=[format_decimal(number, EXAMPLE_FORMAT) for number in example],
        kept_src=data_url(kept_preview(web.current_settings().upload_dir, kept)) if kept else "",
        megabytes=web.current_settings().max_upload_bytes // (1024 * 1024),
        hides_supports=process.hides_supports(web.current_now()),
        may_be_voted_for=isinstance(shown := values.get("proposal"), Proposal) and may_be_voted_for(shown, web.current_now()),
        picture_is_lost=kept is None and bool(form.picture.data or reference), **values,
    )


def picker_of(process: Process) -> MapParts:
    """The map to set a point on."""
    bounds = process.municipality.bounds
    settings = web.current_settings()
    return render_picker(PickerOptions(
        bbox=BBox(*bounds) if bounds else GERMANY, layers_url=url_for("proposals.layers"), lon_input_id="lon",
        lat_input_id="lat", asset_url=static_url, translate=_,
        basemap=basemap_from_settings(settings.basemap, settings.basemap_url, settings.basemap_attribution),
    ))


def settings_of(process: Process) -> CollectSettings:
    """What the phase that is open now asks."""
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now())
    return phase.settings if phase and isinstance(phase.settings, CollectSettings) else CollectSettings()


def fields_of(process: Process, phase: Phase | None) -> Sequence[OwnField]:
    """The fields that editors added, in the words of the reader."""
    return shown_fields(process, phase) if phase else ()


def phase_dates(process: Process, now: datetime) -> list[str]:
    """When proposals were or will be possible: the next phase, else the last one."""
    phases = [phase for phase in process.phases if phase.opens(Action.SUBMIT_PROPOSAL)]
    starts = [phase.starts_at for phase in phases if phase.starts_at and phase.starts_at > now]
    if starts:
        return [_("Sie können ab %(date)s Vorschläge einreichen.", date=day(min(starts)))]
    ends = [phase.ends_at for phase in phases if phase.ends_at and phase.ends_at <= now]
    if ends:
        # An end is stored as the first instant that is over.
        end = max(ends)
        return [_("Die Phase ist beendet. Sie endete am %(date)s.", date=day(end - end.resolution))]
    return []


def day(instant: datetime | None) -> str:
    """The day of an instant, as people write it."""
    return format_date(instant, "long") if instant else ""


def own_address(proposal: Proposal, token: str) -> dict[str, object]:
    """The values of the addresses that an author uses; with the token where it is the key."""
    values: dict[str, object] = {"slug": proposal.process.slug, "proposal_id": proposal.id}
    return {**values, "token": token} if token else values


def holder_of(token: str) -> Actor:
    """Who acts by a link: the person of this browser, else nobody but the holder of the link. Sets no cookie."""
    actor = web.current_actor()
    return actor if actor.identity else Actor(guest_token=token)


def shown_inline(pictures: Sequence[ContributionPicture]) -> list[tuple[str, str]]:
    """Address and description of each picture, the picture itself in the address."""
    folder = web.current_settings().upload_dir
    shown = []
    for picture in pictures:
        path = picture_path(folder, picture.upload.name, "small")
        if path.is_file():
            shown.append((data_url(path.read_bytes()), picture.alt))
    return shown


def data_url(content: bytes) -> str:
    """A small picture as an address that needs no request."""
    return f"data:image/webp;base64,{base64.b64encode(content).decode()}" if content else ""
