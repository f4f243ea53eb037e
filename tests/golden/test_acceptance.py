"""The contract and the issue from outside: the command line, the report files and the documented Python API only.

Every expected value here comes from somewhere else than the package: hashlib and sqlite3 on bytes of our own, the
published truth of the images, Sleuth Kit's kept output, pdqhash and imagehash on pixels decoded by Pillow.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import sqlite3
import struct
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pdqhash
import pytest
from PIL import Image
from support.cli import FILES_COLUMNS, MATCH_COLUMNS, comparable_reports, picture, run_command

import caid_triage as ct

EXPECTED = Path(__file__).resolve().parent / "expected"
PROBLEM_COLUMNS = ["exhibit", "source", "volume", "path", "step", "code", "detail"]
SUMMARY_KEYS = [
    "tool", "case", "hashsets", "walked", "examined", "stored", "counts", "coverage", "started", "finished",
]  # fmt: skip
COUNT_KEYS = ["category_code", "category_label", "scheme", "kind", "state", "match_kind", "files", "unique"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
GRADE = re.compile(r"categor(y|ies) [ABC]\b", re.IGNORECASE)
ICMEC = "http://github.com/ICMEC/ProjectVic/DataModels/"
VICSDM = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/"


def ok(*arguments: object, code: int = 0) -> str:
    """The command's standard output; fails with its words when it ends otherwise than said."""
    done = run_command(*arguments)
    assert done.returncode == code, (arguments, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    assert "Traceback" not in done.stderr
    return done.stdout


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def digests(content: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, content).hexdigest() for name in ("md5", "sha1", "sha256")}


def looked_up(hashset: Path, hashes: Sequence[str]) -> list[list[str]]:
    return [line.split("\t") for line in ok("hashset", "lookup", hashset, *hashes).splitlines()]


def bits_apart(one: str, other: str) -> int:
    assert len(one) == len(other)
    return (int(one, 16) ^ int(other, 16)).bit_count()


# Debian's samples ------------------------------------------------------------------------------------------------

ALTERED = {"debian.png", "debian_logo.png", "d-debian.png"}
LIVE = {"pic1", "movie1", "audio1", "text1"}


@pytest.fixture(scope="module")
def originals(forensics_samples: Path) -> dict[str, bytes]:
    folder = forensics_samples / "original-files"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.glob("*/*"))}


@pytest.fixture(scope="module")
def debian_sets(originals: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same material as a unit may get it: lists, tables, VICS of several dialects, graded pictures."""
    folder = tmp_path_factory.mktemp("debian-sets")
    rows = [(number, name, len(data), digests(data)) for number, (name, data) in enumerate(originals.items())]
    files: dict[str, bytes] = {
        "md5sum": "".join(f"{d['md5']}  {name}\n" for _, name, _, d in rows).encode(),
        "table": ("Media ID;SHA-256;CATEGORY;size\r\n"
                  + "".join(f"{n};{d['sha256'].upper()};{n % 4};{s}\r\n" for n, _, s, d in rows)).encode("utf-8-sig"),
        "vics12": json.dumps({"odata.metadata": ICMEC + "1.2.xml#Media", "value": [
            {"odata.id": f'Media("{d["md5"]}")', "MediaID": n, "MD5": d["md5"], "SHA1": d["sha1"], "Category": 8,
             "MediaSize": str(s), "MediaFiles": [{"MD5": d["md5"], "FileName": name, "FilePath": "x"}]}
            for n, name, s, d in rows]}).encode(),
        "vics13": json.dumps({"odata.metadata": ICMEC + "1.3.xml#Cases", "value": [
            {"CaseID": "1", "Media": [{"MediaID": n, "MD5": d["md5"].upper(), "Category": None}
                                      for n, _, _, d in rows]}]}).encode("utf-16"),
        "vics20": json.dumps({"@odata.context": VICSDM + "UK/$metadata#Media", "value": [
            {"MediaID": n, "Category": 1 + n % 3, "MD5": d["md5"].upper(), "SHA1": d["sha1"].upper(), "MediaSize": s,
             "IsDistributed": "true", "VictimIdentified": False} for n, _, s, d in rows]}).encode("utf-8-sig"),
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with ThreadPoolExecutor(2) as two:
        list(two.map(lambda name: ok("hashset", "build", folder / name, "--out", folder / f"{name}.chs"), files))
    for number, (name, data) in enumerate(originals.items()):
        graded = folder / "graded" / str(1 + number % 3) / name.replace("/", "-")
        graded.parent.mkdir(parents=True, exist_ok=True)
        graded.write_bytes(data)
    ok("hashset", "make", folder / "graded", "--out", folder / "made.chs")
    return [folder / f"{name}.chs" for name in (*files, "made")]


STRONGEST = {"md5sum": "md5", "table": "sha256", "vics12": "sha1", "vics13": "md5", "vics20": "sha1", "made": "sha256"}


def assert_only_locked_documents(case: Path) -> None:
    """Two of the samples are PDFs that need a password: a problem each, and the only ones."""
    codes = Counter(row["code"] for row in table(case / "reports" / "problems.csv") if row["step"] == "inside")
    assert codes["inside-encrypted"] >= 2
    assert set(codes) <= {"inside-encrypted", "inside-rebuilt", "inside-unlisted"}


@pytest.mark.parametrize("kind", ["ntfs", "vfat", "exfat", "ext4"])
def test_debian_samples_by_every_kind_of_hash_set(
    kind: str,
    golden_image: Callable[[str], Path],
    originals: dict[str, bytes],
    debian_sets: list[Path],
    tmp_path: Path,
) -> None:
    image = golden_image(f"debian-{kind}")
    options = [word for hashset in debian_sets for word in ("--hashset", hashset)]
    ok("scan", image, "--case", tmp_path / "case", "--exhibit", "AB/1", "--workers", 2, "--quiet", *options, code=3)
    assert_only_locked_documents(tmp_path / "case")
    matches = table(tmp_path / "case" / "reports" / "matches.csv")
    assert {row["exhibit"] for row in matches} == {"AB/1"}
    wanted = {name: digests(data) for name, data in originals.items() if Path(name).name not in ALTERED}
    assert len(wanted) == 33
    carved = {row["sha256"] for row in matches if row["state"] == "carved" and row["match_kind"] == "exact"}
    matches = [row for row in matches if row["state"] != "carved"]
    if kind == "ext4":  # ext wipes where a deleted file's content was: what is left of those is carved
        assert len(carved - {found["sha256"] for name, found in wanted.items() if name.split("/")[0] in LIVE}) >= 12
        wanted = {name: found for name, found in wanted.items() if name.split("/")[0] in LIVE}
    for name, algorithm in STRONGEST.items():
        exact = [row for row in matches if row["hashset"] == name and row["match_kind"] == "exact"]
        assert Counter(row["algorithm"] for row in exact) == {algorithm: len(wanted)}
        by_content = {row["sha256"]: row for row in exact}
        assert by_content.keys() == {found["sha256"] for found in wanted.values()}
        orphans = 0
        for original, found in wanted.items():
            row = by_content[found["sha256"]]
            assert {key: row[key] for key in found} == found
            assert (row["distance"], row["threshold"]) == ("0", "0")
            live = original.split("/")[0] in LIVE
            if kind == "vfat" and not live and row["state"] == "orphan":
                orphans += 1  # the second cluster of their deleted folder is not chained any more
                assert row["path"].startswith("/$OrphanFiles/")
            else:
                assert (row["path"], row["state"]) == (f"/{original}", "allocated" if live else "deleted")
        assert orphans == (2 if kind == "vfat" else 0)
    near = {row["path"] for row in matches if row["match_kind"] == "near" and row["algorithm"] == "pdq"}
    for original in originals:
        if Path(original).name in ALTERED and (kind != "ext4" or original.split("/")[0] in LIVE):
            assert f"/{original}" in near
    assert all(int(row["distance"]) <= int(row["threshold"]) for row in matches)


# Sleuth Kit's view of real images --------------------------------------------------------------------------------

IMAGES = [
    "dftt-6", "dftt-7", "dftt-8", "dftt-9", "ext2-e01", "ext2-split-e01", "ext2-split-raw", "hfsplus", "iso9660",
]  # fmt: skip
PUBLISHED_7 = {  # index.html of DFTT 7
    "9036637712b491904cd0bfbdbe648453", "59b20779f69ff9f0ac5fcd2c38835a79", "ffd27bd782bdce67750b6b9ee069d2ef",
    "ba1b9eedb1c091ddca253d35dde8f616", "7a3bc5b763bef201202108f4ba128149", "0e80ab84ef0087e60dfc67b88a1cf13e",
    "59cf0e9cd107bc1e75afb7374f6e05bb", "21121699487f3fbbdb9a4b3391b6d3e0",
}  # fmt: skip


@pytest.fixture(scope="module")
def known_images(golden_image: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One case over nine images, each an exhibit of its own; the reports' folder."""
    case = tmp_path_factory.mktemp("images") / "case"
    sources = [golden_image(name) for name in IMAGES]
    before = [(source.stat().st_mtime_ns, hashlib.sha256(source.read_bytes()).hexdigest()) for source in sources]
    exhibits = [word for name in IMAGES for word in ("--exhibit", name)]
    ok("scan", *sources, "--case", case, "--workers", 2, "--quiet", *exhibits)
    after = [(source.stat().st_mtime_ns, hashlib.sha256(source.read_bytes()).hexdigest()) for source in sources]
    assert after == before
    return case / "reports"


@pytest.mark.parametrize("name", IMAGES)
def test_files_csv_has_what_fls_and_icat_have(name: str, known_images: Path) -> None:
    ours = Counter(
        (row["path"], row["state"], row["size"], row["md5"])
        for row in table(known_images / "files.csv")
        if row["exhibit"] == name
        and not row["path"].endswith(("/$BadClus:$Bad", ":rsrc"))
        and row["state"] not in ("embedded", "carved")  # fls knows neither
    )
    kept = json.loads((EXPECTED / f"{name}.json").read_text("utf-8"))
    listed = [entry for entry in kept if not entry["path"].endswith("/$BadClus:$Bad")]
    theirs = Counter((entry["path"], entry["state"], str(entry["size"]), entry["md5"]) for entry in listed)
    assert ours == theirs


def test_a_resource_fork_is_a_file_of_its_own(known_images: Path) -> None:
    """Sleuth Kit's fls gives it its file's name; the 17 bytes are those icat shows of attribute 4353."""
    (fork,) = [row for row in table(known_images / "files.csv") if row["path"].endswith(":rsrc")]
    assert (fork["path"], fork["size"]) == ("/a_directory/a_resourcefork:rsrc", "17")
    assert fork["md5"] == "53bda94f4eadbce7b92fbec603de3103"


def test_every_published_stream_of_dftt_7_is_in_files_csv(known_images: Path) -> None:
    gone = {
        row["md5"]
        for row in table(known_images / "files.csv")
        if row["exhibit"] == "dftt-7" and row["state"] in ("deleted", "orphan")
    }
    assert gone >= PUBLISHED_7


def test_several_sources_are_counted_each_and_together(known_images: Path) -> None:
    summary = json.loads((known_images / "summary.json").read_text("utf-8"))
    by_exhibit = Counter(row["exhibit"] for row in table(known_images / "files.csv"))
    assert list(by_exhibit) == IMAGES  # in the order given
    assert summary["walked"] == summary["examined"] == summary["stored"] == sum(by_exhibit.values())
    sizes = sum(source["size"] for source in summary["case"]["sources"])
    assert sum(summary["coverage"]["bytes"].values()) == sizes


# A folder of our own ---------------------------------------------------------------------------------------------


class Own:
    """A folder with known, altered, unknown and awkward files, its hash sets, and the case of one scan."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "exhibit"
        self.contents: dict[str, bytes] = {
            "one.jpg": picture("coast.jpg"),
            "copy of one.txt": picture("coast.jpg"),
            "two, \"quoted\"; and=more.jpg": picture("town.jpg"),
            "deep/er/three.png": picture("discs.png"),
            "grey.png": png(gradient().convert("L")),
            "only-md5.bin": b"known by its MD5 alone",
            "good.jpg": picture("marble.jpg"),
            "unknown.jpg": picture("meadow.jpg"),
            "=cmd.txt": b"not a formula",
            "empty.jpg": b"",
            "plain.txt": b"milk\n",
        }  # fmt: skip
        for name, content in self.contents.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)
        small = Image.open(io.BytesIO(picture("coast.jpg"))).resize((500, 375))
        small.save(self.folder / "altered.jpg", quality=60)
        record = {
            name: {key: value.upper() for key, value in digests(content).items()}
            for name, content in self.contents.items()
        }
        media: list[dict[str, Any]] = [
            {"MediaID": 11, "Category": 1, "MD5": record["one.jpg"]["md5"], "SHA1": record["one.jpg"]["sha1"]},
            {"MediaID": 12, "Category": 3, "MD5": record["one.jpg"]["md5"], "SHA1": record["one.jpg"]["sha1"]},
            {"MediaID": 13, "Category": 2, "MD5": record["two, \"quoted\"; and=more.jpg"]["md5"],
             "SHA1": record["two, \"quoted\"; and=more.jpg"]["sha1"]},
            {"MediaID": 14, "Category": 77, "MD5": record["deep/er/three.png"]["md5"],
             "SHA1": record["deep/er/three.png"]["sha1"]},
            {"MediaID": 15, "Category": 1, "MD5": record["only-md5.bin"]["md5"]},
            {"MediaID": 16, "Category": 1, "MD5": "00" * 15 + "01"},
        ]  # fmt: skip
        (root / "uk.json").write_text(
            json.dumps({"@odata.context": VICSDM + "UK/$metadata#Media", "value": media}), encoding="utf-8"
        )
        (root / "graded" / "1").mkdir(parents=True)
        (root / "graded" / "1" / "coast.jpg").write_bytes(picture("coast.jpg"))
        (root / "graded" / "1" / "marble.jpg").write_bytes(picture("marble.jpg"))
        (root / "good.csv").write_text(
            f"sha1,size\n{record['good.jpg']['sha1']},{len(self.contents['good.jpg'])}\n", encoding="utf-8"
        )
        self.uk, self.made, self.good = root / "uk.chs", root / "made.chs", root / "good.chs"
        ok("hashset", "build", root / "uk.json", "--out", self.uk)
        ok("hashset", "make", root / "graded", "--out", self.made)
        ok("hashset", "build", root / "good.csv", "--out", self.good, "--role", "known-good")
        self.case = root / "case"
        self.arguments = [
            "scan", self.folder, "--case", self.case, "--exhibit", "XY/7", "--workers", "2",
            "--hashset", self.uk, "--hashset", self.made, "--hashset", self.good,
        ]  # fmt: skip
        self.said = ok(*self.arguments)
        self.reports = self.case / "reports"

    def matches(self) -> list[dict[str, str]]:
        return table(self.reports / "matches.csv")


def gradient() -> Image.Image:
    rows, columns = np.mgrid[0:120, 0:160]
    return Image.fromarray(((rows * 7 + columns * columns // 9) % 256).astype(np.uint8)).convert("RGB")


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Own:
    return Own(tmp_path_factory.mktemp("own"))


@pytest.mark.parametrize(
    ("name", "columns"),
    [("matches.csv", MATCH_COLUMNS), ("files.csv", FILES_COLUMNS), ("problems.csv", PROBLEM_COLUMNS)],
)
def test_csv_reports_have_the_columns_of_the_contract_in_utf8(own: Own, name: str, columns: list[str]) -> None:
    raw = (own.reports / name).read_bytes()
    # The contract's columns come first; the lists of files and matches have further ones after them.
    assert raw.startswith(",".join(columns).encode() + (b"\n" if name == "problems.csv" else b","))
    assert not raw.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in raw
    raw.decode("utf-8", "strict")
    for row in table(own.reports / name):
        assert list(row)[: len(columns)] == columns
        assert None not in row.values()


def test_files_csv_has_each_file_once_with_digests_of_hashlib(own: Own) -> None:
    rows = {row["path"]: row for row in table(own.reports / "files.csv")}
    on_disk = {f"/{path.relative_to(own.folder).as_posix()}": path for path in own.folder.rglob("*") if path.is_file()}
    assert rows.keys() == on_disk.keys()
    for path, row in rows.items():
        content = on_disk[path].read_bytes()
        assert {key: row[key] for key in ("md5", "sha1", "sha256")} == digests(content)
        assert row["size"] == str(len(content))
        assert row["state"] == "allocated"
        assert row["exhibit"] == "XY/7"
        assert row["parent_path"] == (path.rpartition("/")[0] or "/")
        assert TIME.fullmatch(row["modified"])
        for column in ("created", "accessed", "changed"):
            assert row[column] == "" or TIME.fullmatch(row[column])
        picture_columns = [row[name] for name in ("pdq", "pdq_quality", "phash", "width", "height")]
        if row["kind"] == "image":
            assert all(picture_columns), path
            assert row["duration_s"] == ""
        else:
            assert not any(picture_columns), path
    assert rows["/copy of one.txt"]["media_type"] == "image/jpeg"
    assert rows["/copy of one.txt"]["kind"] == "image"
    assert rows["/empty.jpg"]["kind"] == "other"
    assert (rows["/grey.png"]["width"], rows["/grey.png"]["height"]) == ("160", "120")


def test_matches_csv_says_what_matched_how_and_in_which_scheme(own: Own) -> None:
    found = {
        (row["path"], row["hashset"], row["match_kind"], row["algorithm"], row["category_code"], row["media_id"])
        for row in own.matches()
    }
    exact = {item for item in found if item[2] == "exact"}
    assert exact == {
        *((path, "uk", "exact", "sha1", code, media) for path in ("/one.jpg", "/copy of one.txt")
          for code, media in (("1", "11"), ("3", "12"))),
        ("/two, \"quoted\"; and=more.jpg", "uk", "exact", "sha1", "2", "13"),
        ("/deep/er/three.png", "uk", "exact", "sha1", "77", "14"),
        ("/only-md5.bin", "uk", "exact", "md5", "1", "15"),
        ("/one.jpg", "made", "exact", "sha256", "1", "1"),
        ("/copy of one.txt", "made", "exact", "sha256", "1", "1"),
        ("/good.jpg", "made", "exact", "sha256", "1", "2"),  # an exact notable match is never removed
    }  # fmt: skip
    assert {item[:4] for item in found if item[2] == "near"} == {("/altered.jpg", "made", "near", "pdq")}
    for row in own.matches():
        assert row["scheme"] == {"uk": "uk", "made": "none"}[row["hashset"]]
        assert row["decision"] == ""
        assert (row["distance"], row["threshold"]) == ("0", "0") or row["match_kind"] == "near"
    near = next(row for row in own.matches() if row["match_kind"] == "near")
    mine, _ = pdqhash.compute(np.asarray(Image.open(own.folder / "altered.jpg")))
    known, _ = pdqhash.compute(np.asarray(Image.open(io.BytesIO(picture("coast.jpg")))))
    # Both pictures are decoded at half size, which may turn up to 4 bits of each.
    assert abs(int(near["distance"]) - int((mine != known).sum())) <= 8
    assert near["threshold"] == "31"


def test_a_known_good_set_adds_no_rows_and_is_counted(own: Own) -> None:
    assert "good" not in {row["hashset"] for row in own.matches()}
    summary = json.loads((own.reports / "summary.json").read_text("utf-8"))
    assert [entry["name"] for entry in summary["hashsets"]] == ["uk", "made", "good"]
    assert "good" not in {row["hashset"] for row in own.matches()}


def test_no_grade_is_printed_from_a_scheme_that_nobody_confirmed(own: Own) -> None:
    labels = {row["category_code"]: row["category_label"] for row in own.matches() if row["hashset"] == "uk"}
    assert labels == {
        "1": "code 1 (scheme uk not confirmed)",
        "2": "code 2 (scheme uk not confirmed)",
        "3": "code 3 (scheme uk not confirmed)",
        "77": "code 77 (unknown in scheme uk)",
    }
    for report in own.reports.iterdir():
        assert not GRADE.search(report.read_text("utf-8")), report.name
    assert not GRADE.search(own.said)
    assert not GRADE.search(ok("hashset", "info", own.uk))
    one = digests(own.contents["one.jpg"])["md5"]
    assert not GRADE.search(ok("hashset", "lookup", own.uk, one))


def test_a_confirmed_scheme_prints_its_labels(own: Own, tmp_path: Path) -> None:
    (tmp_path / "unit.toml").write_text(
        'name = "unit"\ntitle = "Ours"\njurisdiction = "England and Wales"\nregions = []\nsource = "release notes"\n'
        'confirmed_by = "A. Examiner, 2 March 2026"\n[[categories]]\ncode = "1"\nlabel = "Category A"\n'
        'legal_class = "Sentencing Council category A"\nseverity = 50\nmeaning = "notable"\n',
        encoding="utf-8",
    )
    source = own.uk.with_name("uk.json")
    ok("hashset", "build", source, "--out", tmp_path / "unit.chs", "--scheme", tmp_path / "unit.toml")
    found = looked_up(tmp_path / "unit.chs", [digests(own.contents["only-md5.bin"])["md5"]])
    assert found[0][1:] == ["known", "1", "Category A", "unit", "15"]
    assert "A. Examiner" in ok("hashset", "info", tmp_path / "unit.chs")


def test_summary_json_has_the_keys_of_the_contract(own: Own) -> None:
    raw = (own.reports / "summary.json").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    summary = json.loads(raw)
    assert [key for key in summary if key in SUMMARY_KEYS] == SUMMARY_KEYS
    assert {"name", "version", "python", "dependencies"} <= summary["tool"].keys()
    assert summary["tool"]["name"] == "caid-triage"
    assert summary["walked"] == summary["examined"] == summary["stored"] == 12
    for entry in summary["hashsets"]:
        assert {"name", "source_sha256", "entries", "scheme"} <= entry.keys()
    uk = summary["hashsets"][0]
    assert uk["source_sha256"] == hashlib.sha256(own.uk.with_name("uk.json").read_bytes()).hexdigest()
    assert uk["entries"] == 6
    assert all(list(row) == COUNT_KEYS for row in summary["counts"])
    assert TIME.fullmatch(summary["started"])
    assert TIME.fullmatch(summary["finished"])
    assert summary["started"] <= summary["finished"]


def test_the_counts_add_up_from_matches_csv(own: Own) -> None:
    summary = json.loads((own.reports / "summary.json").read_text("utf-8"))
    exact = {row["path"] for row in own.matches() if row["match_kind"] == "exact"}
    near = {row["path"] for row in own.matches()} - exact
    files = Counter[str]()
    for row in summary["counts"]:
        files[row["match_kind"]] += row["files"]
        assert 1 <= row["unique"] <= row["files"]
    assert files == {"exact": len(exact), "near": len(near)}
    gravest = {(row["category_code"], row["files"], row["unique"]) for row in summary["counts"]
               if row["match_kind"] == "exact" and row["kind"] == "image" and row["scheme"] == "uk"}  # fmt: skip
    assert ("1", 2, 1) in gravest  # one.jpg and its copy: one content, under code 1 and not under code 3


def test_the_manifest_holds_for_every_report(own: Own) -> None:
    manifest = (own.reports / "MANIFEST.sha256").read_text("utf-8")
    listed = {line[66:]: line[:64] for line in manifest.splitlines()}
    names = {path.name for path in own.reports.iterdir()} - {"MANIFEST.sha256"}
    lists = {"matches.csv", "files.csv", "problems.csv", "ledger.csv", "metadata.csv"}
    assert names == lists | {"summary.json", "vics.json", "report.html"}
    assert listed == {name: hashlib.sha256((own.reports / name).read_bytes()).hexdigest() for name in names}
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "MANIFEST.sha256"], cwd=own.reports, check=True,
                       capture_output=True)  # fmt: skip


def test_vics_json_is_a_case_that_reads_back_as_the_same_known_files(own: Own, tmp_path: Path) -> None:
    raw = (own.reports / "vics.json").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    keys: list[list[str]] = []
    document = json.loads(raw, object_pairs_hook=lambda pairs: (keys.append([k for k, _ in pairs]), dict(pairs))[1])
    assert keys[-1] == ["@odata.context", "value"]
    assert document["@odata.context"] == VICSDM + "UK/$metadata#Cases"
    (case,) = document["value"]
    assert case["CaseNumber"] == "XY/7"
    known = {row["sha256"]: row for row in own.matches()}
    media = case["Media"]
    assert {item["MD5"] for item in media} == {row["md5"].upper() for row in known.values()}
    assert len({item["MediaID"] for item in media}) == len(media)
    exact = {row["md5"].upper() for row in own.matches() if row["match_kind"] == "exact"}
    files = {f"/{path.relative_to(own.folder).as_posix()}": path for path in own.folder.rglob("*") if path.is_file()}
    for item in media:
        assert ("Category" in item) == (item["MD5"] in exact)
        assert item["MediaFiles"]
        for place in item["MediaFiles"]:
            where = place["FilePath"].replace("\\", "/") + place["FileName"]
            (content,) = [path for name, path in files.items() if where.endswith(name)]
            assert hashlib.md5(content.read_bytes()).hexdigest().upper() == place["MD5"] == item["MD5"]
            assert TIME.fullmatch(place["Written"])
    (tmp_path / "vics.json").write_bytes(raw)
    ok("hashset", "build", tmp_path / "vics.json", "--out", tmp_path / "again.chs")
    answers = looked_up(tmp_path / "again.chs", [row["sha1"] for row in known.values()])
    assert {answer[1] for answer in answers} == {"known"}
    category = {item["SHA1"].lower(): str(item.get("Category", "")) for item in media}
    assert {answer[0]: answer[2] for answer in answers} == category


def test_report_html_is_one_file_without_imagery(own: Own) -> None:
    page = (own.reports / "report.html").read_text("utf-8")
    assert not re.search(r"<(img|link|iframe|object|embed|video|picture)\b", page, re.IGNORECASE)
    # The tables of matches and leads: their rows as data, and the one script that its policy lets run, by its digest.
    assert re.findall(r"<script\b[^>]*>", page, re.IGNORECASE) == [
        '<script type="application/json" id="hits-data">',
        '<script type="application/json" id="look-alikes-data">',
        "<script>",
    ]
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!#)", page, re.IGNORECASE)
    assert "url(" not in page
    assert "data:" not in page


def test_the_same_scan_again_resumes_and_changes_no_report(own: Own) -> None:
    before = comparable_reports(own.reports)
    ok(*own.arguments)
    assert comparable_reports(own.reports) == before
    ok("verify", own.case)


def test_the_case_folder_is_sqlite_and_a_chain_of_sha256(own: Own) -> None:
    with closing(sqlite3.connect(f"{(own.case / 'case.db').as_uri()}?mode=ro", uri=True)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    lines = (own.case / "audit.jsonl").read_bytes().splitlines()
    previous = None
    for line in lines:
        entry = json.loads(line)
        assert entry["previous"] == previous
        previous = hashlib.sha256(line).hexdigest()
    assert len(lines) >= 2
    audit = (own.case / "audit.jsonl").read_text("utf-8").lower()
    assert not [name for name in own.contents if name.lower() in audit]  # nothing of a suspect's path in a log
    assert not [1 for content in own.contents.values() if digests(content)["md5"] in audit]


def test_report_writes_one_format_to_another_folder(own: Own, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in own.reports.iterdir()}
    ok("report", "--case", own.case, "--format", "matches", "--format", "vics", "--out", tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"matches.csv", "vics.json", "MANIFEST.sha256"}
    for name in names - {"MANIFEST.sha256"}:
        assert (tmp_path / "out" / name).read_bytes() == before[name]
    ok("report", "--case", own.case)
    again = {path.name: path.read_bytes() for path in own.reports.iterdir()}
    assert {name for name in before if before[name] != again[name]} <= {"report.html", "MANIFEST.sha256"}
    ok("verify", own.case)


def test_match_says_what_is_new_without_the_exhibit(own: Own, tmp_path: Path) -> None:
    shutil.copytree(own.case, tmp_path / "case")
    unknown = digests(own.contents["unknown.jpg"])
    (tmp_path / "next.csv").write_text(
        f"sha1,category\n{unknown['sha1']},2\n{digests(own.contents['one.jpg'])['sha1']},1\n", "utf-8"
    )
    ok("hashset", "build", tmp_path / "next.csv", "--out", tmp_path / "next.chs", "--scheme", "uk")
    said = ok("match", "--case", tmp_path / "case", "--hashset", own.uk, tmp_path / "next.chs")
    figures = [line for line in said.splitlines() if not line.startswith("hash set ")]
    assert figures[:3] == [
        "new matches: 3",
        "  2 files, exact: code 1 (scheme uk not confirmed) [uk], in hash set next",
        "  1 files, exact: code 2 (scheme uk not confirmed) [uk], in hash set next",
    ]
    assert not any(path in said for path in own.contents)
    rows = [row for row in table(tmp_path / "case" / "reports" / "matches.csv") if row["hashset"] == "next"]
    assert {row["path"] for row in rows} == {"/unknown.jpg", "/one.jpg", "/copy of one.txt"}
    assert {row["algorithm"] for row in rows} == {"sha1"}
    old = [row for row in table(tmp_path / "case" / "reports" / "matches.csv") if row["hashset"] != "next"]
    assert sorted(map(str, old)) == sorted(map(str, own.matches()))


def test_known_good_takes_away_look_alikes_only_on_a_strong_digest(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    lines = []
    for side, algorithm in ((480, "md5"), (460, "sha1"), (440, "sha256"), (420, "")):
        like = tmp_path / "exhibit" / f"{algorithm or 'none'}.jpg"
        Image.open(io.BytesIO(picture("coast.jpg"))).resize((side, side * 3 // 4)).save(like)
        lines.append(digests(like.read_bytes()).get(algorithm, ONE["md5"]))
    (tmp_path / "graded" / "1").mkdir(parents=True)
    (tmp_path / "graded" / "1" / "coast.jpg").write_bytes(picture("coast.jpg"))
    (tmp_path / "good.txt").write_text("\n".join(lines), "utf-8")
    made, good = tmp_path / "made.chs", tmp_path / "good.chs"
    ok("hashset", "make", tmp_path / "graded", "--out", made)
    ok("hashset", "build", tmp_path / "good.txt", "--out", good, "--role", "known-good")
    case = tmp_path / "case"
    ok("scan", tmp_path / "exhibit", "--case", case, "--hashset", made, "--hashset", good, "--executor", "serial")
    found = {(row["path"], row["match_kind"], row["hashset"]) for row in table(case / "reports" / "matches.csv")}
    assert found == {("/md5.jpg", "near", "made"), ("/none.jpg", "near", "made")}


def test_an_item_that_nobody_graded_does_not_hide_a_code(tmp_path: Path) -> None:
    (tmp_path / "exhibit").mkdir()
    (tmp_path / "exhibit" / "one.bin").write_bytes(b"one")
    (tmp_path / "plain").write_text(ONE["sha256"] + "\n", "utf-8")
    (tmp_path / "coded").write_text(f"md5,category\n{ONE['md5']},77\n", "utf-8")
    for name in ("plain", "coded"):
        ok("hashset", "build", tmp_path / name, "--out", tmp_path / f"{name}.chs")
    case = tmp_path / "case"
    ok("scan", tmp_path / "exhibit", "--case", case, "--executor", "serial",
       "--hashset", tmp_path / "plain.chs", "--hashset", tmp_path / "coded.chs")  # fmt: skip
    rows = table(case / "reports" / "matches.csv")
    assert [(row["category_code"], row["hashset"]) for row in rows] == [("77", "coded"), ("", "plain")]
    summary = json.loads((case / "reports" / "summary.json").read_text("utf-8"))
    assert [(row["category_code"], row["files"]) for row in summary["counts"]] == [("77", 1)]
    vics = json.loads((case / "reports" / "vics.json").read_text("utf-8"))
    assert [media["Category"] for media in vics["value"][0]["Media"]] == [77]


# Hash sets in every dialect --------------------------------------------------------------------------------------

ONE = {name: hashlib.new(name, b"one").hexdigest() for name in ("md5", "sha1", "sha256")}
TWO = {name: hashlib.new(name, b"two").hexdigest() for name in ("md5", "sha1", "sha256")}
PHOTODNA = base64.b64encode(bytes(range(144))).decode()


def media_record(found: dict[str, str], number: object, category: object, **more: object) -> dict[str, object]:
    return {"MediaID": number, "MD5": found["md5"], "Category": category, **more}


PLAIN = [media_record(ONE, 1, 1), media_record(TWO, 2, 2)]
DIALECTS: dict[str, tuple[dict[str, Any], str, str]] = {  # document, encoding, scheme
    "1.0": ({"odata.metadata": ICMEC + "1.0.xml#Media", "value": PLAIN}, "utf-8", "none"),
    "1.1 cases": ({"odata.metadata": ICMEC + "1.1.xml#Cases", "value": [
        {"odata.id": 'Case("x")', "CaseID": "x", "Media@odata.navigationLinkUrl": "Case/Media",
         "Media": [{**PLAIN[0], "Name": "a.jpg", "MediaSize": "488"}]}, {"CaseID": "y", "Media": [PLAIN[1]]}]},
        "utf-8", "none"),
    "1.2": ({"odata.metadata": ICMEC + "1.2.xml#Media", "value": PLAIN}, "utf-8-sig", "none"),
    "1.3 PhotoDNA": ({"odata.metadata": ICMEC + "1.3.xml#Media", "value": [
        {**PLAIN[0], "AlternativeHashes": [{"MD5": ONE["md5"], "HashName": "PhotoDNA", "HashValue": PHOTODNA}]},
        PLAIN[1]]}, "utf-16-le", "none"),
    "2.0 UK": ({"@odata.context": VICSDM + "UK/$metadata#Media", "value": PLAIN}, "utf-8", "uk"),
    "2.0 UK cases": ({"@odata.context": VICSDM + "UK/$metadata#Cases", "value": [
        {"CaseID": "{0}", "TotalMediaFiles": 99, "Media": PLAIN}]}, "utf-16-be", "uk"),
    "2.0 US": ({"@odata.context": VICSDM + "US/$metadata#Media", "value": PLAIN}, "utf-8", "projectvic-us"),
    "2.0 Default": ({"@odata.context": VICSDM + "Default/$metadata#Media", "value": [
        {**PLAIN[0], "PhotoDNA": PHOTODNA, "Exifs": [{"MD5": ONE["md5"], "PropertyName": "Make"}]}, PLAIN[1]]},
        "utf-8", "projectvic-us"),
    "2.0 CUSTOM": ({"@odata.context": VICSDM + "CUSTOM/$metadata#Media", "value": PLAIN}, "utf-8", "none"),
    "value first": ({"value": PLAIN, "@odata.context": VICSDM + "UK/$metadata#Media"}, "utf-8", "uk"),
    "floats": ({"@odata.context": VICSDM + "UK/$metadata#Media", "value": [
        {"MediaID": 1, "MD5": ONE["md5"], "Category": 1.0, "MediaSize": 3.0},
        {"MediaID": 2, "MD5": TWO["md5"], "Category": 2.0, "MediaSize": 3}]}, "utf-8", "uk"),
    "texts": ({"@odata.context": VICSDM + "UK/$metadata#Media", "value": [
        {"MediaID": "1", "MD5": ONE["md5"].upper(), "SHA1": "", "Category": "1", "MediaSize": "3",
         "IsDistributed": "false", "VictimIdentified": "true"},
        {"MediaID": "2", "MD5": TWO["md5"].upper(), "SHA1": None, "Category": "2", "MediaSize": 3,
         "IsDistributed": False, "VictimIdentified": None}]}, "utf-8", "uk"),
}  # fmt: skip


@pytest.mark.parametrize("name", DIALECTS)
def test_vics_dialects(name: str, tmp_path: Path) -> None:
    document, encoding, scheme = DIALECTS[name]
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    (tmp_path / "set.json").write_bytes(mark + json.dumps(document).encode(encoding))
    ok("hashset", "build", tmp_path / "set.json", "--out", tmp_path / "set.chs")
    hashset = ct.open_hashset(tmp_path / "set.chs")
    asked = [bytes.fromhex(text) for text in (TWO["md5"], "ab" * 16, ONE["md5"])]
    q, r = hashset.exact("md5", np.array([list(text) for text in asked], dtype=np.uint8))
    assert q.tolist() == [0, 2]
    assert hashset.records["category"][r].tolist() == hashset.records["media_id"][r].tolist() == ["2", "1"]
    assert hashset.scheme.name == scheme
    counts = hashset.counts
    assert (counts["records"], counts["photodna"]) == (2, int("PhotoDNA" in name or "Default" in name))


def test_conflicting_absent_and_strange_categories_are_all_kept(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        media_record(ONE, 1, 1), media_record(ONE, 2, "Ignorable"), media_record(ONE, 3, None),
        {"MediaID": 4, "MD5": ONE["md5"].upper()}, media_record(ONE, 5, 1),
    ]  # fmt: skip
    (tmp_path / "set.json").write_text(json.dumps({"@odata.context": VICSDM + "UK/$metadata#Media", "value": records}))
    ok("hashset", "build", tmp_path / "set.json", "--out", tmp_path / "set.chs")
    answer = json.loads(ok("hashset", "lookup", "--json", tmp_path / "set.chs", ONE["md5"]))
    assert (answer["hash"], answer["known"]) == (ONE["md5"], True)
    found = [(record["code"], record["label"], record["scheme"], record["media_id"]) for record in answer["records"]]
    assert found == [
        ("1", "code 1 (scheme uk not confirmed)", "uk", "1"),
        ("Ignorable", "code Ignorable (unknown in scheme uk)", "uk", "2"),
        ("", "uncategorised", "uk", "3"),
        ("", "uncategorised", "uk", "4"),
        ("1", "code 1 (scheme uk not confirmed)", "uk", "5"),
    ]
    lines = looked_up(tmp_path / "set.chs", [ONE["md5"].upper(), TWO["md5"], ONE["md5"]])
    assert lines == [
        [ONE["md5"].upper(), "known", *(text for record in found for text in record)],
        [TWO["md5"], "unknown"],
        [ONE["md5"], "known", *(text for record in found for text in record)],
    ]


def test_refused_rows_are_counted_with_reason_and_place(tmp_path: Path) -> None:
    good = json.dumps(media_record(ONE, 1, 1))
    bad = ['{"MediaID":2,"MD5":"xyz"}', '{"MediaID":3}', f'{{"MD5":"{"0" * 32}"}}', '"text"',
           f'{{"MD5":"{TWO["md5"]}","MediaSize":-1}}']  # fmt: skip
    text = '{"@odata.context":"' + VICSDM + 'UK/$metadata#Media","value":[' + ",".join([good, *bad]) + "]}"
    (tmp_path / "set.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    done = run_command("hashset", "build", tmp_path / "set.json", "--out", tmp_path / "set.chs")
    assert done.returncode == 3
    places = [int(place) for place in re.findall(r"byte (\d+):", done.stderr)]
    data = (tmp_path / "set.json").read_bytes()
    assert places == [data.index(record.encode()) for record in bad]
    assert "xyz" not in done.stdout + done.stderr
    manifest = json.loads(ok("hashset", "info", tmp_path / "set.chs", "--json"))
    assert manifest["refused"]["rows"] == sum(manifest["refused"]["reasons"].values()) == 5
    (tmp_path / "list.txt").write_text(f"# comment\n{ONE['md5']}\nnonsense\n\n{TWO['sha1'][:-1]}\n")
    done = run_command("hashset", "build", tmp_path / "list.txt", "--out", tmp_path / "list.chs")
    assert done.returncode == 3
    assert re.findall(r"line (\d+):", done.stderr) == ["3", "5"]


LISTS: dict[str, bytes] = {
    "md5sum text": f"{ONE['md5']}  a file.jpg\n{TWO['md5']} *b.jpg\n".encode(),
    "sha1sum": f"{ONE['sha1']}  a\n{TWO['sha1']}  b\n".encode(),
    "sha256sum crlf": f"{ONE['sha256']}  a\r\n{TWO['sha256']}  b\r\n".encode(),
    "bsd": f"MD5 (a (1).jpg) = {ONE['md5']}\nSHA256 (b) = {TWO['sha256']}\n".encode(),
    "plain mixed": f"{ONE['md5'].upper()}\n\n{TWO['sha256']}".encode(),
    "plain utf-16": f"{ONE['sha1']}\r\n{TWO['sha1']}\r\n".encode("utf-16"),
    "csv": f"Category,MD5,Name\n1,{ONE['md5']},\"a, b\"\n2,{TWO['md5'].upper()},c\n".encode(),
    "csv semicolon bom": f"md5;category\r\n{ONE['md5']};1\r\n{TWO['md5']};2\r\n".encode("utf-8-sig"),
    "csv tab upper": f"SHA1\tCATEGORY\n{ONE['sha1'].upper()}\t1\n{TWO['sha1']}\t2\n".encode(),
    "csv hash by length": f"Hash,Category\n{ONE['sha1']},1\n{TWO['md5']},2\n{TWO['sha256']},2\n".encode(),
    "csv quoted header": f'"SHA-256","MD5","Category"\n"{ONE["sha256"]}","{ONE["md5"]}","1"\n'
                         f'"{TWO["sha256"]}","{TWO["md5"]}","2"\n'.encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_and_tables(name: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(LISTS[name])
    ok("hashset", "build", tmp_path / "list", "--out", tmp_path / "set.chs")
    hashes = [value for found in (ONE, TWO) for value in found.values()]
    stated = LISTS[name].decode("utf-16" if "utf-16" in name else "utf-8").lower()
    hashset = ct.open_hashset(tmp_path / "set.chs")
    for text in hashes:
        algorithm = {32: "md5", 40: "sha1", 64: "sha256"}[len(text)]
        _, rows = hashset.exact(algorithm, np.frombuffer(bytes.fromhex(text), dtype=np.uint8)[None])
        assert len(rows) == (text in stated)
        code = "" if "csv" not in name else "1" if text in ONE.values() else "2"
        assert set(hashset.records["category"][rows].tolist()) <= {code}


def test_several_files_make_one_set_and_a_scheme_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(DIALECTS["2.0 UK"][0] | {"value": PLAIN[:1]}))
    (tmp_path / "b.csv").write_text(f"md5,category\n{TWO['md5']},8\n")
    ok("hashset", "build", tmp_path / "a.json", tmp_path / "b.csv", "--out", tmp_path / "set.chs", "--scheme",
       "nist-caid", "--role", "known-good", "--name", "both")  # fmt: skip
    info = json.loads(ok("hashset", "info", tmp_path / "set.chs", "--json"))
    assert (info["name"], info["role"], info["scheme"]["name"]) == ("both", "known-good", "nist-caid")
    assert [source["file"] for source in info["sources"]] == ["a.json", "b.csv"]
    assert [source["sha256"] for source in info["sources"]] == [
        hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.json", "b.csv")
    ]
    assert {answer[3] for answer in looked_up(tmp_path / "set.chs", [ONE["md5"], TWO["md5"]])} == {
        "code 1 (unknown in scheme nist-caid)",
        "code 8 (scheme nist-caid not confirmed)",
    }


def test_a_lookup_by_a_hash_of_a_kind_that_the_set_lacks_says_so(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(ONE["sha256"] + "\n")
    ok("hashset", "build", tmp_path / "list", "--out", tmp_path / "set.chs")
    done = run_command("hashset", "lookup", tmp_path / "set.chs", ONE["md5"], ONE["sha256"])
    assert done.returncode == 0
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == ["unknown", "known"]
    assert "md5" in done.stderr.lower()  # "unknown" must not be read as "looked for and not there"


def test_verify_and_purge_a_set(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(ONE["md5"] + "\n")
    hashset = tmp_path / "set.chs"
    ok("hashset", "build", tmp_path / "list", "--out", hashset)
    ok("hashset", "verify", hashset)
    rows = next(hashset.rglob("md5/rows.npy"))
    data = bytearray(rows.read_bytes())
    data[-3] ^= 1
    rows.write_bytes(data)
    ok("hashset", "verify", hashset, code=7)
    done = run_command("hashset", "purge", hashset)  # nobody there to answer: nothing is deleted, and no bug of ours
    assert done.returncode == 130
    assert hashset.is_dir()
    ok("hashset", "purge", hashset, "--yes")
    assert not hashset.exists()
    ok("hashset", "lookup", hashset, ONE["md5"], code=5)


# Exit codes ------------------------------------------------------------------------------------------------------


def test_each_situation_ends_with_its_exit_code(own: Own, tmp_path: Path) -> None:
    (tmp_path / "empty.dd").write_bytes(b"")
    (tmp_path / "text.dd").write_text("a shopping list\n" * 200)
    (tmp_path / "broken.json").write_text('{"@odata.context":"x","value":[{"MD5":"' + ONE["md5"] + '"},{"MD5"')
    random = np.random.default_rng(1).bytes(1 << 20)
    sector = bytearray(512)  # one partition of random bytes: a file system that is not understood
    sector[446:462] = struct.pack("<8B2I", 0, 0, 0, 0, 7, 0, 0, 0, 8, 2040)
    sector[510:] = b"\x55\xaa"
    (tmp_path / "unknown.dd").write_bytes(sector + bytes(8 * 512 - 512) + random[: 2040 * 512])
    case = ["--case", tmp_path / "case"]
    situations: list[tuple[int, Sequence[object]]] = [
        (0, ["--version"]),
        (0, ["scan", "--help"]),
        (2, ["scan"]),
        (2, ["scan", tmp_path / "empty.dd"]),
        (2, ["frobnicate"]),
        (2, ["hashset", "lookup", own.uk, "zz"]),
        (2, ["report", "--case", own.case, "--format", "docx"]),
        (3, ["scan", tmp_path / "unknown.dd", "--case", tmp_path / "case3"]),
        (4, ["scan", tmp_path / "nowhere.dd", *case]),
        (4, ["scan", tmp_path / "empty.dd", *case]),
        (4, ["scan", tmp_path / "text.dd", *case]),
        (5, ["scan", own.folder, *case, "--hashset", tmp_path / "nowhere.chs"]),
        (5, ["hashset", "build", tmp_path / "broken.json", "--out", tmp_path / "x.chs"]),
        (5, ["hashset", "build", tmp_path / "text.dd", "--out", tmp_path / "x.chs"]),
        (5, ["hashset", "info", tmp_path / "nowhere.chs"]),
        (6, ["report", "--case", tmp_path / "nowhere"]),
        (6, ["match", "--case", tmp_path / "nowhere", "--hashset", own.uk]),
        (6, ["verify", tmp_path / "nowhere"]),
    ]
    with ThreadPoolExecutor(2) as two:
        outcomes = list(two.map(lambda situation: run_command(*situation[1]), situations))
    for (code, arguments), done in zip(situations, outcomes, strict=True):
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        if code >= 3 and arguments[1] != tmp_path / "unknown.dd":
            assert done.stdout == ""
            assert done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "x.chs").exists()
    problems = table(tmp_path / "case3" / "reports" / "problems.csv")
    assert "file-system-not-understood" in {row["code"] for row in problems}
    shutil.copytree(own.case, tmp_path / "changed")
    report = tmp_path / "changed" / "reports" / "matches.csv"
    report.write_bytes(report.read_bytes().replace(b"allocated", b"deleted", 1))
    ok("verify", tmp_path / "changed", code=7)


# The Python interface --------------------------------------------------------------------------------------------

LENGTHS = {"md5": 16, "sha1": 20, "sha256": 32, "pdq": 32, "phash": 8}
RNG = np.random.default_rng(7)


@pytest.mark.parametrize("algorithm", LENGTHS)
def test_a_set_from_one_array_alone(algorithm: str, tmp_path: Path) -> None:
    length = LENGTHS[algorithm]
    rows = RNG.integers(0, 256, (300, length), dtype=np.uint8)
    rows[[7, 200]] = rows[3]
    arrays = {algorithm: rows}
    ct.build_hashset_from_arrays(tmp_path / "set.chs", category=np.arange(300) % 5, **arrays)
    hashset = ct.open_hashset(tmp_path / "set.chs")
    assert hashset.records["category"][[0, 1, 299]].tolist() == ["0", "1", "4"]
    queries = np.concatenate([rows[[3, 150]], ~rows[:1], rows[299:]])
    if algorithm in ("md5", "sha1", "sha256"):
        q, r = hashset.exact(algorithm, queries)
        assert (q.dtype, r.dtype) == (np.int64, np.int64)
        assert list(zip(q.tolist(), r.tolist(), strict=True)) == [(0, 3), (0, 7), (0, 200), (1, 150), (3, 299)]
        none = hashset.exact(algorithm, np.zeros((0, length), dtype=np.uint8))
        assert [(column.dtype, column.shape) for column in none] == [(np.dtype(np.int64), (0,))] * 2
        return
    apart = np.bitwise_count(queries[:, None, :] ^ rows[None]).sum(axis=2, dtype=np.int64)
    for radius in (0, 1, 31, 4 * length, 8 * length - 1, 8 * length):
        q, r, d = hashset.near(algorithm, queries, radius=radius)
        assert (q.dtype, r.dtype, d.dtype) == (np.int64, np.int64, np.uint16)
        i, j = np.nonzero(apart <= radius)
        assert q.tolist() == i.tolist()
        assert r.tolist() == j.tolist()
        assert d.tolist() == apart[i, j].tolist()
    complement = hashset.near(algorithm, ~rows[:1], radius=8 * length)
    assert complement[2].tolist()[0] == 8 * length
    with pytest.raises(ValueError, match="radius"):
        hashset.near(algorithm, queries, radius=8 * length + 1)


def test_categories_of_a_table_with_gaps(tmp_path: Path) -> None:
    rows = RNG.integers(0, 256, (3, 16), dtype=np.uint8)
    for given in ([None, "2", 3], np.array([None, "2", 3], dtype=object)):
        ct.build_hashset_from_arrays(tmp_path / "set.chs", md5=rows, category=given)
        assert ct.open_hashset(tmp_path / "set.chs").records["category"].tolist() == ["", "2", "3"]
    with pytest.raises(ValueError, match="category"):
        ct.build_hashset_from_arrays(tmp_path / "set.chs", md5=rows, category=[1.5, "2", None])


def test_a_set_of_no_hashes_at_all_answers_nothing(tmp_path: Path) -> None:
    ct.build_hashset_from_arrays(tmp_path / "set.chs", md5=np.zeros((0, 16), dtype=np.uint8))
    hashset = ct.open_hashset(tmp_path / "set.chs")
    for algorithm in ("md5", "sha1", "sha256"):
        q, r = hashset.exact(algorithm, RNG.integers(0, 256, (5, LENGTHS[algorithm]), dtype=np.uint8))
        assert q.shape == r.shape == (0,)
    for algorithm in ("pdq", "phash"):
        found = hashset.near(algorithm, RNG.integers(0, 256, (5, LENGTHS[algorithm]), dtype=np.uint8), radius=64)
        assert [column.shape for column in found] == [(0,)] * 3


def test_the_wrong_shape_is_refused_in_words(tmp_path: Path) -> None:
    ct.build_hashset_from_arrays(tmp_path / "set.chs", md5=RNG.integers(0, 256, (4, 16), dtype=np.uint8))
    hashset = ct.open_hashset(tmp_path / "set.chs")
    for wrong in (np.zeros((1, 20), np.uint8), np.zeros(16, np.uint8), np.zeros((1, 16), np.int64)):
        with pytest.raises(ValueError, match="md5"):
            hashset.exact("md5", wrong)
    for unlike in ({"md5": np.zeros((3, 15), np.uint8)}, {}, {"pdq_quality": np.ones(3, np.uint8)}):
        with pytest.raises(ValueError, match=r"md5|pdq"):
            ct.build_hashset_from_arrays(tmp_path / "x.chs", **unlike)


def test_build_hashset_is_what_the_command_does(own: Own, tmp_path: Path) -> None:
    ct.build_hashset([own.uk.with_name("uk.json")], tmp_path / "uk.chs")
    by_api, by_command = ct.open_hashset(tmp_path / "uk.chs"), ct.open_hashset(own.uk)
    assert by_api.generation == by_command.generation
    assert by_api.counts == by_command.counts


def smooth(height: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    coarse = RNG.integers(0, 256, (height // 19 + 2, width // 19 + 2, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("height", "width"),
    [(64, 64), (65, 63), (100, 1), (1, 1), (7, 5), (129, 301), (511, 513), (1000, 701), (33, 1800), (1024, 1024)],
)
def test_pdq_and_phash_equal_their_references_on_the_same_pixels(height: int, width: int) -> None:
    colour = smooth(height, width)
    grey = np.asarray(Image.fromarray(colour).convert("L"))
    noise = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    flat = np.full((height, width), 93, dtype=np.uint8)
    stripes = np.repeat((np.arange(width) // 3 % 2 * 255).astype(np.uint8)[None], height, axis=0)
    for pixels in (colour, grey, noise, flat, stripes, colour[::-1, ::-1], grey.T):
        reference, quality = pdqhash.compute(
            np.ascontiguousarray(pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2))
        )
        assert ct.pdq(pixels) == (np.packbits(reference).tobytes(), quality)
        assert ct.phash(pixels).hex() == str(imagehash.phash(Image.fromarray(np.ascontiguousarray(pixels))))


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 9), np.uint8),
        np.zeros((9, 0, 3), np.uint8),
        np.zeros((9, 9), np.float32),
        np.zeros((9, 9), np.uint16),
        np.zeros((9, 9, 4), np.uint8),
        np.zeros((9, 9, 3, 1), np.uint8),
        np.zeros(9, np.uint8),
    ],
    ids=lambda pixels: f"{pixels.dtype}{list(pixels.shape)}",
)
def test_what_is_no_picture_is_refused_and_not_hashed_to_zeros(pixels: Any) -> None:
    for function in (ct.pdq, ct.phash):
        with pytest.raises(ValueError, match="uint8"):
            function(pixels)


def test_open_case_gives_the_rows_of_the_reports(own: Own) -> None:
    case = ct.open_case(own.case)
    rows = table(own.reports / "files.csv")
    files = list(case.files())
    assert [file.path for file in files] == [row["path"] for row in rows]
    for file, row in zip(files, rows, strict=True):
        for column in ("md5", "sha1", "sha256", "pdq", "phash"):
            value = getattr(file, column)
            assert (value.hex() if value is not None else "") == row[column]
        assert file.state == row["state"]
        assert file.kind == row["kind"]
        assert ("" if file.width is None else str(file.width)) == row["width"]
        assert file.modified.utcoffset().total_seconds() == 0
    matched = [(m.path, m.match_kind, m.algorithm, m.distance, m.category_code, m.hashset) for m in case.matches()]
    columns = ("path", "match_kind", "algorithm", "distance", "category_code", "hashset")
    assert [tuple(map(str, row)) for row in matched] == [tuple(row[name] for name in columns) for row in own.matches()]
    assert [(p.path, p.code) for p in case.problems()] == [
        (row["path"], row["code"]) for row in table(own.reports / "problems.csv")
    ]


# Perceptual hashes of real photographs ---------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("folder", ["photos", "pdq"])
def test_hashes_of_real_photographs_against_the_references_on_a_full_decode(
    folder: str, shared: Path, tmp_path: Path
) -> None:
    """Whole pixels are hashed exactly; JPEGs, decoded in grey and large ones reduced, stray by few bits.

    Below a quality of 50, where a PDQ is not matched, it may stray further.
    """
    ok("scan", shared / folder, "--case", tmp_path / "case", "--workers", 2, "--quiet")
    strayed: dict[str, list[int]] = {"pdq": [], "phash": []}
    rows = table(tmp_path / "case" / "reports" / "files.csv")
    pictures = [row for row in rows if row["kind"] == "image" and row["state"] != "embedded"]
    assert len(pictures) >= 40
    pictures.sort(key=lambda row: int(row["width"]) * int(row["height"]))
    ordinary = [row for row in pictures if int(row["width"]) * int(row["height"]) < 4_000_000]
    for row in [*ordinary, *pictures[len(ordinary) :: 3]]:  # the references are slow on the largest: every third
        with Image.open(shared / folder / row["path"][1:]) as image:
            near = image.format in ("JPEG", "MPO") and (image.mode != "L" or min(image.size) >= 512)
            assert (row["width"], row["height"]) == tuple(map(str, image.size))
            reference, quality = pdqhash.compute(np.asarray(image.convert("RGB")))
            apart = {"pdq": bits_apart(row["pdq"], np.packbits(reference).tobytes().hex())}
            if row["phash"]:
                apart["phash"] = bits_apart(row["phash"], str(imagehash.phash(image)))
            else:
                assert row["problems"], row["path"]
        if quality < 50 and near:
            continue
        if not near:
            assert set(apart.values()) == {0}, row["path"]
            assert row["pdq_quality"] == str(quality)
        for algorithm, distance in apart.items():
            strayed[algorithm].append(distance)
    for distances in strayed.values():
        assert np.median(distances) == 0
        assert np.percentile(distances, 98) <= 4
        assert max(distances) <= 8
