"""Files not decoded because a known-good set held them (docs/decisions/0046), and whether that still holds."""

from __future__ import annotations

import sqlite3

from caid_triage.case.rows import Undecoded
from caid_triage.case.schema import PART_BITS
from caid_triage.model import DecodeState

NOT_NEEDED = f"decode_state = '{DecodeState.NOT_NEEDED}'"
# As match/known_good.py has it: a known-good set by SHA-1 or SHA-256, and no notable set by anything.
STILL_GOOD = """EXISTS (SELECT 1 FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    WHERE m.entry_id = e.id AND h.role = 'known-good' AND m.match_kind = 'exact' AND m.algorithm <> 'md5'
        AND m.contradicted = 0)
AND NOT EXISTS (SELECT 1 FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    WHERE m.entry_id = e.id AND h.role = 'notable' AND m.match_kind = 'exact')"""
# What lies inside a file is not asked about, so these are files themselves, and what lies in them is dropped with them.
TO_EXAMINE = f"""SELECT e.id FROM entry e WHERE e.id >= ? AND e.id < ? AND e.id & {(1 << PART_BITS) - 1} = 0
    AND e.{NOT_NEEDED} AND NOT ({STILL_GOOD})"""  # noqa: S608 - constants only
COUNTS = f"""SELECT count(*), coalesce(sum(NOT ({STILL_GOOD})), 0) FROM entry e WHERE e.{NOT_NEEDED}"""  # noqa: S608


def undecoded(connection: sqlite3.Connection) -> Undecoded:
    """How many files were not decoded, and how many of them no known-good set answers for any more."""
    files, to_examine = connection.execute(COUNTS).fetchone()
    return Undecoded(files, to_examine)


def to_examine(connection: sqlite3.Connection, low: int, high: int) -> list[int]:
    """The ids, between these, of files that a known-good set does not answer for any more."""
    return [identity for (identity,) in connection.execute(TO_EXAMINE, (low, high))]
