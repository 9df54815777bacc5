"""Proposals: titled contributions with a theme, perhaps a place."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.contributions.models import AnswerStatus, Contribution
from participation.db import Line
from participation.i18n import N_
from participation.municipalities.models import District
from participation.own_fields import Answer, OwnField, in_order, load_answers, public_answers
from participation.processes.models import Theme

# Why an author took a proposal back, for all to read. Given words, since nobody checks them before they are public.
WITHDRAWAL_REASONS = {
    "done": N_("Die Sache hat sich erledigt."),
    "double": N_("Jemand anderes hat dasselbe schon vorgeschlagen."),
    "rewritten": N_("Ich habe den Vorschlag neu geschrieben."),
    "mind": N_("Ich habe meine Meinung geändert."),
    "mistake": N_("Der Vorschlag enthielt einen Fehler."),
}


ANSWER_LABELS = {
    AnswerStatus.IN_REVIEW: N_("Wird fachlich geprüft"),
    AnswerStatus.ACCEPTED: N_("Wird umgesetzt"),
    AnswerStatus.PARTLY: N_("Wird teilweise umgesetzt"),
    AnswerStatus.DECLINED: N_("Wird nicht umgesetzt"),
    AnswerStatus.DONE: N_("Ist umgesetzt"),
}


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
    # What was answered in fields that editors added; see own_fields.
    stored_answers: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")
    # When a text was replaced that others had reacted to.
    edited_at: Mapped[datetime | None]
    # A key of WITHDRAWAL_REASONS, if the author named one.
    withdrawal_reason: Mapped[str | None] = mapped_column(String(20))

    # The official answer (its status stands in `contribution`, for lists); Markdown of staff, not of residents. Cost in whole euros.
    answer_body: Mapped[str] = mapped_column(Text, default="", server_default="")
    answer_cost: Mapped[int | None]
    answered_at: Mapped[datetime | None]
    # Only where it was changed since.
    first_answered_at: Mapped[datetime | None]
    answered_by: Mapped[Line] = mapped_column(default="", server_default="")

    __mapper_args__ = {"polymorphic_identity": "proposal"}  # noqa: RUF012

    theme: Mapped[Theme | None] = relationship(
        primaryjoin="Proposal.theme_id == Theme.id", foreign_keys="Proposal.theme_id", viewonly=True
    )
    district: Mapped[District | None] = relationship()

    @property
    def own_fields(self) -> tuple[OwnField, ...]:
        """What the form of its phase asks besides. The phases come with the process."""
        phase = next((one for one in self.process.phases if one.id == self.phase_id), None)
        return phase.own_fields if phase else ()

    @property
    def answers(self) -> list[Answer]:
        """All that its author answered there; for the author, moderators and exports of staff."""
        return in_order(load_answers(self.stored_answers), self.own_fields) if self.stored_answers else []

    @property
    def public_answers(self) -> list[Answer]:
        """What everybody may read of it."""
        return public_answers(self.answers, self.own_fields) if self.stored_answers else []
