"""What an EvidenceSource can do, the ordered list of kinds, and open_source, which picks one.

Everything is opened for reading only. A new kind of container is one
module in containers/ and one line of its registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from caid_triage.errors import SourceError
from caid_triage.evidence import ewf, image_file
from caid_triage.evidence.containers.dmg import is_sparse_bundle, open_sparse_bundle
from caid_triage.evidence.containers.reader import ContainerImage, OpenContainer
from caid_triage.evidence.containers.registry import opener_of
from caid_triage.evidence.directory import DirectorySource
from caid_triage.evidence.disk import DiskSource
from caid_triage.evidence.faults import plain_reason
from caid_triage.evidence.recognise import container_name, is_plain_text
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import FileEntry, Problem, SourceInfo, Volume

_UNDERSTOOD = (
    "Raw images (one file, or .001 .002 ...), E01, AFF4, VMDK, VHD, VHDX, QCOW2, VDI and DMG images, folders and "
    "block devices can be scanned"
)


class EvidenceSource(Protocol):
    """An acquired copy of an exhibit, open for reading only. Not safe for several threads at once."""

    info: SourceInfo

    def volumes(self) -> Sequence[Volume]:
        """Every volume, also those whose files cannot be reached."""
        ...

    def problems(self) -> Sequence[Problem]:
        """What was found amiss with the source and its volumes on opening (not with single files)."""
        ...

    def walk(self) -> Iterator[FileEntry | Problem]:
        """Every file, lazily, in the same order each time; Problems met on the way stand where they were met."""
        ...

    def chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """The content in pieces of at most 1 MiB, ``entry.size`` bytes together; EvidenceError at a fault."""
        ...

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of the content from ``offset``; EvidenceError at a fault or beyond the end.

        An entry whose content can only be read from its beginning gives EvidenceError with the code "no-random-access".
        """
        ...

    def coverage(self) -> dict[str, int]:
        """Bytes by kind of area, summing to ``info.size``; for a folder {"files": n} after the walk."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


def open_source(
    path: Path, exhibit: str, name: str, secrets: Secrets = NO_SECRETS, carving: str = "none"
) -> EvidenceSource:
    """Open an image (its first segment), a block device or a folder, for reading only.

    ``name`` is what reports call the source. ``secrets`` are tried on every encrypted volume of a disk; ``carving`` is
    how its free space is searched (carve/carving.py). Errors: SourceError, saying what to do.
    """
    try:
        path.stat()
    except OSError as error:
        message = f"{path} could not be opened: {plain_reason(error)}. Check the name, and that the disk is connected"
        raise SourceError(message) from error
    for recognised, opened in KINDS:
        if recognised(path):
            source = opened(path, exhibit, name)
            if isinstance(source, DiskSource):
                source.unlock(secrets)
                source.carve(carving)
            return source
    message = f"{path} is neither a file, a folder nor a block device. {_UNDERSTOOD}"
    raise SourceError(message)


def _is_ewf(path: Path) -> bool:
    return path.is_file() and image_file.head_and_tail(path)[0].startswith(ewf.SIGNATURES)


def _open_directory(path: Path, exhibit: str, name: str) -> EvidenceSource:
    return DirectorySource(path, exhibit, name)


def _open_device(path: Path, exhibit: str, name: str) -> EvidenceSource:
    size = image_file.byte_size(path)
    return DiskSource(SourceInfo(exhibit, name, "device", size, (str(path),)), image_file.open_raw([path]))


def _open_ewf(path: Path, exhibit: str, name: str) -> EvidenceSource:
    segments, bad_areas = ewf.find_segments(path)
    image, facts, problems = ewf.open_ewf(segments)
    if bad_areas:
        detail = f"{bad_areas} areas of the disk could not be read when it was acquired; the image has zeros there"
        problems.append(Problem("open", "acquisition-errors", detail))
    info = SourceInfo(exhibit, name, "ewf", image.get_size(), tuple(map(str, segments)), facts)
    return DiskSource(info, image, problems)


def _is_container(path: Path) -> bool:
    return path.is_file() and opener_of(*image_file.head_and_tail(path)) is not None


def _open_container(path: Path, exhibit: str, name: str) -> EvidenceSource:
    opened = opener_of(*image_file.head_and_tail(path))
    assert opened is not None
    return _disk_of(opened(path), exhibit, name)


def _open_bundle(path: Path, exhibit: str, name: str) -> EvidenceSource:
    return _disk_of(open_sparse_bundle(path), exhibit, name)


def _disk_of(opened: OpenContainer, exhibit: str, name: str) -> DiskSource:
    segments = tuple(map(str, opened.segments))
    info = SourceInfo(exhibit, name, opened.kind, opened.reader.size, segments, opened.facts)
    return DiskSource(info, ContainerImage(opened.reader), opened.problems, opened.hashed)


def _open_raw(path: Path, exhibit: str, name: str) -> EvidenceSource:
    head, _ = image_file.head_and_tail(path)
    if not head:
        message = f"{path} is empty. {_UNDERSTOOD}"
        raise SourceError(message)
    segments = image_file.find_segments(path)
    known = container_name(head)
    if known is not None and len(segments) == 1:
        what, advice = known
        message = f"{path} is a {what}, which cannot be read yet: {advice}"
        raise SourceError(message)
    image = image_file.open_raw(segments)
    size = int(image.get_size())
    kind = "raw" if len(segments) == 1 else "split-raw"
    source = DiskSource(SourceInfo(exhibit, name, kind, size, tuple(map(str, segments))), image)
    if _nothing_recognised(source) and (size < 512 or is_plain_text(head)):
        source.close()
        message = (
            f"{path} is not a disk image that this tool understands: it has no partition table and no file system, "
            f"and looks like {'text' if size >= 512 else 'a very small file'}. {_UNDERSTOOD}; "
            f"to scan single files, put them in a folder and scan the folder"
        )
        raise SourceError(message)
    return source


def _nothing_recognised(source: DiskSource) -> bool:
    codes = {problem.code for problem in source.problems()}
    understood = any(
        volume.status in ("examined", "encrypted", "empty", "unwrapped", "unlocked") for volume in source.volumes()
    )
    return not source.has_partition_table and not understood and "file-system-not-understood" in codes


KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path, str, str], EvidenceSource]], ...] = (
    (is_sparse_bundle, _open_bundle),
    (Path.is_dir, _open_directory),
    (image_file.is_device, _open_device),
    (_is_ewf, _open_ewf),
    (_is_container, _open_container),
    (Path.is_file, _open_raw),
)
"""The kinds of source in the order they are tried: (whether a path is one, how to open it)."""
