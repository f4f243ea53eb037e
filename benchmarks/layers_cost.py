"""What the layers between a disk and its files cost: of volumes inside volumes, and of an E01 around the disk.

    python benchmarks/layers_cost.py --photos ../shared/photos --count 150 --rounds 5

Two NTFS volumes are made (mkntfs and ntfscp; without those by caid_triage.synth) and filled with real photographs,
re-encoded so that each is another file: ``photographs`` as cameras leave them, and ``mixed``, of which every tenth is
a BMP, so that most bytes are such as an E01 compresses. A third of each is free. ewfacquire makes an E01 of the same
bytes. Each round runs every side once, in turn:

- ``scan``: ``caid-triage scan`` of the raw image; the same with the chain of layers taken out (no layer is asked, none
  of its libraries is imported); of the E01, with and without the package ``deflate``. CPU time of all processes.
- ``files``: walking and reading every file in one process: our E01 reader, with zlib and with ``deflate``, beside pyewf
  under pytsk3 as libewf's own examples join them; and our reading of the raw image beside pytsk3 alone. The bytes read
  are compared by their SHA-256.

Medians and ratios of one run; JSON. What is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

RAW, BARE, E01, E01_ZLIB = "raw", "raw, without layers", "E01", "E01, zlib alone"
LIBRARIES = ("pybde", "pyfvde", "pyluksde", "pyfsapfs", "pyfsxfs", "pyvshadow")


# ---------------------------------------------------------------- the disk


def pictures(photos: Path, folder: Path, count: int, *, mixed: bool) -> list[Path]:
    """``count`` files made of real photographs."""
    from PIL import Image
    from scan_photos import make_photographs

    make_photographs(photos, folder, count, 0)
    for path in sorted(folder.iterdir())[::10] if mixed else []:
        with Image.open(path) as image:
            image.save(path.with_suffix(".bmp"))
        path.unlink()
    return sorted(folder.iterdir())


def make_disk(image: Path, files: list[Path]) -> str:
    """An NTFS volume of the files, a third of it free; how it was made."""
    size = (sum(path.stat().st_size + 4096 for path in files) * 3 // 2 + (32 << 20)) & ~0xFFFF
    if shutil.which("mkntfs") and shutil.which("ntfscp"):
        with image.open("wb") as file:
            file.truncate(size)
        quietly("mkntfs", "-F", "-Q", "-p", "0", "-H", "16", "-S", "63", image)
        for path in files:
            quietly("ntfscp", "-f", image, path, path.name)
        return "mkntfs and ntfscp"
    from caid_triage.synth.ntfs import build_ntfs
    from caid_triage.synth.plan import PlannedFile

    image.write_bytes(build_ntfs([PlannedFile(f"/{path.name}", path.read_bytes()) for path in files], size=size))
    return "caid_triage.synth"


def make_e01(image: Path) -> Path | None:
    """An E01 of the same bytes, compressed; None without ewfacquire."""
    if not shutil.which("ewfacquire"):
        return None
    target = image.with_suffix("")
    quietly("ewfacquire", "-u", "-q", "-c", "deflate:fast", "-S", "2TiB", "-t", target, image)
    return image.with_suffix(".E01")


def quietly(*command: object) -> None:
    """Run a command that must succeed."""
    subprocess.run([str(one) for one in command], check=True, capture_output=True, timeout=600)


# ---------------------------------------------------------------- scans

STAND_INS = """
import sys, types
for name in {libraries!r}:
    sys.modules[name] = types.ModuleType(name)
sys.modules["pyvshadow"].volume = sys.modules["pybde"].volume = sys.modules["pyfvde"].volume = object
sys.modules["pyluksde"].volume = sys.modules["pyfsapfs"].container = sys.modules["pyfsxfs"].volume = object
sys.modules["cryptography"] = None
from dataclasses import replace
from caid_triage.evidence.file_system import open_volume
from caid_triage.evidence.layers.chain import VolumeOpener
VolumeOpener.open_chain = lambda self, *volume, **more: [replace(open_volume(*volume[:4]), image=volume[0])]
"""
WITHOUT_DEFLATE = "import sys; sys.modules['deflate'] = None\n"
RUN = (  # in one process with the coordinator: what stands in for a library would not reach another
    "from caid_triage.scan import sources; sources.is_parsed_apart = lambda *_: False\n"
    "from caid_triage.cli.main import main; main()"
)


def scan(source: Path, case: Path, before: str = "") -> tuple[float, dict[str, Any]]:
    """CPU seconds of a scan into a new case, all processes together, and its files with their digests."""
    options = ["--case", str(case), "--workers", "2", "--quiet"]
    command = [sys.executable, "-c", before + RUN, "scan", str(source), *options]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    began = os.times()
    subprocess.run(command, check=True, env=environment, capture_output=True)
    ended = os.times()
    cpu = ended.children_user + ended.children_system - began.children_user - began.children_system
    rows = (case / "reports" / "files.csv").read_text(encoding="utf-8").splitlines()
    shutil.rmtree(case)
    # exhibit and source differ; the rest of each row must not
    found = hashlib.sha256("\n".join(row.split(",", 2)[2] for row in rows).encode()).hexdigest()
    return cpu, {"files": len(rows) - 1, "rows": found}


# ---------------------------------------------------------------- reading by file


def ours(path: Path) -> Iterator[bytes]:
    """The content of every file, in the order of the walk, as a scan reads it."""
    from caid_triage.evidence.source import open_source
    from caid_triage.model import FileEntry

    source = open_source(path, "E", "disk")
    for item in source.walk():
        if isinstance(item, FileEntry) and item.readable and item.size:
            yield from source.chunks(item)
    source.close()


def by_pytsk3(open_disk: Callable[[], Any]) -> Iterator[bytes]:
    """The content of every file as a plain script reads it: pytsk3 alone, pieces of 1 MiB."""
    import pytsk3

    fs = pytsk3.FS_Info(open_disk())
    for file in fs.open_dir("/"):
        meta = file.info.meta
        if meta is None or int(meta.type) != int(pytsk3.TSK_FS_META_TYPE_REG):
            continue
        at, size = 0, int(meta.size)
        while at < size:
            piece = file.read_random(at, min(1 << 20, size - at))
            if not piece:
                break
            yield piece
            at += len(piece)


def pyewf_disk(path: Path) -> Any:
    """The disk of an E01 as libewf's documentation joins it to pytsk3."""
    import pyewf
    import pytsk3

    class EwfInfo(pytsk3.Img_Info):  # type: ignore[misc]
        def __init__(self, handle: Any) -> None:
            self._handle = handle
            super().__init__(url="", type=pytsk3.TSK_IMG_TYPE_EXTERNAL)

        def close(self) -> None:
            self._handle.close()

        def read(self, offset: int, size: int) -> bytes:
            self._handle.seek(offset)
            return bytes(self._handle.read(size))

        def get_size(self) -> int:
            return int(self._handle.get_media_size())

    handle = pyewf.handle()
    handle.open(pyewf.glob(str(path)))
    return EwfInfo(handle)


def content_of(pieces: Iterator[bytes]) -> tuple[float, int]:
    """CPU seconds of reading, and the bytes read."""
    began = time.process_time()
    total = sum(map(len, pieces))
    return time.process_time() - began, total


def same_files(disk: Path, image: Path | None) -> bool:
    """Whether our raw reading, our E01 reading and pyewf's give the same bytes of the named files."""
    import pytsk3

    from caid_triage.evidence.ewf import find_segments, open_ewf

    def digest(pieces: Iterator[bytes]) -> str:
        found = hashlib.sha256()
        for piece in pieces:
            found.update(piece)
        return found.hexdigest()

    wanted = digest(by_pytsk3(lambda: pytsk3.Img_Info(str(disk))))
    if image is None:
        return True
    read = [
        digest(by_pytsk3(lambda: open_ewf(find_segments(image)[0])[0])),
        digest(by_pytsk3(lambda: pyewf_disk(image))),
    ]
    return read == [wanted, wanted] and digest(ours(disk)) == digest(ours(image))


def file_sides(disk: Path, image: Path | None) -> dict[str, Callable[[], Iterator[bytes]]]:
    """The ways of reading every file, by what they are called."""
    import pytsk3

    from caid_triage.evidence import ewf_chunks
    from caid_triage.evidence.ewf import find_segments, open_ewf
    from caid_triage.evidence.unpack import inflated

    sides: dict[str, Callable[[], Iterator[bytes]]] = {
        "raw, ours": lambda: ours(disk),
        "raw, pytsk3 alone": lambda: by_pytsk3(lambda: pytsk3.Img_Info(str(disk))),
    }
    if image is None:
        return sides
    fast = ewf_chunks.inflated_chunk

    def by_our_chunks(way: Any) -> Iterator[bytes]:
        ewf_chunks.inflated_chunk = way
        yield from by_pytsk3(lambda: open_ewf(find_segments(image)[0])[0])
        ewf_chunks.inflated_chunk = fast

    sides["E01, our chunks, zlib"] = lambda: by_our_chunks(inflated)
    if find_spec("deflate"):
        sides["E01, our chunks, deflate"] = lambda: by_our_chunks(fast)
    sides["E01, pyewf"] = lambda: by_pytsk3(lambda: pyewf_disk(image))
    return sides


def main() -> None:
    """Make the disk, run all sides in turn, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=("scan", "files"), help="one half of it")
    parser.add_argument("--disk", choices=("photographs", "mixed"), help="one of the disks")
    options = parser.parse_args()
    report: dict[str, Any] = {
        "files": options.count,
        "rounds": options.rounds,
        "not_installed": [
            name
            for name, there in (("ewfacquire", shutil.which("ewfacquire")), ("deflate", find_spec("deflate")))
            if not there
        ],
    }
    for name in (options.disk,) if options.disk else ("photographs", "mixed"):
        with tempfile.TemporaryDirectory() as scratch:
            report[name] = figures(Path(scratch), options, mixed=name == "mixed")
    report["load"] = [round(value, 1) for value in os.getloadavg()]
    print(json.dumps(report, indent=2))


def figures(scratch: Path, options: argparse.Namespace, *, mixed: bool) -> dict[str, Any]:
    """All that is measured on one disk."""
    files = pictures(options.photos, scratch / "photos", options.count, mixed=mixed)
    disk = scratch / "disk.raw"
    found: dict[str, Any] = {"made_by": make_disk(disk, files)}
    image = make_e01(disk)
    found["megabytes"] = {
        "files": round(sum(path.stat().st_size for path in files) / 1e6),
        "disk": round(disk.stat().st_size / 1e6),
        "E01": round(image.stat().st_size / 1e6) if image is not None else None,
    }
    shutil.rmtree(scratch / "photos")
    if options.only != "scan":
        found["by_file"] = by_file(disk, image, options.rounds)
    if options.only != "files":
        found["scan"] = scans(disk, image, scratch / "case", options.rounds)
    return found


def scans(disk: Path, image: Path | None, case: Path, rounds: int) -> dict[str, Any]:
    """Whole scans, in turn; the first round is not counted."""
    sides = {RAW: (disk, ""), BARE: (disk, STAND_INS.format(libraries=LIBRARIES))}
    if image is not None:
        sides[E01] = (image, "")
        if find_spec("deflate"):
            sides[E01_ZLIB] = (image, WITHOUT_DEFLATE)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    results = {}
    for number in range(rounds + 1):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            cpu, results[name] = scan(sides[name][0], case, sides[name][1])
            if number:
                seconds[name].append(round(cpu, 2))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    found: dict[str, Any] = {
        "cpu_seconds": seconds,
        "cpu_seconds_median": medians,
        "entries": results[RAW]["files"],
        "same_rows": len({result["rows"] for result in results.values()}) == 1,
        "layers_add_percent": round(100 * (medians[RAW] / medians[BARE] - 1), 1),
        "layers_wanted": "at most 10",
    }
    if image is not None:
        found["E01_over_raw"] = {
            name: round(medians[name] / medians[RAW], 2) for name in (E01, E01_ZLIB) if name in medians
        }
        found["E01_wanted"] = "at most 1.3"
    return found


def by_file(disk: Path, image: Path | None, rounds: int) -> dict[str, Any]:
    """Reading every file, in turn; the first round is not counted."""
    sides = file_sides(disk, image)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    sizes: dict[str, int] = {}
    for number in range(rounds + 1):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            cpu, sizes[name] = content_of(sides[name]())
            if number:
                seconds[name].append(round(cpu, 4))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    found: dict[str, Any] = {
        "cpu_seconds": seconds,
        "megabytes_a_cpu_second": {name: round(sizes[name] / 1e6 / medians[name]) for name in sides},
        "same_bytes": same_files(disk, image),
    }
    if image is not None:
        found["pyewf_over_ours"] = {
            name: round(medians["E01, pyewf"] / medians[name], 1) for name in sides if name.startswith("E01, our")
        }
        found["wanted"] = "at least 6"
    return found


if __name__ == "__main__":
    main()
