"""Towns and Kreise, their districts and their own pages."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from participation.db import Base, Created, Key, Line, enum_type
from participation.i18n import N_
from participation.language import DEFAULT, translated
from participation.permissions import Scope


class MunicipalityKind(enum.Enum):
    """A Kreis is the parent of its towns."""

    TOWN = "town"
    KREIS = "kreis"


class PageKind(enum.Enum):
    """The pages that each municipality owes its visitors; the value is their address."""

    IMPRINT = "impressum"
    PRIVACY = "datenschutz"
    ACCESSIBILITY = "barrierefreiheit"
    NETIQUETTE = "netiquette"
    HELP = "hilfe"
    EASY_LANGUAGE = "leichte-sprache"


PAGE_TITLES = {
    PageKind.IMPRINT: N_("Impressum"),
    PageKind.PRIVACY: N_("Datenschutz"),
    PageKind.ACCESSIBILITY: N_("Erklärung zur Barrierefreiheit"),
    PageKind.NETIQUETTE: N_("Regeln für das Miteinander"),
    PageKind.HELP: N_("Hilfe"),
    PageKind.EASY_LANGUAGE: N_("Leichte Sprache"),
}


# WCAG's relative luminance at which black and white contrast equally with a colour (about 4.58 : 1 each).
DARK_TEXT_FROM = 0.179
# Below this a channel of sRGB is linear (IEC 61966-2-1).
LINEAR_UP_TO = 0.04045


def text_color_on(color: str) -> str:
    """Black or white, whichever contrasts more with `#rrggbb` (WCAG 2.2, 1.4.3): always at least 4.5 : 1."""
    channels = [int(color[position : position + 2], 16) / 255 for position in (1, 3, 5)]
    linear = [value / 12.92 if value <= LINEAR_UP_TO else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > DARK_TEXT_FROM else "#ffffff"


class Municipality(Base):
    """Who runs processes. Towns differ by data, never by subclass."""

    __tablename__ = "municipality"
    __table_args__ = (CheckConstraint("parent_id IS NULL OR parent_id <> id", name="not_own_parent"),)

    id: Mapped[Key]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("municipality.id"), index=True)
    kind: Mapped[MunicipalityKind] = mapped_column(enum_type(MunicipalityKind), default=MunicipalityKind.TOWN)
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[Line]
    # Amtlicher Gemeindeschlüssel: 8 digits for a town, 5 for a Kreis.
    ags: Mapped[str] = mapped_column(String(8), unique=True)
    # The host name it answers to; without one it is the installation's default.
    host: Mapped[str | None] = mapped_column(String(253), unique=True)
    email: Mapped[Line]
    address: Mapped[str] = mapped_column(Text, default="")
    website: Mapped[Line] = mapped_column(default="")
    intro: Mapped[str] = mapped_column(Text, default="")
    # The same in other readings, by their code (language.VARIANTS).
    intro_variants: Mapped[dict[str, str]] = mapped_column(JSON, default=dict, server_default="{}")
    accent_color: Mapped[str] = mapped_column(String(7), default="#00529b")
    # Plain id: uploads belong to a municipality, a real key in both directions could never be inserted.
    logo_upload_id: Mapped[int | None]
    boundary: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)
    # Schematic roads, waters and names, drawn where no basemap is set.
    sketch: Mapped[dict[str, Any] | None] = mapped_column(JSON, deferred=True)
    west: Mapped[float | None]
    south: Mapped[float | None]
    east: Mapped[float | None]
    north: Mapped[float | None]
    # Raised by every change that visitors can see; cached pages are checked against it.
    content_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Created]

    parent: Mapped[Municipality | None] = relationship(remote_side="Municipality.id", back_populates="towns")
    towns: Mapped[list[Municipality]] = relationship(back_populates="parent")
    districts: Mapped[list[District]] = relationship(back_populates="municipality", order_by="District.name")

    @property
    def scope(self) -> Scope:
        """Roles of the Kreis above hold here too."""
        return Scope(frozenset({self.id, *([self.parent_id] if self.parent_id else [])}))

    def intro_for(self, reading: str) -> str:
        """The welcome in the reader's language; German where there is none."""
        own = self.intro_variants.get(reading)
        return translated(own, reading) if own else self.intro

    @property
    def has_logo(self) -> bool:
        """Whether a logo of its own is shown instead of the neutral mark."""
        return self.logo_upload_id is not None

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """(west, south, east, north) in degrees, EPSG:4326, or None without a boundary."""
        if self.west is None or self.south is None or self.east is None or self.north is None:
            return None
        return self.west, self.south, self.east, self.north


class District(Base):
    """A part of a municipality, with a boundary (GeoJSON, EPSG:4326)."""

    __tablename__ = "district"
    __table_args__ = (UniqueConstraint("municipality_id", "name"),)

    id: Mapped[Key]
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"))
    name: Mapped[Line]
    boundary: Mapped[dict[str, Any]] = mapped_column(JSON, deferred=True)

    municipality: Mapped[Municipality] = relationship(back_populates="districts")


class MunicipalityPage(Base):
    """A municipality's own wording of a page it owes, in one reading; without a row the draft in pages.toml is shown."""

    __tablename__ = "municipality_page"
    __table_args__ = (UniqueConstraint("municipality_id", "kind", "language"),)

    id: Mapped[Key]
    municipality_id: Mapped[int] = mapped_column(ForeignKey("municipality.id", ondelete="CASCADE"))
    kind: Mapped[PageKind] = mapped_column(enum_type(PageKind))
    # German, or a code of language.VARIANTS.
    language: Mapped[str] = mapped_column(String(10), default=DEFAULT, server_default=DEFAULT)
    body: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime]
