"""The town of the demo, its processes, and the measures that came of them."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from docx import Document
from sqlalchemy import select

from mapping.boundaries import area_from_geojson, load_boundary, load_districts
from participation import formats
from participation.catalogue.models import Measure, MeasureSource, MeasureState, Priority
from participation.demo.stage import FOLDER, Demo, read
from participation.municipalities.models import District, Municipality, MunicipalityKind
from participation.municipalities.operations import set_districts
from participation.own_fields import read_fields, store_field
from participation.processes.models import (
    Phase,
    Process,
    ProcessDocument,
    ProcessNews,
    ProcessState,
    TextVariant,
    Theme,
)
from participation.uploads import store_document


def add_municipality(demo: Demo) -> Municipality:
    """The town and its district above, with boundary and parts."""
    data = read("municipality")
    fields = ("name", "slug", "ags", "email", "address", "website", "accent_color", "intro")
    kreis = Municipality(
        kind=MunicipalityKind.KREIS, created_at=demo.now, **{name: data["parent"][name].strip() for name in fields}
    )
    demo.session.add(kreis)
    demo.session.flush()
    shape = load_boundary((FOLDER / "billerbeck_boundary.geojson").read_bytes())
    west, south, east, north = shape.bbox
    town = Municipality(
        kind=MunicipalityKind.TOWN,
        parent_id=kreis.id,
        boundary=json.loads(shape.geojson),
        west=west,
        south=south,
        east=east,
        north=north,
        sketch=json.loads((FOLDER / "billerbeck_sketch.geojson").read_text()),
        intro_variants=data["municipality"]["intro_variants"],
        created_at=demo.now,
        **{name: data["municipality"][name].strip() for name in fields},
    )
    demo.session.add(town)
    demo.session.flush()
    set_districts(demo.session, town, load_districts((FOLDER / "billerbeck_districts.geojson").read_bytes()), demo.now)
    demo.session.flush()
    demo.districts = [
        (row.id, area_from_geojson(json.dumps(row.boundary)))
        for row in demo.session.scalars(select(District).where(District.municipality_id == town.id))
    ]
    return town


def add_process(demo: Demo, town: Municipality, entry: dict[str, Any], parts: dict[str, Any]) -> None:
    """A process with its themes, phases, news and documents."""
    process = Process(
        municipality=town,
        slug=entry["slug"],
        state=ProcessState(entry["state"]),
        title=entry["title"],
        summary=entry["summary"],
        body=entry["body"].strip(),
        theme_label=entry.get("theme_label", "Thema"),
        contact=entry.get("contact", "").strip(),
        faq=entry.get("faq", "").strip(),
        position=entry.get("position", 0),
        catalogue_is_public=entry.get("catalogue_is_public", False),
        created_at=demo.now,
        published_at=demo.day(-entry.get("published_days_ago", 30)),
    )
    for number, theme in enumerate(parts.get("theme", [])):
        row = Theme(
            slug=theme["slug"],
            name=theme["name"],
            tone=theme["tone"],
            position=number,
            description=theme.get("description", ""),
            proposal_count=0,
        )
        process.themes.append(row)
        demo.themes[entry["key"], theme["key"]] = row
    for number, phase in enumerate(parts.get("phase", [])):
        settings = formats.read_settings(phase["format"], phase.get("settings", {}))
        process.phases.append(
            Phase(
                position=number,
                format_key=phase["format"],
                title=phase["title"],
                body=phase.get("body", "").strip(),
                starts_at=demo.day(phase["first_day"]),
                ends_at=demo.day(phase["last_day"] + 1),
                stored_settings=formats.store_settings(settings),
                stored_fields=[store_field(one) for one in read_fields(phase.get("field", []))],
            )
        )
    demo.session.add(process)
    demo.session.flush()
    _add_variants(demo, process, "process", process.id, parts)
    for phase, given in zip(process.phases, parts.get("phase", []), strict=True):
        _add_variants(demo, process, "phase", phase.id, given)
    for theme, given in zip(process.themes, parts.get("theme", []), strict=True):
        _add_variants(demo, process, "theme", theme.id, given)
    for item in parts.get("news", []):
        demo.session.add(ProcessNews(process_id=process.id, title=item["title"], body=item["body"].strip(),
                                     published_at=demo.now - timedelta(days=item["days_ago"])))
    for number, document in enumerate(parts.get("document", [])):
        name = Path(document["file_name"]).with_suffix(".docx").name
        upload = store_document(
            demo.session,
            demo.settings.upload_dir,
            town.id,
            _as_docx(document["title"], document["body"]),
            name,
            demo.settings.max_upload_bytes,
        )
        process.documents.append(ProcessDocument(upload=upload, title=document["title"], position=number))
    demo.processes[entry["key"]] = process


def _add_variants(demo: Demo, process: Process, entity: str, entity_id: int, given: dict[str, Any]) -> None:
    """Texts in other languages: a table for each language, with the names of the columns."""
    for variant in given.get("variant", []):
        for field in variant.keys() - {"language"}:
            demo.session.add(TextVariant(process_id=process.id, entity=entity, entity_id=entity_id, field=field,
                                         language=variant["language"], text=variant[field].strip()))


def _as_docx(title: str, body: str) -> io.BytesIO:
    """A short text as a document to download."""
    document = Document()
    document.core_properties.title = title
    document.core_properties.language = "de-DE"
    document.add_heading(title, 0)
    for block in body.strip().split("\n\n"):
        if block.startswith("#"):
            document.add_heading(block.lstrip("# ").strip(), 1)
        elif block.startswith("- "):
            for line in block.split("\n"):
                document.add_paragraph(line.removeprefix("- ").replace("**", ""), style="List Bullet")
        else:
            document.add_paragraph(block.replace("**", "").replace("\\\n", "\n"))
    buffer = io.BytesIO()
    document.save(buffer)
    buffer.seek(0)
    return buffer


def add_measures(demo: Demo) -> None:
    """The catalogue, and which proposals were taken up."""
    for number, entry in enumerate(read("measures")["measure"]):
        texts = (
            "title",
            "points",
            "remark",
            "deviation_reason",
            "field_of_action",
            "goal",
            "approach",
            "target_group",
            "actors",
            "resources",
            "benefit",
            "responsible",
            "decided_by",
            "communication",
            "cost",
            "timeframe",
        )
        measure = Measure(
            process_id=demo.processes[entry["process"]].id,
            code=entry["code"],
            position=number,
            theme_id=demo.themes[entry["process"], entry["theme"]].id,
            is_greyed=entry["greyed"],
            state=MeasureState(entry["state"]),
            created_at=demo.now,
            updated_at=demo.now,
            priority=Priority(entry["priority"]) if entry.get("priority") else None,
            deviating_priority=Priority(entry["deviating_priority"]) if entry.get("deviating_priority") else None,
            **{name: entry.get(name, "").strip() for name in texts},
        )
        measure.sources = [
            MeasureSource(
                proposal_id=demo.proposals[link["key"]].id,
                taken_up_at=demo.day(-link["days_ago"]),
                note=link.get("note", ""),
            )
            for link in entry.get("proposals", [])
        ]
        demo.session.add(measure)
