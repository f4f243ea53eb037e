"""Unpack compressed pieces of an image without trusting how large they become."""

from __future__ import annotations

import bz2
import zlib
from typing import Any

deflate: Any
try:
    import deflate as _deflate  # libdeflate; its wheel has no types

    deflate = _deflate
except ImportError:  # the optional extra is not installed
    deflate = None


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


def inflated_by_libdeflate(data: bytes, limit: int) -> bytes:
    """The same in half of the time; what libdeflate does not take, zlib decides about. Errors: as :func:`inflated`.

    Of a stream whose checksum agrees although a code in its tables cannot be used (one changed bit that no content
    needs) libdeflate gives the content, where zlib calls it damaged.
    """
    try:
        return bytes(deflate.zlib_decompress(data, limit))
    except (deflate.DeflateError, ValueError):
        return inflated(data, limit)


inflated_chunk = inflated if deflate is None else inflated_by_libdeflate


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
