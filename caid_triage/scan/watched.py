"""A watchdog for one slot that works by itself: in a cluster's thread, or for what a cluster gives back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from caid_triage.scan.clock import WATCH_SECONDS, Watch
from caid_triage.scan.slot import Slot


@contextmanager
def watched(slot: Slot) -> Iterator[None]:
    """While in here, a thread kills the slot's worker when its deadline has passed."""
    done = threading.Event()

    def watch() -> None:
        clock = Watch()
        while not done.wait(WATCH_SECONDS):
            now, stood_still = clock.look()
            if stood_still:
                slot.postpone(stood_still)
            slot.kill_if_late(now)

    watchdog = threading.Thread(target=watch, name="watchdog", daemon=True)
    watchdog.start()
    try:
        yield
    finally:
        done.set()
        watchdog.join()
