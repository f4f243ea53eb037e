"""Writing the reports of a case and putting on record, in its audit chain, what was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caid_triage.case.audit import BUNDLE_SEALED, REPORTS_BEGAN, REPORTS_WRITTEN, TEMPLATE_KEPT
from caid_triage.case.schema import os_sentence
from caid_triage.case.store import CaseWriter
from caid_triage.case.view import open_case
from caid_triage.errors import CaseError, UsageError
from caid_triage.report.bundle import bundle_path, seal
from caid_triage.report.manifest import (
    MANIFEST,
    SEALED,
    SEALS,
    SIGNATURE,
    STAMP_REQUEST,
    file_sha256,
    manifest_digests,
)
from caid_triage.report.template import TEMPLATE
from caid_triage.report.write import FORMATS, write_file, write_reports

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

REPORTS = "reports"
SUMMARY = FORMATS["summary"].file


@dataclass(frozen=True, slots=True)
class Sealing:
    """What to add to the manifest: a signature with ``key``, a request for a time stamp."""

    key: Ed25519PrivateKey | None = None
    stamp_request: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to add."""
        return self.key is not None or self.stamp_request


def write_reports_on_record(
    case: CaseWriter, out: Path, formats: Sequence[str] | None = None, sealing: Sealing = Sealing()
) -> list[Path]:
    """Write reports of an open case (:func:`write_reports`), with a line of the audit chain before and one after.

    The second holds the SHA-256 of every report, of the manifest, and of its signature and the request for a time stamp
    where ``sealing`` asks for them. Which folder it was is recorded only for the case's own: ``caid-triage verify``
    compares those. An earlier manifest that was signed or stamped is kept with what belongs to it.
    """
    if sealing and formats is not None and "summary" not in formats and not (out / SUMMARY).is_file():
        raise UsageError(f"the end of the audit trail stands in {SUMMARY}: sign or stamp with --format summary too")
    own = out.resolve() == (case.folder / REPORTS).resolve()
    case.audit(REPORTS_BEGAN, own=own, formats=None if formats is None else list(formats))
    _keep_sealed(out)
    with open_case(case.folder) as view:
        paths = write_reports(view, out, formats)
    seals = _seals((out / MANIFEST).read_bytes(), sealing)
    for name, content in seals.items():
        write_file(out / name, content)
        paths.append(out / name)
    facts = {"seals": {name: file_sha256(out / name) for name in seals}} if seals else {}
    manifest, files = file_sha256(out / MANIFEST), manifest_digests(out)
    case.audit(REPORTS_WRITTEN, own=own, manifest=manifest, files=files, **facts, **_key(sealing))
    return paths


def keep_template(case: CaseWriter, content: bytes) -> None:
    """Keep a Word file that was checked (:func:`template.read_template`) as the case's template, with a line of it.

    Documents are written into it from now on, also when they are written again with the usual reports.
    """
    write_file(case.folder / TEMPLATE, content)
    case.audit(TEMPLATE_KEPT, sha256=file_sha256(case.folder / TEMPLATE))


def seal_on_record(case: CaseWriter, reports: Path) -> tuple[Path, str]:
    """Write the sealed bundle of the reports that were just written, and a line of it; returns its path and SHA-256."""
    bundle = bundle_path(reports)
    with open_case(case.folder) as view:
        sha256 = seal(view, reports, bundle)
    case.audit(BUNDLE_SEALED, bundle=bundle.name, sha256=sha256)
    return bundle, sha256


def _seals(manifest: bytes, sealing: Sealing) -> dict[str, bytes]:
    """The files that are added, by name."""
    made = {}
    if sealing.key is not None:
        from caid_triage.report.signing import signature_of  # noqa: PLC0415 - few commands need it

        made[SIGNATURE] = signature_of(manifest, sealing.key)
    if sealing.stamp_request:
        from caid_triage.report.stamping import stamp_request  # noqa: PLC0415

        made[STAMP_REQUEST] = stamp_request(manifest)
    return made


def _key(sealing: Sealing) -> dict[str, str]:
    if sealing.key is None:
        return {}
    from caid_triage.report.signing import fingerprint  # noqa: PLC0415

    return {"key": fingerprint(sealing.key.public_key())}


def _keep_sealed(out: Path) -> None:
    """Move a manifest that was signed or stamped into a folder of its own: the new one makes neither hold any more."""
    names = [name for name in SEALS if (out / name).is_file()]
    if not names or not (out / MANIFEST).is_file():
        return
    try:
        name = SEALED + file_sha256(out / MANIFEST)[:12]
        taken = sum(path.name.startswith(name) for path in out.iterdir())
        folder = out / (f"{name}-{taken + 1}" if taken else name)
        folder.mkdir()
        write_file(folder / MANIFEST, (out / MANIFEST).read_bytes())
        for name in names:
            (out / name).replace(folder / name)
    except OSError as fault:
        raise CaseError(os_sentence(fault, out)) from fault
