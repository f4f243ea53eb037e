"""Mail as text: single messages (RFC 5322, .eml) and mailboxes of them (mbox, RFC 4155)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import policy
from email.message import Message
from email.parser import BytesParser

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, problem, whole

LONGEST_MESSAGE = 128 << 20
WINDOW = 8 << 20
_BORDER = re.compile(rb"(?:\r?\n)(?=From \S+ .*\d\d:\d\d)")


def message_parts(content: Content) -> Iterator[Listed]:
    """The attachments and pictures of one message."""
    if content.size > LONGEST_MESSAGE:
        yield problem("inside-too-large", f"the message is larger than {LONGEST_MESSAGE} bytes and was not opened")
        return
    yield from _parts(content.at(0, content.size), b"")


def mailbox_parts(content: Content) -> Iterator[Listed]:
    """The attachments and pictures of every message of a mailbox, by the message's number."""
    for number, message in enumerate(_messages(content), 1):
        if message is None:
            text = f"message {number} is larger than {LONGEST_MESSAGE} bytes and was not opened"
            yield problem("inside-too-large", text)
        else:
            yield from _parts(message, b"message-%d/" % number)


def _messages(content: Content) -> Iterator[bytes | None]:
    """The messages of a mailbox; None for one that is too long."""
    kept, long = b"", False
    for piece in content.pieces(0, content.size, WINDOW):
        *ended, kept = _BORDER.split(kept + piece)
        for message in ended:
            yield None if long else message
            long = False
        if len(kept) > LONGEST_MESSAGE:
            kept, long = kept[-1024:], True
    if kept:
        yield None if long else kept


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
