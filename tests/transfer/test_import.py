"""Other platforms' contributions arrive whole, once, or with a reason per row not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from openpyxl import Workbook
from sqlalchemy import func, select

from participation import clock
from participation.contributions.comments.models import Comment, Stance
from participation.contributions.models import Contribution
from participation.contributions.proposals.models import Proposal
from participation.contributions.proposals.operations.counting import recount
from participation.processes.models import Process
from participation.processes.queries import supports_of
from participation.transfer.mapping import SHIPPED, FieldMap, RowError, load_map, read_entry
from participation.transfer.operations import CommentImport, Import, Outcome, survey
from participation.transfer.readers import UnreadableFileError, read_rows
from tests import factories

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from participation.tokens import Keyring

BONN = Path(__file__).parents[3] / "shared" / "data" / "raddialog_bonn_2017" / "contributions.jsonl"
SMALL = FieldMap(source="klein", attribution="", themes={}, comments={}, date_formats=(), fields={
    "key": ("id",), "title": ("titel",), "body": ("text",), "date": ("datum",), "lon": ("lon",), "lat": ("lat",),
    "supports": ("stimmen",), "theme": ("thema",)})


def _run(session: Session, keyring: Keyring, process: Process, path: Path, fields: FieldMap) -> Outcome:
    found = survey(read_rows(path), fields)
    outcome = Import(session, keyring, process, fields, clock.now()).run(read_rows(path), found, lambda _done: None)
    session.commit()
    return outcome


def test_a_file_as_the_raddialog_wrote_them_arrives_whole_and_only_once(
    session: Session, keyring: Keyring, tmp_path: Path
) -> None:
    """The same for invented rows of that shape, which lie everywhere."""
    reply = {"author": "Ada", "date": "19.10.2026", "time": "10:15", "title": "", "text": ["Ja."], "answers": []}
    said = {**reply, "author": "Bo", "title": "Dafür", "answers": [reply]}
    row = {"url": "https://rad.example/1", "title": "Mehr Bügel", "text": ["Am Markt.", "Am Bahnhof."], "author": "Gast",
           "date": "18.10.2026", "lat": 51.98, "lon": 7.29, "category": "Abstellen", "votes": 2, "comments": [said]}
    rows = [row, {**row, "url": "https://rad.example/2", "text": [], "votes": 0, "comments": []}]
    path = tmp_path / "rad.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    process, fields = factories.process(session), load_map("raddialog")
    first, again = (_run(session, keyring, process, path, fields) for _ in range(2))
    assert (first.proposals, first.comments, first.supports) == (2, 2, 2)
    assert (again.proposals, again.comments, again.known) == (0, 0, 2)
    assert session.scalar(select(func.max(Comment.depth))) == 1
    assert not any(recount(session, keyring).values()), "counters must agree with the rows"


@pytest.mark.skipif(not BONN.exists(), reason="its figures are those of the real data, which may not be copied here")
def test_raddialog_bonn_arrives_whole_and_only_once(session: Session, keyring: Keyring) -> None:
    process = factories.process(session)
    fields = load_map("raddialog")
    outcome = _run(session, keyring, process, BONN, fields)
    assert (outcome.proposals, outcome.comments, outcome.supports) == (2393, 2321, 697)
    again = _run(session, keyring, process, BONN, fields)
    assert (again.proposals, again.comments, again.known) == (0, 0, 2393)
    session.refresh(process)
    assert (process.proposal_count, process.comment_count, supports_of(session, [process.id])[process.id]) == (2393, 2321, 697)
    assert session.scalar(select(func.max(Comment.depth))) == 1
    assert not any(recount(session, keyring).values()), "counters must agree with the rows"
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


DECIDIM = """id;author/id;author/name;taxonomies/id;taxonomies/name;title/de;title/en;body/de;address;latitude;longitude;\
state;votes;withdrawn;published_at;created_at
11;4, 5;Mia K, Jo B;2;Verkehr;Bänke am Fluss;Benches;Zum Ausruhen;Uferweg 1;51.98;7.29;;3;false;\
2026-03-01 10:00:00 UTC;2026-02-01 10:00:00 UTC
12;6;Ole;;;Zurückgezogen;;Doch nicht;;;;withdrawn;0;true;2026-03-01 10:00:00 UTC;2026-02-01 10:00:00 UTC
""".replace("\\\n", "")
DECIDIM_COMMENTS = """id;created_at;body;locale;author/id;author/name;alignment;depth;commentable_id;commentable_type
22;2026-03-03 10:00:00 UTC;Ja, mit Lehne;de;7;Ute;0;1;21;Decidim::Comments::Comment
21;2026-03-02 10:00:00 UTC;Gute Idee;de;6;Ole;1;0;11;Decidim::Proposals::Proposal
"""
CONSUL = {"data": {"proposals": {"edges": [{"node": {
    "id": "11", "title": "Bänke am Fluss", "description": "<p>Zum Ausruhen</p>", "cached_votes_up": 3,
    "public_created_at": "2026-03-01 10:00:00 +0000", "public_author": {"username": "Mia"},
    "geozone": {"name": "Uferweg"}, "tags": {"edges": [{"node": {"name": "Verkehr"}}]}}}]}}}
CONSUL_COMMENTS = {"data": {"comments": {"edges": [{"node": {
    "id": number, "body": body, "ancestry": ancestry, "commentable_id": 11, "commentable_type": "Proposal",
    "public_author": {"username": name}, "public_created_at": "2026-03-02 10:00:00 +0000"}}
    for number, body, ancestry, name in (("21", "Gute Idee", None, "Ole"), ("22", "Ja, mit Lehne", "21", "Ute"))]}}}
ADHOCRACY = (
    ("Reference No.", "Link", "name", "Description", "Category", "Labels", "Creator", "Created", "Positive ratings",
     "Negative ratings", "Comment count", "Location (Longitude)", "Location (Latitude)", "Location label"),
    ("2026-00011", "https://beteiligung.example/ideen/11", "Bänke am Fluss", "Zum Ausruhen", "Verkehr", "", "Mia",
     "2026-03-01T10:00:00+00:00", 3, 1, 2, 7.29, 51.98, "Uferweg"),
)
ADHOCRACY_COMMENTS = (
    ("ID", "Comment", "Created", "Creator", "Link", "Positive ratings", "Reply to Comment", "Reply to Reference"),
    (21, "Gute Idee", "2026-03-02T10:00:00+00:00", "Ole", "", 0, "", "2026-00011"),
    (22, "Ja, mit Lehne", "2026-03-02T11:00:00+00:00", "Ute", "", 0, 21, ""),
)


def _sheet(path: Path, rows: tuple[tuple[object, ...], ...]) -> None:
    book = Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)


@pytest.mark.parametrize("platform", ["decidim", "consul", "adhocracy"])
def test_exports_of_other_platforms_arrive_with_threads_and_supports(
    session: Session, keyring: Keyring, tmp_path: Path, platform: str
) -> None:
    ending = {"decidim": "csv", "consul": "json", "adhocracy": "xlsx"}[platform]
    proposals, comments = tmp_path / f"p.{ending}", tmp_path / f"c.{ending}"
    if platform == "decidim":
        proposals.write_text(DECIDIM)
        comments.write_text(DECIDIM_COMMENTS)
    elif platform == "consul":
        proposals.write_text(json.dumps(CONSUL))
        comments.write_text(json.dumps(CONSUL_COMMENTS))
    else:
        _sheet(proposals, ADHOCRACY)
        _sheet(comments, ADHOCRACY_COMMENTS)
    process, fields = factories.process(session), load_map(platform)
    outcome = _run(session, keyring, process, proposals, fields)
    assert (outcome.proposals, outcome.supports) == (1, 3)
    proposal = session.scalars(select(Proposal)).one()
    assert (proposal.title, proposal.body) == ("Bänke am Fluss", "Zum Ausruhen")
    assert proposal.theme is not None
    assert proposal.theme.name == "Verkehr"
    assert proposal.place.startswith("Uferweg")
    assert proposal.published_at == datetime(2026, 3, 1, 10, tzinfo=UTC)
    if platform != "consul":
        assert (proposal.lon, proposal.lat) == (7.29, 51.98)
    for added in (2, 0):
        work = CommentImport(session, keyring, process, fields, clock.now())
        assert work.run_comments(read_rows(comments), lambda _done: None) == []
        session.commit()
        assert work.outcome.comments == added
    session.expire_all()
    first, second = session.scalars(select(Comment).order_by(Comment.depth))
    assert (first.body, second.body, second.parent_id, second.depth) == ("Gute Idee", "Ja, mit Lehne", first.id, 1)
    assert first.participant.pseudonym == "Ole"
    assert first.stance is (Stance.PRO if platform == "decidim" else None)
    assert proposal.comment_count == process.comment_count == 2
    assert not any(recount(session, keyring).values())


def test_a_comment_without_its_proposal_is_named(session: Session, keyring: Keyring, tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(DECIDIM_COMMENTS)
    work = CommentImport(session, keyring, factories.process(session), load_map("decidim"), clock.now())
    errors = work.run_comments(read_rows(path), lambda _done: None)
    assert sorted(number for number, _error in errors) == [2, 3]
    assert "nicht da" in errors[0][1].cause
    assert work.outcome.comments == 0
