"""What a confined process can still do: it tries, and tells. A layer that is said to hold is believed when it does.

Everything tried is harmless where it succeeds: an empty file that is removed again, a socket that is closed, a file
that every user may read, a signal that does nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

# What is tried -> in words, as it stands in a report.
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "create-file": "make files",
        "open-network": "open network connections",
        "read-outside": "read files outside of this program",
        "start-process": "start other processes",
        "signal-others": "send signals to other processes",
    }
)


def still_possible() -> tuple[str, ...]:
    """Which of ``WORDS`` succeed here, in their order. Where there is no layer that could deny them all do."""
    if sys.platform == "win32":
        return tuple(WORDS)
    tries: dict[str, Callable[[], object]] = {
        "create-file": _create_file,
        "open-network": _open_network,
        "read-outside": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
        "start-process": _start_process,
        "signal-others": lambda: os.kill(os.getppid(), 0),
    }
    return tuple(name for name, attempt in tries.items() if _succeeds(attempt))


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _create_file() -> None:
    for folder in dict.fromkeys(("/dev/shm", os.environ.get("TMPDIR", ""), "/tmp", "/var/tmp")):  # noqa: S108 - tried, not used
        if not folder:
            continue
        path = Path(folder) / f".caid-triage-{os.urandom(8).hex()}"
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with suppress(OSError):
                path.unlink()
            return
    raise PermissionError


def _open_network() -> None:
    import socket  # noqa: PLC0415 - few processes need it

    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.settimeout(0.2)
        try:
            one.connect(("127.0.0.1", 9))  # nobody listens there, and who is not denied is told so
        except PermissionError:
            raise
        except OSError:
            return


def _start_process() -> None:
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
