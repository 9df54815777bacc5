"""Processes with their phases, themes and documents."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, query_expression, relationship

from participation.actions import Action
from participation.db import Base, Created, Key, Line, enum_type
from participation.formats import FORMATS, BallotRule, Format, PhaseSettings, Results, read_settings
from participation.municipalities.models import Municipality
from participation.own_fields import OwnField, read_fields
from participation.permissions import Scope
from participation.tokens import new_token
from participation.uploads import Upload

# Says that a row is the same one as before, however often it was deleted and came back.
Lineage = Annotated[str, mapped_column(String(43), default=new_token, server_default="")]

# The end of a phase is the first instant after it: this much earlier is still its last day.
ONE_MOMENT = timedelta(seconds=1)


class ProcessState(enum.Enum):
    """Drafts are seen by their editors only; archived ones stay readable."""

    DRAFT = "draft"
    PUBLISHED = "published"
    ARCHIVED = "archived"


class PhaseState(enum.Enum):
    """Where a phase stands on a given day."""

    UPCOMING = "upcoming"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Extension:
    """A vote went on after its end: everybody can read when, until when and why."""

    ended_at: datetime
    made_at: datetime
    until: datetime | None
    reason: str
    # How many had voted by then.
    people: int
    # What deleted accounts had left in it went (contributions/personal); not so in the very first extensions.
    is_without_left: bool = True

    def stored(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"ended_at": self.ended_at.isoformat(), "made_at": self.made_at.isoformat(),
                "until": self.until.isoformat() if self.until else None, "reason": self.reason, "people": self.people,
                "is_without_left": self.is_without_left}


class Process(Base):
    """A Beteiligungsverfahren, e.g. "Smart City Billerbeck"."""

    __tablename__ = "process"
    __table_args__ = (
        UniqueConstraint("municipality_id", "slug"),
        Index("ix_process_listing", "municipality_id", "state", "position"),
    )

    id: Mapped[Key]
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"))
    slug: Mapped[str] = mapped_column(String(80))
    state: Mapped[ProcessState] = mapped_column(enum_type(ProcessState), default=ProcessState.DRAFT)
    title: Mapped[Line]
    summary: Mapped[str] = mapped_column(String(500), default="")
    body: Mapped[str] = mapped_column(Text, default="")
    # How themes are called here: Handlungsfeld, Cluster, Thema.
    theme_label: Mapped[str] = mapped_column(String(60), default="Thema")
    contact: Mapped[str] = mapped_column(Text, default="")
    # Questions and answers: Markdown whose headings are the questions.
    faq: Mapped[str] = mapped_column(Text, default="", server_default="")
    # A link that shows the draft to whoever has it, until it expires; never the token itself.
    preview_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    preview_until: Mapped[datetime | None]
    picture_id: Mapped[int | None] = mapped_column(ForeignKey("upload.id"))
    picture_alt: Mapped[Line] = mapped_column(default="")
    # Shown where contributions came from elsewhere ("raddialog.bonn.de, CC BY 4.0").
    attribution: Mapped[Line] = mapped_column(default="")
    position: Mapped[int] = mapped_column(default=0)
    catalogue_is_public: Mapped[bool] = mapped_column(default=False)
    # Counters of what is visible; changed in the same transaction, recountable.
    proposal_count: Mapped[int] = mapped_column(default=0)
    comment_count: Mapped[int] = mapped_column(default=0)
    participant_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[Created]
    published_at: Mapped[datetime | None]
    # Whether there is a version in Leichte Sprache, where a query has asked for that too; else None.
    has_easy: Mapped[bool | None] = query_expression()
    # The same of votes that were annulled.
    has_annulments: Mapped[bool | None] = query_expression()

    municipality: Mapped[Municipality] = relationship()
    picture: Mapped[Upload | None] = relationship()
    phases: Mapped[list[Phase]] = relationship(
        back_populates="process", order_by="(Phase.position, Phase.id)", cascade="all, delete-orphan"
    )
    themes: Mapped[list[Theme]] = relationship(
        back_populates="process", order_by="(Theme.position, Theme.id)", cascade="all, delete-orphan"
    )
    documents: Mapped[list[ProcessDocument]] = relationship(
        back_populates="process", order_by="ProcessDocument.position", cascade="all, delete-orphan"
    )

    @property
    def scope(self) -> Scope:
        """What roles must cover to act here."""
        return Scope(self.municipality.scope.municipality_ids, self)

    @property
    def is_visible(self) -> bool:
        """Whether residents can open it."""
        return self.state is not ProcessState.DRAFT

    def open_phases(self, now: datetime) -> list[Phase]:
        """The phases that are open at this instant; an archived process has none."""
        if self.state is not ProcessState.PUBLISHED:
            return []
        return [phase for phase in self.phases if phase.is_open(now)]

    def hides_supports(self, now: datetime) -> bool:
        """Whether numbers of supports are secret until an open phase ends; asked by all that shows or orders by them."""
        return any(phase.ballot is BallotRule.SUPPORT and phase.hides_interim_results for phase in self.open_phases(now))

    def phases_opening(self, action: Action, now: datetime) -> list[Phase]:
        """The open phases that open an action."""
        return [phase for phase in self.open_phases(now) if phase.opens(action)]

    def window_of(self, action: Action, now: datetime) -> tuple[bool, bool]:
        """Whether a phase that opens an action is over, and whether one is to come. In the archive all are over."""
        windows = [phase.window_of(action, now) for phase in self.phases]
        return any(is_over for is_over, _is_coming in windows), any(is_coming for _is_over, is_coming in windows)

    def phase_opening(self, action: Action, now: datetime) -> Phase | None:
        """The first open phase that opens an action."""
        return next(iter(self.phases_opening(action, now)), None)


class Phase(Base):
    """A time window of a process with a format. Without dates it is always on."""

    __tablename__ = "phase"
    __table_args__ = (
        CheckConstraint("starts_at IS NULL OR ends_at IS NULL OR starts_at < ends_at", name="starts_before_it_ends"),
        CheckConstraint("json_array_length(stored_fields) <= 10", name="at_most_ten_fields"),
    )

    id: Mapped[Key]
    lineage: Mapped[Lineage]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    format_key: Mapped[str] = mapped_column(String(40))
    title: Mapped[Line]
    body: Mapped[str] = mapped_column(Text, default="")
    # In words, where the day is not known yet ("Frühjahr 2027"); until it has a start, such a phase has not begun.
    vague_dates: Mapped[str] = mapped_column(String(60), default="", server_default="")
    starts_at: Mapped[datetime | None]
    # The first instant at which it is over: "until 30 June" is stored as 1 July, 00:00 in Berlin.
    ends_at: Mapped[datetime | None]
    stored_settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    # The fields that editors added to the form, in their order; see own_fields.
    stored_fields: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")

    # How often a vote went on after its end, oldest first. No part of the history: undoing must not take it back.
    stored_extensions: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")

    process: Mapped[Process] = relationship(back_populates="phases")

    @property
    def format(self) -> Format:
        """What it asks and opens."""
        return FORMATS[self.format_key]

    @property
    def settings(self) -> PhaseSettings:
        """Its typed settings."""
        return self._read()[0]

    def _read(self) -> tuple[PhaseSettings, frozenset[Action]]:
        """The settings and the actions they open; rules ask dozens of times a page, so what is stored is read once."""
        key, stored = self.format_key, self.stored_settings
        kept: tuple[str, Any, tuple[PhaseSettings, frozenset[Action]]] | None = self.__dict__.get("_settings_read")
        # Settings are exchanged as a whole, never changed in place: the table would not notice that.
        if kept is None or kept[0] != key or kept[1] is not stored:
            settings = read_settings(key, stored)
            kept = self.__dict__["_settings_read"] = (key, stored, (settings, self.format.opened_actions(settings)))
        return kept[2]

    @property
    def own_fields(self) -> tuple[OwnField, ...]:
        """What its form asks besides; nothing where nobody hands anything in."""
        return read_fields(self.stored_fields) if Action.SUBMIT_PROPOSAL in self.format.opens else ()

    @property
    def is_always_on(self) -> bool:
        """Whether it has neither start nor end, and none is announced."""
        return self.starts_at is None and self.ends_at is None and not self.vague_dates

    def state(self, now: datetime) -> PhaseState:
        """Where it stands; the end instant itself is already over."""
        if (self.starts_at is not None and now < self.starts_at) or (self.starts_at is None and self.vague_dates):
            return PhaseState.UPCOMING
        if self.ends_at is not None and now >= self.ends_at:
            return PhaseState.CLOSED
        return PhaseState.OPEN

    def is_open(self, now: datetime) -> bool:
        """Whether it is open at this instant."""
        return self.state(now) is PhaseState.OPEN

    def opens(self, action: Action) -> bool:
        """Whether an action is possible while it is open."""
        return action in self._read()[1]

    def window_of(self, action: Action, now: datetime) -> tuple[bool, bool]:
        """Whether it opened an action and is over, and whether it will open it."""
        if not self.opens(action):
            return False, False
        if self.process.state is ProcessState.ARCHIVED:
            return True, False
        state = self.state(now)
        return state is PhaseState.CLOSED, state is PhaseState.UPCOMING

    def phase_for(self, action: Action, now: datetime) -> Phase | None:
        """Itself, when it is open and opens the action; asked by rules whose target is one phase."""
        is_open = self.process.state is ProcessState.PUBLISHED and self.is_open(now)
        return self if is_open and self.opens(action) else None

    @property
    def ballot(self) -> BallotRule | None:
        """How people vote in it, if they do."""
        return getattr(self.settings, "ballot", None)

    @property
    def results(self) -> Results:
        """When the numbers of its vote are public."""
        return getattr(self.settings, "results", Results.DURING)

    @property
    def extensions(self) -> tuple[Extension, ...]:
        """Every time that its vote went on after its end, the first one first."""
        return tuple(
            Extension(datetime.fromisoformat(one["ended_at"]), datetime.fromisoformat(one["made_at"]),
                      datetime.fromisoformat(one["until"]) if one["until"] else None, one["reason"], one["people"],
                      one.get("is_without_left", False))
            for one in self.stored_extensions)

    @property
    def hides_interim_results(self) -> bool:
        """Whether nobody sees its numbers while it is open. What everybody has seen once is not hidden again."""
        return self.ballot is not None and self.results is Results.AFTER and not self.stored_extensions

    def vote_is_over(self, now: datetime) -> bool:
        """Whether people could vote in it and its end has passed: everybody may have read the result."""
        return (self.ballot is not None and self.process.published_at is not None
                and self.state(now) is PhaseState.CLOSED)

    def shows_results(self, now: datetime) -> bool:
        """Whether the numbers of its vote are public; the same for everybody."""
        if self.ballot is None or self.state(now) is PhaseState.UPCOMING:
            return False
        if self.ballot is BallotRule.SUPPORT and self.process.hides_supports(now):
            # Supports belong to the process: an earlier phase must not tell what a later one keeps secret.
            return False
        is_over = self.state(now) is PhaseState.CLOSED or self.process.state is ProcessState.ARCHIVED
        return is_over or not self.hides_interim_results


class Theme(Base):
    """A heading of a process and of its catalogue."""

    __tablename__ = "theme"
    __table_args__ = (UniqueConstraint("process_id", "slug"),)

    id: Mapped[Key]
    lineage: Mapped[Lineage]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    slug: Mapped[str] = mapped_column(String(80))
    name: Mapped[Line]
    description: Mapped[str] = mapped_column(String(500), default="")
    # One of the tones that style.css knows: 1 to 6.
    tone: Mapped[int] = mapped_column(default=1)
    position: Mapped[int] = mapped_column(default=0)
    proposal_count: Mapped[int] = mapped_column(default=0)

    process: Mapped[Process] = relationship(back_populates="themes")


class ProcessVersion(Base):
    """What a process said and how it was set after one change: who made it, when, and the whole of it."""

    __tablename__ = "process_version"
    __table_args__ = (Index("ix_process_version_newest", "process_id", "id"),)

    id: Mapped[Key]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    action: Mapped[str] = mapped_column(String(60))
    made_by: Mapped[Line]
    made_at: Mapped[Created]
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class TextVariant(Base):
    """A text of a process, its phases, themes, documents or news in another language, or in Leichte Sprache."""

    __tablename__ = "text_variant"
    __table_args__ = (Index("ix_text_variant_process", "process_id", "language"),)

    # "process", "phase", "theme", "document" or "news" with its number, and the name of its column.
    entity: Mapped[str] = mapped_column(String(10), primary_key=True)
    entity_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    field: Mapped[str] = mapped_column(String(20), primary_key=True)
    # A code of language.VARIANTS.
    language: Mapped[str] = mapped_column(String(10), primary_key=True)
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    text: Mapped[str] = mapped_column(Text)


class ProcessNews(Base):
    """What the editors have to tell while a process runs."""

    __tablename__ = "process_news"
    __table_args__ = (Index("ix_process_news_newest", "process_id", "published_at", "id"),)

    id: Mapped[Key]
    lineage: Mapped[Lineage]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"))
    title: Mapped[Line]
    body: Mapped[str] = mapped_column(Text)
    published_at: Mapped[Created]

    process: Mapped[Process] = relationship()

    @property
    def anchor(self) -> str:
        """What names it in links, see `news_anchor`."""
        return news_anchor(self.lineage)


def news_anchor(lineage: str) -> str:
    """Where an item of the news stands on its page; its number may be another item's after a way back in the history."""
    return f"neu-{lineage[:12]}"


class ProcessDocument(Base):
    """A document to read or download."""

    __tablename__ = "process_document"

    id: Mapped[Key]
    lineage: Mapped[Lineage]
    process_id: Mapped[int] = mapped_column(ForeignKey("process.id", ondelete="CASCADE"), index=True)
    upload_id: Mapped[int] = mapped_column(ForeignKey("upload.id"))
    title: Mapped[Line]
    position: Mapped[int] = mapped_column(default=0)

    process: Mapped[Process] = relationship(back_populates="documents")
    upload: Mapped[Upload] = relationship()
