"""Compound files (MS-CFB): Word, Excel and PowerPoint up to 2003, Outlook messages, thumbnails of Windows XP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, problem, whole
from caid_triage.examine.embedded.pictures_in import pictures_in
from caid_triage.examine.identify import HEAD_BYTES, identify
from caid_triage.examine.libraries import library
from caid_triage.examine.video_bytes import in_memory
from caid_triage.model import Kind

MOST_STREAMS = 100_000
LEAST_BYTES = 128
# Streams of a message that hold an attachment's bytes (MS-OXMSG 2.2.2: PidTagAttachDataBinary).
ATTACHMENT = "__substg1.0_37010102"


def ole_streams(content: Content) -> Iterator[Listed]:
    """The pictures, films and attachments of a compound file: whole streams, and pictures that lie inside others."""
    olefile = library("olefile")
    if olefile is None:
        yield problem("inside-no-reader", "compound files cannot be opened here (olefile is not installed)")
        return
    content.seek(0)
    with olefile.OleFileIO(content, raise_defects=olefile.DEFECT_FATAL) as file:
        for number, path in enumerate(file.listdir(streams=True, storages=False)):
            if number >= MOST_STREAMS:
                yield problem("inside-budget", f"only the first {MOST_STREAMS} streams were looked at")
                return
            if file.get_size(path) >= LEAST_BYTES:
                yield from _stream(file, path)


def _stream(file: Any, path: list[str]) -> Iterator[Listed]:
    """What one stream holds."""
    data = file.openstream(path).read()
    name = "/".join(path).encode("utf-8", "surrogatepass")
    what = identify(data[:HEAD_BYTES], len(data))
    if what.kind is not Kind.OTHER or path[-1] == ATTACHMENT:
        yield Inner(name, whole(data), len(data))
        return
    for inner in pictures_in(Content(in_memory(data))):
        if isinstance(inner, Inner):
            yield Inner(name + b"/" + inner.name, inner.pieces, inner.size)
