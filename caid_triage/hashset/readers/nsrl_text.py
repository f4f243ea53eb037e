"""NSRL RDS version 2 text (NSRLFile.txt) in both orders of columns, as the header tells."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.hashset.readers.fields import UnusableError, byte_size, set_hash
from caid_triage.hashset.readers.text_lines import cells, first_lines
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_COLUMNS = {"sha-1", "filename", "filesize", "productcode", "opsystemcode", "md5", "crc32", "specialcode"}


class NsrlTextReader:
    """Reads SHA-1, MD5 and size; names and product codes are not kept.

    SpecialCode M ("malicious") marks hacking tools: not good, not bad by itself. Such rows are kept as series "M".
    """

    name = "nsrl-text"
    title = "NSRL RDS 2 text (NSRLFile.txt)"

    def detects(self, head: bytes) -> bool:
        """Whether the first line is the header of NSRLFile.txt, of either version."""
        return len(_COLUMNS.intersection(_header(first_lines(head, 1)))) >= 6

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a line; refused ones carry their line number."""
        table = cells(source)
        names = [name.strip().lower() for name in next(table, (0, []))[1]]
        place = {name: number for number, name in enumerate(names)}
        for number, found in table:
            position = f"line {number}"
            row = Row(position=position)
            try:
                if len(found) < len(names):
                    raise UnusableError("fewer columns than the header has")
                set_hash(row, "sha1", found[place["sha-1"]].strip() if "sha-1" in place else "")
                set_hash(row, "md5", found[place["md5"]].strip() if "md5" in place else "")
                row.size = byte_size(found[place["filesize"]]) if "filesize" in place else None
                row.series = found[place["specialcode"]].strip() if "specialcode" in place else ""
                if not row.has_hash:
                    raise UnusableError("no hash in the row")
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            yield row


def _header(found: list[str]) -> set[str]:
    return {name.strip().strip('"').lower() for line in found for name in line.split(",")}
