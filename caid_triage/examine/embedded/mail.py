"""Mail as text: single messages (RFC 5322, .eml) and mailboxes of them (mbox, RFC 4155)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import policy
from email.message import Message
from email.parser import BytesParser

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GOES_ON, GoesOn, Inner, Listed, problem, whole

LONGEST_MESSAGE = 128 << 20
WINDOW = 8 << 20
LONGEST_LINE = 1024
_BORDER = re.compile(rb"\r?\n(?=From \S{1,300} [^\n]{0,100}?\d\d:\d\d)")


def message_parts(content: Content) -> Iterator[Listed]:
    """The attachments and pictures of one message."""
    if content.size > LONGEST_MESSAGE:
        yield problem("inside-too-large", f"the message is larger than {LONGEST_MESSAGE} bytes and was not opened")
        return
    yield from _parts(_without_apples_line(content.at(0, content.size)), b"")


def _without_apples_line(message: bytes) -> bytes:
    """Apple Mail writes the length of the message before it (.emlx)."""
    first, _, rest = message.partition(b"\n")
    return rest if first.strip().isdigit() else message


def mailbox_parts(content: Content) -> Iterator[Listed]:
    """The attachments and pictures of every message of a mailbox, by the message's number."""
    number = 0
    for message in _messages(content):
        if isinstance(message, GoesOn):
            yield message
            continue
        number += 1
        if message is None:
            text = f"message {number} is larger than {LONGEST_MESSAGE} bytes and was not opened"
            yield problem("inside-too-large", text)
        else:
            yield from _parts(message, b"message-%d/" % number)


def _messages(content: Content) -> Iterator[bytes | GoesOn | None]:
    """The messages of a mailbox; None for one that is too long."""
    kept = bytearray()
    long = False
    for piece in content.pieces(0, content.size, WINDOW):
        # Only the end of what is kept can be the beginning of a border: a line of that kind is short.
        start = max(0, len(kept) - LONGEST_LINE)
        kept += piece
        begin = 0
        for border in _BORDER.finditer(kept, start):
            yield None if long or border.start() - begin > LONGEST_MESSAGE else bytes(kept[begin : border.start()])
            begin, long = border.end(), False
        del kept[:begin]
        if len(kept) > LONGEST_MESSAGE:
            long = True
            del kept[:-LONGEST_LINE]
        yield GOES_ON
    if kept:
        yield None if long else bytes(kept)


def _parts(message: bytes, before: bytes) -> Iterator[Inner]:
    """The parts of a message that are no text of its own."""
    if message.startswith(b"From "):
        message = message.partition(b"\n")[2]
    parsed: Message = BytesParser(policy=policy.compat32).parsebytes(message)
    for number, part in enumerate(parsed.walk(), 1):
        if part.is_multipart():
            continue
        name = part.get_filename()
        if name is None and part.get_content_maintype() == "text":
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and payload:
            label = f"part-{number}" if name is None else str(name)
            yield Inner(before + label.encode("utf-8", "surrogateescape"), whole(payload), len(payload))
