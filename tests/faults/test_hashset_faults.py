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
from caid_triage.hashset import column_files, external_sort, hash_columns
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset

# Every call by which a build changes the disk, each file's header, blocks and end among them. A child of the script
# kills itself (no cleanup runs) at each of them in turn; the script then says what it finds.
KILLER = """
import functools, json, os, shutil, sys, tempfile
from pathlib import Path
import numpy as np
from caid_triage.hashset import column_files, external_sort, hash_columns, write
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset

out, over_old = Path(sys.argv[1]), sys.argv[2] == "True"
hash_columns.sorted_blocks = functools.partial(external_sort.sorted_blocks, run_bytes=64)  # sorts on disk
os.fsync = lambda handle: None  # a killed process loses nothing that was written: only the call counts here

def build(seed):
    rng = np.random.default_rng(seed)
    made = {name: rng.integers(0, 256, (9, length), dtype=np.uint8) for name, length in
            (("md5", 16), ("sha1", 20), ("pdq", 32), ("phash", 8), ("photodna", 144))}
    build_hashset_from_arrays(out, **made)
    return made["md5"]

def child(limit):
    steps = 0
    def deadly(function):
        def call(*args, **options):
            nonlocal steps
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
    build(2)
    os._exit(0)

for limit in range(1, 10_000):
    shutil.rmtree(out, ignore_errors=True)
    digests = {1: build(1) if over_old else None}
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
        rng = np.random.default_rng(2)
        digests[2] = rng.integers(0, 256, (9, 16), dtype=np.uint8)
        known = [seed for seed, md5 in digests.items() if md5 is not None and len(hashset.exact("md5", md5)[0]) == 9]
        opened = known[0] if known else "neither"
    print(json.dumps([limit, code, opened]))
    if code == 0:
        break
"""
ROOT = Path(__file__).resolve().parents[2]


def md5_of(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (9, 16), dtype=np.uint8)


@pytest.mark.skipif(os.name == "nt", reason="kills itself as POSIX does")
@pytest.mark.parametrize("over_old", [True, False])
def test_killed_at_every_step_of_a_build(tmp_path: Path, over_old: bool) -> None:
    script, out = tmp_path / "killer.py", tmp_path / "sets" / "a.chs"
    script.write_text(KILLER)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(out), str(over_old)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(steps) > 100  # headers, blocks and ends of some thirty files
    assert {code for _, code, _ in steps[:-1]} == {137}
    assert steps[-1][1:] == [0, 2]
    opened = [found for _, _, found in steps]
    old = 1 if over_old else None
    moment = opened.index(2)
    assert 0 < moment < len(opened) - 1  # killed before and after the moment of change
    assert set(opened[:moment]) == {old}
    assert set(opened[moment:]) == {2}
    build_hashset_from_arrays(out, md5=md5_of(3))
    assert len(open_hashset(out).exact("md5", md5_of(3))[0]) == 9


STEPS = [
    (os, "fsync"),
    (os, "replace"),
    (Path, "rename"),
    (tempfile, "TemporaryFile"),
    (column_files.ColumnFile, "append"),
    (column_files.ColumnFile, "_write_header"),
]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8, 13, 21, 34, 55])
@pytest.mark.parametrize(("owner", "name"), STEPS)
def test_a_full_disk_at_any_step_keeps_the_old_set_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, step: int
) -> None:
    out = tmp_path / "a.chs"
    build_hashset_from_arrays(out, md5=md5_of(1))
    on_disk = functools.partial(external_sort.sorted_blocks, run_bytes=64)
    monkeypatch.setattr(hash_columns, "sorted_blocks", on_disk)
    real, calls = getattr(owner, name), 0

    def full(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*args, **options)

    monkeypatch.setattr(owner, name, full)
    message = ""
    try:
        build_hashset_from_arrays(out, md5=md5_of(2), pdq=np.repeat(md5_of(4), 2, axis=1))
    except HashSetError as error:
        message = str(error)
    assert calls < step if not message else "could not be written: No space left on device" in message
    monkeypatch.undo()
    hashset = open_hashset(out)
    hashset.verify()
    assert 9 in (len(hashset.exact("md5", md5_of(seed))[0]) for seed in (1, 2))
    assert [item.name for item in tmp_path.iterdir()] == ["a.chs"]


def test_a_disk_that_is_full_while_rows_are_read_keeps_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from caid_triage.hashset import columns

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
