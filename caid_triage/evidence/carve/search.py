"""Go over ranges of a source once, carve at every header, and (thorough) mend what lies in two pieces.

The search goes on behind the end of a whole file and inside one that is not whole. Work is bounded by counts: what may
be read for files that come to nothing grows with what was searched.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from caid_triage.evidence.carve.ext_blocks import ExtBlocks
from caid_triage.evidence.carve.found import SECTOR, Found
from caid_triage.evidence.carve.fragments import NARROW, WIDE, Effort, Extents, Ground, jpeg_fault, mend_jpeg, mend_png
from caid_triage.evidence.carve.headers import REACH, Header, any_places, headers_at, sector_places
from caid_triage.evidence.carve.space import BLOCK, Space, Stretch, cut_extents
from caid_triage.evidence.ranges import Range, merged, range_at, without

MOST_FILES = 500_000
"""Files carved from one source, so that what is remembered of them stays small."""
MOST_HOPES = 20_000
MOST_EFFORT, LEAST_EFFORT = 2 << 30, 64 << 10
_FREE_WORK, _LEAST_WORK = 64 << 20, 1 << 16
_WORK_A_BYTE = 4
_SEARCHED_A_BYTE = 1024  # on sector starts: how much is searched for each byte of codes that may be followed
_MENDED = frozenset(("jpg", "png"))
_MOST_RANGES_ON = 16
_MOST_FILLING = 1 << 16
_LAST_PART = 1 << 16
_MOST_PASSED = 1 << 20
_CHECKED = frozenset(("png", "jng", "mng", "gif", "mkv", "webm", "flv", "ts", "m2ts", "mpg", "ogg", "ogv", "mp3"))
"""Kinds whose structure runs through the whole file."""
_MOST_AROUND = 8
_EACH_CHECK = 1 << 26


@dataclass(frozen=True, slots=True)
class Area:
    """What is searched as one: free ranges of a volume ("" for none), and how files lie in it.

    ``block`` is the size and a start of the units files are kept in; ``indirect`` follows an ext2 volume's block maps.
    Where ``places`` are given (headers in slack), only what begins there is carved, and the ranges say how far it goes.
    A range that ends at one of ``cuts`` ends where the rest of the volume is not looked at, not where a file lies.
    """

    volume: str
    ranges: tuple[Range, ...]
    block: tuple[int, int] = (SECTOR, 0)
    indirect: ExtBlocks | None = None
    places: tuple[int, ...] | None = None
    cuts: frozenset[int] = frozenset()

    def ranges_behind(self, number: int, most: int) -> list[Range]:
        """Up to ``most`` ranges behind one of them, as far as between them nothing but files can lie."""
        found: list[Range] = []
        for place in range(number, min(number + most, len(self.ranges) - 1)):
            if self.ranges[place][1] in self.cuts:
                break
            found.append(self.ranges[place + 1])
        return found


@dataclass(frozen=True, slots=True)
class Carved:
    """A file found by its structure: the volume's name, its extents, its ending, and what is to be said of it.

    ``remark`` is "" (whole), "partial" (its beginning, as far as its structure goes), "joined" (put together of pieces
    and checked) or "doubtful" (its ends are right, its data breaks at ``fault``). ``in_slack``: it begins in slack.
    The rest is as in :class:`~caid_triage.evidence.carve.found.Found`.
    """

    volume: str
    extents: Extents
    suffix: str
    remark: str = ""
    fault: int = 0
    checked: bool = True
    open_end: bool = False
    suspect: bool = False
    in_slack: bool = False

    @property
    def start(self) -> int:
        """Its first byte in the source."""
        return self.extents[0][0]

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(length for _, length in self.extents)


@dataclass(slots=True)
class Search:
    """One search of one source; ``full`` says that MOST_FILES were reached, ``short`` that work was cut short.

    ``searched`` are the bytes gone over so far.
    """

    space: Space
    thorough: bool
    full: bool = False
    short: bool = False
    searched: int = 0
    _wasted: int = 0
    _found: list[Carved] = field(default_factory=list)
    _passed: set[tuple[int, bytes]] = field(default_factory=set)  # where no file of a kind begins (Found.passed)
    _open: tuple[str, int] = ("", 0)  # the kind and the end of the last file that nothing ends
    _hopes: list[Carved] = field(default_factory=list)  # beginnings that are nothing unless their rest is found

    def searched_elsewhere(self, count: int) -> None:
        """Count bytes that were searched for headers before: what may be read for files grows with them."""
        self.searched += count

    def run(self, areas: Iterable[Area]) -> list[Carved]:
        """Every file of the areas, by area and place."""
        result: list[Carved] = []
        spent = 0
        effort = Effort(MOST_EFFORT if self.thorough else 0)
        for area in areas:
            self._found, self._hopes = [], []
            for number, span in enumerate(area.ranges if area.places is None else ()):
                if len(result) + len(self._found) >= MOST_FILES:
                    self.full = True
                    break
                self._range(area, number, span)
            self._at_places(area)
            self._go_on_behind_others(area)
            if not self.thorough:
                effort.left = min(MOST_EFFORT, LEAST_EFFORT + self.searched // _SEARCHED_A_BYTE) - spent
            left = effort.left
            self._mend(area, effort)
            spent += left - effort.left
            self._found.sort(key=lambda one: (one.start, one.extents))
            in_slack = area.places is not None
            result += (replace(one, in_slack=True) for one in self._found) if in_slack else self._found
        return result[:MOST_FILES]

    # ------------------------------------------------------------ one pass

    def _range(self, area: Area, number: int, span: Range) -> None:
        start, end = span
        at = done = start
        while at < end:
            window = min(BLOCK - at % BLOCK, end - at)
            data = self.space.read(at, min(window + (REACH if self.thorough else 0), end - at))
            for place in self._places(data):
                if place >= window:
                    break
                if at + place < done:
                    continue
                behind = self._carve(area, number, at + place, data[place : place + REACH])
                done = max(done, behind)
                if len(self._found) >= MOST_FILES:
                    self.full = True
                    return
            self.searched += window
            following = at + window
            if done > following:
                step = 1 if self.thorough else SECTOR
                skipped = min(end, done + (start - done) % step)
                self.searched += skipped - following
                following = skipped
                if self.thorough:  # keep the sectors in step with the range
                    following = max(at + window, skipped - (skipped - start) % SECTOR)
            at = following

    def _at_places(self, area: Area) -> None:
        """Carve at the places that the area names, but for those inside a whole file that began before them."""
        done = 0
        for place in area.places or ():
            if len(self._found) >= MOST_FILES:
                self.full = True
                return
            number = bisect_right(area.ranges, (place, 1 << 63)) - 1
            end = area.ranges[number][1]
            if place >= done:
                done = max(done, self._carve(area, number, place, self.space.exact(place, min(REACH, end - place))))

    def _places(self, data: bytes) -> list[int]:
        return any_places(data) if self.thorough else sector_places(data)

    def _carve(self, area: Area, number: int, place: int, head: bytes) -> int:
        """Carve what begins at a place; returns where the search goes on (the place itself when nothing whole did)."""
        for header in headers_at(head):
            if not self.thorough and (place - area.ranges[number][0]) % SECTOR:
                continue
            if (place, header.magic) in self._passed:
                continue
            for extents in self._layouts(area, number, place, header.most):
                work = max(_LEAST_WORK, _FREE_WORK + _WORK_A_BYTE * self.searched - self._wasted)
                file = Stretch(self.space, extents, work)
                found = header.carver(file)
                if found is not None and found.suffix == self._open[0] and place < self._open[1]:
                    continue  # a part of a film that nothing ends
                if found is not None and len(self._passed) < _MOST_PASSED:
                    self._passed.update((file.source_offset(one), header.magic) for one in found.passed)
                if found is None or not found.whole:
                    self._wasted += work - max(0, file.left)
                    self.short = self.short or file.left < 0
                if found is None or not found.whole or found.open_end:
                    over = self._over_the_gap(area, number, file, header, found)
                    if over is not None:
                        self._found.append(over)
                        return over.extents[0][0] + (over.extents[0][1] if over.checked else 0)
                if found is None or not found.length or (not found.whole and len(extents) > 1):
                    continue
                if found.whole or found.worth:
                    return self._keep(area, file, found)
                if len(self._hopes) < MOST_HOPES:
                    self._hopes.append(_partial(area, file, found))
        return place

    def _layouts(self, area: Area, number: int, place: int, most: int) -> Iterator[Extents]:
        """The ways the file at a place may lie: by the volume's own maps where those are left, else in one piece."""
        if area.indirect is not None:
            mapped = area.indirect.extents(place)
            if mapped:
                yield cut_extents(mapped, most)
        yield ((place, min(area.ranges[number][1] - place, most)),)

    def _keep(self, area: Area, file: Stretch, found: Found) -> int:
        """Remember a file; where the search goes on."""
        extents = file.cut(found.length)
        start, length = extents[0]
        if not found.whole:
            self._found.append(_partial(area, file, found))
            return start
        remark = "" if len(extents) == 1 else "joined"
        self._found.append(
            Carved(area.volume, extents, found.suffix, remark, 0, found.checked, found.open_end, found.suspect)
        )
        if found.open_end:  # another file may begin in what was taken for its last part
            self._open = found.suffix, start + length
            return start + max(0, length - _LAST_PART) // SECTOR * SECTOR
        return start + (length if found.checked else 0)

    def _over_the_gap(
        self, area: Area, number: int, file: Stretch, header: Header, first: Found | None
    ) -> Carved | None:
        """The file that runs to the end of its free range and goes on in the next ones; None when none is whole so.

        ``first`` is what there is of it in its own range.
        """
        ends = first is not None and file.size - first.length < SECTOR + 16
        if not (file.ran_out or ends) or file.left < 0 or len(file.extents) > 1 or file.size >= header.most:
            return None
        if area.places is not None:  # where a file in slack went on, another file's beginning lies now
            return None
        rest = [(start, end - start) for start, end in area.ranges_behind(number, _MOST_RANGES_ON)]
        if not rest:
            return None
        longer = Stretch(self.space, (*file.extents, *rest), max(_LEAST_WORK, file.left))
        found = header.carver(longer)
        if found is None or not found.whole or found.length <= file.size + (2 * SECTOR if found.open_end else 0):
            self._wasted += max(0, file.left) - max(0, longer.left)
            return None
        extents = longer.cut(found.length)
        if self._is_faulty(extents, found.suffix):
            return None
        return Carved(area.volume, extents, found.suffix, "joined", checked=found.checked)

    # ------------------------------------------------------------ two pieces

    def _go_on_behind_others(self, area: Area) -> None:
        """Try every file that breaks, or whose length was only believed, around the whole files that lie in it."""
        size, origin = area.block
        whole = sorted(
            {
                (one.start, one.start + one.size)
                for one in self._found
                if not one.remark and (one.start - origin) % min(size, BLOCK) == 0
            }
        )
        if not whole:
            return
        known = len(self._found)
        for index, one in enumerate([*self._found, *self._hopes]):
            if len(one.extents) > 1 or (one.remark != "partial" and one.checked and not one.open_end):
                continue
            joined = self._around(area, one, whole)
            if joined is None:
                continue
            if one.remark == "partial" and index < known:
                self._found[index] = joined
            else:
                self._found.append(joined)

    def _around(self, area: Area, one: Carved, whole: list[Range]) -> Carved | None:
        """The file put together around whole ones that begin before it breaks (or in it, where all was believed)."""
        span = range_at(area.ranges, one.start)
        if span is None:
            return None
        pieces: list[tuple[int, int]] = []
        at, reach = one.start, one.start + one.size
        for _ in range(_MOST_AROUND):
            for inner in _between(whole, at, reach + (SECTOR if one.open_end else 0), nearest=one.checked):
                tried = [*pieces, (at, inner[0] - at)]
                found, extents = self._behind_one(area, one, tried, inner, whole, span)
                if found is not None:
                    break
            else:
                return None
            if found.whole:
                return Carved(one.volume, extents, one.suffix, "joined", checked=found.checked)
            pieces = list(extents[:-1])
            at = extents[-1][0]
            reach = at + extents[-1][1]
        return None

    def _behind_one(
        self, area: Area, one: Carved, pieces: Sequence[tuple[int, int]], inner: Range, whole: list[Range], span: Range
    ) -> tuple[Found | None, Extents]:
        """What a file of these pieces is when it goes on behind a whole one; None when it breaks there at once."""
        known = sum(length for _, length in pieces)
        for at in _behind(self._past_others(whole, inner), span[1], area.block):
            if len(set(self.space.read(at, SECTOR))) == 1:
                continue  # what fills a unit behind a file's end is no data of another
            found, file = self._again(pieces, (at, span[1] - at), one.suffix)
            least = max(known, one.size if one.checked else 0) + 2 * SECTOR
            if found is None or (found.length < least and (not found.whole or one.open_end)):
                continue
            extents = file.cut(found.length)
            if len(extents) > len(pieces) and not (found.whole and self._is_faulty(extents, one.suffix)):
                return found, extents
        return None, ()

    def _past_others(self, whole: list[Range], inner: Range) -> int:
        """Behind a whole file and those that follow it with nothing but zeros between."""
        end = inner[1]
        for _ in range(_MOST_AROUND):
            place = bisect_left(whole, (end, 0))
            gap = whole[place][0] - end if place < len(whole) else _MOST_FILLING
            if gap >= _MOST_FILLING or self.space.read(end, gap).strip(b"\0"):
                break
            end = whole[place][1]
        return end

    def _is_faulty(self, extents: Extents, suffix: str) -> bool:
        """Whether a JPEG put together is known to be wrong (thorough: its codes are followed)."""
        return self.thorough and suffix == "jpg" and bool(jpeg_fault(self.space, extents, Effort(_EACH_CHECK)))

    def _again(
        self, pieces: Sequence[tuple[int, int]], rest: tuple[int, int], suffix: str
    ) -> tuple[Found | None, Stretch]:
        """Carve what these pieces and then the rest are together."""
        work = max(_LEAST_WORK, _FREE_WORK + _WORK_A_BYTE * self.searched - self._wasted)
        file = Stretch(self.space, [*pieces, rest], work)
        for header in headers_at(file.at(0, REACH)):
            found = header.carver(file)
            if found is not None and found.suffix == suffix:
                if not found.whole:
                    self._wasted += work - max(0, file.left)
                return found, file
        self._wasted += work - max(0, file.left)
        return None, file

    def _mend(self, area: Area, effort: Effort) -> None:
        """Check the JPEGs that look whole, then look for the rest of every picture that breaks.

        On sector starts only those that look wrong are checked, and the smallest pictures are mended first.
        """
        certain: list[Carved] = []
        for index, one in enumerate(self._found):
            check = one.suffix == "jpg" and not one.remark and (self.thorough or one.suspect)
            fault = jpeg_fault(self.space, one.extents, effort) if check else None
            if fault:
                self._found[index] = replace(one, remark="doubtful", fault=fault)
            elif (one.remark == "joined" and one.checked) or fault == 0 or (not one.remark and one.suffix in _CHECKED):
                certain.append(one)
        free = without(list(area.ranges), _certain(certain))
        joined: list[Range] = []
        broken = [
            (index, one)
            for index, one in enumerate(self._found)
            if one.suffix in _MENDED and one.remark in ("partial", "doubtful")
        ]
        bounds = WIDE if self.thorough else NARROW
        for index, one in broken if self.thorough else sorted(broken, key=lambda pair: (pair[1].size, pair[0])):
            if effort.left <= 0:
                break
            mend = mend_jpeg if one.suffix == "jpg" else mend_png
            unclaimed = without(free, merged(joined)) if joined else free
            extents = mend(self.space, one.start, Ground(list(area.ranges), unclaimed, area.block), effort, bounds)
            if extents is not None:
                self._found[index] = Carved(one.volume, extents, one.suffix, "joined")
                joined = sorted([*joined, *((offset, offset + length) for offset, length in extents)])
        self._drop_parts(joined)

    def _drop_parts(self, joined: list[Range]) -> None:
        """Let go of broken heads that lie inside a picture which was put together since."""
        self._found = [
            one
            for one in self._found
            if one.remark != "partial" or not _inside(one, joined) or any(one.start == start for start, _ in joined)
        ]


def _certain(files: Sequence[Carved]) -> list[Range]:
    """Where files lie that are whole."""
    return sorted((offset, offset + length) for one in files for offset, length in one.extents)


def _behind(end: int, limit: int, block: tuple[int, int]) -> list[int]:
    """Where a file may go on behind one that ends: on the next unit, of several sizes where none is known."""
    size, origin = block
    sizes = [size] if size > SECTOR else [SECTOR << shift for shift in range(8)]
    places = {end + (origin - end) % unit for unit in sizes}
    return sorted(place for place in places if place < limit)


def _partial(area: Area, file: Stretch, found: Found) -> Carved:
    """What there is of a file that is not whole."""
    return Carved(area.volume, file.cut(found.length), found.suffix, "partial", 0, found.checked)


def _between(whole: list[Range], at: int, reach: int, *, nearest: bool) -> list[Range]:
    """The whole files that begin behind the first sector at ``at`` and not behind ``reach``.

    The first of them, or (``nearest``) the last _MOST_AROUND, the last first: a structure is seen to break behind the
    place where it does.
    """
    low, high = bisect_left(whole, (at + SECTOR, 0)), bisect_left(whole, (reach + 1, 0))
    return whole[max(low, high - _MOST_AROUND) : high][::-1] if nearest else whole[low : min(high, low + 1)]


def _inside(one: Carved, ranges: list[Range]) -> bool:
    return any(start <= one.start < end for start, end in ranges)
