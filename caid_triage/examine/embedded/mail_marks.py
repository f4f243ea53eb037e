"""How mail is told from other text: by the lines that it begins with."""

from __future__ import annotations

import re

_FIELD = re.compile(
    rb"^(return-path|received|delivered-to|message-id|mime-version|from|to|subject|date|x-[a-z-]+|content-type):", re.I
)
_MAILBOX = re.compile(rb"^From \S+ .*\d\d:\d\d", re.M)


def is_message(head: bytes) -> bool:
    """Whether a text begins like a message: at least two of its first lines are fields of mail."""
    lines = [line for line in head[:8192].splitlines()[:12] if line[:1] not in (b" ", b"\t")]
    return sum(bool(_FIELD.match(line)) for line in lines) >= 3


def is_mailbox(head: bytes) -> bool:
    """Whether a text begins like a mailbox: with the line that stands between messages, then fields."""
    first, _, rest = head[:8192].partition(b"\n")
    return bool(_MAILBOX.match(first)) and bool(_FIELD.match(rest))
