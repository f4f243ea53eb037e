"""Archives that libarchive reads: RAR (4 and 5), CAB, LHA, cpio, ar. Read from front to back, whatever they claim."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import PIECE, Inner, Listed, problem
from caid_triage.examine.libraries import library

FOLDER, KIND = 0o040000, 0o170000


def archive_files(content: Content) -> Iterator[Listed]:
    """The files of an archive in its order."""
    archi = library("archi")
    if archi is None:
        yield problem("inside-no-reader", "archives of this kind cannot be opened here (archi is not installed)")
        return
    content.seek(0)
    try:
        for number, entry in enumerate(archi.Archive(content), 1):
            if entry.mode & KIND == FOLDER:
                continue
            name = entry.filename or f"file-{number}"
            raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape")
            yield Inner(raw, partial(_pieces, entry), entry.size)
    except archi.Error as error:
        if "encrypt" in str(error).lower() or "passphrase" in str(error).lower():
            text = "the archive is encrypted; what of it needs the password was not examined"
            yield problem("inside-encrypted", text)
            return
        yield problem("inside-damaged", f"the archive cannot be read to its end: {error}"[:300])


def _pieces(entry: Any) -> Iterator[bytes]:
    while piece := entry.read(PIECE):
        yield bytes(piece)
