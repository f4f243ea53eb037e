"""What a case hands out: typed rows, one dataclass for each thing a report prints.

Hashes are bytes, times are aware UTC, ``None`` is "not known"; hex and text are made at the edges (report/).
The fields of FileRow, MatchRow and ProblemRow are the columns of the CSV reports, in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from caid_triage.model import Decision, DecodeState, Kind, MatchKind, State, Tier

# Of a field that the rows have and the CSV reports do not.
NO_COLUMN: Mapping[str, bool] = MappingProxyType({"column": False})


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

    @property
    def made_with(self) -> str:
        """Name and version of the tool that made the case."""
        return f"{self.tool.get('name', 'caid-triage')} {self.tool.get('version', '')}".strip()


@dataclass(frozen=True, slots=True)
class FileRow:
    """One FileEntry and what examining it found: a row of files.csv.

    ``container_state`` is the state of the outermost file that an embedded one lies in, None for any other.
    ``decode_state`` is what became of the picture. ``raw_path`` is the path's own bytes, of which ``path`` is the
    readable form.
    """

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
    container_state: State | None = None
    decode_state: DecodeState = DecodeState.NOT_MEDIA
    raw_path: bytes = field(default=b"", metadata=NO_COLUMN)


@dataclass(frozen=True, slots=True)
class MatchRow:
    """One FileEntry that met one entry of a notable hash set: a row of matches.csv.

    ``container_state`` is the state of the outermost file that an embedded one lies in; ``removed`` says that the file
    which it lies in does not list it (any more). The list has the first as a column behind the others, the second in
    words. ``stated`` and ``series`` are what the entry states of its item (hashset/rows.py has the words). ``raw_path``
    is as in FileRow.
    """

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
    orientation: str = ""
    quality: int | None = None
    look: str = ""
    frames: int | None = None
    frames_met: int | None = None
    listed_frames: int | None = None
    listed_frames_met: int | None = None
    first_s: float | None = None
    last_s: float | None = None
    listed_first_s: float | None = None
    listed_last_s: float | None = None
    container_state: State | None = None
    removed: bool = field(default=False, metadata=NO_COLUMN)
    stated: tuple[str, ...] = ()
    series: str = ""
    raw_path: bytes = field(default=b"", metadata=NO_COLUMN)


# Cells of a strip of frames: the second in the film (None: unknown), and how many percent agree (None: not compared).
Strip = tuple[tuple[float | None, int | None], ...]


@dataclass(frozen=True, slots=True)
class VideoMatchRow:
    """One film and one listed video that it agrees with: the figures of MatchRow, and where the frames agree."""

    exhibit: str
    source: str
    volume: str
    path: str
    state: State
    category_label: str
    scheme: str
    hashset: str
    media_id: str
    distance: int
    threshold: int
    orientation: str
    frames: int
    frames_met: int
    listed_frames: int
    listed_frames_met: int
    first_s: float
    last_s: float
    listed_first_s: float | None
    listed_last_s: float | None
    strip: Strip
    listed_strip: Strip
    container_state: State | None = None
    removed: bool = False


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
class LedgerRow:
    """A line of the ledger of a source: a row of ledger.csv. ``parts`` is of a folded line: kind=bytes each."""

    exhibit: str
    source: str
    volume: str
    start: int
    end: int
    length: int
    kind: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """A volume of a source, with the name and the status that model.Volume describes."""

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

    ``place`` is "live" (allocated), "inside" (in a live file, by its own list), "deleted" (also in a deleted file, or
    removed from a live one), "other" (orphan, carved, slack, and what lies in such files) or "all". ``unique`` is
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
    tier: Tier | None = None


@dataclass(frozen=True, slots=True)
class Conservation:
    """Law 1: every file walked is examined and stored. ``complete`` is False while a source is unfinished.

    ``stopped_early``: one was stopped by --stop-after, and its scan did not go on since.
    """

    walked: int
    examined: int
    stored: int
    complete: bool
    stopped_early: bool = False

    @property
    def holds(self) -> bool:
        """Whether walked = examined = stored and no source is unfinished."""
        return self.complete and self.walked == self.examined == self.stored


@dataclass(frozen=True, slots=True)
class ContradictionRow:
    """Two facts about one file that cannot both be plain truth. ``kind`` is

    "digest" (a weaker digest agrees, a stronger one does not), "size" (the digest agrees, the listed size does not),
    "category" (one set lists it in several categories), "sets" (sets disagree), "examiner" (a set and an examiner
    do), "graders" (two examiners' standing grades differ), "known-good" or "not-this" (listed both as notable and as
    that) or "md5-collision" (one MD5, several SHA-256 in the case).
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
class Undecoded:
    """How many pictures and films were not decoded, as a known-good set held them by SHA-1 or SHA-256.

    ``to_examine`` of them no such set of the case answers for any more, or a notable one lists.
    """

    files: int
    to_examine: int


@dataclass(frozen=True, slots=True)
class MatchChange:
    """What matching a stored case again changed, counted by file and hash set: met anew, no longer, met otherwise.

    ``files_...`` count files by what is proposed for them over all sets: newly something, no longer anything,
    another category or kind of match. ``regrade`` is the number of the delta (0: there was nothing to match yet).
    """

    new: int
    gone: int
    changed: int = 0
    files_new: int = 0
    files_gone: int = 0
    files_changed: int = 0
    regrade: int = 0


@dataclass(frozen=True, slots=True)
class RegradeRow:
    """One time that the stored records were matched again: with which generations, and what that changed.

    ``hashsets`` are {name, before, after}: generations, "" before for a set the case had not met.
    """

    regrade: int
    hashsets: tuple[Mapping[str, str], ...]
    new: int
    gone: int
    changed: int
    files_new: int
    files_gone: int
    files_changed: int
    known_good_before: int
    known_good_after: int


@dataclass(frozen=True, slots=True)
class DeltaRow:
    """One file and one hash set of which a re-grading says something else than before: a row of delta.csv.

    ``change`` is new, gone or changed; ``before`` and ``after`` list the kinds of match and categories, and
    ``proposed_...`` what is proposed for the file over all sets ("" where nothing is).
    """

    regrade: int
    change: str
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
    hashset: str
    before: str
    after: str
    proposed_before: str
    proposed_after: str
    container_state: State | None = None


@dataclass(frozen=True, slots=True)
class WithheldRow:
    """How many near matches a guard withheld, over all files, of one set by one algorithm."""

    hashset: str
    algorithm: str
    reason: str
    files: int
    matches: int


@dataclass(frozen=True, slots=True)
class LeadHashes:
    """How many PDQ hashes of the case leads can be found by: stored pixels, all looks as they stand, all turned too."""

    stored: int
    upright: int
    all: int


@dataclass(frozen=True, slots=True)
class TierRow:
    """How many near matches of one notable set are of one tier, and how many files have such a match."""

    hashset: str
    tier: Tier | None
    matches: int
    files: int


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
