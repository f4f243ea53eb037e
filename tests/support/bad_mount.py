"""A folder mounted a second time, read-only, by a file system of our own (FUSE) whose reads fail when a test says so.

The protocol is the kernel's (include/uapi/linux/fuse.h, version 7.31), as much of it as reading files needs. It is
served by a thread of the test: what a command reads below the mount is asked of :attr:`BadMount.fails` first. Needs
/dev/fuse and root (mount(2)) or fusermount; :func:`bad_mount` skips the test with the reason where it cannot be had.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 27, 28, 29, 34, 36, 38, 42
SILENT = frozenset({FORGET, INTERRUPT, BATCH_FORGET})
HEADER = struct.Struct("<IIQQIIII")
DIRECT = 1  # FOPEN_DIRECT_IO: every read comes to us, none to a cache

Fails = Callable[[str, int, int], int]
"""(path below the folder, first byte, length) of a read -> the error number, 0 for none. Length 0: it is looked at."""


class BadMount:
    """The server. ``fails`` may be replaced at any time; ``reads`` counts what was asked for."""

    def __init__(self, folder: Path, place: Path, device: int) -> None:
        self.place = place
        self.fails: Fails = lambda _path, _offset, _length: 0
        self.reads = 0
        self._folder = folder
        self._device = device
        self._paths = {1: ""}
        self._nodes = {"": 1}
        self._files: dict[int, int] = {}
        self._thread = threading.Thread(target=self._serve, name="bad mount", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 18)
            except OSError as fault:
                if fault.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return  # unmounted
            _, kind, unique, node = HEADER.unpack_from(request)[:4]
            if kind in SILENT:
                continue
            try:
                answer = self._answer(kind, node, request[HEADER.size :])
                code = 0
            except OSError as fault:
                answer, code = b"", -(fault.errno or errno.EIO)
            try:
                os.write(self._device, struct.pack("<IiQ", 16 + len(answer), code, unique) + answer)
            except OSError:
                continue  # whoever asked is gone

    def _answer(self, kind: int, node: int, body: bytes) -> bytes:
        if kind == INIT:
            readahead = struct.unpack_from("<III", body)[2]
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, readahead, 0, 12, 9, 1 << 12, 1, 0, 0, 0)
        path = self._paths.get(node, "")
        if kind == LOOKUP:
            return self._looked_up(path, body.rstrip(b"\0"))
        if kind == GETATTR:
            return struct.pack("<QII", 0, 0, 0) + self._facts(path, node)
        if kind in (OPEN, OPENDIR):
            self._check(path)
            if kind == OPEN:
                self._files[node] = self._files.get(node) or os.open(self._folder / path, os.O_RDONLY)
            return struct.pack("<QII", 0, DIRECT if kind == OPEN else 0, 0)
        if kind == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            self.reads += 1
            self._check(path, offset, size)
            return os.pread(self._files[node], size, offset)
        if kind == READDIR:
            _, offset, size = struct.unpack_from("<QQI", body)
            self._check(path)
            return self._listed(path, offset, size)
        if kind == STATFS:
            return struct.pack("<QQQQQIIII24x", 1000, 0, 0, 1000, 0, 4096, 255, 4096, 0)
        if kind in (RELEASE, RELEASEDIR, FLUSH, ACCESS, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    def _check(self, path: str, offset: int = 0, length: int = 0) -> None:
        code = self.fails(path, offset, length)
        if code:
            raise OSError(code, os.strerror(code))

    def _node(self, path: str) -> int:
        node = self._nodes.setdefault(path, len(self._nodes) + 1)
        self._paths[node] = path
        return node

    def _looked_up(self, parent: str, name: bytes) -> bytes:
        path = f"{parent}/{os.fsdecode(name)}".lstrip("/")
        facts = self._facts(path, self._node(path))
        return struct.pack("<QQQQII", self._node(path), 0, 0, 0, 0, 0) + facts

    def _facts(self, path: str, node: int) -> bytes:
        """struct fuse_attr."""
        self._check(path)
        facts = os.lstat(self._folder / path)
        # Our own reading of the folder changes its access times: they are told as of the last change.
        times = [divmod(moment, 10**9) for moment in (facts.st_mtime_ns, facts.st_mtime_ns, facts.st_ctime_ns)]
        return struct.pack(
            "<QQQQQQIIIIIIIIII", node, facts.st_size, facts.st_blocks, *(whole for whole, _ in times),
            *(part for _, part in times), facts.st_mode, facts.st_nlink, os.getuid(), os.getgid(), 0, 4096, 0,
        )  # fmt: skip

    def _listed(self, path: str, offset: int, size: int) -> bytes:
        answer = b""
        for place, name in enumerate(sorted(item.name for item in (self._folder / path).iterdir()), start=1):
            if place <= offset:
                continue
            below = f"{path}/{name}".lstrip("/")
            kind = stat.S_IFMT(os.lstat(self._folder / below).st_mode) >> 12
            raw = os.fsencode(name)
            item = struct.pack("<QQII", self._node(below), place, len(raw), kind) + raw
            item += b"\0" * (-len(item) % 8)
            if len(answer) + len(item) > size:
                break
            answer += item
        return answer


@contextmanager
def bad_mount(folder: Path, place: Path) -> Iterator[BadMount]:
    """``folder`` mounted at ``place`` for as long as the block lasts."""
    place.mkdir()
    device = _mounted(place)
    try:
        yield BadMount(folder, place, device)
    finally:
        unmount(place)
        os.close(device)


def unmount(place: Path) -> None:
    """Pull it out, whoever still uses it; nothing happens where nothing is mounted."""
    tool = ["umount", "-l"] if os.geteuid() == 0 else [_fusermount() or "fusermount", "-uz"]
    subprocess.run([*tool, str(place)], capture_output=True, check=False)


def _mounted(place: Path) -> int:
    """The device of a new mount. Skips the test where there is none."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as fault:
        pytest.skip(f"/dev/fuse cannot be opened ({fault.strerror}): a source that fails is injected elsewhere instead")
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0"
        if (
            libc.mount(b"bad", os.fsencode(place), b"fuse", 1 | 2 | 4, options.encode()) == 0
        ):  # read-only, nosuid, nodev
            return device
        os.close(device)
        pytest.skip(f"a file system of our own cannot be mounted here ({os.strerror(ctypes.get_errno())})")
    os.close(device)
    tool = _fusermount()
    if tool is None:
        pytest.skip("neither root nor fusermount: a file system of our own cannot be mounted here")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = subprocess.run(
            [tool, "-o", "ro,nosuid,nodev", "--", str(place)],
            env=os.environ | {"_FUSE_COMMFD": str(theirs.fileno())}, pass_fds=[theirs.fileno()],
            capture_output=True, check=False, timeout=20,
        )  # fmt: skip
        if done.returncode:
            pytest.skip("fusermount does not mount a file system of our own here")
        return socket.recv_fds(ours, 1, 1)[1][0]


def _fusermount() -> str | None:
    return shutil.which("fusermount3") or shutil.which("fusermount")
