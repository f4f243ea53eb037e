"""A build that is killed, or whose disk fails, at any step: the old generation opens, or the new one does."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset

# Every call by which a build changes the disk. The script kills itself (no cleanup runs) at each in turn.
KILLER = """
import os, sys
from pathlib import Path
import numpy as np
from caid_triage.hashset import write
from caid_triage.hashset.build import build_hashset_from_arrays

out, seed, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
steps = 0

def deadly(function):
    def call(*args, **options):
        global steps
        steps += 1
        if steps == limit:
            os._exit(137)
        return function(*args, **options)
    return call

os.fsync, os.replace, np.save = deadly(os.fsync), deadly(os.replace), deadly(np.save)
Path.rename, Path.mkdir = deadly(Path.rename), deadly(Path.mkdir)
write.shutil.rmtree = deadly(write.shutil.rmtree)
rng = np.random.default_rng(seed)
build_hashset_from_arrays(out, md5=rng.integers(0, 256, (9, 16), dtype=np.uint8))
print(steps)
"""


def md5_of(seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (9, 16), dtype=np.uint8)


def run_killer(tmp_path: Path, out: Path, seed: int, limit: int) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "killer.py"
    script.write_text(KILLER)
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        [sys.executable, str(script), str(out), str(seed), str(limit)],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(root)},
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="kills itself as POSIX does")
@pytest.mark.parametrize("over_old", [True, False])
def test_killed_at_every_step_of_a_build(tmp_path: Path, over_old: bool) -> None:
    out = tmp_path / "a.chs"
    whole = run_killer(tmp_path, tmp_path / "count.chs", 2, 10**9)
    assert whole.returncode == 0, whole.stderr
    seen = set()
    # Replacing an old set takes a few steps more; where none stood, every third step will do.
    for limit in range(1, int(whole.stdout) + 6, 1 if over_old else 3):
        if over_old:
            build_hashset_from_arrays(out, md5=md5_of(1))
        killed = run_killer(tmp_path, out, 2, limit)
        if not out.exists():
            assert not over_old
            assert killed.returncode == 137
            continue
        hashset = open_hashset(out)
        hashset.verify()
        generation = next(seed for seed in (1, 2) if len(hashset.exact("md5", md5_of(seed))[0]) == 9)
        seen.add((generation, killed.returncode))
        assert killed.returncode in (0, 137)
        if killed.returncode == 0:
            assert generation == 2
            break
        if not over_old:  # the next round starts from nothing again
            build_hashset_from_arrays(out, md5=md5_of(1))
            break
    assert (2, 0) in seen or not over_old
    assert not over_old or {(1, 137), (2, 137)} <= seen  # killed before and after the moment of change
    build_hashset_from_arrays(out, md5=md5_of(3))
    assert len(open_hashset(out).exact("md5", md5_of(3))[0]) == 9


@pytest.mark.parametrize("step", range(1, 30, 2))
@pytest.mark.parametrize("broken", ["os.fsync", "os.replace", "numpy.save", "pathlib.Path.rename"])
def test_a_full_disk_at_any_step_keeps_the_old_set_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, step: int
) -> None:
    out = tmp_path / "a.chs"
    build_hashset_from_arrays(out, md5=md5_of(1))
    module, _, name = broken.rpartition(".")
    owner = {"os": os, "numpy": np, "pathlib.Path": Path}[module]
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
        build_hashset_from_arrays(out, md5=md5_of(2))
    except HashSetError as error:
        message = str(error)
    assert calls < step if not message else "could not be written: No space left on device" in message
    monkeypatch.undo()
    hashset = open_hashset(out)
    hashset.verify()
    assert 9 in (len(hashset.exact("md5", md5_of(seed))[0]) for seed in (1, 2))
    assert [item.name for item in tmp_path.iterdir()] == ["a.chs"]
