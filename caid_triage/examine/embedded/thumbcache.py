"""Windows' thumbnail caches, ``thumbcache_*.db`` of Vista and later: a picture of what was once in a folder.

Each entry has a header (its signature, size, a 64-bit hash of the file that it shows, sizes of name and data) and a
picture as BMP, JPEG or PNG. Source: the libyal project's description of the Windows Explorer thumbnail database format.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, problem

SIGNATURE = b"CMMM"
# Version of the file -> bytes of an entry before its name.
LAYOUTS = {20: 56, 21: 48, 30: 56, 31: 56, 32: 56}
MOST_LOST = 1 << 16


def thumbcache_pictures(content: Content) -> Iterator[Listed]:
    """The pictures of a thumbnail cache, by their hash; where an entry is damaged the next one is looked for."""
    head = content.at(0, 32)
    if len(head) < 24 or not head.startswith(SIGNATURE):
        return
    (version,) = struct.unpack_from("<I", head, 4)
    if version not in LAYOUTS:
        yield problem("inside-unknown-version", f"a thumbnail cache of version {version}, which is not known here")
        return
    at, header = _next(content, len(SIGNATURE)), LAYOUTS[version]
    damaged = 0
    while at is not None and at + header <= content.size:
        entry = content.at(at, header)
        found = _entry(entry, version) if entry.startswith(SIGNATURE) else None
        if found is None or at + found[0] > content.size:
            damaged += any(entry)
            at = _next(content, at + 1)  # an entry that states a size of some bytes too few or too many hides no other
            continue
        size, name_length, padding, length, key = found
        if length:
            start = at + header + name_length + padding
            yield Inner(b"%016x" % key, partial(content.pieces, start, length), length)
        at += size
    if damaged:
        yield problem("inside-damaged", f"{damaged} entries of the thumbnail cache are damaged and were passed over")


def _entry(entry: bytes, version: int) -> tuple[int, int, int, int, int] | None:
    """Bytes of the whole entry, of its name, of the padding, of its picture, and its key; None for nonsense."""
    size, key = struct.unpack_from("<IQ", entry, 4)
    # Vista keeps four letters of the extension between the key and the lengths.
    name_length, padding, length = struct.unpack_from("<III", entry, 24 if version == 20 else 16)
    if size < len(entry) or len(entry) + name_length + padding + length > size:
        return None
    return size, name_length, padding, length, key


def _next(content: Content, start: int) -> int | None:
    """Where the next entry may begin."""
    while start < content.size:
        part = content.at(start, MOST_LOST)
        place = part.find(SIGNATURE)
        if place >= 0:
            return start + place
        if len(part) < MOST_LOST:
            return None
        start += len(part) - len(SIGNATURE) + 1
    return None
