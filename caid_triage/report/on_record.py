"""Writing the reports of a case and putting on record, in its audit chain, what was written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from caid_triage.case.store import CaseWriter
from caid_triage.case.view import open_case
from caid_triage.report.manifest import MANIFEST, file_sha256, manifest_digests
from caid_triage.report.write import write_reports

REPORTS = "reports"
BEGAN, WRITTEN = "reports-began", "reports-written"


def write_reports_on_record(case: CaseWriter, out: Path, formats: Sequence[str] | None = None) -> list[Path]:
    """Write reports of an open case (:func:`write_reports`), with a line of the audit chain before and one after.

    The second holds the SHA-256 of every report and of the manifest. Which folder it was is recorded only for the
    case's own: ``caid-triage verify`` compares those.
    """
    own = out.resolve() == (case.folder / REPORTS).resolve()
    case.audit(BEGAN, own=own, formats=None if formats is None else list(formats))
    with open_case(case.folder) as view:
        paths = write_reports(view, out, formats)
    case.audit(WRITTEN, own=own, manifest=file_sha256(out / MANIFEST), files=manifest_digests(out))
    return paths
