"""``caid-triage verify``: check a case's audit chain and its reports, or an image against its acquisition hash."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from caid_triage.case.audit import chain_head, verify_audit
from caid_triage.case.view import open_case
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.errors import UsageError, VerificationError
from caid_triage.evidence.image_file import is_device
from caid_triage.evidence.recognise import is_sparse_bundle
from caid_triage.evidence.source import open_source
from caid_triage.evidence.verify import verify_acquisition
from caid_triage.hashset.write import is_hashset
from caid_triage.report.bundle import FACTS, Bundle, bundle_facts, case_schemes, is_bundle
from caid_triage.report.compare import compare_reports, compare_values
from caid_triage.report.manifest import verify_manifest
from caid_triage.report.text import shown
from caid_triage.report.write import write_reports


@click.command(cls=CommandWithExitCodes, short_help="Check a case, or an image against its acquisition hash.")
@click.argument("target", type=click.Path(path_type=Path), metavar="TARGET")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Compare TARGET, a case or a sealed bundle, with this sealed bundle, and list every difference.",
)
def verify(target: Path, against: Path | None) -> None:
    """Check that TARGET is as it was written.

    TARGET is the folder of a case: nothing of its audit trail and reports may have been changed. Or an image (its
    first segment): all of it is read once and compared with the hashes that were stored in it when it was acquired,
    those of the disk or those of each file (L01, Lx01, AD1). Or a sealed bundle (report --seal): every part of it is
    as it was sealed.

    With --against BUNDLE both are checked, then compared: versions, options, sources, hash sets, schemes and every
    report, row by row. The times of the runs, and the audit chains, which hold them, differ and are not compared.
    """
    if against is not None:
        _compare(target, against)
        return
    if target.is_file() and is_bundle(target):
        _verify_bundle(target)
        return
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
        raise VerificationError("\n".join([f"{target} does not verify:", *(f"  {fault}" for fault in faults)]))
    click.echo(f"{target}: the audit chain is whole and every report is as it was written")


def _verify_bundle(path: Path) -> None:
    """Errors: VerificationError, naming every part that is not as it was sealed."""
    with Bundle(path) as bundle:
        faults = bundle.faults()
        if faults:
            raise VerificationError("\n".join([f"{path} does not verify:", *(f"  {fault}" for fault in faults)]))
        head = bundle.facts["audit"]
    click.echo(f"{path}: every part of the bundle is as it was sealed, and its audit chain is whole")
    click.echo(f"audit head: line {head['sequence']}, {head['sha256']}")


def _compare(target: Path, against: Path) -> None:
    """Check both sides, then print every difference. Errors: VerificationError when there is one, or a check fails."""
    _verify_bundle(against)
    count = 0
    with Bundle(against) as bundle, TemporaryDirectory(prefix="caid-triage-") as room:
        before, after = Path(room, "before"), Path(room, "after")
        before.mkdir()
        bundle.unpack_reports(before)
        name = "the case"
        if target.is_file() and is_bundle(target):
            _verify_bundle(target)
            after.mkdir()
            name = "the other bundle"
            with Bundle(target) as other:
                other.unpack_reports(after)
                facts, schemes = other.facts, other.schemes()
        else:
            with open_case(target) as view:
                write_reports(view, after)
                facts, schemes = bundle_facts(view, chain_head(target)), case_schemes(view)
        for difference in (
            *compare_values(FACTS, bundle.facts, facts),
            *compare_values("schemes", bundle.schemes(), schemes),
            *compare_reports(before, after),
        ):
            count += 1
            click.echo(shown(difference.sentence(after=name)))
    if count:
        raise VerificationError(f"{target} differs from {against} in {count:,} places, listed above")
    click.echo(f"{target}: agrees with {against} in everything but the times of the runs")


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
            click.echo(f"{path}: {check.sentence()}")
    faults = [
        f"  {check.path}: {check.sentence()}" if check.path else f"  {check.sentence()}"
        for check in checks
        if not check.agrees
    ]
    if faults:
        raise VerificationError("\n".join([f"{path} does not verify:", *faults]))
