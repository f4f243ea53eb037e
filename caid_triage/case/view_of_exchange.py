"""What a view of a case has for others: for other programs, and for the unit's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from caid_triage.case.contents import UnitContents
from caid_triage.case.exchange import (
    ExchangeMatch,
    ExchangeRow,
    ExchangeTotals,
    content_rows,
    content_totals,
    file_rows,
    match_rows,
    note_written,
)
from caid_triage.case.reading import CaseReading
from caid_triage.case.schema import reading_faults


class CaseExchange(CaseReading):
    """The rows of a case that leave it."""

    def exchange_files(self) -> Iterator[ExchangeRow]:
        """Every file with all that other programs are told of it."""
        with reading_faults(self.folder):
            yield from file_rows(self._connection)

    def exchange_matches(self) -> Iterator[ExchangeMatch]:
        """Every match of every file, known-good and contradicted ones among them, in file order."""
        with reading_faults(self.folder):
            yield from match_rows(self._connection)

    def exchange_contents(self, selection: str, *, heads: bool = False) -> Iterator[ExchangeRow]:
        """Every occurrence of the contents of one of exchange.SELECTIONS, or one row a content (``heads``)."""
        with reading_faults(self.folder):
            yield from content_rows(self._connection, selection, heads=heads)

    def note_written(self, contents: Iterable[bytes], exhibits: Sequence[str]) -> None:
        """Say which contents an export has written, of which exhibits: the selection ``written_content`` is those."""
        with reading_faults(self.folder):
            note_written(self._connection, contents, exhibits)

    def exchange_totals(self, selection: str) -> dict[str, ExchangeTotals]:
        """How many contents of a selection each exhibit has."""
        with reading_faults(self.folder):
            return content_totals(self._connection, selection)

    def unit_contents(self, smallest: int) -> UnitContents:
        """What the unit's memory keeps of the case; contents of fewer than ``smallest`` bytes are left out."""
        with reading_faults(self.folder):
            return UnitContents(self._connection, self.folder, smallest)
