"""The command line, interrupted behind one step of its main thread: a line of ours, or of a library that we wait in.

Run as ``interrupted_at.py FILE STEP WORDS...``. STEP 0 interrupts nothing; FILE then gets, as JSON, one step of each
place (file, line, who called) that was passed: where much time is spent waiting, few steps are made. Of another STEP
FILE gets the place. The signal is a real one, to the process alone or, as from a terminal, to its whole group.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from caid_triage.cli import main as command
from caid_triage.cli.interrupts import interruptible, leave

TOLD, AT, *WORDS = sys.argv[1:]
OURS = ("caid_triage", "threading.py", "contextlib.py", "concurrent", "queue.py", "subprocess.py", "distributed")
steps = 0
places: dict[tuple[str, int, str], int] = {}


def tell(value: object) -> None:
    Path(TOLD).write_text(json.dumps(value))


def met(frame: FrameType, event: str, _given: Any) -> Any:
    global steps  # noqa: PLW0603 - a counter of this process
    if event == "line":
        steps += 1
        name, line = frame.f_code.co_filename, frame.f_lineno
        if AT == "0":
            places.setdefault((name, line, frame.f_back.f_code.co_name if frame.f_back else ""), steps)
        elif steps == int(AT):
            tell([Path(name).name, line, frame.f_code.co_name])
            if steps % 2:
                os.killpg(0, signal.SIGINT)
            else:
                os.kill(os.getpid(), signal.SIGINT)
    return met


def entered(frame: FrameType, event: str, given: Any) -> Any:
    return met(frame, event, given) if any(one in frame.f_code.co_filename for one in OURS) else None


def ended() -> None:
    sys.settrace(None)
    if AT == "0":
        tell(sorted(places.values()))


@contextmanager
def traced() -> Iterator[None]:
    with interruptible():
        sys.settrace(entered)
        yield
        sys.settrace(None)


def left() -> None:
    ended()
    leave()


if __name__ == "__main__":
    atexit.register(ended)
    command.interruptible, command.leave = traced, left  # type: ignore[assignment]
    sys.argv[1:] = WORDS
    command.main()
