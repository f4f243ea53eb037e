"""The small pictures that cameras and editors keep inside a picture, which may show what the picture no longer does."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.examine.embedded.inner import Thumbnail
from caid_triage.examine.jpeg import JpegScan, scan_jpeg
from caid_triage.examine.metadata import FAULTS
from caid_triage.examine.metadata_blocks import What, blocks, photoshop_resources
from caid_triage.examine.raw import RAW_TYPES, previews

START = b"\xff\xd8\xff"
# What lies before the picture data is looked through so far: room for every application segment that is in use.
HEAD_BYTES = 1 << 20
MOST_CANDIDATES = 16
SMALLEST_SIDE, LONGEST_SIDE = 32, 4096
# Of one picture so many are files of their own: the largest. Real cameras and editors write up to three.
MOST_LISTED = 4
MOST_BLOCKS = 8
# The end of a preview of camera raw is looked for in so many bytes, then in more.
REACHES = (1 << 16, 1 << 22, 64 << 20)
# Photoshop image resources that hold a thumbnail (1033 has its red and blue changed over), 28 bytes before the JPEG.
PHOTOSHOP_THUMBNAILS, PHOTOSHOP_HEADER = frozenset({1033, 1036}), 28


def thumbnails(data: bytes, media_type: str) -> tuple[Thumbnail, ...]:
    """The JPEGs that a picture keeps of itself, in its order, each content once, at most MOST_LISTED of them.

    Read are the application segments of JPEG, the previews of camera raw, resource 1036 of Photoshop's own format, and
    the EXIF of PNG, WebP, HEIC, AVIF, JPEG XL and JPEG 2000. Never raises for what the file holds.
    """
    found: list[Thumbnail] = []
    try:
        for one in _all(data, media_type):
            if one not in found:
                found.append(one)
    except FAULTS:  # what was found before a fault of the file stays
        pass
    kept = sorted(found, key=lambda one: -len(one.data))[:MOST_LISTED]
    return tuple(one for one in found if one in kept)


def _all(data: bytes, media_type: str) -> Iterator[Thumbnail]:
    if media_type == "image/jpeg":
        yield from _in_segments(data)
    elif media_type in RAW_TYPES:
        yield from _of_raw(data)
    elif media_type == "image/vnd.adobe.photoshop":
        for number, body in photoshop_resources(data):
            if number in PHOTOSHOP_THUMBNAILS:
                yield from _whole_jpegs(data[body[0] + PHOTOSHOP_HEADER : body[1]])
    elif media_type != "image/tiff":  # a TIFF's picture may itself be made of small JPEGs
        count = 0
        for what, block, _ in blocks(data, media_type):
            if what is What.EXIF:
                yield from _whole_jpegs(block[:HEAD_BYTES])
                count += 1
                if count == MOST_BLOCKS:
                    return


def _in_segments(data: bytes) -> Iterator[Thumbnail]:
    """Source: EXIF 2.32 4.5.8 (thumbnail of IFD1), JFIF 1.02 (JFXX), Photoshop image resource 1036.

    They are found by their own markers, not by the offsets of the segment, which editors leave wrong.
    """
    return _whole_jpegs(data[2 : _picture_data(data)])


def _whole_jpegs(part: bytes) -> Iterator[Thumbnail]:
    """The JPEGs with an end in a part of a file; one that lies in another is left to that."""
    position = 0
    for _ in range(MOST_CANDIDATES):
        position = part.find(START, position)
        if position < 0:
            return
        inner = part[position:]
        found = _whole(inner, scan_jpeg(inner))
        if found:
            yield found
        # A thumbnail that is cut or over its owner's data is not shown by any viewer either.
        position += len(found.data) if found else len(START)


def _whole(data: bytes, scan: JpegScan) -> Thumbnail | None:
    if not (scan.width and scan.height and scan.scans) or scan.damage:
        return None
    return Thumbnail(data[: scan.length], scan.width, scan.height, len(scan.scans))


def _of_raw(data: bytes) -> Iterator[Thumbnail]:
    """The previews of a camera raw file, whose frames are none of the sensor's."""
    end = 0
    for preview in previews(data, 1):
        if preview.offset < end:  # the thumbnail of a preview
            continue
        for reach in REACHES:
            inner = data[preview.offset : preview.offset + reach]
            found = _whole(inner, scan_jpeg(inner))
            if found:
                end = preview.offset + len(found.data)
                yield found
            if found or len(inner) < reach:
                break


def largest_thumbnail(data: bytes) -> bytes | None:
    """Return the largest whole JPEG among the application segments of a JPEG, None if none."""
    fitting = [one for one in _in_segments(data) if one.scans <= 1 and _is_of_use(one)]
    largest = max(fitting, key=lambda one: one.width * one.height, default=None)
    return None if largest is None else largest.data


def _is_of_use(one: Thumbnail) -> bool:
    return min(one.width, one.height) >= SMALLEST_SIDE and max(one.width, one.height) <= LONGEST_SIDE


def _picture_data(data: bytes) -> int:
    """Return where the application segments end: at the first marker that is neither one of them nor a comment."""
    position, limit = 2, min(len(data), HEAD_BYTES)
    while position + 4 <= limit and data[position] == 0xFF:
        code = data[position + 1]
        if not (0xE0 <= code <= 0xEF or code == 0xFE):
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return min(position, limit)
