"""A JSON file cut after each closing brace, so that the position of every record and fault is known to the byte.

ijson's back ends do not say where they are in the file. Fed one piece at a time they need not: a record
is complete exactly when the piece that ends with its brace went in. UTF-16 is turned into UTF-8 on the way.

Two kinds of file would bring down the C back end of ijson (3.6.0) instead of raising, so they are refused
here: a number longer than Python converts (segmentation fault), and nesting of tens of thousands of levels
(memory by the square of the depth).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator

MAX_NESTING = 2_000
_MAX_DIGITS = 2_000
_STRIDE = 64
_DIGITS_IN_STRIDE = re.compile(rb"[0-9]{33}")
_DIGITS = re.compile(rb"[0-9]{%d}" % _MAX_DIGITS)


class HostileJsonError(ValueError):
    """JSON that no hash set needs and that a parser would not survive; the text is the reason."""


class Pieces:
    """The pieces of one JSON file: iterate for UTF-8 bytes; ``offset`` is then the file position after the piece.

    ``begin`` is where the JSON starts (after a byte-order mark). Call ``record_done`` after each complete record.
    """

    def __init__(self, blocks: Iterable[bytes], head: bytes) -> None:
        self._blocks = blocks
        self._utf16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}.get(head[:2])
        self.begin = 2 if self._utf16 else 3 * head.startswith(codecs.BOM_UTF8)
        self.offset = self.begin
        self.count = 0
        self._nesting = 0

    def __iter__(self) -> Iterator[bytes]:
        for block in self._utf8_blocks():
            if (run := _long_number(block)) is not None:
                self.offset += self.length_in_file(block[:run])
                raise HostileJsonError(f"a run of more than {_MAX_DIGITS} digits")
            for piece in _cut(block):
                self._nesting += piece.count(b"{") + piece.count(b"[") - piece.count(b"]") - piece.count(b"}")
                if self._nesting > MAX_NESTING:
                    self.offset += self.length_in_file(piece)
                    raise HostileJsonError(f"nested more than {MAX_NESTING} levels deep")
                self.count += 1
                self.offset += self.length_in_file(piece)
                yield piece

    def record_done(self) -> None:
        """A record is complete: braces inside its texts must not add up to nesting."""
        self._nesting = 0

    def length_in_file(self, piece: bytes) -> int:
        """How many bytes of the file a piece of the UTF-8 stream stands for."""
        if self._utf16 is None:
            return len(piece)
        return len(piece.decode("utf-8", "replace").encode("utf-16-le"))

    def _utf8_blocks(self) -> Iterator[bytes]:
        skip = self.begin
        decoder = codecs.getincrementaldecoder(self._utf16)(errors="replace") if self._utf16 else None
        for raw in self._blocks:
            block, skip = raw[skip:], max(0, skip - len(raw))
            if decoder is not None:
                block = decoder.decode(block).encode("utf-8")
            if block:
                yield block
        if decoder is not None and (rest := decoder.decode(b"", final=True)):
            yield rest.encode("utf-8")


def _cut(block: bytes) -> Iterator[bytes]:
    """The block in pieces that end with a closing brace (the last one perhaps not); none is empty."""
    parts = block.split(b"}")
    for part in parts[:-1]:
        yield part + b"}"
    if parts[-1]:
        yield parts[-1]


def _long_number(block: bytes) -> int | None:
    """Where a run of too many digits begins. A run cut in two by a block boundary keeps 2,150 on one side.

    Every 64th byte is looked at first: 33 digits there in a row never happen by chance, and such a run has them.
    """
    if not _DIGITS_IN_STRIDE.search(block[::_STRIDE]):
        return None
    run = _DIGITS.search(block)
    return run.start() if run else None
