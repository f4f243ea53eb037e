"""How far leads are looked for, of which pictures, and what the case says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.match.test_match import PDQ, a_set, column, digests, flipped, record

from caid_triage.config import ScanOptions, checked_leads
from caid_triage.errors import UsageError
from caid_triage.match.chance import expected_chance_matches
from caid_triage.match.lead_limits import ALL_LOOKS, Asked, LeadLimits, Why, lead_limits, limits_for
from caid_triage.match.match import MatchOptions, match_batch
from caid_triage.model import Match, PerceptualHash, Role

AUTO = MatchOptions(leads="auto")


def leads(matches: tuple[Match, ...]) -> list[tuple[int, int, int, str]]:
    return [(m.record_row, m.distance, m.threshold, m.look) for m in matches if m.algorithm == "pdq"]


def pdq(bits: int, look: str = "", quality: int = 90) -> PerceptualHash:
    return PerceptualHash(f"pdq-{look}" if look else "pdq", flipped(PDQ, bits), quality)


def test_the_limits_follow_from_the_curve_and_never_pass_what_was_measured() -> None:
    for entries in (1, 1_000, 25_000, 400_000, 1_000_000, 10_000_000):
        limits = limits_for(entries, AUTO)
        assert 31 < limits.looks <= 75
        assert limits.looks <= limits.stored <= 85
        comparisons = entries, AUTO.lead_pictures
        by_stored = expected_chance_matches("pdq", limits.stored, *comparisons)
        by_looks = expected_chance_matches("pdq", limits.looks, *comparisons)
        assert by_stored is not None
        assert by_looks is not None
        assert by_stored + by_looks * (ALL_LOOKS - 1) <= 1
    assert limits_for(1, AUTO) == LeadLimits(Asked.ALL, 85, 75, Why.SIZES)
    assert (limits_for(25_000, AUTO).stored, limits_for(25_000, AUTO).looks) == (75, 71)
    assert (limits_for(10_000_000, AUTO).stored, limits_for(10_000_000, AUTO).looks) == (69, 65)


@pytest.mark.parametrize(
    ("entries", "asked"),
    [
        (0, Asked.NONE),
        (465_116, Asked.ALL),
        (465_117, Asked.UPRIGHT),
        (1_333_333, Asked.UPRIGHT),
        (1_333_334, Asked.STORED),
        (20_000_000, Asked.STORED),
        (20_000_001, Asked.NONE),
    ],
)
def test_the_greater_a_set_the_fewer_looks_are_asked(entries: int, asked: Asked) -> None:
    assert limits_for(entries, AUTO).asked is asked


def test_given_bits_are_searched_whatever_the_size_and_a_distance_of_a_set_ends_leads(tmp_path: Path) -> None:
    assert limits_for(10**8, MatchOptions(leads="60")) == LeadLimits(Asked.ALL, 60, 60, Why.GIVEN)
    assert limits_for(5, MatchOptions(leads="off")).asked is Asked.NONE
    own = a_set(tmp_path / "own.chs", pdq=column(PDQ), radius={"pdq": 31}, name="own")
    plain = a_set(tmp_path / "plain.chs", pdq=column(PDQ), name="plain")
    assert lead_limits(own, AUTO).why is Why.OWN
    assert lead_limits(plain, AUTO).asked is Asked.ALL
    assert lead_limits(plain, MatchOptions(leads="60", set_radii=(("plain", "pdq", 20),))).why is Why.OWN


def test_what_is_no_limit_is_refused() -> None:
    for text in ("", "31", "101", "-40", "4O", "Auto", "٤٠"):
        with pytest.raises(UsageError):
            checked_leads(text)
        with pytest.raises(UsageError):
            ScanOptions(leads=text)
    assert [checked_leads(text) for text in ("auto", "off", "32", "0100")] == ["auto", "off", "32", "100"]


@pytest.mark.parametrize(
    ("hashes", "found"),
    [
        ([pdq(85)], [(0, 85, 85, "")]),
        ([pdq(86)], []),
        ([pdq(120), pdq(75, "trimmed")], [(0, 75, 75, "without its borders")]),
        ([pdq(120), pdq(76, "trimmed")], []),
        ([pdq(80), pdq(75, "trimmed")], [(0, 75, 75, "without its borders")]),
        ([pdq(60, quality=49)], []),
    ],
)
def test_stored_pixels_and_other_looks_have_limits_of_their_own(
    tmp_path: Path, hashes: list[PerceptualHash], found: list[Any]
) -> None:
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ))
    assert leads(match_batch([record(b"x", *hashes)], [hashset], AUTO).matches[0]) == found
    assert match_batch([record(b"x", *hashes)], [hashset], MatchOptions()).matches == [()]


def test_a_picture_that_the_set_explains_is_not_asked_about_but_its_thumbnail_is(tmp_path: Path) -> None:
    far = flipped(PDQ, 60)
    hashset = a_set(tmp_path / "a.chs", pdq=column(PDQ, far))
    (found,) = match_batch([record(b"x", pdq(10))], [hashset], AUTO).matches
    assert leads(found) == [(0, 10, 31, "")]
    (found,) = match_batch([record(b"x", pdq(256), pdq(10, "crop10"))], [hashset], AUTO).matches
    assert leads(found) == [(0, 10, 31, "as if 10% had been cropped")]
    (found,) = match_batch([record(b"x", pdq(0), pdq(110, "thumbnail"))], [hashset], AUTO).matches
    assert leads(found) == [(0, 0, 31, ""), (1, 50, 75, "its embedded thumbnail")]


def test_an_exact_match_ends_the_search_in_its_set_and_a_contradicted_one_does_not(tmp_path: Path) -> None:
    hashes = {"pdq": column(PDQ, PDQ), "name": "set"}
    other = digests(b"other")
    exact = a_set(tmp_path / "a.chs", md5=column(digests(b"x").md5, other.md5), **hashes)
    assert leads(match_batch([record(b"x", pdq(60))], [exact], AUTO).matches[0]) == []
    contradicted = a_set(
        tmp_path / "b.chs", md5=column(digests(b"x").md5, other.md5), sha1=column(other.sha1, other.sha1), **hashes
    )
    assert leads(match_batch([record(b"x", pdq(60))], [contradicted], AUTO).matches[0]) == [(1, 60, 85, "")]


def test_guards_hold_at_the_distances_of_leads(tmp_path: Path) -> None:
    listed = a_set(tmp_path / "a.chs", pdq=column(*[flipped(PDQ, bits) for bits in range(5)]), name="listed")
    no = a_set(tmp_path / "no.chs", pdq=column(flipped(PDQ, 24)), name="no", role=Role.NOT_THIS)
    file = record(b"x", pdq(64))
    found = match_batch([file], [listed, no], AUTO)
    assert found.matches == [()]
    (held,) = found.withheld[0]
    assert (held.reason, held.count, held.nearest, held.threshold, held.by) == ("not-this", 5, 60, 85, "no")
    few = MatchOptions(leads="auto", flood_limit=4, flood_kept=2)
    found = match_batch([file], [listed], few)
    assert leads(found.matches[0]) == [(4, 60, 85, ""), (3, 61, 85, "")]
    (held,) = found.withheld[0]
    assert (held.reason, held.count, held.kept) == ("flood", 3, 2)
