"""What a sampling is asked for, and of what: options, cells, the seed, the marks by which a disk is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from caid_triage.errors import EvidenceError
from caid_triage.evidence.sector_places import DiskBytes
from caid_triage.hashset.store import HashSet
from caid_triage.model import SourceInfo

CELL = 4096
LARGEST_DISK = 1 << 60
"""Bytes; a larger one is a forged or damaged container's claim, and cells of it could not be counted on."""
_END = 64 << 10


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What was asked for. ``samples`` None: as many as ``confidence`` and ``target`` (bytes) need; ``whole``: all."""

    confidence: Fraction = Fraction(99, 100)
    target: int = 20 << 20
    seed: int | None = None
    samples: int | None = None
    whole: bool = False


def cells_of(size: int) -> int:
    """How many cells a disk has; the last may be short."""
    return -(-size // CELL)


def cells_of_target(target: int, population: int) -> int:
    """In how many cells known blocks of ``target`` bytes begin at least; a smaller disk has no more than its own."""
    return min(max(-(-target // CELL), 1), max(population, 1))


def default_seed(info: SourceInfo, hashset: HashSet) -> int:
    """The seed where none is given: from the size of the disk and the generation of the set, so that a report of the
    same material is the same, and nothing of the disk's content has a say in it.
    """
    words = f"caid-triage sample {info.size} {hashset.generation}"
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big") >> 1


def fingerprint_of(sectors: DiskBytes) -> dict[str, Any]:
    """What tells a disk from another of its name: kind, size, names of its segments, hashes stored in it, its ends.

    ``ends`` are the SHA-256 of its first and its last bytes, "" of one that cannot be read: a partition table and the
    number of a file system stand there, so that another disk of one size is another.
    """
    info, size = sectors.info, sectors.size
    stored = {name: value for name, value in sorted(info.acquisition.items()) if name in {"md5", "sha1", "sha256"}}
    names = [Path(segment).name for segment in info.segments]
    length = min(_END, size)
    ends = [_digest(sectors, start, length) for start in (0, size - length)]
    return {"kind": info.kind, "size": size, "segments": names, "stored": stored, "ends": ends}


def _digest(sectors: DiskBytes, start: int, length: int) -> str:
    try:
        data = sectors.read(start, length)
    except EvidenceError:  # the process that reads was given up; the sampling itself says so
        data = None
    return "" if data is None else hashlib.sha256(data).hexdigest()


def joined_mark(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is known of a disk from two of :func:`fingerprint_of`; None where they are of two disks.

    An end that could not be read once says nothing then.
    """
    ends = []
    for one, other in zip(before.get("ends", ("", "")), now["ends"], strict=False):
        if one and other and one != other:
            return None
        ends.append(other or one)
    return {**now, "ends": ends} if {**before, "ends": ()} == {**now, "ends": ()} else None
