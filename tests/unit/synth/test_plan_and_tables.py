"""Plans refuse what cannot be held; partition tables are read back by pytsk3 and mmls."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytsk3

from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat, fat_time, shape_for, short_name
from caid_triage.synth.gpt import BASIC_DATA, LINUX, GptPartition, build_gpt
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.mbr import SECTOR, Partition, build_mbr, partition_starts
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.ntfs_parts import pack_runs
from caid_triage.synth.plan import PlannedFile, PlannedFolder, grow_tree, in_pieces, runs_of, write_sparse
from caid_triage.synth.truth import shown

MIB = 1 << 20


def table_of(image: bytearray, folder: Path, kind: int = pytsk3.TSK_VS_TYPE_DETECT) -> list[tuple[int, int, bytes]]:
    """(first sector, sectors, description) of every allocated entry, by pytsk3."""
    path = folder / "disk.dd"
    write_sparse(path, image)
    volume = pytsk3.Volume_Info(pytsk3.Img_Info(str(path)), kind)
    return [(p.start, p.len, p.desc) for p in volume if int(p.flags) & pytsk3.TSK_VS_PART_FLAG_ALLOC]


def test_extended_chain_is_read_back(tmp_path: Path) -> None:
    primaries = [Partition(0x07, b"a" * SECTOR * 100), Partition(0x06, b"b" * SECTOR * 5000)]
    logicals = [Partition(0x83, bytes([n]) * SECTOR * 300) for n in range(1, 4)]
    image = build_mbr(primaries, logicals, tail=MIB)
    starts = partition_starts(primaries, logicals)
    assert [row[:2] for row in table_of(image, tmp_path)] == list(zip(starts, (100, 5000, 300, 300, 300), strict=True))
    for start, part in zip(starts, [*primaries, *logicals], strict=True):
        assert image[start * SECTOR : start * SECTOR + len(part.content)] == part.content
    assert image[-MIB:] == bytes(MIB)


def test_gpt_is_read_back_and_its_backup_too(tmp_path: Path) -> None:
    image = build_gpt([GptPartition(BASIC_DATA, "Daten", b"x" * 70_000), GptPartition(LINUX, "root", b"y" * 5000)])
    rows = table_of(image, tmp_path)
    assert [(start, length) for start, length, _ in rows] == [(2048, 137), (4096, 10)]
    assert rows[0][2].startswith(b"Daten")
    damaged = bytearray(image)
    damaged[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    backup = table_of(damaged, tmp_path, pytsk3.TSK_VS_TYPE_GPT)  # unasked, it believes the protective MBR
    assert [row[:2] for row in backup] == [(2048, 137), (4096, 10)]


def test_mmls_agrees_with_the_table(tmp_path: Path) -> None:
    mmls = shutil.which("mmls")
    if mmls is None:
        pytest.skip("mmls is not installed")
    path = tmp_path / "disk.dd"
    write_sparse(path, build_mbr([Partition(7, bytes(MIB))], [Partition(0x83, bytes(MIB))]))
    out = subprocess.run([mmls, str(path)], capture_output=True, check=True, timeout=30).stdout.decode()
    assert "0000002048   0000004095   0000002048   NTFS / exFAT (0x07)" in out
    assert "0000006144   0000008191   0000002048   Linux (0x83)" in out


def test_five_primaries_are_refused() -> None:
    with pytest.raises(ValueError, match="four"):
        build_mbr([Partition(7, b"x")] * 5)


def test_a_path_twice_or_not_absolute_is_refused() -> None:
    for plan in (
        [PlannedFile("/a"), PlannedFile("/a")],
        [PlannedFile("a")],
        [PlannedFile("/a/")],
        [PlannedFile("/d/a"), PlannedFolder("/d")],
    ):
        with pytest.raises(ValueError, match=r"planned|absolute"):
            grow_tree(plan)


def test_what_a_file_system_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="no links"):
        build_fat([PlannedFile("/a", b"x", links=("/b",))], size=8 * MIB, cluster=1024)
    with pytest.raises(ValueError, match="no links, streams"):
        build_ext2([PlannedFile("/a", b"x", streams=(("s", b""),))], size=MIB)
    with pytest.raises(ValueError, match="zero"):
        build_ntfs([PlannedFile("/a", b"x" * 65536, holes=((0, 65536),))], size=MIB * 2)
    with pytest.raises(ValueError, match="do not fit"):
        build_ntfs([PlannedFile("/a", bytes(4 * MIB))], size=2 * MIB)
    with pytest.raises(ValueError, match="level 2"):
        build_iso([PlannedFile("/lower case.txt")])
    with pytest.raises(ValueError, match="nothing on a CD"):
        build_iso([PlannedFile("/A.TXT", deleted=True)])
    with pytest.raises(ValueError, match="only a deleted"):
        build_ntfs([PlannedFile("/a"), PlannedFile("/b", in_record_of="/a")], size=2 * MIB)


def test_kind_of_fat_follows_from_its_clusters() -> None:
    assert shape_for(34 * MIB, 32, 512).clusters >= 65525
    for size, bits, cluster in ((MIB, 16, 512), (64 * MIB, 16, 512), (16 * MIB, 32, 512), (64 * MIB, 12, 512)):
        with pytest.raises(ValueError, match="not FAT"):
            shape_for(size, bits, cluster)


def test_short_names_are_unique_and_keep_their_extension() -> None:
    taken: set[bytes] = set()
    assert short_name("README.TXT", taken) == b"README  TXT"
    made = [short_name(f"a long name {n}.jpeg", taken) for n in range(12)]
    assert len(set(made)) == 12
    assert made[0] == b"ALONGN~1JPE"
    assert made[9] == b"ALONG~10JPE"


def test_fat_time_words() -> None:
    assert fat_time(datetime(2019, 6, 1, 13, 45, 31, tzinfo=UTC)) == (39 << 9 | 6 << 5 | 1, 13 << 11 | 45 << 5 | 15)


def test_pieces_lie_in_reverse_order_and_lose_nothing() -> None:
    assert in_pieces(range(10, 17), 3) == [16, 13, 14, 15, 10, 11, 12]
    assert in_pieces([5], 4) == [5]
    assert runs_of([16, 13, 14, 15, 10, 11]) == [(16, 1), (13, 3), (10, 2)]


def test_run_lists_are_signed_and_closed() -> None:
    assert pack_runs([(0x1234, 3), (None, 0x40), (0x1200, 0x80)]) == bytes.fromhex("2103 3412 0140 12 8000 cc 00")


def test_written_sparsely_is_the_same_bytes(tmp_path: Path) -> None:
    data = bytes(200_000) + b"middle" + bytes(200_000)
    write_sparse(tmp_path / "x", data)
    assert (tmp_path / "x").read_bytes() == data


@pytest.mark.parametrize(
    ("path", "printed"),
    [
        ("/plain/caf\u00e9 \u6c34.jpg", "/plain/caf\u00e9 \u6c34.jpg"),
        ("/a\ttab", "/a\\x09tab"),
        ("/latin caf\udce9", "/latin caf\\xe9"),
        ("/turned\u202egpj.exe", "/turned\\u202egpj.exe"),
        ("/unassigned\ud7a4\U000e0fff", "/unassigned\\ud7a4\\U000e0fff"),
    ],
)
def test_paths_are_shown_printable(path: str, printed: str) -> None:
    assert shown(path) == printed
    assert shown(path).isprintable()
