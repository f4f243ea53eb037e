"""The words between the coordinator and the evidence process: frames of scan/protocol.py, plain data, never pickle.

The evidence process parses what a suspect may have forged, in C code, so what comes out of it is checked like hostile
input: lengths, types, states, and that entries are numbered one after the other (law 1, law 9). Whose rows they are
(exhibit, source) is not for it to say.

    coordinator -> process                                process -> coordinator
    OPEN {path, exhibit, name, carving, secrets, ...}     TOLD {volume, tried} ...  OPENED {...} | REFUSED {message}
    VERIFY                                                STILL ...  VERIFIED {facts, problems, outcomes}
    COUNT                                                 COUNTED {files, size, end} ...
    WALK {skip} | MORE                                    ITEMS {items, end, met}
    READ {stream, entry, skip, drop} | GO_ON {stream}     CHUNK bytes | LAST bytes | FAULT {step, code, detail, bad}
    READ_AT {entry, offset, length}                       LAST bytes | FAULT
    BESIDE {entry, name}                                  ITEMS {items: at most one}
    SEARCH                                                SEARCHING {begun}
    LEDGER                                                LEDGER {size, names, count}  CHUNK bytes ...
    SPARE {whole, damaged}                                SPARE {groups}  CHUNK bytes ...
    PLACES {site, spans}                                  PLACES {places}

A process that reads the sectors of a disk for a sampling (scan/sector_process.py) is opened alike and asked one thing:

    SECTORS {first, places [[start, length] ...]}         for each handful CHUNK a byte 1 (read) or 0 (not) for each
                                                          place, then the bytes; of one large place LAST bytes | MISSED
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from caid_triage.errors import EvidenceError
from caid_triage.model import FileEntry, FileTimes, Problem, Searching, Severity, SourceInfo, State, Volume
from caid_triage.scan.protocol import ProtocolError, integer, text

OPEN, VERIFY, COUNT, WALK, MORE = b"O", b"V", b"N", b"W", b"M"
READ, GO_ON, READ_AT, BESIDE, SEARCH, LEDGER = b"R", b"G", b"A", b"B", b"S", b"L"
SPARE, PLACES = b"F", b"Q"
TOLD, OPENED, REFUSED, STILL, VERIFIED, COUNTED = b"t", b"o", b"x", b"s", b"v", b"n"
ITEMS, CHUNK, LAST, FAULT, SEARCHING = b"i", b"c", b"l", b"f", b"g"
SECTORS, MISSED = b"P", b"m"

MOST_REQUEST = 256 << 20
MOST_PIECE = 1 << 20
MOST_ANSWER = 256 << 20
"""The largest frame of items: a path of the deepest folders takes megabytes."""
MOST_ITEMS = 1 << 12
MOST_READ = 4 << 20
MOST_LOCATOR = 1 << 22
MOST_RANGES = 1 << 26
_MOST_PROBLEMS = 100_000
_MOST_VOLUMES = 100_000
_LONGEST = 16 << 20  # characters of a path or of a sentence with one in it
_LARGEST = 1 << 80  # a damaged container can claim more bytes than 63 bits tell
_STATUSES = frozenset(
    ("examined", "not-understood", "no-files", "encrypted", "possibly-encrypted", "unreadable", "empty", "unwrapped",
     "unlocked")
)  # fmt: skip

Item = FileEntry | Problem | Searching


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose the rows of a process are: the exhibit and the source."""

    exhibit: str
    source: str


# ------------------------------------------------------------ entries


def entry_to_plain(entry: FileEntry) -> list[Any]:
    """An entry of a walk as plain data, without whose it is."""
    times = entry.times
    path, raw = entry.path, entry.raw_path.decode("utf-8", "surrogateescape")
    return [
        entry.number,
        path,
        None if raw == path else raw,
        entry.volume,
        entry.state.value,
        entry.size,
        None
        if times is _NO_TIMES
        else [
            _time_to_plain(times.created),
            _time_to_plain(times.modified),
            _time_to_plain(times.accessed),
            _time_to_plain(times.changed),
            times.zone_note,
        ],
        entry.inode,
        entry.stream,
        entry.physical_offset,
        list(entry.locator),
        entry.readable,
        [problem_to_plain(problem) for problem in entry.problems],
    ]


def entry_from_plain(value: Any, owner: Owner) -> FileEntry:
    """An entry from plain data, every field checked; ProtocolError otherwise."""
    try:
        number, path, raw, volume, state, size, times, inode, stream, offset, locator, readable, problems = value
        if not isinstance(readable, bool) or not isinstance(locator, list) or len(locator) > MOST_LOCATOR:
            raise ProtocolError("an entry with a wrong field")
        path = text(path, _LONGEST)
        return FileEntry(
            owner.exhibit,
            owner.source,
            text(volume, 10_000),
            integer(number, 0, 1 << 62),
            path,
            (path if raw is None else text(raw, _LONGEST)).encode("utf-8", "surrogateescape"),
            State(state),
            None if size is None else integer(size, 0, _LARGEST),
            _NO_TIMES if times is None else _times_from_plain(times),
            None if inode is None else integer(inode, -_LARGEST, _LARGEST),
            text(stream, _LONGEST),
            None if offset is None else integer(offset, -_LARGEST, _LARGEST),
            tuple(integer(number, -_LARGEST, 1 << 256) for number in locator),
            readable,
            problems_from_plain(problems, owner) if problems else (),
        )
    except (TypeError, ValueError) as error:
        raise ProtocolError("an entry with a missing or wrong field") from error


_NO_TIMES = FileTimes()


def _time_to_plain(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _times_from_plain(value: Any) -> FileTimes:
    created, modified, accessed, changed, note = value
    return FileTimes(
        _time_from_plain(created),
        _time_from_plain(modified),
        _time_from_plain(accessed),
        _time_from_plain(changed),
        text(note, 200),
    )


def _time_from_plain(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(text(value, 40))
    if moment.tzinfo is not UTC:
        raise ProtocolError("a time that is not UTC")
    return moment


def mark_of(entry: FileEntry, before: int) -> int:
    """A checksum over the names of the entries up to this one: two walks of one source go the same way."""
    return zlib.crc32(entry.raw_path, before)


# ------------------------------------------------------------ problems


def problem_to_plain(problem: Problem) -> list[Any]:
    """A Problem as plain data; the last says whether it names exhibit and source."""
    return [
        problem.step,
        problem.code,
        problem.detail,
        problem.severity.value,
        problem.volume,
        problem.path,
        bool(problem.exhibit or problem.source),
    ]


def problem_from_plain(value: Any, owner: Owner) -> Problem:
    """A Problem from plain data, or ProtocolError."""
    try:
        step, code, detail, severity, volume, path, named = value
        where = (owner.exhibit, owner.source) if named is True else ("", "")
        return Problem(
            _word(step, 40),
            _word(code, 80),
            text(detail, _LONGEST),
            Severity(severity),
            *where,
            text(volume, 10_000),
            text(path, _LONGEST),
        )
    except (TypeError, ValueError) as error:
        raise ProtocolError("a problem with a missing or wrong field") from error


def problems_from_plain(value: Any, owner: Owner) -> tuple[Problem, ...]:
    """Problems from plain data, or ProtocolError."""
    if not isinstance(value, list) or len(value) > _MOST_PROBLEMS:
        raise ProtocolError("problems are not a list of a possible length")
    return tuple(problem_from_plain(one, owner) for one in value)


def _word(value: Any, longest: int) -> str:
    word = text(value, longest)
    if not (word.isascii() and word.isprintable()):
        raise ProtocolError("a word with characters that do not belong there")
    return word


# ------------------------------------------------------------ what a walk gives


def item_to_plain(item: Item) -> list[Any]:
    """What a walk gives as plain data: an entry, or a list that begins with a letter."""
    if isinstance(item, FileEntry):
        return entry_to_plain(item)
    if isinstance(item, Problem):
        return ["p", *problem_to_plain(item)]
    return ["s", item.searched, item.total, item.seconds, item.files, item.size]


def items_from_plain(value: Any, owner: Owner) -> Iterator[Item]:
    """What a walk gave, or ProtocolError."""
    if not isinstance(value, list) or len(value) > MOST_ITEMS:
        raise ProtocolError("items are not a list of a possible length")
    for one in value:
        if not isinstance(one, list) or not one:
            raise ProtocolError("an item is no list")
        if one[0] == "p":
            yield problem_from_plain(one[1:], owner)
        elif one[0] == "s":
            yield _searching_from_plain(one[1:])
        else:
            yield entry_from_plain(one, owner)


def _searching_from_plain(value: Any) -> Searching:
    try:
        searched, total, seconds, files, size = value
    except (TypeError, ValueError) as error:
        raise ProtocolError("a search with a missing field") from error
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds <= 1e9:
        raise ProtocolError("a number is out of range")
    return Searching(
        integer(searched, 0, _LARGEST),
        integer(total, 0, _LARGEST),
        float(seconds),
        None if files is None else integer(files, 0, 1 << 62),
        integer(size, 0, _LARGEST),
    )


# ------------------------------------------------------------ the source and its volumes


def info_to_plain(info: SourceInfo) -> dict[str, Any]:
    """What a source is, without whose it is."""
    return {
        "kind": info.kind,
        "size": info.size,
        "segments": [segment.encode("utf-8", "surrogateescape").hex() for segment in info.segments],
        "acquisition": info.acquisition,
    }


def info_from_plain(value: Any, owner: Owner) -> SourceInfo:
    """What a source is, or ProtocolError."""
    try:
        segments, size = value["segments"], value["size"]
        if not isinstance(segments, list) or len(segments) > _MOST_VOLUMES:
            raise ProtocolError("segments are not a short list")
        return SourceInfo(
            owner.exhibit,
            owner.source,
            _word(value["kind"], 40),
            None if size is None else integer(size, 0, _LARGEST),
            tuple(bytes.fromhex(segment).decode("utf-8", "surrogateescape") for segment in segments),
            facts_from_plain(value["acquisition"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError("a source with a missing or wrong field") from error


def facts_from_plain(value: Any) -> dict[str, str]:
    """Facts of an acquisition, or ProtocolError."""
    if not isinstance(value, dict) or len(value) > 10_000:
        raise ProtocolError("facts are not a small object")
    return {text(name, 10_000): text(fact, _LONGEST) for name, fact in value.items()}


def outcomes_from_plain(value: Any) -> dict[str, bool]:
    """Which stored hashes agree, or ProtocolError."""
    if not isinstance(value, dict) or len(value) > 10_000:
        raise ProtocolError("outcomes are not a small object")
    if not all(isinstance(agrees, bool) for agrees in value.values()):
        raise ProtocolError("an outcome is neither true nor false")
    return {text(name, 10_000): agrees for name, agrees in value.items()}


def volumes_to_plain(volumes: Iterable[Volume]) -> list[list[Any]]:
    """Volumes as plain data."""
    return [[one.name, one.offset, one.length, one.description, one.file_system, one.status] for one in volumes]


def volumes_from_plain(value: Any) -> tuple[Volume, ...]:
    """Volumes, or ProtocolError."""
    if not isinstance(value, list) or len(value) > _MOST_VOLUMES:
        raise ProtocolError("volumes are not a list of a possible length")
    return tuple(_volume_from_plain(one) for one in value)


def _volume_from_plain(value: Any) -> Volume:
    try:
        name, offset, length, description, file_system, status = value
    except (TypeError, ValueError) as error:
        raise ProtocolError("a volume with a missing field") from error
    if status not in _STATUSES:
        raise ProtocolError("a volume of a status that there is not")
    return Volume(
        text(name, 10_000),
        integer(offset, -_LARGEST, _LARGEST),
        integer(length, -_LARGEST, _LARGEST),
        text(description, 100_000),
        text(file_system, 10_000),
        status,
    )


# ------------------------------------------------------------ faults


def fault_to_plain(error: EvidenceError, bad: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """A fault of the evidence, and what of the source was found unreadable since the last one."""
    return {"step": error.step, "code": error.code, "detail": error.detail, "bad": [list(one) for one in bad]}


def fault_from_plain(value: dict[str, Any]) -> tuple[EvidenceError, list[tuple[int, int]]]:
    """A fault of the evidence and the unreadable ranges, or ProtocolError."""
    fault = EvidenceError(
        _word(value.get("step"), 40), _word(value.get("code"), 80), text(value.get("detail"), _LONGEST)
    )
    return fault, ranges_from_plain(value.get("bad"))


def ranges_from_plain(value: Any) -> list[tuple[int, int]]:
    """Ranges of bytes, or ProtocolError."""
    if not isinstance(value, list) or len(value) > 1 << 20:
        raise ProtocolError("ranges are not a list of a possible length")
    try:
        return [(integer(start, 0, _LARGEST), integer(end, 0, _LARGEST)) for start, end in value]
    except (TypeError, ValueError) as error:
        raise ProtocolError("a range with a missing field") from error
