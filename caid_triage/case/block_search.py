"""What a scan did to find parts of known files in bytes that belong to no whole file, and the fragments that it found.

They are apart from the files of a scan as those of a sampling are (case/sampling.py): in no count.
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
from caid_triage.case.records import source_range
from caid_triage.case.sampling import Fragment
from caid_triage.case.schema import PART_BITS
from caid_triage.model import IN_USE_CODE, DecodeState, MatchKind, Role, State


@dataclass(slots=True)
class BlockSearch:
    """How far one source was searched for the blocks of one set.

    ``hashset`` holds the set's facts (name, generation, blocks ...). ``plan`` is a digest of what is to be searched, in
    which order: a search goes on only where it was to be the same. ``size`` bytes are to be looked at, ``searched`` of
    them were, ``unread`` of these could not be read. ``free_space``: whether the scan's profile searches that.
    """

    exhibit: str
    source: str
    hashset: Mapping[str, Any]
    plan: str
    free_space: bool
    size: int
    searched: int = 0
    unread: int = 0
    id: int = 0

    @property
    def complete(self) -> bool:
        """Whether all of it was looked at."""
        return self.searched >= self.size

    @property
    def block_size(self) -> int:
        """The bytes of a block of the set."""
        return int(self.hashset["blocks"]["size"])


@dataclass(frozen=True, slots=True)
class FoundFragment:
    """A fragment that a scan found. ``volume`` is "" where its place is one of the source; else it is counted from the
    beginning of the inside of that volume, whose bytes do not stand on the source as they are read. ``kind`` is then
    the ledger's word for where it lies."""

    volume: str
    kind: str
    fragment: Fragment


@dataclass(frozen=True, slots=True)
class StoredContent:
    """The content of a stored file: its locator, and whether its file system has it in use."""

    locator: tuple[int, ...]
    in_use: bool


_COLUMNS = "id, exhibit, source, hashset, name, generation, plan, free_space, size, searched, unread"
_SEARCHES = f"SELECT {_COLUMNS} FROM block_search"  # noqa: S608 - constants only


def block_searches(connection: sqlite3.Connection) -> Iterator[BlockSearch]:
    """Every search, in the order they were begun."""
    yield from map(_search, connection.execute(f"{_SEARCHES} ORDER BY id").fetchall())


def find_block_search(
    connection: sqlite3.Connection, exhibit: str, source: str, generation: str
) -> tuple[BlockSearch, list[FoundFragment]] | None:
    """The search of a source for the blocks of this generation of a set, and what it found; None where there is
    none."""
    row = connection.execute(
        f"{_SEARCHES} WHERE exhibit = ? AND source = ? AND generation = ?", (text(exhibit), text(source), generation)
    ).fetchone()
    if row is None:
        return None
    found = _search(row)
    return found, list(found_fragments(connection, found.id))


def found_fragments(connection: sqlite3.Connection, search: int) -> Iterator[FoundFragment]:
    """What a search found: what has a place on the source in the order of those, then volume by volume."""
    rows = connection.execute(
        "SELECT volume, kind, place, record_row, first_block, blocks, file_blocks, media_id, code, label, scheme "
        "FROM found_fragment WHERE search_id = ? ORDER BY position",
        (search,),
    )
    yield from (FoundFragment(volume, kind, Fragment(*rest)) for volume, kind, *rest in rows)


def search_totals(connection: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """By the number of a search how many blocks it has found, and of how many files."""
    rows = connection.execute(
        "SELECT search_id, sum(blocks), count(DISTINCT record_row) FROM found_fragment GROUP BY search_id"
    )
    return {number: (blocks, files) for number, blocks, files in rows}


def keep_block_search(
    connection: sqlite3.Connection, digests: DigestTable, search: BlockSearch, found: Sequence[FoundFragment]
) -> int:
    """Store how far a search is and what it has found, in place of what was stored of it, and of what an earlier
    generation of its set found: the files listed then may not be listed any more.

    Inside the caller's transaction. Returns its number.
    """
    name, generation = text(str(search.hashset["name"])), str(search.hashset["generation"])
    where = text(search.exhibit), text(search.source)
    earlier = connection.execute(
        "SELECT id FROM block_search WHERE exhibit = ? AND source = ? AND name = ? AND generation <> ?",
        (*where, name, generation),
    ).fetchall()
    for (number,) in earlier:
        connection.execute("DELETE FROM found_fragment WHERE search_id = ?", (number,))
        connection.execute("DELETE FROM block_search WHERE id = ?", (number,))
        digests.touch("found_fragment", int(number))
    values = (
        *where, canonical_json(dict(search.hashset)), name, generation, search.plan, int(search.free_space),
        search.size, search.searched, search.unread,
    )  # fmt: skip
    rows = connection.execute(
        f"INSERT INTO block_search ({_COLUMNS.removeprefix('id, ')}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
        "ON CONFLICT (exhibit, source, generation) DO UPDATE SET hashset = excluded.hashset, name = excluded.name, "
        "plan = excluded.plan, free_space = excluded.free_space, size = excluded.size, searched = excluded.searched, "
        "unread = excluded.unread RETURNING id",
        values,
    ).fetchall()
    number = int(rows[0][0])
    connection.execute("DELETE FROM found_fragment WHERE search_id = ?", (number,))
    connection.executemany(
        "INSERT INTO found_fragment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (number, place, text(one.volume), one.kind, one.fragment.offset, one.fragment.record,
             one.fragment.first_block, one.fragment.blocks, one.fragment.file_blocks, text(one.fragment.media_id),
             text(one.fragment.category_code), text(one.fragment.category_label), text(one.fragment.scheme))
            for place, one in enumerate(found)
        ),
    )  # fmt: skip
    digests.touch("block_search")
    digests.touch("found_fragment", number)
    return number


def _search(row: Sequence[Any]) -> BlockSearch:
    number, exhibit, source, hashset, _, _, plan, free_space, size, searched, unread = row
    facts = json.loads(hashset)
    return BlockSearch(exhibit, source, facts, plan, bool(free_space), size, searched, unread, number)


_FILES = f"e.id >= ? AND e.id < ? AND (e.id & {(1 << PART_BITS) - 1}) = 0 AND e.locator <> '[]'"
_EXACT = f"""EXISTS (SELECT 1 FROM file_match m JOIN hashset h ON h.id = m.hashset_id WHERE m.entry_id = e.id
    AND m.match_kind = '{MatchKind.EXACT}' AND m.contradicted = 0 AND h.role = '{Role.NOTABLE}')"""  # noqa: S608
_IN_USE = f"""(e.state = '{State.ALLOCATED}' OR EXISTS (SELECT 1 FROM entry_problem p WHERE p.entry_id = e.id
    AND p.code = '{IN_USE_CODE}'))"""  # noqa: S608 - constants only
# Files of which a part may be that of a known file though the whole is none: deleted ones, whose bytes may be another's
# by now; and living ones that could not be read to their end, or that are pictures and films which are not whole.
_DAMAGED = f"""SELECT e.locator, {_IN_USE} FROM entry e WHERE {_FILES} AND NOT {_EXACT} AND (
    e.state IN ('{State.DELETED}', '{State.ORPHAN}') OR (e.state = '{State.ALLOCATED}' AND e.readable AND
        (e.sha256 IS NULL OR e.decode_state IN ('{DecodeState.PARTIAL}', '{DecodeState.UNDECODABLE}'))))
    ORDER BY e.id"""  # noqa: S608 - constants only
# What is not in use and was found whole is a hit already.
_WHOLE = f"SELECT e.locator, 0 FROM entry e WHERE {_FILES} AND {_EXACT} AND NOT {_IN_USE} ORDER BY e.id"  # noqa: S608


def whole_and_damaged(
    connection: sqlite3.Connection, source_id: int
) -> tuple[list[StoredContent], list[StoredContent]]:
    """Of the stored files of a source those that are not in use and identical to a listed one, and those of which a
    part may be that of a listed file though the whole is none."""
    span = source_range(source_id)
    whole, damaged = (
        [StoredContent(tuple(json.loads(locator)), bool(in_use)) for locator, in_use in connection.execute(query, span)]
        for query in (_WHOLE, _DAMAGED)
    )
    return whole, damaged
