"""What the operating system can hold a process to that reads hostile bytes. What a system lacks is told, not failed on.

    told = confine(memory=4 << 30)                                   # a worker: it writes nowhere, reads our program
    told = confine(memory=..., readable=[image], writable=[scratch])    # a process that reads evidence

A process that is confined stays so. Each layer stands alone, so that one which a kernel lacks takes nothing from the
others, and ``without`` leaves one out that was found to do harm (scan/trial.py):

* memory, core, file-size: RLIMIT_AS, RLIMIT_CORE (cores.py), RLIMIT_FSIZE. Whoever wants a file of a worker's is a
  decoder that writes into memory by a descriptor (examine/jpeg_warnings.py): a little is allowed.
* parent: the process ends with the thread that started it (PR_SET_PDEATHSIG).
* private: other processes of the same user cannot look into it (PR_SET_DUMPABLE 0).
* capabilities: of root's rights only that of reading others' files is kept, which the installation may need.
* landlock: files below ``readable`` and our program are read, those below ``writable`` written, nothing else is opened.
* seccomp: no other program or process, no network, no new file, no signal to others (scan/seccomp.py).

CPU time is limited as work is given (:func:`allow_cpu`). There is no RLIMIT_NPROC: it counts all processes of the user,
so that a decoder's own thread would fail where the user has much open; seccomp denies processes and allows threads.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from caid_triage.cores import leave_no_core
from caid_triage.scan.landlock import restrict_files
from caid_triage.scan.seccomp import filter_calls
from caid_triage.scan.syscalls import Kernel, Linux

LAYERS = ("memory", "core", "file-size", "parent", "private", "capabilities", "landlock", "seccomp")
# Those that could do harm to a decoder, and that a scan can do without.
OPTIONAL_LAYERS = ("file-size", "capabilities", "landlock", "seccomp")
MOST_WRITTEN = 1 << 20
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAP_DAC_READ_SEARCH = 1 << 2
_CAPABILITY_VERSION = 0x20080522
# What libraries read to know the machine, the time zones and their own parts.
_OF_THE_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime",
    "/usr/share/zoneinfo", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/proc/cpuinfo", "/proc/meminfo",
    "/sys/devices/system/cpu",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Confined:
    """Which layers hold this process, and of the others why not; ``landlock`` is the version of it, 0 for none."""

    active: tuple[str, ...]
    missing: tuple[tuple[str, str], ...] = ()
    landlock: int = 0


def confine(
    *,
    memory: int = 0,
    readable: Iterable[Path] = (),
    writable: Iterable[Path] = (),
    written: int = MOST_WRITTEN,
    without: Iterable[str] = (),
    kernel: Kernel | None = None,
) -> Confined:
    """Hold this process to its work for good; call it while it has one thread. Returns what came of it.

    ``memory``: bytes of address space (0: no limit). ``readable``, ``writable``: files and folders, beside the
    program's own. ``written``: the most bytes that one file may grow to (0: no limit). ``without``: layers to leave
    out.
    """
    kernel = kernel or Linux()
    writable = tuple(writable)
    held: dict[str, int] = {}

    def landlock() -> None:
        if _threads() > 1:
            raise OSError(16, "other threads were running already")
        held["landlock"] = restrict_files(kernel, [*program_folders(), *readable], writable)

    steps: dict[str, Callable[[], object]] = {
        "memory": lambda: limit_memory(memory),
        "core": leave_no_core,
        "file-size": lambda: _limit("RLIMIT_FSIZE", written),
        "capabilities": lambda: _drop_capabilities(kernel),
        "landlock": landlock,
        "parent": lambda: kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL),
        "private": lambda: kernel.prctl(_PR_SET_DUMPABLE, 0),
        "seccomp": lambda: filter_calls(kernel, os.getpid(), bool(writable)),
    }
    left_out = set(without)
    active, missing = set(), dict.fromkeys(left_out, "it was left out")
    with suppress(OSError):  # then the kernel refuses the layers that need it, and each says so
        kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    for name, step in steps.items():
        if name in left_out:
            continue
        try:
            step()
        except (OSError, ValueError, ImportError) as error:
            missing[name] = _why(error)
        else:
            active.add(name)
    return Confined(
        tuple(name for name in LAYERS if name in active),
        tuple((name, missing[name]) for name in LAYERS if name in missing),
        held.get("landlock", 0),
    )


def _why(error: OSError | ValueError | ImportError) -> str:
    """In words without a path: what the system said."""
    if isinstance(error, ImportError):
        return "this system has no such thing"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def die_with_parent(parent: int = 0) -> None:
    """Ask Linux to kill this process when the thread that started it ends (prctl PR_SET_PDEATHSIG).

    If ``parent``, the process that started it, has ended before it could be asked, SystemExit.
    Elsewhere an idle worker still ends with its pipe; only one hung in a decoder could outlive its parent.
    """
    if sys.platform == "linux":
        Linux().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent and os.getppid() != parent:
            raise SystemExit(0)


def limit_memory(size: int) -> None:
    """Cap the address space at ``size`` bytes (0: no cap). Errors: ImportError where there are no such limits."""
    _limit("RLIMIT_AS", size, hard=False)


def allow_cpu(seconds: float) -> None:
    """Let this process use so many more seconds of CPU time before it is killed (nothing where there are no limits).

    Far above what the deadline of the work allows: that one judges, by the clock of the coordinator. This one ends a
    process which spins while nobody watches.
    """
    try:
        import resource  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    wanted = math.ceil(used.ru_utime + used.ru_stime + seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))


def _limit(name: str, most: int, hard: bool = True) -> None:
    """Set a limit of the system, the hard one too so that it cannot be raised again; 0 sets none."""
    import resource  # noqa: PLC0415 - POSIX only

    if most:
        kind = getattr(resource, name)
        before = resource.getrlimit(kind)[1]
        capped = most if before == resource.RLIM_INFINITY else min(most, before)
        resource.setrlimit(kind, (capped, capped if hard else before))


def _drop_capabilities(kernel: Kernel) -> None:
    """Give up every right of root's but that of reading; nobody else has any."""
    head = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION, 0))
    now = ctypes.create_string_buffer(24)
    kernel.call("capget", head, now)
    permitted = struct.unpack("=6I", now.raw[:24])[1]
    kept = permitted & _CAP_DAC_READ_SEARCH
    kernel.call("capset", head, ctypes.create_string_buffer(struct.pack("=6I", kept, kept, 0, 0, 0, 0)))


def _threads() -> int:
    """How many threads this process has, 1 where that cannot be told."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return 1


def program_folders() -> list[Path]:
    """Where this program's code and libraries lie: what a confined process goes on reading."""
    own = Path(__file__).resolve().parents[1]
    found = [own, *map(Path, _OF_THE_SYSTEM)]
    # A project folder that this package is run from is no library: a case may lie in it.
    found += [Path(entry) for entry in sys.path if entry and (_is_library(own) or Path(entry).resolve() != own.parent)]
    found += [Path(path) for path in sysconfig.get_paths().values() if "lib" in path]
    found += mapped_folders()
    return [path for path in dict.fromkeys(found) if path.is_absolute() and path != Path("/")]


def _is_library(own: Path) -> bool:
    """Whether this package is installed among others, and not run from a folder of its own."""
    return own.parent.name in ("site-packages", "dist-packages")


def mapped_folders() -> list[Path]:
    """The folders of the libraries that this process has loaded: an installation may keep them anywhere (Linux)."""
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
    names = {line.split(maxsplit=5)[5] for line in lines if line.count(" ") >= 5 and ".so" in line}
    return sorted({Path(name).parent for name in names if name.startswith("/")})
