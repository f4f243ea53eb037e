"""Which disk a source is read from, from a made-up /sys and /proc."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from caid_triage.batch import disks
from caid_triage.batch.disks import Disk, disks_of, later_segments, mounts, size_of


def device(path: Path) -> str:
    number = path.stat().st_dev
    return f"{os.major(number)}:{os.minor(number)}"


def system_with(folder: Path, number: str, *, mounted: str = "/dev/sda1", kind: str = "ext4", block: str = "") -> Path:
    """A root folder in which the device ``number`` is mounted, and is the block device ``block`` if there is one."""
    system = folder / "system"
    (system / "proc/self").mkdir(parents=True)
    line = f"36 35 {number} / /mnt rw,noatime master:1 - {kind} {mounted} rw"
    (system / "proc/self/mountinfo").write_text(f"22 27 0:21 / /proc rw - proc proc rw\n{line}\n")
    if block:
        (system / "sys/dev/block").mkdir(parents=True)
        (system / "sys/dev/block" / number).symlink_to(system / block)
    return system


def disk(system: Path, name: str, *, turns: bool, parts: tuple[str, ...] = ()) -> None:
    place = system / "sys/devices" / name
    (place / "queue").mkdir(parents=True)
    (place / "queue/rotational").write_text("1\n" if turns else "0\n")
    for part in parts:
        (place / part).mkdir()
        (place / part / "partition").write_text("1\n")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.dd"
    path.write_bytes(bytes(1000))
    return path


@pytest.mark.parametrize(("turns", "readers"), [(True, 1), (False, None)])
def test_a_partition_is_read_from_its_whole_disk(tmp_path: Path, image: Path, turns: bool, readers: int | None) -> None:
    system = system_with(tmp_path, device(image), block="sys/devices/sda/sda1")
    disk(system, "sda", turns=turns, parts=("sda1",))
    assert disks_of([image], system=system) == {Disk("sda", readers)}


def test_a_logical_volume_is_read_from_all_disks_below_it(tmp_path: Path, image: Path) -> None:
    system = system_with(tmp_path, device(image), block="sys/devices/dm-0")
    disk(system, "sda", turns=True, parts=("sda1",))
    disk(system, "sdb", turns=False)
    slaves = system / "sys/devices/dm-0/slaves"
    slaves.mkdir(parents=True)
    (slaves / "sda1").symlink_to(system / "sys/devices/sda/sda1")
    (slaves / "sdb").symlink_to(system / "sys/devices/sdb")
    assert disks_of([image], system=system) == {Disk("sda", 1), Disk("sdb", None)}


def test_a_file_system_with_a_number_of_its_own_is_found_by_what_is_mounted(tmp_path: Path, image: Path) -> None:
    system = system_with(tmp_path, device(image), mounted="/dev/sdc", kind="btrfs")
    disk(system, "sdc", turns=True)
    (system / "sys/class/block").mkdir(parents=True)
    (system / "sys/class/block/sdc").symlink_to(system / "sys/devices/sdc")
    assert disks_of([image], system=system) == {Disk("sdc", 1)}


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "9p"])
def test_a_share_is_one_disk_by_its_mount(tmp_path: Path, image: Path, kind: str) -> None:
    system = system_with(tmp_path, device(image), mounted="nas:/evidence", kind=kind)
    assert disks_of([image], system=system) == {Disk("share nas:/evidence", 1)}


def test_memory_has_no_arm_and_what_is_not_known_may_have_one(tmp_path: Path, image: Path) -> None:
    system = system_with(tmp_path, device(image), mounted="tmpfs", kind="tmpfs")
    assert [disk.readers for disk in disks_of([image], system=system)] == [None]
    assert [disk.readers for disk in disks_of([image], system=tmp_path / "nothing")] == [1]


def test_what_the_queue_says_of_a_disk_holds_and_the_nearest_path_wins(tmp_path: Path, image: Path) -> None:
    told = [(Path("/"), 2), (tmp_path, 7), (tmp_path / "other", 3)]
    assert disks_of([image], told) == {Disk(str(tmp_path), 7)}


def test_a_source_that_is_gone_is_on_no_disk(tmp_path: Path) -> None:
    assert disks_of([tmp_path / "gone"]) == set()


def test_this_system_is_understood(image: Path) -> None:
    assert len(disks_of([image])) >= 1
    assert any(mount.place == "/" for mount in mounts()) or not Path("/proc/self/mountinfo").exists()


@pytest.mark.parametrize(
    ("first", "later", "others"),
    [
        ("a.E01", [f"a.E{n:02d}" for n in range(2, 100)] + ["a.EAA", "a.EAB"], ["a.EAD", "b.E02", "a.txt"]),
        ("a.Ex01", ["a.Ex02", "a.Ex03"], ["a.Ex05", "a.E02"]),
        ("a.e01", ["a.e02"], ["a.E03"]),
        ("a.001", ["a.002", "a.003"], ["a.005", "a.E02", "a.txt"]),
        ("a.000", ["a.001"], []),
        ("a.E02", [], ["a.E03"]),
        ("a.dd", [], ["a.dd2"]),
    ],
)
def test_the_later_segments_of_an_image(tmp_path: Path, first: str, later: list[str], others: list[str]) -> None:
    for name in [first, *later, *others]:
        (tmp_path / name).write_bytes(b"x")
    assert [path.name for path in later_segments(tmp_path / first)] == later


def test_sizes_of_images_with_their_segments_and_of_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.E01").write_bytes(bytes(10))
    (tmp_path / "a.E02").write_bytes(bytes(7))
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x").write_bytes(bytes(100))
    (folder / "y").write_bytes(bytes(1000))
    assert size_of([tmp_path / "a.E01", folder]) == 1117
    assert size_of([tmp_path / "gone"]) == 0
    monkeypatch.setattr(disks, "MOST_FILES_COUNTED", 0)
    assert size_of([folder]) == 1000  # the first folder alone: it is said to be a guess
