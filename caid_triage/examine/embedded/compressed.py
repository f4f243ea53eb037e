"""One compressed file: gzip, bzip2, xz, LZMA, Zstandard. A tar inside is listed while it is unpacked."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import PIECE, Inner, Listed, unread
from caid_triage.examine.embedded.tar_archive import files_of_stream
from caid_triage.examine.embedded.unpack import unpacked, zstandard_unpacker

TAR_MAGIC = slice(257, 262)
HEAD = 512


class Pieces(io.RawIOBase):
    """A stream of pieces as a file that can be read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        """Fill a buffer; how many bytes that were, 0 at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        taken = self._left[: len(buffer)]
        self._left = self._left[len(taken) :]
        buffer[: len(taken)] = taken
        return len(taken)


def compressed_file(content: Content, unpacked: Callable[[Content], Iterator[bytes]], name: bytes) -> Iterator[Listed]:
    """The one file of a compressed stream, or the files of the tar in it."""
    pieces = unpacked(content)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD:
            break
    if head[TAR_MAGIC] == b"ustar":
        yield from files_of_stream(io.BufferedReader(Pieces(chain([head], pieces)), PIECE))
        return
    yield Inner(name, lambda: _cut(chain([head], pieces)))


def _cut(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), PIECE):
            yield piece[start : start + PIECE]


def _members(make: Callable[[], Any], content: Content) -> Iterator[bytes]:
    return unpacked(make, content.pieces(0, content.size), members=content.at(0, 2))


def gzip_file(content: Content) -> Iterator[Listed]:
    """The file of a gzip stream, by the name in its header where it has one (RFC 1952)."""
    yield from compressed_file(content, _gzip, _gzip_name(content.at(0, 1024)))


def _gzip(content: Content) -> Iterator[bytes]:
    return _members(partial(zlib.decompressobj, 16 + zlib.MAX_WBITS), content)


def _gzip_name(head: bytes) -> bytes:
    flags, at = head[3:4], 10
    if not flags or not flags[0] & 8:
        return b"content"
    if flags[0] & 4:
        at += 2 + int.from_bytes(head[10:12], "little")
    name = head[at : head.find(b"\0", at)]
    return name or b"content"


def bzip2_file(content: Content) -> Iterator[Listed]:
    """The file of a bzip2 stream."""
    yield from compressed_file(content, partial(_members, bz2.BZ2Decompressor), b"content")


def xz_file(content: Content) -> Iterator[Listed]:
    """The file of an xz or LZMA stream; a dictionary of more than 256 MB is refused by the decoder."""
    make = partial(lzma.LZMADecompressor, lzma.FORMAT_AUTO, 256 << 20)
    yield from compressed_file(content, partial(_members, make), b"content")


def zstandard_file(content: Content) -> Iterator[Listed]:
    """The file of a Zstandard stream."""
    make = zstandard_unpacker()
    if make is None:
        yield unread(b"content", "Zstandard is not installed")
        return
    yield from compressed_file(content, partial(_members, make), b"content")
