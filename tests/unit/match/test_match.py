"""What a match says and what it never says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from caid_triage.errors import HashSetError
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.match import MatchOptions, match_batch, match_records
from caid_triage.model import (
    Digests,
    Examination,
    FileEntry,
    Match,
    MatchKind,
    PerceptualHash,
    Role,
    Said,
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


def turned(value: bytes, place: int) -> PerceptualHash:
    """A set of seven turned hashes of which only one is near anything."""
    far = [hashlib.sha256(bytes([number])).digest() for number in range(7)]
    far[place] = value
    return PerceptualHash("pdq-turned", b"".join(far), 90)


@pytest.mark.parametrize(("place", "words"), [(0, "turned 90"), (4, "mirrored"), (6, "transposed other way")])
def test_a_turned_copy_is_found_and_says_how_it_must_be_turned(tmp_path: Path, place: int, words: str) -> None:
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ))
    upright = PerceptualHash("pdq", hashlib.sha256(b"upright").digest(), 90)
    found = only(match_records([record(b"x", upright, turned(flipped(PDQ, 7), place))], [hashset]))
    assert (found.algorithm, found.distance, found.threshold, found.orientation, found.quality) == (
        *("pdq", 7, 31),
        *(words, 90),
    )


def test_upright_is_named_when_another_orientation_is_as_near(tmp_path: Path) -> None:
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ))
    both = (PerceptualHash("pdq", flipped(PDQ, 7), 90), turned(flipped(PDQ, 7), 2))
    assert only(match_records([record(b"x", *both)], [hashset])).orientation == ""
    nearer = (PerceptualHash("pdq", flipped(PDQ, 8), 90), turned(flipped(PDQ, 7), 2))
    assert only(match_records([record(b"x", *nearer)], [hashset])).orientation == "turned 270"


@pytest.mark.parametrize("role", ["known-good", "not-this"])
@pytest.mark.parametrize(("negative", "listed"), [(4, False), (5, True), (6, True), (200, True)])
def test_what_is_nearer_to_a_negative_entry_is_withheld_and_counted(
    tmp_path: Path, role: str, negative: int, listed: bool
) -> None:
    notable = a_set(tmp_path / "bad.chs", pdq=column(flipped(PDQ, 5)), name="bad")
    harmless = a_set(tmp_path / "good.chs", pdq=column(flipped(PDQ, negative)), role=role, name="good")
    found = match_batch([record(b"x", PerceptualHash("pdq", PDQ, 90))], [notable, harmless])
    assert len(found.matches[0]) == listed
    assert [(w.reason, w.count, w.nearest, w.by) for w in found.withheld[0]] == (
        [] if listed else [("not-this", 1, 5, "good")]
    )


def test_a_negative_set_never_hides_an_exact_match(tmp_path: Path) -> None:
    notable = a_set(tmp_path / "bad.chs", md5=column(digests(b"x").md5), pdq=column(flipped(PDQ, 5)))
    harmless = a_set(tmp_path / "no.chs", sha256=column(digests(b"x").sha256), pdq=column(PDQ), role="not-this")
    (matches,) = match_records([record(b"x", PerceptualHash("pdq", PDQ, 90))], [notable, harmless])
    assert [(m.match_kind.value, m.role) for m in matches] == [("exact", Role.NOTABLE), ("exact", Role.NOT_THIS)]


def test_a_pair_withheld_by_pdq_does_not_come_back_by_phash(tmp_path: Path) -> None:
    notable = a_set(tmp_path / "bad.chs", pdq=column(flipped(PDQ, 5)), phash=column(PHASH))
    harmless = a_set(tmp_path / "no.chs", pdq=column(PDQ), role="not-this")
    hashes = (PerceptualHash("pdq", PDQ, 90), PerceptualHash("phash", PHASH))
    assert match_records([record(b"x", *hashes)], [notable, harmless]) == [()]


@pytest.mark.parametrize(("entries", "listed", "withheld"), [(100, 100, []), (101, 5, [("flood", 96, 5)])])
def test_a_hash_that_is_near_too_many_entries_is_quarantined(
    tmp_path: Path, entries: int, listed: int, withheld: list[tuple[str, int, int]]
) -> None:
    values = [flipped(PDQ, number % 20) for number in range(entries)]
    hashset = a_set(tmp_path / "a.chs", pdq=column(*values), md5=column(*[digests(b"y").md5] * entries))
    seen = [record(b"x", PerceptualHash("pdq", PDQ, 90)), record(b"y", PerceptualHash("pdq", PDQ, 90))]
    found = match_batch(seen, [hashset])
    assert len(found.matches[0]) == listed
    assert [m.distance for m in found.matches[0]] == sorted(number % 20 for number in range(entries))[:listed]
    assert [(w.reason, w.count, w.kept) for w in found.withheld[0]] == withheld
    # Exact matches are never counted towards a flood, nor withheld by it.
    assert len(found.matches[1]) == entries
    assert found.withheld[1] == ()


def test_a_set_has_a_distance_of_its_own(tmp_path: Path) -> None:
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ), name="unit")
    seen = [record(b"x", PerceptualHash("pdq", flipped(PDQ, 10), 90))]
    assert match_records(seen, [hashset], MatchOptions(set_radii=(("unit", "pdq", 9),))) == [()]
    assert only(match_records(seen, [hashset], MatchOptions(set_radii=(("unit", "pdq", 10),)))).threshold == 10
    assert len(match_records(seen, [hashset], MatchOptions(set_radii=(("other", "pdq", 9),)))[0]) == 1
    hashset.manifest["radius"] = {"pdq": 9}
    assert match_records(seen, [hashset]) == [()]
    assert len(match_records(seen, [hashset], MatchOptions(set_radii=(("unit", "pdq", 12),)))[0]) == 1
    hashset.manifest["radius"] = {"pdq": "wide"}
    with pytest.raises(HashSetError, match="distance"):
        match_records(seen, [hashset])


def test_a_listed_size_that_is_not_the_files_is_said(tmp_path: Path) -> None:
    known = {"md5": column(digests(b"x").md5, digests(b"y").md5)}
    hashset = a_set(tmp_path / "a.chs", **known, size=np.array([99, 1]))
    wrong, right = match_records([record(b"x"), record(b"y")], [hashset])
    assert (wrong[0].listed_size, wrong[0].contradicted) == (99, False)
    assert right[0].listed_size is None


def test_photodna_is_matched_where_records_carry_it(tmp_path: Path) -> None:
    vector = np.random.default_rng(3).integers(0, 256, (1, 144), dtype=np.uint8)
    other = vector.copy()
    other[0, 0] ^= 3
    hashset = a_set(tmp_path / "a.chs", photodna=vector, category="1")
    computed = [record(b"x", PerceptualHash("photodna", other.tobytes()))]
    found = only(match_records(computed, [hashset]))
    expected = int((vector.astype(int) - other.astype(int))[0, 0] ** 2)
    assert (found.algorithm, found.distance, found.threshold) == ("photodna", expected, 40_000)
    # Without a plug-in no record has a vector; a set without vectors has none to meet.
    assert match_records([record(b"x", PerceptualHash("pdq", PDQ, 90))], [hashset]) == [()]
    assert match_records(computed, [a_set(tmp_path / "b.chs", pdq=column(PDQ))]) == [()]
    assert match_records([record(b"x", PerceptualHash("photodna", b"\x07" * 144))], [hashset]) == [()]


@pytest.mark.parametrize(
    ("name", "bits", "met"),
    [("phash", 8, True), ("phash", 9, False), ("phash-trimmed", 4, True), ("phash-trimmed", 5, False)],
)
def test_the_phash_of_another_look_must_be_nearer(tmp_path: Path, name: str, bits: int, met: bool) -> None:
    hashset = a_set(tmp_path / "x.chs", phash=column(PHASH))
    (found,) = match_records([record(b"x", PerceptualHash(name, flipped(PHASH, bits)))], [hashset])
    assert [match.distance for match in found] == ([bits] if met else [])


@pytest.mark.parametrize(("bits", "met"), [(4, True), (5, False)])
def test_a_turned_phash_must_be_nearer_too(tmp_path: Path, bits: int, met: bool) -> None:
    far = [hashlib.sha1(bytes([i])).digest()[:8] for i in range(7)]
    far[4] = flipped(PHASH, bits)
    hashset = a_set(tmp_path / "x.chs", phash=column(PHASH))
    (found,) = match_records([record(b"x", PerceptualHash("phash-turned", b"".join(far)))], [hashset])
    assert [(match.distance, match.orientation) for match in found] == ([(bits, "mirrored")] if met else [])


@pytest.mark.parametrize("role", [Role.NOTABLE, Role.KNOWN_GOOD])
def test_an_exact_match_hands_on_what_its_entry_says(tmp_path: Path, role: Role) -> None:
    media = [
        {"MediaID": 1, "MD5": digests(b"a").md5.hex(), "Category": 1, "VictimIdentified": "true", "Series": "Elm"},
        {
            "MediaID": 2,
            "MD5": digests(b"b").md5.hex(),
            "Category": 1,
            "IsDistributed": True,
            "OffenderIdentified": "false",
        },
        {"MediaID": 3, "MD5": digests(b"c").md5.hex(), "Category": 1, "IsPrecategorized": "true"},
    ]
    address = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#Media"
    (tmp_path / "set.json").write_text(json.dumps({"@odata.context": address, "value": media}))
    build_hashset([tmp_path / "set.json"], tmp_path / "set.chs", role=role.value)
    found = match_records([record(b"a"), record(b"b"), record(b"c")], [open_hashset(tmp_path / "set.chs")])
    said = [only([matches]).said for matches in found]
    notable = [Said(victim_identified=True, series="Elm"), Said(distributed=True), None]
    assert said == (notable if role is Role.NOTABLE else [None] * 3)
