"""The hashes that a logical image keeps of its files: they stand in the locators of its entries."""

from __future__ import annotations

from caid_triage.model import Digests, FileEntry, Problem

NO_HASH = -1
_LENGTHS = (("md5", 16), ("sha1", 20))


def stored_hashes(entry: FileEntry) -> dict[str, bytes]:
    """The digests that the image keeps of a file, by hashlib's names."""
    numbers = zip(_LENGTHS, entry.locator, strict=False)
    return {name: number.to_bytes(length, "big") for (name, length), number in numbers if number != NO_HASH}


def disagreements(entry: FileEntry, digests: Digests) -> tuple[Problem, ...]:
    """A Problem for each stored hash of a file that is not that of its content."""
    return tuple(
        Problem("read", "file-hash-mismatch", sentence)
        for name, stored in stored_hashes(entry).items()
        if (found := getattr(digests, name)) != stored
        for sentence in [f"the {name.upper()} of the content is {found.hex()}, but {stored.hex()} was stored with it"]
    )
