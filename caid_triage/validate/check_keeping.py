"""Tests of keeping and reporting: conservation, damage, durability, reports that agree, repeatability."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from caid_triage.config import ScanOptions
from caid_triage.validate.disks import NAMES
from caid_triage.validate.folders import DAMAGE
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.reports import Reports, Row, parsed
from caid_triage.validate.requirement import Findings, NotRun

# What a page of this tool is made of; anything that runs, loads or embeds is none of it.
HARMFUL_TAGS = frozenset(
    {"script", "img", "iframe", "object", "embed", "link", "base", "form", "input", "audio", "video"}
)


def files(lab: Laboratory, found: Findings) -> None:
    """Walked = examined = stored = the rows of files.csv, and nothing planted is missing from them."""
    scans = {"disk": lab.disk_scan, "containers": lab.copies_scan, "others": lab.others_scan, "damage": lab.damage_scan}
    for name, reports in scans.items():
        summary, rows = reports.summary, len(reports.files)
        figures = (summary["walked"], summary["examined"], summary["stored"], rows)
        found.expect(len(set(figures)) == 1, f"{name}: walked, examined, stored, rows are {figures}")
        places = Counter((row["exhibit"], row["volume"], row["path"], row["state"]) for row in reports.files)
        again = [place for place, count in places.items() if count > 1 and place[3] == "allocated"]
        found.expect(not again, f"{name}: {len(again)} living files have more than one row")
    planted = [item for item in lab.made.disk.exhibit.planted if item.state in ("allocated", "deleted")]
    known = {(row["volume"], row["path"], row["state"]) for row in lab.disk_scan.files}
    lost = [item for item in planted if (item.volume, item.path, item.state) not in known]
    found.expect(not lost, f"{len(lost)} of {len(planted)} planted files have no row at all")
    found.rate("planted files with a name", "without a row", len(lost), len(planted))


def ranges(lab: Laboratory, found: Findings) -> None:
    """The bytes of a source are all accounted for: the ledger tiles it, and its sums are its size."""
    for reports, exhibits in ((lab.disk_scan, [lab.made.disk.exhibit]), (lab.others_scan, list(lab.made.others))):
        ledger = reports.table("ledger.csv")
        for exhibit in exhibits:
            lines = [row for row in ledger if row["exhibit"] == exhibit.reference]
            end = 0
            for row in lines:
                found.expect(
                    int(row["start"]) == end, f"{exhibit.reference}: a gap or overlap in the ledger at byte {end}"
                )
                found.expect(
                    int(row["length"]) == int(row["end"]) - int(row["start"]), f"{exhibit.reference}: a false length"
                )
                end = int(row["end"])
            found.expect(end == exhibit.size, f"{exhibit.reference}: the ledger ends at {end} of {exhibit.size}")
        sizes = sum(exhibit.size or 0 for exhibit in exhibits)
        counted = sum(reports.summary["coverage"]["bytes"].values())
        found.expect(counted == sizes, f"the bytes by kind sum up to {counted}, not {sizes}")


def damage(lab: Laboratory, found: Findings) -> None:
    """Each damaged file has its row, its right digest, and a problem by a documented code; whole ones have none."""
    exhibit, reports = lab.made.damaged[0], lab.damage_scan
    rows = {row["path"]: row for row in reports.files if row["exhibit"] == exhibit.reference}
    said: dict[str, set[str]] = {}
    for row in reports.problems:
        if row["exhibit"] == exhibit.reference:
            said.setdefault(row["path"].partition("//")[0], set()).add(row["code"])
    outcomes = []
    for item in exhibit.planted:
        right = rows.get(item.path, {}).get("sha256") == item.sha256
        found.expect(right, f"{item.kind}: no row with the right digest")
        codes = said.get(item.path, set())
        if item.kind in DAMAGE:
            ok = bool(codes & DAMAGE[item.kind])
            outcomes.append((item.kind, ok))
            words = ", ".join(sorted(codes)) or "nothing"
            found.expect(ok, f"{item.kind}: {words} is said, not {' or '.join(sorted(DAMAGE[item.kind]))}")
        else:
            found.expect(not codes, f"a whole file has the problem {', '.join(sorted(codes))}")
    found.expect(reports.exit_code in (3, 4), f"a scan with damaged files ends with {reports.exit_code}, not 3 or 4")
    found.misses("damage named, ", outcomes)
    found.expect('id="not-examined"' in reports.page, "report.html has no part on what was not examined")


def volumes(lab: Laboratory, found: Findings) -> None:
    """Volumes that cannot be read are named for what they are; an image that was cut is no silent loss."""
    reports = lab.damage_scan
    of_locked = {(row["volume"], row["code"]) for row in reports.problems if row["exhibit"] == "LOCKED/1"}
    for volume, code in (
        ("p1", "volume-encrypted"),
        ("p2", "file-system-not-understood"),
        ("p3", "possibly-encrypted"),
    ):
        found.expect((volume, code) in of_locked, f"{code} is not said of the volume {volume}")
    of_cut = {row["code"] for row in reports.problems if row["exhibit"] == "CUT/1"}
    damaged = {
        "image-damaged",
        "image-truncated",
        "source-not-opened",
        "acquisition-not-verified",
        "acquisition-hash-mismatch",
    }
    found.expect(bool(of_cut & damaged), f"of an E01 that was cut is said: {', '.join(sorted(of_cut)) or 'nothing'}")
    encrypted = reports.summary["coverage"]["encrypted"]
    found.expect(any("LOCKED/1" in name for name in encrypted), "summary.json does not list the encrypted volume")
    text = reports.page
    found.expect(
        "LOCKED/1" in text and "encrypted" in text.lower(), "report.html does not speak of the encrypted volume"
    )


def killed(lab: Laboratory, found: Findings) -> None:
    """Workers killed from outside cost nothing: the reports are those of an undisturbed scan."""
    if not Path(f"/proc/{os.getpid()}/cmdline").exists():
        raise NotRun(f"the worker processes are found in /proc, which {sys.platform} does not have")
    count, reports = lab.with_killed_workers()
    if not count:
        raise NotRun("the scan had ended before a worker could be killed")
    found.value("workers killed", str(count))
    _same_reports(found, lab.disk_scan, reports, "after workers were killed")


def resumed(lab: Laboratory, found: Findings) -> None:
    """A scan that was stopped and run again has the reports of one that was not."""
    reached, reports = lab.stopped_and_resumed()
    total = len(lab.disk_scan.files)
    found.expect(0 < reached < total, f"the scan was stopped after {reached} of {total} files: not in the middle")
    found.value("stopped after", f"{reached} of {total} files")
    _same_reports(found, lab.disk_scan, reports, "of the resumed scan")


def workers(lab: Laboratory, found: Findings) -> None:
    """The number of workers and the executor change nothing."""
    for name, options in (
        ("other-workers", ScanOptions(workers=1 if lab.made.plan.workers > 1 else 3)),
        ("serial", ScanOptions(workers=1, executor="serial")),
    ):
        _same_reports(found, lab.disk_scan, lab.again(name, options), f"of the scan {name}")


def _same_reports(found: Findings, one: Reports, other: Reports, what: str) -> None:
    first, second = one.comparable(), other.comparable()
    found.expect(first.keys() == second.keys(), f"other reports {what}: {sorted(first.keys() ^ second.keys())}")
    for name in sorted(first.keys() & second.keys()):
        found.expect(first[name] == second[name], f"{name} {what} is another")


def agree(lab: Laboratory, found: Findings) -> None:
    """What the reports say is one and the same: every count can be had again from the lists."""
    reports = lab.disk_scan
    known = {(row["exhibit"], row["volume"], row["path"], row["state"]): row for row in reports.files}
    for row in reports.matches:
        file = known.get((row["exhibit"], row["volume"], row["path"], row["state"]))
        found.expect(file is not None, "a match is of a file that files.csv does not have")
        if file is not None:
            same = all(row[name] == file[name] for name in ("size", "md5", "sha1", "sha256", "kind", "media_type"))
            found.expect(same, "a match and files.csv differ on the same file")
        near = row["match_kind"] != "exact"
        found.expect(near or row["distance"] == "0", "an exact match has a distance")
    found.same("exact files by label (matches.csv, summary.json)", recounted(reports.matches), _counted(reports))
    codes = Counter(row["code"] for row in reports.problems)
    found.same(
        "problems by code (problems.csv, summary.json)", codes, Counter(reports.summary["coverage"]["problems_by_code"])
    )
    listed = _vics_sha1s(reports.vics)
    exact = {row["sha1"] for row in reports.exact()}
    found.expect(exact <= listed, f"{len(exact - listed)} contents of matches.csv are not in vics.json")
    stored = f"{reports.summary['stored']:,}"
    found.expect(stored in reports.page, "report.html does not say how many files were examined")


def recounted(matches: list[Row]) -> Counter[str]:
    """Files of each label, from matches.csv alone: each file once, by its gravest exact row, which comes first."""
    label_of: dict[tuple[str, ...], str] = {}
    for row in matches:
        if row["match_kind"] == "exact":
            label_of.setdefault(
                (row["exhibit"], row["source"], row["volume"], row["path"], row["state"]), row["category_label"]
            )
    return Counter(label_of.values())


def _counted(reports: Reports) -> Counter[str]:
    counted: Counter[str] = Counter()
    for row in reports.summary["counts"]:
        if row["match_kind"] == "exact":
            counted[row["category_label"]] += row["files"]
    return counted


def _vics_sha1s(vics: object) -> set[str]:
    """Every value of a SHA1 field, however deep."""
    if isinstance(vics, dict):
        own = {vics["SHA1"].lower()} if isinstance(vics.get("SHA1"), str) else set()
        return own.union(*map(_vics_sha1s, vics.values()))
    if isinstance(vics, list):
        return set().union(*map(_vics_sha1s, vics))
    return set()


def sealed(lab: Laboratory, found: Findings) -> None:
    """``caid-triage verify`` passes a case as it was written, and finds a bit changed in report, trail or database."""
    case = lab.disk_scan.folder.parent
    found.expect(lab.command("verify", case) == 0, "a case as it was written does not verify")
    for name in ("reports/matches.csv", "reports/report.html", "audit.jsonl", "case.db"):
        copy = lab.folder / "cases" / "changed"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(case, copy)
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        found.expect(lab.command("verify", copy) == 7, f"a bit changed in {name} is not found")


def hostile_names(lab: Laboratory, found: Findings) -> None:
    """Names made to do harm stay names: the tables keep their shape, the page runs, loads and embeds nothing."""
    reports = lab.others_scan
    hostile = [item for exhibit in lab.made.others for item in exhibit.planted if item.kind == "hostile name"]
    for item in hostile:
        for name, rows in (("files.csv", reports.files), ("matches.csv", reports.matches)):
            got = [row["path"] for row in rows if row["sha256"] == item.sha256]
            # A leading apostrophe or the like, put there for spreadsheets, is allowed; the name itself must be there.
            found.expect(
                len(got) == 1 and got[0].endswith(item.path), f"a hostile name is not once, and whole, in {name}"
            )
    page = parsed(reports.page)
    harmful = sorted(page.tags & HARMFUL_TAGS)
    found.expect(not harmful, f"report.html has elements that run, load or embed: {', '.join(harmful)}")
    handlers = sorted(name for name in page.attributes if name.startswith("on"))
    found.expect(not handlers, f"report.html has handlers: {', '.join(handlers)}")
    found.expect("Content-Security-Policy" in reports.page, "report.html has no policy on what it may load")
    found.value("hostile names", str(len(NAMES)))
