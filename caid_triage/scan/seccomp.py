"""seccomp: a filter of system calls after which this process starts nothing, writes nowhere and talks to nobody.

It is a list of what is denied, not of what is allowed: measured, a list of allowed calls that was a little too short
turned 63 of 124 good pictures into "corrupt" ones (AVIF's decoder could not start its thread). Threads are allowed,
processes are not. A denied call fails with EPERM; clone3 and openat2, whose arguments a filter cannot see, fail as if
the kernel did not have them, and the C library falls back on clone and openat. Source: the kernel's
Documentation/userspace-api/seccomp_filter.rst and include/uapi/linux/{seccomp,filter,audit}.h.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable, Iterator

from caid_triage.scan.syscalls import Kernel, number_of

# Denied whatever their arguments. Other processes, and becoming or starting one; the network; new names and rights of
# files; the machine itself; and what would get around a filter (io_uring) or reach memory by another way.
DENIED = (
    "fork", "vfork", "execve", "execveat", "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp",
    "pidfd_open", "pidfd_getfd", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "setsid", "setpgid",
    "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect",
    "creat", "mkdir", "mkdirat", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat", "rename", "renameat",
    "renameat2", "unlink", "unlinkat", "rmdir", "truncate", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown",
    "fchown", "lchown", "fchownat", "utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr",
    "removexattr", "lremovexattr", "fremovexattr", "name_to_handle_at", "open_by_handle_at",
    "mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "open_tree", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "quotactl", "swapon", "swapoff", "acct", "fanotify_init",
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "bpf", "perf_event_open",
    "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key", "keyctl", "iopl",
    "ioperm", "syslog", "sethostname", "setdomainname", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
    "capset",
)  # fmt: skip
# Of those, what a process that may write below some folders has to do there; Landlock then says where.
OF_WRITING = frozenset(
    ("creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "truncate", "chmod",
     "fchmod", "fchmodat", "fchmodat2", "utime", "utimes", "utimensat", "futimesat", "link", "linkat")
)  # fmt: skip
# Their arguments lie in memory, where a filter cannot look.
UNSEEN = ("clone3",)
UNSEEN_OF_OPENING = ("openat2",)

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32 = 0x40000000
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000
CLONE_THREAD = 0x00010000
# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC and what is O_TMPFILE's own, alike on both machines.
OPENS_TO_WRITE = 0o1 | 0o2 | 0o100 | 0o1000 | 0o20000000
# prctl: who is killed with whom, and whether others may look into this process, are settled.
SETTLED = (1, 4, 0x59616D61)  # PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_PTRACER

_LOAD, _EQUALS, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_SET_FILTER = 1
# On every thread at once, and without switching off speculation, which costs and guards nothing here: a worker holds
# one file's bytes and no secret of another's.
_FLAGS = 1 | 4

Instruction = tuple[int, int, int, int]


def filter_of(machine: str, process: int, writing: bool = False) -> list[Instruction]:
    """The filter for a process of that id, as (code, jump if true, jump if false, constant).

    With ``writing`` files may be opened to be written and made. OSError (ENOSYS) for a machine that has no table here.
    """
    if machine not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no filter of system calls is made for {machine}")
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUALS, 1, 0, ARCHITECTURES[machine]),  # calls of another machine (32 bits) have other numbers
        (_RETURN, 0, 0, KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, X32), (_RETURN, 0, 0, KILL)]
    for name in DENIED:
        if not (writing and name in OF_WRITING):
            program += _when(machine, name, [(_RETURN, 0, 0, FAIL | errno.EPERM)])
    for name in UNSEEN if writing else UNSEEN + UNSEEN_OF_OPENING:
        program += _when(machine, name, [(_RETURN, 0, 0, FAIL | errno.ENOSYS)])
    program += _when(machine, "clone", _unless_any_bit(0, CLONE_THREAD))
    for name in ("kill", "tgkill", "tkill"):
        program += _when(machine, name, _unless(0, [process]))
    program += _when(machine, "prlimit64", _unless(0, [0, process]))
    program += _when(machine, "prctl", _if_one_of(0, SETTLED))
    if not writing:
        program += _when(machine, "open", _if_any_bit(1, OPENS_TO_WRITE))
        program += _when(machine, "openat", _if_any_bit(2, OPENS_TO_WRITE))
    return [*program, (_RETURN, 0, 0, ALLOW)]


def _when(machine: str, name: str, then: list[Instruction]) -> Iterable[Instruction]:
    """``then``, which must end in a return, for one call; nothing for a call that the machine does not have."""
    number = number_of(name, machine)
    return [] if number is None else [(_EQUALS, 0, len(then), number), *then]


def _argument(place: int) -> Instruction:
    """Load the lower half of an argument: all that is looked at here are ints, of which the kernel reads no more."""
    return _LOAD, 0, 0, _ARGUMENTS + 8 * place


def _unless(place: int, values: Iterable[int]) -> list[Instruction]:
    """Fail unless an argument has one of the values."""
    return [*_equal_to_any(place, list(values)), (_RETURN, 0, 0, FAIL | errno.EPERM), (_RETURN, 0, 0, ALLOW)]


def _if_one_of(place: int, values: Iterable[int]) -> list[Instruction]:
    """Fail if an argument has one of the values."""
    return [*_equal_to_any(place, list(values)), (_RETURN, 0, 0, ALLOW), (_RETURN, 0, 0, FAIL | errno.EPERM)]


def _equal_to_any(place: int, values: list[int]) -> Iterator[Instruction]:
    """Go to the second instruction behind these if an argument has one of the values, else to the first."""
    yield _argument(place)
    for number, value in enumerate(values):
        yield _EQUALS, len(values) - number, 0, value


def _if_any_bit(place: int, bits: int) -> list[Instruction]:
    """Fail if an argument has any of the bits."""
    return [_argument(place), (_ANY_BIT, 0, 1, bits), (_RETURN, 0, 0, FAIL | errno.EPERM), (_RETURN, 0, 0, ALLOW)]


def _unless_any_bit(place: int, bits: int) -> list[Instruction]:
    """Fail unless an argument has one of the bits."""
    return [_argument(place), (_ANY_BIT, 1, 0, bits), (_RETURN, 0, 0, FAIL | errno.EPERM), (_RETURN, 0, 0, ALLOW)]


def filter_calls(kernel: Kernel, process: int, writing: bool = False) -> None:
    """Put the filter over all threads of this process, for good. PR_SET_NO_NEW_PRIVS must have been set.

    Errors: OSError, also when a thread could not be brought under it.
    """
    program = filter_of(kernel.machine, process, writing)
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *one) for one in program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    if kernel.call("seccomp", _SET_FILTER, _FLAGS, head):
        raise OSError(errno.EBUSY, "a thread could not be brought under the filter")
