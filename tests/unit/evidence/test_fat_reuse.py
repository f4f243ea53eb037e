"""Deleted FAT and exFAT files whose clusters were given away: their content is not theirs any more."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from caid_triage.evidence.fat import FatVolume
from caid_triage.model import Severity
from caid_triage.synth.lessons import build_lesson


def volume_of(image: bytes | bytearray) -> FatVolume:
    return FatVolume(lambda offset, length: bytes(image[offset : offset + length]))


def test_a_deleted_fat_file_whose_first_cluster_is_in_use_is_not_read(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = bytearray(build_lesson("deleted-fat16").image)
    entries = {entry.path: entry for entry in walked(opened(image))[0]}
    victim = next(entry for path, entry in entries.items() if path.endswith("coast.jpg") or path == "/sub/was here.jpg")
    assert victim.readable
    volume = volume_of(image)
    cluster = volume.first_cluster(victim.inode or 0)
    assert not volume.is_allocated(cluster)
    reserved = struct.unpack_from("<H", image, 14)[0]
    struct.pack_into("<H", image, reserved * 512 + cluster * 2, 0xFFFF)  # the first FAT: the cluster has an owner now
    assert volume_of(image).is_allocated(cluster)
    entry = next(e for e in walked(opened(image))[0] if e.inode == victim.inode)
    assert entry.readable is False
    assert [(p.code, p.severity) for p in entry.problems] == [("overwritten", Severity.NOTE)]
    assert entry.size == victim.size


def test_a_deleted_exfat_file_with_one_cluster_in_use_is_not_read(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = bytearray(build_lesson("deleted-exfat").image)
    victim = next(e for e in walked(opened(image))[0] if e.path == "/sub/was here.jpg")
    volume = volume_of(image)
    assert victim.size is not None
    assert victim.size > 2 * volume.cluster_size
    assert volume.reused_clusters(victim.inode or 0, victim.size) == (0, 0)
    bit = volume.first_cluster(victim.inode or 0) + 1 - 2  # its second cluster
    bitmap = next(e for e in walked(opened(image))[0] if e.path == "/$ALLOC_BITMAP").physical_offset
    assert bitmap is not None
    image[bitmap + bit // 8] |= 1 << bit % 8
    entry = next(e for e in walked(opened(image))[0] if e.inode == victim.inode)
    assert volume.lies_in_one_piece(victim.inode or 0)
    assert entry.readable is False
    assert [p.code for p in entry.problems] == ["overwritten"]


def test_a_deleted_ntfs_file_whose_first_cluster_is_in_use_is_not_read(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    image = bytearray(build_lesson("deleted-ntfs").image)
    entries = {entry.path: entry for entry in walked(opened(image))[0]}
    victim, bitmap = entries["/sub/was here.jpg"], entries["/$Bitmap"]
    assert victim.readable
    assert victim.size is not None
    assert victim.physical_offset is not None
    assert bitmap.physical_offset is not None
    cluster_size = image[13] * 512
    first = victim.physical_offset // cluster_size
    last = first + (victim.size - 1) // cluster_size
    for cluster, readable in ((last, True), (first, False)):
        image[bitmap.physical_offset + cluster // 8] |= 1 << cluster % 8
        entry = next(e for e in walked(opened(image))[0] if e.path == victim.path)
        assert [p.code for p in entry.problems] == ["overwritten"]
        assert entry.readable is readable
        assert entry.size == victim.size


def test_a_table_of_12_bits_is_read_across_bytes(opened: Callable[..., Any], walked: Callable[..., Any]) -> None:
    image = build_lesson("fragmented-fat12").image
    volume = volume_of(image)
    for entry in walked(opened(image))[0]:
        if entry.size and entry.state.value == "allocated":
            assert volume.is_allocated(volume.first_cluster(entry.inode or 0)), entry.path
