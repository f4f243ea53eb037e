"""The case database: its tables, its version, how it is opened, and what its faults mean.

One SQLite file, ``case.db``. ``application_id`` says it is ours and ``user_version`` which schema it has. Written in
WAL mode with synchronous=FULL: measured to lose no acknowledged batch to SIGKILL, at 35 ms for a batch of 1,000.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import gettempdir
from urllib.parse import quote

from caid_triage.errors import CaseError
from caid_triage.model import MOST_PARTS

DATABASE = "case.db"
UNMADE = "case.db.making"
"""What a new database is called until it is whole: a case exists from the moment it gets its own name."""
APPLICATION_ID = 0x43414944  # "CAID"
SCHEMA_VERSION = 9
OLDEST_SCHEMA = 5  # read as it is; brought up to date by the first command that writes to it
WITH_DIGESTS = 6  # the first schema whose rows are digested
WITH_ACTS = 7  # the first that knows what examiners did in a review, and what entries state of their items
# The first that keeps what the unit's memory has of its contents, and knows samplings of disks and their fragments.
WITH_LINKS = 8
WITH_DETAILS = 9  # the first that knows whom to ask about a case, and when its exhibits were seized

# An entry's id is its source's id, its walk number and its part in one integer: rows lie in report order on disk, what
# lies inside a file right behind it. 2**28 files a source, 2**23 parts a file, 4,095 sources.
NUMBER_BITS = 51
PART_BITS = MOST_PARTS.bit_length()

# size, inode and physical_offset have no type: a damaged file system can claim numbers above 2**63, kept as text.
TABLES = """
CREATE TABLE header (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    reference TEXT NOT NULL, operation TEXT NOT NULL, examiner TEXT NOT NULL,
    options TEXT NOT NULL, tool TEXT NOT NULL
);
CREATE TABLE audit_head (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), sequence INTEGER NOT NULL, sha256 TEXT,
    closing INTEGER NOT NULL
);
CREATE TABLE run (
    id INTEGER PRIMARY KEY, command TEXT NOT NULL, started INTEGER NOT NULL, finished INTEGER, outcome TEXT
);
CREATE TABLE source (
    id INTEGER PRIMARY KEY, exhibit TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, size,
    segments TEXT NOT NULL, acquisition TEXT NOT NULL, fingerprint TEXT NOT NULL, coverage TEXT NOT NULL,
    walked INTEGER NOT NULL, examined INTEGER NOT NULL, stored INTEGER NOT NULL, finished INTEGER NOT NULL,
    UNIQUE (exhibit, name)
);
CREATE TABLE volume (
    source_id INTEGER NOT NULL REFERENCES source, position INTEGER NOT NULL, name TEXT NOT NULL,
    start NOT NULL, length NOT NULL, description TEXT NOT NULL, file_system TEXT NOT NULL, status TEXT NOT NULL,
    PRIMARY KEY (source_id, position)
) WITHOUT ROWID;
-- What became of every byte of a source: its lines lie side by side from 0 to its size. ``parts`` is '' but of a line
-- that was folded out of smaller ones: JSON [[kind, bytes], ...].
CREATE TABLE ledger (
    source_id INTEGER NOT NULL REFERENCES source, position INTEGER NOT NULL, start NOT NULL, length NOT NULL,
    volume TEXT NOT NULL, kind TEXT NOT NULL, parts TEXT NOT NULL, PRIMARY KEY (source_id, position)
) WITHOUT ROWID;
CREATE TABLE entry (
    id INTEGER PRIMARY KEY, volume TEXT NOT NULL, path TEXT NOT NULL, raw_path BLOB NOT NULL, stream TEXT NOT NULL,
    state TEXT NOT NULL, size, created INTEGER, modified INTEGER, accessed INTEGER, changed INTEGER,
    zone_note TEXT NOT NULL, inode, physical_offset, locator TEXT NOT NULL, readable INTEGER NOT NULL,
    md5 BLOB, sha1 BLOB, sha256 BLOB, bytes_read INTEGER NOT NULL, kind TEXT NOT NULL, media_type TEXT NOT NULL,
    decode_state TEXT NOT NULL, width INTEGER, height INTEGER, duration_s REAL, walk_problems INTEGER NOT NULL,
    inside INTEGER NOT NULL
);
CREATE TABLE perceptual_hash (
    entry_id INTEGER NOT NULL REFERENCES entry, position INTEGER NOT NULL, algorithm TEXT NOT NULL, value BLOB NOT NULL,
    quality INTEGER, frame_time REAL, PRIMARY KEY (entry_id, position)
) WITHOUT ROWID;
CREATE TABLE entry_problem (
    entry_id INTEGER NOT NULL REFERENCES entry, position INTEGER NOT NULL, step TEXT NOT NULL, code TEXT NOT NULL,
    detail TEXT NOT NULL, severity TEXT NOT NULL, PRIMARY KEY (entry_id, position)
) WITHOUT ROWID;
-- Problems wider than a file. source_id 0: of the case. A resumed walk meets the same ones again: kept once.
CREATE TABLE wide_problem (
    id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL, origin TEXT NOT NULL, exhibit TEXT NOT NULL,
    source TEXT NOT NULL, volume TEXT NOT NULL, path TEXT NOT NULL, step TEXT NOT NULL, code TEXT NOT NULL,
    detail TEXT NOT NULL, severity TEXT NOT NULL,
    UNIQUE (source_id, origin, volume, path, step, code, detail, exhibit, source)
);
CREATE TABLE hashset (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, generation TEXT NOT NULL, role TEXT NOT NULL, info TEXT NOT NULL
);
CREATE TABLE category (
    id INTEGER PRIMARY KEY, code TEXT NOT NULL, label TEXT NOT NULL, scheme TEXT NOT NULL, severity INTEGER
);
CREATE UNIQUE INDEX category_key ON category (code, label, scheme, coalesce(severity, ''));
CREATE TABLE file_match (
    entry_id INTEGER NOT NULL REFERENCES entry, hashset_id INTEGER NOT NULL REFERENCES hashset,
    position INTEGER NOT NULL, match_kind TEXT NOT NULL, algorithm TEXT NOT NULL, distance INTEGER NOT NULL,
    threshold INTEGER NOT NULL, category_id INTEGER NOT NULL REFERENCES category, media_id TEXT NOT NULL,
    record_row INTEGER NOT NULL, contradicted INTEGER NOT NULL,
    PRIMARY KEY (entry_id, hashset_id, position)
) WITHOUT ROWID;
-- What only some matches have: how a picture must be turned, the quality of its hash, a size that is not the file's.
CREATE TABLE match_detail (
    entry_id INTEGER NOT NULL, hashset_id INTEGER NOT NULL, position INTEGER NOT NULL, orientation TEXT NOT NULL,
    quality INTEGER, listed_size, PRIMARY KEY (entry_id, hashset_id, position)
) WITHOUT ROWID;
CREATE TABLE withheld (
    entry_id INTEGER NOT NULL, hashset_id INTEGER NOT NULL, position INTEGER NOT NULL, reason TEXT NOT NULL,
    algorithm TEXT NOT NULL, matches INTEGER NOT NULL, nearest INTEGER NOT NULL, threshold INTEGER NOT NULL,
    kept INTEGER NOT NULL, by_set TEXT NOT NULL, PRIMARY KEY (entry_id, hashset_id, position)
) WITHOUT ROWID;
-- Grades of examiners, of a content, the last one counts.
CREATE TABLE decision (
    id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, examiner TEXT NOT NULL, decided INTEGER NOT NULL,
    category_id INTEGER NOT NULL, note TEXT NOT NULL
);
CREATE INDEX decision_content ON decision (sha256);
-- Each time stored records were matched again, and what that changed, one row for a file and a hash set.
CREATE TABLE regrade (
    id INTEGER PRIMARY KEY, hashsets TEXT NOT NULL,
    new INTEGER NOT NULL, gone INTEGER NOT NULL, changed INTEGER NOT NULL,
    files_new INTEGER NOT NULL, files_gone INTEGER NOT NULL, files_changed INTEGER NOT NULL,
    known_good_before INTEGER NOT NULL, known_good_after INTEGER NOT NULL
);
CREATE TABLE regrade_row (
    regrade_id INTEGER NOT NULL, entry_id INTEGER NOT NULL, hashset TEXT NOT NULL, change TEXT NOT NULL,
    before TEXT NOT NULL, after TEXT NOT NULL, proposed_before TEXT NOT NULL, proposed_after TEXT NOT NULL,
    PRIMARY KEY (regrade_id, entry_id, hashset)
) WITHOUT ROWID;
-- What contents say of their origin, and what only matches of other looks and of videos have.
CREATE TABLE metadata (
    entry_id INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (entry_id, position)
) WITHOUT ROWID;
CREATE TABLE match_look (
    entry_id INTEGER NOT NULL, hashset_id INTEGER NOT NULL, position INTEGER NOT NULL, look TEXT NOT NULL,
    PRIMARY KEY (entry_id, hashset_id, position)
) WITHOUT ROWID;
CREATE TABLE video_match (
    entry_id INTEGER NOT NULL, hashset_id INTEGER NOT NULL, position INTEGER NOT NULL, frames INTEGER NOT NULL,
    met INTEGER NOT NULL, listed_frames INTEGER NOT NULL, listed_met INTEGER NOT NULL, first_s REAL NOT NULL,
    last_s REAL NOT NULL, listed_first_s REAL, listed_last_s REAL, strip TEXT NOT NULL, listed_strip TEXT NOT NULL,
    PRIMARY KEY (entry_id, hashset_id, position)
) WITHOUT ROWID;
"""

# What the entry of a match states of its item (words, ";" between them) and its series; no row where it states nothing.
STATED_TABLE = """
CREATE TABLE match_stated (
    entry_id INTEGER NOT NULL, hashset_id INTEGER NOT NULL, position INTEGER NOT NULL, stated TEXT NOT NULL,
    series TEXT NOT NULL, PRIMARY KEY (entry_id, hashset_id, position)
) WITHOUT ROWID;
"""

# Samplings of disks with block sets, and the runs of blocks of known files that they found (case/sampling.py). A
# fragment is no file: it has no row in ``entry``.
SAMPLE_TABLES = """
CREATE TABLE sampling (
    id INTEGER PRIMARY KEY, exhibit TEXT NOT NULL, source TEXT NOT NULL, fingerprint TEXT NOT NULL,
    size INTEGER NOT NULL, hashset TEXT NOT NULL, generation TEXT NOT NULL, seed INTEGER NOT NULL,
    population INTEGER NOT NULL, confidence TEXT NOT NULL, target INTEGER NOT NULL, wanted INTEGER NOT NULL,
    drawn INTEGER NOT NULL, read INTEGER NOT NULL, unread INTEGER NOT NULL, met INTEGER NOT NULL,
    constant INTEGER NOT NULL, random INTEGER NOT NULL, scanned INTEGER NOT NULL, scanned_unread INTEGER NOT NULL,
    filled INTEGER NOT NULL, gapless INTEGER NOT NULL, notes TEXT NOT NULL, UNIQUE (exhibit, source, generation)
);
CREATE TABLE fragment (
    sampling_id INTEGER NOT NULL REFERENCES sampling, position INTEGER NOT NULL, source_offset INTEGER NOT NULL,
    record_row INTEGER NOT NULL, first_block INTEGER NOT NULL, blocks INTEGER NOT NULL, file_blocks INTEGER NOT NULL,
    media_id TEXT NOT NULL, code TEXT NOT NULL, label TEXT NOT NULL, scheme TEXT NOT NULL,
    PRIMARY KEY (sampling_id, position)
) WITHOUT ROWID;
-- What a scan with a block set searched beside whole files, and what it found (case/block_search.py). ``place`` counts
-- from the source's beginning, or (``volume`` not empty) from that of the inside of a volume.
CREATE TABLE block_search (
    id INTEGER PRIMARY KEY, exhibit TEXT NOT NULL, source TEXT NOT NULL, hashset TEXT NOT NULL, name TEXT NOT NULL,
    generation TEXT NOT NULL, plan TEXT NOT NULL, free_space INTEGER NOT NULL, size INTEGER NOT NULL,
    searched INTEGER NOT NULL, unread INTEGER NOT NULL, UNIQUE (exhibit, source, generation)
);
CREATE TABLE found_fragment (
    search_id INTEGER NOT NULL REFERENCES block_search, position INTEGER NOT NULL, volume TEXT NOT NULL,
    kind TEXT NOT NULL, place INTEGER NOT NULL, record_row INTEGER NOT NULL, first_block INTEGER NOT NULL,
    blocks INTEGER NOT NULL, file_blocks INTEGER NOT NULL, media_id TEXT NOT NULL, code TEXT NOT NULL,
    label TEXT NOT NULL, scheme TEXT NOT NULL, PRIMARY KEY (search_id, position)
) WITHOUT ROWID;
"""

# Which files a batch stored (their ids, eight bytes each), and a digest of the rows of each table by batch or by
# another unit (case/digests.py). ``marks`` comes last: it may be long, and is read only where a digest does not agree.
DIGEST_TABLES = """
CREATE TABLE batch (id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL, entries BLOB NOT NULL);
CREATE TABLE digest (
    name TEXT NOT NULL, unit INTEGER NOT NULL, rows INTEGER NOT NULL, sha256 BLOB NOT NULL, marks BLOB NOT NULL,
    PRIMARY KEY (name, unit)
) WITHOUT ROWID;
"""

# What examiners did in a review, as the journal beside the database has it (case/journal.py): a graded content is a row
# of ``decision`` too. Nothing is taken out: a grade that was taken back has a row in ``withdrawal``. ``journal_head``
# is the last line of the journal that is in here.
ACT_TABLES = """
CREATE TABLE review_act (
    id INTEGER PRIMARY KEY, action TEXT NOT NULL, examiner TEXT NOT NULL, made INTEGER NOT NULL,
    first_decision INTEGER, decisions INTEGER NOT NULL
);
CREATE INDEX act_first ON review_act (first_decision);
CREATE TABLE withdrawal (decision_id INTEGER PRIMARY KEY, act_id INTEGER NOT NULL REFERENCES review_act);
CREATE TABLE remark (
    id INTEGER PRIMARY KEY, act_id INTEGER NOT NULL REFERENCES review_act, sha256 BLOB NOT NULL, note TEXT NOT NULL
);
CREATE INDEX withdrawal_act ON withdrawal (act_id);
CREATE INDEX remark_content ON remark (sha256);
CREATE INDEX remark_act ON remark (act_id);
CREATE TABLE journal_head (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), sequence INTEGER NOT NULL, sha256 TEXT, offset INTEGER NOT NULL
);
"""

# What the last look-up in the unit's memory found (caid_triage/unit): facts about other cases, as the memory had them
# then. Keys are plain numbers: what ``verify`` says of a row holds no digest of the evidence. ``exhibit_id`` 0: the
# content is on so many exhibits that they are counted and not named.
LINK_TABLES = """
CREATE TABLE unit_look (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1), unit TEXT NOT NULL, looked INTEGER NOT NULL,
    cases INTEGER NOT NULL, exhibits INTEGER NOT NULL, asked INTEGER NOT NULL, known_good INTEGER NOT NULL,
    small INTEGER NOT NULL, pictures INTEGER NOT NULL, smallest INTEGER NOT NULL, common INTEGER NOT NULL,
    look_alikes INTEGER NOT NULL
);
CREATE TABLE unit_exhibit (
    id INTEGER PRIMARY KEY, case_key TEXT NOT NULL, reference TEXT NOT NULL, exhibit TEXT NOT NULL,
    source TEXT NOT NULL, added INTEGER NOT NULL, contact TEXT NOT NULL
);
CREATE TABLE unit_twin (
    position INTEGER PRIMARY KEY, source_id INTEGER NOT NULL, exhibit_id INTEGER NOT NULL, how TEXT NOT NULL
);
CREATE TABLE unit_same (
    position INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, exhibit_id INTEGER NOT NULL, files INTEGER NOT NULL,
    exhibits INTEGER NOT NULL, cases INTEGER NOT NULL
);
CREATE TABLE unit_near (
    position INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, other BLOB NOT NULL, exhibit_id INTEGER NOT NULL,
    distance INTEGER NOT NULL, pictures INTEGER NOT NULL
);
CREATE TABLE unit_camera (
    position INTEGER PRIMARY KEY, source_id INTEGER NOT NULL, make TEXT NOT NULL, model TEXT NOT NULL,
    serial TEXT NOT NULL, internal INTEGER NOT NULL, files INTEGER NOT NULL, exhibit_id INTEGER NOT NULL,
    other_files INTEGER NOT NULL
);
CREATE TABLE unit_grade (
    position INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, reference TEXT NOT NULL, examiner TEXT NOT NULL,
    decided INTEGER NOT NULL, code TEXT NOT NULL, label TEXT NOT NULL, scheme TEXT NOT NULL, severity INTEGER,
    contact TEXT NOT NULL
);
"""

# What people say of a case and its exhibits ('' : of the case) beside the header's columns (case/details.py).
DETAIL_TABLE = """
CREATE TABLE case_detail (
    exhibit TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (exhibit, name)
) WITHOUT ROWID;
"""


@contextmanager
def storage_faults(folder: Path) -> Iterator[None]:
    """Turn a fault of the disk or the database into a CaseError that says what to do next."""
    try:
        yield
    except sqlite3.IntegrityError as fault:
        message = f"the case in {folder} was asked to store something twice or out of order: {fault}"
        raise CaseError(message) from fault
    except sqlite3.DatabaseError as fault:
        sentence = _sentence(fault, folder)
        if sentence is None:
            raise
        raise CaseError(sentence) from fault
    except OSError as fault:
        raise CaseError(os_sentence(fault, folder)) from fault


# What reading meets where a row holds what no writer of ours stores, or the schema names what is not there.
_STORED_OTHERWISE = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError)


@contextmanager
def reading_faults(folder: Path) -> Iterator[None]:
    """As :func:`storage_faults`, for reading: rows that this program does not write are damage of the case."""
    try:
        with storage_faults(folder):
            yield
    except (*_STORED_OTHERWISE, sqlite3.OperationalError) as fault:
        raise CaseError(f"the case in {folder}: {_CHANGED}") from fault


def _sentence(fault: sqlite3.DatabaseError, folder: Path) -> str | None:
    # The low byte is the primary code, the rest of an extended code only refines it.
    code = getattr(fault, "sqlite_errorcode", 0) & 0xFF
    if code == 0 and isinstance(fault, sqlite3.OperationalError):  # Python's own: a text that is no UTF-8
        return f"the case in {folder}: {_CHANGED}"
    state = disk_state(folder) if code in _OF_THE_DISK else None
    meaning = state or {
        # SQLite sorts and compares large cases in files of the system's temporary folder.
        sqlite3.SQLITE_FULL: f"no space is left for it, or for temporary files in {gettempdir()}; {_WHOLE}",
        sqlite3.SQLITE_READONLY: _READ_ONLY,
        sqlite3.SQLITE_CANTOPEN: "its database cannot be opened; check that its disk is connected and that the folder "
        "may be written to, then run again",
        sqlite3.SQLITE_BUSY: "it is in use by another process; wait until that has ended, then run again",
        sqlite3.SQLITE_LOCKED: "it is in use by another process; wait until that has ended, then run again",
        sqlite3.SQLITE_IOERR: "its disk failed to read or write, or takes no more (a quota; FAT32 ends a file at 4 "
        "GiB); check the disk, then run again",
        sqlite3.SQLITE_CORRUPT: "its database is damaged; restore it from a copy, or scan into a new case folder",
        sqlite3.SQLITE_NOTADB: "its case.db is not, or not any more, a case database; restore it from a copy, or "
        "choose another folder",
    }.get(code)
    return None if meaning is None else f"the case in {folder}: {meaning}"


_WHOLE = "what was stored is whole: free some space and run again"
_CHANGED = (
    "its database is damaged, or another program changed it; restore it from a copy, or scan into a new case folder"
)
_READ_ONLY = "it cannot be written to; give write permission or choose another folder"
_OF_THE_DISK = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY})
_GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO, errno.ENOTCONN, getattr(errno, "ESTALE", 0)})
_LEAST_SPACE = 64 << 10


def disk_state(folder: Path) -> str | None:
    """What is wrong with the disk of a case by what the system says of it now, None where that is nothing.

    SQLite tells of a disk that is full or was pulled out only that a file could not be opened, grown or written.
    """
    try:
        free = shutil.disk_usage(folder).free
        flags = os.statvfs(folder).f_flag & os.ST_RDONLY if hasattr(os, "statvfs") else 0
    except OSError as fault:
        return _meaning(fault)
    if flags:
        return _READ_ONLY
    return f"no space is left for it; {_WHOLE}" if free < _LEAST_SPACE else None


def os_sentence(fault: OSError, folder: Path) -> str:
    """One sentence for an operating-system fault met while writing to a case."""
    return f"the case in {folder}: {_meaning(fault)}"


def _meaning(fault: OSError) -> str:
    if fault.errno in {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}:
        return f"no space is left for it; {_WHOLE}"
    if fault.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return _READ_ONLY
    if fault.errno in _GONE:
        return f"its folder is gone or its disk fails ({fault.strerror}); connect the disk again, then run again"
    return f"{fault.strerror or fault}; check the folder and its disk, then run again"


def check_schema(connection: sqlite3.Connection, folder: Path) -> int:
    """The schema of a case; CaseError for a database that is not ours, or whose schema this version does not know."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise CaseError(f"{folder / DATABASE} is not a caid-triage case; choose another folder")
    if version > SCHEMA_VERSION:
        message = (
            f"the case in {folder} has schema {version}, this version of caid-triage knows up to {SCHEMA_VERSION}; "
            "open it with the newer version"
        )
        raise CaseError(message)
    if version < OLDEST_SCHEMA:
        # No version was released with an earlier one: there is nothing to bring over.
        message = (
            f"the case in {folder} has schema {version} of an earlier development version, this one reads "
            f"{OLDEST_SCHEMA} to {SCHEMA_VERSION}; scan the exhibits into a new case"
        )
        raise CaseError(message)
    return int(version)


def is_stranger(path: Path) -> bool:
    """Whether a link, a folder, a pipe or a device lies where this program, or SQLite, keeps a file of its own."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def _refuse_strangers(path: Path) -> None:
    """CaseError: SQLite would write through a link, to wherever a stranger let it lead, or wait at a pipe for good."""
    for name in (f"{path.name}{suffix}" for suffix in ("-wal", "-journal", "-shm")):
        if is_stranger(path.with_name(name)):
            message = f"the case in {path.parent}: {name} is no file of a database: it was put there; remove it"
            raise CaseError(message)


def connect_for_writing(path: Path) -> sqlite3.Connection:
    """Open the database for the one writer; transactions are begun and ended by hand."""
    _refuse_strangers(path)
    return sqlite3.connect(path, isolation_level=None, timeout=5.0)


def make_durable(connection: sqlite3.Connection) -> None:
    """WAL with synchronous=FULL: an acknowledged batch survives a kill and a power cut."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def connect_for_reading(folder: Path, *, any_thread: bool = False) -> sqlite3.Connection:
    """Open the database read-only, also from a folder that cannot be written to.

    ``any_thread``: several threads use it, and see to it that they do so one after the other.
    """
    one_thread = not any_thread
    path = folder / DATABASE
    if not path.is_file():
        raise CaseError(f"there is no case in {folder} (no {DATABASE}); check the folder's name")
    _refuse_strangers(path)
    address = "file:" + quote(os.fsencode(path.resolve()), safe="/:\\")
    connection = sqlite3.connect(
        f"{address}?mode=ro", uri=True, isolation_level=None, timeout=5.0, check_same_thread=one_thread
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.OperationalError:
        connection.close()
        if _left(path, "-journal"):
            return _rolled_back(address, one_thread=one_thread)
        if _left(path, "-wal"):
            raise
        # WAL needs a shared-memory file beside the database; read-only media cannot have one, and nobody writes there.
        connection = sqlite3.connect(
            f"{address}?immutable=1", uri=True, isolation_level=None, check_same_thread=one_thread
        )
    # Sorting ten million digests may spill to the system's temporary folder (deleted at once) rather than fill memory.
    return connection


def connect_at_rest(folder: Path) -> sqlite3.Connection:
    """Open the database so that not even a shared-memory file is made beside it, unless it has a log to be read."""
    path = folder / DATABASE
    if _left(path, "-wal"):
        return connect_for_reading(folder)
    address = "file:" + quote(os.fsencode(path.resolve()), safe="/:\\")
    return sqlite3.connect(f"{address}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _left(path: Path, suffix: str) -> bool:
    """Whether a writer that was stopped has left a log or journal beside the database, with something in it."""
    log = Path(f"{path}{suffix}")
    return log.exists() and log.stat().st_size > 0


def _rolled_back(address: str, *, one_thread: bool) -> sqlite3.Connection:
    """The database after what a killed writer was about is undone; that needs to write: sqlite3.Error where it cannot.

    A journal is there only for the moment in which the case is opened or closed by its writer.
    """
    with closing(sqlite3.connect(f"{address}?mode=rw", uri=True, isolation_level=None, timeout=5.0)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    connection = sqlite3.connect(
        f"{address}?mode=ro", uri=True, isolation_level=None, timeout=5.0, check_same_thread=one_thread
    )
    connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return connection


def holds_case(folder: Path) -> bool:
    """Whether the folder holds a case database that was made whole (not one that died while being made)."""
    with storage_faults(folder):
        path = folder / DATABASE
        if not path.is_file() or path.stat().st_size == 0:
            return False
    with storage_faults(folder), closing(connect_for_reading(folder)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        return bool(application == APPLICATION_ID)
