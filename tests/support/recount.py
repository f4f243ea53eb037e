"""The counts of a case worked out the plain way, from the rows of case.db alone: what every format must agree with."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARTS = 1 << 23
NUMBERS = 1 << 51


@dataclass(frozen=True)
class Counted:
    """A file that counts: of which source, under which category and kind of match, where, and its content."""

    entry: int
    source: int
    exhibit: str
    code: str
    label: str
    scheme: str
    kind: str
    exact: bool
    place: str
    content: object
    times: tuple[int | None, ...]
    path: str
    state: str = ""
    match_kind: str = ""
    tier: str = ""
    md5_alone: bool = False


def counted_files(folder: Path) -> list[Counted]:
    """Every file with a match that counts, once, under its strongest kind of match and its gravest category."""
    with closing(sqlite3.connect(folder / "case.db")) as db:
        db.row_factory = sqlite3.Row
        entries = {row["id"]: row for row in db.execute("SELECT * FROM entry")}
        categories = {row["id"]: row for row in db.execute("SELECT * FROM category")}
        notable = {row["id"] for row in db.execute("SELECT * FROM hashset") if row["role"] == "notable"}
        exhibits = {row["id"]: row["exhibit"] for row in db.execute("SELECT * FROM source")}
        gone = {
            row["entry_id"] for row in db.execute("SELECT * FROM entry_problem")
            if row["code"] in ("inside-unlisted", "inside-freed")
        }  # fmt: skip
        matches = defaultdict(list)
        for row in db.execute("SELECT * FROM file_match"):
            if row["hashset_id"] in notable and not row["contradicted"]:
                matches[row["entry_id"]].append(row)
    found = []
    for number, rows in sorted(matches.items()):
        best = min(rows, key=lambda row: _rank(row, categories[row["category_id"]]))
        entry, category = entries[number], categories[best["category_id"]]
        found.append(
            Counted(
                number, number // NUMBERS, exhibits[number // NUMBERS], category["code"], category["label"],
                category["scheme"], entry["kind"], best["match_kind"] == "exact", _place(entries, entry, gone),
                entry["sha256"] or number, (entry["created"], entry["modified"], entry["accessed"]), entry["path"],
                entry["state"], best["match_kind"], _tier(best),
                {row["algorithm"] for row in rows if row["match_kind"] == "exact"} == {"md5"},
            )
        )  # fmt: skip
    return found


def stored_rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table as they are stored."""
    with closing(sqlite3.connect(folder / "case.db")) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT * FROM {table}")]


def last_grades(folder: Path) -> dict[bytes, dict[str, Any]]:
    """Of each graded content its last grade that was not taken back, with its category's columns."""
    withdrawn = {row["decision_id"] for row in stored_rows(folder, "withdrawal")}
    categories = {row["id"]: row for row in stored_rows(folder, "category")}
    found = {}
    for row in sorted(stored_rows(folder, "decision"), key=lambda row: row["id"]):
        if row["id"] not in withdrawn:
            found[row["sha256"]] = {**categories[row["category_id"]], **row}
    return found


def _tier(match: Any) -> str:
    """As the reports name it: of a look-alike alone."""
    if match["match_kind"] != "near":
        return ""
    return "strong" if match["algorithm"] == "pdq" and match["distance"] <= 31 else "lead"


def _rank(match: Any, category: Any) -> tuple[object, ...]:
    kind = ("exact", "video", "near").index(match["match_kind"])
    strong = _tier(match) != "lead"
    severity = category["severity"]
    if severity is None:
        severity = 0.5 if category["code"] else 0.25
    return kind, not strong, -severity, category["code"], category["scheme"], category["label"]


def _place(entries: dict[int, Any], entry: Any, gone: set[int]) -> str:
    state = entry["state"]
    if state == "embedded":
        outer = entries[entry["id"] - entry["id"] % PARTS]["state"]
        if outer == "allocated":
            return "deleted" if entry["id"] in gone else "inside"
        state = outer
    return {"allocated": "live", "deleted": "deleted"}.get(state, "other")


def pair(files: list[Counted]) -> str:
    """Files and different contents, as documents write them."""
    return f"{len(files):,} / {len({file.content for file in files}):,}" if files else "0"
