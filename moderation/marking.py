"""Texts as the desk shows them: findings marked, changes between two revisions marked. Everything is escaped."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moderation.models import Finding

# Comparing costs up to the square of it; longer texts are shown without marks.
MAX_COMPARED_WORDS = 2500
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


def marked(text: str, findings: Sequence[Finding], part: str) -> Markup:
    """A text with the spans of its findings marked; overlapping spans are joined."""
    spans = sorted(
        (one.start, one.end) for one in findings
        if one.part == part and one.start is not None and one.end is not None
    )
    result, position = Markup(), 0
    for start, end in spans:
        if end <= position or start >= len(text):
            continue
        begin = max(start, position)
        result += escape(text[position:begin])
        result += Markup('<mark class="bp-span">{}</mark>').format(text[begin:end])
        position = end
    return result + escape(text[position:])


def changed(before: str, after: str) -> Markup:
    """What an author changed: words taken out in <del>, new ones in <ins>."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    if len(old) > MAX_COMPARED_WORDS or len(new) > MAX_COMPARED_WORDS:
        return escape(after)
    result = Markup()
    for kind, old_start, old_end, new_start, new_end in difflib.SequenceMatcher(None, old, new).get_opcodes():
        gone, came = "".join(old[old_start:old_end]), "".join(new[new_start:new_end])
        if kind == "equal":
            result += escape(came)
            continue
        if gone:
            result += Markup("<del>{}</del>").format(gone)
        if came:
            result += Markup("<ins>{}</ins>").format(came)
    return result
