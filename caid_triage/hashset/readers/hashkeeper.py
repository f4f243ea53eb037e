"""HashKeeper lists (.hsh): a CSV whose columns are fixed, with the MD5 in ``hash``."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.hashset.readers.fields import UnusableError, byte_size, set_hash
from caid_triage.hashset.readers.text_lines import cells, first_lines
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_HASH, _SIZE = 4, 5


class HashkeeperReader:
    """Reads file_id, hashset_id, file_name, directory, hash, file_size ...; names and times are not kept."""

    name = "hashkeeper"
    title = "HashKeeper (.hsh)"

    def detects(self, head: bytes) -> bool:
        """Whether the first line is HashKeeper's."""
        first = "".join(first_lines(head, 1)).lower().replace('"', "").replace(" ", "")
        return first.startswith("file_id,hashset_id,file_name,directory,hash,file_size")

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a line; refused ones carry their line number."""
        for number, row_cells in list_without_header(cells(source)):
            position = f"line {number}"
            row = Row(position=position)
            try:
                if len(row_cells) <= _SIZE:
                    raise UnusableError("fewer columns than the header has")
                set_hash(row, "md5", row_cells[_HASH].strip())
                row.size = byte_size(row_cells[_SIZE])
                if not row.has_hash:
                    raise UnusableError("no hash in the row")
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            yield row


def list_without_header(table: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    """The table without its first line."""
    next(table, None)
    return table
