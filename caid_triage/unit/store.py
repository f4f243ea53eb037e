"""What a store of the unit's memory can do, whichever database it is, and opening one.

Both answer the same (tests/laws/test_unit_laws.py holds them to a naive store of dictionaries). What they say alike is
in sql.py, the rest in sqlite.py and postgres.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol

from caid_triage.unit.place import UnitPlace
from caid_triage.unit.rows import Exhibit, KeptCamera, KeptGrade, Member, PictureBlock, Row, Sighting, Tally


class Mode(StrEnum):
    """What a store is opened for. MAKE writes too, and makes the tables where there are none."""

    READ = "read"
    WRITE = "write"
    MAKE = "make"


class UnitStore(Protocol):
    """A unit's memory, opened. Used by one thread; close it at the end.

    What goes wrong with the database is a UnitError in one sentence, whatever the method.
    """

    unit: str  # its own number, made with it
    made: int

    def close(self) -> None:
        """Let go of it. May be called twice."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """One moment of the memory for all that is read inside."""
        ...

    def writing(self, key: str) -> AbstractContextManager[None]:
        """All that is done inside is done whole or not at all. One process at a time writes to the case ``key``."""
        ...

    def members(self) -> list[Member]:
        """The cases, by reference and key."""
        ...

    def exhibits(self) -> list[Exhibit]:
        """The sources of exhibits, by id."""
        ...

    def put_member(self, member: Member) -> int:
        """Keep a case, in place of its row of before where its key is known; its id."""
        ...

    def put_exhibit(self, exhibit: Exhibit) -> int:
        """Keep a source of an exhibit; its id (that given means nothing)."""
        ...

    def put(self, table: str, rows: Iterable[Row]) -> None:
        """Keep rows of one of rows.TABLES, columns in that order; sightings by SHA-256."""
        ...

    def clear(self, member_id: int) -> int:
        """Take out all that belongs to a case, but its own row; how many rows that was."""
        ...

    def drop_member(self, member_id: int) -> None:
        """Take out a case's own row."""
        ...

    def note_purge(self, key: str, when: int, by: str, rows: int) -> None:
        """Note that a case was purged; its key alone says which."""
        ...

    def remains(self, member_id: int, exhibits: Sequence[int]) -> int:
        """How many rows still belong to a case, or to exhibits that were its."""
        ...

    def compact(self) -> str:
        """Give back the room of what was taken out, so that its bytes are gone; a sentence where it could not."""
        ...

    def tallies(self, contents: Sequence[bytes], without: int) -> Iterator[Tally]:
        """For each of these contents (SHA-256, each once) that other cases than ``without`` have, how many."""
        ...

    def sightings(self, contents: Sequence[bytes], without: int) -> Iterator[Sighting]:
        """Every exhibit of other cases that has one of these contents."""
        ...

    def grades(self, contents: Sequence[bytes] | None, without: int) -> Iterator[KeptGrade]:
        """Every grade in other cases, of these contents or (None) of all."""
        ...

    def cameras(self, serials: Sequence[str], without: int) -> Iterator[KeptCamera]:
        """Every camera of other cases that has one of these serial numbers."""
        ...

    def pictures(self, without: int) -> Iterator[PictureBlock]:
        """Every comparable picture of other cases."""
        ...


def open_unit(place: UnitPlace, mode: Mode) -> UnitStore:
    """Open a unit's memory. UnitError: there is none, it cannot be reached or used, or others may change it."""
    if place.path is not None:
        from caid_triage.unit.sqlite import SqliteStore  # noqa: PLC0415 - one of the two is needed

        return SqliteStore(place.path, mode)
    from caid_triage.unit.postgres import PostgresStore  # noqa: PLC0415

    return PostgresStore(place, mode)
