"""A file over a sector that cannot be read is never read as something else: Sleuth Kit gives zeros for it at times."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from caid_triage.errors import EvidenceError
from caid_triage.evidence.disk import DiskSource
from caid_triage.evidence.image_file import SplitImage
from caid_triage.evidence.proxied import ProxiedImage
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

RANDOM = random.Random(6)
# Lengths about the blocks of Sleuth Kit's cache (64 KiB) and the pieces in which a file is read (1 MiB).
LENGTHS = [700, 25652, 65024, 65025, 65100, 65535, 65536, 70000, 130900, (1 << 20) + 65100]
PLAN = [PlannedFile(f"/{length}.bin", bytes(RANDOM.choices(range(1, 256), k=length))) for length in LENGTHS]
SYSTEMS = {
    "NTFS": bytes(build_ntfs(PLAN, size=6 << 20)),
    "FAT": bytes(build_fat(PLAN, size=6 << 20, cluster=512)),
    "ext2": bytes(build_ext2(PLAN, size=6 << 20)),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_read_is_what_is_there_or_an_error(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SYSTEMS[name]
    (tmp_path / "disk.dd").write_bytes(disk)
    exact = SplitImage.exact
    bad = range(0)

    def failing(image: SplitImage, offset: int, size: int) -> bytes:
        if offset < bad.stop and offset + size > bad.start:
            raise OSError(errno.EIO, "Input/output error")
        return exact(image, offset, size)

    monkeypatch.setattr(SplitImage, "exact", failing)
    refused = 0
    for planned in PLAN:
        length = len(planned.content)
        place = disk.index(planned.content[:512])
        for sector in sorted({0, length // 2 // 512 * 512, (length - 1) // 512 * 512}):
            source = open_source(tmp_path / "disk.dd", "E", "s")  # anew: Sleuth Kit keeps what it has read
            assert isinstance(source, DiskSource)
            assert isinstance(source.image, ProxiedImage)
            (entry,) = (
                one for one in source.walk(named_only=True) if isinstance(one, FileEntry) and one.path == planned.path
            )
            bad = range(place + sector, place + sector + 512)
            try:
                read = b"".join(source.chunks(entry))
            except EvidenceError:
                refused += 1
            else:
                assert read == planned.content, (length, sector)
            bad = range(0)
            source.close()
    assert refused >= len(PLAN)
