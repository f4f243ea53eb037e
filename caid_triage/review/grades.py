"""Which grades stand, as the database and the journal behind it have them, and which examiners agree.

The database is asked for the grades of single contents; what it does not have yet is held here, which is little: the
acts since a scan began, or since the review was opened.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from caid_triage.case.encode import moment, text
from caid_triage.case.journal import DECIDED, REMARKED, WITHDRAWN, Act, Journal, Place
from caid_triage.case.review import ReviewReader
from caid_triage.model import Category
from caid_triage.review.items import Grade, Remark


class Grades:
    """The grades of a case: those in its database, and the acts of the journal behind them."""

    def __init__(self, folder: Path, reader: ReviewReader) -> None:
        self._reader = reader
        self._journal = Journal(folder, reader.journal_place())
        self._acts: dict[int, Act] = {}
        self._of_content: dict[bytes, list[int]] = defaultdict(list)
        self._remarked: dict[bytes, list[int]] = defaultdict(list)
        self._withdrawn: dict[int, int] = {}  # act that was taken back -> the act that did
        self.read_on()

    @property
    def pending(self) -> int:
        """How many acts the database does not have yet."""
        return len(self._acts)

    def contents(self) -> list[bytes]:
        """The contents that acts are about which the database does not have yet."""
        taken_back = (content for number in self._withdrawn for content in self._contents_of(number))
        return [*self._of_content, *taken_back]

    def read_on(self) -> list[bytes]:
        """Take note of acts that others have added, and forget those that the database has; gives the contents."""
        self._forget(self._reader.journal_place())
        return self._take(self._journal.read_on())

    def append(self, action: str, examiner: str, **facts: object) -> list[bytes]:
        """Add an act, on disk when this returns; gives the contents whose grades may be others now."""
        return self._take(self._journal.append(action, examiner, **facts))

    @property
    def last_number(self) -> int:
        """The number of the last act that was read or added."""
        return self._journal.place.head.sequence

    def _take(self, acts: Sequence[Act]) -> list[bytes]:
        touched: list[bytes] = []
        for act in acts:
            self._acts[act.number] = act
            if act.action == WITHDRAWN and act.of is not None:
                if self._examiner_of(act.of) == act.examiner:
                    self._withdrawn.setdefault(act.of, act.number)
                touched += self._contents_of(act.of)
            known = self._of_content if act.action == DECIDED else self._remarked
            for content in act.contents:
                known[content].append(act.number)
            touched += act.contents
        return touched

    def _forget(self, place: Place) -> None:
        for number in [number for number in self._acts if number <= place.head.sequence]:
            act = self._acts.pop(number)
            known = self._of_content if act.action == DECIDED else self._remarked
            for content in act.contents:
                known[content].remove(number)
                if not known[content]:
                    del known[content]
        self._withdrawn = {of: by for of, by in self._withdrawn.items() if by > place.head.sequence}
        if place.offset > self._journal.place.offset:
            self._journal.place = place

    def _contents_of(self, number: int) -> Sequence[bytes]:
        act = self._acts.get(number)
        return self._reader.contents_of_act(number) if act is None else act.contents

    def _examiner_of(self, number: int) -> str | None:
        act = self._acts.get(number)
        return self._reader.examiner_of_act(number) if act is None else act.examiner

    def last_act(self, examiner: str) -> int | None:
        """The last act of an examiner that graded something and that he has not taken back."""
        mine = (
            number
            for number, act in self._acts.items()
            if act.action == DECIDED and act.examiner == examiner and number not in self._withdrawn
        )
        last = max(mine, default=None)
        return self._reader.last_act(text(examiner), list(self._withdrawn)) if last is None else last

    def of(self, content: bytes) -> tuple[Grade, ...]:
        """Of each examiner the last grade of a content that stands, the last given last."""
        last: dict[str, Grade] = {}
        for number, examiner, decided, code, label, scheme, severity, note in self._reader.grades(content):
            if number not in self._withdrawn:
                when = moment(decided)
                assert when is not None
                last.pop(examiner, None)
                last[examiner] = Grade(examiner, when, Category(code, label, scheme, severity), note)
        for number in self._of_content.get(content, ()):
            act = self._acts[number]
            if number not in self._withdrawn and act.category is not None:
                examiner = text(act.examiner)
                last.pop(examiner, None)
                last[examiner] = Grade(examiner, act.made, act.category, text(act.note))
        return tuple(last.values())

    def graded_in(self, code: str, scheme: str, examiner: str) -> set[bytes]:
        """Contents that an examiner ("": anybody) puts under a category ("": of any scheme), as it stands now."""
        found = set(self._reader.graded_in(code, scheme, examiner))
        for content in self.contents():
            is_one = any(
                grade.category.code == code
                and (not scheme or grade.category.scheme == scheme)
                and (not examiner or grade.examiner == examiner)
                for grade in self.of(content)
            )
            (found.add if is_one else found.discard)(content)
        return found

    def remarks(self, content: bytes) -> tuple[Remark, ...]:
        """The remarks on a content, oldest first."""
        found = []
        for examiner, made, note in self._reader.remarks(content):
            when = moment(made)
            assert when is not None
            found.append(Remark(examiner, when, note))
        acts = (self._acts[number] for number in self._remarked.get(content, ()))
        found += [Remark(text(act.examiner), act.made, text(act.note)) for act in acts if act.action == REMARKED]
        return tuple(found)


def is_disputed(grades: Sequence[Grade]) -> bool:
    """Whether two examiners put a content under different categories."""
    return len({(grade.category.code, grade.category.scheme) for grade in grades}) > 1
