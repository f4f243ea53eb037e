"""A case folder whose case.db hostile bytes stand in: opening it and reading all that reports are made of.

An input is patches on the database of a small case (fuzz/patches.py). Laws: whatever is read ends in rows or in a
CaseError that names the folder; the file is not changed by being read.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from unit.case import samples

from caid_triage.case.exchange import SELECTIONS
from caid_triage.case.links import LINKS
from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.case.view import CaseView, open_case
from caid_triage.errors import CaseError
from fuzz.patches import patched, patching, places_of
from fuzz.target import Target, expect

MOST_ROWS = 2_000
# What gives no rows, or rows of one source alone. What an export has written is said first: others are asked about it.
LEFT_OUT = frozenset(("close", "ledger", "note_written"))
LEAST_QUALITY = 50
# What is told to those that must be told something, each time that they are asked.
GIVEN: Mapping[str, Sequence[tuple[object, ...]]] = {
    "perceptual_hashes": [(LEAST_QUALITY,)],
    "lead_hashes": [(LEAST_QUALITY,)],
    "exchange_contents": [(name,) for name in SELECTIONS],
    "exchange_totals": [(name,) for name in SELECTIONS],
    "stated_counts": [(("distributed",),)],
    "series_counts": [(9,)],
    "month_counts": [("created",), ("modified",)],
    "folder_counts": [(9,)],
    "shared_pairs": [(9,)],
    "links": [(name,) for name in LINKS],
    "unit_contents": [(256,)],
}


@cache
def wholes() -> dict[str, bytes]:
    """The database of a case of some files, problems, matches, volumes and hash sets."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        folder = Path(made) / "case"
        with create_case(folder, CaseHeader("R", "op", "examiner")) as case:
            case.record_hashset(samples.NOTABLE)
            case.record_hashset(samples.KNOWN_GOOD)
            source = case.add_source(samples.source(), {})
            case.set_volumes(source, [samples.volume(), samples.volume("p2")], {}, [])
            records = [
                samples.record(number, found=(samples.problem(),), metadata=(("make", "Canon"), ("model", "EOS")))
                for number in range(12)
            ]
            matches = [(samples.match(), samples.near())] + [()] * 11
            case.write_batch(source, records, matches, [samples.problem("other")], 12)
            case.finish_source(source, 12, 12)
        for log in folder.glob("case.db-*"):
            expect(not log.stat().st_size, "the case has a log beside it")
        return {"case": (folder / "case.db").read_bytes()}


@cache
def places(name: str) -> list[int]:
    return places_of(wholes()[name])


def questions(view: CaseView) -> list[Callable[[], object]]:
    """Everything of a view that gives rows; what must be told more is in GIVEN."""
    named = [name for name, _ in inspect.getmembers(CaseView, inspect.isfunction) if name[0] != "_"]
    return (
        [partial(view.note_written, (bytes(32),), ("EX/1",))]
        + [
            partial(getattr(view, name), *given)
            for name in named
            if name not in LEFT_OUT
            for given in GIVEN.get(name, [()])
        ]
        + [partial(_of_the_unit, view, name) for name in ("figures", "contents", "every", "pictures")]
    )


def _of_the_unit(view: CaseView, name: str) -> object:
    """What the unit's memory asks of a case, asked only once its contents are worked out."""
    return getattr(view.unit_contents(256), name)()


def check(data: bytes) -> str:
    database = patched(data, wholes()["case"], places("case"))
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        folder = Path(made) / "case"
        folder.mkdir()
        path = folder / "case.db"
        path.write_bytes(database)
        faults = rows = 0
        try:
            view = open_case(folder)
        except CaseError as error:
            expect(str(folder) in str(error), "an error that does not name the case")
            return "refused"
        try:
            for ask in questions(view):
                try:
                    found = ask()
                    rows += sum(1 for _ in zip(range(MOST_ROWS), found, strict=False)) if _has_rows(found) else 1
                except CaseError as error:
                    expect(str(folder) in str(error), "an error that does not name the case")
                    faults += 1
        finally:
            view.close()
        expect(path.read_bytes() == database, "the case was changed by being read")
    return "read, with faults" if faults else "read"


def _has_rows(found: object) -> bool:
    return isinstance(found, (Iterator, list, tuple))


def seeds() -> dict[str, bytes]:
    """The case whole."""
    return {"whole": b"\0\0"}


TARGET = Target(
    "case", "a case database that is damaged or was made by others", seeds, check, (), longest=2048, seconds=5.0,
    mutate=patching(wholes(), places, 1),
)  # fmt: skip
