"""Threads that are waited for, and the queue that they hand results over by."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import CancelledError

import pytest

from caid_triage.threads import Handover, JoinedThreads


def test_a_thread_that_nobody_knows_of_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after Ctrl+C within Thread.start(): it runs, and the executor of the standard library has not noted it."""
    threads, start, ended = JoinedThreads(2, "of-the-test"), threading.Thread.start, []

    def work() -> None:
        time.sleep(0.3)
        ended.append(threading.current_thread().name)

    def cut(self: threading.Thread) -> None:
        start(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", cut)
        with pytest.raises(KeyboardInterrupt):
            threads.submit(work)
    assert ended == []
    threads.shutdown()
    assert len(ended) == 1


def test_all_work_is_done_in_an_orderly_shutdown_and_none_behind_it() -> None:
    done: list[int] = []
    threads = JoinedThreads(3, "of-the-test")
    futures = [threads.submit(done.append, number) for number in range(100)]
    threads.shutdown()
    assert sorted(done) == list(range(100))
    assert all(one.done() for one in futures)
    threads.shutdown()  # twice
    with pytest.raises(CancelledError):
        threads._counted(done.append, 100)
    with pytest.raises(RuntimeError):
        threads.submit(done.append, 100)


def test_a_handover_has_room_for_so_many_and_keeps_their_order() -> None:
    line: Handover[int] = Handover(2)
    assert line.empty()
    assert line.put(1, timeout=0)
    assert line.put(2, timeout=0)
    assert not line.put(3, timeout=0.01)
    line.put_at_once(3)
    assert [line.get(timeout=0) for _ in range(3)] == [1, 2, 3]
    with pytest.raises(queue.Empty):
        line.get(timeout=0.01)
    assert line.put(4, timeout=0)
    assert line.put(5, timeout=0)
    assert not line.put(6, timeout=0)  # what needed no room gave none back


def test_a_handover_of_many_threads_loses_nothing() -> None:
    line: Handover[int] = Handover(3)

    def give(first: int) -> None:
        for number in range(first, first + 200):
            while not line.put(number, timeout=0.2):
                pass

    threads = [threading.Thread(target=give, args=(first,)) for first in (0, 200, 400)]
    for thread in threads:
        thread.start()
    found = [line.get(timeout=10) for _ in range(600)]
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(600))
    for first in (0, 200, 400):
        assert [number for number in found if first <= number < first + 200] == list(range(first, first + 200))
