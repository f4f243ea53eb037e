"""Tar archives, also inside a compressed stream: read from front to back, never by seeking."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO, cast

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import PIECE, Inner, Listed, problem
from caid_triage.model import FileTimes, Severity


def tar_files(content: Content) -> Iterator[Listed]:
    """The files of a tar archive in its order."""
    yield from files_of_stream(cast(BinaryIO, content))


def files_of_stream(stream: BinaryIO) -> Iterator[Listed]:
    """The files of a tar archive that is read from front to back. Links are counted, not followed."""
    links = 0
    try:
        with tarfile.open(
            fileobj=stream, mode="r|", errorlevel=1, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for member in archive:
                if member.islnk() or member.issym():
                    links += 1
                elif member.isreg():
                    name = member.name.encode("utf-8", "surrogateescape")
                    yield Inner(name, partial(_pieces, archive, member), member.size, _times(member.mtime))
                # Without this a tar of a million files would keep a million records.
                archive.members.clear()  # type: ignore[attr-defined]
    except tarfile.TarError as error:
        yield problem("inside-damaged", f"the archive cannot be read to its end: {error}")
    if links:
        text = f"{links} links of the archive lead to other files of it or elsewhere; they have no content of their own"
        yield problem("special-files", text, Severity.NOTE)


def _pieces(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(member)
    if file is None:
        return
    left = member.size
    while left > 0:
        piece = file.read(min(PIECE, left))
        if not piece:
            message = f"the archive ends {left} bytes before the end of the file"
            raise EOFError(message)
        left -= len(piece)
        yield piece


def _times(modified: float) -> FileTimes:
    try:
        return FileTimes(modified=datetime.fromtimestamp(modified, UTC))
    except (ValueError, OverflowError, OSError):
        return FileTimes()
