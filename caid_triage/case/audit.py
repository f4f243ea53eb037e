"""The audit chain: what was done to the case, one JSON object a line, each holding the SHA-256 of the line before.

A changed, removed, moved or inserted line breaks the chain, and each line holds a digest of itself, so that a changed
one is told from one that is missing. The end of a chain cannot show that lines after it were cut off, so the database
keeps the number and SHA-256 of the last line; only the line ``closed``, which holds the digest of the database, comes
after that. (ACPO principle 3: a record of all processes.)
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import Any

from caid_triage.case.fault import Fault
from caid_triage.case.schema import (
    DATABASE,
    OLDEST_SCHEMA,
    SCHEMA_VERSION,
    WITH_ACTS,
    WITH_DIGESTS,
    storage_faults,
)
from caid_triage.errors import CaseError

AUDIT_FILE = "audit.jsonl"
FIELDS = ("sequence", "time", "action", "previous", "digest")
CLOSED = "closed"
OPENED, MIGRATED = "opened", "migrated"
REPORTS_BEGAN, REPORTS_WRITTEN, BUNDLE_SEALED = "reports-began", "reports-written", "bundle-sealed"
TEMPLATE_KEPT = "template-kept"
CASE_STATED = "case-stated"
UNIT_ADDED, UNIT_LOOKED = "unit-added", "unit-looked"
REVIEW_BEGAN, REVIEW_ENDED = "review-began", "review-ended"
# Lines that change nothing of what a report says: the same case printed again prints the same end of the chain.
CHANGES_NOTHING = frozenset(
    {
        "command",
        OPENED,
        CLOSED,
        MIGRATED,
        REPORTS_BEGAN,
        REPORTS_WRITTEN,
        BUNDLE_SEALED,
        TEMPLATE_KEPT,
        REVIEW_BEGAN,
        REVIEW_ENDED,
        "not-closed",
        "recovered",
        "remarked",
        UNIT_ADDED,
    }
)

# Of a whole chain, which is read into memory: a case that gets ten commands a day for centuries has less.
MOST_BYTES, MOST_LINES = 256 << 20, 1 << 20

# What a line "audit-fault" is about, by its fact "what"; the chain where it is none of these.
SUBJECTS = {"database": "case.db", "journal": "decisions.jsonl"}

Line = Mapping[str, Any]


def canonical_json(value: object) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last line of the chain: its number (0: none yet) and the SHA-256 of its bytes without the newline."""

    sequence: int = 0
    sha256: str | None = None


class AuditChain:
    """Appends to a case's audit.jsonl, once it was taken up, opened and begun: :meth:`take_up`, ``open``, ``begin``."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._path = folder / AUDIT_FILE
        self._connection = connection
        self._head = AuditHead()
        self._torn = b""
        self._last: Line | None = None  # as the last command left it

    def take_up(self) -> Line | None:
        """Find the end of the chain; nothing is changed yet.

        Returns the last line where that is the line ``closed``, None of a case that a command left open.
        """
        with storage_faults(self._folder):
            lines, self._torn = read_lines(self._path)
        self._head = head_of(lines)
        self._last = parse(lines[-1]) if lines else None
        return self._last if self._is_closed else None

    @property
    def _is_closed(self) -> bool:
        return self._last is not None and self._last.get("action") == CLOSED

    def open(self, changed: Mapping[str, object] | None = None) -> None:
        """Say of a case taken up that it is no longer closed, before anything of its database is changed.

        A line torn by a crash is cut off first. Without the new line a process that is killed, or a disk that fails,
        while the database is being opened would leave one that is not as the line ``closed`` says, and look like
        tampering. ``changed`` are facts of a database that is not as that line says already; they are put on record
        first.
        """
        if self._torn:
            with storage_faults(self._folder), self._path.open("r+b") as file:
                file.truncate(self._path.stat().st_size - len(self._torn))
        if not self._is_closed:
            return
        if changed is not None:
            self._write("audit-fault", changed, noted=False)
        self._write(OPENED, {}, noted=False)

    def begin(self, before: int | None = None) -> None:
        """Go on with the chain that was :meth:`open`-ed, and put on record what is not as the last command left it.

        What is recorded here ``verify`` reports from then on: going on with a case does not hide what was done to it.
        ``before`` is the earlier schema of a case that has just been brought up to this one.
        """
        sequence, sha256, was_closing = self._connection.execute(
            "SELECT sequence, sha256, closing FROM audit_head"
        ).fetchone()
        if type(sequence) is not int or not isinstance(sha256, str | None):  # no writer of ours stores that
            sequence, sha256 = -1, None
        noted, last = AuditHead(sequence, sha256), self._last
        self._connection.execute("UPDATE audit_head SET closing = 0")
        lines, _ = read_lines(self._path)
        if follows_on(lines, noted):
            with storage_faults(self._folder):
                self._note(self._head)  # or a second crash at this place would leave the chain farther ahead
        else:
            self.append("audit-fault", what="chain", noted_sequence=noted.sequence, noted_sha256=noted.sha256)
        if self._torn:
            self.append("recovered", torn=self._torn.decode("utf-8", "backslashreplace"), torn_bytes=len(self._torn))
        if before is not None or (last is not None and "digest" not in last):  # an earlier version closed no case
            self.append(MIGRATED, from_schema=before or OLDEST_SCHEMA, to_schema=SCHEMA_VERSION)
        if last is not None and not self._is_closed and "digest" in last:
            self.append("not-closed", closing=bool(was_closing))

    def append(self, action: str, **facts: object) -> None:
        """Add one line and force it to disk; then note it in the database as the last."""
        self._write(action, facts, noted=True)

    def append_acts(self, acts: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        """Add a line an act of examiners, (action, facts with its number as ``act``), and force them to disk once.

        They are noted together, so a kill may leave many of them behind the line that is noted: :func:`follows_on`.
        """
        lines, head = [], self._head
        for action, facts in acts:
            line, head = next_line(head, action, facts)
            lines.append(line)
        if lines:
            self._put(b"".join(line + b"\n" for line in lines), head, noted=True)

    def append_closed(self, **facts: object) -> AuditHead:
        """Add the line ``closed``, which the database cannot know of: it holds the digest of the database at rest."""
        self._write(CLOSED, facts, noted=False)
        return self._head

    def _write(self, action: str, facts: Mapping[str, object], *, noted: bool) -> None:
        line, head = next_line(self._head, action, facts)
        self._put(line + b"\n", head, noted=noted)

    def _put(self, lines: bytes, head: AuditHead, *, noted: bool) -> None:
        """Add whole lines, the last of which is ``head``, on disk when this returns, or none of them."""
        with storage_faults(self._folder), self._path.open("ab", buffering=0) as file:
            whole = file.tell()
            try:
                self._add(file, lines, head, noted=noted)
            except KeyboardInterrupt:
                # In the file and not in the database, or in neither of our heads, the next line would have its number
                # once more, and the chain would say that somebody changed it. So it is put there whole, then all ends.
                file.truncate(whole)
                self._add(file, lines, head, noted=noted)
                raise
            except (OSError, sqlite3.Error):
                # A line that the database does not know of would be followed by the next, two ahead of its note.
                file.truncate(whole)
                raise

    def _add(self, file: RawIOBase, lines: bytes, head: AuditHead, *, noted: bool) -> None:
        if file.write(lines) != len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file.fileno())
        if noted:
            self._note(head)
        self._head = head

    def _note(self, head: AuditHead) -> None:
        """Keep in the database which line is the last."""
        self._connection.execute("UPDATE audit_head SET sequence = ?, sha256 = ?", (head.sequence, head.sha256))


def next_line(before: AuditHead, action: str, facts: Mapping[str, object]) -> tuple[bytes, AuditHead]:
    """The line, without its newline, that follows ``before``, of this moment; and what is the last line with it."""
    reserved = set(FIELDS) & set(facts)
    if reserved:
        raise CaseError(f"an audit line cannot use the words {sorted(reserved)} for facts of its own")
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    sequence = before.sequence + 1
    fields = {**facts, "sequence": sequence, "time": now, "action": action, "previous": before.sha256}
    line = canonical_json({**fields, "digest": own_digest(fields)}).encode()
    return line, AuditHead(sequence, hashlib.sha256(line).hexdigest())


def follows(line: bytes, before: AuditHead) -> bool:
    """Whether a line is as it was written, and the next after that one."""
    fields = parse(line)
    return (
        fields is not None
        and (fields.get("sequence"), fields.get("previous")) == (before.sequence + 1, before.sha256)
        and _agrees_with_itself(line, fields)
    )


def follows_on(lines: Sequence[bytes], noted: AuditHead) -> bool:
    """Whether a chain ends with the line that the database noted, or goes on as a crash or a session's end leaves it.

    One line may stand behind it, for it is noted only once it is on disk, or several that are of acts of examiners;
    and behind the line ``closed``, which is never noted, those that say that the case was opened.
    """
    if not 0 <= noted.sequence <= len(lines) or head_of(lines[: noted.sequence]) != noted:
        return False
    behind = [parse(line) or {} for line in lines[noted.sequence :]]
    acts = next((n for n, fields in enumerate(behind) if "act" not in fields), len(behind))
    return all(fields.get("action") in (OPENED, "audit-fault") for fields in behind[max(acts, 1) :])


def head_of(lines: Sequence[bytes]) -> AuditHead:
    """The last of these lines."""
    return AuditHead(len(lines), hashlib.sha256(lines[-1]).hexdigest()) if lines else AuditHead()


def content_head(folder: Path) -> AuditHead:
    """The last line that changed what a report says: the end of a scan, a re-grading, a decision, a fault on record."""
    with storage_faults(folder):
        lines, _ = read_lines(folder / AUDIT_FILE)
    for place in range(len(lines), 0, -1):
        fields = parse(lines[place - 1])
        if fields is not None and fields.get("action") not in CHANGES_NOTHING:
            return head_of(lines[:place])
    return AuditHead()


def recorded_faults(folder: Path) -> list[int]:
    """The lines by which the program recorded that chain or database had been changed from outside; [] of a clean case.

    What the case says since may not be what was stored.
    """
    with storage_faults(folder):
        lines, _ = read_lines(folder / AUDIT_FILE)
    actions = ((place, parse(line) or {}) for place, line in enumerate(lines, start=1) if b"audit-fault" in line)
    return [place for place, fields in actions if fields.get("action") == "audit-fault"]


def own_digest(fields: Mapping[str, object]) -> str:
    """The SHA-256 of a line without its field ``digest``, in the one spelling."""
    return hashlib.sha256(canonical_json(fields).encode()).hexdigest()


def read_lines(path: Path) -> tuple[list[bytes], bytes]:
    """The whole lines of a chain without their newlines, and what follows the last of them (b"": nothing).

    CaseError: it is no file (a pipe or a device would never end), or larger than any that this program writes.
    """
    if what := unreadable(path):
        raise CaseError(f"the case in {path.parent}: its {path.name} {what}; restore it from a copy")
    if not path.exists():
        return [], b""
    *lines, torn = path.read_bytes().split(b"\n")
    return lines, torn


def unreadable(path: Path) -> str | None:
    """Why a chain is not even to be read, as the end of a sentence; None where it is, or is missing."""
    if not path.is_file():  # a link that leads nowhere would be followed to make a file there
        return "is no file" if path.exists() or path.is_symlink() else None
    if path.stat().st_size > MOST_BYTES:
        return "is larger than any that a case has"
    with path.open("rb") as file:
        if sum(piece.count(b"\n") for piece in iter(partial(file.read, 1 << 20), b"")) > MOST_LINES:
            return "has more lines than that of any case"
    return None


def parse(line: bytes) -> Line | None:
    """The fields of a line, None where it is not a JSON object."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def chain_faults(lines: Sequence[bytes], torn: bytes = b"", name: str = AUDIT_FILE) -> Iterator[Fault]:
    """What the lines themselves give away, without the database: one fault for each place where something was done.

    ``name`` is the file that they are of: the journal of a review is such a chain too.
    """
    parsed = [parse(line) for line in lines]
    # Lines of a case that an earlier version began have no digest of their own; the first line of this one says so.
    bare = next((n for n, fields in enumerate(parsed) if fields and is_first_with_digests(fields)), 0)
    if not any("digest" in fields for fields in parsed if fields):
        bare = len(lines)
    before, number, whole = None, 0, True  # of the line before: its SHA-256, the number it carries, if it is as written
    for place, (line, fields) in enumerate(zip(lines, parsed, strict=True), start=1):
        where = f"{name} line {place}"
        was_whole, whole = whole, fields is not None and (place <= bare or _agrees_with_itself(line, fields))
        if fields is None:
            yield Fault(where, "is not a JSON object: it was changed")
        elif not whole:
            yield Fault(where, "was changed: it does not agree with the digest of itself")
        elif fields.get("sequence") != number + 1 and (was_whole or fields.get("sequence") != place):
            what = f"has the number {fields.get('sequence')} and follows one with {number}: lines were"
            yield Fault(where, f"{what} removed, inserted or moved here")
        elif was_whole and fields.get("previous") != before:
            yield Fault(
                where, "does not follow from the line before it: that one was changed, or another one stood there"
            )
        if fields is not None and fields.get("action") == "audit-fault":
            subject = SUBJECTS.get(str(fields.get("what")), "the end of the chain")
            yield Fault(where, f"records that {subject} was changed outside the program before this line")
        before = hashlib.sha256(line).hexdigest()
        carried = fields.get("sequence") if fields is not None else None
        number = carried if whole and isinstance(carried, int) else number + 1
    if torn:
        what = "is torn: the program was stopped while it wrote; the next run records that"
        yield Fault(f"{name} line {len(lines) + 1}", what)


def is_first_with_digests(fields: Line) -> bool:
    """Whether a line says that the case was brought up from a schema that kept no digests."""
    before = fields.get("from_schema")
    return fields.get("action") == MIGRATED and not (isinstance(before, int) and before >= WITH_DIGESTS)


def _agrees_with_itself(line: bytes, fields: Line) -> bool:
    rest = {name: value for name, value in fields.items() if name != "digest"}
    return _respelt(fields) == line and own_digest(rest) == fields.get("digest")


def _respelt(fields: Line) -> bytes | None:
    try:
        return canonical_json(fields).encode()
    except (ValueError, RecursionError):  # NaN and its like are no JSON of ours
        return None


def end_faults(lines: Sequence[bytes], connection: sqlite3.Connection, schema: int) -> Iterator[Fault]:
    """Where the chain does not end as the database says, or not with the line ``closed`` (from schema 6 on)."""
    noted = AuditHead(*connection.execute("SELECT sequence, sha256 FROM audit_head").fetchone())
    if not lines and noted.sequence:
        yield Fault(AUDIT_FILE, f"is missing or empty; it had {noted.sequence} lines")
        return
    if len(lines) < noted.sequence:
        yield Fault(AUDIT_FILE, f"ends at line {len(lines)}, the case knows of {noted.sequence}: lines were removed")
        return
    if noted.sequence and hashlib.sha256(lines[noted.sequence - 1]).hexdigest() != noted.sha256:
        where = f"{AUDIT_FILE} line {noted.sequence}"
        yield Fault(where, "is not the line that the case noted as its last: it was changed, moved or inserted")
    unknown = _acts_unknown(lines[noted.sequence :], connection) if schema >= WITH_ACTS else False
    if unknown or not follows_on(lines, head_of(lines[: noted.sequence])):
        what = f"has {len(lines)} lines, the case knows of {noted.sequence}: some were added outside"
        yield Fault(AUDIT_FILE, what)
    elif schema >= WITH_DIGESTS and not _is_closed(lines):
        (was_closing,) = connection.execute("SELECT closing FROM audit_head").fetchone()
        yield Fault(AUDIT_FILE, _not_closed(was_closing=bool(was_closing)))


def _acts_unknown(lines: Sequence[bytes], connection: sqlite3.Connection) -> bool:
    """Whether lines that the database did not note tell of acts that it does not have."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM review_act").fetchone()
    numbers = ((parse(line) or {}).get("act", 0) for line in lines)
    return any(not isinstance(number, int) or number > last for number in numbers)


def _is_closed(lines: Sequence[bytes]) -> bool:
    last = parse(lines[-1]) if lines else None
    return last is not None and last.get("action") == CLOSED and "digest" in last


def _not_closed(*, was_closing: bool) -> str:
    why = (
        f"the last line, {CLOSED}, is missing: it was removed, or the program was stopped just before it wrote that"
        if was_closing
        else "the case was not closed: the last command was killed, or another process kept reading the case"
    )
    return (
        f"{why}. {DATABASE} as a file cannot be checked, only its rows. Run that command again, or write the reports "
        "again (caid-triage report): that puts it on record"
    )
