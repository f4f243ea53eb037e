"""Volumes and gaps that look random: named; archives, pictures and half-filled areas are not."""

from __future__ import annotations

import bz2
import random
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.cli import picture

from caid_triage.evidence.layers.randomness import chi_square, looks_random
from caid_triage.model import Severity
from caid_triage.synth.mbr import Partition, build_mbr

MIB = 1 << 20


def reader(content: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: content[offset : offset + length]


def words(count: int) -> bytes:
    chance = random.Random(3)
    known = ["case", "exhibit", "volume", "sector", "sha256", *(f"0x{chance.getrandbits(24):x}" for _ in range(500))]
    return " ".join(chance.choices(known, k=count)).encode()


@pytest.mark.parametrize("seed", range(30))
def test_random_bytes_look_random(seed: int) -> None:
    content = random.Random(seed).randbytes(MIB + seed * 4711)
    assert looks_random(reader(content), 0, len(content))


NOT_RANDOM = [
    bytes(2 * MIB),
    bytes(range(256)) * 8192,
    random.Random(1).randbytes(MIB) + bytes(MIB),
    bytes(8192) + random.Random(1).randbytes(2 * MIB),
    random.Random(1).randbytes(MIB - 1),  # too small to judge
    zlib.compress(words(400_000)) * 3,
    bz2.compress(words(400_000)) * 4,
    picture("coast.jpg") * (3 * MIB // len(picture("coast.jpg"))),
]
NAMES = ["zeros", "pattern", "half", "a head of zeros", "small", "deflate", "bzip2", "JPEG"]


@pytest.mark.parametrize("content", NOT_RANDOM, ids=NAMES)
def test_what_is_not_random_does_not(content: bytes) -> None:
    assert not looks_random(reader(content), 0, len(content))


@pytest.mark.parametrize("head", [b"", b"some bytes of no kind".ljust(512, b"\1")])
@pytest.mark.parametrize("content", NOT_RANDOM[1:4] + NOT_RANDOM[5:], ids=NAMES[1:4] + NAMES[5:])
def test_nothing_claims_that_it_is_encrypted(head: bytes, content: bytes, opened: Callable[..., Any]) -> None:
    """Sleuth Kit guesses at encryption where bytes are merely compressed: that is not repeated."""
    source = opened(build_mbr([Partition(0x07, head + content)]))
    (problem,) = source.problems()
    assert problem.code == "file-system-not-understood"
    assert problem.severity is Severity.PROBLEM
    assert "encrypt" not in problem.detail
    assert source.coverage()["encrypted"] == source.coverage()["possibly_encrypted"] == 0


def test_the_statistic_is_that_of_its_definition() -> None:
    counts = np.array([10] * 255 + [30], dtype=np.int64)
    mean = counts.sum() / 256
    assert chi_square(counts) == pytest.approx(sum((int(c) - mean) ** 2 / mean for c in counts))


def test_a_read_error_proves_nothing() -> None:
    def failing(_offset: int, _length: int) -> bytes:
        raise OSError("bad sector")

    assert not looks_random(failing, 0, 4 * MIB)


def test_a_partition_and_a_gap_that_look_random_are_problems_and_counted(
    fat_image: bytes, opened: Callable[..., Any]
) -> None:
    noise = random.Random(9).randbytes(2 * MIB)
    disk = bytes(build_mbr([Partition(0x83, noise), Partition(0x06, fat_image)])) + random.Random(8).randbytes(6 * MIB)
    source = opened(disk)
    assert [(v.name, v.status) for v in source.volumes()] == [("p1", "possibly-encrypted"), ("p2", "examined")]
    found = [(p.code, p.severity, p.volume) for p in source.problems()]
    assert sorted(found) == [
        ("possibly-encrypted", Severity.PROBLEM, ""),
        ("possibly-encrypted", Severity.PROBLEM, "p1"),
    ]
    coverage = source.coverage()
    assert coverage["possibly_encrypted"] == len(noise) + 6 * MIB
    assert coverage["file_system"] + coverage["unallocated"] == len(fat_image)
    assert sum(coverage.values()) == len(disk)


def test_a_gap_of_zeros_is_none(fat_image: bytes, opened: Callable[..., Any]) -> None:
    source = opened(bytes(build_mbr([Partition(0x06, fat_image)])) + bytes(6 * MIB))
    assert source.problems() == ()
    assert source.coverage()["possibly_encrypted"] == 0
