"""What a match says and what it never says."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.match import MatchOptions, match_records
from caid_triage.model import (
    Digests,
    Examination,
    FileEntry,
    Match,
    MatchKind,
    PerceptualHash,
    Role,
    ScanRecord,
    State,
)


def digests(content: bytes) -> Digests:
    return Digests(*(hashlib.new(name, content).digest() for name in ("md5", "sha1", "sha256")))


def record(content: bytes, *hashes: PerceptualHash, without_digests: bool = False) -> ScanRecord:
    entry = FileEntry("A/1", "image", "p1", 0, "/x", b"/x", State.ALLOCATED, len(content))
    return ScanRecord(entry, Examination(None if without_digests else digests(content), len(content), hashes=hashes))


def flipped(value: bytes, bits: int) -> bytes:
    return (int.from_bytes(value) ^ ((1 << bits) - 1)).to_bytes(len(value))


def column(*values: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), -1)


def a_set(path: Path, **options: Any) -> HashSet:
    build_hashset_from_arrays(path, **options)
    return open_hashset(path)


PDQ = hashlib.sha256(b"a picture").digest()
PHASH = hashlib.md5(b"a picture").digest()[:8]


def only(matches: list[tuple[Match, ...]]) -> Match:
    assert [len(found) for found in matches] == [1]
    return matches[0][0]


@pytest.mark.parametrize(
    ("carried", "named"),
    [
        (("md5",), "md5"),
        (("sha1",), "sha1"),
        (("md5", "sha1"), "sha1"),
        (("md5", "sha1", "sha256"), "sha256"),
        (("md5", "sha256"), "sha256"),
    ],
)
def test_an_exact_match_is_named_by_its_strongest_digest(tmp_path: Path, carried: tuple[str, ...], named: str) -> None:
    known = {name: column(getattr(digests(b"x"), name)) for name in carried}
    hashset = a_set(tmp_path / "a.chs", **known, category="1", media_id=["9"], scheme="uk", name="set")
    match = only(match_records([record(b"x")], [hashset]))
    assert (match.match_kind, match.algorithm, match.distance, match.threshold) == (MatchKind.EXACT, named, 0, 0)
    assert (match.hashset, match.generation, match.media_id, match.record_row) == ("set", hashset.generation, "9", 0)
    assert match.category.label == "code 1 (scheme uk not confirmed)"
    assert not match.contradicted


@pytest.mark.parametrize(
    ("known", "algorithm", "contradicted"),
    [
        ({"md5": b"x", "sha1": b"y"}, "md5", True),
        ({"md5": b"x", "sha256": b"y"}, "md5", True),
        ({"md5": b"x", "sha1": b"x", "sha256": b"y"}, "sha1", True),
        ({"md5": b"y", "sha1": b"x"}, "sha1", False),
        ({"md5": b"x", "sha1": b"y", "sha256": b"x"}, "sha256", False),
    ],
)
def test_a_stronger_digest_that_disagrees_contradicts(
    tmp_path: Path, known: dict[str, bytes], algorithm: str, contradicted: bool
) -> None:
    hashset = a_set(tmp_path / "a.chs", **{name: column(getattr(digests(c), name)) for name, c in known.items()})
    match = only(match_records([record(b"x")], [hashset]))
    assert (match.algorithm, match.contradicted) == (algorithm, contradicted)


def test_every_record_of_a_digest_matches_and_files_without_digests_match_nothing(tmp_path: Path) -> None:
    hashset = a_set(tmp_path / "a.chs", md5=column(*[digests(b"x").md5] * 3), category=["1", "2", "1"])
    found = match_records([record(b"y"), record(b"x", without_digests=True), record(b"x")], [hashset])
    assert [[m.record_row for m in matches] for matches in found] == [[], [], [0, 1, 2]]
    assert match_records([], [hashset]) == []
    assert match_records([record(b"x")], []) == [()]


@pytest.mark.parametrize(("bits", "found"), [(0, True), (31, True), (32, False), (256, False)])
def test_pdq_within_its_distance(tmp_path: Path, bits: int, found: bool) -> None:
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ), pdq_quality=np.array([100]))
    (matches,) = match_records([record(b"x", PerceptualHash("pdq", flipped(PDQ, bits), 90))], [hashset])
    assert [(m.match_kind, m.algorithm, m.distance, m.threshold) for m in matches] == (
        [(MatchKind.NEAR, "pdq", bits, 31)] if found else []
    )


@pytest.mark.parametrize(("mine", "theirs", "found"), [(50, 50, 1), (49, 100, 0), (100, 49, 0), (100, None, 1)])
def test_pdq_of_low_quality_never_matches(tmp_path: Path, mine: int, theirs: int | None, found: int) -> None:
    quality = {} if theirs is None else {"pdq_quality": np.array([theirs])}
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ), **quality)
    (matches,) = match_records([record(b"x", PerceptualHash("pdq", PDQ, mine))], [hashset])
    assert len(matches) == found


def test_flat_hashes_match_nothing_on_either_side(tmp_path: Path) -> None:
    flat = [b"\x00" * 8, b"\x80" + b"\x00" * 7, b"\xff" * 8]
    hashset = a_set(tmp_path / "a.chs", phash=column(*flat), pdq=column(b"\x00" * 32, b"\xff" * 32, PDQ))
    one_bit_off = [PerceptualHash("phash", flipped(value, 1)) for value in flat]
    for item in [PerceptualHash("phash", value) for value in flat] + one_bit_off:
        assert match_records([record(b"x", item)], [hashset]) == [()]
    for value in (b"\x00" * 32, b"\xff" * 32, flipped(b"\x00" * 32, 3)):
        assert match_records([record(b"x", PerceptualHash("pdq", value, 100))], [hashset]) == [()]


def test_one_near_match_a_pair_pdq_before_phash_and_none_where_exact(tmp_path: Path) -> None:
    hashset = a_set(
        tmp_path / "a.chs",
        md5=column(digests(b"x").md5, digests(b"y").md5, digests(b"z").md5),
        pdq=column(PDQ, flipped(PDQ, 5), flipped(PDQ, 99)),
        phash=column(PHASH, PHASH, flipped(PHASH, 8)),
    )
    hashes = (PerceptualHash("pdq", PDQ, 90), PerceptualHash("phash", PHASH))
    (matches,) = match_records([record(b"x", *hashes)], [hashset])
    assert [(m.record_row, m.algorithm, m.distance, m.threshold) for m in matches] == [
        (0, "md5", 0, 0),
        (1, "pdq", 5, 31),
        (2, "phash", 8, 8),
    ]


def test_options_change_the_distances(tmp_path: Path) -> None:
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ), phash=column(PHASH))
    seen = [record(b"x", PerceptualHash("pdq", flipped(PDQ, 3), 60), PerceptualHash("phash", flipped(PHASH, 1)))]
    assert only(match_records(seen, [hashset], MatchOptions(pdq_radius=3))).threshold == 3
    assert only(match_records(seen, [hashset], MatchOptions(pdq_radius=2))).algorithm == "phash"
    assert only(match_records(seen, [hashset], MatchOptions(pdq_min_quality=61))).algorithm == "phash"
    assert match_records(seen, [hashset], MatchOptions(near=False)) == [()]


@pytest.mark.parametrize(
    ("good", "left"),
    [
        ({"sha1": b"x"}, ["sha1 known-good"]),
        ({"sha256": b"x"}, ["sha256 known-good"]),
        ({"md5": b"x"}, ["md5 known-good", "pdq notable"]),
        ({"md5": b"x", "sha1": b"y"}, ["md5 known-good", "pdq notable"]),
        ({"sha1": b"x", "sha256": b"y"}, ["sha1 known-good", "pdq notable"]),
        ({"sha1": b"other"}, ["pdq notable"]),
    ],
)
def test_known_good_excludes_near_matches_only_by_sha(tmp_path: Path, good: dict[str, bytes], left: list[str]) -> None:
    known = {name: column(getattr(digests(content), name)) for name, content in good.items()}
    known_good = a_set(tmp_path / "good.chs", **known, role="known-good")
    notable = a_set(tmp_path / "bad.chs", pdq=column(PDQ))
    (matches,) = match_records([record(b"x", PerceptualHash("pdq", PDQ, 90))], [known_good, notable])
    assert [f"{m.algorithm} {m.role.value}" for m in matches] == left


def test_known_good_never_hides_an_exact_notable_match(tmp_path: Path) -> None:
    known_good = a_set(tmp_path / "good.chs", sha256=column(digests(b"x").sha256), role="known-good")
    notable = a_set(tmp_path / "bad.chs", md5=column(digests(b"x").md5))
    (matches,) = match_records([record(b"x")], [known_good, notable])
    assert [m.role for m in matches] == [Role.KNOWN_GOOD, Role.NOTABLE]


def test_known_good_sets_are_not_searched_for_look_alikes(tmp_path: Path) -> None:
    known_good = a_set(tmp_path / "good.chs", pdq=column(PDQ), role="known-good")
    assert match_records([record(b"x", PerceptualHash("pdq", PDQ, 90))], [known_good]) == [()]


def test_a_set_given_twice_counts_once(tmp_path: Path) -> None:
    hashset = a_set(tmp_path / "a.chs", md5=column(digests(b"x").md5))
    assert len(match_records([record(b"x")], [hashset, open_hashset(tmp_path / "a.chs")])[0]) == 1


def test_frames_of_videos_are_left_to_the_video_matcher(tmp_path: Path) -> None:
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ))
    assert match_records([record(b"x", PerceptualHash("pdq", PDQ, 90, frame_time=1.0))], [hashset]) == [()]
