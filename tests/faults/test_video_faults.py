"""Workers that ask for bytes of a film: what they may ask, what a fault of the source costs, and who pays."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support import clips
from support.contents import readers

from caid_triage.config import ScanOptions, WorkerLimits
from caid_triage.errors import EvidenceError
from caid_triage.model import DecodeState, FileEntry, ScanRecord, State
from caid_triage.scan import protocol, worker_process
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.results import ReadAt
from caid_triage.scan.serial import examine_serially

QUICK = ScanOptions(workers=2, limits=WorkerLimits(decode_seconds=4, decode_seconds_per_mb=0))
PATIENT = replace(QUICK, limits=WorkerLimits())
LONG = 65 << 20


def entries(contents: list[bytes]) -> list[FileEntry]:
    return [
        FileEntry("E", "s", "p1", number, f"/{number}", b"", State.ALLOCATED, len(content))
        for number, content in enumerate(contents)
    ]


def pooled(contents: list[bytes], options: ScanOptions, read_at: ReadAt | None) -> dict[int, ScanRecord]:
    records = {}
    for result in examine_in_pool(iter(entries(contents)), readers(contents)[0], options, read_at):
        assert isinstance(result, ScanRecord)
        assert result.entry.number not in records
        records[result.entry.number] = result
    assert sorted(records) == list(range(len(contents)))
    return records


def serially(contents: list[bytes], read_at: ReadAt | None) -> dict[int, ScanRecord]:
    results = examine_serially(iter(entries(contents)), readers(contents)[0], read_at)
    return {result.entry.number: result for result in results if isinstance(result, ScanRecord)}


def codes(record: ScanRecord) -> list[str]:
    return [problem.code for problem in record.problems]


@pytest.fixture
def _hostile_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "WORKER_MODULE", "hostile_worker")
    known = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(Path(__file__).parent), known))))


@pytest.mark.usefixtures("_hostile_worker")
def test_a_worker_that_asks_for_what_it_may_not_have_loses_its_file_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_NEEDS", 500)
    orders = ["negative", "beyond", "long", "nothing", "text", "half", "much", "slowly"]
    contents = [f"ask-{order} and the rest of the film".encode() for order in orders]
    contents += [b"a file that asks for nothing"] * 2
    asked = []
    read_at = readers(contents)[1]

    def watched(entry: FileEntry, offset: int, length: int) -> bytes:
        assert 0 <= offset <= offset + length <= len(contents[entry.number])
        asked.append(entry.number)
        return read_at(entry, offset, length)

    began = time.monotonic()
    records = pooled(contents, QUICK, watched)
    assert time.monotonic() - began < 200
    for number, record in records.items():
        assert record.examination.digests is not None
        assert record.examination.digests.sha256 == hashlib.sha256(contents[number]).digest()
    faults = {order: codes(records[number]) for number, order in enumerate(orders)}
    assert faults == {order: ["decoder-died"] for order in orders} | {"slowly": ["decoder-hung"]}
    assert codes(records[8]) == codes(records[9]) == []
    assert set(asked) == {5, 6, 7}
    assert asked.count(6) == 3 * 500  # each of its three tries is stopped at the limit
    assert asked.count(7) < 4 / 0.05 + 5  # asking did not put off its deadline


@pytest.mark.usefixtures("_hostile_worker")
def test_without_a_second_reading_every_question_is_refused() -> None:
    records = pooled([b"ask-half of it", b"nothing"], QUICK, None)
    assert codes(records[0]) == ["decoder-died"]
    assert codes(records[1]) == []


def test_a_long_film_is_seen_alike_by_every_executor_and_through_every_fault() -> None:
    film = clips.padded(clips.clip(1, 6), LONG)
    contents = [film, clips.clip(2, 3), film[: LONG // 2], b"no film"]
    good = readers(contents)[1]
    expected = serially(contents, good)
    assert [codes(expected[number]) for number in range(4)] == [[], [], ["video-damaged"], []]
    assert len(expected[0].examination.hashes) == 6
    slow_reads = []

    def slow(entry: FileEntry, offset: int, length: int) -> bytes:
        slow_reads.append(offset)
        time.sleep(1.2)  # a slow disk is no hang: the worker's clock stands still
        return good(entry, offset, length)

    strict = replace(QUICK, limits=WorkerLimits(decode_seconds=3.5, decode_seconds_per_mb=0))
    assert pooled(contents[:1], strict, slow)[0] == expected[0]
    assert len(slow_reads) >= 3
    assert pooled(contents, PATIENT, good) == expected

    def failing(entry: FileEntry, offset: int, length: int) -> bytes:
        if offset:
            raise EvidenceError("read", "read-failed", "sector 7 could not be read")
        return good(entry, offset, length)

    for read_at in (failing, None):
        broken = serially(contents[:1], read_at)
        assert codes(broken[0]) == ["video-not-read"]
        assert broken[0].examination.digests == expected[0].examination.digests
        assert broken[0].examination.decode_state in (DecodeState.NOT_ATTEMPTED, DecodeState.PARTIAL)
        assert pooled(contents[:1], PATIENT, read_at) == broken


def test_an_error_of_ours_while_reading_again_stops_the_scan() -> None:
    film = clips.padded(clips.clip(1, 2), LONG)

    def broken(entry: FileEntry, offset: int, length: int) -> bytes:
        raise ZeroDivisionError((entry, offset, length))

    with pytest.raises(ZeroDivisionError):
        pooled([film], PATIENT, broken)
