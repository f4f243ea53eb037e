"""Tests of opening, reading and finding: what was planted must come back, from every container and file system."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing

from caid_triage.evidence.disk import PIECE, DiskSource
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.source import open_source
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.reports import Reports, Row
from caid_triage.validate.requirement import Findings
from caid_triage.validate.truth import Exhibit, Planted, file_digest

# A file system's own names, which no plan holds, are told from planted ones by these columns.
PLACE = ("volume", "path", "state", "kind", "size", "sha256", "pdq", "phash", "physical_offset", "problems")


def is_found(item: Planted, exhibit: str, reports: Reports) -> bool:
    """Whether files.csv lists a planted content exactly once where and as what it was planted."""
    rows = [row for row in reports.by_content.get((exhibit, item.sha256), ()) if _is_at(item, row)]
    return len(rows) == 1


def _is_at(item: Planted, row: Row) -> bool:
    if row["state"] != item.state or (item.volume and row["volume"] != item.volume):
        return False
    if item.offset is not None and row["physical_offset"] != str(item.offset):
        return False
    if item.state in ("allocated", "deleted"):
        return row["path"] == item.path
    return row["path"].startswith(item.path)


def find_all(found: Findings, scans: Sequence[tuple[Sequence[Exhibit], Reports]], state: str) -> None:
    """Every planted content of a state must be found; the miss rate is told for each file system."""
    outcomes = []
    for exhibit, reports in ((one, reports) for exhibits, reports in scans for one in exhibits):
        for item in exhibit.of(state):
            if item.kind != "PNG in two pieces":
                ok = is_found(item, exhibit.reference, reports)
                outcomes.append((item.where, ok))
                words = f"{item.path or item.offset} of {item.where} ({item.kind}) is not listed once as {state}"
                found.expect(ok, f"{exhibit.reference}: {words} with its content")
    found.misses(f"{state}, ", outcomes)


def _scans(lab: Laboratory) -> list[tuple[Sequence[Exhibit], Reports]]:
    return [([lab.made.disk.exhibit], lab.disk_scan), (lab.made.others, lab.others_scan)]


def containers(lab: Laboratory, found: Findings) -> None:
    """The bytes of a disk, and its files, are the same out of every container."""
    wanted = hashlib.sha256(lab.made.disk.content).hexdigest()
    for exhibit in (lab.made.disk.exhibit, *lab.made.copies):
        with closing(open_source(exhibit.path, exhibit.reference, exhibit.path.name)) as source:
            assert isinstance(source, DiskSource)
            digest, size = hashlib.sha256(), int(source.image.get_size())
            for offset in range(0, size, PIECE):
                digest.update(read_range(source.image, offset, min(PIECE, size - offset)))
            found.expect(size == exhibit.size, f"{exhibit.reference} has {size} bytes, not {exhibit.size}")
            found.expect(digest.hexdigest() == wanted, f"the bytes of {exhibit.reference} are not those of the disk")
    rows = _listed(lab.disk_scan.files)
    copied = _listed(lab.copies_scan.files)
    for exhibit in lab.made.copies:
        found.same_rows(
            f"rows of files.csv of {exhibit.reference}",
            rows.get(lab.made.disk.exhibit.reference, Counter()),
            copied.get(exhibit.reference, Counter()),
        )


def _listed(rows: Iterable[Row]) -> dict[str, Counter[tuple[str, ...]]]:
    """The rows of files.csv by exhibit, without what names the container."""
    listed: dict[str, Counter[tuple[str, ...]]] = {}
    for row in rows:
        listed.setdefault(row["exhibit"], Counter())[tuple(row[name] for name in PLACE)] += 1
    return listed


def acquisition(lab: Laboratory, found: Findings) -> None:
    """An image that is as acquired verifies; one of which a bit was changed does not."""
    copy = lab.made.copies[0]
    found.expect(lab.command("verify", copy.path) == 0, "an E01 that is as it was acquired does not verify")
    altered = next(exhibit for exhibit in lab.made.damaged if exhibit.reference == "ALTERED/1")
    found.expect(lab.command("verify", altered.path) == 7, "an E01 of which a bit was changed verifies")
    codes = {row["exhibit"] for row in lab.damage_scan.problems if row["code"] == "acquisition-hash-mismatch"}
    found.expect(
        codes == {"ALTERED/1"}, f"acquisition-hash-mismatch is said of {sorted(codes)}, not of ALTERED/1 alone"
    )
    untouched = [row for row in lab.copies_scan.problems if row["code"].startswith("acquisition-hash-mis")]
    found.expect(not untouched, "acquisition-hash-mismatch is said of an image that is as it was acquired")


def read_only(lab: Laboratory, found: Findings) -> None:
    """No file of the evidence was changed by all that was done with it."""
    for reports in (lab.disk_scan, lab.copies_scan):
        found.expect(bool(reports.files), "nothing was scanned")
    for reference, sealed in sorted(lab.made.sealed.items()):
        for path, (digest, size, changed) in sealed.facts.items():
            stat = path.stat()
            as_made = (stat.st_size, stat.st_mtime_ns) == (size, changed) and file_digest(path) == digest
            found.expect(as_made, f"{reference}: {path.name} is not as it was made")
        folders = {path.parent for path in sealed.facts}
        known = {path for other in lab.made.sealed.values() for path in other.facts}
        strange = sorted(
            path.name for folder in folders for path in folder.iterdir() if path.is_file() and path not in known
        )
        found.expect(not strange, f"{reference}: {', '.join(strange[:3])} was written beside the evidence")


def live(lab: Laboratory, found: Findings) -> None:
    """Every living file is listed."""
    find_all(found, _scans(lab), "allocated")


def deleted(lab: Laboratory, found: Findings) -> None:
    """Every deleted file whose content was not overwritten is listed with it."""
    find_all(found, _scans(lab), "deleted")


def orphans(lab: Laboratory, found: Findings) -> None:
    """Files whose folder is forgotten are listed."""
    find_all(found, [([lab.made.disk.exhibit], lab.disk_scan)], "orphan")


def carved(lab: Laboratory, found: Findings) -> None:
    """Pictures that no name leads to are found in free space, and between partitions."""
    exhibit = lab.made.disk.exhibit
    find_all(found, [([lab.made.disk.exhibit], lab.disk_scan)], "carved")
    broken = exhibit.of("carved", "PNG in two pieces")
    outcomes = [(item.kind, is_found(item, exhibit.reference, lab.disk_scan)) for item in broken]
    found.misses("", outcomes, judged=False)


def slack(lab: Laboratory, found: Findings) -> None:
    """Pictures behind the ends of living files are found."""
    find_all(found, [([lab.made.disk.exhibit], lab.disk_scan)], "slack")


def inside(lab: Laboratory, found: Findings) -> None:
    """Pictures inside other files are found."""
    exhibit = lab.made.disk.exhibit
    outcomes = []
    for item in exhibit.of("embedded"):
        ok = is_found(item, exhibit.reference, lab.disk_scan)
        outcomes.append((item.kind, ok))
        found.expect(ok, f"the picture in {item.path} is not listed once as embedded")
    found.misses("inside ", outcomes)


def names(lab: Laboratory, found: Findings) -> None:
    """Streams, hard links, pieces, names of other scripts: each keeps its own row and content."""
    exhibit = lab.made.disk.exhibit
    special = [
        item
        for item in exhibit.planted
        if item.kind in ("alternate data stream", "hard link", "in a deleted folder")
        or item.path.endswith(("половодье 水.png", "in three pieces.png", "empty.bin", "a picture.txt"))
    ]
    for item in special:
        ok = is_found(item, exhibit.reference, lab.disk_scan)
        found.expect(ok, f"{item.path} of {item.where} is not listed once with its content")
    by_name = {(row["volume"], row["path"]): row for row in lab.disk_scan.files}
    for item in exhibit.planted:
        row = by_name.get((item.volume, item.path))
        if row and item.path.endswith(("/a picture.txt", "/not a picture.jpg")):
            wanted = "image" if item.path.endswith(".txt") else "other"
            found.expect(row["kind"] == wanted, f"{item.path} of {item.where} is called {row['kind']}: by its name?")
