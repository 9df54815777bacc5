"""The one place that cleans text. Nobody else imports bleach.

Residents' texts are plain: cleaned of invisible characters here, stored as they are, escaped on output. Editors' texts
are a small Markdown, rendered here, with bleach as the last gate.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import bleach
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from rapidfuzz.distance import Indel

from participation.errors import InvalidInput
from participation.i18n import N_

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_MARKDOWN_LENGTH = 50_000
ALLOWED_TAGS = frozenset(
    {
        "p",
        "br",
        "strong",
        "em",
        "a",
        "ul",
        "ol",
        "li",
        "blockquote",
        "h2",
        "h3",
        "h4",
        "hr",
        "code",
        "pre",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
)
ALLOWED_SCHEMES = frozenset({"http", "https", "mailto", "tel"})

# Bidirectional overrides can make a text read differently from what it says; the rest is invisible and has no use in
# a sentence. The joiners U+200C and U+200D stay: emoji and several languages need them.
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE_BREAKS = re.compile(r"\r\n?|\u2028|\u2029|\u0085")
_BLANKS = re.compile(r"[^\S\n]+")
_LINK = re.compile(r"\[([^\[\]]+)\]\((\S+?)\)")
_MARKS = re.compile(r"\*\*|__|^#{1,6} +", re.MULTILINE)
_DIFFERENCE_PARTS = re.compile(r"\s*\S+")
_MANY_NEWLINES = re.compile(r"\n{3,}")
_EUROS = re.compile(
    r"(?:(?:€|euro?) ?)?([0-9]{1,12}|[1-9][0-9]{0,2}([. '\u2019])[0-9]{3}(?:\2[0-9]{3}){0,2})(?:,(?:00|--?|[\u2013\u2014]))?(?: ?(?:€|euro?))?",
    re.IGNORECASE,
)


def clean_text(raw: str | None) -> str:
    """A text of several lines: normalised (NFC), without invisible characters, at most one empty line in a row."""
    value = _INVISIBLE.sub("", _LINE_BREAKS.sub("\n", raw or ""))
    value = unicodedata.normalize("NFC", value)
    lines = [line.rstrip() for line in value.split("\n")]
    value = _MANY_NEWLINES.sub("\n\n", "\n".join(lines)).strip()
    return value if has_visible_character(value) else ""


def clean_line(raw: str | None) -> str:
    """A text of one line; line breaks and tabs become blanks, so that no header or log line can be forged."""
    return _BLANKS.sub(" ", clean_text(raw).replace("\n", " ")).strip()


def checked(clean: str, limit: int, *, field: str, missing: str, too_long: str) -> str:
    """A cleaned text that must be there, and no longer than `limit`. Raises InvalidInput with one of the two messages."""
    if not clean:
        raise InvalidInput(missing, field=field)
    if len(clean) > limit:
        raise InvalidInput(too_long, field=field, number=limit)
    return clean


def whole_euros(raw: str | None, most: int, *, field: str) -> int | None:
    """An amount as people write it ("12.000 €", "12 000", "12000,00"); None where nothing is entered.

    Points are taken for groups of thousands only where they stand before three digits each: read more kindly, "12.50"
    would be published as 1,250 euros. Nor does anything invisible count as an empty field. Raises InvalidInput.
    """
    if not (raw or "").strip():
        return None
    typed = clean_line(raw)
    found = _EUROS.fullmatch(typed)
    if found is None and any(sign in typed for sign in ".,'\N{RIGHT SINGLE QUOTATION MARK}") and any(char.isdecimal() for char in typed):
        raise InvalidInput(N_("Bitte geben Sie ganze Euro an, ohne Cent. Ein Punkt steht nur vor je drei Ziffern, "
                              "zum Beispiel 12.000."), field=field)
    amount = int(re.sub("[^0-9]", "", found[1])) if found else most + 1
    if amount > most:
        raise InvalidInput(N_("Bitte schreiben Sie die Kosten als ganze Zahl in Euro, zum Beispiel 12.000."), field=field)
    return amount


def has_visible_character(value: str) -> bool:
    """Whether anything would be seen: blanks, joiners and lone combining marks do not count."""
    return any(unicodedata.category(char)[0] not in "ZCM" and char not in "\u2800\u3164\uffa0" for char in value)


def paragraphs(value: str) -> Markup:
    """A resident's plain text as HTML paragraphs; everything is escaped."""
    blocks = [block for block in value.split("\n\n") if block.strip()]
    html = "\n".join(f"<p>{str(escape(block)).replace(chr(10), '<br>')}</p>" for block in blocks)
    return Markup(html)  # noqa: S704 - every block was escaped above


def difference(before: str, after: str) -> list[tuple[str, str]]:
    """What turns one text into another, word by word: ("equal" | "delete" | "insert", text) in reading order.

    Whole words with the blanks before them; neighbouring changes are joined, so that a rewritten sentence reads as one
    change. The cost grows with the product of both lengths, some milliseconds for the longest that can be handed in.
    """
    old, new = _DIFFERENCE_PARTS.findall(before), _DIFFERENCE_PARTS.findall(after)
    parts: list[tuple[str, str]] = []
    removed, added = "", ""
    for step in Indel.opcodes(old, new):
        same = "".join(old[step.src_start:step.src_end]) if step.tag == "equal" else ""
        if same and (len(same.split()) > 1 or not (removed or added)):
            parts += [("delete", removed)] * bool(removed) + [("insert", added)] * bool(added)
            removed = added = ""
            parts.append(("equal", same))
        elif step.tag == "equal":
            # One word between two changes.
            removed, added = removed + same, added + same
        else:
            removed += "".join(old[step.src_start:step.src_end]) if step.tag == "delete" else ""
            added += "".join(new[step.dest_start:step.dest_end]) if step.tag == "insert" else ""
    return parts + [("delete", removed)] * bool(removed) + [("insert", added)] * bool(added)


def folded(value: str, length: int) -> tuple[str, str]:
    """A long text in two parts, cut between words: what is shown, and what is opened on demand."""
    if len(value) <= length + length // 4:
        return value, ""
    cut = max(value.rfind(" ", 0, length), value.rfind("\n", 0, length))
    cut = cut if cut > length // 2 else length
    return value[:cut], value[cut:].lstrip(" ")


def shorten(value: str, length: int) -> str:
    """The beginning of a text for a card, cut between words."""
    flat = _BLANKS.sub(" ", value.replace("\n", " ")).strip()
    if len(flat) <= length:
        return flat
    cut = flat[:length].rsplit(" ", 1)[0].rstrip(" ,.;:–-")
    return f"{cut} …"


def safe_link(href: str) -> str | None:
    """The link, or None when its scheme is not one of ours.

    bleach 6.4 lets `javascript:123` pass (digits after the colon read as a port), so schemes are checked here.
    """
    compact = re.sub(r"[\s\x00-\x20]+", "", href)
    try:
        parts = urlsplit(compact)
    except ValueError:
        return None
    if not parts.scheme:
        return None if ":" in compact.split("/", 1)[0] or compact.startswith("//") else compact
    return compact if parts.scheme.lower() in ALLOWED_SCHEMES else None


def _allow_attribute(tag: str, name: str, value: str) -> bool:
    return (tag == "a" and name == "href" and safe_link(value) is not None) or (name, value) == ("dir", "auto")


def _build_markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "linkify": False, "typographer": False, "maxNesting": 20})
    return markdown.enable("table")


_MARKDOWN = _build_markdown()
_CLEANER = bleach.Cleaner(tags=ALLOWED_TAGS, attributes=_allow_attribute, protocols=ALLOWED_SCHEMES, strip=True)


def clean_html(html: str) -> str:
    """The last gate for any HTML that did not come from a template of ours."""
    return str(_CLEANER.clean(html))


@lru_cache(maxsize=512)
def render_markdown(source: str) -> Markup:
    """An editor's Markdown as safe HTML. Cost is bounded by length and nesting, and repeated texts are cached.

    Each paragraph, list and table is written in the direction of its first letter: one text may speak two languages.
    """
    blocks = _MARKDOWN.parse(source[:MAX_MARKDOWN_LENGTH])
    for block in blocks:
        if block.tag == "h1":
            block.tag = "h2"
        if block.nesting == 1 and block.level == 0:
            block.attrSet("dir", "auto")
    html = str(_MARKDOWN.renderer.render(blocks, _MARKDOWN.options, {}))
    return Markup(clean_html(html))  # noqa: S704 - bleach was the last to touch it


def plain_from_markdown(source: str) -> str:
    """Markdown without its marks, for descriptions and search."""
    return re.sub(r"\s+", " ", bleach.clean(str(render_markdown(source)), tags=set(), strip=True)).strip()


def mail_text(source: str) -> str:
    """Markdown as it reads well in a plain mail: paragraphs stay, marks go, a link's address stands behind its words."""
    plain = _LINK.sub(lambda found: f"{found[1]} ({found[2]})", source)
    return _MARKS.sub("", plain).strip()


def questions(source: str) -> list[tuple[str, str]]:
    """Questions with their answers in Markdown: each line that begins with # is a question, what follows its answer."""
    found: list[tuple[str, list[str]]] = []
    for line in source.splitlines():
        if line.lstrip().startswith("#"):
            found.append((line.lstrip("# \t").strip(), []))
        elif found:
            found[-1][1].append(line)
    return [(question, "\n".join(answer).strip()) for question, answer in found if question]


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace {name} places by values; unknown places stay as they are, braces in values are harmless."""
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), template)


def make_slug(title: str, fallback: str = "verfahren") -> str:
    """A readable address part: umlauts spelt out, words joined by dashes, at most 60 characters."""
    umlauts: dict[str, str | int | None] = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}
    spelt = title.lower().translate(str.maketrans(umlauts))
    ascii_only = unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:60].strip("-")
    return slug or fallback
