"""Text in XML 1.0: what it cannot hold is escaped as in every name (exact_names.py), what it would change is kept."""

from __future__ import annotations

import re

from caid_triage.exact_names import escape

# All but the characters of XML 1.0 (fifth edition, 2.2 Char).
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_MARKED = re.compile('[&<>"\t\n\r]')


def is_writable(text: str) -> bool:
    """Whether XML can hold the text as it is."""
    return _IMPOSSIBLE.search(text) is None


def writable(text: str) -> str:
    """The text with the characters that XML cannot hold as visible escapes."""
    return _IMPOSSIBLE.sub(lambda found: escape(found[0]), text)


def escaped(text: str) -> str:
    """The text as the content of an element or the value of an attribute in double quotes: a reader gets it exactly."""
    return _MARKED.sub(lambda found: _MARKS[found[0]], writable(text))


def cdata(text: str) -> str:
    """The text as CDATA sections. A reader takes a carriage return in one for a line's end: it is escaped visibly."""
    return "<![CDATA[" + writable(text).replace("\r", escape("\r")).replace("]]>", "]]]]><![CDATA[>") + "]]>"
