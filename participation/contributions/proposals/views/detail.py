"""The page of one proposal, what says much the same, how it changed, its pictures and its code for print."""

from __future__ import annotations

import io
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from flask import make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import select

from participation import text, web
from participation.accounts.edge import author_name
from participation.actions import Action
from participation.contributions.comments.models import STANCE_LABELS
from participation.contributions.comments.operations import asks_for_stance
from participation.contributions.comments.queries import ORDER_LABELS, Order, stance_counts, thread_page
from participation.contributions.models import STATE_LABELS, ContributionState, Revision
from participation.contributions.operations import mark_own
from participation.contributions.proposals.edge import load_proposal, load_standing, require_storable
from participation.contributions.proposals.models import ANSWER_LABELS, WITHDRAWAL_REASONS
from participation.contributions.proposals.operations.revising import EDITABLE
from participation.contributions.proposals.queries import similar_cards
from participation.contributions.proposals.views.lists import blueprint
from participation.contributions.proposals.views.maps import detail_map
from participation.contributions.queries import co_authors_of, pictures_of, seen_revisions, stored_picture
from participation.errors import NotFound
from participation.municipalities.models import District
from participation.own_fields import OwnField, as_text, load_answers, public_answers
from participation.page_cache import cached
from participation.processes.edge import shown_name
from participation.uploads import SIZES, picture_path

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from participation.contributions.proposals.models import Proposal

PICTURE_SECONDS = 7 * 24 * 3600
RELATED = 10
# Pictures handed in one after the other within this time are one change.
AT_ONE_SITTING = timedelta(hours=1)
_SIZE = f"any({','.join(SIZES)})"


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>")
@web.public
@cached
def show(slug: str, proposal_id: int) -> ResponseReturnValue:
    """One proposal with its way, its comments and what can be done with it."""
    proposal = load_proposal(slug, proposal_id)
    if proposal.state is ContributionState.WITHDRAWN and proposal.withdrawal_reason:
        return _gone(proposal)
    session = web.current_session()
    after = request.args.get("kommentare_nach", "")[:30]
    process, now = proposal.process, web.current_now()
    hides_supports = process.hides_supports(now)
    orders = [one for one in Order if not (hides_supports and one is Order.SUPPORTED)]
    order = next((one for one in orders if one.value == request.args.get("kommentare")), Order.OLDEST)
    threads = thread_page(session, proposal.id, after, order)
    phase = process.phase_opening(Action.COMMENT, now)
    parts = detail_map(proposal) if proposal.lon is not None else None
    measures = web.part("proposal_measures", proposal=proposal)
    return render_template(
        "contributions/proposals/show.html", process=process, proposal=proposal,
        pictures=session.scalars(pictures_of(proposal.id)).all(),
        co_authors=[author_name(one.participant.pseudonym) for one in session.scalars(co_authors_of(proposal.id))]
        if proposal.co_author_count else [], threads=threads, after=after, map=parts,
        state_label=STATE_LABELS[proposal.state], answer_labels=ANSWER_LABELS, measures=measures,
        steps=_steps(proposal, bool(measures)),
        orders=[(one, ORDER_LABELS[one], one is order) for one in orders], order=order, hides_supports=hides_supports,
        comments_open=phase is not None, supports_open=process.phase_opening(Action.SUPPORT, now) is not None,
        ballots=[one.id for one in process.phases_opening(Action.CAST_BALLOT, now)],
        stances=stance_counts(session, proposal.id) if asks_for_stance(phase) else {}, stance_labels=STANCE_LABELS,
        share_url=url_for("proposals.show", slug=slug, proposal_id=proposal.id, _external=True),
    )


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/qr.svg")
@web.public
def qr_code(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The address of a public proposal as a QR code, to be printed and put up."""
    import segno  # noqa: PLC0415 - for this picture only

    proposal = load_proposal(slug, proposal_id)
    if not proposal.is_published:
        raise NotFound
    address = web.current_settings().base_url + url_for("proposals.show", slug=slug, proposal_id=proposal.id)
    buffer = io.BytesIO()
    segno.make(address, error="m", micro=False).save(buffer, kind="svg", scale=6, border=3, light="#fff", xmldecl=False)
    response = make_response(buffer.getvalue(), 200, {"Content-Type": "image/svg+xml"})
    response.headers["Cache-Control"] = "private, max-age=3600"
    return response


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/aehnliche")
@web.public
@cached
def related(slug: str, proposal_id: int) -> ResponseReturnValue:
    """What says much the same as a proposal."""
    proposal = load_proposal(slug, proposal_id)
    if not proposal.is_published:
        raise NotFound
    cards = similar_cards(web.current_session(), proposal.process_id, proposal.title, proposal.body, limit=RELATED,
                          but=proposal.id)
    return render_template(
        "contributions/proposals/related.html", process=proposal.process, proposal=proposal,
        cards=cards, hides_supports=proposal.process.hides_supports(web.current_now()),
        themes={theme.id: theme for theme in proposal.process.themes}, answer_labels=ANSWER_LABELS,
    )


def _gone(proposal: Proposal) -> ResponseReturnValue:
    """What stands where a proposal was whose author said why it went."""
    page = render_template(
        "contributions/proposals/gone.html", proposal=proposal, process=proposal.process,
        reason=WITHDRAWAL_REASONS[proposal.withdrawal_reason or ""],
    )
    return page, 410


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/verlauf")
@web.public
def history(slug: str, proposal_id: int) -> ResponseReturnValue:
    """How a proposal changed after others had supported or commented it: each text, and what differs word by word."""
    proposal = load_proposal(slug, proposal_id)
    if proposal.edited_at is None or not proposal.is_published:
        return redirect(url_for("proposals.show", slug=slug, proposal_id=proposal_id))
    texts = list(web.current_session().scalars(seen_revisions(proposal)))
    themes = {theme.id: web.in_language(theme.name) for theme in shown_name(proposal.process).themes}
    districts = _district_names({(one.changes or {}).get("district_id") for one in texts})
    changes = _pictures_joined([_change(before, after, themes, districts, proposal.own_fields)
                                for before, after in pairwise(texts)])
    return render_template(
        "contributions/proposals/history.html", process=proposal.process, proposal=proposal, first=texts[0],
        changes=list(reversed(changes)),
    )


def _district_names(ids: set[int | None]) -> dict[int | None, str]:
    wanted = ids - {None}
    rows = web.current_session().execute(select(District.id, District.name).where(District.id.in_(wanted))) if wanted else ()
    return {row[0]: row[1] for row in rows}


def _pictures_joined(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pictures are handed in one at a time; whoever adds three in a row has changed the proposal once."""
    joined: list[dict[str, Any]] = []
    for change in changes:
        last = joined[-1] if joined else None
        if (last is not None and last["pictures"] and change["pictures"] and not last["is_more"] and not change["is_more"]
                and change["at"] - last["at"] <= AT_ONE_SITTING):
            sums = {name: last["pictures"][name] + change["pictures"][name] for name in change["pictures"]}
            joined[-1] = {**change, "pictures": sums}
        else:
            joined.append(change)
    return joined


def _change(
    before: Revision, after: Revision, themes: dict[int, str], districts: dict[int | None, str], asked: tuple[OwnField, ...]
) -> dict[str, Any]:
    """One step of the history, ready to be shown."""
    shown = _words_changed(before, after, themes, asked)
    old, new = before.changes or {}, after.changes or {}
    pictures = {"added": new.get("pictures_added", 0), "removed": new.get("pictures_removed", 0)} if new.get("pictures") else None
    points = [None if one.get("lon") is None else (one["lon"], one["lat"]) for one in (old, new)]
    point = (None if not old or points[0] == points[1] else
             "set" if points[0] is None else "removed" if points[1] is None else "moved")
    names = [districts.get(one.get("district_id"), "") for one in (old, new)]
    is_more = point is not None or any(value not in ([], None) for name, value in shown.items() if name not in {"at", "number"})
    return shown | {"pictures": pictures, "point": point, "districts": names if point and names[0] != names[1] else None,
                    "is_more": is_more}


def _words_changed(
    before: Revision, after: Revision, themes: dict[int, str], asked: tuple[OwnField, ...]
) -> dict[str, Any]:
    old, new = before.changes or {}, after.changes or {}
    theme = themes.get(new.get("theme_id", 0)) if old and old.get("theme_id") != new.get("theme_id") else None
    places = (old.get("place") or "", new.get("place") or "")
    place = places if old and places[0] != places[1] else None
    said = [as_text(public_answers(load_answers((one.changes or {}).get("answers")), asked)) for one in (before, after)]
    return {
        "answers": text.difference(*said) if said[0] != said[1] else [],
        "at": after.applied_at or after.created_at, "number": after.number, "theme": theme, "place": place,
        "title": text.difference(before.title, after.title) if before.title != after.title else [],
        "body": text.difference(before.body, after.body) if before.body != after.body else [],
    }


def own_actions(slug: str, proposal_id: int) -> str:
    """What the author can do with an own proposal, and why it is not public when it is not."""
    actor = web.current_actor()
    if actor.identity is None:
        return ""
    proposal = load_standing(slug, proposal_id)
    if not mark_own(web.current_keyring(), actor, proposal) and not proposal.is_shared:
        return ""
    state = proposal.state
    return web.render_part(
        "contributions/proposals/_own.html", proposal=proposal, slug=slug, state=state,
        may_edit=state in EDITABLE and web.can(Action.EDIT_PROPOSAL, proposal),
        may_withdraw=proposal.is_own
        and state in {ContributionState.SUBMITTED, ContributionState.RETURNED, ContributionState.PUBLISHED},
        may_invite=actor.is_signed_in and state in EDITABLE,
    )


def _steps(proposal: Any, is_taken_up: bool) -> list[dict[str, Any]]:  # noqa: ANN401, FBT001 - a Contribution
    """Submitted, checked, published, taken up: each done, current or open."""
    state = proposal.state
    waiting = state in {ContributionState.SUBMITTED, ContributionState.RETURNED}
    steps = [{"label": _("Eingereicht"), "date": proposal.submitted_at or proposal.created_at, "state": "done"}]
    check = _check_step(proposal, waiting)
    # Some phases publish first and check afterwards.
    is_first = not proposal.is_published or proposal.decided_at == proposal.published_at
    if check and is_first:
        steps.append(check)
    if state in {ContributionState.REJECTED, ContributionState.HIDDEN, ContributionState.WITHDRAWN}:
        return [*steps, {"label": _(STATE_LABELS[state]), "date": proposal.decided_at, "state": "current"}]
    steps.append({"label": _("Veröffentlicht"), "date": None if waiting else proposal.published_at,
                  "state": "open" if waiting else "done"})
    if check and not is_first:
        steps.append(check)
    if proposal.answer_status and not waiting:
        steps.append({"label": _("Antwort der Verwaltung"), "date": proposal.answered_at, "state": "done",
                      "text": _(ANSWER_LABELS[proposal.answer_status])})
    steps.append({
        "label": _("In eine Maßnahme aufgenommen") if is_taken_up else _("Auswertung für den Maßnahmenkatalog"),
        "date": None, "state": "done" if is_taken_up else "open" if waiting or proposal.awaits_check else "current",
        "text": None if is_taken_up or waiting else _("Noch ist daraus keine Maßnahme geworden."),
    })
    return steps


def _check_step(proposal: Any, waiting: bool) -> dict[str, Any] | None:  # noqa: ANN401, FBT001 - a Contribution
    """What is known of the check: nothing of what was imported, nor of what its author took back."""
    hint = _("Die Verwaltung prüft den Vorschlag.")
    if waiting:
        return {"label": _("Geprüft"), "date": None, "state": "current",
                "text": hint if proposal.state is ContributionState.SUBMITTED else None}
    if proposal.awaits_check:
        return {"label": _("Wird geprüft"), "date": None, "state": "current", "text": hint}
    if proposal.decided_at is None or proposal.state is ContributionState.WITHDRAWN:
        return None
    return {"label": _("Geprüft"), "date": proposal.decided_at, "state": "done"}


@blueprint.get(f"/verfahren/<slug>/vorschlaege/<int:proposal_id>/bilder/<int:picture_id>/<{_SIZE}:size>")
@web.public
def picture(slug: str, proposal_id: int, picture_id: int, size: str) -> ResponseReturnValue:
    """One picture of a proposal; for others than its author and staff only while the proposal is public."""
    require_storable(slug, proposal_id, picture_id)
    found = stored_picture(web.current_session(), web.the_municipality().id, slug, proposal_id, picture_id)
    if found is None:
        raise NotFound
    name, state, revision_number, process = found
    is_public = state is ContributionState.PUBLISHED and process.is_visible and revision_number is None
    if not is_public:
        contribution = load_standing(slug, proposal_id)
        # The picture of a change that awaits its decision, on a page that everybody sees.
        if revision_number is not None and not (
            web.can(Action.MODERATE, contribution)
            or mark_own(web.current_keyring(), web.current_actor(), contribution)
        ):
            raise NotFound
    path = picture_path(web.current_settings().upload_dir, name, size)
    if not path.is_file():
        raise NotFound
    response = make_response(path.read_bytes(), 200, {"Content-Type": "image/webp"})
    response.set_etag(f"{name}-{size}")
    response.headers["Cache-Control"] = f"private, max-age={PICTURE_SECONDS}" if is_public else "private, no-store"
    return response.make_conditional(request)
