"""Paths as evidence has them (bytes) and as a report may print them (printable text, one line).

A display path is "/" separated and begins with "/". Bytes that are not UTF-8 and control characters
appear as ``\\xNN``, other characters that do not print (direction marks, unassigned, line separators)
as ``\\uNNNN``. The bytes themselves stay in ``FileEntry.raw_path``.
"""

from __future__ import annotations

import unicodedata


def display_name(raw: bytes) -> str:
    """One name of a path as printable text: what does not print is escaped."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable() and "/" not in text:
        return text
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    number = ord(character)
    if character == "/":  # not a separator: a separator never stands inside a name
        return "\\x2f"
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
