"""A scan with a block set finds parts of known files in bytes of no whole file: all of them, once, whatever the way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.volumes import EXTENT, VolumeGroup, build_luks, build_lvm, linear

from caid_triage.case.check import check_case
from caid_triage.case.placed import PlacedFragment
from caid_triage.case.rows import CaseHeader
from caid_triage.case.schema import holds_case
from caid_triage.case.store import create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.config import ScanOptions, StopAfter
from caid_triage.errors import EvidenceError
from caid_triage.evidence.disk import DiskSource
from caid_triage.evidence.image_file import SplitImage
from caid_triage.evidence.secrets import Secret, Secrets
from caid_triage.evidence.sectors import open_sectors
from caid_triage.evidence.spare import Spare
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.make_blocks import make_block_set
from caid_triage.hashset.store import open_hashset
from caid_triage.match.options import MatchOptions
from caid_triage.model import FileEntry, SourceInfo
from caid_triage.report.block_searches import not_looked_for
from caid_triage.report.fragments import fragment_rows, statements, with_samples
from caid_triage.report.verdict import Outcome, Verdict, verdict_of
from caid_triage.scan import block_search as module
from caid_triage.scan import spare_map
from caid_triage.scan.block_search import set_facts
from caid_triage.scan.outcome import ScanOutcome
from caid_triage.scan.rematch import match_stored
from caid_triage.scan.run import run_scan
from caid_triage.scan.sampling import SampleOptions, Sampler
from caid_triage.scan.sources import SourceRequest
from caid_triage.scan.spare_map import SpareMap, Stretch, stretches, together
from caid_triage.scan.stopping import Stopping
from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

Shape = tuple[int, int, int, int]
"""Of a fragment: first byte, record, first block, blocks."""


def noise(seed: int, length: int) -> bytes:
    return np.random.default_rng(seed).bytes(length)


GRADED = {"1/a": noise(1, 60_000), "1/b": noise(2, 50_000), "2/c": noise(3, 40_000), "2/d": noise(4, 30_123)}
KNOWN = list(GRADED.values())
WHOLE, GONE, TORN, PARTS = KNOWN


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("sets")
    for name, content in GRADED.items():
        (folder / "graded" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "graded" / name).write_bytes(content)
    for size in (512, 4096):
        make_block_set(folder / "graded", folder / f"{size}.chs", size)
    return {size: folder / f"{size}.chs" for size in (512, 4096)}


@dataclass(frozen=True)
class Built:
    """A disk, and where whole files lie on it: ranges in which no fragment may be seen."""

    path: Path
    data: bytes
    whole: list[tuple[int, int]]


def placed(image: bytes, content: bytes, cluster: int) -> Iterator[tuple[int, int]]:
    """Where the clusters of a file that is unlike all others lie."""
    for at in range(0, len(content), cluster):
        piece = content[at : at + cluster]
        start = image.index(piece)
        yield start, start + len(piece)


def built(path: Path, kind: str) -> Built:
    """A volume with a known file alive and one deleted, both whole; and parts: a deleted file that was overwritten in
    its midst, blocks in slack at its first sector and behind it, and at odd sectors of free space and behind all
    volumes."""
    cluster = 4096 if kind == "ntfs" else 8192
    kept = noise(9, 10_000)
    plan = [
        PlannedFile("/whole.bin", WHOLE, pieces=3),
        PlannedFile("/kept.bin", kept),
        PlannedFile("/gone.bin", GONE, deleted=True),
        PlannedFile("/torn.bin", TORN, deleted=True),
    ]
    image = build_ntfs(plan, size=8 << 20) if kind == "ntfs" else build_fat(plan, size=12 << 20, bits=12, cluster=8192)
    at = image.index(TORN)
    image[at + 2 * 4096 : at + 4 * 4096] = noise(77, 2 * 4096)
    slack = -(-(image.index(kept[-1000:]) + 1000) // 512) * 512
    room = (cluster - len(kept)) % cluster // 512 * 512
    image[slack : slack + room] = PARTS[5 * 512 : 5 * 512 + room]
    free = len(image) - (3 << 20)
    image[free + 512 : free + 512 + 9000] = PARTS[1024:10_024]
    image[free + 40_960 : free + 40_960 + 4096] = PARTS[8192:12_288]
    disk = bytearray(build_mbr([Partition(7 if kind == "ntfs" else 6, bytes(image))]) + bytes(64 << 10))
    disk[-(64 << 10) + 512 : -(64 << 10) + 512 + 12_288] = TORN[4096 : 4096 + 12_288]
    data = bytes(disk)
    path.write_bytes(data)
    whole = [span for content in (WHOLE, kept, GONE) for span in placed(data, content, cluster)]
    return Built(path, data, whole)


def naive(disk: Built, hashset: Path) -> list[Shape]:
    """The slow way: every sector, every known block that the set holds, no byte of a whole file; then in runs."""
    opened = open_hashset(hashset)
    assert opened.blocks is not None
    size = opened.blocks.size
    known: dict[bytes, list[tuple[int, int]]] = {}
    for record in range(len(opened)):
        content = KNOWN[record]
        for number in range(len(content) // size):
            block = content[number * size : (number + 1) * size]
            if len(opened.blocks.find(block)):  # not among those that were left out
                known.setdefault(block, []).append((record, number))
    met = {
        (at, *one)
        for at in range(0, len(disk.data) - size + 1, 512)
        for one in known.get(disk.data[at : at + size], ())
        if not any(low < at + size and at < high for low, high in disk.whole)
    }
    found = []
    for at, record, number in sorted(met):
        if (at - size, record, number - 1) in met:
            continue
        count = 1
        while (at + count * size, record, number + count) in met:
            count += 1
        found.append((at, record, number, count))
    return found


def scan(path: Path, case: Path, *hashsets: Path, secrets: Secrets | None = None, **options: Any) -> ScanOutcome:
    chosen = ScanOptions(**{"executor": "serial", "workers": 1} | options)
    return run_scan([SourceRequest(path, "E/1", path.name)], case, hashsets, chosen, secrets=secrets)


def found_in(case: Path) -> list[PlacedFragment]:
    with open_case(case) as view:
        return list(view.fragments())


def shapes(found: list[PlacedFragment]) -> list[Shape]:
    return [(p.fragment.offset, p.fragment.record, p.fragment.first_block, p.fragment.blocks) for p in found]


def told(case: Path) -> Any:
    """Everything that is to be the same: the fragments as printed, and the statements."""
    with open_case(case) as view:
        return list(fragment_rows(view)), statements(view), view.block_searches()


@pytest.fixture(scope="module", params=["ntfs", "fat"])
def disk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(tmp_path_factory.mktemp(request.param) / f"{request.param}.dd", request.param)


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(tmp_path_factory.mktemp("card") / "fat.dd", "fat")


# -- what is found -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [512, 4096])
def test_a_scan_finds_what_the_slow_way_finds(tmp_path: Path, disk: Built, sets: dict[int, Path], size: int) -> None:
    outcome = scan(disk.path, tmp_path / "case", sets[size])
    found = found_in(tmp_path / "case")
    assert shapes(found) == naive(disk, sets[size])
    kinds = {one.kind for one in found}
    slack = {"slack_searched"} if size == 512 or disk.path.stem == "fat" else set()
    assert kinds == {"unallocated_searched", "unpartitioned_searched"} | slack
    assert {one.fragment.record for one in found} == {2, 3}  # of no file that is there whole, alive or deleted
    assert {one.path for one in found if one.fragment.record == 2} == {"/torn.bin", ""}
    with open_case(tmp_path / "case") as view:  # in no count: the whole files are, each once
        assert sum(row.files for row in view.tallies() if row.place == "all") == 2
        assert {row.path for row in view.matches()} == {"/whole.bin", "/gone.bin"}
        (search,) = view.block_searches()
        assert search.complete
        assert search.unread == 0
    assert outcome.exit_code == 0
    assert check_case(tmp_path / "case").faults == []


@settings(max_examples=12, deadline=None)
@given(
    planted=st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 3), st.integers(0, 50), st.integers(1, 12)), max_size=6
    ),
    size=st.sampled_from([512, 4096]),
    piece=st.sampled_from([4096, 12_288, 1 << 20]),
    data=st.data(),
)
def test_any_parts_at_any_sectors_of_any_ranges(
    tmp_path_factory: pytest.TempPathFactory,
    sets: dict[int, Path],
    planted: list[Any],
    size: int,
    piece: int,
    data: Any,
) -> None:
    """The reading and joining alone, with ranges that begin and end anywhere and sectors that cannot be read."""
    disk = bytearray(noise(11, 256 * 512))
    for sector, record, block, count in planted:
        part = KNOWN[record][block * 512 : (block + count) * 512][: len(disk) - sector * 512]
        disk[sector * 512 : sector * 512 + len(part)] = part
    cuts = sorted(data.draw(st.lists(st.integers(0, len(disk)), max_size=8, unique=True)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    bad = data.draw(st.sets(st.integers(0, 255), max_size=3))
    hashset = open_hashset(sets[size])
    assert hashset.blocks is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spare_map, "PIECE", piece)
        look = look_on(bytes(disk), spans, bad, sets[size])
        assert look.run(lambda: False, lambda: None)
    outside, at = [], 0
    for low, high in [*spans, (len(disk), len(disk))]:
        outside.append((at, low))
        at = high
    outside += [(sector * 512, sector * 512 + 512) for sector in bad]
    expected = naive(Built(Path(), bytes(disk), outside), sets[size])
    (of_set,) = look._sets
    runs = of_set.runs.get("", [])
    assert [(run.offset, run.record, run.first, run.blocks) for run in runs] == expected
    inside = [set(range(-(-low // 512), high // 512)) for low, high in spans]
    looked_at = set().union(*(sectors for sectors in inside if len(sectors) * 512 >= size)) if inside else set()
    assert look.size == len(looked_at) * 512
    assert look.unread == len(looked_at & bad) * 512


class Bytes:
    """A source of plain bytes, some of whose sectors cannot be read."""

    def __init__(self, data: bytes, spans: list[tuple[int, int]], bad: set[int]) -> None:
        self.info = SourceInfo("E/1", "d", "raw", len(data))
        self._data, self._spans, self._bad = data, spans, bad

    def spare(self, *_: Any) -> list[Spare]:
        return [Spare(0, "p1", "unallocated", True, np.array(self._spans, dtype=np.int64).reshape(-1, 2))]

    def read_at(self, entry: FileEntry, _offset: int, _length: int) -> bytes:
        pieces = []
        for start, length in zip(entry.locator[1::2], entry.locator[2::2], strict=True):
            if self._bad & set(range(start // 512, -(-(start + length) // 512))):
                raise EvidenceError("read", "read-failed", "a bad sector")
            pieces.append(self._data[start : start + length])
        return b"".join(pieces)


class NoCase:
    """A case that keeps nothing."""

    def whole_and_damaged(self, _source: int) -> tuple[list[Any], list[Any]]:
        return [], []

    def block_search_of(self, *_: str) -> None:
        return None

    def keep_block_searches(self, _kept: Any) -> None:
        return None


def look_on(data: bytes, spans: list[tuple[int, int]], bad: set[int], hashset: Path) -> module.BlockLook:
    source: Any = Bytes(data, spans, bad)
    case: Any = NoCase()
    return module.BlockLook(source, case, 1, [open_hashset(hashset)], free_space=True)


def test_short_ranges_are_read_together_and_long_ones_in_pieces() -> None:
    spans = np.array([[0, 1024], [2048, 3072], [1 << 21, (1 << 21) + (5 << 19)]], dtype=np.int64)
    each = list(stretches({0: spans, 3: spans[:1]}, 3584))
    assert [(one.site, one.offset, one.body) for one in each] == [
        (0, 0, 1024), (0, 2048, 1024), (0, 2 << 20, 1 << 20), (0, 3 << 20, 1 << 20), (0, 4 << 20, 1 << 19), (3, 0, 1024)
    ]  # fmt: skip
    assert each[2].length == (1 << 20) + 3584
    assert each[4] == Stretch(0, 4 << 20, 1 << 19, 1 << 19)
    assert [len(batch) for batch in together(iter(each))] == [2, 1, 1, 1, 1]


def test_of_overlapping_kinds_the_first_that_was_told_has_a_byte() -> None:
    groups = [
        Spare(2, "p1/x", "unallocated", False, np.array([[0, 4096]], dtype=np.int64)),
        Spare(2, "p1/x", "slack", False, np.array([[2000, 6000]], dtype=np.int64)),
    ]
    made = SpareMap(groups, 512)
    assert made.spans[2].tolist() == [[0, 5632]]
    at = np.array([0, 4095, 4096, 5999, 6000], dtype=np.int64)
    assert made.whose(2, at)[1] == ["unallocated", "unallocated", "slack", "slack", ""]


# -- whatever the way --------------------------------------------------------------------------------------------------


def test_executors_and_workers_come_to_the_same(
    tmp_path: Path, card: Built, sets: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the process that reads the evidence is killed in the midst of it."""
    scan(card.path, tmp_path / "serial", sets[512])
    read, killed = module.BlockLook._bytes_of, []

    def dies_once(self: module.BlockLook, batch: list[Stretch]) -> bytes:
        source: Any = self._source
        if not killed and self.searched:
            killed.append(source.process_id)
            os.kill(source.process_id, signal.SIGKILL)
        return read(self, batch)

    monkeypatch.setattr(module.BlockLook, "_bytes_of", dies_once)
    scan(card.path, tmp_path / "pool", sets[512], executor="pool", workers=2)
    assert killed
    assert told(tmp_path / "pool") == told(tmp_path / "serial")


@pytest.mark.parametrize("after", [0, 2])
def test_killed_at_any_moment_it_goes_on_to_the_same(
    tmp_path: Path, card: Built, sets: dict[int, Path], after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was kept before is not read again, and nothing is twice or missing."""
    monkeypatch.setattr(module, "_KEEP_SECONDS", 0.0)
    scan(card.path, tmp_path / "undisturbed", sets[512])
    look, left = module.BlockLook._look, [after]

    def dies(self: module.BlockLook, batch: list[Stretch]) -> int:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return look(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module.BlockLook, "_look", dies)
        with pytest.raises(KeyboardInterrupt):
            scan(card.path, tmp_path / "killed", sets[512])
    with open_case(tmp_path / "killed") as view:
        (search,) = view.block_searches()
        assert not search.complete
        assert (search.searched > 0) == (after > 0)
    read: list[int] = []
    monkeypatch.setattr(
        module.BlockLook, "_look", lambda self, batch: read.append(sum(one.body for one in batch)) or look(self, batch)
    )
    scan(card.path, tmp_path / "killed", sets[512])
    assert sum(read) == search.size - search.searched
    assert told(tmp_path / "killed") == told(tmp_path / "undisturbed")
    read.clear()
    scan(card.path, tmp_path / "killed", sets[512])  # nothing is left to read
    assert read == []
    assert told(tmp_path / "killed") == told(tmp_path / "undisturbed")
    assert check_case(tmp_path / "killed").faults == []


def test_storing_costs_a_twentieth_of_the_time_at_most(
    tmp_path: Path, card: Built, sets: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was found is written each time: of a disk full of known files every 20 s cost more than the search."""
    look, keep = module.BlockLook._look, module.BlockLook._keep
    now, looked, kept = [0.0], [0], [0]

    def slow_look(self: module.BlockLook, batch: list[Stretch]) -> int:
        looked[0] += 1
        now[0] += 10.0
        return look(self, batch)

    def slow_keep(self: module.BlockLook) -> None:
        kept[0] += 1
        now[0] += 30.0
        keep(self)

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module.BlockLook, "_look", slow_look)
    monkeypatch.setattr(module.BlockLook, "_keep", slow_keep)
    monkeypatch.setattr(spare_map, "PIECE", 64 << 10)
    scan(card.path, tmp_path / "case", sets[512])
    assert looked[0] > 100
    assert 1 < kept[0] <= 2 + looked[0] * 10 // (20 * 30)


def test_stopped_early_it_says_so_and_goes_on(
    tmp_path: Path, card: Built, sets: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan(card.path, tmp_path / "undisturbed", sets[512])
    look = module.BlockLook._look
    up: list[bool] = []
    monkeypatch.setattr(Stopping, "is_time_up", lambda self: bool(up) and self._after.seconds is not None)
    monkeypatch.setattr(module.BlockLook, "_look", lambda self, batch: up.append(True) or look(self, batch))
    outcome = scan(card.path, tmp_path / "stopped", sets[512], stop_after=StopAfter(3600.0))
    assert outcome.stopped
    assert outcome.exit_code == 3
    with open_case(tmp_path / "stopped") as view:
        (problem,) = [one for one in view.problems() if one.code == "stopped-early"]
        assert "all files were examined" in problem.detail
        (search,) = view.block_searches()
        assert 0 < search.searched < search.size
        assert not any(source.complete for source in view.sources())
    assert scan(card.path, tmp_path / "stopped", sets[512]).exit_code == 0
    assert told(tmp_path / "stopped") == told(tmp_path / "undisturbed")
    with open_case(tmp_path / "stopped") as view:
        assert not [one for one in view.problems() if one.code == "stopped-early"]


def test_a_block_set_that_comes_later_is_searched_for_and_until_then_it_is_said(
    tmp_path: Path, card: Built, sets: dict[int, Path]
) -> None:
    """Given to ``match``, or to a scan whose time is up on the way to the search, nothing said that it was not done."""
    case = tmp_path / "case"
    scan(card.path, case)
    with open_case_for_writing(case) as writer:
        match_stored(writer, [open_hashset(sets[512])], MatchOptions())
    with open_case(case) as view:
        assert list(not_looked_for(view)) == [("E/1", card.path.name, "512")]
        assert "not looked for" in with_samples(view, verdict_of(view)).sentence
    outcome = scan(card.path, case, sets[512], stop_after=StopAfter(0.000_001))
    assert (outcome.stopped, outcome.exit_code) == (True, 3)
    with open_case(case) as view:
        (problem,) = [one for one in view.problems() if one.code == "stopped-early"]
        assert "all files" in problem.detail
        assert not any(source.complete for source in view.sources())
        assert view.conservation().stored == sum(source.stored for source in view.sources())
    assert check_case(case).faults == []
    assert scan(card.path, case, sets[512]).exit_code == 0
    scan(card.path, tmp_path / "scratch", sets[512])
    assert told(case) == told(tmp_path / "scratch")
    with open_case(case) as view:
        assert list(not_looked_for(view)) == []
        assert "not looked for" not in with_samples(view, verdict_of(view)).sentence
        without = Verdict(Outcome.OPEN, "Nothing found so far: the scan was stopped early", "")  # were there no hit
        shown = with_samples(view, without).headline
        assert shown == "No identical file found so far; fragments to check: the scan was stopped early"
        for outcome, headline in (
            (Outcome.UNCOMPARED, "No hash set was given"),  # it said "No identical file found" of files never compared
            (Outcome.EMPTY, "No file was found to examine"),  # it said nothing of the fragments
        ):
            shown = with_samples(view, Verdict(outcome, headline, "")).headline
            assert shown == f"{headline}; fragments of known files to check"
        assert not [one for one in view.problems() if one.code == "stopped-early"]
    done = scan(card.path, case, sets[512], stop_after=StopAfter(0.000_001))  # nothing is left to do
    assert (done.stopped, done.exit_code) == (False, 0)


@pytest.mark.parametrize("sampled_first", [True, False])
def test_what_sample_has_met_too_is_one_fragment(
    tmp_path: Path, card: Built, sets: dict[int, Path], sampled_first: bool
) -> None:
    """sample reads whole files too; a scan does not: of what both have met each block counts once."""
    hashset = open_hashset(sets[512])

    def sample() -> None:
        folder = tmp_path / "both"
        case = open_case_for_writing(folder) if holds_case(folder) else create_case(folder, CaseHeader(reference="E/1"))
        with case, open_sectors(card.path, "E/1", card.path.name) as sectors:
            Sampler(sectors, hashset, set_facts(hashset), SampleOptions(whole=True), case).read_all()

    steps: list[Callable[[], object]] = [sample, lambda: scan(card.path, tmp_path / "both", sets[512])]
    for step in steps if sampled_first else reversed(steps):
        step()
    scan(card.path, tmp_path / "alone", sets[512])
    both, alone = found_in(tmp_path / "both"), found_in(tmp_path / "alone")
    assert shapes(both) == naive(Built(card.path, card.data, []), sets[512])
    assert {one.found_by for one in alone} == {("scan",)}
    by = {shape: one.found_by for shape, one in zip(shapes(both), both, strict=True)}
    assert {shape: by[shape] for shape in shapes(alone)} == dict.fromkeys(shapes(alone), ("sample", "scan"))
    assert {one.found_by for one in both} == {("sample",), ("sample", "scan")}
    with open_case(tmp_path / "both") as view:
        count, files = view.fragment_counts()
        assert (count, files) == (len(both), 4)
        assert [one.found for one in statements(view)] == [True, True]


# -- which bytes -------------------------------------------------------------------------------------------------------


def test_without_a_block_set_nothing_is_looked_for(
    tmp_path: Path, card: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_hashset_from_arrays(tmp_path / "plain.chs", md5=np.ones((1, 16), dtype=np.uint8))
    monkeypatch.setattr(DiskSource, "spare", None)
    scan(card.path, tmp_path / "case", tmp_path / "plain.chs")
    with open_case(tmp_path / "case") as view:
        assert view.block_searches() == []
        assert statements(view) == []


def test_quick_looks_at_deleted_files_alone_and_standard_at_the_rest(
    tmp_path: Path, card: Built, sets: dict[int, Path]
) -> None:
    scan(card.path, tmp_path / "case", sets[512], profile="quick")
    quick = found_in(tmp_path / "case")
    assert {one.path for one in quick} == {"/torn.bin"}
    with open_case(tmp_path / "case") as view:
        (said,) = statements(view)
        assert any("quick profile" in limit for limit in said.limits)
    scan(card.path, tmp_path / "case", sets[512], profile="standard")
    scan(card.path, tmp_path / "scratch", sets[512])
    assert told(tmp_path / "case")[:2] == told(tmp_path / "scratch")[:2]
    assert set(shapes(quick)) < set(shapes(found_in(tmp_path / "scratch")))


def test_a_file_with_unreadable_sectors_is_looked_at_and_a_whole_one_is_not(
    tmp_path: Path, sets: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two living copies of a known file, one of them over a bad sector: what can be read of it is of that file."""
    other = noise(21, 8192) + WHOLE[8192:]
    plan = [PlannedFile("/whole.bin", GONE), PlannedFile("/hurt.bin", other), PlannedFile("/like.bin", TORN + b"x")]
    data = bytes(build_mbr([Partition(7, bytes(build_ntfs(plan, size=8 << 20)))]))
    path = tmp_path / "hurt.dd"
    path.write_bytes(data)
    begin = data.index(other[:4096])
    bad = begin + 5 * 4096 + 1024
    spoil(monkeypatch, bad)
    scan(path, tmp_path / "case", sets[512])
    with open_case(tmp_path / "case") as view:
        (search,) = view.block_searches()
    assert search.unread == 512
    found = found_in(tmp_path / "case")
    whole = [(0, begin + 8192), (bad, bad + 512), (begin + len(other) // 512 * 512, len(data))]
    assert shapes(found) == naive(Built(path, data, whole), sets[512])
    assert {one.kind for one in found} <= {"file_content", "unreadable"}  # the ledger has 4,096 bytes for unreadable
    assert len(found) == 2


def spoil(patch: pytest.MonkeyPatch, bad: int) -> None:
    """Have the sector at a byte of the disk be unreadable, for files and for plain reads."""
    exact = SplitImage.exact

    def failing(image: SplitImage, offset: int, size: int) -> bytes:
        if offset < bad + 512 and offset + size > bad:
            raise OSError(errno.EIO, "Input/output error")
        return exact(image, offset, size)

    patch.setattr(SplitImage, "exact", failing)


def test_volumes_inside_others_are_looked_at_where_sample_cannot(tmp_path: Path, sets: dict[int, Path]) -> None:
    """A logical volume in pieces: the fragment is one again where it was one, and stands on the source; an encrypted
    one: its place counts inside it."""
    kept = PlannedFile("/kept.txt", noise(31, 5000))
    first, second = (
        bytearray(build_fat([kept], size=6 << 20, bits=12, cluster=8192)),
        bytearray(build_ntfs([kept], size=8 << 20)),
    )
    at = 3 * EXTENT - 4096  # over the edge of an extent, at a block's edge
    first[at : at + 40_000] = TORN
    second[5 << 20 : (5 << 20) + 40_000] = TORN
    parts = [bytes(first[start : start + EXTENT]) for start in range(0, len(first), EXTENT)]
    half = len(parts) // 2
    group = VolumeGroup({"home": [linear(half, len(parts) - half), linear(len(parts) - half, 0)]})
    lvm = bytes(build_lvm(group, parts[half:] + parts[:half]))
    luks = build_luks(tmp_path, bytes(second), "geheim")
    data = bytes(build_mbr([Partition(0x8E, lvm), Partition(0x83, luks)]))
    path = tmp_path / "inside.dd"
    path.write_bytes(data)
    secrets = Secrets((Secret("password", "geheim"),))
    reports = {}
    for name, options in {"serial": {}, "pool": {"executor": "pool", "workers": 2}}.items():
        scan(path, tmp_path / name, sets[512], secrets=secrets, **options)
        reports[name] = told(tmp_path / name)
    assert reports["serial"] == reports["pool"]
    found = found_in(tmp_path / "serial")
    inside = [one for one in found if one.inside]
    assert shapes(inside) == [((5 << 20) + 512, 2, 1, 77)]
    assert (inside[0].volume, inside[0].kind) == ("p2/luks", "unallocated_searched")
    on_source = [one for one in found if not one.inside]
    assert shapes(on_source) == naive(Built(path, data, []), sets[512])
    assert sum(one.fragment.blocks for one in on_source) == 77
    assert {one.volume for one in on_source} == {"p1/home"}


def test_a_new_generation_of_a_set_takes_the_place_of_the_one_before(
    tmp_path: Path, card: Built, sets: dict[int, Path]
) -> None:
    folder = tmp_path / "graded" / "1"
    folder.mkdir(parents=True)
    (folder / "c").write_bytes(TORN)
    make_block_set(tmp_path / "graded", tmp_path / "ours.chs", 512, name="ours")
    scan(card.path, tmp_path / "case", tmp_path / "ours.chs")
    assert {one.fragment.record for one in found_in(tmp_path / "case")} == {0}
    (folder / "c").unlink()
    (folder / "d").write_bytes(PARTS)
    shutil.rmtree(tmp_path / "ours.chs")
    make_block_set(tmp_path / "graded", tmp_path / "ours.chs", 512, name="ours")
    scan(card.path, tmp_path / "case", tmp_path / "ours.chs")
    with open_case(tmp_path / "case") as view:
        (search,) = view.block_searches()
        assert search.hashset["generation"] == open_hashset(tmp_path / "ours.chs").generation
        assert {one.generation for one in view.fragments()} == {search.hashset["generation"]}
    assert check_case(tmp_path / "case").faults == []
    assert json.loads(json.dumps(told(tmp_path / "case")[1][0].limits))
