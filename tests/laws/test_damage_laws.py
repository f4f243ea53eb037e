"""No silent miss on a damaged volume: a file whose content is still there is listed, or a Problem tells of its loss.

Not asked: a file that is still listed, with another content, because its entry was changed into one that makes sense.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, Problem, Severity
from caid_triage.synth.exfat import build_exfat
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.fat import build_fat
from caid_triage.synth.iso9660 import build_iso
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

COPIES = int(os.environ.get("CAID_TRIAGE_DAMAGED_COPIES", "12"))
"""Damaged copies of each volume; ``make damage`` takes more of them."""


def plan() -> list[PlannedFile]:
    chance = random.Random(8)
    places = ("", "/A", "/A/B", "/D/E")
    return [
        PlannedFile(f"{place}/F{number}.BIN", chance.randbytes(chance.choice((900, 2500, 9000))))
        for place in places
        for number in range(7)
    ]


BUILT: dict[str, Callable[[], bytes | bytearray]] = {
    "ext2": lambda: build_ext2(plan(), size=2 << 20),
    "fat12": lambda: build_fat(plan(), size=2 << 20, bits=12),
    "fat16": lambda: build_fat(plan(), size=4 << 20, bits=16, cluster=512),
    "exfat": lambda: build_exfat(plan(), size=2 << 20),
    "ntfs": lambda: build_ntfs(plan(), size=2 << 20),
    "iso": lambda: build_iso(plan()),
}

Told = Counter[tuple[str, str, str]]


def seen(path: Path) -> tuple[dict[str, str], set[str], Told]:
    """The path by each SHA-256 that a quick scan has, all paths, and what it tells as a Problem."""
    source = open_source(path, "E", "s")
    found: dict[str, str] = {}
    paths: set[str] = set()
    problems = list(source.problems())
    for item in source.walk(named_only=True):
        if isinstance(item, Problem):
            problems.append(item)
        elif isinstance(item, FileEntry):
            problems += item.problems
            paths.add(item.path)
            if item.readable and item.size:
                try:
                    content = b"".join(source.chunks(item))
                except EvidenceError as error:
                    problems.append(Problem(error.step, error.code, error.detail, path=item.path))
                else:
                    found.setdefault(hashlib.sha256(content).hexdigest(), item.path)
    source.close()
    return (
        found,
        paths,
        Counter((one.code, one.path, one.detail) for one in problems if one.severity is Severity.PROBLEM),
    )


def damaged(data: bytes, seed: str, spared: list[tuple[int, int]]) -> bytes:
    """A copy with some bytes changed or a part wiped, outside the content of files."""
    chance = random.Random(seed)
    made = bytearray(data)

    def place() -> int:
        while True:
            at = chance.randrange(len(made) // 64) * 64
            if any(data[at : at + 64]) and not any(low < at + 64 and at < high for low, high in spared):
                return at

    if chance.random() < 0.6:
        for _ in range(chance.choice((1, 4, 40))):
            made[place() + chance.randrange(64)] = chance.randrange(256)
    else:
        at, length = place(), chance.choice((64, 512, 1024, 4096))
        made[at : at + length] = bytes(len(made[at : at + length]))
    for low, high in spared:
        made[low:high] = data[low:high]
    return bytes(made)


@pytest.mark.parametrize("kind", sorted(BUILT))
def test_what_is_still_there_is_listed_or_its_loss_is_told(kind: str, tmp_path: Path) -> None:
    data = bytes(BUILT[kind]())
    path = tmp_path / "disk.img"
    path.write_bytes(data)
    whole, _, told = seen(path)
    wanted = {hashlib.sha256(one.content).hexdigest(): one for one in plan()}
    assert set(wanted) <= set(whole)
    spared = []
    for one in wanted.values():
        at = data.index(one.content[:512])
        assert data[at : at + len(one.content)] == one.content, "the plan has no files in pieces"
        spared.append((at, at + len(one.content)))
    silent = []
    touched = 0
    for number in range(COPIES):
        path.write_bytes(damaged(data, f"{kind}-{number}", spared))
        try:
            found, paths, now = seen(path)
        except SourceError:
            continue
        lost = [one.path for digest, one in wanted.items() if digest not in found and one.path not in paths]
        touched += found != whole or now != told
        if lost and not now - told:
            silent.append((number, lost))
    assert not silent
    assert touched, "the damage changed nothing: it proves nothing"
