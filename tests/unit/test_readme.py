"""The README tells the truth: each row of its tables is tried, each command it names exists."""

from __future__ import annotations

import io
import random
import re
import shlex
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from PIL import Image, features
from pillow_heif import register_heif_opener
from support.cli import picture
from support.containers import aff4, converted, sparse_bundle, sparse_image, udif
from support.evidence_files import AdItem, Logical, ad1, ex01, l01, lx01, written
from support.ldm import DynamicVolume, build_dynamic
from support.ldm import Part as DiskPart
from support.volumes import EXTENT, VolumeGroup, build_lvm, build_raid, linear

from caid_triage.cli.main import program
from caid_triage.errors import SourceError
from caid_triage.evidence.source import open_source
from caid_triage.examine.examine import Examiner
from caid_triage.examine.libraries import library
from caid_triage.model import Examination, FileEntry, Kind, Problem
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

PROJECT = Path(__file__).resolve().parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
MIB = 1 << 20


def table(first_header: str) -> dict[str, list[str]]:
    """The rows of the README's table with that first header, by first cell."""
    lines = README.split(f"| {first_header} |", 1)[1].splitlines()[2:]
    rows: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[cells[0]] = cells[1:]
    return rows


CONTAINERS = table("container")
FILE_SYSTEMS = table("partition table or file system")
CONTENTS = table("content")
PLAN = [PlannedFile("/live.txt", b"live" * 999), PlannedFile("/gone.txt", b"gone" * 999, deleted=True)]


def walked(path: Path) -> tuple[dict[str, FileEntry], list[Problem]]:
    source = open_source(path, "E", "s")
    try:
        items = list(source.walk())
        problems = [*source.problems(), *(item for item in items if isinstance(item, Problem))]
        return {item.path.lower(): item for item in items if isinstance(item, FileEntry)}, problems
    finally:
        source.close()


def image_of(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


READ_FILE_SYSTEMS: dict[str, Callable[[], bytes]] = {
    "NTFS": lambda: bytes(build_ntfs(PLAN, size=8 * MIB)),
    "FAT12": lambda: bytes(build_fat(PLAN, size=2 * MIB, bits=12)),
    "FAT16": lambda: bytes(build_fat(PLAN, size=16 * MIB, bits=16)),
    "FAT32": lambda: bytes(build_fat(PLAN, size=40 * MIB, bits=32, cluster=512)),
    "exFAT": lambda: bytes(build_exfat(PLAN, size=8 * MIB)),
    "ext2": lambda: bytes(build_ext2(PLAN, size=4 * MIB)),
    "ISO 9660": lambda: bytes(build_iso([PlannedFile("/LIVE.TXT", b"live" * 999)])),
}


@pytest.mark.parametrize("name", READ_FILE_SYSTEMS)
def test_a_file_system_that_the_table_says_is_read(name: str, tmp_path: Path) -> None:
    cells = next(cells for row, cells in FILE_SYSTEMS.items() if name in re.split(", ", row))
    assert cells[:2] == ["yes", "yes"]
    entries, _ = walked(image_of(tmp_path / "x.dd", READ_FILE_SYSTEMS[name]()))
    assert entries["/live.txt"].size == 3996
    gone = next((entry for path, entry in entries.items() if path.endswith("one.txt")), None)
    if cells[2] == "yes":
        assert gone is not None
        assert gone.readable
        assert gone.state in ("deleted", "orphan")
    if cells[2] == "no":
        assert gone is None


def test_hfs_plus_is_read(shared: Path) -> None:
    assert FILE_SYSTEMS["HFS+"][:2] == ["yes", "yes"]
    entries, problems = walked(shared / "images" / "dfvfs-hfsplus.raw")
    assert len(entries) > 3
    assert {problem.severity for problem in problems} <= {"note"}


def test_apfs_is_read(shared: Path) -> None:
    assert FILE_SYSTEMS["APFS, XFS"][:3] == ["yes", "yes", "no"]
    entries, problems = walked(shared / "images" / "dfvfs-apfs.raw")
    assert len(entries) > 3
    assert {problem.severity for problem in problems} <= {"note"}


@pytest.mark.parametrize("version", ["LVM2", "RAID 1"])
def test_the_volumes_that_hold_volumes(version: str, tmp_path: Path) -> None:
    assert FILE_SYSTEMS["LVM2, RAID 1"][0] == "yes"
    inside = READ_FILE_SYSTEMS["ext2"]()
    if version == "LVM2":
        extents = [inside[at : at + EXTENT] for at in range(0, len(inside), EXTENT)]
        image = build_lvm(VolumeGroup({"root": [linear(len(extents), 0)]}), extents)
    else:
        image = build_raid(inside, version="1.2", level=1)
    entries, _ = walked(image_of(tmp_path / "x.dd", bytes(image)))
    assert entries["/live.txt"].size == 3996


def test_dynamic_disks(tmp_path: Path) -> None:
    assert FILE_SYSTEMS["Windows dynamic disks"][0] == "yes"
    inside = bytes(build_ext2([PlannedFile("/live.txt", b"x" * 3996)], size=MIB))
    volume = DynamicVolume("Volume1", MIB // 512, [[DiskPart(0, 4000, MIB // 512)]])
    entries, problems = walked(image_of(tmp_path / "x.dd", bytes(build_dynamic([volume], [inside]))))
    assert entries["/live.txt"].size == 3996
    assert not problems


def test_random_bytes_are_named(tmp_path: Path) -> None:
    assert FILE_SYSTEMS["VeraCrypt and other encryption without a mark"][0] == "no"
    _, problems = walked(image_of(tmp_path / "x.dd", random.Random(1).randbytes(MIB)))
    assert [problem.code for problem in problems] == ["possibly-encrypted"]


def marked(offset: int, magic: bytes) -> bytes:
    content = bytearray(4 * MIB)
    content[offset : offset + len(magic)] = magic
    return bytes(content)


NOT_READ = {
    "Btrfs": marked(0x10040, b"_BHRfS_M"),
    "ReFS": marked(3, b"ReFS\0\0\0\0\0FSRS"),
    "F2FS": marked(1024, struct.pack("<I", 0xF2F52010)),
    "BitLocker": marked(0, b"\xeb\x58\x90-FVE-FS-"),
    "LUKS1": marked(0, b"LUKS\xba\xbe\x00\x01"),
    "LUKS2": marked(0, b"LUKS\xba\xbe\x00\x02"),
    "Core Storage": marked(88, b"CS\x01\x00"),
}


@pytest.mark.parametrize("name", NOT_READ)
@pytest.mark.parametrize("partitioned", [False, True])
def test_a_file_system_that_is_not_read_is_named(name: str, partitioned: bool, tmp_path: Path) -> None:
    row, cells = next((row, cells) for row, cells in FILE_SYSTEMS.items() if name in re.split(", ", row))
    assert cells[0] == ("with a key" if "with a key" in cells else "no")
    content = NOT_READ[name]
    image = build_mbr([Partition(0x83, content)]) if partitioned else content
    entries, problems = walked(image_of(tmp_path / "x.dd", bytes(image)))
    assert not entries
    code = "volume-encrypted" if "encrypted" in cells[3] else "file-system-not-understood"
    assert [problem.code for problem in problems] == [code], row
    assert name.lower() in problems[0].detail.lower()


NOT_OPENED = {
    "AFF": b"AFF10\r\n\0",
}


@pytest.mark.parametrize("name", NOT_OPENED)
def test_a_container_that_is_not_read_is_refused_by_name(name: str, tmp_path: Path) -> None:
    cells = next(cells for row, cells in CONTAINERS.items() if name in re.split(", ", row))
    assert cells[0] == "no"
    path = image_of(tmp_path / "x.img", NOT_OPENED[name] + bytes(MIB))
    with pytest.raises(SourceError, match=name):
        open_source(path, "E", "s")


LOGICAL: dict[str, Callable[[], list[bytes]]] = {
    "L01": lambda: l01([Logical("live.txt", b"live" * 999)]),
    "Lx01": lambda: lx01([Logical("live.txt", b"live" * 999)]),
    "AD1": lambda: ad1([AdItem(b"live.txt", b"live" * 999)]),
}


@pytest.mark.parametrize("name", LOGICAL)
def test_a_logical_image_that_the_table_says_is_read(name: str, tmp_path: Path) -> None:
    cells = next(cells for row, cells in CONTAINERS.items() if name in re.split(", ", row))
    assert cells[0] == "yes"
    entries, problems = walked(written(tmp_path, name.replace("AD1", "ad1"), LOGICAL[name]()))
    assert entries["/live.txt"].size == 3996
    assert not problems


VIRTUAL = {"VMDK": "vmdk", "VHD": "vpc", "VHDX": "vhdx", "QCOW2": "qcow2", "VDI": "vdi"}
MADE: dict[str, Callable[[bytes], bytes]] = {"DMG": udif, "sparse image": sparse_image, "AFF4": aff4}
MADE["Ex01"] = lambda content: ex01(content)[0]


@pytest.mark.parametrize("name", [*VIRTUAL, *MADE, "sparse bundle"])
def test_a_container_that_the_table_says_is_read(name: str, tmp_path: Path) -> None:
    cells = next(cells for row, cells in CONTAINERS.items() if name in re.split(", ", row))
    assert cells[0] == "yes"
    content = bytes(build_fat(PLAN, size=2 * MIB, bits=12))
    path = tmp_path / "disk"
    if name in VIRTUAL:
        converted(image_of(tmp_path / "x.dd", content), path, VIRTUAL[name])
    elif name in MADE:
        path.write_bytes(MADE[name](content))
    else:
        sparse_bundle(path, content)
    entries, problems = walked(path)
    assert entries["/live.txt"].size == 3996
    assert not problems


def test_the_containers_that_are_read(tmp_path: Path, shared: Path) -> None:
    content = bytes(build_fat(PLAN, size=2 * MIB, bits=12))
    assert CONTAINERS["raw image"][0] == CONTAINERS["split raw (.001, .000)"][0] == CONTAINERS["folder"][0] == "yes"
    for first in ("001", "000"):
        folder = tmp_path / first
        folder.mkdir()
        for number in range(3):
            part = content[number * 700_000 : (number + 1) * 700_000]
            (folder / f"disk.{int(first) + number:03}").write_bytes(part)
        entries, _ = walked(folder / f"disk.{first}")
        assert "/live.txt" in entries
    assert CONTAINERS["E01, S01"][0] == "yes"
    shutil.copy(shared / "images" / "ext2.split.E01", tmp_path)
    shutil.copy(shared / "images" / "ext2.split.E02", tmp_path)
    entries, _ = walked(tmp_path / "ext2.split.E01")
    assert entries


def examined(content: bytes) -> Examination:
    run = Examiner().begin(size=len(content))
    run.update(content)
    return run.finish()


SAVED = {
    **{name: name for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "AVIF")},
    "WebP": "WEBP",
    "PNM": "PPM",
    "JPEG 2000": "JPEG2000",
    "HEIC": "HEIF",
}


@pytest.mark.parametrize("name", SAVED)
def test_a_picture_that_the_table_says_is_hashed(name: str) -> None:
    row = next(row for row in CONTENTS if name in re.split(", ", row))
    assert CONTENTS[row][1].startswith("yes")
    if name == "JPEG 2000" and not features.check("jpg_2000"):
        pytest.skip("this build of Pillow writes no JPEG 2000")
    if name == "HEIC":
        register_heif_opener()
    with Image.open(io.BytesIO(picture("coast.jpg"))) as drawing:
        out = io.BytesIO()
        drawing.save(out, SAVED[name])
    found = examined(out.getvalue())
    assert found.kind is Kind.IMAGE
    assert {item.algorithm for item in found.hashes} >= {"pdq", "phash"}
    assert not found.problems


DAMAGED = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500),
    "JPEG XL": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(500),
    "camera RAW": b"FUJIFILMCCD-RAW 0201" + bytes(500),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_picture_that_cannot_be_hashed_is_a_problem(name: str) -> None:
    assert any(name in re.split(", ", row) for row in CONTENTS)
    found = examined(DAMAGED[name])
    assert found.kind is Kind.IMAGE
    assert found.digests is not None
    assert not found.hashes
    assert [problem.severity for problem in found.problems] == ["problem"]


def test_the_frames_of_a_video_are_hashed_or_it_is_a_problem() -> None:
    assert CONTENTS["video"][1] == "yes: of frames of it"
    found = examined(picture("ball.avi"))
    assert found.kind is Kind.VIDEO
    assert found.digests is not None
    if library("av") is None:
        listed = [(problem.code, problem.severity) for problem in found.problems]
        assert listed == [("video-frames-not-hashed", "problem")]
    else:
        assert found.problems == ()
        assert found.hashes
        assert all(item.frame_time is not None for item in found.hashes)


def named_commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL) + re.findall(r"`(caid-triage [^`]+)`", README)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("caid-triage ")]


@pytest.mark.parametrize("words", named_commands(), ids=" ".join)
def test_a_command_that_the_readme_names_exists(words: list[str]) -> None:
    command: click.Command = program
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, words[0]
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("--")} <= options


def test_make_targets_and_links_exist() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake (demo|test|check|bench|lock)\b", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (PROJECT / link).exists(), link


def test_the_block_device_row(tmp_path: Path) -> None:
    assert CONTAINERS["block device"][0] == "yes"
    image = image_of(tmp_path / "x.dd", bytes(build_fat(PLAN, size=2 * MIB, bits=12)))
    try:
        command = ["losetup", "--find", "--show", "-r", str(image)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("losetup is not installed")
    if made.returncode:
        pytest.skip("this machine does not let this user set up a loop device")
    device = Path(made.stdout.strip())
    try:
        entries, problems = walked(device)
        assert "/live.txt" in entries
        assert not problems
    finally:
        subprocess.run(["losetup", "-d", str(device)], check=True)
