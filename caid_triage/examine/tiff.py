"""TIFF structure: tables of tags and their values, by checked offsets. What lies outside of the file is absent.

Source: TIFF 6.0 clause 2.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from caid_triage.examine.metadata_text import decoded

MOST_ENTRIES = 2000
# Bytes of a value by its type; what is not here is not read.
SIZES: Mapping[int, int] = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 13: 4, 129: 1}
TEXTS = frozenset({1, 2, 6, 7, 129})
# The first bytes of TIFF, and of camera raw files that are TIFF by another name.
ORDERS: Mapping[bytes, str] = {
    b"II*\0": "<", b"MM\0*": ">", b"IIRO": "<", b"IIRS": "<", b"MMOR": ">", b"IIU\0": "<",
}  # fmt: skip
MOST_BYTES = 1 << 20


class Tiff:
    """The bytes of a TIFF structure and how to read numbers of it. Raises ValueError where it is none."""

    def __init__(self, data: bytes | memoryview, order: str = "") -> None:
        self.data = data
        self.order = order or ORDERS.get(bytes(data[:4]), "")
        if not self.order:
            raise ValueError("not TIFF")

    def first(self) -> int:
        """Return where the first table lies, 0 if there is none."""
        return int(struct.unpack_from(self.order + "I", self.data, 4)[0]) if len(self.data) >= 8 else 0

    def table(self, offset: int, wanted: frozenset[int], base: int = 0) -> Table:
        """Return the wanted entries of the table at ``offset``; values lie relative to ``base``."""
        found: dict[int, tuple[int, int, bytes]] = {}
        if 0 < offset <= len(self.data) - 2:
            (count,) = struct.unpack_from(self.order + "H", self.data, offset)
            whole = min(count, MOST_ENTRIES, (len(self.data) - offset - 2) // 12)
            entries = self.data[offset + 2 : offset + 2 + 12 * whole]
            for tag, kind, length, value in struct.iter_unpack(self.order + "HHI4s", entries):
                if tag in wanted and tag not in found:
                    found[tag] = kind, length, value
        return Table(self, found, base)


class Table:
    """Some entries of one IFD."""

    def __init__(self, tiff: Tiff, entries: Mapping[int, tuple[int, int, bytes]], base: int) -> None:
        self.tiff, self.entries, self.base = tiff, entries, base

    def place(self, tag: int) -> tuple[int, int] | None:
        """Return where the value of a tag lies that is longer than four bytes, and its length."""
        kind, count, value = self.entries.get(tag, (0, 0, b""))
        length = SIZES.get(kind, 0) * count
        if length <= 4:
            return None
        start = self.base + int(struct.unpack(self.tiff.order + "I", value)[0])
        return (start, length) if start + length <= len(self.tiff.data) else None

    def raw(self, tag: int) -> bytes:
        """Return the bytes of a value, b"" where there is none or it lies outside of the file."""
        kind, count, value = self.entries.get(tag, (0, 0, b""))
        length = SIZES.get(kind, 0) * count
        if length <= 4:
            return value[:length]
        place = self.place(tag)
        return bytes(self.tiff.data[place[0] : place[0] + min(length, MOST_BYTES)]) if place else b""

    def text(self, tag: int) -> str:
        """Return a text, "" where there is none."""
        kind = self.entries.get(tag, (0,))[0]
        return decoded(self.raw(tag)) if kind in TEXTS else ""

    def number(self, tag: int) -> int:
        """Return the first whole number of a value, 0 where there is none."""
        kind, _, _ = self.entries.get(tag, (0, 0, b""))
        form = {1: "B", 3: "H", 4: "I", 13: "I"}.get(kind, "")
        raw = self.raw(tag)
        if not form or len(raw) < struct.calcsize(form):
            return 0
        return int(struct.unpack_from(self.tiff.order + form, raw)[0])

    def ratios(self, tag: int, count: int) -> list[float] | None:
        """Return exactly that many rational numbers, None where there are fewer or one has no value."""
        kind, _, _ = self.entries.get(tag, (0, 0, b""))
        raw = self.raw(tag)[: 8 * count]
        if kind not in (5, 10) or len(raw) < 8 * count:
            return None
        pairs = list(struct.iter_unpack(self.tiff.order + ("II" if kind == 5 else "ii"), raw))
        return [over / under for over, under in pairs] if all(under for _, under in pairs) else None
