"""The oracle: what matching means, in plain Python, slow and easy to read. Tests hold every fast path against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NaiveEntry:
    """One record of a set as the oracle sees it; perceptual hashes are (bytes, quality or None).

    ``frames`` are those of a listed video in their order: (PDQ, quality or None, milliseconds or None).
    """

    digests: dict[str, bytes] = field(default_factory=dict)
    pdq: tuple[tuple[bytes, int | None], ...] = ()
    phash: tuple[tuple[bytes, int | None], ...] = ()
    frames: tuple[tuple[bytes, int | None, int | None], ...] = ()


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
