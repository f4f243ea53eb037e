"""Views joined from runs and stripes: read, placed and accounted for as byte by byte."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.evidence.layers.mapped import MappedView
from caid_triage.evidence.layers.view import Run, View, view_of_runs
from caid_triage.evidence.proxied import ProxiedImage


class Disk(ProxiedImage):
    def __init__(self, content: bytes) -> None:
        self._content = content
        super().__init__()

    def get_size(self) -> int:
        return len(self._content)

    def exact(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]


DISK = Disk(np.random.default_rng(1).bytes(4096))


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[Run], dict[int, int]]:
    """Runs, stripes and holes one after the other; and for each byte of the view the byte of the disk, by hand."""
    runs: list[Run] = []
    places: dict[int, int] = {}
    at = 0
    for kind in draw(st.lists(st.sampled_from(("run", "stripes", "hole")), min_size=1, max_size=4)):
        if kind == "hole":
            at += draw(st.integers(1, 50))
        elif kind == "run":
            length, place = draw(st.integers(1, 300)), draw(st.integers(0, 3000))
            runs.append(Run(at, length, place))
            places |= {at + n: place + n for n in range(length)}
            at += length
        else:
            count, piece, pieces = draw(st.integers(2, 4)), draw(st.integers(1, 40)), draw(st.integers(1, 5))
            for stripe in range(count):
                place = draw(st.integers(0, 3000))
                if draw(st.booleans()):  # else it lies on another disk
                    runs.append(Run(at + stripe * piece, piece * pieces, place, piece, piece * count))
                    for n in range(piece * pieces):
                        number, inside = divmod(n, piece)
                        places[at + stripe * piece + number * piece * count + inside] = place + n
            at += count * piece * pieces
    return draw(st.permutations(runs)), places


def check(view: View, places: dict[int, int], ranges: list[tuple[int, int]]) -> None:
    size = int(view.get_size())
    for offset in range(size):
        assert view.on_source(offset) == places.get(offset)
    held = {places[offset] for start, end in ranges for offset in range(start, end) if offset in places}
    found = view.spans_outside(np.array(ranges, np.int64).reshape(-1, 2))
    if found is None:
        assert not view.has_places
        return
    assert [byte for start, end in found.tolist() for byte in range(start, end)] == sorted(held)
    assert (found[1:, 0] > found[:-1, 1]).all()
    claimed = view.claims_outside([(start, end - start, "file_system", "v") for start, end in ranges])
    assert {byte for start, length, *_ in claimed for byte in range(start, start + length)} >= held


@st.composite
def some_ranges(draw: st.DrawFn) -> list[tuple[int, int]]:
    cuts = sorted(draw(st.sets(st.integers(0, 900), max_size=8)))
    return list(zip(cuts[::2], cuts[1::2], strict=False))


@settings(deadline=None, max_examples=150)
@given(layout=layouts(), ranges=some_ranges())
def test_runs_stripes_and_holes(layout: tuple[list[Run], dict[int, int]], ranges: list[tuple[int, int]]) -> None:
    runs, places = layout
    size = max(places, default=0) + 1
    view = view_of_runs(DISK, runs, size)
    check(view, places, ranges)
    for offset in range(size):
        try:
            assert view.exact(offset, 1) == DISK.exact(places.get(offset, -1), 1)
        except OSError:
            assert offset not in places
    for run in runs:
        assert run.end == max(n for n in range(size) if run.find(n) is not None) + 1
    whole = [n for n in range(size - 5) if all(n + k in places for k in range(5))]
    assert all(view.exact(n, 5) == b"".join(DISK.exact(places[n + k], 1) for k in range(5)) for n in whole)


@settings(deadline=None, max_examples=100)
@given(
    numbers=st.lists(st.integers(0, 12), unique=True, max_size=8),
    order=st.randoms(use_true_random=False),
    ranges=some_ranges(),
    striped=st.booleans(),
)
def test_mapped_chunks(numbers: list[int], order: object, ranges: list[tuple[int, int]], striped: bool) -> None:
    chunk = 64
    runs = [Run(0, 1024, 100)]
    if striped:
        runs = [Run(0, 512, 2000, 32, 64), Run(32, 512, 700, 32, 64)]
    store = view_of_runs(DISK, runs, 1024)
    chunks = sorted(numbers)
    spots = list(range(16))
    order.shuffle(spots)  # type: ignore[attr-defined]  # a random.Random
    places = dict(zip(chunks, spots, strict=False))
    view = MappedView(store, 900, chunk, np.array(chunks, np.int64), np.array([places[n] for n in chunks], np.int64))
    wanted = {}
    for offset in range(900):
        number, inside = divmod(offset, chunk)
        if number in places:
            place = store.on_source(places[number] * chunk + inside)
            assert place is not None
            wanted[offset] = place
            assert view.exact(offset, 1) == DISK.exact(place, 1)
        else:
            assert view.exact(offset, 1) == b"\0"
    check(view, wanted, ranges)
