"""Measures of the catalogue and what they grew from."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.contributions.proposals.models import Proposal
from participation.db import Base, Created, Key, Line, enum_type
from participation.i18n import N_
from participation.processes.models import Process, Theme


class MeasureState(enum.Enum):
    """How far a measure got."""

    IDEA = "idea"
    PLANNED = "planned"
    DECIDED = "decided"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    DROPPED = "dropped"


MEASURE_STATE_LABELS = {
    MeasureState.IDEA: N_("Idee"),
    MeasureState.PLANNED: N_("In Planung"),
    MeasureState.DECIDED: N_("Vom Rat beschlossen"),
    MeasureState.IN_PROGRESS: N_("In Umsetzung"),
    MeasureState.DONE: N_("Umgesetzt"),
    MeasureState.DROPPED: N_("Nicht weiterverfolgt"),
}


class Priority(enum.Enum):
    """The rank that participation gave a measure."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


PRIORITY_LABELS = {Priority.HIGH: N_("hoch"), Priority.MEDIUM: N_("mittel"), Priority.LOW: N_("niedrig")}


class Measure(Base):
    """A Maßnahme with the fields of its Maßnahmenblatt. Texts are Markdown of staff."""

    __tablename__ = "measure"
    __table_args__ = (
        UniqueConstraint("process_id", "code"),
        CheckConstraint("deviating_priority IS NULL OR deviation_reason <> ''", name="deviation_has_reason"),
        CheckConstraint("NOT is_greyed OR remark <> ''", name="greyed_has_remark"),
    )

    id: Mapped[Key]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    theme_id: Mapped[int | None] = mapped_column(ForeignKey("theme.id", ondelete="SET NULL"), index=True)
    # As the council reads it: K1, L2, I3.
    code: Mapped[str] = mapped_column(String(12))
    position: Mapped[int] = mapped_column(default=0)
    title: Mapped[Line]
    points: Mapped[str] = mapped_column(Text, default="")
    remark: Mapped[str] = mapped_column(Text, default="")
    # Listed for completeness: already running, or at home in another concept.
    is_greyed: Mapped[bool] = mapped_column(default=False)
    state: Mapped[MeasureState] = mapped_column(enum_type(MeasureState), default=MeasureState.IDEA)
    priority: Mapped[Priority | None] = mapped_column(enum_type(Priority))
    deviating_priority: Mapped[Priority | None] = mapped_column(enum_type(Priority))
    deviation_reason: Mapped[str] = mapped_column(Text, default="")
    field_of_action: Mapped[Line] = mapped_column(default="")
    goal: Mapped[str] = mapped_column(Text, default="")
    approach: Mapped[str] = mapped_column(Text, default="")
    target_group: Mapped[str] = mapped_column(Text, default="")
    actors: Mapped[str] = mapped_column(Text, default="")
    resources: Mapped[str] = mapped_column(Text, default="")
    benefit: Mapped[str] = mapped_column(Text, default="")
    responsible: Mapped[Line] = mapped_column(default="")
    decided_by: Mapped[Line] = mapped_column(default="")
    communication: Mapped[str] = mapped_column(Text, default="")
    cost: Mapped[Line] = mapped_column(default="")
    timeframe: Mapped[Line] = mapped_column(default="")
    created_at: Mapped[Created]
    updated_at: Mapped[datetime]
    # Raised with every change; a form that saw an older one is told so instead of overwriting it.
    version: Mapped[int] = mapped_column(default=1)

    process: Mapped[Process] = relationship()
    theme: Mapped[Theme | None] = relationship()
    sources: Mapped[list[MeasureSource]] = relationship(back_populates="measure", cascade="all, delete-orphan")

    @property
    def effective_priority(self) -> Priority | None:
        """The priority that counts: the deviation where one is reasoned, else that of participation."""
        return self.deviating_priority or self.priority


class MeasureSource(Base):
    """A proposal that was taken up in a measure."""

    __tablename__ = "measure_source"

    measure_id: Mapped[int] = mapped_column(
        ForeignKey("measure.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    proposal_id: Mapped[int] = mapped_column(
        ForeignKey("proposal.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    # Since when everybody could know: when it was linked, or when the catalogue became public.
    taken_up_at: Mapped[datetime]
    note: Mapped[Line] = mapped_column(default="")

    measure: Mapped[Measure] = relationship(back_populates="sources")
    proposal: Mapped[Proposal] = relationship()
