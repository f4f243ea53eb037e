"""Which file names say most to a reader: those with words, before those that a camera or a program counted up.

A rule, not a judgement, and printed as one: a name is ranked by how many different words it has that no device or
program gives by itself. What a name says need not be true of the content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from heapq import nsmallest

from caid_triage.case.documents import NamedRow
from caid_triage.model import INSIDE, State

RULE = (
    "Chosen by a rule: names with the most different words first, leaving out words that cameras and programs give "
    "(IMG, thumbnail, cache and the like), graver categories and live files first among equals. Each content once."
)
MOST_WORDS = 5
_HEXADECIMAL = re.compile(r"[0-9a-f]{8,}")
_LETTERS = re.compile(r"[^\W\d_]+")
# What stands in names of files by itself, in lower case.
_GIVEN_WORDS = (
    "img image images dsc dscn dscf dcim pict pic pics picture photo photos vid video videos mov movie film clip gif "
    "jpg jpeg png bmp webp tif tiff heic heif avif mp4 avi mkv mpg mpeg webm thumb thumbs thumbnail thumbnails preview "
    "cache cached temp tmp data entry file files download downloads unnamed untitled noname unknown copy new neu "
    "screenshot whatsapp telegram signal snapchat instagram facebook camera pano burst edited cover frame page part "
    "the and"
)
_GIVEN = frozenset(_GIVEN_WORDS.split())


def words_of(path: str) -> frozenset[str]:
    """The words of a file's own name that no device or program gave it by itself, in lower case."""
    name = path.rpartition(INSIDE)[2].rpartition("/")[2].lower()
    stem = name.rpartition(".")[0] or name
    found = _LETTERS.findall(_HEXADECIMAL.sub(" ", stem))
    # Two letters make a word in scripts that need no more; in ASCII they are mostly a camera's prefix.
    return frozenset(word for word in found if word not in _GIVEN and (len(word) > 2 or not word.isascii()))


def most_telling(rows: Iterable[NamedRow], most: int) -> list[NamedRow]:
    """The ``most`` rows whose names say most by :data:`RULE`; those that say nothing are left out."""

    def rank(item: tuple[int, NamedRow, int]) -> tuple[float, float, bool, int]:
        place, row, words = item
        severity = 0.5 if row.severity is None else row.severity
        return -min(words, MOST_WORDS), -severity, row.state is not State.ALLOCATED, place

    speaking = ((place, row, len(words_of(row.path))) for place, row in enumerate(rows))
    return [row for _, row, _ in nsmallest(most, (item for item in speaking if item[2]), key=rank)]
