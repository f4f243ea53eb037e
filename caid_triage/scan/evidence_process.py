"""The evidence process: opens one source, walks it and reads it, so that a parser which dies takes nothing with it.

How it is run and ends stands in scan/serving.py. It is told over its pipe what to open, with which secrets and what to
leave out; it holds no hash set and no case. It may be killed at any moment, and an exception that nobody expected ends
it: the coordinator (scan/remote.py) blames the place that was said last, and starts another.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from caid_triage.errors import EvidenceError
from caid_triage.evidence.disk import DiskSource
from caid_triage.evidence.secrets import Secret, Secrets
from caid_triage.evidence.source import BesideSearch, EvidenceSource, open_source, running_count
from caid_triage.evidence.steps import Step
from caid_triage.model import FileEntry, Problem, Searching
from caid_triage.scan import evidence_words as words
from caid_triage.scan.evidence_page import PageSteps
from caid_triage.scan.protocol import ProtocolError, to_json, write_frame
from caid_triage.scan.serving import Answer, Value, serve_and_end

_ITEMS, _BYTES, _SECONDS = 256, 1 << 20, 0.05
"""A frame of items is sent when it has so many, so many bytes of names, or is so old."""
_COUNTED, _COUNTED_SECONDS = 5000, 0.5
_STILL_SECONDS = 0.2
_PIECE = 1 << 20


class Content:
    """The content of an entry that is being read, piece by piece; the last piece is known as such."""

    def __init__(self, pieces: Iterator[bytes], size: int, skip: int) -> None:
        """Leave out the first ``skip`` bytes: they were sent by a process that died."""
        self._pieces = pieces
        self._left = size
        self._skip = skip
        self._next: bytes | None = None
        self._fault: EvidenceError | None = None

    def piece(self) -> tuple[bytes, bool]:
        """The next piece and whether it is the last. Errors: EvidenceError, after what could be read."""
        while True:
            data = self._taken()
            if data is None:
                return b"", True
            self._left -= len(data)
            if self._skip:
                left_out = min(self._skip, len(data))
                self._skip -= left_out
                data = data[left_out:]
                if not data:
                    continue
            return data, self._left <= 0 and self._ended()

    def _taken(self) -> bytes | None:
        if self._fault is not None:
            raise self._fault
        following, self._next = self._next, None
        return next(self._pieces, None) if following is None else following

    def _ended(self) -> bool:
        """Whether nothing follows a piece with which the content is whole."""
        try:
            self._next = next(self._pieces, None)
        except EvidenceError as error:
            self._fault = error
            return False
        return self._next is None


class Answers:
    """One source and the answers to what is asked of it; the search of free space takes turns with them."""

    def __init__(self, source: EvidenceSource, steps: PageSteps, sink: BinaryIO) -> None:
        """Answer into ``sink``."""
        self._source = source
        self._steps = steps
        self._sink = sink
        self._turn = threading.Lock()
        self._walk: Iterator[FileEntry | Problem | Searching] = iter(())
        self._contents: dict[int, Content] = {}
        self._beside: BesideSearch | None = None
        steps.progress = source.progress

    def answer(self, kind: bytes, value: Mapping[str, Any]) -> None:
        """Answer one request."""
        answers = {
            words.VERIFY: self._verify,
            words.COUNT: self._count,
            words.WALK: self._begin_walk,
            words.MORE: self._more,
            words.READ: self._read,
            words.GO_ON: self._go_on,
            words.READ_AT: self._read_at,
            words.BESIDE: self._beside_entry,
            words.SEARCH: self._search,
            words.LEDGER: self._ledger,
            words.SPARE: self._spare,
            words.PLACES: self._places,
        }
        if kind not in answers:
            raise ProtocolError("a request that there is not")
        answers[kind](value)

    def _say(self, kind: bytes, value: dict[str, Any]) -> None:
        write_frame(self._sink, kind, to_json(value))

    # ------------------------------------------------------------ the whole source

    def _verify(self, _value: Mapping[str, Any]) -> None:
        from caid_triage.evidence.verify import outcomes, record_verification  # noqa: PLC0415 - seldom needed

        self._steps.at(Step.VERIFYING)
        last = time.monotonic()

        def show() -> None:
            nonlocal last
            self._steps.goes_on()
            if time.monotonic() - last >= _STILL_SECONDS:
                last = time.monotonic()
                write_frame(self._sink, words.STILL)
                self._sink.flush()

        before, known = dict(self._source.info.acquisition), len(self._source.problems())
        checks = record_verification(self._source, show)
        facts = {name: fact for name, fact in self._source.info.acquisition.items() if before.get(name) != fact}
        problems = [words.problem_to_plain(one) for one in self._source.problems()[known:]]
        self._say(words.VERIFIED, {"facts": facts, "problems": problems, "outcomes": outcomes(checks)})

    def _count(self, _value: Mapping[str, Any]) -> None:
        files = size = told = 0
        last = time.monotonic()
        for files, size in running_count(self._source):
            if files - told >= _COUNTED and time.monotonic() - last >= _COUNTED_SECONDS:
                told, last = files, time.monotonic()
                self._say(words.COUNTED, {"files": files, "size": size, "end": False})
                self._sink.flush()
        self._say(words.COUNTED, {"files": files, "size": size, "end": True})

    def _search(self, _value: Mapping[str, Any]) -> None:
        self._beside = self._source.search_beside(self._turn)
        if self._beside is not None:
            self._beside.begin()
        self._say(words.SEARCHING, {"begun": self._beside is not None})

    def _ledger(self, _value: Mapping[str, Any]) -> None:
        self._steps.at(Step.LEDGER)
        with self._turn:
            ledger = self._source.ledger()
        if ledger is None:
            raise ProtocolError("a logical image has no ledger")
        wide = ledger.starts.dtype == object
        starts = ledger.starts.tolist() if wide else None
        self._say(
            words.LEDGER, {"size": ledger.size, "names": list(ledger.names), "count": len(ledger), "starts": starts}
        )
        columns = [] if wide else [ledger.starts.astype("<i8").tobytes()]
        columns += [ledger.kinds.astype("u1").tobytes(), ledger.volumes.astype("<i4").tobytes()]
        for column in columns:
            for at in range(0, len(column), _PIECE):
                write_frame(self._sink, words.CHUNK, column[at : at + _PIECE])

    def _spare(self, value: Mapping[str, Any]) -> None:
        from caid_triage.evidence.spare import Content  # noqa: PLC0415 - of a scan with a block set alone

        self._steps.at(Step.LEDGER)
        whole, damaged = (
            [Content(tuple(locator), bool(in_use)) for in_use, locator in value[name]] for name in ("whole", "damaged")
        )
        with self._turn:
            groups = self._source.spare(whole, damaged)
        told = [[one.site, one.volume, one.kind, one.placed, len(one.spans)] for one in groups]
        self._say(words.SPARE, {"groups": told})
        for one in groups:
            column = one.spans.astype("<i8").tobytes()
            for at in range(0, len(column), _PIECE):
                write_frame(self._sink, words.CHUNK, column[at : at + _PIECE])

    def _places(self, value: Mapping[str, Any]) -> None:
        self._steps.at(Step.LEDGER)
        with self._turn:
            found = self._source.places(int(value["site"]), [(start, length) for start, length in value["spans"]])
        self._say(words.PLACES, {"places": list(found)})

    # ------------------------------------------------------------ the walk

    def _begin_walk(self, value: Mapping[str, Any]) -> None:
        """Begin a walk, without its first ``skip`` items: those were given by a process that died."""
        self._walk = self._source.walk(named_only=value["named_only"] is True)
        entries = mark = 0
        left = int(value["skip"])
        while left:
            with self._turn:
                item = next(self._walk, None)
            if item is None:
                break
            if isinstance(item, Searching):
                continue
            left -= 1
            if isinstance(item, FileEntry):
                entries, mark = entries + 1, words.mark_of(item, mark)
        self._give({"entries": entries, "mark": mark, "short": left})

    def _more(self, _value: Mapping[str, Any]) -> None:
        self._give(None)

    def _give(self, met: dict[str, int] | None) -> None:
        """The next items of the walk; after one that says that a search is waited for, none."""
        items: list[Any] = []
        size, began, end = 0, time.monotonic(), False
        while len(items) < _ITEMS and size < _BYTES and time.monotonic() - began < _SECONDS:
            with self._turn:
                item = next(self._walk, None)
            if item is None:
                end = True
                break
            items.append(words.item_to_plain(item))
            if isinstance(item, Searching):
                if item.files is None:
                    break
            elif isinstance(item, FileEntry):
                size += 2 * len(item.path) + 8 * len(item.locator) + 200
            else:
                size += 2 * len(item.path) + len(item.detail)
        self._steps.tell_progress()  # before what it found: the last word of a search is that it is done
        self._say(words.ITEMS, {"items": items, "end": end, "met": met})

    # ------------------------------------------------------------ content

    def _entry(self, value: Mapping[str, Any]) -> FileEntry:
        info = self._source.info
        entry = words.entry_from_plain(value["entry"], words.Owner(info.exhibit, info.source))
        self._steps.at(Step.READING, 0, entry.number)
        return entry

    def _read(self, value: Mapping[str, Any]) -> None:
        for stream in value["drop"]:
            self._contents.pop(stream, None)
        entry = self._entry(value)
        content = Content(self._source.chunks(entry), entry.size or 0, int(value["skip"]))
        self._contents[value["stream"]] = content
        self._piece_of(value["stream"], content)

    def _go_on(self, value: Mapping[str, Any]) -> None:
        self._steps.at(Step.READING, 0, int(value["number"]))
        self._piece_of(value["stream"], self._contents[value["stream"]])

    def _piece_of(self, stream: int, content: Content) -> None:
        try:
            with self._turn:
                data, last = content.piece()
        except EvidenceError as error:
            self._contents.pop(stream, None)
            self._fault(error)
            return
        if last:
            self._contents.pop(stream, None)
        write_frame(self._sink, words.LAST if last else words.CHUNK, data)

    def _read_at(self, value: Mapping[str, Any]) -> None:
        entry = self._entry(value)
        try:
            with self._turn:
                data = self._source.read_at(entry, int(value["offset"]), int(value["length"]))
        except EvidenceError as error:
            self._fault(error)
            return
        write_frame(self._sink, words.LAST, data)

    def _beside_entry(self, value: Mapping[str, Any]) -> None:
        entry = self._entry(value)
        with self._turn:
            found = self._source.beside(entry, value["name"])
        items = [] if found is None else [words.entry_to_plain(found)]
        self._say(words.ITEMS, {"items": items, "end": True, "met": None})

    def _fault(self, error: EvidenceError) -> None:
        bad = self._source.bad_places.fresh() if isinstance(self._source, DiskSource) else []
        self._say(words.FAULT, words.fault_to_plain(error, bad))


def opened(value: Value, steps: PageSteps, sink: BinaryIO) -> tuple[dict[str, Any], Answer]:
    """Open the source that the coordinator names, with the secrets it has. Errors: SourceError."""

    def told(volume: str, tried: int, _all: int) -> None:
        steps.goes_on()
        write_frame(sink, words.TOLD, to_json({"volume": volume, "tried": tried}))
        sink.flush()

    secrets = Secrets(tuple(Secret(kind, text) for kind, text in value["secrets"]), told)
    path = Path(os.fsdecode(bytes.fromhex(value["path"])))
    source = open_source(path, value["exhibit"], value["name"], secrets, value["carving"])
    if isinstance(source, DiskSource):
        source.bad_places.add((start, end) for start, end in value["bad"])
        source.bad_places.fresh()
    facts = {
        "info": words.info_to_plain(source.info),
        "volumes": words.volumes_to_plain(source.volumes()),
        "problems": [words.problem_to_plain(one) for one in source.problems()],
    }
    return facts, Answers(source, steps, sink).answer


if __name__ == "__main__":
    serve_and_end(opened)
