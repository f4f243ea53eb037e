"""The nouns of the pipeline, as frozen dataclasses. Imports nothing of ours.

Exhibit -> EvidenceSource -> Volume -> FileEntry -> ScanRecord -> Match -> Decision

Hashes are bytes, times are aware UTC datetimes, sizes and offsets are bytes. What could not be
found is ``None`` and a :class:`Problem` says why; it is never "", -1 or an all-zero hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """How a FileEntry was found."""

    ALLOCATED = "allocated"
    DELETED = "deleted"
    ORPHAN = "orphan"
    CARVED = "carved"
    SLACK = "slack"
    EMBEDDED = "embedded"


class Kind(StrEnum):
    """What the content is, by its bytes (never by its name)."""

    IMAGE = "image"
    VIDEO = "video"
    OTHER = "other"


class MatchKind(StrEnum):
    """How a record met an entry of a hash set."""

    EXACT = "exact"
    NEAR = "near"
    VIDEO = "video"


# Up to so many of PDQ's 256 bits a near match is a strong one: by the measured curve (match/chance.py) no unrelated
# picture comes as near. A different scene of the same place, or another frame, may.
STRONG_BITS = 31


class Tier(StrEnum):
    """How much a near match says: STRONG, PDQ within STRONG_BITS; LEAD, any other look-alike, which chance may make."""

    STRONG = "strong"
    LEAD = "lead"


class Role(StrEnum):
    """What membership of a hash set means.

    ``NOT_THIS`` holds pictures that were taken for listed ones by look and are not: like known-good ones they
    propose nothing, and what looks more like them than like a listed item is not proposed either.
    """

    NOTABLE = "notable"
    KNOWN_GOOD = "known-good"
    NOT_THIS = "not-this"


class Severity(StrEnum):
    """Whether a Problem means something was not examined, or is only worth knowing.

    ``PROBLEM`` turns the exit code to 3; ``NOTE`` does not. Both are written to every report.
    """

    PROBLEM = "problem"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a value is missing: where in the pipeline, a stable documented code, one sentence.

    ``exhibit``, ``source``, ``volume`` and ``path`` say where it happened; the narrower ones are
    "" where the problem is wider than that (a whole source has no volume and no path).
    """

    step: str
    code: str
    detail: str
    severity: Severity = Severity.PROBLEM
    exhibit: str = ""
    source: str = ""
    volume: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class FileTimes:
    """The four times of a file, aware UTC, ``None`` where the file system does not keep one.

    ``zone_note`` says how far UTC is true: "" for file systems that store UTC (NTFS, ext, HFS+),
    "local time, zone unknown" for FAT, whose local times are carried as if they were UTC, and so on.
    """

    created: datetime | None = None
    modified: datetime | None = None
    accessed: datetime | None = None
    changed: datetime | None = None
    zone_note: str = ""


MOST_PARTS = (1 << 23) - 1
"""So many files can lie inside one file, at all depths."""

INSIDE = "//"
"""Stands in a display path between a file and the name of what lies inside it: ``/a/photos.zip//b/c.jpg``."""

REMOVED_CODES = frozenset({"inside-freed", "inside-unlisted"})
"""Problems of an inner file whose bytes are still in its container, which does not list it (any more)."""

IN_USE_CODE = "in-use-without-name"
"""Note of an orphan that its file system has in use: no name leads to it, and it is not deleted."""


def parent_of(path: str) -> str:
    """The display path of the folder that holds a file ("/" for the root), or of the file that it lies inside.

    A stream's colon belongs to the name: the parent of ``/a/b.dll:here`` is ``/a``.
    """
    container, inside, _ = path.rpartition(INSIDE)
    return (container if inside else path.rpartition("/")[0]) or "/"


@dataclass(frozen=True, slots=True)
class Searching:
    """How far the search of free space is, in bytes; ``files`` (of ``size`` bytes) were found, None until it ended."""

    searched: int
    total: int
    seconds: float = 0.0
    files: int | None = None
    size: int = 0

    @property
    def rate(self) -> float:
        """Bytes a second; 0 before the first."""
        return self.searched / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class FileEntry:
    """LOCATOR and metadata of one occurrence of a file: never a handle.

    ``number`` counts the entries of one source in walk order from 0; with an unchanged source it
    is the same in every run, so a resumed scan knows what is done. What lies inside a file (state
    ``embedded``) has the file's number, and ``part`` counts it from 1 in the order of the file's own
    list; the file itself is part 0. ``locator`` is what the source needs to open the content again
    (opaque to everybody else, JSON-able integers).
    ``size`` is None where it cannot be known, e.g. a deleted name whose metadata was reused.
    ``readable`` is False when no content can belong to this entry; ``problems`` then says why.
    """

    exhibit: str
    source: str
    volume: str
    number: int
    path: str
    raw_path: bytes
    state: State
    size: int | None
    times: FileTimes = FileTimes()
    inode: int | None = None
    stream: str = ""
    physical_offset: int | None = None
    locator: tuple[int, ...] = ()
    readable: bool = True
    problems: tuple[Problem, ...] = ()
    part: int = 0

    @property
    def parent_path(self) -> str:
        """What :func:`parent_of` says of its path."""
        return parent_of(self.path)


@dataclass(frozen=True, slots=True)
class Volume:
    """A partition or the whole of a source that carries one file system (or should).

    ``name`` is "p1", "p2" ... in the order of the partition table, "p0" when there is no table,
    "" for a folder; a volume inside another has that one's name before its own: "p2/root", "p3/vss1"
    (evidence/layers). ``offset`` counts from the start of the source, of a volume inside another from the start of
    that one's content. ``file_system`` is what it carries as far as that is known, else "". ``status`` is one of
    ``examined``, ``not-understood``, ``no-files`` (swap and the like), ``encrypted``, ``possibly-encrypted`` (looks
    random, no mark), ``unreadable``, ``empty`` (no bytes but zeros), ``unwrapped`` (it holds the volumes that are named
    after it) and ``unlocked`` (the same, and it was encrypted).
    """

    name: str
    offset: int
    length: int
    description: str
    file_system: str
    status: str

    @property
    def parent(self) -> str:
        """The name of the volume that this one lies in, "" for one that lies on the source itself."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class LedgerRange:
    """The bytes of a source from ``start`` up to ``end``, and what became of them: a line of its ledger.

    ``volume`` is the innermost volume whose bytes they are, "" for none. ``kind`` is one of those of
    docs/formats/evidence.md; a range of the kind "mixed" was folded out of smaller ones, of which ``parts`` has the
    (kind, bytes).
    """

    start: int
    end: int
    volume: str
    kind: str
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def sums(self) -> tuple[tuple[str, int], ...]:
        """Its bytes by kind."""
        return self.parts or ((self.kind, self.end - self.start),)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What an EvidenceSource is: how it was opened, how big, what its acquisition recorded.

    ``kind`` is "raw", "split-raw", "ewf", "directory", "device" or that of a container: "vmdk", "vhd", "vhdx",
    "qcow2", "vdi", "dmg", "sparseimage", "sparsebundle", "aff4", "ex01", or of a logical image: "l01", "lx01",
    "ad1". ``size`` is the bytes of the disk it represents (None for a directory or a logical image). ``acquisition``
    holds the stored facts of the container as text: ``md5``, ``sha1``, ``case_number`` and the like.
    """

    exhibit: str
    source: str
    kind: str
    size: int | None
    segments: tuple[str, ...] = ()
    acquisition: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Digests:
    """MD5 (16 bytes), SHA-1 (20) and SHA-256 (32) of the whole content, taken in one read."""

    md5: bytes
    sha1: bytes
    sha256: bytes


@dataclass(frozen=True, slots=True)
class PerceptualHash:
    """A hash of what a picture looks like.

    ``algorithm`` is "pdq" (32 bytes, ``quality`` 0..100), "phash" (8 bytes, quality None), one of these in another
    look ("pdq-turned", "pdq-trimmed": caid_triage/perceptual.py), or a plug-in's name. ``frame_time`` is seconds
    into a video or an animation, None for a still and for an animation's first picture.
    """

    algorithm: str
    value: bytes
    quality: int | None = None
    frame_time: float | None = None


class DecodeState(StrEnum):
    """What became of the picture: each is counted in the report.

    ``WITH_ITS_PICTURE`` is a thumbnail whose look is one of those of the picture that it lies in: it has digests, and
    no perceptual hashes of its own. ``NOT_NEEDED`` is a picture or film that a set of known-good files holds by SHA-1
    or SHA-256, and no notable set: it was not decoded (docs/decisions/0046).
    """

    DECODED = "decoded"
    WITH_ITS_PICTURE = "with-its-picture"
    PARTIAL = "partial"
    REFUSED = "refused"
    UNDECODABLE = "undecodable"
    NOT_MEDIA = "not-media"
    NOT_ATTEMPTED = "not-attempted"
    NOT_NEEDED = "not-needed"


@dataclass(frozen=True, slots=True)
class Examination:
    """What examining one content found: everything of a ScanRecord that its bytes decide.

    ``digests`` is None only with a Problem that says why. ``media_type`` is a MIME type by
    content ("application/octet-stream" when nothing is recognised); ``width`` x ``height`` are
    stored pixels (EXIF orientation not applied). ``bytes_read`` is what was really read. ``metadata`` is what the
    content says of its own origin, as (name, text) of documented names (docs/formats/metadata.md). ``inside`` is how
    many files were found inside the content, at all depths: each is a FileEntry of its own.
    """

    digests: Digests | None
    bytes_read: int
    kind: Kind = Kind.OTHER
    media_type: str = "application/octet-stream"
    decode_state: DecodeState = DecodeState.NOT_MEDIA
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None
    hashes: tuple[PerceptualHash, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    problems: tuple[Problem, ...] = ()
    inside: int = 0


@dataclass(frozen=True, slots=True)
class ScanRecord:
    """The outcome for one FileEntry: exactly one each (law 1)."""

    entry: FileEntry
    examination: Examination

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems of walking to the file and of examining it, in that order."""
        return self.entry.problems + self.examination.problems


@dataclass(frozen=True, slots=True)
class Category:
    """A code in a named scheme, and what a report may print of it.

    ``label`` is what is printed: the scheme's word when the scheme is confirmed, else
    "code N (scheme NAME not confirmed)" or "code N (scheme unknown)". ``severity`` orders
    categories (higher is graver; None when the scheme does not know the code).
    """

    code: str
    label: str
    scheme: str
    severity: int | None = None

    def contradicts(self, other: Category) -> bool:
        """Whether one file cannot be both: two codes of one scheme, or ignorable in one scheme and not in the other.

        Codes of different schemes cannot be compared otherwise.
        """
        if self.scheme == other.scheme:
            return self.code != other.code
        return (self.severity == 0) != (other.severity == 0)


@dataclass(frozen=True, slots=True)
class VideoAgreement:
    """How far a file's frames and a listed video's frames are the same pictures.

    ``frames`` of the file were compared and ``met`` of them looked like a listed frame; ``listed_frames`` and
    ``listed_met`` say the same of the listed video. The agreeing frames of the file lie between ``first_s`` and
    ``last_s`` (seconds into the file), those of the listed video between ``listed_first_s`` and ``listed_last_s``
    (None where the list has no times). ``strip`` and ``listed_strip`` say where the frames agree, for a reader: at most
    a hundred cells in order of time, each its first second (None: not known) and how many percent of its frames agree
    (None: none of them was compared).
    """

    frames: int
    met: int
    listed_frames: int
    listed_met: int
    first_s: float
    last_s: float
    listed_first_s: float | None = None
    listed_last_s: float | None = None
    strip: tuple[tuple[float | None, int | None], ...] = ()
    listed_strip: tuple[tuple[float | None, int | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """One record met one entry of one hash set.

    ``algorithm`` is the strongest that agrees (sha256, sha1, md5) or the perceptual one;
    ``distance`` and ``threshold`` are bits (squared L2 for PhotoDNA), 0 and 0 for exact. ``contradicted`` says that a
    weaker digest agrees while a stronger one of the same entry does not (an MD5 collision or a
    corrupt row): such a match is shown, never counted. ``listed_size`` is the entry's size in bytes where it is not the
    file's, else None. Of a near match ``quality`` is that of the file's hash (0..100, None where the algorithm has
    none), ``orientation`` how the file's picture must be turned to look like the item ("" : as it is) and ``look``
    which look of the file met ("" : its stored pixels; "without its borders", "frame at 12.0 s" ...). ``agreement``
    is of a video match: ``distance`` is then the median distance of the frames that agree. ``stated`` are words for
    what the entry states of its item ("victim-identified", "distributed" ...; what is absent is false or not stated),
    ``series`` is the series it belongs to.
    """

    match_kind: MatchKind
    algorithm: str
    distance: int
    threshold: int
    category: Category
    hashset: str
    generation: str
    role: Role
    media_id: str
    record_row: int
    contradicted: bool = False
    orientation: str = ""
    quality: int | None = None
    listed_size: int | None = None
    look: str = ""
    agreement: VideoAgreement | None = None
    stated: tuple[str, ...] = ()
    series: str = ""


def tier_of(match_kind: MatchKind, algorithm: str, distance: int) -> Tier | None:
    """The tier of a near match; None for an exact or a video match, which have none."""
    if match_kind is not MatchKind.NEAR:
        return None
    return Tier.STRONG if algorithm == "pdq" and distance <= STRONG_BITS else Tier.LEAD


@dataclass(frozen=True, slots=True)
class Withheld:
    """Near matches of one record with one set that are counted and not listed, and why.

    ``reason`` is "flood" (the hash is near so many entries that it says nothing; the ``kept`` nearest are listed)
    or "not-this" (nearer to an entry of the negative set ``by``). ``count`` of them, the nearest at ``nearest``.
    """

    reason: str
    algorithm: str
    hashset: str
    generation: str
    count: int
    nearest: int
    threshold: int
    kept: int = 0
    by: str = ""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row of a hash-set file that could not be used, where it stands, and why.

    ``position`` is "byte N" or "line N" of ``file``. The row's own text is not kept: it may be
    a hash of a victim's picture.
    """

    file: str
    position: str
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """An examiner's grade over a proposal: who, when (aware UTC), which category, why."""

    examiner: str
    decided: datetime
    category: Category
    note: str = ""
