"""No copy of a process's memory on a disk: evidence, secrets and hash lists are in it."""

from __future__ import annotations

import sys


def leave_no_core() -> None:
    """Have the system write no core file of this process, or of what it starts, should one die.

    Errors: ImportError where there are no such limits.
    """
    import resource  # noqa: PLC0415 - POSIX only

    # A limit of 1 writes none and, unlike 0, keeps Linux from giving the core to a program of its (core(5)).
    most = 1 if sys.platform == "linux" else 0
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
