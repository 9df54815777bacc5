"""What a poster needs: one address that leads to whatever can be done now, and its QR code."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from flask import make_response, url_for

from participation import web
from participation.processes.edge import load_process
from participation.processes.views.cards import main_step
from participation.processes.views.pages import blueprint

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


@blueprint.get("/verfahren/<slug>/mitmachen")
@web.public
def take_part(slug: str) -> ResponseReturnValue:
    """Straight to the main action of the day: what is printed stays right when the phase changes."""
    process = load_process(slug)
    step = main_step(process, web.current_now()) if process.is_visible else None
    response = make_response("", 302, {"Location": step.href if step else url_for("processes.show", slug=slug)})
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/verfahren/<slug>/mitmachen.svg")
@web.public
def poster_code(slug: str) -> ResponseReturnValue:
    """That address as a QR code, to be printed."""
    import segno  # noqa: PLC0415 - for this picture only

    process = load_process(slug)
    address = web.current_settings().base_url + url_for("processes.take_part", slug=process.slug)
    buffer = io.BytesIO()
    segno.make(address, error="m", micro=False).save(buffer, kind="svg", scale=6, border=4, light="#fff", xmldecl=False)
    response = make_response(buffer.getvalue(), 200, {"Content-Type": "image/svg+xml"})
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response
