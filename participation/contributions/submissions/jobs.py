"""The mail that confirms a submission, and files that belong to nothing any more."""

from __future__ import annotations

from flask import url_for

from participation import clock, outbox, schedule
from participation.accounts.models import ParticipantKind
from participation.accounts.queries import recipient_of
from participation.contributions.guests.operations import contact_mark, hold_for_mail, link_for_mail
from participation.contributions.models import Contribution
from participation.contributions.submissions.operations import forget_pictures
from participation.i18n import N_
from participation.mail_templates import mail_context, render_mail, send
from participation.uploads import SIZES, picture_path
from participation.web import current_keyring, current_settings


@schedule.hourly
def forget_kept_pictures() -> None:
    """Pictures of forms that nobody sent."""
    forget_pictures(current_settings().upload_dir, clock.now())


@outbox.job("remove_picture", N_("Bilddatei entfernen"))
def remove_picture(context: outbox.JobContext) -> None:
    """The files of a picture whose row is gone."""
    for size in SIZES:
        picture_path(current_settings().upload_dir, context.args["file"], size).unlink(missing_ok=True)


@outbox.job("mail_receipt", N_("E-Mail: Beleg"))
def mail_receipt(context: outbox.JobContext) -> None:
    """Number and link, to whoever gave an address.

    A guest's address is not confirmed: it may be a stranger's. So such a mail repeats nothing of what was entered, or
    anybody could send words of their own through us.
    """
    keyring = current_keyring()
    with context.database.unit_of_work() as session:
        contribution = session.get(Contribution, context.args["contribution_id"])
        if contribution is None:
            return
        hold_for_mail(session, contribution)
        participant = contribution.participant
        recipient = recipient_of(session, keyring, participant)
        contact = keyring.unseal(participant.contact_sealed or "") or ""
        if context.args.get("contact", contact_mark(keyring, contact)) != contact_mark(keyring, contact):
            # Mistyped, and mended before this mail went.
            return
        if recipient is None:
            return
        token = link_for_mail(keyring, contribution)
        slug, contribution_id = contribution.process.slug, contribution.id
        is_guest = participant.kind is ParticipantKind.GUEST
        title = "" if is_guest else str(getattr(contribution, "title", ""))
        is_comment = contribution.kind == "comment"
        number, is_published = contribution.receipt_number, contribution.is_published
    with mail_context():
        link = url_for("submissions.receipt", token=token, _external=True) if token else ""
        if not (is_guest or is_comment):
            link = url_for("submissions.mine", slug=slug, proposal_id=contribution_id, _external=True)
        send(render_mail(
            "receipt", key=context.key, recipient=recipient, number=number, title=title, link=link,
            is_guest=is_guest, is_published=is_published, is_comment=is_comment,
        ))
