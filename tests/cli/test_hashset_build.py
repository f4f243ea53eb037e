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


@pytest.mark.parametrize(("role", "said"), [("notable", True), ("known-good", False)])
def test_records_without_a_category_are_said_of_a_notable_set(run, tmp_path, role: str, said: bool) -> None:
    """An export of a case lists look-alikes and unknown pictures without one: built, all of them would be known."""
    rows = [{"MD5": f"{number + 1:032x}", "Category": number % 3 or None} for number in range(7)]
    (tmp_path / "a.json").write_text(json.dumps({"value": rows}))
    done = run("hashset", "build", tmp_path / "a.json", "--out", tmp_path / "set.chs", "--role", role)
    assert done.returncode == 0, done.stderr
    assert ("without a category: 3 records." in done.stdout) is said
    (tmp_path / "b.json").write_text(json.dumps({"value": [row for row in rows if row["Category"]]}))
    done = run("hashset", "build", tmp_path / "b.json", "--out", tmp_path / "other.chs", "--role", role)
    assert "without a category" not in done.stdout
