"""Lists of hashes, one a line: md5sum and its sisters, the BSD style, or hashes alone (told apart by length)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caid_triage.hashset.readers.fields import UnusableError, set_hash
from caid_triage.hashset.readers.text_lines import lines
from caid_triage.hashset.rows import Row, SourceFile, head_text
from caid_triage.model import RefusedRow

# md5sum writes "\" before a line whose file name it had to escape
_SUM = re.compile(r"\\?([0-9A-Fa-f]+)(?:[ \t]+\*?.*)?")
_BSD = re.compile(r"\\?(MD5|SHA-?1|SHA-?256)[ \t]*\(.*\)[ \t]*=[ \t]*(\S*)", re.IGNORECASE)
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256"}
_LINES_TO_TRY = 20


class HashLinesReader:
    """Reads md5sum, sha1sum, sha256sum, ``MD5 (name) = hash`` and plain lists. A 64-digit hash is a SHA-256.

    File names in the list are not kept; blank lines and lines that begin with # or ; are comments.
    """

    name = "hashes"
    title = "md5sum, sha1sum or sha256sum output, BSD style, or a plain list of hashes"

    def detects(self, head: bytes) -> bool:
        """Whether one of the first lines holds a hash as such lists write it."""
        entries = [line for line in head_text(head).splitlines() if _is_entry(line)]
        for line in entries[:_LINES_TO_TRY]:
            try:
                _row(line)
            except UnusableError:
                continue
            return True
        return False

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a line; refused ones carry their line number."""
        for number, line in enumerate(lines(source), 1):
            if not _is_entry(line):
                continue
            try:
                row = _row(line)
            except UnusableError as error:
                yield RefusedRow(source.name, f"line {number}", str(error))
                continue
            row.position = f"line {number}"
            yield row


def _is_entry(line: str) -> bool:
    text = line.strip()
    return bool(text) and text[0] not in "#;"


def _row(line: str) -> Row:
    """The Row of one line; UnusableError with the reason if there is no usable hash in it."""
    text = line.strip()
    row = Row()
    if bsd := _BSD.fullmatch(text):
        set_hash(row, bsd[1].lower().replace("-", ""), bsd[2])
        if not row.has_hash:
            raise UnusableError("no hash in the row")
        return row
    plain = _SUM.fullmatch(text)
    if plain is None:
        raise UnusableError("the line does not begin with a hash")
    algorithm = _BY_LENGTH.get(len(plain[1]))
    if algorithm is None:
        raise UnusableError(f"a hash of {len(plain[1])} hexadecimal digits (32, 40 or 64 are known)")
    set_hash(row, algorithm, plain[1])
    return row
