"""The sectors of a disk whose container is parsed in a process of its own: the coordinator's side of it.

A process that dies or hangs costs the place that it read, never the sampling (the rules are those of scan/blame.py):
what was died of is tried twice more, what did not come to an end is not, then the place cannot be read and a Problem
says why. After so many deaths nothing more is read: EvidenceError ``parser-gave-up``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from caid_triage.config import ParserLimits
from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.secrets import NO_SECRETS
from caid_triage.evidence.sector_places import DiskBytes, Place, handfuls
from caid_triage.model import Problem
from caid_triage.scan import evidence_words as words
from caid_triage.scan.blame import OF_CONTENT, GivenUp
from caid_triage.scan.evidence_link import Died, Link
from caid_triage.scan.protocol import ProtocolError, read_frame, to_json, write_frame

MODULE = "caid_triage.scan.sector_process"
GAVE_UP = "parser-gave-up"


class RemoteSectors:
    """The bytes of a disk, as :class:`Sectors` has them. Use :meth:`close` at the end."""

    def __init__(
        self,
        path: Path,
        exhibit: str,
        name: str,
        limits: ParserLimits = ParserLimits(),  # noqa: B008 - frozen
        module: str = "",
    ) -> None:
        """Start the process and wait until it has opened the disk.

        Errors: SourceError, saying what to do; OSError, CaidTriageError where no process can be started.
        """
        self._link = Link(path, words.Owner(exhibit, name), NO_SECRETS, "none", limits, module or MODULE)
        self._asked = 0
        self._left_out: list[Problem] = []
        try:
            opened = self._link.open()
            if opened.info.size is None:
                raise SourceError(f"{path} could not be opened: it does not say how large its disk is")
        except BaseException:
            self._link.close()
            raise
        self.info, self.size, self._problems = opened.info, opened.info.size, opened.problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was found amiss on opening, and which places were left out."""
        return (*self._problems, *self._left_out)

    @property
    def process_id(self) -> int | None:
        """The process that has the disk open, None where there is none at the moment."""
        process = self._link.process
        return None if process is None else process.pid

    def close(self) -> None:
        """End the process."""
        self._link.close()

    def read(self, start: int, length: int) -> bytes | None:
        """The bytes from ``start``, exactly ``length`` of them; None where any of them cannot be read.

        Errors: EvidenceError ``parser-gave-up``.
        """
        (data,) = self.read_each([(start, length)])
        return data

    def read_each(self, places: Sequence[Place], _first: int = 0) -> Iterator[bytes | None]:
        """What :meth:`read` gives of each place, in their order; all are read before the first is given.

        Errors: EvidenceError ``parser-gave-up``.
        """
        first, found = self._asked, list[bytes | None]()
        self._asked += len(places)
        unread = self._link.blame.unread
        while len(found) < len(places):
            done = len(found)
            left = unread.get(first + done)
            if left is not None:
                start, length = places[done]
                detail = left.detail.replace(OF_CONTENT, f"at bytes {start} to {start + length} of the disk")
                self._left_out.append(Problem("read", left.code, detail))
                found.append(None)
                continue
            end = next((place for place in range(done, len(places)) if first + place in unread), len(places))
            try:
                for handful in self._answers(places[done:end], first + done):
                    found += handful
            except Died:
                continue
            except GivenUp as error:
                raise EvidenceError("read", GAVE_UP, str(error)) from error
        return iter(found)

    def _answers(self, places: Sequence[Place], first: int) -> Iterator[list[bytes | None]]:
        """The answers to one question, a handful at a time. Raises Died, GivenUp."""
        link = self._link
        process = link.ready()
        with link.exchange(process):
            write_frame(process.sink, words.SECTORS, to_json({"first": first, "places": places}))
            process.sink.flush()
            for handful in handfuls(places):
                most = len(handful) + sum(length for _, length in handful)
                yield _parted(*read_frame(process.source, most), handful)


@contextmanager
def opened_disk(path: Path, exhibit: str, name: str) -> Iterator[DiskBytes]:
    """Open a block device or the image of a disk to read its sectors, in a process of its own where that can be.

    On Windows a process cannot be given the page of memory that the two share. Errors: those of RemoteSectors.
    """
    if sys.platform == "win32":
        from caid_triage.evidence.sectors import open_sectors  # noqa: PLC0415 - elsewhere no reader is loaded here

        with open_sectors(path, exhibit, name) as sectors:
            yield sectors
        return
    with closing(RemoteSectors(path, exhibit, name)) as remote:
        yield remote


def _parted(kind: bytes, payload: bytes, places: Sequence[Place]) -> list[bytes | None]:
    """The bytes of each place in an answer, None where it was not read. Errors: ProtocolError."""
    if len(places) == 1:
        if (kind, len(payload)) not in ((words.LAST, places[0][1]), (words.MISSED, 0)):
            raise ProtocolError("an answer of a wrong length")
        return [payload if kind == words.LAST else None]
    read, at = payload[: len(places)], len(places)
    wanted = sum(length for (_, length), one in zip(places, read, strict=False) if one)
    if kind != words.CHUNK or len(read) != len(places) or max(read) > 1 or len(payload) != at + wanted:
        raise ProtocolError("an answer of a wrong length")
    found: list[bytes | None] = []
    for (_, length), one in zip(places, read, strict=True):
        found.append(payload[at : at + length] if one else None)
        at += length if one else 0
    return found
