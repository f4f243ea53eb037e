"""Write docs/formats/images.md: what becomes of every real image in the folder beside the project.

    python tests/golden/images_table.py

tests/golden/test_images_table.py holds the document to what is really opened; run this after a change that is meant.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from golden.make_expected import CASES, IMAGES, unpack  # noqa: E402

from caid_triage.evidence.source import open_source  # noqa: E402
from caid_triage.model import FileEntry, Problem, Severity, State  # noqa: E402

DOCUMENT = PROJECT / "docs" / "formats" / "images.md"
OTHERS = (
    "Base-Linear-ReadError.aff4",
    "Base-Linear.aff4",
    "dfvfs-apfs.raw",
    "dfvfs-ext2.qcow2",
    "dfvfs-ext2.vhd",
    "dfvfs-ext2.vmdk",
    "dfvfs-hfsplus_zlib.dmg",
    "dfvfs-windows_volume.qcow2",
    "plaso-vsstest.qcow2",
)
# The further segments of split images: opened with the first.
SEGMENTS = ("ext2.split.E02", "ext2.splitraw.001", "image-split.E02")
SOURCES = {
    **{name: (file, member) for name, (file, member, _) in CASES.items()},
    **{name: (name, "") for name in OTHERS},
}
HEAD = """# What becomes of the real images at hand

Every image that this tool is tested with: disk images of the Digital Forensics Tool Testing collection, of Sleuth Kit,
dfvfs, plaso, dfir_ntfs, bulk_extractor and AFF4 (they are not part of the project). Each is opened with the profile
`quick`: only files that a file system names. A test opens each again and compares it with its line here
(tests/golden/test_images_table.py).

Whether names, states and contents are *right* is tested elsewhere: against Sleuth Kit's `fls` and `icat` and the
published lists of images 7 and 8 (tests/golden/test_evidence_golden.py), and against the raw image in each container
(tests/unit/evidence). Problems are what a scan says was not examined in full; notes are not listed here.

| image | opened as | volumes | allocated | deleted | orphan | problems |
|---|---|---|--:|--:|--:|---|
"""


def row(name: str, path: Path) -> str:
    """One line of the table."""
    source = open_source(path, "E", "s")
    states: Counter[State] = Counter()
    codes = {problem.code for problem in source.problems() if problem.severity is Severity.PROBLEM}
    for item in source.walk():
        if isinstance(item, FileEntry):
            states[item.state] += 1
            codes |= {problem.code for problem in item.problems if problem.severity is Severity.PROBLEM}
        elif isinstance(item, Problem) and item.severity is Severity.PROBLEM:
            codes.add(item.code)
    volumes = "; ".join(
        f"{volume.name}: {volume.file_system or 'none understood'}, {volume.status}" for volume in source.volumes()
    )
    kind = source.info.kind
    source.close()
    file, member = SOURCES[name]
    shown = f"{file}: {member.rpartition('/')[2]}" if member else file
    counts = " | ".join(str(states[state]) for state in (State.ALLOCATED, State.DELETED, State.ORPHAN))
    return f"| `{shown}` | {kind} | {volumes} | {counts} | {', '.join(sorted(codes)) or 'none'} |"


def main() -> None:
    """Write the document."""
    with tempfile.TemporaryDirectory() as scratch:
        rows = []
        for number, (name, (file, member)) in enumerate(SOURCES.items()):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            rows.append(row(name, unpack(IMAGES / file, member, folder)))
    DOCUMENT.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
