"""A listed file inside another: every report says what became of the file that it lies in."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest
from support.cli import Run, picture, vics_record, write_vics
from support.embedded import zipped

from caid_triage.synth.fat import build_fat
from caid_triage.synth.plan import PlannedFile

COAST, TOWN = picture("coast.jpg"), picture("town.jpg")
# Path -> state of the container, words that the row's accessibility begins with, place of its count.
EXPECTED = {
    "/DCIM/live.zip//a/coast.jpg": ("allocated", "live, from a camera", "inside"),
    "/DCIM/live.zip//o.zip//coast.jpg": ("allocated", "live, from a camera", "inside"),
    "/DCIM/gone.zip//a/coast.jpg": ("deleted", "inside a deleted file", "deleted"),
    "/DCIM/gone.zip//o.zip//coast.jpg": ("deleted", "inside a deleted file", "deleted"),
    "/DCIM/cut.zip//removed.zip//coast.jpg": ("allocated", "left in a live file that does not list it", "deleted"),
    "/DCIM/coast.jpg": ("", "live", "live"),
}


def outer(tail: bytes) -> bytes:
    return zipped({"a/coast.jpg": COAST, "o.zip": zipped({"coast.jpg": COAST}), "t": tail})


def zip_that_lost_an_entry() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("kept.txt", b"words")
        archive.writestr("removed.zip", zipped({"coast.jpg": COAST}))
        archive.filelist.pop()
        archive.NameToInfo.pop("removed.zip")
    return stream.getvalue()


@pytest.fixture(scope="module")
def case(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    plan = [
        PlannedFile("/DCIM/live.zip", outer(b"1")),
        PlannedFile("/DCIM/gone.zip", outer(b"2"), deleted=True),
        PlannedFile("/DCIM/cut.zip", zip_that_lost_an_entry()),
        PlannedFile("/DCIM/coast.jpg", COAST),
    ]
    (folder / "stick.dd").write_bytes(bytes(build_fat(plan, size=6 << 20, cluster=1024)))
    write_vics(folder / "set.json", [vics_record(1, COAST, 1)])
    assert run("hashset", "build", folder / "set.json", "--out", folder / "set.chs").returncode == 0
    scanned = run("scan", folder / "stick.dd", "--case", folder / "case", "--hashset", folder / "set.chs", "--quiet")
    assert scanned.returncode in (0, 3), scanned.stderr
    return folder / "case"


def rows(case: Path, name: str) -> dict[str, dict[str, str]]:
    with (case / "reports" / name).open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def test_the_lists_name_the_state_of_the_outermost_file(case: Path) -> None:
    matches, files = rows(case, "matches.csv"), rows(case, "files.csv")
    found = {path: (row["container_state"], row["accessibility"]) for path, row in matches.items()}
    assert {path: state for path, (state, _) in found.items()} == {p: e[0] for p, e in EXPECTED.items()}
    assert {path: files[path]["container_state"] for path in EXPECTED} == {p: e[0] for p, e in EXPECTED.items()}
    for path, (_, words, place) in EXPECTED.items():
        begins = words.split(", ")[0]
        assert found[path][1].startswith(begins), path
        assert ("inside another file" in found[path][1]) is (place == "inside"), path


def test_the_counts_tell_apart_what_a_living_file_holds_and_what_went_with_a_deleted_one(case: Path) -> None:
    summary = json.loads((case / "reports" / "summary.json").read_text())
    places = {row["place"]: row["files"] for row in summary["counts_by_place"] if row["match_kind"] == "exact"}
    assert places == {"live": 1, "inside": 2, "deleted": 3, "all": 6}
    embedded = [row["files"] for row in summary["counts"] if row["state"] == "embedded"]
    assert embedded == [5]  # by state as before
    (camera,) = summary["locations"]["exact"]
    assert (camera["files"], camera["live"], camera["inside"]) == (6, 1, 2)


def test_the_page_says_in_which_file_an_embedded_one_lies(case: Path) -> None:
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert page.count('embedded<br><span class="sub">in a live file</span>') == 2
    assert page.count('embedded<br><span class="sub">in a deleted file</span>') == 2
    assert page.count('embedded<br><span class="sub">left in a live file that does not list it</span>') == 1


def test_other_tools_are_told_that_it_is_deleted(case: Path) -> None:
    (media,) = json.loads((case / "reports" / "vics.json").read_text())["value"][0]["Media"]
    deleted = {one["FilePath"] + one["FileName"]: one.get("Deleted") for one in media["MediaFiles"]}
    expected = {f"p0{path}": "true" if place == "deleted" else None for path, (*_, place) in EXPECTED.items()}
    assert deleted == expected


def test_what_lies_in_a_removed_file_is_said_to_be_removed_too(case: Path) -> None:
    files = rows(case, "files.csv")
    inner = "/DCIM/cut.zip//removed.zip//coast.jpg"
    assert files[inner]["problems"] == files["/DCIM/cut.zip//removed.zip"]["problems"] == "inside-unlisted"
    assert files["/DCIM/cut.zip//kept.txt"]["problems"] == ""
