"""The beginnings and the origin of pictures: identification, headers, EXIF, XMP, boxes, thumbnails, the marks of JPEG.

The first byte chooses the media type that a content is read as ("as identified" for 0). Nothing of another library
runs. Laws: a type is one word; a header's size is not negative; what is said of the origin keeps to the sizes that the
coordinator takes; a thumbnail is a whole JPEG in the content; a second reading is the same.
"""

from __future__ import annotations

import os
import tarfile
import zlib
from pathlib import Path

from support.carvables import carvables
from support.embedded import exif_with, with_thumbnails
from support.inside_seeds import JPEG, SEEDS, drawn
from unit.examine import metadata_files

from caid_triage.examine.embedded.appended import end_where_more_follows
from caid_triage.examine.embedded.browser_cache import firefox_body
from caid_triage.examine.embedded.listers import lister_of
from caid_triage.examine.headers import read_header
from caid_triage.examine.identify import HEAD_BYTES, identify
from caid_triage.examine.jpeg import cut_scans, scan_jpeg
from caid_triage.examine.mended import mended
from caid_triage.examine.metadata import picture_metadata
from caid_triage.examine.thumbnail import thumbnails
from caid_triage.examine.video_bytes import in_memory
from caid_triage.examine.video_structure import missing_end
from caid_triage.examine.xmp import read_xmp
from fuzz.target import Target, expect

TYPES = (
    "", "image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "image/tiff", "image/heic", "image/avif",
    "image/jxl", "image/jls", "image/jxr", "image/vnd.adobe.photoshop", "image/jp2", "image/x-portable-anymap",
    "image/vnd.radiance", "image/x-exr", "image/x-dpx", "image/x-sgi", "image/x-sun-raster", "image/x-pcx",
    "image/x-tga", "image/x-icon", "image/icns", "image/x-canon-cr2", "image/x-fujifilm-raf", "image/x-canon-cr3",
)  # fmt: skip
SHARED = "CAID_SHARED"
MOST_OF_CORPUS, LONGEST_OF_CORPUS = 400, 6_000


def check(data: bytes) -> str:
    number, content = (data[0] if data else 0) % len(TYPES), data[1:]
    what = identify(content[:HEAD_BYTES], len(content))
    expect(what.media_type.isascii() and what.media_type.isprintable(), "a media type that is no word")
    expect(what == identify(content[:HEAD_BYTES], len(content)), "identified as another at second sight")
    media_type = TYPES[number] or what.media_type
    header = read_header(content, media_type)
    if header is not None:
        expect(all(side is None or side >= 0 for side in (header.width, header.height)), "a negative size")
    said = picture_metadata(content, media_type)
    expect(said == picture_metadata(content, media_type), "another origin at second sight")
    expect(len(said) <= 200, "more is said of the origin than the coordinator takes")
    for name, text in said:
        expect(name.isascii() and 0 < len(name) <= 40 and len(text) <= 1_000, "a statement that is too long")
    small = thumbnails(content, media_type)
    for one in small:
        expect(one.data[:2] == b"\xff\xd8" and one.width > 0 and one.height > 0, "a thumbnail that is no JPEG")
    scan = scan_jpeg(content)
    if len(scan.scans) > 1:
        cut_scans(content, scan, 1)
    mended(content, media_type)
    end = end_where_more_follows(content)
    expect(not end or 0 < end < len(content), "more follows behind the end")
    firefox_body(content)
    lister_of(what.media_type, content[:HEAD_BYTES])
    read_xmp(content)
    missing_end(in_memory(content))
    return f"{what.media_type}{', said' if said else ''}{', small' if small else ''}"


def seeds() -> dict[str, bytes]:
    """Pictures with every kind of statement of their origin; of the hostile corpus what is small, where it is there."""
    packet = metadata_files.packet('tiff:Make="Canon" xmp:CreatorTool="x"')
    made: dict[str, bytes] = {}
    made |= {name: data[:LONGEST_OF_CORPUS] for name, data in carvables().items()}
    made |= {
        name: seed() for name, seed in SEEDS.items() if "picture" in name or "thumbnail" in name or "photo" in name
    }
    for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "TGA", "PCX", "SGI", "JPEG2000"):
        made[form] = drawn(form)
    exif = exif_with(JPEG)
    made["exif in jpeg"] = metadata_files.jpeg_with(
        b"Exif\0\0" + exif if not exif.startswith(b"Exif") else exif, packet
    )
    made["xmp in webp"] = metadata_files.webp((b"XMP ", packet), (b"EXIF", exif))
    made["xmp alone"] = packet
    made["heif items"] = metadata_files.heif([(b"Exif", b"\0\0\0\0" + exif), (b"mime", packet)])
    made["psd"] = metadata_files.psd((1058, exif), (1060, packet))
    made["thumbnails"] = with_thumbnails(JPEG, JPEG, drawn("JPEG", 32))
    found = {name: b"\0" + data for name, data in made.items()}
    return found | {f"corpus {name}": b"\0" + data for name, data in _of_corpus().items()}


def _of_corpus() -> dict[str, bytes]:
    """Small files of the shared folder of hostile ones (CAID_SHARED names it); the same ones each time."""
    archive = Path(os.environ.get(SHARED, "")) / "hostile" / "corpus.tar.xz"
    if not os.environ.get(SHARED) or not archive.is_file():
        return {}
    found = {}
    with tarfile.open(archive) as corpus:
        for member in corpus:
            file = corpus.extractfile(member) if member.isfile() and member.size <= LONGEST_OF_CORPUS else None
            if file is not None and zlib.crc32(member.name.encode()) % 3 == 0:
                found[member.name] = file.read()
            if len(found) >= MOST_OF_CORPUS:
                break
    return found


TARGET = Target("headers", "beginnings and origin of pictures", seeds, check, (), longest=1 << 14, seconds=3.0)
