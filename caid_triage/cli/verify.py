"""``caid-triage verify``: check a case's audit chain and its reports."""

from __future__ import annotations

from pathlib import Path

import click

from caid_triage.case.audit import verify_audit
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.errors import UsageError, VerificationError
from caid_triage.hashset.write import is_hashset
from caid_triage.report.manifest import verify_manifest


@click.command(cls=CommandWithExitCodes, short_help="Check a case's audit trail and reports.")
@click.argument("target", type=click.Path(path_type=Path), metavar="CASE")
def verify(target: Path) -> None:
    """Check that nothing of a case's audit trail and reports has been changed since they were written."""
    if is_hashset(target):
        raise UsageError(f"{target} is a hash set; check it with: caid-triage hashset verify {target}")
    faults = [f"audit.jsonl: {fault}" for fault in verify_audit(target)]
    reports = target / "reports"
    if reports.is_dir():
        faults += verify_manifest(reports)
    if faults:
        raise VerificationError("\n".join([f"{target} does not verify:", *(f"  {fault}" for fault in faults)]))
    click.echo(f"{target}: the audit chain is whole and every report is as it was written")
