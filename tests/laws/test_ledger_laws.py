"""The ledger's laws: ranges tile the source, sums are exact, the painted ledger is the one told byte by byte."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.ledgers import accounted_byte, check_tiling, painted_bytes, sums_of, told_bytes

from caid_triage.evidence.account import DiskAccount, Inside
from caid_triage.evidence.coverage import KIND_OF_STATUS, LEDGER_KINDS
from caid_triage.evidence.fold import MIXED, fold
from caid_triage.evidence.layers.view import Run, ranges_on_source, view_of_runs
from caid_triage.evidence.ledger import Coat, painted
from caid_triage.evidence.ranges import common, merged, total, unreadable_in
from caid_triage.model import LedgerRange, Volume
from caid_triage.report.ledger import WIDTH, share_words, widths_of

SIZE = 160
NAMES = ("p1", "p2", "p2/root")


def ranges(most: int = 4) -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(-20, SIZE + 20), st.integers(-20, SIZE + 40)), max_size=most)


KIND = st.sampled_from(LEDGER_KINDS)
COAT = st.builds(
    Coat,
    ranges(),
    st.one_of(st.dictionaries(KIND, KIND, max_size=4), st.dictionaries(st.just(""), KIND)),
    st.none() | st.sampled_from(NAMES),
    st.none() | st.sampled_from(("", *NAMES)),
)


@settings(deadline=None)
@given(st.integers(0, SIZE), st.lists(COAT, max_size=8))
def test_a_painted_ledger_is_the_one_painted_byte_by_byte(size: int, coats: list[Coat]) -> None:
    lines = list(painted(size, coats).ranges())
    check_tiling(lines, size)
    assert all((a.kind, a.volume) != (b.kind, b.volume) for a, b in pairwise(lines))
    assert told_bytes(lines) == painted_bytes(size, coats)


@st.composite
def accounts(draw: st.DrawFn) -> DiskAccount:
    """What may be known of a small disk, as broken as tables can be: volumes that overlap and end behind its end."""
    place, length = st.integers(0, SIZE + 20), st.integers(0, SIZE)
    status = st.sampled_from([*KIND_OF_STATUS, "unwrapped"])
    volumes = [
        Volume(f"p{number}", *draw(st.tuples(place, length)), "", "", draw(status))
        for number in range(1, 1 + draw(st.integers(0, 4)))
    ]
    claims = []
    for volume in volumes:
        if volume.status != "unwrapped":
            claims.append((volume.offset, volume.length, KIND_OF_STATUS[volume.status], volume.name))
        else:
            kind = draw(st.sampled_from(["file_system", "encrypted", "partition_table"]))
            name = draw(st.sampled_from([volume.name, f"{volume.name}/root"]))
            claims.append((volume.offset + volume.length // 4, volume.length // 2, kind, name))
    insides = []
    for start, length_, kind, name in claims:
        if kind == "file_system" and name not in {inside.volume for inside in insides} and draw(st.booleans()):
            whole = [(start, start + length_)]
            insides.append(
                Inside(name, whole, draw(ranges()), draw(ranges()), draw(ranges()), told=draw(st.booleans()))
            )
    tables = draw(st.lists(st.tuples(place, st.integers(0, 20)), max_size=3))
    return DiskAccount(SIZE, volumes, claims, tables, insides, draw(st.lists(ranges(), max_size=3)), draw(ranges()))


@settings(deadline=None)
@given(accounts())
def test_a_disk_s_ledger_is_the_one_told_byte_by_byte(account: DiskAccount) -> None:
    ledger = account.ledger()
    lines = list(ledger.ranges())
    check_tiling(lines, SIZE)
    assert told_bytes(lines) == [accounted_byte(account, byte) for byte in range(SIZE)]
    assert sum(ledger.coverage().values()) == SIZE


LINES = st.lists(
    st.tuples(st.sampled_from(["", "p1", "p2"]), st.sampled_from(LEDGER_KINDS[:4]), st.integers(1, 40)), max_size=60
)


def laid_out(parts: list[tuple[str, str, int]]) -> list[LedgerRange]:
    at, lines = 0, []
    for volume, kind, length in parts:
        lines.append(LedgerRange(at, at + length, volume, kind))
        at += length
    return lines


@settings(deadline=None)
@given(LINES, st.integers(0, 30), st.integers(1, 12))
def test_folding_changes_no_sum_and_no_large_range(parts: list[tuple[str, str, int]], most: int, least: int) -> None:
    lines = laid_out(parts)
    folded = list(fold(lambda: lines, most))
    check_tiling(folded, lines[-1].end if lines else 0)
    assert sums_of(folded) == sums_of(lines)
    pieces = 1 + sum(a.volume != b.volume for a, b in pairwise(lines))
    assert len(folded) <= max(most, pieces)
    mixed = [line for line in folded if line.kind == MIXED]
    assert all(line in lines for line in folded if line.kind != MIXED)
    if len(lines) <= most:
        assert folded == lines
    if mixed:
        largest = max(b.end - b.start for line in mixed for b in lines if line.start <= b.start < line.end)
        kept = [line for line in lines if line.end - line.start > largest]
        assert all(line in folded for line in kept)
        assert len(lines) > most
    again = list(fold(lambda: folded, least))
    assert sums_of(again) == sums_of(lines)


def test_many_ranges_are_folded_no_more_than_must_be() -> None:
    lines = laid_out([("p1", LEDGER_KINDS[n % 2], 4096 if n % 1000 else 1 << 30) for n in range(200_000)])
    folded = list(fold(lambda: lines, 500))
    assert len(folded) == 400  # each large one, and what lies between two of them
    assert sums_of(folded) == sums_of(lines)
    assert sum(line.end - line.start >= 1 << 30 for line in folded) == 200


@pytest.mark.parametrize("size", [(1 << 60) + 1, (1 << 63) - 1, 1 << 63, 51_200_000_000_000_000_000])
def test_sums_are_exact_beyond_what_a_float_or_63_bits_hold(size: int) -> None:
    ledger = painted(size, [Coat([(0, 1)], {"": "encrypted"}, "p1")])
    assert ledger.coverage()["unpartitioned"] == size - 1
    for most in (1, 9):
        lines = list(ledger.folded(most))
        check_tiling(lines, size)
        assert sum(line.end - line.start for line in lines) == size


@settings(deadline=None)
@given(ranges(6), st.lists(st.integers(1, 40), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_ranges_of_a_view_lie_outside_where_its_bytes_do(asked, lengths, choose) -> None:
    places, at = list(range(len(lengths))), 0
    choose.shuffle(places)
    runs, outside, start = [], {}, 0
    for length in lengths:
        outside[start] = length
        start += length
    starts = list(outside)
    for place in places:  # the pieces of the view lie in another order on the disk, a gap before each
        at += 3
        runs.append(Run(starts[place], lengths[place], at))
        at += lengths[place]
    view = view_of_runs(object(), runs)
    naive = [
        run.at + byte - run.start
        for run in runs
        for byte in range(run.start, run.start + run.length)
        if any(low <= byte < high for low, high in asked)
    ]
    found = ranges_on_source(view, merged(asked))
    assert found == merged((byte, byte + 1) for byte in naive)


@settings(deadline=None)
@given(st.lists(st.integers(0, 300), max_size=5), st.integers(0, 200 << 10), st.integers(0, 200 << 10))
def test_what_cannot_be_read_is_found_to_the_sector(bad: list[int], start: int, length: int) -> None:
    def read(offset: int, size: int) -> bytes:
        if any(offset < (sector + 1) * 512 and offset + size > sector * 512 for sector in bad):
            raise OSError("Input/output error")
        return bytes(size)

    found = unreadable_in(read, start, start + length)
    naive = merged(
        (max(start, sector * 512), min(start + length, (sector + 1) * 512))
        for sector in bad
        if sector * 512 < start + length and (sector + 1) * 512 > start
    )
    assert found == naive
    assert total(found) <= length


@settings(deadline=None)
@given(st.lists(st.integers(1, 1 << 50), min_size=1, max_size=80))
def test_a_bar_is_full_and_every_piece_of_it_can_be_seen(counts: list[int]) -> None:
    widths = widths_of(counts)
    assert sum(widths) == pytest.approx(WIDTH, abs=0.1)
    least = min(6.0, WIDTH / len(counts))
    assert all(width >= least - 0.001 for width in widths)
    ordered = sorted(zip(counts, widths, strict=True))
    assert all(a[1] <= b[1] + 0.001 for a, b in pairwise(ordered))


@settings(deadline=None)
@given(st.integers(1, 1 << 60), st.integers(1, 1 << 60))
def test_a_share_is_never_rounded_to_nothing_or_to_all(a: int, b: int) -> None:
    words = share_words(min(a, b), max(a, b))
    assert words != "0.0%"
    assert (words in ("100%", "100.0%")) == (a == b)


@given(ranges(6), ranges(6))
def test_what_two_lists_of_ranges_have_in_common(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    both = {byte for a, b in one for byte in range(a, b)} & {byte for a, b in other for byte in range(a, b)}
    found = common(merged(one), merged(other))
    assert [byte for start, end in found for byte in range(start, end)] == sorted(both)
    assert all(start < end for start, end in found)
