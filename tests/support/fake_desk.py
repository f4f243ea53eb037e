"""A desk of any number of made-up items, for tests of the review page: what is on it is reckoned, not stored.

Item ``number`` has the id ``number + 1``. All are in the queue "new", the first ones in "known" and "near" besides. The
words of each are known to a test without asking (:func:`name_of`), and the thumbnails are drawn patterns.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from caid_triage.errors import UsageError
from caid_triage.model import Category, DecodeState, Kind, MatchKind, State, Tier
from caid_triage.review.items import (
    QUEUES,
    Grade,
    Item,
    ItemFilter,
    Key,
    ListedMatch,
    Placeholder,
    QueueFigures,
    Remark,
)

STATES = (State.ALLOCATED, State.DELETED, State.CARVED, State.EMBEDDED)
BEGUN = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
LISTED = Category("1", "Category A", "uk", 50)
GROUP = 5  # so many items look alike: 10..14, 15..19 and so on up to GROUPED
GROUPED = 1000
FILMS = 40  # every so manieth item is a film
HOSTILE_NAMES = (
    "<script>window.hacked=1</script>.jpg",
    "<img src=x onerror=window.hacked=1>.jpg",
    "annexe\u202egpj.exe",
    "a\nb\rc\x1b[2J.jpg",
    "\U0001f4f7 写真.jpg",
    "half\ud83d.jpg",
    "very-long-name-" * 300 + ".jpg",
    "{{ 7*7 }}'\"&amp;.jpg",
)


def name_of(number: int) -> str:
    """The name of an item's file."""
    return HOSTILE_NAMES[number] if number < len(HOSTILE_NAMES) else f"IMG_{number:07}.jpg"


def content_of(number: int) -> bytes:
    """The SHA-256 of an item's content."""
    return hashlib.sha256(b"%d" % number).digest()


class FakeDesk:
    """What caid_triage.review.server asks of a desk."""

    def __init__(self, items: int = 1_000_000, known: int = 60, near: int = 20) -> None:
        numbers = np.arange(items, dtype=np.int32)
        self._state = (numbers % len(STATES)).astype(np.uint8)
        self._size = 1000 + (numbers.astype(np.int64) * 7919) % 5_000_000
        self._film = numbers % FILMS == FILMS - 1
        known, near = min(known, items), min(near, items)
        self.order = {
            "known": numbers[:known],
            "near": numbers[known : known + near],
            "new": numbers,
            "damaged": numbers[:0],
            "problems": numbers[items - 1 :],
            "disputed": numbers[:0],
        }
        self._grades: dict[int, list[Grade]] = {}
        self._acts: list[tuple[str, list[int], dict[int, list[Grade]]]] = []
        self._lock = threading.RLock()
        self._remarks: dict[int, list[Remark]] = {}
        self.grouped = True
        self.scanning = False
        self.may_group = threading.Event()
        self.drawn = self.forgotten = 0
        self.refreshed = 0
        self.closed = False
        self.fault: Exception | None = None

    # -- queues and items

    def queues(self, examiner: str = "") -> list[QueueFigures]:
        with self._lock:
            decided = self._decided(examiner)
            return [
                QueueFigures(name, title, len(self._members(name)), int(np.isin(self._members(name), decided).sum()))
                for name, title in QUEUES.items()
            ]

    def count(self, which: ItemFilter) -> int:
        return len(self._chosen(which))

    def page(self, which: ItemFilter, after: Key | None, limit: int) -> list[Item]:
        chosen = self._chosen(which)
        begin = 0 if after is None else int(np.searchsorted(chosen, after.id - 1, "right"))
        return [self._item(int(number)) for number in chosen[begin : begin + limit]]

    def before(self, which: ItemFilter, key: Key | None, limit: int) -> list[Item]:
        chosen = self._chosen(which)
        end = len(chosen) if key is None else int(np.searchsorted(chosen, key.id - 1, "left"))
        return [self._item(int(number)) for number in chosen[max(0, end - limit) : end]]

    def at(self, which: ItemFilter, position: int) -> Key | None:
        chosen = self._chosen(which)
        return Key(0, int(chosen[position]) + 1) if position < len(chosen) else None

    def item(self, identity: int, queue: str = "") -> Item | None:
        return self._item(identity - 1) if 1 <= identity <= len(self._state) else None

    # -- decisions

    def decide(
        self,
        items: Sequence[int | Key],
        category: Category,
        examiner: str,
        note: str = "",
        *,
        cluster: int | None = None,
    ) -> int:
        with self._lock:
            if self.fault is not None:
                raise self.fault
            numbers = [(one.id if isinstance(one, Key) else one) - 1 for one in items]
            if cluster is not None:
                numbers += range(cluster - 1, cluster - 1 + GROUP)
            if not numbers or not all(0 <= number < len(self._state) for number in numbers):
                raise UsageError("nothing to grade")
            before = {number: list(self._grades.get(number, ())) for number in numbers}
            made = BEGUN + timedelta(seconds=len(self._acts))
            for number in numbers:
                others = [grade for grade in self._grades.get(number, ()) if grade.examiner != examiner]
                self._grades[number] = [*others, Grade(examiner, made, category, note)]
            self._acts.append((examiner, numbers, before))
            return len(numbers)

    def undo(self, examiner: str) -> list[int]:
        with self._lock:
            for place in reversed(range(len(self._acts))):
                who, numbers, before = self._acts[place]
                if who == examiner:
                    del self._acts[place]
                    self._grades.update(before)
                    return [number + 1 for number in numbers]
            return []

    def forget(self) -> None:
        """Be as nobody has graded anything, or drawn."""
        with self._lock:
            self._grades.clear()
            self._acts.clear()
            self._remarks.clear()
            self.drawn, self.forgotten, self.fault = 0, 0, None

    def grades_of(self, number: int) -> list[Grade]:
        """What a test looks at: every standing grade of an item."""
        return list(self._grades.get(number, ()))

    def remark(self, items: Sequence[int | Key], note: str, examiner: str) -> int:
        for one in items:
            number = (one.id if isinstance(one, Key) else one) - 1
            self._remarks.setdefault(number, []).append(Remark(examiner, BEGUN, note))
        return len(items)

    # -- the rest

    def forget_pictures(self) -> None:
        self.forgotten += 1

    @property
    def has_clusters(self) -> bool:
        return self.grouped

    def make_clusters(self, show: Callable[[int, int], None] | None = None) -> int:
        if show is not None:
            show(1, 4)
        assert self.may_group.wait(60)
        if self.fault is not None:
            raise self.fault
        self.grouped = True
        return (GROUPED - 2 * GROUP) // GROUP

    def refresh(self) -> bool:
        self.refreshed += 1
        return False

    def thumbnail(self, item: Item, size: int) -> bytes | Placeholder:
        with self._lock:
            self.drawn += 1
        if item.id % 9 == 0:
            return Placeholder("the source is not here any more")
        picture = Image.new("RGB", (size, size * 3 // 4), (40 + item.id * 37 % 200, 90, 160))
        ImageDraw.Draw(picture).ellipse((size // 4, size // 8, size // 2, size // 2), (250, 210, 90))
        out = io.BytesIO()
        picture.save(out, "JPEG")
        return out.getvalue()

    def close(self) -> None:
        self.closed = True

    def _members(self, queue: str) -> NDArray[np.int32]:
        if queue != "disputed":
            return self.order[queue]
        found = [n for n, grades in self._grades.items() if len({grade.category.code for grade in grades}) > 1]
        return np.array(sorted(found), np.int32)

    def _decided(self, examiner: str) -> list[int]:
        return [n for n, grades in self._grades.items() if any(examiner in ("", g.examiner) for g in grades)]

    def _chosen(self, which: ItemFilter) -> NDArray[np.int32]:
        with self._lock:
            chosen = self._members(which.queue)
            if which.states:
                chosen = chosen[np.isin(self._state[chosen], [STATES.index(s) for s in which.states if s in STATES])]
            if which.kinds:
                chosen = chosen[np.isin(np.where(self._film[chosen], "video", "image"), which.kinds)]
            if which.exhibits and "ABC/1" not in which.exhibits:
                chosen = chosen[:0]
            if which.size_min is not None:
                chosen = chosen[self._size[chosen] >= which.size_min]
            if which.size_max is not None:
                chosen = chosen[self._size[chosen] <= which.size_max]
            if which.text:
                wanted = which.text.lower()
                chosen = np.array([n for n in chosen if wanted in self._path(int(n)).lower()], np.int32)
            if which.cluster is not None:
                group = (chosen >= which.cluster - 1) & (chosen < which.cluster - 1 + GROUP) & (chosen < GROUPED)
                chosen = chosen[group] if which.queue == "new" else chosen[:0]
            if which.decided is not None:
                chosen = chosen[np.isin(chosen, self._decided(which.examiner)) == which.decided]
            return chosen

    def _path(self, number: int) -> str:
        return f"/Users/sam/Pictures/{number // 1000:04}/{name_of(number)}"

    def _item(self, number: int) -> Item:
        known, near = self.order["known"], self.order["near"]
        matches: tuple[ListedMatch, ...] = ()
        listed = ListedMatch("unit-set", "17", MatchKind.EXACT, "sha256", 0, 0, None, LISTED, "", "", None)
        if number < len(known):
            matches = (listed,)
        elif number < len(known) + len(near):
            look_alike = replace(listed, match_kind=MatchKind.NEAR, algorithm="pdq", distance=12, threshold=31)
            matches = (replace(look_alike, tier=Tier.STRONG),)
        grouped = self.grouped and 2 * GROUP <= number < GROUPED
        last = number == len(self._state) - 1
        return Item(
            id=number + 1,
            key=Key(0, number + 1),
            sha256=content_of(number),
            occurrences=1 + number % 3,
            exhibit="ABC/1",
            source="disk.E01",
            volume="p1",
            path=self._path(number),
            state=STATES[self._state[number]],
            kind=Kind.VIDEO if self._film[number] else Kind.IMAGE,
            media_type="video/mp4" if self._film[number] else "image/jpeg",
            decode_state=DecodeState.DECODED,
            size=int(self._size[number]),
            width=640,
            height=480,
            duration_s=12.0 if self._film[number] else None,
            created=None,
            modified=FIRST_DAY + timedelta(minutes=number),
            location="user-pictures",
            device="Camera 3" if number % 7 == 0 else "",
            cluster=number // GROUP * GROUP + 1 if grouped else None,
            cluster_size=GROUP if grouped else 1,
            matches=matches,
            problems=(("decode-failed", "the picture is damaged"),) if last else (),
            grades=tuple(self._grades.get(number, ())),
            remarks=tuple(self._remarks.get(number, ())),
            disputed=len({grade.category.code for grade in self._grades.get(number, ())}) > 1,
        )
