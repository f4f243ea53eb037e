"""What keeps large sets in bounded memory: sorting on disk, rows that wait on disk, tables made block by block."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.hashset import columns, hash_columns, prefix
from caid_triage.hashset.batch import batch_of
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.columns import Columns, RecordColumns
from caid_triage.hashset.external_sort import sort_rows, sorted_blocks
from caid_triage.hashset.prefix import PrefixTable, PresenceBits, perhaps_present, prefix_bits
from caid_triage.hashset.rows import Row
from caid_triage.hashset.spool import Spool
from caid_triage.hashset.store import open_hashset
from caid_triage.hashset.write import write_hashset

Words = np.ndarray[Any, np.dtype[np.uint64]]


def scratch() -> Any:
    return tempfile.TemporaryFile()


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 400),
    values=st.sampled_from([2, 5, 2**63]),
    alike=st.integers(0, 2),
    block=st.integers(1, 90),
    run=st.integers(2, 60),
    seed=st.integers(0, 2**32),
)
def test_sorting_on_disk_is_sorting(count: int, values: int, alike: int, block: int, run: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, values, (count, 3), dtype=np.uint64)
    rows[:, :alike] = 7
    blocks = (rows[i : i + block] for i in range(0, count, block))
    found = [block.copy() for block in sorted_blocks(blocks, 3, scratch, run_bytes=24 * run)]
    expected = rows[np.lexsort(rows.T[::-1])]
    assert np.array_equal(np.concatenate([np.zeros((0, 3), np.uint64), *found]), expected)
    assert np.array_equal(sort_rows(rows), expected)


@pytest.mark.parametrize("kind", ["random", "all alike", "sorted", "backwards", "few values"])
def test_no_block_is_much_larger_than_a_run(kind: str) -> None:
    """Whatever the data: each row has a last word of its own, as every record has its number."""
    count, run = 60_000, 2_000
    rows = np.random.default_rng(1).integers(0, 2**63, (count, 2), dtype=np.uint64)
    rows[:, 1] = np.arange(count)
    if kind == "all alike":
        rows[:, 0] = 5
    elif kind == "sorted":
        rows[:, 0] = np.arange(count)
    elif kind == "backwards":
        rows[:, 0] = np.arange(count)[::-1]
    elif kind == "few values":
        rows[:, 0] %= 3
    pieces = (rows[i : i + 777] for i in range(0, count, 777))
    blocks = [block.copy() for block in sorted_blocks(pieces, 2, scratch, run_bytes=16 * run)]
    assert np.array_equal(np.concatenate(blocks), rows[np.lexsort(rows.T[::-1])])
    assert max(map(len, blocks)) <= 2 * run


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=60), st.integers(1, 20))
def test_the_prefix_table_counts_smaller_digests(values: list[int], block: int) -> None:
    rows = np.array(sorted(values), dtype=np.uint64)[:, None]
    table = PrefixTable(len(rows))
    slots = [s for i in range(0, len(rows), block) for s in table.add(rows[i : i + block])]
    found = np.concatenate([*slots, *table.finish()])
    bits = prefix_bits(len(rows))
    assert found.tolist() == [sum(value >> (64 - bits) < p for value in values) for p in range((1 << bits) + 1)]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 40), st.integers(2**64 - 40, 2**64 - 1)), max_size=60),
    st.integers(1, 20),
    st.integers(1, 9),
)
def test_the_presence_bits_are_those_of_the_digests(values: list[int], block: int, piece: int) -> None:
    rows = np.array(sorted(values), dtype=np.uint64)[:, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefix, "_PIECE", piece)
        presence = PresenceBits(len(rows))
        parts = [bits for i in range(0, len(rows), block) for bits in presence.add(rows[i : i + block])]
        found = np.concatenate([*parts, *presence.add(rows[:0]), *presence.finish()])
    bits = prefix_bits(len(rows))
    assert {8 * p + b for p, byte in enumerate(found.tolist()) for b in range(8) if byte >> b & 1} == {
        8 * (value >> (64 - bits)) + bit for value in values for bit in (value & 7, value >> 3 & 7)
    }
    assert len(found) == 1 << bits
    assert perhaps_present(found, rows[:, 0]).tolist() == list(range(len(values)))


def test_19_strangers_in_20_are_not_present() -> None:
    rng = np.random.default_rng(3)
    presence, rows = PresenceBits(50_000), np.sort(rng.integers(0, 2**64, (50_000, 1), dtype=np.uint64), axis=0)
    found = np.concatenate([*presence.add(rows), *presence.finish()])
    assert len(perhaps_present(found, rng.integers(0, 2**64, 10_000, dtype=np.uint64))) < 600


def test_a_slot_for_about_each_entry() -> None:
    assert [prefix_bits(n) for n in (0, 1, 2, 3, 1024, 1025, 10_000_000, 2**32 - 1)] == [1, 1, 1, 2, 10, 11, 24, 28]


@pytest.mark.parametrize("folder", [True, False])
def test_rows_that_waited_on_disk_come_back_in_order(tmp_path: Path, folder: bool) -> None:
    spool = Spool("bytes", 3, tmp_path if folder else None)
    expected = np.arange(300, dtype=np.uint16).astype(np.uint8).repeat(3).reshape(-1, 3)
    for row in expected:
        spool.pending += row.tobytes()
        if row[0] % 17 == 0:
            spool.spill()
    assert len(spool) == 300
    for _ in range(2):  # they can be read more than once, and added to in between
        assert np.array_equal(np.concatenate(list(spool.blocks())), expected)
    spool.spill()
    spool.pending += b"abc"
    assert len(spool) == 301
    assert np.concatenate(list(spool.blocks()))[-1].tobytes() == b"abc"
    assert list(tmp_path.iterdir()) == []  # the file has no name
    spool.close()


def some_rows(count: int) -> list[Row]:
    rng = np.random.default_rng(count)
    return [
        Row(
            md5=rng.bytes(16) if number % 3 else None,
            sha1=rng.bytes(20),
            pdq=tuple((rng.bytes(32), [None, 0, 100][k]) for k in range(number % 3)),
            frames=((number, 40 * number if number % 4 else None),) * (number % 3) if number % 8 == 0 else (),
            phash=(rng.bytes(8),) if number % 2 else (),
            photodna=rng.bytes(144) if number % 5 == 0 else None,
            category=str(number % 4),
            media_id=f"m\N{LATIN SMALL LETTER E WITH ACUTE}{number}" if number % 7 else "",
            size=number if number % 6 else None,
            flags=number % 4,
            series=f"s{number % 3}",
            position=f"line {number}",
        )
        for number in range(count)
    ]


def generation(out: Path, made: Columns) -> str:
    facts = {"codes": [], "role": "notable", "scheme": {}, "counts": made.counts}
    return str(write_hashset(out, made, facts)["generation"])


def test_batches_spills_and_single_rows_make_the_same_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some_rows(1_000)
    plain = RecordColumns()
    for row in rows:
        plain.add(row, 1)
    expected = generation(tmp_path / "plain.chs", plain.finish())
    monkeypatch.setattr(columns, "_SPILL_RECORDS", 130)
    blocks = hash_columns.sorted_blocks

    def small_runs(*args: Any) -> Any:
        return blocks(*args, run_bytes=4_000)

    monkeypatch.setattr(hash_columns, "sorted_blocks", small_runs)
    for number, size in enumerate((1, 7, 400, 1_000)):
        spilled = RecordColumns(tmp_path)
        for begin in range(0, 1_000, size):
            spilled.add_batch(batch_of(rows[begin : begin + size]), 1)
        assert len(spilled) == 1_000
        assert generation(tmp_path / f"{number}.chs", spilled.finish()) == expected
        spilled.close()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["0.chs", "1.chs", "2.chs", "3.chs", "plain.chs"]


def test_memory_mapped_arrays_make_the_set_that_arrays_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from caid_triage.hashset import arrays

    rng = np.random.default_rng(5)
    md5, pdq = rng.integers(0, 256, (5_000, 16), dtype=np.uint8), rng.integers(0, 256, (5_000, 32), dtype=np.uint8)
    given: dict[str, Any] = {
        "pdq_quality": rng.integers(0, 101, 5_000),
        "pdq_present": rng.random(5_000) < 0.5,
        "category": rng.integers(0, 9, 5_000),
        "size": np.ma.MaskedArray(rng.integers(0, 99, 5_000), mask=rng.random(5_000) < 0.1),
        "flags": rng.integers(0, 8, 5_000).astype(np.uint16),
    }
    expected = build_hashset_from_arrays(tmp_path / "a.chs", md5=md5, pdq=pdq, **given)
    monkeypatch.setattr(arrays, "_BLOCK", 333)
    for name, values in (("md5", md5), ("pdq", pdq)):
        np.save(tmp_path / f"{name}.npy", values)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("md5", "pdq")}
    found = build_hashset_from_arrays(tmp_path / "b.chs", **mapped, **given)
    assert found.generation == expected.generation
    hashset = open_hashset(tmp_path / "b.chs")
    assert hashset.records["category"].tolist() == [str(value) for value in given["category"]]
    assert hashset.records["size"].tolist() == given["size"].tolist()
    hashset.verify()


def test_a_list_longer_than_memory_is_given_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_SPILL_RECORDS", 64)
    digests = [np.random.default_rng(n).bytes(16) for n in range(500)]
    (tmp_path / "in.txt").write_text("".join(digest.hex() + "\n" for digest in digests))
    build_hashset([tmp_path / "in.txt"], tmp_path / "a.chs")
    hashset = open_hashset(tmp_path / "a.chs")
    q, r = hashset.exact("md5", np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 16))
    assert q.tolist() == r.tolist() == list(range(500))
