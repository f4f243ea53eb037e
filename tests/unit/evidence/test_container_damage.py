"""200 damaged copies of a container of each format: no crash, no hang, rows or a named refusal, every byte counted."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.containers import (
    DEFLATE,
    SNAPPY,
    aff4,
    converted,
    damaged_copies,
    differencing_vhd,
    sparse_image,
    udif,
)

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.source import open_source
from caid_triage.evidence.verify import verify_acquisition
from caid_triage.model import FileEntry
from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

COPIES = 200


@pytest.fixture(scope="module")
def disk() -> bytes:
    plan = [PlannedFile(f"/f{number}.bin", bytes([number]) * 9000, deleted=number % 3 == 0) for number in range(9)]
    return bytes(build_fat(plan, size=720 << 10, bits=12))


def by_qemu(form: str, *options: str) -> Callable[[Path, bytes], bytes]:
    def make(folder: Path, content: bytes) -> bytes:
        raw = folder / "raw.dd"
        raw.write_bytes(content)
        return converted(raw, folder / "made", form, *options).read_bytes()

    return make


def child_vhd(folder: Path, content: bytes) -> bytes:
    raw = folder / "raw.dd"
    raw.write_bytes(content)
    parent = converted(raw, folder / "parent.vhd", "vpc", "force_size=on")
    return differencing_vhd(content, parent, {0: content[:65536], 3: content[3 * 65536 : 4 * 65536]})


MAKERS: dict[str, Callable[[Path, bytes], bytes]] = {
    "vmdk": by_qemu("vmdk"),
    "vmdk stream": by_qemu("vmdk", "subformat=streamOptimized"),
    "vhd": by_qemu("vpc", "force_size=on"),
    "vhd child": child_vhd,
    "vhdx": by_qemu("vhdx", "block_size=1M"),
    "qcow2": by_qemu("qcow2", "cluster_size=4k"),
    "qcow2 compressed": by_qemu("qcow2", "cluster_size=4k", "compressed"),
    "vdi": by_qemu("vdi"),
    "dmg": lambda _, content: udif(content),
    "sparseimage": lambda _, content: sparse_image(content),
    "aff4": lambda _, content: aff4(content, SNAPPY),
    "aff4 deflated": lambda _, content: aff4(content, DEFLATE, unreadable=((65536, 8192),)),
}


def examine(path: Path) -> str:
    """Open, walk and read everything; what became of it."""
    try:
        source = open_source(path, "E", "s")
    except SourceError as error:
        return "refused" if str(path) in str(error) else "refused without its name"
    try:
        faults = len(source.problems())
        for item in source.walk():
            if not isinstance(item, FileEntry):
                faults += 1
            elif item.readable:
                try:
                    for _ in source.chunks(item):
                        pass
                except EvidenceError:
                    faults += 1
        assert sum(source.coverage().values()) == source.info.size
    finally:
        source.close()
    return "faults" if faults else "whole"


@pytest.mark.parametrize("name", MAKERS)
def test_damaged_copies(name: str, disk: bytes, tmp_path: Path) -> None:
    made = MAKERS[name](tmp_path, disk)
    path = tmp_path / "damaged.img"
    path.write_bytes(made)
    assert examine(path) == ("whole" if name != "aff4 deflated" else "faults")
    outcomes = []
    for copy in damaged_copies(made, COPIES, seed=len(name)):
        path.write_bytes(copy)
        began = time.process_time()
        outcomes.append(examine(path))
        assert time.process_time() - began < 20, f"copy {len(outcomes)} took too long"
    assert len(outcomes) == COPIES
    assert set(outcomes) <= {"refused", "faults", "whole"}
    assert outcomes.count("whole") < COPIES


# ---------------------------------------------------------------- headers that lie

PETABYTE = 1 << 50


def patched(data: bytes, *changes: tuple[int, bytes]) -> bytes:
    copy = bytearray(data)
    for offset, new in changes:
        copy[offset : offset + len(new)] = new
    return bytes(copy)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("qcow2", [(24, struct.pack(">Q", PETABYTE))]),
        ("qcow2", [(24, struct.pack(">Q", PETABYTE)), (36, struct.pack(">I", 0xFFFFFFFF))]),
        ("qcow2", [(24, b"\xff" * 8)]),
        ("qcow2", [(20, struct.pack(">I", 63))]),
        ("vmdk", [(12, struct.pack("<Q", PETABYTE))]),
        ("vmdk", [(20, struct.pack("<Q", PETABYTE))]),
        ("vmdk", [(44, b"\xff" * 4)]),
        ("vmdk", [(56, struct.pack("<Q", PETABYTE))]),
        ("vhd", [(512 + 28, b"\xff" * 4)]),
        ("vhd", [(512 + 32, b"\xff" * 4)]),
        ("vhd", [(512 + 16, struct.pack(">Q", PETABYTE))]),
        ("vdi", [(368, struct.pack("<Q", PETABYTE)), (384, struct.pack("<I", PETABYTE >> 20))]),
        ("vdi", [(376, b"\0" * 4)]),
        ("vdi", [(384, b"\xff" * 4)]),
    ],
)
def test_a_header_that_claims_the_impossible(
    name: str, changes: list[tuple[int, bytes]], disk: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "lie.img"
    path.write_bytes(patched(MAKERS[name](tmp_path, disk), *changes))
    began = time.process_time()
    assert examine(path) in ("refused", "faults", "whole")
    assert time.process_time() - began < 10


@pytest.mark.parametrize("name", ["vmdk", "vhd", "vhdx", "qcow2", "vdi", "dmg", "sparseimage", "aff4"])
@pytest.mark.parametrize("length", [1, 8, 100, 511, 512, 600, 4096])
def test_a_file_that_is_only_a_beginning(name: str, length: int, disk: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.img"
    made = MAKERS[name](tmp_path, disk)
    path.write_bytes(made[: min(length, len(made) // 2)])
    assert examine(path) in ("refused", "faults")


def test_a_damaged_aff4_never_verifies(disk: bytes, tmp_path: Path) -> None:
    made = aff4(disk, SNAPPY)
    path = tmp_path / "damaged.aff4"
    where = made.index(b"aff4%3A%2F%2F00000000-0000-0000-0000-000000000004/00000000") + 200
    agreed = 0
    for number in range(40):
        path.write_bytes(patched(made, (where + 17 * number, bytes([made[where + 17 * number] ^ 0x10]))))
        try:
            source = open_source(path, "E", "s")
        except SourceError:
            continue
        checks = verify_acquisition(source)
        assert checks
        if all(check.agrees for check in checks):  # the byte was of the ZIP's own headers
            assert b"".join(source.image.exact(at, 4096) for at in range(0, len(disk), 4096)) == disk
            agreed += 1
        source.close()
    assert agreed < 20
