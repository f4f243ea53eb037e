"""What the operating system can hold a worker to. Each does nothing where the system lacks it."""

from __future__ import annotations

import signal
import sys


def die_with_parent() -> None:
    """Ask Linux to kill this process when the thread that started it ends (prctl PR_SET_PDEATHSIG).

    Elsewhere an idle worker still ends with its pipe; only one hung in a decoder could outlive its parent.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - only here: not every system has a C library by this name

    pr_set_pdeathsig = 1
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


def limit_memory(size: int) -> None:
    """Cap the address space at ``size`` bytes (0: no cap) and leave no core files, which would hold evidence."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - POSIX only

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if size:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        capped = size if hard == resource.RLIM_INFINITY else min(size, hard)
        resource.setrlimit(resource.RLIMIT_AS, (capped, hard))
