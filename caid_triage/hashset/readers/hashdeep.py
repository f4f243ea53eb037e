"""hashdeep (and md5deep) audit files: two lines of ``%%%%`` that name the columns, ``##`` comments, then a table."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.errors import HashSetError
from caid_triage.hashset.readers.fields import UnusableError, byte_size, set_hash
from caid_triage.hashset.readers.text_lines import first_lines, lines
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_DIGESTS = ("md5", "sha1", "sha256")


class HashdeepReader:
    """Reads size, md5, sha1 and sha256; tiger, whirlpool and file names are not kept."""

    name = "hashdeep"
    title = "hashdeep output"

    def detects(self, head: bytes) -> bool:
        """Whether the first line is hashdeep's."""
        return "".join(first_lines(head, 1)).startswith("%%%% HASHDEEP-")

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a line; refused ones carry their line number."""
        names: list[str] = []
        for number, line in enumerate(lines(source), 1):
            text = line.strip("\r\n")
            if text.startswith("%%%%"):
                if not text.startswith("%%%% HASHDEEP-"):
                    names = [name.strip().lower() for name in text.removeprefix("%%%%").split(",")]
                continue
            if text.startswith("##") or not text.strip():
                continue
            if not set(names) & set(_DIGESTS):
                raise HashSetError(
                    f'{source.name}: line {number} stands before a "%%%% size,md5,..." line that names a '
                    "hash column. Nothing was imported."
                )
            position = f"line {number}"
            row = Row(position=position)
            try:
                # The last column is the file name, which may hold commas.
                found = text.split(",", len(names) - 1)
                if len(found) < len(names):
                    raise UnusableError("fewer columns than the header has")
                for name, value in zip(names, found, strict=True):
                    if name in _DIGESTS:
                        set_hash(row, name, value.strip())
                    elif name == "size":
                        row.size = byte_size(value)
                if not row.has_hash:
                    raise UnusableError("no hash in the row")
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            yield row
