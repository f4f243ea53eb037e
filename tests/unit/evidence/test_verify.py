"""Verifying an image against the hashes stored in it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.containers import SNAPPY, STORED, aff4

from caid_triage.evidence.verify import record_verification, stored_hashes, verify_acquisition
from caid_triage.model import Severity


def acquired(folder: Path, image: bytes, *options: str) -> Path:
    """An E01 of an image, made by ewfacquire with MD5 and SHA-1."""
    if shutil.which("ewfacquire") is None:
        pytest.skip("ewfacquire (ewf-tools) is not installed")
    raw = folder / "raw.dd"
    raw.write_bytes(image)
    command = ["ewfacquire", "-u", "-t", str(folder / "made"), "-d", "sha1", *options, str(raw)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return next(path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".e01", ".s01"))


def test_an_e01_agrees_with_both_of_its_hashes(tmp_path: Path, fat_image: bytes, opened: Callable[..., Any]) -> None:
    source = opened(acquired(tmp_path, fat_image))
    checks = verify_acquisition(source)
    assert [(check.stored.what, check.stored.algorithm, check.agrees) for check in checks] == [
        ("disk", "md5", True),
        ("disk", "sha1", True),
    ]
    record_verification(source)
    assert source.info.acquisition["verified"] == "md5 of the disk, sha1 of the disk: computed anew, as stored"
    assert not source.problems()


def test_a_stored_hash_that_differs_is_a_problem(tmp_path: Path, fat_image: bytes, opened: Callable[..., Any]) -> None:
    source = opened(acquired(tmp_path, fat_image))
    source.add_findings({"md5": "00" * 16}, ())
    record_verification(source)
    (problem,) = source.problems()
    assert (problem.code, problem.severity) == ("acquisition-hash-mismatch", Severity.PROBLEM)
    assert "00" * 16 in problem.detail
    assert (problem.exhibit, problem.source) == ("ABC/1", "disk")
    assert "verified" not in source.info.acquisition


def test_an_image_that_cannot_be_read_through_is_not_verified(
    tmp_path: Path, ntfs_image: bytes, opened: Callable[..., Any]
) -> None:
    path = acquired(tmp_path, ntfs_image, "-c", "fast")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    source = opened(path)
    record_verification(source)
    codes = {problem.code for problem in source.problems()}
    assert codes & {"acquisition-not-verified", "acquisition-hash-mismatch"}
    assert "verified" not in source.info.acquisition


def test_every_byte_of_an_aff4_is_covered(tmp_path: Path, ntfs_image: bytes, opened: Callable[..., Any]) -> None:
    path = tmp_path / "disk.aff4"
    whole = aff4(ntfs_image, STORED)
    path.write_bytes(whole)
    assert {stored.what for stored in stored_hashes(opened(path))} == {"map", "image stream"}
    for number in (0, 3000, 20_000):
        data = bytearray(whole)
        data[data.index(ntfs_image[:512]) + number] ^= 1
        path.write_bytes(data)
        source = opened(path)
        record_verification(source)
        assert "acquisition-not-verified" in {problem.code for problem in source.problems()}


def test_a_hash_of_the_whole_disk_in_an_aff4_is_checked(
    tmp_path: Path, fat_image: bytes, opened: Callable[..., Any]
) -> None:
    import hashlib

    for digest, good in ((hashlib.sha256(fat_image).hexdigest(), True), ("ab" * 32, False)):
        path = tmp_path / f"{good}.aff4"
        path.write_bytes(aff4(fat_image, SNAPPY, facts=f'; aff4:hash "{digest}"^^aff4:SHA256 '))
        source = opened(path)
        assert source.info.acquisition["sha256"] == digest
        disk = [check for check in verify_acquisition(source) if check.stored.what == "disk"]
        assert [check.agrees for check in disk] == [good]


def test_a_source_without_hashes_says_so(tmp_path: Path, fat_image: bytes, opened: Callable[..., Any]) -> None:
    source = opened(fat_image)
    assert record_verification(source) == []
    assert [(p.code, p.severity) for p in source.problems()] == [("acquisition-hash-absent", Severity.NOTE)]
    (tmp_path / "folder").mkdir()
    assert record_verification(opened(tmp_path / "folder")) == []
