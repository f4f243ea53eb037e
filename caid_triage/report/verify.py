"""Verifying a whole case: its audit chain, its database, its reports. Nothing of it is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from caid_triage.case.audit import AUDIT_FILE, MIGRATED, Line
from caid_triage.case.check import CaseCheck, check_case
from caid_triage.case.fault import Fault
from caid_triage.case.schema import storage_faults
from caid_triage.report.manifest import MANIFEST, differing_files, file_sha256, verify_manifest
from caid_triage.report.on_record import BEGAN, REPORTS, WRITTEN

AGAIN = "write them again (caid-triage report)"


def verify_case(folder: Path) -> list[Fault]:
    """Every fault of a case; an empty list means that all of it is as this program wrote it.

    CaseError: there is no case in the folder, a command is writing to it, or it is of a newer version.
    """
    return check_whole_case(folder).faults


def check_whole_case(folder: Path) -> CaseCheck:
    """What :func:`verify_case` finds, with the end of the audit chain and what could not be checked."""
    check = check_case(folder)
    with storage_faults(folder):
        check.faults += _report_faults(folder / REPORTS, check.lines, check.notes)
    return check


def _report_faults(reports: Path, lines: list[Line], notes: list[str]) -> Iterator[Fault]:
    """Where the reports are not those that the audit chain names as written last."""
    place, last = _last(lines, WRITTEN)
    if last is None:
        yield from _unrecorded_faults(reports, lines, notes)
        return
    if not reports.is_dir():
        yield Fault(f"{REPORTS}/", "is missing")
        return
    files = last.get("files")
    found = list(differing_files(reports, files if isinstance(files, dict) else {}))
    yield from (Fault(f"{REPORTS}/{name}", what) for name, what in found)
    manifest = reports / MANIFEST
    if not manifest.is_file():
        found.append((MANIFEST, "is missing"))
        yield Fault(f"{REPORTS}/{MANIFEST}", "is missing")
    elif file_sha256(manifest) != last.get("manifest"):
        found.append((MANIFEST, ""))
        yield Fault(f"{REPORTS}/{MANIFEST}", f"is not as it was written (line {place} of {AUDIT_FILE})")
    begun, _ = _last(lines, BEGAN)
    if found and begun > place:
        what = (
            f"line {begun} of {AUDIT_FILE} began to write them and did not end: write them again (caid-triage report)"
        )
        yield Fault(f"{REPORTS}/", what)


def _unrecorded_faults(reports: Path, lines: list[Line], notes: list[str]) -> Iterator[Fault]:
    """Of reports that no line of the chain names: those of an earlier version agree with their manifest at least."""
    if not reports.is_dir() or not any(reports.iterdir()):
        return
    earlier = not any("digest" in fields for fields in lines) or any(f.get("action") == MIGRATED for f in lines)
    if earlier and (reports / MANIFEST).is_file():
        yield from (Fault(f"{REPORTS}/", sentence) for sentence in verify_manifest(reports))
        notes.append("the reports were written by an earlier version: they were compared with their manifest alone")
    else:
        yield Fault(f"{REPORTS}/", f"no line of {AUDIT_FILE} says that these were written; {AGAIN}")


def _last(lines: list[Line], action: str) -> tuple[int, Line | None]:
    """Number and facts of the last line of an action on the case's own reports; (0, None) without one."""
    for place in range(len(lines), 0, -1):
        if lines[place - 1].get("action") == action and lines[place - 1].get("own") is True:
            return place, lines[place - 1]
    return 0, None
