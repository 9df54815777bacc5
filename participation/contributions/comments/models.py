"""Comments on a proposal, in threads of up to three levels."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from participation.contributions.models import Contribution
from participation.db import enum_type
from participation.i18n import N_

MAX_DEPTH = 2
QUOTE_MAX = 500


class Stance(enum.Enum):
    """What a comment says to the proposal, where the phase asks for it."""

    PRO = "pro"
    CONTRA = "contra"
    NEUTRAL = "neutral"


STANCE_LABELS = {Stance.PRO: N_("Dafür"), Stance.CONTRA: N_("Dagegen"), Stance.NEUTRAL: N_("Anmerkung")}


class Comment(Contribution):
    """An answer to a proposal, or to another comment. `thread_id` is the first comment of its thread."""

    __tablename__ = "comment"
    __table_args__ = (  # type: ignore[assignment]  # each table has constraints of its own
        CheckConstraint("depth BETWEEN 0 AND 2", name="depth_of_three_levels"),
        CheckConstraint("(depth = 0) = (parent_id IS NULL)", name="replies_have_parents"),
        Index("ix_comment_thread", "proposal_id", "thread_id", "id"),
    )

    id: Mapped[int] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True)
    proposal_id: Mapped[int] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"), index=True)
    thread_id: Mapped[int | None] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"))
    depth: Mapped[int] = mapped_column(default=0)
    # A passage of the proposal, as it stood there when the comment was written.
    quote: Mapped[str] = mapped_column(String(QUOTE_MAX), default="", server_default="")
    stance: Mapped[Stance | None] = mapped_column(enum_type(Stance))
    # Set when the text was changed after others could read it.
    edited_at: Mapped[datetime | None]

    __mapper_args__ = {  # noqa: RUF012 - read by SQLAlchemy, never changed
        "polymorphic_identity": "comment",
        "inherit_condition": id == Contribution.id,
    }
