"""The sample hash sets are benign, stable, and equal to the committed ones."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from hashlib import md5, sha1
from pathlib import Path

import numpy as np
import pytest

from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.synth import samples
from caid_triage.synth.exhibit import DemoTruth, build_demo_exhibit
from caid_triage.synth.sample_pictures import GRADED, MD5_ONLY, listed_document, picture

COMMITTED = Path(__file__).resolve().parents[3] / "hashsets"


def test_committed_files_equal_the_generated_ones(tmp_path: Path) -> None:
    for made in samples.write_sample_hashsets(tmp_path):
        assert (COMMITTED / made.name).read_bytes() == made.read_bytes(), made.name


def test_vics_lists_every_graded_picture_and_one_by_md5_only() -> None:
    content = json.loads(samples.vics_set())
    assert list(content) == ["@odata.context", "value"]
    assert "/UK/" in content["@odata.context"]
    by_md5 = {record["MD5"]: record for record in content["value"]}
    for name, code in GRADED.items():
        record = by_md5[md5(picture(name)).hexdigest().upper()]
        assert record["Category"] == int(code)
        assert record["SHA1"] == sha1(picture(name)).hexdigest().upper()
        assert record["MediaSize"] == len(picture(name))
    (name,) = MD5_ONLY
    assert "SHA1" not in by_md5[md5(picture(name)).hexdigest().upper()]
    assert md5(listed_document()).hexdigest().upper() in by_md5
    assert len(by_md5) == len(content["value"]) == len(GRADED) + 2 + samples.NEVER_MET


def test_scheme_covers_the_codes_of_the_set_and_says_it_is_a_sample() -> None:
    scheme = tomllib.loads(samples.scheme().decode())
    codes = {category["code"] for category in scheme["categories"]}
    assert {str(record["Category"]) for record in json.loads(samples.vics_set())["value"]} == codes
    assert "synthetic" in scheme["confirmed_by"]
    assert all(category["label"].startswith("Sample") for category in scheme["categories"])


def test_known_good_has_all_digests_and_no_graded_picture() -> None:
    rows = list(csv.DictReader(io.StringIO(samples.known_good_set().decode())))
    assert [len(row["sha256"]) for row in rows] == [64, 64, 64]
    assert not {row["md5"] for row in rows} & {md5(picture(name)).hexdigest() for name in GRADED}


def test_graded_folder_has_one_sub_folder_a_code(tmp_path: Path) -> None:
    written = samples.write_graded_pictures(tmp_path)
    assert {path.name: path.parent.name for path in written} == GRADED
    assert all(path.read_bytes() == picture(path.name) for path in written)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> tuple[HashSet, HashSet]:
    """The notable and the known-good sample, imported as a user does."""
    folder = tmp_path_factory.mktemp("sets")
    vics, good, scheme = samples.write_sample_hashsets(folder)
    assert build_hashset([vics], folder / "notable.chs", scheme=scheme).counts["refused"] == 0
    assert build_hashset([good], folder / "good.chs", role="known-good").counts["refused"] == 0
    return open_hashset(folder / "notable.chs"), open_hashset(folder / "good.chs")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoTruth:
    return build_demo_exhibit(tmp_path_factory.mktemp("demo"))


def digests(demo: DemoTruth, algorithm: str) -> np.ndarray:
    return np.array([list(bytes.fromhex(getattr(row, algorithm))) for row in demo.rows], dtype=np.uint8)


def test_imported_samples_meet_the_demo_where_its_truth_says(demo: DemoTruth, sets: tuple[HashSet, HashSet]) -> None:
    notable, good = sets
    for algorithm, wanted in (("sha1", {"sha1"}), ("md5", {"md5", "sha1"})):
        queries, records = notable.exact(algorithm, digests(demo, algorithm))
        met = {int(q): str(notable.records["category"][r]) for q, r in zip(queries, records, strict=True)}
        assert met == {n: row.category for n, row in enumerate(demo.rows) if row.algorithm in wanted}
    queries, _ = good.exact("sha256", digests(demo, "sha256"))
    assert [demo.rows[int(q)].match for q in queries] == ["known-good"] * 3


def test_sample_scheme_is_accepted_and_prints_its_labels(sets: tuple[HashSet, HashSet]) -> None:
    assert [sets[0].scheme.category(code).label for code in "123"] == [f"Sample category {c}" for c in "ABC"]
