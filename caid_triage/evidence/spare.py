"""Which bytes of a source belong to no whole file: where parts of known files are looked for (docs/decisions/0047).

They are free space, slack and what lies outside volumes, as they are searched for files; the content of files that are
deleted or damaged; and not the content of files that were found whole. All of it is told in ranges of a site (the disk,
or the inside of a volume: carve/site.py), and read as a carved file of these ranges would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from caid_triage.evidence.carve.carving import Carving, extents_of, site_of_locator
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.layers.view import View
from caid_triage.evidence.ranges import Range, common, merged, without
from caid_triage.evidence.steps import NOBODY, Steps
from caid_triage.evidence.streams import DEFAULT_ID, runs_of

FILE_CONTENT = "file_content"
KINDS = ("unallocated", "slack", "unpartitioned", "not_understood", FILE_CONTENT)
"""The kinds of spare bytes, as the ledger calls them."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file that was walked: its locator, and whether its file system has it in use."""

    locator: tuple[int, ...]
    in_use: bool


@dataclass(frozen=True, slots=True)
class Spare:
    """Spare bytes of one kind and volume on the site of this number.

    ``spans`` int64[n, 2] are (first byte, byte behind), sorted and apart. ``placed``: the bytes of the site stand as
    they are read on the source too, as far as that is told (:func:`places`).
    """

    site: int
    volume: str
    kind: str
    placed: bool
    spans: np.ndarray


Systems = Sequence[OpenFileSystem | LibraryFileSystem | None]


def spare_space(
    carvings: Sequence[Carving],
    systems: Systems,
    whole: Iterable[Content],
    damaged: Iterable[Content],
    steps: Steps = NOBODY,
) -> Iterator[Spare]:
    """The spare bytes of a source, site by site, as far as its free space was searched.

    Not the content of the ``whole`` files. Of the ``damaged`` ones that are not in use only what is free still, which
    makes a difference where free space was not searched.
    """
    of_volume = {place: carving for carving in carvings for place, _ in carving.site.opened}
    taken: dict[int, list[Range]] = {}
    for one in whole:
        number, ranges, _ = _content(one, of_volume, systems)
        taken.setdefault(number, []).extend(ranges)
        steps.goes_on()
    torn: dict[tuple[int, int], list[Range]] = {}
    deleted: dict[tuple[int, int], list[Range]] = {}
    for one in damaged:
        number, ranges, volume = _content(one, of_volume, systems)
        if one.in_use:
            torn.setdefault((number, volume), []).extend(ranges)
        elif number >= 0 and carvings[number].mode == "none":
            deleted.setdefault((number, volume), []).extend(ranges)
        steps.goes_on()
    for number, carving in enumerate(carvings):
        site = carving.site
        out = merged([*taken.get(number, ()), *carving.left_out()])
        placed = not number or _has_places(site.image)
        for volume_name, kind, spans in carving.spare():
            yield Spare(number, volume_name, kind, placed, _less(spans, out))
        for place, opened in site.opened:
            name = opened.volume.name
            if (number, place) in torn:
                yield Spare(number, name, FILE_CONTENT, placed, _less(_spans(merged(torn[number, place])), out))
            if (number, place) in deleted:
                free = common(merged(deleted[number, place]), carving.free_of(place))
                yield Spare(number, name, "unallocated", placed, _less(_spans(free), out))


def places(carvings: Sequence[Carving], site: int, spans: Iterable[tuple[int, int]]) -> list[int | None]:
    """Where on the source each (first byte, bytes) of a site stands in one piece as it is read; None where it does
    not."""
    found: list[int | None] = []
    for offset, length in spans:
        place = carvings[site].site.place_of([(offset, length)]) if 0 <= site < len(carvings) else None
        in_one = place is not None and len(place) == 2 and place[1] == (place[0][0], place[0][0] + length)
        found.append(place[0][0] if place is not None and in_one else None)
    return found


def _content(one: Content, of_volume: dict[int, Carving], systems: Systems) -> tuple[int, list[Range], int]:
    """The site of a file's content, its ranges there, and the place of its volume; (-1, [], -1) of what has none.

    Nothing is told of what is compressed, lies in the file's record, or is read through a library alone.
    """
    if one.locator[:1] < (0,):
        return site_of_locator(one.locator), [(at, at + length) for at, length in extents_of(one.locator)], -1
    if len(one.locator) != 4 or one.locator[0] not in of_volume:
        return -1, [], -1
    index, inode, kind, identifier = one.locator
    system = systems[index] if index < len(systems) else None
    if not isinstance(system, OpenFileSystem) or (system.guard is not None and inode in system.guard.emptied):
        return -1, [], -1
    ranges: list[Range] = []
    try:
        for attribute in system.fs.open_meta(inode):
            info = attribute.info
            if identifier != DEFAULT_ID and (int(info.type), int(info.id)) != (kind, identifier):
                continue
            size = int(info.size)
            for inside, at, length in runs_of(system, attribute):
                start, kept = system.base + at, min(length, size - inside)
                if kept > 0:
                    ranges.append((start, start + kept))
            if identifier == DEFAULT_ID:
                break
    except LIBRARY_ERRORS:
        return -1, [], -1
    return of_volume[index].site.number, ranges, index


def _has_places(image: object) -> bool:
    """Whether the bytes of a site stand as they are read on the image around it, and so on up to the source."""
    while isinstance(image, View):
        if not image.verbatim or not image.has_places:
            return False
        image = image.outer
    return True


def _spans(ranges: Sequence[Range]) -> np.ndarray:
    return np.array(ranges, dtype=np.int64).reshape(-1, 2)


def _less(spans: np.ndarray, taken: list[Range]) -> np.ndarray:
    """Spans (sorted, apart) without what lies in ``taken``."""
    if not taken or not len(spans):
        return spans
    return _spans(without([(start, end) for start, end in spans.tolist()], taken))
