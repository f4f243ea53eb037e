"""APFS and XFS, which libyal libraries read: each live file once, with bytes, times, place; the rest counted."""

from __future__ import annotations

import hashlib
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.evidence.layers import library_volumes
from caid_triage.evidence.layers.apfs_container import Container as Tables
from caid_triage.evidence.layers.apfs_container import Snapshot, VolumePlace
from caid_triage.evidence.layers.apfs_snapshots import volumes_with_snapshots
from caid_triage.evidence.secrets import Secret, Secrets
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Severity, State
from caid_triage.synth.mbr import Partition, build_mbr

FILES = {
    "/a.txt": b"hello",
    "/sub/big.bin": bytes(range(256)) * 12_345,
    "/sub/deep/empty": b"",
    "/sub/deep/zeros": bytes(200_000),
}


@pytest.fixture(scope="module")
def xfs(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An XFS volume that mkfs.xfs fills from a prototype; nothing is mounted."""
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("mkfs.xfs, which makes XFS volumes, is not installed")
    folder = tmp_path_factory.mktemp("xfs")
    for number, content in enumerate(FILES.values()):
        (folder / f"f{number}").write_bytes(content)
    prototype = f"""/stand
0 0
d--755 0 0
a.txt ---644 0 0 {folder}/f0
link l--777 0 0 a.txt
pipe p--644 0 0
sub d--755 0 0
big.bin ---600 0 0 {folder}/f1
deep d--755 0 0
empty ---600 0 0 {folder}/f2
zeros ---600 0 0 {folder}/f3
$
$
$
"""
    (folder / "prototype").write_text(prototype)
    path = folder / "x.img"
    with path.open("wb") as file:
        file.truncate(320 << 20)
    command = ["mkfs.xfs", "-q", "-f", "-d", "agcount=4", "-p", str(folder / "prototype"), str(path)]
    made = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if made.returncode:
        pytest.skip(f"this mkfs.xfs makes no volume in a file: {made.stderr.strip()}")
    return path.read_bytes()


@pytest.mark.parametrize("partitioned", [False, True])
def test_the_files_of_xfs(
    partitioned: bool, xfs: bytes, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = bytes(build_mbr([Partition(0x83, xfs)])) if partitioned else xfs
    source = opened(image)
    name = "p1" if partitioned else "p0"
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [(name, "XFS", "examined")]
    assert source.problems() == ()
    entries, problems = walked(source)
    assert {e.path for e in entries} == set(FILES)
    for entry in entries:
        content = b"".join(source.chunks(entry))
        assert content == FILES[entry.path]
        assert (entry.size, entry.state, entry.volume) == (len(content), State.ALLOCATED, name)
        assert entry.times.modified is not None
        assert entry.times.created is not None
        if content:
            assert source.read_at(entry, len(content) // 2, 3) == content[len(content) // 2 :][:3]
        if entry.physical_offset is not None:
            head = content[:512]
            assert image[entry.physical_offset : entry.physical_offset + len(head)] == head
    assert sum(e.physical_offset is not None for e in entries) >= 2
    assert [(p.code, p.severity) for p in problems] == [("special-files", Severity.NOTE)] * 2
    assert source.coverage()["file_system"] + source.coverage()["unallocated"] == len(xfs)
    with pytest.raises(EvidenceError):
        source.read_at(entries[0], 0, 10_000_000)


def test_an_xfs_volume_that_is_cut_off_says_so_and_what_is_left_is_read(xfs: bytes, opened: Callable[..., Any]) -> None:
    source = opened(xfs[: 230 << 20])
    assert [v.status for v in source.volumes()] == ["examined"]
    assert [(p.code, p.severity) for p in source.problems()] == [("image-truncated", Severity.PROBLEM)]
    read = set()
    lost = []
    for item in source.walk():
        if not isinstance(item, FileEntry):
            lost.append(item.code)
        elif item.readable:
            try:
                content = b"".join(source.chunks(item))
            except EvidenceError as error:
                lost.append(error.code)
                continue
            assert content == FILES[item.path]
            read.add(item.path)
    assert "/a.txt" in read
    assert read == set(FILES) or {"read-failed", "folder-unreadable", "metadata-unreadable"} & set(lost)


# ---------------------------------------------------------------- APFS


def test_the_files_of_a_real_apfs_container(shared: Path, walked: Callable[..., Any]) -> None:
    path = shared / "images" / "dfvfs-apfs.raw"
    source = open_source(path, "E", "s")
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p0", "APFS container", "unwrapped"),
        ("p0/apfs1", "APFS", "examined"),
    ]
    entries, problems = walked(source)
    by_path = {entry.path: entry for entry in entries}
    assert {
        "/passwords.txt": 116,
        "/a_directory/a_file": 53,
        "/a_directory/another_file": 22,
        "/a_directory/a_resourcefork": 0,
    }.items() <= {path: entry.size for path, entry in by_path.items()}.items()
    image = path.read_bytes()
    for entry in entries:
        content = b"".join(source.chunks(entry))
        assert len(content) == entry.size
        if entry.physical_offset is not None:
            assert image[entry.physical_offset : entry.physical_offset + len(content)] == content
    # the same file stands, with the same bytes, in the image of HFS+ that the same script made
    other = open_source(shared / "images" / "dfvfs-hfsplus.raw", "E", "s")
    theirs = {e.path: e for e in other.walk() if getattr(e, "path", "") == "/passwords.txt" and hasattr(e, "size")}
    read = b"".join(source.chunks(by_path["/passwords.txt"]))
    assert hashlib.md5(read).digest() == hashlib.md5(b"".join(other.chunks(theirs["/passwords.txt"]))).digest()
    notes = [(p.code, p.severity, p.detail) for p in problems]
    assert notes == [
        ("special-files", Severity.NOTE, "extended attributes of less than 512 bytes, not listed: 3"),
        ("special-files", Severity.NOTE, "symbolic links, not listed as files: 1"),
    ]
    assert source.coverage()["file_system"] + source.coverage()["unallocated"] == len(image)
    assert volumes_with_snapshots(lambda at, size: image[at : at + size], len(image))[1] == {}
    source.close()
    other.close()


BLOCK = 4096


def tree(flags: int, table: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes:
    """A node of an APFS B-tree that is root and leaf: keys behind its table, values before its last 40 bytes."""
    node = bytearray(BLOCK)
    struct.pack_into("<HHIHH", node, 32, flags | 3, 0, len(pairs), 0, 64)
    node[56 : 56 + len(table)] = table
    key_at, value_at = 56 + 64, BLOCK - 40
    for key, value in pairs:
        node[key_at : key_at + len(key)] = key
        key_at += len(key)
        value_at -= len(value)
        node[value_at : value_at + len(value)] = value
    return bytes(node)


def container_with_snapshots(names: list[str], said: int) -> bytes:
    """The blocks of a container that lead to its volume's list of snapshots, as Apple's reference lays them out."""
    identifier = bytes(range(16))
    container, volume = bytearray(BLOCK), bytearray(BLOCK)
    container[32:36], volume[32:36] = b"NXSB", b"APSB"
    struct.pack_into("<I", container, 36, BLOCK)
    struct.pack_into("<QQ", container, 160, 1, 0)
    struct.pack_into("<IQ", container, 180, 1, 1026)
    omap = bytearray(BLOCK)
    struct.pack_into("<Q", omap, 48, 2)
    places = [(struct.pack("<QQ", 1026, 4), struct.pack("<IIQ", 0, BLOCK, 9)),
              (struct.pack("<QQ", 1026, 5), struct.pack("<IIQ", 0, BLOCK, 3))]  # fmt: skip
    objects = tree(4, struct.pack("<HHHH", 0, 16, 16, 32), places)
    struct.pack_into("<QQ", volume, 144, 0, 4)
    struct.pack_into("<Q", volume, 216, said)
    volume[240:256] = identifier
    pairs = [(struct.pack("<Q", 1 << 60 | n), bytes(48) + struct.pack("<H", len(name) + 1) + name.encode() + b"\0")
             for n, name in enumerate(names)]  # fmt: skip
    pairs.append((struct.pack("<Q", 11 << 60), b"another kind of record"))
    table, key_at, value_at = b"", 0, 0
    for key, value in pairs:
        value_at += len(value)
        table += struct.pack("<HHHH", key_at, len(key), value_at, len(value))
        key_at += len(key)
    return b"".join([bytes(container), bytes(omap), objects, bytes(volume), tree(0, table, pairs)])


def test_the_names_of_snapshots_are_read_and_those_that_cannot_be_read_are_counted() -> None:
    names = ["com.apple.TimeMachine.2024-01-01", "vor dem Löschen"]
    image = container_with_snapshots(names, 3)
    _, found = volumes_with_snapshots(lambda at, size: image[at : at + size], len(image))
    assert {identifier: [one.name for one in volume.snapshots] for identifier, volume in found.items()} == {
        "00010203-0405-0607-0809-0a0b0c0d0e0f": [*names, "unnamed"]
    }


def test_damage_to_the_list_of_snapshots_ends_nothing() -> None:
    image = container_with_snapshots(["one", "two"], 2)
    chance = random.Random(5)
    for _ in range(300):
        damaged = bytearray(image)
        for _ in range(chance.choice((1, 3, 30))):
            at = chance.randrange(len(damaged)) if chance.random() < 0.5 else chance.choice(
                (32, 36, 48, 104, 112, 160, 180, 184, 4144, 8224, 8228, 12504)
            ) + chance.randrange(4)  # fmt: skip
            damaged[at] = chance.randrange(256)
        content = bytes(damaged)
        _, found = volumes_with_snapshots(lambda at, size, content=content: content[at : at + size], len(content))
        assert all(len(volume.snapshots) <= 10_000 for volume in found.values())


TABLES = Tables(lambda at, size: container_with_snapshots(["one"], 1)[at : at + size], 5 * BLOCK)


class Attribute:
    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.content, self.size, self.number_of_extents = name, content, len(content), 0

    def read_buffer_at_offset(self, length: int, offset: int) -> bytes:
        return self.content[offset : offset + length]


class Record(Attribute):
    """A file or folder as libfsapfs gives it."""

    def __init__(self, number: int, name: str, mode: int, content: bytes = b"") -> None:
        super().__init__(name, content)
        self.identifier, self.file_mode = number, mode
        self.children: list[Record] = []
        self.attributes: list[Attribute] = []
        for what in ("creation", "modification", "access", "inode_change"):
            setattr(self, f"get_{what}_time_as_integer", lambda: 1_600_000_000_123_456_789)

    number_of_sub_file_entries = property(lambda self: len(self.children))
    number_of_extended_attributes = property(lambda self: len(self.attributes))

    def get_sub_file_entry(self, place: int) -> Record:
        return self.children[place]

    def get_extended_attribute(self, place: int) -> Attribute:
        return self.attributes[place]


class Container:
    """A container with one volume: locked until the right password, with a folder that leads back to the root."""

    password = "right"

    def open_file_object(self, _file: Any) -> None:
        self.root = Record(2, "root", 0o040755)
        file = Record(20, "photo.jpg", 0o100644, b"\xff\xd8" + bytes(3_000_000))
        file.attributes = [
            Attribute("com.apple.decmpfs", bytes(600)),
            Attribute("com.apple.ResourceFork", bytes(700)),
            Attribute("hidden", b"x" * 900),
            Attribute("small", b"x"),
        ]
        forked = Record(21, "old", 0o100644, b"")
        forked.attributes = [Attribute("com.apple.ResourceFork", b"fork" * 300)]
        huge = Record(22, "huge", 0o100644)
        huge.size = 1 << 50
        back = Record(2, "back", 0o040755)
        self.root.children = [file, forked, huge, back, Record(30, "fifo", 0o010644)]
        self.locked, self.given = True, ""

    def get_number_of_volumes(self) -> int:
        return 1

    def get_volume(self, _place: int) -> Any:
        return self

    def get_identifier(self) -> str:
        return "an identifier"

    def get_name(self) -> str:
        return "Data"

    def is_locked(self) -> bool:
        return self.locked

    def set_password(self, text: str) -> None:
        self.given = text

    set_recovery_password = set_password

    def unlock(self) -> None:
        self.locked = self.given != self.password

    def get_root_directory(self) -> Record:
        return self.root

    def get_file_entry_by_identifier(self, number: int) -> Record:
        return next(record for record in (self.root, *self.root.children) if record.identifier == number)


@pytest.mark.parametrize("given", ["wrong", "right"])
def test_an_encrypted_apfs_volume(
    given: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, walked: Callable[..., Any]
) -> None:
    monkeypatch.setattr(library_volumes.pyfsapfs, "container", Container)
    kept = VolumePlace(3, bytes(4096), (Snapshot("daily.1"), Snapshot("daily.2")))
    monkeypatch.setattr(library_volumes, "volumes_with_snapshots", lambda *_: (TABLES, {"an identifier": kept}))
    path = tmp_path / "a.raw"
    image = bytearray(8 << 20)
    image[32:36] = b"NXSB"
    path.write_bytes(image)
    source = open_source(path, "E", "s", Secrets((Secret("password", given),)))
    codes = [(p.code, p.severity, p.volume) for p in source.problems()]
    if given == "wrong":
        assert [(v.name, v.status) for v in source.volumes()] == [("p0", "unwrapped"), ("p0/apfs1", "encrypted")]
        assert codes == [("volume-encrypted", Severity.PROBLEM, "p0/apfs1")]
        assert source.coverage()["encrypted"] == len(image)
        return
    assert codes == [
        ("volume-unlocked", Severity.NOTE, "p0/apfs1"),
        ("snapshots-not-examined", Severity.PROBLEM, "p0/apfs1/snap1"),
    ]
    assert "daily.1, daily.2" in source.problems()[1].detail
    entries, problems = walked(source)
    assert [(e.path, e.size, e.readable) for e in entries] == [
        ("/photo.jpg", 3_000_002, True),
        ("/photo.jpg:hidden", 900, True),
        ("/old", 0, True),
        ("/old:rsrc", 1200, True),
        ("/huge", 1 << 50, False),
    ]
    assert {str(e.times.created) for e in entries} == {"2020-09-13 12:26:40.123456+00:00"}
    assert [len(b"".join(source.chunks(e))) for e in entries[:4]] == [3_000_002, 900, 0, 1200]
    assert b"".join(source.chunks(entries[3])) == b"fork" * 300
    assert source.read_at(entries[1], 5, 7) == b"x" * 7
    assert [p.code for p in entries[4].problems] == ["larger-than-volume"]
    assert sorted(p.code for p in problems) == ["folder-seen-before", "special-files", "special-files"]
    source.close()
