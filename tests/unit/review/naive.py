"""The naive desk: the queues and filters of a review by going through every record, as docs/guide says them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from caid_triage.case.encode import entry_id
from caid_triage.locations import location_of
from caid_triage.model import DecodeState, Kind, Match, MatchKind, ScanRecord, Severity, Tier, tier_of
from caid_triage.review.items import ItemFilter

DAMAGED = (DecodeState.PARTIAL, DecodeState.UNDECODABLE, DecodeState.REFUSED)
Stored = tuple[ScanRecord, tuple[Match, ...]]


@dataclass(frozen=True, slots=True)
class NaiveItem:
    """A content (or a file without one) and its files."""

    id: int
    files: tuple[Stored, ...]

    @property
    def matches(self) -> list[Match]:
        return [one for _, met in self.files for one in met if one.role == "notable" and not one.contradicted]

    @property
    def is_media(self) -> bool:
        return any(record.examination.kind is not Kind.OTHER for record, _ in self.files)

    @property
    def is_known(self) -> bool:
        return any(one.match_kind is MatchKind.EXACT for one in self.matches)

    @property
    def is_good(self) -> bool:
        return any(
            one.role == "known-good" and one.match_kind is MatchKind.EXACT and not one.contradicted
            for _, met in self.files
            for one in met
        )

    @property
    def is_damaged(self) -> bool:
        return any(
            record.examination.decode_state in DAMAGED and record.examination.kind is not Kind.OTHER
            for record, _ in self.files
        )

    @property
    def has_problem(self) -> bool:
        return any(one.severity is Severity.PROBLEM for record, _ in self.files for one in record.problems)

    def is_in(self, queue: str, disputed: bool) -> bool:
        """Whether the item is in a queue."""
        if queue == "problems":
            return self.has_problem
        if queue == "disputed":
            return disputed
        if self.is_known or self.matches:
            return queue == ("known" if self.is_known else "near")
        if not self.is_media or self.is_good or self.files[0][0].examination.digests is None:
            return False
        return queue == ("damaged" if self.is_damaged else "new")

    def order(self, queue: str) -> tuple[float, int]:
        """What it is ordered by in a queue, clusters left aside."""
        rank = 0.0
        if queue == "known":
            rank = min(-gravity(one) for one in self.matches if one.match_kind is MatchKind.EXACT)
        elif queue == "near":
            rank = min(farness(one) for one in self.matches)
        return rank, self.id


def gravity(match: Match) -> float:
    """How grave a match is, as case/counts.py says."""
    if match.category.severity is not None:
        return match.category.severity
    return 0.25 if match.category.code == "" else 0.5


def farness(match: Match) -> float:
    """Strong ones, then films, then leads; within each the nearest first."""
    tier = tier_of(match.match_kind, match.algorithm, match.distance)
    return match.distance + {Tier.STRONG: 0, None: 1000, Tier.LEAD: 2000}[tier]


def items_of(stored: Iterable[Stored], source_id: int = 1) -> list[NaiveItem]:
    """The items of a case with one source, in the order of their first files; those that are in no queue too."""
    groups: dict[object, list[Stored]] = {}
    for record, met in sorted(stored, key=lambda one: (one[0].entry.number, one[0].entry.part)):
        digests = record.examination.digests
        key = digests.sha256 if digests else (record.entry.number, record.entry.part)
        groups.setdefault(key, []).append((record, met))
    return [
        NaiveItem(entry_id(source_id, files[0][0].entry.number, files[0][0].entry.part), tuple(files))
        for files in groups.values()
    ]


def lowered(text: str, like: str) -> str:
    """A text with small letters: ASCII ones alone where what is looked for has no other."""
    if not like.isascii():
        return text.casefold()
    return "".join(one.lower() if "A" <= one <= "Z" else one for one in text)


def when(record: ScanRecord) -> datetime | None:
    """The time that a file is filtered by."""
    return record.entry.times.modified or record.entry.times.created


def camera(record: ScanRecord) -> str:
    """The camera of a file, of names that do not hold the maker's."""
    said = dict(record.examination.metadata)
    words = (said.get(name, "") for name in ("camera-make", "camera-model", "camera-serial"))
    return " ".join(word for word in words if word)


def meets(record: ScanRecord, which: ItemFilter) -> bool:
    """Whether a file meets every condition on files."""
    entry, size, moment = record.entry, record.entry.size, when(record)
    return (
        (not which.states or entry.state in which.states)
        and (not which.kinds or record.examination.kind in which.kinds)
        and (not which.exhibits or entry.exhibit in which.exhibits)
        and (not which.locations or location_of(entry.path).tag in which.locations)
        and (not which.text or lowered(which.text, which.text) in lowered(entry.path, which.text))
        and (which.size_min is None or (size is not None and size >= which.size_min))
        and (which.size_max is None or (size is not None and size <= which.size_max))
        and (which.date_from is None or (moment is not None and moment >= which.date_from))
        and (which.date_to is None or (moment is not None and moment < which.date_to))
        and (not which.device or (camera(record) != "" and which.device.casefold() in camera(record).casefold()))
    )


def has_category(item: NaiveItem, wanted: Sequence[str | tuple[str, str]], grades: Sequence[tuple[str, str]]) -> bool:
    """Whether a match or a grade of the item is of one of these categories."""
    found = {(one.category.code, one.category.scheme) for one in item.matches} | set(grades)
    return any(one in {code for code, _ in found} if isinstance(one, str) else tuple(one) in found for one in wanted)


# Of each content: of each examiner his last standing (code, scheme).
GradesOf = Mapping[bytes, Mapping[str, tuple[str, str]]]


def chosen(items: Sequence[NaiveItem], which: ItemFilter, grades: GradesOf) -> list[int]:
    """The ids of the items that a filter takes, in order."""
    found = []
    for item in items:
        digests = item.files[0][0].examination.digests
        given = grades.get(digests.sha256, {}) if digests else {}
        of_whom = [grade for who, grade in given.items() if which.examiner in ("", who)]
        decided = which.examiner in given if which.examiner else bool(given)
        if (
            item.is_in(which.queue, len(set(given.values())) > 1)
            and any(meets(record, which) for record, _ in item.files)
            and (not which.categories or has_category(item, which.categories, of_whom))
            and (which.decided is None or decided == which.decided)
        ):
            found.append(item)
    return [item.id for item in sorted(found, key=lambda item: item.order(which.queue))]
