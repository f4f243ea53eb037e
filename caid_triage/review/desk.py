"""The desk of an examiner: queues of what needs an eye, item by item, and what he decides about them.

A million items fit: what lies on the desk (review/listing.py) is columns of numbers (review/columns.py), and of the few
items that are shown the rest is read. A scan may be writing to the case meanwhile: :meth:`ReviewDesk.refresh` takes in
what it has added, and decisions go to a journal beside the case (case/journal.py), which shows them at once and loses
none.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Self

from caid_triage.case.audit import REVIEW_BEGAN, REVIEW_ENDED
from caid_triage.case.encode import split_entry_id
from caid_triage.case.journal import DECIDED, REMARKED, WITHDRAWN, facts_of
from caid_triage.case.review import ReviewReader
from caid_triage.case.rows import SourceRow
from caid_triage.case.store import open_case_for_writing
from caid_triage.errors import CaseError, UsageError
from caid_triage.evidence.secrets import NO_SECRETS, Secrets
from caid_triage.model import Category, ScanRecord
from caid_triage.review.clusters import LEAST_QUALITY, load_clusters, save_clusters
from caid_triage.review.columns import Columns, Numbers, read_columns
from caid_triage.review.grades import Grades
from caid_triage.review.items import Item, ItemFilter, Key, Placeholder, QueueFigures
from caid_triage.review.listing import Listing
from caid_triage.review.pictures import SmallPictures
from caid_triage.scan.worker_process import neutral_folder, worker_environment

CLUSTER_MODULE = "caid_triage.review.cluster_process"
MOST_TRIED = 4  # files with one content that a small picture is tried of
LONG_SECONDS = 0.5  # so long may reading the columns take and be done as often as anybody likes


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
        kept = load_clusters(self.folder, self._reader.pdq_stamp(LEAST_QUALITY))
        kept = kept or self._clusters  # those of before: what came since stands by itself
        listing = Listing(columns, self._reader, self._grades)
        if kept is not None:
            self._clusters = kept
            listing.set_clusters(*kept)
        self._listing = listing

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
                self._listing.bring_up_to_date(touched)
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
            self._listing.bring_up_to_date(self._grades.read_on())
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

    # -- queues and items (review/listing.py) --------------------------------------------------------------------------

    def queues(self, examiner: str = "") -> list[QueueFigures]:
        """Every queue with its figures; ``decided`` counts what the examiner has graded ("" : anybody)."""
        with self._lock:
            return self._listing.queues(examiner)

    def count(self, which: ItemFilter) -> int:
        """How many items a filter takes."""
        with self._lock:
            return self._listing.count(which)

    def page(self, which: ItemFilter, after: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items behind a key (None: from the first), in the order of their keys."""
        with self._lock:
            return self._listing.page(which, after, limit)

    def before(self, which: ItemFilter, key: Key | None, limit: int) -> list[Item]:
        """At most ``limit`` items before a key (None: the last ones), in the order of their keys."""
        with self._lock:
            return self._listing.before(which, key, limit)

    def at(self, which: ItemFilter, position: int) -> Key | None:
        """The key of the item at a position, counted from 0; None where there is none."""
        with self._lock:
            return self._listing.at(which, position)

    def position(self, which: ItemFilter, key: Key) -> int:
        """How many items of the filter stand before a key, whether or not it is (still) one of them."""
        with self._lock:
            return self._listing.position(which, key)

    def item(self, identity: int, queue: str = "") -> Item | None:
        """The item that a file (by the id of any occurrence) belongs to, with its key in a queue; None: no item."""
        with self._lock:
            return self._listing.item(identity, queue)

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
            ids = self._listing.files_of_content(content)
            # What lies in no other file is read faster.
            ids = sorted(ids, key=lambda identity: (split_entry_id(identity)[2] > 0, identity))[:MOST_TRIED]
            records = ((split_entry_id(identity)[0], self._reader.outermost(identity)) for identity in ids)
            return [(source, record) for source, record in records if record is not None]

    # -- groups of look-alikes -----------------------------------------------------------------------------------------

    @property
    def has_clusters(self) -> bool:
        """Whether the groups are made (or were, before the desk was opened)."""
        return self._listing.has_clusters

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
                self._clusters = kept
                self._listing.set_clusters(*kept)
            with suppress(OSError):  # the case may be on read-only media
                save_clusters(self.folder, self._reader.pdq_stamp(LEAST_QUALITY), *kept)
            return self._listing.groups()

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

        ``items`` are ids (of any occurrence) or keys; ``cluster`` adds the items of a cluster that stand in one of
        the queues that are apart. On disk when this returns. Errors: UsageError where nothing of it has a digest, or
        the examiner has no name; CaseError when the disk is full.
        """
        with self._lock:
            contents = self._listing.contents(items, cluster)
            if not contents:
                raise UsageError("a grade is of a content, and this has no digest: nothing was graded")
            facts = facts_of(contents, category, note)
            self._listing.bring_up_to_date(self._grades.append(DECIDED, _named(examiner), **facts))
            return len(contents)

    def remark(self, items: Iterable[int | Key], note: str, examiner: str) -> int:
        """Keep a note on contents that is no grade; returns on how many. Errors: as :meth:`decide`."""
        with self._lock:
            contents = self._listing.contents(items, None)
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
            self._listing.bring_up_to_date(touched)
            return self._listing.ids_with(touched)

    def begin_session(self, examiner: str) -> int:
        """Put on record that somebody begins to look; gives the number of that act.

        Errors: CaseError where it cannot be put on record, and then nobody should look.
        """
        with self._lock:
            self._grades.append(REVIEW_BEGAN, _named(examiner))
            return self._grades.last_number

    def end_session(self, examiner: str, began: int, figures: Mapping[str, int]) -> None:
        """Put on record that the session which ``began`` with that act has ended, and what it came to, in numbers."""
        with self._lock:
            self._grades.append(REVIEW_ENDED, _named(examiner), of=began, **figures)

    @property
    def pending(self) -> int:
        """How many acts are in the journal and not yet in the database."""
        return self._grades.pending


def _named(examiner: str) -> str:
    if not examiner.strip():
        raise UsageError("a grade needs the name of its examiner: give it with --examiner")
    return examiner
