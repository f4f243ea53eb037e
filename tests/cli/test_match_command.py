"""Re-grading a stored case on the command line: what is new, gone and changed, without the exhibit."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from support.cli import picture, vics_record, write_vics


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def scanned(run, small, tmp_path: Path) -> Path:
    """A case whose exhibit is gone."""
    image = tmp_path / "gone.dd"
    shutil.copy(small.image, image)
    case = tmp_path / "case"
    assert run("scan", image, "--case", case, "--hashset", small.hashset, "--quiet").returncode == 0
    image.unlink()
    return case


def release(run, folder: Path, records: list[dict[str, object]], name: str = "set") -> Path:
    source = write_vics(folder / "release.json", records)
    out = folder / "release.chs"
    assert run("hashset", "build", source, "--out", out, "--name", name).returncode == 0
    return out


def test_a_new_generation_says_what_is_new_gone_and_changed(run, small, tmp_path) -> None:
    case = scanned(run, small, tmp_path)
    assert not (case / "reports" / "delta.csv").exists()
    newer = release(
        run,
        tmp_path,
        [
            vics_record(1, picture("coast.jpg"), 1),  # as before
            vics_record(2, picture("town.jpg"), 1),  # graded anew
            vics_record(9, b"milk, bread\n", 2),  # new; marble.jpg is gone
        ],
    )
    done = run("match", "--case", case, "--hashset", newer)
    assert done.returncode == 0, done.stderr
    for line in ("new matches: 1", "matches gone: 1", "matches changed: 1"):
        assert line in done.stdout
    assert "1 newly listed, 1 no longer, 1 otherwise" in done.stdout
    delta = {row["path"]: row for row in rows(case / "reports" / "delta.csv")}
    assert {path: row["change"] for path, row in delta.items()} == {
        "/DCIM/town.jpg": "changed",
        "/DCIM/marble.txt": "gone",
        "/notes.txt": "new",
    }
    changed = delta["/DCIM/town.jpg"]
    assert (changed["before"], changed["after"]) != ("", "")
    assert "code 2" in changed["before"]
    assert "code 1" in changed["after"]
    assert delta["/notes.txt"]["proposed_before"] == ""
    assert delta["/DCIM/marble.txt"]["proposed_after"] == ""
    (figures,) = json.loads((case / "reports" / "delta.json").read_text(encoding="utf-8"))["regrades"]
    assert (figures["new"], figures["gone"], figures["changed"]) == (1, 1, 1)
    (hashset,) = figures["hashsets"]
    assert hashset["name"] == "set"
    assert hashset["before"] != hashset["after"]
    audit = [json.loads(line) for line in (case / "audit.jsonl").read_text(encoding="utf-8").splitlines()]
    (noted,) = [line for line in audit if line["action"] == "rematched"]
    assert (noted["name"], noted["new"], noted["gone"], noted["changed"]) == ("set", 1, 1, 1)
    assert run("verify", case).returncode == 0


def test_matching_again_with_the_same_set_changes_nothing_and_keeps_the_earlier_delta(run, small, tmp_path) -> None:
    case = scanned(run, small, tmp_path)
    newer = release(run, tmp_path, [vics_record(9, b"milk, bread\n", 2)], name="second")
    assert run("match", "--case", case, "--hashset", newer).returncode == 0
    before = rows(case / "reports" / "matches.csv")
    again = run("match", "--case", case, "--hashset", newer, "--json")
    assert again.returncode == 0
    said = json.loads(again.stdout)
    assert (said["new"], said["gone"], said["changed"], said["regrade"]) == (0, 0, 0, 2)
    assert rows(case / "reports" / "matches.csv") == before
    assert [(row["regrade"], row["change"]) for row in rows(case / "reports" / "delta.csv")] == [("1", "new")]


def test_a_distance_for_one_set_and_what_is_wrong_with_one(run, small, tmp_path) -> None:
    graded = tmp_path / "graded" / "1"
    graded.mkdir(parents=True)
    (graded / "coast.jpg").write_bytes(picture("coast.jpg") + b"\0")  # other bytes, the same look
    made = tmp_path / "looks.chs"
    assert run("hashset", "make", tmp_path / "graded", "--out", made).returncode == 0
    case = scanned(run, small, tmp_path)
    done = run("match", "--case", case, "--hashset", made, "--distance", "looks:pdq=4", "--distance", "looks:phash=0")
    assert done.returncode == 0, done.stderr
    near = [row for row in rows(case / "reports" / "matches.csv") if row["match_kind"] == "near"]
    assert [(row["path"], row["algorithm"], row["threshold"]) for row in near] == [("/DCIM/coast.jpg", "pdq", "4")]
    assert near[0]["quality"] == "100"
    assert near[0]["orientation"] == ""
    assert float(near[0]["expected_chance"]) < 1e-6
    facts = json.loads((case / "reports" / "summary.json").read_text(encoding="utf-8"))["near"]
    assert [(item["hashset"], item["algorithm"], item["distance"]) for item in facts["sets"]] == [
        ("looks", "pdq", 4),
        ("looks", "phash", 0),
    ]
    page = (case / "reports" / "report.html").read_text(encoding="utf-8")
    assert '<td class="rate">fewer than 0.000001</td>' in page
    assert "PhotoDNA was not computed" in page
    for wrong in ("looks:pdq", "pdq=3", "looks:pdq=999", "looks:sift=3", "looks:pdq=-1", "others:pdq=3"):
        refused = run("match", "--case", case, "--hashset", made, "--distance", wrong)
        assert refused.returncode == 2, wrong
        assert "distance" in refused.stderr


def test_not_this_pictures_are_withheld_and_counted(run, small, tmp_path) -> None:
    for name, code in (("notable", "1"), ("harmless", "x")):
        folder = tmp_path / name / code
        folder.mkdir(parents=True)
        # The harmless one is the picture on the exhibit in other bytes; the notable one is its neighbour.
        (folder / "p.jpg").write_bytes(picture("coast.jpg") + name.encode())
    notable, harmless = tmp_path / "notable.chs", tmp_path / "harmless.chs"
    assert run("hashset", "make", tmp_path / "notable", "--out", notable).returncode == 0
    done = run(
        "hashset", "make", tmp_path / "harmless", "--out", harmless, "--role", "not-this", "--distance", "pdq=20"
    )
    assert done.returncode == 0, done.stderr
    assert "its own pdq distance: 20" in run("hashset", "info", harmless).stdout
    case = scanned(run, small, tmp_path)
    # At the same distance the listed item wins: nothing is hidden by a tie.
    assert run("match", "--case", case, "--hashset", notable, "--hashset", harmless).returncode == 0
    assert [row["hashset"] for row in rows(case / "reports" / "matches.csv") if row["match_kind"] == "near"] == [
        "notable"
    ]
    assert (case / "reports" / "report.html").read_text(encoding="utf-8").count("not-this") >= 1
