"""What one has shown, and where staff give proofs out."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from participation import web
from participation.accounts import verification as proofs
from participation.accounts.forms import EmailForm, LetterBatchForm, LetterCodeForm
from participation.accounts.queries import letter_batches, verifications_of
from participation.accounts.views.signing import blueprint, own_account
from participation.actions import Action
from participation.errors import Conflict, Gone, InvalidInput
from participation.formats import CHOICE_LABELS, Verification
from participation.tokens import new_token
from participation.written import format_date

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

LARGEST_ID = 2**31 - 1


@blueprint.route("/konto/nachweise", methods=["GET", "POST"])
@web.allows(Action.MANAGE_OWN_ACCOUNT)
@web.limiter.limit("40 per hour", methods=["POST"], deduct_when=web.was_refused)
def verification() -> ResponseReturnValue:
    """What one has shown, and how to show more."""
    web.do_not_cache()
    form, session, status = LetterCodeForm(), web.current_session(), 200
    target = web.safe_next("")
    if form.is_submitted():
        status = 422
        try:
            if form.validate():
                proofs.redeem_code(session, web.current_keyring(), web.current_actor(), form.code.data or "",
                                   web.current_now())
                flash(_("Danke! Ihr Nachweis ist gespeichert."), "success")
                return redirect(target or url_for("accounts.verification"), code=303)
        except proofs.WrongCode as error:
            web.attach(form, error)
            proofs.note_wrong_code(session, web.current_actor(), web.current_now())
            # The answer is an error, after which all else is undone; the guess must be remembered all the same.
            session.commit()
        except (InvalidInput, Conflict, Gone) as error:
            web.attach(form, error)
            session.rollback()
            status = error.status
    account = own_account()
    shown = session.execute(verifications_of(account.id)).all()
    provider = web.current_settings().oidc_label if web.current_settings().oidc_levels else ""
    return render_template(
        "accounts/verification.html", form=form, account=account, shown=shown, labels=CHOICE_LABELS, next=target,
        levels=Verification, provider=provider, why=web.part("why_proof", target=target, provider=provider),
        back=web.part("back_without", target=target),
    ), status


@blueprint.route("/verwaltung/nachweise", methods=["GET", "POST"])
@web.allows(Action.VERIFY_RESIDENTS)
def letters() -> ResponseReturnValue:
    """Make codes for letters, and see which were used."""
    municipality = web.the_municipality()
    web.require(Action.VERIFY_RESIDENTS, municipality)
    form = LetterBatchForm()
    label, count, days = form.label.data or "", form.count.data or 0, form.days.data or 0
    if form.is_submitted() and web.all_right(
        form, lambda: proofs.clean_label(label), lambda: proofs.check_count(count), lambda: proofs.check_days(days),
    ):
        try:
            codes = proofs.issue_codes(
                web.current_session(), web.current_keyring(), web.current_actor(), municipality, label=label,
                count=count, days=days, now=web.current_now(), submission_key=form.submission_key.data or "",
            )
        except Conflict as error:
            web.attach(form, error)
            form.submission_key.data = new_token()
            return _staff_page(form, EmailForm(formdata=None), 409)
        return _handed_out(codes, label, web.current_now() + timedelta(days=days))
    return _staff_page(form, EmailForm(formdata=None), 422 if form.is_submitted() else 200)


def _staff_page(form: LetterBatchForm, person: EmailForm, status: int) -> ResponseReturnValue:
    batches = web.current_session().execute(letter_batches(web.the_municipality().id)).all()
    return render_template("accounts/letters.html", form=form, person=person, batches=batches), status


def _handed_out(codes: list[str], label: str, expires_at: datetime) -> ResponseReturnValue:
    """The only time that anybody sees the codes: as a table for a serial letter, or to print and cut."""
    address = web.current_settings().base_url + url_for("accounts.verification")
    if request.form.get("as") == "csv":
        out = io.StringIO()
        writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
        writer.writerow([_("Code"), _("Adresse zum Eingeben"), _("Gültig bis")])
        until = format_date(expires_at, "long")
        writer.writerows([code, address, until] for code in codes)
        response = Response("\ufeff" + out.getvalue(), mimetype="text/csv")
        response.headers["Content-Disposition"] = 'attachment; filename="codes.csv"'
    else:
        response = Response(render_template("accounts/letter_codes.html", codes=codes, label=label, address=address,
                                            expires_at=expires_at))
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.post("/verwaltung/nachweise/<int:batch_id>/beenden")
@web.allows(Action.VERIFY_RESIDENTS)
def end_letters(batch_id: int) -> ResponseReturnValue:
    """Letters were lost: what is not used yet works no more."""
    proofs.end_batch(web.current_session(), web.current_actor(), web.the_municipality(), min(batch_id, LARGEST_ID),
                     web.current_now())
    flash(_("Die Codes dieser Briefe gelten nicht mehr."), "success")
    return web.go("accounts.letters")


@blueprint.post("/verwaltung/nachweise/wohnsitz")
@web.allows(Action.VERIFY_RESIDENTS)
def confirm_residence() -> ResponseReturnValue:
    """A person has shown at the counter where they live."""
    municipality, person = web.the_municipality(), EmailForm()
    web.require(Action.VERIFY_RESIDENTS, municipality)
    if person.validate_on_submit():
        try:
            account = proofs.confirm_residence(web.current_session(), web.current_actor(), municipality,
                                               person.email.data or "", web.current_now())
        except InvalidInput as error:
            web.attach(person, error)
        else:
            flash(_("Der Wohnsitz von %(name)s ist bestätigt.", name=account.display_name), "success")
            return web.go("accounts.letters")
    return _staff_page(LetterBatchForm(formdata=None), person, 422)
