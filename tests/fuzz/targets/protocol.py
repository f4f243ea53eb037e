"""The words between coordinator and worker, each side fed with what the other might say once it was taken over.

The first byte: odd is the worker's side, which is fed with the rest; even is the coordinator's, whose workers (as many
as bits 1 and 2 say, and one) say what lies behind their lengths of two bytes each. Two files are examined by one slot.

Laws of the coordinator: nothing is raised; each file has exactly one record, of the entry that was walked; what was
given of its inside is counted from 1 and as many as the record says; every record can be stored and comes back; a
worker gets only bytes of the file of its task. Of the worker: it says what is not in the protocol, and the digests of
exactly the bytes between TASK and END.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import sqlite3
import threading
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from support.contents import readers
from support.embedded import zipped

from caid_triage.case.encode import entry_id, entry_row, hash_rows, metadata_rows, problem_rows, record_of
from caid_triage.config import WorkerLimits
from caid_triage.errors import EvidenceError
from caid_triage.examine.examine import Examiner
from caid_triage.examine.limits import Limits
from caid_triage.model import INSIDE, FileEntry, ScanRecord, State
from caid_triage.scan import protocol
from caid_triage.scan.slot import Slot
from caid_triage.scan.worker import serve
from fuzz.inner import prepare
from fuzz.target import Target, expect

CONTENTS = [zipped({"a.txt": b"milk", "b.txt": b"bread" * 20}), b"words " * 20]
NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 1, 1 << 31, 1 << 62, 1 << 63, 1 << 70, 0.5, float("nan"), float("inf"), -1e300, "", "\ud800",
    "\0", "x" * 9000, "00", "zz", [], {}, [[]], [None], {"a": 1}, "other", "image", "notable", "..", "/", [1, 2, 3, 4],
)  # fmt: skip


class Scripted:
    """A worker whose answers are known before."""

    def __init__(self, answers: bytes) -> None:
        self.source, self.sink = io.BytesIO(answers), io.BytesIO()
        self.tasks, self.loads, self.ready, self.starter, self.pid = 0, 0, True, threading.get_ident(), 0

    def kill(self) -> None:
        """It has no process."""

    def close(self) -> int:
        """As one that was killed."""
        return -9


class Force:
    """Gives one scripted worker after the other, the last again and again."""

    def __init__(self, answers: list[bytes]) -> None:
        self._answers = answers
        self.workers: list[Scripted] = []

    def take(self) -> Scripted:
        expect(len(self.workers) < 200, "workers are started without end")
        self.workers.append(Scripted(self._answers[min(len(self.workers), len(self._answers) - 1)]))
        return self.workers[-1]

    def give_back(self, _worker: Scripted) -> None:
        """Nobody takes it again."""


def check(data: bytes) -> str:
    if data[:1] and data[0] & 1:
        return of_worker(data[1:])
    count = (data[0] >> 1 & 3) + 1 if data else 1
    lengths = [int.from_bytes(data[1 + 2 * n : 3 + 2 * n], "little") for n in range(count)]
    at, scripts = 1 + 2 * count, []
    for length in lengths:
        scripts.append(data[at : at + length])
        at += length
    return of_coordinator(scripts)


def of_coordinator(scripts: list[bytes]) -> str:
    entries = [
        FileEntry("E", "s", "p1", number, f"/{number}", b"/%d" % number, State.ALLOCATED, len(content))
        for number, content in enumerate(CONTENTS)
    ]
    read, read_at = readers(CONTENTS)

    def checked_read_at(entry: FileEntry, offset: int, length: int) -> bytes:
        inside = offset >= 0 and length > 0 and offset + length <= len(CONTENTS[entry.number])
        expect(inside, "a worker was given bytes that are not of its file")
        return read_at(entry, offset, length)

    def beside(_entry: FileEntry, name: str) -> None:
        expect(name in protocol.BESIDE, "a worker named another file")
        raise EvidenceError("read", "read-failed", "there is none")

    force = Force(scripts)
    slot = Slot(read, WorkerLimits(), threading.Event(), force, checked_read_at, beside)  # type: ignore[arg-type]
    said = []
    for entry in entries:
        given: list[ScanRecord] = []
        record = slot.examine(entry, given.append)
        _one_record(entry, record, given)
        said.append("good" if not record.problems else record.problems[0].code)
    expect(len(force.workers) < 100, "more workers were used than tries are allowed")
    return " ".join(said)


def _one_record(entry: FileEntry, record: ScanRecord, given: list[ScanRecord]) -> None:
    expect(replace(record.entry, problems=()) == entry, "the record is of another entry")
    expect([one.entry.part for one in given] == list(range(1, len(given) + 1)), "parts are not counted one by one")
    expect(record.examination.inside == len(given), "another number of inner files than were given")
    for one in given:
        mine = one.entry
        expect((mine.number, mine.state, mine.volume) == (entry.number, State.EMBEDDED, "p1"), "of another file")
        expect(mine.path.startswith(entry.path + INSIDE), "an inner file that lies elsewhere")
    for one in (*given, record):
        _stored(one)


def _stored(record: ScanRecord) -> None:
    """A record goes into a database and comes back as it was, but for texts that UTF-8 cannot hold."""
    identity = entry_id(1, record.entry.number, record.entry.part)
    found = record.examination
    problems = (*record.entry.problems, *found.problems)
    tables = {
        "entry": [entry_row(identity, record)],
        "hash": list(hash_rows(identity, found.hashes)),
        "metadata": list(metadata_rows(identity, found.metadata)),
        "problem": list(problem_rows(identity, problems)),
    }
    connection = sqlite3.connect(":memory:")
    back: dict[str, list[Any]] = {}
    for name, rows in tables.items():
        width = len(rows[0]) if rows else 1
        connection.execute(f"CREATE TABLE {name} ({', '.join(f'c{number}' for number in range(width))})")
        connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * width)})", rows)
        back[name] = connection.execute(f"SELECT * FROM {name}").fetchall()
    connection.close()
    (row,) = back["entry"]
    again = record_of(row, "E", "s", back["hash"], back["metadata"], back["problem"])
    expect(again.examination.digests == found.digests, "other digests come back from the case")
    expect(again.examination.hashes == found.hashes, "other hashes come back from the case")
    expect(again.entry.raw_path == record.entry.raw_path, "another path comes back from the case")
    expect(again.entry.times == record.entry.times, "other times come back from the case")
    expect(again.entry.size == record.entry.size, "another size comes back from the case")


def of_worker(data: bytes) -> str:
    sink = io.BytesIO()
    try:
        copy_context().run(serve, io.BytesIO(data), sink, Examiner(Limits()), WorkerLimits())
        word = "worker ended"
    except (protocol.ProtocolError, EOFError) as error:
        word = f"worker {type(error).__name__}"
    answers = frames(sink.getvalue())
    digests = [json.loads(payload)["sha256"] for kind, payload in answers if kind == protocol.DIGESTS]
    expect(digests == _plain_digests(data)[: len(digests)], "digests of other bytes than were sent")
    return f"{word} after {min(len(digests), 3)}"


def _plain_digests(data: bytes) -> list[str]:
    found, content = [], b""
    for kind, payload in frames(data):
        if kind == protocol.TASK:
            content = b""
        elif kind == protocol.CHUNK:
            content += payload
        elif kind == protocol.END:
            found.append(hashlib.sha256(content).hexdigest())
    return found


def frames(data: bytes) -> list[tuple[bytes, bytes]]:
    """The whole frames of some bytes."""
    stream, found = io.BytesIO(data), []
    while True:
        try:
            found.append(protocol.read_frame(stream, protocol.MAX_CHUNK))
        except (EOFError, protocol.ProtocolError):
            return found


def joined(parts: list[tuple[bytes, bytes]]) -> bytes:
    stream = io.BytesIO()
    for kind, payload in parts:
        protocol.write_frame(stream, kind, payload)
    return stream.getvalue()


def packed(scripts: list[bytes]) -> bytes:
    """An input for the coordinator's side."""
    lengths = b"".join(len(one).to_bytes(2, "little") for one in scripts)
    return bytes(((len(scripts) - 1) << 1,)) + lengths + b"".join(scripts)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Change one word of one frame: a field of its JSON, its kind, its place, or how often it is said."""
    if not data:
        return data
    if data[0] & 1:
        return data[:1] + _said_otherwise(data[1:], chance)
    count = (data[0] >> 1 & 3) + 1
    lengths = [int.from_bytes(data[1 + 2 * n : 3 + 2 * n], "little") for n in range(count)]
    at, scripts = 1 + 2 * count, []
    for length in lengths:
        scripts.append(data[at : at + length])
        at += length
    place = chance.randrange(count)
    scripts[place] = _said_otherwise(scripts[place], chance)[:65_000]
    return packed(scripts)


def _said_otherwise(script: bytes, chance: random.Random) -> bytes:
    parts = frames(script)
    if not parts:
        return script
    place = chance.randrange(len(parts))
    kind, payload = parts[place]
    what = chance.random()
    if what < 0.6:
        try:
            value = json.loads(payload)
        except ValueError:
            return script
        _change(value, chance)
        parts[place] = kind, json.dumps(value).encode("ascii")
    elif what < 0.7:
        parts[place] = (
            chance.choice((b"r", b"d", b"x", b"f", b"n", b"s", b"i", b"l", b"k", b"T", b"C", b"E", b"A")),
            payload,
        )
    elif what < 0.8:
        parts.insert(chance.randrange(len(parts) + 1), parts[place])
    elif what < 0.9:
        del parts[place]
    else:
        other = chance.randrange(len(parts))
        parts[place], parts[other] = parts[other], parts[place]
    return joined(parts)


def _change(value: Any, chance: random.Random) -> None:
    """Put something nasty in some place of plain data."""
    while isinstance(value, (dict, list)) and value:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = chance.choice(keys)
        if isinstance(value[key], (dict, list)) and value[key] and chance.random() < 0.7:
            value = value[key]
            continue
        if isinstance(value, dict) and chance.random() < 0.1:
            del value[key]
        else:
            value[key] = chance.choice(NASTY)
        return


def dialogue(contents: list[bytes], *, random_access: bool = False) -> tuple[bytes, bytes]:
    """What the coordinator says for some files, and what a good worker answers (without its READY)."""
    asked: list[tuple[bytes, bytes]] = []
    for content in contents:
        task = {"mode": "full", "size": len(content), "random": random_access, "again": [0, []]}
        asked += [(protocol.TASK, protocol.to_json(task)), (protocol.CHUNK, content), (protocol.END, b"")]
    sink = io.BytesIO()
    copy_context().run(serve, io.BytesIO(joined(asked)), sink, Examiner(Limits()), WorkerLimits())
    return joined(asked), joined(frames(sink.getvalue())[1:])


def seeds() -> dict[str, bytes]:
    """Dialogues of a good worker, with questions for more bytes, with the loading of a library, and after deaths."""
    prepare()
    asked, answered = dialogue(CONTENTS)
    need = (protocol.NEED, protocol.to_json({"offset": 0, "length": 50}))
    other = (protocol.NEED, protocol.to_json({"beside": "thumbnails.data"}))
    loads = [(protocol.LOADING, b""), (protocol.LOADED, b"")]
    parts = frames(answered)
    first = next(place for place, (kind, _) in enumerate(parts) if kind == protocol.EXAMINED)
    asking = joined([*parts[:1], need, *loads, other, need, *parts[1:]])
    dies = joined(parts[: first - 1])
    return {
        "good": packed([answered]),
        "asks and loads": packed([asking]),
        "dies once": packed([dies, answered]),
        "dies twice": packed([dies, joined(parts[:3]), answered]),
        "dies of digests": packed([b"", b"", b"", answered]),
        "worker": b"\1" + asked,
        "worker, again": b"\1" + asked.replace(b'"again":[0,[]]', b'"again":[1,[[2,"decoder-died"]]]'),
        "worker, digests": b"\1" + joined(
            [(kind, payload.replace(b'"full"', b'"digests-only"')) for kind, payload in frames(asked)]
        ),
    }  # fmt: skip


TARGET = Target(
    "protocol", "the words between coordinator and worker, on both sides", seeds, check, (),
    longest=1 << 15, prepare=prepare, mutate=mutate,
)  # fmt: skip
