"""What ``caid-triage verify`` does with sealed bundles: check one, compare a case or another bundle with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from caid_triage.case.audit import AUDIT_FILE, AuditHead, head_of, read_lines
from caid_triage.case.view import open_case
from caid_triage.cli.console import say
from caid_triage.cli.on_record import say_head
from caid_triage.errors import CaseError, VerificationError
from caid_triage.report.bundle import FACTS, Bundle, bundle_facts, case_schemes, is_bundle
from caid_triage.report.compare import Difference, compare_reports, compare_values
from caid_triage.report.verify import check_whole_case
from caid_triage.report.write import write_reports


def verify_bundle(path: Path) -> None:
    """Check every part of a bundle. Errors: VerificationError, naming each that is not as it was sealed."""
    with Bundle(path) as bundle:
        _refuse(path, bundle.faults())
        head = bundle.facts["audit"]
    say(f"{path}: every part of the bundle is as it was sealed, and its audit chain is whole")
    say_head(AuditHead(head["sequence"], head["sha256"]))


def compare_with_bundle(target: Path, against: Path) -> None:
    """Check both sides, then print every difference. Errors: VerificationError when there is one, or a check fails."""
    verify_bundle(against)
    is_case = not (target.is_file() and is_bundle(target))
    faults = [str(fault) for fault in check_whole_case(target).faults] if is_case else []
    if not is_case:
        verify_bundle(target)
    for fault in faults:  # what was changed in a case shows in the differences, too: they are worth listing
        say(f"{target} does not verify: {fault}")
    count = 0
    for count, difference in enumerate(_differences(target, against, is_case=is_case), start=1):  # noqa: B007 - counted
        say(difference.sentence(after="the case" if is_case else "the other bundle"))
    if count or faults:
        also = " and does not verify" if faults else ""
        raise VerificationError(f"{target} differs from {against} in {count:,} places{also}: see the lines above")
    say(f"{target}: agrees with {against} in everything but the times of the runs")


def _differences(target: Path, against: Path, *, is_case: bool) -> Iterator[Difference]:
    with Bundle(against) as bundle, _room() as room:
        before, after = Path(room, "before"), Path(room, "after")
        before.mkdir()
        bundle.unpack_reports(before)
        if is_case:
            with open_case(target) as view:
                write_reports(view, after)
                head = head_of(read_lines(target / AUDIT_FILE)[0])
                facts, schemes = bundle_facts(view, head), case_schemes(view)
        else:
            after.mkdir()
            with Bundle(target) as other:
                other.unpack_reports(after)
                facts, schemes = other.facts, other.schemes()
        yield from compare_values(FACTS, bundle.facts, facts)
        yield from compare_values("schemes", bundle.schemes(), schemes)
        yield from compare_reports(before, after)


@contextmanager
def _room() -> Iterator[str]:
    """A folder to unpack into, gone afterwards. CaseError: the system's temporary folder has no room for it."""
    try:
        with TemporaryDirectory(prefix="caid-triage-") as room:
            yield room
    except OSError as fault:
        raise CaseError(
            f"the bundle could not be unpacked into the system's temporary folder: {fault.strerror or fault}. "
            "Free some space there, or name another folder (TMPDIR), then run again"
        ) from fault


def _refuse(path: Path, faults: list[str]) -> None:
    if faults:
        raise VerificationError(f"{path} does not verify:", *(f"  {fault}" for fault in faults))
