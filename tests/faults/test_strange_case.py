"""A case folder that a stranger made: pipes, devices and links in place of files keep nobody waiting, lead nowhere."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from unit.case.full import make_full_case

from caid_triage.case.audit import MOST_BYTES, MOST_LINES
from caid_triage.case.journal import REMARKED, Journal
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.report.on_record import REPORTS, write_reports_on_record
from caid_triage.report.verify import check_whole_case, verify_case
from caid_triage.report.write import write_reports

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
MOST_SECONDS = 60
PIECES = ["audit.jsonl", "case.lock", "case.db-wal", "case.db-journal", "case.db-shm"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_full_case(tmp_path_factory.mktemp("whole") / "case")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "case"))


def command(*words: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, which a pipe that is waited for would keep for good."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "caid_triage", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("name", PIECES)
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    checked, written = command("verify", folder), command("report", "--case", folder)
    assert checked.returncode in (0 if name in ("case.lock", "case.db-shm") else 7,), checked.stderr
    assert written.returncode == 6, written.stderr
    assert name in written.stderr


@pytest.mark.parametrize("name", ["decisions.jsonl", "decisions.lock"])
@pytest.mark.parametrize("target", ["pipe", "/dev/zero", "../nowhere"])
def test_a_journal_of_grades_that_is_no_file_is_neither_read_nor_written_through(
    folder: Path, name: str, target: str
) -> None:
    (folder / name).unlink(missing_ok=True)
    if target == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to(target)
    with pytest.raises(CaseError, match=f"{name} is no file"):
        Journal(folder).append(REMARKED, "A", contents=[], note="")
    if name == "decisions.jsonl":
        assert any(fault.where.startswith(name) for fault in verify_case(folder))
        with open_case_for_writing(folder) as case:
            case.audit("next")
        assert b'"audit-fault"' in (folder / "audit.jsonl").read_bytes()
    assert not (folder.parent / "nowhere").exists()


@pytest.mark.parametrize("target", ["/dev/zero", "audit.jsonl", "../nowhere"])
def test_a_trail_that_is_no_file_is_not_read(folder: Path, target: str) -> None:
    (folder / "audit.jsonl").unlink()
    (folder / "audit.jsonl").symlink_to(target)
    (fault,) = verify_case(folder)
    assert fault.what == "is no file: nothing was checked"
    with pytest.raises(CaseError, match="is no file"), open_case_for_writing(folder) as case:
        case.audit("next")
    assert not (folder.parent / "nowhere").exists()


@pytest.mark.parametrize(("size", "lines"), [(MOST_BYTES + 1, 0), (0, MOST_LINES + 1)])
def test_a_trail_larger_than_any_is_not_read(folder: Path, size: int, lines: int) -> None:
    with (folder / "audit.jsonl").open("r+b") as file:
        file.truncate(max(size, 1))
        file.seek(0, 2)
        file.write(b"\n" * lines)
    (fault,) = verify_case(folder)
    assert "any" in fault.what
    with pytest.raises(CaseError, match="restore it from a copy"), open_case_for_writing(folder) as case:
        case.audit("next")


@pytest.mark.parametrize("name", ["case.db-wal", "case.db-journal", "case.db-shm"])
def test_what_sqlite_would_write_through_is_refused_and_a_fault(folder: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"precious")
    (folder / name).symlink_to(outside)
    assert name == "case.db-shm" or name in {fault.where for fault in verify_case(folder)}
    with pytest.raises(CaseError, match="it was put there"), open_case_for_writing(folder) as case:
        case.audit("next")
    with pytest.raises(CaseError, match="it was put there"), open_case(folder):
        pass
    assert outside.read_bytes() == b"precious"


@pytest.mark.parametrize("broken", [False, True])
def test_reports_are_never_written_through_a_link(folder: Path, tmp_path: Path, broken: bool) -> None:
    outside = tmp_path / "outside"
    if not broken:
        outside.write_bytes(b"precious")
    names = [path.name for path in (folder / REPORTS).iterdir()]
    for name in names:
        (folder / REPORTS / f"{name}.part").symlink_to(outside)
    with open_case_for_writing(folder) as case:
        write_reports_on_record(case, folder / REPORTS)
    with open_case(folder) as view:
        write_reports(view, folder / REPORTS, ["problems"])
    assert outside.exists() is not broken
    assert broken or outside.read_bytes() == b"precious"
    assert not any((folder / REPORTS / name).is_symlink() for name in names)


@pytest.mark.parametrize("database", ["3", '["x"]', "null", '{"size":"\\u001b[2J","sha256":{}}'])
def test_a_forged_end_of_the_trail_is_a_fault_and_ends_no_command(folder: Path, database: str) -> None:
    with (folder / "audit.jsonl").open("a") as file:
        file.write(f'{{"action":"closed","content":[],"database":{database},"digest":{{}},"sequence":["x"]}}\n')
    assert verify_case(folder)
    with open_case_for_writing(folder) as case:
        case.audit("next")
    assert any("was changed outside" in fault.what for fault in check_whole_case(folder).faults)


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    ("statements", "part"),
    [
        (["CREATE TRIGGER t AFTER UPDATE ON audit_head BEGIN DELETE FROM entry_problem; END"], "trigger t"),
        (
            [
                "DROP TABLE digest",
                f"CREATE VIEW digest AS {ENDLESS} SELECT 'entry' AS name, x AS unit, 1 AS rows, x'' AS sha256, "
                "x'' AS marks FROM n",
            ],
            "view digest",
        ),
        (["DROP TABLE audit_head", f"CREATE VIEW audit_head AS {ENDLESS} SELECT max(x) AS sequence FROM n"], "view"),
        (["CREATE VIRTUAL TABLE v USING fts5(a)"], "virtual table v"),
        (["DROP TABLE digest"], "table digest"),
        (["ALTER TABLE entry RENAME TO e"], "table entry"),
        (["PRAGMA user_version = 5"], "table batch"),
        (
            ["ALTER TABLE volume RENAME COLUMN name TO n", "ALTER TABLE volume ADD COLUMN name AS (n || 'x')"],
            "table volume",
        ),
    ],
)
def test_nothing_of_a_stranger_s_schema_is_run(folder: Path, statements: list[str], part: str) -> None:
    with closing(sqlite3.connect(folder / "case.db", isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)
    rows = (folder / "case.db").read_bytes()
    faults = verify_case(folder)
    assert any(part in fault.where for fault in faults) or "table" in part, faults
    assert any(fault.where.startswith("case.db") for fault in faults)
    with pytest.raises(CaseError, match=part), open_case_for_writing(folder) as case:
        case.audit("next")
    with pytest.raises(CaseError, match=part), open_case(folder):
        pass
    assert (folder / "case.db").read_bytes() == rows


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_head SET sequence = 'x', sha256 = x'00'", "UPDATE audit_head SET sequence = -5",
     "UPDATE audit_head SET sequence = 9223372036854775807"],
)  # fmt: skip
def test_a_forged_note_of_the_trail_is_on_record_and_ends_no_command(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "case.db", isolation_level=None)) as database:
        database.execute(statement)
    assert verify_case(folder)
    with open_case_for_writing(folder) as case:
        case.audit("next")
    assert any("was changed outside" in fault.what for fault in check_whole_case(folder).faults)


def test_a_text_that_is_no_utf_8_is_damage_in_words(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "case.db", isolation_level=None)) as database:
        database.execute("UPDATE batch SET entries = CAST(x'ff00' AS TEXT)")
    assert verify_case(folder)
    with pytest.raises(CaseError, match="damaged"), open_case_for_writing(folder) as case:
        case.audit("next")
