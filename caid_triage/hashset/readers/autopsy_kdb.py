"""Autopsy hash databases (.kdb): SQLite with a table ``hashes`` of binary digests."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import DIGEST_BYTES
from caid_triage.hashset.readers.fields import SHOWN_AS
from caid_triage.hashset.readers.foreign_sqlite import MAGIC, columns_of, opened
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_COLUMNS = {"md5": "md5", "sha1": "sha1", "sha256": "sha2_256"}


class AutopsyReader:
    """Reads md5, sha1 and sha2_256 of every hash; file names and comments are not kept."""

    name = "autopsy"
    title = "Autopsy hash database (.kdb)"

    def detects(self, head: bytes) -> bool:
        """Whether it is SQLite with Autopsy's tables in its schema, which stands on the first page."""
        return head.startswith(MAGIC) and b"db_properties" in head and b"hashes" in head

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a hash, in the order of their ids; refused ones carry the id."""
        with opened(source) as database:
            there = columns_of(database, "hashes")
            names = {name: column for name, column in _COLUMNS.items() if column in there}
            if not names or "id" not in there:
                raise HashSetError(f"{source.name}: SQLite without Autopsy's table of hashes. Nothing was imported.")
            query = f"SELECT id, {', '.join(names.values())} FROM hashes ORDER BY id"  # noqa: S608  names of ours
            for number, *values in database.execute(query):
                position = f"row {number}" if isinstance(number, int) else "row ?"
                row = Row(position=position)
                reason = ""
                for name, value in zip(names, values, strict=True):
                    if value is None or value == b"":
                        continue
                    if not isinstance(value, bytes) or len(value) != DIGEST_BYTES[name]:
                        reason = reason or f"{SHOWN_AS[name]} is not {DIGEST_BYTES[name]} bytes"
                    elif not any(value):
                        reason = reason or f"{SHOWN_AS[name]} is all zeros"
                    else:
                        setattr(row, name, value)
                if not reason and not row.has_hash:
                    reason = "no hash in the row"
                yield RefusedRow(source.name, position, reason) if reason else row
