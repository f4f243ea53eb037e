"""What the place of a file says: a user's folder, a browser's cache, a recycle bin, a chat program, a backup.

Accessibility and indicative location are what a charge turns on (CPS guidance on indecent images; *R v Porter*). The
rules are data (caid_triage/locations.toml), applied to the display path when a report is written, so a unit may change
them and write its reports again. A tag says where a file lies and nothing else: it never asserts who put it there or
had it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from caid_triage.case.rows import MatchRow, VideoMatchRow
from caid_triage.case.view import CaseView
from caid_triage.locations import Location, location_of
from caid_triage.model import State, parent_of

# How a file could be come to, by its state first (of an embedded one: by that of the file that it lies in):
# recoverability and reach are stated, possession never is.
_BY_STATE = {
    State.DELETED: "deleted: not reachable without recovery",
    State.ORPHAN: "no folder names it: not reachable without recovery",
    State.CARVED: "recovered from unallocated space: not reachable without special tools",
    State.SLACK: "recovered from slack space: not reachable without special tools",
}
_INSIDE_BY_STATE = {
    State.DELETED: "inside a deleted file: not reachable without recovery",
    State.ORPHAN: "inside a file that no folder names: not reachable without recovery",
    State.CARVED: "inside a file recovered from unallocated space: not reachable without special tools",
    State.SLACK: "inside a file recovered from slack space: not reachable without special tools",
}
_REMOVED = "left in a live file that does not list it: not reachable without special tools"
_BY_REACH = {
    "user": "live, in an ordinary folder",
    "program": "live, kept by a program for itself",
    "hidden": "live, not reachable without special tools",
    "system": "live, among files of the system or of programs",
    "": "live",
}


def accessibility(
    state: State, location: Location, container_state: State | None = None, *, removed: bool = False
) -> str:
    """In words, how a file of that state in that place can be come to.

    ``container_state`` and ``removed`` say of an embedded file what MatchRow has them say; without them nothing is said
    of the file that it lies in.
    """
    words = _BY_STATE.get(state)
    if words is not None:
        return words
    if state is not State.EMBEDDED:
        return _BY_REACH[location.reach]
    if container_state is None:
        return "inside another file"
    return _INSIDE_BY_STATE.get(container_state) or (
        _REMOVED if removed else f"{_BY_REACH[location.reach]}, inside another file"
    )


_STANDING = {
    State.ALLOCATED: "in a live file",
    State.DELETED: "in a deleted file",
    State.ORPHAN: "in a file that no folder names",
    State.CARVED: "in a file from unallocated space",
    State.SLACK: "in a file from slack space",
}


def standing(row: MatchRow | VideoMatchRow) -> str:
    """Beside the word "embedded": what became of the file that it lies in ("" for a file that lies in no other)."""
    if row.container_state is None:
        return ""
    if row.removed and row.container_state is State.ALLOCATED:
        return "left in a live file that does not list it"
    return _STANDING.get(row.container_state, "")


@dataclass(frozen=True, slots=True)
class LocationCount:
    """How many matched files lie in one kind of place, how many of them live or in a live file, one for example.

    What a live file holds and does not list is in neither count.
    """

    location: Location
    files: int
    live: int
    example: str
    inside: int = 0


def place_columns() -> dict[str, Callable[[Any], object]]:
    """The columns that the list of matches has for it: made from a row's path and state."""
    return {
        "location": lambda row: location_of(row.path).tag,
        "accessibility": lambda row: accessibility(
            row.state, location_of(row.path), row.container_state, removed=row.removed
        ),
        "container_state": lambda row: row.container_state,
    }


def matched_places(view: CaseView) -> list[LocationCount]:
    """Where the files lie that match known material exactly, each file once."""
    return location_counts(
        (row.path, parent_of(row.path), row.state, row.container_state is State.ALLOCATED and not row.removed)
        for row in view.exact_files()
    )


def location_counts(places: Iterable[tuple[str, str, State, bool]]) -> list[LocationCount]:
    """Count files (path, parent path, state, whether listed inside a live file) by place, the most frequent first."""
    found: dict[str, tuple[Location, int, int, str, int]] = {}
    for path, parent, state, in_live in places:
        location = location_of(path)
        _, files, live, example, inside = found.get(location.tag, (location, 0, 0, parent, 0))
        found[location.tag] = location, files + 1, live + (state is State.ALLOCATED), example, inside + in_live
    rows = [LocationCount(*row) for row in found.values()]
    return sorted(rows, key=lambda row: (-row.files, row.location.tag))
