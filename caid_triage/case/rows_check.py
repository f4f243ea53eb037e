"""Checking the rows of a case against their digests, and saying which row of which unit is not as it was stored."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from difflib import SequenceMatcher

from caid_triage.case.digests import (
    OF_FILES,
    OF_UNITS,
    WHOLE,
    RowDigest,
    digest_rows,
    marks_of,
    rows_of_files,
    rows_of_unit,
    unpacked,
)
from caid_triage.case.encode import Row, split_entry_id
from caid_triage.case.fault import Fault
from caid_triage.case.schema import DATABASE

MOST_ROWS = 10  # named of one unit; further ones are counted
# To be compared each with each: difflib takes the square of them, of equal check sums, which can be forged, the cube.
MOST_PAIRS = 1 << 20

Stored = dict[tuple[str, int], tuple[int, bytes]]


def row_faults(connection: sqlite3.Connection, without: Collection[str] = ()) -> Iterator[Fault]:
    """Every unit of every table whose rows do not agree with their digest, with the rows that were changed.

    Needs a case of a schema that has digests; ``without`` are tables that it does not have yet. Reads every row once,
    in a bounded part of the memory.
    """
    digests = connection.execute("SELECT name, unit, rows, sha256 FROM digest")
    stored: Stored = {(name, unit): (rows, sha256) for name, unit, rows, sha256 in digests}
    for table, (column, _) in OF_UNITS.items():
        if table in without:
            continue
        present = connection.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall() if column else [(WHOLE,)]  # noqa: S608
        units = {unit for (unit,) in present} | {unit for name, unit in stored if name == table}
        for unit in sorted(units, key=repr):
            known = stored.pop((table, unit), None)
            if not _agrees(digest_rows(rows_of_unit(connection, table, unit)), known):
                yield from _unit_faults(connection, known, table, unit, rows_of_unit(connection, table, unit))
    yield from _batch_faults(connection, stored, without)


def _batch_faults(connection: sqlite3.Connection, stored: Stored, without: Collection[str]) -> Iterator[Fault]:
    tables = [table for table in OF_FILES if table not in without]
    counted: Counter[str] = Counter()
    for (number,) in connection.execute("SELECT id FROM batch ORDER BY id").fetchall():
        (entries,) = connection.execute("SELECT entries FROM batch WHERE id = ?", (number,)).fetchone()
        ids = unpacked(entries)
        for table in tables:
            known = stored.pop((table, number), None)
            found = digest_rows(rows_of_files(connection, table, ids))
            counted[table] += found.rows
            if not _agrees(found, known):
                yield from _unit_faults(connection, known, table, number, rows_of_files(connection, table, ids))
    for table, unit in sorted(stored):
        yield Fault(f"{DATABASE} table {table}, batch {unit}", "is not there any more, only its digest is")
    for table in tables:
        (every,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - constants only
        if every != counted[table]:
            yield from _strangers(connection, table, every - counted[table])


def _strangers(connection: sqlite3.Connection, table: str, surplus: int) -> Iterator[Fault]:
    """The rows that belong to no file that a batch stored."""
    column, order = OF_FILES[table]
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS of_batches (id INTEGER PRIMARY KEY)")
    for (entries,) in connection.execute("SELECT entries FROM batch"):
        rows = ((identity,) for identity in unpacked(entries))
        connection.executemany("INSERT OR IGNORE INTO temp.of_batches VALUES (?)", rows)
    found = connection.execute(
        f"SELECT {order} FROM {table} WHERE {column} NOT IN (SELECT id FROM temp.of_batches) "  # noqa: S608
        f"ORDER BY {order} LIMIT {MOST_ROWS}"
    ).fetchall()
    where = f"{DATABASE} table {table}"
    for key in found:
        yield Fault(f"{where}, {_row_name(table, key)}", "was added outside: no batch stored it")
    if surplus != len(found):
        yield Fault(where, f"has {surplus} rows more than the batches stored")


def _unit_faults(
    connection: sqlite3.Connection, known: tuple[int, bytes] | None, table: str, unit: int, rows: Iterable[Row]
) -> Iterator[Fault]:
    """The rows of a unit that differ from its digest, which is known to differ."""
    found = digest_rows(rows, _key_columns(table))
    where = f"{DATABASE} table {table}{_unit_name(connection, table, unit)}"
    stored = connection.execute("SELECT marks FROM digest WHERE name = ? AND unit = ?", (table, unit)).fetchone()
    marks = marks_of(stored[0] if stored and isinstance(stored[0], bytes) else b"")
    faults = list(_row_faults(where, table, marks, found)) if known and len(marks) == known[0] else []
    if known is None:
        faults = [Fault(f"{where}, {_row_name(table, key)}", "was added outside") for key in found.keys]
    yield from faults[:MOST_ROWS]
    if len(faults) > MOST_ROWS:
        yield Fault(where, f"and {len(faults) - MOST_ROWS} more rows of it")
    if not faults:
        yield Fault(where, "its rows or their digest were changed")


def _agrees(found: RowDigest, known: tuple[int, bytes] | None) -> bool:
    """Whether rows are those of a stored digest; a unit without one has no rows."""
    return found.rows == 0 if known is None else (found.rows, found.sha256) == known


def _row_faults(where: str, table: str, marks: Sequence[int], found: RowDigest) -> Iterator[Fault]:
    """The rows that differ, from the check sums of those that were stored and of those that are there."""
    first = next(
        (n for n, (a, b) in enumerate(zip(marks, found.marks, strict=False)) if a != b), min(len(marks), found.rows)
    )
    last = 0  # how many rows agree at the end, of those that follow the first difference
    most = min(len(marks), found.rows) - first
    while last < most and marks[-1 - last] == found.marks[-1 - last]:
        last += 1
    before, now = list(marks[first : len(marks) - last]), list(found.marks[first : found.rows - last])
    if len(before) * len(now) > MOST_PAIRS and len(before) != len(now):
        since = f" from {_row_name(table, found.keys[first])} on" if first < found.rows else " at the end"
        yield Fault(where, f"{len(before)} rows were there and {len(now)} are, changed, added or removed{since}")
        return
    for kind, begin, end, start, stop in _steps(before, now):
        if kind == "equal":
            continue
        changed = min(end - begin, stop - start)
        for n in range(start, start + changed):
            yield Fault(f"{where}, {_row_name(table, found.keys[first + n])}", "was changed")
        for n in range(start + changed, stop):
            yield Fault(f"{where}, {_row_name(table, found.keys[first + n])}", "was added outside")
        if removed := end - begin - changed:
            place = first + start + changed
            either = [("after", place - 1), ("before", place)]
            beside = [f"{word} {_row_name(table, found.keys[n])}" for word, n in either if 0 <= n < found.rows]
            rows = "row was" if removed == 1 else "rows were"
            yield Fault(where, " ".join([f"{removed} {rows} removed", *beside[:1]]))


def _steps(before: list[int], now: list[int]) -> Iterable[tuple[str, int, int, int, int]]:
    """What difflib says of how one list became the other; of long ones of equal length, place by place."""
    if len(before) * len(now) <= MOST_PAIRS:
        return SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
    return (("replace", n, n + 1, n, n + 1) for n, (a, b) in enumerate(zip(before, now, strict=True)) if a != b)


def _key_columns(table: str) -> int:
    order = OF_FILES[table][1] if table in OF_FILES else OF_UNITS[table][1]
    return order.count(",") + 1


def _unit_name(connection: sqlite3.Connection, table: str, unit: int) -> str:
    if table in OF_FILES:
        return f", batch {unit}"
    column, _ = OF_UNITS[table]
    if table in {"decision", "regrade_row"}:
        return f", {'decision' if table == 'decision' else 're-grading'} {unit}"
    if table == "source" or column == "source_id":
        row = connection.execute("SELECT exhibit FROM source WHERE id = ?", (unit,)).fetchone()
        return f", source {unit}" + (f" (exhibit {row[0]})" if row else "")
    return ""


def _row_name(table: str, key: Row) -> str:
    """A row by its key: the id of a file is said with its source and its number on the walk, never with its path."""
    if table == "sqlite_schema":
        return f"{key[0]} {key[1]}"
    order = OF_FILES[table][1] if table in OF_FILES else OF_UNITS[table][1]
    words = []
    for name, value in zip(order.split(", "), key, strict=True):
        if isinstance(value, int) and (name == "entry_id" or table == "entry"):
            source, number, part = split_entry_id(value)
            words.append(f"entry {value} (source {source}, file {number}{f', part {part}' if part else ''})")
        else:
            words.append(f"{name} {value}")
    return "row " + ", ".join(words)
