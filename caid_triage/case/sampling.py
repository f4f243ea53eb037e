"""Samplings of disks in a case: how far each is, what it met, and the fragments of known files that were found.

They are apart from the files of a scan: a fragment is no file, has no row in ``entry`` and enters no count of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from caid_triage.case.audit import canonical_json
from caid_triage.case.digests import DigestTable
from caid_triage.case.encode import text


@dataclass(slots=True)
class Sampling:
    """One sampling of one disk with one block set.

    ``fingerprint`` tells the disk, ``hashset`` holds the set's facts (name, generation, blocks ...). ``confidence`` is
    a share as text ("99/100"), ``target`` in bytes, as last asked for. ``population`` cells, of which ``wanted`` are to
    be drawn; ``drawn``, ``read`` and ``unread`` count those that were; of the read ones ``met`` had a known block,
    ``constant`` one byte value alone, ``random`` looked random. A full read has come to the byte ``scanned``, with
    ``scanned_unread`` cells that could not be read. ``filled`` cells were read where the draws left wide gaps: no
    stretch of ``gapless`` bytes is without a cell that was read (0: that cannot be said). ``notes`` of the image.
    """

    exhibit: str
    source: str
    fingerprint: Mapping[str, Any]
    size: int
    hashset: Mapping[str, Any]
    seed: int
    population: int
    confidence: str = ""
    target: int = 0
    wanted: int = 0
    drawn: int = 0
    read: int = 0
    unread: int = 0
    met: int = 0
    constant: int = 0
    random: int = 0
    scanned: int = 0
    scanned_unread: int = 0
    filled: int = 0
    gapless: int = 0
    notes: tuple[str, ...] = ()
    id: int = 0

    @property
    def complete(self) -> bool:
        """Whether the whole disk was read."""
        return self.scanned >= self.size

    @property
    def block_size(self) -> int:
        """The bytes of a block of the set."""
        return int(self.hashset["blocks"]["size"])


@dataclass(frozen=True, slots=True)
class Fragment:
    """Blocks of one known file that follow each other on a disk as they do in the file.

    ``offset`` is their first byte on the source, ``first_block`` the number of that block in the file (from 0),
    ``file_blocks`` how many whole blocks the file has. ``record`` is the file's row in the set.
    """

    offset: int
    record: int
    first_block: int
    blocks: int
    file_blocks: int
    media_id: str
    category_code: str
    category_label: str
    scheme: str

    def line(self, block_size: int) -> int:
        """Where the file would begin if all of it stood here."""
        return self.offset - self.first_block * block_size


_COLUMNS = (
    "id, exhibit, source, fingerprint, size, hashset, generation, seed, population, confidence, target, wanted, drawn, "
    "read, unread, met, constant, random, scanned, scanned_unread, filled, gapless, notes"
)


def find_sampling(
    connection: sqlite3.Connection, exhibit: str, source: str, generation: str
) -> tuple[Sampling, list[Fragment]] | None:
    """The sampling of a source with this generation of a set, and what it has found; None where there is none."""
    where = (text(exhibit), text(source), generation)
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM sampling WHERE exhibit = ? AND source = ? AND generation = ?",  # noqa: S608
        where,
    ).fetchone()
    if row is None:
        return None
    found = _sampling(row)
    return found, list(fragments(connection, found.id))


def samplings(connection: sqlite3.Connection) -> Iterator[Sampling]:
    """Every sampling, in the order they were begun."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM sampling ORDER BY id").fetchall()  # noqa: S608
    yield from map(_sampling, rows)


def fragments(connection: sqlite3.Connection, sampling: int) -> Iterator[Fragment]:
    """The fragments of a sampling, in the order of their places."""
    rows = connection.execute(
        "SELECT source_offset, record_row, first_block, blocks, file_blocks, media_id, code, label, scheme "
        "FROM fragment WHERE sampling_id = ? ORDER BY position",
        (sampling,),
    )
    yield from (Fragment(*row) for row in rows)


def fragment_totals(connection: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """By the number of a sampling how many blocks it has found, and of how many files."""
    rows = connection.execute(
        "SELECT sampling_id, sum(blocks), count(DISTINCT record_row) FROM fragment GROUP BY sampling_id"
    )
    return {number: (blocks, files) for number, blocks, files in rows}


def keep_sampling(
    connection: sqlite3.Connection, digests: DigestTable, sampling: Sampling, found: Sequence[Fragment] | None
) -> int:
    """Store how far a sampling is, in place of what was stored of it; ``found`` None: its fragments are as they were.

    Inside the caller's transaction. Returns its number.
    """
    values = (
        text(sampling.exhibit), text(sampling.source), canonical_json(dict(sampling.fingerprint)), sampling.size,
        canonical_json(dict(sampling.hashset)), str(sampling.hashset["generation"]), sampling.seed,
        sampling.population, sampling.confidence, sampling.target, sampling.wanted, sampling.drawn, sampling.read,
        sampling.unread, sampling.met, sampling.constant, sampling.random, sampling.scanned, sampling.scanned_unread,
        sampling.filled, sampling.gapless, canonical_json([text(note) for note in sampling.notes]),
    )  # fmt: skip
    number = sampling.id
    if number:
        names = [name.strip() for name in _COLUMNS.split(",")[1:]]
        assigned = ", ".join(f"{name} = ?" for name in names)
        connection.execute(f"UPDATE sampling SET {assigned} WHERE id = ?", (*values, number))  # noqa: S608
    else:
        marks = ", ".join("?" * len(values))
        rows = connection.execute(
            f"INSERT INTO sampling ({_COLUMNS.removeprefix('id, ')}) VALUES ({marks}) RETURNING id",  # noqa: S608
            values,
        ).fetchall()
        number = int(rows[0][0])
    digests.touch("sampling")
    if found is not None:
        connection.execute("DELETE FROM fragment WHERE sampling_id = ?", (number,))
        connection.executemany(
            "INSERT INTO fragment (sampling_id, position, source_offset, record_row, first_block, blocks, file_blocks, "
            "media_id, code, label, scheme) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (number, place, one.offset, one.record, one.first_block, one.blocks, one.file_blocks,
                 text(one.media_id), text(one.category_code), text(one.category_label), text(one.scheme))
                for place, one in enumerate(found)
            ),
        )  # fmt: skip
        digests.touch("fragment", number)
    return number


def _sampling(row: Sequence[Any]) -> Sampling:
    values = dict(zip((name.strip() for name in _COLUMNS.split(",")), row, strict=True))
    del values["generation"]
    for name in ("fingerprint", "hashset"):
        values[name] = json.loads(values[name])
    values["notes"] = tuple(json.loads(values["notes"]))
    return Sampling(**values)
