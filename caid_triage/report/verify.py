"""Verifying a whole case: its audit chain, its database, its reports. Nothing of it is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caid_triage.case.audit import AUDIT_FILE, BUNDLE_SEALED, MIGRATED, REPORTS_BEGAN, REPORTS_WRITTEN, Line
from caid_triage.case.check import CaseCheck, check_case
from caid_triage.case.fault import Fault
from caid_triage.case.schema import storage_faults
from caid_triage.report.bundle import bundle_path
from caid_triage.report.manifest import (
    MANIFEST,
    SEALED,
    SEALS,
    SIGNATURE,
    STAMP,
    STAMP_REQUEST,
    differing_files,
    file_sha256,
    verify_manifest,
)
from caid_triage.report.on_record import REPORTS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.x509 import Certificate

NO_SUCH_LINE = "no line has the SHA-256 that was noted: it is another chain, or was cut or written again"
AGAIN = "write them again (caid-triage report)"


@dataclass(frozen=True, slots=True)
class Trust:
    """What lies outside of the case and is compared with it.

    The unit's public key, the certificates of a time-stamping authority, the SHA-256 of a line of the audit chain as it
    was noted or printed (64 hex digits).
    """

    key: Ed25519PublicKey | None = None
    authorities: list[Certificate] | None = None
    noted: str | None = None


def verify_case(folder: Path) -> list[Fault]:
    """Every fault of a case; an empty list means that all of it is as this program wrote it.

    CaseError: there is no case in the folder, a command is writing to it, or it is of a newer version.
    """
    return check_whole_case(folder).faults


def check_whole_case(folder: Path, trust: Trust = Trust()) -> CaseCheck:
    """What :func:`verify_case` finds, with the end of the audit chain and what could not be checked.

    With ``trust`` the manifest of the reports must be signed, or stamped, and its signature or stamp must hold, and the
    line that was noted must be one of the chain.
    """
    check = check_case(folder)
    if check.cut_short:
        return check
    if trust.noted is not None and trust.noted not in check.line_digests:
        check.faults.append(Fault(AUDIT_FILE, NO_SUCH_LINE))
    reports = folder / REPORTS
    with storage_faults(folder):
        check.faults += _report_faults(reports, check.lines, check.notes)
        check.faults += _bundle_faults(reports, check.lines)
        if (reports / MANIFEST).is_file():
            _check_seals(reports, trust, check)
        elif trust.key is not None or trust.authorities is not None:
            check.faults.append(Fault(f"{REPORTS}/{MANIFEST}", "is missing: nothing is signed or stamped"))
        for sealed in sorted(reports.glob(f"{SEALED}*/{MANIFEST}")):
            earlier = Trust(None, trust.authorities if (sealed.parent / STAMP).is_file() else None)
            _check_seals(sealed.parent, earlier, check)
    return check


def _check_seals(folder: Path, trust: Trust, check: CaseCheck) -> None:
    where = f"{REPORTS}/" if folder.name == REPORTS else f"{REPORTS}/{folder.name}/"
    if trust.key is not None:
        from caid_triage.report.signing import signature_fault  # noqa: PLC0415 - few cases are signed

        if what := signature_fault(folder, trust.key):
            check.faults.append(Fault(f"{where}{SIGNATURE}", what))
    elif folder.name == REPORTS and (folder / SIGNATURE).is_file():
        check.notes.append(f"{where}{SIGNATURE} was not held against a key: --public-key says whose it must be")
    if trust.authorities is not None or (folder / STAMP).is_file():
        from caid_triage.report.stamping import stamp_findings  # noqa: PLC0415

        for is_fault, what in stamp_findings(folder, trust.authorities):
            if is_fault:
                check.faults.append(Fault(f"{where}{STAMP}", what))
            else:
                check.notes.append(f"{where}{STAMP} {what}")


def _report_faults(reports: Path, lines: list[Line], notes: list[str]) -> Iterator[Fault]:
    """Where the reports are not those that the audit chain names as written last."""
    place, last = _last(lines, REPORTS_WRITTEN)
    if last is None:
        yield from _unrecorded_faults(reports, lines, notes)
        return
    if not reports.is_dir():
        yield Fault(f"{REPORTS}/", "is missing")
        return
    files = last.get("files")
    found = list(differing_files(reports, files if isinstance(files, dict) else {}))
    yield from (Fault(f"{REPORTS}/{name}", what) for name, what in found)
    yield from _seal_faults(reports, last)
    yield from _sealed_faults(reports, lines, notes)
    manifest = reports / MANIFEST
    if not manifest.is_file():
        found.append((MANIFEST, "is missing"))
        yield Fault(f"{REPORTS}/{MANIFEST}", "is missing")
    elif file_sha256(manifest) != last.get("manifest"):
        found.append((MANIFEST, ""))
        yield Fault(f"{REPORTS}/{MANIFEST}", f"is not as it was written (line {place} of {AUDIT_FILE})")
    begun, _ = _last(lines, REPORTS_BEGAN)
    if found and begun > place:
        what = (
            f"line {begun} of {AUDIT_FILE} began to write them and did not end: write them again (caid-triage report)"
        )
        yield Fault(f"{REPORTS}/", what)


def _bundle_faults(reports: Path, lines: list[Line]) -> Iterator[Fault]:
    """Where the sealed bundle beside the reports is none that was sealed; one that was handed over is not missed."""
    bundle = bundle_path(reports)
    if not bundle.is_file():
        return
    if file_sha256(bundle) not in {line.get("sha256") for line in lines if line.get("action") == BUNDLE_SEALED}:
        what = f"no line of {AUDIT_FILE} has its SHA-256: it was changed or put there, or the sealing was killed"
        yield Fault(bundle.name, f"{what}; seal again (caid-triage report --seal)")


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


def _seal_faults(folder: Path, written: Line) -> Iterator[Fault]:
    """Where signature and request are not those that were made with the manifest."""
    noted = _seals_of(written)
    for name in (SIGNATURE, STAMP_REQUEST):
        path, where = folder / name, f"{REPORTS}/{name}"
        if name not in noted:
            if path.exists():
                yield Fault(where, f"no line of {AUDIT_FILE} says that this was made")
        elif not path.is_file():
            yield Fault(where, "is missing")
        elif file_sha256(path) != noted[name]:
            yield Fault(where, "is not as it was written")


def _sealed_faults(reports: Path, lines: list[Line], notes: list[str]) -> Iterator[Fault]:
    """Where earlier manifests, kept for their signature or time stamp, are not those that were written."""
    place, _ = _last(lines, REPORTS_WRITTEN)
    own = {n: line for n, line in enumerate(lines[: place - 1], 1) if _is_own(line, REPORTS_WRITTEN)}
    left = {n: (line.get("manifest"), _seals_of(line)) for n, line in own.items()}
    for folder in sorted(path for path in reports.glob(f"{SEALED}*") if path.is_dir()):
        found = {path.name: file_sha256(path) for path in folder.iterdir() if path.is_file()}
        made = {name: digest for name, digest in found.items() if name in (SIGNATURE, STAMP_REQUEST)}
        line = next((n for n, what in left.items() if what == (found.get(MANIFEST), made)), None)
        where = f"{REPORTS}/{folder.name}/"
        if line is None:
            yield Fault(where, f"no line of {AUDIT_FILE} names what is in it: it was changed or put there")
        else:
            del left[line]
        others = {path.name for path in folder.iterdir()} - {MANIFEST, *SEALS}
        yield from (Fault(f"{where}{name}", "was put there") for name in sorted(others))
    for number, (_, seals) in left.items():
        if seals:
            notes.append(f"what line {number} of {AUDIT_FILE} says was signed or to be stamped is not kept any more")


def _seals_of(written: Line) -> dict[str, str]:
    seals = written.get("seals")
    return seals if isinstance(seals, dict) else {}


def _is_own(line: Line, action: str) -> bool:
    return line.get("action") == action and line.get("own") is True


def _last(lines: list[Line], action: str) -> tuple[int, Line | None]:
    """Number and facts of the last line of an action on the case's own reports; (0, None) without one."""
    for place in range(len(lines), 0, -1):
        if _is_own(lines[place - 1], action):
            return place, lines[place - 1]
    return 0, None
