"""Names as text that loses nothing: what stands for itself, what stands as an escape, and how the bytes come back.

A name is bytes, and most formats hold text. What the format in hand cannot hold, or a reader would not see, is an
escape: ``\\x01`` to ``\\x7f`` is that character, ``\\x80`` to ``\\xff`` that one byte of a name that is no UTF-8,
``\\u202e`` and ``\\U000e0001`` are those characters; hex digits are lower-case. A backslash of the name that would be
read as the beginning of an escape stands as ``\\x5c``, any other as it is. So two names are never one text, and who
takes the escapes back need not know which there are (docs/decisions/0048-exact-names.md).
"""

from __future__ import annotations

import re

# What begins an escape behind a backslash; ``u{202e}`` is how pages and documents show a character (visible.shown).
_HEX = "[0-9a-f]"
_ESCAPED = f"x{_HEX}{{2}}|u{_HEX}{{4}}|U{_HEX}{{8}}"
_ESCAPE = re.compile(rf"\\({_ESCAPED})")
_AMISS = re.compile(rf"[\udc80-\udcff]|\\(?={_ESCAPED}|u\{{{_HEX}{{4,6}}\}})")
_HALVES = 0xDC00  # how Python decodes a byte that is no UTF-8: half a surrogate pair, which UTF-8 has not


def exact_text(raw: bytes) -> str:
    """A name or path as text: what its bytes are in UTF-8, with an escape for each that is none."""
    return _AMISS.sub(_of_byte, raw.decode("utf-8", "surrogateescape"))


def exact_bytes(text: str) -> bytes:
    """The bytes of a name or path that :func:`exact_text` made, whatever a format escaped in it besides.

    Errors: ValueError for a text with an escape of no character, which none of ours has.
    """
    pieces = _ESCAPE.split(text)
    pieces[1::2] = map(_character, pieces[1::2])
    return "".join(pieces).encode("utf-8", "surrogateescape")


def escape(character: str) -> str:
    """The escape of a character."""
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _of_byte(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number - _HALVES if number >= _HALVES else number:02x}"


def _character(escaped: str) -> str:
    number = int(escaped[1:], 16)
    return chr(_HALVES + number if escaped[0] == "x" and number >= 0x80 else number)
