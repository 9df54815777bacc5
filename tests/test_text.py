"""Text is cleaned in one place: invisible characters go, everything that can be read stays."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from participation import text
from tests.test_hostile_input import OWN

HOSTILE = Path(__file__).parents[2] / "shared" / "data" / "hostile_input"


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u200b\u200b", "\x00", "\u2800", "\u3164", "\u202e", "\ufeff"])
def test_what_cannot_be_seen_counts_as_empty(blank: str) -> None:
    assert text.clean_text(blank) == ""
    assert text.clean_line(blank) == ""


def test_dangerous_characters_go_and_readable_text_stays() -> None:
    assert text.clean_text("A\x00B\u202eC\ud800D\r\nE\r\n\r\n\r\n\r\nF") == "ABCD\nE\n\nF"
    assert text.clean_line("Betreff\r\nBcc: alle@example.org") == "Betreff Bcc: alle@example.org"
    family = "👨\u200d👩\u200d👧 Grüße – „ja“ ½ ‰"
    assert text.clean_line(family) == family
    assert text.clean_line("u\u0308ber") == "über"


@pytest.mark.parametrize(
    "href",
    [
        "javascript:123",
        "data:1",
        "vbscript:1",
        "JaVaScRiPt:alert(1)",
        " java\nscript:alert(1)",
        "//evil.example",
        "file:///etc/passwd",
        "\x01javascript:alert(1)",
    ],
)
def test_markdown_links_keep_no_scheme_that_runs(href: str) -> None:
    for html in (str(text.render_markdown(f"[Text](<{href}>)")), text.clean_html(f'<a href="{href}">Text</a>')):
        assert "href" not in html


def test_markdown_shows_html_instead_of_running_it() -> None:
    html = str(text.render_markdown("<script>alert(1)</script> <img src=x onerror=alert(1)> **fett**"))
    assert "<script" not in html
    assert "<img" not in html
    assert "<strong>fett</strong>" in html


@pytest.mark.parametrize(
    "source", ["[" * 50_000, "> " * 20_000, "*a " * 15_000, "`" * 40_000, "![" * 20_000, "<" * 50_000]
)
def test_markdown_cost_is_bounded(source: str) -> None:
    started = time.process_time()
    text.render_markdown(source)
    assert time.process_time() - started < 5, "a hostile text must not occupy a worker"


def test_plain_text_is_escaped_in_paragraphs() -> None:
    assert str(text.paragraphs("<b>A</b>\nB\n\nC")) == "<p>&lt;b&gt;A&lt;/b&gt;<br>B</p>\n<p>C</p>"


def test_naughty_strings_survive_cleaning_twice_the_same() -> None:
    """Our own everywhere, and the long list where it lies beside the project."""
    listed = json.loads((HOSTILE / "blns.json").read_text(encoding="utf-8")) if HOSTILE.exists() else []
    for naughty in (*OWN, "<script>alert(1)</script>", "\u0627\u0644\u0639<ScRiPt >", *listed):
        once = text.clean_text(naughty)
        assert text.clean_text(once) == once
        assert "<script" not in str(text.paragraphs(once)).lower()


def test_shorten_cuts_between_words() -> None:
    assert text.shorten("Ein langer Satz, der zu lang ist", 18) == "Ein langer Satz …"
    assert text.shorten("Kurz", 18) == "Kurz"


def test_slugs_are_readable() -> None:
    assert text.make_slug("Größe & Straße: Übergang!") == "groesse-strasse-uebergang"
    assert text.make_slug("???") == "verfahren"


def test_each_block_of_an_editors_text_has_its_own_direction() -> None:
    html = str(text.render_markdown("Guten Tag.\n\nمرحبا بكم.\n\n- واحد\n- اثنان\n\n# عنوان\n\n> اقتباس"))
    for tag in ("p", "ul", "h2", "blockquote"):
        assert f'<{tag} dir="auto">' in html
    assert html.count("dir=") == 5, "what lies within a block goes with it"
    assert "dir=" not in str(text.clean_html('<p dir="rtl">A</p>'))
