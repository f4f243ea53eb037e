"""7-Zip archives, unpacked in memory a bounded number of bytes at a time."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, locked, problem, unread, whole
from caid_triage.examine.libraries import library

# So many bytes are unpacked at once: files of one solid block that go beyond it cost unpacking the block again.
AT_ONCE = 256 << 20
LARGEST = 512 << 20
MOST_PASSES = 32


def seven_zip_files(content: Content) -> Iterator[Listed]:
    """The files of a 7-Zip archive in its order."""
    py7zr = library("py7zr")
    if py7zr is None:
        yield problem("inside-no-reader", "7-Zip archives cannot be opened here (py7zr is not installed)")
        return
    content.seek(0)
    try:
        archive = py7zr.SevenZipFile(content, mode="r")
    except py7zr.exceptions.PasswordRequired:
        yield problem("inside-encrypted", "the archive needs a password even for its names; nothing of it was examined")
        return
    except py7zr.exceptions.ArchiveError as error:
        yield problem("inside-damaged", f"the archive could not be read: {type(error).__name__}")
        return
    with archive:
        files = [item for item in archive.list() if not item.is_directory]
        if archive.needs_password():
            for item in files:
                yield locked(_name(item), "a 7-Zip archive", item.uncompressed)
            return
        for number, group in enumerate(_groups(files)):
            if number == MOST_PASSES:
                text = f"it unpacks to more than {MOST_PASSES * AT_ONCE} bytes; the rest was not examined"
                yield problem("inside-budget", text)
                return
            yield from _unpacked(py7zr, archive, group)


def _name(item: Any) -> bytes:
    return str(item.filename).encode("utf-8", "surrogatepass")


def _groups(files: list[Any]) -> Iterator[list[Any]]:
    """The files in order, at most AT_ONCE bytes together; one that is too large alone."""
    group: list[Any] = []
    size = 0
    for item in files:
        if group and size + item.uncompressed > AT_ONCE:
            yield group
            group, size = [], 0
        group.append(item)
        size += item.uncompressed
    if group:
        yield group


def _unpacked(py7zr: Any, archive: Any, group: list[Any]) -> Iterator[Listed]:
    if group[0].uncompressed > LARGEST:
        yield unread(_name(group[0]), f"it unpacks to more than {LARGEST} bytes", group[0].uncompressed)
        return
    names = [item.filename for item in group]
    factory = py7zr.io.BytesIOFactory(LARGEST)
    try:
        archive.reset()
        archive.extract(targets=names, factory=factory)
    except (py7zr.exceptions.ArchiveError, OSError, EOFError, ValueError) as error:
        yield problem("inside-damaged", f"the archive could not be unpacked to its end: {type(error).__name__}")
    for item in group:
        held: BytesIO | None = factory.products.get(item.filename)
        if held is None:
            yield unread(_name(item), "it could not be unpacked", item.uncompressed)
            continue
        held.seek(0)
        yield Inner(_name(item), whole(held.read()), item.uncompressed)
