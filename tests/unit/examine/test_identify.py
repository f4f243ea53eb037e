"""Types are told by content: every row of the table, the structures, and real files with known names."""

from __future__ import annotations

import csv
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from caid_triage.examine import identify as module
from caid_triage.examine.identify import HEAD_BYTES, identify
from caid_triage.examine.signatures import SIGNATURES
from caid_triage.model import Kind

# Ogg is told apart by its streams, below.
ROWS = [row for row in SIGNATURES if row[3] != "application/ogg"]


@pytest.mark.parametrize(("offset", "signature", "kind", "media_type"), ROWS)
def test_each_row_of_the_table_is_reached(offset: int, signature: bytes, kind: Kind, media_type: str) -> None:
    head = bytes(offset) + signature + bytes(64)
    found = identify(head)
    assert (found.kind, found.media_type) == (kind, media_type)


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("JPEG", "image/jpeg"),
        ("PNG", "image/png"),
        ("GIF", "image/gif"),
        ("WEBP", "image/webp"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        ("ICO", "image/vnd.microsoft.icon"),
        ("JPEG2000", "image/jp2"),
        ("PPM", "image/x-portable-pixmap"),
        ("PCX", "image/x-pcx"),
        ("SGI", "image/x-sgi"),
        ("DDS", "image/vnd.ms-dds"),
        ("QOI", "image/qoi"),
    ],
)
def test_what_pillow_writes(encoded, form: str, media_type: str) -> None:
    assert identify(encoded(form)[:HEAD_BYTES]) == module.Identified(Kind.IMAGE, media_type)


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + bytes(40)


@pytest.mark.parametrize(
    ("head", "kind", "media_type"),
    [
        (ftyp(b"isom", b"mp42"), Kind.VIDEO, "video/mp4"),
        (ftyp(b"M4V "), Kind.VIDEO, "video/x-m4v"),
        (ftyp(b"qt  "), Kind.VIDEO, "video/quicktime"),
        (ftyp(b"3gp5"), Kind.VIDEO, "video/3gpp"),
        (ftyp(b"3g2a"), Kind.VIDEO, "video/3gpp2"),
        (ftyp(b"M4A "), Kind.OTHER, "audio/mp4"),
        (ftyp(b"heic"), Kind.IMAGE, "image/heic"),
        (ftyp(b"mif1", b"heic"), Kind.IMAGE, "image/heic"),
        (ftyp(b"mif1", b"avif"), Kind.IMAGE, "image/avif"),
        (ftyp(b"avis", b"msf1"), Kind.IMAGE, "image/avif"),
        (ftyp(b"mif1"), Kind.IMAGE, "image/heif"),
        (ftyp(b"crx "), Kind.IMAGE, "image/x-canon-cr3"),
        (struct.pack(">I", 200) + b"moov" + bytes(192), Kind.VIDEO, "video/quicktime"),
        (struct.pack(">I", 1 << 30) + b"mdat" + bytes(64), Kind.VIDEO, "video/quicktime"),
        (struct.pack(">I", 8) + b"wide" + struct.pack(">I", 99) + b"mdat" + bytes(99), Kind.VIDEO, "video/quicktime"),
        (struct.pack(">I", 8) + b"free" + b"just some text after", Kind.OTHER, "application/octet-stream"),
        (b"RIFF\x10\0\0\0AVI LIST" + bytes(9), Kind.VIDEO, "video/x-msvideo"),
        (b"RIFF\x10\0\0\0WAVEfmt " + bytes(9), Kind.OTHER, "audio/x-wav"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm" + bytes(30), Kind.VIDEO, "video/webm"),
        (b"\x1aE\xdf\xa3\x9fB\x82\x88matroska" + bytes(30), Kind.VIDEO, "video/x-matroska"),
        (b"OggS" + bytes(24) + b"\x80theora" + bytes(40), Kind.VIDEO, "video/ogg"),
        (b"OggS" + bytes(24) + b"\x01vorbis" + bytes(40), Kind.OTHER, "audio/ogg"),
        ((b"G" + bytes(187)) * 6, Kind.VIDEO, "video/mp2t"),
        ((bytes(4) + b"G" + bytes(187)) * 6, Kind.VIDEO, "video/mp2t"),
        (b"II+\0\x08\0\0\0" + bytes(60), Kind.IMAGE, "image/tiff"),
        (b"MM\0+\0\x08\0\0" + bytes(60), Kind.IMAGE, "image/tiff"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(60), Kind.IMAGE, "image/x-canon-cr2"),
        (b"\xff\xd8\xff\xf7" + bytes(60), Kind.IMAGE, "image/jls"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'/>", Kind.IMAGE, "image/svg+xml"),
        (b"<html><body><svg/></body></html>", Kind.OTHER, "text/html"),
        ("Grüße aus Köln".encode("latin-1"), Kind.OTHER, "text/plain"),
        ("Grüße".encode("utf-16"), Kind.OTHER, "text/plain"),
        (b"BM is how this text begins, and it is long enough", Kind.OTHER, "text/plain"),
        (b"junk %PDF-1.4", Kind.OTHER, "application/pdf"),
        (b"\x93\x00\x01\x02nothing known", Kind.OTHER, "application/octet-stream"),
        (b"", Kind.OTHER, "inode/x-empty"),
    ],
)
def test_structures(head: bytes, kind: Kind, media_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_libmagic", lambda: None)
    assert identify(head) == module.Identified(kind, media_type)


def test_a_tiff_with_the_dng_tag_is_a_raw_picture() -> None:
    directory = struct.pack("<H", 1) + struct.pack("<HHI4s", 0xC612, 1, 4, b"\1\4\0\0")
    assert identify(b"II*\0\x08\0\0\0" + directory + bytes(32)).media_type == "image/x-adobe-dng"


def test_documents_in_zips() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", "x")
    assert identify(stream.getvalue()).media_type.endswith("wordprocessingml.document")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
    assert identify(stream.getvalue()).media_type == "application/vnd.oasis.opendocument.text"


def test_an_animated_png_is_told_from_a_still_one(encoded) -> None:
    other = Image.effect_noise((320, 240), 40).convert("RGB")
    assert identify(encoded("PNG", save_all=True, append_images=[other])).media_type == "image/apng"


def test_libmagic_is_asked_only_about_what_the_table_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(head: bytes) -> str:
        asked.append(head)
        return "video/x-strange"

    monkeypatch.setattr(module, "_libmagic", lambda: answer)
    assert identify(b"\xff\xd8\xff\xe0").kind is Kind.IMAGE
    assert identify(b"plain words").kind is Kind.OTHER
    assert not asked
    assert identify(b"\x93\x00\x01\x02") == module.Identified(Kind.VIDEO, "video/x-strange")


PICTURES = """
jpg jpeg png gif webp bmp tif tiff ico cur psd jp2 j2k jxl heic heif hif avif avifs pbm pgm ppm pnm pam xcf dds svg
icns qoi sgi pcx jpx jpf dng cr2 nef arw orf raf rw2 cr3 pef exr hdr ras xpm xbm jpc jfif mpo
"""
VIDEOS = "mp4 m4v mov 3gp 3g2 avi mkv webm wmv asf flv mpg mpeg ts m2ts mts ogv rm mng mj2"


def test_real_files_by_the_thousand(shared: Path) -> None:
    """At most 1 in 100 real pictures and videos is missed; extensions stand for the truth."""
    with (shared / "hostile" / "INDEX.tsv").open(encoding="utf-8") as index:
        valid = {row["file"] for row in csv.DictReader(index, delimiter="\t") if row["expected"] == "valid"}
    pictures, videos = frozenset(PICTURES.split()), frozenset(VIDEOS.split())
    counted = missed = confused = 0
    with tarfile.open(shared / "hostile" / "corpus.tar.xz") as corpus:
        for member in corpus:
            suffix = member.name.rpartition(".")[2].lower()
            name = member.name if member.name in valid else member.name.partition("/")[2]
            content = corpus.extractfile(member)
            if content is None or name not in valid or suffix not in pictures | videos:
                continue
            found = identify(content.read(HEAD_BYTES), member.size).kind
            wanted = Kind.IMAGE if suffix in pictures else Kind.VIDEO
            counted += 1
            missed += found is Kind.OTHER
            confused += found not in (wanted, Kind.OTHER)
    assert counted > 600
    assert missed <= counted // 100, (missed, counted)
    assert confused <= 2
