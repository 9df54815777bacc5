"""The receipt that finds a contribution again, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import flash, render_template, request, url_for
from flask_babel import gettext as _
from markupsafe import Markup
from sqlalchemy import select

from participation import tokens, web
from participation.accounts.models import ParticipantKind
from participation.accounts.operations.entered import clean_email
from participation.actions import Action
from participation.contributions import operations as contributions
from participation.contributions.comments.models import Comment
from participation.contributions.comments.operations import may_edit as may_edit_comment
from participation.contributions.guests import operations as guests
from participation.contributions.models import STATE_LABELS, WITHDRAWABLE, Contribution, ContributionState
from participation.contributions.proposals.edge import load_proposal
from participation.contributions.proposals.models import ANSWER_LABELS, Proposal
from participation.contributions.proposals.operations.revising import EDITABLE
from participation.contributions.queries import pictures_of
from participation.contributions.submissions.forms import IntroductionForm, ReceiptForm
from participation.contributions.submissions.views.page import (
    LIMITS,
    blueprint,
    day,
    filled_hole,
    holder_of,
    own_address,
    private,
    shown_inline,
)
from participation.errors import InvalidInput, NotFound, SignInNeeded
from participation.permissions import Actor, can as actor_can
from participation.processes.models import ProcessState

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


# A message waits in the cookie, which holds four kilobytes.
UNTOLD_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a contribution's way, as the macro progress_steps shows it."""

    label: str
    date: str
    state: str
    text: str = ""


def _steps(contribution: Contribution) -> list[Step]:
    """Submitted, checked, published, taken up: each done, current or open."""
    state = contribution.state
    steps = [Step(_("Eingereicht"), day(contribution.submitted_at or contribution.created_at), "done")]
    if state in {ContributionState.SUBMITTED, ContributionState.RETURNED}:
        hint = (
            _("Bitte überarbeiten Sie Ihren Vorschlag. Danach prüfen wir ihn noch einmal.")
            if state is ContributionState.RETURNED
            else _("Ein Mensch aus der Verwaltung liest jeden Vorschlag, bevor er erscheint.")
        )
        steps += [
            Step(_("Wird geprüft") if state is ContributionState.SUBMITTED else _(STATE_LABELS[state]),
                 day(contribution.decided_at) if state is ContributionState.RETURNED else "", "current", hint),
            Step(_("Veröffentlicht"), "", "open", _("Dann können andere ihn lesen und unterstützen.")),
            Step(_("Auswertung für den Maßnahmenkatalog"), "", "open"),
        ]
    elif state is ContributionState.PUBLISHED:
        steps += [
            *_published_steps(contribution, _("Die Verwaltung prüft den Vorschlag.")),
            *([Step(_("Antwort der Verwaltung"), "", "done", _(ANSWER_LABELS[contribution.answer_status]))]
              if contribution.answer_status else []),
            Step(_("Auswertung für den Maßnahmenkatalog"), "", "open" if contribution.awaits_check else "current",
                 _("Wird daraus eine Maßnahme, steht es auf der Seite Ihres Vorschlags.")),
        ]
    else:
        steps.append(Step(_(STATE_LABELS[state]), day(contribution.decided_at), "current"))
    return steps


def _published_steps(contribution: Contribution, hint: str) -> list[Step]:
    """Checked and published, or the other way round where a phase checks afterwards."""
    published = Step(_("Veröffentlicht"), day(contribution.published_at), "done")
    if contribution.awaits_check:
        return [published, Step(_("Wird geprüft"), "", "current", hint)]
    if contribution.decided_at is None:
        return [published]
    checked = Step(_("Geprüft"), day(contribution.decided_at), "done")
    return [checked, published] if contribution.decided_at == contribution.published_at else [published, checked]


def _comment_steps(comment: Comment) -> list[Step]:
    """Submitted, checked, published."""
    state, decided = comment.state, day(comment.decided_at)
    steps = [Step(_("Eingereicht"), day(comment.submitted_at or comment.created_at), "done")]
    if state is ContributionState.PUBLISHED:
        return [*steps, *_published_steps(comment, _("Ein Mensch aus der Verwaltung liest jeden Kommentar."))]
    if state in {ContributionState.SUBMITTED, ContributionState.RETURNED}:
        hint = (_("Bitte überarbeiten Sie Ihren Kommentar. Danach prüfen wir ihn noch einmal.")
                if state is ContributionState.RETURNED
                else _("Ein Mensch aus der Verwaltung liest jeden Kommentar, bevor er erscheint."))
        return [*steps, Step(_(STATE_LABELS[state]), decided if state is ContributionState.RETURNED else "", "current", hint),
                Step(_("Veröffentlicht"), "", "open")]
    return [*steps, Step(_(STATE_LABELS[state]), decided, "current")]


def contribution_of_token(token: str) -> Contribution:
    """Whoever holds the link is the author, unless an account is.

    The link of what belongs to an account lies in the history of a shared computer, or was sent on before it did: it
    opens for whoever is signed in as the owner. Raises NotFound, which tells others nothing, or SignInNeeded, which
    leads to the sign-in page and back.
    """
    found = web.current_session().scalar(
        select(Contribution).where(Contribution.claim_token_hash == tokens.hash_token(token))
    )
    if found is None:
        raise NotFound
    if not contributions.is_of_account(found):
        found.is_own = True
        return found
    actor = web.current_actor()
    if contributions.mark_own(web.current_keyring(), actor, found) or found.is_shared:
        return found
    if actor.is_signed_in:
        raise NotFound
    raise SignInNeeded


def proposal_of_token(token: str) -> Proposal:
    """The same for a proposal alone. Raises NotFound."""
    found = contribution_of_token(token)
    if not isinstance(found, Proposal):
        raise NotFound
    return found


def _comment_receipt(comment: Comment, token: str, form: IntroductionForm | None = None) -> ResponseReturnValue:
    """The receipt of a guest's comment; once an account has it, without a link."""
    web.do_not_cache()
    proposal, state = web.current_session().get_one(Proposal, comment.proposal_id), comment.state
    token = "" if contributions.is_of_account(comment) else token
    link = web.current_settings().base_url + url_for("submissions.receipt", token=token) if token else ""
    is_readable = proposal.is_published and proposal.process.is_visible
    return private(render_template(
        "contributions/comments/receipt.html", comment=comment, proposal=proposal, process=comment.process,
        steps=_comment_steps(comment), link=link, qr_code=_qr_code(link) if link else "", token=token,
        may_attach=_is_of_guest(comment), is_signed_in=web.current_actor().is_signed_in, is_readable=is_readable,
        may_edit=is_readable and may_edit_comment(holder_of(token), comment, web.current_now()),
        may_withdraw=is_readable and state in WITHDRAWABLE,
        decision=filled_hole("decision_of", contribution_id=comment.id) if state is ContributionState.RETURNED else "",
        **_introduction(comment, token, form),
    ), 422 if form else 200)


def _page_of_token(contribution: Contribution, token: str, form: IntroductionForm | None = None) -> ResponseReturnValue:
    if isinstance(contribution, Comment):
        return _comment_receipt(contribution, token, form)
    return _receipt_page(proposal_of_token(token), holder_of(token), token, form)


def _receipt_page(proposal: Proposal, actor: Actor, token: str, form: IntroductionForm | None = None) -> ResponseReturnValue:
    web.do_not_cache()
    link = web.current_settings().base_url + url_for("submissions.receipt", token=token) if token else ""
    state = proposal.state
    body = render_template(
        "contributions/submissions/receipt.html", proposal=proposal, process=proposal.process, steps=_steps(proposal),
        link=link, qr_code=_qr_code(link) if link else "", pictures=_shown_pictures(proposal),
        own=own_address(proposal, token), token=token, may_attach=token and _is_of_guest(proposal), is_signed_in=web.current_actor().is_signed_in,
        is_own_account=actor.is_signed_in and not token and proposal.is_own,
        may_edit=state in EDITABLE
        and actor_can(actor, Action.EDIT_PROPOSAL, proposal, web.current_now()),
        pictures_allowed=web.can(Action.ATTACH_PICTURES, proposal.process),
        may_withdraw=state in WITHDRAWABLE and proposal.is_own,
        decision=filled_hole("decision_of", contribution_id=proposal.id) if state is ContributionState.RETURNED else "",
        measures=web.part("proposal_measures", proposal=proposal) if proposal.is_published else "",
        **_introduction(proposal, token, form),
    )
    return private(body, 422 if form else 200)


def _introduction(contribution: Contribution, token: str, form: IntroductionForm | None) -> dict[str, object]:
    """What the guest of a receipt may still say of themselves; nothing for anybody else."""
    author, is_asked = contribution.participant, (
        bool(token) and _is_of_guest(contribution) and contribution.state in WITHDRAWABLE
        and contribution.process.state is ProcessState.PUBLISHED)
    address = guests.guest_address(web.current_keyring(), contribution) if is_asked else ""
    form = form or IntroductionForm(formdata=None)
    form.email.data = form.email.data or address
    return {
        "form": form, "limits": LIMITS, "mailed_to": address, "asks_email": is_asked and author.contact_sealed is None,
        "asks_name": is_asked and guests.may_be_named(web.current_session(), author),
    }


def _shown_pictures(proposal: Proposal) -> list[tuple[str, str]]:
    """Address and description of each picture. In the page itself: the holder of a link may have no cookie."""
    return shown_inline(web.current_session().scalars(pictures_of(proposal.id)).all())


def _is_of_guest(contribution: Contribution) -> bool:
    return contribution.participant.kind is ParticipantKind.GUEST


def _qr_code(link: str) -> Markup:
    """The link as a QR code, drawn as SVG in the page."""
    import segno  # noqa: PLC0415 - for receipts only

    svg = segno.make(link, error="m", micro=False).svg_inline(
        scale=4, border=3, dark="#000", light="#fff", title=_("QR-Code mit dem Link zu Ihrem Beleg")
    )
    return Markup(svg)  # noqa: S704 - made of the modules of the code


@blueprint.get("/beleg/<token>")
@web.public
def receipt(token: str) -> ResponseReturnValue:
    """The receipt: number, link, way, and what the author can still do."""
    contribution = contribution_of_token(token)
    if isinstance(contribution, Proposal) and contributions.is_of_account(contribution):
        return web.go("submissions.mine", slug=contribution.process.slug, proposal_id=contribution.id)
    return _page_of_token(contribution, token)


@blueprint.route("/beleg/<token>/zu-ihnen", methods=["GET", "POST"])
@web.public
@web.limiter.limit(web.TRIES, methods=["POST"])
@web.limiter.limit(web.GUESTS_WRITE, methods=["POST"], deduct_when=web.was_done)
@web.limiter.limit("6 per hour;20 per day", methods=["POST"], key_func=web.given_address,
                   exempt_when=web.gives_no_address)
def introduce(token: str) -> ResponseReturnValue:
    """A guest says who they are once what they wrote is safe: its form asks less of them before. An address can be mended."""
    contribution, form = contribution_of_token(token), IntroductionForm()
    if not form.is_submitted():
        return web.go("submissions.receipt", token=token)
    if request.form.get("step") == "forget":
        untold = guests.forget_guest_address(
            web.current_session(), web.current_keyring(), holder_of(token), contribution, web.current_now())
        return _to_receipt_anew(contribution, token, _("Die E-Mail-Adresse ist gelöscht."), untold)
    is_valid, name, email, untold = form.validate(), form.pseudonym.data or "", form.email.data or "", []
    try:
        # With nothing at all the message says what an address looks like.
        email = clean_email(email) if is_valid and (email or not name) else ""
        if is_valid:
            untold = guests.introduce_guest(
                web.current_session(), web.current_keyring(), holder_of(token), contribution, name=name, email=email,
                now=web.current_now())
    except InvalidInput as error:
        web.attach(form, error)
        is_valid = False
    if not is_valid:
        return _page_of_token(contribution, token, form)
    return _to_receipt_anew(contribution, token, _("Danke! Das ist gespeichert."), untold)


def _to_receipt_anew(contribution: Contribution, token: str, said: str, untold: list[Contribution]) -> ResponseReturnValue:
    """Back to the receipt, by its new link where the old one lies in a stranger's postbox.

    `untold` are others that got a new link too, which nobody would find again if it did not stand here once.
    """
    renewed = guests.receipt_token(web.current_keyring(), contribution)
    is_old = renewed is None or renewed == token
    flash(said if is_old else " ".join([said, _("Ihr Beleg hat jetzt einen neuen Link. Der alte Link gilt nicht mehr.")]), "success")
    if untold:
        flash(_untold(untold), "warning")
    return web.go("submissions.receipt", token=token if is_old else renewed)


def _untold(untold: list[Contribution]) -> Markup:
    links = [Markup('<a href="{}">{}</a>').format(url_for("submissions.receipt", token=token), one.receipt_number)
             for one in untold[:UNTOLD_SHOWN] if (token := guests.receipt_token(web.current_keyring(), one))]
    said = Markup("{} {}").format(
        _("Diese anderen Belege haben einen neuen Link. Dafür haben wir keine weitere E-Mail geschickt. Öffnen Sie jeden Beleg "
          "jetzt, und schreiben Sie sich den Link auf oder setzen Sie ein Lesezeichen:"), Markup(", ").join(links))
    if len(untold) > UNTOLD_SHOWN:
        said += Markup("<br>{}").format(_("Es gibt noch mehr. Schreiben Sie uns, wenn Ihnen ein Beleg fehlt."))
    return said


@blueprint.get("/verfahren/<slug>/vorschlaege/<int:proposal_id>/beleg")
@web.public
def mine(slug: str, proposal_id: int) -> ResponseReturnValue:
    """The same for an author who is known by account or browser."""
    proposal = own_proposal(slug, proposal_id)
    actor = web.current_actor()
    # An account needs no link that opens without it.
    token = "" if actor.is_signed_in else guests.receipt_token(web.current_keyring(), proposal)
    return _receipt_page(proposal, actor, token or "")


@blueprint.route("/beleg", methods=["GET", "POST"])
@web.public
@web.limiter.limit("20 per hour", methods=["POST"], deduct_when=web.was_refused)
def find() -> ResponseReturnValue:
    """Where does my proposal stand? Answers the state only: a number read over a shoulder opens nothing."""
    form = ReceiptForm()
    found = None
    if form.validate_on_submit():
        number = tokens.normalise_receipt_number(form.number.data or "")
        found = web.current_session().scalar(select(Contribution).where(Contribution.receipt_number == number))
        if found is None:
            web.attach(form, InvalidInput(_("Diese Nummer kennen wir nicht. Bitte prüfen Sie jedes Zeichen."),
                                          field="number"))
    body = render_template("contributions/submissions/find.html", form=form, found=found,
                           steps=(_comment_steps(found) if isinstance(found, Comment) else _steps(found)) if found else [])
    return private(body, 422 if form.is_submitted() and found is None else 200)


def own_proposal(slug: str, proposal_id: int) -> Proposal:
    """A proposal whose author, or one of its authors, is known by account or browser.

    Raises SignInNeeded for strangers, whether there is such a proposal or not: a link from a mail then leads to the
    sign-in page and back. Raises NotFound for accounts that did not write it.
    """
    actor = web.current_actor()
    try:
        proposal = load_proposal(slug, proposal_id)
        is_own = contributions.mark_own(web.current_keyring(), actor, proposal) or proposal.is_shared
    except NotFound:
        is_own = False
    if not is_own:
        if not actor.is_signed_in:
            raise SignInNeeded
        raise NotFound
    return proposal
