"""How many deleted files of known content carving gets back exactly, and how fast: ours and PhotoRec in one run.

    python benchmarks/carve.py --folder DISK --photos DIR --corpus TAR --videos DIR [--samples DIR] [--only SET ...]

The sets are made anew in DISK from real, benign files (photographs, valid files of a corpus, films): in a raw file one
after the other ("contiguous"); half of them in two pieces with something else between ("fragmented"); and every
second one deleted from a FAT32 (mtools), an ext4 (debugfs) and an NTFS volume (ntfs-3g through FUSE). Debian's ext4 and
ext2 samples are taken as they are. A file counts when one of the recovered has its SHA-256; "exact_by_carving" leaves
what is found by its name out. Prints JSON; a set whose tools are missing is named under "not_made". PhotoRec is the
peer where it is installed; both look at free space alone where there is a volume. Our times are without Python's start.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
BLOCK = 4096
WANTED = {"png": 24, "avif": 10, "gif": 3, "bmp": 2, "webp": 2, "webm": 1, "mov": 1, "heic": 3}
MOST = 4 << 20


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def has_open_end(data: bytes) -> bool:
    """Whether one of the outermost boxes of an ISO file states no length."""
    place = 0
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if not length:
            return True
        if length < 8:
            return False
        place += length
    return False


def real_files(photos: Path, corpus: Path, videos: Path) -> dict[str, bytes]:
    """The files of the sets by name, each content once."""
    files = {
        path.name: path.read_bytes()
        for path in sorted(photos.iterdir())
        if path.suffix in (".jpg", ".png", ".webp", ".tif")
    }
    index = corpus.with_name("INDEX.tsv").read_text().splitlines()[1:]
    valid = {row.split("\t")[0] for row in index if row.split("\t")[5].startswith("valid")}
    taken: dict[str, list[tuple[str, bytes]]] = {kind: [] for kind in WANTED}
    with tarfile.open(corpus) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            kind = name.rpartition(".")[2].lower()
            if kind in taken and name in valid and 2048 <= member.size <= MOST:
                file = tar.extractfile(member)
                assert file is not None
                taken[kind].append((name.rpartition("/")[2], file.read()))
    for kind, count in WANTED.items():
        found = sorted(taken[kind], key=lambda one: (not has_open_end(one[1]) if kind == "avif" else False, one[0]))
        files.update(found[:count])
    files.update((path.name, path.read_bytes()) for path in sorted(videos.glob("*.mp4"))[:3])
    once: dict[str, bytes] = {}
    for name, data in files.items():
        if len(data) <= MOST and sha256(data) not in {sha256(other) for other in once.values()}:
            once[name] = data
    return once


def filler(choose: random.Random, length: int) -> bytes:
    kind = choose.randrange(3)
    if kind == 0:
        return choose.randbytes(length)
    if kind == 1:
        return bytes(length)
    words = ["milk", "bread", "the", "garden", "was", "green", "and", "quiet", "today", "again"]
    text = " ".join(choose.choices(words, k=length // 4 + 1)).encode()
    return text[:length]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def contiguous(files: dict[str, bytes]) -> bytes:
    choose = random.Random(1)
    parts = [filler(choose, BLOCK * 4)]
    for data in files.values():
        parts += [padded(data), filler(choose, BLOCK * choose.randrange(0, 64))]
    return b"".join(parts)


def fragmented(files: dict[str, bytes]) -> tuple[bytes, set[str]]:
    """Every second file in two pieces; between them noise, text, zeros, or another file."""
    choose = random.Random(2)
    parts, split, names = [filler(choose, BLOCK * 4)], set(), list(files)
    small = [name for name in names if len(files[name]) < 65536]
    for number, name in enumerate(names):
        data = padded(files[name])
        blocks = len(data) // BLOCK
        if number % 2 or blocks < 4:
            parts += [data, filler(choose, BLOCK * choose.randrange(1, 16))]
            continue
        cut = BLOCK * choose.randrange(max(1, blocks // 4), max(2, blocks * 3 // 4))
        gap = filler(choose, BLOCK * choose.randrange(1, 64))
        if number % 8 == 0:
            gap = padded(files[choose.choice(small)])
        parts += [data[:cut], gap, data[cut:], filler(choose, BLOCK * choose.randrange(1, 16))]
        split.add(name)
    return b"".join(parts), split


def command(*arguments: object, **options: object) -> None:
    subprocess.run(
        [str(one) for one in arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
        **options,
    )  # type: ignore[call-overload]


def deleted_fat(image: Path, files: dict[str, bytes], folder: Path) -> set[str]:
    with image.open("wb") as file:
        file.truncate(160 << 20)
    command("mformat", "-i", image, "-F", "-c", "2", "-T", (160 << 20) // 512, "-h", "16", "-s", "63", "::")
    for number, (name, data) in enumerate(files.items()):
        (folder / name).write_bytes(data)
        command("mcopy", "-i", image, folder / name, f"::/{number:03d}_{name}")
    gone = [(number, name) for number, name in enumerate(files) if number % 2]
    for number, name in gone:
        command("mdel", "-i", image, f"::/{number:03d}_{name}")
    return {name for _, name in gone}


def deleted_ext4(image: Path, files: dict[str, bytes], folder: Path) -> set[str]:
    with image.open("wb") as file:
        file.truncate(160 << 20)
    command("mkfs.ext4", "-q", "-F", image)
    lines = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        lines.append(f"write {folder / name} {name}")
    command("debugfs", "-w", "-f", "/dev/stdin", image, input="\n".join(lines).encode())
    gone = [name for number, name in enumerate(files) if number % 2]
    command("debugfs", "-w", "-f", "/dev/stdin", image, input="\n".join(f"rm {name}" for name in gone).encode())
    return set(gone)


def deleted_ntfs(image: Path, files: dict[str, bytes], folder: Path) -> set[str]:
    with image.open("wb") as file:
        file.truncate(160 << 20)
    command("mkfs.ntfs", "-q", "-F", "-f", image)
    mount = folder / "mount"
    mount.mkdir()
    command("ntfs-3g", image, mount)
    gone = [name for number, name in enumerate(files) if number % 2]
    try:
        for name, data in files.items():
            (mount / name).write_bytes(data)
        os.sync()
        for name in gone:
            (mount / name).unlink()
    finally:
        command("umount", mount)
    return set(gone)


OURS = """
import hashlib, json, resource, sys, time
from pathlib import Path
from caid_triage.evidence import images  # what opens disks is imported with the first of them otherwise
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, State
mode, path = sys.argv[1], Path(sys.argv[2])
began, spent = time.perf_counter(), time.process_time()
source = open_source(path, "E", "s", carving=mode)
entries = [item for item in source.walk() if isinstance(item, FileEntry)]
wall, cpu = time.perf_counter() - began, time.process_time() - spent
none = {one.site.number: {} for one in source._carvings}  # as if no name were left
again = [item for item in source._searches.entries(none, 0) if isinstance(item, FileEntry)]
carved, named = {}, {}
for entry in [*entries, *again]:
    if entry.readable and entry.size:
        digest = hashlib.sha256(b"".join(source.chunks(entry))).hexdigest()
        (carved if entry.state is State.CARVED else named)[digest] = entry.path
print(json.dumps({"wall_s": wall, "cpu_s": cpu, "carved": carved, "named": named, "entries": len(entries),
                  "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))
"""


def ours(image: Path, mode: str, repeat: int) -> dict[str, object]:
    """Ours in a process of its own; the best of some runs, as of the peer."""
    runs = []
    for _ in range(repeat):
        done = subprocess.run(
            [sys.executable, "-c", OURS, mode, str(image)],
            check=True,
            capture_output=True,
            timeout=1800,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        runs.append(json.loads(done.stdout))
    return min(runs, key=lambda run: run["cpu_s"])


def photorec(image: Path, folder: Path, volume: bool, repeat: int) -> dict[str, object] | None:
    if shutil.which("photorec") is None:
        return None
    best: dict[str, object] = {}
    for _ in range(repeat):
        out = folder / "photorec"
        shutil.rmtree(folder / "photorec.1", ignore_errors=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        where = "freespace" if volume else "wholespace"
        command(
            "photorec",
            "/d",
            out,
            "/cmd",
            image,
            f"partition_none,options,paranoid,fileopt,everything,enable,{where},search",
            cwd=folder,
        )
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if not best or cpu < float(str(best["cpu_s"])):
            files = [path for path in (folder / "photorec.1").rglob("*") if path.is_file()]
            best = {
                "wall_s": wall,
                "cpu_s": cpu,
                "files": len(files),
                "found": sorted({sha256(path.read_bytes()) for path in files}),
            }
    return best


def measured(
    name: str, image: Path, wanted: dict[str, str], split: set[str], folder: Path, volume: bool, repeat: int
) -> dict[str, object]:
    """Wanted are name -> SHA-256 of what was deleted (or of everything, in a raw set)."""
    modes = {mode: ours(image, mode, repeat) for mode in ("fast", "thorough")}
    peer = photorec(image, folder, volume, repeat)
    size = image.stat().st_size
    result: dict[str, object] = {"bytes": size, "wanted": len(wanted), "in_two_pieces": len(split)}
    for mode, run in modes.items():
        found = {*run["carved"], *run["named"]}  # type: ignore[misc]
        missed = sorted(one for one, digest in wanted.items() if digest not in found)
        pieces = [one for one in split if one.lower().endswith((".jpg", ".jpeg"))]
        result[mode] = {
            "exact": len(wanted) - len(missed),
            "exact_by_carving": sum(digest in run["carved"] for digest in wanted.values()),  # type: ignore[operator]
            "jpegs_in_two_pieces": [sum(wanted[one] in found for one in pieces), len(pieces)],
            "entries": run["entries"], "wall_s": round(float(str(run["wall_s"])), 3),
            "cpu_s": round(float(str(run["cpu_s"])), 3),
            "mb_per_cpu_s": round(size / 1e6 / max(float(str(run["cpu_s"])), 1e-6)),
            "peak_mb": run["peak_mb"], "missed": missed,
        }  # fmt: skip
    if peer is not None:
        got = set(peer["found"])  # type: ignore[call-overload]
        quickly = {*modes["fast"]["carved"], *modes["fast"]["named"]}  # type: ignore[misc]
        result["photorec"] = {
            "exact": sum(digest in got for digest in wanted.values()), "files": peer["files"],
            "wall_s": round(float(str(peer["wall_s"])), 3), "cpu_s": round(float(str(peer["cpu_s"])), 3),
            "missed_by_us_found_by_it": sorted(
                one for one, digest in wanted.items() if digest in got and digest not in quickly
            ),
        }  # fmt: skip
        result["photorec_cpu_over_fast"] = round(
            float(str(peer["cpu_s"])) / max(float(str(modes["fast"]["cpu_s"])), 1e-6), 2
        )
        result["photorec_wall_over_fast"] = round(
            float(str(peer["wall_s"])) / max(float(str(modes["fast"]["wall_s"])), 1e-6), 2
        )
    return result


def debian(samples: Path, kind: str, folder: Path) -> tuple[Path, dict[str, str]]:
    image = folder / f"fs.{kind}.raw"
    image.write_bytes(lzma.decompress((samples / f"fs.{kind}.xz").read_bytes()))
    originals = {
        path.name: sha256(path.read_bytes())
        for part in ("original-files", "original-multiple")
        for path in sorted((samples / part).rglob("*"))
        if path.is_file()
    }
    return image, originals


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--folder", type=Path, required=True)
    arguments.add_argument("--photos", type=Path, required=True)
    arguments.add_argument("--corpus", type=Path, required=True)
    arguments.add_argument("--videos", type=Path, required=True)
    arguments.add_argument("--samples", type=Path, default=Path("/usr/share/forensics-samples"))
    arguments.add_argument(
        "--only", nargs="*", default=["contiguous", "fragmented", "fat32", "ext4", "ntfs", "debian-ext4", "debian-ext2"]
    )
    arguments.add_argument("--repeat", type=int, default=3)
    given = arguments.parse_args()
    files = real_files(given.photos, given.corpus, given.videos)
    digests = {name: sha256(data) for name, data in files.items()}
    kinds: dict[str, int] = {}
    for name in files:
        kinds[name.rpartition(".")[2].lower()] = kinds.get(name.rpartition(".")[2].lower(), 0) + 1
    open_ended = sorted(name for name, data in files.items() if name.endswith(".avif") and has_open_end(data))
    result: dict[str, object] = {
        "load": os.getloadavg()[0],
        "files": len(files),
        "kinds": kinds,
        "file_bytes": sum(map(len, files.values())),
        "open_ended_avifs": open_ended,
    }
    sets: dict[str, object] = {}
    not_made: dict[str, str] = {}
    makers = {"fat32": deleted_fat, "ext4": deleted_ext4, "ntfs": deleted_ntfs}
    for name in given.only:
        folder = given.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        image, split, volume = folder / "set.dd", set(), name not in ("contiguous", "fragmented")
        wanted = digests
        try:
            if name == "contiguous":
                image.write_bytes(contiguous(files))
            elif name == "fragmented":
                data, split = fragmented(files)
                image.write_bytes(data)
            elif name in makers:
                gone = makers[name](image, files, folder)
                wanted = {one: digests[one] for one in gone}
            else:
                image, wanted = debian(given.samples, name.removeprefix("debian-"), folder)
        except (OSError, subprocess.SubprocessError) as error:
            not_made[name] = f"{type(error).__name__}: {error}"
            continue
        sets[name] = measured(name, image, wanted, split, folder, volume, given.repeat)
        print(name, "done", file=sys.stderr)
    print(json.dumps(result | {"sets": sets, "not_made": not_made}, indent=1))


if __name__ == "__main__":
    main()
