"""In which order a quick scan examines: what is likely to be known first, by the metadata of the file system alone.

1. pictures and films by name whose size a notable hash set states
2. other files of such a size
3. pictures and films by name where users, cameras, chats, clouds and downloads keep them
4. other pictures and films by name
5. the rest

Inside each: places of users before others and those of the system last, the newest eighth before the next, then by
place on the disk, so that a spinning disk is swept and not shaken. "New" is by rank among the files of the same turn:
no clock is asked, neither ours nor the exhibit's, and one file dated 2107 makes no other one old.

It is an order and nothing else. Nothing is left out by it, and what a scan that ends comes to does not depend on it.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.locations import Location, location_rules
from caid_triage.match.policy import counts_as_hit
from caid_triage.model import FileEntry, Role

if TYPE_CHECKING:
    from caid_triage.hashset.store import HashSet

Rows = NDArray[np.int64]
Sizes = NDArray[np.int64]

_MEDIA = (
    "jpg jpeg jpe jfif jif png apng gif bmp dib webp heic heif hif avif avifs jxl jp2 j2k jpf jpx tif tiff ico psd "
    "dng cr2 cr3 crw nef nrw arw srf sr2 orf rw2 raf pef srw raw "
    "mp4 m4v mov qt 3gp 3gpp 3g2 avi divx mkv webm mpg mpeg mpe m1v m2v ts mts m2ts vob wmv asf flv f4v ogv ogm rm "
    "rmvb mxf insv"
)
MEDIA_NAMES = frozenset(_MEDIA.split())
"""Endings of names that pictures and films have, in small letters. Names lie: what has another name comes later."""

# Kept by a program for itself, and as likely as a user's own folders to hold what came from elsewhere.
_OF_USERS = frozenset(("chat", "vault", "browser-cache", "thumbnails"))
_EIGHTHS = 8
_NO_TIME = -(1 << 62)
_PAGE_BITS = 12  # places on disk are compared by 4 KiB
_MOST_PLACE = 1 << 62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 1 << 20


class Turn(IntEnum):
    """When a file is examined."""

    LISTED_MEDIA = 0
    LISTED = 1
    MEDIA_OF_USERS = 2
    MEDIA = 3
    REST = 4


TURN_WORDS = {
    Turn.LISTED_MEDIA: "pictures and films of a listed size",
    Turn.LISTED: "files of a listed size",
    Turn.MEDIA_OF_USERS: "pictures and films in places of users",
    Turn.MEDIA: "other pictures and films",
    Turn.REST: "other files",
}


class Standing(IntEnum):
    """Whose place a folder is."""

    USERS = 0
    OTHER = 1
    SYSTEM = 2


@dataclass(frozen=True, slots=True)
class ListedSizes:
    """The sizes that the records of the notable hash sets state, sorted, each once (bytes, int64).

    ``missing`` of ``records`` state none (or 0). Only where that is 0 can no file of another size be an exact match.
    ``apart`` further records count as no hit (match/policy.py): their sizes bring no file to the front.
    """

    values: Sizes
    records: int
    missing: int
    apart: int = 0

    @property
    def of_whom(self) -> str:
        """The words behind "state", or "records", where not all records are meant."""
        return " of pertinent items" if self.apart else ""

    @property
    def whole(self) -> bool:
        """Whether every record states its size: what has none of them is no exact match."""
        return bool(self.records) and not self.missing

    def has(self, size: int | None) -> bool:
        """Whether a record states this size."""
        if not size or not 0 < size < _MOST_PLACE or not len(self.values):
            return False
        place = int(np.searchsorted(self.values, size))
        return place < len(self.values) and int(self.values[place]) == size


def listed_sizes(hashsets: Iterable[HashSet], confirmed: Collection[str] = ()) -> ListedSizes:
    """The sizes of what the notable ones of these sets hold; memory grows by different sizes, not by records.

    ``confirmed``: names of schemes that somebody confirmed; what they rank as not pertinent is left apart.
    """
    found = np.zeros(0, dtype=np.int64)
    records = missing = apart = 0
    for hashset in hashsets:
        if hashset.role is not Role.NOTABLE:
            continue
        column = hashset.records.stated_sizes()
        categories = [hashset.scheme.category(code) for code in hashset.codes]
        wanted = np.array([counts_as_hit(one.severity, one.scheme, confirmed) for one in categories], dtype=np.bool_)
        for begin in range(0, len(column), _AT_ONCE):
            block = np.asarray(column[begin : begin + _AT_ONCE])
            if not wanted.all():
                hits = wanted[hashset.records.codes_of(np.arange(begin, begin + len(block)))]
                apart += len(block) - int(np.count_nonzero(hits))
                block = block[hits]
            stated = block[block > 0]
            records += len(block)
            missing += len(block) - len(stated)
            found = np.union1d(found, stated)
    return ListedSizes(found, records, missing, apart)


def is_media_name(path: str) -> bool:
    """Whether a name ends as those of pictures and films do. A stream's name is its own: ``a.txt:b.jpg`` is one."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() in MEDIA_NAMES if "." in name else False


def standing_of(folder: str) -> Standing:
    """Whose place a folder is (its display path), by the kinds of places that reports name too."""
    return _standing(location_rules().of(folder.rstrip("/") + "/"))


def _standing(location: Location) -> Standing:
    if location.reach == "user" or location.tag in _OF_USERS:
        return Standing.USERS
    return Standing.SYSTEM if location.reach == "system" else Standing.OTHER


def turn_of(*, listed: bool, media: bool, standing: Standing) -> Turn:
    """When a file of these qualities is examined."""
    if listed:
        return Turn.LISTED_MEDIA if media else Turn.LISTED
    if not media:
        return Turn.REST
    return Turn.MEDIA_OF_USERS if standing is Standing.USERS else Turn.MEDIA


class Facts:
    """What the order goes by, of many entries: 25 bytes each. Row i is the i-th entry that was added."""

    def __init__(self) -> None:
        self._sizes, self._times, self._places, self._looks = array("q"), array("q"), array("q"), bytearray()
        self._folder, self._standing = "", Standing.OTHER

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, entry: FileEntry) -> None:
        """Add an entry."""
        size = entry.size if entry.readable and entry.size is not None else 0
        self._sizes.append(size if 0 <= size < _MOST_PLACE else 0)
        self._times.append(_newest(entry))
        place = entry.physical_offset
        self._places.append(place if place is not None and 0 <= place < _MOST_PLACE else 0)
        folder = entry.parent_path
        if folder != self._folder:  # a walk goes folder by folder
            self._folder, self._standing = folder, standing_of(folder)
        self._looks.append(self._standing << 1 | is_media_name(entry.path))

    def ordered(self, sizes: ListedSizes) -> list[tuple[Turn, Rows]]:
        """The rows in the order of examination, by turn; those without any rows are left out."""
        listed = np.isin(np.frombuffer(self._sizes, dtype=np.int64), sizes.values)
        looks = np.frombuffer(bytes(self._looks), dtype=np.uint8)
        media, standing = looks & 1 != 0, looks >> 1
        turns = np.select(
            [listed & media, listed, media & (standing == Standing.USERS), media],
            [Turn.LISTED_MEDIA, Turn.LISTED, Turn.MEDIA_OF_USERS, Turn.MEDIA],
            Turn.REST,
        )
        times = np.frombuffer(self._times, dtype=np.int64)
        places = np.frombuffer(self._places, dtype=np.int64)
        found = []
        for turn in Turn:
            rows = np.flatnonzero(turns == turn)
            if len(rows):
                found.append((turn, rows[_within(standing[rows], times[rows], places[rows])]))
        return found


def _within(standing: NDArray[Any], times: Rows, places: Rows) -> Rows:
    """The order inside a turn: by standing, eighth of newness, place on disk, and as the walk went."""
    newest = np.argsort(-times, kind="stable")
    eighths = np.empty(len(times), dtype=np.int64)
    eighths[newest] = np.arange(len(times), dtype=np.int64) * _EIGHTHS // len(times)
    keys = standing.astype(np.int64) << 58 | eighths << 55 | places >> _PAGE_BITS
    return np.argsort(keys, kind="stable")


def _newest(entry: FileEntry) -> int:
    """Seconds of the later of the times at which a file was made and written, _NO_TIME where neither is known."""
    times = [one for one in (entry.times.created, entry.times.modified) if one is not None]
    return int((max(times) - _EPOCH).total_seconds()) if times else _NO_TIME


def naive_order(entries: Sequence[FileEntry], sizes: ListedSizes) -> list[int]:
    """The same order, entry by entry, as the text at the head of this module has it: the oracle of :class:`Facts`."""
    by_turn: dict[Turn, list[int]] = {}
    for row, entry in enumerate(entries):
        listed = entry.readable and sizes.has(entry.size)
        media, standing = is_media_name(entry.path), standing_of(entry.parent_path)
        by_turn.setdefault(turn_of(listed=listed, media=media, standing=standing), []).append(row)
    order: list[int] = []
    for turn in Turn:
        rows = by_turn.get(turn, [])
        newest = sorted(rows, key=lambda row: -_newest(entries[row]))
        rank = {row: place * _EIGHTHS // len(rows) for place, row in enumerate(newest)}
        order += sorted(
            rows,
            key=lambda row: (
                standing_of(entries[row].parent_path),
                rank[row],
                (entries[row].physical_offset or 0) >> _PAGE_BITS,
                row,
            ),
        )
    return order
