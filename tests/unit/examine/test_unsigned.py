"""Pictures without a signature, or with a damaged one, are told; texts and programs are not taken for them."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caid_triage.examine.identify import identify
from caid_triage.model import DecodeState, Kind


def targa(picture: np.ndarray, mode: str = "RGB", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(stream, "TGA", **options)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("compression", [None, "tga_rle"])
def test_tga(examined, picture, mode: str, compression: str | None) -> None:
    found = examined(targa(picture(), mode, compression=compression))
    assert (found.kind, found.media_type) == (Kind.IMAGE, "image/x-tga")
    assert (found.decode_state, found.width, found.height) == (DecodeState.DECODED, 320, 240)


def test_a_cut_tga_is_partial(examined, picture) -> None:
    data = targa(picture())
    assert examined(data[: len(data) * 3 // 4]).decode_state is DecodeState.PARTIAL


def test_a_bitmap_without_its_file_header(examined, picture) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture()).save(stream, "DIB")
    found = examined(stream.getvalue())
    assert (found.media_type, found.decode_state) == ("image/x-ms-dib", DecodeState.DECODED)
    assert examined(stream.getvalue() + bytes(100_000)).kind is Kind.OTHER


DAMAGE: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("JPEG", lambda data: b"\xff\xd8\xfe" + data[3:]),
    ("JPEG", lambda data: b"\xff\xd8\x00\x00\x13" + data[2:]),
    ("JPEG", lambda data: b"\x00\x00" + data[2:]),
    ("PNG", lambda data: b"\x00\x00\x00\x00" + data[4:]),
    ("PNG", lambda data: b"\x89PNG\n\x1a\n\n" + data[8:]),
]


@pytest.mark.parametrize(("form", "damage"), DAMAGE)
def test_a_damaged_start_is_mended_and_partial(examined, encoded, form: str, damage: Callable[[bytes], bytes]) -> None:
    data = encoded(form)
    found, whole = examined(damage(data)), examined(data)
    assert (found.kind, found.decode_state) == (Kind.IMAGE, DecodeState.PARTIAL)
    assert [problem.code for problem in found.problems] == ["partial-decode"]
    assert found.hashes == whole.hashes
    assert found.digests != whole.digests


# An impossible number of planes, and an unknown kind of header.
@pytest.mark.parametrize(("kind", "planes"), [(40, 0x7530), (48, 1)])
def test_lenient_bitmaps(kind: int, planes: int) -> None:
    data = b"BM" + struct.pack("<IIIIiiHH", 4096, 0, 1078, kind, 32, 32, planes, 8)
    data += bytes(4096 - len(data))
    assert identify(data, len(data)).media_type == "image/bmp"


def test_an_icon_with_odd_depth_is_told_by_what_it_holds() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(stream, "PNG")
    inside = stream.getvalue()
    data = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 500, len(inside), 22) + inside
    assert identify(data, len(data)).media_type == "image/vnd.microsoft.icon"


def test_no_program_or_text_is_taken_for_a_picture() -> None:
    """The interpreter's own folder: thousands of compiled and plain modules and their data."""
    taken = []
    for path in sorted(Path(random.__file__).parent.rglob("*"))[:6000]:
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(65536)
            if identify(head, path.stat().st_size).media_type in ("image/x-tga", "image/x-ms-dib"):
                taken.append(path.name)
    assert taken == []


def test_random_bytes_are_no_tga() -> None:
    rng = random.Random(4)
    for _ in range(50_000):
        assert identify(rng.randbytes(82), 82).media_type != "image/x-tga"
