"""What is whole in a broken JSON file: every entry that parses by itself, and the bytes between that hold none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.readers.json_text import JsonText, Object

_MAX_CHARACTERS = 1 << 20
_SLAB = 2_000
_NOT_TEXT = re.compile("[\udc80-\udcff]")
# Between two entries: commas and brackets only, or the end of one case and the head of the next.
_STRUCTURE = re.compile(r'[\s,\[\]{}]*|\s*\](?:[^"\[\]]|"[^"]{0,200}"){0,200}"Media"\s*:\s*\[\s*', re.DOTALL)
_TAIL = re.compile(r"\s*\][^\[]*", re.DOTALL)


class Salvaged(NamedTuple):
    """Entries in file order, the byte of each, and the byte ranges (from, up to) in which nothing whole stands."""

    values: list[Any]
    offsets: NDArray[np.int64]
    lost: list[tuple[int, int]]


def salvaged(text: JsonText, is_entry: Callable[[Object], bool]) -> Iterator[Salvaged]:
    """Everything whole from where ``text`` stands to the end of the file.

    ``is_entry`` tells an entry from an object inside one or around some. BrokenJsonError only for hostile JSON.
    """
    text.keep_bytes_that_are_not_text()
    look, long_gap_from = text.place, -1
    values: list[Any] = []
    places: list[int] = []
    lost: list[tuple[int, int]] = []
    while True:
        value, begin, end = _next_entry(text, look, is_entry)
        if end >= 0:
            if long_gap_from >= 0 or not _STRUCTURE.fullmatch(text.text, text.place, begin):
                lost.append((long_gap_from if long_gap_from >= 0 else text.byte_at(text.place), text.byte_at(begin)))
                long_gap_from = -1
            values.append(value)
            places.append(begin)
            look = text.place = end
            if len(values) < _SLAB:
                continue
        if values:
            # The window moves on: places must become bytes first.
            yield Salvaged(values, text.bytes_at(places), lost)
            values, places, lost = [], [], []
        if end >= 0:
            continue
        at_end = begin == len(text.text)
        if begin - text.place > _MAX_CHARACTERS:
            long_gap_from = long_gap_from if long_gap_from >= 0 else text.byte_at(text.place)
            text.place = begin
        look = begin - text.place
        if not text.more() and at_end:
            break
        if text.place:
            look = begin  # the file had ended: the window stayed
    gap = text.text[text.place :]
    if long_gap_from >= 0 or not (_STRUCTURE.fullmatch(gap) or _TAIL.fullmatch(gap)):
        start = long_gap_from if long_gap_from >= 0 else text.byte_at(text.place)
        yield Salvaged([], text.bytes_at([]), [(start, text.byte_at(len(text.text)))])


def _next_entry(text: JsonText, look: int, is_entry: Callable[[Object], bool]) -> tuple[Any, int, int]:
    """(entry, where it begins, where it ends); end -1 if more text is needed, begin is then where to go on."""
    while True:
        begin = text.text.find("{", look)
        if begin < 0:
            return None, len(text.text), -1
        try:
            value, end = text.scan(text.text, begin)
        except RecursionError as error:
            text.retry_or_raise(error, begin)
        except (ValueError, ArithmeticError, StopIteration) as error:
            if text.may_be_cut(error) and len(text.text) - begin < _MAX_CHARACTERS:
                return None, begin, -1
        else:
            if is_entry(value) and not _NOT_TEXT.search(text.text, begin, end):
                text.refuse_deep(begin, end)
                return value, begin, end
        look = begin + 1
