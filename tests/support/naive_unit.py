"""The plain way to keep a unit's memory: lists and dictionaries. What both databases are held to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from caid_triage.unit.rows import (
    OF_MEMBER,
    TABLES,
    Exhibit,
    KeptCamera,
    KeptGrade,
    Member,
    PictureBlock,
    Row,
    Sighting,
    Tally,
    picture_block,
)


class NaiveStore:
    """A memory in memory."""

    unit, made = "naive", 0

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._exhibits: dict[int, Exhibit] = {}
        self._rows: dict[str, list[Row]] = {table: [] for table in TABLES}
        self._next = 1

    def close(self) -> None:
        pass

    @contextmanager
    def reading(self) -> Iterator[None]:
        yield

    @contextmanager
    def writing(self, key: str) -> Iterator[None]:
        assert key
        yield

    def members(self) -> list[Member]:
        return sorted(self._members.values(), key=lambda one: (one.reference, one.key))

    def exhibits(self) -> list[Exhibit]:
        return [self._exhibits[number] for number in sorted(self._exhibits)]

    def put_member(self, member: Member) -> int:
        number = next((one.id for one in self._members.values() if one.key == member.key), self._number())
        self._members[number] = Member(number, *member.columns)
        return number

    def put_exhibit(self, exhibit: Exhibit) -> int:
        number = self._number()
        self._exhibits[number] = replace(exhibit, id=number)
        return number

    def _number(self) -> int:
        self._next += 1
        return self._next

    def put(self, table: str, rows: Iterable[Row]) -> None:
        self._rows[table] += rows

    def clear(self, member_id: int) -> int:
        exhibits = {one.id for one in self._exhibits.values() if one.member_id == member_id}
        gone = len(exhibits)
        for table, rows in self._rows.items():
            owners = {member_id} if table in OF_MEMBER else exhibits
            kept = [row for row in rows if row[0] not in owners]
            gone += len(rows) - len(kept)
            self._rows[table] = kept
        for number in exhibits:
            del self._exhibits[number]
        return gone

    def drop_member(self, member_id: int) -> None:
        del self._members[member_id]

    def note_purge(self, key: str, when: int, by: str, rows: int) -> None:
        pass

    def remains(self, member_id: int, exhibits: Sequence[int]) -> int:
        return int(member_id in self._members) + len({*exhibits} & {*self._exhibits})

    def compact(self) -> str:
        return ""

    def _others(self, without: int) -> dict[int, int]:
        """The case of each exhibit of other cases."""
        return {one.id: one.member_id for one in self._exhibits.values() if one.member_id != without}

    def tallies(self, contents: Sequence[bytes], without: int) -> Iterator[Tally]:
        others = self._others(without)
        met: defaultdict[bytes, list[int]] = defaultdict(list)
        for row in self._rows["sighting"]:
            if row[0] in others and row[1] in contents:
                met[row[1]].append(others[row[0]])
        for sha256 in sorted(met):
            yield Tally(sha256, len(met[sha256]), len({*met[sha256]}))

    def sightings(self, contents: Sequence[bytes], without: int) -> Iterator[Sighting]:
        others = self._others(without)
        rows = [row for row in self._rows["sighting"] if row[0] in others and row[1] in contents]
        for row in sorted(rows, key=lambda row: (row[1], row[0])):
            yield Sighting(row[1], row[0], row[6])

    def grades(self, contents: Sequence[bytes] | None, without: int) -> Iterator[KeptGrade]:
        found = [KeptGrade(*row) for row in self._rows["grade"] if row[0] != without]
        wanted = [one for one in found if contents is None or one.sha256 in contents]
        key = {one.id: one.key for one in self._members.values()}
        yield from sorted(wanted, key=lambda one: (one.sha256, one.decided, one.examiner, key[one.member_id]))

    def cameras(self, serials: Sequence[str], without: int) -> Iterator[KeptCamera]:
        others = self._others(without)
        found = [KeptCamera(*row) for row in self._rows["camera"] if row[0] in others and row[3] in serials]
        yield from sorted(found, key=lambda one: (one.serial, one.maker, one.model, one.internal, one.exhibit_id))

    def pictures(self, without: int) -> Iterator[PictureBlock]:
        others = self._others(without)
        for row in sorted(row for row in self._rows["picture"] if row[0] in others):
            yield picture_block(row[0], row[2], row[3])
