"""The ledger of every real image: it tiles the image, and what it says of files is what Sleuth Kit says of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from golden.images_table import OTHERS
from golden.make_expected import CASES
from support.file_runs import runs_of_living
from support.ledgers import check_ledger

from caid_triage.errors import EvidenceError
from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.ranges import clipped, merged, total, without
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, State

# In use by the map of the file system although no living file's run says so: blocks of extended attributes (ext2), and
# on exfat-orphan the clusters of a file that no folder names any more
NO_FILE_S = {
    "ext2-e01": 2048,
    "ext2-split-e01": 2048,
    "ext2-split-raw": 2048,
    "dfvfs-ext2.qcow2": 2048,
    "dfvfs-ext2.vhd": 2048,
    "dfvfs-ext2.vmdk": 2048,
    "exfat-orphan": 40960,
}


def image_of(name: str, golden_image: Callable[[str], Path], request: pytest.FixtureRequest) -> Path:
    if name in CASES:
        return golden_image(name)
    path: Path = request.getfixturevalue("shared") / "images" / name
    if not path.exists():
        pytest.skip(f"{name} is not in the folder of real images")
    return path


@pytest.mark.parametrize("carving", ["none", "fast"])
@pytest.mark.parametrize("name", [*CASES, *OTHERS])
def test_the_ledger_tiles_the_image_also_when_everything_was_read(
    name: str, carving: str, golden_image: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    source = open_source(image_of(name, golden_image, request), "E", "s", carving=carving)
    check_ledger(source)
    placed = []
    for item in source.walk():
        if not isinstance(item, FileEntry) or not item.readable or (item.size or 0) > 32 << 20:
            continue
        try:
            for _ in source.chunks(item):
                pass
        except EvidenceError:
            continue
        if item.state is State.ALLOCATED and item.physical_offset is not None and item.size:
            placed.append(item.physical_offset)
    lines = check_ledger(source)
    # a file of NTFS of which nothing was ever written is slack from its first byte on
    kept = ("file_content", "metadata", "file_system", "slack", "slack_searched")
    in_use = merged((line.start, line.end) for line in lines if line.kind in kept)
    assert not without(merged((place, place + 1) for place in placed), in_use)
    kinds = {line.kind for line in lines}
    if carving == "none":
        assert not any(kind.endswith("_searched") for kind in kinds)
    else:
        assert "unallocated" not in kinds
    source.close()


@pytest.mark.parametrize("name", [*CASES, *OTHERS])
def test_file_content_is_what_living_files_and_folders_have(
    name: str, golden_image: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    source = open_source(image_of(name, golden_image, request), "E", "s")
    lines = check_ledger(source)
    more = 0
    for system in source._systems:
        if not isinstance(system, OpenFileSystem) or system.volume.parent:
            continue
        low, high = system.volume.offset, system.volume.offset + system.volume.length
        content, told = (
            merged((line.start, line.end) for line in lines if line.volume == system.volume.name and line.kind in kinds)
            for kinds in (("file_content",), ("file_content", "file_system", "unreadable"))
        )
        living = clipped(runs_of_living(system), low, high)
        assert not without(living, told), system.volume.name
        more += total(without(content, living))
    assert more == NO_FILE_S.get(name, 0)
    source.close()
