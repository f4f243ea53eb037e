"""What the command-line tests share: running the command as a user does, small exhibits, comparing reports."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from caid_triage.synth.fat import build_fat
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.plan import PlannedFile

Run = Callable[..., "subprocess.CompletedProcess[str]"]

MATCH_COLUMNS = [
    "exhibit",
    "source",
    "volume",
    "path",
    "state",
    "kind",
    "media_type",
    "size",
    "md5",
    "sha1",
    "sha256",
    "match_kind",
    "algorithm",
    "distance",
    "threshold",
    "category_code",
    "category_label",
    "scheme",
    "hashset",
    "media_id",
    "created",
    "modified",
    "accessed",
    "changed",
    "physical_offset",
    "parent_path",
    "decision",
]
FILES_COLUMNS = [
    "exhibit",
    "source",
    "volume",
    "path",
    "state",
    "kind",
    "media_type",
    "size",
    "md5",
    "sha1",
    "sha256",
    "pdq",
    "pdq_quality",
    "phash",
    "width",
    "height",
    "duration_s",
    "created",
    "modified",
    "accessed",
    "changed",
    "physical_offset",
    "parent_path",
    "problems",
]


def run_command(
    *arguments: object, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run ``caid-triage`` in a process of its own; text out, whatever the exit code."""
    command = [sys.executable, "-P", "-m", "caid_triage", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=300, env=os.environ | (env or {}), cwd=cwd
    )


def picture(name: str) -> bytes:
    """One of the project's own drawings."""
    return resources.files("caid_triage.synth").joinpath("pictures", name).read_bytes()


@dataclass(frozen=True)
class Small:
    """A FAT image with known pictures, live and deleted, and a VICS file that lists some."""

    image: Path
    vics: Path
    hashset: Path


def write_vics(path: Path, records: list[dict[str, object]], region: str = "UK") -> Path:
    """A VICS 2.0 media file."""
    url = f"http://github.com/VICSDATAMODEL/ProjectVic/DataModels/2.0.xml/{region}/$metadata#Media"
    path.write_text(json.dumps({"@odata.context": url, "value": records}))
    return path


def vics_record(number: int, content: bytes, category: int) -> dict[str, object]:
    """A VICS record that lists ``content`` by MD5 and SHA-1."""
    return {
        "MediaID": number,
        "Category": category,
        "MD5": hashlib.md5(content).hexdigest().upper(),
        "SHA1": hashlib.sha1(content).hexdigest().upper(),
        "MediaSize": len(content),
    }


def small_exhibit(folder: Path) -> Small:
    """Make an exhibit and a hash set in a folder."""
    plan = [
        PlannedFile("/DCIM/coast.jpg", picture("coast.jpg")),
        PlannedFile("/DCIM/town.jpg", picture("town.jpg"), deleted=True),
        PlannedFile("/DCIM/marble.txt", picture("marble.jpg")),
        PlannedFile("/notes.txt", b"milk, bread\n"),
        PlannedFile("/empty.jpg", b""),
    ]
    image = folder / "small.dd"
    image.write_bytes(build_mbr([Partition(6, bytes(build_fat(plan, size=6 << 20, cluster=1024)))]))
    vics = write_vics(
        folder / "set.json",
        [
            vics_record(1, picture("coast.jpg"), 1),
            vics_record(2, picture("town.jpg"), 2),
            vics_record(3, picture("marble.jpg"), 3),
            vics_record(4, b"never met", 1),
        ],
    )
    hashset = folder / "set.chs"
    built = run_command("hashset", "build", vics, "--out", hashset)
    assert built.returncode == 0, built.stderr
    return Small(image, vics, hashset)


def many_pictures(folder: Path, count: int) -> None:
    """Distinct pictures: one drawing with a different comment behind its end-of-image marker."""
    content = picture("coast.jpg")
    for number in range(count):
        (folder / f"{number:04}.jpg").write_bytes(content + b"%d" % number)


def comparable_reports(folder: Path) -> dict[str, str]:
    """Every report but for its own run times and the end of the audit trail: those alone differ between two runs."""
    texts = {path.name: path.read_bytes().decode("utf-8") for path in sorted(folder.iterdir())}
    texts.pop("MANIFEST.sha256")
    summary = json.loads(texts["summary.json"])
    assert summary.pop("started")
    assert summary.pop("finished")
    assert summary.pop("audit")["sha256"]
    texts["summary.json"] = json.dumps(summary)
    texts["report.html"] = re.sub(r"<[^<>]*id=\"run-times\".*", "", texts["report.html"])
    return texts
