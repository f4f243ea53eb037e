"""The desk of an examiner: queues of what needs an eye, item by item, and what he decides about them.

A million items fit: the desk holds columns of numbers (review/columns.py) and reads the rest of the few items that are
shown. A scan may be writing to the case meanwhile: :meth:`ReviewDesk.refresh` takes in what it has added, and decisions
go to a journal beside the case (case/journal.py), which shows them at once and loses none.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Self

import numpy as np
from numpy.typing import NDArray

from caid_triage.case.encode import microseconds, moment, split_entry_id, text, whole_back
from caid_triage.case.journal import DECIDED, REMARKED, WITHDRAWN, facts_of
from caid_triage.case.review import KINDS, NO_TIME, STATES, ReviewReader
from caid_triage.case.rows import SourceRow
from caid_triage.case.store import open_case_for_writing
from caid_triage.errors import CaseError, UsageError
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import Category, DecodeState, Kind, MatchKind, ScanRecord, State, Tier
from caid_triage.report.locations import location_of
from caid_triage.review.clusters import LEAST_QUALITY, load_clusters, save_clusters
from caid_triage.review.columns import Columns, Mask, Numbers, Places, read_columns
from caid_triage.review.grades import Grades, is_disputed
from caid_triage.review.items import QUEUES, Item, ItemFilter, Key, ListedMatch, Placeholder, QueueFigures
from caid_triage.review.pictures import SmallPictures
from caid_triage.scan.worker_process import neutral_folder, worker_environment

CLUSTER_MODULE = "caid_triage.review.cluster_process"
MOST_TRIED = 4  # files with one content that a small picture is tried of
NOBODY = ""  # no examiner has this name (_named): whether anybody has graded
STRIDE = 4096
LONG_SECONDS = 0.5  # so long may reading the columns take and be done as often as anybody likes
MOST_CHOICES = 16  # kept of filters that were asked for lately, 4 bytes an item each


class ReviewDesk:
    """A case on an examiner's desk. Safe for several threads, one at a time; close it at the end."""

    def __init__(self, case_folder: Path | str, secrets: Secrets = NO_SECRETS) -> None:
        """``secrets`` unlock the volumes that were unlocked in the scan, for small pictures of what is in them.

        Errors: CaseError when there is no case, it is of a newer schema, or its journal was changed outside.
        """
        self.folder = Path(case_folder)
        self._lock = threading.RLock()
        self._reading = threading.Lock()  # taken before the other, by what opens or closes the case
        self._clustering: Popen[str] | None = None
        self._clusters: tuple[Numbers, Numbers] | None = None
        self._reader = ReviewReader(self.folder)
        with ExitStack() as undo:
            undo.callback(self._reader.close)
            self._grades = Grades(self.folder, self._reader)
            self._seen = self._reader.version()
            self._take(self._columns_of(self._reader))
            self._pictures = SmallPictures(self._sources, self._reader.profile(), secrets)
            undo.pop_all()

    def _take(self, columns: Columns) -> None:
        """Work with these columns from now on. Ids and keys of before stay good, positions may be others."""
        self._columns = columns
        self._chosen: OrderedDict[ItemFilter, Places] = OrderedDict()
        self._decided: dict[str, Mask] = {}
        self._located: NDArray[np.uint8] | None = None  # of each file the number of its place
        self._tags: dict[str, int] = {}
        kept = load_clusters(self.folder, self._reader.pdq_stamp(LEAST_QUALITY))
        kept = kept or self._clusters  # those of before: what came since stands by itself
        if kept is not None:
            self._set_clusters(*kept)
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
        self._disputed = np.zeros(columns.items, np.bool_)
        self._disputed[columns.items_with([content for (content,) in self._reader.disputed()])] = True
        self._touched(self._grades.contents())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take what was decided into the case if no scan is writing to it, and let go of it."""
        self._pictures.close()
        if self._clustering is not None:
            self._clustering.kill()
        try:
            self.settle(stay=False)
        finally:
            with self._lock:
                self._reader.close()

    def refresh(self) -> bool:
        """Take in what others have added to the case and to its journal; whether there was anything.

        Reading a case anew takes some seconds for a million files. Others may use the desk meanwhile, and of a large
        case that a scan adds to it is done for a tenth of the time at most.
        """
        with self._reading:
            with self._lock:
                touched = self._grades.read_on()
                self._touched(touched)
                seen = self._reader.version()
                if seen == self._seen or self._is_read_too_often():
                    return bool(touched)
            with closing(ReviewReader(self.folder)) as reader:
                columns = self._columns_of(reader)
            with self._lock:
                self._seen = seen
                self._take(columns)
            return True

    def _is_read_too_often(self) -> bool:
        took = self._took if self._took > LONG_SECONDS else 0.0
        return time.monotonic() - self._read_at < 10 * took

    def _columns_of(self, reader: ReviewReader) -> Columns:
        """The columns of the case as it is now."""
        begin = time.monotonic()
        columns = read_columns(reader)
        self._read_at = time.monotonic()
        self._took = self._read_at - begin
        return columns

    def settle(self, *, stay: bool = True) -> bool:
        """Take the acts of the journal into the case's database; False while another process is writing to it.

        They are safe before that, and the next command that writes to the case would do it too. Coming to rest reads
        the database once, which takes a second a gigabyte or so: not to be called after each decision.
        """
        with self._reading, self._lock:
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
            decided = self._decided_for(ItemFilter("new", examiner=examiner))
            order = self._columns.order
            return [
                QueueFigures(name, title, len(order[name]), int(np.count_nonzero(decided[order[name]])))
                for name, title in QUEUES.items()
            ]

    def count(self, which: ItemFilter) -> int:
        """How many items a filter takes."""
        with self._lock:
            if which.decided is None:
                return len(self._choice_of_files(which))
            decided = self._decided_for(which)[self._choice_of_files(which)]
            return int(np.count_nonzero(decided == which.decided))

    def page(self, which: ItemFilter, after: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items behind a key (None: from the first), in the order of their keys."""
        with self._lock:
            chosen = self._choice_of_files(which)
            begin = 0 if after is None else self._place(which.queue, chosen, after, behind=True)
            return self._items(which.queue, self._run(which, chosen[begin:], max(limit, 0)))

    def before(self, which: ItemFilter, key: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items before a key (None: the last ones), in the order of their keys."""
        with self._lock:
            chosen = self._choice_of_files(which)
            end = len(chosen) if key is None else self._place(which.queue, chosen, key)
            return self._items(which.queue, self._run(which, chosen[:end][::-1], max(limit, 0))[::-1])

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
        which = replace(which, decided=None, examiner="")
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

    def _in_categories(self, categories: Iterable[str | tuple[str, str]]) -> Mask:
        columns = self._columns
        found = np.zeros(columns.items, np.bool_)
        for one in categories:
            code, scheme = (one, "") if isinstance(one, str) else one
            found |= columns.of_items(columns.items_of(self._reader.listed_in(code, scheme)))
            found[columns.items_with(list(self._reader.graded_in(code, scheme)))] = True
        return found

    def _in_cluster(self, cluster: int) -> Mask:
        """The items of a group, by the id of any item of it (of the first: as Item.cluster has it)."""
        columns = self._columns
        found = np.zeros(columns.items, np.bool_)
        number = columns.item_of(cluster)
        if number is not None:
            found[number] = True
            if columns.cluster is not None:
                found |= columns.cluster == columns.cluster[number]
        return found

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

    # -- small pictures ------------------------------------------------------------------------------------------------

    def thumbnail(self, item: Item, size: int, *, grey: bool = False) -> bytes | Placeholder:
        """A PNG of at most ``size`` by ``size`` pixels of an item, of a film of some stills; or why there is none.

        The content is read again from the evidence, decoded by a confined worker and nowhere kept but in memory. It is
        compared with the digest that the case has, but for films of more than 64 MiB, which are not read whole.
        """
        if item.sha256 is None:
            return Placeholder("nothing of its content could be read")
        content = item.sha256
        return self._pictures.picture(content, size, lambda: self._occurrences(content), grey=grey)

    def forget_pictures(self) -> None:
        """Keep no small picture in memory any more, and look for the evidence again when it is next asked for."""
        self._pictures.forget()

    def _sources(self) -> list[SourceRow]:
        with self._lock:
            return self._reader.sources()

    def _occurrences(self, content: bytes) -> list[tuple[int, ScanRecord]]:
        """The files of the walk that have a content, or in which it lies, a few of them."""
        with self._lock:
            ids = self._columns.files_of_content(content)
            # What lies in no other file is read faster.
            ids = sorted(ids, key=lambda identity: (split_entry_id(identity)[2] > 0, identity))[:MOST_TRIED]
            records = ((split_entry_id(identity)[0], self._reader.outermost(identity)) for identity in ids)
            return [(source, record) for source, record in records if record is not None]

    # -- groups of look-alikes ----------------------------------------------------------------------------------------

    @property
    def has_clusters(self) -> bool:
        """Whether the groups are made (or were, before the desk was opened)."""
        return self._columns.cluster is not None

    def make_clusters(self, show: Callable[[int, int], None] | None = None) -> int:
        """Find the groups of pictures that look alike; returns how many have more than one item.

        A process of its own does it (of a million pictures it takes minutes: docs/decisions/0039); others may use the
        desk meanwhile, and the groups are kept beside the case. ``show`` is told how many of how many hashes were
        looked up. Errors: CaseError where they could not be made.
        """
        with TemporaryDirectory(prefix="caid-triage-") as folder:
            command = [sys.executable, "-P", "-m", CLUSTER_MODULE, str(self.folder.resolve()), folder]
            with Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdout=PIPE,
                stderr=DEVNULL,
                text=True,
                cwd=neutral_folder(),
                env=worker_environment(os.environ),
            ) as process:
                self._clustering = process
                try:
                    assert process.stdout is not None
                    for line in process.stdout:
                        done, total = map(int, line.split())
                        if show is not None:
                            show(done, total)
                finally:
                    process.kill()
            with self._lock:
                kept = load_clusters(Path(folder), self._reader.pdq_stamp(LEAST_QUALITY))
                if kept is None:
                    raise CaseError(
                        "the groups of look-alikes could not be made: the case changed meanwhile; try again"
                    )
                self._set_clusters(*kept)
            with suppress(OSError):  # the case may be on read-only media
                save_clusters(self.folder, self._reader.pdq_stamp(LEAST_QUALITY), *kept)
            sizes = self._columns.cluster_size
            return 0 if sizes is None else int(np.count_nonzero(self._is_first() & (sizes > 1)))

    def _is_first(self) -> Mask:
        """Which items are the first of their group."""
        columns = self._columns
        if columns.cluster is None:
            return np.zeros(columns.items, np.bool_)
        found: Mask = columns.cluster == np.arange(columns.items)
        return found

    def _set_clusters(self, ids: Numbers, clusters: Numbers) -> None:
        self._clusters = ids, clusters
        self._columns.set_clusters(ids, clusters)
        self._chosen.clear()

    def _cluster_of(self, number: int) -> int | None:
        columns = self._columns
        if columns.cluster is None or columns.cluster_size is None or columns.cluster_size[number] < 2:
            return None
        return int(columns.ids[columns.first[columns.cluster[number]]])

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
            return [int(one) for one in self._columns.item_ids(np.unique(self._columns.items_with(touched)))]

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


def _microseconds(bound: datetime) -> int:
    when = microseconds(bound)
    assert when is not None
    return when


def _named(examiner: str) -> str:
    if not examiner.strip():
        raise UsageError("a grade needs the name of its examiner: give it with --examiner")
    return examiner
