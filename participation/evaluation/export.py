"""Tables and GeoJSON, written row by row into a file: the memory stays the same at any size.

Every text is a text, never a formula (CWE-1236). No address and no receipt of anybody is in them, and nobody's vote.
"""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

import xlsxwriter
from flask_babel import gettext as _

from mapping.projection import to_utm
from participation import clock
from participation.accounts.edge import author_name
from participation.accounts.models import ParticipantKind
from participation.contributions.comments.models import STANCE_LABELS
from participation.contributions.models import STATE_LABELS
from participation.contributions.proposals.models import ANSWER_LABELS
from participation.evaluation.queries import (
    codes_of_measures,
    comments_in_steps,
    picture_counts,
    proposals_in_steps,
)
from participation.i18n import N_
from participation.own_fields import OwnField, as_text, columns_of, load_answers, unlike

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy.orm import Session

    from participation.contributions.models import ContributionState
    from participation.processes.models import Process

# More than this is written to disk instead of kept.
KEPT_BYTES = 2 * 1024 * 1024
CELL_MAX = 32_767
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
CHANNELS = {
    ParticipantKind.ACCOUNT: N_("mit Konto"),
    ParticipantKind.GUEST: N_("ohne Konto"),
    ParticipantKind.KIOSK: N_("am Gerät im Ort"),
    ParticipantKind.PAPER: N_("auf Papier"),
    ParticipantKind.IMPORTED: N_("übernommen"),
}
Cell = str | int | float | None


@dataclass(frozen=True)
class Evaluation:
    """What is exported, and for whom."""

    session: Session
    process: Process
    states: Sequence[ContributionState]
    districts: dict[int, str]
    base_url: str
    made_at: datetime
    made_by: str

    @cached_property
    def hides_supports(self) -> bool:
        """Whether numbers of supports are secret at the moment of the export; asked for every row."""
        return self.process.hides_supports(self.made_at)

    def supports(self, number: int) -> int | None:
        """A number of supports; None while these are secret."""
        return None if self.hides_supports else number

    def address(self, proposal_id: int) -> str:
        """Where a proposal is read."""
        return f"{self.base_url}/verfahren/{self.process.slug}/vorschlaege/{proposal_id}"


def proposal_columns(evaluation: Evaluation) -> list[str]:
    """The headings of the table of proposals, no two alike."""
    before = [_("Nr."), _("Titel"), _("Text")]
    after = [
        _("Phase"), _("Ort in Worten"), _("Ortsteil"),
        _("Breite (WGS 84)"), _("Länge (WGS 84)"), _("Ostwert (EPSG:25832)"), _("Nordwert (EPSG:25832)"), _("Name"),
        _("Weg"), _("Stand"), _("Begründung"), _("Eingereicht"), _("Veröffentlicht"), _("Unterstützungen"),
        _("Kommentare"), _("Bilder"), _("Antwort der Verwaltung"), _("Wortlaut der Antwort"), _("Kosten in Euro"),
        _("Beantwortet"), _("Maßnahmen"), _("Adresse"),
    ]
    earlier = _("Antworten auf frühere Fragen")
    theme = unlike(evaluation.process.theme_label, {name.casefold() for name in (*before, *after, earlier)})
    asked = [
        (one if one.is_public else
         replace(one, label=_("%(question)s (nur für die Verwaltung)", question=one.label)), phase.title)
        for phase in evaluation.process.phases for one in phase.own_fields
    ]
    own = columns_of(asked, [*before, theme, *after, earlier])
    return [*before, theme, *after, *(own[one.key] for one, _phase in asked), earlier]


def _asked(evaluation: Evaluation) -> list[OwnField]:
    """The fields that editors added to the forms of the process, by phase."""
    return [one for phase in evaluation.process.phases for one in phase.own_fields]


def _answered(asked: Sequence[OwnField], stored: list[dict[str, Any]]) -> list[Cell]:
    """Each answer in its column; those to fields that are gone since with the words of their questions."""
    answers = {one.key: one for one in load_answers(stored)}
    found = [answers.pop(one.key, None) for one in asked]
    return [*(one.shown if one else "" for one in found), as_text(list(answers.values()))]


def _worded(labels: Mapping[Any, str]) -> dict[Any, str]:
    """Labels in the reader's language, looked up once for all rows."""
    return {key: _(label) for key, label in labels.items()}


def proposal_rows(evaluation: Evaluation) -> Iterator[list[Cell]]:
    """One row for each proposal, in the order of `proposal_columns`."""
    themes = {theme.id: theme.name for theme in evaluation.process.themes}
    phases = {phase.id: phase.title for phase in evaluation.process.phases}
    asked = _asked(evaluation)
    channels, states, answers = _worded(CHANNELS), _worded(STATE_LABELS), _worded(ANSWER_LABELS)
    for rows in proposals_in_steps(evaluation.session, evaluation.process.id, evaluation.states):
        ids = [row.id for row in rows]
        codes, pictures = codes_of_measures(evaluation.session, ids), picture_counts(evaluation.session, ids)
        for row in rows:
            east, north = to_utm(row.lon, row.lat) if row.lon is not None else (None, None)
            yield [
                row.id, row.title, row.body, themes.get(row.theme_id, ""), phases.get(row.phase_id, ""), row.place,
                evaluation.districts.get(row.district_id, ""), row.lat, row.lon,
                None if east is None else round(east, 2), None if north is None else round(north, 2),
                author_name(row.pseudonym), channels[row.channel], states[row.state], row.state_reason or "",
                _moment(row.submitted_at), _moment(row.published_at), evaluation.supports(row.support_count), row.comment_count,
                pictures.get(row.id, 0), answers[row.answer_status] if row.answer_status else "",
                row.answer_body, row.answer_cost, _moment(row.answered_at), ", ".join(codes.get(row.id, [])),
                evaluation.address(row.id), *_answered(asked, row.stored_answers),
            ]


def comment_columns() -> list[str]:
    """The headings of the table of comments."""
    return [_("Nr."), _("Zu Vorschlag"), _("Antwort auf"), _("Text"), _("Zitat"), _("Haltung"), _("Name"), _("Weg"),
            _("Stand"), _("Begründung"), _("Eingereicht"), _("Veröffentlicht"), _("Unterstützungen"), _("Adresse")]


def comment_rows(evaluation: Evaluation) -> Iterator[list[Cell]]:
    """One row for each comment, in the order of `comment_columns`."""
    channels, states, stances = _worded(CHANNELS), _worded(STATE_LABELS), _worded(STANCE_LABELS)
    for rows in comments_in_steps(evaluation.session, evaluation.process.id, evaluation.states):
        for row in rows:
            yield [
                row.id, row.proposal_id, row.parent_id, row.body, row.quote,
                stances[row.stance] if row.stance else "", author_name(row.pseudonym), channels[row.channel],
                states[row.state], row.state_reason or "", _moment(row.submitted_at),
                _moment(row.published_at), evaluation.supports(row.support_count), evaluation.address(row.proposal_id),
            ]


def _moment(value: datetime | None) -> str:
    """A time as tables sort it, on the clock of the town hall."""
    return clock.to_berlin(value).strftime("%Y-%m-%d %H:%M") if value else ""


def as_xlsx(evaluation: Evaluation) -> IO[bytes]:
    """A workbook: what this is, the proposals, the comments."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
                                      "strings_to_numbers": False})
    head = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    wrap = book.add_format({"text_wrap": True, "valign": "top"})
    info = book.add_worksheet(_("Info"))
    info.set_column(0, 0, 26)
    info.set_column(1, 1, 70)
    for number, (name, value) in enumerate(_about(evaluation)):
        info.write_string(number, 0, name, head)
        info.write_string(number, 1, _clean(value), wrap)
    for title, columns, rows, wide in (
        (_("Vorschläge"), proposal_columns(evaluation), proposal_rows(evaluation), {1: 40, 2: 70, 21: 50}),
        (_("Kommentare"), comment_columns(), comment_rows(evaluation), {3: 70, 4: 40}),
    ):
        sheet = book.add_worksheet(title)
        sheet.freeze_panes(1, 2)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.repeat_rows(0)
        for column in range(len(columns)):
            sheet.set_column(column, column, wide.get(column, 16))
        for column, name in enumerate(columns):
            sheet.write_string(0, column, _clean(name), head)
        line = 0
        for line, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    sheet.write_string(line, column, _clean(cell), wrap)
                elif cell is not None:
                    sheet.write_number(line, column, cell, wrap)
        sheet.autofilter(0, 0, max(line, 1), len(columns) - 1)
    book.close()
    file.seek(0)
    return file


def _about(evaluation: Evaluation) -> list[tuple[str, str]]:
    return [
        (_("Kommune"), evaluation.process.municipality.name), (_("Verfahren"), evaluation.process.title),
        (_("Stand"), _moment(evaluation.made_at)), (_("Erstellt von"), evaluation.made_by),
        (_("Umfang"), ", ".join(_(STATE_LABELS[state]) for state in evaluation.states)),
        (_("Hinweis"), _("Die Tabelle enthält die Namen, die sich die Teilnehmenden gegeben haben. Prüfen Sie vor einer "
                         "Weitergabe, ob Namen oder Texte jemanden erkennen lassen.")),
    ]


def _clean(value: str) -> str:
    return _ILLEGAL.sub("", value)[:CELL_MAX]


def as_csv(columns: list[str], rows: Iterator[list[Cell]]) -> IO[bytes]:
    """A table for every program: UTF-8 with its mark, semicolons, decimal commas, as German offices expect it."""
    file = tempfile.SpooledTemporaryFile(KEPT_BYTES)  # noqa: SIM115 - the answer closes it
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=True)
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow([_guarded(name) for name in columns])
    for row in rows:
        writer.writerow([_guarded(value) if isinstance(value, str) else
                         str(value).replace(".", ",") if isinstance(value, float) else value for value in row])
    text.detach()
    file.seek(0)
    return file


def _guarded(value: str) -> str:
    """A text that no program takes for a formula, also behind blanks."""
    clean = _clean(value)
    return f"'{clean}" if clean.lstrip()[:1] in {"=", "+", "-", "@"} or clean[:1] in {"\t", "\r", "\n"} else clean


def as_geojson(evaluation: Evaluation) -> IO[bytes]:
    """All proposals that have a point (RFC 7946: lon, lat; EPSG:4326), with the columns of the table."""
    file = tempfile.SpooledTemporaryFile(KEPT_BYTES)  # noqa: SIM115 - the answer closes it
    columns = proposal_columns(evaluation)
    file.write(b'{"type":"FeatureCollection","features":[')
    begun = False
    for row in proposal_rows(evaluation):
        lat, lon = row[7], row[8]
        if lon is None:
            continue
        feature: dict[str, Any] = {
            "type": "Feature", "id": row[0], "geometry": {"type": "Point", "coordinates": [lon, lat]},
            "properties": {name: value for number, (name, value) in enumerate(zip(columns, row, strict=True))
                           if number not in range(7, 11)},
        }
        file.write(("," if begun else "").encode() + json.dumps(feature, ensure_ascii=False).encode())
        begun = True
    file.write(b"]}")
    file.seek(0)
    return file
