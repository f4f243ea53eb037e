"""A block set of a unit's own graded files: the hashes of their blocks, less those that say nothing of their file."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from caid_triage.errors import HashSetError, UsageError
from caid_triage.hashset.algorithms import EMPTY_CONTENT, Words, first_of_runs
from caid_triage.hashset.block_guards import REASONS, reasons_of, structures
from caid_triage.hashset.block_hash import BLOCK_SIZES, WIDTH, block_words
from caid_triage.hashset.blocks import BlockIndex
from caid_triage.hashset.build import BuildResult, checked_role, facts_of, save
from caid_triage.hashset.column_files import ColumnWriter
from caid_triage.hashset.columns import RecordColumns
from caid_triage.hashset.external_sort import sort_rows, sorted_blocks
from caid_triage.hashset.make import category_of, files_below
from caid_triage.hashset.prefix import PrefixTable, PresenceBits, fingerprints
from caid_triage.hashset.rows import Row, printable
from caid_triage.hashset.schemes import NO_SCHEME, CategoryScheme, load_scheme
from caid_triage.hashset.spool import Spool, nameless_file
from caid_triage.hashset.store import open_hashset
from caid_triage.hashset.write import is_hashset, refuse_other_folder
from caid_triage.model import RefusedRow, Role

_PIECE = 4 << 20
_SPILL = 1 << 20
MOST_BLOCKS = 2**32 - 1
SEVERAL_FILES, SAME_FILE, COMMON = "in several files of the set", "twice in its file", "in what is known to be common"
Told = Callable[[int, int], None]


def make_block_set(
    folder: str | Path,
    out: str | Path,
    block_size: int = 4096,
    name: str | None = None,
    scheme: str | Path | CategoryScheme | None = None,
    role: Role | str = Role.NOTABLE,
    common: Sequence[str | Path] = (),
    progress: Told | None = None,
) -> BuildResult:
    """Hash the aligned whole blocks of every file under ``folder``; the first sub-folder's name is the category code.

    A record is a file, with its digests, so that the set is an exact set of these files too. Left out and counted in
    the manifest are the blocks that block_guards.py names, that stand more than once, and those of ``common``: block
    sets, or folders of harmless files. A known-good set keeps each block once, in however many files it stands.
    ``progress(bytes, files)`` is called now and then. HashSetError where nothing is left, UsageError for another size.
    """
    folder, out, role = Path(folder), Path(out), checked_role(role)
    if block_size not in BLOCK_SIZES:
        raise UsageError(f"a block has {' or '.join(map(str, BLOCK_SIZES))} bytes, not {block_size}")
    if not folder.is_dir():
        raise HashSetError(f"{printable(folder)}: no such folder of graded files.")
    refuse_other_folder(out)
    chosen = scheme if isinstance(scheme, CategoryScheme) else load_scheme(NO_SCHEME if scheme is None else scheme)
    known = [_common_index(Path(path), block_size) for path in common]
    left_out, refused, listing, total = Counter[str](), list[RefusedRow](), hashlib.sha256(), 0
    with ExitStack() as stack:
        columns = stack.enter_context(closing(RecordColumns(out.parent)))
        spool = stack.enter_context(closing(Spool("Q", WIDTH + 1, out.parent)))
        seen = set[bytes]()
        for number, path in enumerate(files_below(folder), 1):
            shown = printable(path.relative_to(folder))
            hashed = _Hashed(path, block_size, len(columns), left_out)
            try:
                for words in hashed:
                    spool.pending.frombytes(words.tobytes())
            except OSError as error:
                why = error.strerror or error
                raise HashSetError(f"{shown}: cannot be read: {why}. Nothing was written.") from error
            row = hashed.row(category_of(path, folder), str(number))
            digest = row.sha256 or b""
            reason = "the digest of an empty file" if digest in EMPTY_CONTENT else ""
            reason = "the content of an earlier file" if digest in seen else reason
            if reason:
                refused.append(RefusedRow(shown, "byte 0", reason))
                del spool.pending[len(spool.pending) - hashed.kept * (WIDTH + 1) :]
                left_out.subtract(hashed.left_out)
                continue
            seen.add(digest)
            listed = os.fsencode(path.relative_to(folder).as_posix())
            listing.update(digest.hex().encode() + b"  " + listed + b"\n")
            total += hashed.size
            columns.add(row, 0)
            if len(spool.pending) >= _SPILL:
                spool.spill()
            if progress is not None:
                progress(total, len(columns))
        kept = stack.enter_context(closing(_Kept(out.parent, repeats=role is Role.KNOWN_GOOD, common=known)))
        kept.take(spool, len(columns))
        if not len(kept):
            raise HashSetError(
                f"{printable(folder)}: holds no file with a block of {block_size} bytes that is its own. "
                "Nothing was written."
            )
        left_out.update(kept.left_out)
        facts = _facts(out, name, role, chosen, scheme, columns, folder, listing.hexdigest(), total, refused)
        facts["blocks"] = {
            "size": block_size,
            "kept": len(kept),
            "left_out": {reason: count for reason, count in sorted(left_out.items()) if count},
            "files": len(columns),
            "files_without": len(columns) - kept.files,
        }
        whole = columns.finish()
        whole = replace(whole, parts=(*whole.parts, kept.part), counts=whole.counts | {"blocks": len(kept)})
        return save(out, whole, facts, chosen, refused)


def _facts(
    out: Path, name: str | None, role: Role, chosen: CategoryScheme, scheme: object, columns: RecordColumns,
    folder: Path, listing: str, total: int, refused: Sequence[RefusedRow],
) -> dict[str, Any]:  # fmt: skip
    """The manifest's fields; the folder's provenance is the SHA-256 of what ``sha256sum`` would list of it."""
    source: dict[str, Any] = {"file": printable(folder.name), "size": total, "sha256": listing}
    source |= {"format": "graded folder", "model_url": "", "region": ""}
    source |= {"records": len(columns), "refused": len(refused)}
    chosen_by = "nothing: no scheme was given" if scheme is None else "the builder"
    facts = facts_of(out, name, role, chosen, chosen_by, columns.codes.texts, [source])
    reasons = Counter(row.reason for row in refused)
    return facts | {"refused": {"rows": len(refused), "reasons": dict(sorted(reasons.items()))}}


class _Hashed:
    """The blocks of one file that are kept, as rows of a probe, two words of SHA-256, and record and number.

    ``left_out`` counts the others, and so does the counter of the whole set that is given.
    """

    def __init__(self, path: Path, block_size: int, record: int, totals: Counter[str]) -> None:
        self._path, self._block_size, self._record, self._totals = path, block_size, record, totals
        self._digests = [hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False), hashlib.sha256()]
        self.left_out, self.kept, self.size = Counter[str](), 0, 0

    def __iter__(self) -> Iterator[Words]:
        """The rows, uint64[n, 4], some megabytes of the file at a time. Errors: OSError."""
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            count = size // self._block_size
            marked = np.zeros(count, dtype=np.int8)
            for start, end, reason in structures(file, size) if count else ():
                blocks = marked[start // self._block_size : (end - 1) // self._block_size + 1]
                blocks[blocks == 0] = reason
            file.seek(0)
            while piece := file.read(_PIECE):
                for digest in self._digests:
                    digest.update(piece)
                rows = self._rows(piece, marked)
                self.size += len(piece)
                self.kept += len(rows)
                yield rows
        self._totals.update(self.left_out)

    def _rows(self, piece: bytes, marked: np.ndarray) -> Words:
        first, whole = self.size // self._block_size, len(piece) // self._block_size
        reasons = np.zeros(whole, dtype=np.int8)
        known = marked[first : first + whole]  # shorter where the file has grown since
        reasons[: len(known)] = known
        blocks = np.frombuffer(piece, dtype=np.uint8, count=whole * self._block_size).reshape(whole, self._block_size)
        unmarked = np.flatnonzero(reasons == 0)
        reasons[unmarked] = reasons_of(blocks[unmarked])
        self.left_out.update(REASONS[reason] for reason in reasons.tolist() if reason)
        keep = np.flatnonzero(reasons == 0)
        rows = np.empty((len(keep), WIDTH + 1), dtype=np.uint64)
        rows[:, :WIDTH] = block_words(blocks[keep].tobytes(), self._block_size)
        rows[:, WIDTH] = (self._record << 32) + first + keep
        return rows

    def row(self, category: str, media_id: str) -> Row:
        """The record of the file, once all of it was read."""
        md5, sha1, sha256 = (digest.digest() for digest in self._digests)
        return Row(md5=md5, sha1=sha1, sha256=sha256, category=category, media_id=media_id, size=self.size)


class _Kept:
    """The rows of all files, sorted, without those that stand more than once or are known to be common."""

    def __init__(self, folder: Path, *, repeats: bool, common: Sequence[BlockIndex]) -> None:
        """``repeats``: of a block that stands more than once the first is kept."""
        self._rows = Spool("Q", WIDTH + 1, folder)
        self._folder, self._repeats, self._common = folder, repeats, common
        self.left_out, self.files = Counter[str](), 0

    def __len__(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        """Give back the disk space."""
        self._rows.close()

    def take(self, spool: Spool, files: int) -> None:
        """Take the rows in; ``files`` of them have any."""
        has_blocks = np.zeros(files, dtype=np.bool_)
        for group in _whole_groups(sorted_blocks(spool.blocks(), WIDTH + 1, partial(nameless_file, self._folder))):
            rows = self._without_common(self._without_repeats(group))
            has_blocks[(rows[:, WIDTH] >> np.uint64(32)).astype(np.int64)] = True
            self._rows.pending.frombytes(rows.tobytes())
            self._rows.spill()
        self.files = int(has_blocks.sum())
        if len(self._rows) > MOST_BLOCKS:
            raise HashSetError(f"more than {MOST_BLOCKS} blocks: split the set. Nothing was written.")

    def _without_repeats(self, rows: Words) -> Words:
        first = first_of_runs(*(rows[:, word] for word in range(WIDTH)))
        if first.all():
            return rows
        starts = np.flatnonzero(first)
        counts = np.diff(np.r_[starts, len(rows)])
        if self._repeats:
            return np.asarray(rows[starts])
        record = rows[:, WIDTH] >> np.uint64(32)
        several = np.maximum.reduceat(record, starts) != np.minimum.reduceat(record, starts)
        self.left_out[SEVERAL_FILES] += int(counts[several].sum())
        self.left_out[SAME_FILE] += int(counts[~several & (counts > 1)].sum())
        return np.asarray(rows[starts[counts == 1]])

    def _without_common(self, rows: Words) -> Words:
        for index in self._common:
            common = index.contains(np.ascontiguousarray(rows[:, :WIDTH]))
            self.left_out[COMMON] += int(common.sum())
            rows = rows[~common]
        return rows

    def part(self, writer: ColumnWriter) -> None:
        """Write the columns."""
        table, presence = PrefixTable(len(self)), PresenceBits(len(self))
        with ExitStack() as stack:
            rows = stack.enter_context(writer.create("blocks/rows.npy", np.uint64, WIDTH))
            records = stack.enter_context(writer.create("blocks/rec.npy", np.uint32))
            numbers = stack.enter_context(writer.create("blocks/number.npy", np.uint32))
            fp32 = stack.enter_context(writer.create("blocks/fp32.npy", np.uint32))
            slots = stack.enter_context(writer.create("blocks/table.npy", np.uint32))
            present = stack.enter_context(writer.create("blocks/present.npy", np.uint8))
            for block in self._rows.blocks():
                rows.append(block[:, :WIDTH])
                records.append(block[:, WIDTH] >> np.uint64(32))
                numbers.append(block[:, WIDTH] & np.uint64(0xFFFFFFFF))
                fp32.append(fingerprints(block[:, 0]))
                _append(slots, table.add(block))
                _append(present, presence.add(block))
            _append(slots, table.finish())
            _append(present, presence.finish())


def _append(file: Any, pieces: Iterable[np.ndarray]) -> None:
    for piece in pieces:
        file.append(piece)


def _whole_groups(blocks: Iterable[Words]) -> Iterator[Words]:
    """Sorted rows again, cut so that those of equal blocks are never in two pieces."""
    left = np.zeros((0, WIDTH + 1), dtype=np.uint64)
    for block in blocks:
        rows = np.concatenate([left, block])
        last = int(np.flatnonzero(first_of_runs(*(rows[:, word] for word in range(WIDTH))))[-1])
        yield rows[:last]
        left = rows[last:].copy()
    if len(left):
        yield left


def _common_index(path: Path, block_size: int) -> BlockIndex:
    """What is common: the blocks of a set, or of every file of a folder (worked out in memory)."""
    where = printable(path.name)
    if is_hashset(path):
        opened = open_hashset(path)
        if opened.blocks is None or opened.blocks.size != block_size:
            raise HashSetError(f"{where}: is no set of blocks of {block_size} bytes.")
        return opened.blocks.index
    if not path.is_dir():
        raise HashSetError(f"{where}: is neither a block set nor a folder of harmless files.")
    found = [np.zeros((0, WIDTH), dtype=np.uint64)]
    for file in files_below(path):
        try:
            with file.open("rb") as opened_file:
                while piece := opened_file.read(_PIECE):
                    found.append(block_words(piece, block_size))
        except OSError as error:
            raise HashSetError(f"{printable(file.name)}: cannot be read: {error.strerror or error}.") from error
    return index_of(np.concatenate(found), block_size)


def index_of(words: Words, block_size: int) -> BlockIndex:
    """The index of blocks in memory, from their words uint64[n, 3]; each stands in it once."""
    rows = sort_rows(words) if len(words) else words
    rows = rows[first_of_runs(*(rows[:, word] for word in range(WIDTH)))] if len(rows) else rows
    table, presence = PrefixTable(len(rows)), PresenceBits(len(rows))
    slots = np.concatenate([*table.add(rows), *table.finish()])
    present = np.concatenate([*presence.add(rows), *presence.finish()])
    return BlockIndex(block_size, rows, slots, fingerprints(rows[:, 0]), present)
