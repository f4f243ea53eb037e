"""Where a logical volume of LVM2 lies on a disk, by the segments of its description.

The segments are those that LVM2's own sources write (lib/striped, lib/raid, lib/mirror, lib/cache_segtype).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from caid_triage.evidence.layers.layer import Area
from caid_triage.evidence.layers.lvm_text import SECTOR, Section, number_of
from caid_triage.evidence.layers.view import Run, View, view_of_runs

_DEEPEST = 8
_MOST_RUNS = 100_000
LARGEST = 1 << 62
"""Bytes of a logical volume: places are told in 63 bits."""


class Missing(Exception):  # noqa: N818 - no fault: the rest of it lies elsewhere
    """Why a logical volume cannot be put together here."""


@dataclass(slots=True)
class Layout:
    """Where ``size`` bytes of a logical volume lie: runs on the disk, and holes (first byte, end, physical volume)."""

    size: int
    runs: list[Run] = field(default_factory=list)
    holes: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, at: int, part: Layout) -> None:
        """Put a part at byte ``at``. Errors: ValueError when there are too many."""
        self.runs += [Run(at + run.start, run.length, run.at, run.piece, run.step) for run in part.runs]
        self.holes += [(at + start, at + end, name) for start, end, name in part.holes]
        if len(self.runs) + len(self.holes) > _MOST_RUNS:
            raise ValueError("a logical volume has too many parts")

    def cut(self, start: int, length: int) -> Layout:
        """``length`` bytes of it from ``start`` on. Errors: Missing where stripes are cut or it is shorter."""
        if start == 0 and length == self.size:
            return self
        if start + length > self.size or any(run.piece for run in self.runs):
            raise Missing("a part of it lies in an odd place of another logical volume")
        part = Layout(length)
        for run in self.runs:
            low, high = max(start, run.start), min(start + length, run.start + run.length)
            if low < high:
                part.runs.append(Run(low - start, high - low, run.at + low - run.start))
        for first, end, name in self.holes:
            low, high = max(start, first), min(start + length, end)
            if low < high:
                part.holes.append((low - start, high - start, name))
        return part


@dataclass(slots=True)
class Group:
    """A volume group as seen from one disk: ``here`` are its physical volumes there, (first byte, bytes) each.

    ``firsts`` says at which byte of each physical volume its extents begin.
    """

    area: Area
    extent: int
    here: dict[str, tuple[int, int]]
    firsts: dict[str, int]
    volumes: dict[str, Section]

    def layout(self, name: str, depth: int = 0) -> Layout:
        """Where a logical volume lies. Errors: Missing, ValueError."""
        if depth > _DEEPEST:
            raise ValueError("logical volumes lie in each other in a circle")
        volume = self.volumes.get(name)
        if volume is None:
            raise Missing(f"it is built of {name}, which is not described")
        whole = Layout(0)
        for segment in segments_of(volume):
            if number_of(segment, "start_extent") * self.extent != whole.size:
                raise Missing("its parts do not follow each other")
            length = number_of(segment, "extent_count") * self.extent
            whole.add(whole.size, self._segment(segment, length, depth))
            whole.size += length
            if whole.size > LARGEST:
                raise ValueError("a logical volume is larger than any can be")
        return whole

    def view(self, name: str, depth: int = 0) -> View:
        """The content of a logical volume. Errors: Missing, ValueError."""
        layout = self.layout(name, depth)
        if not layout.runs:
            raise Missing(lies_elsewhere(layout) if layout.holes else "it has no parts")
        return view_of_runs(self.area.image, layout.runs, layout.size)

    def _segment(self, segment: Section, length: int, depth: int) -> Layout:
        kind = segment.get("type")
        if kind in ("striped", "raid0", "raid0_meta"):
            name = "stripes" if kind == "striped" else "raid0_lvs"
            parts = _pairs(segment, name) if kind == "striped" else [(one, 0) for one in _names(segment, name)]
            if len(parts) != number_of(segment, "stripe_count"):
                raise ValueError(f"{name} of a logical volume are damaged")
            return self._striped(segment, [[part] for part in parts], length, depth)
        if kind in ("raid1", "mirror"):  # every copy is the whole
            legs = _names(segment, "raids")[1::2] if kind == "raid1" else _names(segment, "mirrors")
            return self._first_whole([(leg, 0) for leg in legs], length, depth)
        if kind in ("raid10", "raid10_near"):  # pairs of copies, next to each other
            legs = _names(segment, "raids")[1::2]
            if len(legs) % 2 or segment.get("data_copies", 2) != 2:
                raise Missing(f"it is of the kind {kind} with an odd number of copies")
            pairs = [[(leg, 0) for leg in legs[at : at + 2]] for at in range(0, len(legs), 2)]
            return self._striped(segment, pairs, length, depth)
        if kind in ("cache", "writecache"):  # what lies behind the cache is the whole volume, but for the last changes
            return self.layout(name_in(segment, "origin"), depth + 1).cut(0, length)
        count = segment.get("stripe_count", segment.get("device_count"))
        raise Missing(f"it is of the kind {kind}" + (f" over {count} parts" if isinstance(count, int) else ""))

    def _striped(self, segment: Section, stripes: list[list[tuple[str, int]]], length: int, depth: int) -> Layout:
        """Stripes next to each other; of each, the first of its copies that is whole."""
        if len(stripes) == 1:
            return self._first_whole(stripes[0], length, depth)
        piece = number_of(segment, "stripe_size") * SECTOR
        each, odd = divmod(length, len(stripes) or 1)
        if not piece or odd or each % piece:
            raise ValueError("the stripes of a logical volume are damaged")
        step = piece * len(stripes)
        whole = Layout(length)
        for place, copies in enumerate(stripes):
            part = self._first_whole(copies, each, depth)
            for run in part.runs:
                if run.piece or run.start % piece:
                    raise Missing("its stripes are cut into parts that are not whole stripes")
                start = run.start // piece * step + place * piece
                whole.runs.append(Run(start, run.length, run.at, piece, step))
            whole.holes += [(start // piece * step, -(-end // piece) * step, name) for start, end, name in part.holes]
        return whole

    def _first_whole(self, copies: list[tuple[str, int]], length: int, depth: int) -> Layout:
        """The first copy without a hole; where none is, the first that can be described. Errors: Missing."""
        best: Layout | None = None
        missing: Missing | None = None
        for name, extent in copies:
            try:
                copy = self._part(name, extent, length, depth)
            except Missing as error:
                missing = error
                continue
            if not copy.holes:
                return copy
            if best is None or len(copy.runs) > len(best.runs):
                best = copy
        if best is None:
            raise missing or Missing("it has no parts")
        return best

    def _part(self, name: str, extent: int, length: int, depth: int) -> Layout:
        """``length`` bytes of a physical or logical volume from one of its extents on."""
        if name not in self.firsts:  # LVM itself takes a name for a physical volume's first
            return self.layout(name, depth + 1).cut(extent * self.extent, length)
        if name not in self.here:
            return Layout(length, holes=[(0, length, name)])
        offset, size = self.here[name]
        place = self.firsts[name] + extent * self.extent
        held = max(0, min(length, size - place))
        runs = [Run(0, held, offset + place)] if held else []
        return Layout(length, runs, [(held, length, f"the end of {name}, which is cut off")] if held < length else [])

    def host_of(self, name: str) -> str | None:
        """The first physical volume on this disk with any part of a logical volume or of what it is built of."""
        pending, seen, found = [name], {name}, set()
        while pending:
            for segment in segments_of(self.volumes.get(pending.pop(), {})):
                said = [item for key, item in segment.items() if key not in ("type", "tags")]
                words = {word for item in said for word in (item if isinstance(item, list) else [item])
                         if isinstance(word, str)}  # fmt: skip
                found |= words & self.here.keys()
                below = (words & self.volumes.keys()) - seen
                pending += sorted(below)
                seen |= below
        return min(found, key=lambda one: self.here[one], default=None)


def segments_of(volume: Section) -> list[Section]:
    """The segments of a logical volume in their order. Errors: ValueError, KeyError."""
    found = [item for key, item in volume.items() if key.startswith("segment") and isinstance(item, dict)]
    return sorted(found, key=lambda item: number_of(item, "start_extent"))


def name_in(segment: Section, name: str) -> str:
    """The name that a segment gives. Errors: ValueError, KeyError."""
    found = segment[name]
    if not isinstance(found, str):
        raise ValueError(f"{name} of a logical volume is damaged")
    return found


def _names(segment: Section, name: str) -> list[str]:
    found = segment.get(name)
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def _pairs(segment: Section, name: str) -> list[tuple[str, int]]:
    found = segment.get(name)
    pairs = list(zip(found[::2], found[1::2], strict=True)) if isinstance(found, list) and not len(found) % 2 else []
    if not pairs or not all(isinstance(one, str) and isinstance(at, int) and at >= 0 for one, at in pairs):
        raise ValueError(f"{name} of a logical volume are damaged")
    return pairs  # type: ignore[return-value]  # checked above


def lies_elsewhere(layout: Layout) -> str:
    """Which ranges of a volume are not on this disk; a few of them."""
    ranges = sorted({(start, end, name) for start, end, name in layout.holes})
    said = ", ".join(f"bytes {start} to {end - 1} of it on {name}" for start, end, name in ranges[:5])
    stripes = " (every other stripe or so)" if any(run.piece for run in layout.runs) else ""
    return f"{said}{stripes}{' and more' if len(ranges) > 5 else ''}"
