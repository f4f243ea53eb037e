"""From what is known of a disk (volumes, tables, free space, what was searched, what cannot be read) to its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from caid_triage.evidence.ledger import SEARCHED, Coat, Ledger, Ranges, painted
from caid_triage.model import Volume

NamedClaim = tuple[int, int, str, str]
"""(first byte, bytes, kind of area, name of the volume): whose some bytes of the disk are."""

_ORDER = ("file_system", "encrypted", "possibly_encrypted", "not_understood", "unreadable", "partition_table")


@dataclass(frozen=True, slots=True)
class Inside:
    """The inside of a file system in ranges of the source: where it lies, and what of it is known.

    ``free`` is free by the file system's own map, ``metadata`` what it keeps for itself, ``slack`` what lies behind the
    end of a file (a system file too) in its own last unit. ``told`` says that ``free`` and ``metadata`` are all there
    is of both, so that the rest is in use by files and folders.
    """

    volume: str
    whole: Ranges
    free: Ranges = ()
    metadata: Ranges = ()
    slack: Ranges = ()
    told: bool = False


@dataclass(frozen=True, slots=True)
class DiskAccount:
    """What is known of the bytes of a disk of ``size`` bytes.

    Where claims overlap, the kind that stands first in file_system, encrypted, possibly_encrypted, not_understood,
    unreadable, partition_table has the bytes, of one kind the first claim. ``tables`` are (offset, length). What the
    file systems say of their insides counts only where the bytes are theirs. ``searched`` was searched for files by
    their structure, ``unreadable`` cannot be read, wherever it lies.
    """

    size: int
    volumes: Sequence[Volume] = ()
    claims: Sequence[NamedClaim] = ()
    tables: Sequence[tuple[int, int]] = ()
    insides: Sequence[Inside] = ()
    searched: Sequence[Ranges] = ()
    unreadable: Ranges = field(default=())

    def ledger(self) -> Ledger:
        """Every byte by what became of it."""
        return painted(self.size, self._coats())

    def _coats(self) -> Iterable[Coat]:
        for volume in reversed(self.volumes):  # what nothing inside a volume claims is still that volume's
            if not volume.parent:
                yield Coat(_range(volume.offset, volume.length), {"": "unpartitioned"}, volume.name)
        claims = [*self.claims, *((start, length, "partition_table", "") for start, length in self.tables)]
        claims.sort(key=lambda claim: _ORDER.index(claim[2]))
        for (kind, name), same in groupby(reversed(claims), key=lambda claim: claim[2:]):  # a thin volume has millions
            yield Coat([(start, start + length) for start, length, *_ in same], {"": kind}, name)
        for inside in self.insides:
            yield from _inside_coats(inside)
        for ranges in self.searched:
            yield Coat(ranges, SEARCHED)
        yield Coat(self.unreadable, {"": "unreadable"})


def _inside_coats(inside: Inside) -> Iterable[Coat]:
    name = inside.volume
    if inside.told:
        yield Coat(inside.whole, {"file_system": "file_content"}, within=name)
    yield Coat(inside.metadata, {"file_system": "metadata", "file_content": "metadata"}, within=name)
    in_use = ("file_system", "file_content", "metadata")
    yield Coat(inside.slack, dict.fromkeys(in_use, "slack"), within=name)
    yield Coat(inside.free, dict.fromkeys((*in_use, "slack"), "unallocated"), within=name)


def _range(start: int, length: int) -> list[tuple[int, int]]:
    return [(start, start + length)]
