"""The body of an answer of a web server as a browser keeps it: packed as it was sent, by what its headers say.

Source: RFC 9110 8.4 (Content-Encoding), RFC 7932 (Brotli), RFC 8878 (Zstandard).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from caid_triage.examine.boundary import Failure, at_the_boundary
from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import PIECE
from caid_triage.examine.embedded.unpack import ZSTANDARD_MAGIC, unpacked, zstandard_unpacker
from caid_triage.examine.libraries import library

_ENCODING = re.compile(rb"content-encoding:[ \t]*([a-z-]+)", re.IGNORECASE)

Pieces = Callable[[], Iterator[bytes]]


def body_pieces(content: Content, start: int, length: int, headers: bytes) -> tuple[Pieces, int | None]:
    """The pieces of a body, unpacked, and its length where that is known; as it lies where it is not packed as said."""
    as_it_lies = partial(content.pieces, start, length)
    said = _ENCODING.search(headers)
    unpack = _UNPACKERS.get(said.group(1).lower()) if said else None
    if unpack is not None:
        pieces = partial(unpack, as_it_lies)
        first = at_the_boundary(partial(_first, pieces))
        if not isinstance(first, Failure) and first is not None:
            return pieces, None
    return as_it_lies, length


def _first(pieces: Pieces) -> bytes | None:
    return next(pieces(), None)


def _gzip(packed: Pieces) -> Iterator[bytes]:
    return unpacked(partial(zlib.decompressobj, 16 + zlib.MAX_WBITS), packed())


def _deflate(packed: Pieces) -> Iterator[bytes]:
    """With zlib's header, as the standard has it, or without, as many servers send it."""
    head = next(packed(), b"")[:2]
    with_header = len(head) == 2 and head[0] & 15 == zlib.DEFLATED and int.from_bytes(head, "big") % 31 == 0
    return unpacked(partial(zlib.decompressobj, zlib.MAX_WBITS if with_header else -zlib.MAX_WBITS), packed())


def _brotli(packed: Pieces) -> Iterator[bytes]:
    brotli = library("brotli")
    if brotli is None:
        return
    unpacker: Any = brotli.Decompressor()
    for piece in packed():
        left = piece
        while True:
            out = unpacker.process(left, output_buffer_limit=PIECE)
            if out:
                yield out
            if unpacker.is_finished():
                return
            if unpacker.can_accept_more_data():
                break
            left = b""
    message = "the packed data end in the middle of the file"
    raise EOFError(message)


def _zstandard(packed: Pieces) -> Iterator[bytes]:
    make = zstandard_unpacker()
    return iter(()) if make is None else unpacked(make, packed(), members=ZSTANDARD_MAGIC)


_UNPACKERS: Mapping[bytes, Callable[[Pieces], Iterator[bytes]]] = MappingProxyType(
    {b"gzip": _gzip, b"x-gzip": _gzip, b"deflate": _deflate, b"br": _brotli, b"zstd": _zstandard}
)
