"""Proposals: titled contributions with a theme, perhaps a place."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.contributions.models import Contribution
from participation.db import Line
from participation.municipalities.models import District
from participation.processes.models import Theme


class Proposal(Contribution):
    """An idea. The place is a point (lon, lat; EPSG:4326), a description in words, both or none."""

    __tablename__ = "proposal"
    __table_args__ = (  # type: ignore[assignment]  # each table has constraints of its own
        CheckConstraint("(lon IS NULL) = (lat IS NULL)", name="point_is_whole"),
        CheckConstraint("lon IS NULL OR (lon BETWEEN -180 AND 180 AND lat BETWEEN -90 AND 90)", name="point_on_earth"),
        Index("ix_proposal_point", "lon", "lat"),
    )

    id: Mapped[int] = mapped_column(ForeignKey("contribution.id", ondelete="CASCADE"), primary_key=True)
    title: Mapped[Line]
    lon: Mapped[float | None]
    lat: Mapped[float | None]
    place: Mapped[Line] = mapped_column(default="")
    district_id: Mapped[int | None] = mapped_column(ForeignKey("district.id", ondelete="SET NULL"), index=True)

    __mapper_args__ = {"polymorphic_identity": "proposal"}  # noqa: RUF012

    theme: Mapped[Theme | None] = relationship(
        primaryjoin="Proposal.theme_id == Theme.id", foreign_keys="Proposal.theme_id", viewonly=True
    )
    district: Mapped[District | None] = relationship()
