"""Landlock: from here on this process opens files only below the folders that it names now (Linux 5.13 and later).

Source: the kernel's Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h. What a kernel does not
know yet is left out by its version (ABI) of the interface; it never fails for being older. The rules hold for the
thread that makes them and all that it starts, so they are made while there is only one.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from caid_triage.scan.syscalls import Kernel

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
# What may be granted on a single file; the rest belongs to folders.
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL
READING = READ_FILE | READ_DIR
# All rights over files by version of the interface: 1 to 12 of version 1, moving between folders, truncating, devices.
RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP = 1 | 2  # bind and connect, version 4
SCOPES = 1 | 2  # abstract sockets and signals of processes outside, version 6
TCP_SINCE, SCOPES_SINCE = 4, 6
_VERSION_ONLY = 1
_PATH_BENEATH = 1


def landlock_version(kernel: Kernel) -> int:
    """The version of the interface; OSError where the kernel has none, or has it switched off."""
    return kernel.call("landlock_create_ruleset", 0, 0, _VERSION_ONLY)


def restrict_files(kernel: Kernel, readable: Iterable[Path], writable: Iterable[Path] = ()) -> int:
    """Let this process read below ``readable`` and do anything but execute below ``writable``, nothing elsewhere.

    TCP and signals to other processes are denied where the version can do that. Returns the version. Folders that do
    not exist are passed over. Errors: OSError. PR_SET_NO_NEW_PRIVS must have been set.
    """
    version = landlock_version(kernel)
    handled = RIGHTS[min(version, max(RIGHTS))]
    words = [handled]
    if version >= TCP_SINCE:
        words.append(TCP)
    if version >= SCOPES_SINCE:
        words.append(SCOPES)
    attribute = ctypes.create_string_buffer(struct.pack(f"={len(words)}Q", *words))
    ruleset = kernel.call("landlock_create_ruleset", attribute, 8 * len(words), 0)
    try:
        for path in readable:
            _allow(kernel, ruleset, path, READING & handled)
        for path in writable:
            _allow(kernel, ruleset, path, handled & ~EXECUTE)
        kernel.call("landlock_restrict_self", ruleset, 0)
    finally:
        with suppress(OSError):
            os.close(ruleset)
    return version


def _allow(kernel: Kernel, ruleset: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_RDONLY | getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:  # not there, so nobody reads it
        return
    try:
        granted = rights if path.is_dir() else rights & OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", granted, place))
        kernel.call("landlock_add_rule", ruleset, _PATH_BENEATH, rule, 0)
    finally:
        os.close(place)
