"""``caid-triage verify``: check a case's audit chain and its reports, or an image against its acquisition hash."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from caid_triage.cli.bundles import compare_with_bundle, say_trust, verify_bundle
from caid_triage.cli.console import say
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.on_record import say_head
from caid_triage.errors import UsageError, VerificationError
from caid_triage.evidence.image_file import is_device
from caid_triage.evidence.recognise import is_sparse_bundle
from caid_triage.evidence.source import open_source
from caid_triage.evidence.verify import verify_acquisition
from caid_triage.hashset.write import is_hashset
from caid_triage.report.bundle import is_bundle
from caid_triage.report.verify import Trust, check_whole_case


@click.command(cls=CommandWithExitCodes, short_help="Check a case, or an image against its acquisition hash.")
@click.argument("target", type=click.Path(path_type=Path), metavar="TARGET")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Compare TARGET, a case or a sealed bundle, with this sealed bundle, and list every difference.",
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    help="The reports of the case or bundle must be signed with the key that this one (PEM) belongs to.",
)
@click.option(
    "--tsa-certificates",
    type=click.Path(path_type=Path),
    help="The case's reports must have a time stamp by the authority with these certificates (PEM).",
)
@click.option(
    "--noted",
    metavar="SHA256",
    help="A line of the audit trail of the case or bundle must have this SHA-256: as it was printed at the end of a "
    "command, or in a report.",
)
def verify(
    target: Path,
    against: Path | None,
    public_key: Path | None,
    tsa_certificates: Path | None,
    noted: str | None,
) -> None:
    """Check that TARGET is as it was written.

    TARGET is the folder of a case: nothing of its audit trail, its database and its reports may have been changed, and
    every line, row and report that was is named. Or an image (its first segment): all of it is read once and compared
    with the hashes that were stored in it when it was acquired, those of the disk or those of each file (L01, Lx01,
    AD1). Or a sealed bundle (report --seal): every part of it is as it was sealed.

    With --against BUNDLE both are checked, then compared: versions, options, sources, hash sets, schemes and every
    report, row by row. The times of the runs, and the audit chains, which hold them, differ and are not compared.
    """
    if against is not None:
        if public_key or tsa_certificates or noted:
            raise UsageError(
                "--against compares; leave out --public-key, --tsa-certificates and --noted, and give them to a verify "
                "of the case or of the bundle by itself"
            )
        compare_with_bundle(target, against)
        return
    if target.is_file() and is_bundle(target):
        if tsa_certificates:
            raise UsageError(
                "a bundle holds no time stamp, only the request for one: unpack it, lay the answer beside "
                "reports/MANIFEST.sha256 and check it with openssl (docs/guide/verifying.md)"
            )
        verify_bundle(target, _trust(public_key, None, noted))
        return
    if is_hashset(target):
        raise UsageError(f"{target} is a hash set; check it with: caid-triage hashset verify {target}")
    if target.exists() and (target.is_file() or is_device(target) or is_sparse_bundle(target)):
        if public_key or tsa_certificates or noted:
            raise UsageError("--public-key, --tsa-certificates and --noted are for cases and bundles, not for images")
        _verify_image(target)
        return
    _verify_case(target, _trust(public_key, tsa_certificates, noted))


def _trust(public_key: Path | None, tsa_certificates: Path | None, noted: str | None) -> Trust:
    """What the options name, read. Errors: UsageError for what is not what it should be."""
    trust = Trust()
    if public_key is not None:
        from caid_triage.report.signing import read_public_key

        trust = replace(trust, key=read_public_key(public_key))
    if tsa_certificates is not None:
        from caid_triage.report.stamping import read_authorities

        trust = replace(trust, authorities=read_authorities(tsa_certificates))
    if noted is not None:
        digits = "".join(noted.split()).lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digits):
            raise UsageError("--noted is the 64 hex digits of a SHA-256, in one word or in quoted groups")
        trust = replace(trust, noted=digits)
    return trust


def _verify_case(folder: Path, trust: Trust) -> None:
    """Errors: VerificationError with every fault, CaseError where there is no case to be verified."""
    check = check_whole_case(folder, trust)
    for note in check.notes:
        say(f"note: {note}")
    if check.faults:
        raise VerificationError(f"{folder} does not verify:", *(f"  {fault}" for fault in check.faults))
    say(
        f"{folder}: the audit chain is whole, case.db and its {check.rows:,} rows are as they were stored, and every "
        "report is as it was written"
    )
    say_trust(trust, check.line_digests)
    say_head(check.head)


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
