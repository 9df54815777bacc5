"""Reads CSV, XLSX, JSON, JSON Lines and GeoJSON row by row, in constant memory."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ijson
from openpyxl import load_workbook

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_UNPACKED_BYTES = 1_500_000_000
MAX_COLUMNS = 500
MAX_FIELD = 1_000_000
ENCODINGS = ("utf-8-sig", "cp1252")


class UnreadableFileError(Exception):
    """The file as a whole can't be read; the text (German) names cause and cure."""


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, row) of each row, counted from 1 as a person would. Raises UnreadableFileError."""
    reader = {".csv": _csv, ".tsv": _csv, ".xlsx": _xlsx, ".json": _json, ".geojson": _json, ".jsonl": _lines,
              ".ndjson": _lines}.get(path.suffix.lower())
    if reader is None:
        message = f"{path.name}: Diese Art von Datei kann nicht gelesen werden. Möglich sind CSV, XLSX, JSON, JSONL, GeoJSON."
        raise UnreadableFileError(message)
    if not path.exists():
        message = f"{path} gibt es nicht."
        raise UnreadableFileError(message)
    try:
        yield from reader(path)
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError, ijson.JSONError, zipfile.BadZipFile, KeyError,
            ValueError, OSError) as error:
        message = f"{path.name} ist beschädigt oder hat ein anderes Format, als die Endung sagt ({type(error).__name__})."
        raise UnreadableFileError(message) from error


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    encoding = _encoding(path)
    csv.field_size_limit(MAX_FIELD)
    with path.open(encoding=encoding, newline="") as file:
        sample = file.read(16_384)
        file.seek(0)
        head = sample.split("\n", 1)[0]
        delimiter = max(";,\t|", key=head.count)
        for number, row in enumerate(csv.DictReader(file, delimiter=delimiter), 2):
            yield number, {str(name).strip(): value for name, value in row.items() if name is not None}


def _encoding(path: Path) -> str:
    """UTF-8 if the whole file is, else what Excel writes on German Windows."""
    with path.open("rb") as file:
        try:
            import codecs  # noqa: PLC0415 - for this check only

            decoder = codecs.getincrementaldecoder("utf-8")()
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return ENCODINGS[1]
    return ENCODINGS[0]


def _xlsx(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED_BYTES:
            message = f"{path.name} ist entpackt zu groß."
            raise UnreadableFileError(message)
    book = load_workbook(path, read_only=True, data_only=True)
    try:
        rows = book.worksheets[0].iter_rows(values_only=True, max_col=MAX_COLUMNS)
        names = [str(name).strip() if name is not None else "" for name in next(rows, ())]
        for number, row in enumerate(rows, 2):
            if any(value is not None for value in row):
                yield number, {name: value for name, value in zip(names, row, strict=False) if name}
    finally:
        book.close()


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                row = json.loads(line)
                yield number, row if isinstance(row, dict) else {}


def _json(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """A list of objects, one list within an object, or a GeoJSON FeatureCollection."""
    with path.open("rb") as file:
        prefix = _list_prefix(path)
        for number, row in enumerate(ijson.items(file, prefix, use_float=True), 1):
            if not isinstance(row, dict):
                yield number, {}
            elif row.get("type") == "Feature":
                yield number, {**(row.get("properties") or {}), **_point(row.get("geometry"))}
            else:
                yield number, row


def _list_prefix(path: Path) -> str:
    with path.open("rb") as file:
        depth_one = ""
        for prefix, kind, _value in ijson.parse(file):
            if kind == "start_array":
                return f"{prefix}.item" if prefix else "item"
            depth_one = prefix
    return depth_one or "item"


def _point(geometry: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever stands in the file
    if isinstance(geometry, dict) and geometry.get("type") == "Point":
        coordinates = geometry.get("coordinates")
        if isinstance(coordinates, list) and len(coordinates) >= 2:  # noqa: PLR2004 - lon, lat
            return {"geometry.lon": coordinates[0], "geometry.lat": coordinates[1]}
    return {}
