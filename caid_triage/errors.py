"""What can go wrong, in one tree.

    CaidTriageError            every error of this package; carries its exit code
    |-- UsageError        2    a command was asked for something it cannot do
    |   `-- ClusterError   2   a cluster cannot be joined, has no workers, or they are not this program
    |-- SourceError       4    an evidence source could not be opened
    |   `-- UnseenError    4   the workers of a cluster cannot open it, or have another one in its place
    |-- HashSetError      5    a hash set was refused
    |-- CaseError         6    the case folder is locked, full, damaged or of a newer schema
    |   `-- UnitError    6    the unit's memory cannot be reached, is in use, full, or others may change it
    |-- VerificationError 7    a check of an audit chain, report or image failed
    `-- EvidenceError          a fault of the evidence: becomes a Problem, the scan goes on

An ``EvidenceError`` never ends a command: the place that meets it turns it into a
``model.Problem`` with the same ``step``, ``code`` and ``detail`` (docs/problem-codes.md).
Every other error stops the command with its exit code (docs/exit-codes.md). Anything not in
this tree is a bug of ours: exit code 1.

Messages say what happened, to which file, and what to do next. They never quote a hash list.
"""

from __future__ import annotations


class CaidTriageError(Exception):
    """An error that this package raises on purpose; ``exit_code`` is what the command ends with.

    Its arguments are the lines of its message.
    """

    exit_code = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """What is to be said, each line an argument: a name in one of them may hold a line break of its own."""
        return tuple(map(str, self.args))

    def __str__(self) -> str:
        return "\n".join(self.lines)


class UsageError(CaidTriageError):
    """The command or call was asked for something it cannot do (exit code 2)."""

    exit_code = 2


class ClusterError(UsageError):
    """A cluster cannot be joined, has no workers, or they are not this very program (exit code 2)."""


class SourceError(CaidTriageError):
    """An evidence source could not be opened (exit code 4)."""

    exit_code = 4


class UnseenError(SourceError):
    """The workers of a cluster cannot open a source, or have another one in its place (exit code 4)."""


class HashSetError(CaidTriageError):
    """A hash set was refused; nothing was imported (exit code 5)."""

    exit_code = 5


class CaseError(CaidTriageError):
    """The case folder is locked, full, damaged or of a newer schema (exit code 6)."""

    exit_code = 6


class UnitError(CaseError):
    """The unit's memory cannot be reached or used (exit code 6)."""


class VerificationError(CaidTriageError):
    """An audit chain, a report or an image does not verify (exit code 7)."""

    exit_code = 7


class EvidenceError(CaidTriageError):
    """A fault of the evidence: recorded as a Problem, the scan goes on.

    ``step`` is where (open, walk, read, identify, decode, hash, match), ``code`` a stable
    word from docs/problem-codes.md, ``detail`` one plain sentence.
    """

    def __init__(self, step: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.step = step
        self.code = code
        self.detail = detail
