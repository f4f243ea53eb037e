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
from caid_triage.report.bundle import FACTS, REPORTS, Bundle, bundle_facts, case_schemes, is_bundle
from caid_triage.report.compare import Difference, compare_reports, compare_values
from caid_triage.report.manifest import SIGNATURE, file_sha256
from caid_triage.report.verify import NO_SUCH_LINE, Trust, check_whole_case
from caid_triage.report.write import write_reports


def verify_bundle(path: Path, trust: Trust) -> None:
    """Check every part of a bundle, and that it is signed with a key and has a line that was noted, where given.

    Errors: VerificationError, naming each that is not as it was sealed.
    """
    with Bundle(path) as bundle:
        faults, digests = bundle.faults(), bundle.line_digests()
        if trust.key is not None and (what := bundle.signature_fault(trust.key)):
            faults.append(f"{REPORTS}{SIGNATURE} {what}")
        if trust.noted is not None and trust.noted not in digests:
            faults.append(f"{AUDIT_FILE}: {NO_SUCH_LINE}")
        _refuse(path, faults)
        head, figures = bundle.facts["audit"], bundle.facts.get("figures")
    say(f"{path}: every part of the bundle is as it was sealed, and its audit chain is whole")
    if not isinstance(figures, dict) or figures.get("complete") is not True:
        say("note: a scan of the case was not complete when it was sealed")
    say_trust(trust, digests)
    say(f"SHA-256 of the bundle: {file_sha256(path)} (compare it with the one that was noted when it was sealed)")
    say_head(AuditHead(head["sequence"], head["sha256"]))


def say_trust(trust: Trust, line_digests: list[str]) -> None:
    """Print what of :class:`Trust` was asked for and holds."""
    if trust.key is not None:
        say("the reports are signed with that key")
    if trust.noted is not None:
        place = line_digests.index(trust.noted) + 1
        say(f"the SHA-256 that was noted is that of line {place} of {len(line_digests)} of {AUDIT_FILE}")


def compare_with_bundle(target: Path, against: Path) -> None:
    """Check both sides, then print every difference. Errors: VerificationError when there is one, or a check fails."""
    verify_bundle(against, Trust())
    is_case = not (target.is_file() and is_bundle(target))
    faults = [str(fault) for fault in check_whole_case(target).faults] if is_case else []
    if not is_case:
        verify_bundle(target, Trust())
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
