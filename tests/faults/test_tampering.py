"""Whatever is changed in a case behind the program's back, ``verify`` finds it and says where; a kill is told apart."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from unit.case import samples
from unit.case.full import make_full_case
from unit.report import exhibits

from caid_triage.case.audit import canonical_json, chain_faults, own_digest
from caid_triage.case.closing import file_facts
from caid_triage.case.command import Command
from caid_triage.case.digests import OF_DETAILS, OF_FILES, OF_LINKS, OF_SAMPLES, OF_UNITS, DigestTable, content_digest
from caid_triage.case.encode import ENTRY_COLUMNS
from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError
from caid_triage.report.on_record import REPORTS, write_reports_on_record
from caid_triage.report.verify import Trust, check_whole_case, verify_case
from caid_triage.report.write import write_reports

SEED, CHANGES = 20261129, int(os.environ.get("CAID_TRIAGE_BYTE_CHANGES", "1000"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_full_case(tmp_path_factory.mktemp("whole") / "case")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "case"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_whole_case_verifies_and_verifying_changes_nothing(folder: Path) -> None:
    before = contents(folder)
    check = check_whole_case(folder)
    assert (check.faults, check.notes) == ([], [])
    assert check.rows > 150
    assert contents(folder) == before


def test_every_table_has_rows_in_these_tests_and_is_digested(whole: Path) -> None:
    with closing(sqlite3.connect(whole / "case.db")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        assert {*tables} == {*OF_FILES, *OF_UNITS} - {"sqlite_schema"} | {"audit_head", "batch", "digest"}
        for table in tables:
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone()[0], table


def test_any_changed_byte_of_any_file_is_found(folder: Path) -> None:
    """Half of the changes anywhere, the others in each file in turn: short files would hardly be met."""
    random_ = random.Random(SEED)
    files = {name: len(content) for name, content in contents(folder).items() if not name.endswith(".lock")}
    names = sorted(files)
    assert "audit.jsonl" in names
    assert "reports/MANIFEST.sha256" in names
    missed = []
    for number in range(CHANGES):
        (name,) = (
            random_.choices(names, [files[one] for one in names]) if number % 2 else [names[number // 2 % len(names)]]
        )
        place, change = random_.randrange(files[name]), random_.randrange(1, 256)
        with (folder / name).open("r+b") as file:
            file.seek(place)
            (was,) = file.read(1)
            file.seek(place)
            file.write(bytes([was ^ change]))
        faults = verify_case(folder)
        if not any(fault.where.startswith(name) for fault in faults):
            missed.append((name, place, change, faults))
        with (folder / name).open("r+b") as file:
            file.seek(place)
            file.write(bytes([was]))
    assert missed == []
    assert verify_case(folder) == []


def test_every_byte_of_every_line_is_bound(whole: Path) -> None:
    """By the line itself: nothing of the database or of the lines after it is asked."""
    lines = (whole / "audit.jsonl").read_bytes().splitlines()
    for number, line in enumerate(lines):
        for place in range(0, len(line), 1 if number == len(lines) - 1 else 7):
            broken = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
            first = next(chain_faults([*lines[:number], broken, *lines[number + 1 :]]))
            assert first.where == f"audit.jsonl line {number + 1}", place


def changed(folder: Path, *statements: str) -> list[str]:
    """What is found after the database was changed by SQL, but for the sentence that the file is another."""
    with closing(sqlite3.connect(folder / "case.db")) as database:
        for statement in statements:
            assert database.execute(statement).rowcount != 0, statement
        database.commit()
    first, *faults = map(str, verify_case(folder))
    assert first.startswith("case.db: is not the file")
    return faults


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE entry SET size = size + 1 WHERE id = {102}", "entry, batch {b}, row entry [102]: was changed"),
        ("UPDATE entry SET sha256 = x'00' WHERE id = {103}", "entry, batch {b}, row entry [103]: was changed"),
        ("DELETE FROM entry WHERE id = {102}", "entry, batch {b}: 1 row was removed after row entry [101]"),
        ("DELETE FROM entry WHERE id = {100}", "entry, batch {b}: 1 row was removed before row entry [101]"),
        (
            "INSERT INTO entry SELECT id + 90, {columns} FROM entry WHERE id = {102}",
            "entry, row entry {102+90} (source 1, file 102, part 90): was added outside: no batch stored it",
        ),
        (
            "UPDATE perceptual_hash SET value = x'00' WHERE entry_id = {102} AND position = 1",
            "perceptual_hash, batch {b}, row entry [102], position 1: was changed",
        ),
        (
            "DELETE FROM metadata WHERE entry_id = {102} AND position = 1",
            "metadata, batch {b}: 1 row was removed after row entry [102], position 0",
        ),
        (
            "INSERT INTO metadata VALUES ({102}, 7, 'a', 'b')",
            "metadata, batch {b}, row entry [102], position 7: was added outside",
        ),
        (
            "UPDATE metadata SET entry_id = {103}, position = 9 WHERE entry_id = {102} AND position = 1",
            "metadata, batch {b}: 1 row was removed after row entry [102], position 0",
        ),
        (
            "UPDATE file_match SET distance = 9 WHERE entry_id = {102}",
            "file_match, batch {b}, row entry [102], hashset_id 1, position 0: was changed",
        ),
        (
            "DELETE FROM file_match WHERE entry_id = {102}",
            "file_match, batch {b}: 1 row was removed after row entry [101], hashset_id 1, position 0",
        ),
        ("UPDATE header SET examiner = 'B'", "header, row only_one 1: was changed"),
        ("UPDATE source SET walked = 1 WHERE id = 1", "source, source 1 (exhibit ABC/1), row id 1: was changed"),
        ("DELETE FROM decision", "decision, decision 1: 1 row was removed"),
        ("UPDATE decision SET note = 'x'", "decision, decision 1, row id 1: was changed"),
        (
            "UPDATE ledger SET kind = 'slack' WHERE start = 512",
            "ledger, source 1 (exhibit ABC/1), row source_id 1, position 1: was changed",
        ),
        (
            "UPDATE regrade_row SET after = 'x' WHERE entry_id = {102}",
            "regrade_row, re-grading 1, row regrade_id 1, entry [102], hashset unit-set: was changed",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
            "sqlite_schema, trigger t: was added outside",
        ),
        ("UPDATE category SET label = 'x' WHERE id = 1", "category, row id 1: was changed"),
        ("DELETE FROM wide_problem WHERE source_id = 0", "wide_problem, source 0: 1 row was removed"),
        ("UPDATE run SET outcome = 'failed' WHERE id = 2", "run, row id 2: was changed"),
        ("UPDATE hashset SET generation = 'g3'", "hashset, row id 1: was changed"),
    ],
)
def test_a_changed_row_is_named_with_its_table_and_batch(folder: Path, statement: str, said: str) -> None:
    with closing(sqlite3.connect(folder / "case.db")) as database:
        found = database.execute("SELECT path, id FROM entry WHERE path LIKE '%/10_.jpg'").fetchall()
        ids = {path[-7:-4]: identity for path, identity in found}
        (batch,) = database.execute("SELECT max(id) - 1 FROM batch").fetchone()
    names = {f"{{{n}}}": str(identity) for n, identity in ids.items()}
    names |= {f"[{n}]": f"{identity} (source 1, file {n})" for n, identity in ids.items()}
    names |= {"{b}": str(batch), "{102+90}": str(ids["102"] + 90), "{columns}": ENTRY_COLUMNS.removeprefix("id, ")}
    for name, value in names.items():
        statement, said = statement.replace(name, value), said.replace(name, value)
    sentences = changed(folder, statement)
    assert f"case.db table {said}" in sentences
    assert not any("/102.jpg" in sentence for sentence in sentences)  # no path of the evidence


def test_a_removed_batch_is_named(folder: Path) -> None:
    found = changed(folder, "DELETE FROM batch WHERE id = 2")
    assert "case.db table entry, batch 2: is not there any more, only its digest is" in found
    assert "case.db: its digests are not those that audit.jsonl ends with" in found


def test_rows_changed_with_their_digest_are_found_by_the_chain(folder: Path) -> None:
    """Who recomputes what the database holds still has the audit chain against him, also after a vacuum."""
    with closing(sqlite3.connect(folder / "case.db", isolation_level=None)) as database:
        digests = DigestTable(database)
        database.execute("UPDATE source SET walked = 1 WHERE id = 1")
        digests.touch("source", 1)
        digests.settle()
    found = list(map(str, verify_case(folder)))
    assert found[1:] == ["case.db: its digests are not those that audit.jsonl ends with"]


def test_a_vacuum_changes_the_file_and_no_row(folder: Path) -> None:
    assert changed(folder, "VACUUM") == []


def test_a_row_changed_before_the_case_goes_on_is_still_found_and_on_record(folder: Path) -> None:
    changed(folder, "UPDATE entry SET size = 1 WHERE path LIKE '%/102.jpg'", "UPDATE header SET examiner = 'B'")
    with open_case_for_writing(folder) as case:
        write_reports_on_record(case, folder / REPORTS)
    found = list(map(str, verify_case(folder)))
    assert any("records that case.db was changed outside the program before this line" in fault for fault in found)
    assert any("table entry, batch" in fault and "file 102" in fault for fault in found)
    assert any("table header" in fault for fault in found)
    assert not any("is not the file" in fault for fault in found)


@pytest.mark.parametrize("name", ["case.db-wal", "case.db-journal"])
def test_a_log_put_beside_a_closed_case_is_found(folder: Path, name: str) -> None:
    if name == "case.db-wal":  # a real one, with another examiner in it
        copy = folder.parent / "copy.db"
        shutil.copyfile(folder / "case.db", copy)
        with closing(sqlite3.connect(copy, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("UPDATE header SET examiner = 'B'")
            shutil.copyfile(f"{copy}-wal", folder / name)
    else:
        (folder / name).write_bytes(b"not empty")
    assert any(fault.where == name for fault in verify_case(folder))
    with open_case_for_writing(folder) as case:
        case.audit("next")
    assert any("changed outside" in fault.what for fault in verify_case(folder))


REPORT_CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "changed": (
        lambda reports: (reports / "files.csv").write_text("less"),
        "reports/files.csv: is not as it was written",
    ),
    "removed": (lambda reports: (reports / "vics.json").unlink(), "reports/vics.json: is missing"),
    "added": (
        lambda reports: (reports / "extra.txt").write_text("more"),
        "reports/extra.txt: is not in MANIFEST.sha256",
    ),
    "manifest removed": (lambda reports: (reports / "MANIFEST.sha256").unlink(), "reports/MANIFEST.sha256: is missing"),
    "all removed": (shutil.rmtree, "reports/: is missing"),
}


@pytest.mark.parametrize("kind", REPORT_CHANGES)
def test_a_report_that_was_changed_is_named(folder: Path, kind: str) -> None:
    change, said = REPORT_CHANGES[kind]
    change(folder / REPORTS)
    assert list(map(str, verify_case(folder))) == [said]


def test_reports_exchanged_with_their_manifest_are_found(folder: Path, tmp_path: Path) -> None:
    with open_case(folder) as view:
        write_reports(view, tmp_path / "other", ["matches"])
    (tmp_path / "other" / "matches.csv").write_text("a,b\n")
    digest = hashlib.sha256(b"a,b\n").hexdigest()
    (tmp_path / "other" / "MANIFEST.sha256").write_text(f"{digest}  matches.csv\n")
    shutil.rmtree(folder / REPORTS)
    shutil.copytree(tmp_path / "other", folder / REPORTS)
    found = [fault.where for fault in verify_case(folder)]
    assert {"reports/matches.csv", "reports/MANIFEST.sha256", "reports/files.csv"} <= set(found)


def test_reports_that_no_command_wrote_are_found(tmp_path: Path) -> None:
    folder = exhibits.make_case(tmp_path / "case", exhibits.busy_items())
    assert verify_case(folder) == []
    with open_case(folder) as view:
        write_reports(view, folder / REPORTS)
    (fault,) = verify_case(folder)
    assert str(fault).startswith("reports/: no line of audit.jsonl says that these were written")


def test_the_head_printed_in_the_reports_is_a_line_of_the_chain(folder: Path) -> None:
    lines = (folder / "audit.jsonl").read_bytes().splitlines()
    printed = json.loads((folder / REPORTS / "summary.json").read_text("utf-8"))["audit"]
    line = lines[printed["sequence"] - 1]
    assert hashlib.sha256(line).hexdigest() == printed["sha256"]
    assert json.loads(line)["action"] == "withdrawn"  # the last that changed what a report says
    before = {path.name: path.read_bytes() for path in (folder / REPORTS).iterdir()}
    with open_case_for_writing(folder) as case:
        write_reports_on_record(case, folder / REPORTS)
    assert {path.name: path.read_bytes() for path in (folder / REPORTS).iterdir()} == before
    (shown,) = re.findall(r'id="run-times">.*', (folder / REPORTS / "report.html").read_text("utf-8"))
    assert printed["sha256"] in shown


def test_a_chain_that_is_not_the_one_that_was_noted_is_found(folder: Path) -> None:
    lines = (folder / "audit.jsonl").read_bytes().splitlines()
    for line in lines:
        assert check_whole_case(folder, Trust(noted=hashlib.sha256(line).hexdigest())).faults == []
    (fault,) = check_whole_case(folder, Trust(noted="0" * 64)).faults
    assert "no line has the SHA-256 that was noted" in fault.what


# -- not closed, and no tampering -------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from unit.case import samples
from caid_triage.case.encode import ENTRY_COLUMNS
from caid_triage.case.store import open_case_for_writing
case = open_case_for_writing(Path(sys.argv[1]))
case.audit("working")
case.write_batch(1, [samples.record(500)], [()], [], 500)
if sys.argv[2] == "closing":
    case._audit.append_closed = lambda **_: os.kill(os.getpid(), signal.SIGKILL)
    case.close()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
@pytest.mark.parametrize(
    ("moment", "said"), [("working", "the case was not closed"), ("closing", "the last line, closed,")]
)
def test_a_killed_command_is_told_from_tampering_and_put_on_record(folder: Path, moment: str, said: str) -> None:
    script = KILLED.format(paths=[str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    done = subprocess.run([sys.executable, "-c", script, str(folder), moment], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = contents(folder)
    (fault,) = verify_case(folder)
    assert fault.what.startswith(said)
    assert "caid-triage report" in fault.what
    assert {name: content for name, content in contents(folder).items() if name != "case.db-shm"} == {
        name: content for name, content in before.items() if name != "case.db-shm"
    }
    with open_case_for_writing(folder) as case:
        write_reports_on_record(case, folder / REPORTS)
    check = check_whole_case(folder)
    assert check.faults == []
    assert len(check.notes) == 1
    assert "was killed" in check.notes[0]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_row_changed_in_a_case_that_was_left_open_is_found_all_the_same(folder: Path) -> None:
    script = KILLED.format(paths=[str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
    subprocess.run([sys.executable, "-c", script, str(folder), "working"], check=False, capture_output=True)
    with closing(sqlite3.connect(folder / "case.db")) as database:
        database.execute("UPDATE entry SET size = 1 WHERE path LIKE '%/500.jpg'")
        database.commit()
    assert any("file 500" in fault.where and fault.what == "was changed" for fault in verify_case(folder))


def test_a_case_that_a_command_writes_to_is_not_verified(folder: Path) -> None:
    with open_case_for_writing(folder) as case:
        case.audit("working")
        with pytest.raises(CaseError, match="in use"):
            verify_case(folder)
    assert verify_case(folder) == []


def test_a_reader_that_goes_on_keeps_the_case_open_and_that_is_no_tampering(folder: Path) -> None:
    with open_case_for_writing(folder) as case:
        case.audit("next")
        view = open_case(folder)
    assert case.last_line is None
    with view:
        assert [fault.what.split(":")[0] for fault in verify_case(folder)] == ["the case was not closed"]
    with open_case_for_writing(folder) as case:
        case.audit("next")
    assert case.last_line is not None
    assert verify_case(folder) == []


def test_opening_a_case_without_changing_it_changes_nothing(folder: Path) -> None:
    before = contents(folder)
    with open_case_for_writing(folder) as case:
        assert case.hashset_generations() == {"unit-set": "g2"}
        assert case.last_line is None
    assert contents(folder) == before


def test_a_case_on_read_only_media_verifies(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        assert verify_case(folder) == []
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o700)


# -- an earlier schema ------------------------------------------------------------------------------------------------


LATER = (*OF_LINKS, *OF_SAMPLES, *OF_DETAILS)  # since schemas 8 and 9
NO_LATER = "".join(f"DROP TABLE {table}; " for table in LATER)
NO_REVIEW = NO_LATER + "".join(
    f"DROP TABLE {table}; " for table in ("withdrawal", "remark", "review_act", "journal_head")
)


def as_schema_5(folder: Path) -> Path:
    """The case as an earlier version would have written it: no digests of rows, of files or of lines, no review."""
    (folder / "decisions.jsonl").unlink()
    lines: list[bytes] = []
    for line in (folder / "audit.jsonl").read_bytes().splitlines():
        fields = json.loads(line)
        if fields["action"] in {"closed", "reports-began", "reports-written"}:
            continue
        del fields["digest"]
        fields["sequence"] = len(lines) + 1
        fields["previous"] = hashlib.sha256(lines[-1]).hexdigest() if lines else None
        lines.append(canonical_json(fields).encode())
    (folder / "audit.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    with closing(sqlite3.connect(folder / "case.db")) as database:
        database.executescript(
            NO_REVIEW
            + "DROP TABLE match_stated; DROP TABLE batch; DROP TABLE digest; "
            + "ALTER TABLE audit_head DROP COLUMN closing"
        )
        head = len(lines), hashlib.sha256(lines[-1]).hexdigest()
        database.execute("UPDATE audit_head SET sequence = ?, sha256 = ?", head)
        database.execute("PRAGMA user_version = 5")
        database.commit()
    return folder


def test_a_case_of_schema_5_is_read_and_verified_as_far_as_it_goes(folder: Path) -> None:
    before = contents(as_schema_5(folder))
    with open_case(folder) as view:
        assert len(list(view.files())) > 20
    check = check_whole_case(folder)
    assert check.faults == []
    assert "schema 5, which keeps no digests" in check.notes[0]
    assert contents(folder) == before
    line = (folder / "audit.jsonl").read_bytes()
    (folder / "audit.jsonl").write_bytes(line.replace(b'"command":"scan"', b'"command":"scam"'))
    assert verify_case(folder) != []


def as_schema_6(folder: Path) -> Path:
    """The case as the version before reviews would have closed it."""
    (folder / "decisions.jsonl").unlink()
    gone = (*LATER, "withdrawal", "remark", "review_act", "journal_head", "match_stated")
    return as_earlier(folder, NO_REVIEW + "DROP TABLE match_stated; PRAGMA user_version = 6", gone)


def as_earlier(folder: Path, script: str, gone: Sequence[str]) -> Path:
    """The case as an earlier version would have closed it: without the tables ``gone``, which ``script`` drops."""
    lines = [json.loads(line) for line in (folder / "audit.jsonl").read_bytes().splitlines()]
    with closing(sqlite3.connect(folder / "case.db", isolation_level=None)) as database:
        database.executescript(script)
        for table in gone:
            database.execute("DELETE FROM digest WHERE name = ?", (table,))
        digests = DigestTable(database)
        digests.touch("sqlite_schema")
        digests.settle()
        content = content_digest(database)
    assert lines[-1]["action"] == "closed"
    closed = lines[-1] | {"content": content, "database": file_facts(folder / "case.db")}
    del closed["digest"]
    lines[-1] = closed | {"digest": own_digest(closed)}
    (folder / "audit.jsonl").write_bytes(b"".join(canonical_json(line).encode() + b"\n" for line in lines))
    return folder


def test_a_case_of_schema_6_is_read_verified_and_brought_up_to_date(folder: Path) -> None:
    before = contents(as_schema_6(folder))
    assert check_whole_case(folder).faults == []
    with open_case(folder) as view:
        assert any(row.decision for row in view.matches())
        assert {row.stated for row in view.matches()} == {()}
        assert [row.category_code for row in view.graded()] != []
    assert contents(folder) == before
    with open_case_for_writing(folder) as case:
        case.audit_command(Command("match"))
    check = check_whole_case(folder)
    assert (check.faults, check.notes) == ([], [])
    line = (folder / "audit.jsonl").read_bytes()
    (folder / "audit.jsonl").write_bytes(line.replace(b'"command":"scan"', b'"command":"scam"'))
    assert verify_case(folder) != []


def test_a_case_of_schema_7_is_read_verified_and_brought_up_to_date(folder: Path) -> None:
    before = contents(as_earlier(folder, NO_LATER + "PRAGMA user_version = 7", LATER))
    assert check_whole_case(folder).faults == []
    with open_case(folder) as view:
        assert view.unit_look() is None
        assert list(view.links("same-content")) == []
        assert view.samplings() == []
        assert list(view.fragments()) == []
        assert [row.category_code for row in view.graded()] != []
    assert contents(folder) == before
    with open_case_for_writing(folder) as case:
        case.audit_command(Command("sample"))
        case.keep_sampling(*samples.sampling())
    check = check_whole_case(folder)
    assert (check.faults, check.notes) == ([], [])
    with open_case(folder) as view:
        (one,) = view.samplings()
        expected, fragments = samples.sampling()
        assert one == replace(expected, id=one.id)
        assert [placed.fragment for placed in view.fragments()] == fragments
    found = changed(folder, "UPDATE fragment SET blocks = 900 WHERE position = 1")
    assert any("table fragment" in fault and "position 1" in fault for fault in found)


def test_a_case_of_schema_8_is_read_verified_and_brought_up_to_date(folder: Path) -> None:
    script = "DROP TABLE case_detail; PRAGMA user_version = 8"
    before = contents(as_earlier(folder, script, OF_DETAILS))
    assert check_whole_case(folder).faults == []
    with open_case(folder) as view:
        details = view.details()
        assert set(details) <= {("", "reference"), ("", "operation"), ("", "examiner")}
        assert len(view.samplings()) == 1
    assert contents(folder) == before
    with open_case_for_writing(folder) as case:
        case.state({("", "contact-phone"): "101", ("ABC/1", "seized"): "2026-03-02"})
    check = check_whole_case(folder)
    assert (check.faults, check.notes) == ([], [])
    with open_case(folder) as view:
        assert view.details() == details | {("", "contact-phone"): "101", ("ABC/1", "seized"): "2026-03-02"}
    found = changed(folder, "UPDATE case_detail SET value = '999' WHERE name = 'contact-phone'")
    assert any("table case_detail" in fault for fault in found)


def test_fragments_of_a_scan_and_of_a_sampling_are_put_together_and_digested(whole: Path, folder: Path) -> None:
    with open_case(whole) as view:
        told = [(one.fragment.offset, one.fragment.blocks, one.volume, one.found_by) for one in view.fragments()]
        assert told == [
            (8192, 7, "p1", ("sample", "scan")), (65_536, 1, "p1", ("sample",)), (512, 2, "p2/luks", ("scan",))
        ]  # fmt: skip
        assert view.fragment_counts() == (3, 2)
        assert view.fragment_totals() == ({1: (6, 2)}, {1: (6, 2)})
    found = changed(folder, "UPDATE found_fragment SET place = 1024 WHERE position = 1")
    assert any("table found_fragment" in fault and "position 1" in fault for fault in found)


def test_a_case_of_schema_5_is_brought_up_to_date_by_the_next_command(folder: Path) -> None:
    as_schema_5(folder)
    with open_case_for_writing(folder) as case:
        write_reports_on_record(case, folder / REPORTS)
    check = check_whole_case(folder)
    assert check.faults == []
    assert check.rows > 150
    assert "begun by an earlier version" in check.notes[0]
    found = changed(folder, "UPDATE entry SET size = 1 WHERE path LIKE '%/102.jpg'")
    assert any("table entry" in fault and "file 102" in fault for fault in found)
    line = (folder / "audit.jsonl").read_bytes()
    (folder / "audit.jsonl").write_bytes(line.replace(b'"command":"scan"', b'"command":"scam"'))
    assert any(fault.where.startswith("audit.jsonl") for fault in verify_case(folder))
