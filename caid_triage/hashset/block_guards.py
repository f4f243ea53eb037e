"""Which blocks of a file say nothing of that file: they are left out of a block set, and counted by the reason.

A block that stands in files of all kinds would be "found" on every disk. What is left out follows hashdb's practice
(Garfinkel and McCarrin, Hash-based carving, DFRWS 2015: whitespace, ramps, histograms, low entropy), and adds what
many files have by their format: headers, colour profiles, tables. Each rule looks at the block alone, whatever file it
is of; the thresholds were set by entropy and held against photographs that are in no set (docs/decisions/0044).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Bytes

KEPT = 0
REASONS = (
    "",
    "a header or table of its format",
    "a structure that many files have",
    "all bytes equal",
    "bytes in a straight line",
    "a short pattern repeated",
    "low entropy",
)
"""Why a block is left out, by its number."""
HEADER, STRUCTURE, CONSTANT, RAMP, PATTERN, ENTROPY = range(1, len(REASONS))
# In bits a byte. Random bytes have 7.95 in 4,096 and 7.6 in 512; the data of a JPEG 7.9 and 7.5; text 4 to 5, Base64 6.
LEAST_ENTROPY = {512: 6.5, 4096: 7.0}
_LAGS = (1, 2, 4, 8)
_AT_ONCE = 1 << 20

# Marks that stand in the midst of structures which programs write alike into many files.
_MARKS = re.compile(
    rb"ICC_PROFILE\x00|acspAPPL|acspMSFT|desc\x00\x00\x00\x00\x00\x00\x00|IEC61966|Photoshop 3\.0\x00|8BIM"
    rb"|Exif\x00\x00|http://ns\.adobe\.com/|<x:xmpmeta|<\?xpacket|\xff\xd8\xff[\xdb\xe0\xe1\xee]"
    rb"|\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04|\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04"
    rb"|PK\x03\x04|PK\x01\x02|PK\x05\x06|FILE0\x00|INDX\(\x00|NTFS    |\x89PNG\r\n\x1a\n|%PDF-1\.|\x00\x00\x00\x00IEND"
)
_LONGEST_MARK = 32
_PIECE = 1 << 20


def reasons_of(blocks: Bytes) -> NDArray[np.int8]:
    """Why each block uint8[n, 512 | 4096] is left out by its bytes, int8[n]: a number of REASONS, 0 for one to keep."""
    found = np.zeros(len(blocks), dtype=np.int8)
    step = max(_AT_ONCE // blocks.shape[1], 1)
    for start in range(0, len(blocks), step):
        found[start : start + step] = _reasons(blocks[start : start + step])
    return found


def _reasons(blocks: Bytes) -> NDArray[np.int8]:
    found = np.where(_entropy(blocks) < LEAST_ENTROPY[blocks.shape[1]], ENTROPY, KEPT).astype(np.int8)
    words = np.sort(np.ascontiguousarray(blocks).view("<u4"), axis=1)
    different = 1 + (words[:, 1:] != words[:, :-1]).sum(axis=1)
    found[different * 2 <= words.shape[1]] = PATTERN
    found[_straight(blocks)] = RAMP
    found[(blocks == blocks[:, :1]).all(axis=1)] = CONSTANT
    return found


def _entropy(blocks: Bytes) -> NDArray[np.float64]:
    """Shannon's entropy of the bytes of each block, in bits a byte."""
    count, size = blocks.shape
    places = blocks.astype(np.int64) + np.arange(count, dtype=np.int64)[:, None] * 256
    shares = np.bincount(places.ravel(), minlength=count * 256).reshape(count, 256) / size
    logarithms = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logarithms).sum(axis=1))


def _straight(blocks: Bytes) -> NDArray[np.bool_]:
    """Whether half of a block's bytes go on in the straight line of the two before them, 1, 2, 4 or 8 bytes apart.

    So do ramps of bytes, counters of 16, 32 and 64 bits (tables of clusters, of places in a film) and constant bytes.
    """
    found = np.zeros(len(blocks), dtype=np.bool_)
    for lag in _LAGS:
        steps = blocks[:, lag:] - blocks[:, :-lag]
        found |= (steps[:, lag:] == steps[:, :-lag]).mean(axis=1) >= 0.5
    return found


def structures(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """(first byte, byte behind, reason) of what a file has by its format: its header, and marks wherever they stand.

    Reads the file through once. Errors: OSError.
    """
    yield from ((start, end, HEADER) for start, end in _header(file, size))
    file.seek(0)
    place, kept = 0, b""
    while piece := file.read(_PIECE):
        joined = kept + piece
        for mark in _MARKS.finditer(joined):
            yield place - len(kept) + mark.start(), place - len(kept) + mark.end(), STRUCTURE
        place += len(piece)
        kept = joined[-_LONGEST_MARK:]


def _header(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """What of a file describes it rather than being its content; of an unknown format its first byte."""
    file.seek(0)
    head = file.read(16)
    if head.startswith(b"\xff\xd8"):
        yield 0, _before_scan(file, size)
    elif head.startswith(b"\x89PNG\r\n\x1a\n"):
        yield 0, _before_data(file, size)
    elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        yield from _beside_media(file, size)
    else:
        yield 0, min(size, 1)


def _before_scan(file: BinaryIO, size: int) -> int:
    """Where the first scan of a JPEG begins: before it are tables, profiles and thumbnails."""
    place = 2
    while place + 4 <= size:
        file.seek(place)
        segment = file.read(4)
        if len(segment) < 4 or segment[0] != 0xFF:
            break
        if segment[1] == 0xFF:  # fill
            place += 1
            continue
        place += 2 + int.from_bytes(segment[2:4], "big")
        if segment[1] == 0xDA:
            break
    return min(place, size)


def _before_data(file: BinaryIO, size: int) -> int:
    """Where the first IDAT of a PNG begins."""
    place = 8
    while place + 8 <= size:
        file.seek(place)
        chunk = file.read(8)
        if len(chunk) < 8 or chunk[4:8] == b"IDAT":
            return place + 8
        place += 12 + int.from_bytes(chunk[:4], "big")
    return min(place, size)


def _beside_media(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """All boxes of a film or HEIF but those that hold its media: their tables count places up."""
    place = 0
    while place + 8 <= size:
        file.seek(place)
        box = file.read(16)
        length, header = int.from_bytes(box[:4], "big"), 8
        if length == 1 and len(box) == 16:
            length, header = int.from_bytes(box[8:16], "big"), 16
        end = size if length == 0 else place + length
        if length and length < header:  # no box: what follows cannot be told
            yield place, place + 1
            return
        yield place, min(place + header if box[4:8] == b"mdat" else end, size)
        place = end
