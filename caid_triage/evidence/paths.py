"""Paths as evidence has them (bytes) and as a report may print them (printable text, one line).

A display path is "/" separated and begins with "/". Bytes that are not UTF-8, control characters and others that do not
print (direction marks, unassigned, line separators) are escapes (exact_names.py), so that two names never look alike.
The bytes themselves stay in ``FileEntry.raw_path``.
"""

from __future__ import annotations

import unicodedata

from caid_triage.exact_names import escape, exact_text


def display_name(raw: bytes) -> str:
    """One name of a path as printable text: what does not print is escaped."""
    text = exact_text(raw)
    if text.isprintable() and "/" not in text:
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character == "/":  # not a separator: a separator never stands inside a name
        return escape(character)
    return character if character.isprintable() or unicodedata.category(character) == "Zs" else escape(character)
