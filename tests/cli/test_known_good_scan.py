"""Files that a set of known-good ones holds are not decoded: which, what is lost by it, and that it is said."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from support.cli import Run, comparable_reports, picture
from support.embedded import with_thumbnails, zipped

COAST, TOWN, MARBLE = picture("coast.jpg"), picture("town.jpg"), picture("marble.jpg")
HEADER = "md5,sha1,sha256"


def small(content: bytes) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(content)).resize((160, 120)).save(out, "JPEG")
    return out.getvalue()


def drawing(number: int) -> bytes:
    """A picture of its own for each number."""
    out = io.BytesIO()
    Image.open(io.BytesIO(COAST)).rotate(number, expand=True).save(out, "PNG")
    return out.getvalue()


BY_SHA1, BY_SHA256, BY_MD5, OTHER_SHA256, NOTABLE, PLAIN = (drawing(number) for number in range(6))
WITH_SMALL = with_thumbnails(TOWN, small(MARBLE))
ARCHIVE = zipped({"inner.jpg": MARBLE})


def line(content: bytes, *kinds: str, sha256: str = "") -> str:
    """A row of a table that states these digests of a content."""
    stated = {kind: hashlib.new(kind, content).hexdigest() for kind in kinds} | ({"sha256": sha256} if sha256 else {})
    return ",".join(stated.get(kind, "") for kind in HEADER.split(","))


def built(run: Run, folder: Path, name: str, lines: list[str], role: str) -> Path:
    source, out = folder / f"{name}.csv", folder / f"{name}.chs"
    source.write_text("\n".join([HEADER, *lines, ""]))
    done = run("hashset", "build", source, "--out", out, "--role", role, "--name", name)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def exhibit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exhibit")
    files = {
        "by-sha1.png": BY_SHA1, "copy of by-sha1.png": BY_SHA1, "by-sha256.png": BY_SHA256, "by-md5.png": BY_MD5,
        "other-sha256.png": OTHER_SHA256, "notable.png": NOTABLE, "plain.png": PLAIN, "with-small.jpg": WITH_SMALL,
        "archive.zip": ARCHIVE, "note.txt": b"milk, bread\n",
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def sets(run: Run, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sets")
    good = [
        line(BY_SHA1, "sha1"), line(BY_SHA256, "md5", "sha1", "sha256"), line(BY_MD5, "md5"),
        line(OTHER_SHA256, "sha1", sha256="ab" * 32), line(NOTABLE, "sha256"), line(WITH_SMALL, "sha256"),
        line(ARCHIVE, "sha256"), line(b"milk, bread\n", "sha1"),
    ]  # fmt: skip
    bad = [line(NOTABLE, "md5"), line(MARBLE, "sha1")]
    return [built(run, folder, "good", good, "known-good"), built(run, folder, "bad", bad, "notable")]


def scan(run: Run, exhibit: Path, case: Path, sets: list[Path], *more: str) -> dict[str, dict[str, str]]:
    """The rows of files.csv by path."""
    hashsets = [word for path in sets for word in ("--hashset", path)]
    done = run("scan", exhibit, "--case", case, *hashsets, "--quiet", *more)
    assert done.returncode == 0, done.stderr
    return table(case)


def table(case: Path) -> dict[str, dict[str, str]]:
    with (case / "reports" / "files.csv").open(encoding="utf-8", newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def summary(case: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads((case / "reports" / "summary.json").read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def skipped(run: Run, exhibit: Path, sets: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of the exhibit with both sets; tests that change it copy it."""
    case = tmp_path_factory.mktemp("skipped") / "case"
    scan(run, exhibit, case, sets)
    return case


SKIPPED = {"/by-sha1.png", "/copy of by-sha1.png", "/by-sha256.png", "/with-small.jpg"}


@pytest.mark.parametrize(("executor", "profile"), [("pool", "quick"), ("serial", "standard"), ("dask", "quick")])
def test_what_is_harmless_by_a_strong_digest_is_not_decoded_and_counted(
    run: Run, exhibit: Path, sets: list[Path], tmp_path: Path, executor: str, profile: str
) -> None:
    if executor == "dask":
        pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    files = scan(run, exhibit, tmp_path / "case", sets, "--executor", executor, "--profile", profile)
    states = {path: row["decode_state"] for path, row in files.items()}
    assert {path for path, state in states.items() if state == "not-needed"} == SKIPPED
    for path in SKIPPED:
        row = files[path]
        assert row["sha256"] == hashlib.sha256((exhibit / path[1:]).read_bytes()).hexdigest()
        assert (row["kind"], row["pdq"], row["phash"], row["width"], row["problems"]) == ("image", "", "", "", "")
    for path in ("/by-md5.png", "/other-sha256.png", "/notable.png", "/plain.png"):
        assert (states[path], bool(files[path]["pdq"])) == ("decoded", True), path
    # A harmless picture's thumbnails are not told of; what lies in a harmless archive is, and the notable one is found.
    assert not any(path.startswith("/with-small.jpg//") for path in files)
    assert states["/archive.zip//inner.jpg"] == "decoded"
    with (tmp_path / "case" / "reports" / "matches.csv").open(encoding="utf-8", newline="") as file:
        assert {row["path"] for row in csv.DictReader(file)} == {"/notable.png", "/archive.zip//inner.jpg"}
    found = summary(tmp_path / "case")
    assert found["decoding"] == {
        "known_good_not_decoded": 4, "known_good_no_more": 0, "media_files": 9, "media_contents": 8,
    }  # fmt: skip
    assert found["walked"] == found["examined"] == found["stored"] == 11
    page = (tmp_path / "case" / "reports" / "report.html").read_text("utf-8")
    assert "4 files were known-good by SHA-1 or SHA-256 and were not decoded" in page
    assert "4 files known-good by SHA-1 or SHA-256 were not decoded" in page
    assert run("verify", tmp_path / "case").returncode == 0


def test_told_to_decode_them_all_files_are_as_without_such_a_set(
    run: Run, exhibit: Path, sets: list[Path], skipped: Path, tmp_path: Path
) -> None:
    decoded = scan(run, exhibit, tmp_path / "decoded", sets, "--decode-known-good")
    without = scan(run, exhibit, tmp_path / "without", sets[1:])
    assert decoded == without
    assert summary(tmp_path / "decoded")["decoding"] == summary(tmp_path / "without")["decoding"]
    others = {path: row for path, row in decoded.items() if row["parent_path"] != "/with-small.jpg"}
    stored = table(skipped)
    assert others.keys() == stored.keys()
    assert all(others[path] == row for path, row in stored.items() if path not in SKIPPED)
    # It decides what is stored, so a case is not gone on with otherwise.
    more = [word for path in sets for word in ("--hashset", path)]
    done = run("scan", exhibit, "--case", skipped, *more, "--decode-known-good")
    assert done.returncode == 6
    assert "decode_known_good" in done.stderr


def test_match_says_what_a_set_no_longer_answers_for_and_a_scan_examines_it(
    run: Run, exhibit: Path, sets: list[Path], skipped: Path, tmp_path: Path
) -> None:
    case = tmp_path / "case"
    shutil.copytree(skipped, case)
    fewer = built(run, tmp_path, "good", [line(BY_SHA1, "sha1")], "known-good")
    listed = built(run, tmp_path, "more", [line(BY_SHA1, "md5")], "notable")
    done = run("match", "--case", case, "--hashset", fewer)
    assert done.returncode == 0
    assert "note: known-good by SHA-1 or SHA-256 and not decoded: 4 pictures and films" in done.stdout
    assert "note: known-good no more by the hash sets of the case: 2 of them" in done.stdout
    done = run("match", "--case", case, "--hashset", listed, "--json")
    figures = json.loads(done.stdout)
    assert (figures["not_decoded"], figures["known_good_no_more"], figures["new"]) == (4, 4, 2)
    assert "4 of them no set of this case answers for" in (case / "reports" / "report.html").read_text("utf-8")
    again = scan(run, exhibit, case, [fewer, sets[1], listed])
    assert all(row["decode_state"] != "not-needed" for row in again.values())
    assert "/with-small.jpg//thumbnail.jpg" in again
    afresh = tmp_path / "afresh"
    assert scan(run, exhibit, afresh, [fewer, sets[1], listed]) == again
    same, fresh = comparable_reports(case / "reports"), comparable_reports(afresh / "reports")
    assert {name: same[name] for name in ("files.csv", "matches.csv", "problems.csv")} == {
        name: fresh[name] for name in ("files.csv", "matches.csv", "problems.csv")
    }
    assert run("verify", case).returncode == 0


def test_a_scan_that_goes_on_with_the_same_sets_examines_nothing_again(
    run: Run, exhibit: Path, sets: list[Path], skipped: Path, tmp_path: Path
) -> None:
    case = tmp_path / "case"
    shutil.copytree(skipped, case)
    before = comparable_reports(case / "reports")
    scan(run, exhibit, case, sets)
    assert comparable_reports(case / "reports") == before
    actions = [json.loads(one)["action"] for one in (case / "audit.jsonl").read_text("utf-8").splitlines()]
    assert "read-again" not in actions
