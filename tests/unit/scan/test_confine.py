"""What the system holds a worker to: really, where this kernel can, and what is told where it cannot."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from caid_triage.scan import confine as confining
from caid_triage.scan import landlock, seccomp
from caid_triage.scan.confine import LAYERS, OPTIONAL_LAYERS, confine, program_folders
from caid_triage.scan.syscalls import NUMBERS, Linux, number_of

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are Linux's")
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


class Pretended:
    """A kernel that says yes to what it knows and keeps what it was asked for."""

    def __init__(self, machine: str = "x86_64", version: int = 0, refuses: frozenset[str] = frozenset()) -> None:
        self.machine = machine
        self.version = version
        self.refuses = refuses
        self.asked: list[tuple[Any, ...]] = []

    def call(self, name: str, *arguments: Any) -> int:
        given = tuple(bytes(one) if hasattr(one, "raw") else one for one in arguments)
        self.asked.append((name, *given))
        if name in self.refuses or (name.startswith("landlock") and not self.version):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        if name == "landlock_create_ruleset":
            return self.version if arguments[2] else os.open(os.devnull, os.O_RDONLY)
        return 0

    def prctl(self, option: int, *arguments: int) -> int:
        self.asked.append(("prctl", option, *arguments))
        return 0


@pytest.fixture
def _no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confining, "_limit", lambda *_a, **_k: None)
    monkeypatch.setattr(confining, "leave_no_core", lambda: None)
    monkeypatch.setattr(confining, "_threads", lambda: 1)


@pytest.mark.usefixtures("_no_limits")
@pytest.mark.parametrize(
    ("version", "rights", "words"),
    [(1, 13, 1), (2, 14, 1), (3, 15, 1), (4, 15, 2), (5, 16, 2), (6, 16, 3), (7, 16, 3), (99, 16, 3)],
)
def test_every_version_of_landlock_is_asked_for_what_it_knows(
    version: int, rights: int, words: int, tmp_path: Path
) -> None:
    kernel = Pretended(version=version)
    told = confine(readable=[tmp_path], writable=[tmp_path / "not there"], kernel=kernel)
    assert told.landlock == version
    assert "landlock" in told.active
    (_, attribute, size, _) = next(one for one in kernel.asked if one[0] == "landlock_create_ruleset" and one[2])
    handled = struct.unpack(f"={words}Q", attribute[: 8 * words])
    assert size == 8 * words
    assert handled == ((1 << rights) - 1, 3, 3)[:words]
    rules = [struct.unpack("=Qi", one[3][:12])[0] for one in kernel.asked if one[0] == "landlock_add_rule"]
    assert rules
    assert not any(rule & ~(landlock.READ_FILE | landlock.READ_DIR) for rule in rules), "something may be written"
    assert kernel.asked.index(("prctl", 38, 1)) < [one[0] for one in kernel.asked].index("landlock_restrict_self")


@pytest.mark.usefixtures("_no_limits")
@pytest.mark.parametrize("gone", ["landlock", "seccomp", "capabilities"])
def test_what_a_kernel_lacks_takes_nothing_from_the_other_layers(gone: str) -> None:
    call = {"landlock": "landlock_create_ruleset", "seccomp": "seccomp", "capabilities": "capset"}[gone]
    told = confine(kernel=Pretended(version=4, refuses=frozenset([call])))
    assert told.missing == ((gone, os.strerror(errno.ENOSYS)),)
    assert told.active == tuple(name for name in LAYERS if name != gone)


@pytest.mark.usefixtures("_no_limits")
def test_a_layer_that_is_left_out_is_not_asked_for() -> None:
    kernel = Pretended(version=4)
    told = confine(without=OPTIONAL_LAYERS, kernel=kernel)
    assert set(told.active) == set(LAYERS) - set(OPTIONAL_LAYERS)
    assert {name for name, _ in told.missing} == set(OPTIONAL_LAYERS)
    assert not [one for one in kernel.asked if one[0] != "prctl"]


@pytest.mark.usefixtures("_no_limits")
def test_a_machine_without_a_table_has_no_filter_and_says_so() -> None:
    told = confine(kernel=Pretended(machine="riscv64", version=3))
    assert "riscv64" in dict(told.missing)["seccomp"]


@pytest.mark.usefixtures("_no_limits")
def test_threads_that_run_already_are_not_taken_for_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confining, "_threads", lambda: 2)
    assert "landlock" in dict(confine(kernel=Pretended(version=4)).missing)


# -- the filter, run as the kernel runs it -----------------------------------------------------------------

ALLOWED = 0x7FFF0000
KILLED = 0x80000000


def answer(program: list[seccomp.Instruction], machine: str, name: str | int, *arguments: int) -> int:
    """What a classic BPF program of these few instructions answers to a call."""
    number = name if isinstance(name, int) else number_of(name, machine)
    assert number is not None
    six = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    data = struct.pack("<IIQ6Q", number, seccomp.ARCHITECTURES[machine], 0, *six)
    accumulator, place = 0, 0
    while True:
        code, if_true, if_false, value = program[place]
        place += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, value)
        elif code == 0x06:
            return value
        else:
            met = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            place += if_true if met else if_false


def denied(number: int) -> int:
    return 0x00050000 | number


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("writing", [False, True])
def test_the_filter_denies_what_it_names_and_nothing_that_decoders_need(machine: str, writing: bool) -> None:
    program = seccomp.filter_of(machine, 4711, writing)
    assert len(program) < 4096  # BPF_MAXINSNS
    assert all(jump < 256 for _, *jumps, _ in program for jump in jumps)

    def says(name: str | int, *arguments: int) -> int:
        return answer(program, machine, name, *arguments)

    for name in seccomp.DENIED:
        if number_of(name, machine) is not None:
            may = writing and name in seccomp.OF_WRITING
            assert says(name) == (ALLOWED if may else denied(errno.EPERM)), name
    assert says("clone3") == denied(errno.ENOSYS)
    assert says("clone", 0x3D0F00) == ALLOWED  # as a C library starts a thread
    assert says("clone", signal.SIGCHLD) == denied(errno.EPERM)  # as it forks
    assert says("clone", 0x4100 | signal.SIGCHLD) == denied(errno.EPERM)  # as it spawns
    for name in ("kill", "tgkill", "tkill"):
        assert says(name, 4711, 6) == ALLOWED
        for other in (1, 4712, 0, -1, -4711):
            assert says(name, other, 9) == denied(errno.EPERM)
    assert says("prlimit64", 0) == says("prlimit64", 4711) == ALLOWED
    assert says("prlimit64", 1) == denied(errno.EPERM)
    for option, expected in ((1, errno.EPERM), (4, errno.EPERM), (0x59616D61, errno.EPERM), (15, 0), (38, 0)):
        assert says("prctl", option) == (denied(expected) if expected else ALLOWED)
    for flags in (os.O_RDONLY, 0o2000000, 0o200000):
        assert says("openat", -100 & 0xFFFFFFFF, 0, flags) == ALLOWED
    for flags in (0o1, 0o2, 0o101, 0o1102, 0o20200002):
        expected = ALLOWED if writing else denied(errno.EPERM)
        assert says("openat", -100 & 0xFFFFFFFF, 0, flags) == expected
        if machine == "x86_64":
            assert says("open", 0, flags) == expected
    for number in (0, 1, 9, 202, 231, 319) if machine == "x86_64" else (63, 64, 222, 98, 94, 279):
        assert says(number) == ALLOWED  # read, write, mmap, futex, exit_group, memfd_create
    if machine == "x86_64":
        assert says(0x40000000 + 41) == KILLED
    other = next(one for one in seccomp.ARCHITECTURES if one != machine)
    assert answer(program, other, "openat") == KILLED


@pytest.mark.parametrize("machine", list(HEADERS))
def test_the_numbers_are_the_kernels_own(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("the kernel's headers are not installed")
    text = HEADERS[machine].read_text()
    known = {name: int(number) for name, number in re.findall(r"#define\s+__NR(?:3264)?_(\w+)\s+(\d+)", text)}
    ours = {name: number_of(name, machine) for name in NUMBERS}
    checked = {name: number for name, number in ours.items() if name in known}
    assert checked == {name: known[name] for name in checked}
    assert len(checked) > 80
    late = {name for name in ours if ours[name] is not None and name not in known}
    assert all((ours[name] or 0) > 440 for name in late), "a call that the header does not know"


# -- this kernel -------------------------------------------------------------------------------------------

SHARED = """
import ctypes, errno, json, os, socket, sys
from pathlib import Path
from caid_triage.scan.confine import allow_cpu, confine
from caid_triage.scan.escape import still_possible
def outcome(step):
    try:
        step()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
folder = Path(sys.argv[1])
"""


def told_by(script: str, folder: Path) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", SHARED + script, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def has_landlock() -> bool:
    try:
        return landlock.landlock_version(Linux()) > 0
    except OSError:
        return False


@ON_LINUX
@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
def test_a_confined_process_reads_its_own_and_does_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "case.db").write_bytes(b"not for a worker")
    told = told_by(
        """
told = confine(memory=4 << 30)
import threading
threads = []
for _ in range(3):
    thread = threading.Thread(target=lambda: threads.append(1)); thread.start(); thread.join()
libc = ctypes.CDLL(None, use_errno=True)
memory = os.memfd_create("libjpeg")
print(json.dumps({
    "active": told.active, "missing": told.missing, "possible": still_possible(), "threads": len(threads),
    "read": outcome(lambda: (folder / "case.db").read_bytes()),
    "list": outcome(lambda: os.listdir(folder)),
    "make": outcome(lambda: (folder / "new").touch()),
    "remove": outcome(lambda: (folder / "case.db").unlink()),
    "mode": outcome(lambda: (folder / "case.db").chmod(0)),
    "proc": outcome(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()),
    "own": outcome(lambda: Path(json.__file__).read_bytes()),
    "local": outcome(lambda: socket.socket(socket.AF_UNIX)),
    "run": outcome(lambda: os.execv(sys.executable, [sys.executable])),
    "kill": outcome(lambda: os.kill(os.getppid(), 0)),
    "group": outcome(lambda: os.setpgid(0, 0)),
    "undo": libc.prctl(1, 0, 0, 0, 0),
    "little": outcome(lambda: os.write(memory, bytes(1000))),
    "much": outcome(lambda: os.pwrite(memory, b"x", 8 << 20)),
}))
""",
        tmp_path,
    )
    assert told["active"] == list(LAYERS), told["missing"]
    assert told["possible"] == []
    assert told["threads"] == 3
    assert told["undo"] == -1
    assert (told["own"], told["little"], told["much"]) == ("done", "done", "EFBIG")
    for name in ("read", "list", "proc"):
        assert told[name] == "EACCES", name
    for name in ("make", "remove", "mode", "local", "run", "kill", "group"):
        assert told[name] == "EPERM", name
    assert (tmp_path / "case.db").read_bytes() == b"not for a worker"


@ON_LINUX
@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock")
def test_a_process_may_be_given_what_to_read_and_where_to_write(tmp_path: Path) -> None:
    (tmp_path / "image.dd").write_bytes(b"evidence")
    (tmp_path / "other.dd").write_bytes(b"another's")
    (tmp_path / "scratch").mkdir()
    told = told_by(
        """
told = confine(readable=[folder / "image.dd"], writable=[folder / "scratch"], written=0)
print(json.dumps({
    "active": told.active,
    "image": outcome(lambda: (folder / "image.dd").read_bytes()),
    "into": outcome(lambda: (folder / "image.dd").open("r+b")),
    "other": outcome(lambda: (folder / "other.dd").read_bytes()),
    "scratch": outcome(lambda: (folder / "scratch" / "a").write_bytes(b"a")),
    "beside": outcome(lambda: (folder / "b").write_bytes(b"b")),
    "gone": outcome(lambda: (folder / "scratch" / "a").unlink()),
}))
""",
        tmp_path,
    )
    assert "landlock" in told["active"]
    assert {name: told[name] for name in ("image", "scratch", "gone")} == dict.fromkeys(
        ("image", "scratch", "gone"), "done"
    )
    assert {told[name] for name in ("into", "other", "beside")} == {"EACCES"}


@ON_LINUX
def test_without_its_layers_a_process_tells_what_it_can_do(tmp_path: Path) -> None:
    told = told_by(
        f"""
told = confine(without={OPTIONAL_LAYERS!r})
print(json.dumps({{"possible": still_possible(), "left": [str(one) for one in folder.iterdir()]}}))
""",
        tmp_path,
    )
    assert told["possible"][:3] == ["create-file", "open-network", "read-outside"]
    assert not list(Path("/dev/shm").glob(".caid-triage-*"))


@pytest.mark.skipif(not hasattr(signal, "SIGXCPU"), reason="CPU time is limited on POSIX systems")
def test_a_process_that_spins_is_ended_by_the_system_and_a_diligent_one_is_not(tmp_path: Path) -> None:
    script = SHARED + "import time\n"
    diligent = "for _ in range(6):\n    allow_cpu(1.5)\n    end = time.process_time() + 0.5\n"
    diligent += "    while time.process_time() < end: pass\n"
    spins = "allow_cpu(0.5)\nwhile True: pass\n"
    ended = [
        subprocess.run([sys.executable, "-c", script + rest, str(tmp_path)], timeout=120, check=False).returncode
        for rest in (diligent, spins)
    ]
    assert ended == [0, -signal.SIGXCPU]


def test_the_program_is_read_where_it_lies_and_a_project_around_it_is_not() -> None:
    own = Path(confining.__file__).resolve().parents[1]
    folders = program_folders()
    assert own in folders
    assert Path("/") not in folders
    assert Path(json.__file__).parents[1] in folders
    if own.parent.name not in ("site-packages", "dist-packages"):
        assert own.parent not in folders
        assert not any(own.parent.is_relative_to(folder) for folder in folders)


def test_why_a_layer_is_missing_names_no_path() -> None:
    fault: Callable[..., str] = confining._why
    assert "secret" not in fault(PermissionError(13, "Permission denied", "/secret/place"))
