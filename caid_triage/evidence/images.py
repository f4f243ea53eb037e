"""The kinds of image: a block device, a disk in one of many forms, or a logical image; open_image picks one.

A new kind of container is one module in containers/ and one line of its registry; of a logical image, in logical/.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytsk3

from caid_triage.errors import SourceError
from caid_triage.evidence import ewf, image_file
from caid_triage.evidence.containers.dmg import open_sparse_bundle
from caid_triage.evidence.containers.reader import ContainerImage, HashedParts, OpenContainer
from caid_triage.evidence.containers.registry import opener_of
from caid_triage.evidence.disk import DiskSource
from caid_triage.evidence.logical.registry import logical_opener_of
from caid_triage.evidence.logical.source import LogicalSource
from caid_triage.evidence.recognise import container_name, is_plain_text, is_sparse_bundle
from caid_triage.model import Problem, SourceInfo

_UNDERSTOOD = (
    "Raw images (one file, or .001 .002 ...), E01, Ex01, L01, Lx01, AD1, AFF4, VMDK, VHD, VHDX, QCOW2, VDI and DMG "
    "images, folders and block devices can be scanned"
)


def open_image(path: Path, exhibit: str, name: str) -> DiskSource | LogicalSource:
    """Open a block device or an image (its first segment). Errors: SourceError, saying what to do."""
    for recognised, opened in KINDS:
        if recognised(path):
            return opened(path, exhibit, name)
    message = f"{path} is neither a file, a folder nor a block device. {_UNDERSTOOD}"
    raise SourceError(message)


class OpenDisk(NamedTuple):
    """A disk whose bytes can be read; nothing of its partitions and file systems was looked at."""

    info: SourceInfo
    image: pytsk3.Img_Info
    problems: tuple[Problem, ...] = ()
    hashed: HashedParts | None = None


def open_disk(path: Path, exhibit: str, name: str) -> OpenDisk:
    """Open a block device or the image of a disk for its bytes alone. Errors: SourceError, saying what to do.

    So a disk can be read whose volumes are encrypted, damaged or of no known kind.
    """
    if path.is_dir() and not is_sparse_bundle(path):
        raise SourceError(f"{path} is a folder, and not a disk: it has no sectors to sample. Scan it instead")
    for recognised, opened in DISKS:
        if recognised(path):
            return opened(path, exhibit, name)
    if _is_logical(path):
        raise SourceError(f"{path} is a logical image: it holds files, and no sectors to sample. Scan it instead")
    if path.is_file():
        return _raw_disk(path, exhibit, name)
    raise SourceError(f"{path} is neither a file nor a block device. {_UNDERSTOOD}")


def _is_ewf(path: Path) -> bool:
    return path.is_file() and image_file.head_and_tail(path)[0].startswith(ewf.SIGNATURES)


def _device_disk(path: Path, exhibit: str, name: str) -> OpenDisk:
    size = image_file.byte_size(path)
    return OpenDisk(SourceInfo(exhibit, name, "device", size, (str(path),)), image_file.open_raw([path]))


def _open_device(path: Path, exhibit: str, name: str) -> DiskSource:
    return DiskSource(*_device_disk(path, exhibit, name))


def _ewf_disk(path: Path, exhibit: str, name: str) -> OpenDisk:
    segments, bad_areas = ewf.find_segments(path)
    image, facts, problems = ewf.open_ewf(segments)
    if bad_areas:
        detail = f"{bad_areas} areas of the disk could not be read when it was acquired; the image has zeros there"
        problems.append(Problem("open", "acquisition-errors", detail))
    info = SourceInfo(exhibit, name, "ewf", image.get_size(), tuple(map(str, segments)), facts)
    return OpenDisk(info, image, tuple(problems))


def _open_ewf(path: Path, exhibit: str, name: str) -> DiskSource:
    return DiskSource(*_ewf_disk(path, exhibit, name))


def _is_container(path: Path) -> bool:
    return path.is_file() and opener_of(*image_file.head_and_tail(path)) is not None


def _container_disk(path: Path, exhibit: str, name: str) -> OpenDisk:
    opened = opener_of(*image_file.head_and_tail(path))
    assert opened is not None
    return _disk_of(opened(path), exhibit, name)


def _open_container(path: Path, exhibit: str, name: str) -> DiskSource:
    return DiskSource(*_container_disk(path, exhibit, name))


def _is_logical(path: Path) -> bool:
    return path.is_file() and logical_opener_of(image_file.head_and_tail(path)[0]) is not None


def _open_logical(path: Path, exhibit: str, name: str) -> LogicalSource:
    opened = logical_opener_of(image_file.head_and_tail(path)[0])
    assert opened is not None
    return LogicalSource(opened(path), exhibit, name)


def _bundle_disk(path: Path, exhibit: str, name: str) -> OpenDisk:
    return _disk_of(open_sparse_bundle(path), exhibit, name)


def _open_bundle(path: Path, exhibit: str, name: str) -> DiskSource:
    return DiskSource(*_bundle_disk(path, exhibit, name))


def _disk_of(opened: OpenContainer, exhibit: str, name: str) -> OpenDisk:
    segments = tuple(map(str, opened.segments))
    info = SourceInfo(exhibit, name, opened.kind, opened.reader.size, segments, opened.facts)
    return OpenDisk(info, ContainerImage(opened.reader), tuple(opened.problems), opened.hashed)


def _raw_disk(path: Path, exhibit: str, name: str) -> OpenDisk:
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
    return OpenDisk(SourceInfo(exhibit, name, kind, size, tuple(map(str, segments))), image)


def _open_raw(path: Path, exhibit: str, name: str) -> DiskSource:
    source = DiskSource(*_raw_disk(path, exhibit, name))
    head, size = image_file.head_and_tail(path)[0], source.info.size or 0
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


KINDS: tuple[tuple[Callable[[Path], bool], Callable[[Path, str, str], DiskSource | LogicalSource]], ...] = (
    (is_sparse_bundle, _open_bundle),
    (image_file.is_device, _open_device),
    (_is_ewf, _open_ewf),
    (_is_container, _open_container),
    (_is_logical, _open_logical),
    (Path.is_file, _open_raw),
)
"""The kinds of source in the order they are tried: (whether a path is one, how to open it)."""

DISKS: tuple[tuple[Callable[[Path], bool], Callable[[Path, str, str], OpenDisk]], ...] = (
    (is_sparse_bundle, _bundle_disk),
    (image_file.is_device, _device_disk),
    (_is_ewf, _ewf_disk),
    (_is_container, _container_disk),
)
"""Of these the kinds that are a disk and no list of files, but for raw images, which are what is left."""
