"""The words between the coordinator and a worker of a cluster: one order and one answer a task, plain data in bytes.

An order is JSON. It says everything that a worker needs which was started a moment ago: whose evidence it is, where it
lies, with which secrets, what results depend on, and which entries to examine. An answer is frames of
scan/protocol.py, checked by the coordinator like what a worker of the pool says:

    CHECKED {program, host, border, evidence}      of an order to check: nothing was examined
    UNFIT {why, program}                           the worker must not examine: another program, other evidence
    then for each entry of the order, in its order:
    INSIDE {entry, part, digests, examination} ... files inside it, and
    OWN {digests, examination}                     the entry's own record, or
    HERE                                           the coordinator is to examine it (a read failed, it is much), or
    LATER                                          it was not begun: it may be ordered again
    END

``INSIDE`` frames count only with the ``OWN`` behind them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from caid_triage.config import ParserLimits, WorkerLimits
from caid_triage.evidence.secrets import Secret
from caid_triage.model import INSIDE as BETWEEN
from caid_triage.model import Digests, Examination, FileEntry, ScanRecord, State
from caid_triage.scan import evidence_words as words
from caid_triage.scan import protocol
from caid_triage.scan.protocol import ProtocolError, from_json, integer, text, to_json

CHECKED, UNFIT, INSIDE, OWN, HERE, LATER, END = b"c", b"u", b"i", b"o", b"h", b"l", b"e"
MOST_ANSWER = 16 << 20
"""The largest frame of an answer: the path of an inner file may take megabytes."""
MOST_ENTRIES = 4096
NO_EVIDENCE = ""
"""The path in an order that asks for the program alone: no source is opened."""


@dataclass(frozen=True, slots=True)
class SourceOrder:
    """A source as a worker opens it: its path on the coordinator, whose rows they are, and how it is opened."""

    path: str
    exhibit: str
    name: str
    profile: str = "standard"
    secrets: tuple[Secret, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> words.Owner:
        """Whose the rows are."""
        return words.Owner(self.exhibit, self.name)


@dataclass(frozen=True, slots=True)
class Border:
    """How the workers of the coordinator's own machine are confined (scan/trial.py), and which formats they read."""

    layers: tuple[str, ...]
    without: tuple[str, ...]
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """What a task is told: ``scan`` names the scan, ``place`` its source; without ``entries`` it is to be checked.

    ``program`` is the digest of what results depend on (scan/same_program.py); ``maps`` are pairs of roots; ``border``
    is told to workers of the same machine, which need not try it again.
    """

    scan: str
    place: int
    program: str
    source: SourceOrder
    limits: WorkerLimits
    parser: ParserLimits
    maps: tuple[tuple[str, str], ...] = ()
    border: Border | None = None
    entries: tuple[FileEntry, ...] = ()

    def to_bytes(self, entries: Sequence[FileEntry] = ()) -> bytes:
        """The order, about ``entries``."""
        return to_json(
            {
                "scan": self.scan,
                "place": self.place,
                "program": self.program,
                "path": _hex(self.source.path),
                "exhibit": self.source.exhibit,
                "name": self.source.name,
                "profile": self.source.profile,
                "secrets": [[one.kind, one.value] for one in self.source.secrets],
                "facts": self.source.facts,
                "limits": _plain(self.limits),
                "parser": _plain(self.parser),
                "maps": [[_hex(here), _hex(there)] for here, there in self.maps],
                "border": None if self.border is None else _plain(self.border),
                "entries": [words.entry_to_plain(entry) for entry in entries],
            }
        )


def order_from_bytes(payload: bytes) -> Order:
    """An order as the coordinator gave it. Errors: ProtocolError."""
    value = from_json(payload)
    try:
        source = SourceOrder(
            _path(value["path"]),
            value["exhibit"],
            value["name"],
            value["profile"],
            tuple(Secret(kind, secret) for kind, secret in value["secrets"]),
            value["facts"],
        )
        return Order(
            value["scan"],
            value["place"],
            value["program"],
            source,
            WorkerLimits(**value["limits"]),
            ParserLimits(**value["parser"]),
            tuple((_path(here), _path(there)) for here, there in value["maps"]),
            None if value["border"] is None else Border(**{name: tuple(one) for name, one in value["border"].items()}),
            tuple(words.entry_from_plain(one, source.owner) for one in value["entries"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("an order with a missing or wrong field") from error


def _plain(facts: WorkerLimits | ParserLimits | Border) -> dict[str, Any]:
    return {name: getattr(facts, name) for name in facts.__slots__}


def _hex(path: str) -> str:
    return path.encode("utf-8", "surrogateescape").hex()


def _path(value: str) -> str:
    return bytes.fromhex(value).decode("utf-8", "surrogateescape")


# ------------------------------------------------------------ answers, on the worker's side


class Answer:
    """The answer to one order, as it grows; ``size`` is its bytes."""

    def __init__(self) -> None:
        self._frames = io.BytesIO()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._frames.tell()

    def say(self, kind: bytes, value: dict[str, Any] | None = None) -> None:
        """Add a frame."""
        protocol.write_frame(self._frames, kind, b"" if value is None else to_json(value))

    def add(self, records: Sequence[bytes]) -> None:
        """Add the frames of an entry's records, as :func:`record_frame` makes them."""
        self._frames.writelines(records)

    def ended(self) -> bytes:
        """All of it."""
        self.say(END)
        return self._frames.getvalue()


def record_frame(record: ScanRecord) -> bytes:
    """The frame of one record: of an inner file with its entry, of an entry of the order without."""
    found = record.examination
    value: dict[str, Any] = {
        "digests": found.digests and protocol.digests_to_plain(found.digests),
        "examination": protocol.examination_to_plain(found),
    }
    if record.entry.part:
        value |= {"entry": words.entry_to_plain(record.entry), "part": record.entry.part}
    frame = io.BytesIO()
    protocol.write_frame(frame, INSIDE if record.entry.part else OWN, to_json(value))
    return frame.getvalue()


# ------------------------------------------------------------ answers, on the coordinator's side


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one entry: its records (those of its inside first), or "here" or "later" and none."""

    entry: FileEntry
    records: tuple[ScanRecord, ...] = ()
    outcome: str = ""


def frames_of(payload: bytes) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The frames of an answer up to its end. Errors: ProtocolError."""
    stream = io.BytesIO(payload)
    while True:
        try:
            kind, value = protocol.read_frame(stream, MOST_ANSWER)
        except EOFError as error:
            raise ProtocolError("an answer without an end") from error
        if kind == END:
            if stream.read(1):
                raise ProtocolError("something behind the end of an answer")
            return
        yield kind, from_json(value) if value else {}


def answers_from_frames(
    frames: Iterator[tuple[bytes, dict[str, Any]]], entries: Sequence[FileEntry], owner: words.Owner
) -> Iterator[Answered]:
    """What became of each entry of an order. Errors: ProtocolError where one is missing, twice or wrong."""
    for entry in entries:
        inside: list[ScanRecord] = []
        while True:
            kind, value = next(frames, (END, {}))
            if kind != INSIDE:
                break
            inside.append(_inside_from_plain(value, entry, len(inside) + 1, owner))
        if kind in (HERE, LATER):
            if inside:
                raise ProtocolError("files inside an entry that was not examined")
            yield Answered(entry, outcome="here" if kind == HERE else "later")
            continue
        if kind != OWN:
            raise ProtocolError("an entry without an answer")
        found = _examination(value)
        if found.inside != len(inside):
            raise ProtocolError("another number of inner files than were given")
        yield Answered(entry, (*inside, ScanRecord(entry, found)))
    if next(frames, None) is not None:
        raise ProtocolError("more answers than entries")


def _inside_from_plain(value: dict[str, Any], parent: FileEntry, part: int, owner: words.Owner) -> ScanRecord:
    entry = words.entry_from_plain(value.get("entry"), owner)
    if (
        integer(value.get("part"), part, part) != part
        or entry.number != parent.number
        or entry.state is not State.EMBEDDED
        or not entry.path.startswith(parent.path + BETWEEN)
        or (entry.volume, entry.inode) != (parent.volume, parent.inode)
        or entry.locator
    ):
        raise ProtocolError("an inner file of another one, or out of order")
    inner = FileEntry(
        entry.exhibit, entry.source, entry.volume, entry.number, entry.path, entry.raw_path, entry.state, entry.size,
        entry.times, entry.inode, readable=entry.readable, problems=entry.problems, part=part,
    )  # fmt: skip
    return ScanRecord(inner, _examination(value))


def _examination(value: dict[str, Any]) -> Examination:
    plain = value.get("digests")
    digests: Digests | None = None if plain is None else protocol.digests_from_plain(plain)
    examination = value.get("examination")
    if not isinstance(examination, dict):
        raise ProtocolError("a record without its examination")
    return protocol.examination_from_plain(examination, digests)


def facts_from_plain(value: Any) -> dict[str, str]:
    """What a worker says of the evidence as it found it, or ProtocolError."""
    if not isinstance(value, dict) or len(value) > 50:
        raise ProtocolError("facts are not a small object")
    return {text(name, 100): text(fact, 1 << 20) for name, fact in value.items()}
