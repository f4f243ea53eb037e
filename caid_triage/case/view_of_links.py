"""What a view of a case has of ties: contents that several exhibits share, links to other cases of the unit."""

from __future__ import annotations

from collections.abc import Iterator

from caid_triage.case.links import (
    LinkedExhibit,
    LinkFigures,
    LinkRow,
    UnitLookRow,
    link_figures,
    link_rows,
    linked_exhibits,
    look_row,
)
from caid_triage.case.reading import CaseReading
from caid_triage.case.schema import reading_faults
from caid_triage.case.shared import SharedFigures, SharedPair, SharedRow, shared_figures, shared_pairs, shared_rows


class CaseLinks(CaseReading):
    """What ties the exhibits of a case to each other and to other cases."""

    def shared_figures(self) -> SharedFigures:
        """How many contents occur on more than one exhibit."""
        with reading_faults(self.folder):
            return shared_figures(self._connection)

    def shared_pairs(self, most: int) -> list[SharedPair]:
        """The pairs of exhibits that have contents in common, those with the most listed ones first."""
        with reading_faults(self.folder):
            return list(shared_pairs(self._connection, most))

    def shared_rows(self) -> Iterator[SharedRow]:
        """Every occurrence of every content that several exhibits have, listed contents first."""
        with reading_faults(self.folder):
            yield from shared_rows(self._connection)

    def unit_look(self) -> UnitLookRow | None:
        """The figures of the last look-up in the unit's memory, None where there was none."""
        with reading_faults(self.folder):
            return look_row(self._connection)

    def link_figures(self) -> LinkFigures:
        """How many links to other cases there are of each kind."""
        with reading_faults(self.folder):
            return link_figures(self._connection)

    def linked_exhibits(self) -> list[LinkedExhibit]:
        """The exhibits of other cases that links lead to."""
        with reading_faults(self.folder):
            return list(linked_exhibits(self._connection))

    def links(self, link: str, *, apart: bool = False) -> Iterator[LinkRow]:
        """Every link of one kind (links.LINKS), a row a file; with ``apart`` none to the same exhibit elsewhere."""
        with reading_faults(self.folder):
            yield from link_rows(self._connection, link, apart=apart)
