"""The hashes a set can hold, their lengths, and how their bytes become sorted machine words."""

from __future__ import annotations

import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]
Rows = NDArray[np.int64]

# Weakest first: the last that agrees is the strongest statement about identity.
DIGEST_BYTES = {"md5": 16, "sha1": 20, "sha256": 32}
PERCEPTUAL_BYTES = {"pdq": 32, "phash": 8}
PHOTODNA_BYTES = 144

# The digests of no bytes at all: in a notable set they would flag every empty file of an exhibit.
EMPTY_CONTENT = frozenset(
    bytes.fromhex(text)
    for text in (
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
)


def hash_bytes(text: str, length: int) -> bytes:
    """The bytes that hexadecimal text (either case) stands for; ValueError with a plain reason if it is not that."""
    text = text.strip()
    if len(text) != 2 * length:
        raise ValueError(f"has {len(text)} characters where {2 * length} are needed")
    try:
        value = binascii.unhexlify(text)
    except ValueError:
        raise ValueError("is not hexadecimal") from None
    return value


def digest_bytes(text: str, algorithm: str) -> bytes:
    """A digest from its hexadecimal text; an all-zero one is a placeholder, not a digest (ValueError)."""
    value = hash_bytes(text, DIGEST_BYTES[algorithm])
    if not any(value):
        raise ValueError("is all zeros")
    return value


def checked_rows(values: NDArray[Any], length: int, what: str) -> Bytes:
    """The array itself if it is uint8[n, length]; ValueError that says what was given otherwise."""
    array = np.asarray(values)
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != length:
        raise ValueError(f"{what} must be uint8[n, {length}], not {array.dtype}{list(array.shape)}")
    return array


def first_of_runs(*columns: NDArray[Any]) -> NDArray[np.bool_]:
    """Which places of sorted columns of one length begin a run of equal rows."""
    first = np.zeros(len(columns[0]), dtype=np.bool_)
    first[:1] = True
    for column in columns:
        first[1:] |= column[1:] != column[:-1]
    return first


def big_endian_words(values: Bytes) -> Words:
    """Hashes uint8[n, k] as uint64[n, ceil(k / 8)], so that numeric order is byte order.

    A length that is no multiple of 8 (SHA-1) is filled with zero bytes on the right. Words, not
    numpy "S" strings: those drop trailing NULs and would call two different digests equal.
    """
    count, length = values.shape
    width = -(-length // 8)
    if length % 8:
        padded = np.zeros((count, width * 8), dtype=np.uint8)
        padded[:, :length] = values
        values = padded
    return np.ascontiguousarray(values).view(">u8").astype(np.uint64).reshape(count, width)


def bytes_of_words(words: Words, length: int) -> Bytes:
    """The inverse of :func:`big_endian_words`: uint64[n, w] back to uint8[n, length]."""
    count, width = words.shape
    return np.ascontiguousarray(words).astype(">u8").view(np.uint8).reshape(count, width * 8)[:, :length]
