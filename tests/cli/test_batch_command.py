"""``caid-triage batch`` with real scans: what it comes to is what the scans come to one by one, whatever happens."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cli import Small, comparable_reports, many_pictures, picture, run_command
from support.nights import started
from support.queues import exhibit_table, write_queue

from caid_triage.case.view import open_case

linux = pytest.mark.skipif(sys.platform != "linux", reason="sends signals and looks into /proc")


def rows_of(cases: Path) -> dict[str, dict[str, str]]:
    with (cases / "batch.csv").open(encoding="utf-8", newline="") as lines:
        return {row["reference"]: row for row in csv.DictReader(lines)}


def lines_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def evidence(small: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with known pictures under two names, a folder of pictures, and two images that are none."""
    folder = tmp_path_factory.mktemp("evidence")
    shutil.copy(small.image, folder / "one.dd")
    shutil.copy(small.image, folder / "two.dd")
    (folder / "phone").mkdir()
    many_pictures(folder / "phone", 6)
    (folder / "phone" / "cut.jpg").write_bytes(picture("town.jpg")[:900])
    (folder / "broken.E01").write_bytes(b"EVF\x09\x0d\x0a\xff\x00" + bytes(range(256)) * 20)
    (folder / "broken.qcow2").write_bytes(b"QFI\xfb" + b"\xff" * 900)
    return folder


def six(evidence: Path, small: Small) -> list[str]:
    return [
        exhibit_table("ABC/1", evidence / "one.dd"),
        exhibit_table("ABC/2", evidence / "broken.E01"),
        exhibit_table("ABC/3", evidence / "phone", priority=9),
        exhibit_table("ABC/4", evidence / "broken.qcow2"),
        exhibit_table("ABC/5", evidence / "two.dd", priority=1),
        exhibit_table("ABC/6", small.image, case="damaged"),
    ]


@pytest.fixture(scope="module")
def batch(
    evidence: Path, small: Small, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The six exhibits, done once, two at once."""
    folder = tmp_path_factory.mktemp("batch")
    queue = write_queue(folder, *six(evidence, small), hashset=small.hashset, notify="told.jsonl")
    (folder / "cases" / "damaged").mkdir(parents=True)
    (folder / "cases" / "damaged" / "case.db").write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    return folder, run_command("batch", queue, "--json-progress", "--at-once", "2")


def test_what_can_be_done_is_done_and_what_cannot_is_reported(
    batch: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = batch
    assert done.returncode == 6, done.stderr
    rows = rows_of(folder / "cases")
    assert {reference: (row["state"], row["exit_code"]) for reference, row in rows.items()} == {
        "ABC/1": ("done", "0"),
        "ABC/2": ("failed", "4"),
        "ABC/3": ("done, with problems", "3"),
        "ABC/4": ("failed", "4"),
        "ABC/5": ("done", "0"),
        "ABC/6": ("failed", "6"),
    }
    assert "not its first" in rows["ABC/2"]["told"] or "E01" in rows["ABC/2"]["told"]
    assert rows["ABC/1"]["exact"] == "3"
    assert "not confirmed" in rows["ABC/1"]["hits"]  # no category of a scheme that nobody confirmed
    events = lines_of(done)
    assert events[-1]["event"] == "batch-finished"
    assert events[-1]["states"] == {"done": 2, "done, with problems": 1, "failed": 3}
    assert next(one["reference"] for one in events if one["event"] == "exhibit-began") == "ABC/5"
    assert any(one["event"] == "batch-progress" and one["in_work"] for one in events)
    summary = json.loads((folder / "cases" / "batch.json").read_text())
    assert [row["reference"] for row in summary["rows"]] == [f"ABC/{number}" for number in range(1, 7)]
    assert sum(hit["files"] for hit in summary["hits"]) == 3 + 3
    page = (folder / "cases" / "batch.html").read_text()
    assert "3 of 6 exhibits done, 3 failed" in page
    assert "./ABC-1/reports/report.html" in page


def test_reports_are_those_of_a_scan_alone(
    batch: tuple[Path, subprocess.CompletedProcess[str]], evidence: Path, small: Small, tmp_path: Path
) -> None:
    """Byte for byte, though another exhibit was scanned beside it; and by the serial executor too."""
    folder, _ = batch
    for reference, source, case in [("ABC/1", "one.dd", "ABC-1"), ("ABC/3", "phone", "ABC-3")]:
        alone = run_command("scan", evidence / source, "--case", tmp_path / case, "--hashset", small.hashset,
                            "--exhibit", reference, "--executor", "serial", "--quiet")  # fmt: skip
        assert alone.returncode in (0, 3), alone.stderr
        ours = comparable_reports(folder / "cases" / case / "reports")
        assert comparable_reports(tmp_path / case / "reports") == ours


def test_notices_and_journal_hold_no_path_of_the_evidence_and_no_hash(
    batch: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = batch
    notices = (folder / "told.jsonl").read_text()
    assert [json.loads(line)["event"] for line in notices.splitlines()] == ["exhibit-ended"] * 6 + ["batch-ended"]
    journal = (folder / "cases" / "batch.jsonl").read_text()
    with open_case(folder / "cases" / "ABC-1") as view:
        files = list(view.files())
    for text in (notices, journal, done.stdout, done.stderr):
        for row in files:
            assert row.path not in text
            assert row.md5 is None or row.md5.hex() not in text.lower()
    assert "/evidence" not in notices


def test_a_second_run_does_what_is_left(
    batch: tuple[Path, subprocess.CompletedProcess[str]], evidence: Path, small: Small
) -> None:
    folder, _ = batch
    shutil.rmtree(folder / "cases" / "damaged")
    before = {path: path.stat().st_mtime_ns for path in (folder / "cases" / "ABC-1").rglob("*")}
    done = run_command("batch", folder / "queue.toml", "--json-progress")
    assert done.returncode == 4, done.stderr
    events = lines_of(done)
    assert [one["reference"] for one in events if one["event"] == "exhibit-skipped"] == ["ABC/1", "ABC/3", "ABC/5"]
    assert {one["reference"] for one in events if one["event"] == "exhibit-began"} == {"ABC/2", "ABC/4", "ABC/6"}
    rows = rows_of(folder / "cases")
    assert (rows["ABC/6"]["state"], rows["ABC/1"]["earlier"], rows["ABC/6"]["earlier"]) == ("done", "yes", "")
    assert {path: path.stat().st_mtime_ns for path in (folder / "cases" / "ABC-1").rglob("*")} == before
    figures = run_command("figures", folder / "cases", "--out", folder / "figures")
    assert figures.returncode == 0, figures.stderr
    assert "6 exhibits" in figures.stdout
    page = (folder / "figures" / "unit-figures.html").read_text()
    assert "2 of 6 exhibits are not done" in page


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ('[[exhibit]]\nreference = "A"\nsource = "gone"\n', 4, "line 1, exhibit A: its source"),
        ('[[exhibit]]\nreference = "A"\nsource = "."\nhashsets = "gone.chs"\n', 2, "lies inside its source"),
        ('[[exhibit]]\nreference = "A"\nsource = "queue.toml"\nhashsets = "gone.chs"\n', 5, "gone.chs"),
        ('[[exhibit]]\nreference = "A"\nsource = "queue.toml"\nprofil = "quick"\n', 2, "did you mean profile?"),
    ],
)
def test_a_queue_with_a_fault_starts_nothing(tmp_path: Path, lines: str, code: int, said: str) -> None:
    (tmp_path / "queue.toml").write_text(lines)
    done = run_command("batch", tmp_path / "queue.toml")
    assert done.returncode == code
    assert said in done.stderr
    assert "nothing was started" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["queue.toml"]


def test_looking_at_a_queue_says_what_would_be_done_and_makes_nothing(
    evidence: Path, small: Small, tmp_path: Path
) -> None:
    queue = write_queue(tmp_path, *six(evidence, small), hashset=small.hashset)
    done = run_command("batch", queue, "--check")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[1:]] == [f"ABC/{n}" for n in (5, 1, 2, 4, 6, 3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["queue.toml"]


def test_a_units_memory_that_cannot_be_used_is_told_before_anything_starts(
    evidence: Path, small: Small, tmp_path: Path
) -> None:
    queue = write_queue(tmp_path, exhibit_table("A", evidence / "one.dd"), hashset=small.hashset)
    memory = tmp_path / "memory" / "unit.db"
    told = run_command("batch", queue, "--check", env={"CAID_TRIAGE_UNIT": str(memory)})
    assert "WARNING: CAID_TRIAGE_UNIT: there is no unit's memory in unit.db" in told.stderr
    assert run_command("unit", "make", "--unit", memory).returncode == 0
    done = run_command("batch", queue, "--check", env={"CAID_TRIAGE_UNIT": str(memory)})
    assert (done.returncode, done.stderr) == (0, "")
    assert "each case is to be looked up in the unit's memory unit.db (CAID_TRIAGE_UNIT)" in done.stdout


def test_wrong_words_are_usage(evidence: Path, tmp_path: Path) -> None:
    queue = write_queue(tmp_path, exhibit_table("A", evidence / "one.dd"))
    for words in (["--until", "8h"], ["--time-box", "soon"], ["--at-once", "0"], ["--watch", tmp_path / "none"]):
        assert run_command("batch", queue, *words).returncode == 2
    assert run_command("batch", queue, "--watch", tmp_path).returncode == 2  # the cases lie in it
    assert run_command("figures", tmp_path / "none").returncode == 2
    assert run_command("figures", evidence).returncode == 2


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@linux
def test_a_batch_that_is_interrupted_leaves_no_scan_and_goes_on(
    evidence: Path, small: Small, tmp_path: Path, batch: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    """Killed: tests/faults/test_durability_batch.py."""
    queue = write_queue(tmp_path, exhibit_table("ABC/3", evidence / "phone"), hashset=small.hashset)
    cases = tmp_path / "cases"
    with started(["-m", "caid_triage", "batch", queue]) as running:  # behind it no process of it is left
        wait_until(lambda: (cases / "ABC-3" / "case.db").exists() or running.poll() is not None)
        running.send_signal(signal.SIGINT)
        said, _ = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "interrupted: " in said
    assert rows_of(cases)["ABC/3"]["state"] in ("stopped", "done, with problems")
    done = run_command("batch", queue)
    assert done.returncode == 3, done.stderr
    assert comparable_reports(cases / "ABC-3" / "reports") == comparable_reports(
        batch[0] / "cases" / "ABC-3" / "reports"
    )


@linux
def test_a_scan_that_is_killed_is_resumed(evidence: Path, small: Small, tmp_path: Path) -> None:
    queue = write_queue(tmp_path, exhibit_table("ABC/1", evidence / "one.dd"), hashset=small.hashset)
    with started(["-m", "caid_triage", "batch", queue, "--json-progress"]) as running:
        wait_until((tmp_path / "cases" / "ABC-1" / "case.db").exists)
        listing = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(listing[0]), signal.SIGKILL)
        said, _ = running.communicate(timeout=120)
    assert running.returncode == 0, said
    assert "exhibit-died" in said
    assert rows_of(tmp_path / "cases")["ABC/1"]["tries"] == "2"


def test_what_comes_into_a_watched_folder_is_scanned(evidence: Path, small: Small, tmp_path: Path) -> None:
    arriving = tmp_path / "arriving"
    arriving.mkdir()
    shutil.copy(evidence / "one.dd", arriving / "Stick 7.dd")
    (arriving / "Stick 7.dd.ready").touch()
    shutil.copy(evidence / "one.dd", arriving / "unready.dd")
    queue = write_queue(tmp_path, hashset=small.hashset, marker=".ready")
    done = run_command("batch", queue, "--watch", arriving, "--until", "1s")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "cases")
    assert {reference: row["exact"] for reference, row in rows.items()} == {"Stick 7": "3"}


def test_a_time_box_looks_quickly_and_then_as_it_was_wanted(evidence: Path, small: Small, tmp_path: Path) -> None:
    queue = write_queue(tmp_path, exhibit_table("ABC/1", evidence / "one.dd"), hashset=small.hashset)
    done = run_command("batch", queue, "--time-box", "10min", "--json-progress")
    assert done.returncode == 0, (done.stdout, done.stderr)
    events = [one["event"] for one in lines_of(done)]
    assert events.count("exhibit-looked") == 1
    assert [one["whole"] for one in lines_of(done) if one["event"] == "exhibit-looked"] == [True]
    assert rows_of(tmp_path / "cases")["ABC/1"]["look"] == "whole"
    with open_case(tmp_path / "cases" / "ABC-1") as view:
        assert view.header.options["profile"] == "standard"


def test_what_is_stated_in_the_queue_stands_in_each_case_which_is_its_exhibits_all_the_same(
    evidence: Path, tmp_path: Path
) -> None:
    (tmp_path / "unit.toml").write_text('phone = "+44 20 0000"\n')
    stated = {"case_reference": "OP/7/26", "contact": "unit.toml", "examiner": "DC 1"}
    tables = [
        exhibit_table("A/1", evidence / "phone", operation="Larch", seized="2026-03-02", **stated),
        exhibit_table("A/2", evidence / "one.dd", **stated),
    ]
    assert run_command("batch", write_queue(tmp_path, *tables), "--quiet").returncode == 3
    said = [json.loads((tmp_path / "cases" / name / "reports" / "summary.json").read_text())["case"] for name in
            ("A-1", "A-2")]  # fmt: skip
    assert [one["reference"] for one in said] == ["OP/7/26"] * 2
    assert [one["operation"] for one in said] == ["Larch", ""]
    assert [one.get("seized") for one in said] == [{"A/1": "2026-03-02"}, None]
    assert {(one["examiner"], one["contact"]["phone"]) for one in said} == {("DC 1", "+44 20 0000")}
    assert set(rows_of(tmp_path / "cases")) == {"A/1", "A/2"}
    again = run_command("batch", write_queue(tmp_path, *tables), "--problems-again", "--quiet")
    assert again.returncode == 3, again.stderr  # the folders hold these exhibits, whatever the cases are called
    figures = run_command("figures", tmp_path / "cases" / "A-1", "--out", tmp_path / "figures")
    assert figures.returncode == 0
    with (tmp_path / "figures" / "unit-figures.csv").open(encoding="utf-8", newline="") as lines:
        assert [row["reference"] for row in csv.DictReader(lines)] == ["A/1"]
