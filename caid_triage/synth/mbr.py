"""Write a disk with an MBR partition table: primaries, and an extended partition's chain of logical ones."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from caid_triage.synth.plan import how_many

SECTOR = 512
ALIGN = 2048  # sectors: 1 MiB, as every partitioning tool since 2009 does
EXTENDED = 0x0F


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition to be written: its type byte (0x07 NTFS or exFAT, 0x06 FAT16, 0x83 Linux ...) and content."""

    kind: int
    content: bytes | bytearray


def build_mbr(
    primaries: Sequence[Partition], logicals: Sequence[Partition] = (), *, align: int = ALIGN, tail: int = 0
) -> bytearray:
    """A whole disk; logical partitions go into one extended partition behind the primaries.

    ``align`` is in sectors. ``tail`` bytes of unpartitioned space follow the last partition.
    Raises ValueError for more than four entries in the table.
    """
    if len(primaries) + bool(logicals) > 4:
        raise ValueError("an MBR holds four entries")
    starts = partition_starts(primaries, logicals, align=align)
    parts = [*primaries, *logicals]
    end = max((start + _sectors(part) for start, part in zip(starts, parts, strict=True)), default=1)
    image = bytearray((end * SECTOR) + tail)
    for start, part in zip(starts, parts, strict=True):
        image[start * SECTOR : start * SECTOR + len(part.content)] = part.content
    table = [
        (part.kind, start, _sectors(part)) for start, part in zip(starts[: len(primaries)], primaries, strict=True)
    ]
    if logicals:
        first = starts[len(primaries)] - align
        table.append((EXTENDED, first, end - first))
        _put_chain(image, first, starts[len(primaries) :], logicals, align)
    struct.pack_into("<I", image, 440, 0x5EEDCA1D)
    _put_table(image, 0, table)
    return image


def partition_starts(
    primaries: Sequence[Partition], logicals: Sequence[Partition] = (), *, align: int = ALIGN
) -> list[int]:
    """First sector of every partition, primaries first."""
    at = align
    starts = []
    for index, part in enumerate([*primaries, *logicals]):
        if index >= len(primaries):
            at += align  # room for the logical partition's own table
        starts.append(at)
        at += how_many(_sectors(part), align) * align
    return starts


def _sectors(part: Partition) -> int:
    return how_many(len(part.content), SECTOR)


def _put_chain(image: bytearray, first: int, starts: Sequence[int], logicals: Sequence[Partition], align: int) -> None:
    for index, (start, part) in enumerate(zip(starts, logicals, strict=True)):
        table = [(part.kind, align, _sectors(part))]  # relative to this table
        if index + 1 < len(logicals):
            following = starts[index + 1] - align
            table.append((0x05, following - first, align + _sectors(logicals[index + 1])))  # relative to the first
        _put_table(image, start - align, table)


def _put_table(image: bytearray, sector: int, table: Sequence[tuple[int, int, int]]) -> None:
    for index, (kind, start, length) in enumerate(table):
        entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, length)
        at = sector * SECTOR + 446 + 16 * index
        image[at : at + 16] = entry
    image[sector * SECTOR + 510 : sector * SECTOR + 512] = b"\x55\xaa"
