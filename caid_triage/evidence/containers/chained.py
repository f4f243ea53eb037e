"""Open a virtual disk with the disks that it was made from (VHD, VHDX): each names its parent, beside it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from io import RawIOBase
from pathlib import Path
from typing import Protocol, TypeVar

from caid_triage.evidence.containers.libyal import open_file
from caid_triage.evidence.containers.reader import Range, damaged, file_named, missing_blocks, refuse_circle
from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.model import Problem


class Chained(Protocol):
    """What a reader must tell for its parents to be opened; ``parent`` is set here."""

    size: int

    @property
    def named_parent(self) -> str | None:
        """The name under which its parent is kept; None where it stands alone."""
        ...

    def adopt(self, parent: Chained) -> bool:
        """Take a parent; False when it is another disk than the one this was made from."""
        ...

    def remarks(self, path: Path) -> list[Problem]:
        """What is amiss with it beside missing blocks."""
        ...

    def unreadable(self) -> Sequence[Range]:
        """The ranges that it does not have."""
        ...

    def close(self) -> None:
        """Close it and its parents."""
        ...


R = TypeVar("R", bound=Chained)


def open_with_parents(
    path: Path, chain: list[Path], what: str, new: Callable[[RawIOBase], R]
) -> tuple[R, list[Problem]]:
    """A disk with the disks that it builds on, and what is amiss with them; their paths are added to ``chain``.

    ``new`` makes the reader of a file, ``what`` is what it is called. Errors: SourceError, with every file closed.
    """
    refuse_circle(path, chain, what)
    chain.append(path)
    with ExitStack() as undo:
        file = undo.enter_context(open_file(path))
        try:
            reader = new(file)
            problems = [*missing_blocks(reader.unreadable(), reader.size), *reader.remarks(path)]
            named = reader.named_parent
            if named is not None:
                found = file_named(path, named, "the disk it was made from (its parent)")
                parent, more = open_with_parents(found, chain, what, new)
                undo.callback(parent.close)
                problems += more
                if not reader.adopt(parent):
                    raise damaged(path, what, f"{found.name} has another identifier than the parent it was made from")
        except (*LIBRARY_ERRORS, struct.error) as error:
            raise damaged(path, what, error) from error
        undo.pop_all()
    return reader, problems
