"""``caid-triage verify``: check a case's audit chain and its reports, or an image against its acquisition hash."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from caid_triage.case.audit import verify_audit
from caid_triage.cli.console import say
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.errors import UsageError, VerificationError
from caid_triage.evidence.image_file import is_device
from caid_triage.evidence.recognise import is_sparse_bundle
from caid_triage.evidence.source import open_source
from caid_triage.evidence.verify import verify_acquisition
from caid_triage.hashset.write import is_hashset
from caid_triage.report.manifest import verify_manifest


@click.command(cls=CommandWithExitCodes, short_help="Check a case, or an image against its acquisition hash.")
@click.argument("target", type=click.Path(path_type=Path), metavar="TARGET")
def verify(target: Path) -> None:
    """Check that TARGET is as it was written.

    TARGET is the folder of a case: nothing of its audit trail and reports may have been changed. Or an image (its
    first segment): all of it is read once and compared with the hashes that were stored in it when it was acquired,
    those of the disk or those of each file (L01, Lx01, AD1).
    """
    if is_hashset(target):
        raise UsageError(f"{target} is a hash set; check it with: caid-triage hashset verify {target}")
    if target.exists() and (target.is_file() or is_device(target) or is_sparse_bundle(target)):
        _verify_image(target)
        return
    faults = [f"audit.jsonl: {fault}" for fault in verify_audit(target)]
    reports = target / "reports"
    if reports.is_dir():
        faults += verify_manifest(reports)
    if faults:
        raise VerificationError(f"{target} does not verify:", *(f"  {fault}" for fault in faults))
    say(f"{target}: the audit chain is whole and every report is as it was written")


def _verify_image(path: Path) -> None:
    """Errors: VerificationError when a hash differs or cannot be computed, UsageError when none is stored."""
    with closing(open_source(path, "", path.name)) as source:
        checks = verify_acquisition(source)
        if not checks:
            raise UsageError(
                f"{path} stores no hash of its acquisition, so there is nothing to verify it with: "
                "compare its hash (sha256sum) with the record of the acquisition"
            )
    for check in checks:
        if check.agrees:
            say(f"{path}: {check.sentence()}")
    faults = [
        f"  {check.path}: {check.sentence()}" if check.path else f"  {check.sentence()}"
        for check in checks
        if not check.agrees
    ]
    if faults:
        raise VerificationError(f"{path} does not verify:", *faults)
