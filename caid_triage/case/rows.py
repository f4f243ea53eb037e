"""What a case hands out: typed rows, one dataclass for each thing a report prints.

Hashes are bytes, times are aware UTC, ``None`` is "not known"; hex and text are made at the edges (report/).
The fields of FileRow, MatchRow and ProblemRow are the columns of the CSV reports, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from caid_triage.model import Decision, Kind, MatchKind, State


@dataclass(frozen=True, slots=True)
class CaseHeader:
    """What the case is about, and the options that make a run repeatable.

    ``options`` is JSON-able and saved as canonical JSON. ``tool`` (name, version, python, dependencies)
    is filled in when the case is made.
    """

    reference: str
    operation: str = ""
    examiner: str = ""
    options: Mapping[str, object] = field(default_factory=dict)
    tool: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FileRow:
    """One FileEntry and what examining it found: a row of files.csv."""

    exhibit: str
    source: str
    volume: str
    path: str
    state: State
    kind: Kind
    media_type: str
    size: int | None
    md5: bytes | None
    sha1: bytes | None
    sha256: bytes | None
    pdq: bytes | None
    pdq_quality: int | None
    phash: bytes | None
    width: int | None
    height: int | None
    duration_s: float | None
    created: datetime | None
    modified: datetime | None
    accessed: datetime | None
    changed: datetime | None
    physical_offset: int | None
    parent_path: str
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MatchRow:
    """One FileEntry that met one entry of a notable hash set: a row of matches.csv."""

    exhibit: str
    source: str
    volume: str
    path: str
    state: State
    kind: Kind
    media_type: str
    size: int | None
    md5: bytes | None
    sha1: bytes | None
    sha256: bytes | None
    match_kind: MatchKind
    algorithm: str
    distance: int
    threshold: int
    category_code: str
    category_label: str
    scheme: str
    hashset: str
    media_id: str
    created: datetime | None
    modified: datetime | None
    accessed: datetime | None
    changed: datetime | None
    physical_offset: int | None
    parent_path: str
    decision: Decision | None


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """Why a value is missing, or a part was not examined: a row of problems.csv."""

    exhibit: str
    source: str
    volume: str
    path: str
    step: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    """An evidence source of the case. ``complete`` is False while its scan is unfinished."""

    id: int
    exhibit: str
    source: str
    source_kind: str
    size: int | None
    segments: tuple[str, ...]
    acquisition: Mapping[str, str]
    coverage: Mapping[str, int]
    walked: int
    examined: int
    stored: int
    complete: bool


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A volume of a source. ``status`` is examined, not-understood, encrypted, unreadable or empty."""

    exhibit: str
    source: str
    name: str
    offset: int
    length: int
    description: str
    file_system: str
    status: str


@dataclass(frozen=True, slots=True)
class CountRow:
    """How many files a category has, apart by kind, state and how they matched.

    ``unique`` counts contents (distinct SHA-256), ``files`` occurrences.
    """

    category_code: str
    category_label: str
    scheme: str
    kind: Kind
    state: State
    match_kind: MatchKind
    files: int
    unique: int


@dataclass(frozen=True, slots=True)
class TallyRow:
    """A cell of the report's count table: a CountRow with the states gathered.

    ``place`` is "live" (allocated), "deleted", "other" (orphan, carved, slack, embedded) or "all". ``unique`` is
    counted afresh for each place, as one content may be both live and deleted: it does not add up over places.
    """

    category_code: str
    category_label: str
    scheme: str
    severity: int | None
    kind: Kind
    match_kind: MatchKind
    place: str
    files: int
    unique: int


@dataclass(frozen=True, slots=True)
class Conservation:
    """Law 1: every file walked is examined and stored. ``complete`` is False while a source is unfinished."""

    walked: int
    examined: int
    stored: int
    complete: bool

    @property
    def holds(self) -> bool:
        """Whether walked = examined = stored and no source is unfinished."""
        return self.complete and self.walked == self.examined == self.stored


@dataclass(frozen=True, slots=True)
class ContradictionRow:
    """Two facts about one file that cannot both be plain truth. ``kind`` is

    "digest" (a weaker digest agrees, a stronger one does not), "category" (exact matches in several categories),
    "known-good" (listed both as notable and as known-good) or "md5-collision" (one MD5, several SHA-256 in the case).
    """

    kind: str
    exhibit: str
    source: str
    volume: str
    path: str
    detail: str


@dataclass(frozen=True, slots=True)
class RunTimes:
    """When the first run of the case began and the last one ended (None: it did not end)."""

    started: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class NewMatches:
    """How many files of a stored case newly met one category of one hash set."""

    hashset: str
    match_kind: MatchKind
    category_code: str
    scheme: str
    files: int


@dataclass(frozen=True, slots=True)
class MatchChange:
    """What matching a stored case again changed: (file, hash set, kind of match, category) met anew and no longer.

    ``found`` says where the new ones are, by hash set, kind of match and category; it sums to ``new``.
    """

    new: int
    gone: int
    found: tuple[NewMatches, ...] = ()


@dataclass(frozen=True, slots=True)
class MediaFileRow:
    """One occurrence of a matched content. Occurrences of one content in one exhibit follow each other.

    ``media`` is the same for all of them and no other. ``match_kind`` and the category are those it counts under.
    """

    exhibit: str
    media: int
    source: str
    volume: str
    path: str
    state: State
    kind: Kind
    media_type: str
    size: int | None
    md5: bytes | None
    sha1: bytes | None
    sha256: bytes | None
    created: datetime | None
    modified: datetime | None
    accessed: datetime | None
    physical_offset: int | None
    match_kind: MatchKind
    category_code: str
    category_label: str
    scheme: str


@dataclass(frozen=True, slots=True)
class ExhibitRow:
    """How many files of one exhibit count under one kind of match."""

    exhibit: str
    match_kind: MatchKind
    files: int
    unique: int


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """How often one problem code occurs. ``severity`` "problem": not examined in full; "note": worth knowing."""

    step: str
    code: str
    severity: str
    count: int
    example: str
