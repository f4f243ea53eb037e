"""Text in CSV cells that no spreadsheet takes for a formula, and the text again, exactly.

A program that opens a CSV file by double click runs what begins with "=", "+", "-" or "@" (OWASP, CSV Injection; some
strip white space, quotes or what is invisible first, some read the full-width forms too). Such a cell gets one
apostrophe before it, and so does each further line of a cell that begins so, for a program that cuts rows at any line
break. A cell that already has apostrophes there gets one more: :func:`unguarded` takes away exactly what
:func:`guarded` put in, whatever the text was. Paths begin with "/" and are never changed by it.
"""

from __future__ import annotations

import re

# White space (but line breaks), quotes and what draws nothing: a formula may stand behind any of it. One class of
# characters, and never given back: two classes that share a sign would try every way to read a name made of them.
_BLANK = (
    "[\\t\\v\\f \u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\"'\u2018-\u201f\u00ab\u00bb\u2039\u203a"
    "\\x00-\\x08\\x0e-\\x1f\\x7f-\xa0\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*+"
)
_SIGN = "[-=+@\uff0d\uff1d\uff0b\uff20\ufe62\ufe63\ufe66\ufe6b]"
# Where a text, or a line of it, begins with what a spreadsheet would run; a tab or a line break in front is enough.
_BITES = f"(?={_BLANK}{_SIGN})"
_BEGINS = f"(?:\\A(?:{_BITES}|(?='*[\\t\\r\\n]))|(?<=[\\r\\n]){_BITES})"
_BITING = re.compile(_BEGINS)
# The apostrophe that was put there: what is behind it bites by itself.
_GUARD = re.compile(_BEGINS.replace("(?=", "'(?="))
_PLAIN = frozenset("/0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def guarded(text: str) -> str:
    """The text as a cell that a spreadsheet reads as text: unchanged, or with an apostrophe where it would bite."""
    if not text or (text[0] in _PLAIN and "\n" not in text and "\r" not in text):  # nearly all cells
        return text
    return _BITING.sub("'", text)


def unguarded(cell: str) -> str:
    """The text of a cell: ``unguarded(guarded(text)) == text`` for every text."""
    return _GUARD.sub("", cell)
