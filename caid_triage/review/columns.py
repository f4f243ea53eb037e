"""A case's files as columns of numbers, the contents that they are, and the queues that these stand in.

An item is one content; what has no digest is an item by itself. Each item is in one of known, near, damaged and new at
most (in this order of precedence, so that nothing is looked at twice), in problems and disputed besides:

* known: it has an exact match with notable material; the gravest first;
* near: it looks like notable material (a picture or a film), and has no exact match; the nearest first;
* damaged: a picture or film of neither kind, not known-good, which decoded in part only, not at all, or was refused;
* new: any other picture or film that is not known-good; look-alikes beside each other, once clusters are made (what
  could not be read is in neither of the two: there is nothing to look at, and a problem says so);
* problems: a file with a problem that is no note, or a place (a volume, a folder) with one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from caid_triage.case.review import CELLS, DECODED, KINDS, ReviewReader
from caid_triage.model import DecodeState, Kind
from caid_triage.review.items import Key

NONE = np.iinfo(np.int32).max
CELL_TYPES = np.dtype(list(zip(CELLS, ("i8", "i4", "S32", "u1", "u1", "u1", "i8", "i8"), strict=True)))
DAMAGED = [DECODED.index(state) for state in (DecodeState.PARTIAL, DecodeState.UNDECODABLE, DecodeState.REFUSED)]
MEDIA = [KINDS.index(Kind.IMAGE), KINDS.index(Kind.VIDEO)]

Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Places = NDArray[np.int32]


@dataclass(slots=True)
class Columns:
    """The files of a case that may need an eye, and the items that they are.

    Of files, in the order of their ids: ``ids``, ``source``, ``kind``, ``state``, ``size`` (-1: none), ``date``
    (microseconds; NO_TIME: none), ``item`` (the number of its item). Of items, in the order of their first files:
    ``first`` (the place of that file), ``occurrences``, ``words`` uint64[n, 4] (the SHA-256; zeros: none),
    ``by_word`` (the items in the order of their first words). ``ranks``
    and ``order`` by queue: what items are ordered by before their id, and the items of the queue in that order.
    ``cluster`` is the first item of the group of look-alikes that an item is in, ``cluster_size`` how many are in that;
    None until they are made.
    """

    ids: Numbers
    source: Places
    kind: NDArray[np.uint8]
    state: NDArray[np.uint8]
    size: Numbers
    date: Numbers
    item: Places
    first: Places
    occurrences: Places
    words: NDArray[np.uint64]
    by_word: Places
    ranks: dict[str, Numbers] = field(default_factory=dict)
    order: dict[str, Places] = field(default_factory=dict)
    cluster: Places | None = None
    cluster_size: Places | None = None
    files: int = 0  # how many are files; the others are problems wider than one

    def __post_init__(self) -> None:
        self.files = files_of(self.ids)

    @property
    def items(self) -> int:
        """How many items there are."""
        return len(self.first)

    def item_ids(self, items: Places | None = None) -> Numbers:
        """The ids of items (None: of all): those of their first files."""
        found: Numbers = self.ids[self.first if items is None else self.first[items]]
        return found

    def key(self, queue: str, item: int) -> Key:
        """Where an item stands in a queue."""
        rank = self.ranks.get(queue)
        return Key(0 if rank is None else int(rank[item]), int(self.ids[self.first[item]]))

    def item_of(self, identity: int) -> int | None:
        """The number of the item that a file (any occurrence) belongs to."""
        # Problems wider than a file come last, their ids falling from -1.
        part = self.ids[: self.files] if identity > 0 else -self.ids[self.files :]
        place = int(np.searchsorted(part, abs(identity)))
        if place >= len(part) or part[place] != abs(identity):
            return None
        return int(self.item[place if identity > 0 else self.files + place])

    def items_of(self, identities: Iterable[int]) -> Mask:
        """Which files of the columns are among these, as a mask over files."""
        wanted = np.fromiter(identities, np.int64)
        found: Mask = np.isin(self.ids, wanted)
        return found

    def content(self, item: int) -> bytes | None:
        """The SHA-256 of an item, None for one without."""
        value: bytes = self.words[item].tobytes()
        return value if any(value) else None

    def files_of_content(self, content: bytes) -> list[int]:
        """The ids of the files with a content, in order. (The database has no index of contents.)"""
        found: Numbers = self.ids[np.isin(self.item, self.items_with([content]))]
        return [int(identity) for identity in found]

    def items_with(self, contents: Sequence[bytes]) -> Places:
        """The items of contents; of those that no item has there is none."""
        if not contents or not self.items:
            return np.empty(0, np.int32)
        wanted = np.frombuffer(b"".join(contents), np.uint64).reshape(-1, 4)
        found = []
        for row in wanted:
            place = bisect_left(self.by_word, row[0], key=lambda item: self.words[item, 0])
            while place < self.items and self.words[self.by_word[place], 0] == row[0]:
                if (self.words[self.by_word[place]] == row).all():
                    found.append(self.by_word[place])
                place += 1
        return np.array(found, np.int32)

    def of_items(self, files: Mask) -> Mask:
        """Which items have a file of those that are marked."""
        found = np.zeros(self.items, np.bool_)
        found[self.item[files]] = True
        return found

    def set_clusters(self, ids: Numbers, clusters: Numbers) -> None:
        """Note groups, as ids of items and of the first of their groups, and order what is new by them."""
        files = self.files
        wanted = np.stack([ids, clusters])
        places = np.minimum(np.searchsorted(self.ids[:files], wanted), max(files - 1, 0))
        there = (self.ids[places] == wanted).all(axis=0) if files else np.zeros(len(ids), np.bool_)
        members, first = self.item[places[:, there]] if files else (places, places)
        self.cluster = np.arange(self.items, dtype=np.int32)
        self.cluster[members] = first
        self.cluster_size = np.bincount(self.cluster, minlength=self.items).astype(np.int32)[self.cluster]
        new = np.zeros(self.items, np.bool_)
        new[self.order["new"]] = True
        self.set_queue("new", new, self.item_ids()[self.cluster])

    def set_queue(self, name: str, members: Mask, ranks: Numbers | None = None) -> None:
        """Note which items are in a queue and what they are ordered by."""
        places = np.flatnonzero(members).astype(np.int32)
        if ranks is not None:
            self.ranks[name] = ranks
            # Items are numbered in the order of their ids, but for problems wider than a file: those have no rank.
            places = places[np.argsort(ranks[places], kind="stable")]
        elif len(places) and self.ids[self.first[places[-1]]] < 0:
            places = places[np.argsort(self.ids[self.first[places]], kind="stable")]
        self.order[name] = places


def files_of(ids: Numbers) -> int:
    """How many of the ids are of files: those of wider problems are negative and come last."""
    return len(ids) - int(np.count_nonzero(ids < 0))


def read_columns(reader: ReviewReader) -> Columns:
    """Read the columns of a case as it is now, with its queues but for disputed."""
    with reader.at_one_moment():
        cells = np.fromiter(reader.files(), CELL_TYPES)
        matched = np.fromiter(reader.matched(), np.dtype("i8,i4,i4,?"))
        problems = np.fromiter((one for (one,) in reader.with_problem()), np.int64)
    columns = _grouped(cells)
    files = len(cells)
    exact, near = (np.full(files, NONE, np.int32) for _ in range(2))
    good = np.zeros(files, np.bool_)
    mine = np.isin(matched["f0"], columns.ids, assume_unique=True)
    matched = matched[mine]
    places = np.searchsorted(columns.ids[: columns.files], matched["f0"])
    exact[places] = np.where(matched["f1"] < 0, NONE, matched["f1"])
    near[places] = np.where(matched["f2"] < 0, NONE, matched["f2"])
    good[places] = matched["f3"]
    has_problem = np.isin(columns.ids, problems) | (columns.ids < 0)
    media = np.isin(cells["kind"], MEDIA)
    damaged = media & np.isin(cells["decode"], DAMAGED)
    gravest, nearest = _least(columns, exact), _least(columns, near)
    known = gravest < NONE
    alike = ~known & (nearest < NONE)
    is_good, is_damaged = columns.of_items(good), columns.of_items(damaged)
    rest = columns.of_items(media) & ~known & ~alike & ~is_good & columns.words.any(axis=1)
    columns.set_queue("known", known, gravest.astype(np.int64))
    columns.set_queue("near", alike, nearest.astype(np.int64))
    columns.set_queue("new", rest & ~is_damaged, columns.item_ids())
    columns.set_queue("damaged", rest & is_damaged)
    columns.set_queue("problems", columns.of_items(has_problem))
    columns.set_queue("disputed", np.zeros(columns.items, np.bool_))
    return columns


def _grouped(cells: NDArray[np.void]) -> Columns:
    """The columns, the files gathered to items by their whole SHA-256."""
    words = np.ascontiguousarray(cells["sha256"]).view(np.uint64).reshape(-1, 4)
    first_words = words[:, 0].copy()
    order = np.argsort(first_words)
    alike = _alike(first_words[order])
    # A part of a digest can be made to collide: then all of it is sorted by.
    if not (words[order[alike]] == words[order[alike - 1]]).all():
        order = np.lexsort((words[:, 3], words[:, 2], words[:, 1], words[:, 0]))
        alike = _alike(first_words[order])
        alike = alike[(words[order[alike]] == words[order[alike - 1]]).all(axis=1)]
    same = np.zeros(len(cells), np.bool_)
    same[alike[words[order[alike]].any(axis=1)]] = True
    group = np.empty(len(cells), np.int64)
    group[order] = np.cumsum(~same) - 1
    first_of_group = np.minimum.reduceat(order, np.flatnonzero(~same)) if len(order) else order
    by_first = np.argsort(first_of_group, kind="stable")
    number = np.empty(len(by_first), np.int32)
    number[by_first] = np.arange(len(by_first), dtype=np.int32)
    item = number[group]
    first = first_of_group[by_first].astype(np.int32)
    return Columns(
        ids=cells["id"].copy(),
        source=cells["source"].copy(),
        kind=cells["kind"].copy(),
        state=cells["state"].copy(),
        size=cells["size"].copy(),
        date=cells["date"].copy(),
        item=item,
        first=first,
        occurrences=np.bincount(item, minlength=len(first)).astype(np.int32),
        words=words[first],
        by_word=number,
    )


def _alike(values: NDArray[np.uint64]) -> Numbers:
    """The places of values that are the same as the one before them."""
    found: Numbers = np.flatnonzero(values[1:] == values[:-1]) + 1
    return found


def _least(columns: Columns, values: Places) -> Places:
    """The least value of an item's files."""
    found = np.full(columns.items, NONE, np.int32)
    has = np.flatnonzero(values < NONE)
    np.minimum.at(found, columns.item[has], values[has])
    return found
