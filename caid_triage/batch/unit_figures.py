"""Figures for whoever answers for a unit's backlog: what waits, since when, what is in work, what was found.

From case folders alone, and from the journals of batches where those lie: exhibits that wait have no case yet. Delay
and drift are what inspectors ask for first, so every row has its age, how long it waited and how long it was worked on.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from caid_triage.batch.figures import QUICK, CaseFigures, Hit, case_figures, has_database, profile_of
from caid_triage.batch.journal import ENDED_WELL, JOURNAL, Record, State, read_journal
from caid_triage.batch.pages import rendered
from caid_triage.batch.rows import hit_totals
from caid_triage.case.command import tool_versions
from caid_triage.case.rows import NO_COLUMN
from caid_triage.errors import CaseError, UsageError
from caid_triage.report.rows_csv import write_rows
from caid_triage.report.verdict import Outcome
from caid_triage.report.write import write_file

HTML, CSV = "unit-figures.html", "unit-figures.csv"
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class UnitRow:
    """An exhibit of the unit: a row of unit-figures.csv. Days are decimal; times aware UTC.

    ``age_days``: from when it was queued (or, where no batch queued it, began) until it was done, or until now;
    ``waited_days`` until work on it began, ``worked_days`` from there. ``hits`` are files identical to listed ones, by
    category and scheme; ``fragments`` of ``fragment_files`` known files are in no other count; ``note`` says what is
    wrong. ``outcome``, ``answer``, ``ignorable`` and ``contradicted`` are those of a batch's row.
    """

    reference: str
    folder: str
    state: State
    queued: datetime | None
    began: datetime | None
    ended: datetime | None
    age_days: float | None
    waited_days: float | None
    worked_days: float | None
    bytes: int | None
    files: int | None
    exact: int | None
    leads: int | None
    hits: str
    problems: int | None
    note: str
    fragments: int | None
    fragment_files: int | None
    outcome: Outcome | None
    answer: str
    ignorable: int | None
    contradicted: int | None
    found: tuple[Hit, ...] = field(metadata=NO_COLUMN)
    confirmed: bool = field(metadata=NO_COLUMN)


def unit_rows(folders: Sequence[Path], now: datetime) -> list[UnitRow]:
    """A row for every exhibit below these folders, the oldest of what is not done first, then the others by name.

    A folder is a case, a folder of cases, or that of a batch. UsageError for one that is none of them.
    """
    rows: dict[Path, UnitRow] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder; give case folders, or folders with case folders in them")
        found = list(_below(folder, now, set()))
        if not found:
            raise UsageError(f"{folder} holds no case and no batch; give case folders, or folders with them in them")
        rows.update(found)
    return sorted(rows.values(), key=lambda row: (row.state in ENDED_WELL, -(row.age_days or 0), row.reference))


def _below(folder: Path, now: datetime, seen: set[Path]) -> Iterator[tuple[Path, UnitRow]]:
    """The exhibits of a folder by the folder of their case, each once; ``seen`` are folders that were looked into."""
    if folder.resolve() in seen:
        return  # links that lead back
    seen.add(folder.resolve())
    if has_database(folder):
        # Its batch, if there is one, knows since when it waited.
        records = {folder.parent / record.case: record for record in _journal(folder.parent)[0].values()}
        yield folder.resolve(), _row(folder, records.get(folder), now)
        return
    known, fault = _journal(folder)
    if fault:
        yield folder.resolve() / JOURNAL, _unread(folder, fault)
    of_batch = {(folder / record.case).resolve(): record for record in known.values()}
    for place, record in of_batch.items():
        yield place, _row(place, record, now)
    try:
        entries = sorted(folder.iterdir())
    except OSError as fault:
        yield folder.resolve(), _unread(folder, f"the folder cannot be looked into: {fault.strerror or fault}")
        return
    for inside in entries:
        if not inside.is_dir() or inside.resolve() in of_batch:
            continue
        if has_database(inside):
            yield inside.resolve(), _row(inside, None, now)
        elif os.path.lexists(inside / JOURNAL):
            yield from _below(inside, now, seen)


def _journal(folder: Path) -> tuple[dict[str, Record], str]:
    """The records of a batch's folder, and why they cannot be read."""
    try:
        return read_journal(folder).records, ""
    except CaseError as error:
        return {}, str(error)
    except OSError as fault:  # a folder that this user may not look into
        return {}, f"its journal cannot be read: {fault.strerror or fault}"


def _unread(folder: Path, fault: str) -> UnitRow:
    return UnitRow(
        reference=folder.name,
        folder=folder.name,
        state=State.FAILED,
        queued=None,
        began=None,
        ended=None,
        age_days=None,
        waited_days=None,
        worked_days=None,
        bytes=None,
        note=fault,
        **CaseFigures().columns(State.FAILED, known=False),
    )


def _row(folder: Path, record: Record | None, now: datetime) -> UnitRow:
    there = has_database(folder)
    figures = case_figures(folder) if there else CaseFigures()
    known = there and not figures.fault
    first_look = record is not None and record.looked and there and profile_of(folder) == QUICK
    state = _state(figures, record, there=there, first_look=first_look)
    queued = record.queued if record else None
    began = figures.began or (record.began if record else None)
    ended = figures.ended if state in ENDED_WELL else None
    since, until = min(filter(None, (queued, began)), default=None), ended or now
    if known:
        size = figures.bytes if figures.bytes is not None else (record.size or None if record else None)
    else:
        size = record.size or None if record else None
    return UnitRow(
        reference=(record.reference if record else figures.reference) or folder.name,
        folder=folder.name,
        state=state,
        queued=queued,
        began=began,
        ended=ended,
        age_days=_days(since, until),
        waited_days=_days(since, began or now),
        worked_days=_days(began, until),
        bytes=size,
        note=figures.fault or ("; ".join(record.sentences) if record and state is State.FAILED else ""),
        **figures.columns(state, known=known),
    )


def _state(figures: CaseFigures, record: Record | None, *, there: bool, first_look: bool = False) -> State:
    """What the case says; the batch's word where the case cannot know: that it waits, that the last scan failed, or
    (``first_look``) that the quick scan which came to its end is the first look of a time box and more is to come."""
    if figures.fault:
        return State.FAILED
    if not there:
        if record is None or record.state is not State.FAILED:
            return State.WAITING
        return State.FAILED
    unfinished = figures.state is State.STOPPED or (first_look and figures.state in ENDED_WELL)
    if unfinished and record is not None and record.state not in ENDED_WELL:
        return State.FAILED if record.state is State.FAILED else State.STOPPED
    return figures.state


def _days(since: datetime | None, until: datetime | None) -> float | None:
    if since is None or until is None:
        return None
    return round(max(0.0, (until - since).total_seconds()) / DAY, 3)


@dataclass(frozen=True, slots=True)
class Totals:
    """The unit in a few figures. ``open``: neither done nor failed. Days are decimal, None where there is nothing."""

    states: Counter[State]
    bytes_open: int
    bytes_done: int
    oldest_open: UnitRow | None
    median_waited: float | None
    median_worked: float | None
    hits: list[tuple[Hit, int]]


def totals(rows: Sequence[UnitRow]) -> Totals:
    """The sums over all rows."""
    still = [row for row in rows if row.state not in ENDED_WELL]
    done = [row for row in rows if row.state in ENDED_WELL]
    return Totals(
        states=Counter(row.state for row in rows),
        bytes_open=sum(row.bytes or 0 for row in still),
        bytes_done=sum(row.bytes or 0 for row in done),
        oldest_open=max(still, key=lambda row: row.age_days or 0.0, default=None),
        median_waited=_median(row.waited_days for row in done),
        median_worked=_median(row.worked_days for row in done),
        hits=hit_totals(row.found for row in rows),
    )


def _median(days: Iterable[float | None]) -> float | None:
    known = [value for value in days if value is not None]
    return median(known) if known else None


def write_figures(folder: Path, rows: Sequence[UnitRow], now: datetime) -> list[Path]:
    """Write the table and the page, each whole or not at all; their paths, the page last."""
    table = io.StringIO(newline="")
    write_rows(table, UnitRow, rows)
    text = rendered(
        "figures.html",
        rows=rows,
        totals=totals(rows),
        at=now.astimezone(UTC),
        tool=tool_versions(),
        states=list(State),
        ended_well=ENDED_WELL,
        a_day=DAY,
        unconfirmed=any(not row.confirmed for row in rows),
    )
    made = {CSV: table.getvalue(), HTML: text}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise CaseError(f"the folder {folder} could not be made: {fault.strerror or fault}") from fault
    for name, content in made.items():
        write_file(folder / name, content.encode("utf-8", "backslashreplace"))
    return [folder / name for name in made]
