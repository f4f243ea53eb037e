"""Each optional library, there and not there: a documented problem, never an error."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from caid_triage.examine.examine import prepare_decoders
from caid_triage.examine.libraries import OPTIONAL, library
from caid_triage.model import DecodeState, Severity

JXL = bytes.fromhex("ff0afb4024080401009ef601") + bytes(64)


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All optional libraries gone, as if they were not installed."""
    library.cache_clear()
    with monkeypatch.context() as patched:
        for name in OPTIONAL:
            patched.setitem(sys.modules, name, None)
        yield
    library.cache_clear()


@pytest.fixture
def heic(picture) -> bytes:
    module = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    module.from_pillow(Image.fromarray(picture())).save(stream)
    return stream.getvalue()


def raw(preview: bytes = b"") -> bytes:
    """A file that begins as Fujifilm's raw files do, with a preview in it or without."""
    return b"FUJIFILMCCD-RAW 0201FF129502" + bytes(4000) + preview + bytes(2000)


def codes(found) -> list[tuple[str, Severity]]:
    return [(item.code, item.severity) for item in found.problems]


def test_without_any_of_them_every_type_is_named(heic, hidden, examined) -> None:
    prepare_decoders()
    samples = {"image/heic": heic, "image/jxl": JXL, "image/x-fuji-raf": raw()}
    for media_type, data in samples.items():
        found = examined(data)
        assert (found.media_type, found.decode_state) == (media_type, DecodeState.NOT_ATTEMPTED)
        assert codes(found) == [("no-decoder", Severity.PROBLEM)]
        assert "extra" in found.problems[0].detail
    assert (examined(JXL).width, examined(JXL).height) == (320, 240)
    assert (examined(heic).width, examined(heic).height) == (320, 240)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_without_any_of_them_the_usual_types_are_decoded(hidden, examined, encoded, form: str) -> None:
    data = encoded(form)
    assert examined(data).decode_state is DecodeState.DECODED
    assert examined(data[:-200]).decode_state in (DecodeState.PARTIAL, DecodeState.UNDECODABLE)


def test_with_them_the_same_files_are_opened(heic, examined) -> None:
    found = examined(heic)
    assert (found.decode_state, found.width, found.height) == (DecodeState.DECODED, 320, 240)
    assert codes(found) == []


def test_a_library_that_cannot_load_is_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        message = f"lib{name}.so: cannot open shared object file"
        raise OSError(message)

    library.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr("importlib.import_module", broken)
        assert [library(name) for name in OPTIONAL] == [None] * len(OPTIONAL)
    library.cache_clear()


def test_the_largest_preview_of_a_raw_file_is_hashed_and_said(hidden, examined, encoded) -> None:
    thumbnail, preview = encoded("JPEG", size=(160, 120)), encoded("JPEG", size=(800, 600), seed=4)
    found = examined(raw(thumbnail + bytes(33) + preview))
    assert (found.decode_state, codes(found)) == (DecodeState.DECODED, [("preview-hashed", Severity.NOTE)])
    assert (found.width, found.height) == (800, 600)
    assert found.hashes == examined(preview).hashes
    small = examined(raw(thumbnail))
    assert (small.width, small.height) == (160, 120)


def test_a_damaged_preview_is_partial(hidden, examined, encoded) -> None:
    preview = encoded("JPEG", size=(800, 600), seed=4)
    found = examined(raw()[:4028] + preview[: len(preview) // 2])
    assert found.decode_state is DecodeState.PARTIAL
    assert [code for code, _ in codes(found)] == ["partial-decode", "preview-hashed"]


def dng(colours: np.ndarray) -> bytes:
    """A raw file without a preview: 16 bits a pixel behind a colour filter, in a TIFF with the tags of DNG."""
    height, width = colours.shape[:2]
    linear = np.rint((colours / 255.0) ** 2.2 * 60_000).astype("<u2")
    sensor = np.empty((height, width), dtype="<u2")
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sensor[row::2, column::2] = linear[row::2, column::2, channel]
    unit = np.array([[10_000, 10_000]] * 3, dtype="<u4").tobytes()
    matrix = np.array([[10_000 * (n % 4 == 0), 10_000] for n in range(9)], dtype="<i4").tobytes()
    # (tag, type, count, value): whole numbers in place, longer values behind the directory, None where the data begins
    rows = [
        (254, 4, 1, 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 32803),
        (271, 2, 5, b"Test\0\0"), (272, 2, 5, b"Test\0\0"), (273, 4, 1, None), (274, 3, 1, 1), (277, 3, 1, 1),
        (278, 4, 1, height), (279, 4, 1, sensor.nbytes), (33421, 3, 2, 2 | 2 << 16), (33422, 1, 4, 0x02010100),
        (50706, 1, 4, 0x0401), (50708, 2, 5, b"Test\0\0"), (50717, 4, 1, 60_000), (50721, 10, 9, matrix),
        (50728, 5, 3, unit), (50778, 3, 1, 21),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(rows) + 4
    data = start + sum(len(value) for *_, value in rows if isinstance(value, bytes))
    directory, behind = struct.pack("<H", len(rows)), b""
    for tag, form, count, value in rows:
        place = start + len(behind)
        behind += value if isinstance(value, bytes) else b""
        number = data if value is None else place if isinstance(value, bytes) else value
        directory += struct.pack("<HHII", tag, form, count, number)
    return b"II*\0\x08\0\0\0" + directory + bytes(4) + behind + sensor.tobytes()


def test_a_raw_file_without_a_preview_is_developed_if_that_is_installed(examined, picture) -> None:
    pytest.importorskip("rawpy")
    data = dng(picture(640, 480))
    found = examined(data)
    assert (found.media_type, found.decode_state) == ("image/x-adobe-dng", DecodeState.DECODED)
    assert codes(found) == [("raw-developed", Severity.NOTE)]
    assert (found.width, found.height) == (320, 240)
    assert examined(data) == found
    for share in (0.2, 0.5, 0.9, 0.999):
        cut = examined(data[: int(len(data) * share)])
        assert cut.decode_state in (DecodeState.PARTIAL, DecodeState.UNDECODABLE), share


def test_start_markers_without_end_cost_little(hidden, examined) -> None:
    found = examined(b"FUJIFILMCCD-RAW " + b"\xff\xd8\xff" * 3_000_000)
    assert found.decode_state is DecodeState.NOT_ATTEMPTED


def test_a_photoshop_file_that_no_decoder_knows_shows_its_preview(hidden, examined, encoded) -> None:
    header = b"8BPS\0\2" + bytes(6) + b"\0\4" + (600).to_bytes(4, "big") + (800).to_bytes(4, "big") + b"\0\x20\0\3"
    found = examined(header + bytes(40) + encoded("JPEG", size=(160, 120)) + bytes(500))
    assert (found.media_type, found.decode_state) == ("image/vnd.adobe.photoshop", DecodeState.PARTIAL)
    assert [code for code, _ in codes(found)] == ["partial-decode", "preview-hashed"]


def test_a_telephones_108_megapixels_are_decoded_and_a_png_of_them_is_not(examined) -> None:
    picture = Image.linear_gradient("L").resize((12_000, 9_000), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=30)
    found = examined(stream.getvalue())
    assert (found.decode_state, found.width, found.height) == (DecodeState.DECODED, 12_000, 9_000)
    cut = examined(stream.getvalue()[:-100_000])
    assert cut.decode_state in (DecodeState.PARTIAL, DecodeState.REFUSED)


def test_svg_is_never_rendered(examined) -> None:
    found = examined(b"<svg xmlns='http://www.w3.org/2000/svg' width='400' height='400'><rect/></svg>")
    assert (found.media_type, found.decode_state) == ("image/svg+xml", DecodeState.NOT_ATTEMPTED)
    assert codes(found) == [("no-decoder", Severity.NOTE)]


def test_a_claim_of_too_many_pixels_is_refused_before_any_of_them(examined) -> None:
    # JPEG XL: not small, height of 30 bits, no ratio, width of 30 bits.
    bits = 0 | 3 << 1 | (60_000 - 1) << 3 | 0 << 33 | 3 << 36 | (60_000 - 1) << 38
    jxl = b"\xff\x0a" + bits.to_bytes(16, "little") + bytes(64)
    box = np.array([20, 0, 60_000, 60_000], dtype=">u4").tobytes()
    heif = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + box[:4] + b"ispe" + box[4:] + bytes(64)
    for data in (jxl, heif):
        found = examined(data)
        assert (found.decode_state, found.width, found.height) == (DecodeState.REFUSED, 60_000, 60_000)
        assert codes(found) == [("too-many-pixels", Severity.PROBLEM)]
