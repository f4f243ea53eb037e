"""Hash-set files: every reader, told by content or by name, whole or salvaged.

The first byte of an input says which reader is asked for, the second whether broken files are salvaged, the rest is
the file. Laws: errors are HashSetErrors that name the file and quote no hash; every entry is a row or a refused row
(counted by a plain reading of the same bytes, for VICS by the oracle of its reader); positions do not repeat; what is
lost lies inside the file; the digest of the file is that of its bytes; a second reading is the same.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from support.plain_vics import plain_vics
from support.set_samples import LONG_HEX, SAMPLES

from caid_triage.errors import HashSetError
from caid_triage.hashset.batch import HASH_BYTES, RowBatch
from caid_triage.hashset.readers.registry import read_batches, reader_for
from caid_triage.hashset.rows import Row, SourceFile
from caid_triage.model import RefusedRow
from fuzz.target import Target, expect

NAMES = sorted(SAMPLES)
BY_LINE = frozenset(("hashes",))
BY_TABLE = {"csv": "", "iped": "", "icse": "", "nsrl-text": ",", "hashkeeper": ","}
# Rows of one statement share its line; a damaged database may state a row's number twice.
SHARE_POSITIONS = frozenset(("nsrl-delta", "autopsy", "nsrl"))
# The plain reading of VICS asks for much time of what nests deeply or has very long numbers (support/plain_vics.py).
MOST_FOR_ORACLE = 1 << 14
# It takes these for white space, which JSON (RFC 8259) does not.
WHITE_TO_THE_ORACLE = frozenset(b"\x0b\x0c")


@dataclass(frozen=True)
class Reading:
    """What a reader makes of a file; ``error`` where it refuses the whole."""

    reader: str
    rows: tuple[Row, ...]
    refused: tuple[RefusedRow, ...]
    error: str
    lost: tuple[tuple[int, int], ...]
    sha256: str


def reading(data: bytes, name: str | None, salvage: bool, folder: Path) -> Reading:
    path = folder / "set.bin"
    path.write_bytes(data)
    source = SourceFile(path, salvage=salvage)
    rows: list[Row] = []
    refused: list[RefusedRow] = []
    error = chosen = sha256 = ""
    try:
        reader = reader_for(source, name)
        chosen = reader.name
        for item in read_batches(reader, source):
            if isinstance(item, RefusedRow):
                refused.append(item)
            else:
                rows += _checked(item)
        sha256 = source.finish()
    except HashSetError as caught:
        error = str(caught)
    finally:
        source.close()
    return Reading(chosen, tuple(rows), tuple(refused), error, tuple(source.lost), sha256)


def _checked(batch: RowBatch) -> list[Row]:
    for name, column in batch.hashes.items():
        expect(column.values.shape == (len(column.rows), HASH_BYTES[name]), "a column of another shape")
        expect(bool((column.rows < batch.count).all()), "a hash of an entry that is not there")
    rows = list(batch.rows())
    expect(len(rows) == batch.count, "a batch of another count")
    expect(all(row.has_hash for row in rows), "a row without a hash")
    expect(all(row.size is None or row.size >= 0 for row in rows), "a negative size")
    return rows


def check(data: bytes) -> str:
    chosen, flags, body = data[:1] or b"\0", data[1:2] or b"\0", data[2:]
    number = chosen[0] % (len(NAMES) + 1)
    name = NAMES[number - 1] if number else None
    salvage = bool(flags[0] & 1)
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        folder = Path(made)
        found = reading(body, name, salvage, folder)
        expect(found == reading(body, name, salvage, folder), "a second reading is another")
        _laws(found, body, salvage)
        plain = len(body) <= MOST_FOR_ORACLE and not WHITE_TO_THE_ORACLE.intersection(body)
        if found.reader == "vics" and not salvage and plain:
            _as_the_oracle(found, folder / "set.bin")
    if found.error:
        return "refused"
    return f"{found.reader} {'rows' if found.rows else 'nothing'}{' and refused' if found.refused else ''}"


def _laws(found: Reading, body: bytes, salvage: bool) -> None:
    if found.error:
        expect("set.bin" in found.error, "an error that does not name the file")
    for said in (found.error, *(one.reason for one in found.refused)):
        expect(LONG_HEX.search(said) is None, "a hash is quoted")
    places = [one.position for one in (*found.rows, *found.refused)]
    expect(all(places), "an entry without a position")
    if found.reader not in SHARE_POSITIONS:
        expect(len(places) == len(set(places)), "a position stands twice")
    if not found.error:
        expect(found.sha256 == hashlib.sha256(body).hexdigest(), "another digest of the file")
        counted = plain_count(found.reader, body)
        held = len(found.rows) + len(found.refused)
        expect(counted is None or counted == held, f"{found.reader}: rows and refused rows are not the entries")
    at = 0
    for start, end in found.lost:
        expect(salvage and at <= start < end <= len(body), "what is lost does not lie in the file, in order")
        at = end


def plain_count(reader: str, body: bytes) -> int | None:
    """How many entries a list has, by its lines alone; None for formats that are counted otherwise."""
    if reader not in BY_LINE and reader not in BY_TABLE:
        return None
    utf16 = body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    text = body.decode("utf-16", "replace") if utf16 else body.decode("utf-8-sig", "replace")
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    if reader in BY_LINE:
        return sum(1 for line in lines if line.strip() and line.strip()[0] not in "#;")
    delimiters = BY_TABLE[reader] or ",;\t"
    counts = set()
    for delimiter in delimiters:
        try:
            table = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
                     if any(cell.strip() for cell in row)]  # fmt: skip
        except csv.Error:
            continue
        counts.add(max(0, len(table) - 1))
    return counts.pop() if len(counts) == 1 else None


def _as_the_oracle(found: Reading, path: Path) -> None:
    """The plain reading of VICS refuses the same files, and gives the same rows and reasons otherwise."""
    plain = plain_vics(path)
    if plain is None or found.error:
        expect(plain is None and bool(found.error), "VICS: one reading refuses what the other reads")
        return
    for row in (*found.rows, *(one for one in plain if isinstance(one, Row))):
        row.position = ""
        for field in ("series", "category", "media_id"):
            setattr(row, field, getattr(row, field).encode("utf-8", "replace").decode())
    expect(list(found.rows) == [one for one in plain if isinstance(one, Row)], "VICS: other rows than the oracle's")
    reasons = [one for one in plain if isinstance(one, str)]
    expect([one.reason for one in found.refused] == reasons, "VICS: other refused rows than the oracle's")


def seeds() -> dict[str, bytes]:
    """Every format by name, told by its content, and salvaged; an XML declaration; UTF-16."""
    made = {}
    for number, name in enumerate(NAMES, 1):
        made[name] = bytes((number, 0)) + SAMPLES[name]
        made[f"{name} told"] = b"\0\0" + SAMPLES[name]
    vics = SAMPLES["vics"]
    made["vics salvaged"] = b"\0\1" + vics[: len(vics) // 2] + b"}]" + vics[len(vics) // 2 :]
    made["vics UTF-16"] = b"\0\0" + vics.decode().encode("utf-16")
    made["csv UTF-16"] = b"\0\0" + SAMPLES["csv"].decode().encode("utf-16")
    made["xml declared"] = b"\0\0" + b'<?xml version="1.0" encoding="UTF-8"?>' + SAMPLES["ncmec-xml"]
    case = b'{"@odata.context":"x#Cases","value":[{"CaseID":"1","Media":' + vics[vics.index(b"[") : -1] + b"}]}"
    made["vics case"] = b"\0\0" + case
    return made


TARGET = Target("hashsets", "readers of hash sets: VICS and all others", seeds, check, (), longest=1 << 14)
