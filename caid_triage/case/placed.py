"""Every fragment of a known file in a case with where it lies: what samplings and scans found, put together.

A block that both have met is one block: a fragment is the longest run of blocks that either has seen.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from caid_triage.case.block_search import FoundFragment, block_searches, found_fragments
from caid_triage.case.encode import text
from caid_triage.case.records import source_range
from caid_triage.case.sampling import Fragment, fragments, samplings

BY_SAMPLE, BY_SCAN = "sample", "scan"


@dataclass(frozen=True, slots=True)
class PlacedFragment:
    """A fragment with where it lies, as far as the case's scan of the same disk can tell.

    ``volume`` and ``kind`` are those of the ledger ("" where the disk was not scanned); ``path`` is the file that
    begins exactly where this one would, if it does; ``aligned`` counts the file's blocks on the same line. ``inside``:
    its place counts from the beginning of the inside of its volume, not of the source. ``found_by`` names the commands.
    """

    exhibit: str
    source: str
    fragment: Fragment
    block_size: int
    hashset: str
    generation: str
    aligned: int = 0
    volume: str = ""
    kind: str = ""
    path: str = ""
    inside: bool = False
    found_by: tuple[str, ...] = ()


@dataclass(slots=True)
class _OfOneSet:
    """What was found on one source with one generation of a set: on the source by each command, and inside volumes."""

    exhibit: str
    source: str
    hashset: str
    generation: str
    block_size: int
    on_source: dict[str, list[Fragment]] = field(default_factory=dict)
    inside: list[FoundFragment] = field(default_factory=list)


def placed_fragments(connection: sqlite3.Connection) -> Iterator[PlacedFragment]:
    """Every fragment with where it lies: disk by disk in the order they were sampled, then scanned, and of the places
    on them; last of each disk what stands inside volumes that are encrypted or otherwise changed on it."""
    for group in _groups(connection):
        size = group.block_size
        whole = _put_together(group.on_source, size)
        aligned = _aligned((("", one) for one, _ in whole), size)
        places = _Places(connection, group.exhibit, group.source, {one.line(size) for one, _ in whole})
        for one, found_by in whole:
            volume, kind = places.area_of(one.offset)
            yield PlacedFragment(
                group.exhibit, group.source, one, size, group.hashset, group.generation,
                aligned["", one.record, one.line(size)], volume, kind, places.files.get(one.line(size), ""),
                found_by=found_by,
            )  # fmt: skip
        aligned = _aligned(((one.volume, one.fragment) for one in group.inside), size)
        for found in group.inside:
            one = found.fragment
            yield PlacedFragment(
                group.exhibit, group.source, one, size, group.hashset, group.generation,
                aligned[found.volume, one.record, one.line(size)], found.volume, found.kind, inside=True,
                found_by=(BY_SCAN,),
            )  # fmt: skip


def fragment_counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many fragments the case has, and of how many known files: a file of a set counts once a set."""
    count, files = 0, set[tuple[str, int]]()
    for group in _groups(connection):
        found = [one for one, _ in _put_together(group.on_source, group.block_size)]
        found += [one.fragment for one in group.inside]
        count += len(found)
        files.update((group.generation, one.record) for one in found)
    return count, len(files)


def _groups(connection: sqlite3.Connection) -> Iterator[_OfOneSet]:
    groups: dict[tuple[str, str, str], _OfOneSet] = {}
    for sampling in samplings(connection):
        found = list(fragments(connection, sampling.id))
        _group(groups, sampling.exhibit, sampling.source, sampling.hashset, sampling.block_size).on_source[
            BY_SAMPLE
        ] = found
    for search in block_searches(connection):
        group = _group(groups, search.exhibit, search.source, search.hashset, search.block_size)
        met = list(found_fragments(connection, search.id))
        group.on_source[BY_SCAN] = [one.fragment for one in met if not one.volume]
        group.inside = [one for one in met if one.volume]
    yield from groups.values()


def _group(
    groups: dict[tuple[str, str, str], _OfOneSet], exhibit: str, source: str, facts: Mapping[str, Any], size: int
) -> _OfOneSet:
    name, generation = str(facts["name"]), str(facts["generation"])
    return groups.setdefault((exhibit, source, generation), _OfOneSet(exhibit, source, name, generation, size))


def _put_together(found: Mapping[str, Sequence[Fragment]], size: int) -> list[tuple[Fragment, tuple[str, ...]]]:
    """What several commands found, each block once, in the order of the places; and who found any of it."""
    by_line: dict[tuple[int, int], list[tuple[Fragment, str]]] = {}
    for command, listed in found.items():
        for one in listed:
            by_line.setdefault((one.record, one.line(size)), []).append((one, command))
    made = []
    for group in by_line.values():
        group.sort(key=lambda pair: pair[0].first_block)
        whole, commands = group[0][0], {group[0][1]}
        for one, command in group[1:]:
            behind = whole.first_block + whole.blocks
            if one.first_block > behind:
                made.append((whole, tuple(sorted(commands))))
                whole, commands = one, {command}
                continue
            commands.add(command)
            whole = replace(whole, blocks=max(behind, one.first_block + one.blocks) - whole.first_block)
        made.append((whole, tuple(sorted(commands))))
    return sorted(made, key=lambda pair: (pair[0].offset, pair[0].record, pair[0].first_block))


def _aligned(found: Iterable[tuple[str, Fragment]], size: int) -> Counter[tuple[str, int, int]]:
    """How many blocks of a file stand on one line, by volume, record and line."""
    counts = Counter[tuple[str, int, int]]()
    for volume, one in found:
        counts[volume, one.record, one.line(size)] += one.blocks
    return counts


class _Places:
    """What the scan of a disk says of its places: their volume and kind, and which files begin where."""

    def __init__(self, connection: sqlite3.Connection, exhibit: str, source: str, beginnings: Collection[int]) -> None:
        """``beginnings`` are the bytes of which it is asked what file begins there; all at once, for one pass."""
        self._starts: list[int] = []
        self._areas: list[tuple[str, str]] = []
        self.files: dict[int, str] = {}
        row = connection.execute(
            "SELECT id FROM source WHERE exhibit = ? AND name = ? AND finished = 1", (text(exhibit), text(source))
        ).fetchone()
        if row is None or not beginnings:
            return
        for start, volume, kind in connection.execute(
            "SELECT start, volume, kind FROM ledger WHERE source_id = ? ORDER BY position", row
        ):
            self._starts.append(int(start))
            self._areas.append((str(volume), str(kind)))
        low, high = source_range(int(row[0]))
        self.files = {
            int(offset): str(path)
            for offset, path, _ in connection.execute(
                "SELECT physical_offset, path, min(id) FROM entry WHERE id >= ? AND id < ? AND physical_offset IN "
                "(SELECT value FROM json_each(?)) GROUP BY physical_offset",
                (low, high, json.dumps(sorted(beginnings))),
            )
        }

    def area_of(self, offset: int) -> tuple[str, str]:
        """The volume and the kind of a byte, ("", "") where the disk was not scanned."""
        place = bisect_right(self._starts, offset) - 1
        return self._areas[place] if place >= 0 else ("", "")
