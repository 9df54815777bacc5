"""A small TOML file says which field of another platform is which of ours; rows become entries."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mapping.geometry import GeometryError, parse_coordinate
from participation import clock, text
from participation.contributions.comments.models import Stance

SHIPPED = Path(__file__).parent / "mappings"
TITLE_MAX, BODY_MAX, LINE_MAX = 300, 50_000, 300
MONTHS = {name: number for number, name in enumerate(
    ("jan", "feb", "mär", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "nov", "dez"), 1)}
MAX_SUPPORTS = 20_000
Names = tuple[str, ...]
POINT = "lon/lat"


class RowError(Exception):
    """One value of a row can't be taken: which field, why, and what helps (German)."""

    def __init__(self, name: str, cause: str, cure: str) -> None:
        """Keep the parts for the report."""
        super().__init__(f"{name}: {cause}")
        self.name, self.cause, self.cure = name, cause, cure


@dataclass(slots=True)
class Reply:
    """A comment of the other platform with its answers."""

    author: str
    body: str
    at: datetime
    answers: list[Reply] = field(default_factory=list)


@dataclass(slots=True)
class Entry:
    """A contribution of the other platform in our terms. The point is (lon, lat; EPSG:4326)."""

    key: str
    title: str
    body: str
    author: str
    at: datetime
    theme: str = ""
    place: str = ""
    lon: float | None = None
    lat: float | None = None
    supports: int = 0
    comments: list[Reply] = field(default_factory=list)


@dataclass(slots=True)
class CommentRow:
    """A comment from a file of its own: what it answers is named by the keys of the other platform."""

    key: str
    body: str
    author: str
    at: datetime
    proposal_key: str = ""
    parent_key: str = ""
    stance: Stance | None = None


@dataclass(frozen=True, slots=True)
class FieldMap:
    """Names of the other platform's fields (of several, the first that has a value), and how it writes dates."""

    source: str
    attribution: str
    fields: dict[str, Names]
    themes: dict[str, str]
    comments: dict[str, Names]
    date_formats: tuple[str, ...]
    # Rows to leave out: a field and the values (in lower case) that say so.
    skip: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # Fields of a file that holds comments only.
    comment_rows: dict[str, Names] = field(default_factory=dict)
    stances: dict[str, Stance] = field(default_factory=dict)


def load_map(name: str) -> FieldMap:
    """A shipped mapping by name, or a file by its path. Raises FileNotFoundError or ValueError (German)."""
    shipped = SHIPPED / f"{name}.toml"
    path = shipped if shipped.exists() else Path(name)
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    fields = data.get("fields", {})
    if "title" not in fields and "body" not in fields:
        message = f"{path}: Unter [fields] fehlt title oder body."
        raise ValueError(message)
    source = data.get("source", {})
    return FieldMap(
        source=str(source.get("name") or path.stem), attribution=str(source.get("attribution", "")),
        fields={key: _names(value) for key, value in fields.items()},
        themes={str(key): str(value) for key, value in data.get("themes", {}).items()},
        comments={key: _names(value) for key, value in data.get("comments", {}).items()},
        date_formats=tuple(source.get("date_formats", ())),
        skip={str(key): tuple(str(one).lower() for one in values) for key, values in data.get("skip", {}).items()},
        comment_rows={key: _names(value) for key, value in data.get("comment_rows", {}).items() if key != "stances"},
        stances={str(key): Stance(value) for key, value in data.get("stances", {}).items()},
    )


def _names(value: object) -> Names:
    return tuple(str(one) for one in value) if isinstance(value, list) else (str(value),)


def is_left_out(row: dict[str, Any], fields: FieldMap) -> bool:
    """Whether the other platform marks a row as withdrawn, hidden or the like."""
    return any(_plain(_value(row, (name,))).strip().lower() in values for name, values in fields.skip.items())


def read_entry(row: dict[str, Any], fields: FieldMap) -> Entry:
    """One row as an entry. Raises RowError."""
    body = _text(_value(row, fields.fields.get("body")))
    title = text.clean_line(_plain(_value(row, fields.fields.get("title"))))
    if not title and not body:
        raise RowError(_first(fields.fields.get("title"), "title"), "Titel und Text fehlen.", "Zeile ergänzen oder löschen.")
    if len(title) > TITLE_MAX:
        body, title = f"{title}\n\n{body}".strip(), text.shorten(title, TITLE_MAX - 2)
    title = title or text.shorten(body, 80)
    if len(body) > BODY_MAX:
        raise RowError(_first(fields.fields.get("body"), "body"), "Der Text ist länger als 50.000 Zeichen.", "Text kürzen.")
    at = _instant(_value(row, fields.fields.get("date")), fields, _first(fields.fields.get("date"), "date"))
    lon, lat = _point(row, fields)
    key = text.clean_line(_plain(_value(row, fields.fields.get("key"))))
    if not key:
        key = hashlib.sha256(f"{title}\n{body}\n{at.isoformat()}".encode()).hexdigest()
    theme = text.clean_line(_plain(_value(row, fields.fields.get("theme"))))[:LINE_MAX]
    return Entry(
        key=f"{fields.source}:{key}"[:300], title=title, body=body, at=at, lon=lon, lat=lat,
        author=text.clean_line(_plain(_value(row, fields.fields.get("author"))))[:60] or "Gast",
        theme=fields.themes.get(theme, theme),
        place=text.clean_line(_plain(_value(row, fields.fields.get("place"))))[:200],
        supports=_count(_value(row, fields.fields.get("supports")), _first(fields.fields.get("supports"), "supports")),
        comments=_replies(_value(row, fields.comments.get("path")), fields, at),
    )


def _first(names: Names | None, default: str) -> str:
    """How a report names a field: as the mapping does first."""
    return names[0] if names else default


def _value(row: Any, names: Names | None) -> Any:  # noqa: ANN401 - whatever stands in the file
    """The first of several fields that has a value."""
    for name in names or ():
        found = _one_value(row, name)
        if found not in (None, "", [], {}):
            return found
    return None


def _one_value(row: Any, path: str) -> Any:  # noqa: ANN401 - whatever stands in the file
    """A field by its name, or by a path with points or slashes (`title.de`, `author/name`)."""
    if not isinstance(row, dict):
        return None
    if path in row:
        return row[path]
    for part in re.split(r"[./]", path):
        if isinstance(row, list) and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        elif isinstance(row, dict):
            row = row.get(part)
        else:
            return None
    return row


def _plain(value: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    if isinstance(value, dict):
        # Decidim writes texts per language.
        value = value.get("de") or next((one for one in value.values() if one), "")
    if isinstance(value, list):
        value = ", ".join(str(one) for one in value if one)
    return "" if value is None else str(value)


def _text(value: Any) -> str:  # noqa: ANN401 - whatever stands in the file
    """Paragraphs of a list, or a text; HTML of other platforms becomes plain lines."""
    raw = "\n\n".join(_plain(part) for part in value) if isinstance(value, list) else _plain(value)
    if re.search(r"</?(?:p|br|div|li|ul|ol|strong|em|a|span)\b", raw, re.IGNORECASE):
        raw = re.sub(r"(?i)<\s*(?:br|/p|/div|/li)\s*/?>", "\n", raw)
        raw = text.clean_html(raw)
        raw = re.sub(r"<[^>]{0,500}>", "", raw)
        raw = raw.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    return text.clean_text(raw)


def _instant(value: Any, fields: FieldMap, name: str) -> datetime:  # noqa: ANN401 - whatever stands in the file
    """A date or time; without zone it is Berlin's. Months may be German words ("21. Sep. 2017")."""
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else _berlin(value)
    raw = _plain(value).strip()
    if not raw:
        raise RowError(name, "Das Datum fehlt.", "Datum ergänzen.")
    match = re.fullmatch(r"(\d{1,2})\.\s*([A-Za-zä]{3})[a-zä]*\.?\s*(\d{4})(?:\s+(\d{1,2}):(\d{2}))?", raw)
    if match and match[2].lower() in MONTHS:
        return _berlin(datetime(int(match[3]), MONTHS[match[2].lower()], int(match[1]), int(match[4] or 0),  # noqa: DTZ001
                                int(match[5] or 0)))
    for pattern in (*fields.date_formats, "%d.%m.%Y %H:%M", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S UTC"):
        try:
            found = datetime.strptime(raw, pattern)  # noqa: DTZ007 - the zone is added below
        except ValueError:
            continue
        return found.replace(tzinfo=UTC) if pattern.endswith("UTC") else _berlin(found)
    try:
        parsed = datetime.fromisoformat(raw.replace(" UTC", "+00:00").replace(" +", "+"))
    except ValueError as error:
        raise RowError(name, f"Das Datum „{raw[:40]}“ ist nicht zu lesen.",
                       "Zum Beispiel 2026-06-30 oder 30.06.2026 schreiben.") from error
    return parsed.astimezone(UTC) if parsed.tzinfo else _berlin(parsed)


def _berlin(wall: datetime) -> datetime:
    try:
        return clock.from_berlin(wall)
    except ValueError:  # the hour that summer time skips: the other platform's clock was not ours
        return clock.from_berlin(wall.replace(hour=wall.hour + 1))


def _point(row: dict[str, Any], fields: FieldMap) -> tuple[float | None, float | None]:
    """Earth's range is checked, no boundary: an import may come from elsewhere."""
    raw = [_plain(_value(row, fields.fields.get(name, (f"geometry.{name}",)))).strip() for name in ("lon", "lat")]
    if not any(raw):
        return None, None
    try:
        lon, lat = (parse_coordinate(value) for value in raw)
    except GeometryError as error:
        cure = "Dezimalgrad schreiben, zum Beispiel 7,29."
        raise RowError(POINT, "Die Koordinaten sind nicht zu lesen.", cure) from error
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):  # noqa: PLR2004 - degrees
        cure = "Länge und Breite in Grad (WGS 84) angeben."
        raise RowError(POINT, "Die Koordinaten liegen nicht auf der Erde.", cure)
    return round(lon, 6), round(lat, 6)


def _count(value: Any, name: str) -> int:  # noqa: ANN401 - whatever stands in the file
    raw = _plain(value).strip()
    if not raw:
        return 0
    try:
        number = int(float(raw))
    except (ValueError, OverflowError) as error:
        raise RowError(name, f"„{raw[:20]}“ ist keine Zahl.", "Eine ganze Zahl schreiben.") from error
    if not 0 <= number <= MAX_SUPPORTS:
        raise RowError(name, f"{number} Unterstützungen sind nicht möglich.", "Eine Zahl von 0 bis 20.000 schreiben.")
    return number


def read_comment(row: dict[str, Any], fields: FieldMap) -> CommentRow:
    """One row of a file of comments. Raises RowError."""
    names = fields.comment_rows
    body = _text(_value(row, names.get("body")))
    if not body:
        raise RowError(_first(names.get("body"), "body"), "Der Text fehlt.", "Zeile ergänzen oder löschen.")
    if len(body) > BODY_MAX:
        raise RowError(_first(names.get("body"), "body"), "Der Text ist länger als 50.000 Zeichen.", "Text kürzen.")
    key = text.clean_line(_plain(_value(row, names.get("key"))))
    if not key:
        raise RowError(_first(names.get("key"), "key"), "Die Nummer des Kommentars fehlt.", "Nummer ergänzen.")
    target = text.clean_line(_plain(_value(row, names.get("target"))))
    proposal = text.clean_line(_plain(_value(row, names.get("proposal"))))
    parent = text.clean_line(_plain(_value(row, names.get("parent"))))
    # A path of ancestors ("12/15") names the parent last.
    parent = parent.rsplit("/", 1)[-1]
    if target:
        # One column for both: its kind says whether it names a proposal or a comment.
        is_comment = "comment" in _plain(_value(row, names.get("target_kind"))).lower()
        parent, proposal = (target, proposal) if is_comment else (parent, target)
    if not parent and not proposal:
        raise RowError(_first(names.get("proposal") or names.get("target"), "proposal"),
                       "Es fehlt, worauf der Kommentar antwortet.", "Nummer des Vorschlags ergänzen.")
    return CommentRow(
        key=f"{fields.source}:comment:{key}"[:300], body=body,
        author=text.clean_line(_plain(_value(row, names.get("author"))))[:60] or "Gast",
        at=_instant(_value(row, names.get("date")), fields, _first(names.get("date"), "date")),
        proposal_key=f"{fields.source}:{proposal}"[:300] if proposal else "",
        parent_key=f"{fields.source}:comment:{parent}"[:300] if parent else "",
        stance=fields.stances.get(_plain(_value(row, names.get("stance"))).strip()),
    )


def _replies(rows: Any, fields: FieldMap, after: datetime) -> list[Reply]:  # noqa: ANN401 - whatever stands in the file
    """Comments with their answers. One without a readable date gets its parent's."""
    if not isinstance(rows, list):
        return []
    names, found = fields.comments, []
    for row in rows:
        body = _text(_value(row, names.get("body")))
        title = text.clean_line(_plain(_value(row, names.get("title"))))
        # Many platforms make a title of the comment's first words.
        if title and not body.startswith(title.rstrip(" .…")):
            body = f"{title}\n\n{body}".strip()
        if not body:
            continue
        moment = " ".join(filter(None, (_plain(_value(row, names.get("date"))), _plain(_value(row, names.get("time"))))))
        try:
            at = _instant(moment, fields, "date")
        except RowError:
            at = after
        found.append(Reply(
            author=text.clean_line(_plain(_value(row, names.get("author"))))[:60] or "Gast", body=body[:BODY_MAX], at=at,
            answers=_replies(_value(row, names.get("answers")), fields, at),
        ))
    return found
