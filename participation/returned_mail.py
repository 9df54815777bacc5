"""Reading what a mail server sends back: that a mail which it had taken could not be delivered after all (RFC 3464).

Most servers take every mail first, so this is how most wrong addresses become known. Anybody can write such a report;
so it must return the headers of our mail, in which stands a link that only we and its reader know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a report says stands before the text that it returns; more is an attachment that nobody needs to read.
LONGEST = 200_000
# Reports nest a few parts. Hundreds within each other take a parser minutes, or more calls than it may make.
MOST_PARTS = 100
_NESTS = re.compile(rb"boundary|message/", re.IGNORECASE)
_NUMBER = re.compile(r"<([0-9a-f]{32})@")
_LEAVE = re.compile(r"/abo/([^/<>]{1,200})/abmelden")
# RFC 3463: 5.6 and 5.7 speak of the text or of a policy, 5.3.4 of its size; the address may be a good one.
_NOT_THE_ADDRESS = re.compile(r"5\.(?:[67]\.|3\.4)")


@dataclass(frozen=True, slots=True)
class Returned:
    """A mail of ours that came back for good: its number, the token of its reader, and whether the address is to blame."""

    number: str
    token: str
    is_address_wrong: bool


def read_returned(raw: bytes) -> Returned | None:
    """What a report says; None for everything else: delays, automatic answers, mails that are not ours."""
    raw = raw[:LONGEST]
    if sum(1 for _each in _NESTS.finditer(raw)) > MOST_PARTS:
        return None
    report = message_from_bytes(raw)
    if report.get_content_type() != "multipart/report":
        return None
    status, original = None, None
    for part in _parts(report):
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            status = status or _failure(part)
        elif kind == "message/rfc822":
            original = next(_parts(part), None)
        elif kind == "text/rfc822-headers":
            content = part.get_payload(decode=True)
            original = message_from_bytes(content) if isinstance(content, bytes) else None
    if status is None or original is None:
        return None
    number = _NUMBER.search(_header(original, "Message-ID"))
    token = _LEAVE.search(_header(original, "List-Unsubscribe"))
    return Returned(number[1], token[1], not _NOT_THE_ADDRESS.match(status)) if number and token else None


def _parts(message: Message) -> Iterator[Message]:
    content = message.get_payload()
    return iter([part for part in content if isinstance(part, Message)] if isinstance(content, list) else [])


def _failure(part: Message) -> str | None:
    """The status of the first recipient that the server has given up on."""
    return next((_header(one, "Status") for one in _parts(part) if _header(one, "Action").lower() == "failed"), None)


def _header(message: Message, name: str) -> str:
    """Without the white space at which long lines are folded."""
    return re.sub(r"\s+", "", str(message.get(name) or ""))
