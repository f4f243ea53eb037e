"""A build that is killed, or whose disk fails, at any step: the old generation opens, or the new one does."""

from __future__ import annotations

import errno
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset import column_files, columns, external_sort, hash_columns
from caid_triage.hashset import store as store_module
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset

# Sources of a set that has every column there is: all digests and perceptual hashes, texts, frames of a video.
SOURCES = """
import json
from pathlib import Path
import numpy as np

def md5_of(seed):
    return np.random.default_rng(seed).integers(0, 256, (9, 16), dtype=np.uint8)

def written(folder, seed):
    rng = np.random.default_rng(seed + 100)
    folder.mkdir(exist_ok=True)
    hexed = lambda length: rng.bytes(length).hex()
    rows = [f"{md5.tobytes().hex()},{hexed(20)},{hexed(32)},{hexed(32)},{number},{hexed(8)},{hexed(144)},"
            f"{number % 3},m{number},s" for number, md5 in enumerate(md5_of(seed))]
    (folder / "set.csv").write_text("md5,sha1,sha256,pdq,quality,phash,photodna,category,media_id,series\\n"
                                    + "\\n".join(rows))
    (folder / "film.txt").write_text("".join(f"{n},90,{hexed(32)},{n / 25:.3f}\\n" for n in range(5)))
    return [folder / "set.csv", folder / "film.txt"]
"""

# Rows wait on disk, are sorted in runs of two and indexed on disk, as those of a large set are.
AS_A_LARGE_SET = """
import functools
from caid_triage.hashset import column_files, columns, external_sort, hash_columns

columns._SPILL_RECORDS = 4
hash_columns.sorted_blocks = functools.partial(external_sort.sorted_blocks, run_bytes=64)
hash_columns._write_index = functools.partial(hash_columns._write_index, least=1)
hash_columns.chunks_for = lambda kind, entries: {"pdq": 32, "phash": 8}[kind]
"""

# Every call by which a build changes the disk: each file's header, first block, fsync and end among them. A child of
# the script kills itself (no cleanup runs) at every other of them (each file has four), or at fewer; the script then
# says what it finds.
KILLER = (
    SOURCES
    + AS_A_LARGE_SET
    + """
import os, shutil, sys, tempfile
from caid_triage.hashset import write
from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.store import open_hashset

out, over_old, stride = Path(sys.argv[1]), sys.argv[2] == "True", int(sys.argv[3])
old, seen = out.with_name("old"), out.with_name("seen.json")
os.fsync = lambda handle: None  # a killed process loses nothing that was written: only the call counts here
out.parent.mkdir()
sources = {seed: written(out.with_name(f"in{seed}"), seed) for seed in (1, 2)}
build_hashset(sources[1], old)

def child(limit):
    steps, files = 0, set()
    def deadly(function):
        def call(*args, **options):
            nonlocal steps
            if isinstance(args[0] if args else None, column_files.ColumnFile):
                files.add("/".join(args[0]._path.parts[-2:]))
                if args[0]._rows and len(args) == 2:
                    return function(*args, **options)  # a further block
            steps += 1
            if steps == limit:
                os._exit(137)
            return function(*args, **options)
        return call
    os.fsync, os.replace = deadly(os.fsync), deadly(os.replace)
    Path.rename, Path.mkdir = deadly(Path.rename), deadly(Path.mkdir)
    file = column_files.ColumnFile
    file.append, file._write_header = deadly(file.append), deadly(file._write_header)
    write.shutil.rmtree, tempfile.TemporaryFile = deadly(shutil.rmtree), deadly(tempfile.TemporaryFile)
    build_hashset(sources[2], out)
    seen.write_text(json.dumps(sorted(files)))
    os._exit(0)

for limit in range(1, 10_000, stride):
    shutil.rmtree(out, ignore_errors=True)
    if over_old:
        shutil.copytree(old, out, copy_function=os.link)  # files of a set are replaced, never changed
    pid = os.fork()
    if pid == 0:
        try:
            child(limit)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    opened = None
    if out.exists():
        hashset = open_hashset(out)
        hashset.verify()
        known = [seed for seed in (1, 2) if len(hashset.exact("md5", md5_of(seed))[0]) == 9]
        opened = known[0] if known else "neither"
    print(json.dumps([limit, code, opened]))
    for left in out.parent.glob(out.name + ".tmp-*"):
        shutil.rmtree(left)
    if code == 0:
        break
"""
)
ROOT = Path(__file__).resolve().parents[2]


def md5_of(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (9, 16), dtype=np.uint8)


def every_column() -> set[str]:
    """All column files that a set of this version may have, as the store knows them."""
    kinds = {f"{kind}/{name}.npy" for kind, names in store_module._OF_KIND.items() for name in (*names[0], *names[1])}
    indexes = {f"{kind}/mih_{part}.npy" for kind in ("pdq", "phash") for part in ("start", "ids")}
    return kinds | indexes | {"phash/mih_values.npy"} | {*store_module._FRAMES, *store_module._REQUIRED}


@pytest.mark.skipif(os.name == "nt", reason="kills itself as POSIX does")
@pytest.mark.parametrize(("over_old", "stride"), [(True, 2), (False, 9)])
def test_killed_at_every_file_of_a_build(tmp_path: Path, over_old: bool, stride: int) -> None:
    script, out = tmp_path / "killer.py", tmp_path / "sets" / "a.chs"
    script.write_text(KILLER)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(out), str(over_old), str(stride)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) * stride > 200  # headers, first blocks and ends of some forty files, and the rows that wait
    assert {code for _, code, _ in steps[:-1]} == {137}
    assert steps[-1][1:] == [0, 2]
    opened = [found for _, _, found in steps]
    old = 1 if over_old else None
    moment = opened.index(2)
    assert moment > 0
    if over_old:
        assert moment < len(opened) - 1  # killed before and after the moment of change
    assert set(opened[:moment]) == {old}
    assert set(opened[moment:]) == {2}
    # It went through every file of the set, and the set has every file that a set can have.
    files = set(json.loads((out.with_name("seen.json")).read_text()))
    assert files == set(open_hashset(out).manifest["columns"]) == every_column()
    build_hashset_from_arrays(out, md5=md5_of(3))
    assert len(open_hashset(out).exact("md5", md5_of(3))[0]) == 9


# Each call, and at how many of them one is made to fail.
STEPS = [
    (os, "fsync", 4),
    (os, "replace", 1),
    (Path, "rename", 1),
    (Path, "mkdir", 7),
    (tempfile, "TemporaryFile", 1),
    (column_files.ColumnFile, "append", 4),
    (column_files.ColumnFile, "_write_header", 3),
]


def as_a_large_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """What AS_A_LARGE_SET does, for the length of a test."""
    monkeypatch.setattr(columns, "_SPILL_RECORDS", 4)
    on_disk = functools.partial(external_sort.sorted_blocks, run_bytes=64)
    monkeypatch.setattr(hash_columns, "sorted_blocks", on_disk)
    monkeypatch.setattr(hash_columns, "_write_index", functools.partial(hash_columns._write_index, least=1))
    monkeypatch.setattr(hash_columns, "chunks_for", lambda kind, _: {"pdq": 32, "phash": 8}[kind])


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Path]]:
    names: dict[str, Any] = {}
    exec(SOURCES, names)
    return {seed: names["written"](tmp_path_factory.mktemp("in") / "x", seed) for seed in (1, 2)}


@pytest.mark.parametrize(("owner", "name", "stride"), STEPS)
def test_a_full_disk_at_any_step_keeps_the_old_set_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: dict[int, list[Path]], owner: Any, name: str, stride: int
) -> None:
    """One call after another, until one build meets none that fails: that one makes the new set."""
    out = tmp_path / "a.chs"
    as_a_large_set(monkeypatch)
    real_fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda _: None)
    build_hashset(sources[1], out)
    real, calls, failing = getattr(owner, name), 0, 1 - stride

    def full(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **options)

    while failing < 1_000:
        failing, calls = failing + stride, 0
        monkeypatch.setattr(owner, name, full)
        message = ""
        try:
            build_hashset(sources[2], out)
        except HashSetError as error:
            message = str(error)
        monkeypatch.setattr(owner, name, real)
        hashset = open_hashset(out)
        hashset.verify()
        known = [seed for seed in (1, 2) if len(hashset.exact("md5", md5_of(seed))[0]) == 9]
        del hashset
        assert [item.name for item in tmp_path.iterdir()] == ["a.chs"]
        if calls < failing:
            break
        assert "No space left on device" in message
        assert known in ([1], [2])
        if known == [2]:  # the last steps come after the moment of change
            build_hashset(sources[1], out)
    assert (message, known) == ("", [2])
    assert failing > (35 if owner is column_files.ColumnFile else 1)
    monkeypatch.setattr(os, "fsync", real_fsync)


# No call is replaced here: the system itself refuses to let any file grow beyond a size.
TOO_LARGE = (
    SOURCES
    + AS_A_LARGE_SET
    + """
import resource, sys
from caid_triage.errors import HashSetError
from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.store import open_hashset

out = Path(sys.argv[1])
sources = {seed: written(out.with_name(f"in{seed}"), seed) for seed in (1, 2)}
build_hashset(sources[1], out)
largest = max(path.stat().st_size for path in out.rglob("*") if path.is_file())
limits = [0, 1, 8, 40, 100, 127, 128, 129, 140, 160, 200, 272, 400, 1_000, 2_000, largest - 1, largest + 4_096]
for limit in limits:
    said = ""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        build_hashset(sources[2], out)
    except HashSetError as error:
        said = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    hashset = open_hashset(out)
    hashset.verify()
    known = [seed for seed in (1, 2) if len(hashset.exact("md5", md5_of(seed))[0]) == 9]
    left = [item.name for item in out.parent.iterdir() if item.name.startswith("a.chs.")]
    print(json.dumps([limit, said, known, left]))
"""
)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a process's files")
def test_files_that_the_system_does_not_let_grow(tmp_path: Path) -> None:
    script, out = tmp_path / "too_large.py", tmp_path / "sets" / "a.chs"
    script.write_text(TOO_LARGE)
    out.parent.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(out)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *failed, last = (json.loads(line) for line in done.stdout.splitlines())
    assert len(failed) == 16
    for limit, said, known, left in failed:
        assert "File too large" in said, limit
        assert (known, left) == ([1], [])
    assert last[1:] == ["", [2], []]


def test_a_disk_that_is_full_while_rows_are_read_keeps_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, source = tmp_path / "sets" / "a.chs", tmp_path / "in.txt"
    build_hashset_from_arrays(out, md5=md5_of(1))
    source.write_text("".join(f"{number:032x}\n" for number in range(1, 9_001)))
    monkeypatch.setattr(columns, "_SPILL_RECORDS", 100)

    def full(**_: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(HashSetError, match="No space left on device"):
        build_hashset([source], out)
    monkeypatch.undo()
    assert len(open_hashset(out).exact("md5", md5_of(1))[0]) == 9
    assert [item.name for item in out.parent.iterdir()] == ["a.chs"]
