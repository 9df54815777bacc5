"""Invitations to write along. Who accepted stands in contributions.models.CoAuthor."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.contributions.proposals.models import Proposal
from participation.db import Base, Created, Key


class Invitation(Base):
    """One link for one person; never the token itself."""

    __tablename__ = "co_author_invitation"

    id: Mapped[Key]
    proposal_id: Mapped[int] = mapped_column(ForeignKey("proposal.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[Created]
    expires_at: Mapped[datetime]

    proposal: Mapped[Proposal] = relationship()
