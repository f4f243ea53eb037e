"""The one place where a library's error about the evidence becomes an EvidenceError.

pytsk3 and pyewf report a damaged structure as OSError, RuntimeError, OverflowError or ValueError
without any system to it; the operating system reports OSError.
"""

from __future__ import annotations

from types import TracebackType

from caid_triage.errors import EvidenceError

LIBRARY_ERRORS = (OSError, RuntimeError, OverflowError, ValueError)


class evidence_faults:  # noqa: N801 - reads as a function: with evidence_faults("read", "read-failed", "...")
    """Turn a library's error inside the block into an EvidenceError of this step and code.

    ``what`` begins the sentence of the detail: "this file could not be read". A class and not a
    generator, because it is entered for every piece of every file.
    """

    __slots__ = ("code", "step", "what")

    def __init__(self, step: str, code: str, what: str) -> None:
        self.step = step
        self.code = code
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error, LIBRARY_ERRORS):
            raise EvidenceError(self.step, self.code, f"{self.what}: {plain_reason(error)}") from error


def check_range(offset: int, length: int, size: int) -> None:
    """Refuse to read what does not lie inside a content of ``size`` bytes. Errors: EvidenceError."""
    if offset < 0 or length < 0 or offset + length > size:
        raise EvidenceError("read", "read-failed", f"bytes {offset} to {offset + length} of {size} were asked for")


def plain_reason(error: BaseException) -> str:
    """The reason inside a library's message, on one line, without its own source positions."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    # pytsk3: "FS_Info_Con: (tsk3.cpp:327) Unable to open ... with error: Cannot determine ..."
    head, mark, tail = text.partition(") ")
    if mark and ".cpp:" in head:
        text = tail
    _, mark, tail = text.partition(" with error: ")
    return (tail if mark else text) or type(error).__name__
