"""Decompression in bounded pieces, by the decompressor objects of zlib, bz2 and lzma."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from caid_triage.examine.embedded.inner import PIECE
from caid_triage.examine.libraries import library

# Of a Zstandard stream: what its window may take, as a power of two; and how a further frame begins.
ZSTANDARD_WINDOW = 28
ZSTANDARD_MAGIC = b"\x28\xb5"


def zstandard_unpacker() -> Callable[[], Any] | None:
    """What makes a decompressor of Zstandard for :func:`unpacked`; None where it is not installed."""
    zstd = library("compression.zstd") or library("backports.zstd")
    if zstd is None:
        return None
    return partial(zstd.ZstdDecompressor, options={zstd.DecompressionParameter.window_log_max: ZSTANDARD_WINDOW})


def unpacked(make: Callable[[], Any], packed: Iterable[bytes], *, members: bytes = b"") -> Iterator[bytes]:
    """What a decompressor makes of packed pieces, at most 1 MiB at a time.

    It ends where the stream says that it ends. ``members`` is how a further stream behind it would begin: those are
    unpacked too, zeros between and behind them left alone, and anything else behind them as well. EOFError where a
    stream is cut.
    """
    unpacker, begun, first = make(), False, True
    ahead = b""
    for read in packed:
        piece = ahead + read
        ahead = b""
        while True:
            if not begun:
                if not first:
                    piece = piece.lstrip(b"\0")
                    if len(piece) < len(members) and members.startswith(piece):
                        ahead = piece
                        break
                    if not piece.startswith(members):
                        return
                begun, first = True, False
            out = unpacker.decompress(piece, PIECE)
            if out:
                yield out
            if unpacker.eof:
                if not members:
                    return
                piece, unpacker, begun = unpacker.unused_data, make(), False
                continue
            # zlib hands back what it did not take, the others keep it.
            piece = getattr(unpacker, "unconsumed_tail", b"")
            if not piece and getattr(unpacker, "needs_input", True):
                break
    if begun or first:
        message = "the packed data end in the middle of the file"
        raise EOFError(message)
