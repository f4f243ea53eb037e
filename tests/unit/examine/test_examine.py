"""One content in, one Examination out: the same whatever the pieces, and always with its digests."""

from __future__ import annotations

import hashlib
from pathlib import Path

import imagehash
import numpy as np
import pdqhash
import pytest
from PIL import Image

from caid_triage.examine import examine as module
from caid_triage.examine.examine import Examiner, examine_file, prepare_decoders
from caid_triage.examine.limits import Limits
from caid_triage.model import DecodeState, Kind, Severity


def by_name(examination):
    return {found.algorithm: found for found in examination.hashes}


def codes(examination) -> list[str]:
    return [problem.code for problem in examination.problems]


def test_digests_are_those_of_the_whole_content(examined) -> None:
    data = bytes(range(256)) * 9000
    found = examined(data, step=777)
    assert found.digests.md5 == hashlib.md5(data).digest()
    assert found.digests.sha1 == hashlib.sha1(data).digest()
    assert found.digests.sha256 == hashlib.sha256(data).digest()
    assert found.bytes_read == len(data)


def test_digests_may_be_asked_before_the_end(encoded) -> None:
    data = encoded("PNG")
    run = Examiner(Limits()).begin("a.png", len(data))
    run.update(data)
    early = run.digests()
    assert run.finish().digests == early


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_pieces_do_not_matter(encoded, examined, form: str) -> None:
    data = encoded(form, size=(700, 500))
    whole = examined(data)
    assert whole.decode_state is DecodeState.DECODED
    for step in (1, 4096, 65536, 65537) if len(data) < 200_000 else (1000, 65536, 65537):
        assert examined(data, step=step) == whole


def test_hashes_are_those_of_the_reference_packages(encoded, examined, tmp_path: Path) -> None:
    for form, mode in (("JPEG", "L"), ("PNG", "RGB"), ("BMP", "RGB"), ("WEBP", "RGB")):
        path = tmp_path / "x"
        path.write_bytes(encoded(form, mode=mode, size=(640, 480)))
        found = by_name(examine_file(path))
        with Image.open(path) as image:
            vector, quality = pdqhash.compute(np.asarray(image.convert("RGB")))
            assert found["phash"].value.hex() == str(imagehash.phash(image))
        assert (found["pdq"].value, found["pdq"].quality) == (np.packbits(vector).tobytes(), quality)
        assert found["phash"].quality is None


def test_an_empty_file_is_no_problem(examined) -> None:
    found = examined(b"")
    assert (found.kind, found.media_type, found.decode_state) == (Kind.OTHER, "inode/x-empty", DecodeState.NOT_MEDIA)
    assert found.digests.md5.hex() == "d41d8cd98f00b204e9800998ecf8427e"
    assert found.problems == ()


def test_a_document_is_digested_and_nothing_more(examined) -> None:
    found = examined(b"%PDF-1.7\n" + bytes(300_000))
    assert (found.kind, found.media_type) == (Kind.OTHER, "application/pdf")
    assert (found.decode_state, found.problems, found.hashes) == (DecodeState.NOT_MEDIA, (), ())


def test_a_video_without_its_decoder_is_a_problem(examined, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("caid_triage.examine.video.library", lambda _name: None)
    found = examined(b"RIFF\x10\0\0\0AVI LIST" + bytes(100_000))
    assert (found.kind, found.decode_state) == (Kind.VIDEO, DecodeState.NOT_ATTEMPTED)
    assert codes(found) == ["video-frames-not-hashed"]
    assert found.problems[0].severity is Severity.PROBLEM


@pytest.mark.parametrize(("start", "most"), [(b"\x7fELF\x02\x01", 1 << 21), (b"\x1aE\xdf\xa3", 10 << 20)])
def test_what_is_no_picture_or_is_a_long_video_is_not_held(start: bytes, most: int) -> None:
    run = Examiner(Limits(max_video_bytes=8 << 20)).begin()
    for _ in range(40):
        run.update(start + bytes(1 << 20))
        assert sum(map(len, run._kept)) <= most
    found = run.finish()
    assert found.bytes_read == 40 * ((1 << 20) + len(start))
    assert codes(found) == (["video-not-read"] if most > 1 << 21 else [])


def test_a_picture_file_over_the_limit_is_refused_with_digests(encoded, examined) -> None:
    data = encoded("BMP")
    found = examined(data, step=10_000, limits=Limits(max_content_bytes=100_000))
    assert (found.decode_state, codes(found)) == (DecodeState.REFUSED, ["content-too-large"])
    assert found.digests.sha256 == hashlib.sha256(data).digest()
    assert (found.width, found.height) == (320, 240)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (90, 120, 33)])
def test_a_blank_has_no_phash_and_no_quality(examined, colour: tuple[int, int, int], tmp_path: Path) -> None:
    Image.new("RGB", (200, 150), colour).save(tmp_path / "blank.png")
    found = examine_file(tmp_path / "blank.png")
    assert found.decode_state is DecodeState.DECODED
    assert codes(found) == ["flat-picture"]
    assert set(by_name(found)) == {"pdq"}
    assert by_name(found)["pdq"].quality == 0


def test_a_tiny_picture_has_no_pdq(tmp_path: Path) -> None:
    Image.effect_noise((40, 4), 90).save(tmp_path / "tiny.png")
    found = examine_file(tmp_path / "tiny.png")
    assert "too-small" in codes(found)
    assert "pdq" not in by_name(found)


def test_a_cut_picture_keeps_its_digests_and_is_partial(encoded, examined) -> None:
    data = encoded("JPEG", size=(640, 480))[:-4000]
    found = examined(data)
    assert (found.decode_state, codes(found)) == (DecodeState.PARTIAL, ["partial-decode"])
    assert {"pdq", "phash", "pdq-turned"} <= set(by_name(found))
    assert found.digests.md5 == hashlib.md5(data).digest()


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (MemoryError(), "decoder-out-of-memory"),
        (LookupError("odd"), "decoder-failed"),
        (ZeroDivisionError(), "decoder-failed"),
    ],
)
def test_whatever_a_decoder_raises_costs_the_decode_only(
    encoded, examined, raised: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise raised

    monkeypatch.setattr(module, "decode", fails)
    found = examined(encoded("PNG"))
    assert (found.decode_state, codes(found)) == (DecodeState.UNDECODABLE, [code])
    assert found.problems[0].severity is Severity.PROBLEM
    assert found.digests is not None


def test_every_state_but_two_has_a_problem(encoded, examined) -> None:
    samples = [encoded("JPEG"), encoded("JPEG")[:3000], b"\xff\xd8\xff", b"text", b"\xff\x0a" + bytes(99), b"GIF89a"]
    for data in samples:
        found = examined(data)
        assert bool(found.problems) == (found.decode_state not in (DecodeState.DECODED, DecodeState.NOT_MEDIA))


def test_nothing_depends_on_the_name(encoded) -> None:
    data = encoded("JPEG")
    results = []
    for name in ("", "a.jpg", "a.txt", "a.mp4"):
        run = Examiner().begin(name, len(data))
        run.update(data)
        results.append(run.finish())
    assert all(found == results[0] for found in results)


def test_decoders_can_be_prepared_twice() -> None:
    prepare_decoders()
    prepare_decoders()
