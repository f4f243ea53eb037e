"""What lies on the desk: items by queue and filter, page by page, with what each is and who has decided about it.

The columns (review/columns.py) say which items there are and in what order; of the few that are shown the rest is read
from the case. What was asked for lately is kept, and brought up to date by the contents that a decision is about.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from caid_triage.case.encode import moment, text, whole_back
from caid_triage.case.review import ReviewReader
from caid_triage.errors import UsageError
from caid_triage.locations import location_of
from caid_triage.model import Category, DecodeState, Kind, MatchKind, State, Tier
from caid_triage.review.columns import Columns, Mask, Numbers, Places
from caid_triage.review.conditions import Conditions
from caid_triage.review.grades import Grades, is_disputed
from caid_triage.review.items import APART, QUEUES, Item, ItemFilter, Key, ListedMatch, QueueFigures

NOBODY = ""  # no examiner has this name: whether anybody has graded
STRIDE = 4096
MOST_CHOICES = 16  # kept of filters that were asked for lately, 4 bytes an item each


class Listing:
    """The items of a case as its columns were read once; what is decided since is taken in (:meth:`bring_up_to_date`).

    For one thread at a time: the desk sees to that.
    """

    def __init__(self, columns: Columns, reader: ReviewReader, grades: Grades) -> None:
        """``columns`` are those that ``reader`` gave; without groups of look-alikes (:meth:`set_clusters`)."""
        self._columns = columns
        self._reader = reader
        self._grades = grades
        self._chosen: OrderedDict[ItemFilter, Places] = OrderedDict()
        self._decided: dict[str, Mask] = {}
        self._disputed = np.zeros(columns.items, np.bool_)
        self._conditions = Conditions(columns, reader, grades)
        self._read_grades()

    def _read_grades(self) -> None:
        columns = self._columns
        by_examiner: dict[str, list[bytes]] = {}
        for content, examiner in self._reader.standing():
            by_examiner.setdefault(examiner, []).append(content)
        for examiner, contents in by_examiner.items():
            found = columns.items_with(contents)
            self._decided_by(examiner)[found] = True
            self._decided_by(NOBODY)[found] = True
        self._disputed[columns.items_with([content for (content,) in self._reader.disputed()])] = True
        self.bring_up_to_date(self._grades.contents())

    # -- queues and items ----------------------------------------------------------------------------------------------

    def queues(self, examiner: str = "") -> list[QueueFigures]:
        """Every queue with its figures; ``decided`` counts what the examiner has graded ("" : anybody)."""
        decided = self._decided_for(ItemFilter("new", examiner=examiner))
        order = self._columns.order
        return [
            QueueFigures(name, title, len(order[name]), int(np.count_nonzero(decided[order[name]])))
            for name, title in QUEUES.items()
        ]

    def count(self, which: ItemFilter) -> int:
        """How many items a filter takes."""
        if which.decided is None:
            return len(self._choice_of_files(which))
        decided = self._decided_for(which)[self._choice_of_files(which)]
        return int(np.count_nonzero(decided == which.decided))

    def page(self, which: ItemFilter, after: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items behind a key (None: from the first), in the order of their keys."""
        chosen = self._choice_of_files(which)
        begin = 0 if after is None else self._place(which.queue, chosen, after, behind=True)
        return self._items(which.queue, self._run(which, chosen[begin:], max(limit, 0)))

    def before(self, which: ItemFilter, key: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items before a key (None: the last ones), in the order of their keys."""
        chosen = self._choice_of_files(which)
        end = len(chosen) if key is None else self._place(which.queue, chosen, key)
        return self._items(which.queue, self._run(which, chosen[:end][::-1], max(limit, 0))[::-1])

    def at(self, which: ItemFilter, position: int) -> Key | None:
        """The key of the item at a position, counted from 0; None where there is none."""
        chosen = self._choice(which)
        if not 0 <= position < len(chosen):
            return None
        return self._columns.key(which.queue, int(chosen[position]))

    def position(self, which: ItemFilter, key: Key) -> int:
        """How many items of the filter stand before a key, whether or not it is (still) one of them."""
        return self._place(which.queue, self._choice(which), key)

    def item(self, identity: int, queue: str = "") -> Item | None:
        """The item that a file (by the id of any occurrence) belongs to, with its key in a queue; None: no item."""
        number = self._columns.item_of(identity)
        if number is None:
            return None
        return self._items(queue, np.array([number], np.int32))[0]

    def _place(self, queue: str, chosen: Places, key: Key, *, behind: bool = False) -> int:
        """Where a key stands among chosen items, or behind it."""
        columns = self._columns
        find = bisect_right if behind else bisect_left
        return find(chosen, key, key=lambda item: columns.key(queue, item))

    def _run(self, which: ItemFilter, chosen: Places, limit: int) -> Places:
        """The first so many of chosen items that are decided as the filter wants; few more are looked at."""
        if which.decided is None:
            return chosen[:limit]
        decided = self._decided_for(which)
        found: list[Places] = []
        begin = 0
        while begin < len(chosen) and limit > 0:
            some = chosen[begin : begin + STRIDE]
            some = some[decided[some] == which.decided][:limit]
            found.append(some)
            limit -= len(some)
            begin += STRIDE
        return np.concatenate(found) if found else chosen[:0]

    # -- which items ---------------------------------------------------------------------------------------------------

    def _choice(self, which: ItemFilter) -> Places:
        """The items that a filter takes, in the order of their keys."""
        chosen = self._choice_of_files(which)
        if which.decided is None:
            return chosen
        found: Places = chosen[self._decided_for(which)[chosen] == which.decided]
        return found

    def _decided_for(self, which: ItemFilter) -> Mask:
        return self._decided_by(text(which.examiner)) if which.examiner else self._decided_by_any()

    def _choice_of_files(self, which: ItemFilter) -> Places:
        """The items that a filter takes but for what was decided; kept for the filters that were used lately.

        Errors: UsageError for an unknown queue.
        """
        if which.queue not in QUEUES:
            raise UsageError(f"no queue is called {which.queue}; there are {', '.join(QUEUES)}")
        # Whose grades count is part of what a filter by category takes: what others graded is not to be seen in it.
        which = replace(which, decided=None, examiner=text(which.examiner) if which.categories else "")
        known = self._chosen.get(which)
        if known is None:
            members = self._columns.order[which.queue]
            taken = self._conditions.items_taken(which)
            known = members if taken is None else members[taken[members]]
            self._chosen[which] = known
            if len(self._chosen) > MOST_CHOICES:
                self._chosen.popitem(last=False)
        self._chosen.move_to_end(which)
        return known

    # -- details -------------------------------------------------------------------------------------------------------

    def _items(self, queue: str, numbers: Places) -> list[Item]:
        columns, reader = self._columns, self._reader
        ids = [int(identity) for identity in columns.item_ids(numbers)]
        details, matches, problems = reader.details(ids), reader.matches(ids), reader.problems(ids)
        devices = reader.device_names(ids)
        items = []
        for number, identity in zip(numbers.tolist(), ids, strict=True):
            detail = details.get(identity)
            if detail is None:  # read again, and not there any more: the columns are read anew soon
                continue
            (exhibit, source, volume, path, state, kind, media_type, decode_state, size, width, height) = detail[:11]
            seconds, created, modified, sha256 = detail[11:]
            grades = () if sha256 is None else self._grades.of(sha256)
            items.append(
                Item(
                    id=identity,
                    key=columns.key(queue, number),
                    sha256=sha256,
                    occurrences=int(columns.occurrences[number]),
                    exhibit=exhibit,
                    source=source,
                    volume=volume,
                    path=path,
                    state=None if state is None else State(state),
                    kind=Kind(kind),
                    media_type=media_type,
                    decode_state=DecodeState(decode_state),
                    size=whole_back(size),
                    width=width,
                    height=height,
                    duration_s=seconds,
                    created=moment(created),
                    modified=moment(modified),
                    location=location_of(path).tag,
                    device=devices.get(identity, ""),
                    cluster=self._cluster_of(number),
                    cluster_size=1 if columns.cluster_size is None else int(columns.cluster_size[number]),
                    matches=tuple(_listed(*row) for row in matches.get(identity, ())),
                    problems=tuple(problems.get(identity, ())),
                    grades=grades,
                    remarks=() if sha256 is None else self._grades.remarks(sha256),
                    disputed=is_disputed(grades),
                )
            )
        return items

    # -- groups of look-alikes -----------------------------------------------------------------------------------------

    @property
    def has_clusters(self) -> bool:
        """Whether the groups of look-alikes are known."""
        return self._columns.cluster is not None

    def groups(self) -> int:
        """How many groups of look-alikes have more than one item."""
        sizes = self._columns.cluster_size
        return 0 if sizes is None else int(np.count_nonzero(self._is_first() & (sizes > 1)))

    def _is_first(self) -> Mask:
        """Which items are the first of their group."""
        columns = self._columns
        if columns.cluster is None:
            return np.zeros(columns.items, np.bool_)
        found: Mask = columns.cluster == np.arange(columns.items)
        return found

    def set_clusters(self, ids: Numbers, clusters: Numbers) -> None:
        """Note the groups of look-alikes, as ids of items and of the first of their groups."""
        self._columns.set_clusters(ids, clusters)
        self._chosen.clear()

    def _cluster_of(self, number: int) -> int | None:
        columns = self._columns
        if columns.cluster is None or columns.cluster_size is None or columns.cluster_size[number] < 2:
            return None
        return int(columns.ids[columns.first[columns.cluster[number]]])

    # -- contents, and what is decided about them ----------------------------------------------------------------------

    def files_of_content(self, content: bytes) -> list[int]:
        """The ids of the files with a content, in order."""
        return self._columns.files_of_content(content)

    def ids_with(self, contents: Sequence[bytes]) -> list[int]:
        """The ids of the items of contents, in order."""
        columns = self._columns
        return [int(one) for one in columns.item_ids(np.unique(columns.items_with(contents)))]

    def contents(self, items: Iterable[int | Key], cluster: int | None) -> list[bytes]:
        """The contents of items, by ids (of any occurrence) or keys, and of a group: see :meth:`ReviewDesk.decide`."""
        columns = self._columns
        numbers = [columns.item_of(one.id if isinstance(one, Key) else one) for one in items]
        if cluster is not None:
            # Known-good material may look like them; it is in no queue, nobody was shown it or counted it.
            in_queue = np.zeros(columns.items, np.bool_)
            for queue in APART:
                in_queue[columns.order[queue]] = True
            numbers += np.flatnonzero(self._conditions.in_cluster(cluster) & in_queue).tolist()
        found = (columns.content(number) for number in dict.fromkeys(numbers) if number is not None)
        return [content for content in found if content is not None]

    def bring_up_to_date(self, contents: Iterable[bytes]) -> None:
        """Bring what is held of decisions up to date for contents whose grades may have changed."""
        disputed = False
        contents = list(dict.fromkeys(contents))
        if contents:
            for which in [which for which in self._chosen if which.categories]:
                del self._chosen[which]
        for content in contents:
            grades = self._grades.of(content)
            found = self._columns.items_with([content])
            for mask in self._decided.values():
                mask[found] = False
            for grade in grades:
                self._decided_by(grade.examiner)[found] = True
            self._decided_by(NOBODY)[found] = bool(grades)
            if (self._disputed[found] != is_disputed(grades)).any():
                self._disputed[found] = disputed = is_disputed(grades)
                disputed = True
        if disputed or len(self._columns.order["disputed"]) != np.count_nonzero(self._disputed):
            self._columns.set_queue("disputed", self._disputed)
            for which in [which for which in self._chosen if which.queue == "disputed"]:
                del self._chosen[which]

    def _decided_by(self, examiner: str) -> Mask:
        if examiner not in self._decided:
            self._decided[examiner] = np.zeros(self._columns.items, np.bool_)
        return self._decided[examiner]

    def _decided_by_any(self) -> Mask:
        """Kept as one mask too: the name of nobody."""
        return self._decided_by(NOBODY)


def _listed(
    hashset: str, media_id: str, match_kind: str, algorithm: str, distance: int, threshold: int, tier: str, code: str,
    label: str, scheme: str, severity: int | None, orientation: str, look: str, quality: int | None,
) -> ListedMatch:  # fmt: skip
    category = Category(code, label, scheme, severity)
    kinds = MatchKind(match_kind), algorithm, distance, threshold, Tier(tier) if tier else None
    return ListedMatch(hashset, media_id, *kinds, category, orientation, look, quality)
