"""The base of everything a person writes, and who votes on it."""

from __future__ import annotations

import enum
import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.accounts.models import Participant, ParticipantKind
from participation.db import Base, Created, Key, Line, WideNumber, enum_type
from participation.errors import Conflict
from participation.i18n import N_
from participation.processes.models import Process
from participation.uploads import Upload


class ContributionState(enum.Enum):
    """Where a contribution stands. Visibility is this state and nothing else."""

    SUBMITTED = "submitted"
    PUBLISHED = "published"
    RETURNED = "returned"
    REJECTED = "rejected"
    HIDDEN = "hidden"
    WITHDRAWN = "withdrawn"


STATE_LABELS = {
    ContributionState.SUBMITTED: N_("Wird geprüft"),
    ContributionState.PUBLISHED: N_("Veröffentlicht"),
    ContributionState.RETURNED: N_("Zur Überarbeitung zurückgegeben"),
    ContributionState.REJECTED: N_("Abgelehnt"),
    ContributionState.HIDDEN: N_("Ausgeblendet"),
    ContributionState.WITHDRAWN: N_("Zurückgezogen"),
}

# From where to where a contribution may go; everything else is a Conflict.
TRANSITIONS: dict[ContributionState, frozenset[ContributionState]] = {
    ContributionState.SUBMITTED: frozenset(
        {
            ContributionState.PUBLISHED,
            ContributionState.RETURNED,
            ContributionState.REJECTED,
            ContributionState.WITHDRAWN,
        }
    ),
    ContributionState.RETURNED: frozenset({ContributionState.SUBMITTED, ContributionState.WITHDRAWN}),
    ContributionState.PUBLISHED: frozenset({ContributionState.HIDDEN, ContributionState.WITHDRAWN}),
    ContributionState.HIDDEN: frozenset({ContributionState.PUBLISHED}),
    ContributionState.REJECTED: frozenset(),
    ContributionState.WITHDRAWN: frozenset(),
}
WITHDRAWABLE = frozenset(state for state, after in TRANSITIONS.items() if ContributionState.WITHDRAWN in after)


class AnswerStatus(enum.Enum):
    """What the administration says to a proposal."""

    IN_REVIEW = "in_review"
    ACCEPTED = "accepted"
    PARTLY = "partly"
    DECLINED = "declined"
    DONE = "done"


_ANSWERED = text("answer_status IS NOT NULL")


def _answered_index(name: str, column: str) -> Index:
    """For lists of answered proposals: holds these alone, so that all others cost nothing."""
    return Index(f"ix_contribution_answered_{name}", "process_id", "kind", "state", column, "id",
                 sqlite_where=_ANSWERED, postgresql_where=_ANSWERED)


SHUFFLE_RANGE = 2**24


def new_shuffle_key() -> int:
    """A place in the shuffled order, 0 to SHUFFLE_RANGE - 1."""
    return secrets.randbelow(SHUFFLE_RANGE)


class Contribution(Base):
    """Base of proposal and comment. Columns that lists sort and filter by stand here, under one index each."""

    __tablename__ = "contribution"
    __table_args__ = (
        CheckConstraint("(state IN ('hidden', 'rejected')) = (state_reason IS NOT NULL)", name="hidden_has_reason"),
        CheckConstraint("state <> 'published' OR published_at IS NOT NULL", name="published_has_date"),
        CheckConstraint("support_count >= 0 AND comment_count >= 0", name="counts_not_negative"),
        UniqueConstraint("process_id", "source_key"),
        Index("ix_contribution_newest", "process_id", "kind", "state", "published_at", "id"),
        Index("ix_contribution_supported", "process_id", "kind", "state", "support_count", "id"),
        Index("ix_contribution_discussed", "process_id", "kind", "state", "comment_count", "id"),
        Index("ix_contribution_theme_newest", "theme_id", "kind", "state", "published_at", "id"),
        Index("ix_contribution_theme_supported", "theme_id", "kind", "state", "support_count", "id"),
        Index("ix_contribution_theme_discussed", "theme_id", "kind", "state", "comment_count", "id"),
        Index("ix_contribution_fair", "process_id", "kind", "state", "shuffle_key", "id"),
        Index("ix_contribution_theme_fair", "theme_id", "kind", "state", "shuffle_key", "id"),
        _answered_index("newest", "published_at"),
        _answered_index("supported", "support_count"),
        _answered_index("discussed", "comment_count"),
        _answered_index("fair", "shuffle_key"),
        Index("ix_contribution_author", "participant_id", "id"),
        Index("ix_contribution_phase", "phase_id", "id"),
    )

    id: Mapped[Key]
    kind: Mapped[str] = mapped_column(String(20))
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    phase_id: Mapped[int | None] = mapped_column(ForeignKey("phase.id", ondelete="SET NULL"))
    theme_id: Mapped[int | None] = mapped_column(ForeignKey("theme.id", ondelete="SET NULL"))
    participant_id: Mapped[int] = mapped_column(ForeignKey("participant.id"))
    state: Mapped[ContributionState] = mapped_column(enum_type(ContributionState))
    # The public reason of a rejection or a hiding.
    state_reason: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    # The revision that `body` is. A later one may await a decision while this one stays to be read.
    revision_number: Mapped[int] = mapped_column(default=1)
    pending_revision: Mapped[int | None]
    # One submission stays one, however often its form is sent.
    submission_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    # Identity in the platform it was imported from.
    source_key: Mapped[str | None] = mapped_column(String(300))
    receipt_number: Mapped[str | None] = mapped_column(String(20), unique=True)
    claim_token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    # Whether that link stands in a mail: then it ends when the address turns out to be a stranger's.
    link_mailed: Mapped[bool] = mapped_column(default=False, server_default=false())
    support_count: Mapped[int] = mapped_column(default=0)
    comment_count: Mapped[int] = mapped_column(default=0)
    # How many others write it together with its author.
    co_author_count: Mapped[int] = mapped_column(default=0, server_default="0")
    # What the official answer says; None while there is none.
    answer_status: Mapped[AnswerStatus | None] = mapped_column(enum_type(AnswerStatus))
    # Where it stands in a shuffled list; drawn once, so that such a list has pages and an index.
    shuffle_key: Mapped[int] = mapped_column(default=new_shuffle_key, server_default="0")
    created_at: Mapped[Created]
    submitted_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    # Since when it stands where it does by somebody's decision; None while nobody has looked at what is public.
    decided_at: Mapped[datetime | None]

    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "contribution"}  # noqa: RUF012

    process: Mapped[Process] = relationship()
    participant: Mapped[Participant] = relationship()
    revisions: Mapped[list[Revision]] = relationship(
        back_populates="contribution", order_by="Revision.number", cascade="all, delete-orphan"
    )
    pictures: Mapped[list[ContributionPicture]] = relationship(
        back_populates="contribution", order_by="ContributionPicture.position", cascade="all, delete-orphan",
        primaryjoin="and_(Contribution.id == ContributionPicture.contribution_id, "
        "ContributionPicture.revision_number.is_(None))",
    )

    # Whether the actor at hand wrote it; set by operations.mark_own, never stored.
    is_own = False
    # Whether the actor writes it together with its author; set by operations.mark_own as well.
    is_shared = False

    @property
    def is_published(self) -> bool:
        """Whether everybody may see it."""
        return self.state is ContributionState.PUBLISHED

    @property
    def awaits_check(self) -> bool:
        """Whether it was published before anybody looked at it; nobody here looks at what was imported."""
        return self.is_published and self.decided_at is None and self.source_key is None

    def move_to(self, state: ContributionState, now: datetime, reason: str | None = None) -> None:
        """Change the state along TRANSITIONS. Raises Conflict when it may not go there from where it is."""
        if state not in TRANSITIONS[self.state]:
            raise Conflict(N_("Das ist nicht mehr möglich: Der Beitrag hat inzwischen einen anderen Stand."))
        self.state = state
        self.state_reason = reason if state in {ContributionState.HIDDEN, ContributionState.REJECTED} else None
        if state is ContributionState.PUBLISHED and self.published_at is None:
            self.published_at = now
        if state is ContributionState.SUBMITTED:
            self.submitted_at = now
        else:
            self.decided_at = now


class Revision(Base):
    """The text as it was at one time. A decision names the revision it saw."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("contribution_id", "number"),)

    id: Mapped[Key]
    contribution_id: Mapped[int] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"))
    number: Mapped[int]
    title: Mapped[Line] = mapped_column(default="")
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Created]
    # When it took the place of an earlier text.
    applied_at: Mapped[datetime | None]
    # Others had supported or commented this text when it was replaced: it stays to be read.
    was_seen: Mapped[bool] = mapped_column(default=False, server_default=false())
    # What else it changes (theme, place), by the name of the column.
    changes: Mapped[dict[str, Any] | None] = mapped_column(JSON)

    contribution: Mapped[Contribution] = relationship(back_populates="revisions")


class CoAuthor(Base):
    """Somebody who writes a contribution together with its author."""

    __tablename__ = "co_author"
    __table_args__ = (Index("ix_co_author_participant_id", "participant_id"),)

    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    participant_id: Mapped[int] = mapped_column(ForeignKey("participant.id"), primary_key=True, autoincrement=False)
    joined_at: Mapped[Created]

    participant: Mapped[Participant] = relationship()


class Voter(Base):
    """Who votes, within one process. Whoever also writes is another row there (`Participant`), and nothing joins the two.

    The number is a keyed hash (`Keyring.voter_number`): with the installation's key a person's votes are found, from the
    database alone they are not. So no row of a voter may say when it was made, nor be written together with one that does.
    """

    __tablename__ = "voter"
    __table_args__ = (CheckConstraint("supports >= 0", name="not_negative"),)

    id: Mapped[int] = mapped_column(WideNumber, primary_key=True, autoincrement=False)
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"), index=True)
    # By which way the person votes.
    channel: Mapped[ParticipantKind] = mapped_column(enum_type(ParticipantKind))
    # How many supports of proposals count; changes with them, recountable.
    supports: Mapped[int] = mapped_column(default=0, server_default="0")


class ContributionPicture(Base):
    """A picture with its description for those who can't see it."""

    __tablename__ = "contribution_picture"

    id: Mapped[Key]
    contribution_id: Mapped[int] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"), index=True)
    upload_id: Mapped[int] = mapped_column(ForeignKey("upload.id"))
    alt: Mapped[Line] = mapped_column(default="")
    position: Mapped[int] = mapped_column(default=0)
    # Belongs to a revision that awaits a decision; None for what readers see.
    revision_number: Mapped[int | None]

    contribution: Mapped[Contribution] = relationship(back_populates="pictures")
    upload: Mapped[Upload] = relationship()
