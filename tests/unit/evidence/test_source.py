"""Opening sources: what is recognised, what is refused and how it is said, and that nothing is ever written."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import SourceError
from caid_triage.evidence.image_file import SplitImage, open_raw
from caid_triage.evidence.source import open_source
from caid_triage.model import Severity

# ---------------------------------------------------------------- read-only


def test_a_source_is_untouched_by_opening_walking_and_reading(
    tmp_path: Path, ntfs_image: bytes, sha256_of: Callable[..., str]
) -> None:
    path = tmp_path / "disk.dd"
    path.write_bytes(ntfs_image)
    path.chmod(0o444)
    before = (
        hashlib.sha256(ntfs_image).digest(),
        path.stat().st_mtime_ns,
        path.stat().st_ctime_ns,
        path.stat().st_size,
    )
    source = open_source(path, "ABC/1", "disk")
    for entry in source.walk():
        if getattr(entry, "readable", False):
            sha256_of(source, entry)
    source.close()
    facts = path.stat()
    after = (hashlib.sha256(path.read_bytes()).digest(), facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)
    assert after == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["disk.dd"]


def flags_of_open_files(folder: Path) -> list[int]:
    """The open() flags of every file of a folder that this process holds open (Linux)."""
    found = []
    for item in Path("/proc/self/fd").iterdir():
        try:
            target = item.readlink()
        except OSError:
            continue
        if folder in target.parents:
            text = Path(f"/proc/self/fdinfo/{item.name}").read_text("ascii")
            flags = next(line for line in text.splitlines() if line.startswith("flags:"))
            found.append(int(flags.split()[1], 8))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the flags of open files are read from /proc")
@pytest.mark.parametrize("kind", ["raw", "split", "odd name"])
def test_an_image_is_opened_for_reading_only(kind: str, tmp_path: Path, fat_image: bytes) -> None:
    if kind == "split":
        half = len(fat_image) // 2
        (tmp_path / "disk.001").write_bytes(fat_image[:half])
        (tmp_path / "disk.002").write_bytes(fat_image[half:])
        path = tmp_path / "disk.001"
    else:
        path = tmp_path / (os.fsdecode(b"caf\xe9.dd") if kind == "odd name" else "disk.dd")
        path.write_bytes(fat_image)
    source = open_source(path, "ABC/1", "disk")
    assert len(list(source.walk())) > 3
    flags = flags_of_open_files(tmp_path)
    assert flags
    assert all(flag & os.O_ACCMODE == os.O_RDONLY for flag in flags)
    source.close()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"MD5,path\r\n" * 200, "looks like text"),
        ("Überweisung\n".encode() * 90, "looks like text"),
        (b"\x00\x01\x02", "a very small file"),
        (b"QFI\xfb" + bytes(2000), "QCOW2"),
        (b"KDMV" + bytes(2000), "VMDK"),
        (b"vhdxfile" + bytes(2000), "VHDX"),
        (bytes(2048) + b"conectix" + bytes(504), "VHD"),
        (bytes(2048) + b"koly" + bytes(508), "DMG"),
        (b"EVF2\r\n\x81\x00" + bytes(2000), "Ex01 of version 0"),
        (b"ADSEGMENTEDFILE" + bytes(2000), "AD1"),
        (b"PK\x03\x04" + bytes(26) + b"container.description" + bytes(2000), "AFF4"),
        (b"PK\x03\x04" + bytes(2000), "ZIP"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(2000), "7-Zip"),
        (b"\xfd7zXZ\x00" + bytes(2000), "xz"),
        (b"\x1f\x8b\x08" + bytes(2000), "gzip"),
    ],
)
def test_what_cannot_be_a_source_is_refused_by_name_with_advice(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "thing.bin"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        open_source(path, "E", "S")
    message = str(caught.value)
    assert says in message
    assert str(path) in message
    assert "scan" in message or "convert" in message
    assert "\n" not in message


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file"):
        open_source(tmp_path / "absent.dd", "E", "S")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="neither a file, a folder nor a block device"):
        open_source(tmp_path / "pipe", "E", "S")


# ---------------------------------------------------------------- volumes that cannot be walked


def volume(size: int, *marks: tuple[int, bytes]) -> bytes:
    data = bytearray(size)
    for offset, mark in marks:
        data[offset : offset + len(mark)] = mark
    return bytes(data)


MARKS = [
    ("BitLocker", "encrypted", volume(1 << 18, (3, b"-FVE-FS-"), (510, b"\x55\xaa"))),
    ("LUKS", "encrypted", volume(1 << 18, (0, b"LUKS\xba\xbe\x00\x01"))),
    ("XFS", "not-understood", volume(1 << 18, (0, b"XFSB\x00\x00\x10\x00"))),
    ("APFS", "not-understood", volume(1 << 18, (32, b"NXSB"))),
    ("ReFS", "not-understood", volume(1 << 18, (3, b"ReFS\x00\x00\x00\x00"))),
    ("F2FS", "not-understood", volume(1 << 18, (1024, b"\x10\x20\xf5\xf2"))),
    ("Btrfs", "not-understood", volume(1 << 18, (0x10040, b"_BHRfS_M"))),
    ("JFS", "not-understood", volume(1 << 18, (32768, b"JFS1"))),
    ("ReiserFS", "not-understood", volume(1 << 18, (65536 + 52, b"ReIsEr2Fs"))),
    ("bcachefs", "not-understood", volume(1 << 18, (4120, bytes.fromhex("c68573f666ce90a9d96a60cf803df7ef")))),
    ("bcache", "not-understood", volume(1 << 18, (4120, bytes.fromhex("c68573f64e1a45ca8265f57f48ba6d81")))),
    ("ZFS", "not-understood", volume(1 << 18, (16384, bytes.fromhex("01010000")), (16408, b"version\0"))),
    ("Storage Spaces", "not-understood", volume(1 << 18, (0, b"SPACEDB "))),
    ("VMFS", "not-understood", volume(3 << 20, (0x100000, b"\x0d\xd0\x01\xc0"))),
    ("Core Storage", "encrypted", volume(1 << 18, (88, b"CS\x01\x00"))),
]


@pytest.mark.parametrize(("name", "status", "data"), MARKS, ids=[mark[0] for mark in MARKS])
def test_a_volume_that_cannot_be_walked_is_named_in_a_problem(
    name: str, status: str, data: bytes, opened: Callable[..., Any]
) -> None:
    source = opened(data)
    (only,) = source.volumes()
    assert (only.name, only.status, only.length) == ("p0", status, len(data))
    assert name in only.file_system
    (problem,) = source.problems()
    assert problem.severity is Severity.PROBLEM
    assert problem.code == ("volume-encrypted" if status == "encrypted" else "file-system-not-understood")
    assert name in problem.detail
    if status == "not-understood" and name not in ("XFS", "APFS"):
        assert problem.detail.rpartition(": ")[2].startswith(("mount a copy", "put a copy"))  # what to do
    assert (problem.exhibit, problem.source, problem.volume) == ("ABC/1", "disk", "p0")
    kind = "encrypted" if status == "encrypted" else "not_understood"
    assert source.coverage()[kind] == len(data) == sum(source.coverage().values())
    assert list(source.walk()) == []


@pytest.mark.parametrize(
    ("tool", "size", "options", "name"),
    [("mkfs.btrfs", 120 << 20, ["-q"], "Btrfs"), ("mkfs.f2fs", 64 << 20, ["-q"], "F2FS")],
)
def test_a_volume_made_by_its_own_tool_is_named(
    tool: str, size: int, options: list[str], name: str, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    import shutil
    import subprocess

    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    path = tmp_path / "disk.img"
    with path.open("wb") as file:
        file.truncate(size)
    made = subprocess.run([tool, *options, str(path)], capture_output=True, text=True, check=False, timeout=60)
    if made.returncode:
        pytest.skip(f"{tool} makes no volume in a file here: {made.stderr.strip()}")
    source = opened(path)
    assert [v.status for v in source.volumes()] == ["not-understood"]
    (problem,) = source.problems()
    assert (problem.code, problem.severity) == ("file-system-not-understood", Severity.PROBLEM)
    assert name in problem.detail


def test_a_volume_of_zeros_is_a_note(opened: Callable[..., Any]) -> None:
    source = opened(bytes(1 << 18))
    assert [v.status for v in source.volumes()] == ["empty"]
    assert [(p.code, p.severity) for p in source.problems()] == [("volume-empty", Severity.NOTE)]


def test_bytes_that_look_random_are_a_problem_that_says_so(opened: Callable[..., Any]) -> None:
    import random

    source = opened(random.Random(1).randbytes(1 << 20))
    assert [v.status for v in source.volumes()] == ["possibly-encrypted"]
    (problem,) = source.problems()
    assert problem.code == "possibly-encrypted"
    assert problem.severity is Severity.PROBLEM
    assert source.coverage()["possibly_encrypted"] == 1 << 20


def test_swap_is_a_note_because_it_has_no_files(opened: Callable[..., Any]) -> None:
    source = opened(volume(1 << 18, (4086, b"SWAPSPACE2")))
    assert [(p.code, p.severity) for p in source.problems()] == [("no-file-system", Severity.NOTE)]


# ---------------------------------------------------------------- split raw images


def split(folder: Path, data: bytes, names: list[str]) -> None:
    step = -(-len(data) // len(names))
    for number, name in enumerate(names):
        (folder / name).write_bytes(data[number * step : (number + 1) * step])


@pytest.mark.parametrize(
    "names",
    [
        ["disk.001", "disk.002", "disk.003"],
        ["disk.000", "disk.001"],
        ["disk.aa", "disk.ab", "disk.ac"],
        ["disk.dd.001", "disk.dd.002"],
    ],
)
def test_a_split_image_reads_like_the_whole(
    names: list[str], tmp_path: Path, ext_image: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    split(tmp_path, ext_image, names)
    (tmp_path / "disk.txt").write_text("notes")
    source = opened(tmp_path / names[0])
    assert source.info.kind == "split-raw"
    assert source.info.size == len(ext_image)
    assert [Path(segment).name for segment in source.info.segments] == names
    whole = opened(ext_image)
    assert walked(source) == walked(whole)
    for entry in walked(whole)[0]:
        if entry.readable:
            assert b"".join(source.chunks(entry)) == b"".join(whole.chunks(entry))


def test_our_own_reader_of_segments_gives_the_same_bytes(tmp_path: Path, fat_image: bytes) -> None:
    split(tmp_path, fat_image, ["a.001", "a.002", "a.003"])
    image = SplitImage([tmp_path / name for name in ("a.001", "a.002", "a.003")])
    assert image.get_size() == len(fat_image)
    step = -(-len(fat_image) // 3)
    for offset, size in ((0, 10), (step - 5, 10), (step - 5, step + 20), (len(fat_image) - 5, 100)):
        assert image.read(offset, size) == fat_image[offset : offset + size]
    image.close()


@pytest.mark.parametrize(
    ("present", "named", "says"),
    [
        (["d.001", "d.003"], "d.001", "d.002 is missing"),
        (["d.001", "d.002"], "d.002", "Name the first segment"),
        (["d.002"], "d.002", "segment 2 of a split image"),
        (["d.000", "d.001"], "d.001", "d.000"),
        (["d.aa", "d.ac"], "d.aa", "d.ab is missing"),
        (["d.aa", "d.ab"], "d.ab", "Name the first"),
    ],
)
def test_a_gap_or_a_later_segment_is_refused(present: list[str], named: str, says: str, tmp_path: Path) -> None:
    for name in present:
        (tmp_path / name).write_bytes(b"\x01" * 4096)
    with pytest.raises(SourceError, match=says.replace(".", r"\.")):
        open_source(tmp_path / named, "E", "S")


def test_one_file_called_001_is_a_raw_image(tmp_path: Path, fat_image: bytes, opened: Callable[..., Any]) -> None:
    (tmp_path / "disk.001").write_bytes(fat_image)
    assert opened(tmp_path / "disk.001").info.kind == "raw"


def test_a_dd_file_beside_aa_segments_is_not_one_of_them(
    tmp_path: Path, fat_image: bytes, opened: Callable[..., Any]
) -> None:
    split(tmp_path, fat_image, ["disk.aa", "disk.ab"])
    (tmp_path / "disk.dd").write_bytes(fat_image)
    assert len(opened(tmp_path / "disk.aa").info.segments) == 2
    assert opened(tmp_path / "disk.dd").info.kind == "raw"


def test_a_missing_file_is_refused_when_its_segments_are_joined(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="could not be opened"):
        open_raw([tmp_path / "absent.dd"])


# ---------------------------------------------------------------- block devices


def test_a_block_device_is_opened_by_its_size(tmp_path: Path, fat_image: bytes, opened: Callable[..., Any]) -> None:
    import shutil
    import subprocess

    if shutil.which("losetup") is None:
        pytest.skip("no losetup on this system")
    path = tmp_path / "disk.img"
    path.write_bytes(fat_image)
    made = subprocess.run(["losetup", "--find", "--show", "--read-only", str(path)], capture_output=True, check=False)
    device = made.stdout.decode().strip()
    if made.returncode or not Path(device).exists():
        pytest.skip("no loop device can be made here")
    try:
        source = opened(Path(device))
        assert (source.info.kind, source.info.size) == ("device", len(fat_image))
        assert [volume.file_system for volume in source.volumes()] == ["FAT16"]
        assert any(getattr(entry, "path", "") == "/here.jpg" for entry in source.walk())
        source.close()
    finally:
        subprocess.run(["losetup", "--detach", device], check=False)
