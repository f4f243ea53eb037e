"""The file beside a file, which a cache of two files needs: the living one of that name in the same folder, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from unit.evidence.test_library_file_systems import xfs  # noqa: F401 - a fixture

from caid_triage.evidence.source import EvidenceSource, open_source
from caid_triage.model import FileEntry, State
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

NAME = "thumbnails.data"
SAMPLES = bytes(range(256)) * 300
PLAN = [
    PlannedFile("/var/C/cache/index.sqlite", b"index" * 500),
    PlannedFile(f"/var/C/cache/{NAME}", SAMPLES),
    PlannedFile("/var/C/other/index.sqlite", b"lonely" * 500),
    PlannedFile("/index.sqlite", b"root" * 500),
    PlannedFile(f"/{NAME}", SAMPLES[::-1]),
]
VOLUMES: dict[str, Callable[[list[PlannedFile]], bytearray]] = {
    "ntfs": lambda plan: build_ntfs(plan, size=8 << 20),
    "ext2": lambda plan: build_ext2(plan, size=8 << 20),
    "fat": lambda plan: build_fat(plan, size=8 << 20, cluster=1024),
    "exfat": lambda plan: build_exfat(plan, size=8 << 20),
}


def check_found(source: EvidenceSource, entries: list[FileEntry]) -> None:
    by_path = {entry.path: entry for entry in entries}
    for folder, content in (("/var/C/cache", SAMPLES), ("", SAMPLES[::-1])):
        index = by_path[f"{folder}/index.sqlite"]
        found = source.beside(index, NAME)
        assert found is not None
        walked = by_path[f"{folder}/{NAME}"]
        assert (found.path, found.raw_path, found.size, found.locator, found.number) == (
            walked.path, walked.raw_path, len(content), walked.locator, index.number,
        )  # fmt: skip
        assert source.read_at(found, 0, len(content)) == content
        assert source.read_at(found, 70_000, 99) == content[70_000:70_099]
    assert source.beside(by_path["/var/C/other/index.sqlite"], NAME) is None


@pytest.mark.parametrize("kind", VOLUMES)
def test_it_is_found_in_the_same_folder_and_nowhere_else(
    kind: str, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(VOLUMES[kind](PLAN))
    check_found(source, walked(source)[0])


def test_it_is_found_in_a_folder_and_on_a_disc(
    tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    for planned in PLAN:
        path = tmp_path / "in" / planned.path[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(planned.content)
    source = opened(tmp_path / "in")
    check_found(source, walked(source)[0])
    disc = opened(build_iso([PlannedFile("/A/INDEX.SQL", b"i"), PlannedFile("/A/THUMB.DAT", b"samples")]))
    index = next(entry for entry in walked(disc)[0] if entry.path.upper().startswith("/A/INDEX.SQL"))
    beside = next(entry for entry in walked(disc)[0] if entry.path.upper().startswith("/A/THUMB.DAT"))
    found = disc.beside(index, beside.path.rpartition("/")[2])
    assert found is not None
    assert disc.read_at(found, 0, 7) == b"samples"


@pytest.mark.parametrize("image", ["dfvfs-hfsplus.raw", "dfvfs-apfs.raw", "xfs"])
def test_every_living_file_is_beside_every_other_of_its_folder(
    image: str, shared: Path, request: pytest.FixtureRequest, tmp_path: Path, walked: Callable[..., Any]
) -> None:
    path = shared / "images" / image
    if image == "xfs":
        path = tmp_path / "xfs.img"
        path.write_bytes(request.getfixturevalue("xfs"))
    source = open_source(path, "E", "s")
    entries = [e for e in walked(source)[0] if e.state is State.ALLOCATED and e.readable and not e.stream]
    pairs = 0
    for entry in entries:
        for other in entries:
            name = other.path.rpartition("/")[2]
            if not name.isascii():
                continue
            found = source.beside(entry, name)
            if other.parent_path != entry.parent_path:
                same = [e for e in entries if e.path == f"{entry.parent_path.rstrip('/')}/{name}"]
                assert (found is None) is (not same)
                continue
            assert found is not None, (entry.path, name)
            assert (found.path, found.raw_path, found.size, found.locator) == (
                other.path, other.raw_path, other.size, other.locator,
            )  # fmt: skip
            assert source.read_at(found, 0, min(9, found.size or 0)) == b"".join(source.chunks(other))[:9]
            pairs += 1
    source.close()
    assert pairs >= 3


@pytest.mark.parametrize("kind", VOLUMES)
def test_what_is_deleted_is_beside_nothing_and_nothing_is_beside_it(
    kind: str, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    plan = [
        PlannedFile("/a/index.sqlite", b"index" * 500),
        PlannedFile(f"/a/{NAME}", SAMPLES, deleted=True),
        PlannedFile("/b/index.sqlite", b"index" * 500, deleted=True),
        PlannedFile(f"/b/{NAME}", SAMPLES),
    ]
    source = opened(VOLUMES[kind](plan))
    indexes = [entry for entry in walked(source)[0] if entry.path.lower().endswith("ndex.sqlite")]
    assert {entry.state for entry in indexes} >= {State.ALLOCATED, State.DELETED}
    assert [source.beside(entry, NAME) for entry in indexes] == [None] * len(indexes)


def test_a_link_or_a_folder_of_that_name_is_not_opened(
    tmp_path: Path, opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    (tmp_path / "secret").write_bytes(b"outside of the evidence")
    for place in ("link", "folder", "gone"):
        (tmp_path / "in" / place).mkdir(parents=True)
        (tmp_path / "in" / place / "index.sqlite").write_bytes(b"index")
    (tmp_path / "in" / "link" / NAME).symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "folder" / NAME).mkdir()
    source = opened(tmp_path / "in")
    entries = walked(source)[0]
    assert len(entries) == 3
    assert [source.beside(entry, NAME) for entry in entries] == [None] * 3


def test_a_stream_a_carved_file_and_another_volume_have_nothing_beside_them(
    opened: Callable[..., Any], walked: Callable[..., Any]
) -> None:
    source = opened(build_ntfs(PLAN, size=8 << 20))
    index = next(entry for entry in walked(source)[0] if entry.path == "/var/C/cache/index.sqlite")
    for changed in (
        replace(index, stream="here"),
        replace(index, state=State.CARVED, locator=(-1, 0, 5)),
        replace(index, locator=(9, *index.locator[1:])),
        replace(index, locator=()),
        replace(index, inode=(index.inode or 0) + 1),
        replace(index, raw_path=b"/var/\xff/index.sqlite"),
        replace(index, raw_path=b"/nowhere/index.sqlite"),
    ):
        assert source.beside(changed, NAME) is None
