"""Which bytes of a source are nobody's file: site by site, a site being the disk itself or the inside of a volume.

The free space of a logical volume, of an unlocked one or of a mirror is searched on its own site, as its files are
read; on the site around it those bytes are taken. Of a volume group the extents that no volume has are searched, and
those of volumes which could not be put together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pytsk3

from caid_triage.evidence.file_system import OpenedVolume, OpenFileSystem
from caid_triage.evidence.layers.layer import UNLOCKED, UNWRAPPED
from caid_triage.evidence.layers.library_fs import LibraryFileSystem
from caid_triage.evidence.layers.view import View, on_source, ranges_on_source, spans_on_source
from caid_triage.evidence.ranges import Range, clipped, common, merged, total, without

# Volumes whose bytes are their own: their free space, if any, is told by their file systems or by what lies in them.
_TAKEN = frozenset(("examined", "encrypted", "possibly-encrypted", UNWRAPPED, UNLOCKED, "empty"))
_CLOSED = ("not-understood", "no-files", "unreadable")


@dataclass(frozen=True, slots=True)
class Remainder:
    """What of a volume belongs to no file system: ``unpartitioned`` to nothing at all, ``not_understood`` to volumes
    that could not be opened."""

    unpartitioned: list[Range]
    not_understood: list[Range]


@dataclass(frozen=True, slots=True)
class Site:
    """One image that is searched. ``number`` counts those of a source, the disk itself is 0.

    ``opened`` are the volumes that lie on it, each with its place among all volumes of the source. ``tables`` is what
    is neither theirs nor to be searched, ``inner`` what holds the sites inside its volumes. ``shared`` are the names of
    the containers with an open volume whose bytes only a library knows (APFS): their free space is the container's.
    ``shares`` says that sites before it hold some of its bytes of the source too, as snapshots in a thin pool do.
    """

    number: int
    image: pytsk3.Img_Info
    size: int
    opened: tuple[tuple[int, OpenedVolume], ...]
    tables: tuple[Range, ...] = ()
    inner: tuple[Range, ...] = ()
    shared: frozenset[str] = frozenset()
    shares: bool = False

    @property
    def systems(self) -> list[tuple[int, OpenFileSystem]]:
        """The file systems on it that Sleuth Kit reads, each with its place among the volumes of the source."""
        return [(place, one.system) for place, one in self.opened if isinstance(one.system, OpenFileSystem)]

    @property
    def only(self) -> list[Range] | None:
        """What of it can hold anything that is not on the site around it; None for all of it."""
        if isinstance(self.image, View) and (own := self.image.own_ranges()) is not None:
            return own
        copies = [system.copied for _, system in self.systems if system.copied is not None]
        return copies[0].ranges() if copies else None

    def on_source(self, offset: int) -> int | None:
        """Where on the source a byte stands as it is read; None where it does not."""
        return on_source(self.image, offset)

    def ranges_on_source(self, ranges: list[Range]) -> list[Range]:
        """The bytes of the source that hold these; none where that cannot be said (a shadow copy, Core Storage)."""
        return ranges_on_source(self.image, ranges)

    def place_of(self, extents: Iterable[tuple[int, int]]) -> tuple[Range, ...] | None:
        """Where on the source a file of these (offset, length) lies, extent by extent; None where some of it does not.

        Before the ranges of each extent stands its first byte alone: the ranges are in the order of the source.
        """
        found: list[Range] = []
        for offset, length in extents:
            first, ranges = self.on_source(offset), self.ranges_on_source([(offset, offset + length)])
            if first is None or total(ranges) != length:
                return None
            found += [(first, first), *ranges]
        return tuple(found)

    def _extents(self, statuses: Iterable[str]) -> list[Range]:
        return merged(
            (one.volume.offset, one.volume.offset + one.volume.length)
            for _, one in self.opened
            if one.volume.status in statuses
        )

    def remainders(self) -> dict[str, Remainder]:
        """By the name of a volume ("" for none) what there is to search beside free space, each byte once."""
        taken, other = self._extents(_TAKEN), self._extents(_CLOSED)
        tables, whole = merged(self.tables), [(0, self.size)]
        rest = clipped(without(other, taken), 0, self.size)
        found: dict[str, Remainder] = {}
        for place, one in self.opened:
            volume = one.volume
            mine = (volume.offset, volume.offset + volume.length)
            if volume.status in _CLOSED:
                found[volume.name] = Remainder([], clipped(rest, *mine))
                rest = without(rest, [mine])
            elif volume.status == UNWRAPPED:
                found[volume.name] = self._of_container(place, one)
        found[""] = Remainder(without(whole, merged([*taken, *other, *tables])), [])
        return found

    def _of_container(self, place: int, one: OpenedVolume) -> Remainder:
        """What of a volume that holds others belongs to none that is open: not what other volumes of the site have."""
        volume = one.volume
        mine = clipped([(volume.offset, volume.offset + volume.length)], 0, self.size)
        # volumes of a partition table inside this one lie on the same site, as does one that this one lies in
        others = [
            (each.volume.offset, each.volume.offset + each.volume.length)
            for at, each in self.opened
            if at != place and not volume.name.startswith(f"{each.volume.name}/")
        ]
        known = [(at, at + length) for at, length, kind, _ in one.claims if kind != "not_understood"]
        closed = merged((at, at + length) for at, length, kind, _ in one.claims if kind == "not_understood")
        taken = merged([*known, *others, *self.inner, *self.tables])
        free = [part for span in mine for part in without([span], taken)]
        return Remainder(without(free, closed), common(free, closed))


def sites_of(
    opened: Sequence[OpenedVolume], image: pytsk3.Img_Info, size: int, tables: Iterable[tuple[int, int]]
) -> list[Site]:
    """The sites of a disk, itself first, then the insides of volumes in their order.

    ``tables`` are (offset, length) on the disk. An inside that lies wholly in bytes of the source which others before
    it have is left out: it would be searched twice.
    """
    images: list[pytsk3.Img_Info] = [image]
    sharing: list[pytsk3.Img_Info] = []
    covered: list[Range] = []
    for one in opened:
        if one.image is None or any(one.image is known for known in images):
            continue
        if not isinstance(one.image, View):
            continue
        spans = spans_on_source(one.image, _whole(one.image))
        held = [] if spans is None else merged((start, end) for start, end in spans.tolist())
        inside_another = any(isinstance(known, View) and one.image.outer is known for known in images)
        if held and not inside_another:
            alone = without(held, covered)
            if not alone:
                continue
            if alone != held:
                sharing.append(one.image)
            covered = merged([*covered, *held])
        images.append(one.image)
    shared = frozenset(
        one.volume.parent for one in opened if isinstance(one.system, LibraryFileSystem) and one.image is None
    )
    sites = []
    for number, each in enumerate(images):
        inner = merged(
            (start, end)
            for view in images
            if isinstance(view, View) and view.outer is each
            for start, end in _held(view)
        )
        sites.append(
            Site(
                number, each, int(each.get_size()) if number else size,
                tuple((place, one) for place, one in enumerate(opened) if one.image is each),
                tuple((start, start + length) for start, length in tables) if not number else (),
                tuple(inner),
                shared,
                any(each is one for one in sharing),
            )
        )  # fmt: skip
    return sites


def _whole(image: pytsk3.Img_Info) -> np.ndarray:
    return np.array([[0, image.get_size()]], dtype=np.int64)


def _held(view: View) -> list[tuple[int, int]]:
    """The bytes of the image around a view that it holds; none where that cannot be said."""
    spans = view.spans_outside(_whole(view))
    return [] if spans is None else [(start, end) for start, end in spans.tolist()]
