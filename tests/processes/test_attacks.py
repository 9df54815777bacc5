"""Whoever edits may be careless, curious or taken over: what the editors' pages must withstand."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from flask import url_for
from lxml import html
from PIL import Image
from sqlalchemy import func, select

from participation import clock, text
from participation.errors import InvalidInput
from participation.permissions import Role
from participation.processes import operations
from participation.processes.models import Phase, Process, ProcessDocument, ProcessState, ProcessVersion
from participation.settings import Settings
from participation.uploads import Upload, check_document
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from app import Beteiligung
    from participation.municipalities.models import Municipality
    from tests.browser_client import Browser

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
PAGE = b"<!doctype html><script>alert(1)</script>"
XSS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](JaVaScRiPt:123)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)", "[x](vbscript:1)", "[x](java&#10;script:alert(1))", "[x](\tjavascript:1)",
    "<javascript:alert(1)>", "![x](javascript:alert(1))", "![x](https://evil.example/zaehler.png)",
    "[x]: javascript:alert(1)\n\n[x]", "<a href='javascript:1'>x</a>", '[x](https://a.example "onmouseover=alert(1)")',
    "# <svg/onload=alert(1)>", "${alert(1)}", "{{ 7*7 }}", "</textarea><script>alert(1)</script>", "[x](//evil.example)",
    "<style>*{display:none}</style>", "<iframe srcdoc='<script>1</script>'>", "`</code><script>alert(1)</script>`",
)


@pytest.fixture
def town(session: Session) -> Municipality:
    return factories.municipality(session)


@pytest.fixture
def process(session: Session, town: Municipality) -> Process:
    return factories.process(session, town, contact="x")


@pytest.fixture
def editor(session: Session, process: Process, browser: Browser) -> Browser:
    account = factories.account(session, Role.EDITOR, on=process)
    session.commit()
    return browser.sign_in(account)


def _archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.svg", SVG, "Dieser Dateityp ist nicht möglich"), ("a.html", PAGE, "Dieser Dateityp ist nicht möglich"),
    ("a.pdf.html", PAGE, "Dieser Dateityp ist nicht möglich"), ("a.html.pdf", PAGE, "Dieser Dateityp ist nicht möglich"),
    ("", b"", "Bitte wählen Sie eine Datei aus."), ("a.pdf", b"", "Die Datei ist leer"), ("a.docx", b"", "Die Datei ist leer"), ("a.txt", b"", "Die Datei ist leer"),
    ("a.docx", _archive("META-INF/MANIFEST.MF"), "Dieser Dateityp ist nicht möglich"),
    ("a.xlsx", b"PK\x03\x04kaputt", "Dieser Dateityp ist nicht möglich"), ("a.exe", b"MZ", "Dieser Dateityp ist nicht möglich"),
    ("pdf", b"%PDF-1.4", "Dieser Dateityp ist nicht möglich"), ("a.txt", b"a\x00b", "Dieser Dateityp ist nicht möglich"),
])
def test_what_is_no_document_is_refused_beside_its_field(
    session: Session, process: Process, editor: Browser, name: str, content: bytes, message: str,
) -> None:
    page = f"/verwaltung/verfahren/{process.id}/dokumente"
    answer = editor.post(page, {"title": "Mein Titel", "document": (io.BytesIO(content), name)})
    body = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert message in body
    assert "Mein Titel" in body
    assert session.scalar(select(func.count()).select_from(Upload)) == 0


def test_a_plan_may_have_25_megabytes_and_whoever_sends_more_learns_the_cure(process: Process, editor: Browser) -> None:
    page, limit = f"/verwaltung/verfahren/{process.id}/dokumente", Settings().max_document_bytes
    assert "höchstens 25 MB" in editor.text(page)
    check_document(io.BytesIO(b"%PDF-1.7".ljust(limit, b"x")), "plan.pdf", limit)
    for name in ("plan.pdf", "plan.docx"):
        with pytest.raises(InvalidInput, match="mit kleinerer Auflösung") as refused:
            check_document(io.BytesIO(b"%PDF-1.7".ljust(limit + 1, b"x")), name, limit)
        assert refused.value.params == {"megabytes": 25}
    answer = editor.client.post(page, data=b"x" * (33 * 1024 * 1024), content_type="multipart/form-data; boundary=x")
    shown = html.fromstring(answer.get_data(as_text=True))
    assert answer.status_code == 413
    assert "25 MB für ein Dokument, 10 MB für ein Bild und 32 MB auf einmal" in " ".join(shown.text_content().split())
    assert shown.xpath(f"//main//a[@href='{page}']"), "the way back to the form"


def test_a_document_keeps_a_harmless_name_and_is_never_shown_as_a_page(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    page = f"/verwaltung/verfahren/{process.id}/dokumente"
    name = "../../etc/a\u202efdp.html.docx"
    sent = {"title": "Plan", "document": (io.BytesIO(_archive("word/document.xml")), name)}
    assert editor.post(page, sent).status_code == 303
    row = session.scalars(select(ProcessDocument)).one()
    assert row.upload.shown_name == "afdp.html.docx"
    answer = new_browser().get(f"/verfahren/{process.slug}/dokumente/{row.id}")
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "html" not in answer.mimetype
    answer.close()


@pytest.mark.parametrize(("name", "content"), [
    ("a.svg", SVG), ("a.jpg", PAGE), ("a.svg.png", SVG), ("a.png", b""), ("a.gif", b"GIF89a"), ("a.jpg", b"\xff\xd8\xff"),
])
def test_what_is_no_picture_is_refused_and_everything_else_stays_on_the_page(
    session: Session, process: Process, editor: Browser, name: str, content: bytes,
) -> None:
    page = f"/verwaltung/verfahren/{process.id}"
    answer = editor.post(page, {"title": "Anderer Titel", "body": "Langer Text", "picture_alt": "Was zu sehen ist",
                                "picture": (io.BytesIO(content), name)})
    body = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert "kein lesbares Bild" in body or "ist leer" in body
    assert "Langer Text" in body
    session.expire_all()
    assert (process.title, process.picture_id) != ("Anderer Titel", None)
    assert process.picture_id is None


def test_nothing_written_in_markdown_runs(
    session: Session, process: Process, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    base, evil = f"/verwaltung/verfahren/{process.id}", "\n\n".join(XSS)
    texts = {"title": "T", "summary": "S " + XSS[0], "body": evil, "contact": evil, "faq": "# Frage <script>alert(1)</script>\n" + evil}
    shown = [editor.post(base, {**texts, "preview": "1"})]
    assert editor.post(base, texts).status_code == 303
    phase = f"{base}/phasen/{process.phases[0].id}"
    form = next(one for one in editor.open(phase).forms if any(field.name == "seen" for field in one.inputs if field.name))
    fields = {name: value for name, value in form.form_values() if name != "preview"}
    shown.append(editor.post(phase, {**fields, "body": evil, "preview": "1"}))
    assert editor.post(phase, {**fields, "body": evil}).status_code == 303
    shown.append(editor.post(f"{base}/neuigkeiten", {"title": XSS[0], "body": evil, "preview": "1"}))
    assert editor.post(f"{base}/neuigkeiten", {"title": XSS[0], "body": evil}).status_code == 303
    assert editor.post(f"{base}/sprachen?sprache=en", {f"process-{process.id}-body": evil}).status_code == 303
    reader = new_browser()
    shown += [editor.get(f"{base}/verlauf"), reader.get(f"/verfahren/{process.slug}"),
              reader.get(f"/verfahren/{process.slug}/neuigkeiten"),
              reader.get(f"/verfahren/{process.slug}", headers={"Accept-Language": "en"})]
    for answer in shown:
        assert answer.status_code == 200, answer.request.path
        tree = html.fromstring(answer.get_data(as_text=True))
        main = tree.xpath("//main")[0]
        assert not main.xpath(".//script[not(@src)] | .//iframe | .//style | .//object | .//embed"), answer.request.path
        for element in main.iter():
            assert not [name for name in element.attrib if name.startswith("on")], answer.request.path
        for link in main.xpath(".//@href | .//@src | .//@action"):
            assert link.split(":")[0].lower() not in {"javascript", "data", "vbscript"}, link
            assert "evil.example" not in link
        assert "49" not in main.xpath("string(.//section[@aria-labelledby='vorschau'])")


def test_an_editor_reaches_nothing_of_another_process_by_whatever_address(
    session: Session, app: Beteiligung, process: Process, town: Municipality, editor: Browser,
) -> None:
    other = factories.process(session, town)
    far = factories.process(session)
    session.commit()
    tried = 0
    with app.test_request_context():
        rules = [rule for rule in app.url_map.iter_rules() if "process_id" in rule.arguments]
    for rule in rules:
        for foreign in (other, far):
            values: dict[str, Any] = {
                name: min(getattr(rule._converters[name], "items", {1})) for name in rule.arguments}
            for name, number in (("phase_id", foreign.phases[0].id), ("theme_id", foreign.themes[0].id)):
                if name in values:
                    values[name] = number
            with app.test_request_context():
                address = url_for(rule.endpoint, **{**values, "process_id": foreign.id})
                mixed = url_for(rule.endpoint, **{**values, "process_id": process.id}) if len(values) > 1 else ""
            for method in rule.methods & {"GET", "POST"}:
                answer = editor.client.open(address, method=method)
                assert answer.status_code in {403, 404}, (method, address)
                if mixed and {"phase_id", "theme_id"} & rule.arguments:
                    assert editor.client.open(mixed, method=method).status_code in {403, 404}, (method, mixed)
                tried += 1
    assert tried > 60
    assert session.scalar(select(func.count()).select_from(ProcessVersion).where(ProcessVersion.process_id != process.id)) == 0


def test_numbers_of_things_of_another_process_are_not_found(
    session: Session, process: Process, town: Municipality, editor: Browser,
) -> None:
    other = factories.process(session, town)
    owner = factories.actor(factories.account(session, Role.EDITOR, on=other))
    news = operations.save_news(session, owner, other, None, clock.now(), title="Fremd", body="Fremd.")
    upload = Upload(municipality_id=town.id, name="0" * 32, media_type="text/plain", shown_name="a.txt", sha256="0" * 64, byte_size=1)
    document = ProcessDocument(process_id=other.id, upload=upload, title="Fremd")
    session.add(document)
    session.commit()
    base = f"/verwaltung/verfahren/{process.id}"
    for path in (f"neuigkeiten/{news.id}", f"neuigkeiten/{news.id}/loeschen", f"dokumente/{document.id}/loeschen",
                 f"dokumente/{document.id}/verschieben", f"phasen/{other.phases[0].id}/loeschen",
                 f"themen/{other.themes[0].id}/verschieben"):
        assert editor.post(f"{base}/{path}", {"title": "x", "body": "x"}).status_code == 404, path
    session.expire_all()
    assert news.title == "Fremd"


def test_only_who_may_make_processes_copies_one_and_only_of_the_own_town(
    session: Session, process: Process, town: Municipality, editor: Browser, new_browser: Callable[[], Browser],
) -> None:
    far = factories.process(session)
    admin = factories.account(session, Role.EDITOR, town=town)
    session.commit()
    new = "/verwaltung/verfahren/neu"
    before = session.scalar(select(func.count()).select_from(Process))
    assert editor.post(new, {"title": "Kopie", "source": f"kopie-{process.id}"}).status_code == 403
    chief = new_browser().sign_in(admin)
    for source in (f"kopie-{far.id}", "kopie-", "kopie-99999999999", "../etc", "\x00"):
        assert chief.post(new, {"title": "Kopie", "source": source}).status_code == 422, source
    assert session.scalar(select(func.count()).select_from(Process)) == before


@pytest.mark.parametrize(("starts", "ends", "wanted"), [
    # The last Sunday of October has 25 hours, the last of March 23; 23:59 means the whole day on both.
    ("2026-10-24T00:00", "2026-10-25T23:59", (datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))),
    ("2027-03-27T00:00", "2027-03-28T23:59", (datetime(2027, 3, 26, 23, tzinfo=UTC), datetime(2027, 3, 28, 22, tzinfo=UTC))),
    ("2026-10-25T02:30", "2026-10-25T03:30", (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 2, 30, tzinfo=UTC))),
])
def test_phases_end_where_they_should_when_the_clocks_change(
    session: Session, process: Process, editor: Browser, starts: str, ends: str, wanted: tuple[datetime, datetime],
) -> None:
    page = f"/verwaltung/verfahren/{process.id}/phasen/neu?format=inform"
    values = {"format_key": "inform", "title": "Umstellung", "starts_at": starts, "ends_at": ends}
    assert editor.post(page, values).status_code == 303
    phase = session.scalars(select(Phase).where(Phase.title == "Umstellung")).one()
    assert (phase.starts_at, phase.ends_at) == wanted
    address = f"/verwaltung/verfahren/{process.id}/phasen/{phase.id}"
    fields = {field.name: field.value for field in editor.open(address).xpath("//input[@type='datetime-local']")}
    assert fields == {"starts_at": starts, "ends_at": ends}
    form = next(one for one in editor.open(address).forms if any(field.name == "seen" for field in one.inputs if field.name))
    assert editor.post(address, {name: value for name, value in form.form_values() if name not in {"preview", "change_format"}}).status_code == 303
    session.expire_all()
    assert (phase.starts_at, phase.ends_at) == wanted, "saving again moves nothing"


def test_what_editors_write_comes_back_as_it_was(session: Session, process: Process, editor: Browser) -> None:
    strange = "Ω≈ç√∫ ʇunpᴉpᴉɔuᴉ 👩‍👩‍👧 مرحبا ‘;DROP TABLE process-- <b>fett</b> & “so”"
    page = f"/verwaltung/verfahren/{process.id}"
    assert editor.post(page, {"title": strange, "body": strange, "summary": strange, "contact": strange}).status_code == 303
    tree = editor.open(page)
    wanted = text.clean_text(strange)
    assert tree.get_element_by_id("title").value == text.clean_line(strange)
    for name in ("body", "summary", "contact"):
        assert (tree.get_element_by_id(name).text or "").strip() == wanted


@pytest.mark.parametrize("field", ["title", "summary", "body", "contact", "faq", "theme_label", "attribution"])
def test_what_is_too_long_is_refused_beside_its_field_and_stays_on_the_page(
    session: Session, process: Process, editor: Browser, field: str,
) -> None:
    process.published_at, process.state = None, ProcessState.DRAFT
    session.commit()
    long = "# " + "Zu lang. " * 8000
    answer = editor.post(f"/verwaltung/verfahren/{process.id}", {"title": "Titel", "body": "Text", field: long})
    assert answer.status_code == 422
    tree = html.fromstring(answer.get_data(as_text=True))
    assert tree.get_element_by_id(field).get("aria-invalid") == "true"
    value = tree.get_element_by_id(field).value if field in {"title", "theme_label", "attribution"} else tree.get_element_by_id(field).text
    assert len((value or "").strip()) == len(long.strip())


def test_a_picture_of_ten_thousand_by_ten_thousand_points_is_refused(process: Process, editor: Browser) -> None:
    buffer = io.BytesIO()
    Image.new("1", (13_000, 10)).save(buffer, "PNG")
    buffer.seek(0)
    answer = editor.post(f"/verwaltung/verfahren/{process.id}", {"title": "T", "picture_alt": "A", "picture": (buffer, "a.png")})
    assert answer.status_code == 422
    assert "zu viele Bildpunkte" in answer.get_data(as_text=True)
