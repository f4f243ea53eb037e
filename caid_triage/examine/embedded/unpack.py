"""Decompression in bounded pieces, by the decompressor objects of zlib, bz2 and lzma."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from caid_triage.examine.embedded.inner import PIECE


def unpacked(make: Callable[[], Any], packed: Iterable[bytes], *, members: bool = False) -> Iterator[bytes]:
    """What a decompressor makes of packed pieces, at most 1 MiB at a time.

    It ends where the stream says that it ends, or with ``members`` after the last of several streams, zeros between and
    behind them left alone. EOFError where a stream is cut.
    """
    unpacker, fresh = make(), True
    for read in packed:
        piece = read
        while True:
            if fresh and members and not piece.strip(b"\0"):
                break
            fresh = False
            out = unpacker.decompress(piece, PIECE)
            if out:
                yield out
            if unpacker.eof:
                if not members:
                    return
                piece, unpacker, fresh = unpacker.unused_data, make(), True
                continue
            # zlib hands back what it did not take, the others keep it.
            piece = getattr(unpacker, "unconsumed_tail", b"")
            if not piece and getattr(unpacker, "needs_input", True):
                break
    if not fresh:
        message = "the packed data end in the middle of the file"
        raise EOFError(message)
