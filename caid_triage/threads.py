"""Threads that are waited for, and hand their results over, whatever happens to whoever started them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Generic, ParamSpec, TypeVar

Words = ParamSpec("Words")
Outcome = TypeVar("Outcome")
Item = TypeVar("Item")


class JoinedThreads(ThreadPoolExecutor):
    """A ThreadPoolExecutor of whose threads none is at work any more when :meth:`shutdown` has waited.

    Ctrl+C can cut Thread.start() while that waits for the thread to begin. The thread runs then, and the executor of
    the standard library, which notes it only behind that, does not wait for it: it would read evidence that is closed.
    """

    def __init__(self, most: int, name: str) -> None:
        """At most ``most`` threads, started when there is work for them."""
        super().__init__(most, name)
        self._changed = threading.Condition()
        self._at_work = 0
        self._over = False

    def submit(self, work: Callable[Words, Outcome], /, *args: Words.args, **more: Words.kwargs) -> Future[Outcome]:
        """Have work done by one of the threads."""
        return super().submit(self._counted, work, *args, **more)

    def _counted(self, work: Callable[Words, Outcome], /, *args: Words.args, **more: Words.kwargs) -> Outcome:
        with self._changed:
            if self._over:
                raise CancelledError  # nobody waits for the outcome
            self._at_work += 1
        try:
            return work(*args, **more)
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work; wait until what was given is done, by threads that nobody knows of, too."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        if wait:
            with self._changed:
                self._over = True
                self._changed.wait_for(lambda: not self._at_work)


class Handover(Generic[Item]):
    """A queue with room for so many items, whose reader may be interrupted anywhere.

    queue.Queue is written in Python: Ctrl+C within it can leave its lock taken for ever, or end as a RuntimeError.
    """

    def __init__(self, most: int) -> None:
        """Room for ``most`` items."""
        self._items: queue.SimpleQueue[tuple[Item, bool]] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(most):
            self._room.put(None)

    def put(self, item: Item, timeout: float) -> bool:
        """Put an item in where there is room within so many seconds; whether there was."""
        try:
            self._room.get(timeout=timeout)
        except queue.Empty:
            return False
        self._items.put((item, True))
        return True

    def put_at_once(self, item: Item) -> None:
        """Put an item in that needs no room."""
        self._items.put((item, False))

    def get(self, timeout: float) -> Item:
        """The next item. Errors: queue.Empty where none came within so many seconds."""
        item, had_room = self._items.get(timeout=timeout)
        if had_room:
            self._room.put(None)
        return item

    def empty(self) -> bool:
        """Whether nothing is in it at the moment."""
        return self._items.empty()
