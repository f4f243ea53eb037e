"""A suspect who has read our source: names that bite, files that lie, colliding digests, an exhibit that changes."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

import pytest
from support.cli import comparable_reports, picture, run_command, vics_record, write_vics

from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

NAMES = [
    b"new\nline.jpg", b"\r\n=x", b"tab\t", b"\x1b[31mred", b"\xe2\x80\xaegpj.exe", b"=cmd|calc!A0", b"@SUM(1)", b"+1",
    b"-1", b"<script>window.PWNED=1<script>.jpg",
    b'"><img src=x onerror=window.PWNED=1>', b"'onmouseover='window.PWNED=1",
    b"{{7*7}}", b"{% raw %}", b"&lt;b&gt;", b"caf\xe9\xff", b"\xed\xa0\x80", b"a" * 255, b" lead", b"trail ", b"CON",
    b"a\\b",    b'x;y,z"', b"%00", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"--", b"e\xcc\x81", b"\xc3\xa9", b"\x7f\x80",
]  # fmt: skip
CONTENT = picture("coast.jpg")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def built(folder: Path, name: str, records: list[dict[str, object]], *options: str) -> Path:
    vics = write_vics(folder / f"{name}.json", records)
    done = run_command("hashset", "build", vics, "--out", folder / f"{name}.chs", *options)
    assert done.returncode == 0, done.stderr
    return folder / f"{name}.chs"


@pytest.fixture
def biting(tmp_path: Path) -> Path:
    folder = tmp_path / "exhibit"
    (folder / "=dir").mkdir(parents=True)
    try:
        for name in NAMES:
            with open(os.fsencode(folder) + b"/" + name, "wb") as file:  # noqa: PTH123 - not text
                file.write(CONTENT)
    except OSError:
        pytest.skip("this file system takes other names only")
    (folder / "=dir" / "last.jpg").write_bytes(CONTENT)
    (folder / "loop").symlink_to(".", target_is_directory=True)
    (folder / "self").symlink_to("self")
    os.mkfifo(folder / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as endpoint:
        here = Path.cwd()
        os.chdir(folder)  # a socket's path has to be short
        try:
            endpoint.bind("socket.jpg")
        finally:
            os.chdir(here)
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="makes names that Windows does not have")
def test_names_that_bite(biting: Path, tmp_path: Path) -> None:
    listed = vics_record(1, CONTENT, 1)
    hashset = built(tmp_path, "set", [listed])
    case = tmp_path / "case"
    done = run_command("scan", biting, "--case", case, "--hashset", hashset, "--workers", 1)
    assert done.returncode == 0, done.stderr
    found = rows(case / "reports" / "matches.csv")
    assert len(found) == len(rows(case / "reports" / "files.csv")) == len(NAMES) + 1
    assert all(row["path"].startswith("/") and row["path"].isprintable() for row in found)
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert "<script>window" not in page
    assert "<img" not in page
    assert not re.search(r"<[^>]*\sonmouseover=", page)
    assert "&lt;script&gt;window.PWNED=1" in page
    codes = [row["code"] for row in rows(case / "reports" / "problems.csv")]
    assert sorted(set(codes)) == ["link-not-followed", "special-files"]
    said = done.stdout + done.stderr + (case / "audit.jsonl").read_text() + (case / "reports/summary.json").read_text()
    for digest in (listed["MD5"], listed["SHA1"]):
        assert str(digest).lower() not in said.lower()
    assert "PWNED" not in said


@pytest.fixture(scope="module")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every twentieth file of the collected malformed ones, and all MD5 collisions."""
    folder = tmp_path_factory.mktemp("corpus")
    with tarfile.open(shared / "hostile" / "corpus.tar.xz") as archive:
        for number, member in enumerate(archive):
            if member.isfile() and (number % 20 == 0 or "corkami__collisions" in member.name):
                archive.extract(member, folder, filter="data")
    return folder


def test_malformed_files_end_as_rows_alike_in_every_executor(corpus: Path, tmp_path: Path) -> None:
    reports = []
    for executor in ("pool", "serial"):
        case = tmp_path / executor
        done = run_command("scan", corpus, "--case", case, "--executor", executor, "--workers", 2, "--quiet")
        assert done.returncode == 3, done.stderr
        reports.append(comparable_reports(case / "reports"))
    assert reports[0] == reports[1]
    files = rows(tmp_path / "pool" / "reports" / "files.csv")
    outer = [row for row in files if row["state"] != "embedded"]
    assert len(outer) == sum(path.is_file() for path in corpus.rglob("*"))
    assert all(row["sha256"] for row in outer)
    assert all(row["sha256"] or row["problems"] for row in files)


def test_a_collision_proves_nothing_and_excludes_nothing(corpus: Path, tmp_path: Path) -> None:
    twins: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted((corpus / "corkami__collisions").iterdir()):
        content = path.read_bytes()
        twins[hashlib.md5(content).hexdigest()].setdefault(hashlib.sha1(content).hexdigest(), path.name)
    pairs = {md5: sorted(names) for md5, names in twins.items() if len(names) == 2}
    assert len(pairs) >= 10
    both = [{"MediaID": n, "Category": 1, "MD5": md5, "SHA1": one} for n, (md5, (one, _)) in enumerate(pairs.items())]
    alone = [{"MediaID": n, "MD5": md5} for n, md5 in enumerate(pairs)]
    sets = [built(tmp_path, "both", both), built(tmp_path, "good", alone, "--role", "known-good")]
    case = tmp_path / "case"
    given = [word for path in sets for word in ("--hashset", path)]
    assert run_command("scan", corpus / "corkami__collisions", "--case", case, *given, "--quiet").returncode in (0, 3)
    found = {
        row["sha1"]: row["algorithm"] for row in rows(case / "reports" / "matches.csv") if row["hashset"] == "both"
    }
    assert found == {one: "sha1" for one, _ in pairs.values()}
    summary = json.loads((case / "reports" / "summary.json").read_text())
    assert sum(count["files"] for count in summary["counts"]) == len(pairs)
    assert summary["walked"] == summary["examined"] == summary["stored"]
    page = (case / "reports" / "report.html").read_text()
    assert f"{len(pairs)} files with contradicting digests" in page


@pytest.mark.parametrize("change", ["removed", "added", "cut"])
def test_an_exhibit_that_changed_is_not_resumed(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "exhibit"
    folder.mkdir()
    for name in ("a.txt", "m.txt", "z.txt"):
        (folder / name).write_text(name)
    case = tmp_path / "case"
    assert run_command("scan", folder, "--case", case, "--quiet").returncode == 0
    if change == "removed":
        (folder / "z.txt").unlink()
    elif change == "added":
        (folder / "b.txt").write_text("new")
    else:
        (folder / "z.txt").write_text("")
    done = run_command("scan", folder, "--case", case, "--quiet")
    assert done.returncode == 6, done.stderr
    assert "has changed" in done.stderr


@pytest.mark.skipif(shutil.which("strace") is None, reason="watches the system calls with strace")
@pytest.mark.parametrize("kind", ["folder", "image"])
def test_no_call_opens_evidence_for_writing(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "exhibit"
    if kind == "image":
        source.write_bytes(build_fat([PlannedFile("/a.jpg", CONTENT)], size=6 << 20, cluster=1024))
    else:
        source.mkdir()
        (source / "a.jpg").write_bytes(CONTENT)
    log = tmp_path / "calls"
    command = [sys.executable, "-P", "-m", "caid_triage", "scan", str(source), "--case", str(tmp_path / "case")]
    calls = "trace=openat,open,creat,unlink,unlinkat,rename,renameat,renameat2,truncate,utimensat,chmod,fchmodat"
    watched = ["strace", "-f", "-qq", "-s", "4096", "-e", calls, "-o", str(log), *command, "--quiet", "--workers", "1"]
    done = subprocess.run(watched, capture_output=True, text=True, check=False)
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        pytest.skip("this machine does not let strace watch")
    met = [line for line in log.read_text(errors="replace").splitlines() if f'"{source}' in line]
    assert met, "no call on the evidence was seen: the test shows nothing"
    assert [line for line in met if "O_RDONLY" not in line] == []
    assert not [line for line in met if re.search(r"O_(RDWR|WRONLY|CREAT|TRUNC|APPEND)", line)]
