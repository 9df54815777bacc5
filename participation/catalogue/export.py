"""The catalogue as a spreadsheet and as a document for the council."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import xlsxwriter
from docx import Document
from docx.enum.section import WD_ORIENT
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from flask_babel import gettext as _

from participation import clock
from participation.catalogue.models import MEASURE_STATE_LABELS, PRIORITY_LABELS, Measure
from participation.own_fields import columns_of, load_answers, unlike
from participation.text import plain_from_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docx.document import Document as Doc
    from docx.table import _Cell
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

    from participation.contributions.proposals.models import Proposal
    from participation.processes.models import Process

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
GREY = RGBColor(0x70, 0x70, 0x70)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All that an export shows, already filtered by rights."""

    process: Process
    municipality_name: str
    measures: Sequence[Measure]
    sources: dict[int, list[Proposal]]
    made_at: datetime
    base_url: str

    @property
    def day(self) -> str:
        """The day of the export, as it is read in Germany."""
        return clock.to_berlin(self.made_at).strftime("%d.%m.%Y")

    def supports(self, proposals: Sequence[Proposal]) -> int | None:
        """How often these were supported; None while that is secret."""
        if self.process.hides_supports(self.made_at):
            return None
        return sum(one.support_count for one in proposals)


def _columns(measure: Measure) -> list[tuple[str, str]]:
    """The fields of a measure in the order of a Maßnahmenblatt."""
    return [
        (_("Themenfeld"), measure.field_of_action), (_("Ziel"), measure.goal), (_("Umsetzung"), measure.approach),
        (_("Zielgruppe"), measure.target_group), (_("Akteure"), measure.actors), (_("Ressourcen"), measure.resources),
        (_("Mehrwert"), measure.benefit), (_("Zuständig"), measure.responsible),
        (_("Wer entscheidet"), measure.decided_by), (_("Kommunikation"), measure.communication),
        (_("Kosten"), measure.cost), (_("Zeitraum"), measure.timeframe),
    ]


def plain(markdown: str) -> str:
    """Markdown as plain lines; lists keep their marks. Characters that XML forbids are dropped."""
    lines = [re.sub(r"^\s*[*+-]\s+", "– ", line) for line in markdown.strip().split("\n")]
    joined = "\n".join(plain_from_markdown(line) if not re.match(r"^(–|\d+\.)\s", line) else
                       re.sub(r"[*_`\\]", "", line) for line in lines)
    return _ILLEGAL.sub("", joined)


def _asked(catalogue: Catalogue, others: Sequence[str]) -> dict[str, str]:
    """The columns of what people answered besides, by key; of fields that are gone since, in the words of then."""
    asked = [(one, phase.title) for phase in catalogue.process.phases for one in phase.own_fields]
    found = columns_of(asked, others)
    for one in (one for sources in catalogue.sources.values() for proposal in sources
                for one in load_answers(proposal.stored_answers)):
        if one.key not in found:
            found[one.key] = unlike(one.label, {name.casefold() for name in (*others, *found.values())})
    return found


def _label(priority: object) -> str:
    return _(PRIORITY_LABELS[priority]) if priority in PRIORITY_LABELS else ""


def as_xlsx(catalogue: Catalogue) -> bytes:
    """Three sheets: what this is, the measures, and what they grew from. Every text is a text, never a formula."""
    buffer = io.BytesIO()
    book = xlsxwriter.Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
                                        "strings_to_numbers": False})
    head = book.add_format({"bold": True, "text_wrap": True, "valign": "top", "bottom": 1})
    wrap = book.add_format({"text_wrap": True, "valign": "top"})
    grey = book.add_format({"text_wrap": True, "valign": "top", "font_color": "#707070"})
    info = book.add_worksheet(_("Info"))
    info.set_column(0, 0, 26)
    info.set_column(1, 1, 70)
    for row, (name, value) in enumerate([
        (_("Kommune"), catalogue.municipality_name), (_("Verfahren"), catalogue.process.title),
        (_("Stand"), catalogue.day), (_("Maßnahmen"), str(len(catalogue.measures))),
        (_("Übernommene Vorschläge"), str(sum(len(one) for one in catalogue.sources.values()))),
        (_("Hinweis"), _("Ausgegraute Maßnahmen laufen bereits oder gehören in ein anderes Konzept.")),
    ]):
        info.write_string(row, 0, name, head)
        info.write_string(row, 1, _ILLEGAL.sub("", value), wrap)
    sheet = book.add_worksheet(_("Maßnahmen"))
    names = [catalogue.process.theme_label, _("Kennung"), _("Titel"), _("Unterpunkte"), _("Anmerkung"), _("ausgegraut"),
             _("Stand"), _("Priorität aus der Beteiligung"), _("Abweichende Priorität"), _("Grund der Abweichung"),
             *(name for name, _value in _columns(Measure())), _("Vorschläge"), _("Unterstützungen")]
    for column, name in enumerate(names):
        sheet.write_string(0, column, name, head)
    sheet.freeze_panes(1, 3)
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0)
    sheet.set_column(0, 0, 24)
    sheet.set_column(1, 1, 9)
    sheet.set_column(2, len(names), 30)
    for row, measure in enumerate(catalogue.measures, 1):
        sources = catalogue.sources.get(measure.id, [])
        values = [
            measure.theme.name if measure.theme else "", measure.code, measure.title, plain(measure.points),
            plain(measure.remark), _("ja") if measure.is_greyed else "", _(MEASURE_STATE_LABELS[measure.state]),
            _label(measure.priority), _label(measure.deviating_priority), plain(measure.deviation_reason),
            *(plain(value or "") for _name, value in _columns(measure)),
        ]
        for column, value in enumerate(values):
            sheet.write_string(row, column, _ILLEGAL.sub("", value), grey if measure.is_greyed else wrap)
        sheet.write_number(row, len(values), len(sources), wrap)
        _write_known(sheet, row, len(values) + 1, catalogue.supports(sources), wrap)
    origin = book.add_worksheet(_("Herkunft"))
    known = [_("Maßnahme"), _("Nr."), _("Vorschlag"), _("Unterstützungen"), _("Adresse")]
    asked = _asked(catalogue, known)
    for column, name in enumerate((*known, *asked.values())):
        origin.write_string(0, column, _ILLEGAL.sub("", name), head)
    origin.set_column(2, 2, 60)
    origin.set_column(4, 4, 70)
    origin.freeze_panes(1, 0)
    line = 1
    for measure in catalogue.measures:
        for proposal in catalogue.sources.get(measure.id, []):
            origin.write_string(line, 0, measure.code, wrap)
            origin.write_number(line, 1, proposal.id, wrap)
            origin.write_string(line, 2, _ILLEGAL.sub("", proposal.title), wrap)
            _write_known(origin, line, 3, catalogue.supports([proposal]), wrap)
            address = f"{catalogue.base_url}/verfahren/{catalogue.process.slug}/vorschlaege/{proposal.id}"
            origin.write_string(line, 4, address, wrap)
            said = {one.key: one.shown for one in load_answers(proposal.stored_answers)}
            for column, key in enumerate(asked, 5):
                origin.write_string(line, column, _ILLEGAL.sub("", said.get(key, "")), wrap)
            line += 1
    book.close()
    return buffer.getvalue()


def _write_known(sheet: Worksheet, row: int, column: int, number: int | None, style: Format) -> None:
    """A number, or a dash where it is not told yet."""
    if number is None:
        sheet.write_string(row, column, "–", style)
    else:
        sheet.write_number(row, column, number, style)


def as_docx(catalogue: Catalogue) -> bytes:
    """A document for the council: overview, then one sheet per measure, by theme."""
    document = Document()
    _set_up(document, catalogue)
    document.add_heading(_("Maßnahmenkatalog"), 0)
    document.add_paragraph(f"{catalogue.process.title}\n{catalogue.municipality_name}\n"
                           + _("Stand: %(day)s", day=catalogue.day))
    document.add_heading(_("Übersicht"), 1)
    table = document.add_table(rows=1, cols=5, style="Table Grid")
    for cell, name in zip(table.rows[0].cells, (_("Kennung"), _("Maßnahme"), _("Priorität"), _("Stand"),
                                                _("Vorschläge")), strict=True):
        _write(cell, name, bold=True)
    _repeat_header(table.rows[0]._tr)  # noqa: SLF001 - python-docx has no other way
    for measure in catalogue.measures:
        values = (measure.code, measure.title, _label(measure.effective_priority),
                  _(MEASURE_STATE_LABELS[measure.state]), str(len(catalogue.sources.get(measure.id, []))))
        for cell, value in zip(table.add_row().cells, values, strict=True):
            _write(cell, value, grey=measure.is_greyed)
    for cells in table.columns[0].cells, table.columns[4].cells:
        for cell in cells:
            cell.width = Cm(2)
    current: int | None = -1
    for measure in catalogue.measures:
        if measure.theme_id != current:
            current = measure.theme_id
            name = measure.theme.name if measure.theme else _("Weitere Maßnahmen")
            document.add_heading(f"{catalogue.process.theme_label}: {name}", 1)
        _sheet(document, catalogue, measure)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def _sheet(document: Doc, catalogue: Catalogue, measure: Measure) -> None:
    heading = document.add_heading(_ILLEGAL.sub("", f"{measure.code}  {measure.title}"), 2)
    if measure.is_greyed:
        for run in heading.runs:
            run.font.color.rgb = GREY
    rows = [(_("Unterpunkte"), measure.points), (_("Anmerkung"), measure.remark),
            (_("Stand"), _(MEASURE_STATE_LABELS[measure.state])), (_("Priorität"), _label(measure.effective_priority))]
    if measure.deviating_priority is not None:
        rows += [(_("Priorität aus der Beteiligung"), _label(measure.priority)),
                 (_("Grund der Abweichung"), measure.deviation_reason)]
    rows += _columns(measure)
    sources = catalogue.sources.get(measure.id, [])
    if sources:
        rows.append((_("Daraus entstanden"), "\n".join(
            f"- {one.title}" if catalogue.supports([one]) is None
            else f"- {one.title} ({_('%(number)s Unterstützungen', number=one.support_count)})" for one in sources)))
    table = document.add_table(rows=0, cols=2, style="Table Grid")
    for name, value in rows:
        if value:
            cells = table.add_row().cells
            cells[0].width, cells[1].width = Cm(4.5), Cm(12)
            _write(cells[0], name, bold=True, grey=measure.is_greyed)
            _write(cells[1], plain(value), grey=measure.is_greyed)
    document.add_paragraph()


def _write(cell: _Cell, value: str, *, bold: bool = False, grey: bool = False) -> None:
    run = cell.paragraphs[0].add_run(_ILLEGAL.sub("", value))
    run.bold = bold
    if grey:
        run.font.color.rgb = GREY


def _set_up(document: Doc, catalogue: Catalogue) -> None:
    document.core_properties.title = _ILLEGAL.sub("", f"{_('Maßnahmenkatalog')} {catalogue.process.title}")
    document.core_properties.author = _ILLEGAL.sub("", catalogue.municipality_name)
    document.core_properties.language = "de-DE"
    style = document.styles["Normal"]
    style.font.size = Pt(10)
    language = OxmlElement("w:lang")
    language.set(qn("w:val"), "de-DE")
    style.element.get_or_add_rPr().append(language)
    section = document.sections[0]
    section.orientation, section.page_width, section.page_height = WD_ORIENT.PORTRAIT, Cm(21), Cm(29.7)
    paragraph = section.footer.paragraphs[0]
    paragraph.add_run(_ILLEGAL.sub("", f"{catalogue.process.title} · "))
    paragraph.add_run(_("Seite "))
    _field(paragraph, "PAGE")
    paragraph.add_run(_(" von "))
    _field(paragraph, "NUMPAGES")


def _field(paragraph: object, code: str) -> None:
    """A field that the reader's program fills in: page numbers."""
    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), code)
    paragraph._p.append(field)  # type: ignore[attr-defined]  # noqa: SLF001


def _repeat_header(row: object) -> None:
    mark = OxmlElement("w:tblHeader")
    mark.set(qn("w:val"), "true")
    row.get_or_add_trPr().append(mark)  # type: ignore[attr-defined]
