"""The count tables of the page: by category, kind and place, exact matches apart from leads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from caid_triage.case.rows import SourceRow, TallyRow
from caid_triage.case.view import CaseView
from caid_triage.model import Kind, MatchKind, Tier

PLACES = ("live", "inside", "deleted", "other")
KIND_WORDS = {Kind.IMAGE: "still", Kind.VIDEO: "moving", Kind.OTHER: "other file"}


@dataclass(slots=True)
class Cell:
    """How many files and how many different contents."""

    files: int = 0
    unique: int = 0

    def add(self, row: TallyRow) -> None:
        """Add a tally. Sound over kinds and categories, which follow from content; not over places."""
        self.files += row.files
        self.unique += row.unique


@dataclass(slots=True)
class Line:
    """A line of a count table: the cells of one category, or of one category and kind, by place and by kind.

    ``ignorable``: the scheme ranks the category as not pertinent, so that the answer does not count what is here.
    """

    label: str
    scheme: str
    kind: str
    cells: dict[str, Cell] = field(default_factory=lambda: {place: Cell() for place in (*PLACES, "all")})
    kinds: dict[str, Cell] = field(default_factory=lambda: {word: Cell() for word in KIND_WORDS.values()})
    ignorable: bool = False

    def add(self, row: TallyRow) -> None:
        """Add a tally to its place, and to its kind when it is over all places."""
        self.cells[row.place].add(row)
        if row.place == "all":
            self.kinds[KIND_WORDS[row.kind]].add(row)


@dataclass(slots=True)
class CountTable:
    """The counts of exact matches, or of leads: by category, by category and kind, and over all.

    ``ignorable`` are those in a category that its scheme ranks as not pertinent, ``unranked`` those by a code that no
    scheme explains.
    """

    categories: list[Line]
    lines: list[Line]
    total: Line
    ignorable: Cell
    unranked: Cell


def count_table(tallies: Iterable[TallyRow]) -> CountTable:
    """Gather tallies, which come gravest category first, into the lines of a table."""
    categories: dict[tuple[str, str, str], Line] = {}
    lines: dict[tuple[str, str, str, Kind], Line] = {}
    total, ignorable, unranked = Line("All categories", "", ""), Cell(), Cell()
    for row in tallies:
        key = row.category_code, row.category_label, row.scheme
        kind = KIND_WORDS[row.kind]
        ranked = row.severity == 0
        categories.setdefault(key, Line(row.category_label, row.scheme, "", ignorable=ranked)).add(row)
        lines.setdefault((*key, row.kind), Line(row.category_label, row.scheme, kind, ignorable=ranked)).add(row)
        total.add(row)
        if row.place == "all" and not row.severity:
            (unranked if row.severity is None else ignorable).add(row)
    return CountTable(list(categories.values()), list(lines.values()), total, ignorable, unranked)


def count_tables(tallies: Sequence[TallyRow]) -> tuple[CountTable, CountTable]:
    """The counts of the exact matches, and those of the leads."""
    exact = count_table(row for row in tallies if row.match_kind is MatchKind.EXACT)
    return exact, count_table(row for row in tallies if row.match_kind is not MatchKind.EXACT)


def tier_tables(tallies: Sequence[TallyRow]) -> tuple[CountTable, CountTable]:
    """The counts of the leads apart: films and strong look-alikes, and those of the tier of leads."""
    leads = [row for row in tallies if row.match_kind is not MatchKind.EXACT]
    far = count_table(row for row in leads if row.tier is Tier.LEAD)
    return count_table(row for row in leads if row.tier is not Tier.LEAD), far


def exhibit_cells(view: CaseView, sources: Iterable[SourceRow]) -> list[tuple[str, Cell, Cell]]:
    """Of each exhibit, in the order of the sources, how many files are exact matches, and how many are leads."""
    cells = {source.exhibit: (Cell(), Cell()) for source in sources}
    for row in view.exhibits():
        cell = cells[row.exhibit][0 if row.match_kind is MatchKind.EXACT else 1]
        cell.files += row.files
        cell.unique += row.unique
    return [(exhibit, *pair) for exhibit, pair in cells.items()]
