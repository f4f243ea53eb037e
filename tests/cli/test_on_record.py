"""What commands put on record of themselves, and what they say of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from support.cli import Small, run_command

ENVIRONMENT = {"CAID_TRIAGE_HOST": "", "CAID_TRIAGE_EXAMINER": "A. Examiner"}


@pytest.fixture(scope="module")
def scanned(small: Small, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A case and what its scan printed."""
    folder = tmp_path_factory.mktemp("on-record")
    secrets = folder / "secrets.txt"
    secrets.write_text("passphrase-of-the-suspect\n")
    case = folder / "case"
    done = run_command("scan", small.image, "--case", case, "--hashset", small.hashset, "--workers", 1,
                       "--password-file", secrets, "--quiet", env=ENVIRONMENT)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return case, done.stdout


def audit(case: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (case / "audit.jsonl").read_bytes().splitlines()]


def test_a_scan_is_on_record_with_its_options_its_user_and_every_version(scanned: tuple[Path, str]) -> None:
    case, _ = scanned
    command = audit(case)[0]
    assert command["action"] == "command"
    assert command["command"] == "scan"
    assert command["user"] == "A. Examiner"
    assert "host" not in command
    assert command["options"] == {
        "SOURCE...": ["small.dd"],
        "--case": "case",
        "--hashset": ["set.chs"],
        "--workers": 1,
        "--executor": "pool",
        "--profile": "standard",
        "--password-file": True,
        "--quiet": True,
    }
    text = (case / "audit.jsonl").read_text()
    assert "passphrase" not in text
    assert str(case.parent) not in text


def test_the_last_line_is_printed_in_groups_and_covers_the_case(scanned: tuple[Path, str]) -> None:
    case, said = scanned
    last = (case / "audit.jsonl").read_bytes().splitlines()[-1]
    (line,) = [line for line in said.splitlines() if line.startswith("audit trail: ")]
    assert "".join(line.split()[-4:]) == hashlib.sha256(last).hexdigest()
    assert line.startswith(f"audit trail: {len(audit(case))} lines")
    assert json.loads(last)["database"]["sha256"] == hashlib.sha256((case / "case.db").read_bytes()).hexdigest()
    done = run_command("verify", case)
    assert done.returncode == 0, done.stderr
    assert line in done.stdout
    done = run_command("verify", case, "--noted", " ".join(line.split()[-4:]))
    assert done.returncode == 0, done.stderr


def test_each_fault_is_a_line_of_its_own_and_7_the_end(scanned: tuple[Path, str], tmp_path: Path) -> None:
    case = Path(shutil.copytree(scanned[0], tmp_path / "case"))
    (case / "reports" / "files.csv").write_text("less")
    with (case / "case.db").open("r+b") as file:
        file.seek(-1, 2)
        (byte,) = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([byte ^ 1]))
    done = run_command("verify", case)
    assert done.returncode == 7
    assert "  reports/files.csv: is not as it was written" in done.stderr
    assert "  case.db: is not the file that the last line of audit.jsonl names" in done.stderr


def test_reports_of_a_case_that_is_in_use_are_written_without_a_line(scanned: tuple[Path, str], tmp_path: Path) -> None:
    case = Path(shutil.copytree(scanned[0], tmp_path / "case"))
    before = audit(case)
    holder = (
        "import pathlib, sys; from caid_triage.case.store import open_case_for_writing\n"
        "with open_case_for_writing(pathlib.Path(sys.argv[1])):\n    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", holder, str(case)], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        done = run_command("report", "--case", case, "--out", tmp_path / "out", "--format", "summary")
        assert (done.returncode, "no line of this" in done.stderr) == (0, True)
        assert run_command("verify", case).returncode == 6
        reports = {path.name: path.read_bytes() for path in (case / "reports").iterdir()}
        own = run_command("report", "--case", case)
        assert (own.returncode, "--out DIR" in own.stderr) == (6, True), own.stderr
        assert {path.name: path.read_bytes() for path in (case / "reports").iterdir()} == reports
        process.communicate("")
    assert (tmp_path / "out" / "summary.json").is_file()
    assert audit(case) == before
    assert run_command("verify", case).returncode == 0


def test_reports_of_a_case_that_was_changed_from_outside_say_so(
    scanned: tuple[Path, str], small: Small, tmp_path: Path
) -> None:
    case = tmp_path / "case"
    shutil.copytree(scanned[0], case)
    clean = run_command("report", "--case", case)
    assert "WARNING" not in clean.stderr
    assert "changed-outside" not in (case / "reports" / "report.html").read_text()
    with closing(sqlite3.connect(case / "case.db")) as database, database:
        database.execute("UPDATE entry SET path = '/other.jpg' WHERE id = (SELECT min(id) FROM entry)")
    line = 1 + len(audit(case))
    first = run_command("report", "--case", case)
    later = run_command("match", "--case", case, "--hashset", small.hashset)
    for done in (first, later):  # for good, not only by the command that noticed it
        assert done.returncode == 0
        assert f"WARNING: line {line} of audit.jsonl records that the case was changed from outside" in done.stderr
    assert f"as line {line} of its audit trail records" in (case / "reports" / "report.html").read_text()
    assert run_command("verify", case).returncode == 7
