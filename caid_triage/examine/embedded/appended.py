"""What follows a picture in its file: the film of a motion photo, the further pictures of a multi-picture file.

Telephones write a JPEG and, behind its end-of-image marker, a film of the seconds around it (Google, Samsung, Xiaomi);
in a HEIC the film stands in a box of its own (``mpvd``). Cameras append previews (CIPA DC-007, "MPO"). A viewer shows
none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed
from caid_triage.examine.embedded.pictures_in import jpeg_length
from caid_triage.examine.jpeg import scan_jpeg

JPEG_START = b"\xff\xd8\xff"
EOI = b"\xff\xd9"
MULTIPLE = b"MPF\0"
SEARCHED_HEAD = 1 << 16
MOST_PARTS = 32
LEAST_BYTES = 128
SEARCHED = 1 << 22


def end_where_more_follows(data: bytes) -> int:
    """Where the first image of a JPEG ends if something may follow it, 0 if nothing does.

    Most JPEGs end with their end-of-image marker, which costs nothing to see; those whose head says that further
    pictures follow (APP2 "MPF") and those that end otherwise are walked.
    """
    if data[-64:].rstrip(b"\0")[-2:] == EOI and MULTIPLE not in data[:SEARCHED_HEAD]:
        return 0
    scan = scan_jpeg(data)
    return scan.length if not scan.damage and scan.length + LEAST_BYTES <= len(data) else 0


def behind_jpeg(content: Content, end: int) -> Iterator[Listed]:
    """The films and pictures behind the first image of a JPEG, which takes ``end`` bytes."""
    at = end
    for _ in range(MOST_PARTS):
        tail = content.at(at, SEARCHED)
        film, picture = tail.find(b"ftyp"), tail.find(JPEG_START)
        starts = [place for place in (film - 4, picture) if place >= 0]
        if not starts or content.size - at < LEAST_BYTES:
            return
        start = min(starts)
        where = at + start
        if start == film - 4:
            length = _boxes_length(content, where)
            name = b"film-at-%d.mp4" % where
        else:
            length = jpeg_length(content.at(where, content.size - where))
            name = b"picture-at-%d.jpg" % where
        if length >= LEAST_BYTES:
            yield Inner(name, _pieces(content, where, length), length)
        at = where + max(length, 4)


def film_of_heif(content: Content) -> Iterator[Listed]:
    """The film that a HEIF picture carries in a box of its own."""
    for kind, start, length in _boxes(content, 0, content.size):
        if kind == b"mpvd":
            yield Inner(b"film-at-%d.mp4" % start, _pieces(content, start, length), length)


def _pieces(content: Content, start: int, length: int) -> Callable[[], Iterator[bytes]]:
    return partial(content.pieces, start, length)


def _boxes_length(content: Content, start: int) -> int:
    """How many bytes the boxes of a film from ``start`` take together."""
    end = start
    for _, body, length in _boxes(content, start, content.size):
        end = body + length
    return end - start


def _boxes(content: Content, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start of the body and its length of each ISO box (ISO 14496-12, 4.2); ends where no box can be."""
    while at + 8 <= end:
        head = content.at(at, 16)
        length, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
        if length == 1 and len(head) == 16:
            length, header = int.from_bytes(head[8:], "big"), 16
        elif length == 0:
            length = end - at
        if length < header or at + length > end or not (kind.isascii() and kind.decode("ascii").isprintable()):
            return
        yield kind, at + header, length - header
        at += length
