"""Ctrl+C, SIGTERM and SIGHUP at every moment: the command ends with 130 and one sentence, whatever it is at.

Until a command begins, and when it has ended, there is nothing to put in order: the handler ends the process at once.
Once its exit code is decided nothing changes it. While it runs the first signal raises KeyboardInterrupt, so that
workers, case and evidence are closed; while they are, a second one is ignored and a third does not wait any longer
(what is stored is whole all the same).

This module imports next to nothing: it is the first thing that a command does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

INTERRUPTED = 130
SENTENCE = "caid-triage: interrupted; the case is consistent, run the same command again to resume"
MOST_PATIENCE = 3
_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup: goes on
    _SIGNALS.append(signal.SIGHUP)  # the terminal was closed


def end_when_asked() -> None:
    """From now on the process ends at once when it is asked to."""
    for number in _SIGNALS:
        signal.signal(number, _end)


def outcome_stands() -> None:
    """From now on signals are ignored: the exit code is decided, and Python's own end would let one replace it."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interruptible() -> Iterator[None]:
    """In the block the first signal raises KeyboardInterrupt; behind it the process ends at once again."""
    asked = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked += 1
        if asked >= MOST_PATIENCE:
            _end(number, frame)
        if asked == 1:
            raise KeyboardInterrupt

    before = [signal.signal(number, interrupt) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def leave() -> NoReturn:
    """End with 130, what was printed printed.

    Not by sys.exit: Python ends with the signal itself when the interrupt once passed through a string that it executed
    (each dataclass is one), even if it was caught behind it.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(INTERRUPTED)


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not print: the signal may have come in the middle of one, and a stream cannot be entered twice.
    with suppress(OSError):
        os.write(2, SENTENCE.encode() + b"\n")
    os._exit(INTERRUPTED)
