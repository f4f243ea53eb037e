"""The coordinator of a cluster, and a worker's desk, without Dask: every entry has one record, whatever is lost."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.cli import picture
from support.embedded import zipped
from support.processes import children as all_children

pytest.importorskip("distributed")

from distributed.comm import inproc

from caid_triage.config import ScanOptions, WorkerLimits
from caid_triage.errors import CaidTriageError, EvidenceError
from caid_triage.evidence.directory import DirectorySource
from caid_triage.evidence.secrets import Secret
from caid_triage.model import FileEntry, Problem, ScanRecord, State
from caid_triage.scan import cluster_desk, dask, dask_scan, dask_start, desk_source, worker_process
from caid_triage.scan.cluster_desk import Desk, border_of, program_digest, whole_program
from caid_triage.scan.cluster_words import Answer, Border, Order, SourceOrder, frames_of
from caid_triage.scan.dask_scan import examine_in_dask
from caid_triage.scan.locked import LockedSource
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.results import Result, Skipped
from caid_triage.scan.same_evidence import evidence_facts
from caid_triage.scan.serial import examine_serially
from caid_triage.scan.trial import settle
from caid_triage.scan.workforce import Workforce

OPTIONS = ScanOptions(workers=2, executor="dask", limits=WorkerLimits(decode_seconds=20))
BORDER = Border((), (), ())


@pytest.fixture
def children() -> Callable[[], set[int]]:
    """What this process has started since the test began: an earlier test may have left a helper of Python's own."""
    before = set(all_children())
    return lambda: set(all_children()) - before


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("folder")
    for number in range(30):
        (made / f"{number:03}.jpg").write_bytes(picture("coast.jpg") + b"%d" % number)
    (made / "015.zip").write_bytes(zipped({f"{n}.jpg": picture("marble.jpg") + b"%d" % n for n in range(6)}))
    (made / "016.txt").write_bytes(b"")
    return made


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[Result]:
    """What the serial executor says: the oracle."""
    with closing(DirectorySource(folder, "E", "s")) as opened:
        source = LockedSource(opened)
        return in_order(examine_serially(source.walk(), source.read, source.read_at, source.beside))


def in_order(results: Iterator[Result]) -> list[Result]:
    found = list(results)
    assert all(isinstance(one, ScanRecord) for one in found)
    return sorted(found, key=lambda one: (one.entry.number, one.entry.part))  # type: ignore[union-attr]


class Ended(Future[bytes]):
    """A future as Dask has it."""

    @property
    def status(self) -> str:
        if not self.done():
            return "pending"
        return "cancelled" if self.cancelled() else "error" if self.exception() else "finished"


class FakeCluster:
    """One desk behind two threads. ``fate`` says of an order what becomes of it: "", or how it is lost."""

    is_lost = False

    def __init__(self, folder: Path, fate: Callable[[Order], str] = lambda _: "", desk: Desk | None = None) -> None:
        self.desk = desk or Desk("w1")
        self.fate = fate
        self.workers = {"w1": 2}
        self.refused: dict[str, str] = {}
        self.remarks: list[str] = []
        self.tally = SimpleNamespace(batches=0, again=0, here=0)
        self.threads = ThreadPoolExecutor(2)
        self.orders: list[Order] = []
        self.flying = self.most = 0
        self._lock = threading.Lock()
        with closing(DirectorySource(folder, "E", "s")) as source:
            self.source = SourceOrder(str(folder), "E", "s", "quick", (), evidence_facts(source, str(folder)))

    @property
    def alive(self) -> dict[str, int]:
        return {name: threads for name, threads in self.workers.items() if name not in self.refused}

    def look(self) -> None:
        """Nothing changes by itself."""

    def order(self, place: int) -> Order:
        program = program_digest(whole_program(BORDER))
        return Order("scan", place, program, self.source, OPTIONS.limits, OPTIONS.parser, (), BORDER)

    def refuse(self, address: str, why: str) -> None:
        self.refused[address] = why

    def why_unfit(self, value: dict[str, Any]) -> tuple[str, str]:
        return value["why"], value["detail"]

    def begin(self, payload: bytes, done: Callable[[], None]) -> tuple[Ended, frozenset[str]]:
        future, order = Ended(), cluster_desk.order_from_bytes(payload)
        with self._lock:
            self.orders.append(order)
            self.flying += 1
            self.most = max(self.most, self.flying)
        fate = self.fate(order)

        def work() -> None:
            try:
                if fate == "lost":
                    future.set_exception(RuntimeError("all its workers died"))
                elif fate == "nonsense":
                    future.set_result(b"nonsense")
                elif fate != "never":
                    future.set_result(self.desk.answer(payload))
            finally:
                with self._lock:
                    self.flying -= 1
            if fate not in ("never", "silent"):
                done()

        self.threads.submit(work)
        return future, frozenset({"w1"} if fate == "never" else ())


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_scan, "MOST_FILES", 4)
    monkeypatch.setattr(dask_scan, "FEW_FILES", 2)
    monkeypatch.setattr(dask_scan, "ALONE_SECONDS", 1.0)


def examined(folder: Path, cluster: FakeCluster, **other: Any) -> list[Result]:
    with closing(DirectorySource(folder, "E", "s")) as opened:
        source = LockedSource(opened)
        told = {"read_at": source.read_at, "beside": source.beside} | other
        read = told.pop("read", source.read)
        results = examine_in_dask(source.walk(), read, OPTIONS, cluster, 0, **told)  # type: ignore[arg-type]
        try:
            return in_order(results)
        finally:
            cluster.desk.leave("scan")
            cluster.threads.shutdown()


@pytest.mark.usefixtures("_small_batches")
def test_a_calm_cluster_says_what_the_serial_executor_says(
    folder: Path, expected: list[Result], children: Callable[[], set[int]]
) -> None:
    cluster = FakeCluster(folder)
    assert examined(folder, cluster) == expected
    assert cluster.tally.batches > 5
    assert (cluster.tally.again, cluster.tally.here) == (0, 0)
    assert cluster.most <= dask_scan.IN_FLIGHT * 2, "more was given out than the workers had use for"
    assert not children(), "a child outlived its scan"


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("fate", ["lost", "never"])
def test_what_becomes_of_batches_changes_nothing(
    folder: Path, expected: list[Result], fate: str, children: Callable[[], set[int]]
) -> None:
    turns = Counter[str]()

    def fates(order: Order) -> str:
        turns["given"] += 1
        if fate == "lost" and turns["given"] % 5 == 0:
            return "nonsense"
        if turns["given"] % 3 or "w1" not in cluster.workers:
            return ""
        if fate == "never":  # bound to a worker that is there no more a little later
            threading.Timer(0.5, lambda: setattr(cluster, "workers", {"w2": 2})).start()
        return fate

    cluster = FakeCluster(folder, fates)
    assert examined(folder, cluster) == expected
    assert cluster.tally.again > 0
    assert not children()


@pytest.mark.usefixtures("_small_batches")
def test_an_entry_that_every_worker_is_lost_with_is_examined_here(folder: Path, expected: list[Result]) -> None:
    cluster = FakeCluster(folder, lambda order: "lost" if any(e.path == "/007.jpg" for e in order.entries) else "")
    assert examined(folder, cluster) == expected
    alone = [order for order in cluster.orders if [entry.path for entry in order.entries] == ["/007.jpg"]]
    assert len(alone) == 1
    assert cluster.tally.here == 1


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("lost", ["workers", "scheduler", "unfit"])
def test_without_a_cluster_all_is_examined_here(folder: Path, expected: list[Result], lost: str) -> None:
    cluster = FakeCluster(folder)
    if lost == "unfit":
        cluster.source = SourceOrder(str(folder), "E", "s", "quick", (), {"sizes": "others"})
    else:
        cluster.fate = lambda _: "never"
        threading.Timer(0.5, lambda: setattr(cluster, "is_lost", True) if lost == "scheduler" else None).start()
        threading.Timer(0.5, lambda: cluster.workers.clear() if lost == "workers" else None).start()
    assert examined(folder, cluster) == expected
    assert cluster.tally.here == 32
    assert cluster.remarks or "differs" in cluster.refused.get("w1", "") or "sizes" in cluster.refused["w1"]


@pytest.mark.usefixtures("_small_batches")
def test_what_a_worker_cannot_read_is_for_the_coordinator_to_say(folder: Path, expected: list[Result]) -> None:
    desk = Desk("w1")
    real = desk_source.LockedSource.read

    def fails(source: LockedSource, entry: FileEntry) -> Iterator[bytes]:
        yield from real(source, entry)
        if threading.current_thread().name.startswith("ThreadPoolExecutor") and entry.number % 5 == 0:
            raise EvidenceError("read", "read-failed", "the network is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(desk_source.LockedSource, "read", fails)
        cluster = FakeCluster(folder, desk=desk)
        assert examined(folder, cluster) == expected
    assert cluster.tally.here == 7


@pytest.mark.usefixtures("_small_batches")
def test_more_inside_than_an_answer_holds_is_examined_here(
    folder: Path, expected: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_desk, "MOST_INSIDE", 3000)
    cluster = FakeCluster(folder)
    assert examined(folder, cluster) == expected
    assert cluster.tally.here == 1
    assert any(len(order.entries) == 1 for order in cluster.orders), "nothing was left for later"


@pytest.mark.usefixtures("_small_batches")
def test_a_poison_file_kills_a_child_and_ends_as_in_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "WORKER_MODULE", "hostile_worker")
    faults = str(Path(__file__).parents[2] / "faults")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (faults, os.environ.get("PYTHONPATH", "")))))
    for number in range(8):
        (tmp_path / f"{number}.bin").write_bytes(b"die-late" if number == 3 else b"plain %d" % number)
    with closing(DirectorySource(tmp_path, "E", "s")) as opened:
        source = LockedSource(opened)
        expected = in_order(examine_in_pool(source.walk(), source.read, OPTIONS, source.read_at))
    cluster = FakeCluster(tmp_path)
    assert examined(tmp_path, cluster) == expected
    codes = [problem.code for one in expected if isinstance(one, ScanRecord) for problem in one.problems]
    assert codes == ["decoder-died"]
    assert (cluster.tally.again, cluster.tally.here) == (0, 0)


@pytest.mark.usefixtures("_small_batches")
def test_what_takes_long_is_left_for_another_order(
    folder: Path, expected: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_desk, "MOST_SECONDS", 0.0)
    cluster = FakeCluster(folder)
    assert examined(folder, cluster) == expected
    assert cluster.tally.batches == 32


@pytest.mark.usefixtures("_small_batches")
def test_what_is_no_content_passes_by(folder: Path) -> None:
    with closing(DirectorySource(folder, "E", "s")) as opened:
        entries = [one for one in opened.walk() if isinstance(one, FileEntry)]
    gone = FileEntry("E", "s", "", 99, "/gone", b"/gone", State.DELETED, None, readable=False)
    note = Problem("walk", "link-not-followed", "a link")
    walked = [Skipped(entries[0]), note, gone, *entries[1:5]]
    cluster = FakeCluster(folder)
    with closing(DirectorySource(folder, "E", "s")) as opened:
        source = LockedSource(opened)
        found = list(examine_in_dask(iter(walked), source.read, OPTIONS, cluster, 0, source.read_at))  # type: ignore[arg-type]
    cluster.desk.leave("scan")
    assert Skipped(entries[0]) in found
    assert note in found
    numbers = sorted(one.entry.number for one in found if isinstance(one, ScanRecord))
    assert numbers == [1, 2, 3, 4, 99]


@pytest.mark.usefixtures("_small_batches")
def test_a_scan_that_is_stopped_leaves_nothing(folder: Path, children: Callable[[], set[int]]) -> None:
    cluster = FakeCluster(folder)
    with closing(DirectorySource(folder, "E", "s")) as opened:
        source = LockedSource(opened)
        results = examine_in_dask(source.walk(), source.read, OPTIONS, cluster, 0, source.read_at)  # type: ignore[arg-type]
        next(results)
        results.close()
        cluster.desk.leave("scan")
        cluster.threads.shutdown()
        cluster.desk.leave("scan")
    end = time.monotonic() + 20
    while children() and time.monotonic() < end:
        time.sleep(0.05)
    assert not children()
    assert not [one.name for one in threading.enumerate() if one.name.startswith(("own-slot", "feeder", "watchdog"))]


@pytest.mark.usefixtures("_small_batches")
@pytest.mark.parametrize("where", ["walk", "here"])
def test_an_error_of_ours_stops_the_scan(folder: Path, where: str) -> None:
    cluster = FakeCluster(folder, lambda _: "lost" if where == "here" else "")

    def walk(source: LockedSource) -> Iterator[Any]:
        yield from list(source.walk())[:6]
        if where == "walk":
            raise CaidTriageError("a bug of ours")

    def read(_entry: FileEntry) -> Iterator[bytes]:
        raise CaidTriageError("a bug of ours")
        yield b""

    with closing(DirectorySource(folder, "E", "s")) as opened:
        source = LockedSource(opened)
        results = examine_in_dask(walk(source), read, OPTIONS, cluster, 0, source.read_at)  # type: ignore[arg-type]
        with pytest.raises(CaidTriageError, match="a bug of ours"):
            list(results)
    cluster.threads.shutdown()
    cluster.desk.leave("scan")


# ------------------------------------------------------------ the desk


def test_a_desk_tells_what_keeps_it_from_working(folder: Path, tmp_path: Path) -> None:
    cluster = FakeCluster(folder)
    order = cluster.order(0)

    def told(**other: Any) -> dict[str, Any]:
        frames = list(frames_of(Desk("w1").answer(replace(order, **other).to_bytes())))
        assert len(frames) == 1
        return frames[0][1] | {"kind": frames[0][0]}

    assert told()["kind"] == b"c"
    other = told(program="another")
    assert (other["why"], other["program"]["caid-triage"]) == ("program", whole_program(BORDER)["caid-triage"])
    missing = told(source=SourceOrder(str(tmp_path / "none"), "E", "s"))
    assert (missing["why"], missing["detail"]) == ("missing", str(tmp_path / "none"))
    assert told(source=SourceOrder(str(folder), "E", "s", "quick", (), {"sizes": "1"}))["why"] == "evidence"


def test_a_desk_opens_evidence_under_its_own_root(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster(folder)
    away = replace(cluster.source, path="/coordinator/exhibits/folder")
    order = replace(cluster.order(0), source=away)
    frames = list(frames_of(Desk().answer(order.to_bytes())))
    assert frames[0][1]["why"] == "missing"
    mapped = replace(order, maps=(("/coordinator/exhibits/folder", str(folder)),))
    assert next(frames_of(Desk().answer(mapped.to_bytes())))[0] == b"c"
    monkeypatch.setenv("CAID_TRIAGE_MAP", f"/coordinator/exhibits/folder={folder}")
    assert next(frames_of(Desk().answer(order.to_bytes())))[0] == b"c"


def test_a_desk_that_nobody_asks_any_more_ends_its_children(
    folder: Path, monkeypatch: pytest.MonkeyPatch, children: Callable[[], set[int]]
) -> None:
    monkeypatch.setattr(cluster_desk, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(cluster_desk, "_SWEEP_SECONDS", 0.1)
    cluster = FakeCluster(folder)
    with closing(DirectorySource(folder, "E", "s")) as source:
        entry = next(one for one in source.walk() if isinstance(one, FileEntry))
    cluster.desk.answer(cluster.order(0).to_bytes([entry]))
    assert children(), "no child examined: the test shows nothing"
    end = time.monotonic() + 20
    while children() and time.monotonic() < end:
        time.sleep(0.05)
    assert not children()
    answer = cluster.desk.answer(cluster.order(0).to_bytes([entry]))
    assert next(frames_of(answer))[0] == b"o", "a desk that had ended its children begins again"
    cluster.desk.leave("scan")


def test_what_nobody_expected_is_told_by_its_kind_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("/a/path/of/the/evidence")

    monkeypatch.setattr(Desk, "_obey", bug)
    kind, value = next(frames_of(Desk("w").answer(FakeCluster(folder).order(0).to_bytes())))
    assert (kind, value["why"]) == (b"u", "other")
    assert "ZeroDivisionError" in value["detail"]
    assert "/a/path" not in str(value)


def test_a_border_that_was_not_tried_reads_nothing() -> None:
    assert border_of(None) == BORDER
    assert isinstance(Answer().ended(), bytes)


# ------------------------------------------------------------ who is there


class FakeClient:
    """A client that is told what its scheduler says: workers, or an error."""

    status = "running"

    def __init__(self, *told: dict[str, int] | Exception) -> None:
        self.told = list(told)
        self.scheduler = SimpleNamespace(address="tcp://10.0.0.1:8786", identity=self.identity)

    def identity(self, n_workers: int) -> dict[str, Any]:
        assert n_workers == -1
        now = self.told.pop(0)
        if isinstance(now, Exception):
            raise now
        return {"workers": {address: {"nthreads": threads} for address, threads in now.items()}}

    def sync(self, asked: Callable[..., Any], **options: Any) -> Any:
        return asked(**options)


def test_workers_that_were_not_heard_of_are_not_taken_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "LOOK_SECONDS", 0.0)
    both = {"tls://a:1": 2, "tcp://127.0.0.1:2": 1}
    cluster = dask.Cluster(FakeClient(both, OSError(), {"tls://a:1": 2}, {}), OPTIONS)
    assert cluster.alive == both
    cluster.look()
    assert cluster.alive == both
    cluster.look()
    assert cluster.alive == {"tls://a:1": 2}
    cluster.look()
    assert cluster.alive == {}


def test_with_secrets_no_worker_counts_that_is_reached_in_clear() -> None:
    both = {"tls://a:1": 2, "tcp://b:2": 1, "tcp://127.0.0.1:2": 1}
    cluster = dask.Cluster(FakeClient(both), OPTIONS)
    assert cluster.alive == both
    assert not cluster.joined().encrypted
    cluster.sources = (SourceOrder("/x", "E", "s", "quick", (Secret("password", "x"),)),)
    assert cluster.alive == {}, "the scheduler itself is reached in clear"
    client = FakeClient(both)
    client.scheduler.address = "tls://10.0.0.1:8786"
    cluster = dask.Cluster(client, OPTIONS)
    cluster.sources = (SourceOrder("/x", "E", "s", "quick", (Secret("password", "x"),)),)
    assert cluster.alive == {"tls://a:1": 2, "tcp://127.0.0.1:2": 1}
    cluster.refuse("tls://a:1", "its share is not connected")
    cluster.refuse("tls://a:1", "again")
    assert list(cluster.alive) == ["tcp://127.0.0.1:2"]
    assert len(cluster.remarks) == 1


# ------------------------------------------------------------ the cluster of one machine


@pytest.mark.usefixtures("_small_batches")
def test_a_local_cluster_lives_in_this_process_with_the_children_that_were_started_for_it(
    folder: Path, expected: list[Result], children: Callable[[], set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inproc.global_manager, "_ip", None)
    monkeypatch.setattr(inproc, "get_ip", lambda: pytest.fail("asks for a way to the internet"))
    with Workforce(OPTIONS.limits, OPTIONS.workers) as workforce, closing(DirectorySource(folder, "E", "s")) as opened:
        border = border_of(settle(workforce))
        source, before = LockedSource(opened), children()
        assert len(before) == OPTIONS.workers
        with dask_start.opened_cluster(OPTIONS, workforce) as cluster:
            cluster.check(
                [SourceOrder(str(folder), "E", "s", "quick", (), evidence_facts(opened, str(folder)))], border
            )
            assert cluster.joined() == dask.Joined(workers=1, threads=OPTIONS.workers, local=True, encrypted=True)
            assert [address.rpartition("/")[0] for address in cluster.alive] == [f"inproc://127.0.0.1/{os.getpid()}"]
            results = examine_in_dask(
                source.walk(), source.read, OPTIONS, cluster, 0, source.read_at, workforce, source.beside
            )
            assert in_order(results) == expected
            assert cluster.tally.batches > 5
            assert (cluster.tally.again, cluster.tally.here) == (0, 0)
            assert children() == before, "another process was started than the workers of this scan"
        assert children() == before, "the workers were not given back"
    assert not children()
    left = [one.name for one in threading.enumerate()]
    parts = "IO loop", "Dask-Default", "own-slot", "feeder", "watchdog"  # Dask puts the worker's name before its own
    assert not [name for name in left if any(part in name for part in parts)]


@pytest.mark.usefixtures("_small_batches")
def test_a_batch_whose_end_was_not_told_is_taken_all_the_same(folder: Path, expected: list[Result]) -> None:
    """Dask tells it in a thread of its own, which a machine may not give; it was waited for for ever."""
    cluster = FakeCluster(folder, lambda _order: "silent")
    assert examined(folder, cluster) == expected
    assert (cluster.tally.again, cluster.tally.here) == (0, 0)


def test_a_machine_that_gives_no_thread_more_is_told_before_the_scan_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask starts its threads with its tasks; a task that it could not start one for never ended."""
    start = threading.Thread.start

    def poor(thread: threading.Thread) -> None:
        if "Dask-Default" in thread.name:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", poor)
    with pytest.raises(CaidTriageError, match="did not start"), dask_start.opened_cluster(OPTIONS):
        pass
    left = [one.name for one in threading.enumerate()]
    assert not [name for name in left if name.startswith("IO loop") or "Dask-Default" in name]


def test_a_desk_that_was_closed_does_nothing_more(folder: Path) -> None:
    cluster = FakeCluster(folder)
    cluster.desk.close()
    kind, value = next(frames_of(cluster.desk.answer(cluster.order(0).to_bytes())))
    assert (kind, value["why"]) == (b"u", "stopped")


def test_workers_of_another_thread_go_back_to_where_they_came_from(children: Callable[[], set[int]]) -> None:
    limits = WorkerLimits(decode_seconds=20)
    with Workforce(limits, 1) as behind:
        (first,) = children()

        def in_another_thread() -> tuple[list[int], list[int]]:
            with Workforce(limits, 0, behind) as front:
                taken = [front.take(), front.take()]
                for worker in taken:
                    front.give_back(worker)
                again = [front.take(), front.take()]
                found = [worker.pid for worker in taken], [worker.pid for worker in again]
                for worker in again:
                    front.give_back(worker)
                return found

        with ThreadPoolExecutor(1) as threads:
            taken, again = threads.submit(in_another_thread).result()
        assert taken[0] == first
        assert sorted(again) == sorted(taken), "a worker was ended for want of a task"
        assert children() == {first}, "a worker of the other thread was kept beyond it"
    assert not children()
