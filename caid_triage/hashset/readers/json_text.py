"""A JSON file in a sliding window, its list entries parsed some thousand at a time, every fault named by its byte.

The standard library's scanner parses one entry after another out of the window and says where each ends, so
that nothing has to guess where an entry begins. An entry that the window cuts is parsed again when more of the
file is there. Objects come as dicts; one in which a key stands twice comes as the tuple of its (key, value)
pairs, so that nobody takes one of the two values for the right one unseen.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_NESTING = 200
MAX_DIGITS = 2_000
MAX_ENTRY_CHARACTERS = 1 << 25
_NEAR_END = 16
_STRIDE = 64
_DIGITS_IN_STRIDE = re.compile(r"[0-9]{33}")
_DIGITS = re.compile(rf"[0-9]{{{MAX_DIGITS}}}")
_SPACE = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|NaN|-?Infinity', re.DOTALL)
_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{\]}]', re.DOTALL)
_LITERALS = ("true", "false", "null")
_KEY = re.compile(r'"([A-Za-z0-9@.$_]{1,40})"\s*:')

Object = dict[str, Any] | tuple[tuple[str, Any], ...]


class BrokenJsonError(Exception):
    """The text stops being JSON. ``offset`` is the byte of the file, ``phrase`` what is wrong, ``index`` the
    place in the window. ``hostile``: JSON that no hash set needs and a parser should not be given."""

    def __init__(self, phrase: str, offset: int, index: int, hostile: bool = False) -> None:
        super().__init__(phrase)
        self.phrase, self.offset, self.index, self.hostile = phrase, offset, index, hostile


class _ConstantError(ValueError):
    """NaN or Infinity: Python's scanner knows them, JSON does not."""


class JsonText:
    """The window: ``text`` is part of the file, ``place`` where the reading stands in it.

    ``blocks`` are the bytes of the file from its beginning and ``head`` the first of them. ``known_keys`` (in
    lower case) are the keys that may be named in a message.
    """

    def __init__(self, blocks: Iterable[bytes], head: bytes, known_keys: frozenset[str] = frozenset()) -> None:
        utf16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(head[:2])
        self._encoding = utf16 or "utf-8"
        self._decoder = codecs.getincrementaldecoder(self._encoding)("replace" if utf16 else "strict")
        self._skip = 2 if utf16 else 3 * head.startswith(codecs.BOM_UTF8)
        self._blocks = iter(blocks)
        self._known_keys = known_keys
        self._base = self._skip
        self._not_text = b""
        self.text = ""
        self.place = 0
        self.ended = False
        decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=Decimal, parse_constant=_refuse_constant)
        # (text, place) -> (value, where it ends): what raw_decode calls, without naming line and column of a fault.
        self.scan: Callable[[str, int], tuple[Any, int]] = vars(decoder)["scan_once"]

    def more(self) -> bool:
        """Let go of what was read and take in at least as much again as is left; False at the end of the file."""
        if self.ended:
            return False
        left = self.text[self.place :]
        self._base = self.byte_at(self.place)
        self.text, self.place = left, 0
        new: list[str] = []
        wanted = max(1, len(left))
        while wanted > 0 and not self.ended:
            new.append(self._next_text())
            wanted -= len(new[-1])
        added = "".join(new)
        self.text = left + added
        run = _long_number(added)
        if run is not None:
            index = len(left) + run
            raise BrokenJsonError(f"a run of more than {MAX_DIGITS} digits", self.byte_at(index), index, hostile=True)
        return bool(added)

    def byte_at(self, index: int) -> int:
        """The byte of the file at which character ``index`` of the window stands."""
        return self._base + self._bytes(0, index)

    def bytes_at(self, indices: list[int]) -> NDArray[np.int64]:
        """The bytes of the file at which ascending places of the window stand."""
        places = np.array(indices, dtype=np.int64)
        if self._encoding == "utf-8" and self.text.isascii():
            return self._base + places
        lengths = [self._bytes(a, b) for a, b in zip([0, *indices], indices, strict=False)]
        return self._base + np.cumsum(lengths, dtype=np.int64)

    def next_char(self) -> str:
        """The next character that is not white space, where ``place`` then stands; "" at the end of the file."""
        while True:
            match = _SPACE.match(self.text, self.place)
            self.place = match.end() if match else self.place
            if self.place < len(self.text):
                return self.text[self.place]
            if not self.more():
                if self._not_text:  # the text ends here, the file does not
                    raise self.broken(self.place)
                return ""

    def expect(self, char: str) -> None:
        """Go past a character that must come next."""
        if self.next_char() != char:
            raise self.broken(self.place)
        self.place += 1

    def value(self) -> Any:
        """The whole value that stands next."""
        while True:
            self.next_char()
            try:
                value, end = self.scan(self.text, self.place)
            except (ValueError, ArithmeticError, StopIteration, RecursionError) as error:
                self.retry_or_raise(error, self.place)
                continue
            # A number at the end of the window may go on behind it.
            if end < len(self.text) or not self.more():
                self.refuse_deep(self.place, end)
                self.place = end
                return value

    def members(self) -> Iterator[str]:
        """The keys of the object that stands next; the caller takes each value before it asks for the next key."""
        self.expect("{")
        if self.next_char() == "}":
            self.place += 1
            return
        while True:
            if self.next_char() != '"':
                raise self.broken(self.place)
            key = self.value()
            self.expect(":")
            yield key
            if self.next_char() == "}":
                self.place += 1
                return
            self.expect(",")

    def elements(self) -> Iterator[None]:
        """Stands before each value of the list that stands next; the caller takes it before asking for the next."""
        self.expect("[")
        if self.next_char() == "]":
            self.place += 1
            return
        while True:
            yield
            if self.next_char() == "]":
                self.place += 1
                return
            self.expect(",")

    def entries(self) -> Iterator[tuple[list[Any], list[int]]]:
        """The values of the list that stands next, in slabs: (values, place of each in the window)."""
        self.expect("[")
        if self.next_char() == "]":
            self.place += 1
            return
        while True:
            values, starts, last = self._slab()
            if values:
                yield values, starts
            if last:
                return

    def may_be_cut(self, error: BaseException) -> bool:
        """Whether a value could only not be parsed because the window ends in the middle of it."""
        if self.ended:
            return False
        if isinstance(error, json.JSONDecodeError):
            return error.msg.startswith("Unterminated string") or error.pos > len(self.text) - _NEAR_END
        return isinstance(error, StopIteration) and int(error.value) > len(self.text) - _NEAR_END

    def _slab(self) -> tuple[list[Any], list[int], bool]:
        """All values that stand whole in the window (none if it had to be filled), and whether the list ended."""
        values: list[Any] = []
        starts: list[int] = []
        self.next_char()
        text, scan, place, end_of_text = self.text, self.scan, self.place, len(self.text)
        opened = text.count("{", place) + text.count("[", place)
        try:
            while True:
                value, end = scan(text, place)
                separator = text[end : end + 1]
                if separator not in (",", "]"):
                    match = _SPACE.match(text, end)
                    end = match.end() if match else end
                    separator = text[end : end + 1]
                if separator == ",":
                    values.append(value)
                    starts.append(place)
                    place = end + 1
                    if text[place : place + 1] != "{":
                        match = _SPACE.match(text, place)
                        place = match.end() if match else place
                    continue
                if separator == "]":
                    values.append(value)
                    starts.append(place)
                    self._check_nesting(values, starts, opened, end)
                    self.place = end + 1
                    return values, starts, True
                if end < end_of_text or self.ended:
                    raise json.JSONDecodeError("delimiter", "", end)
                break  # the window ends before it is known whether the value does
        except (ValueError, ArithmeticError, StopIteration, RecursionError) as error:
            if values:
                # What is whole comes first; the next call stands at the fault and meets it again.
                self._check_nesting(values, starts, opened, place)
                self.place = place
                return values, starts, False
            self.place = place
            self.retry_or_raise(error, place)
            return [], [], False
        self._check_nesting(values, starts, opened, place)
        self.place = place
        if not values:
            self.more_or_raise(place)
        return values, starts, False

    def retry_or_raise(self, error: BaseException, start: int) -> None:
        """Take in more text if the value at ``start`` may only be cut by the window; else say what is wrong."""
        if isinstance(error, RecursionError):
            raise self._too_deep(start)
        if self.may_be_cut(error):
            self.more_or_raise(start)
        elif isinstance(error, json.JSONDecodeError):
            raise self.broken(len(self.text) if error.msg.startswith("Unterminated string") else error.pos)
        elif isinstance(error, StopIteration):
            raise self.broken(int(error.value))
        else:
            # NaN and Infinity, or a number that no number type holds.
            raise self.broken(self._first_constant(start) if isinstance(error, _ConstantError) else start)

    def more_or_raise(self, start: int) -> None:
        """Take in more text for the value at ``start``; BrokenJsonError if it is longer than any entry may be."""
        if len(self.text) - start > MAX_ENTRY_CHARACTERS:
            raise BrokenJsonError(
                f"one value is longer than {MAX_ENTRY_CHARACTERS >> 20} MiB", self.byte_at(start), start, hostile=True
            )
        self.more()

    def broken(self, index: int) -> BrokenJsonError:
        """The fault at a place of the window, in words that quote nothing but a key of the data model."""
        rest = self.text[index:]
        at_end = self.ended and (not rest or any(word.startswith(rest) for word in _LITERALS) or rest == "-")
        if at_end and self._not_text:
            phrase, index = "bytes that are not UTF-8 text", len(self.text)
        elif at_end:
            phrase, index = "the file ends in the middle of the data", len(self.text)
        else:
            phrase = "not valid JSON"
        phrase += after_key(self.text[max(0, index - 400) : index], self._known_keys)
        return BrokenJsonError(phrase, self.byte_at(index), index)

    def refuse_deep(self, begin: int, end: int) -> None:
        """BrokenJsonError if the value between two places nests deeper than any hash set does."""
        text = self.text
        opened = text.count("{", begin, end) + text.count("[", begin, end)
        if opened > MAX_NESTING and _depth(text, begin, end) > MAX_NESTING:
            raise self._too_deep(begin)

    def _check_nesting(self, values: list[Any], starts: list[int], opened: int, end: int) -> None:
        if opened > MAX_NESTING + len(values):
            for begin, behind in zip(starts, [*starts[1:], end], strict=True):
                self.refuse_deep(begin, behind)

    def _too_deep(self, start: int) -> BrokenJsonError:
        return BrokenJsonError(f"nested more than {MAX_NESTING} levels deep", self.byte_at(start), start, hostile=True)

    def _first_constant(self, start: int) -> int:
        for match in _TOKEN.finditer(self.text, start):
            if not match[0].startswith('"'):
                return match.start()
        return start

    def _next_text(self) -> str:
        """The next block as text; a block that is not text is cut before the first byte that is not."""
        raw = next(self._blocks, b"")
        self.ended = not raw
        block, self._skip = raw[self._skip :], max(0, self._skip - len(raw))
        pending = self._decoder.getstate()[0]
        try:
            return self._decoder.decode(block, final=self.ended)
        except UnicodeDecodeError as error:
            self.ended, self._not_text = True, (pending + block)[error.start :]
            return (pending + block)[: error.start].decode(self._encoding)

    def keep_bytes_that_are_not_text(self) -> None:
        """For salvage: go on behind bytes that are not UTF-8; they become lone surrogates U+DC80 to U+DCFF."""
        self._decoder = codecs.getincrementaldecoder(self._encoding)(
            "surrogateescape" if self._encoding == "utf-8" else "replace"
        )
        if self._not_text:
            self._blocks = chain([self._not_text], self._blocks)
            self.ended, self._not_text = False, b""

    def _bytes(self, begin: int, end: int) -> int:
        """How many bytes of the file a part of the window stands for."""
        part = self.text[begin:end]
        if self._encoding == "utf-8":
            return len(part) if part.isascii() else len(part.encode("utf-8", "surrogateescape"))
        return len(part.encode(self._encoding, "surrogatepass"))


def after_key(before: str, known_keys: frozenset[str]) -> str:
    """ " shortly after the key NAME" for the last key of the data model in a text; "" if there is none."""
    for name in reversed(_KEY.findall(before)):
        if name.lower() in known_keys:
            return f' shortly after the key "{name}"'
    return ""


def _object(pairs: list[tuple[str, Any]]) -> Object:
    named = dict(pairs)
    return named if len(named) == len(pairs) else tuple(pairs)


def _refuse_constant(_: str) -> Any:
    raise _ConstantError


def _depth(text: str, begin: int, end: int) -> int:
    """How deep the brackets of a text nest, those in strings not counted."""
    depth = deepest = 0
    for match in _BRACKET.finditer(text, begin, end):
        if match[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in "]}":
            depth -= 1
    return deepest


def _long_number(text: str) -> int | None:
    """Where a run of too many digits begins. Of a run that two windows share one side is still too long for Python.

    Every 64th character is looked at first: 33 digits there in a row hardly ever happen by chance.
    """
    if not _DIGITS_IN_STRIDE.search(text[::_STRIDE]):
        return None
    run = _DIGITS.search(text)
    return run.start() if run else None
