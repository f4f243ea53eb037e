"""Unpack compressed pieces of an image without trusting how large they become."""

from __future__ import annotations

import bz2
import zlib


def inflated(data: bytes, limit: int) -> bytes:
    """The content of one zlib stream (RFC 1950); what follows it is padding.

    Errors: OSError when it is damaged, cut off, or holds more than ``limit`` bytes. Its checksum is always checked.
    """
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, limit)
        if not stream.eof and (stream.decompress(stream.unconsumed_tail, 1) or not stream.eof):
            raise OSError("it is cut off or unpacks to more than it may")
    except zlib.error as error:
        raise OSError(f"it is damaged: {error}") from error
    return content


def unbzipped(data: bytes, limit: int) -> bytes:
    """The content of one bzip2 stream; what follows it is padding. Errors: as :func:`inflated`."""
    stream = bz2.BZ2Decompressor()
    try:
        content = stream.decompress(data, limit)
        if not stream.eof and (stream.decompress(b"", 1) or not stream.eof):
            raise OSError("it is cut off or unpacks to more than it may")
    except EOFError as error:
        raise OSError("it is damaged") from error
    return content
