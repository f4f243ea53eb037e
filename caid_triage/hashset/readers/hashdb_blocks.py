"""hashdb lists (NPS): hashes of 512-byte blocks. A block hash is not a file hash; only file hashes are read here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from caid_triage.errors import HashSetError
from caid_triage.hashset.readers.fields import UnusableError, byte_size, set_hash
from caid_triage.hashset.readers.json_text import BrokenJsonError, JsonText
from caid_triage.hashset.readers.text_lines import first_lines, lines
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow

_TSV = re.compile(r"([0-9A-Fa-f]{32})\t([0-9A-Fa-f]{32})\t([0-9]{1,19})\s*")
_JSON = re.compile(r'\s*\{\s*"(?:file_hash|block_hash)"\s*:')
_LINES_TO_TRY = 20


class HashdbReader:
    """Recognises hashdb's TSV (file hash, block hash, offset) and JSON lines, and reads the file hashes in them."""

    name = "hashdb"
    title = "hashdb block list (only its file hashes are used)"

    def detects(self, head: bytes) -> bool:
        """Whether the first line that is no comment is one of hashdb's."""
        found = [line for line in first_lines(head, _LINES_TO_TRY) if line.strip() and not line.startswith("#")]
        return bool(found) and (_TSV.fullmatch(found[0]) is not None or _JSON.match(found[0]) is not None)

    def read(self, source: SourceFile) -> Iterator[Row | RefusedRow]:
        """A Row a file hash; HashSetError if there are block hashes only."""
        files = blocks = 0
        last = ""
        for number, line in enumerate(lines(source), 1):
            if not line.strip() or line.startswith("#"):
                continue
            position = f"line {number}"
            row = Row(position=position)
            try:
                if match := _TSV.fullmatch(line):
                    blocks += 1
                    if match[1] == last:
                        continue
                    last = match[1]
                    set_hash(row, "md5", match[1])
                elif _JSON.match(line):
                    if not _read_json(row, line):
                        blocks += 1
                        continue
                else:
                    raise UnusableError("the line is not one of hashdb's")
            except UnusableError as error:
                yield RefusedRow(source.name, position, str(error))
                continue
            files += 1
            yield row
        if blocks:
            source.ignored["block hashes (they are not hashes of files)"] += blocks
        if blocks and not files:
            raise HashSetError(
                f"{source.name}: a hashdb list of {blocks} block hashes. They are of blocks within files, not of whole "
                "files, and would never match one. Nothing was imported. Keep the list for a program that "
                "compares blocks, and ask whoever gave it for the hashes of the whole files."
            )


def _read_json(row: Row, line: str) -> bool:
    """Put the file hash of a JSON line into the row; False if the line is of a block."""
    raw = line.encode("utf-8", "replace")
    try:
        value = JsonText([raw], b"").value()
    except BrokenJsonError:
        raise UnusableError("the line is not valid JSON") from None
    if not isinstance(value, dict):
        raise UnusableError("a key stands twice in the line")
    if "file_hash" not in value:
        return False
    set_hash(row, "md5", value["file_hash"])
    row.size = byte_size(value.get("filesize"))
    if not row.has_hash:
        raise UnusableError("no hash in the row")
    return True
