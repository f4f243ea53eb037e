"""Files whose names are hard to write, from a folder into every format: shown safely, and each exported as itself."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from support.cli import Run, picture, vics_record, write_vics
from support.exported_names import EXPORTS

from caid_triage.report.write import FORMATS

# Each beside a name that is literally what some format or page writes for it.
PAIRS = [
    (b"a\nb.jpg", b"a\\x0ab.jpg"), (b"c\xff.jpg", b"c\\xff.jpg"), ("e\ufffe.jpg".encode(), b"e\\ufffe.jpg"),
    ("f\u202egpj.exe".encode(), b"f\\u202egpj.exe"), ("g\u2800.jpg".encode(), b"g\\u{2800}.jpg"),
    ("\u5199\U0001f4f7.jpg".encode(), b"]]>&<script>alert(1)<script>.jpg"),
]  # fmt: skip
EMPTY = ("metadata.csv", "problems.csv")  # nothing to say of these files


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / "phone"
    (folder / "pictures").mkdir(parents=True)
    for raw in (name for pair in PAIRS for name in pair):
        place = os.fsencode(folder / "pictures") + b"/" + raw
        try:
            Path(os.fsdecode(place)).write_bytes(picture("coast.jpg"))
        except OSError:
            pytest.skip("this file system does not take every name")
    return folder


def test_names_are_shown_safely_and_exported_exactly_in_every_format(run: Run, exhibit: Path, tmp_path: Path) -> None:
    listed = write_vics(tmp_path / "set.json", [vics_record(1, picture("coast.jpg"), 1)])
    assert run("hashset", "build", listed, "--out", tmp_path / "set.chs").returncode == 0
    case = tmp_path / "case"
    done = run("scan", exhibit, "--case", case, "--hashset", tmp_path / "set.chs", "--executor", "serial")
    assert done.returncode == 0, done.stderr
    assert run("report", "--case", case, "--format", "all").returncode == 0
    raws = sorted(b"/pictures/" + raw for pair in PAIRS for raw in pair)
    for name, (word, which, read) in EXPORTS.items():
        if name not in EMPTY and which != "N":
            assert sorted(read(case / "reports" / FORMATS[word].file)) == raws, name

    with (case / "reports" / "files.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["path"] for row in rows}) == len(raws)  # also for who reads no further column
    assert all(row["path"].isprintable() for row in rows)
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert [sign for sign in ("\u202e", "\u2800", "\ufffe", "<script>alert") if sign in page] == []
    for shown in ("a\\x0ab.jpg", "a\\x5cx0ab.jpg", "f\\u202egpj.exe", "g\\u{2800}.jpg", "g\\x5cu{2800}.jpg"):
        assert f"{shown}<" in page, shown
