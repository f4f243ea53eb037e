"""Sampling a disk: what is read and found, what is counted, and that it goes on where it was stopped."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from caid_triage.case.check import check_case
from caid_triage.case.rows import CaseHeader
from caid_triage.case.sampling import Fragment, Sampling
from caid_triage.case.store import CaseWriter, create_case, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError, HashSetError, SourceError, UsageError
from caid_triage.evidence.sectors import Sectors, open_sectors
from caid_triage.hashset.build import build_hashset_from_arrays
from caid_triage.hashset.make_blocks import make_block_set
from caid_triage.hashset.store import HashSet, open_hashset
from caid_triage.match.hypergeometric import least_excluded, samples_needed
from caid_triage.report.fragments import WEAK, fragment_attention, fragment_rows, sampling_facts, statement, statements
from caid_triage.scan import sampling as module
from caid_triage.scan.sample_counts import looks_random
from caid_triage.scan.sample_plan import CELL, SampleOptions
from caid_triage.scan.sampling import Sampler
from caid_triage.synth.ewf import write_e01

MIB = 1 << 20


def noise(seed: int, length: int) -> bytes:
    return np.random.default_rng(seed).bytes(length)


FILES = {"1/long.bin": noise(1, 600_000), "2/short.bin": noise(2, 90_000), "2/tail.bin": noise(3, 50_123)}


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[int, HashSet]:
    folder = tmp_path_factory.mktemp("sets")
    for name, content in FILES.items():
        (folder / "graded" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "graded" / name).write_bytes(content)
    for size in (512, 4096):
        make_block_set(folder / "graded", folder / f"{size}.chs", size)
    return {size: open_hashset(folder / f"{size}.chs") for size in (512, 4096)}


def disk_of(path: Path, size: int, planted: dict[int, bytes]) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
        for offset, content in planted.items():
            file.seek(offset)
            file.write(content)
    return path


def facts_of(hashset: HashSet) -> dict[str, object]:
    return {"name": hashset.name, "generation": hashset.generation, "blocks": hashset.manifest["blocks"]}


def sampler_of(sectors: Sectors, hashset: HashSet, case: CaseWriter | None = None, **options: object) -> Sampler:
    return Sampler(sectors, hashset, facts_of(hashset), SampleOptions(**options), case)  # type: ignore[arg-type]


def sampled(path: Path, hashset: HashSet, **options: object) -> Sampler:
    with open_sectors(path, "EX/1", path.name) as sectors:
        sampler = sampler_of(sectors, hashset, **options)
        sampler.draw()
    return sampler


def read_whole(path: Path, hashset: HashSet) -> Sampler:
    with open_sectors(path, "EX/1", path.name) as sectors:
        sampler = sampler_of(sectors, hashset, whole=True)
        sampler.read_all()
    return sampler


def shapes(sampler: Sampler) -> list[tuple[int, int, int, int]]:
    return [(one.offset, one.record, one.first_block, one.blocks) for one in sampler.fragments]


# -- what is found -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [512, 4096])
@pytest.mark.parametrize("offset", [0, 8 * CELL, 5 * MIB + 512, 7 * MIB + 63 * 512])
def test_what_lies_around_a_hit_is_found_whole_at_any_sector(tmp_path: Path, sets, size: int, offset: int) -> None:
    """File systems begin at any sector: an old partition at sector 63, a FAT's data behind its tables."""
    content = FILES["1/long.bin"]
    disk = disk_of(tmp_path / "d.dd", 16 * MIB, {offset: content})
    sampler = sampled(disk, sets[size], target=256 << 10, seed=4)
    assert sampler.sampling.met > 0
    assert shapes(sampler) == [(offset + size, 0, 1, len(content) // size - 1)]
    assert shapes(read_whole(disk, sets[size])) == shapes(sampler)


def test_parts_of_files_are_fragments_of_their_own_places(tmp_path: Path, sets) -> None:
    """Overwritten in its midst, cut, moved by a sector: what stands there is said, and what does not is not."""
    long, short, size = FILES["1/long.bin"], FILES["2/short.bin"], 4096
    broken = bytearray(long)
    broken[20 * size : 22 * size] = bytes(2 * size)
    planted = {MIB: bytes(broken), 3 * MIB + 512: long[40 * size : 50 * size], 4 * MIB: short[5 * size : 6 * size + 9]}
    disk = disk_of(tmp_path / "d.dd", 6 * MIB, planted)
    sampler = read_whole(disk, sets[size])
    whole = len(long) // size
    assert shapes(sampler) == [
        (MIB + size, 0, 1, 19),
        (MIB + 22 * size, 0, 22, whole - 22),
        (3 * MIB + 512, 0, 40, 10),
        (4 * MIB, 1, 5, 1),
    ]
    assert [one.file_blocks for one in sampler.fragments] == [whole, whole, whole, len(short) // size]
    assert [one.category_code for one in sampler.fragments] == ["1", "1", "1", "2"]


@pytest.mark.parametrize("more", [0, 512, 513, 4095])
def test_the_last_block_of_a_disk_is_read(tmp_path: Path, sets, more: int) -> None:
    """A disk need not end at a cell, nor at a sector."""
    block = FILES["2/short.bin"][4096:8192]
    disk = disk_of(tmp_path / "d.dd", MIB + more, {MIB + more // 512 * 512 - 4096: block})
    expected = [(MIB + more // 512 * 512 - 4096, 1, 1, 1)]
    assert shapes(read_whole(disk, sets[4096])) == expected
    assert shapes(sampled(disk, sets[4096], samples=10**9)) == expected


def test_through_a_container_the_same_is_found(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 4 * MIB, {MIB + 512: FILES["1/long.bin"]})
    image = write_e01(tmp_path, "d", disk.read_bytes(), segments=2)
    raw, packed = (sampled(path, sets[4096], target=256 << 10, seed=1) for path in (disk, image))
    assert shapes(packed) == shapes(raw) != []
    assert replace(packed.sampling, source="", fingerprint={}) == replace(raw.sampling, source="", fingerprint={})
    assert shapes(read_whole(image, sets[4096])) == shapes(read_whole(disk, sets[4096]))


def test_the_first_hit_is_told_at_once(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 16 * MIB, {5 * MIB: FILES["1/long.bin"]})
    told: list[Fragment] = []
    with open_sectors(disk, "EX/1", "d.dd") as sectors:
        sampler = Sampler(
            sectors, sets[4096], facts_of(sets[4096]), SampleOptions(seed=4, samples=2000), told=told.append
        )
        sampler.draw()
    assert len(told) == 1
    assert told[0].blocks == 1
    assert 5 * MIB < told[0].offset < 5 * MIB + len(FILES["1/long.bin"])


# -- what is counted and said ------------------------------------------------------------------------------------------


def test_a_disk_without_known_blocks_gives_the_exact_statement(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 64 * MIB, {MIB: noise(9, MIB)})
    one = sampled(disk, sets[4096], target=2 * MIB, confidence=Fraction(99, 100)).sampling
    population, present = 64 * MIB // CELL, 2 * MIB // CELL
    assert one.population == population
    assert one.drawn == one.read == one.wanted == samples_needed(population, present, Fraction(99, 100))
    told = statement(one, 0, 0)
    assert told.excluded == least_excluded(population, one.read, Fraction(99, 100)) <= present
    assert (
        f"in {one.read:,} samples: with 99 % confidence less than 2 MiB of blocks that the set holds" in told.sentence
    )
    assert not told.found
    assert one.constant + one.random <= one.read
    assert one.constant > 0.9 * one.read
    assert 0 < one.random < 0.1 * one.read


def test_an_area_in_one_piece_does_not_fall_between_the_samples(tmp_path: Path, sets) -> None:
    """With a confidence of one half a sample meets an area half of the time; what is read in the gaps always does."""
    content, size = FILES["1/long.bin"], 4096
    blocks = len(content) // size - 1
    by_draws = 0
    for seed in range(12):
        offset = int(np.random.default_rng(seed).integers(0, 31 * MIB // 512)) * 512
        disk = disk_of(tmp_path / f"{seed}.dd", 32 * MIB, {offset: content})
        with open_sectors(disk, "EX/1", disk.name) as sectors:
            sampler = sampler_of(sectors, sets[size], target=blocks * size, seed=seed, confidence=Fraction(1, 2))
            sampler.draw()
            by_draws += bool(sampler.fragments)
            sampler.fill()
        assert shapes(sampler) == [(offset + size, 0, 1, blocks)]
        assert sampler.sampling.gapless == blocks * size
        assert sampler.sampling.filled > 0
    assert 1 <= by_draws <= 11


def test_what_was_read_in_the_gaps_is_said_and_is_no_draw(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 64 * MIB, {})
    with open_sectors(disk, "EX/1", "d.dd") as sectors:
        sampler = sampler_of(sectors, sets[4096], target=2 * MIB, confidence=Fraction(9, 10))
        sampler.draw()
        before = statement(sampler.sampling, 0, 0)
        sampler.fill()
    told = statement(sampler.sampling, 0, 0)
    assert told.excluded == before.excluded
    assert "No stretch of 2 MiB in one piece" in told.sentence
    assert "No stretch" not in before.sentence


def test_too_few_samples_say_less_and_say_so(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 64 * MIB, {})
    one = sampled(disk, sets[4096], target=2 * MIB, samples=20).sampling
    told = statement(one, 0, 0)
    assert told.excluded is not None
    assert told.excluded * CELL > 2 * MIB
    assert "The aim, less than 2 MiB, was not reached" in told.sentence


def test_of_a_small_set_it_is_said_how_surely_all_of_it_would_be_met(tmp_path: Path, sets) -> None:
    """With 20 MiB as the aim and a set of 0.7 MiB, a disk may hold all that is known and be met by luck alone."""
    disk = disk_of(tmp_path / "d.dd", 256 * MIB, {})
    one = sampled(disk, sets[4096]).sampling
    kept = sets[4096].counts["blocks"]
    assert kept < 20 * MIB // CELL
    risk = by_binomials(one.population, kept, one.read)
    (said,) = [limit for limit in statement(one, 0, 0).limits if "All blocks of the set together" in limit]
    assert statement(one, 0, 0).cautions == (said,)
    assert f"{math.ceil(risk * 10_000) / 100:g} % of all samples" in said
    wide = sampled(disk, sets[4096], target=512 << 10).sampling
    assert not any("All blocks of the set together" in limit for limit in statement(wide, 0, 0).limits)


def by_binomials(population: int, present: int, read: int) -> Fraction:
    return Fraction(math.comb(population - present, read), math.comb(population, read))


def test_a_disk_that_looks_encrypted_is_said_to_be_so(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 8 * MIB, {0: noise(5, 7 * MIB)})
    told = statement(sampled(disk, sets[4096], samples=500).sampling, 0, 0)
    (said,) = [limit for limit in told.limits if "MOST OF WHAT IS NOT EMPTY LOOKS RANDOM" in limit]
    assert "ciphertext" in said
    assert said in told.cautions  # on the first screen, not under the limits alone
    plain = disk_of(tmp_path / "e.dd", 8 * MIB, {0: b"some plain text, over and over " * 200_000})
    limits = statement(sampled(plain, sets[4096], samples=500).sampling, 0, 0).limits
    assert not any("LOOKS RANDOM" in limit for limit in limits)
    assert any("about its ciphertext, and says nothing of the files" in limit for limit in limits)


def test_random_bytes_look_random_and_others_do_not() -> None:
    looked = sum(looks_random(noise(seed, CELL)) for seed in range(300))
    assert looked >= 290
    assert not any(map(looks_random, (bytes(CELL), bytes(range(256)) * 16, b"plain text " * 373)))


class Failing(Sectors):
    """A disk with a stretch that cannot be read."""

    bad = (0, 0)

    def read(self, start: int, length: int) -> bytes | None:
        low, high = self.bad
        return None if start < high and start + length > low else super().read(start, length)


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sectors]:
    from caid_triage.evidence.images import open_disk

    monkeypatch.setattr(Failing, "bad", (2 * MIB + 100, 3 * MIB))
    disk = disk_of(tmp_path / "bad.dd", 8 * MIB, {5 * MIB: FILES["1/long.bin"], 2 * MIB: FILES["2/short.bin"]})
    with Failing(open_disk(disk, "EX/1", "bad.dd")) as sectors:
        yield sectors


def test_what_cannot_be_read_is_counted_and_not_spoken_of(failing: Sectors, sets, tmp_path: Path) -> None:
    empty = build_other(tmp_path)
    sampler = sampler_of(failing, empty, samples=10**9)
    sampler.draw()
    one = sampler.sampling
    cells = 8 * MIB // CELL
    touched = [c for c in range(cells) if c * CELL < 3 * MIB and c * CELL + CELL + 3584 > 2 * MIB + 100]
    assert (one.drawn, one.read, one.unread) == (cells, cells - len(touched), len(touched))
    told = statement(one, 0, 0)
    assert told.excluded == least_excluded(cells, one.read, Fraction(99, 100))
    assert any(f"{len(touched)} cells could not be read" in limit for limit in told.limits)


def build_other(tmp_path: Path) -> HashSet:
    """A block set of which nothing is on any disk here."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_bytes(noise(77, 20_000))
    make_block_set(tmp_path / "other", tmp_path / "other.chs")
    return open_hashset(tmp_path / "other.chs")


def test_a_full_read_goes_around_bad_sectors(failing: Sectors, sets) -> None:
    sampler = sampler_of(failing, sets[4096], whole=True)
    sampler.read_all()
    one = sampler.sampling
    assert one.complete
    assert one.scanned_unread == MIB // CELL + 1
    assert shapes(sampler) == [(5 * MIB + CELL, 0, 1, len(FILES["1/long.bin"]) // CELL - 1)]
    told = statement(one, 145, 1)
    assert told.found
    assert "No upper bound is stated" in told.sentence
    assert told.headline == "Blocks of known files found: 145, of 1 file"
    whole = statement(replace(one, scanned_unread=0), 145, 1)
    assert whole.sentence.endswith(
        "145 blocks of the set 4096 were seen on the disk, 0.57 MiB of 1 known file. The whole disk was read."
    )


def test_bad_cells_are_counted_once_where_a_full_read_was_stopped_among_them(failing: Sectors, sets, tmp_path) -> None:
    class Stopped(BaseException):
        """What Ctrl+C is."""

    with create_case(tmp_path / "case", CaseHeader("EX/1")) as case:
        sampler = sampler_of(failing, sets[4096], case, whole=True)

        def read(start: int, length: int) -> bytes | None:
            if length < MIB and start > 2 * MIB + 500_000:
                raise Stopped
            return Sectors.read(failing, start, length) if start + length <= 2 * MIB else None

        failing.read = read  # type: ignore[method-assign]
        with pytest.raises(Stopped):
            sampler.read_all()
        del failing.read
        again = sampler_of(failing, sets[4096], case, whole=True)
        again.read_all()
    assert again.sampling.complete
    assert again.sampling.scanned_unread == MIB // CELL + 1


def test_of_a_disk_that_cannot_be_read_at_all_nothing_is_said(tmp_path: Path, sets, monkeypatch) -> None:
    from caid_triage.evidence.images import open_disk

    monkeypatch.setattr(Failing, "bad", (0, 8 * MIB))
    disk = disk_of(tmp_path / "d.dd", 8 * MIB, {})
    with Failing(open_disk(disk, "EX/1", "d.dd")) as sectors:
        sampler = sampler_of(sectors, sets[4096])
        sampler.draw()
    told = statement(sampler.sampling, 0, 0)
    assert told.excluded is None
    assert "nothing can be said" in told.headline


# -- going on ----------------------------------------------------------------------------------------------------------


class StoppedError(BaseException):
    """What Ctrl+C is to a sampling."""


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROUND", 300)
    monkeypatch.setattr(module, "_BATCH", 32)


def in_case(folder: Path, disk: Path, hashset: HashSet, stop_at: int | None = None, **options: object) -> Sampler:
    """One run in a case, stopped at its ``stop_at``-th word on its progress."""
    words = 0

    def show(_progress: object) -> None:
        nonlocal words
        words += 1
        if words == stop_at:
            raise StoppedError

    opened = open_case_for_writing(folder) if folder.exists() else create_case(folder, CaseHeader("EX/1"))
    with opened as case, open_sectors(disk, "EX/1", disk.name) as sectors:
        sampler = Sampler(sectors, hashset, facts_of(hashset), SampleOptions(**options), case, show)  # type: ignore[arg-type]
        try:
            sampler.read_all() if options.get("whole") else sampler.draw()
        except StoppedError:
            pass
        else:
            sampler.keep()
    return sampler


def kept(folder: Path) -> tuple[list[Sampling], list[object]]:
    assert check_case(folder).faults == []
    with open_case(folder) as view:
        return view.samplings(), list(view.fragments())


@pytest.mark.usefixtures("rounds")
@pytest.mark.parametrize("stop_at", [1, 4, 11, 23, 34])
def test_stopped_at_any_moment_it_comes_to_the_same(tmp_path: Path, sets, stop_at: int) -> None:
    disk = disk_of(tmp_path / "d.dd", 16 * MIB, {5 * MIB: FILES["1/long.bin"], 9 * MIB: FILES["2/short.bin"]})
    in_case(tmp_path / "calm", disk, sets[4096], samples=1000)
    in_case(tmp_path / "stopped", disk, sets[4096], stop_at, samples=1000)
    assert all(one.drawn % 300 == 0 for one in kept(tmp_path / "stopped")[0])
    in_case(tmp_path / "stopped", disk, sets[4096], samples=1000)
    assert kept(tmp_path / "stopped") == kept(tmp_path / "calm")


@pytest.mark.usefixtures("rounds")
def test_more_samples_and_then_all_of_the_disk(tmp_path: Path, sets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE", MIB)
    disk = disk_of(tmp_path / "d.dd", 16 * MIB, {5 * MIB: FILES["2/tail.bin"]})
    case = tmp_path / "case"
    in_case(case, disk, sets[4096], samples=300)
    in_case(case, disk, sets[4096], samples=700)
    (one,), _ = kept(case)
    assert (one.drawn, one.wanted) == (700, 700)
    straight = sampled(disk, sets[4096], samples=700).sampling
    assert (one.read, one.met, one.constant) == (straight.read, straight.met, straight.constant)
    in_case(case, disk, sets[4096], 8, whole=True)
    (part,), _ = kept(case)
    assert 0 < part.scanned < 16 * MIB
    in_case(case, disk, sets[4096], whole=True)
    (one,), found = kept(case)
    assert one.complete
    assert len(found) == 1
    with open_case(case) as view:
        assert statements(view)[0].found


def test_another_seed_and_another_disk_are_refused(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 4 * MIB, {})
    in_case(tmp_path / "case", disk, sets[4096], samples=10, seed=5)
    with pytest.raises(UsageError, match="begun with seed 5"):
        in_case(tmp_path / "case", disk, sets[4096], samples=10, seed=6)
    assert in_case(tmp_path / "case", disk, sets[4096], samples=20).sampling.seed == 5
    disk_of(disk, 5 * MIB, {})
    with pytest.raises(CaseError, match=r"another d\.dd"):
        in_case(tmp_path / "case", disk, sets[4096], samples=10)


@pytest.mark.parametrize("end", [512, 4 * MIB - 512])
def test_another_disk_of_the_same_name_and_size_is_refused(tmp_path: Path, sets, end: int) -> None:
    """Two sticks of one size, plugged in one after the other, were taken for one."""
    disk = disk_of(tmp_path / "d.dd", 4 * MIB, {512: b"a number of one file system", 4 * MIB - 512: b"its backup"})
    in_case(tmp_path / "case", disk, sets[4096], samples=10)
    disk_of(disk, 4 * MIB, {512: b"a number of one file system", 4 * MIB - 512: b"its backup", end: b"another"})
    with pytest.raises(CaseError, match=r"another d\.dd .* first or last bytes differ"):
        in_case(tmp_path / "case", disk, sets[4096], samples=20)


def test_an_end_that_could_not_be_read_is_no_other_disk(tmp_path: Path, sets, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is known from then on that it could be read."""
    disk = disk_of(tmp_path / "d.dd", 4 * MIB, {512: b"a number"})
    read = Sectors.read
    with monkeypatch.context() as patched:
        patched.setattr(Sectors, "read", lambda self, start, length: read(self, start, length) if start else None)
        in_case(tmp_path / "case", disk, sets[4096], samples=10)
    assert in_case(tmp_path / "case", disk, sets[4096], samples=20).sampling.drawn == 20
    disk_of(disk, 4 * MIB, {512: b"another"})
    with pytest.raises(CaseError, match=r"another d\.dd"):
        in_case(tmp_path / "case", disk, sets[4096], samples=30)


def test_another_disk_in_the_same_container_is_refused(tmp_path: Path, sets) -> None:
    """A descriptor and two flat extents: neither the first file nor the last has the disk's beginning."""
    half = 2 * MIB
    (tmp_path / "d.vmdk").write_text(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n"
        'createType="twoGbMaxExtentFlat"\n'
        f'RW {half // 512} FLAT "d-f001.vmdk" 0\nRW {half // 512} FLAT "d-f002.vmdk" 0\n'
    )
    for name in ("d-f001.vmdk", "d-f002.vmdk"):
        disk_of(tmp_path / name, half, {512: b"a number"})
    in_case(tmp_path / "case", tmp_path / "d.vmdk", sets[4096], samples=10)
    in_case(tmp_path / "case", tmp_path / "d.vmdk", sets[4096], samples=20)
    disk_of(tmp_path / "d-f001.vmdk", half, {512: b"another"})
    with pytest.raises(CaseError, match=r"another d\.vmdk"):
        in_case(tmp_path / "case", tmp_path / "d.vmdk", sets[4096], samples=30)


def test_each_set_is_sampled_by_itself(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 4 * MIB, {MIB: FILES["1/long.bin"]})
    for size in (512, 4096):
        in_case(tmp_path / "case", disk, sets[size], target=256 << 10)
    found, fragments = kept(tmp_path / "case")
    assert [one.block_size for one in found] == [512, 4096]
    assert len(fragments) == 2


def test_without_a_seed_it_follows_from_the_size_and_the_set(tmp_path: Path, sets) -> None:
    disks = [disk_of(tmp_path / name, 4 * MIB, {0: noise(n, 9999)}) for n, name in enumerate(("a.dd", "b.dd"))]
    seeds = {sampled(disk, sets[4096], samples=5).sampling.seed for disk in disks}
    assert len(seeds) == 1
    assert seeds != {sampled(disks[0], sets[512], samples=5).sampling.seed}


# -- refusals and words ------------------------------------------------------------------------------------------------


def test_what_is_no_disk_or_no_block_set_is_refused(tmp_path: Path, sets) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        open_sectors(tmp_path, "EX/1", "x")
    with pytest.raises(SourceError, match="could not be opened"):
        open_sectors(tmp_path / "nowhere.dd", "EX/1", "x")
    (tmp_path / "empty.dd").touch()
    with pytest.raises(SourceError, match="empty"):
        open_sectors(tmp_path / "empty.dd", "EX/1", "x")
    build_hashset_from_arrays(tmp_path / "md5.chs", md5=np.ones((1, 16), dtype=np.uint8))
    disk = disk_of(tmp_path / "d.dd", MIB, {})
    with open_sectors(disk, "EX/1", "d.dd") as sectors, pytest.raises(HashSetError, match="holds no blocks"):
        Sampler(sectors, open_hashset(tmp_path / "md5.chs"), {}, SampleOptions())


def test_one_block_alone_is_weak_and_one_among_others_is_not(tmp_path: Path, sets) -> None:
    """A block whose neighbours were overwritten stands on the line of the others: it is of the same copy."""
    size, long = 4096, bytearray(FILES["1/long.bin"])
    long[2 * size : 9 * size] = bytes(7 * size)
    disk = disk_of(tmp_path / "d.dd", 4 * MIB, {0: bytes(long), 2 * MIB: FILES["2/short.bin"][size : 2 * size]})
    in_case(tmp_path / "case", disk, sets[size], whole=True)
    with open_case(tmp_path / "case") as view:
        rows, shown = list(fragment_rows(view)), sampling_facts(view)
    assert shown is not None
    (long_label, short_label), (first,) = (rows[0].category_label, rows[-1].category_label), fragment_attention(shown)
    assert shown.categories == [(long_label, 1, 0), (short_label, 1, 1)]
    assert f"{long_label} 1, {short_label} 1 (1 by one block alone: weak)" in first.explanation
    total = len(long) // size - 8
    assert [(row.blocks, row.strength) for row in rows] == [
        (1, f"{total} blocks at their places in the file"),
        (total - 1, f"{total} blocks at their places in the file"),
        (1, WEAK),
    ]
    assert rows[0].area == rows[0].volume == rows[0].file_that_begins_there == ""


def test_the_evidence_stays_as_it_was(tmp_path: Path, sets) -> None:
    disk = disk_of(tmp_path / "d.dd", 4 * MIB, {MIB: FILES["1/long.bin"]})
    before = disk.read_bytes(), disk.stat().st_mtime_ns
    disk.chmod(0o400)
    in_case(tmp_path / "case", disk, sets[4096], whole=True)
    assert (disk.read_bytes(), disk.stat().st_mtime_ns) == before


def test_one_block_that_is_left_out_is_not_said_in_the_plural(tmp_path: Path) -> None:
    empty = build_other(tmp_path)
    one = sampled(disk_of(tmp_path / "d.dd", MIB, {}), empty, samples=5).sampling
    assert one.hashset["blocks"]["left_out"] == {"a header or table of its format": 1}
    assert " 1 block of the listed files is not in the set, because other files may have it too." in " ".join(
        statement(one, 0, 0).limits
    )
