"""Moments at which an interrupt waits: what is put down whole before all ends.

A handler of signals asks :func:`has_to_wait` before it raises KeyboardInterrupt (cli/interrupts.py); where none does,
nothing waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_blocks = 0
_waiting = False


@contextmanager
def interrupt_held() -> Iterator[None]:
    """In the block an interrupt waits; it is raised behind it. For what is short: nobody waits for long."""
    global _blocks, _waiting  # noqa: PLW0603 - signals are of the process, and come to its main thread alone
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _blocks += 1
    try:
        yield
    finally:
        _blocks -= 1
        if _waiting and not _blocks:
            _waiting = False
            raise KeyboardInterrupt


def has_to_wait() -> bool:
    """Whether an interrupt that has just come has to wait; then it is raised behind the block that holds it."""
    global _waiting  # noqa: PLW0603
    _waiting = _blocks > 0
    return _waiting
