"""workbook.xlsx: the figures and the lists of a case for a spreadsheet, row by row in constant memory.

No cell is a formula or a link, whatever it begins with; digests and times are text, counts and sizes are numbers. What
XML cannot hold is escaped as OOXML has it (``_x0001_``), which a spreadsheet takes back. A list with more rows than a
sheet can have goes on in a further one, and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Any, BinaryIO

from caid_triage.case.rows import FileRow, MatchRow, ProblemRow
from caid_triage.case.view import CaseView
from caid_triage.report.court import CourtFacts, court_facts
from caid_triage.report.files_csv import EXACT_COLUMNS
from caid_triage.report.matches_csv import match_columns
from caid_triage.report.rows_csv import row_columns
from caid_triage.report.sfr import (
    ASSERTED_TITLES,
    PLACE_TITLES,
    PLACES_EXPLAINED,
    SUBTITLE,
    examined_when,
    stated_facts,
)
from caid_triage.report.tables import PLACES, CountTable
from caid_triage.report.text import number, spelled

MOST_ROWS = 1_048_576  # of a sheet; the last is kept for the word that the list goes on
MOST_CHARACTERS = 32_767  # of a cell, in units of UTF-16
# Spreadsheets keep 15 figures of a number: a longer one would be another number.
MOST_FIGURES = 10**15
CREATED = datetime(1980, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # the library takes no zone
WIDTHS = {
    "path": 60, "parent_path": 40, "detail": 60, "md5": 34, "sha1": 42, "sha256": 66, "pdq": 66, "phash": 18,
    "created": 21, "modified": 21, "accessed": 21, "changed": 21, "accessibility": 44, "category_label": 24,
    "hashset": 20, "problems": 24, "media_type": 18, "source": 18, "size": 14, "physical_offset": 16,
}  # fmt: skip
NARROW = 12
# Of the first sheet: its columns, and how many characters of a sentence stand beside each other over all of them.
COLUMNS, CHARACTERS_A_LINE = 14, 180


def write_workbook(view: CaseView, out: BinaryIO) -> None:
    """Write the workbook. Its parts lie in the system's temporary folder until they are put together."""
    import xlsxwriter  # noqa: PLC0415 - heavy, and only for this
    from xlsxwriter.exceptions import FileCreateError  # noqa: PLC0415

    options = {
        "constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False,
        "use_zip64": True,
    }  # fmt: skip
    book = xlsxwriter.Workbook(out, options)
    facts = court_facts(view)
    book.set_properties({"title": "Digital examination: lists", "author": "caid-triage", "created": CREATED})
    sheets = _Sheets(book)
    summary = sheets.add("Summary")
    told = [
        sheets.rows("Matches", "matches.csv", MatchRow, view.matches(), _of_matches(view, facts)),
        sheets.rows("Files", "files.csv", FileRow, view.files(), EXACT_COLUMNS),
        sheets.rows("Problems", "problems.csv", ProblemRow, view.problems(), {}),
    ]
    _hashsets(sheets, facts)
    _summary(sheets, summary, facts, told)
    try:
        book.close()
    except FileCreateError as fault:  # a full disk, which the caller says in words
        raise fault.args[0] if isinstance(fault.args[0], OSError) else OSError(str(fault)) from fault


def _of_matches(view: CaseView, facts: CourtFacts) -> dict[str, Callable[[Any], object]]:
    """The columns that the list of matches has beside the fields of its rows."""
    return {**match_columns(view), "scheme_confirmed": lambda row: facts.confirmed(row.scheme)}


@dataclass(frozen=True, slots=True)
class _List:
    """A list as it was written: its rows, and the sheets that they are on."""

    title: str
    rows: int
    sheets: Sequence[str]
    csv: str


@dataclass(slots=True)
class _Sheets:
    """Writes sheets of a workbook, each row once and in order."""

    book: Any
    bold: Any = field(init=False)
    whole: Any = field(init=False)
    wrapped: Any = field(init=False)
    title: Any = field(init=False)

    def __post_init__(self) -> None:
        self.bold = self.book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
        self.whole = self.book.add_format({"num_format": "#,##0"})
        self.wrapped = self.book.add_format({"text_wrap": True, "valign": "top"})
        self.title = self.book.add_format({"bold": True})

    def add(self, title: str) -> Any:
        """A new sheet, printed on its side, as many columns as there are on one page."""
        sheet = self.book.add_worksheet(title)
        sheet.set_landscape()
        sheet.set_paper(9)  # A4
        sheet.fit_to_pages(1, 0)
        return sheet

    def rows(
        self,
        title: str,
        csv: str,
        row_type: type,
        rows: Iterable[Any],
        more: Mapping[str, Callable[[Any], object]],
    ) -> _List:
        """Write a list with the columns that its CSV file has, and return what came of it."""
        columns = row_columns(row_type, more)
        makers = list(columns.values())
        return self.table(title, csv, list(columns), ([make(row) for make in makers] for row in rows))

    def table(self, title: str, csv: str, names: Sequence[str], rows: Iterable[Sequence[object]]) -> _List:
        """Write rows of values under a header, on as many sheets as they need."""
        names_of_sheets = [title]
        sheet, line, total = self._headed(title, names), 0, 0
        for row in rows:
            if line == MOST_ROWS - 2:
                names_of_sheets.append(f"{title} {len(names_of_sheets) + 1}")
                sheet.write_string(line + 1, 0, f"The list goes on in the sheet {names_of_sheets[-1]}.", self.bold)
                _filter(sheet, line, names)
                sheet, line = self._headed(names_of_sheets[-1], names), 0
            line += 1
            total += 1
            for place, value in enumerate(row):
                self.cell(sheet, line, place, value, csv)
        _filter(sheet, line, names)
        return _List(title, total, names_of_sheets, csv)

    def _headed(self, title: str, names: Sequence[str]) -> Any:
        sheet = self.add(title)
        for place, name in enumerate(names):
            sheet.set_column(place, place, WIDTHS.get(name, max(NARROW, len(name) + 2)))
            sheet.write_string(0, place, name, self.bold)
        sheet.freeze_panes(1, 0)
        sheet.repeat_rows(0)
        return sheet

    def cell(self, sheet: Any, line: int, place: int, value: object, csv: str, form: Any = None) -> None:
        """Write one value: numbers that a spreadsheet keeps as they are as numbers, all else as text."""
        said = spelled(value)
        if isinstance(said, str):
            if said:
                sheet.write_string(line, place, fitting(said, csv), form)
        elif isfinite(said) and abs(said) < MOST_FIGURES:
            sheet.write_number(line, place, said, form or (self.whole if isinstance(said, int) else None))
        else:
            sheet.write_string(line, place, str(said), form)


def _filter(sheet: Any, last: int, names: Sequence[str]) -> None:
    sheet.autofilter(0, 0, last, len(names) - 1)


def fitting(text: str, csv: str) -> str:
    """A text as a cell has room for it; of a longer one the beginning, and where it stands whole."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")  # half a surrogate pair, as the other reports do
    if len(text) * 7 <= MOST_CHARACTERS or _units(text) <= MOST_CHARACTERS:
        return text
    note = f" [cut here: {number(len(text))} characters in all, whole in {csv}]"
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _units(text[:middle]) <= MOST_CHARACTERS - len(note) else (low, middle - 1)
    return text[:low] + note


def _units(text: str) -> int:
    """How many units of UTF-16 a text takes in the file: a control character is written as ``_x0001_``."""
    signs = sum(7 if sign < " " or sign in "\ufffe\uffff" else 1 + (sign > "\uffff") for sign in text)
    return signs + 7 * text.count("_x")  # what looks like such a writing is escaped itself


def _hashsets(sheets: _Sheets, facts: CourtFacts) -> None:
    names = [
        "name", "generation", "role", "entries", "rows_refused", "identical_files", "identical_different", "scheme",
        "confirmed", "source_file", "source_sha256",
    ]  # fmt: skip
    rows = []
    for one in facts.hashsets:
        tally = facts.set_tallies.get(one.name)
        found = (tally.files, tally.unique) if tally else (None, None)
        entries = one.entries if isinstance(one.entries, int) else None
        confirmed = one.confirmed if one.role == "notable" else ""
        for file, sha256 in one.sources or [("", "")]:
            rows.append(
                (one.name, one.generation, one.role, entries, one.refused, *found, one.scheme, confirmed, file, sha256)
            )
    sheets.table("Hash sets", "summary.json", names, rows)


def _summary(sheets: _Sheets, sheet: Any, facts: CourtFacts, lists: Sequence[_List]) -> None:
    """The first sheet: what the case is, its answer, the counts as numbers, and what the other sheets hold."""
    line = 0

    def put(*values: object, form: Any = None) -> None:
        nonlocal line
        for place, value in enumerate(values):
            if value is not None:
                sheets.cell(sheet, line, place, value, "summary.json", form)
        line += 1

    def say(text: str) -> None:
        """A sentence over all columns, in as many lines as it needs: rows are not made higher by themselves."""
        nonlocal line
        said = fitting(text, "summary.json")
        sheet.set_row(line, min(15 * (1 + len(said) // CHARACTERS_A_LINE), 405))  # a row has 409 points at most
        sheet.merge_range(line, 0, line, COLUMNS - 1, "", sheets.wrapped)
        sheet.write_string(line, 0, said, sheets.wrapped)
        line += 1

    def head(*titles: str) -> None:
        sheet.set_row(line, 60)
        put(*titles, form=sheets.bold)

    sheet.set_column(0, 0, 44)
    sheet.set_column(1, 3, 16)
    sheet.set_column(4, COLUMNS - 1, NARROW)
    put("Digital examination: known material", form=sheets.title)
    say(SUBTITLE)
    for name, value in (
        ("Exhibits", ", ".join(facts.exhibits)), ("Case reference", facts.reference),
        ("Operation or instruction", facts.operation or "not stated"),
        ("Examiner", facts.examiner or "not stated"), *stated_facts(facts), ("Examined", examined_when(facts)),
        ("With", facts.tool), ("Answer", facts.verdict.headline),
        ("Files found", facts.figures.walked), ("Files examined", facts.figures.examined),
        ("Files stored", facts.figures.stored), ("All accounted for", "yes" if facts.figures.holds else "NO"),
    ):  # fmt: skip
        put(name, value)
    say(facts.verdict.sentence)
    for title, table in (
        ("Files identical to a listed item", facts.exact),
        ("Leads: only look like a listed item, in no count", facts.leads),
    ):
        put()
        put(title, form=sheets.title)
        _counts(put, head, facts, table)
    say(PLACES_EXPLAINED)
    if facts.graded.lines:
        put()
        put("Graded by examiners, in no count above: by the last grade that stands", form=sheets.title)
        head("Graded as", "Files", *ASSERTED_TITLES)
        for grade in facts.graded.lines:
            put(
                facts.category(grade.label, grade.scheme),
                grade.files,
                *(grade.by[word] for word in ASSERTED_TITLES.values()),
            )
    if facts.graded.disputed:
        put("Graded differently by two examiners (files)", facts.graded.disputed)
    put()
    head("Sheet", "Rows", "On sheets", "As a file")
    for one in lists:
        put(one.title, one.rows, ", ".join(one.sheets), one.csv)
        if len(one.sheets) > 1:
            put(f"{one.title} has more rows than a sheet can have ({number(MOST_ROWS)}): it goes on in the next one.")
    put("The files hold the same rows, and texts of any length whole. What begins as a formula does is text here.")


def _counts(put: Callable[..., None], head: Callable[..., None], facts: CourtFacts, table: CountTable) -> None:
    """A count table as numbers: of each place the files and the different contents."""
    titles = [f"{PLACE_TITLES[place]}: {what}" for place in (*PLACES, "all") for what in ("files", "different")]
    head("Category", "Scheme", "Confirmed", "Kind", *titles)
    for one in (*table.lines, *([table.total] if table.lines else [])):
        cells = [one.cells[place] for place in (*PLACES, "all")]
        known = (one.scheme, facts.confirmed(one.scheme), one.kind) if one is not table.total else ("", "", "all kinds")
        put(one.label, *known, *(figure for cell in cells for figure in (cell.files, cell.unique)))
    if not table.lines:
        put("none")
