"""The marker walk: whole JPEGs are whole, damaged ones are not, scans are counted as decoders would meet them."""

from __future__ import annotations

import numpy as np
import pytest

from caid_triage.examine.jpeg import cut_scans, scan_jpeg


@pytest.mark.parametrize(
    ("options", "mode", "components"),
    [
        ({}, "RGB", 3),
        ({"progressive": True}, "RGB", 3),
        ({"optimize": True, "quality": 30}, "RGB", 3),
        ({"restart_marker_blocks": 3}, "RGB", 3),
        ({"restart_marker_rows": 1, "progressive": True}, "RGB", 3),
        ({"subsampling": 0, "comment": b"\xff\xd9 not the end \xff\xda"}, "RGB", 3),
        ({}, "L", 1),
        ({}, "CMYK", 4),
    ],
)
def test_a_whole_jpeg_is_whole(encoded, options: dict[str, object], mode: str, components: int) -> None:
    scan = scan_jpeg(encoded("JPEG", mode=mode, **options))
    assert scan.damage == ""
    assert (scan.width, scan.height, scan.components, scan.precision) == (320, 240, components, 8)
    assert len(scan.scans) == 1 or options.get("progressive")


def test_bytes_after_the_end_do_not_matter(encoded) -> None:
    data = encoded("JPEG")
    assert scan_jpeg(data + data + b"\xff\xda trailing").scans == scan_jpeg(data).scans
    assert scan_jpeg(data + bytes(5000)).damage == ""


@pytest.mark.parametrize("percent", range(1, 100, 7))
def test_every_cut_is_seen(encoded, percent: int) -> None:
    data = encoded("JPEG", progressive=percent % 2 == 0)
    assert scan_jpeg(data[: len(data) * percent // 100]).damage


def test_a_sector_of_zeros_is_seen(encoded) -> None:
    data = bytearray(encoded("JPEG", quality=95))
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    assert "zeros" in scan_jpeg(bytes(data)).damage


def test_a_blank_picture_with_its_own_tables_is_not_called_damaged(encoded) -> None:
    from io import BytesIO

    from PIL import Image

    for colour in ((0, 0, 0), (255, 255, 255), (12, 200, 99)):
        for optimize in (False, True):
            stream = BytesIO()
            Image.new("RGB", (3000, 3000), colour).save(stream, "JPEG", optimize=optimize)
            assert scan_jpeg(stream.getvalue()).damage == ""


def test_erased_flash_is_seen(encoded) -> None:
    data = bytearray(encoded("JPEG", quality=95))
    middle = len(data) // 2
    data[middle : middle + 1024] = b"\xff" * 1024
    assert scan_jpeg(bytes(data)).damage


def test_most_random_sectors_are_seen(encoded) -> None:
    """About one in seven random sectors holds no marker by chance; no decoder complains about those either."""
    data = encoded("JPEG", quality=95)
    rng = np.random.default_rng(7)
    seen = 0
    for _ in range(100):
        damaged = bytearray(data)
        start = int(rng.integers(700, len(data) - 600))
        damaged[start : start + 512] = rng.bytes(512)
        seen += scan_jpeg(bytes(damaged)).damage != ""
    assert seen > 70


def test_restart_markers_out_of_order_are_seen(encoded) -> None:
    data = encoded("JPEG", restart_marker_blocks=2)
    first = data.index(b"\xff\xd1")
    assert "order" in scan_jpeg(data[:first] + b"\xff\xd5" + data[first + 2 :]).damage


def test_scans_are_counted_and_cut(encoded) -> None:
    data = encoded("JPEG", progressive=True)
    scan = scan_jpeg(data)
    assert len(scan.scans) > 5
    shorter = cut_scans(data, scan, 3)
    assert len(scan_jpeg(shorter).scans) == 3
    assert scan_jpeg(shorter).damage == ""


def test_scans_behind_damage_are_counted_too(encoded) -> None:
    """A bomb must not hide its scans behind a marker that stops the walk but not a decoder."""
    data = encoded("JPEG", progressive=True)
    scan = scan_jpeg(data)
    second = scan.scans[1]
    damaged = data[:second] + b"\xff\x02" + data[second:]
    assert scan_jpeg(damaged).damage
    assert len(scan_jpeg(damaged).scans) >= len(scan.scans)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xc0\x00\x03\x08", b"\xff\xd8" + bytes(99)],
)
def test_stubs_are_damaged_and_do_not_raise(data: bytes) -> None:
    assert scan_jpeg(data).damage
