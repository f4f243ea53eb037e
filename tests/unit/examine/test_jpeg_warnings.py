"""Damage inside the compressed data of a JPEG, where no marker tells of it."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from caid_triage.examine import jpeg_warnings
from caid_triage.examine.jpeg import scan_jpeg
from caid_triage.examine.jpeg_warnings import listening
from caid_triage.model import DecodeState


# A sequential picture of one piece often falls into step again and ends where it should: then nothing tells.
@pytest.mark.parametrize(
    ("options", "least"), [({}, 2), ({"progressive": True}, 16), ({"restart_marker_rows": 2}, 12)], ids=str
)
def test_most_sectors_overwritten_with_plausible_data_are_noticed(
    examined, picture, options: dict[str, object], least: int
) -> None:
    stream = io.BytesIO()
    Image.fromarray(picture(800, 600)).save(stream, "JPEG", quality=92, **options)
    data = stream.getvalue()
    assert examined(data).decode_state is DecodeState.DECODED
    rng = np.random.default_rng(3)
    first = scan_jpeg(data).scans[0] // 512 + 2
    noticed = noticed_by_markers = 0
    for sector in rng.choice(np.arange(first, len(data) // 512 - 1), 24, replace=False).tolist():
        noise = rng.integers(0, 255, 512, dtype=np.uint8).tobytes()  # no FF: every marker stays in its place
        damaged = data[: sector * 512] + noise + data[(sector + 1) * 512 :]
        noticed_by_markers += bool(scan_jpeg(damaged).damage)
        noticed += examined(damaged).decode_state is DecodeState.PARTIAL
    assert noticed >= least > 3 * noticed_by_markers


def test_real_photographs_are_not_called_damaged(shared: Path) -> None:
    from caid_triage.examine.decode import decode
    from caid_triage.examine.limits import Limits

    for path in sorted((shared / "pdq" / "data").rglob("*.jpg"))[::3]:
        assert decode(path.read_bytes(), "image/jpeg", Limits()).state is DecodeState.DECODED, path.name


def test_what_another_writes_meanwhile_is_handed_on(capfd: pytest.CaptureFixture[str]) -> None:
    found, damage = listening(lambda: os.write(2, b"a line of somebody else\nCorrupt JPEG data: bad Huffman code\n"))
    assert found > 0
    assert "lost its way" in damage
    assert capfd.readouterr().err == "a line of somebody else\n"


@pytest.mark.parametrize(
    ("line", "damaged"),
    [
        (b"Corrupt JPEG data: 2 extraneous bytes before marker 0xdb\n", False),
        (b"Corrupt JPEG data: 30 extraneous bytes before marker 0xd9\n", False),
        (b"Corrupt JPEG data: 32 extraneous bytes before marker 0xd9\n", True),
        (b"Corrupt JPEG data: 539 extraneous bytes before marker 0xd3\n", True),
        (b"Corrupt JPEG data: found marker 0xd5 instead of RST3\n", True),
        (b"Warning: unknown JFIF revision number 148.73\n", False),
        (b"", False),
    ],
)
def test_what_each_line_means(capfd: pytest.CaptureFixture[str], line: bytes, damaged: bool) -> None:
    assert bool(listening(lambda: os.write(2, line))[1]) is damaged
    assert capfd.readouterr().err == ""


def test_an_error_of_the_decoder_leaves_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        listening(fails)
    sys.stderr.write("still here\n")
    assert capfd.readouterr().err == "still here\n"


def test_without_a_place_to_listen_the_picture_is_decoded_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg_warnings, "_sink", lambda: None)
    assert listening(lambda: 7) == (7, "")
