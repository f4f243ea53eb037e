"""What the unit's memory keeps: its rows, the same in SQLite and in PostgreSQL.

Texts are made storable once, here (:func:`storable`), so that both stores keep the same. Digests and PDQ are bytes,
times microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType, NoneType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from caid_triage.case.encode import text

Row = tuple[Any, ...]

SCHEMA = 2
# Pictures are kept as columns, so many in a row: reading ten million of them is reading a thousand rows.
PICTURES_IN_BLOCK = 8192
PDQ_BYTES = DIGEST_BYTES = 32

# What belongs to a case, in the order in which it is taken out: what leads to others first.
TABLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sighting": ("exhibit_id", "sha256", "sha1", "md5", "size", "kind", "files"),
        "picture": ("exhibit_id", "block", "contents", "pdqs"),
        "camera": ("exhibit_id", "maker", "model", "serial", "internal", "files"),
        "grade": ("member_id", "sha256", "examiner", "decided", "code", "label", "scheme", "severity", "sha1", "md5",
                  "size", "kind", "pdq", "quality"),
        "exhibit": ("id", "member_id", "exhibit", "source", "contents", "files", "pictures", "size", "md5", "sha1",
                    "sha256", "serial"),
    }
)  # fmt: skip
OF_MEMBER = frozenset({"grade", "exhibit"})  # the others belong to an exhibit


def storable(value: str) -> str:
    """The text as both stores can hold it: what is no character, and NUL, becomes a backslash escape."""
    return text(value).replace("\0", "\\x00")


@dataclass(frozen=True, slots=True)
class Member:
    """A case in the memory. ``id`` 0: not yet. ``head`` is the end of its audit chain when it was added.

    ``contact`` is whom to ask about a restricted case, of which the memory holds no name; "" of any other.
    """

    id: int
    key: str
    reference: str
    added: int
    added_by: str
    head: str
    smallest: int
    contents: int
    known_good: int
    small: int
    contact: str = ""

    @property
    def columns(self) -> Row:
        """Its columns but the id."""
        return (
            self.key, self.reference, self.added, self.added_by, self.head, self.smallest, self.contents,
            self.known_good, self.small, self.contact,
        )  # fmt: skip


_T = TypeVar("_T")
# What a column of these rows may hold, by its annotation.
_HOLDS: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        "int": (int,),
        "str": (str,),
        "bytes": (bytes,),
        "bool": (bool,),
        "int | None": (int, NoneType),
        "bytes | None": (bytes, NoneType),
    }
)


def row_reader(row_type: type[_T]) -> Callable[[Row], _T]:
    """A function that makes a ``row_type`` of a row. ValueError: a column holds what this program does not write."""
    holds = [_HOLDS[str(one.type)] for one in fields(row_type)]  # type: ignore[arg-type]

    def read(row: Row) -> _T:
        if not all(map(isinstance, row, holds)):
            raise ValueError("a column holds what is not written there")
        return row_type(*row)

    return read


MEMBER_COLUMNS = (
    "key", "reference", "added", "added_by", "head", "smallest", "contents", "known_good", "small", "contact",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A source of an exhibit of a case: how many contents, files and comparable pictures are kept of it.

    ``size`` and the rest are what its acquisition says of the whole disk, hashes in hex; "" and None: nothing.
    """

    id: int
    member_id: int
    exhibit: str
    source: str
    contents: int
    files: int
    pictures: int
    size: int | None = None
    md5: str = ""
    sha1: str = ""
    sha256: str = ""
    serial: str = ""

    @property
    def columns(self) -> Row:
        """Its columns but the id."""
        return (
            self.member_id, self.exhibit, self.source, self.contents, self.files, self.pictures, self.size, self.md5,
            self.sha1, self.sha256, self.serial,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tally:
    """How many exhibits of how many cases have a content."""

    sha256: bytes
    exhibits: int
    cases: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """How many files of an exhibit have a content."""

    sha256: bytes
    exhibit_id: int
    files: int


@dataclass(frozen=True, slots=True)
class KeptCamera:
    """A camera that files of an exhibit state, as it is compared."""

    exhibit_id: int
    maker: str
    model: str
    serial: str
    internal: bool
    files: int


@dataclass(frozen=True, slots=True)
class KeptGrade:
    """An examiner's grade of a content in a case, with what a hash set of it needs."""

    member_id: int
    sha256: bytes
    examiner: str
    decided: int
    code: str
    label: str
    scheme: str
    severity: int | None
    sha1: bytes
    md5: bytes
    size: int
    kind: str
    pdq: bytes | None
    quality: int | None


@dataclass(frozen=True, slots=True)
class PictureBlock:
    """Pictures of one exhibit: ``contents`` uint8[n, 32] (SHA-256) and ``pdqs`` uint8[n, 32]."""

    exhibit_id: int
    contents: NDArray[np.uint8]
    pdqs: NDArray[np.uint8]


def picture_block(exhibit_id: int, contents: bytes, pdqs: bytes) -> PictureBlock:
    """The block of a stored row; ValueError where the two columns are not of one length."""
    first, second = (np.frombuffer(column, np.uint8).reshape(-1, DIGEST_BYTES) for column in (contents, pdqs))
    if len(first) != len(second):
        raise ValueError("a block of pictures has columns of different lengths")
    return PictureBlock(exhibit_id, first, second)


def picture_rows(exhibit_id: int, pictures: Sequence[tuple[bytes, bytes]]) -> Iterator[Row]:
    """The rows that keep pictures (SHA-256, PDQ) of an exhibit."""
    for block, start in enumerate(range(0, len(pictures), PICTURES_IN_BLOCK)):
        some = pictures[start : start + PICTURES_IN_BLOCK]
        yield exhibit_id, block, b"".join(one for one, _ in some), b"".join(pdq for _, pdq in some)
