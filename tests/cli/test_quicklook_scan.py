"""A picture that is left in macOS's QuickLook cache alone is found by its look, whatever executor and source."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from PIL import Image
from support.cli import Run, picture
from support.quicklook import Cache

from caid_triage.config import ScanOptions
from caid_triage.evidence.source import open_source
from caid_triage.model import ScanRecord
from caid_triage.scan.locked import LockedSource
from caid_triage.scan.pool import examine_in_pool
from caid_triage.scan.serial import examine_serially
from caid_triage.synth.ext import build_ext2
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

FOLDER = "/private/var/folders/zz/C/com.apple.QuickLook.thumbnailcache"
COAST, TOWN = picture("coast.jpg"), picture("town.jpg")


def cache(*pictures: tuple[str, bytes]) -> Cache:
    """What QuickLook keeps of pictures: nothing larger than 256 pixels."""
    made = Cache()
    for path, content in pictures:
        image = Image.open(io.BytesIO(content))
        image.thumbnail((256, 256))
        made.add(image, path)
    return made


def plan() -> list[PlannedFile]:
    whole = cache(("/Users/sam/Pictures/gone.jpg", COAST), ("/Users/sam/Pictures/other.jpg", picture("marble.jpg")))
    lonely = cache(("/Users/eve/x.jpg", TOWN))
    return [
        PlannedFile(f"{FOLDER}/index.sqlite", whole.index()),
        PlannedFile(f"{FOLDER}/thumbnails.data", bytes(whole.samples)),
        PlannedFile("/elsewhere/index.sqlite", lonely.index()),
    ]


def made(kind: str, folder: Path) -> Path:
    if kind != "folder":
        build = build_ntfs if kind == "ntfs" else build_ext2
        (folder / "disk.dd").write_bytes(bytes(build(plan(), size=8 << 20)))
        return folder / "disk.dd"
    for planned in plan():
        path = folder / "in" / planned.path[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(planned.content)
    return folder / "in"


def rows(case: Path, name: str) -> list[dict[str, str]]:
    with (case / "reports" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["folder", "ntfs", "ext2"])
def test_a_listed_picture_is_found_by_look_in_the_cache_of_its_thumbnails(run: Run, tmp_path: Path, kind: str) -> None:
    source = made(kind, tmp_path)
    graded = tmp_path / "graded" / "1"
    graded.mkdir(parents=True)
    (graded / "coast.jpg").write_bytes(COAST)
    listed = tmp_path / "listed.chs"
    assert run("hashset", "make", tmp_path / "graded", "--out", listed).returncode == 0
    case = tmp_path / "case"
    scanned = run("scan", source, "--case", case, "--hashset", listed, "--quiet")
    assert scanned.returncode in (0, 3), scanned.stderr
    (hit,) = [row for row in rows(case, "matches.csv") if row["match_kind"] == "near"]
    path = f"{FOLDER}/index.sqlite//thumbnails/1/Users/sam/Pictures/gone.jpg"
    assert (hit["path"], hit["algorithm"], hit["container_state"]) == (path, "pdq", "allocated")
    files = {row["path"]: row for row in rows(case, "files.csv")}
    assert files[path]["problems"] == "inside-rebuilt"
    assert files["/elsewhere/index.sqlite"]["problems"] == "inside-no-samples"
    assert files[f"{FOLDER}/index.sqlite"]["problems"] == ""


@pytest.mark.parametrize("kind", ["folder", "ntfs"])
def test_one_process_says_what_the_pool_says(kind: str, tmp_path: Path) -> None:
    path = made(kind, tmp_path)
    found = []
    for pooled in (False, True):
        source = open_source(path, "E", "s")
        locked = LockedSource(source)
        results = (
            examine_in_pool(locked.walk(), locked.read, ScanOptions(workers=2), locked.read_at, beside=locked.beside)
            if pooled
            else examine_serially(locked.walk(), locked.read, locked.read_at, locked.beside)
        )
        records = [result for result in results if isinstance(result, ScanRecord)]
        found.append(sorted(records, key=lambda record: (record.entry.number, record.entry.part)))
        source.close()
    assert found[0] == found[1]
    assert sum("//thumbnails/" in record.entry.path for record in found[0]) == 2
