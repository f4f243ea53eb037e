"""Broken JSON: refused by default with its byte; with salvage every whole record outside the damage is kept."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caid_triage.errors import HashSetError
from caid_triage.hashset.readers import vics
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

RNG = random.Random(34)
URL = "http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/UK/$metadata#"


def record(number: int) -> dict[str, Any]:
    md5 = RNG.randbytes(16).hex()
    return {
        "MediaID": number, "MD5": md5, "Category": number % 5, "Series": "a {[\"' ö",
        "Exifs": [{"MD5": md5, "PropertyName": "x", "PropertyValue": "}"}, {"MD5": md5, "PropertyName": "y"}],
        "MediaFiles": [{"MD5": md5, "FileName": "n", "FilePath": "p\\"}],
    }  # fmt: skip


def document(records: list[dict[str, Any]], *, cases: bool) -> tuple[bytes, list[tuple[int, int]]]:
    """A file, and where each record stands in it."""
    texts = [json.dumps(one, ensure_ascii=False) for one in records]
    kind = "Cases" if cases else "Media"
    parts = [f'{{"@odata.context": "{URL}{kind}", "value": [']
    if cases:
        parts.append('{"CaseID": "{1}", "CaseNumber": "A", "Media": [')
    where: list[tuple[int, int]] = []
    at = len("".join(parts).encode())
    for number, text in enumerate(texts):
        if number:
            middle = (
                '], "ContactName": "x"}, {"CaseID": "{2}", "Media": [' if cases and number == len(texts) // 2 else ", "
            )
            parts.append(middle)
            at += len(middle.encode())
        parts.append(text)
        where.append((at, at + len(text.encode())))
        at += len(text.encode())
    parts.append("]}]}" if cases else "]}")
    return "".join(parts).encode(), where


def read(data: bytes, *, salvage: bool, slab: int = 1 << 17) -> tuple[list[Row], SourceFile, list[RefusedRow]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.json"
        path.write_bytes(data)
        source = SourceFile(path, salvage=salvage)
        before, vics._SLAB_BYTES = vics._SLAB_BYTES, slab  # type: ignore[misc]
        try:
            found = list(vics.VicsReader().read(source))
            source.finish()
        finally:
            vics._SLAB_BYTES = before  # type: ignore[misc]
            source.close()
    rows = [item for item in found if isinstance(item, Row)]
    return rows, source, [item for item in found if isinstance(item, RefusedRow)]


@pytest.mark.parametrize("cases", [False, True])
@pytest.mark.parametrize("slab", [100, 1 << 17])
@pytest.mark.parametrize("junk", [b'"', b"oops", b"{", b"}", b"]", b"\xff\xfe", b"\x00", b"[", b"}]}", b", "])
def test_every_record_outside_the_damage_is_kept(cases: bool, slab: int, junk: bytes) -> None:
    records = [record(number) for number in range(30)]
    data, where = document(records, cases=cases)
    hurt = data.index(b'"Category"', where[7][0]) + 10
    broken = data[:hurt] + junk + data[hurt + 3 :]
    with pytest.raises(HashSetError, match="Nothing was imported"):
        read(broken, salvage=False)
    rows, source, refused = read(broken, salvage=True, slab=slab)
    shift = len(junk) - 3
    wanted = [where[number][0] + (shift if number > 7 else 0) for number in range(30) if number != 7]
    assert [(row.media_id, row.position) for row in rows] == [
        (str(number), f"byte {place}") for number, place in zip([*range(7), *range(8, 30)], wanted, strict=True)
    ]
    (lost,) = source.lost
    assert lost[0] <= where[7][0] < hurt < lost[1] <= where[8][0] + shift
    assert [(row.position, row.reason) for row in refused] == [
        (f"bytes {lost[0]} to {lost[1]}", "lost: the JSON is broken here")
    ]
    assert len(source.warnings) == 1
    assert "after 7 whole records" in source.warnings[0]


@pytest.mark.parametrize("cases", [False, True])
def test_a_file_that_ends_early_keeps_what_came_whole(cases: bool) -> None:
    records = [record(number) for number in range(20)]
    data, where = document(records, cases=cases)
    rows, source, _ = read(data[: where[12][0] + 30], salvage=True)
    assert [row.media_id for row in rows] == [str(number) for number in range(12)]
    assert source.lost == [(where[12][0], where[12][0] + 30)]
    assert "the file ends in the middle" in source.warnings[0]


def test_a_whole_file_loses_nothing_in_salvage() -> None:
    data, _ = document([record(number) for number in range(20)], cases=True)
    rows, source, refused = read(data, salvage=True)
    assert (len(rows), source.lost, source.warnings, refused) == (20, [], [], [])


def test_old_exports_with_a_doubled_quote_lose_only_those_records() -> None:
    good, bad = '{"MD5": "%s"}', '{"MD5": "%s", "IsSuspected":"true""}'
    texts = [(bad if number in (3, 4, 8) else good) % RNG.randbytes(16).hex() for number in range(10)]
    rows, source, _ = read(f'{{"value": [{",".join(texts)}]}}'.encode(), salvage=True)
    assert len(rows) == 7
    assert len(source.lost) == 2


def test_hostile_json_is_not_salvaged() -> None:
    good = json.dumps({"MD5": "a1" * 16})
    for hostile in ('{"x": ' + "[" * 100_000, '{"x": ' + "9" * 9_000 + "}"):
        with pytest.raises(HashSetError, match="Nothing was imported"):
            read(f'{{"value": [{good}, oops, {hostile}, {good}]}}'.encode(), salvage=True)


def test_a_file_with_nothing_whole_is_refused() -> None:
    with pytest.raises(HashSetError, match="not a VICS file with entries"):
        read(b'{"value": [{"MD5": oops}]}', salvage=True)


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 10**9), st.binary(max_size=6), st.integers(0, 400), st.sampled_from([64, 1000, 1 << 17]))
def test_any_one_damage_costs_only_what_it_touches(place: int, junk: bytes, length: int, slab: int) -> None:
    """Whatever is overwritten: each record that it does not touch is there, once, with its own digest."""
    records = [record(number) for number in range(12)]
    data, where = document(records, cases=False)
    begin = where[0][0] + place % (where[-1][1] - where[0][0])
    end = min(len(data), begin + length)
    broken = data[:begin] + junk + data[end:]
    try:
        rows, _, _ = read(broken, salvage=True, slab=slab)
    except HashSetError:
        rows = []
    untouched = {str(i) for i, (a, b) in enumerate(where) if b < begin - 1 or a > end + 1}
    found = [row.media_id for row in rows if row.md5 and row.md5.hex() == records[int(row.media_id or 0)]["MD5"]]
    assert len(found) == len(set(found))
    # Junk may open a text that swallows the next record; one more on each side may be touched that way.
    near = {str(i) for i, (a, b) in enumerate(where) if b >= begin - 1 and a <= end + 1}
    grace = {str(int(i) + step) for i in near for step in (-1, 1)}
    assert untouched - grace <= set(found)
