"""E01 images: all segments found, missing and cut ones named, acquisition facts kept."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.ewf import segment_name
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry


@pytest.fixture
def two_segments(shared: Path, tmp_path: Path) -> Path:
    for name in ("ext2.split.E01", "ext2.split.E02"):
        shutil.copyfile(shared / "images" / name, tmp_path / name)
    return tmp_path / "ext2.split.E01"


def test_facts_of_acquisition_are_kept(two_segments: Path, opened: Callable[..., Any]) -> None:
    info = opened(two_segments).info
    assert info.kind == "ewf"
    assert info.size == 4194304
    assert [Path(segment).name for segment in info.segments] == ["ext2.split.E01", "ext2.split.E02"]
    assert info.acquisition["md5"] == "196066add11fb71c4c49cf1bb50d6d24"
    assert {info.acquisition[key] for key in ("case_number", "evidence_number", "examiner_name")} == {
        "case",
        "evidence",
        "examiner",
    }


def test_a_missing_second_segment_is_named(two_segments: Path) -> None:
    two_segments.with_suffix(".E02").unlink()
    with pytest.raises(SourceError, match=r"ext2\.split\.E02 is missing"):
        open_source(two_segments, "E", "S")


def test_a_later_segment_is_refused(two_segments: Path) -> None:
    with pytest.raises(SourceError, match="segment 2 of an E01 image"):
        open_source(two_segments.with_suffix(".E02"), "E", "S")


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.05])
def test_a_cut_off_segment_is_refused(keep: float, two_segments: Path) -> None:
    last = two_segments.with_suffix(".E02")
    data = last.read_bytes()
    last.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(SourceError, match=r"ext2\.split\.E02 is cut off"):
        open_source(two_segments, "E", "S")


@pytest.mark.parametrize("length", [8, 12, 13, 40, 80])
def test_a_few_bytes_of_an_e01_are_refused(length: int, two_segments: Path) -> None:
    two_segments.write_bytes(two_segments.read_bytes()[:length])
    with pytest.raises(SourceError, match="cut off"):
        open_source(two_segments, "E", "S")


def test_upper_and_lower_case_names_of_segments(two_segments: Path, opened: Callable[..., Any]) -> None:
    first = two_segments.rename(two_segments.with_name("ext2.split.e01"))
    source = opened(first)
    assert len(source.info.segments) == 2
    assert any(isinstance(item, FileEntry) for item in source.walk())


@pytest.mark.parametrize(
    ("first", "number", "name"),
    [
        ("a.E01", 2, "a.E02"),
        ("a.E01", 99, "a.E99"),
        ("a.E01", 100, "a.EAA"),
        ("a.E01", 101, "a.EAB"),
        ("a.E01", 126, "a.EBA"),
        ("a.E01", 775, "a.EZZ"),
        ("a.E01", 776, "a.FAA"),
        ("a.e01", 100, "a.eaa"),
        ("a.s01", 2, "a.s02"),
    ],
)
def test_names_of_segments(first: str, number: int, name: str) -> None:
    assert segment_name(first, number) == name
