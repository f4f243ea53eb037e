"""Containers of disks and logical images that are read by modules of ours, each around a small FAT volume or a tree.

An input is patches on a whole (fuzz/patches.py). It is opened, walked and read as a scan does; laws: it is refused by
name, or every byte of the disk is counted and each file read in pieces is what it is when read at once
(support/evidence_files.py); nothing is raised but our own errors; an acquisition hash is compared without a fault.
What libraries of others read (E01 by libewf) is left to their own fuzzing.
"""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path

from support.containers import DEFLATE, SNAPPY, aff4, converted, sparse_image, udif
from support.evidence_files import BZIP2, AdItem, Ex01Plan, Logical, ad1, ex01, examined, l01, lx01

from caid_triage.errors import CaidTriageError
from caid_triage.evidence.source import open_source
from caid_triage.evidence.verify import verify_acquisition
from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile
from fuzz.patches import chosen, patched, patching, places_of
from fuzz.target import Target, expect

SIZE = 160 << 10
TREE = [
    Logical("C", None, [
        Logical("a.txt", b"hello"), Logical("empty", b""), Logical("filled", b"\x07" * 5000, sparse="byte"),
        Logical("again.txt", b"hello", sparse="again", same_as="a.txt"), Logical("three", b"abc" * 700, pieces=3),
    ]),
    Logical("top", b"6"),
]  # fmt: skip
ITEMS = [AdItem(b"C", None, [AdItem(b"a.txt", b"hello"), AdItem(b"b.bin", b"ab" * 900)]), AdItem(b"top", b"6")]
# qemu's tool makes these where it is installed; the others are made by writers of the tests.
BY_QEMU = {
    "vmdk": ("vmdk",),
    "vmdk stream": ("vmdk", "subformat=streamOptimized"),
    "vhd": ("vpc", "force_size=on"),
    "qcow2": ("qcow2", "cluster_size=4k"),
    "vdi": ("vdi",),
}
EXTENSIONS = {"ex01": "Ex01", "lx01": "Lx01", "l01": "L01", "ad1": "ad1"}


def disk() -> bytes:
    plan = [PlannedFile(f"/f{number}.bin", bytes([number]) * 900, deleted=number % 3 == 0) for number in range(6)]
    return bytes(build_fat(plan, size=SIZE, bits=12))


@cache
def wholes() -> dict[str, bytes]:
    """One image of each format by name."""
    content = disk()
    made = {
        "dmg": udif(content),
        "sparseimage": sparse_image(content),
        "aff4": aff4(content, SNAPPY),
        "aff4 deflated": aff4(content, DEFLATE),
        "ex01": ex01(content, Ex01Plan(forms=("packed", "plain")))[0],
        "ex01 bzip2": ex01(content, Ex01Plan(method=BZIP2))[0],
        "lx01": lx01(TREE)[0],
        "l01": l01(TREE)[0],
        "ad1": ad1(ITEMS)[0],
    }
    if shutil.which("qemu-img"):
        with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
            raw = Path(folder) / "raw.dd"
            raw.write_bytes(content)
            for name, options in BY_QEMU.items():
                made[name] = converted(raw, Path(folder) / "made", *options).read_bytes()
    return made


@cache
def places(name: str) -> list[int]:
    return places_of(wholes()[name])


def check(data: bytes) -> str:
    name = chosen(data, sorted(wholes()))
    image = patched(data, wholes()[name], places(name))
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        extension = EXTENSIONS.get(name.split()[0], "img")
        path = Path(folder) / f"made.{extension}"
        path.write_bytes(image)
        word = examined(path)
        expect(word != "refused without its name", "a refusal without the name of the image")
        if word != "refused":
            source = open_source(path, "E", "s")
            try:
                verify_acquisition(source)
            except CaidTriageError as error:
                word += f", {type(error).__name__}"
            finally:
                source.close()
    return f"{name} {word}"


def seeds() -> dict[str, bytes]:
    """Every format whole."""
    return {name: bytes((0, number)) for number, name in enumerate(sorted(wholes()))}


TARGET = Target(
    "containers", "containers of disks and logical images", seeds, check, (), longest=2048, seconds=10.0,
    mutate=patching(wholes(), places, 1),
)  # fmt: skip
