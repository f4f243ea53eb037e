"""Which files of an NTFS volume have clusters that were given to them and not written yet ("valid data length").

Windows, and Sleuth Kit, read zeros behind the initialised size of a stream; on the disk stands what the clusters held
before: of a film half downloaded or a virtual disk that is many gigabytes. Sleuth Kit does not tell the initialised
size, so the records of ``$MFT`` are read once, a MiB at a time, all of a MiB side by side in NumPy. Layout: the
"NTFS documentation" of the Linux-NTFS project, file record and attribute header.
"""

from __future__ import annotations

import numpy as np

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.file_system import OpenFileSystem
from caid_triage.evidence.nameless import ntfs_record_size
from caid_triage.evidence.proxied import read_range
from caid_triage.evidence.steps import NOBODY, Steps

_PIECE = 1 << 20
_SECTOR = 512
_FILE = int.from_bytes(b"FILE", "little")
_DATA, _END = 0x80, 0xFFFFFFFF
_MOST_ATTRIBUTES = 4096
_HEADER = 64  # of an attribute that lies in clusters
_MOST_FILES = 1 << 20

Valid = dict[tuple[int, int], int]
"""(file record, attribute id) -> initialised size, of streams whose size is more."""


def valid_lengths(system: OpenFileSystem, steps: Steps = NOBODY) -> Valid:
    """The streams of living files that are not written to their end. Errors: none; what cannot be read is left out."""
    found: Valid = {}
    try:
        size_of_record = ntfs_record_size(read_range(system.image, system.base, _SECTOR))
        table = system.fs.open_meta(0)
        size = int(table.info.meta.size)
    except LIBRARY_ERRORS:
        return found
    if not size_of_record:
        return found
    for offset in range(0, size, _PIECE):
        steps.goes_on()
        try:
            data = table.read_random(offset, min(_PIECE, size - offset))
        except LIBRARY_ERRORS:
            continue
        found.update(valid_lengths_in(data, size_of_record, offset // size_of_record))
        if len(found) > _MOST_FILES:
            break
    return found


def valid_lengths_in(data: bytes, size: int, first: int) -> Valid:
    """The same of records of ``size`` bytes that follow each other, the first of them number ``first``."""
    count = len(data) // size
    records = np.frombuffer(data, dtype=np.uint8, count=count * size).reshape(count, size).copy()
    words = records.view("<u4")  # every field that is looked at stands on a multiple of 4
    row = np.flatnonzero((words[:, 0] == _FILE) & (records[:, 22] & 1 == 1))
    _undo_fixups(records, row, size)
    # the record that another goes on with: its attributes are that one's
    base = words[:, 8].astype(np.int64) | (words[:, 9].astype(np.int64) & 0xFFFF) << 32
    number = np.where(base > 0, base, np.arange(count) + first)
    place = (words[row, 5] & 0xFFFF).astype(np.int64) // 4
    found: Valid = {}
    for _ in range(min(_MOST_ATTRIBUTES, size // 24)):
        inside = place + _HEADER // 4 <= size // 4
        row, place = row[inside], place[inside]
        if not len(row):
            break
        kind, length = words[row, place], words[row, place + 1].astype(np.int64)
        data_here = np.flatnonzero((kind == _DATA) & (words[row, place + 2] & 0xFF == 1))
        if len(data_here):
            at, where = row[data_here], place[data_here]
            whole, valid = (_long(words, at, where + field) for field in (12, 14))
            short = (_long(words, at, where + 4) == 0) & (valid >= 0) & (valid < whole)
            identifiers = words[at, where + 3][short] >> 16
            names = zip(number[at][short].tolist(), identifiers.tolist(), strict=True)
            found.update(zip(names, valid[short].tolist(), strict=True))
        going_on = (kind != _END) & (length >= 24)
        row, place = row[going_on], (place + length // 4)[going_on]
    return found


def _undo_fixups(records: np.ndarray, rows: np.ndarray, size: int) -> None:
    """Put back the last two bytes of each sector, which stand in the record's own list while it is on the disk."""
    lists = records[rows, 4] + (records[rows, 5].astype(np.int64) << 8)
    for sector in range(size // _SECTOR):
        where = lists + 2 + 2 * sector
        good = where + 2 <= size
        for byte in range(2):
            records[rows[good], (sector + 1) * _SECTOR - 2 + byte] = records[rows[good], where[good] + byte]


def _long(words: np.ndarray, row: np.ndarray, place: np.ndarray) -> np.ndarray:
    """A number of 64 bits at a place of each of these rows, in words of 32."""
    value: np.ndarray = words[row, place].astype(np.int64) | words[row, place + 1].astype(np.int64) << 32
    return value
