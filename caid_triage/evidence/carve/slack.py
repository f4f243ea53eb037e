"""File slack: what lies behind the end of a living file in the clusters that it keeps, and what begins there.

A file of 5 bytes keeps a whole cluster; behind its end stands what the cluster held before, as far as the system that
wrote the file did not wipe it. The walk notes where such space is and whose (:class:`SlackRoll`); afterwards all of it
is read once in the order of the disk, many pieces at a time. Nothing is kept of a file but three numbers and its
packed path, so that a million files take some ten megabytes.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from caid_triage.evidence.carve.found import SECTOR
from caid_triage.evidence.carve.headers import REACH, any_places, headers_at, sector_hits
from caid_triage.evidence.carve.space import BLOCK, Space
from caid_triage.evidence.ranges import Range, without

_NAMES_A_BLOCK = 1024
_BATCHES = 4096
_LARGEST = (1 << 63) - 1
_READ_OVER = 16 << 10
"""So many bytes between two pieces are read with them: that is cheaper than another call."""


@dataclass(slots=True)
class SlackRoll:
    """Where the slack of one file system lies, as it is met: (first byte, byte behind) on its image, and whose it is.

    ``owner`` gives the paths of the file with that number.
    """

    _rows: array[int] = field(default_factory=lambda: array("q"))  # first byte, byte behind, owner, ...
    _blocks: list[bytes] = field(default_factory=list)
    _open: list[tuple[str, bytes]] = field(default_factory=list)
    _unpacked: tuple[int, list[tuple[str, bytes]]] = field(default_factory=lambda: (-1, []))

    def add(self, path: str, raw_path: bytes, pieces: Iterable[Range]) -> None:
        """The slack of a file (or stream) with these paths."""
        owner = len(self._blocks) * _NAMES_A_BLOCK + len(self._open)
        for start, end in pieces:
            if end <= _LARGEST:  # a damaged table can name places that no disk has
                self._rows.extend((start, end, owner))
        self._open.append((path, raw_path))
        if len(self._open) == _NAMES_A_BLOCK:
            self._blocks.append(zlib.compress(_packed(self._open), 1))
            self._open = []

    def owner(self, number: int) -> tuple[str, bytes]:
        """The paths of a file by its number among those added."""
        block, inside = divmod(number, _NAMES_A_BLOCK)
        if block == len(self._blocks):
            return self._open[inside]
        if self._unpacked[0] != block:  # they are asked for in the order of the disk: often of the same block
            self._unpacked = block, _unpacked(zlib.decompress(self._blocks[block]))
        return self._unpacked[1][inside]

    def slack(self, low: int, high: int, taken: list[Range]) -> Slack:
        """What was added as sorted pieces that share no byte, within low..high and outside ``taken`` (sorted, apart).

        A byte that several files claim (hard links, cross-linked clusters) is the slack of the one whose piece begins
        first, of several such the one met first.
        """
        starts, ends, owners = np.frombuffer(self._rows, dtype=np.int64).reshape(-1, 3).T
        order = np.lexsort((owners, starts))
        starts, ends, owners = np.clip(starts[order], low, high), np.clip(ends[order], low, high), owners[order]
        if len(starts):
            before = np.concatenate(([low], np.maximum.accumulate(ends)[:-1]))
            starts = np.maximum(starts, before)
        kept = starts < ends
        return _outside(Slack(starts[kept], ends[kept], owners[kept]), taken)


def _packed(names: Iterable[tuple[str, bytes]]) -> bytes:
    pieces = []
    for path, raw in names:
        shown = path.encode("utf-8", "surrogatepass")
        pieces += [struct.pack("<II", len(shown), len(raw)), shown, raw]
    return b"".join(pieces)


def _unpacked(data: bytes) -> list[tuple[str, bytes]]:
    names, at = [], 0
    while at < len(data):
        shown, raw = struct.unpack_from("<II", data, at)
        middle = at + 8 + shown
        names.append((data[at + 8 : middle].decode("utf-8", "surrogatepass"), data[middle : middle + raw]))
        at = middle + raw
    return names


@dataclass(frozen=True, slots=True)
class Slack:
    """Pieces of slack, sorted and apart: int64 arrays of their first bytes, the bytes behind, and whose they are."""

    starts: np.ndarray
    ends: np.ndarray
    owners: np.ndarray

    @property
    def spans(self) -> np.ndarray:
        """int64[n, 2]: (first byte, byte behind) of each piece."""
        return np.stack((self.starts, self.ends), axis=1)

    @property
    def size(self) -> int:
        """Bytes of slack."""
        return int((self.ends - self.starts).sum())

    def on_sectors(self) -> Slack:
        """The part that begins on a sector's start: what a search of sector starts sees of each piece."""
        starts = -(-self.starts // SECTOR) * SECTOR
        kept = starts < self.ends
        return Slack(starts[kept], self.ends[kept], self.owners[kept])

    def piece_at(self, place: int) -> tuple[int, int, int] | None:
        """(first byte, byte behind, owner) of the piece that holds a byte; None where none does."""
        index = int(np.searchsorted(self.starts, place, side="right")) - 1
        if index < 0 or place >= int(self.ends[index]):
            return None
        return int(self.starts[index]), int(self.ends[index]), int(self.owners[index])


NO_SLACK = Slack(*(np.zeros(0, dtype=np.int64) for _ in range(3)))


def _outside(slack: Slack, taken: list[Range]) -> Slack:
    """The slack without what lies in ``taken``. A sound file system has none there: what has is cut one by one."""
    if not taken or not len(slack.starts):
        return slack
    spans = np.array(taken, dtype=np.int64)
    following = np.minimum(np.searchsorted(spans[:, 1], slack.starts, side="right"), len(taken) - 1)
    cut = (spans[following, 0] < slack.ends) & (spans[following, 1] > slack.starts)
    if not cut.any():
        return slack
    starts, ends, owners = [slack.starts[~cut]], [slack.ends[~cut]], [slack.owners[~cut]]
    pieces = zip(slack.starts[cut].tolist(), slack.ends[cut].tolist(), strict=True)
    left = np.array(without(list(pieces), taken), dtype=np.int64).reshape(-1, 2)
    starts.append(left[:, 0])
    ends.append(left[:, 1])
    owners.append(slack.owners[np.searchsorted(slack.starts, left[:, 0], side="right") - 1])
    order = np.argsort(np.concatenate(starts), kind="stable")
    return Slack(*(np.concatenate(parts)[order] for parts in (starts, ends, owners)))


def header_places(space: Space, slack: Slack, *, thorough: bool) -> Iterator[int]:
    """Every place in the slack where a header stands, ascending: on sector starts, or (thorough) anywhere.

    Pieces are read with what lies between them, up to 16 KiB, and looked at a MiB at a time: a call of NumPy for each
    would cost more than the look.
    """
    gathered = _Gathered()
    for low, high in _batches(slack):
        for at in range(low, high, BLOCK):
            window = min(BLOCK, high - at)
            gathered.add(at, window, space.exact(at, window + (REACH if thorough else 0)))
            if gathered.size >= BLOCK:
                yield from gathered.places(slack, thorough=thorough)
                gathered = _Gathered()
    yield from gathered.places(slack, thorough=thorough)


@dataclass(slots=True)
class _Gathered:
    """Parts of a disk read one after the other, each from a sector's start and filled up to whole sectors."""

    size: int = 0
    _data: list[bytes] = field(default_factory=list)
    _parts: list[tuple[int, int, int, int]] = field(default_factory=list)  # here, on the disk, searched, read

    def add(self, at: int, window: int, data: bytes) -> None:
        """What was read from byte ``at`` of the disk on; headers are looked for in its first ``window`` bytes."""
        self._parts.append((self.size, at, window, len(data)))
        padding = -len(data) % SECTOR
        self._data.append(data + bytes(padding) if padding else data)
        self.size += len(data) + padding

    def places(self, slack: Slack, *, thorough: bool) -> Iterator[int]:
        """The places on the disk where a header stands and which lie in the slack."""
        if not self._parts:
            return
        data = b"".join(self._data)
        found = np.asarray(any_places(data) if thorough else sector_hits(data), dtype=np.int64)
        if not len(found):
            return
        here, disk, window, length = np.array(self._parts, dtype=np.int64).T
        part = np.searchsorted(here, found, side="right") - 1
        inside = found - here[part]
        places = inside + disk[part]
        piece = np.searchsorted(slack.starts, places, side="right") - 1
        kept = (inside < window[part]) & (piece >= 0) & (places < slack.ends[piece])
        ends = (here + length)[part]
        for at, place, end in zip(found[kept].tolist(), places[kept].tolist(), ends[kept].tolist(), strict=True):
            if any(header.anywhere or place % SECTOR == 0 for header in headers_at(data[at : min(end, at + REACH)])):
                yield place


def _batches(slack: Slack) -> Iterator[Range]:
    """What is read at once: pieces that lie near each other, from a sector's start to the end of the last."""
    if not len(slack.starts):
        return
    far = slack.starts[1:] - slack.ends[:-1] > _READ_OVER
    apart = np.flatnonzero(far | (slack.starts[1:] // BLOCK != slack.starts[:-1] // BLOCK))
    lows = slack.starts[np.append(0, apart + 1)] // SECTOR * SECTOR
    highs = slack.ends[np.append(apart, len(slack.ends) - 1)]
    for at in range(0, len(lows), _BATCHES):
        yield from zip(lows[at : at + _BATCHES].tolist(), highs[at : at + _BATCHES].tolist(), strict=True)


def naive_places(space: Space, slack: Slack, *, thorough: bool) -> list[int]:
    """The oracle of :func:`header_places`: each piece by itself, each place by itself."""
    return [
        place
        for start, end in slack.spans.tolist()
        for place in range(start, end)
        if any(
            place % SECTOR == 0 or (thorough and header.anywhere) for header in headers_at(space.exact(place, REACH))
        )
    ]
