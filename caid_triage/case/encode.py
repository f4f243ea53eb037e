"""Between the nouns and the database's rows: ScanRecord to columns and back, without loss."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from caid_triage.case.schema import NUMBER_BITS, PART_BITS
from caid_triage.errors import CaseError
from caid_triage.model import (
    DecodeState,
    Digests,
    Examination,
    FileEntry,
    FileTimes,
    Kind,
    PerceptualHash,
    Problem,
    ScanRecord,
    Severity,
    State,
)

Row = tuple[Any, ...]  # what sqlite3 takes and gives

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
WHOLE_LIMIT = 2**63

ENTRY_COLUMNS = (
    "id, volume, path, raw_path, stream, state, size, created, modified, accessed, changed, zone_note, inode, "
    "physical_offset, locator, readable, md5, sha1, sha256, bytes_read, kind, media_type, decode_state, width, height, "
    "duration_s, walk_problems, inside"
)
INSERT_ENTRY = f"INSERT INTO entry ({ENTRY_COLUMNS}) VALUES ({', '.join('?' * 28)})"  # noqa: S608 - constants only


def entry_id(source_id: int, number: int, part: int = 0) -> int:
    """The database's number of an entry: source, walk number and part in one."""
    if not (0 <= number < 1 << NUMBER_BITS - PART_BITS and 0 <= part < 1 << PART_BITS):
        raise CaseError(f"entry number {number} part {part} of a source cannot be stored")
    return source_id << NUMBER_BITS | number << PART_BITS | part


def split_entry_id(identity: int) -> tuple[int, int, int]:
    """Source id, walk number and part of an entry's id."""
    number = identity & ((1 << NUMBER_BITS) - 1)
    return identity >> NUMBER_BITS, number >> PART_BITS, number & ((1 << PART_BITS) - 1)


def text(value: str) -> str:
    """The value as text that UTF-8 can hold: what is no character becomes a backslash escape."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def whole(value: int | None) -> int | str | None:
    """A number as SQLite can hold it: as text above 63 bits, which only damaged file systems claim."""
    return value if value is None or -WHOLE_LIMIT <= value < WHOLE_LIMIT else str(value)


def whole_back(value: int | str | None) -> int | None:
    """The number that :func:`whole` stored."""
    return int(value) if isinstance(value, str) else value


def microseconds(moment: datetime | None) -> int | None:
    """Microseconds since 1970 of an aware time."""
    return None if moment is None else (moment - EPOCH) // MICROSECOND


def moment(value: int | None) -> datetime | None:
    """The aware UTC time of :func:`microseconds`."""
    return None if value is None else EPOCH + timedelta(microseconds=value)


def entry_row(identity: int, record: ScanRecord) -> Row:
    """The columns of one ScanRecord, in the order of ENTRY_COLUMNS."""
    entry, found = record.entry, record.examination
    times, digests = entry.times, found.digests
    return (
        identity,
        text(entry.volume),
        text(entry.path),
        entry.raw_path,
        text(entry.stream),
        entry.state.value,
        whole(entry.size),
        microseconds(times.created),
        microseconds(times.modified),
        microseconds(times.accessed),
        microseconds(times.changed),
        times.zone_note,
        whole(entry.inode),
        whole(entry.physical_offset),
        json.dumps(entry.locator, separators=(",", ":")),
        int(entry.readable),
        digests and digests.md5,
        digests and digests.sha1,
        digests and digests.sha256,
        found.bytes_read,
        found.kind.value,
        text(found.media_type),
        found.decode_state.value,
        found.width,
        found.height,
        found.duration_s,
        len(entry.problems),
        found.inside,
    )


def hash_rows(identity: int, hashes: Sequence[PerceptualHash]) -> Iterator[Row]:
    """One row a perceptual hash."""
    for position, value in enumerate(hashes):
        yield identity, position, value.algorithm, value.value, value.quality, value.frame_time


def metadata_rows(identity: int, metadata: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """One row a statement of a content about its origin."""
    for position, (name, value) in enumerate(metadata):
        yield identity, position, text(name), text(value)


def problem_rows(identity: int, problems: Sequence[Problem]) -> Iterator[Row]:
    """One row a problem of a file; where it happened is the file's own row."""
    for position, problem in enumerate(problems):
        yield identity, position, problem.step, problem.code, text(problem.detail), problem.severity.value


def record_of(
    row: Row, exhibit: str, source: str, hashes: Sequence[Row], metadata: Sequence[Row], problems: Sequence[Row]
) -> ScanRecord:
    """The ScanRecord again, from its row and the rows of its hashes, metadata and problems (as stored)."""
    (identity, volume, path, raw_path, stream, state, size, created, modified, accessed, changed, zone_note) = row[:12]
    (inode, physical_offset, locator, readable, md5, sha1, sha256, bytes_read, kind, media_type) = row[12:22]
    (decode_state, width, height, duration_s, walk_problems, inside) = row[22:]
    met = tuple(
        Problem(step, code, detail, Severity(severity), exhibit, source, volume, path)
        for _, _, step, code, detail, severity in problems
    )
    _, number, part = split_entry_id(identity)
    entry = FileEntry(
        exhibit=exhibit,
        source=source,
        volume=volume,
        number=number,
        path=path,
        raw_path=raw_path,
        state=State(state),
        size=whole_back(size),
        times=FileTimes(moment(created), moment(modified), moment(accessed), moment(changed), zone_note),
        inode=whole_back(inode),
        stream=stream,
        physical_offset=whole_back(physical_offset),
        locator=tuple(json.loads(locator)),
        readable=bool(readable),
        problems=met[:walk_problems],
        part=part,
    )
    examination = Examination(
        digests=None if md5 is None else Digests(md5, sha1, sha256),
        bytes_read=bytes_read,
        kind=Kind(kind),
        media_type=media_type,
        decode_state=DecodeState(decode_state),
        width=width,
        height=height,
        duration_s=duration_s,
        hashes=tuple(PerceptualHash(*values) for _, _, *values in hashes),
        metadata=tuple((name, value) for _, _, name, value in metadata),
        problems=met[walk_problems:],
        inside=inside,
    )
    return ScanRecord(entry, examination)
