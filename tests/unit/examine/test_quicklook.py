"""Pictures of macOS's QuickLook cache: two files are one, and what a hostile index may claim."""

from __future__ import annotations

import hashlib
import io
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.embedded import codes, zipped
from support.quicklook import LATER, ORDERS, Cache, cache_of

from caid_triage.errors import EvidenceError
from caid_triage.examine.embedded import quicklook
from caid_triage.examine.embedded.walk import Found
from caid_triage.examine.examine import Examiner
from caid_triage.model import DecodeState, Examination, Severity
from caid_triage.synth.sample_pictures import picture

COAST, TOWN = picture("coast.jpg"), picture("town.jpg")
PATH = "/Users/sam/Pictures/gone.jpg"


def looked_into(index: bytes, samples: bytes | None, stated: int | None = None) -> tuple[list[Found], Examination]:
    """What comes out of an index with that file beside it (None: without), which is said to have ``stated`` bytes."""
    asked: list[str] = []

    def read_at(offset: int, length: int) -> bytes:
        assert samples is not None
        if offset + length > len(samples):
            raise EvidenceError("read", "short-read", "the content ended")
        return samples[offset : offset + length]

    def beside(name: str) -> tuple[int, Any]:
        asked.append(name)
        if samples is None:
            raise EvidenceError("read", "not-readable", "there is none")
        return len(samples) if stated is None else stated, read_at

    run = Examiner().begin("", len(index), beside=beside)
    run.update(index)
    found = [item for item in run.inside() if isinstance(item, Found)]
    assert set(asked) <= {"thumbnails.data"}
    assert len(asked) <= 1
    return found, run.finish()


def of_the_cache(cache: Cache, **how: Any) -> tuple[list[Found], Examination]:
    return looked_into(cache.index(**how), bytes(cache.samples))


def by_look(content: bytes) -> tuple[object, ...]:
    """The hashes of a picture as QuickLook would hold it: without loss."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(content)).convert("RGB").save(stream, "PNG")
    run = Examiner().begin()
    run.update(stream.getvalue())
    return run.finish().hashes


def test_each_row_is_a_picture_with_the_look_and_the_name_of_its_file() -> None:
    found, whole = of_the_cache(cache_of([(PATH, COAST), ("/Users/sam/b/town.jpg", TOWN)]))
    assert [one.names for one in found] == [
        (b"thumbnails/1/Users/sam/Pictures/gone.jpg",),
        (b"thumbnails/2/Users/sam/b/town.jpg",),
    ]
    assert [one.examination.hashes for one in found] == [by_look(COAST), by_look(TOWN)]
    for one in found:
        assert codes(one) == ["inside-rebuilt"]
        assert one.problems[0].severity is Severity.NOTE
        assert one.examination.decode_state is DecodeState.DECODED
    assert (codes(whole), whole.inside) == ([], 2)


def test_later_systems_keep_no_names() -> None:
    found, whole = of_the_cache(cache_of([(PATH, COAST)]), schema=LATER)
    assert [(one.names, one.examination.hashes) for one in found] == [((b"thumbnails/1.png",), by_look(COAST))]
    assert codes(whole) == []


@pytest.mark.parametrize("info", ORDERS)
@pytest.mark.parametrize("padding", [0, 3, 64])
def test_every_order_of_samples_gives_the_pixels_that_went_in(info: int, padding: int) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    cache = Cache()
    cache.add(Image.fromarray(noise), info=info, padding=padding)
    row = quicklook.Row(1, tuple(cache.rows[0][name] for name in quicklook.COLUMNS))
    layout = quicklook.layout_of(row, len(cache.samples))
    assert isinstance(layout, quicklook.Layout)
    # Where the stride says more pixels than the row does, the row's width holds.
    png = quicklook.as_png(bytes(cache.samples[layout.offset : layout.offset + layout.length]), layout)
    assert (np.asarray(Image.open(io.BytesIO(png))) == noise).all()


def test_colours_are_those_before_alpha_was_multiplied_into_them() -> None:
    pixels = np.zeros((40, 40, 4), dtype=np.uint8)
    pixels[:, :] = (200, 100, 50, 128)
    cache = Cache()
    cache.add(Image.fromarray(pixels, "RGBA"))
    row = quicklook.Row(1, tuple(cache.rows[0][name] for name in quicklook.COLUMNS))
    layout = quicklook.layout_of(row, len(cache.samples))
    assert isinstance(layout, quicklook.Layout)
    png = quicklook.as_png(bytes(cache.samples[layout.offset : layout.offset + layout.length]), layout)
    again = np.asarray(Image.open(io.BytesIO(png))).astype(int)
    assert abs(again - pixels).max() <= 2


@pytest.mark.parametrize("column", ["bitmapinfo", "bitspercomponent", "file_id"])
def test_columns_that_some_versions_lack_are_not_needed(column: str) -> None:
    found, whole = of_the_cache(cache_of([(PATH, COAST)]), without=(column,))
    assert [one.examination.hashes for one in found] == [by_look(COAST)]
    assert codes(whole) == []


def test_an_index_that_says_the_sides_otherwise_says_so() -> None:
    found, whole = of_the_cache(cache_of([(PATH, COAST)]), without=("width", "height", "bytesperrow"))
    assert (found, codes(whole)) == ([], ["inside-unknown-version"])


def test_a_width_that_is_not_stated_is_that_of_the_rows() -> None:
    for width in (0, None, 10_000):
        cache = Cache()
        cache.add(COAST, padding=0, width=width)
        found, _ = of_the_cache(cache)
        assert [one.examination.hashes for one in found] == [by_look(COAST)]


@pytest.mark.parametrize("samples", [None, b""])
def test_an_index_without_its_samples_says_so_once(samples: bytes | None) -> None:
    index = cache_of([(PATH, COAST), (PATH, TOWN)]).index()
    found, whole = looked_into(index, samples)
    if samples is None:
        assert (found, codes(whole)) == ([], ["inside-no-samples"])
    else:
        assert [codes(one) for one in found] == [["inside-unreadable"]] * 2
        assert codes(whole) == []
    assert whole.digests is not None
    assert whole.digests.sha256 == hashlib.sha256(index).digest()


def test_an_index_in_an_archive_has_nothing_beside_it() -> None:
    cache = cache_of([(PATH, COAST)])
    found, _ = looked_into(zipped({"index.sqlite": cache.index(), "thumbnails.data": bytes(cache.samples)}), b"x")
    assert [(one.names[-1], codes(one)) for one in found] == [
        (b"index.sqlite", ["inside-no-samples"]),
        (b"thumbnails.data", []),
    ]


def test_an_empty_cache_asks_for_nothing() -> None:
    assert looked_into(Cache().index(), None)[0] == []
    assert codes(looked_into(Cache().index(), None)[1]) == []


def test_icons_are_left_out() -> None:
    cache = Cache()
    cache.add(Image.new("RGB", (16, 16), "red"))
    cache.add(COAST, PATH)
    found, whole = of_the_cache(cache)
    assert [one.names[0][:13] for one in found] == [b"thumbnails/2/"]
    assert codes(whole) == []


HOSTILE: list[dict[str, object]] = [
    {"height": 1 << 40},
    {"height": -5},
    {"height": None},
    {"height": "many"},
    {"height": 2.5},
    {"bytesperrow": (1 << 63) - 1},
    {"bytesperrow": -400},
    {"bytesperrow": None},
    {"bytesperrow": b"\xff" * 8},
    {"bytesperrow": 4096, "height": 4097},
    {"bytesperrow": 1 << 20, "width": 1 << 18, "height": 1 << 18},
    {"bitmapdata_location": (1 << 63) - 1},
    {"bitmapdata_location": -1},
    {"bitmapdata_location": None},
    {"bitmapdata_length": 0},
    {"bitmapdata_length": -1},
    {"bitmapdata_length": 100},
    {"bitsperpixel": 16},
    {"bitsperpixel": None},
    {"bitspercomponent": 16},
    {"bitmapinfo": 0x2007},
    {"bitmapinfo": 0x2102},
    {"bitmapinfo": -1},
    {"bitmapinfo": 1 << 62},
    {"bitmapinfo": "BGRA"},
]


@pytest.mark.parametrize("cells", HOSTILE, ids=str)
def test_a_row_that_lies_is_a_row_that_cannot_be_read_and_costs_no_other(cells: dict[str, object]) -> None:
    cache = Cache()
    cache.add(COAST, PATH, **cells)
    cache.add(TOWN, "/b.jpg")
    found, whole = of_the_cache(cache)
    assert [codes(one) for one in found] == [["inside-unreadable"], ["inside-rebuilt"]]
    assert found[0].names == (b"thumbnails/1/Users/sam/Pictures/gone.jpg",)
    assert found[1].examination.hashes == by_look(TOWN)
    assert codes(whole) == []


@pytest.mark.parametrize(
    "cells", [{"bytesperrow": 1 << 22}, {"height": 1 << 20}, {"bytesperrow": 1 << 31, "height": 33}]
)
def test_a_picture_is_refused_by_the_bytes_of_its_rows_however_large_the_other_file_is(
    cells: dict[str, object],
) -> None:
    cache = Cache()
    cache.add(COAST, **({"width": 40, "bitmapdata_length": 1 << 50} | cells))
    row = quicklook.Row(1, tuple(cache.rows[0][name] for name in quicklook.COLUMNS))
    said = quicklook.layout_of(row, 1 << 60)
    assert isinstance(said, str)
    assert "more than is allowed" in said


def test_samples_that_end_before_the_file_system_says_are_named() -> None:
    cache = cache_of([(PATH, COAST), ("/b.jpg", TOWN)])
    cut = bytes(cache.samples[: -len(cache.samples) // 3])
    found, _ = looked_into(cache.index(), cut, stated=len(cache.samples))
    assert codes(found[1]) == ["inside-unreadable"]
    assert "the content ended" in found[1].problems[0].detail


def test_many_rows_that_lead_to_the_same_samples_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quicklook, "SAMPLES_MORE", 0)
    cache = cache_of([(PATH, COAST)])
    cache.rows *= 50
    found, whole = of_the_cache(cache)
    assert len(found) == 2  # twice the bytes of the file
    assert codes(whole) == ["inside-budget"]


def test_names_are_printed_and_never_followed() -> None:
    cache = cache_of([("/../../etc//x/passwd", COAST), ("/" + "n" * 10_000, TOWN)])
    found, _ = of_the_cache(cache)
    assert found[0].names == (b"thumbnails/1/../../etc//x/passwd",)
    assert len(found[1].names[0]) == 4096
    assert codes(found[1])[-1:] + codes(found[1])[:-1] == ["inside-name-cut", "inside-rebuilt"]


FORGED = {
    # What the names come from is a view, has no such columns, or has its own idea of a row's number.
    "view": ("CREATE VIEW files AS SELECT 'x' AS folder, zeroblob(9) AS file_name", [b"thumbnails/1.png"]),
    "other columns": ("CREATE TABLE files (folder TEXT, name TEXT)", [b"thumbnails/1.png"]),
    "computed": (
        "CREATE TABLE files (folder TEXT, file_name TEXT AS (folder || folder)); INSERT INTO files VALUES ('/x')",
        [b"thumbnails/1.png"],
    ),
    "rowid": (
        "CREATE TABLE files (rowid TEXT, folder TEXT, file_name TEXT); INSERT INTO files VALUES ('1', '/x', 'y')",
        [b"thumbnails/1/x/y"],
    ),
    "blobs": (
        "CREATE TABLE files (folder BLOB, file_name BLOB); INSERT INTO files VALUES (x'2FFF00', 5)",
        [b"thumbnails/1/\xff\0"],
    ),
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_table_of_files_takes_no_picture_away(forged: str) -> None:
    schema, names = FORGED[forged]
    cache = cache_of([(PATH, COAST)])
    thumbnails = LATER.split(";")[1]
    found, _ = looked_into(cache.index(schema=f"{thumbnails}; {schema}"), bytes(cache.samples))
    assert [one.names[0] for one in found] == names
    assert [one.examination.hashes for one in found] == [by_look(COAST)]


def test_an_index_without_numbers_of_its_rows_is_said_to_be_damaged() -> None:
    cache = cache_of([(PATH, COAST)])
    schema = LATER.replace("file_id INTEGER", "file_id INTEGER PRIMARY KEY").replace(
        "last_hit_date REAL)", "h) WITHOUT ROWID"
    )
    found, whole = looked_into(cache.index(schema=schema), bytes(cache.samples))
    assert (found, codes(whole)) == ([], ["inside-damaged"])


def test_another_table_of_that_name_is_none_of_quicklook() -> None:
    cache = cache_of([(PATH, COAST)])
    found, whole = of_the_cache(cache, without=("bitmapdata_location",))
    assert (found, codes(whole)) == ([], [])


def test_damage_gives_the_same_answer_twice_and_never_more_pictures() -> None:
    cache = Cache()
    for content in (COAST, TOWN):
        cache.add(Image.open(io.BytesIO(content)).resize((48, 40)), PATH)
    whole = cache.index()
    dice = random.Random(7)
    for _ in range(60):
        index = bytearray(whole)
        for _ in range(dice.randrange(1, 30)):
            index[dice.randrange(100, len(index))] = dice.randrange(256)
        first = looked_into(bytes(index), bytes(cache.samples))
        assert first == looked_into(bytes(index), bytes(cache.samples))
        assert sum(one.readable for one in first[0]) <= 2
