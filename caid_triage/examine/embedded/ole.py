"""Compound files (MS-CFB): Word, Excel and PowerPoint up to 2003, Outlook messages, thumbnails of Windows XP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, problem, unread, whole
from caid_triage.examine.embedded.pictures_in import pictures_in
from caid_triage.examine.identify import HEAD_BYTES, identify
from caid_triage.examine.libraries import library
from caid_triage.examine.video_bytes import in_memory
from caid_triage.model import Kind

MOST_STREAMS = 100_000
LEAST_BYTES = 128
MOST_MORE = 1 << 20
THUMBNAIL_HEADERS = (12, 24)
# Streams of a message that hold an attachment's bytes (MS-OXMSG 2.2.2: PidTagAttachDataBinary).
ATTACHMENT = "__substg1.0_37010102"


def ole_streams(content: Content) -> Iterator[Listed]:
    """The pictures, films and attachments of a compound file: whole streams, and pictures that lie inside others."""
    olefile = library("olefile")
    if olefile is None:
        yield problem("inside-no-reader", "compound files cannot be opened here (olefile is not installed)")
        return
    content.seek(0)
    left = content.size + MOST_MORE
    with olefile.OleFileIO(content, raise_defects=olefile.DEFECT_FATAL) as file:
        for number, path in enumerate(file.listdir(streams=True, storages=False)):
            if number >= MOST_STREAMS:
                yield problem("inside-budget", f"only the first {MOST_STREAMS} streams were looked at")
                return
            size = file.get_size(path)
            if size < LEAST_BYTES:
                continue
            # Streams do not overlap: together they are no larger than the file, or one runs in circles.
            left -= size
            if left < 0:
                yield problem("inside-damaged", "the streams claim to be larger than the file; the rest was left alone")
                return
            yield from _stream(file, path)


def _stream(file: Any, path: list[str]) -> Iterator[Listed]:
    """What one stream holds."""
    name = "/".join(path).encode("utf-8", "surrogatepass")
    try:
        data = file.openstream(path).read()
    except OSError as error:
        yield unread(name, f"the stream could not be read ({type(error).__name__})")
        return
    data = data[_thumbnail_header(data) :]
    what = identify(data[:HEAD_BYTES], len(data))
    if what.kind is not Kind.OTHER or path[-1] == ATTACHMENT:
        yield Inner(name, whole(data), len(data))
        return
    for inner in pictures_in(Content(in_memory(data))):
        if isinstance(inner, Inner):
            yield Inner(name + b"/" + inner.name, inner.pieces, inner.size)
        else:
            yield inner


def _thumbnail_header(data: bytes) -> int:
    """How many bytes stand before the picture in a stream of Thumbs.db, 0 in any other stream.

    The header states its own length, 12 bytes or 24 where the picture's sides are in it, and that of the picture behind
    it. Pictures of the oldest kind, JPEGs without their tables (16 bytes more), are no files and are left alone.
    """
    size, _, length = (int.from_bytes(data[at : at + 4], "little") for at in (0, 4, 8))
    return size if size in THUMBNAIL_HEADERS and size + length == len(data) else 0
