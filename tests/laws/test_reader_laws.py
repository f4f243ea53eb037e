"""The fast reader of VICS JSON accepts, refuses and reads exactly what the plain one does."""

from __future__ import annotations

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_vics import plain_vics

from caid_triage.errors import HashSetError
from caid_triage.hashset.batch import RowBatch, batch_of
from caid_triage.hashset.readers import vics
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

Found = list[Row | str]


def hexes(length: int) -> st.SearchStrategy[str]:
    plain = st.binary(min_size=length, max_size=length).map(bytes.hex)
    return st.one_of(plain, plain.map(str.upper), plain.map(lambda text: f" {text} "), st.just("00" * length))


odd_texts = st.one_of(
    st.just(""), st.text(max_size=6), st.sampled_from(["\\ud800", "\u00e9", "\U0001f600", '{"[', "12"])
)
odd_values = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.integers(-(2**70), 2**70), st.floats(allow_nan=False), odd_texts,
    st.just([]), st.just({}), st.just([1, {"a": [None]}]), st.just({"Name": " x ", "Title": "y"}),
)  # fmt: skip
photodna = st.binary(min_size=143, max_size=144).map(lambda value: base64.b64encode(value).decode())
flags = st.sampled_from([True, False, "true", "false", "True", 1, 0, "1", " yes ", None, 2, "no"])
alternatives = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "HashName": st.sampled_from(["PhotoDNA", "PDQ", "SHA-256", "pHash", "md5", "other", None]),
            "HashValue": st.one_of(
                hexes(32), hexes(8), hexes(16), photodna, hexes(32).map(lambda x: x + ",70"), odd_values
            ),
        },
    ),
    max_size=2,
)
usual = {
    "MD5": hexes(16),
    "SHA1": st.one_of(hexes(20), st.just(""), st.none()),
    "Category": st.one_of(st.none(), st.integers(0, 9), st.sampled_from(["1", " 2 "])),
    "MediaID": st.one_of(st.integers(0, 99), st.text(max_size=4)),
    "MediaSize": st.one_of(st.integers(0, 2**64), st.sampled_from(["488", "", " 7 "])),
    "PhotoDNA": st.one_of(photodna, st.binary(min_size=144, max_size=144).map(bytes.hex)),
    "Series": st.one_of(st.none(), st.text(max_size=5)),
    "IsDistributed": flags,
    "VictimIdentified": flags,
    "AlternativeHashes": alternatives,
    "MediaFiles": st.lists(st.just({"MD5": "x", "FileName": "{[\\\\"}), max_size=2),
    "PDQ": hexes(32),
    "SHA256": hexes(32),
}
odd_keys = st.sampled_from([*usual, "md5", "Md5Hash", "sha1hash", "category", "comments", "series", "mediasize"])
records = st.one_of(
    st.fixed_dictionaries({"MD5": hexes(16)}, optional={k: v for k, v in usual.items() if k != "MD5"}).map(
        lambda found: list(found.items())
    ),
    st.lists(st.tuples(odd_keys, st.one_of(odd_values, hexes(16), *usual.values())), max_size=6),
)
entries = st.one_of(records, records, records, records, st.sampled_from([17, None, "x", [], 1.5, True]))


def written(value: Any, space: str) -> str:
    """JSON of lists of pairs (objects, keys may repeat) and other values; lone surrogates stay escaped."""
    if isinstance(value, list) and all(isinstance(item, tuple) for item in value) and value:
        return "{" + space + ",".join(f"{json.dumps(k)}{space}:{space}{written(v, '')}" for k, v in value) + "}"
    return json.dumps(value).replace("\\\\ud800", "\\ud800")


@st.composite
def documents(draw: st.DrawFn) -> str:
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    lists = [
        "["
        + space
        + f",{space}".join(written(entry, space) for entry in draw(st.lists(entries, max_size=6)))
        + space
        + "]"
        for _ in range(draw(st.integers(1, 2)))
    ]
    if draw(st.booleans()):
        cases = [f'{{"CaseID": "{{x}}", "Media"{space}:{text}, "CaseMetadata": [{{"Media": [1]}}]}}' for text in lists]
        body = "[" + ",".join([*cases, *draw(st.lists(st.sampled_from(["1", "{}", '{"Media": 5}']), max_size=1))]) + "]"
    else:
        body = lists[0]
    url = draw(st.sampled_from(["x#Media", "x#Cases"]))
    members = [f'"@odata.context":"{url}"', f'"value"{space}:{body}', '"other": {"value": [{"MD5": 1}]}']
    return space + "{" + ",".join(draw(st.permutations(members))) + "}" + space


def fast_vics(path: Path, slab: int) -> Found | None:
    before = vics._SLAB_BYTES
    vics._SLAB_BYTES = slab  # type: ignore[misc]
    source = SourceFile(path)
    found: Found = []
    try:
        for item in vics.VicsReader().read(source):
            found.append(item.reason if isinstance(item, RefusedRow) else item)
    except HashSetError:
        return None
    finally:
        vics._SLAB_BYTES = before  # type: ignore[misc]
        source.close()
    return found


def unplaced(found: Found | None) -> Found | None:
    for row in found or []:
        if isinstance(row, Row):
            row.position = ""
            row.series = row.series.encode("utf-8", "replace").decode()
            row.category = row.category.encode("utf-8", "replace").decode()
            row.media_id = row.media_id.encode("utf-8", "replace").decode()
    return found


def agree(data: bytes, slab: int) -> Found | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.json"
        path.write_bytes(data)
        fast = unplaced(fast_vics(path, slab))
        assert fast == unplaced(plain_vics(path))
    return fast


slabs = st.sampled_from([1, 7, 64, 300, 1 << 17])
encodings = st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"])


@settings(max_examples=250, deadline=None)
@given(documents(), slabs, encodings)
def test_the_fast_reader_reads_what_the_plain_one_reads(text: str, slab: int, encoding: str) -> None:
    agree(text.encode(encoding), slab)


@pytest.mark.parametrize("slab", [1, 64, 1 << 17])
@pytest.mark.parametrize("tail", [b"\xff", b"\n\xff\n", b"\xc3", b" \xed\xa0\x80 "])
def test_bytes_that_are_not_text_behind_the_end_are_no_end(tail: bytes, slab: int) -> None:
    root = b'{"@odata.context":"x#Media","value":[{"MD5":"' + GOOD.encode() + b'"}]}'
    assert agree(root + b"\n\t ", slab)
    assert agree(root + tail, slab) is None


@settings(max_examples=250, deadline=None)
@given(documents(), slabs, st.data())
def test_of_a_damaged_file_both_refuse_or_read_the_same(text: str, slab: int, data: st.DataObject) -> None:
    raw = bytearray(text.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    junk = data.draw(
        st.sampled_from([b"", b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\xff", b"\xed\xa0\x80", b"\x00", b"\n",
                         b"NaN", b"-Infinity", b"01", b"1.", b"-", b"1e5", b"tru", b"null", b"\\u12", b"\\ud83d", b"'"])
    )  # fmt: skip
    length = data.draw(st.sampled_from([0, 1, 3, len(raw)]))
    raw[place : place + length] = junk
    agree(bytes(raw), slab)


GOOD, OTHER = "a1" * 16, "b2" * 16


@pytest.mark.parametrize("slab", [1, 50, 1 << 17])
@pytest.mark.parametrize(
    ("entries", "rows"),
    [
        ('{"MD5": "OTHER", "x": NaN}', None),
        ('{"x": -Infinity}', None),
        ('{"Series": "\\ud800"}, {"MD5": "OTHER", "Series": "\\udc00x\\ud83d\\ude00"}', 3),
        ('{"x": ' + "[" * 150 + "]" * 150 + "}", 2),
        ('{"x": ' + "[" * 250 + "]" * 250 + "}", None),
        ('{"x": ' + "[" * 5000 + "]" * 5000 + "}", None),
        ('{"x": "' + "[{" * 5000 + '"}', 2),
        ('{"x": ' + "9" * 1999 + "}", 2),
        ('{"x": ' + "9" * 5000 + "}", None),
        ('{"x": 1e400, "y": 1E+5, "z": -0}', 2),
        ('{"x": 1e999999999999999999999}', None),
        ('{"MD5": "OTHER", "MD5": "OTHER"}', 2),
        ('{"MD5": "OTHER"}], "value": [{"MD5": "OTHER"}', 3),
        ('{"MD5": "OTHER"}]}{', None),
        ("", None),
        ("17", 2),
        ("1.5", 2),
        ("01", None),
        ("null \n\t", 2),
    ],
)
def test_known_traps(entries: str, rows: int | None, slab: int) -> None:
    text = '{"value": [{"MD5": "GOOD"}, ' + entries + "]}"
    found = agree(text.replace("GOOD", GOOD).replace("OTHER", OTHER).encode(), slab)
    assert (None if found is None else len(found)) == rows


@pytest.mark.parametrize(("text", "rows"), [("", None), ("17", None), ('{"value": []} ', None), ('{"value": [1]} ', 1)])
def test_small_files(text: str, rows: int | None) -> None:
    found = agree(text.encode(), 7)
    assert (None if found is None else len(found)) == rows


@settings(max_examples=80, deadline=None)
@given(st.lists(records, max_size=12), st.data())
def test_a_batch_stands_for_its_rows(pairs: list[list[tuple[str, Any]]], data: st.DataObject) -> None:
    """batch_of and rows are inverse, and kept leaves exactly what it is told to."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "set.json"
        path.write_text('{"value": [' + ",".join(written(entry, "") for entry in pairs) + "]}")
        source = SourceFile(path)
        try:
            rows = [item for item in vics.VicsReader().read(source) if isinstance(item, Row)]
        except HashSetError:
            return
        finally:
            source.close()
    batch = batch_of(rows)
    assert list(batch.rows()) == rows
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=np.bool_)
    kept: RowBatch = batch.kept(mask)
    expected = [row for row, stays in zip(rows, mask, strict=True) if stays]
    assert list(kept.rows()) == expected
    assert kept.category_texts == list(dict.fromkeys(row.category for row in expected))
