"""Metadata of hostile and of real files: never an exception, always within bounds; of photographs what Pillow reads."""

from __future__ import annotations

import math
import tarfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from unit.examine.test_metadata import HELD

from caid_triage.examine.identify import HEAD_BYTES, identify
from caid_triage.examine.metadata import HISTORY, MOST_PAIRS, NAMES, picture_metadata
from caid_triage.examine.metadata_blocks import _READERS
from caid_triage.examine.metadata_text import LONGEST


def check(data: bytes, media_type: str) -> None:
    """Whatever the bytes are: pairs of known names, clean texts, within the bounds of the protocol."""
    found = picture_metadata(data, media_type)
    assert len(found) <= MOST_PAIRS
    assert all(name in NAMES or name == HISTORY for name, _ in found)
    assert all(0 < len(text) <= LONGEST for _, text in found)
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 for _, text in found for letter in text)
    "".join(text for _, text in found).encode("utf-8")  # no lone surrogate
    for name, text in found:
        if name in ("latitude", "longitude"):
            assert math.fabs(float(text)) <= 180


changes = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True), st.sampled_from(["set", "cut", "insert", "number"]), st.binary(max_size=8)
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=1500, deadline=None)
@given(held=st.sampled_from(HELD), edits=changes)
def test_a_damaged_block_never_raises(held: tuple[str, bytes], edits: list[tuple[float, str, bytes]]) -> None:
    media_type, data = held
    for place, how, content in edits:
        at = int(place * len(data))
        if how == "set":
            data = data[:at] + content + data[at + len(content) :]
        elif how == "number":
            data = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
        elif how == "insert":
            data = data[:at] + content + data[at:]
        elif len(data) > 64:
            data = data[: max(at, 32)]
    check(data, media_type)


@settings(max_examples=400, deadline=None)
@given(
    media_type=st.sampled_from(sorted(_READERS)),
    start=st.sampled_from([held[1][:40] for held in HELD]),
    rest=st.binary(max_size=400),
)
def test_any_bytes_of_any_type_never_raise(media_type: str, start: bytes, rest: bytes) -> None:
    check(start + rest, media_type)
    check(rest, media_type)


@pytest.fixture(scope="module")
def photos(shared: Path) -> list[Path]:
    return sorted(path for path in (shared / "photos").iterdir() if path.suffix != ".tsv")


def test_every_picture_of_the_hostile_corpus_keeps_the_bounds(shared: Path) -> None:
    seen, slowest = 0, 0.0
    with tarfile.open(shared / "hostile" / "corpus.tar.xz") as corpus:
        for member in corpus:
            if not member.isfile() or (file := corpus.extractfile(member)) is None:
                continue
            data = file.read()
            media_type = identify(data[:HEAD_BYTES], len(data)).media_type
            if media_type in _READERS:
                seen += 1
                started = time.process_time()
                check(data, media_type)
                slowest = max(slowest, time.process_time() - started)
    assert seen > 1500
    assert slowest < 0.5


def test_photographs_say_what_pillow_reads(photos: list[Path]) -> None:
    with_camera = with_place = 0
    for path in photos:
        data = path.read_bytes()
        found = dict(picture_metadata(data, identify(data[:HEAD_BYTES], len(data)).media_type))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                exif = image.getexif()
                more, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
        if not exif and not more:
            continue
        for tag, name in ((0x010F, "camera-make"), (0x0110, "camera-model"), (0x0131, "software")):
            assert found.get(name, "") == text(exif.get(tag)), (path.name, name)
        serial = text(more.get(0xA431, exif.get(0xA431)))
        assert not serial or found["camera-serial"] == serial
        for tag, name in ((0x9003, "taken"), (0x9004, "digitised")):
            said, written = found.get(name, ""), text(more.get(tag))
            if written and "not a valid time" not in said and name in found:
                assert said.startswith(written.replace(":", "-", 2).replace(" ", "T")), (path.name, name)
        place = tuple(degrees(gps.get(at), gps.get(side)) for at, side in ((2, 1), (4, 3)))
        if None not in place:
            with_place += 1
            assert (float(found["latitude"]), float(found["longitude"])) == pytest.approx(place, abs=1e-6), path.name
        with_camera += "camera-make" in found
    assert with_camera > 40
    assert with_place > 5


def text(value: Any) -> str:
    return "" if value is None else str(value).partition("\0")[0].strip()


def degrees(parts: Any, side: Any) -> float | None:
    if not parts or not side:
        return None
    value = float(parts[0]) + float(parts[1]) / 60 + float(parts[2]) / 3600
    return None if math.isnan(value) else -value if side in "SW" else value


def test_serial_numbers_of_photographs(photos: list[Path]) -> None:
    """Known of these cameras: EXIF's own tag, Nikon's notes (as ExifRead has them), Panasonic's internal ones."""
    found = {}
    for path in photos:
        data = path.read_bytes()
        pairs = dict(picture_metadata(data, identify(data[:HEAD_BYTES], len(data)).media_type))
        for name in ("camera-serial", "camera-internal-serial"):
            if name in pairs:
                found[path.name[:4], name] = pairs[name]
    assert found == {
        ("0076", "camera-internal-serial"): "F341001200316",
        ("0082", "camera-serial"): "2188172",
        ("0127", "camera-serial"): "6114551",
        ("0146", "camera-serial"): "00002539",
        ("0177", "camera-internal-serial"): "K020406110058",
        ("0249", "camera-serial"): "142066080698",
    }


def test_it_costs_next_to_nothing(photos: list[Path]) -> None:
    times = []
    for path in photos:
        data = path.read_bytes()
        media_type = identify(data[:HEAD_BYTES], len(data)).media_type
        runs = []
        for _ in range(5):
            started = time.process_time()
            picture_metadata(data, media_type)
            runs.append(time.process_time() - started)
        times.append(min(runs))
    assert sorted(times)[len(times) // 2] < 0.001  # measured: 0.06 ms; a loaded machine may take longer
