"""The audit chain: what was done to the case, one JSON object a line, each holding the SHA-256 of the line before.

A changed, removed, moved or inserted line breaks the chain. The end of a chain cannot show that lines after it were cut
off, so the database keeps the number and SHA-256 of the last line. (ACPO principle 3: a record of all processes.)
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from caid_triage.case.schema import check_schema, connect_for_reading, storage_faults
from caid_triage.errors import CaseError

AUDIT_FILE = "audit.jsonl"
FIELDS = ("sequence", "time", "action", "previous")


def canonical_json(value: object) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The last line of the chain: its number (0: none yet) and the SHA-256 of its bytes without the newline."""

    sequence: int = 0
    sha256: str | None = None


class AuditChain:
    """Appends to a case's audit.jsonl. Opening it mends a line torn by a crash and says so in the chain."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._path = folder / AUDIT_FILE
        self._connection = connection
        sequence, sha256 = connection.execute("SELECT sequence, sha256 FROM audit_head").fetchone()
        noted = AuditHead(sequence, sha256)
        torn, self._head = self._read_end()
        # A crash may fall between the line and the note of it in the database: one line ahead is no fault.
        if self._head != noted:
            if self._is_one_ahead(noted):
                with storage_faults(folder):
                    self._note(self._head)  # or a second crash at this place would leave the chain two ahead
            else:
                self.append("audit-fault", noted_sequence=noted.sequence, noted_sha256=noted.sha256)
        if torn:
            self.append("recovered", torn=torn.decode("utf-8", "backslashreplace"), torn_bytes=len(torn))

    def append(self, action: str, **facts: object) -> None:
        """Add one line and force it to disk; then note it in the database as the last."""
        reserved = set(FIELDS) & set(facts)
        if reserved:
            raise CaseError(f"an audit line cannot use the words {sorted(reserved)} for facts of its own")
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        sequence = self._head.sequence + 1
        line = canonical_json(
            {**facts, "sequence": sequence, "time": now, "action": action, "previous": self._head.sha256}
        ).encode()
        with storage_faults(self._folder):
            with self._path.open("ab", buffering=0) as file:
                whole = file.tell()
                head = AuditHead(sequence, hashlib.sha256(line).hexdigest())
                try:
                    if file.write(line + b"\n") != len(line) + 1:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(file.fileno())
                    self._note(head)
                except (OSError, sqlite3.Error):
                    # A line that the database does not know of would be followed by the next, two ahead of its note.
                    file.truncate(whole)
                    raise
            self._head = head

    def _note(self, head: AuditHead) -> None:
        """Keep in the database which line is the last."""
        self._connection.execute("UPDATE audit_head SET sequence = ?, sha256 = ?", (head.sequence, head.sha256))

    def _read_end(self) -> tuple[bytes, AuditHead]:
        """Cut off a torn last line and return its bytes with the head of what stays."""
        if not self._path.exists():
            return b"", AuditHead()
        with storage_faults(self._folder):
            content = self._path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                with self._path.open("r+b") as file:
                    file.truncate(whole)
        lines = content[:whole].split(b"\n")[:-1]
        if not lines:
            return content[whole:], AuditHead()
        return content[whole:], AuditHead(len(lines), hashlib.sha256(lines[-1]).hexdigest())

    def _is_one_ahead(self, noted: AuditHead) -> bool:
        if self._head.sequence != noted.sequence + 1:
            return False
        last = self._path.read_bytes().split(b"\n")[-2]
        fields = _parse(last)
        return fields is not None and fields.get("previous") == noted.sha256


def verify_audit(folder: Path) -> list[str]:
    """Every fault of the case's audit chain, each a sentence; an empty list means that the chain is whole."""
    with storage_faults(folder), closing(connect_for_reading(folder)) as connection:
        check_schema(connection, folder)
        noted = AuditHead(*connection.execute("SELECT sequence, sha256 FROM audit_head").fetchone())
        path = folder / AUDIT_FILE
        if not path.exists():
            return [] if noted.sequence == 0 else [f"{AUDIT_FILE} is missing; it had {noted.sequence} lines"]
        content = path.read_bytes()
    lines = content.split(b"\n")
    torn = lines.pop()
    faults = list(_chain_faults(lines))
    if torn:
        faults.append("the last line is torn: the program was stopped while it wrote; the next run records that")
    faults.extend(_end_faults(lines, noted))
    return faults


def _chain_faults(lines: list[bytes]) -> Iterator[str]:
    previous: str | None = None
    for place, line in enumerate(lines, start=1):
        fields = _parse(line)
        if fields is None:
            yield f"line {place} is not a JSON object"
        else:
            if fields.get("sequence") != place:
                yield f"line {place} carries the number {fields.get('sequence')}"
            if fields.get("previous") != previous:
                yield f"line {place} does not follow from the line before it: one of them was changed, moved or removed"
            if fields.get("action") == "audit-fault":
                yield f"line {place} records that the end of the chain was changed outside the program"
        previous = hashlib.sha256(line).hexdigest()


def _end_faults(lines: list[bytes], noted: AuditHead) -> Iterator[str]:
    if len(lines) < noted.sequence:
        yield f"the chain ends at line {len(lines)}, the case knows of {noted.sequence}: lines were removed"
        return
    if noted.sequence and hashlib.sha256(lines[noted.sequence - 1]).hexdigest() != noted.sha256:
        yield f"line {noted.sequence} is not the line that the case noted as its last: it was changed"
    if len(lines) > noted.sequence + 1:
        yield f"the chain has {len(lines)} lines, the case knows of {noted.sequence}: some were added outside"


def _parse(line: bytes) -> dict[str, object] | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None
