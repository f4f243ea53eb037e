"""Put JPEGs and PNGs together that lie in two pieces, and tell those whose data breaks although their ends look right.

"Bi-fragment gap carving" (Garfinkel, DFRWS 2007) with a check that needs no decoder: of a JPEG its own codes
(:mod:`.huffman`), of a PNG its checksums. All effort is counted in bytes, never in time, so that a result is the
same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from caid_triage.evidence.carve.chunks import png_checksum_fits, png_chunk
from caid_triage.evidence.carve.found import SECTOR
from caid_triage.evidence.carve.huffman import DONE, SHORT, STOPPED, WRONG, Follower, Position, read_plan
from caid_triage.evidence.carve.jpeg import JpegWalk
from caid_triage.evidence.carve.space import Space, Stretch
from caid_triage.evidence.ranges import Range, range_at

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far the rest of one file is searched.

    ``reaches``: how many free bytes behind a break (below 0: before it), one after the other. ``png_reach``: the same
    of a PNG, behind it. ``each``: how many bytes of codes may be followed to find the rest of one file; each place that
    is tried counts ``trial`` bytes more.
    """

    reaches: tuple[tuple[int, int], ...]
    png_reach: int
    each: int
    trial: int = 0


WIDE = Bounds(((0, MIB), (-MIB, 0), (MIB, 8 * MIB), (8 * MIB, 32 * MIB), (-16 * MIB, -MIB)), 32 * MIB, 32 * MIB)
NARROW = Bounds(((0, MIB), (-MIB, 0)), 2 * MIB, MIB // 2, 256)
_LOOKS_A_BYTE = 64  # bytes looked at to tell whether they could be compressed data cost what one byte of codes does
_WORTH_COMPILING = 2 << 20
MOST_JPEG = 64 << 20
LEAST_UNITS = 64
"""Units that must be left of a picture, so that their exact number tells its rest from another picture's end."""
_SNAPSHOT = 2048
_BOUNDARIES = 12
_FIRST_LOOK, _SECOND_LOOK = 4096, 65536
_PNG_NAMES = (b"IDAT", b"IEND", b"fdAT", b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"tIME")

Extents = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Effort:
    """Bytes that may still be gone over in this source to check and mend, and how many were."""

    left: int
    spent: int = 0

    def take(self, count: int) -> None:
        """Count bytes as gone over."""
        self.left -= count
        self.spent += count

    def is_worth_compiling(self, coming: int) -> bool:
        """Whether so much is followed that the seconds of compiling come back; the answers are the same."""
        return self.spent + coming > _WORTH_COMPILING


@dataclass(slots=True)
class _Sequence:
    """A JPEG's header, the follower of its scan and the positions met on the way to the break."""

    header: int
    follower: Follower
    positions: list[Position]
    why: int
    last: Position
    interval: int
    units: int


def jpeg_fault(space: Space, extents: Sequence[tuple[int, int]], effort: Effort) -> int | None:
    """Where the compressed data of a JPEG of these extents stops making sense; 0: nowhere; None: not followed."""
    file = Stretch(space, extents, 4 * MOST_JPEG)
    if file.size > MOST_JPEG or effort.left < file.size:
        return None
    followed = _follow_all(file, file.size, effort)
    if followed is None:
        return None
    return 0 if followed.why == DONE else followed.last.place


def _follow_all(file: Stretch, size: int, effort: Effort, coming: int = 0) -> _Sequence | None:
    """Follow a JPEG's scan to its end or its break, keeping a position every few sectors.

    ``coming`` are the bytes that are followed with the same follower afterwards, at most.
    """
    walk = JpegWalk(file)
    walk.run()
    if walk.place > effort.left:
        return None
    plan = read_plan(file.at(0, walk.first_data)) if walk.first_data else None
    if plan is None:
        return None
    data = file.at(0, min(size, walk.place + 4096, file.size))
    follower = Follower(plan, compiled=effort.is_worth_compiling(walk.place + coming))
    position = Position(walk.first_data)
    positions = [position]
    why = STOPPED
    while why == STOPPED:
        file.check()
        why, position = follower.follow(data, position, position.place + _SNAPSHOT)
        if why == STOPPED:
            positions.append(position)
    effort.take(follower.spent)
    if why == DONE and data[position.place : position.place + 1] != b"\xff":
        why = WRONG
    return _Sequence(walk.first_data, follower, positions, why, position, plan.interval, plan.units)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the rest of a file may lie: free ``ranges``, what of them no certain file takes (``unclaimed``: where a
    rest may begin), and the size and a start of the units in which files lie."""

    ranges: list[Range]
    unclaimed: list[Range]
    block: tuple[int, int]


def mend_jpeg(space: Space, start: int, ground: Ground, effort: Effort, bounds: Bounds = WIDE) -> Extents | None:
    """The two extents of the JPEG at ``start`` whose data breaks in its range; None when none are found."""
    home, block = range_at(ground.ranges, start), ground.block
    if home is None or effort.left <= 0:
        return None
    file = Stretch(space, [(start, min(home[1] - start, MOST_JPEG))], 8 * MOST_JPEG)
    followed = _follow_all(file, file.size, effort, bounds.each)
    if followed is None or followed.why == DONE:
        return None
    follower, begun = followed.follower, followed.follower.spent
    most = begun + min(bounds.each, effort.left)
    restarts = followed.interval > 0
    edges = list(_boundaries(file, followed, block))
    heads = [_up_to(file, followed, edge) for edge in edges]
    fits: list[tuple[float, Extents]] = []
    first = min((known.unit for known in heads), default=0)
    # near gaps at every likely edge before far ones at any: the rest of a file is seldom far
    for low, high in bounds.reaches:
        for edge, known in zip(edges, heads, strict=True):
            if follower.spent <= most and followed.units - known.unit >= LEAST_UNITS:
                effort.take((high - low) // _LOOKS_A_BYTE)
                head = file.at(known.place, edge - known.place)
                fit = _rest(space, follower, replace(known, place=0), head, start, start + edge, ground, restarts, low,
                            high, most, bounds.trial)  # fmt: skip
                if fit is not None:
                    whole = file.at(0, edge) + space.read(*fit)
                    uneven = follower.unevenness(whole, Position(followed.header), first, known.unit)
                    fits.append((uneven, ((start, edge), fit)))
        if fits or follower.spent > most or effort.left <= 0:
            break
    effort.take(follower.spent - begun)
    # other bytes can fit by chance as well; in the picture as it was made rows lie under rows
    return min(fits)[1] if fits else None


def _rest(
    space: Space,
    follower: Follower,
    base: Position,
    head: bytes,
    start: int,
    edge: int,
    ground: Ground,
    restarts: bool,
    low: int,
    high: int,
    most: int,
    trial: int,
) -> tuple[int, int] | None:
    """The offset and length of what ends a picture from ``start`` broken off at ``edge``, sought ``low`` to ``high``
    bytes away."""
    for candidate in _candidates(space, start, edge, ground, restarts, low, high):
        if follower.spent > most:
            return None
        follower.spent += trial
        span = range_at(ground.ranges, candidate)
        length = _tail(space, follower, base, head, candidate, span[1]) if span is not None else 0
        if length:
            return candidate, length
    return None


def _up_to(file: Stretch, followed: _Sequence, edge: int) -> Position:
    """The last position from which no byte behind ``edge`` was taken in, as near to it as can be had."""
    known = next(one for one in reversed(followed.positions) if one.place <= edge)
    data = file.at(known.place, edge - known.place)
    best = replace(known, place=0)
    for margin in (512, 128, 32):
        if len(data) > best.place + margin:
            why, position = followed.follower.follow(data, best, len(data) - margin)
            if why == STOPPED and position.place <= len(data):
                best = position
    return replace(best, place=known.place + best.place)


def _tail(space: Space, follower: Follower, base: Position, head: bytes, candidate: int, end: int) -> int:
    """How many bytes from ``candidate`` on end the picture whose codes stand at ``base`` before ``head`` (0: they do
    not)."""
    position = base
    taken = 0
    for look in (_FIRST_LOOK, _SECOND_LOOK, 1 << 20, MOST_JPEG):
        length = min(look, end - candidate)
        if length <= taken:
            return 0
        data = head + space.read(candidate, length)
        taken = length
        # stop early enough that no unit is cut by the end of what was read
        stop = len(data) - 2048 if length == look else len(data) + 1
        why, position = follower.follow(data, position, max(stop, position.place + 1))
        if why == DONE:
            mark = position.place
            while data[mark : mark + 2] == b"\xff\xff":  # fill bytes may stand before the end mark
                mark += 1
            ended = data[mark : mark + 2] == b"\xff\xd9" and mark >= len(head)
            return mark + 2 - len(head) if ended else 0
        if why in (WRONG, SHORT):
            return 0
    return 0


def _boundaries(file: Stretch, followed: _Sequence, block: tuple[int, int]) -> Iterator[int]:
    """Places in the file at which a unit of its volume begins: nearest to the break first.

    Codes can run on through zeros for long, so an empty sector before the break is where the search begins.
    """
    size, origin = block
    start, place, first = file.source_offset(0), followed.last.place, followed.header
    edge = start + place - (start + place - origin) % size
    zeros = file.at(first, place - first).find(bytes(SECTOR)) if place > first else -1
    if zeros >= 0:
        edge = start + first + zeros
        edge += (origin - edge) % size
    for _ in range(_BOUNDARIES if size <= SECTOR else 4):
        if edge - start <= first:
            return
        yield edge - start
        edge -= size


def _candidates(
    space: Space, start: int, break_at: int, ground: Ground, restarts: bool, low: int, high: int
) -> Iterator[int]:
    """Units of free space that could be compressed data.

    Those that lie between ``low`` and ``high`` free bytes behind the break; below 0, so far before the file's start.
    """
    free, block = ground.unclaimed, ground.block
    if high <= 0:
        near = _part([(a, min(b, start)) for a, b in free if a < start][::-1], -high, -low, backwards=True)
        yield from _plausible(space, sorted(near), block, restarts)
    else:
        near = _part([(max(a, break_at + 1), b) for a, b in free if b > break_at + 1], low, high, backwards=False)
        yield from _plausible(space, near, block, restarts)


def _part(ranges: list[Range], low: int, high: int, *, backwards: bool) -> list[Range]:
    """Of ranges in the order given, the bytes number ``low`` to ``high``."""
    kept: list[Range] = []
    at = 0
    for start, end in ranges:
        length = end - start
        first, behind = max(0, low - at), min(length, high - at)
        if first < behind:
            kept.append((end - behind, end - first) if backwards else (start + first, start + behind))
        at += length
        if at >= high:
            break
    return kept


def _plausible(space: Space, ranges: list[Range], block: tuple[int, int], restarts: bool) -> Iterator[int]:
    size, origin = block
    allowed = np.zeros(256, dtype=bool)
    allowed[[0x00, 0xFF, 0xD9, *(range(0xD0, 0xD8) if restarts else ())]] = True
    for start, end in ranges:
        at = start + (origin - start) % size
        while at + size <= end:
            length = min(1 << 20, (end - at) // size * size)
            data = np.frombuffer(space.read(at, length), dtype=np.uint8)
            units = len(data) // size
            if not units:
                break
            look = data[: units * size].reshape(units, size)[:, : min(size, SECTOR)]
            wrong = (look[:, :-1] == 0xFF) & ~allowed[look[:, 1:]]
            empty = (look == look[:, :1]).all(axis=1)
            for unit in np.flatnonzero(~wrong.any(axis=1) & ~empty).tolist():
                yield at + unit * size
            at += units * size


# ------------------------------------------------------------ PNG


def mend_png(space: Space, start: int, ground: Ground, effort: Effort, bounds: Bounds = WIDE) -> Extents | None:
    """The two extents of the PNG at ``start`` whose chunks break; None when none are found.

    The chunk behind the break must stand in its place with its name, which few gaps allow; then its checksum decides.
    """
    home = range_at(ground.ranges, start)
    if home is None or effort.left <= 0:
        return None
    file = Stretch(space, [(start, home[1] - start)], 1 << 31)
    place = 8
    while True:
        length, name = png_chunk(file, place)
        if not name or place + 12 + length > file.size or not png_checksum_fits(file, place, length):
            break
        place += 12 + length
        effort.take(12 + length)
        if name == b"IEND":
            return None
    size, origin = ground.block
    following = place + (12 + length if name else 0)
    spent = 0
    effort.take(bounds.png_reach // _LOOKS_A_BYTE)
    for gap in _png_gaps(space, start + following, ground.ranges, size, bounds.png_reach):
        low = start + place
        edge = low + (origin - low) % size if (origin - low) % size else low
        while edge <= start + min(following, place + length + 12) and spent < bounds.each:
            if start < edge:
                spent += length + 12
                joined = _png_joined(space, start, edge, gap, ground.ranges, place)
                if joined is not None:
                    effort.take(spent)
                    return joined
            edge += size
    effort.take(spent)
    return None


def _png_gaps(space: Space, expected: int, free: list[Range], size: int, most: int) -> Iterator[int]:
    """By how much the rest may have moved: where a chunk's name stands a whole number of units behind its place."""
    for start, end in free:
        at = max(start, expected)
        while at < end and most > 0:
            piece = space.read(at, min(1 << 20, end - at) + 8)
            names = sorted(found for name in _PNG_NAMES for found in _all(piece, name) if found < 1 << 20)
            for found in names:
                gap = at + found - 4 - expected
                if gap > 0 and gap % size == 0:
                    yield gap
            most -= min(1 << 20, end - at)
            at += 1 << 20


def _all(data: bytes, wanted: bytes) -> Iterator[int]:
    at = data.find(wanted)
    while at >= 0:
        yield at
        at = data.find(wanted, at + 1)


def _png_joined(space: Space, start: int, edge: int, gap: int, free: list[Range], place: int) -> Extents | None:
    """The extents when the file goes on ``gap`` behind ``edge`` and every checksum from ``place`` on then fits."""
    rest = range_at(free, edge + gap)
    if rest is None:
        return None
    file = Stretch(space, [(start, edge - start), (edge + gap, rest[1] - edge - gap)], 1 << 31)
    while True:
        length, name = png_chunk(file, place)
        if not name or place + 12 + length > file.size or not png_checksum_fits(file, place, length):
            return None
        place += 12 + length
        if name == b"IEND":
            return file.cut(place)
