"""What a build does with files given twice and with distances of the set's own."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from caid_triage.errors import HashSetError, UsageError
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.store import open_hashset
from caid_triage.match.match import MatchOptions, match_records
from caid_triage.model import Digests, Examination, FileEntry, PerceptualHash, ScanRecord, State

PDQ = hashlib.sha256(b"a picture").digest()


def vics(path: Path, first: int, count: int = 20) -> Path:
    path.write_text(json.dumps({"value": [{"MD5": f"{first + number + 1:032x}"} for number in range(count)]}))
    return path


def test_the_same_bytes_under_two_names_count_once(tmp_path: Path) -> None:
    one, other = vics(tmp_path / "set_1.json", 0), vics(tmp_path / "set_2.json", 100)
    alone = build_hashset([one, other], tmp_path / "alone.chs")
    assert alone.warnings == ()
    (tmp_path / "set_10.json").write_bytes(one.read_bytes())
    os.link(one, tmp_path / "set_3.json")
    given = [tmp_path / "set_10.json", other, tmp_path / "set_3.json", one]
    results = [build_hashset(order, tmp_path / "set.chs") for order in (given, given[::-1])]
    for result in results:
        assert (result.counts["records"], result.generation) == (40, alone.generation)
        assert [source["file"] for source in result.sources] == ["set_1.json", "set_2.json"]
        assert [text.partition(": counted")[0] for text in result.warnings[-2:]] == [
            "set_3.json: holds the same bytes as set_1.json",
            "set_10.json: holds the same bytes as set_1.json",
        ]
        assert all("is lost" in text for text in result.warnings[-2:])
    manifest = open_hashset(tmp_path / "set.chs").manifest
    assert manifest["completeness"]["repeated"] == list(results[-1].warnings[-2:])
    assert manifest["refused"]["rows"] == 0


def test_one_file_named_twice_counts_once(tmp_path: Path) -> None:
    path = vics(tmp_path / "set.json", 0)
    (tmp_path / "link.json").symlink_to(path)
    result = build_hashset([path, path, tmp_path / "x" / ".." / "set.json"], tmp_path / "a.chs")
    assert result.counts["records"] == 20
    assert result.warnings == ("set.json: given 3 times, counted once. Nothing is lost.",)
    linked = build_hashset([tmp_path / "link.json", path], tmp_path / "b.chs")
    assert linked.counts["records"] == 20
    assert [text.partition(": ")[2] for text in linked.warnings] == ["given 2 times, counted once. Nothing is lost."]


def test_files_of_one_size_that_differ_are_all_read(tmp_path: Path) -> None:
    paths = [vics(tmp_path / f"{name}.json", 16 * place) for place, name in enumerate(("a", "b", "c"), 1)]
    assert len({path.stat().st_size for path in paths}) == 1
    result = build_hashset(paths, tmp_path / "a.chs")
    assert (result.counts["records"], result.warnings) == (60, ())


def test_a_repeated_part_is_still_checked_against_the_list(tmp_path: Path) -> None:
    one = vics(tmp_path / "p1.json", 0)
    (tmp_path / "p2.json").write_bytes(one.read_bytes())
    listing = tmp_path / "MD5SUMS"
    listing.write_text(f"{hashlib.md5(one.read_bytes()).hexdigest()}  p1.json\n{'0' * 32}  p2.json\n")
    with pytest.raises(HashSetError, match=r"p2\.json: is not the file that MD5SUMS names"):
        build_hashset([one, tmp_path / "p2.json"], tmp_path / "a.chs", parts_list=listing)
    with pytest.raises(HashSetError, match=r"none\.json: cannot be read"):
        build_hashset([one, one, tmp_path / "none.json"], tmp_path / "a.chs")


def near_of(bits: int) -> ScanRecord:
    seen = (int.from_bytes(PDQ) ^ ((1 << bits) - 1)).to_bytes(32)
    entry = FileEntry("A/1", "image", "p1", 0, "/x", b"/x", State.ALLOCATED, 1)
    digests = Digests(*(hashlib.new(name, b"x").digest() for name in ("md5", "sha1", "sha256")))
    return ScanRecord(entry, Examination(digests, 1, hashes=(PerceptualHash("pdq", seen, 90),)))


def test_a_distance_of_its_own_is_kept_is_part_of_the_generation_and_decides(tmp_path: Path) -> None:
    path = tmp_path / "pdq.txt"
    path.write_text(f"{PDQ.hex()},90\n")
    plain = build_hashset([path], tmp_path / "plain.chs")
    none = build_hashset([path], tmp_path / "none.chs", radius={})
    strict = build_hashset([path], tmp_path / "strict.chs", radius={"pdq": 12})
    wider = build_hashset([path], tmp_path / "wider.chs", radius={"phash": 4, "pdq": 40})
    assert none.generation == plain.generation
    assert len({plain.generation, strict.generation, wider.generation}) == 3
    assert "radius" not in open_hashset(tmp_path / "none.chs").manifest
    assert open_hashset(tmp_path / "wider.chs").manifest["radius"] == {"pdq": 40, "phash": 4}
    limits = {"plain": 31, "strict": 12, "wider": 40}
    for name, limit in limits.items():
        hashset = open_hashset(tmp_path / f"{name}.chs")
        hashset.verify()
        inside, outside = match_records([near_of(limit), near_of(limit + 1)], [hashset])
        assert [(match.distance, match.threshold) for match in inside] == [(limit, limit)]
        assert outside == ()
    # What the command line says of a set by its name comes before what the set says of itself.
    hashset = open_hashset(tmp_path / "strict.chs")
    told = MatchOptions(set_radii=(("strict", "pdq", 20),))
    assert len(match_records([near_of(20)], [hashset], told)[0]) == 1


def test_arrays_may_have_a_distance_too(tmp_path: Path) -> None:
    pdq = np.frombuffer(PDQ, dtype=np.uint8)[None, :]
    made = [build_hashset_from_arrays(tmp_path / f"{bits}.chs", pdq=pdq, radius={"pdq": bits}) for bits in (9, 10)]
    assert made[0].generation != made[1].generation
    assert open_hashset(tmp_path / "9.chs").manifest["radius"] == {"pdq": 9}


@pytest.mark.parametrize("radius", [{"md5": 1}, {"pdq": 257}, {"pdq": -1}, {"phash": 65}, {"pdq": True}, {"pdq": 1.5}])
def test_a_distance_that_means_nothing_is_refused(tmp_path: Path, radius: dict[str, int]) -> None:
    (tmp_path / "pdq.txt").write_text(f"{PDQ.hex()},90\n")
    with pytest.raises(UsageError, match="distance"):
        build_hashset([tmp_path / "pdq.txt"], tmp_path / "a.chs", radius=radius)
    assert not (tmp_path / "a.chs").exists()
