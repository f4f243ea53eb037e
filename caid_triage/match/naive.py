"""The oracle: what matching means, in plain Python, slow and easy to read. Tests hold every fast path against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from caid_triage.match.chance import expected_chance_matches
from caid_triage.match.options import MatchOptions
from caid_triage.match.turns import TURNS, source_of

FLAT = {
    "pdq": (b"\x00" * 32, b"\xff" * 32),
    "phash": (b"\x00" * 8, b"\x80" + b"\x00" * 7, b"\xff" * 8),
}

# (record, set, row, "exact", "near" or "video", algorithm, distance, orientation, contradicted, look)
NaiveMatchRow = tuple[int, int, int, str, str, int, int, bool, str]


@dataclass(frozen=True, slots=True)
class NaiveEntry:
    """One record of a set as the oracle sees it; perceptual hashes are (bytes, quality or None).

    ``frames`` are those of a listed video in their order: (PDQ, quality or None, milliseconds or None).
    """

    digests: dict[str, bytes] = field(default_factory=dict)
    pdq: tuple[tuple[bytes, int | None], ...] = ()
    phash: tuple[tuple[bytes, int | None], ...] = ()
    frames: tuple[tuple[bytes, int | None, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class NaiveSet:
    """A set as the oracle sees it: entry i is record row i. ``radii`` are its own distances, by algorithm."""

    entries: Sequence[NaiveEntry]
    negative: bool = False
    radii: dict[str, int] = field(default_factory=dict)

    def radius(self, algorithm: str, options: MatchOptions) -> int:
        """The distance that is in force."""
        general = {"pdq": options.pdq_radius, "phash": options.phash_radius}
        return self.radii.get(algorithm, general[algorithm])

    def lead_limits(self, options: MatchOptions) -> tuple[str, int, int] | None:
        """("all", "upright" or "stored" hashes are asked, the limit of the stored pixels, that of the others), or None.

        Tried out bit by bit: the farther, the more matches chance makes; 42 of 43 questions are of other looks.
        """
        entries = sum(len(entry.pdq) + len(entry.frames) for entry in self.entries)
        if options.leads == "off" or not entries or "pdq" in self.radii:
            return None
        if options.leads != "auto":
            return ("all", int(options.leads), int(options.leads)) if int(options.leads) > options.pdq_radius else None
        stored = looks = 0
        for bits in range(257):
            by_stored = expected_chance_matches("pdq", bits, entries, options.lead_pictures)
            by_looks = expected_chance_matches("pdq", bits, entries, options.lead_pictures * 43)
            assert by_stored is not None
            assert by_looks is not None
            stored = bits if bits <= 85 and by_stored <= 0.5 else stored
            looks = bits if bits <= 75 and by_looks <= 0.5 else looks
        if stored <= options.pdq_radius:
            return None
        for asked, questions in (("all", 43), ("upright", 15), ("stored", 1)):
            if entries * questions <= options.lead_comparisons:
                return asked, stored, max(looks, options.pdq_radius)
        return None


@dataclass(slots=True)
class NaiveOutcome:
    """What must be found, what of videos (record, set, row, median distance, orientation, met, frames, listed met,

    listed frames, first and last millisecond in the file, the same in the listed video), and what must be withheld:
    (record, set, reason, algorithm, count, nearest).
    """

    matches: set[NaiveMatchRow] = field(default_factory=set)
    videos: set[tuple[int | None, ...]] = field(default_factory=set)
    withheld: set[tuple[int, int, str, str, int, int]] = field(default_factory=set)


def exact(entries: Sequence[bytes | None], queries: Sequence[bytes]) -> list[tuple[int, int]]:
    """All (query, entry) with equal digests, sorted."""
    return [(q, r) for q, query in enumerate(queries) for r, entry in enumerate(entries) if entry == query]


def near(entries: Sequence[Sequence[bytes]], queries: Sequence[bytes], radius: int) -> list[tuple[int, int, int]]:
    """All (query, entry, distance) within ``radius`` bits, sorted; an entry with several hashes gives its nearest."""
    found = []
    for q, query in enumerate(queries):
        for r, hashes in enumerate(entries):
            distances = [distance(query, value) for value in hashes]
            if distances and min(distances) <= radius:
                found.append((q, r, min(distances)))
    return found


def distance(a: bytes, b: bytes) -> int:
    """How many bits differ."""
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def near_photodna(entries: Sequence[bytes], queries: Sequence[bytes], threshold: int) -> list[tuple[int, int, int]]:
    """All (query, entry, squared distance) within ``threshold``, sorted."""
    pairs = [(q, r, squared_distance(a, b)) for q, a in enumerate(queries) for r, b in enumerate(entries)]
    return [pair for pair in pairs if pair[2] <= threshold]


def squared_distance(a: bytes, b: bytes) -> int:
    """The sum of the squared differences of the bytes."""
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def turned(value: bytes) -> list[bytes]:
    """The seven other orientations of a PDQ hash, bit by bit."""
    bits = f"{int.from_bytes(value):0256b}"
    found = []
    for turn in TURNS:
        sources = [source_of(bit, *turn) for bit in range(256)]
        found.append(int("".join(str(int(bits[place]) ^ changed) for place, changed in sources), 2).to_bytes(32))
    return found
