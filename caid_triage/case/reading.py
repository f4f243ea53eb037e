"""A case that is open for reading: its connection at one moment, and typed rows out of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from caid_triage.case.decode import reader
from caid_triage.case.rows import CaseHeader
from caid_triage.case.schema import reading_faults

T = TypeVar("T")


def read_header(connection: sqlite3.Connection) -> CaseHeader:
    """The case's header as it was stored."""
    row = connection.execute("SELECT reference, operation, examiner, options, tool FROM header").fetchone()
    return CaseHeader(row[0], row[1], row[2], json.loads(row[3]), json.loads(row[4]))


class CaseReading:
    """A read-only connection to a case at one moment. Use it as a context manager, or call :meth:`close`."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection = connection
        self.header: CaseHeader = read_header(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the case. May be called twice."""
        self._connection.close()

    def _rows(self, statement: str, *values: object) -> Iterator[Any]:
        with reading_faults(self.folder):
            yield from self._connection.execute(statement, values)

    def _typed(self, row_type: type[T], statement: str, *values: object) -> Iterator[T]:
        read = reader(row_type)
        with reading_faults(self.folder):
            for row in self._connection.execute(statement, values):
                yield read(row)
