"""Reading what all contributions share: pictures, where one stands, and the row to lock before counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Row, Select, bindparam, or_, select
from sqlalchemy.orm import contains_eager, defer, joinedload

from participation.accounts.models import Participant
from participation.contributions.models import CoAuthor, Contribution, ContributionPicture, ContributionState, Revision
from participation.municipalities.models import Municipality
from participation.processes.models import Process
from participation.uploads import Upload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


# Built once: on the way of a vote, building it would cost more than running it.
STANDING = (
    select(Contribution)
    .join(Contribution.process)
    .join(Process.municipality)
    .where(
        Contribution.id == bindparam("contribution_id"), Contribution.kind == bindparam("kind"),
        Process.municipality_id == bindparam("municipality_id"), Process.slug == bindparam("slug"),
    )
    .options(
        defer(Contribution.body), joinedload(Contribution.participant).load_only(Participant.person_hash),
        contains_eager(Contribution.process).options(
            defer(Process.body), contains_eager(Process.municipality).load_only(Municipality.id, Municipality.parent_id),
            joinedload(Process.phases),
        ),
    )
)

_ROW = Contribution.__table__.c
# For where it is known already to which process it belongs, and in which content version that stands.
ROW_OF_KNOWN_PROCESS = (
    select(
        _ROW.id, _ROW.kind, _ROW.process_id, _ROW.phase_id, _ROW.theme_id, _ROW.participant_id, _ROW.state, _ROW.state_reason,
        _ROW.pending_revision, _ROW.support_count, _ROW.comment_count, _ROW.co_author_count, Participant.person_hash,
    )
    .join(Participant, Participant.id == _ROW.participant_id)
    .where(_ROW.id == bindparam("contribution_id"))
)
STANDING_ROW = (
    ROW_OF_KNOWN_PROCESS.add_columns(Process.municipality_id, Municipality.content_version)
    .join(Process, Process.id == _ROW.process_id)
    .join(Municipality, Municipality.id == Process.municipality_id)
)


def standing_of(
    session: Session, municipality_id: int, slug: str, contribution_id: int, kind: str
) -> Contribution | None:
    """A contribution with process, municipality and phases in one query, without long texts: all that rules ask of it."""
    values = {"contribution_id": contribution_id, "kind": kind, "municipality_id": municipality_id, "slug": slug}
    return session.execute(STANDING, values).unique().scalar_one_or_none()


def co_author_by_hash(contribution_id: int, person_hash: str) -> Select[int]:
    """The participant behind a hash, if they write the contribution together with its author."""
    return (
        select(CoAuthor.participant_id).join(Participant, Participant.id == CoAuthor.participant_id)
        .where(CoAuthor.contribution_id == contribution_id, Participant.person_hash == person_hash)
    )


def co_authors_of(contribution_id: int) -> Select[CoAuthor]:
    """Who writes it together with its author, in the order in which they came."""
    return (
        select(CoAuthor).where(CoAuthor.contribution_id == contribution_id).options(joinedload(CoAuthor.participant))
        .order_by(CoAuthor.joined_at, CoAuthor.participant_id)
    )


def lock_contribution(session: Session, contribution_id: int) -> None:
    """Hold the row until the end of the transaction.

    Everybody who counts touches the contribution first and its process second; whoever must touch the process earlier
    (a first act raises the number of participants) holds the contribution before, or two of them could wait for each
    other for ever. SQLite knows one writer only and ignores it.
    """
    session.execute(select(Contribution.id).where(Contribution.id == contribution_id).with_for_update())


def first_pictures(session: Session, contribution_ids: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Of each contribution that has pictures, the first one: (id, alternative text). One query for all."""
    if not contribution_ids:
        return {}
    rows = session.execute(
        select(ContributionPicture.contribution_id, ContributionPicture.id, ContributionPicture.alt)
        .where(ContributionPicture.contribution_id.in_(contribution_ids),
               ContributionPicture.revision_number.is_(None))
        .order_by(ContributionPicture.contribution_id, ContributionPicture.position, ContributionPicture.id)
    )
    found: dict[int, tuple[int, str]] = {}
    for contribution_id, picture_id, alt in rows:
        found.setdefault(contribution_id, (picture_id, alt))
    return found


def pictures_of(contribution_id: int, revision_number: int | None = None) -> Select[ContributionPicture]:
    """The pictures of a contribution in their order, with width and height of each.

    Those that readers see, or those of a revision that awaits a decision.
    """
    return (
        select(ContributionPicture)
        .where(ContributionPicture.contribution_id == contribution_id,
               ContributionPicture.revision_number.is_not_distinct_from(revision_number))
        .order_by(ContributionPicture.position, ContributionPicture.id)
        .options(joinedload(ContributionPicture.upload))
    )


def revision_of(session: Session, contribution_id: int, number: int) -> Revision | None:
    """One revision of a contribution."""
    return session.scalar(select(Revision).where(Revision.contribution_id == contribution_id, Revision.number == number))


def seen_revisions(contribution: Contribution) -> Select[Revision]:
    """The texts that others had reacted to when they were replaced, oldest first, and the one that is there now."""
    return (
        select(Revision)
        .where(Revision.contribution_id == contribution.id,
               or_(Revision.was_seen, Revision.number == contribution.revision_number))
        .order_by(Revision.number)
    )


def newest_revision(session: Session, contribution_id: int) -> Revision | None:
    """The revision handed in last, whatever became of it."""
    return session.scalar(
        select(Revision).where(Revision.contribution_id == contribution_id).order_by(Revision.number.desc()).limit(1)
    )


def stored_picture(
    session: Session, municipality_id: int, slug: str, contribution_id: int, picture_id: int
) -> Row[str, ContributionState, int | None, Process] | None:
    """The file name of one picture with the state of its contribution and the process, in one query.

    The number is that of the pending revision it belongs to, None when readers see it.
    """
    return session.execute(
        select(Upload.name, Contribution.state, ContributionPicture.revision_number, Process)
        .select_from(ContributionPicture)
        .join(Upload, Upload.id == ContributionPicture.upload_id)
        .join(Contribution, Contribution.id == ContributionPicture.contribution_id)
        .join(Process, Process.id == Contribution.process_id)
        .where(
            ContributionPicture.id == picture_id, Contribution.id == contribution_id,
            Process.municipality_id == municipality_id, Process.slug == slug,
        )
    ).first()
