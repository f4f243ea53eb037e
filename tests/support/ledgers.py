"""What every ledger must be, and the same ledger told byte by byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from caid_triage.evidence.account import DiskAccount
from caid_triage.evidence.coverage import IN_USE, KINDS
from caid_triage.evidence.ledger import SEARCHED, Coat
from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import LedgerRange

RANKED = ("file_system", "encrypted", "possibly_encrypted", "not_understood", "unreadable", "partition_table")


def check_tiling(lines: Sequence[LedgerRange], size: int) -> None:
    """The ranges lie side by side from 0 to the size, none is empty, and the parts of a mixed one are all of it."""
    at = 0
    for line in lines:
        assert line.start == at < line.end
        assert sum(count for _, count in line.sums) == line.end - line.start
        assert all(count > 0 for _, count in line.sums)
        at = line.end
    assert at == size


def sums_of(lines: Iterable[LedgerRange]) -> dict[tuple[str, str], int]:
    """Bytes by volume and kind."""
    sums = Counter[tuple[str, str]]()
    for line in lines:
        for kind, count in line.sums:
            sums[line.volume, kind] += count
    return dict(sums)


def check_ledger(source: EvidenceSource) -> list[LedgerRange]:
    """The ranges of a disk's ledger, which tile it, name its volumes and sum to its coverage."""
    ledger = source.ledger()
    assert ledger is not None
    lines = list(ledger.ranges())
    check_tiling(lines, source.info.size or 0)
    assert all((a.kind, a.volume) != (b.kind, b.volume) for a, b in pairwise(lines))
    assert {line.volume for line in lines} <= {"", *(volume.name for volume in source.volumes())}
    by_key = Counter[str]()
    for (_, kind), count in sums_of(lines).items():
        by_key["file_system" if kind in IN_USE else kind] += count
    coverage = source.coverage()
    assert coverage == {kind: by_key[kind] for kind in KINDS}
    assert sum(coverage.values()) == source.info.size
    return lines


def kinds_at(lines: Iterable[LedgerRange], start: int, end: int) -> set[str]:
    """The kinds that a ledger has between two bytes."""
    return {line.kind for line in lines if line.start < end and line.end > start}


# ---------------------------------------------------------------- byte by byte


def told_bytes(lines: Iterable[LedgerRange]) -> list[tuple[str, str]]:
    """(kind, volume) of each byte."""
    return [(line.kind, line.volume) for line in lines for _ in range(line.start, line.end)]


def painted_bytes(size: int, coats: Iterable[Coat]) -> list[tuple[str, str]]:
    """What painting gives, told byte by byte."""
    canvas = [("unpartitioned", "")] * size
    for coat in coats:
        for byte in range(size):
            kind, volume = canvas[byte]
            if not any(start <= byte < end for start, end in coat.ranges):
                continue
            if coat.within is not None and coat.within != volume:
                continue
            become = coat.turns.get(kind, coat.turns.get(""))
            if become is not None:
                canvas[byte] = become, volume if coat.volume is None else coat.volume
    return canvas


def _among(ranges: Iterable[tuple[int, int]], byte: int) -> bool:
    return any(start <= byte < end for start, end in ranges)


def accounted_byte(account: DiskAccount, byte: int) -> tuple[str, str]:
    """(kind, volume) of a byte by the rules that DiskAccount states, without painting anything."""
    here = [claim for claim in account.claims if claim[0] <= byte < claim[0] + claim[1]]
    here += [(a, n, "partition_table", "") for a, n in account.tables if a <= byte < a + n]
    outer = [volume for volume in account.volumes if not volume.parent]
    owner = next((v.name for v in outer if v.offset <= byte < v.offset + v.length), "")
    kind = "unpartitioned"
    if here:
        _, _, kind, owner = min(here, key=lambda claim: RANKED.index(claim[2]))
    if kind == "file_system":
        for inside in account.insides:
            if inside.volume == owner:
                kind = _inside_kind(inside, byte, kind)
    if any(_among(ranges, byte) for ranges in account.searched):
        kind = SEARCHED.get(kind, kind)
    return ("unreadable" if _among(account.unreadable, byte) else kind), owner


def _inside_kind(inside: object, byte: int, kind: str) -> str:
    facts: Mapping[str, Sequence[tuple[int, int]]] = {
        name: getattr(inside, name) for name in ("whole", "free", "metadata", "slack")
    }
    if _among(facts["free"], byte):
        return "unallocated"
    if _among(facts["slack"], byte):
        return "slack"
    if _among(facts["metadata"], byte):
        return "metadata"
    return "file_content" if getattr(inside, "told", False) and _among(facts["whole"], byte) else kind
