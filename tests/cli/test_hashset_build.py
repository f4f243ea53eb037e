"""`hashset build`: a set's own distances, and files given twice."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

PDQ = hashlib.sha256(b"a picture").hexdigest()


def test_a_set_is_built_with_distances_of_its_own(run, tmp_path) -> None:
    (tmp_path / "pdq.txt").write_text(f"{PDQ},90\n")
    out = tmp_path / "set.chs"
    built = run("hashset", "build", tmp_path / "pdq.txt", "--out", out, "--distance", "pdq=12,phash=4")
    assert built.returncode == 0, built.stderr
    info = run("hashset", "info", out).stdout
    assert "its own pdq distance: 12" in info
    assert "its own phash distance: 4" in info
    assert run("hashset", "verify", out).returncode == 0


@pytest.mark.parametrize("wrong", ["pdq=", "pdq=257", "pdq=1,pdq=2"])
def test_a_distance_that_means_nothing(run, tmp_path, wrong) -> None:
    (tmp_path / "pdq.txt").write_text(f"{PDQ},90\n")
    done = run("hashset", "build", tmp_path / "pdq.txt", "--out", tmp_path / "set.chs", "--distance", wrong)
    assert done.returncode == 2
    assert "distance" in done.stderr
    assert not (tmp_path / "set.chs").exists()


def test_the_same_file_twice_is_said(run, tmp_path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"value": [{"MD5": f"{number + 1:032x}"} for number in range(3)]}))
    shutil.copy(path, tmp_path / "b.json")
    done = run("hashset", "build", path, tmp_path / "b.json", "--out", tmp_path / "set.chs")
    assert done.returncode == 3, done.stderr
    assert "records: 3" in done.stdout
    assert "warning: b.json: holds the same bytes as a.json: counted once" in done.stderr
