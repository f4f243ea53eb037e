"""The demonstration exhibit is the same bytes every time, and holds what its truth says."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from caid_triage.synth.exhibit import DemoTruth, build_demo_exhibit, truth_rows


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoTruth:
    return build_demo_exhibit(tmp_path_factory.mktemp("demo"))


def test_is_the_same_bytes_every_time(demo: DemoTruth, tmp_path: Path) -> None:
    again = build_demo_exhibit(tmp_path)
    assert again.image.read_bytes() == demo.image.read_bytes()
    assert again.truth.read_bytes() == demo.truth.read_bytes()
    assert again.rows == demo.rows


def test_is_small_and_has_four_file_systems(demo: DemoTruth) -> None:
    assert demo.image.stat().st_size <= 40 << 20
    assert [volume.file_system for volume in demo.volumes] == ["ntfs", "fat16", "exfat", "ext2"]


def test_everything_in_the_truth_is_read_back(demo: DemoTruth, read_back: Callable[..., dict]) -> None:
    for volume in demo.volumes:
        found = read_back(demo.image, volume.offset)
        for row in demo.rows:
            if row.volume != volume.volume or row.path.startswith("/DCIM/101CAM trip/"):
                continue
            assert (row.state == "allocated", row.sha256) in found.get(row.path, []), row.path


def test_files_of_the_deleted_fat_folder_are_found_though_it_has_several_clusters(
    demo: DemoTruth, read_back: Callable[..., dict]
) -> None:
    found = read_back(demo.image, demo.volumes[1].offset)
    contents = {digest for names in found.values() for live, digest in names if not live}
    rows = [row for row in demo.rows if row.path.startswith("/DCIM/101CAM trip/")]
    assert len(rows) == 31
    assert {row.sha256 for row in rows} <= contents


def test_truth_covers_what_the_demo_promises(demo: DemoTruth) -> None:
    exact, near = truth_rows(demo.rows, "exact"), truth_rows(demo.rows, "near")
    for volume in ("p1", "p2", "p3", "p4"):
        states = {row.state for row in exact if row.volume == volume}
        assert states == {"allocated", "deleted"}
    assert Counter(row.category for row in exact) == {"1": 7, "2": 9, "3": 7}
    assert {row.state for row in near} == {"allocated", "deleted"}
    assert [row.algorithm for row in exact].count("md5") == 2
    assert any(row.path.endswith(":hidden.jpg") for row in exact)
    assert any(row.path.endswith(".dll") for row in exact)
    assert any(row.path.endswith(".avi") for row in exact)
    assert any(row.path.endswith("recipe.txt") for row in exact)
    assert len(truth_rows(demo.rows, "known-good")) == 3
    assert len(truth_rows(demo.rows, "damaged")) == 1
    same = Counter(row.sha256 for row in demo.rows if row.path in ("/home/sam/copy.jpg", "/home/sam/again.jpg"))
    assert list(same.values()) == [2]


def test_no_path_of_the_truth_comes_twice_in_a_volume(demo: DemoTruth) -> None:
    assert max(Counter((row.volume, row.path) for row in demo.rows).values()) == 1


def test_truth_file_says_what_the_rows_say(demo: DemoTruth) -> None:
    kept = json.loads(demo.truth.read_text(encoding="utf-8"))
    assert [row["sha256"] for row in kept["files"]] == [row.sha256 for row in demo.rows]
    assert kept["image"] == demo.image.name
