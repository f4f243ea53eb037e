"""A case survives a killed writer, a full disk, a second writer and a folder that cannot be written to."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.trail import verify_audit
from unit.case import samples

from caid_triage.case import audit as audit_module
from caid_triage.case.lock import CaseLock
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import CaseWriter, create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.report.write import write_reports

PATHS = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2])]
BATCH = 40

# Writes batches for ever and says each number when it is stored.
WRITER = f"""
import sys
sys.path[:0] = {PATHS!r}
from pathlib import Path
from unit.case import samples
from caid_triage.case.store import open_case_for_writing
with open_case_for_writing(Path(sys.argv[1])) as case:
    source_id = case.add_source(samples.source(), {{}})
    begin = len(case.done(source_id)) // {BATCH}
    for batch in range(begin, 10**9):
        records = [samples.record(batch * {BATCH} + n, found=(samples.problem(),)) for n in range({BATCH})]
        case.write_batch(source_id, records, [(samples.match(),)] * {BATCH}, [], (batch + 1) * {BATCH})
        case.audit("batch", number=batch)
        print(batch, flush=True)
"""

HOLDER = f"""
import sys
sys.path[:0] = {PATHS!r}
from pathlib import Path
from caid_triage.case.store import open_case_for_writing
with open_case_for_writing(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def made(folder: Path) -> Path:
    with create_case(folder, CaseHeader("R")) as case:
        case.record_hashset(samples.NOTABLE)
    return folder


def start(script: str, folder: Path) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", script, str(folder)], stdin=pipe, stdout=pipe, text=True)


def figures(folder: Path) -> tuple[int, ...]:
    with closing(sqlite3.connect(f"file:{folder / 'case.db'}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        tables = "entry", "perceptual_hash", "entry_problem", "file_match"
        return tuple(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize("delay", [0.0, 0.011, 0.037])
def test_a_writer_killed_in_mid_batch_leaves_whole_batches_and_can_be_resumed(tmp_path: Path, delay: float) -> None:
    folder = made(tmp_path / "case")
    acknowledged = -1
    for _ in range(2):
        with start(WRITER, folder) as process:
            assert process.stdout is not None
            for _ in range(3):
                acknowledged = int(process.stdout.readline())
            time.sleep(delay)
            process.kill()
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    entries, hashes, problems, matches = figures(folder)
    assert entries % BATCH == 0
    assert (hashes, problems, matches) == (2 * entries, entries, entries)
    assert entries >= (acknowledged + 1) * BATCH
    with open_case(folder) as view:
        assert view.conservation().walked == view.conservation().stored == entries
    # The dead process's lock blocks nobody, and its audit chain can go on.
    with open_case_for_writing(folder) as case:
        case.audit("resumed")
    assert verify_audit(folder) == []


def test_a_second_process_is_told_that_the_case_is_in_use(tmp_path: Path) -> None:
    folder = made(tmp_path / "case")
    with start(HOLDER, folder) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(CaseError, match="in use by another process") as caught:
            open_case_for_writing(folder)
        assert caught.value.exit_code == 6
        with open_case(folder) as view:
            assert view.header.reference == "R"
        process.communicate("")
    open_case_for_writing(folder).close()


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    folder = made(tmp_path / "case")
    with start(HOLDER, folder) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert (folder / "case.lock").exists()
    open_case_for_writing(folder).close()


def test_a_case_that_could_not_be_opened_does_not_stay_locked(tmp_path: Path) -> None:
    folder = made(tmp_path / "case")
    (folder / "case.db").write_bytes(b"not a database" * 100)
    with pytest.raises(CaseError):
        open_case_for_writing(folder)
    CaseLock(folder).release()


def mount_small(folder: Path) -> bool:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> object:
    folder = tmp_path / "small"
    if not mount_small(folder):
        pytest.skip(
            "a small file system cannot be mounted here (needs root); the database's own limit is tested instead"
        )
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(case: CaseWriter, source_id: int) -> int:
    """Write batches until one fails for want of space; returns how many files were acknowledged."""
    acknowledged = [0]

    def write_for_ever() -> None:
        for batch in range(10_000):
            records = [samples.record(batch * BATCH + n) for n in range(BATCH)]
            case.write_batch(source_id, records, [()] * BATCH, [], 0)
            acknowledged[0] += BATCH

    with pytest.raises(CaseError, match="no space is left") as caught:
        write_for_ever()
    assert caught.value.exit_code == 6
    return acknowledged[0]


def test_a_full_disk_stops_cleanly_and_loses_nothing(small_disk: Path) -> None:
    folder = small_disk / "case"
    with create_case(folder, CaseHeader("R")) as case:
        stored = fill(case, case.add_source(samples.source(), {}))
        assert stored > 0
    assert figures(folder)[0] == stored
    with open_case(folder) as view:
        assert sum(1 for _ in view.files()) == stored


def test_a_full_disk_leaves_the_earlier_reports_whole(small_disk: Path) -> None:
    folder = small_disk / "case"
    with create_case(folder, CaseHeader("R")) as case:
        source_id = case.add_source(samples.source(), {})
        case.write_batch(source_id, [samples.record(n) for n in range(BATCH)], [()] * BATCH, [], BATCH)
    out = folder / "reports"
    with open_case(folder) as view:
        write_reports(view, out)
        before = {path.name: path.read_bytes() for path in out.iterdir()}
        free = os.statvfs(small_disk)
        (small_disk / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 8192))
        with pytest.raises(CaseError, match="earlier reports there are whole"):
            write_reports(view, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_a_full_database_says_so_and_rolls_back(tmp_path: Path) -> None:
    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        source_id = case.add_source(samples.source(), {})
        (pages,) = case._connection.execute("PRAGMA page_count").fetchone()
        case._connection.execute(f"PRAGMA max_page_count = {pages + 40}")
        stored = fill(case, source_id)
        assert stored > 0
        assert not case._connection.in_transaction
    assert figures(tmp_path / "case")[0] == stored


def test_an_audit_line_that_does_not_fit_leaves_the_chain_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        case.audit("one")
        with monkeypatch.context() as patch:
            patch.setattr(audit_module.os, "fsync", full)
            with pytest.raises(CaseError, match="no space is left"):
                case.audit("two")
        case.audit("three")
    actions = [json.loads(line)["action"] for line in (tmp_path / "case" / "audit.jsonl").read_bytes().splitlines()]
    assert actions == ["one", "three", "closed"]
    assert verify_audit(tmp_path / "case") == []


def test_an_audit_line_that_the_database_could_not_note_is_taken_back(tmp_path: Path) -> None:
    """The disk is full between a line and its note, twice: the lines after them would stand two ahead of the note."""
    with create_case(tmp_path / "case", CaseHeader("R")) as case:
        case.audit("one")
        case._connection.execute("PRAGMA query_only = ON")
        for _ in range(2):
            with pytest.raises(CaseError):
                case.audit("not noted")
        case._connection.execute("PRAGMA query_only = OFF")
        case.audit("two")
    assert b"not noted" not in (tmp_path / "case" / "audit.jsonl").read_bytes()
    assert verify_audit(tmp_path / "case") == []


def test_two_kills_between_a_line_and_its_note_are_no_change_from_outside(tmp_path: Path) -> None:
    made(tmp_path / "case")
    for _ in range(2):
        case = open_case_for_writing(tmp_path / "case")
        case.begin()
        head = case._connection.execute("SELECT sequence, sha256 FROM audit_head").fetchone()
        case.audit("line")
        case._connection.execute("UPDATE audit_head SET sequence = ?, sha256 = ?", head)  # it was not noted
        case._connection.close()  # and the process ends here, without a word
        case._lock.release()
    with open_case_for_writing(tmp_path / "case") as case:
        case.audit("after")
    assert verify_audit(tmp_path / "case") == []


def test_a_folder_that_cannot_be_written_to_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path / "case")
    (folder / "case.lock").unlink()
    if os.geteuid() == 0:
        # Root may write everywhere: let the system call refuse instead.
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    else:
        folder.chmod(0o500)
    try:
        with pytest.raises(CaseError, match="cannot be written to; give write permission") as caught:
            open_case_for_writing(folder)
        assert caught.value.exit_code == 6
    finally:
        folder.chmod(0o700)


def test_a_damaged_database_is_said_so(tmp_path: Path) -> None:
    folder = made(tmp_path / "case")
    with open_case_for_writing(folder) as case:
        source_id = case.add_source(samples.source(), {})
        for batch in range(5):
            records = [samples.record(batch * BATCH + n) for n in range(BATCH)]
            case.write_batch(source_id, records, [()] * BATCH, [], 0)
    content = bytearray((folder / "case.db").read_bytes())
    content[4096 * 2 :] = os.urandom(len(content) - 4096 * 2)
    (folder / "case.db").write_bytes(content)
    with pytest.raises(CaseError, match="database is damaged"), open_case(folder) as view:
        list(view.files())
