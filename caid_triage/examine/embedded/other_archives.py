"""Archives that libarchive reads: RAR (4 and 5), CAB, ar. Read from front to back, whatever they claim."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner, Listed, locked, problem
from caid_triage.examine.embedded.libarchive import Archive, ArchiveFault, load
from caid_triage.examine.libraries import library


def archive_files(content: Content) -> Iterator[Listed]:
    """The files of an archive in its order."""
    libarchive = _libarchive()
    if libarchive is None:
        yield problem("inside-no-reader", "archives of this kind cannot be opened here (archi is not installed)")
        return
    try:
        with Archive(libarchive, content) as archive:
            for number, entry in enumerate(archive.entries(), 1):
                name = entry.name or b"file-%d" % number
                if entry.is_encrypted:
                    yield locked(name, "an archive", entry.size)
                elif not entry.is_folder:
                    yield Inner(name, archive.pieces, entry.size)
    except ArchiveFault as fault:
        if "encrypt" in str(fault).lower() or "passphrase" in str(fault).lower():
            text = "the archive is encrypted; what of it needs the password was not examined"
            yield problem("inside-encrypted", text)
            return
        yield problem("inside-damaged", f"the archive cannot be read to its end: {fault}")


@lru_cache(maxsize=1)
def _libarchive() -> Any:
    """The libarchive that archi was built with, None where there is none, or it cannot be called."""
    archi = library("archi")
    try:
        return None if archi is None else load(str(archi.__file__))
    except (OSError, AttributeError):
        return None
