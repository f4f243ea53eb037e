"""What a picture file says of its own origin: camera, serial number, times, place, software, history.

These are statements of the file, kept as such: any program can write or copy them. The names are a documented list
(docs/formats/metadata.md), in one order; a name is given once, but for the steps of a history. Where several parts of a
file say the same thing the first of EXIF, XMP and texts of the format is taken. Nothing here raises for the content of
a file: what cannot be read is absent.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import accumulate

from caid_triage.examine.exif import exif_tags
from caid_triage.examine.metadata_blocks import What, blocks
from caid_triage.examine.metadata_text import clean, decoded, moment
from caid_triage.examine.xmp import Xmp, read_xmp

Pairs = tuple[tuple[str, str], ...]

NAMES = (
    "camera-make", "camera-model", "camera-serial", "camera-internal-serial", "camera-owner", "lens-model",
    "lens-serial", "taken", "digitised", "modified", "latitude", "longitude", "altitude", "gps-time", "software",
    "creator-tool", "created", "artist", "copyright", "description", "user-comment", "image-unique-id",
    "original-document-id", "document-id", "derived-from", "digital-source-type", "generator-parameters",
)  # fmt: skip
HISTORY = "history"
MOST_PAIRS = 200
# Of one file in all: a worker's answer has a longest length, and texts of any script must fit in it (scan/protocol.py).
MOST_CHARACTERS = 40_000
# What damaged or hostile structures raise in the readers of blocks.
FAULTS = (struct.error, zlib.error, ValueError, LookupError)
MOST_BLOCKS = 8
# Keys of texts in PNG (W3C PNG 11.3.3.1, and what generators of pictures write their order into).
TEXT_KEYS: Mapping[str, str] = {
    "software": "software", "creation time": "created", "author": "artist", "copyright": "copyright",
    "description": "description", "title": "description", "comment": "user-comment", "jpeg-comment": "user-comment",
    "parameters": "generator-parameters", "prompt": "generator-parameters", "workflow": "generator-parameters",
}  # fmt: skip


def picture_metadata(data: bytes, media_type: str) -> Pairs:
    """Return what the picture says, as (name, text) of NAMES in their order, then its history. Never raises."""
    found: dict[str, str] = {}
    packets: list[bytes] = []
    texts: dict[str, str] = {}
    for what, block, key in _whole_blocks(data, media_type):
        if what is What.XMP:
            packets.append(block)
        elif what is What.TEXT:
            _take_text(texts, key, block)
        else:
            try:
                tags, packet = exif_tags(block, of_place=what is What.PLACE)
            except FAULTS:
                continue
            found = tags | found
            packets.extend([packet] if packet else [])
    xmp = [read_xmp(packet) for packet in packets[:MOST_BLOCKS]]
    return _in_order(found, xmp, texts)


def _whole_blocks(data: bytes, media_type: str) -> Iterator[tuple[What, bytes, str]]:
    """Yield the blocks up to the first fault of the file."""
    counts = dict.fromkeys(What, 0)
    try:
        for block in blocks(data, media_type):
            counts[block[0]] += 1
            if counts[block[0]] <= (MOST_PAIRS if block[0] is What.TEXT else MOST_BLOCKS):
                yield block
    except FAULTS:
        return


def _take_text(texts: dict[str, str], key: str, block: bytes) -> None:
    name = TEXT_KEYS.get(key.lower())
    if name == "created":
        text = decoded(block)
        texts.setdefault(name, moment(text) if text[:4].isdigit() else text)
    elif name:
        texts.setdefault(name, decoded(block))


def _in_order(found: Mapping[str, str], xmp: list[Xmp], texts: Mapping[str, str]) -> Pairs:
    """Join the parts: each name from the first part that has it, a place from one part as a whole."""
    joined = dict(found)
    for part in [one.found for one in xmp] + [texts]:
        placed = "latitude" in joined
        for name, value in part.items():
            if value and not (placed and name in ("latitude", "longitude")):
                joined.setdefault(name, value)
    pairs = [(name, joined[name]) for name in NAMES if joined.get(name)]
    steps = dict.fromkeys(step for one in xmp for step in one.history)
    pairs += [(HISTORY, clean(step)) for step in steps]
    lengths = accumulate(len(text) for _, text in pairs[:MOST_PAIRS])
    return tuple(pair for pair, length in zip(pairs, lengths, strict=False) if length <= MOST_CHARACTERS)
