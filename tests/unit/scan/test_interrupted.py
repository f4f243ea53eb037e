"""A scan that is interrupted keeps what it has examined: the rest is done by the next run, nothing twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.trail import verify_audit

from caid_triage.case import digests, session
from caid_triage.case.audit import AuditChain
from caid_triage.case.command import Command
from caid_triage.case.store import CaseWriter, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.interrupts import interruptible
from caid_triage.config import ScanOptions
from caid_triage.evidence.directory import DirectorySource
from caid_triage.model import FileEntry
from caid_triage.scan.results import Walked
from caid_triage.scan.run import run_scan
from caid_triage.scan.sources import SourceRequest

FILES, CUT = 9, 5
OPTIONS = ScanOptions(executor="serial", batch_files=1000, batch_seconds=3600.0)


@pytest.fixture
def source(tmp_path: Path) -> SourceRequest:
    folder = tmp_path / "exhibit"
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number}.txt").write_bytes(b"%d" % number)
    return SourceRequest(folder, "E", "s")


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Ctrl+C is an interrupt also where the suite itself was started to ignore it (nohup, a job in the background)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def files_of(case: Path) -> int:
    with open_case(case) as view:
        return view.conservation().stored


def test_what_was_examined_is_stored_where_the_scan_is_interrupted(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = DirectorySource.chunks, []

    def interrupted(self: DirectorySource, entry: FileEntry) -> Iterator[bytes]:
        seen.append(entry.number)
        if len(seen) == CUT:
            raise KeyboardInterrupt
        return read(self, entry)

    monkeypatch.setattr(DirectorySource, "chunks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_scan([source], tmp_path / "case", [], OPTIONS)
    assert files_of(tmp_path / "case") == CUT - 1
    run_scan([source], tmp_path / "case", [], OPTIONS)
    assert files_of(tmp_path / "case") == FILES
    assert len(seen) == FILES + 1  # the one that was cut is read twice, and no other


@pytest.mark.parametrize("where", ["before", "behind"])
def test_an_interrupt_while_a_batch_is_stored_neither_stores_it_twice_nor_breaks_the_case(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    write, options = CaseWriter.write_batch, ScanOptions(executor="serial", batch_files=3, batch_seconds=3600.0)
    cut = iter([False, True])

    def interrupted(self: CaseWriter, *given: object) -> None:
        now = next(cut, False)
        if now and where == "before":
            signal.raise_signal(signal.SIGINT)
        write(self, *given)  # type: ignore[arg-type]
        if now:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(CaseWriter, "write_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_scan([source], tmp_path / "case", [], options)
    assert files_of(tmp_path / "case") == {"before": 3, "behind": 6}[where]
    outcome = run_scan([source], tmp_path / "case", [], options)
    assert (outcome.exit_code, files_of(tmp_path / "case")) == (0, FILES)


@pytest.mark.parametrize("where", ["fsync", "_note"])
@pytest.mark.parametrize("line", [1, 4])
def test_an_interrupt_while_a_line_of_the_audit_trail_is_written_breaks_no_chain(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, line: int
) -> None:
    """It said that the case was changed from outside the program."""
    holder = os if where == "fsync" else AuditChain
    real, count = getattr(holder, where), []

    def interrupted(*given: object) -> None:
        real(*given)
        count.append(1)
        if len(count) == line:
            raise KeyboardInterrupt

    monkeypatch.setattr(holder, where, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_scan([source], tmp_path / "case", [], OPTIONS)
    run_scan([source], tmp_path / "case", [], OPTIONS)
    assert verify_audit(tmp_path / "case") == []


@pytest.mark.parametrize(("executor", "thread"), [("pool", "worker-slot"), ("dask", "feeder")])
def test_a_thread_whose_start_is_interrupted_is_waited_for(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: str, thread: str
) -> None:
    """It went on with the walk while that was closed: "a bug of ours (ValueError)", and no word of an interrupt."""
    if executor == "dask":
        pytest.importorskip("distributed")
    walk, start = DirectorySource.walk, threading.Thread.start
    walks = threading.Event()

    def slow(self: DirectorySource, **how: bool) -> Iterator[Walked]:
        if not how:  # the walk of the scan
            walks.set()
            time.sleep(1)  # in which the scan ends, unless it waits
        yield from walk(self, **how)

    def cut(self: threading.Thread) -> None:
        start(self)
        if self.name.startswith(thread):
            assert walks.wait(60)
            raise KeyboardInterrupt

    options = ScanOptions(executor=executor, workers=1)
    with monkeypatch.context() as patched:
        patched.setattr("caid_triage.scan.one_source.counted", lambda *_: (FILES, FILES))
        patched.setattr(DirectorySource, "walk", slow)
        patched.setattr(threading.Thread, "start", cut)
        with pytest.raises(KeyboardInterrupt):
            run_scan([source], tmp_path / "case", [], options)
    assert not [one for one in threading.enumerate() if one.name.startswith(thread)]
    outcome = run_scan([source], tmp_path / "case", [], options)
    assert (outcome.exit_code, files_of(tmp_path / "case")) == (0, FILES)


def test_an_interrupt_while_rows_are_read_lets_the_case_come_to_rest(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error held the frame that held the rows: "a bug of ours (OperationalError)", and no word of an interrupt."""
    rows_of_files = digests.rows_of_files

    def interrupted(connection: sqlite3.Connection, table: str, ids: Sequence[int]) -> Iterator[tuple[object, ...]]:
        rows = rows_of_files(connection, table, ids)
        yield next(rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(digests, "rows_of_files", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_scan([source], tmp_path / "case", [], OPTIONS)
    run_scan([source], tmp_path / "case", [], OPTIONS)
    assert files_of(tmp_path / "case") == FILES
    assert verify_audit(tmp_path / "case") == []


@pytest.mark.parametrize("moment", range(1, 7))
def test_an_interrupt_between_the_beginning_of_a_transaction_and_its_block_lets_the_case_come_to_rest(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """It stayed open, none could begin ("a bug of ours"), and the case was called changed from outside the program."""
    transaction, cut = CaseWriter._transaction, []

    def interrupted(self: CaseWriter) -> object:
        made = transaction(self)
        if self._begun:
            cut.append(made)  # somebody holds it: it is not tidied up
            if len(cut) == moment:
                made.__enter__()
                raise KeyboardInterrupt
        return made

    with monkeypatch.context() as patched:
        patched.setattr(CaseWriter, "_transaction", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_scan([source], tmp_path / "case", [], OPTIONS)
    run_scan([source], tmp_path / "case", [], OPTIONS)
    assert files_of(tmp_path / "case") == FILES
    assert verify_audit(tmp_path / "case") == []


@pytest.mark.parametrize("step", ["make_durable", "bring_up_to_date", "content_digest", "put_to_rest", "file_facts"])
def test_an_interrupt_while_a_case_is_opened_or_closed_waits_until_it_is(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The line ``closed`` stayed away: `unit add`, run again as it had said, refused the case as one that was cut."""
    run_scan([source], tmp_path / "case", [], OPTIONS)
    do = getattr(session, step)

    def interrupted(*given: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return do(*given)

    with monkeypatch.context() as patched, interruptible():
        patched.setattr(session, step, interrupted)
        with pytest.raises(KeyboardInterrupt), open_case_for_writing(tmp_path / "case") as case:
            case.audit_command(Command("unit add"))
    assert verify_audit(tmp_path / "case") == []


def test_an_interrupt_just_before_a_case_is_closed_leaves_it_closed(
    source: SourceRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_scan([source], tmp_path / "case", [], OPTIONS)
    close, cut = CaseWriter.close, [True]

    def interrupted(self: CaseWriter) -> None:
        if cut and cut.pop():
            raise KeyboardInterrupt
        close(self)

    with monkeypatch.context() as patched:
        patched.setattr(CaseWriter, "close", interrupted)
        with pytest.raises(KeyboardInterrupt), open_case_for_writing(tmp_path / "case") as case:
            case.audit_command(Command("unit add"))
    assert verify_audit(tmp_path / "case") == []
