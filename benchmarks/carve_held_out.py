"""Carving on files it was not developed on: what comes back exactly, and what is found that never was a file.

    python benchmarks/carve_held_out.py --files FOLDER [--files FOLDER ...] --folder DISK [--seed 7] [--each 16]

Takes real files from the folders by chance (``--seed``; at most ``--each`` of an ending, JPEGs three times as many) and
makes of them one raw file with the files one after the other ("contiguous"), one with most of them in two pieces, in
five ways ("fragmented": a near gap of noise, text or zeros; a far gap; another file between; two files interleaved; the
second piece before the first), and volumes of FAT32, ext4, NTFS and exFAT that were filled, thinned out and filled
again, so that files lie in pieces of themselves, every second of which was then deleted. PhotoRec runs on the same.

Each carved file is one of: exact (the SHA-256 of a file that was placed), beginning (of such), inside (a part of one: a
thumbnail, a picture in a document), longer (a placed file with more behind), or wrong (bytes that never lay in one file
in this order). Prints JSON; a volume whose tools are missing is named under "not_made".
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from carve import BLOCK, PROJECT, command, filler, padded, photorec, sha256

ENDINGS = frozenset(
    ("jpg", "jpeg", "jpe", "png", "gif", "bmp", "webp", "tif", "tiff", "heic", "heif", "avif", "jp2", "jxl", "ppm",
     "pgm", "pbm", "mp4", "mov", "3gp", "avi", "mkv", "webm", "mpg", "mpeg", "ts", "wmv", "flv", "ogg", "ogv", "mp3",
     "wav", "pdf", "docx", "odt", "cr2", "nef", "dng", "arw", "rw2", "orf")
)  # fmt: skip
MOST, LEAST = 8 << 20, 2048
VOLUME = 400 << 20
WAYS = ("near", "far", "other", "interleaved", "backwards")


def chosen_files(folders: list[Path], seed: int, each: int, most: int) -> dict[str, bytes]:
    """Files by a name of their own: by chance, each content once, JPEGs three times as many as others."""
    choose = random.Random(seed)
    kinds: dict[str, list[Path]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            ending = path.suffix.lower().removeprefix(".")
            if ending in ENDINGS and path.is_file() and not path.is_symlink() and LEAST <= path.stat().st_size <= MOST:
                kinds.setdefault({"jpeg": "jpg", "jpe": "jpg"}.get(ending, ending), []).append(path)
    files: dict[str, bytes] = {}
    seen: set[str] = set()
    total = 0
    for ending, paths in sorted(kinds.items()):
        choose.shuffle(paths)
        taken = 0
        for path in paths:
            data = path.read_bytes()
            if taken < each * (3 if ending == "jpg" else 1) and sha256(data) not in seen and total + len(data) <= most:
                seen.add(sha256(data))
                files[f"{len(files):04d}.{ending}"] = data
                total += len(data)
                taken += 1
    names = list(files)
    choose.shuffle(names)
    return {name: files[name] for name in names}


def contiguous(files: dict[str, bytes], seed: int) -> bytes:
    choose = random.Random(seed + 1)
    parts = [filler(choose, BLOCK * 4)]
    for data in files.values():
        parts += [padded(data), filler(choose, BLOCK * choose.randrange(0, 64))]
    return b"".join(parts)


def fragmented(files: dict[str, bytes], seed: int) -> tuple[bytes, dict[str, str]]:
    """The raw file, and by name the way in which a file lies in two pieces."""
    choose = random.Random(seed + 2)
    parts: list[bytes] = [filler(choose, BLOCK * 4)]
    ways: dict[str, str] = {}
    small = [name for name, data in files.items() if len(data) < 65536]
    waiting: tuple[str, bytes, bytes] | None = None
    number = 0
    for name, data in files.items():
        whole = padded(data)
        blocks = len(whole) // BLOCK
        if blocks < 4:
            parts += [whole, filler(choose, BLOCK * choose.randrange(1, 16))]
            continue
        cut = BLOCK * choose.randrange(max(1, blocks // 5), max(2, blocks * 4 // 5))
        first, second = whole[:cut], whole[cut:]
        way = WAYS[number % len(WAYS)]
        number += 1
        ways[name] = way
        if way == "interleaved" and waiting is None:
            waiting = (name, first, second)
            continue
        if way == "interleaved" and waiting is not None:
            parts += [waiting[1], first, waiting[2], second]
            waiting = None
        elif way == "near":
            parts += [first, filler(choose, BLOCK * choose.randrange(1, 64)), second]
        elif way == "far":
            parts += [first, filler(choose, BLOCK * choose.randrange(256, 1024)), second]
        elif way == "other":
            parts += [first, padded(files[choose.choice(small)]), second]
        else:
            parts += [second, filler(choose, BLOCK * choose.randrange(1, 64)), first]
        parts.append(filler(choose, BLOCK * choose.randrange(1, 16)))
    if waiting is not None:
        parts += [waiting[1], waiting[2]]
        del ways[waiting[0]]
    return b"".join(parts), ways


def mounted(kind: str, image: Path, mount: Path) -> list[list[object]]:
    """Make a volume and mount it; the commands that undo that."""
    mount.mkdir()
    if kind == "ntfs":
        command("mkfs.ntfs", "-q", "-F", "-f", image)
        command("ntfs-3g", image, mount)
        return [["umount", mount]]
    if kind == "ext4":
        command("mkfs.ext4", "-q", "-F", image)
        command("mount", "-o", "loop", image, mount)
        return [["umount", mount]]
    command("mkfs.exfat", image)
    done = subprocess.run(["losetup", "-f", "--show", image], check=True, capture_output=True, text=True, timeout=60)
    device = done.stdout.strip()
    try:
        command("mount.exfat-fuse", device, mount)
    except subprocess.SubprocessError:
        command("losetup", "-d", device)
        raise
    return [["umount", mount], ["losetup", "-d", device]]


def volume_of(kind: str, image: Path, files: dict[str, bytes], folder: Path, seed: int) -> set[str]:
    """A volume that was used for a while; the names of the deleted files."""
    choose = random.Random(seed + 3)
    with image.open("wb") as file:
        file.truncate(VOLUME)
    size = VOLUME - sum(map(len, files.values())) - (48 << 20)
    first = [f"old{number:04d}" for number in range(max(16, size // (96 << 10)))]
    contents = [filler(choose, choose.randrange(16 << 10, 160 << 10)) for _ in range(64)]
    gone = [name for number, name in enumerate(files) if number % 2]
    if kind == "fat32":
        command("mformat", "-i", image, "-F", "-c", "8", "-T", VOLUME // 512, "-h", "16", "-s", "63", "::")
        source = folder / "source"
        source.mkdir()
        for number, name in enumerate(first):
            (source / name).write_bytes(contents[number % 64])
        for name, data in files.items():
            (source / name).write_bytes(data)
        command("mcopy", "-i", image, *(source / name for name in first), "::/")
        command("mdel", "-i", image, *(f"::/{name}" for name in first[::3]))
        command("mcopy", "-i", image, *(source / name for name in files), "::/")
        command("mdel", "-i", image, *(f"::/{name}" for name in gone))
        return set(gone)
    mount = folder / "mount"
    undo = mounted(kind, image, mount)
    try:
        for number, name in enumerate(first):
            (mount / name).write_bytes(contents[number % 64])
        os.sync()
        for name in first[::3]:
            (mount / name).unlink()
        os.sync()
        for name, data in files.items():
            (mount / name).write_bytes(data)
        os.sync()
        for name in gone:
            (mount / name).unlink()
        os.sync()
    finally:
        for one in undo:
            command(*one)
    return set(gone)


OURS = """
import hashlib, json, resource, sys, time
from pathlib import Path
from caid_triage.evidence import images  # what opens disks is imported with the first of them otherwise
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, State
mode, path, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
began, spent = time.perf_counter(), time.process_time()
source = open_source(path, "E", "s", carving=mode)
entries = [item for item in source.walk() if isinstance(item, FileEntry)]
wall, cpu = time.perf_counter() - began, time.process_time() - spent
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
none = {one.site.number: {} for one in source._carvings}  # as if no name were left
again = [item for item in source._searches.entries(none, 0) if isinstance(item, FileEntry)]
named = []
for entry in entries:
    if entry.readable and entry.size and entry.state is not State.CARVED:
        named.append(hashlib.sha256(b"".join(source.chunks(entry))).hexdigest())
for number, entry in enumerate(again):
    remark = entry.problems[0].code if entry.problems else "whole"
    (out / f"{number:06d}_{remark}.{entry.path.rpartition('.')[2]}").write_bytes(b"".join(source.chunks(entry)))
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "named": named, "entries": len(entries), "peak_mb": peak}))
"""


def ours(image: Path, mode: str, out: Path, environment: dict[str, str]) -> dict[str, object]:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", OURS, mode, str(image), str(out)], check=True, capture_output=True, timeout=1800,
        env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
    )  # fmt: skip
    run: dict[str, object] = json.loads(done.stdout)
    return run


def decodes(data: bytes) -> bool:
    """Whether Pillow makes a whole picture of it."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except Exception:  # noqa: BLE001 - any decoder may fail in any way
        return False
    return True


class Placed:
    """What lies in a set, to tell what a recovered file is of it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.digests = {sha256(data): name for name, data in files.items()}
        self.heads: dict[bytes, list[bytes]] = {}
        for data in files.values():
            self.heads.setdefault(data[:16], []).append(data)
        self.all = b"\0".join(files.values())

    def kind_of(self, data: bytes) -> str:
        if sha256(data) in self.digests:
            return "exact"
        for whole in self.heads.get(data[:16], ()):
            if whole.startswith(data):
                return "beginning"
            if data.startswith(whole):
                return "longer"
        if data in self.all:
            return "inside"
        return "wrong"


def told(folder: Path, placed: Placed) -> tuple[set[str], dict[str, int], list[str]]:
    """Digests of the files recovered in a folder, how many of each kind, and the wrong ones."""
    digests: set[str] = set()
    kinds: Counter[str] = Counter()
    wrong = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "report.xml":
            data = path.read_bytes()
            digests.add(sha256(data))
            kind = placed.kind_of(data)
            remark = path.name.partition("_")[2].partition(".")[0] if "_" in path.name else ""
            label = f"{kind} ({remark})" if remark.startswith("carved-") else kind
            kinds[label] += 1
            if kind == "wrong":
                wrong.append(f"{path.name} {len(data)} {'decodes' if decodes(data) else ''}".strip())
    return digests, dict(sorted(kinds.items())), wrong


def by(names: dict[str, str], digests: dict[str, str], found: set[str]) -> dict[str, list[int]]:
    """By a word for each name: how many of them were found, of how many."""
    counted: dict[str, list[int]] = {}
    for name, word in sorted(names.items(), key=lambda one: one[1]):
        row = counted.setdefault(word, [0, 0])
        row[0] += digests[name] in found
        row[1] += 1
    return counted


def measured(
    image: Path,
    files: dict[str, bytes],
    wanted: set[str],
    ways: dict[str, str],
    folder: Path,
    environment: dict[str, str],
) -> dict[str, object]:
    digests = {name: sha256(data) for name, data in files.items()}
    placed = Placed(files)
    volume = not ways and image.stat().st_size == VOLUME
    endings = {name: name.rpartition(".")[2] for name in wanted}
    pieces = {name: ("jpg " if name.endswith(".jpg") else "others ") + way for name, way in ways.items()}
    result: dict[str, object] = {"bytes": image.stat().st_size, "wanted": len(wanted)}
    gotten: dict[str, set[str]] = {}
    for mode in ("fast", "thorough"):
        out = folder / f"ours-{mode}"
        run = ours(image, mode, out, environment)
        carved, kinds, wrong = told(out, placed)
        gotten[mode] = carved | set(run["named"])  # type: ignore[call-overload]
        result[mode] = {
            "exact": sum(digests[name] in gotten[mode] for name in wanted),
            "exact_by_carving": sum(digests[name] in carved for name in wanted),
            "carved": kinds, "wrong": wrong, "entries": run["entries"],
            "cpu_s": round(float(str(run["cpu_s"])), 3), "wall_s": round(float(str(run["wall_s"])), 3),
            "peak_mb": run["peak_mb"], "by_ending": by(endings, digests, carved), "pieces": by(pieces, digests, carved),
        }  # fmt: skip
    peer = photorec(image, folder, volume, 1)
    if peer is not None:
        found, kinds, wrong = told(folder / "photorec.1", placed)
        result["photorec"] = {
            "exact": sum(digests[name] in found for name in wanted), "files": kinds, "wrong": wrong,
            "cpu_s": round(float(str(peer["cpu_s"])), 3), "wall_s": round(float(str(peer["wall_s"])), 3),
            "by_ending": by(endings, digests, found), "pieces": by(pieces, digests, found),
            **{f"missed_in_{mode}_found_by_it": sorted(
                name for name in wanted if digests[name] in found and digests[name] not in gotten[mode]
            ) for mode in gotten},
        }  # fmt: skip
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--files", type=Path, action="append", required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--each", type=int, default=16)
    arguments.add_argument("--most", type=int, default=120, help="MB of files at most")
    arguments.add_argument("--without-numba", action="store_true", help="as where the extra is not installed")
    sets = ["contiguous", "fragmented", "fat32", "ext4", "ntfs", "exfat"]
    arguments.add_argument("--only", nargs="*", default=sets)
    given = arguments.parse_args()
    files = chosen_files(given.files, given.seed, given.each, given.most * 1_000_000)
    environment = {"NUMBA_DISABLE_JIT": "1"} if given.without_numba else {}
    result: dict[str, object] = {
        "load": os.getloadavg()[0], "seed": given.seed, "files": len(files),
        "file_bytes": sum(map(len, files.values())),
        "kinds": dict(sorted(Counter(name.rpartition(".")[2] for name in files).items())),
    }  # fmt: skip
    found: dict[str, object] = {}
    not_made: dict[str, str] = {}
    for name in given.only:
        folder = given.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        image, wanted, ways = folder / "set.dd", set(files), {}
        try:
            if name == "contiguous":
                image.write_bytes(contiguous(files, given.seed))
            elif name == "fragmented":
                data, ways = fragmented(files, given.seed)
                image.write_bytes(data)
            else:
                wanted = volume_of(name, image, files, folder, given.seed)
        except (OSError, subprocess.SubprocessError) as error:
            not_made[name] = f"{type(error).__name__}: {error}"
            continue
        found[name] = measured(image, files, wanted, ways, folder, environment)
        print(name, "done", file=sys.stderr)
    print(json.dumps(result | {"sets": found, "not_made": not_made}, indent=1))


if __name__ == "__main__":
    main()
