"""The end of a batch: batch.html for people, batch.csv for lists, batch.json for programs, beside the case folders."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caid_triage.batch.journal import ENDED_WELL, State
from caid_triage.batch.pages import rendered
from caid_triage.batch.rows import ExhibitRow, hit_totals
from caid_triage.case.command import tool_versions
from caid_triage.report.rows_csv import write_rows
from caid_triage.report.text import iso, spelled
from caid_triage.report.write import write_file
from caid_triage.visible import many

HTML, CSV, JSON = "batch.html", "batch.csv", "batch.json"
NAMED = 8
"""So many exhibits are named in a sentence; the table has all."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a batch came to. ``notes`` are sentences of the batch itself; ``at`` is an aware UTC time."""

    exit_code: int
    interrupted: bool
    time_up: bool
    seconds: float
    at: datetime
    rows: Sequence[ExhibitRow]
    notes: Sequence[str]

    def count(self, *states: State) -> int:
        """How many exhibits are in one of these states."""
        return sum(row.state in states for row in self.rows)

    @property
    def complete(self) -> int:
        """How many exhibits are done, with or without problems."""
        return self.count(*ENDED_WELL)

    @property
    def headline(self) -> str:
        """The outcome in one line."""
        failed, open_ = self.count(State.FAILED), len(self.rows) - self.complete - self.count(State.FAILED)
        words = [f"{self.complete:,} of {many(len(self.rows), 'exhibit')} done"]
        words += [f"{failed:,} failed"] * bool(failed)
        words += [f"{open_:,} still to do"] * bool(open_)
        return ", ".join(words)

    @property
    def found_on(self) -> int:
        """On how many exhibits a file is identical to a listed item."""
        return sum(bool(row.exact) for row in self.rows)

    @property
    def answer(self) -> str:
        """Whether anything known was found, as report.html says it of one exhibit: never more than was examined."""
        if self.found_on:
            return f"Known material found: YES, on {self.found_on:,} of {many(len(self.rows), 'exhibit')}"
        whole = all(row.state in ENDED_WELL and row.files for row in self.rows)
        return "Known material found: NO" if whole and self.rows else "Known material found: not so far"

    @property
    def found_words(self) -> list[str]:
        """On which exhibits something was found so far, and of which nothing is known: what to look at, or seize."""
        open_ = [row for row in self.rows if row.state not in ENDED_WELL]
        exact = sorted((row for row in self.rows if row.exact), key=lambda row: -(row.exact or 0))
        leads = sorted((row for row in self.rows if row.leads and not row.exact), key=lambda row: -(row.leads or 0))
        apart = sorted((row for row in self.rows if row.not_pertinent), key=lambda row: -(row.not_pertinent or 0))
        words = [
            f"No file identical to a listed item{' of another category' * bool(apart)}{' so far' if open_ else ''}."
        ]
        if exact:
            words = [f"Files identical to a listed item: {_named(exact, [row.exact for row in exact])}."]
        words += [f"Leads alone, to check by eye: {_named(leads, [row.leads for row in leads])}."] * bool(leads)
        if apart:
            named = _named(apart, [row.not_pertinent for row in apart])
            words.append(f"In categories that their scheme ranks as not pertinent, in no other count: {named}.")
        parts = sorted((row for row in self.rows if row.fragments), key=lambda row: -(row.fragments or 0))
        words += [f"Parts of known files, in no other count: {_named(parts, None, _fragments)}."] * bool(parts)
        unseen = [row for row in self.rows if not row.files]  # a disk without files that is done, too
        words += [f"No file examined of: {_named(unseen, None)}."] * bool(unseen)
        return words

    @property
    def problem_words(self) -> list[str]:
        """Of what is done something was not examined as it should be: where, and what can be done about it."""
        rows = sorted((row for row in self.rows if row.state is State.PROBLEMS), key=lambda row: -(row.problems or 0))
        named = _named(rows, [row.problems for row in rows])
        more = "what, is in their reports; --problems-again reads again what could not be read"
        return [f"Done, but not everything in them could be examined: {named}; {more}."] * bool(rows)


def _fragments(row: ExhibitRow) -> str:
    """An exhibit with its fragments: "AB/1 (fragments: 7 of 2 files)"."""
    files = row.fragment_files or 0
    return f"{row.reference} (fragments: {row.fragments or 0:,} of {files:,} file{'' if files == 1 else 's'})"


def _named(
    rows: Sequence[ExhibitRow],
    counts: Sequence[int | None] | None,
    told: Callable[[ExhibitRow], str] = lambda row: row.reference,
) -> str:
    """Exhibits in a sentence, each with its count where there is one, the first few by name."""
    texts = [told(row) for row in rows]
    if counts is not None:
        texts = [f"{text} ({count or 0:,})" for text, count in zip(texts, counts, strict=True)]
    more = [f"{len(texts) - NAMED:,} more"] * (len(texts) > NAMED)
    return ", ".join(texts[:NAMED] + more)


def write_summary(folder: Path, summary: Summary) -> list[Path]:
    """Write the three files, each whole or not at all; their paths, the page last. CaseError: the folder is full."""
    table = io.StringIO(newline="")
    write_rows(table, ExhibitRow, summary.rows)
    text = json.dumps(as_json(summary), indent=2, ensure_ascii=False) + "\n"
    made = {JSON: text, CSV: table.getvalue(), HTML: page(summary)}
    for name, content in made.items():
        write_file(folder / name, content.encode("utf-8", "backslashreplace"))
    return [folder / name for name in made]


def as_json(summary: Summary) -> dict[str, Any]:
    """The content of batch.json."""
    states = Counter(str(row.state) for row in summary.rows)
    return {
        "tool": {name: tool_versions()[name] for name in ("name", "version")},
        "ended": iso(summary.at.astimezone(UTC)),
        "exit_code": summary.exit_code,
        "interrupted": summary.interrupted,
        "time_up": summary.time_up,
        "seconds": round(summary.seconds, 1),
        "exhibits": len(summary.rows),
        "states": dict(sorted(states.items())),
        "hits": [
            {"label": hit.label, "scheme": hit.scheme, "files": hit.files, "exhibits": exhibits}
            for hit, exhibits in hit_totals(row.found for row in summary.rows)
        ],
        "notes": list(summary.notes),
        "rows": [_row(row) for row in summary.rows],
    }


def as_json_outcome(summary: Summary, written: Path) -> dict[str, Any]:
    """The last line of a batch for other programs: the outcome without its rows, which are in the file."""
    whole = as_json(summary)
    return (
        {"event": "batch-finished"}
        | {key: value for key, value in whole.items() if key not in ("rows", "tool")}
        | {"report": str(written)}
    )


def _row(row: ExhibitRow) -> dict[str, Any]:
    plain = [
        one.name for one in fields(row) if one.metadata.get("column", True) and one.name not in ("hits", "earlier")
    ]
    values: dict[str, Any] = {name: getattr(row, name) for name in plain}
    for name, value in values.items():
        if isinstance(value, datetime):
            values[name] = spelled(value)
    hits = [{"label": hit.label, "scheme": hit.scheme, "files": hit.files, "unique": hit.unique} for hit in row.found]
    return {**values, "hits": hits, "earlier": bool(row.earlier)}


def page(summary: Summary) -> str:
    """The page, whose first table is what needs somebody."""
    return rendered(
        "batch.html",
        summary=summary,
        at=summary.at,
        tool=tool_versions(),
        attention=[row for row in summary.rows if row.state not in ENDED_WELL],
        totals=hit_totals(row.found for row in summary.rows),
        exact=sum(row.exact or 0 for row in summary.rows),
        unconfirmed=any(not row.confirmed for row in summary.rows),
    )
