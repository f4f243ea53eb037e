"""What a sitting is about: the case, the examiner, the scheme; and what the page needs of a desk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from caid_triage.errors import CaidTriageError
from caid_triage.hashset.schemes import CategoryScheme
from caid_triage.model import Category
from caid_triage.review.items import Item, ItemFilter, Key, Placeholder, QueueFigures
from caid_triage.visible import shown


class Desk(Protocol):
    """What the page needs of :class:`caid_triage.review.desk.ReviewDesk`."""

    def queues(self, examiner: str = "") -> list[QueueFigures]:
        """Every queue with its figures."""

    def count(self, which: ItemFilter) -> int:
        """How many items a filter takes."""

    def page(self, which: ItemFilter, after: Key | None, limit: int) -> list[Item]:
        """Items behind a key."""

    def before(self, which: ItemFilter, key: Key | None, limit: int) -> list[Item]:
        """Items before a key."""

    def at(self, which: ItemFilter, position: int) -> Key | None:
        """The key at a position."""

    def item(self, identity: int, queue: str = "") -> Item | None:
        """One item."""

    def decide(
        self,
        items: Sequence[int | Key],
        category: Category,
        examiner: str,
        note: str = "",
        *,
        cluster: int | None = None,
    ) -> int:
        """Grade contents."""

    def remark(self, items: Sequence[int | Key], note: str, examiner: str) -> int:
        """Keep a note that is no grade."""

    def undo(self, examiner: str) -> list[int]:
        """Take back the last act of an examiner."""

    def refresh(self) -> bool:
        """Take in what others have added."""

    def thumbnail(self, item: Item, size: int) -> bytes | Placeholder:
        """A small picture, re-encoded, or why there is none."""

    def forget_pictures(self) -> None:
        """Keep no small picture in memory."""

    @property
    def has_clusters(self) -> bool:
        """Whether groups of look-alikes are made."""

    def make_clusters(self, show: Callable[[int, int], None] | None = None) -> int:
        """Make them, which may take minutes; how many there are."""

    def close(self) -> None:
        """Let go of the case."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a session is about: told to the page once. ``scanning`` says whether a scan is writing to the case."""

    case: str
    exhibits: tuple[str, ...]
    examiner: str
    scheme: CategoryScheme
    categories: tuple[Category, ...]
    unconfirmed: frozenset[str]
    break_minutes: int
    scanning: Callable[[], bool] = field(default=lambda: False)


@dataclass(slots=True)
class Tally:
    """What a session comes to, for the record: numbers alone. ``shown`` and ``revealed`` are ids, told to nobody.

    ``shown`` are items whose picture was sent to the page (blurred), ``revealed`` those that the page says were seen
    without the blur. ``graded``, ``taken_back`` and ``noted`` count contents, as often as it was done.
    """

    shown: set[int] = field(default_factory=set)
    revealed: set[int] = field(default_factory=set)
    graded: int = 0
    taken_back: int = 0
    noted: int = 0
    _began: float = field(default_factory=time.monotonic)

    def figures(self) -> dict[str, int]:
        """The numbers so far, and the minutes since the session began, breaks among them."""
        return {
            "shown": len(self.shown),
            "revealed": len(self.revealed),
            "graded": self.graded,
            "taken_back": self.taken_back,
            "noted": self.noted,
            "minutes": round((time.monotonic() - self._began) / 60),
        }


class Groups:
    """The groups of look-alikes in the making: asked for once, made beside all else, told of meanwhile."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._making: threading.Thread | None = None
        self._done = self._total = 0
        self._failed = ""

    def make(self) -> None:
        """Begin, unless it is going on."""
        if self._making is None or not self._making.is_alive():
            self._failed, self._done, self._total = "", 0, 0
            self._making = threading.Thread(target=self._make, name="groups", daemon=True)
            self._making.start()

    def words(self) -> dict[str, object]:
        """How far it is: "none", "making", "failed" or "made"."""
        state = "made" if self._desk.has_clusters else "none"
        if self._making is not None and self._making.is_alive():
            state = "making"
        elif self._failed:
            state = "failed"
        return {"state": state, "done": self._done, "total": self._total, "error": self._failed}

    def _make(self) -> None:
        try:
            self._desk.make_clusters(self._show)
        except CaidTriageError as error:
            self._failed = shown(" ".join(str(error).split()))

    def _show(self, done: int, total: int) -> None:
        self._done, self._total = done, total
