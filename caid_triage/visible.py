"""Text as a page or a terminal may show it: what is invisible, steers a terminal or turns the reading order is escaped.

Names of files, labels of hash sets and words of metadata are somebody else's. Shown as they are they could clear a
screen, forge a line, set a window's title or clipboard (ECMA-48 control strings), read backwards (Unicode UAX 9), pass
for another name, or pile marks over the lines beside them. What is exact is in the case and in the CSV files.
"""

from __future__ import annotations

import unicodedata

# Controls, formats (bidi, zero width), private use, surrogates, unassigned, separators of lines and of paragraphs.
INVISIBLE = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
# What draws nothing although its category says a letter, a mark or a symbol (Unicode, Default_Ignorable_Code_Point, and
# the empty Braille cell).
BLANK = frozenset({0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164, 0xFFA0})
SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
# Of one letter: more than any writing needs (Hebrew with vowels and accents has three), few enough to stay in the line.
MOST_MARKS = 4


def shown(value: str) -> str:
    """A text of one line as it may be shown: characters that are invisible or steer become escapes, ``\\u{202e}``.

    So do the marks above one letter beyond the fourth. Tabs and line breaks are escaped too: who writes several columns
    or lines shows each of them.
    """
    if value.isascii() and value.isprintable():
        return value
    parts = []
    marks = 0
    for character in value:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        number = ord(character)
        unseen = category in INVISIBLE or number in BLANK or any(number in span for span in SELECTORS)
        parts.append(f"\\u{{{number:04x}}}" if unseen or marks > MOST_MARKS else character)
    return "".join(parts)


def many(count: int, what: str) -> str:
    """How many of something, in words: "1 exhibit", "1,200 exhibits"; ``what`` is the word for one of them."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
