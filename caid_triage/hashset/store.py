"""Opening a ``NAME.chs`` folder: memory-mapped columns, cheap in every process, shared between them.

Opening checks the manifest, every file's size and every array's header. The full checksums are
``verify``'s: reading a national set whole would take longer than a scan of a small exhibit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.errors import HashSetError, VerificationError
from caid_triage.hashset.algorithms import (
    DIGEST_BYTES,
    PERCEPTUAL_BYTES,
    PHOTODNA_BYTES,
    Bytes,
    Rows,
    Words,
    big_endian_words,
    checked_rows,
)
from caid_triage.hashset.block_hash import BLOCK_SIZES
from caid_triage.hashset.layout import points_inside, uneven
from caid_triage.hashset.manifest import (
    DATA_PREFIX,
    FORMAT_VERSION,
    MAGIC,
    MANIFEST,
    ROLES,
    file_sha256,
    generation_of,
    seal_of,
)
from caid_triage.hashset.mapped_column import REBUILD, Column, OpenFile, open_column
from caid_triage.hashset.prefix import prefix_bits
from caid_triage.hashset.records import Records
from caid_triage.hashset.rows import printable
from caid_triage.hashset.schemes import CategoryScheme, scheme_from_dict
from caid_triage.hashset.search import DigestIndex, exact_pairs, may_be_in

# A process that opens a set loads what it uses: each of these is imported where it is first needed.
if TYPE_CHECKING:
    from caid_triage.hashset.blocks import BlockSet
    from caid_triage.hashset.frames import VideoFrames
    from caid_triage.hashset.hamming import Distances
    from caid_triage.hashset.mih import MihIndex
    from caid_triage.hashset.photodna import SquaredDistances
    from caid_triage.model import Category, Role

MOST_MANIFEST = 256 << 20
COUNTED_AT_ONCE = 1 << 20  # records
_REQUIRED = tuple(
    f"records/{name}.npy"
    for name in (
        "category", "size", "flags", "source", "series",
        "media_id", "media_id_end", "series_text", "series_text_end",
    )
)  # fmt: skip
# For each kind of hash the columns a set has of it: those with a row a hash, then the others.
_OF_DIGESTS = (("rows", "rec", "fp32"), ("table", "present"))
_OF_KIND = {
    **dict.fromkeys(DIGEST_BYTES, _OF_DIGESTS),
    "pdq": (("rec", "quality"), ("word0", "word1", "word2", "word3", "start")),
    "phash": (("rec",), ("word0", "start")),
    "photodna": (("vec", "rec", "norm"), ()),
}
# Columns with a row a PDQ hash that only a set with frames of videos has.
_FRAMES = ("pdq/frame.npy", "pdq/time_ms.npy")
# Columns with a row a block, which only a block set has.
_OF_BLOCKS = ("rows", "rec", "number", "fp32")


class HashSet:
    """Known material, opened: look up digests with ``exact``, perceptual hashes with ``near``.

    Both answer with record rows; ``records`` has a column for everything a record states.
    """

    def __init__(
        self, path: Path, manifest: dict[str, Any], columns: Mapping[str, Column], files: Mapping[str, OpenFile]
    ) -> None:
        self.path = path
        self.manifest = manifest
        self.name: str = manifest["name"]
        if manifest["role"] not in ROLES:
            raise ValueError("role")
        self.scheme: CategoryScheme = scheme_from_dict(manifest["scheme"], printable(path.name))
        self.generation: str = manifest["generation"]
        self.counts: dict[str, int] = dict(manifest["counts"])
        self.codes: tuple[str, ...] = tuple(manifest["codes"])
        self.records = Records(columns, self.codes, printable(path.name))
        self._columns = columns
        self._files = files
        self._sound: set[str] = set()
        self._indexes: dict[str, DigestIndex] = {}

    @cached_property
    def role(self) -> Role:
        """What membership of the set means."""
        from caid_triage.model import Role  # noqa: PLC0415

        return Role(self.manifest["role"])

    @cached_property
    def videos(self) -> VideoFrames:
        """The frames of the set's videos."""
        from caid_triage.hashset.frames import video_frames  # noqa: PLC0415

        return video_frames(self)

    @cached_property
    def blocks(self) -> BlockSet | None:
        """The hashes of blocks in the set; None where it has none (``hashset make --blocks`` makes them)."""
        from caid_triage.hashset.blocks import BlockSet  # noqa: PLC0415

        if not self.counts.get("blocks", 0):
            return None
        return BlockSet(self._columns, self.manifest["blocks"], len(self), printable(self.path.name))

    @cached_property
    def _categories(self) -> tuple[Category, ...]:
        return tuple(self.scheme.category(code) for code in self.codes)

    def __len__(self) -> int:
        return self.counts["records"]

    def uncategorised(self) -> int:
        """How many records have no category: the sources give none, or give it as null."""
        if "" not in self.codes:
            return 0
        number = self.codes.index("")
        begins = range(0, len(self), COUNTED_AT_ONCE)
        some = (self.records.codes_of(np.arange(n, min(n + COUNTED_AT_ONCE, len(self)))) for n in begins)
        return sum(int(np.count_nonzero(codes == number)) for codes in some)

    def __repr__(self) -> str:
        return f"<HashSet {self.name!r} generation {self.generation}, {len(self)} records>"

    def exact(self, algorithm: str, digests: Bytes) -> tuple[Rows, Rows]:
        """Which records have these digests: query rows and record rows, int64, sorted by both.

        ``algorithm`` md5, sha1 or sha256; ``digests`` uint8[n, 16 | 20 | 32]. ValueError for another
        name, length or type. A set without that algorithm has no pairs.
        """
        length = DIGEST_BYTES.get(algorithm)
        if length is None:
            raise ValueError(f"exact knows {', '.join(DIGEST_BYTES)}, not {algorithm!r}")
        words = big_endian_words(checked_rows(digests, length, algorithm))
        if not self.counts[algorithm]:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        query_rows, rows = exact_pairs(self._index(algorithm), words)
        return query_rows, self._inside(rows, algorithm)

    def may_hold(self, algorithm: str, digest: bytes) -> bool:
        """Whether a record may have this digest, told by its first 8 bytes: False is certain, :meth:`exact` says the

        rest. For questions that come one by one, nearly all of them about strangers.
        """
        if not self.counts[algorithm]:
            return False
        return may_be_in(self._index(algorithm), int.from_bytes(digest[:8], "big"))

    def near(self, algorithm: str, hashes: Bytes, radius: int) -> tuple[Rows, Rows, Distances]:
        """All records within ``radius`` bits: query rows, record rows (int64), distances (uint16), sorted by both.

        ``algorithm`` pdq or phash; ``hashes`` uint8[n, 32 | 8]. A record with several hashes answers
        once, with the nearest. No guard is applied: flat and low-quality hashes are the matcher's concern.
        """
        from caid_triage.hashset.hamming import nearest_per_record  # noqa: PLC0415

        query_rows, unique, distances = self.near_unique(algorithm, hashes, radius)
        entries, source = self.entries_of(algorithm, unique)
        rows = self.entry_records(algorithm, entries)
        query_rows, rows, distances, _ = nearest_per_record(query_rows[source], rows, distances[source])
        return query_rows, rows, distances

    def near_photodna(self, vectors: Bytes, threshold: int) -> tuple[Rows, Rows, SquaredDistances]:
        """All records whose PhotoDNA vector is within ``threshold`` (squared L2) of these: query rows, record rows,
        squared distances (uint32), sorted by both.

        ``vectors`` uint8[n, 144], as a licensed plug-in computes them. A set without such vectors has no pairs.
        """
        from caid_triage.hashset.photodna import MOST, near_vectors  # noqa: PLC0415

        if not 0 <= threshold <= MOST:
            raise ValueError(f"threshold must be 0 to {MOST} (squared L2), not {threshold}")
        queries = checked_rows(vectors, PHOTODNA_BYTES, "photodna")
        if not self.counts["photodna"]:
            nothing = np.zeros(0, dtype=np.int64)
            return nothing, nothing, np.zeros(0, dtype=np.uint32)
        stored, lengths = self._columns["photodna/vec.npy"], self._columns["photodna/norm.npy"]
        query_rows, entries, distances = near_vectors(stored, lengths, queries, threshold)
        return query_rows, self.entry_records("photodna", entries), distances

    def near_unique(self, algorithm: str, hashes: Bytes, radius: int) -> tuple[Rows, Rows, Distances]:
        """As :meth:`near`, but the second array counts the set's different hashes of this kind, not its records."""
        from caid_triage.hashset.hamming import near_hashes  # noqa: PLC0415

        length = PERCEPTUAL_BYTES.get(algorithm)
        if length is None:
            raise ValueError(f"near knows {', '.join(PERCEPTUAL_BYTES)}, not {algorithm!r}")
        if not 0 <= radius <= 8 * length:
            raise ValueError(f"radius must be 0 to {8 * length} bits for {algorithm}, not {radius}")
        queries = big_endian_words(checked_rows(hashes, length, algorithm))
        words = self.perceptual_words(algorithm)
        try:
            found = near_hashes(words, self.near_index(algorithm), queries, radius)
        except HashSetError as error:
            raise HashSetError(f"{printable(self.path.name)}: {error}") from error
        if found[1].size and int(found[1].max()) >= len(words[0]):
            raise HashSetError(f"{self._where(f'{algorithm}/mih_ids.npy')} is damaged. Run hashset verify. {REBUILD}")
        return found

    def unique_words(self, algorithm: str, unique: Rows) -> Words:
        """These different perceptual hashes of the set as uint64[words, n]: 4 words of PDQ, 1 of pHash."""
        return np.stack([word[unique] for word in self.perceptual_words(algorithm)])

    def entries_of(self, algorithm: str, unique: Rows) -> tuple[Rows, Rows]:
        """The set's hashes, one a record, behind different hashes; and which of ``unique`` each is from."""
        if not self.counts[algorithm]:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        start = np.asarray(self._columns[f"{algorithm}/start.npy"])
        first = start[unique].astype(np.int64)
        counts = start[unique + 1].astype(np.int64) - first
        if counts.size and (int(counts.min()) < 1 or int((first + counts).max()) > self.counts[algorithm]):
            raise HashSetError(f"{self._where(f'{algorithm}/start.npy')} is damaged. Run hashset verify. {REBUILD}")
        source = np.repeat(np.arange(len(unique), dtype=np.int64), counts)
        within = np.arange(len(source), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
        return first[source] + within, source

    def pdq_quality(self) -> NDArray[np.uint8]:
        """The quality of each PDQ hash of the set, 0..100; 255 where the source did not state one."""
        return np.asarray(self._columns.get("pdq/quality.npy", np.zeros(0, dtype=np.uint8)))

    def pdq_frames(self) -> tuple[NDArray[np.uint32], NDArray[np.uint32]] | None:
        """The frame number of each PDQ hash of the set and its time in milliseconds, 2**32 - 1 where the source did

        not state it; None if no hash is of a video's frame. :mod:`caid_triage.hashset.frames` has them by video.
        """
        if _FRAMES[0] not in self._columns:
            return None
        numbers, times = (np.asarray(self._columns[name]) for name in _FRAMES)
        return numbers, times

    def entry_records(self, algorithm: str, entries: Rows) -> Rows:
        """The record row of each perceptual hash of the set."""
        if not self.counts[algorithm]:
            return np.zeros(0, dtype=np.int64)
        records = self._records_of(algorithm)
        if entries.size and int(entries.max()) >= len(records):
            raise HashSetError(f"{self._where(f'{algorithm}/start.npy')} is damaged. Run hashset verify. {REBUILD}")
        return self._inside(records[entries].astype(np.int64), algorithm)

    def categories(self, rows: Rows) -> list[Category]:
        """The category of each of these records, as far as a report may print it."""
        return [self._categories[code] for code in self.records.codes_of(rows).tolist()]

    def digests(self, algorithm: str) -> tuple[NDArray[np.uint64], Rows]:
        """All digests of one kind, sorted, as words uint64[n, w], and the record row of each."""
        if not self.counts[algorithm]:
            return np.zeros((0, -(-DIGEST_BYTES[algorithm] // 8)), dtype=np.uint64), np.zeros(0, dtype=np.int64)
        return np.asarray(self._columns[f"{algorithm}/rows.npy"]), self._records_of(algorithm).astype(np.int64)

    def check_unchanged(self) -> None:
        """Refuse a set whose files were cut or written to since it was opened; HashSetError names one.

        What is read is the file itself, not a copy: a changed byte could hide a hit, and reading behind a new end ends
        the process. A set that was built again in its place changes nothing here: its old files live on.
        """
        for name, file in self._files.items():
            if file.changed():
                raise HashSetError(f"{self._where(name)} was changed while the set was in use. {REBUILD}")

    def verify(self) -> None:
        """Read every byte again; VerificationError names the file whose checksum is not the manifest's."""
        folder = self.path / self.manifest["folder"]
        for name, facts in self.manifest["columns"].items():
            try:
                checksum = file_sha256(folder / name)
            except OSError as error:
                raise VerificationError(f"{self._where(name)} cannot be read: {error.strerror or error}.") from error
            if checksum != facts["sha256"]:
                raise VerificationError(f"{self._where(name)} is not what was built (sha256 differs). {REBUILD}")
        if generation_of(self.manifest) != self.generation:
            raise VerificationError(f"{self._where(MANIFEST)} names another generation than its files. {REBUILD}")

    def perceptual_words(self, algorithm: str) -> tuple[NDArray[np.uint64], ...]:
        """The different perceptual hashes of one kind, sorted, one array a word."""
        count = PERCEPTUAL_BYTES[algorithm] // 8
        if not self.counts[algorithm]:
            return (np.zeros(0, dtype=np.uint64),) * count
        return tuple(np.asarray(self._columns[f"{algorithm}/word{number}.npy"]) for number in range(count))

    def near_index(self, algorithm: str) -> MihIndex | None:
        """The multi-index hashing tables of one kind; a small set has none."""
        start = self._columns.get(f"{algorithm}/mih_start.npy")
        if start is None:
            return None
        from caid_triage.hashset.mih import MihIndex, chunk_bits  # noqa: PLC0415

        ids = np.asarray(self._columns[f"{algorithm}/mih_ids.npy"])
        words = f"{algorithm}/word0.npy"
        bits = chunk_bits(algorithm, len(ids) // len(self._columns[words]))
        values = self._columns.get(f"{algorithm}/mih_values.npy")
        if algorithm not in self._sound:  # once: it reads the tables through
            if not points_inside(start, ids, sum(1 << width for width in bits), len(self._columns[words])):
                raise HashSetError(f"{self._where(f'{algorithm}/mih_ids.npy')} is damaged. {REBUILD}")
            self._sound.add(algorithm)
        return MihIndex(bits, np.asarray(start), ids, None if values is None else np.asarray(values))

    def _index(self, algorithm: str) -> DigestIndex:
        """The digests of one kind, of which there are some, as they are searched."""
        if algorithm not in self._indexes:
            names = ("rows", "rec", "table", "fp32", "present")
            columns = (np.asarray(self._columns[f"{algorithm}/{name}.npy"]) for name in names)
            self._indexes[algorithm] = DigestIndex(*columns)
        return self._indexes[algorithm]

    def _records_of(self, algorithm: str) -> NDArray[np.uint32]:
        return np.asarray(self._columns[f"{algorithm}/rec.npy"])

    def _inside(self, rows: Rows, algorithm: str) -> Rows:
        """A record row beyond the last record can only be damage that opening does not look for."""
        if rows.size and int(rows.max()) >= len(self):
            raise HashSetError(f"{self._where(f'{algorithm}/rec.npy')} is damaged. Run hashset verify. {REBUILD}")
        return rows

    def _where(self, name: str) -> str:
        return f"{printable(self.path.name)}: {name}"


def open_hashset(path: str | Path) -> HashSet:
    """Open a ``NAME.chs`` folder; HashSetError names the file that is missing, damaged or of another version."""
    path = Path(path)
    manifest = read_manifest(path)
    try:
        return _opened(path, manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # sealed, but not by this tool
        raise HashSetError(
            f"{printable(path.name)}: {MANIFEST} is damaged ({type(error).__name__}). {REBUILD}"
        ) from error


def _opened(path: Path, manifest: dict[str, Any]) -> HashSet:
    """The set of a manifest; what is wrong with its columns is a HashSetError, with itself any of Python's errors."""
    if Path(manifest["folder"]).name != manifest["folder"] or not str(manifest["folder"]).startswith(DATA_PREFIX):
        raise HashSetError(f"{printable(path.name)}: {MANIFEST} names a folder outside of the set. {REBUILD}")
    folder = path / manifest["folder"]
    opened = {name: open_column(path, folder.name, name, facts) for name, facts in manifest["columns"].items()}
    columns = {name: column for name, (column, _) in opened.items()}
    where = printable(path.name or path)
    records = manifest["counts"]["records"]
    for name in _REQUIRED:
        if name not in columns:
            raise HashSetError(f"{where}: {name} is not in the manifest. {REBUILD}")
        per_record = "series_text" not in name and name != "records/media_id.npy"
        if per_record and len(columns[name]) != records:
            raise HashSetError(f"{where}: {name} has {len(columns[name])} rows for {records} records. {REBUILD}")
    for kind, (of_hashes, others) in _OF_KIND.items():
        count = manifest["counts"][kind]
        for name in (f"{kind}/{column}.npy" for column in (*of_hashes, *others) if count):
            if name not in columns:
                raise HashSetError(f"{where}: {name} is not in the manifest. {REBUILD}")
        for name in (f"{kind}/{column}.npy" for column in of_hashes if count):
            if len(columns[name]) != count:
                raise HashSetError(f"{where}: {name} has {len(columns[name])} rows for {count} hashes. {REBUILD}")
    found = [len(columns[name]) for name in _FRAMES if name in columns]
    if found and found != [manifest["counts"]["pdq"]] * len(_FRAMES):
        raise HashSetError(f"{where}: {_FRAMES[0]} and {_FRAMES[1]} do not fit the set's PDQ hashes. {REBUILD}")
    for kind in DIGEST_BYTES:
        count = manifest["counts"][kind]
        slots = 1 << prefix_bits(count)
        for name, length in ((f"{kind}/table.npy", slots + 1), (f"{kind}/present.npy", slots)) if count else ():
            if len(columns[name]) != length:
                raise HashSetError(f"{where}: {name} has {len(columns[name])} rows for {count} hashes. {REBUILD}")
    _check_blocks(manifest, columns, where)
    for name in uneven(columns):
        raise HashSetError(f"{where}: {name} does not fit the set's other files. {REBUILD}")
    return HashSet(path, manifest, columns, {name: file for name, (_, file) in opened.items()})


def _check_blocks(manifest: Mapping[str, Any], columns: Mapping[str, Column], where: str) -> None:
    """HashSetError where the columns of a block set are missing or do not fit each other."""
    count = int(manifest["counts"].get("blocks", 0))
    if not count:
        return
    if int(manifest["blocks"]["size"]) not in BLOCK_SIZES:
        raise HashSetError(f"{where}: {MANIFEST} names blocks of a size that no set has. {REBUILD}")
    slots = 1 << prefix_bits(count)
    lengths = {**dict.fromkeys(_OF_BLOCKS, count), "table": slots + 1, "present": slots}
    for name, length in lengths.items():
        column = columns.get(f"blocks/{name}.npy")
        if column is None or len(column) != length:
            raise HashSetError(f"{where}: blocks/{name}.npy does not fit the {count} blocks of the set. {REBUILD}")


def read_manifest(path: Path) -> dict[str, Any]:
    """The checked manifest of a set; HashSetError if the folder is none, of another version, or changed."""
    where = printable(path.name or path)
    file = path / MANIFEST
    if not path.exists():
        raise HashSetError(f"{where}: no such hash set. Make it with: caid-triage hashset build.")
    if not file.is_file():
        raise HashSetError(
            f"{where}: is not a hash set ({MANIFEST} is missing). "
            "Give a NAME.chs folder, made by `caid-triage hashset build`."
        )
    try:
        if file.stat().st_size > MOST_MANIFEST:
            raise HashSetError(f"{where}: {MANIFEST} is larger than any that this tool writes. {REBUILD}")
        manifest = json.loads(file.read_bytes())
    except OSError as error:
        raise HashSetError(f"{where}: {MANIFEST} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise HashSetError(f"{where}: {MANIFEST} is damaged (not JSON). {REBUILD}") from error
    if not isinstance(manifest, dict) or manifest.get("magic") != MAGIC:
        raise HashSetError(f"{where}: is not a hash set ({MANIFEST} is of another program).")
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise HashSetError(
            f"{where}: {MANIFEST} says format version {version}, this tool reads {FORMAT_VERSION}. "
            "Use the version of the tool that made it, or build the set again from its source files."
        )
    if manifest.get("seal") != seal_of(manifest):
        raise HashSetError(f"{where}: {MANIFEST} was changed after the set was built. {REBUILD}")
    return manifest
