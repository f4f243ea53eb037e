"""The coordinator's end of the pipe to the evidence process of one source, across the deaths of its processes.

Whoever asks holds :attr:`Link.lock` and asks within :meth:`Link.exchange`: the end of the pipe, or nonsense in it, is
the death of the process. Blame for it is laid (scan/blame.py), ``Died`` is raised, and whoever asked may ask again: the
next question starts the next process, which is told what to leave out.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caid_triage.config import ParserLimits
from caid_triage.errors import CaidTriageError, SourceError
from caid_triage.evidence.secrets import Secrets
from caid_triage.evidence.steps import Place, Step
from caid_triage.model import FileEntry, Problem, SourceInfo, Volume
from caid_triage.scan import evidence_words as words
from caid_triage.scan.blame import Blame, Death, GivenUp, reason_of
from caid_triage.scan.evidence_keeper import MODULE, EvidenceProcess, Keeper
from caid_triage.scan.evidence_page import ANSWERING, SEARCHING
from caid_triage.scan.protocol import ProtocolError, from_json, integer, read_frame, text, to_json, write_frame
from caid_triage.scan.slot import KILLED, MOST_KILLED_STARTS, MOST_STARTS
from caid_triage.scan.worker_process import why_no_start

_SEARCH_STEPS = frozenset((Step.SEARCH, Step.SPACE, Step.SITE))
_MOST_BAD = 1 << 16


class Died(Exception):  # noqa: N818 - handled where a question is asked
    """The process is gone and blame was laid; whoever asked may ask again."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What a process says of a source that it opened."""

    info: SourceInfo
    volumes: tuple[Volume, ...]
    problems: tuple[Problem, ...]


class Link:
    """The processes of one source, one after the other.

    ``generation`` counts them. ``opened`` is what the first said of the source; each later one must say the same.
    ``alone`` says that something died while free space was searched beside: from then on one works at a time.
    """

    def __init__(
        self, path: Path, owner: words.Owner, secrets: Secrets, carving: str, limits: ParserLimits, module: str = ""
    ) -> None:
        """Start the first process. Errors: OSError."""
        self.lock = threading.RLock()
        self.owner = owner
        self.process: EvidenceProcess | None = None
        self.opened: Opened | None = None
        self.generation = 0
        self.alone = False
        self.blame = Blame(limits.deaths, limits.retries)
        self._path = path
        self._secrets = secrets
        self._carving = carving
        self._module = module or MODULE
        self._keeper = Keeper(limits, self._module)
        self._opening = False  # whether the process was told to open the source and has not answered
        self._given_up = ""
        self._starts = {True: 0, False: 0}  # processes that did not come to open anything, by whether they were killed
        self._bad: list[tuple[int, int]] = []
        try:
            self._begin()
        except OSError:
            self._keeper.close()
            raise

    def _begin(self) -> None:
        """Start a process and send it off to open the source."""
        self.process = self._keeper.start()
        self.generation += 1
        self._opening = True
        value = {
            "path": os.fsencode(self._path).hex(),
            "exhibit": self.owner.exhibit,
            "name": self.owner.source,
            "carving": self._carving,
            "secrets": [[secret.kind, secret.value] for secret in self._secrets.items],
            "bad": [list(one) for one in self._bad],
            "left_out": [[list(place), one.code, one.detail, one.ends] for place, one in self.blame.left_out.items()],
        }
        self.process.owes = True
        try:
            write_frame(self.process.sink, words.OPEN, to_json(value))
            self.process.sink.flush()
        except OSError:
            return  # the answer, which does not come, tells

    def open(self) -> Opened:
        """Wait until the source is open. Errors: SourceError; CaidTriageError when no process can be started."""
        with self.lock:
            while self.opened is None:
                try:
                    self.ready()
                except Died:
                    continue
                except GivenUp as error:
                    raise SourceError(f"{self._path} could not be opened: {error}") from error
            return self.opened

    def ready(self) -> EvidenceProcess:
        """The process with the source open. Raises Died, GivenUp, SourceError (the first time)."""
        if self._given_up:
            raise GivenUp(self._given_up)
        if self.process is None:
            self._begin()
        process = self.process
        assert process is not None
        if not self._opening:
            return process
        with self.exchange(process):
            kind, value = self._told_until_open(process)
            opened = self._opened_from_plain(value) if kind == words.OPENED else None
            message = _printable(text(value.get("message"), 100_000)) if opened is None else ""
        self._opening = False
        self._starts = {True: 0, False: 0}
        if opened is None and self.opened is None:
            raise SourceError(message)
        if opened is None:
            raise self.gave_up(f"the source could not be opened again: {message}")
        if self.opened is None:
            self.opened = opened
        if opened != self.opened:
            raise self.gave_up("the source was another one when it was opened again")
        return process

    def _told_until_open(self, process: EvidenceProcess) -> tuple[bytes, dict[str, Any]]:
        """What ends the opening, after what is told of the secrets that are tried."""
        while True:
            kind, payload = read_frame(process.source, words.MOST_ANSWER)
            value = from_json(payload)
            if kind in (words.OPENED, words.REFUSED):
                return kind, value
            if kind != words.TOLD:
                raise ProtocolError("an unexpected answer")
            tried = integer(value.get("tried"), 0, len(self._secrets))
            self._secrets.told(text(value.get("volume"), 10_000), tried, len(self._secrets))

    def _opened_from_plain(self, value: Mapping[str, Any]) -> Opened:
        return Opened(
            words.info_from_plain(value.get("info"), self.owner),
            words.volumes_from_plain(value.get("volumes")),
            words.problems_from_plain(value.get("problems"), self.owner),
        )

    # ------------------------------------------------------------ questions

    def exchange(self, process: EvidenceProcess, entry: FileEntry | None = None) -> Exchange:
        """One question, of the content of an ``entry`` or of anything else, and its answer."""
        return Exchange(self, process, entry)

    def asked(
        self, kind: bytes, value: dict[str, Any], entry: FileEntry | None = None
    ) -> tuple[EvidenceProcess, bytes, bytes]:
        """The process and the first frame of its answer to a question. Raises Died, GivenUp."""
        process = self.ready()
        with self.exchange(process, entry):
            write_frame(process.sink, kind, to_json(value))
            process.sink.flush()
            return process, *read_frame(process.source, words.MOST_ANSWER)

    def remember_bad(self, ranges: list[tuple[int, int]]) -> None:
        """Keep what of the source was found unreadable, for the processes to come."""
        self._bad += ranges
        if len(self._bad) > _MOST_BAD:
            from caid_triage.evidence.ranges import merged  # noqa: PLC0415 - seldom needed

            self._bad = merged(self._bad)

    # ------------------------------------------------------------ ends

    def lay_blame(self, process: EvidenceProcess, entry: FileEntry | None, nonsense: str) -> None:
        """A process died while it answered, or talked ``nonsense``: say which place is to blame. Raises GivenUp."""
        if process is not self.process:
            return
        page, searched = process.page, process.searches
        began = page.count(ANSWERING) > 0
        answering = Place(Step.READING, 0, entry.number) if entry is not None else page.place(ANSWERING)
        searching = page.place(SEARCHING) if searched else Place(Step.IDLE)
        returned, ending = self._end()
        if not began:
            self._did_not_start(returned)
            return
        death = Death(process.hung is not None, nonsense or reason_of(returned, ending))
        place: Place | None = answering
        if process.hung == SEARCHING:
            place = searching
        elif process.hung is None and searching.step in _SEARCH_STEPS:
            place = searching if answering.step == Step.IDLE else None  # None: either of the two
        self.alone = self.alone or searched
        try:
            self.blame.died(place, death)
        except GivenUp as error:
            raise self.gave_up(str(error)) from error

    def _did_not_start(self, returned: int) -> None:
        """Count the processes that ended before they said a word. Errors: CaidTriageError after too many."""
        self._starts[returned == KILLED] += 1
        if self._starts[True] >= MOST_KILLED_STARTS:
            raise CaidTriageError(
                f"the process that reads the evidence was killed {MOST_KILLED_STARTS} times while it started: is the "
                f"machine short of memory?"
            )
        if self._starts[False] >= MOST_STARTS:
            reason = why_no_start(self._module)
            raise CaidTriageError(f"the process that reads the evidence did not start in {MOST_STARTS} tries: {reason}")

    @property
    def given_up(self) -> str:
        """Why no further process is started; "" while one may be."""
        return self._given_up

    def gave_up(self, reason: str) -> GivenUp:
        """End the process for good; the error to be raised."""
        self._given_up = reason
        self._end()
        return GivenUp(reason)

    def stop(self) -> None:
        """End the process for good, whoever waits for its answer: the scan is being stopped. Takes no lock."""
        self._given_up = "the scan is being stopped"
        process = self.process
        if process is not None:
            process.kill()

    def goes_on(self) -> None:
        """Start processes again, for something else than what was given up."""
        self._given_up = ""

    def _end(self) -> tuple[int, str]:
        """End the process; how it ended, and the exception that it named."""
        process, self.process = self.process, None
        if process is None:
            return 0, ""
        process.owes = process.searches = False
        return process.close(), process.page.ending()

    def close(self) -> None:
        """End the process and the thread that watches it."""
        self._keeper.close()


class Exchange:
    """One question and its answer, as a context manager."""

    __slots__ = ("_entry", "_link", "_process")

    def __init__(self, link: Link, process: EvidenceProcess, entry: FileEntry | None) -> None:
        self._link = link
        self._process = process
        self._entry = entry

    def __enter__(self) -> None:
        self._process.owes = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        self._process.owes = False
        if error is None:
            return
        if isinstance(error, EOFError | OSError | ProtocolError):
            is_nonsense = isinstance(error, ProtocolError) and self._process.hung is None
            self._link.lay_blame(self._process, self._entry, str(error) if is_nonsense else "")
            raise Died from error
        self._process.kill()  # Ctrl+C in the middle of an answer: nobody knows what would come next


def _printable(message: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else "\N{REPLACEMENT CHARACTER}" for one in message)
