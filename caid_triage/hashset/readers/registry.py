"""The formats a hash set can come in, in the order their content is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from caid_triage.errors import HashSetError
from caid_triage.hashset.batch import RowBatch, batch_of
from caid_triage.hashset.readers.autopsy_kdb import AutopsyReader
from caid_triage.hashset.readers.csv_header import CsvReader, IcseReader, IpedReader
from caid_triage.hashset.readers.encase import EncaseReader
from caid_triage.hashset.readers.hash_lines import HashLinesReader
from caid_triage.hashset.readers.hashdb_blocks import HashdbReader
from caid_triage.hashset.readers.hashdeep import HashdeepReader
from caid_triage.hashset.readers.hashkeeper import HashkeeperReader
from caid_triage.hashset.readers.ncmec import NcmecJsonReader, NcmecXmlReader
from caid_triage.hashset.readers.nsrl_delta import NsrlDeltaReader
from caid_triage.hashset.readers.nsrl_sqlite import NsrlSqliteReader
from caid_triage.hashset.readers.nsrl_text import NsrlTextReader
from caid_triage.hashset.readers.pdq_lines import PdqReader, VpdqReader
from caid_triage.hashset.readers.vics import VicsReader
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_BATCH_ROWS = 4_096
_PACKED = {
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "RAR",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class Reader(Protocol):
    """What a hash-set format is to the builder."""

    name: str
    title: str

    def detects(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes (up to 64 KiB) is of this format."""

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """Every entry of the file in order, a RefusedRow for each that cannot be used.

        HashSetError when the file as a whole cannot be read on: nothing of it is imported.
        """


@runtime_checkable
class BatchReader(Protocol):
    """A reader that makes whole batches itself, faster than one Row at a time."""

    def read_batches(self, source: SourceFile) -> Iterator[RowBatch | RefusedRow]:
        """What ``read`` gives, in batches of some thousand entries."""


def read_batches(reader: Reader, source: SourceFile) -> Iterator[RowBatch | RefusedRow]:
    """Everything a reader finds in a file, as batches, whether it makes them itself or not."""
    if isinstance(reader, BatchReader):
        yield from reader.read_batches(source)
        return
    rows: list[Row] = []
    for item in reader.read(source):
        if isinstance(item, RefusedRow):
            yield item
            continue
        rows.append(item)
        if len(rows) == _BATCH_ROWS:
            yield batch_of(rows)
            rows.clear()
    if rows:
        yield batch_of(rows)


def readers() -> tuple[Reader, ...]:
    """All readers; the first whose content test says yes reads a file."""
    return (
        EncaseReader(),
        AutopsyReader(),
        NsrlSqliteReader(),
        NcmecXmlReader(),
        NcmecJsonReader(),
        HashdbReader(),
        VicsReader(),
        HashdeepReader(),
        HashkeeperReader(),
        NsrlTextReader(),
        NsrlDeltaReader(),
        IcseReader(),
        IpedReader(),
        PdqReader(),
        VpdqReader(),
        CsvReader(),
        HashLinesReader(),
    )


def reader_for(source: SourceFile, format_name: str | None = None) -> Reader:
    """The reader of a file: the one asked for by name, else the first that recognises the content."""
    known = readers()
    accepted = "; ".join(f"{reader.name} ({reader.title})" for reader in known)
    if format_name is not None:
        for reader in known:
            if reader.name == format_name:
                return reader
        raise HashSetError(f"format {format_name!r} is not known. Accepted: {accepted}.")
    for mark, kind in _PACKED.items():
        if source.head.startswith(mark):
            raise HashSetError(
                f"{source.name}: is packed ({kind}). Packed files are not opened: unpack it first. "
                "Nothing was imported."
            )
    if source.columns:
        return CsvReader()
    for reader in known:
        if reader.detects(source.head):
            return reader
    if not source.head:
        raise HashSetError(f"{source.name}: the file is empty (0 bytes). Nothing was imported.")
    raise HashSetError(
        f"{source.name}: not a hash set: at byte 0 stands neither JSON nor a header nor a hash. "
        f"Accepted: {accepted}. Nothing was imported."
    )
