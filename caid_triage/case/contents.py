"""What a case has that the unit's memory keeps of it: contents by their digests, pictures by PDQ, cameras, grades.

No path, no name and no note of an examiner is among it. What a known-good set lists, never on MD5 alone, and what is
smaller than a few hundred bytes lies on nearly every device and links nothing: it is left out and counted, unless a
notable set lists it exactly or an examiner has graded it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from caid_triage.case.audit import AUDIT_FILE, read_lines
from caid_triage.case.cameras import CameraKey, camera_key
from caid_triage.case.encode import Row, moment
from caid_triage.case.grades import STANDING
from caid_triage.case.metadata import find_cameras
from caid_triage.case.schema import NUMBER_BITS, reading_faults
from caid_triage.errors import CaseError
from caid_triage.model import Category

LEAST_QUALITY = 50  # of a PDQ: below it chance decides

KEPT = """SELECT e.sha256 FROM file_match m JOIN hashset h ON h.id = m.hashset_id JOIN entry e ON e.id = m.entry_id
    WHERE h.role = 'notable' AND m.match_kind = 'exact' AND m.contradicted = 0 AND e.sha256 IS NOT NULL
    UNION SELECT d.sha256 FROM decision d
    WHERE NOT EXISTS (SELECT 1 FROM withdrawal w WHERE w.decision_id = d.id)"""
KNOWN_GOOD = """SELECT DISTINCT e.sha256 FROM file_match m JOIN hashset h ON h.id = m.hashset_id
    JOIN entry e ON e.id = m.entry_id WHERE h.role = 'known-good' AND m.match_kind = 'exact' AND m.algorithm <> 'md5'
    AND m.contradicted = 0 AND e.sha256 IS NOT NULL"""
MAKE = f"""CREATE TEMP TABLE unit_content AS
SELECT e.id >> {NUMBER_BITS} AS source_id, e.sha256, min(e.sha1) AS sha1, min(e.md5) AS md5,
    max(e.bytes_read) AS size, min(e.kind) AS kind, count(*) AS files,
    CASE WHEN e.sha256 IN ({KEPT}) THEN '' WHEN e.sha256 IN ({KNOWN_GOOD}) THEN 'known-good'
        WHEN max(e.bytes_read) < ? THEN 'small' ELSE '' END AS left_out
FROM entry e WHERE e.sha256 IS NOT NULL AND e.bytes_read > 0 GROUP BY e.id >> {NUMBER_BITS}, e.sha256"""  # noqa: S608
FIGURES = "SELECT left_out, count(DISTINCT sha256) FROM temp.unit_content GROUP BY left_out"
EVERY = "SELECT DISTINCT sha256 FROM temp.unit_content ORDER BY sha256"
CONTENTS = """SELECT source_id, sha256, sha1, md5, size, kind, files FROM temp.unit_content WHERE left_out = ''
    ORDER BY source_id, sha256"""
PICTURES = f"""SELECT DISTINCT e.id >> {NUMBER_BITS}, e.sha256, h.value, h.quality
FROM perceptual_hash h JOIN entry e ON e.id = h.entry_id
    JOIN temp.unit_content u ON u.source_id = e.id >> {NUMBER_BITS} AND u.sha256 = e.sha256
WHERE h.algorithm = 'pdq' AND h.frame_time IS NULL AND h.quality >= {LEAST_QUALITY} AND length(h.value) = 32
    AND e.kind = 'image' AND u.left_out = ''
ORDER BY 1, 2, 3, 4"""  # noqa: S608 - constants only
CAMERAS = f"""SELECT e.id >> {NUMBER_BITS}, c.make, c.model, c.serial, c.internal, count(*)
FROM temp.camera_of o JOIN temp.camera c ON c.id = o.camera JOIN entry e ON e.id = o.entry_id
WHERE c.unlinked = '' GROUP BY 1, c.id ORDER BY 1, c.id"""  # noqa: S608 - constants only
# Of each graded content once: the rows of its files, and its best PDQ.
GRADES = f"""WITH graded AS MATERIALIZED (
    SELECT id, sha256, sha1, md5, bytes_read, kind FROM entry
    WHERE bytes_read > 0 AND sha256 IN (SELECT sha256 FROM decision)
), look AS MATERIALIZED (
    SELECT sha256, value, quality FROM (
        SELECT x.sha256, h.value, h.quality,
            row_number() OVER (PARTITION BY x.sha256 ORDER BY h.quality DESC, h.value) AS place
        FROM graded x JOIN perceptual_hash h ON h.entry_id = x.id
        WHERE h.algorithm = 'pdq' AND h.frame_time IS NULL AND length(h.value) = 32 AND x.kind = 'image'
            AND h.quality >= {LEAST_QUALITY}
    ) WHERE place = 1
)
SELECT g.sha256, g.examiner, d.decided, c.code, c.label, c.scheme, c.severity, min(e.sha1), min(e.md5),
    max(e.bytes_read), min(e.kind), l.value, l.quality
FROM ({STANDING}) g JOIN decision d ON d.id = g.id JOIN category c ON c.id = d.category_id
    JOIN graded e ON e.sha256 = g.sha256 LEFT JOIN look l ON l.sha256 = g.sha256
GROUP BY g.sha256, g.examiner ORDER BY g.sha256, g.examiner"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class ContentFacts:
    """A content on one source: its digests, its size in bytes, how many files of the source have it."""

    source_id: int
    sha256: bytes
    sha1: bytes
    md5: bytes
    size: int
    kind: str
    files: int


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """The PDQ (32 bytes, quality 50 to 100) of a picture as it is stored, on one source."""

    source_id: int
    sha256: bytes
    pdq: bytes
    quality: int


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """A camera with a serial number that can link files, as files of one source state it, and how many do."""

    source_id: int
    key: CameraKey
    make: str
    model: str
    serial: str
    files: int


@dataclass(frozen=True, slots=True)
class GradeFacts:
    """An examiner's standing grade of a content, with what a hash set of it needs."""

    sha256: bytes
    examiner: str
    decided: datetime
    category: Category
    sha1: bytes
    md5: bytes
    size: int
    kind: str
    pdq: bytes | None
    quality: int | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many contents of a case are kept, and how many are left out as known-good and as too small."""

    kept: int
    known_good: int
    small: int


def case_key(folder: Path) -> str:
    """What tells a case from every other, whatever it is called: the SHA-256 of the first line of its audit chain.

    A copy of a case has the same key. CaseError: there is no such line.
    """
    lines, _ = read_lines(folder / AUDIT_FILE)
    if not lines:
        raise CaseError(f"the case in {folder} has an empty {AUDIT_FILE}: nothing tells it from others")
    return hashlib.sha256(lines[0]).hexdigest()


class UnitContents:
    """What a case has for the unit's memory; every list is streamed in a fixed order."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, smallest: int) -> None:
        """``smallest``: contents of fewer bytes are left out. ``folder`` is the case's, for messages."""
        self._connection = connection
        self._folder = folder
        connection.execute("DROP TABLE IF EXISTS temp.unit_content")
        connection.execute(MAKE, (smallest,))
        connection.execute("CREATE UNIQUE INDEX temp.unit_content_key ON unit_content (source_id, sha256)")

    def _rows(self, statement: str) -> Iterator[Row]:
        with reading_faults(self._folder):
            yield from self._connection.execute(statement)

    def figures(self) -> LeftOut:
        """How many contents there are."""
        found: Counter[str] = Counter(dict(self._rows(FIGURES)))
        return LeftOut(found[""], found["known-good"], found["small"])

    def contents(self) -> Iterator[ContentFacts]:
        """Every content that is not left out, by source and SHA-256."""
        for row in self._rows(CONTENTS):
            yield ContentFacts(*row)

    def every(self) -> list[bytes]:
        """The SHA-256 of every content, of those that are left out too, each once and in order."""
        return [sha256 for (sha256,) in self._rows(EVERY)]

    def pictures(self) -> Iterator[PictureFacts]:
        """Every picture of them whose PDQ means something, by source and SHA-256."""
        for row in self._rows(PICTURES):
            yield PictureFacts(*row)

    def cameras(self) -> Iterator[CameraFacts]:
        """Every camera whose serial number can link files, by source."""
        with reading_faults(self._folder):
            find_cameras(self._connection)
        for source_id, make, model, serial, internal, files in self._rows(CAMERAS):
            word = "camera-internal-serial" if internal else "camera-serial"
            key = camera_key({"camera-make": make, "camera-model": model, word: serial})
            if key is not None:
                yield CameraFacts(source_id, key, make, model, serial, files)

    def grades(self) -> Iterator[GradeFacts]:
        """Every examiner's last standing grade of every content, by SHA-256 and examiner."""
        for sha256, examiner, decided, code, label, scheme, severity, *digests in self._rows(GRADES):
            when = moment(decided)
            assert when is not None
            yield GradeFacts(sha256, examiner, when, Category(code, label, scheme, severity), *digests)
