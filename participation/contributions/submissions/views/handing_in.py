"""Writing a proposal, looking at it before, putting it aside, handing it in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Response, flash, make_response, render_template, request, session as cookie
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from participation import tokens, web
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.drafts.models import Draft
from participation.contributions.drafts.operations import ChangedElsewhere, read_draft, save_draft
from participation.contributions.drafts.views import KEPT_DAYS, load_draft, rows_of, shown_picture
from participation.contributions.guests import operations as guests
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.content import BODY_MAX, TITLE_MAX, ProposalDraft
from participation.contributions.proposals.operations.submitting import Receipt, find_submission, submit_proposal
from participation.contributions.proposals.queries import similar_cards
from participation.contributions.submissions.forms import ProposalForm, proposal_form
from participation.contributions.submissions.operations import discard_files
from participation.contributions.submissions.views.entered import (
    draft_put_aside,
    has_picture,
    keep_pictures,
    name_gone,
    name_gone_options,
    read_entered,
    read_picture,
)
from participation.contributions.submissions.views.page import (
    blueprint,
    fields_of,
    form_page,
    is_no_known_guest,
    new_an_hour,
    one_guest,
    phase_dates,
    picker_of,
    pictures_an_hour,
    private,
    sends_no_picture,
    settings_of,
)
from participation.errors import Conflict, InvalidInput, NotFound
from participation.formats import ThemeRule
from participation.own_fields import Answer, OwnField
from participation.processes.edge import load_process
from participation.text import clean_line, clean_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response as BaseResponse

    from participation.contributions.proposals.queries import Card
    from participation.permissions import Actor
    from participation.processes.models import Process, Theme

# What a form holds besides what its author wrote. The picture is kept as a file.
NOT_OF_DRAFTS = frozenset({"csrf_token", "step", "submission_key", "draft_version", "picture_kept", "picture_drop"})


@blueprint.route("/verfahren/<slug>/vorschlaege/neu", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"], key_func=web.sender)
@web.limiter.limit(pictures_an_hour, methods=["POST"], key_func=web.sender, exempt_when=sends_no_picture)
@web.limiter.limit("30 per hour", methods=["POST"], key_func=one_guest, exempt_when=is_no_known_guest, deduct_when=web.was_done)
@web.limiter.limit(new_an_hour, methods=["POST"], key_func=web.sender, deduct_when=web.was_done)
def new(slug: str) -> ResponseReturnValue:
    """One page with everything; works without JavaScript."""
    process = load_process(slug)
    shown = fields_of(process, process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now()))
    form, wanted = proposal_form(shown)(), request.args.get("entwurf", "")
    repeated = _already_sent(form, process) if form.is_submitted() else None
    says_more = repeated is not None and _says_something_else(form, repeated)
    if repeated is not None and not says_more:
        return _to_receipt(repeated)
    now = web.current_now()
    put_aside = load_draft(process, wanted) if wanted and not form.is_submitted() else None
    if process.phase_opening(Action.SUBMIT_PROPOSAL, now) is None:
        return _closed(process, now, put_aside, is_submitted=form.is_submitted())
    web.require(Action.SUBMIT_PROPOSAL, process)
    actor, changed = _who_writes(is_submitted=form.is_submitted())
    author = contributions.find_participant(
        web.current_session(), web.current_keyring(), process.id, actor.identity
    )
    if put_aside is not None:
        form = _form_of_draft(process, put_aside, shown)
    form.offer(process, optional=settings_of(process).theme is ThemeRule.OPTIONAL)
    preview = None
    if repeated is not None:
        _tell_of_the_first(form, repeated)
    elif changed is not None:
        web.attach(form, changed)
    elif form.is_submitted():
        done = _draft_or_proposal(form, process)
        if done is not None and not isinstance(done, Preview):
            return done
        preview = done
    elif put_aside is None:
        chosen = request.args.get("thema", "")
        form.theme_id.data = next((theme.id for theme in process.themes if theme.slug == chosen), 0)
    page = form_page("new", form, process, author=author, is_guest=not actor.is_signed_in,
                      actor_name=actor.display_name, preview=preview, own_fields=shown,
                      **_about_drafts(form, process, put_aside))
    response = make_response(page, 409 if repeated is not None else 422 if form.is_submitted() and preview is None else 200)
    if actor.is_signed_in:
        response.headers["Cache-Control"] = "no-store"
    return response


def _who_writes(*, is_submitted: bool) -> tuple[Actor, InvalidInput | None]:
    """The person of this browser, and what to say first where that is no more whoever began to write.

    Not where a draft is kept: that asks for an account anyway, and says so.
    """
    changed = None
    if is_submitted and request.form.get("step") != "draft":
        try:
            web.require_no_change_of_person()
        except InvalidInput as error:
            changed = error
    actor = web.current_actor()
    return actor if actor.is_signed_in else web.ensure_guest(), changed


def _already_sent(form: ProposalForm, process: Process) -> Proposal | None:
    """Before all rules: who sends again after the answer was lost gets the receipt, also when the phase is over."""
    found = find_submission(web.current_session(), web.current_keyring(), process.id, web.current_actor().identity,
                            form.submission_key.data or "")
    if found is not None and request.form.get("step") == "draft":
        # Another window handed it in meanwhile: what stands in this one is a draft of its own.
        form.submission_key.data, form.draft_version.data = tokens.new_token(), ""
        return None
    return found


def _says_something_else(form: ProposalForm, first: Proposal) -> bool:
    """Whoever went back after handing in, and changed the text, did not send the same form twice."""
    said = clean_line(form.title.data or ""), clean_text(form.body.data or "")
    return all(said != (one.title, one.body) for one in first.revisions)


def _tell_of_the_first(form: ProposalForm, first: Proposal) -> None:
    """Beside the text, which stays: where it can become a change of the first one, and how a second one."""
    form.submission_key.data = tokens.new_token()
    form.form_errors.append(_("Diesen Vorschlag haben Sie schon eingereicht. Was Sie jetzt geändert haben, ist noch nicht gespeichert."))
    form.form_errors.append(Markup('<a href="{}">{}</a>').format(
        _to_receipt(first).location, _("Eingereichten Vorschlag öffnen und dort ändern")))
    form.form_errors.append(_("Oder senden Sie das Formular noch einmal: Dann wird daraus ein zweiter Vorschlag."))


def _closed(process: Process, now: datetime, put_aside: Draft | None, *, is_submitted: bool) -> ResponseReturnValue:
    """No phase is open: when there will be one; what somebody had put aside can still be read and copied."""
    dates = phase_dates(process, now)
    if is_submitted:
        raise Conflict(" ".join([_("Vorschläge sind zurzeit nicht möglich."), *dates]))
    content = read_draft(web.current_keyring(), put_aside) if put_aside else None
    page = render_template("contributions/submissions/closed.html", process=process, dates=dates, draft=content)
    return page, 409


def _draft_or_proposal(form: ProposalForm, process: Process) -> BaseResponse | Preview | None:
    """Do what the pressed button says. None when something is wrong, with messages in the form."""
    step = request.form.get("step", "")
    if step == "preview":
        return _preview(form, process)
    if step == "draft":
        saved = _save_draft(form, process)
        if saved is None:
            return None
        flash(_("Ihr Entwurf ist gespeichert. Sie finden ihn auf jedem Gerät unter „Meine Beiträge“."), "success")
        return web.go("submissions.new", slug=process.slug, entwurf=saved.id,
                      gespeichert="neu" if saved.version == 1 else "weiter")
    receipt = _submit(form, process)
    if receipt is None:
        return None
    flash(_("Danke! Ihr Vorschlag ist veröffentlicht.") if receipt.proposal.is_published
          else _("Danke! Ihr Vorschlag ist gespeichert."), "success")
    return _to_receipt(receipt.proposal)


def _to_receipt(proposal: Proposal) -> BaseResponse:
    token = guests.receipt_token(web.current_keyring(), proposal)
    if token is not None:
        return web.go("submissions.receipt", token=token)
    return web.go("submissions.mine", slug=proposal.process.slug, proposal_id=proposal.id)


def _about_drafts(form: ProposalForm, process: Process, put_aside: Draft | None) -> dict[str, object]:
    """What the form's page says about drafts; the copy that the browser keeps has a key for each of them."""
    draft = put_aside or (draft_put_aside(form) if form.is_submitted() else None)
    picture = "" if form.picture_drop.data else shown_picture(draft)
    key = f"{process.slug}:{draft.id}" if draft else process.slug
    saved = {"neu": process.slug, "weiter": key}.get(request.args.get("gespeichert", ""), "") if put_aside else ""
    return {
        "draft": draft, "kept_days": KEPT_DAYS, "draft_key": key, "draft_done": saved, "draft_mark": web.browser_mark(),
        "pictures": [(picture, form.picture_alt.data or "")] if picture else [],
        "drafts": rows_of(process.id) if draft is None and not form.is_submitted() else [],
    }


def _form_of_draft(process: Process, draft: Draft, shown: Sequence[OwnField]) -> ProposalForm:
    """The form as it was put aside. Raises NotFound when it can't be read any more."""
    content = read_draft(web.current_keyring(), draft)
    if content is None:
        raise NotFound
    values = MultiDict([(name, value) for name, some in content.values.items() for value in some])
    values["submission_key"], values["draft_version"] = content.submission_key, str(draft.version)
    form = proposal_form(shown)(formdata=values)
    if find_submission(web.current_session(), web.current_keyring(), process.id, web.current_actor().identity,
                       content.submission_key):
        # Another window handed it in at the moment this was saved: sent as it is, it would only find that receipt.
        form.submission_key.data, form.draft_version.data = tokens.new_token(), ""
    name_gone(form, shown, content.values.items())
    name_gone_options(form, shown, content.values)
    return form


def _save_draft(form: ProposalForm, process: Process) -> Draft | None:
    """Put the form aside as it is; None when that is not possible, with a message."""
    actor = web.current_actor()
    if not actor.is_signed_in:
        web.attach(form, InvalidInput(_("Speichern können Sie einen Entwurf nur mit einem Konto. Sind Sie inzwischen "
                                        "abgemeldet? Dann melden Sie sich in einem zweiten Fenster an und speichern "
                                        "Sie noch einmal.")))
        return None
    # Only its picture is of interest: what is missing may stay missing.
    sent = ProposalDraft(title="", body="")
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    if not read_picture(form, process, sent, is_valid=True, takes_draft=False):
        return None
    seen = form.draft_version.data or ""
    values = {name: some for name, some in request.form.lists() if name not in NOT_OF_DRAFTS}
    try:
        return save_draft(
            web.current_session(), web.current_keyring(), actor, process,
            form.submission_key.data or tokens.new_token(), values,
            seen=int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else 0,  # noqa: PLR2004
            now=web.current_now(), upload=sent.pictures[0][0] if sent.pictures else None, drops_picture=drops,
        )
    except InvalidInput as error:
        web.attach(form, error)
        keep_pictures(form, sent, drops_shown=drops)
        if isinstance(error, ChangedElsewhere):
            draft = draft_put_aside(form)
            form.draft_version.data = str(draft.version) if draft else ""
        return None


@dataclass(frozen=True, slots=True)
class Preview:
    """What others will read, and what they can read already."""

    draft: ProposalDraft
    theme: Theme | None
    picture_alt: str
    answers: list[Answer]
    similar: list[Card]


def _preview(form: ProposalForm, process: Process) -> Preview | None:
    """Show what was entered as others will see it, and store nothing. None when something is wrong with it."""
    settings = settings_of(process)
    draft, is_valid = read_entered(form, process, settings, _asked(process))
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    is_valid = read_picture(form, process, draft, is_valid=is_valid) and is_valid
    is_valid = has_picture(form, settings, draft) and is_valid
    session = web.current_session()
    # The picture is laid aside; its row must not stay.
    for upload, _alt in draft.pictures or []:
        session.delete(upload)
    keep_pictures(form, draft, drops_shown=drops)
    if not is_valid:
        return None
    return Preview(
        draft, next((one for one in process.themes if one.id == draft.theme_id), None), form.picture_alt.data or "",
        draft.answers or [], similar_cards(session, process.id, draft.title, draft.body),
    )


def _asked(process: Process) -> Sequence[OwnField]:
    """What the form asks besides, now."""
    phase = process.phase_opening(Action.SUBMIT_PROPOSAL, web.current_now())
    return phase.own_fields if phase else ()


def _submit(form: ProposalForm, process: Process) -> Receipt | None:
    """Store what the form says; None when something is wrong, with a message beside each field concerned."""
    actor = web.current_actor()
    settings = settings_of(process)
    draft, is_valid = read_entered(form, process, settings, _asked(process))
    drops = bool(form.picture_drop.data) and not form.picture_kept.data
    is_valid = read_picture(form, process, draft, is_valid=is_valid) and is_valid
    is_valid = has_picture(form, settings, draft) and is_valid
    if not is_valid:
        keep_pictures(form, draft, drops_shown=drops)
        return None
    try:
        receipt = submit_proposal(
            web.current_session(), web.current_keyring(), actor, process, draft,
            submission_key=form.submission_key.data or tokens.new_token(), now=web.current_now(),
            pseudonym="" if actor.is_signed_in else form.pseudonym.data or "",
        )
    except InvalidInput as error:
        web.attach(form, error)
        keep_pictures(form, draft, drops_shown=drops)
        return None
    if receipt.is_repeat:
        for upload, _alt in draft.pictures or []:
            web.current_session().delete(upload)
            discard_files(web.current_settings().upload_dir, upload)
    return receipt


def _looking_around() -> str:
    """Each pause of whoever is writing asks once; sixty people in one room pause often."""
    return "600 per hour" if web.current_actor().is_signed_in else "2400 per hour"


@blueprint.post("/verfahren/<slug>/vorschlaege/neu/aehnliche")
@web.public
@web.limiter.limit(_looking_around, key_func=web.sender)
def similar(slug: str) -> ResponseReturnValue:
    """While somebody writes: what others proposed already, as a piece of the page. Nothing of the text is kept."""
    web.reads_only()
    process = load_process(slug)
    title = clean_line(request.form.get("title", "")[:TITLE_MAX])
    body = clean_text(request.form.get("body", "")[:BODY_MAX])
    return private(render_template(
        "contributions/submissions/_similar.html", process=process,
        hides_supports=process.hides_supports(web.current_now()),
        cards=similar_cards(web.current_session(), process.id, title, body), folded=True,
    ))


@blueprint.get("/verfahren/<slug>/vorschlaege/neu/karte.js")
@web.public
def picker_script(slug: str) -> ResponseReturnValue:
    """The picker's own few lines, as a file: the page then needs no inline code."""
    script = str(picker_of(load_process(slug)).script)
    response = Response(script, mimetype="text/javascript")
    response.set_etag(hashlib.sha256(script.encode()).hexdigest()[:16])
    response.headers["Cache-Control"] = "private, no-cache"
    return response.make_conditional(request)


@blueprint.post("/verfahren/<slug>/vorschlaege/neu/andere-person")
@web.public
def other_person(slug: str) -> ResponseReturnValue:
    """On a shared computer: forget the guest who wrote here before, and begin with an empty form."""
    cookie.pop(web.GUEST_TOKEN, None)
    return web.go("submissions.new", slug=slug)
