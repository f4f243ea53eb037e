"""What both stores of the unit's memory do alike: statements that differ in how a value is marked, transactions.

What is said differently stands in sqlite.py and postgres.py: how the memory is made and opened, how rows are put in,
how thousands of digests are asked about, what a fault means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from caid_triage.unit.rows import MEMBER_COLUMNS, OF_MEMBER, TABLES, Exhibit, Member, Row, row_reader

EXHIBIT_COLUMNS = TABLES["exhibit"][1:]
MEMBERS = f"SELECT id, {', '.join(MEMBER_COLUMNS)} FROM member"  # noqa: S608 - constants only
EXHIBITS = f"SELECT id, {', '.join(EXHIBIT_COLUMNS)} FROM exhibit ORDER BY id"  # noqa: S608 - constants only
PUT_MEMBER = f"""INSERT INTO member ({", ".join(MEMBER_COLUMNS)}) VALUES ({", ".join("?" * len(MEMBER_COLUMNS))})
    ON CONFLICT (key) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in MEMBER_COLUMNS[1:])}
    RETURNING id"""  # noqa: S608 - constants only
PUT_EXHIBIT = f"""INSERT INTO exhibit ({", ".join(EXHIBIT_COLUMNS)}) VALUES ({", ".join("?" * len(EXHIBIT_COLUMNS))})
    RETURNING id"""  # noqa: S608 - constants only
NOTE_PURGE = "INSERT INTO purged (key, purged, purged_by, rows) VALUES (?, ?, ?, ?)"
EVERY_GRADE = f"""SELECT {", ".join(f"g.{name}" for name in TABLES["grade"])} FROM grade g
    JOIN member x ON x.id = g.member_id WHERE x.id <> ?"""  # noqa: S608 - constants only
PICTURES = """SELECT p.exhibit_id, p.contents, p.pdqs FROM picture p JOIN exhibit x ON x.id = p.exhibit_id
    WHERE x.member_id <> ? ORDER BY p.exhibit_id, p.block"""


class SqlStore(ABC):
    """A store that speaks SQL. Statements are written with ``?`` for a value."""

    @abstractmethod
    def _faults(self) -> AbstractContextManager[None]:
        """What goes wrong with the database inside becomes a UnitError in one sentence."""

    @abstractmethod
    def _rows(self, statement: str, *values: object) -> Iterator[Row]:
        """The rows of a statement, as they come."""

    @abstractmethod
    def _run(self, statement: str, *values: object) -> int:
        """Execute a statement; how many rows it changed."""

    @abstractmethod
    def _roll_back(self) -> None:
        """Undo the transaction, where there is one; what goes wrong in that is not said."""

    @contextmanager
    def _within(self, begin: str) -> Iterator[None]:
        """A transaction around what is done inside: whole, or not at all."""
        self._run(begin)
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def members(self) -> list[Member]:
        """The cases, by reference and key."""
        with self._faults():
            return sorted(map(row_reader(Member), self._rows(MEMBERS)), key=lambda one: (one.reference, one.key))

    def exhibits(self) -> list[Exhibit]:
        """The sources of exhibits, by id."""
        with self._faults():
            return list(map(row_reader(Exhibit), self._rows(EXHIBITS)))

    def put_member(self, member: Member) -> int:
        """Keep a case, in place of its row of before where its key is known; its id."""
        return self._number(PUT_MEMBER, member.columns)

    def put_exhibit(self, exhibit: Exhibit) -> int:
        """Keep a source of an exhibit; its id."""
        return self._number(PUT_EXHIBIT, exhibit.columns)

    def _number(self, statement: str, values: Row) -> int:
        """The one number that a statement returns, once it has come to its end."""
        ((number,),) = list(self._rows(statement, *values))
        return int(number)

    def clear(self, member_id: int) -> int:
        """Take out all that belongs to a case, but its own row; how many rows that was."""
        return sum(self._run(f"DELETE FROM {table} WHERE {_of(table)}", member_id) for table in TABLES)  # noqa: S608

    def drop_member(self, member_id: int) -> None:
        """Take out a case's own row."""
        self._run("DELETE FROM member WHERE id = ?", member_id)

    def note_purge(self, key: str, when: int, by: str, rows: int) -> None:
        """Note that a case was purged; its key alone says which."""
        self._run(NOTE_PURGE, key, when, by, rows)

    def remains(self, member_id: int, exhibits: Sequence[int]) -> int:
        """How many rows still belong to a case, or to exhibits that were its."""
        left = 0
        for table in ("member", *TABLES):
            column = "member_id" if table in OF_MEMBER else "id" if table == "member" else "exhibit_id"
            statement = f"SELECT count(*) FROM {table} WHERE {column} = ?"  # noqa: S608 - constants only
            for owner in exhibits if column == "exhibit_id" else [member_id]:
                left += self._number(statement, (owner,))
        return left


def _of(table: str) -> str:
    if table in OF_MEMBER:
        return "member_id = ?"
    return "exhibit_id IN (SELECT id FROM exhibit WHERE member_id = ?)"
