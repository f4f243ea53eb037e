"""What every logical image gives: its files, one by one, and their content by place.

A path is built here and nowhere else, so that no name of a hostile image makes one that means something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from caid_triage.evidence.paths import display_name
from caid_triage.model import FileTimes, Problem, State

LONGEST_PATH = 1 << 16
"""Bytes of a path. No system keeps longer ones; a hostile image could make each of a million paths megabytes long."""

MOST_LEVELS = 500
"""Folders inside each other that are followed."""

NO_NAME = "NoName"
"""What EnCase calls an entry without a name."""


@dataclass(frozen=True, slots=True)
class LogicalFile:
    """One file of a logical image, or a ``stream`` of it beside its content (b"" for the content itself).

    ``place`` is what the image needs to read its content (integers); ``hashes`` are the stored digests of that, as
    (hashlib's name, bytes). ``fault`` says why the content cannot be read, "" where it can.
    """

    names: tuple[bytes, ...]
    stream: bytes
    state: State
    size: int | None
    times: FileTimes
    identifier: int | None
    place: tuple[int, ...]
    hashes: tuple[tuple[str, bytes], ...] = ()
    fault: str = ""

    @property
    def raw_path(self) -> bytes:
        """The names joined by "/", as in the image, and the stream's behind them."""
        return b"/" + b"/".join(self.names) + (b":" + self.stream if self.stream else b"")

    @property
    def path(self) -> str:
        """The path as a report may print it."""
        return display_path(self.names) + (f":{display_name(self.stream)}" if self.stream else "")


class LogicalImage(Protocol):
    """An opened logical image."""

    kind: str
    segments: tuple[Path, ...]
    facts: dict[str, str]
    problems: Sequence[Problem]

    def files(self) -> Iterator[LogicalFile | Problem]:
        """Every file, lazily, in the same order each time; a Problem where the list of files is damaged."""
        ...

    def read(self, place: Sequence[int], size: int, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` of a content of ``size`` bytes. OSError when it cannot."""
        ...

    def close(self) -> None:
        """Close every segment."""
        ...


def name_bytes(name: str) -> bytes:
    """A name as bytes; half a surrogate pair, which UTF-8 has not, is kept as the three bytes that it would take."""
    return text_bytes(name or NO_NAME)


def text_bytes(text: str) -> bytes:
    """A text as :func:`name_bytes` has it; none stays none."""
    return text.encode("utf-8", "surrogatepass")


def display_path(names: Sequence[bytes]) -> str:
    """The printable path of names from the root down."""
    return "/" + "/".join(map(display_name, names))


def too_deep(names: Sequence[bytes]) -> bool:
    """Whether a folder lies deeper, or its path is longer, than is followed."""
    return len(names) > MOST_LEVELS or sum(map(len, names)) + len(names) > LONGEST_PATH


def depth_problem(names: Sequence[bytes]) -> Problem:
    """The Problem of a folder whose files are not listed because it lies too deep."""
    detail = f"more than {MOST_LEVELS} folders inside each other, or a path of more than {LONGEST_PATH} bytes"
    return Problem("walk", "folder-too-deep", detail, path=display_path(names[:8])[:1000])


def list_damaged(how: str) -> Problem:
    """The Problem of a list of files that ends where it should not."""
    return Problem("walk", "file-list-damaged", f"the image's list of files is damaged: {how}")
