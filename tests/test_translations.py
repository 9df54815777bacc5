"""Every text exists in every language, with the same places and the same markup. German is the source."""

from __future__ import annotations

import re
import subprocess
import sys
from gettext import GNUTranslations
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from participation.language import DEFAULT, LANGUAGES

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "participation" / "translations"
PLACES = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
TAGS = re.compile(r"</?\w+[^>]*>")
OTHERS = [code for code in LANGUAGES if code != DEFAULT]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """All texts of code and templates as they are now, collected as `make messages` does."""
    path = tmp_path_factory.mktemp("texts") / "messages.pot"
    subprocess.run(
        [sys.executable, "-m", "babel.messages.frontend", "-q", "extract", "-F", "pyproject.toml", "-k", "N_", "-k", "_l",
         "--no-location", "-o", str(path), "."], cwd=ROOT, check=True,
    )
    with path.open("rb") as file:
        return read_po(file)


def _catalog(language: str) -> Catalog:
    with (FOLDER / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


def _forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_lacks_its_translation(source: Catalog, language: str) -> None:
    known = {message.id: message for message in _catalog(language) if message.id and not message.fuzzy}
    missing = [message.id for message in source if message.id and message.id not in known]
    empty = [one.id for one in known.values() if not all(_forms(one.string))]
    assert missing == []
    assert empty == []
    assert len(known) > 1000


@pytest.mark.parametrize("language", OTHERS)
def test_translations_keep_places_markup_and_edges(language: str) -> None:
    wrong = []
    for message in _catalog(language):
        if not message.id:
            continue
        for before, after in zip(_forms(message.id), _forms(message.string), strict=True):
            is_same = sorted(PLACES.findall(before)) == sorted(PLACES.findall(after))
            is_same = is_same and sorted(TAGS.findall(before)) == sorted(TAGS.findall(after))
            if not is_same or before[:1].isspace() != after[:1].isspace() or before[-1:].isspace() != after[-1:].isspace():
                wrong.append((before, after))
    assert wrong == []


@pytest.mark.parametrize("language", OTHERS)
def test_what_is_read_at_run_time_is_what_was_translated(language: str) -> None:
    with (FOLDER / language / "LC_MESSAGES" / "messages.mo").open("rb") as file:
        compiled = GNUTranslations(file)
    for message in _catalog(language):
        forms = _forms(message.id) if message.id else []
        if len(forms) == 1:
            assert compiled.gettext(forms[0]) == message.string
        elif forms:
            assert [compiled.ngettext(*forms, number) for number in (1, 2)] == list(message.string)
