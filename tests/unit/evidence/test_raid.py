"""Linux RAID members: a mirror is opened, everything else is named with its level, and no mark hides a file system."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.volumes import build_raid, in_file_systems

from caid_triage.model import Severity

VERSIONS = ("0.90", "1.0", "1.1", "1.2")


@pytest.mark.parametrize("version", VERSIONS)
def test_one_half_of_a_mirror_is_examined(
    version: str,
    fat_image: bytes,
    opened: Callable[..., Any],
    walked: Callable[..., Any],
    sha256_of: Callable[..., str],
) -> None:
    image = build_raid(fat_image, version=version, level=1)
    source = opened(image)
    assert [(v.name, v.file_system, v.status) for v in source.volumes()] == [
        ("p0", "Linux RAID member, RAID 1 (mirror)", "unwrapped"),
        ("p0/raid", "FAT16", "examined"),
    ]
    assert [(p.code, p.severity) for p in source.problems()] == [("raid-member", Severity.NOTE)]
    plain = opened(fat_image)
    ours, theirs = walked(source)[0], walked(plain)[0]
    assert [(e.path, e.state, e.size) for e in ours] == [(e.path, e.state, e.size) for e in theirs]
    start = len(image) - len(fat_image) - (128 << 10)
    for entry, alone in zip(ours, theirs, strict=True):
        if entry.readable:
            assert sha256_of(source, entry) == sha256_of(plain, alone)
        if alone.physical_offset is not None:
            assert entry.physical_offset == alone.physical_offset + start
    assert in_file_systems(source.coverage()) == len(fat_image)
    assert sum(source.coverage().values()) == len(image)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("level", "says"), [(0, "RAID 0"), (5, "RAID 5"), (10, "RAID 10"), (-1, "linear")])
def test_other_levels_are_named_loudly(version: str, level: int, says: str, opened: Callable[..., Any]) -> None:
    source = opened(build_raid(b"\x01\x02\x03\x04" * 250_000, version=version, level=level, members=4))
    (volume,) = source.volumes()
    (problem,) = source.problems()
    assert (volume.status, problem.code, problem.severity) == ("not-understood", "raid-member", Severity.PROBLEM)
    assert f"({says})" in problem.detail
    assert "4 members" in problem.detail


def test_a_file_system_behind_an_old_mark_is_still_walked_and_the_mark_is_named(
    fat_image: bytes, opened: Callable[..., Any]
) -> None:
    source = opened(build_raid(fat_image, version="1.0", level=5, members=3))
    assert [(v.name, v.status) for v in source.volumes()] == [("p0", "examined")]
    assert ("raid-member", Severity.PROBLEM) in [(p.code, p.severity) for p in source.problems()]
    assert any(getattr(e, "path", "") == "/here.jpg" for e in source.walk())


def test_a_spare_of_a_mirror_holds_nothing(opened: Callable[..., Any]) -> None:
    source = opened(build_raid(b"\x01\x02\x03\x04" * 250_000, version="1.2", level=1, role=0xFFFF))
    assert [(p.code, p.severity) for p in source.problems()] == [("raid-member", Severity.PROBLEM)]


def test_a_mark_whose_checksum_is_wrong_is_none(fat_image: bytes, opened: Callable[..., Any]) -> None:
    image = build_raid(fat_image, version="1.0", level=5)
    at = image.rindex(b"\xfc\x4e\x2b\xa9")
    image[at + 300] ^= 1
    source = opened(image)
    assert [v.status for v in source.volumes()] == ["examined"]
    assert "raid-member" not in [p.code for p in source.problems()]
