"""Scanning a container gives what the raw image gives; ``verify`` and ``--verify-source`` check acquisition hashes."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.containers import aff4, converted
from support.evidence_files import Ex01Plan, Logical, ex01, l01, lx01, written

from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry

SAME = ("source", "exhibit")


def rows(case: Path, name: str) -> list[dict[str, str]]:
    with (case / "reports" / name).open(encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if key not in SAME} for row in csv.DictReader(file)]


def scanned(run, source: Path, small, case: Path, *options: str, code: int = 0) -> Path:
    done = run("scan", source, "--case", case, "--hashset", small.hashset, "--workers", 1, "--quiet", *options)
    assert done.returncode == code, done.stderr
    return case


@pytest.mark.parametrize("form", ["qcow2", "vmdk", "aff4"])
def test_a_container_gives_the_files_and_matches_of_the_raw_image(form: str, run, small, tmp_path: Path) -> None:
    made = tmp_path / f"small.{form}"
    if form == "aff4":
        made.write_bytes(aff4(small.image.read_bytes()))
    else:
        converted(small.image, made, form)
    plain = scanned(run, small.image, small, tmp_path / "plain")
    case = scanned(run, made, small, tmp_path / "case")
    for name in ("matches.csv", "files.csv", "problems.csv"):
        assert rows(case, name) == rows(plain, name)
    assert len(rows(case, "matches.csv")) >= 3
    summaries = [json.loads((folder / "reports" / "summary.json").read_text()) for folder in (plain, case)]
    assert summaries[0]["coverage"]["bytes"] == summaries[1]["coverage"]["bytes"]


def test_verify_source_is_a_fact_of_the_report(run, small, tmp_path: Path) -> None:
    made = tmp_path / "small.aff4"
    made.write_bytes(aff4(small.image.read_bytes()))
    case = scanned(run, made, small, tmp_path / "case", "--verify-source")
    assert "computed anew, as stored" in (case / "reports" / "report.html").read_text()
    events = [json.loads(line) for line in (case / "audit.jsonl").read_text().splitlines()]
    (event,) = [json.dumps(event) for event in events if "source-verified" in event.values()]
    assert '"image stream md5": true' in event
    scanned(run, made, small, case, "--verify-source")  # again: resumes
    done = run("scan", made, "--case", case, "--hashset", small.hashset)
    assert done.returncode == 6
    assert "other options" in done.stderr


def test_a_damaged_image_is_a_problem_of_the_scan_and_fails_to_verify(run, small, tmp_path: Path) -> None:
    if shutil.which("ewfacquire") is None:
        pytest.skip("ewfacquire (ewf-tools) is not installed")
    command = ["ewfacquire", "-u", "-t", str(tmp_path / "made"), "-c", "none", "-d", "sha1", str(small.image)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    path = tmp_path / "made.E01"
    done = run("verify", path)
    assert done.returncode == 0, done.stderr
    assert "the MD5 of the disk is" in done.stdout
    assert "the SHA1 of the disk is" in done.stdout
    data = bytearray(path.read_bytes())
    at = data.rindex(b"hash\0\0\0\0") + 76  # the MD5 that is stored
    data[at] ^= 1
    at = data.rindex(b"digest\0\0") + 76
    data[at] ^= 1
    path.write_bytes(data)
    done = run("verify", path)
    assert done.returncode in (4, 7)
    assert "made.E01" in done.stderr


def test_a_mismatch_ends_with_7_and_a_row(run, small, tmp_path: Path) -> None:
    made = tmp_path / "small.aff4"
    made.write_bytes(aff4(small.image.read_bytes(), facts=f'; aff4:hash "{"ab" * 16}"^^aff4:MD5 '))
    done = run("verify", made)
    assert done.returncode == 7
    assert "ab" * 16 in done.stderr
    case = scanned(run, made, small, tmp_path / "case", "--verify-source", code=3)
    assert "acquisition-hash-mismatch" in [row["code"] for row in rows(case, "problems.csv")]
    case = scanned(run, made, small, tmp_path / "other")
    assert "acquisition-hash-mismatch" not in [row["code"] for row in rows(case, "problems.csv")]


def test_verify_of_an_image_without_a_hash_says_what_to_do(run, small) -> None:
    done = run("verify", small.image)
    assert done.returncode == 2
    assert "stores no hash of its acquisition" in done.stderr


@pytest.fixture
def pictures(small, tmp_path: Path) -> dict[str, bytes]:
    """Some files of the small exhibit, by names that are the same in a folder and in a logical image."""
    source = open_source(small.image, "E", "s")
    found = {}
    for entry in source.walk():
        if isinstance(entry, FileEntry) and entry.readable and entry.size:
            found[f"{len(found):03d}.bin"] = b"".join(source.chunks(entry))
    source.close()
    assert len(found) > 3
    return found


def logical(form: str, folder: Path, files: dict[str, bytes], **values: dict[str, str]) -> Path:
    tree = [Logical(name, content, values=values.get(name[:3], {})) for name, content in files.items()]
    return written(folder, form, l01(tree) if form == "L01" else lx01(tree))


@pytest.mark.parametrize("form", ["L01", "Lx01"])
def test_a_logical_image_gives_the_files_and_matches_of_a_folder(
    form: str, run, small, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    made = logical(form, tmp_path, pictures)
    plain = scanned(run, folder, small, tmp_path / "plain")
    case = scanned(run, made, small, tmp_path / "case", "--verify-source")
    times = {"created", "modified", "accessed", "changed"}

    def without_times(name: str, where: Path) -> list[dict[str, str]]:
        return [{key: value for key, value in row.items() if key not in times} for row in rows(where, name)]

    for name in ("matches.csv", "files.csv", "problems.csv"):
        assert without_times(name, case) == without_times(name, plain)
    assert len(rows(case, "matches.csv")) >= 3
    assert f"contents of {len(pictures)} files" in (case / "reports" / "report.html").read_text()


@pytest.mark.parametrize("form", ["L01", "Lx01"])
def test_a_stored_hash_of_a_file_that_differs_is_a_row_in_every_scan(
    form: str, run, small, pictures: dict[str, bytes], tmp_path: Path
) -> None:
    made = logical(form, tmp_path, pictures, **{"001": {"ha": "AB" * 16}})
    done = run("verify", made)
    assert done.returncode == 7
    assert "/001.bin: the MD5 of the content of file 1 is" in done.stderr
    case = scanned(run, made, small, tmp_path / "case", code=3)
    found = [(row["path"], row["code"]) for row in rows(case, "problems.csv")]
    assert found == [("/001.bin", "file-hash-mismatch")]
    case = scanned(run, made, small, tmp_path / "verified", "--verify-source", code=3)
    found = sorted((row["path"], row["code"]) for row in rows(case, "problems.csv"))
    assert found == [("", "acquisition-hash-mismatch"), ("/001.bin", "file-hash-mismatch")]
    assert "001.bin" not in (case / "audit.jsonl").read_text()


@pytest.mark.parametrize("form", ["L01", "Lx01"])
def test_verify_of_a_logical_image(form: str, run, pictures: dict[str, bytes], tmp_path: Path) -> None:
    done = run("verify", logical(form, tmp_path, pictures))
    assert done.returncode == 0, done.stderr
    assert f"the MD5 of the contents of {len(pictures)} files is as stored" in done.stdout


def test_an_ex01_gives_what_the_raw_image_gives_and_verifies(run, small, tmp_path: Path) -> None:
    made = written(tmp_path, "Ex01", ex01(small.image.read_bytes(), Ex01Plan(forms=("packed", "plain", "pattern"))))
    done = run("verify", made)
    assert done.returncode == 0, done.stderr
    assert "the SHA1 of the disk is" in done.stdout
    plain = scanned(run, small.image, small, tmp_path / "plain")
    case = scanned(run, made, small, tmp_path / "case", "--verify-source")
    for name in ("matches.csv", "files.csv", "problems.csv"):
        assert rows(case, name) == rows(plain, name)
    summaries = [json.loads((folder / "reports" / "summary.json").read_text()) for folder in (plain, case)]
    assert summaries[0]["coverage"]["bytes"] == summaries[1]["coverage"]["bytes"]


def test_an_encrypted_ex01_ends_with_4(run, small, tmp_path: Path) -> None:
    made = written(tmp_path, "Ex01", ex01(small.image.read_bytes(), Ex01Plan(encrypted=True)))
    done = run("scan", made, "--case", tmp_path / "case", "--hashset", small.hashset)
    assert done.returncode == 4
    assert "is encrypted: open it with its password" in done.stderr
