"""The desk of an examiner: queues of what needs an eye, item by item, and what he decides about them.

A million items fit: the desk holds columns of numbers (review/columns.py) and reads the rest of the few items that are
shown. A scan may be writing to the case meanwhile: :meth:`ReviewDesk.refresh` takes in what it has added, and decisions
go to a journal beside the case (case/journal.py), which shows them at once and loses none.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np

from caid_triage.case.encode import microseconds, moment, text, whole_back
from caid_triage.case.journal import DECIDED, REMARKED, WITHDRAWN, facts_of
from caid_triage.case.review import KINDS, NO_TIME, STATES, ReviewReader
from caid_triage.case.store import open_case_for_writing
from caid_triage.errors import CaseError, UsageError
from caid_triage.model import Category, DecodeState, Kind, MatchKind, State, Tier
from caid_triage.report.locations import location_of
from caid_triage.review.columns import Mask, Places, read_columns
from caid_triage.review.grades import Grades, is_disputed
from caid_triage.review.items import QUEUES, Item, ItemFilter, Key, ListedMatch, Placeholder, QueueFigures

MOST_CHOICES = 16  # kept of filters that were asked for lately, 4 bytes an item each


class ReviewDesk:
    """A case on an examiner's desk. Safe for several threads, one at a time; close it at the end."""

    def __init__(self, case_folder: Path | str) -> None:
        """Errors: CaseError when there is no case, it is of a newer schema, or its journal was changed outside."""
        self.folder = Path(case_folder)
        self._lock = threading.RLock()
        self._open()

    def _open(self) -> None:
        self._reader = ReviewReader(self.folder)
        self._grades = Grades(self.folder, self._reader)
        self._read()

    def _read(self) -> None:
        """Read the columns anew. Ids and keys of before stay good, positions may be others."""
        self._seen = self._reader.version()
        self._columns = read_columns(self._reader)
        self._chosen: OrderedDict[ItemFilter, Places] = OrderedDict()
        self._decided: dict[str, Mask] = {}
        self._read_grades()

    def _read_grades(self) -> None:
        columns = self._columns
        by_examiner: dict[str, list[bytes]] = {}
        for content, examiner in self._reader.standing():
            by_examiner.setdefault(examiner, []).append(content)
        for examiner, contents in by_examiner.items():
            self._decided_by(examiner)[columns.items_with(contents)] = True
        self._disputed = np.zeros(columns.items, np.bool_)
        self._disputed[columns.items_with([content for (content,) in self._reader.disputed()])] = True
        self._touched(self._grades.contents())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take what was decided into the case if no scan is writing to it, and let go of it."""
        with self._lock:
            try:
                self.settle(stay=False)
            finally:
                self._reader.close()

    def refresh(self) -> bool:
        """Take in what others have added to the case and to its journal; whether there was anything.

        Reading a case anew takes some seconds for a million files; what is asked for meanwhile waits.
        """
        with self._lock:
            touched = self._grades.read_on()
            self._touched(touched)
            if self._reader.version() == self._seen:
                return bool(touched)
            self._read()
            return True

    def settle(self, *, stay: bool = True) -> bool:
        """Take the acts of the journal into the case's database; False while another process is writing to it.

        They are safe before that, and the next command that writes to the case would do it too. Coming to rest reads
        the database once, which takes a second a gigabyte or so: not to be called after each decision.
        """
        with self._lock:
            self._touched(self._grades.read_on())
            if not self._grades.pending:
                return True
            # This process reads the file itself then, and closing a file would end the locks of the reader on it.
            self._reader.close()
            try:
                with open_case_for_writing(self.folder) as case:
                    case.take_journal()
            except CaseError:
                settled = False
            else:
                settled = True
            if stay or not settled:
                self._reader.reopen()
            if stay:
                self._grades.read_on()
                self._seen = self._reader.version()
            return settled

    # -- queues and items ----------------------------------------------------------------------------------------------

    def queues(self, examiner: str = "") -> list[QueueFigures]:
        """Every queue with its figures; ``decided`` counts what the examiner has graded ("" : anybody)."""
        with self._lock:
            decided = self._decided_by(text(examiner)) if examiner else self._decided_by_any()
            order = self._columns.order
            return [
                QueueFigures(name, title, len(order[name]), int(np.count_nonzero(decided[order[name]])))
                for name, title in QUEUES.items()
            ]

    def count(self, which: ItemFilter) -> int:
        """How many items a filter takes."""
        with self._lock:
            return len(self._choice(which))

    def page(self, which: ItemFilter, after: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items behind a key (None: from the first), in the order of their keys."""
        with self._lock:
            chosen = self._choice(which)
            begin = 0 if after is None else self._place(which.queue, chosen, after, behind=True)
            return self._items(which.queue, chosen[begin : begin + max(limit, 0)])

    def before(self, which: ItemFilter, key: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items before a key (None: the last ones), in the order of their keys."""
        with self._lock:
            chosen = self._choice(which)
            end = len(chosen) if key is None else self._place(which.queue, chosen, key)
            return self._items(which.queue, chosen[max(0, end - max(limit, 0)) : end])

    def at(self, which: ItemFilter, position: int) -> Key | None:
        """The key of the item at a position, counted from 0; None where there is none."""
        with self._lock:
            chosen = self._choice(which)
            if not 0 <= position < len(chosen):
                return None
            return self._columns.key(which.queue, int(chosen[position]))

    def position(self, which: ItemFilter, key: Key) -> int:
        """How many items of the filter stand before a key, whether or not it is (still) one of them."""
        with self._lock:
            return self._place(which.queue, self._choice(which), key)

    def item(self, identity: int, queue: str = "") -> Item | None:
        """The item that a file (by the id of any occurrence) belongs to, with its key in a queue; None: no item."""
        with self._lock:
            number = self._columns.item_of(identity)
            if number is None:
                return None
            return self._items(queue, np.array([number], np.int32))[0]

    def _place(self, queue: str, chosen: Places, key: Key, *, behind: bool = False) -> int:
        """Where a key stands among chosen items, or behind it."""
        ranks = self._columns.ranks.get(queue)
        ids = self._columns.item_ids[chosen]
        low, high = 0, len(chosen)
        if ranks is not None:
            of_chosen = ranks[chosen]
            low, high = (int(np.searchsorted(of_chosen, key.rank, side)) for side in ("left", "right"))
        return low + int(np.searchsorted(ids[low:high], key.id, "right" if behind else "left"))

    # -- which items ---------------------------------------------------------------------------------------------------

    def _choice(self, which: ItemFilter) -> Places:
        """The items that a filter takes, in the order of their keys. Errors: UsageError for an unknown queue."""
        if which.queue not in QUEUES:
            raise UsageError(f"no queue is called {which.queue}; there are {', '.join(QUEUES)}")
        if which.decided is None:
            return self._choice_of_files(replace(which, examiner=""))
        chosen = self._choice_of_files(replace(which, decided=None, examiner=""))
        decided = self._decided_by(text(which.examiner)) if which.examiner else self._decided_by_any()
        found: Places = chosen[decided[chosen] == which.decided]
        return found

    def _choice_of_files(self, which: ItemFilter) -> Places:
        """The items that a filter takes but for what was decided; kept for the filters that were used lately."""
        known = self._chosen.get(which)
        if known is None:
            members = self._columns.order[which.queue]
            taken = self._taken(which)
            known = members if taken is None else members[taken[members]]
            self._chosen[which] = known
            if len(self._chosen) > MOST_CHOICES:
                self._chosen.popitem(last=False)
        self._chosen.move_to_end(which)
        return known

    def _taken(self, which: ItemFilter) -> Mask | None:
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
            found = self._in_categories(which.categories)
            taken = found if taken is None else taken & found
        if which.cluster is not None:
            found = self._in_cluster(which.cluster)
            taken = found if taken is None else taken & found
        return taken

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
        wanted = frozenset(tags)
        return self._columns.items_of(
            identity for identity, path in self._reader.paths() if location_of(path).tag in wanted
        )

    def _in_categories(self, categories: Iterable[str | tuple[str, str]]) -> Mask:
        columns = self._columns
        found = np.zeros(columns.items, np.bool_)
        for one in categories:
            code, scheme = (one, "") if isinstance(one, str) else one
            found |= columns.of_items(columns.items_of(self._reader.listed_in(code, scheme)))
            found[columns.items_with(list(self._reader.graded_in(code, scheme)))] = True
        return found

    def _in_cluster(self, _cluster: int) -> Mask:
        return np.zeros(self._columns.items, np.bool_)

    # -- details -------------------------------------------------------------------------------------------------------

    def _items(self, queue: str, numbers: Places) -> list[Item]:
        columns, reader = self._columns, self._reader
        ids = [int(identity) for identity in columns.item_ids[numbers]]
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
                    cluster=None,
                    cluster_size=1,
                    matches=tuple(_listed(*row) for row in matches.get(identity, ())),
                    problems=tuple(problems.get(identity, ())),
                    grades=grades,
                    remarks=() if sha256 is None else self._grades.remarks(sha256),
                    disputed=is_disputed(grades),
                )
            )
        return items

    # -- small pictures ------------------------------------------------------------------------------------------------

    def thumbnail(self, item: Item, size: int, *, grey: bool = False) -> bytes | Placeholder:
        """A JPEG of at most ``size`` by ``size`` pixels of an item, of a film of some stills; or why there is none."""
        return Placeholder("small pictures are not to be had")

    # -- decisions -----------------------------------------------------------------------------------------------------

    def decide(
        self,
        items: Iterable[int | Key],
        category: Category,
        examiner: str,
        note: str = "",
        *,
        cluster: int | None = None,
    ) -> int:
        """Grade contents; all files with them follow. Returns how many contents were graded.

        ``items`` are ids (of any occurrence) or keys; ``cluster`` adds all items of a cluster. On disk when this
        returns. Errors: UsageError where nothing of it has a digest, or the examiner has no name; CaseError when the
        disk is full.
        """
        with self._lock:
            contents = self._contents(items, cluster)
            if not contents:
                raise UsageError("a grade is of a content, and this has no digest: nothing was graded")
            facts = facts_of(contents, category, note)
            self._touched(self._grades.append(DECIDED, _named(examiner), **facts))
            return len(contents)

    def remark(self, items: Iterable[int | Key], note: str, examiner: str) -> int:
        """Keep a note on contents that is no grade; returns on how many. Errors: as :meth:`decide`."""
        with self._lock:
            contents = self._contents(items, None)
            if not contents:
                raise UsageError("a note is on a content, and this has no digest: nothing was noted")
            self._grades.append(REMARKED, _named(examiner), **facts_of(contents, None, note))
            return len(contents)

    def undo(self, examiner: str) -> list[int]:
        """Take back the last act of an examiner that stands; gives the ids of the items, none where there is none.

        Nothing is deleted: that it was taken back is an act of its own.
        """
        with self._lock:
            last = self._grades.last_act(_named(examiner))
            if last is None:
                return []
            touched = self._grades.append(WITHDRAWN, examiner, of=last)
            self._touched(touched)
            return [int(one) for one in self._columns.item_ids[self._columns.items_with(touched)]]

    @property
    def pending(self) -> int:
        """How many acts are in the journal and not yet in the database."""
        return self._grades.pending

    def _contents(self, items: Iterable[int | Key], cluster: int | None) -> list[bytes]:
        columns = self._columns
        numbers = [columns.item_of(one.id if isinstance(one, Key) else one) for one in items]
        if cluster is not None:
            numbers += np.flatnonzero(self._in_cluster(cluster)).tolist()
        found = (columns.content(number) for number in dict.fromkeys(numbers) if number is not None)
        return [content for content in found if content is not None]

    def _touched(self, contents: Iterable[bytes]) -> None:
        """Bring what is held of decisions up to date for contents whose grades may have changed."""
        disputed = False
        for content in dict.fromkeys(contents):
            grades = self._grades.of(content)
            found = self._columns.items_with([content])
            for mask in self._decided.values():
                mask[found] = False
            for grade in grades:
                self._decided_by(grade.examiner)[found] = True
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
        masks = list(self._decided.values())
        return np.logical_or.reduce(masks) if masks else np.zeros(self._columns.items, np.bool_)


def _listed(
    hashset: str, media_id: str, match_kind: str, algorithm: str, distance: int, threshold: int, tier: str, code: str,
    label: str, scheme: str, severity: int | None, orientation: str, look: str, quality: int | None,
) -> ListedMatch:  # fmt: skip
    category = Category(code, label, scheme, severity)
    kinds = MatchKind(match_kind), algorithm, distance, threshold, Tier(tier) if tier else None
    return ListedMatch(hashset, media_id, *kinds, category, orientation, look, quality)


def _microseconds(bound: datetime) -> int:
    when = microseconds(bound)
    assert when is not None
    return when


def _named(examiner: str) -> str:
    if not examiner.strip():
        raise UsageError("a grade needs the name of its examiner: give it with --examiner")
    return examiner
