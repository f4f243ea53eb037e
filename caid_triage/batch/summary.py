"""The end of a batch: batch.html for people, batch.csv for lists, batch.json for programs, beside the case folders."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from caid_triage.batch.journal import ENDED_WELL, State
from caid_triage.batch.pages import rendered
from caid_triage.batch.rows import ExhibitRow, hit_totals
from caid_triage.case.command import tool_versions
from caid_triage.report.on_exhibits import NOT_PERTINENT, OnExhibit, besides, found_on, named
from caid_triage.report.rows_csv import write_rows
from caid_triage.report.text import iso, spelled
from caid_triage.report.verdict import Outcome
from caid_triage.report.write import write_file
from caid_triage.visible import many

HTML, CSV, JSON = "batch.html", "batch.csv", "batch.json"
NAMED_FIRST = 4
"""So many exhibits are named in a part of the answer itself; the lines below it name more, the table all."""


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

    def _of(self, *outcomes: Outcome) -> list[str]:
        """The exhibits whose own report comes to one of these."""
        return [row.reference for row in self.rows if row.outcome in outcomes]

    @property
    def word(self) -> str:
        """The answer in one word for the style of a page, as a :class:`Verdict` has it: "found", "leads" or "none"."""
        return "found" if self._of(Outcome.FOUND) else "none" if self._is_no else "leads"

    @property
    def _is_no(self) -> bool:
        """Whether every exhibit is done, its files were compared, and its own report says no."""
        return bool(self.rows) and all(
            row.done and row.files and row.compared and row.outcome is Outcome.NONE for row in self.rows
        )

    @property
    def answer(self) -> str:
        """Whether anything known was found, as the exhibits' own reports answer it: never more than they do.

        It is a yes where one of them says yes, a no where all of them say no, else the nearest that is true.
        """
        if found := self._of(Outcome.FOUND):
            return f"Known material found: YES, on {len(found):,} of {many(len(self.rows), 'exhibit')}"
        if self._is_no:
            return "Known material found: NO"
        on = self._on
        unsure = self._of(Outcome.UNCONFIRMED)
        to_check = [
            ("contradictions to check on", [one.reference for one in on if one.contradicted]),
            ("leads to check on", [one.reference for one in on if one.leads]),
            ("fragments of known files to check on", [one.reference for one in on if one.fragments]),
        ]
        unknown = [
            ("nothing was compared on", [one.reference for one in on if one.files and not one.compared]),
            ("no file was found to examine on", [one.reference for one in on if one.done and not one.files]),
            ("not done:", [one.reference for one in on if not one.done]),
        ]
        words = []
        if unsure:
            words = [f"listed files found on {named(unsure, NAMED_FIRST)} whose category's meaning is not confirmed"]
        elif any(one.files and one.compared for one in on):
            so_far = " so far" * any(not one.done for one in on)
            words = [f"no identical file found{so_far}{NOT_PERTINENT * any(one.ignorable for one in on)}"]
        words += _together("to check on", to_check) + _together("no answer on", unknown)
        text = "; ".join(words) or "no exhibit was examined"
        return text[0].upper() + text[1:]

    @property
    def found_words(self) -> list[str]:
        """On which exhibits something was found so far, and of which nothing is known: what to look at, or seize."""
        return [*found_on(self._on), *besides(self._on)]

    @property
    def _on(self) -> list[OnExhibit]:
        return [
            OnExhibit(
                reference=row.reference,
                found=(row.exact or 0) - (row.ignorable or 0),
                ignorable=row.ignorable or 0,
                confirmed=row.confirmed,
                leads=row.leads or 0,
                contradicted=row.contradicted or 0,
                fragments=row.fragments or 0,
                fragment_files=row.fragment_files or 0,
                files=row.files or 0,
                compared=row.compared,
                done=row.done,
            )
            for row in self.rows
        ]

    @property
    def problem_words(self) -> list[str]:
        """Of what is done something was not examined as it should be: where, and what can be done about it."""
        rows = sorted((row for row in self.rows if row.state is State.PROBLEMS), key=lambda row: -(row.problems or 0))
        names = named([f"{row.reference} ({row.problems or 0:,})" for row in rows])
        more = "what, is in their reports; --problems-again reads again what could not be read"
        return [f"Done, but not everything in them could be examined: {names}; {more}."] * bool(rows)


def _together(before: str, kinds: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Exhibits of one kind in the words for it; of several kinds in one word: the lines below tell them apart."""
    having = [(words, names) for words, names in kinds if names]
    if len(having) < 2:
        return [f"{words} {named(names, NAMED_FIRST)}" for words, names in having]
    return [f"{before} {named(list(dict.fromkeys(name for _, names in having for name in names)), NAMED_FIRST)}"]


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
            {
                "label": hit.label,
                "scheme": hit.scheme,
                "files": hit.files,
                "exhibits": exhibits,
                "ignorable": hit.ignorable,
            }
            for hit, exhibits in hit_totals(row.found for row in summary.rows)
        ],
        "notes": list(summary.notes),
        "rows": [_row(row) for row in summary.rows],
        "answer": summary.answer,
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
    hits = [asdict(hit) for hit in row.found]
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
