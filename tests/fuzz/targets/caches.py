"""Caches of thumbnails (Windows, Thumbs.db, QuickLook, telephones) and of browsers.

The first four bytes are the length of the file itself; what follows it is the file beside it (QuickLook's samples).
Beside the laws of looking inside (fuzz/inner.py): a thumbnail cache of Windows has the entries that a plain reading of
it has, each once.
"""

from __future__ import annotations

import struct

from support.inside_seeds import JPEG, LARGER, PNG, SEEDS, drawn
from support.quicklook import LATER, OLDER, cache_of

from caid_triage.examine.embedded.thumbcache import LAYOUTS
from fuzz.inner import check_inside, looked_into, neighbour, prepare
from fuzz.target import Target, expect

CACHES = frozenset((
    "thumbcache of Vista", "thumbcache of Windows 7", "thumbcache of Windows 10", "Thumbs.db", "Thumbs.db with sides",
    "Chromium's cache", "Firefox's cache", "thumbdata", "block file",
))  # fmt: skip


def check(data: bytes) -> str:
    length = int.from_bytes(data[:4].ljust(4, b"\0"), "little")
    body, other = data[4 : 4 + length], data[4 + length :]
    word = check_inside(body, neighbour(other) if other else None)
    if body.startswith(b"CMMM"):
        entries = plain_entries(body)
        found, _ = looked_into(body)
        names = [one.names[0] for one in found if len(one.names) == 1]
        expect(names == [name for name, _ in entries], "other entries than a plain reading has")
        word = f"thumbcache {word}"
    return word


def plain_entries(data: bytes) -> list[tuple[bytes, bytes]]:
    """The pictures of a thumbnail cache by name, looked for at every signature; the end of one is where to go on."""
    version = int.from_bytes(data[4:8], "little")
    head = LAYOUTS.get(version)
    if head is None or len(data) < 24:
        return []
    found = []
    at = data.find(b"CMMM", 4)
    while at >= 0 and at + head <= len(data):
        size, key = struct.unpack_from("<IQ", data, at + 4)
        name, padding, length = struct.unpack_from("<III", data, at + (24 if version == 20 else 16))
        if size < head or head + name + padding + length > size or at + size > len(data):
            at = data.find(b"CMMM", at + 4)
            continue
        start = at + head + name + padding
        if length:
            found.append((b"%016x" % key, data[start : start + length]))
        at += size
        if data[at : at + 4] != b"CMMM":
            at = data.find(b"CMMM", at)
    return found


def with_neighbour(body: bytes, other: bytes = b"") -> bytes:
    return len(body).to_bytes(4, "little") + body + other


def seeds() -> dict[str, bytes]:
    """The caches of the tests, a thumbnail cache of three entries, and QuickLook's two files."""
    made = {name: with_neighbour(SEEDS[name]()) for name in sorted(CACHES)}
    for version in ("Vista", "Windows 7", "Windows 10"):
        one = SEEDS[f"thumbcache of {version}"]()
        made[f"thumbcache of {version}, three"] = with_neighbour(one + one[24:] + b"\0" * 40 + one[24:])
    cache = cache_of([("/Users/a/coast.jpg", JPEG), ("/b.png", PNG), ("/c.jpg", drawn("JPEG", 20))])
    for name, schema in (("older", OLDER), ("later", LATER)):
        made[f"QuickLook, {name}"] = with_neighbour(cache.index(schema), bytes(cache.samples))
    made["thumbdata, larger"] = with_neighbour(bytes(3000) + LARGER)
    return made


TARGET = Target(
    "caches", "caches of thumbnails and browsers", seeds, check, (), longest=1 << 15, seconds=10.0, prepare=prepare
)
