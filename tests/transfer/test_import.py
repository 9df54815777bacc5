"""Other platforms' contributions arrive whole, once, or with a reason per row not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from openpyxl import Workbook
from sqlalchemy import func, select

from participation import clock
from participation.contributions.comments.models import Comment
from participation.contributions.models import Contribution
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations import recount
from participation.processes.models import Process
from participation.transfer.mapping import SHIPPED, FieldMap, RowError, load_map, read_entry
from participation.transfer.operations import Import, Outcome, survey
from participation.transfer.readers import UnreadableFileError, read_rows
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

BONN = Path(__file__).parents[3] / "shared" / "data" / "raddialog_bonn_2017" / "contributions.jsonl"
SMALL = FieldMap(source="klein", attribution="", themes={}, comments={}, date_formats=(), fields={
    "key": "id", "title": "titel", "body": "text", "date": "datum", "lon": "lon", "lat": "lat", "supports": "stimmen",
    "theme": "thema"})


def _run(session: Session, keyring: Keyring, process: Process, path: Path, fields: FieldMap) -> Outcome:
    found = survey(read_rows(path), fields)
    outcome = Import(session, keyring, process, fields, clock.now()).run(read_rows(path), found, lambda _done: None)
    session.commit()
    return outcome


@pytest.mark.skipif(not BONN.exists(), reason="needs the Raddialog Bonn beside the project")
def test_raddialog_bonn_arrives_whole_and_only_once(session: Session, keyring: Keyring) -> None:
    process = factories.process(session)
    fields = load_map("raddialog")
    outcome = _run(session, keyring, process, BONN, fields)
    assert (outcome.proposals, outcome.comments, outcome.supports) == (2393, 2321, 697)
    again = _run(session, keyring, process, BONN, fields)
    assert (again.proposals, again.comments, again.known) == (0, 0, 2393)
    session.refresh(process)
    assert (process.proposal_count, process.comment_count, process.support_count) == (2393, 2321, 697)
    assert session.scalar(select(func.max(Comment.depth))) == 1
    assert not any(recount(session).values()), "counters must agree with the rows"
    oldest = session.scalars(select(Contribution.created_at).order_by(Contribution.created_at).limit(1)).one()
    assert oldest.year == 2017


@pytest.mark.parametrize("ending", ["csv", "xlsx", "json", "jsonl", "geojson"])
def test_every_format_gives_the_same(session: Session, keyring: Keyring, tmp_path: Path, ending: str) -> None:
    row = {"id": "7", "titel": "=1+1 Bänke", "text": "Für alle", "datum": "30.06.2026", "lon": "7,29", "lat": "51,98",
           "stimmen": "3", "thema": "Grün"}
    path = tmp_path / f"daten.{ending}"
    if ending == "csv":
        path.write_bytes((";".join(row) + "\n" + ";".join(row.values()) + "\n").encode("cp1252"))
    elif ending == "xlsx":
        book = Workbook()
        book.active.append(list(row))
        book.active.append([f"'{value}" if value.startswith("=") else value for value in row.values()])
        book.active["B2"].value, book.active["B2"].data_type = row["titel"], "s"
        book.save(path)
    elif ending == "geojson":
        feature = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [7.29, 51.98]},
                   "properties": {key: value for key, value in row.items() if key not in {"lon", "lat"}}}
        path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    else:
        path.write_text(json.dumps([row]) if ending == "json" else json.dumps(row))
    fields = SMALL
    if ending == "geojson":
        fields = FieldMap(**{**{name: getattr(SMALL, name) for name in SMALL.__slots__},
                             "fields": {key: value for key, value in SMALL.fields.items() if key not in {"lon", "lat"}}})
    process = factories.process(session)
    assert _run(session, keyring, process, path, fields).proposals == 1
    proposal = session.scalars(select(Proposal).where(Contribution.process_id == process.id)).one()
    assert (proposal.title, proposal.body, proposal.lon, proposal.lat, proposal.support_count) == (
        "=1+1 Bänke", "Für alle", 7.29, 51.98, 3)
    assert clock.to_berlin(proposal.created_at).strftime("%d.%m.%Y") == "30.06.2026"


@pytest.mark.parametrize(("change", "name"), [
    ({"titel": "", "text": ""}, "titel"), ({"datum": "morgen"}, "datum"), ({"datum": ""}, "datum"),
    ({"lon": "NaN"}, "lon/lat"), ({"lon": "951"}, "lon/lat"), ({"stimmen": "viele"}, "stimmen"),
    ({"stimmen": "-1"}, "stimmen"),
])
def test_a_wrong_value_is_named_with_its_cure(change: dict[str, str], name: str) -> None:
    row = {"id": "7", "titel": "Bänke", "text": "Für alle", "datum": "30.06.2026", "lon": "7,29", "lat": "51,98"}
    with pytest.raises(RowError) as error:
        read_entry({**row, **change}, SMALL)
    assert error.value.name == name
    assert error.value.cure


def test_broken_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    for name, content in (("a.xlsx", b"kein Zip"), ("b.json", b"{["), ("c.jsonl", b"nein"), ("d.exe", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableFileError):
            list(read_rows(tmp_path / name))


def test_shipped_mappings_are_readable() -> None:
    names = {path.stem for path in SHIPPED.glob("*.toml")}
    assert {"raddialog", "decidim", "consul", "adhocracy"} <= names
    for name in names:
        assert load_map(name).source == name
