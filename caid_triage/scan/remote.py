"""A source whose parsers run in a process of their own: the coordinator's side of it, an EvidenceSource like any other.

A process that dies costs one thing its examination, never the scan:

* died: the same is tried twice more with a fresh process (scan/blame.py says why); then the file, folder, volume or
  MiB of free space it was at is left out, and a Problem ``parser-died`` stands in its place;
* hung (scan/evidence_keeper.py: measured in processor time): left out at once, ``parser-hung``;
* the walk goes on behind what it has given already, each entry once and under the same number. The new process walks
  there in silence; a checksum over the names tells whether it went the same way;
* after so many deaths the rest of the source is given up, in words: ``parser-gave-up``.

What content was found unreadable is remembered here, for the ledger of the process that comes to its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caid_triage.config import ParserLimits
from caid_triage.errors import EvidenceError
from caid_triage.evidence.logical.stored import disagreements
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import Digests, FileEntry, Problem, Searching, SourceInfo, Volume
from caid_triage.scan import evidence_words as words
from caid_triage.scan.blame import GivenUp
from caid_triage.scan.evidence_link import Died, Link
from caid_triage.scan.protocol import ProtocolError, from_json, integer, read_frame

if TYPE_CHECKING:
    from caid_triage.evidence.ledger import Ledger
    from caid_triage.evidence.spare import Content, Spare

_NO_SEARCH = Searching(0, 0)
Item = FileEntry | Problem | Searching


class SearchInside:
    """The search of free space beside the walk: it runs in the process, and ends with it."""

    def begin(self) -> None:
        """It was begun when it was asked for."""

    def close(self) -> None:
        """The process is ended with its source."""


@dataclass(slots=True)
class Given:
    """What of a walk was given on: how many items, how many entries, and a checksum over their names."""

    named_only: bool = False
    items: int = 0
    entries: int = 0
    mark: int = 0

    def check_numbers(self, items: Sequence[Item]) -> None:
        """Errors: ProtocolError where entries are not numbered one after the other."""
        number = self.entries
        for item in items:
            if isinstance(item, FileEntry):
                if item.number != number:
                    raise ProtocolError("an entry out of its turn")
                number += 1

    def takes(self, item: FileEntry | Problem) -> None:
        """Count an item that is given on."""
        self.items += 1
        if isinstance(item, FileEntry):
            self.entries += 1
            self.mark = words.mark_of(item, self.mark)

    def is_met(self, value: Any) -> bool:
        """Whether a new process has come, in silence, to where the last one was. Errors: ProtocolError."""
        if not isinstance(value, dict):
            raise ProtocolError("a walk does not say where it begins")
        met = tuple(integer(value.get(name), 0, 1 << 62) for name in ("entries", "mark", "short"))
        return met == (self.entries, self.mark, 0)


class RemoteSource:
    """The EvidenceSource of an image or a device, parsed in a process of its own. Safe for several threads."""

    def __init__(
        self,
        path: Path,
        exhibit: str,
        name: str,
        secrets: Secrets = NO_SECRETS,
        carving: str = "none",
        limits: ParserLimits = ParserLimits(),  # noqa: B008 - frozen
        module: str = "",
    ) -> None:
        """Start the process; :meth:`open` waits for it. It is the caller's to close in any case. Errors: OSError."""
        self.info = SourceInfo(exhibit, name, "", None)
        self._owner = words.Owner(exhibit, name)
        self._link = Link(path, self._owner, secrets, carving, limits, module)
        self._streams = count()
        self._dropped: deque[int] = deque()
        self._given = Given()
        self._walked = -1  # the generation that has walked to the end
        self._files = 0
        self._findings: list[Problem] = []

    def open(self) -> RemoteSource:
        """Wait until the source is open. Errors: SourceError; CaidTriageError when no process can be started."""
        self.info = self._link.open().info
        return self

    @property
    def process_id(self) -> int | None:
        """The process that has the source open, None where there is none at the moment."""
        process = self._link.process
        return None if process is None else process.pid

    # ------------------------------------------------------------ what is known of the source

    def volumes(self) -> Sequence[Volume]:
        """Every volume, also those whose files cannot be reached."""
        return self._link.open().volumes

    def problems(self) -> Sequence[Problem]:
        """What was found amiss with the source and its volumes on opening, and in verifying it."""
        return (*self._link.open().problems, *self._findings)

    def verified(self, show: Callable[[], None]) -> dict[str, bool]:
        """Compare the source with the hashes stored in it: the outcome becomes a fact or Problems of it.

        Returns which hashes agree. ``show`` is called now and then.
        """
        with self._link.lock:
            while True:
                try:
                    return self._verified(show)
                except Died:
                    continue
                except GivenUp as error:
                    self._link.goes_on()  # it may still be walked
                    self._found({}, [Problem("open", "acquisition-not-verified", str(error))])
                    return {}

    def _verified(self, show: Callable[[], None]) -> dict[str, bool]:
        process, kind, payload = self._link.asked(words.VERIFY, {})
        with self._link.exchange(process):
            while kind == words.STILL:
                show()
                kind, payload = read_frame(process.source, words.MOST_ANSWER)
            if kind != words.VERIFIED:
                raise ProtocolError("an unexpected answer")
            value = from_json(payload)
            facts = words.facts_from_plain(value.get("facts"))
            problems = words.problems_from_plain(value.get("problems"), self._owner)
            outcomes = words.outcomes_from_plain(value.get("outcomes"))
        self._found(facts, problems)
        return outcomes

    def _found(self, facts: Mapping[str, str], problems: Sequence[Problem]) -> None:
        self._findings += [replace(one, exhibit=self._owner.exhibit, source=self._owner.source) for one in problems]
        self.info = replace(self.info, acquisition={**self.info.acquisition, **facts})

    def progress(self) -> Searching:
        """How far the search of free space is."""
        process = self._link.process
        return _NO_SEARCH if process is None else process.page.progress()

    def disagreements(self, entry: FileEntry, digests: Digests) -> tuple[Problem, ...]:
        """A Problem for each hash that a logical image keeps of a file and that is not one of ``digests``."""
        return disagreements(entry, digests) if self.info.size is None else ()

    # ------------------------------------------------------------ the walk

    def counted(self, show: Callable[[], None]) -> tuple[int, int]:
        """How many files have a name, and their bytes; ``show`` is called now and then."""
        with self._link.lock:
            while True:
                try:
                    return self._counted(show)
                except Died:
                    continue
                except GivenUp:
                    return 0, 0  # the walk says so

    def _counted(self, show: Callable[[], None]) -> tuple[int, int]:
        process, kind, payload = self._link.asked(words.COUNT, {})
        with self._link.exchange(process):
            while True:
                if kind != words.COUNTED:
                    raise ProtocolError("an unexpected answer")
                value = from_json(payload)
                files, size = integer(value.get("files"), 0, 1 << 62), integer(value.get("size"), 0, 1 << 90)
                if value.get("end") is True:
                    return files, size
                show()
                kind, payload = read_frame(process.source, words.MOST_ANSWER)

    def walk(self, *, named_only: bool = False) -> Iterator[Item]:
        """Every file, lazily, in the same order each time; across the deaths of processes each one once."""
        given = self._given = Given(named_only)
        told = False  # what the search found is told once
        generation = -1
        while True:
            try:
                with self._link.lock:
                    items, end, generation = self._next_items(given, generation)
            except Died:
                continue
            except GivenUp as error:
                detail = f"the rest of this source was not examined: {error}"
                owner = self._owner
                yield Problem("walk", "parser-gave-up", detail, exhibit=owner.exhibit, source=owner.source)
                return
            for item in items:
                if not isinstance(item, Searching):
                    given.takes(item)
                elif item.files is not None and told:
                    continue
                else:
                    told = told or item.files is not None
                yield item
            if end:
                self._files, self._walked = given.entries, generation
                return

    def _next_items(self, given: Given, generation: int) -> tuple[list[Item], bool, int]:
        """The next items of a walk, whether they are the last, and which process gave them."""
        self._link.ready()
        begins = generation != self._link.generation
        value = {"skip": given.items, "named_only": given.named_only} if begins else {}
        process, kind, payload = self._link.asked(words.WALK if begins else words.MORE, value)
        with self._link.exchange(process):
            if kind != words.ITEMS:
                raise ProtocolError("an unexpected answer")
            answer = from_json(payload)
            items = list(words.items_from_plain(answer.get("items"), self._owner))
            given.check_numbers(items)
            end = answer.get("end") is True
            same = not begins or given.is_met(answer.get("met"))
        if not same:
            raise self._link.gave_up("a second walk of this source did not go the way of the first")
        return items, end, self._link.generation

    def search_beside(self, _turn: AbstractContextManager[object]) -> SearchInside | None:
        """The search of free space, begun now in the process; None where there is none or it is the walk's to do."""
        with self._link.lock:
            if self._link.alone:
                return None
            try:
                process, kind, payload = self._link.asked(words.SEARCH, {})
                with self._link.exchange(process):
                    begun = from_json(payload).get("begun")
                    if kind != words.SEARCHING or not isinstance(begun, bool):
                        raise ProtocolError("an unexpected answer")
                process.searches = begun
            except (Died, GivenUp):
                return None  # the walk searches by itself, or says that it cannot
            return SearchInside() if begun else None

    # ------------------------------------------------------------ content

    def chunks(self, entry: FileEntry) -> Iterator[bytes]:
        """The content in pieces of at most 1 MiB, ``entry.size`` bytes together; EvidenceError at a fault."""
        sent, stream, generation = 0, next(self._streams), -1
        whole: dict[str, Any] = {"stream": stream, "number": entry.number, "entry": words.entry_to_plain(entry)}
        try:
            while True:
                try:
                    with self._link.lock:
                        self._refuse(entry)
                        self._link.ready()
                        if generation == self._link.generation:
                            kind, value = words.GO_ON, {"stream": stream, "number": entry.number}
                        else:
                            kind, value = words.READ, whole | {"skip": sent, "drop": self._taken_drops()}
                        kind, data = self._piece(kind, value, entry, (entry.size or 0) - sent)
                        generation = self._link.generation
                except Died:
                    continue
                except GivenUp as error:
                    raise EvidenceError("read", "parser-gave-up", str(error)) from error
                sent += len(data)
                if data:
                    yield data
                if kind == words.LAST:
                    generation = -1
                    return
        finally:
            if generation == self._link.generation:
                self._dropped.append(stream)

    def _taken_drops(self) -> list[int]:
        """The streams that nobody reads any more."""
        drops = []
        while self._dropped:
            drops.append(self._dropped.popleft())
        return drops

    def _refuse(self, entry: FileEntry) -> None:
        """Errors: EvidenceError for content of which processes died."""
        leaving = self._link.blame.unread.get(entry.number)
        if leaving is not None:
            raise EvidenceError("read", leaving.code, leaving.detail)

    def _piece(self, kind: bytes, value: dict[str, Any], entry: FileEntry, most: int) -> tuple[bytes, bytes]:
        """A piece of content of at most so many bytes. Errors: EvidenceError. Raises Died, GivenUp."""
        process, kind, payload = self._link.asked(kind, value, entry)
        with self._link.exchange(process, entry):
            if kind == words.FAULT:
                fault, bad = words.fault_from_plain(from_json(payload))
            elif kind not in (words.CHUNK, words.LAST) or len(payload) > most:
                raise ProtocolError("something else came than a piece of content")
            elif kind == words.CHUNK and not payload:
                raise ProtocolError("a piece of nothing")
            else:
                return kind, payload
        self._link.remember_bad(bad)
        raise fault

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes of the content from ``offset``; EvidenceError at a fault or beyond the end."""
        value = {"entry": words.entry_to_plain(entry), "offset": offset, "length": length}
        while True:
            try:
                with self._link.lock:
                    self._refuse(entry)
                    _, data = self._piece(words.READ_AT, value, entry, length)
            except Died:
                continue
            except GivenUp as error:
                raise EvidenceError("read", "parser-gave-up", str(error)) from error
            if len(data) != length:
                raise EvidenceError("read", "short-read", f"{len(data)} of {length} bytes came")
            return data

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The living file of that name (one part, no path) in the folder of a living entry; None without."""
        value = {"entry": words.entry_to_plain(entry), "name": name}
        while entry.number not in self._link.blame.unread:
            try:
                with self._link.lock:
                    process, kind, payload = self._link.asked(words.BESIDE, value, entry)
                    with self._link.exchange(process, entry):
                        items = list(words.items_from_plain(from_json(payload).get("items"), self._owner))
                        found = items[0] if items else None
                        if kind != words.ITEMS or len(items) > 1 or isinstance(found, Problem | Searching):
                            raise ProtocolError("something else came than one entry")
                        if found is not None and found.number != entry.number:
                            raise ProtocolError("an entry of another number")
                        return found
            except Died:
                continue
            except GivenUp:
                break
        return None

    # ------------------------------------------------------------ the account

    def coverage(self) -> dict[str, int]:
        """Bytes by kind of area, summing to ``info.size``; of a logical image {"files": n} after the walk."""
        ledger = self.ledger()
        return {"files": self._files} if ledger is None else ledger.coverage()

    def ledger(self) -> Ledger | None:
        """Every byte by what became of it, as of now; None for a logical image.

        Where no process lives to tell it: by the status of its volumes alone, nothing of which counts as searched.
        """
        if self.info.size is None:
            return None
        with self._link.lock:
            while True:
                try:
                    return self._ledger(self.info.size)
                except Died:
                    continue
                except GivenUp:
                    from caid_triage.scan.ledger_words import ledger_of_volumes  # noqa: PLC0415 - NumPy

                    return ledger_of_volumes(self.info.size, self.volumes())

    def _ledger(self, size: int) -> Ledger:
        from caid_triage.scan.ledger_words import ledger_from_frames  # noqa: PLC0415 - NumPy

        self._link.ready()
        if self._walked >= 0:
            self._walk_in_silence()
        process, kind, payload = self._link.asked(words.LEDGER, {})
        with self._link.exchange(process):
            if kind != words.LEDGER:
                raise ProtocolError("an unexpected answer")
            names = {"", *(volume.name for volume in self.volumes())}
            return ledger_from_frames(from_json(payload), process.source, size, names)

    # ------------------------------------------------------------ for parts of known files

    def spare(self, whole: Iterable[Content], damaged: Iterable[Content]) -> list[Spare]:
        """The bytes that belong to no whole file, after a walk (evidence/spare.py); none where no process lives."""
        if self.info.size is None:
            return []
        from caid_triage.scan.spare_words import asked_spare  # noqa: PLC0415 - NumPy

        names = {"", *(volume.name for volume in self.volumes())}
        return asked_spare(self._link, self.info.size, names, whole, damaged, self._walk_in_silence)

    def places(self, site: int, spans: Iterable[tuple[int, int]]) -> list[int | None]:
        """Where on the source each (first byte, bytes) of a site stands in one piece as it is read, or None."""
        from caid_triage.scan.spare_words import asked_places  # noqa: PLC0415 - NumPy

        return asked_places(self._link, self.info.size or 0, site, spans)

    def _walk_in_silence(self) -> None:
        """Have a process that has not walked to the end do so: else it would not know what was searched."""
        generation = -1
        while self._walked != self._link.generation:
            items, end, generation = self._next_items(replace(self._given), generation)
            if any(not isinstance(item, Searching) for item in items):
                raise self._link.gave_up("a second walk of this source did not go the way of the first")
            if end:
                self._walked = generation

    def stop(self) -> None:
        """End the process, whoever waits for its answer: the scan is being stopped."""
        self._link.stop()

    def close(self) -> None:
        """End the process."""
        self._link.close()
