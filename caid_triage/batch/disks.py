"""Which disk a source lies on, and whether it has one arm: two scans that read one spinning disk only wait longer.

Linux tells it: ``st_dev`` -> /sys/dev/block -> whole disks below (of a logical volume, a RAID, a mapped device) and
whether they turn. A network share counts as one spinning disk, by its mount. Where nothing can be learned, a device
counts as spinning, and memory (tmpfs) as none.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

SMALL = 256 * 10**6
"""Sources of an exhibit that together are smaller than this are read in seconds: they wait for no disk."""
MOST_FILES_COUNTED = 20_000
MOST_SECONDS_COUNTED = 2.0

_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "fuse.rclone", "fuse.s3fs")
_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})


@dataclass(frozen=True, slots=True)
class Disk:
    """Something that is read at one place at a time, or not. ``readers``: how many scans may, None: as many as like."""

    name: str
    readers: int | None


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo: the device that its files have, where it is, of what kind, and of what."""

    device: str
    place: str
    kind: str
    source: str


def real_path(path: Path) -> Path:
    """Where a path leads, links followed; of links that lead in a circle as far as they go (Path.resolve raises)."""
    return Path(os.path.realpath(path))


def disks_of(sources: Sequence[Path], told: Sequence[tuple[Path, int]] = (), system: Path = Path("/")) -> set[Disk]:
    """The disks that these sources are read from. ``told`` are paths with the readers that their disk takes.

    ``system`` is where /sys and /proc are looked for; tests put another there.
    """
    found: set[Disk] = set()
    for source in sources:
        own = [(path, readers) for path, readers in told if real_path(source).is_relative_to(real_path(path))]
        if own:
            path, readers = max(own, key=lambda pair: len(pair[0].parts))
            found.add(Disk(str(path), readers))
            continue
        try:
            status = source.stat()
        except OSError:
            continue  # the scan of it says so
        device = status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev
        found |= _of_device(device, system)
    return found


def _of_device(device: int, system: Path) -> set[Disk]:
    number = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else str(device)
    mount = next((one for one in mounts(system) if one.device == number), None)
    if mount is not None and mount.kind.startswith(_NETWORK):
        return {Disk(f"share {mount.source}", 1)}
    if mount is not None and mount.kind in _MEMORY:
        return {Disk(f"memory {number}", None)}
    block = _block(number, system)
    if block is None and mount is not None and mount.source.startswith("/dev/"):  # Btrfs has a number of its own
        block = system / "sys/class/block" / Path(mount.source).name
    wholes = [] if block is None or not block.exists() else _whole_disks(block.resolve())
    if not wholes:
        return {Disk(f"device {number}", 1)}
    return {Disk(whole.name, 1 if _turns(whole) else None) for whole in wholes}


def _block(number: str, system: Path) -> Path | None:
    """The folder of /sys of a block device, None for a device that is none."""
    place = system / "sys/dev/block" / number
    if place.exists():
        return place
    for other in (system / "sys/class/block").glob("*/dev"):
        if _text(other) == number:
            return other.parent
    return None


def _whole_disks(block: Path) -> list[Path]:
    """The disks below a device: of a mapped one or a RAID those that it is made of, of a partition its disk."""
    slaves = sorted((block / "slaves").glob("*"))
    if slaves:
        return list(dict.fromkeys(disk for slave in slaves for disk in _whole_disks(slave.resolve())))
    return [block.parent if (block / "partition").exists() else block]


def _turns(whole: Path) -> bool:
    return _text(whole / "queue/rotational") != "0"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


@lru_cache(maxsize=4)
def mounts(system: Path = Path("/")) -> tuple[Mount, ...]:
    """What is mounted, as proc(5) tells it in mountinfo; nothing on other systems."""
    try:
        lines = (system / "proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        before, _, behind = line.partition(" - ")
        first, second = before.split(" "), behind.split(" ")
        if len(first) > 4 and len(second) > 1:
            found.append(Mount(first[2], first[4], second[0], second[1]))
    return tuple(found)


def size_of(sources: Sequence[Path]) -> int:
    """About how many bytes lie in these sources on disk: of an image all its segments, of a folder what is counted.

    It tells how far a batch is, and nothing else; of a folder with very many files only the first are counted.
    """
    return sum(map(_size_of, sources))


def _size_of(source: Path) -> int:
    try:
        status = source.stat()
        if stat.S_ISBLK(status.st_mode):
            with source.open("rb") as device:
                return device.seek(0, os.SEEK_END)
        if stat.S_ISDIR(status.st_mode):
            return _folder_size(source)
        return status.st_size + sum(other.stat().st_size for other in later_segments(source))
    except OSError:
        return 0


def later_segments(first: Path) -> list[Path]:
    """The files beside the first segment of a split image that are its next ones, up to the first that is missing.

    E01 is followed by E02 ... E99, EAA ... EZZ, FAA ... ZZZ (libewf, "EWF segment file naming"), 001 by 002.
    """
    found = []
    for ending in _endings(first.suffix):
        path = first.with_suffix(ending)
        if not path.is_file():
            break
        found.append(path)
    return found


def _endings(ending: str) -> Iterator[str]:
    """The endings that follow the ending of a first segment, in its letters; nothing behind any other ending."""
    letters = ending.rstrip("0123456789")
    digits = ending[len(letters) :]
    if letters == "." and len(digits) == 3 and int(digits) <= 1:
        yield from (f".{number:03d}" for number in range(int(digits) + 1, 1000))
    elif len(digits) == 2 and int(digits) == 1:  # E01, S01, Ex01, L01
        yield from (f"{letters}{number:02d}" for number in range(2, 100))
        last = letters[-1]
        alphabet = ascii_lowercase if last.islower() else ascii_uppercase
        for leading in alphabet[alphabet.index(last) :] if last in alphabet else "":
            yield from (f"{letters[:-1]}{leading}{one}{two}" for one in alphabet for two in alphabet)


def _folder_size(folder: Path) -> int:
    total = files = 0
    until = time.monotonic() + MOST_SECONDS_COUNTED
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in names:
            files += 1
            try:
                total += os.lstat(Path(place) / name).st_size
            except OSError:
                continue
        if files > MOST_FILES_COUNTED or time.monotonic() > until:
            break
    return total
