"""The few calls to the kernel that Python has no word for, by number, for Linux on x86-64 and 64-bit ARM.

No library is used for this: what there is on the package index for Landlock and seccomp is years old or binds to a
system library that need not be there, and the calls themselves are five. Numbers: the kernel's unistd.h of each
machine; from 424 on they are the same everywhere.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

# Of one table: by name, x86-64 and 64-bit ARM (None: a call that the machine never had).
NUMBERS: Mapping[str, tuple[int | None, int | None]] = MappingProxyType(
    {
        "accept": (43, 202), "accept4": (288, 242), "acct": (163, 89), "add_key": (248, 217),
        "adjtimex": (159, 171), "bind": (49, 200), "bpf": (321, 280), "capget": (125, 90), "capset": (126, 91),
        "chmod": (90, None), "chown": (92, None), "chroot": (161, 51), "clock_adjtime": (305, 266),
        "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435), "connect": (42, 203),
        "creat": (85, None), "delete_module": (176, 106), "execve": (59, 221), "execveat": (322, 281),
        "fanotify_init": (300, 262), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
        "fchown": (93, 55), "fchownat": (260, 54), "finit_module": (313, 273), "fork": (57, None),
        "fremovexattr": (199, 16), "fsconfig": (431, 431), "fsetxattr": (190, 7), "fsmount": (432, 432),
        "fsopen": (430, 430), "fspick": (433, 433), "futimesat": (261, None), "init_module": (175, 105),
        "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_uring_setup": (425, 425),
        "ioperm": (173, None), "iopl": (172, None), "kcmp": (312, 272), "kexec_file_load": (320, 294),
        "kexec_load": (246, 104), "keyctl": (250, 219), "kill": (62, 129), "landlock_add_rule": (445, 445),
        "landlock_create_ruleset": (444, 444), "landlock_restrict_self": (446, 446), "lchown": (94, None),
        "link": (86, None), "linkat": (265, 37), "listen": (50, 201), "lremovexattr": (198, 15),
        "lsetxattr": (189, 6), "mkdir": (83, None), "mkdirat": (258, 34), "mknod": (133, None),
        "mknodat": (259, 33), "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
        "name_to_handle_at": (303, 264), "open": (2, None), "open_by_handle_at": (304, 265),
        "open_tree": (428, 428), "openat": (257, 56), "openat2": (437, 437), "perf_event_open": (298, 241),
        "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
        "pivot_root": (155, 41), "prctl": (157, 167), "prlimit64": (302, 261), "process_madvise": (440, 440),
        "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
        "quotactl": (179, 60), "reboot": (169, 142), "removexattr": (197, 14), "rename": (82, None),
        "renameat": (264, 38), "renameat2": (316, 276), "request_key": (249, 218), "rmdir": (84, None),
        "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "seccomp": (317, 277),
        "setdomainname": (171, 162), "sethostname": (170, 161), "setns": (308, 268), "setpgid": (109, 154),
        "setsid": (112, 157), "settimeofday": (164, 170), "setxattr": (188, 5), "socket": (41, 198),
        "socketpair": (53, 199), "swapoff": (168, 225), "swapon": (167, 224), "symlink": (88, None),
        "symlinkat": (266, 36), "syslog": (103, 116), "tgkill": (234, 131), "tkill": (200, 130),
        "truncate": (76, 45), "umount2": (166, 39), "unlink": (87, None), "unlinkat": (263, 35),
        "unshare": (272, 97), "userfaultfd": (323, 282), "utime": (132, None), "utimensat": (280, 88),
        "utimes": (235, None), "vfork": (58, None),
    }
)  # fmt: skip
MACHINES: Mapping[str, int] = MappingProxyType({"x86_64": 0, "aarch64": 1})


class Kernel(Protocol):
    """What the layers of the confinement ask of the operating system; tests put another in its place."""

    machine: str

    def call(self, name: str, *arguments: Any) -> int:
        """Make a call of ``NUMBERS``; OSError if the kernel refuses or does not know it."""

    def prctl(self, option: int, *arguments: int) -> int:
        """Make the call prctl; OSError if it fails."""


class Linux:
    """The kernel that this process runs on. OSError (ENOSYS) where it is none that this table knows."""

    def __init__(self) -> None:
        self.machine = platform.machine()
        self._libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def call(self, name: str, *arguments: Any) -> int:
        """Make a call of ``NUMBERS`` and return what it returns."""
        number = number_of(name, self.machine)
        if self._libc is None or number is None:
            raise OSError(38, "no such call on this machine")
        given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
        return self._checked(self._libc.syscall(ctypes.c_long(number), *given))

    def prctl(self, option: int, *arguments: int) -> int:
        """Make the call prctl."""
        if self._libc is None:
            raise OSError(38, "no such call on this system")
        four = [*arguments, 0, 0, 0, 0][:4]
        return self._checked(self._libc.prctl(option, *map(ctypes.c_ulong, four)))

    @staticmethod
    def _checked(returned: int) -> int:
        if returned == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return returned


def number_of(name: str, machine: str) -> int | None:
    """The number of a call on a machine, None if it has none."""
    place = MACHINES.get(machine)
    return None if place is None else NUMBERS[name][place]
