"""Compare an image with the hashes that were stored in it when it was acquired, reading it once from end to end.

E01, S01 and Ex01 store hashes of the bytes of the disk. AFF4 stores hashes of its image streams (all that was read from
the disk) and of the map that places them in the disk: both together fix every byte of it. Logical images (L01, Lx01,
AD1) store hashes of the content of each file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from caid_triage.errors import EvidenceError
from caid_triage.evidence.containers.reader import StoredHash
from caid_triage.evidence.disk import PIECE, DiskSource
from caid_triage.evidence.faults import LIBRARY_ERRORS, plain_reason
from caid_triage.evidence.logical.source import LogicalSource
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import FileEntry, Problem, Severity

_ALGORITHMS = ("md5", "sha1", "sha256", "sha512")
_DISK = "disk"


@dataclass(frozen=True, slots=True)
class HashCheck:
    """A stored hash and what became of it: ``found`` is None with a ``reason`` when it could not be computed.

    Of a logical image one check stands for the ``files`` whose hashes agree, and one for each file whose does not;
    ``path`` is that file's.
    """

    stored: StoredHash
    found: str | None
    reason: str = ""
    files: int = 0
    path: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the image still has the bytes that the hash was taken of."""
        return self.found == self.stored.expected

    def sentence(self) -> str:
        """What came of it, for a reader."""
        name = f"the {self.stored.algorithm.upper()} of {'' if self.files else 'the '}{self.stored.what}"
        if self.files:
            return f"{name} is as stored when they were acquired"
        if self.found is None:
            return f"{name} could not be computed: {self.reason}"
        if self.agrees:
            return f"{name} is {self.found}, as stored when it was acquired"
        return f"{name} is {self.found}, but {self.stored.expected} was stored when it was acquired"


def stored_hashes(source: EvidenceSource) -> Sequence[StoredHash]:
    """The hashes that a source keeps of itself; none for raw images, folders and devices."""
    if not isinstance(source, DiskSource):
        return ()
    if source.hashed is not None:
        return source.hashed.stored_hashes()
    facts = source.info.acquisition
    return [StoredHash(_DISK, name, facts[name].lower()) for name in _ALGORITHMS if name in facts]


def verify_acquisition(source: EvidenceSource, show: Callable[[], None] = lambda: None) -> list[HashCheck]:
    """Check every stored hash; empty when none is stored. ``show`` is called about once a mebibyte."""
    if isinstance(source, LogicalSource):
        return _files_checked(source, show)
    wanted = stored_hashes(source)
    checks: list[HashCheck] = []
    assert isinstance(source, DiskSource) or not wanted
    for what in dict.fromkeys(stored.what for stored in wanted):
        group = [stored for stored in wanted if stored.what == what]
        digests = [hashlib.new(stored.algorithm, usedforsecurity=False) for stored in group]
        try:
            for piece in _bytes_of(source, what):
                for digest in digests:
                    digest.update(piece)
                show()
        except LIBRARY_ERRORS as error:
            checks += [HashCheck(stored, None, plain_reason(error)) for stored in group]
            continue
        found = [digest.hexdigest() for digest in digests]
        checks += [HashCheck(stored, value) for stored, value in zip(group, found, strict=True)]
    return checks


def _files_checked(source: LogicalSource, show: Callable[[], None]) -> list[HashCheck]:
    """The checks of a logical image, see :class:`HashCheck`: how many files agree first, then each that does not."""
    agreed: Counter[str] = Counter()
    others: list[HashCheck] = []
    for entry in source.walk():
        stored = source.stored_hashes(entry) if isinstance(entry, FileEntry) else {}
        if not isinstance(entry, FileEntry) or not stored:
            continue
        digests = {name: hashlib.new(name, usedforsecurity=False) for name in stored}
        reason = entry.problems[0].detail if entry.problems else "it has no content"
        try:
            for piece in source.chunks(entry):
                for digest in digests.values():
                    digest.update(piece)
                show()
            reason = ""
        except EvidenceError as error:
            reason = error.detail if entry.readable else reason
        for name, expected in stored.items():
            found = None if reason else digests[name].hexdigest()
            if found == expected.hex():
                agreed[name] += 1
            else:
                what = StoredHash(f"content of file {entry.number}", name, expected.hex())
                others.append(HashCheck(what, found, reason, path=entry.path))
    whole = [
        HashCheck(StoredHash(f"the contents of {count} file{'s' if count > 1 else ''}", name, ""), "", files=count)
        for name, count in sorted(agreed.items())
    ]
    return [*whole, *others]


def _bytes_of(source: EvidenceSource, what: str) -> Iterator[bytes]:
    assert isinstance(source, DiskSource)
    if source.hashed is not None:
        yield from source.hashed.bytes_of(what)
        return
    size = int(source.image.get_size())
    for offset in range(0, size, PIECE):
        wanted = min(PIECE, size - offset)
        piece = read_range(source.image, offset, wanted)
        if len(piece) != wanted:
            raise OSError(f"the image ends at byte {offset + len(piece)} of {size}")
        yield piece


def record_verification(source: EvidenceSource, show: Callable[[], None] = lambda: None) -> list[HashCheck]:
    """Verify, and put the outcome into the source: a fact ``verified`` where all agree, else Problems."""
    checks = verify_acquisition(source, show)
    if not isinstance(source, DiskSource | LogicalSource):
        return checks
    if not checks:
        detail = "the image stores no hash of its acquisition, so there was nothing to verify it with"
        source.add_findings({}, [Problem("open", "acquisition-hash-absent", detail, Severity.NOTE)])
        return checks
    problems = [_problem_of(check) for check in checks if not check.agrees and not check.path]
    problems += _problems_of_files([check for check in checks if check.path])
    words = ", ".join(
        f"{check.stored.algorithm} of {'' if check.files else 'the '}{check.stored.what}"
        for check in checks
        if check.agrees
    )
    source.add_findings({} if problems else {"verified": f"{words}: computed anew, as stored"}, problems)
    return checks


def outcomes(checks: Sequence[HashCheck]) -> dict[str, bool]:
    """What the audit trail keeps: which hashes agree. Of files only how many, since their names are not for a log."""
    found = {f"{check.stored.what} {check.stored.algorithm}": check.agrees for check in checks if not check.path}
    others = Counter(check.stored.algorithm for check in checks if check.path)
    return found | {f"contents of {count} other files {name}": False for name, count in sorted(others.items())}


def _problems_of_files(others: Sequence[HashCheck]) -> list[Problem]:
    """One Problem for all files whose hash differs, one for all that could not be read: each has a row of its own."""
    differing, unread = (
        len({check.stored.what for check in others if (check.found is None) is missing}) for missing in (False, True)
    )
    problems = []
    if differing:
        detail = f"{differing} of the files are not as their stored hashes say: each is named by file-hash-mismatch"
        problems.append(Problem("open", "acquisition-hash-mismatch", detail))
    if unread:
        detail = (
            f"the stored hashes of {unread} files could not be compared, since those could not be read to their end"
        )
        problems.append(Problem("open", "acquisition-not-verified", detail))
    return problems


def _problem_of(check: HashCheck) -> Problem:
    if check.found is None:
        return Problem("open", "acquisition-not-verified", check.sentence())
    detail = f"{check.sentence()}: the image was changed or damaged since"
    return Problem("open", "acquisition-hash-mismatch", detail)
