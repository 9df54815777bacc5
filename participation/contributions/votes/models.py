"""Support: at most one per participant and contribution, by the primary key itself."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from participation.db import Base, Created


class Vote(Base):
    """One participant supports one contribution."""

    __tablename__ = "vote"
    __table_args__ = (Index("ix_vote_participant_id", "participant_id"),)

    contribution_id: Mapped[int] = mapped_column(
        ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    participant_id: Mapped[int] = mapped_column(ForeignKey("participant.id"), primary_key=True, autoincrement=False)
    created_at: Mapped[Created]
