"""Which items the conditions of a filter take: masks over the columns, and what the case is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from caid_triage.case.encode import microseconds
from caid_triage.case.review import KINDS, NO_TIME, STATES, ReviewReader
from caid_triage.locations import location_of
from caid_triage.model import Kind, State
from caid_triage.review.columns import Columns, Mask
from caid_triage.review.grades import Grades
from caid_triage.review.items import ItemFilter


class Conditions:
    """Says of the items of columns which of them a filter takes, but for its queue and what was decided."""

    def __init__(self, columns: Columns, reader: ReviewReader, grades: Grades) -> None:
        self._columns = columns
        self._reader = reader
        self._grades = grades
        self._located: NDArray[np.uint8] | None = None  # of each file the number of its place
        self._tags: dict[str, int] = {}

    def items_taken(self, which: ItemFilter) -> Mask | None:
        """Which items the conditions of a filter take, None: all."""
        columns, masks = self._columns, self._masks(which)
        taken: Mask | None = None
        if masks:
            taken = columns.of_items(np.logical_and.reduce(masks))
            if which.locations:
                taken &= columns.of_items(np.logical_and.reduce([*masks, self._at_locations(which.locations)]))
        elif which.locations:
            taken = columns.of_items(self._at_locations(which.locations))
        if which.categories:
            found = self._in_categories(which.categories, which.examiner)
            taken = found if taken is None else taken & found
        if which.cluster is not None:
            found = self.in_cluster(which.cluster)
            taken = found if taken is None else taken & found
        return taken

    def in_cluster(self, cluster: int) -> Mask:
        """The items of a group, by the id of any item of it (of the first: as Item.cluster has it)."""
        columns = self._columns
        found = np.zeros(columns.items, np.bool_)
        number = columns.item_of(cluster)
        if number is not None:
            found[number] = True
            if columns.cluster is not None:
                found |= columns.cluster == columns.cluster[number]
        return found

    def _masks(self, which: ItemFilter) -> list[Mask]:
        """For each condition on a file which files meet it."""
        columns, masks = self._columns, []
        if which.states:
            masks.append(np.isin(columns.state, [STATES.index(State(state)) for state in which.states]))
        if which.kinds:
            masks.append(np.isin(columns.kind, [KINDS.index(Kind(kind)) for kind in which.kinds]))
        if which.exhibits:
            masks.append(np.isin(columns.source, self._reader.source_ids(which.exhibits)))
        if which.text:
            masks.append(columns.items_of(self._reader.with_text(which.text)))
        if which.device:
            masks.append(columns.items_of(self._reader.with_device(which.device)))
        if which.size_min is not None:
            masks.append(columns.size >= max(which.size_min, 0))
        if which.size_max is not None:
            masks.append((columns.size <= which.size_max) & (columns.size >= 0))
        for bound, is_first in ((which.date_from, True), (which.date_to, False)):
            if bound is not None:
                when = _microseconds(bound)
                masks.append((columns.date >= when) if is_first else (columns.date < when) & (columns.date != NO_TIME))
        return masks

    def _at_locations(self, tags: Sequence[str]) -> Mask:
        """Which files lie at a place of these; worked out once for all files, which takes its time for a million."""
        if self._located is None:
            columns = self._columns
            located = np.zeros(len(columns.ids), np.uint8)
            places = {identity: place for place, identity in enumerate(columns.ids.tolist()) if identity < 0}
            place, files = 0, len(columns.ids) - len(places)
            ids = columns.ids
            for identity, path in self._reader.paths():
                if identity < 0:
                    at = places.get(identity)
                else:
                    while place < files and ids[place] < identity:
                        place += 1
                    at = place if place < files and ids[place] == identity else None
                if at is not None:
                    located[at] = self._tags.setdefault(location_of(path).tag, len(self._tags))
            self._located = located
        found: Mask = np.isin(self._located, [self._tags[tag] for tag in tags if tag in self._tags])
        return found

    def _in_categories(self, categories: Iterable[str | tuple[str, str]], examiner: str) -> Mask:
        columns = self._columns
        found = np.zeros(columns.items, np.bool_)
        for one in categories:
            code, scheme = (one, "") if isinstance(one, str) else one
            found |= columns.of_items(columns.items_of(self._reader.listed_in(code, scheme)))
            found[columns.items_with(list(self._grades.graded_in(code, scheme, examiner)))] = True
        return found


def _microseconds(bound: datetime) -> int:
    when = microseconds(bound)
    assert when is not None
    return when
