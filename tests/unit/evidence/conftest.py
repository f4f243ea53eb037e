"""Small images for the evidence tests, made when needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.model import FileEntry, Problem
from caid_triage.synth.lessons import build_lesson


@pytest.fixture(scope="session")
def ntfs_image() -> bytes:
    """An 8 MiB NTFS volume with live and deleted files."""
    return bytes(build_lesson("told-apart-ntfs").image)


@pytest.fixture(scope="session")
def fat_image() -> bytes:
    """An 8 MiB FAT16 volume with live and deleted files."""
    return bytes(build_lesson("deleted-fat16").image)


@pytest.fixture(scope="session")
def ext_image() -> bytes:
    """An 8 MiB ext2 volume with live and deleted files."""
    return bytes(build_lesson("deleted-ext2").image)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., EvidenceSource]]:
    """A function that opens a source and has it closed after the test; bytes become an image file first."""
    sources: list[EvidenceSource] = []

    def opener(what: Path | bytes | bytearray) -> EvidenceSource:
        if not isinstance(what, Path):
            path = tmp_path / f"disk{len(sources)}.img"
            path.write_bytes(what)
            what = path
        source = open_source(what, "ABC/1", "disk")
        sources.append(source)
        return source

    yield opener
    for source in sources:
        source.close()


@pytest.fixture
def walked() -> Callable[[EvidenceSource], tuple[list[FileEntry], list[Problem]]]:
    """A function that walks a source to its end and sorts what it yields."""

    def walk(source: EvidenceSource) -> tuple[list[FileEntry], list[Problem]]:
        found = list(source.walk())
        entries = [item for item in found if isinstance(item, FileEntry)]
        assert [entry.number for entry in entries] == list(range(len(entries)))
        return entries, [item for item in found if isinstance(item, Problem)]

    return walk


@pytest.fixture
def sha256_of() -> Callable[[EvidenceSource, FileEntry], str]:
    """A function that reads an entry as a worker does and gives the SHA-256 in hex."""

    def digest(source: EvidenceSource, entry: FileEntry) -> str:
        pieces = list(source.chunks(entry))
        assert all(len(piece) <= 1 << 20 for piece in pieces)
        assert sum(map(len, pieces)) == entry.size
        return hashlib.sha256(b"".join(pieces)).hexdigest()

    return digest
