"""Ctrl+C, SIGTERM and SIGHUP at every moment: the command ends with 130 and one sentence, whatever it is at.

Until a command begins, and when it has ended, there is nothing to put in order: the handler ends the process at once.
Once its exit code is decided nothing changes it. While it runs the first signal raises KeyboardInterrupt, so that
workers, case and evidence are closed; while they are, a second one is ignored and a third does not wait any longer
(what is stored is whole all the same). What is put down whole just then is put down first (caid_triage/held.py).

This module imports next to nothing: it is the first thing that a command does.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from caid_triage.held import has_to_wait

INTERRUPTED = 130
SENTENCE = "caid-triage: interrupted; the case is consistent, run the same command again to resume"
MOST_PATIENCE = 3
AGAIN_SECONDS = 0.02
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
    asked = last = 0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal asked, last
        last = number
        asked += 1
        if asked >= MOST_PATIENCE:
            _end(number, frame)
        if asked == 1 and not has_to_wait():
            raise KeyboardInterrupt

    def forgotten(told: sys.UnraisableHookArgs) -> None:
        nonlocal asked
        if isinstance(told.exc_value, KeyboardInterrupt):
            asked = 0
            _thread.start_new_thread(_send_again, (_thread.get_ident(), last))
        else:
            shown(told)

    before = [signal.signal(number, interrupt) for number in _SIGNALS]
    shown, sys.unraisablehook = sys.unraisablehook, forgotten
    try:
        yield
    finally:
        sys.unraisablehook = shown
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _send_again(thread: int, number: int) -> None:
    """Python prints what is raised while it tidies up an object, and goes on: the signal comes again in a moment."""
    time.sleep(AGAIN_SECONDS)
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(thread, number)  # to the main thread, which it wakes where that sleeps


def came_of_interrupt(fault: BaseException | None) -> bool:
    """Whether an error was met while an interrupt was ending things. Python's own threading knows one such itself."""
    met: set[int] = set()
    while fault is not None and id(fault) not in met:
        if isinstance(fault, KeyboardInterrupt):
            return True
        met.add(id(fault))
        fault = fault.__context__
    return False


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
