"""A watched folder: what comes into it becomes an exhibit of the queue once it is there whole.

Whole is what did not change for some time, or what has a marker beside it (``NAME`` and ``NAME.complete``). An image
comes as its first segment, with the later ones; a folder as itself, or as the image that lies in it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caid_triage.batch.disks import later_segments
from caid_triage.batch.queue import LONGEST_REFERENCE, Exhibit, WatchWords, folder_name

IMAGES = frozenset(
    {".e01", ".s01", ".ex01", ".l01", ".lx01", ".ad1", ".aff4", ".dd", ".raw", ".img", ".bin", ".iso", ".000", ".001"}
    | {".vmdk", ".vhd", ".vhdx", ".qcow2", ".vdi", ".dmg", ".sparseimage"}
)
BUNDLES = frozenset({".sparsebundle"})

Look = tuple[int, int, int]
"""How many files, their bytes and the newest time of change: what tells whether something is still being copied."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that lies whole in the watched folder: how it is called there, and the sources in it."""

    name: str
    sources: tuple[Path, ...]


class Watcher:
    """Looks into a folder now and then."""

    def __init__(self, folder: Path, words: WatchWords, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._words, self._clock = folder, words, clock
        self._looks: dict[str, tuple[Look, float]] = {}
        self._given: set[str] = set()
        self.fault = ""

    def arrivals(self) -> list[Arrival]:
        """What has become whole since the last call, by name. ``fault`` says why the folder cannot be looked into."""
        try:
            entries = sorted(os.scandir(self._folder), key=lambda entry: entry.name)
            self.fault = ""
        except OSError as error:
            self.fault = f"the watched folder cannot be looked into: {error.strerror or error}"
            return []
        names = {entry.name for entry in entries}
        later = {path.name for entry in entries for path in _later(Path(entry.path))}
        found = []
        for entry in entries:
            if entry.name in self._given or entry.name in later or entry.name.startswith(".") or entry.is_symlink():
                continue
            sources = tuple(sources_in(Path(entry.path)))
            if sources and self._whole(Path(entry.path), names):
                self._given.add(entry.name)
                found.append(Arrival(entry.name, sources))
        return found

    def _whole(self, path: Path, names: set[str]) -> bool:
        if self._words.marker:
            return path.name + self._words.marker in names
        look, now = look_at(path), self._clock()
        before = self._looks.get(path.name)
        if before is None or before[0] != look:
            self._looks[path.name] = look, now
            return False
        return now - before[1] >= self._words.quiet


def _later(path: Path) -> list[Path]:
    return later_segments(path) if path.suffix.lower() in IMAGES and path.is_file() else []


def sources_in(path: Path) -> Iterator[Path]:
    """The sources that an entry of a watched folder holds: an image, the images in a folder, or the folder itself.

    Nothing of a file that is no image: a log of the acquisition, a list of hashes. Nothing of an empty folder.
    """
    if path.is_file():
        if path.suffix.lower() in IMAGES:
            yield path
        return
    if path.suffix.lower() in BUNDLES:
        yield path
        return
    try:
        inside = sorted(path.iterdir())
    except OSError:
        return  # gone again, or not to be read yet
    # A link leads out of the folder: somebody who may put things here could name any file of the machine.
    images = [one for one in inside if one.suffix.lower() in IMAGES and one.is_file() and not one.is_symlink()]
    later = {other for one in images for other in later_segments(one)}
    first = [one for one in images if one not in later]
    if first:
        yield from first
    elif inside:
        yield path


def look_at(path: Path) -> Look:
    """How an entry looks now, with all that belongs to it."""
    if not path.is_dir():
        return _sum([path, *_later(path)])
    return _sum(Path(place) / name for place, _, names in os.walk(path) for name in names)


def _sum(paths: Any) -> Look:
    files = size = newest = 0
    for path in paths:
        try:
            status = os.lstat(path)
        except OSError:
            continue
        files, size, newest = files + 1, size + status.st_size, max(newest, status.st_mtime_ns)
    return files, size, newest


def exhibit_of(arrival: Arrival, cases: Path, defaults: Mapping[str, Any]) -> Exhibit:
    """The exhibit that an arrival becomes: its name without the ending is the reference."""
    first = arrival.sources[0]
    plain = arrival.name if first.name != arrival.name else Path(arrival.name).stem
    reference = "".join(letter if letter.isprintable() else "_" for letter in plain)[:LONGEST_REFERENCE] or "unnamed"
    return Exhibit(reference, arrival.sources, cases / (folder_name(reference) or "unnamed"), **defaults)
