"""The start of a scan that a batch has begun: it ends with the batch, then runs the very command ``caid-triage``.

Run as ``python -m caid_triage.batch.leash PARENT scan ...``. Where the batch is killed, Linux sends this process what
Ctrl+C sends, so the case is closed in order and no scan goes on that nobody watches. On other systems the scan runs to
its end; the next batch waits for it.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


def hold(parent: int, sign: int = signal.SIGTERM) -> None:
    """Let this process get a signal when the one that started it ends; end at once where it has already."""
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - on one system

    with suppress(OSError, AttributeError):  # another C library: as on other systems
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(sign), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(130)


if __name__ == "__main__":
    hold(int(sys.argv[1]))
    del sys.argv[1]
    runpy.run_module("caid_triage", run_name="__main__", alter_sys=True)
