"""How the hashes of one kind become columns: sorted, equal perceptual hashes once, with what finds them fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import DIGEST_BYTES, PERCEPTUAL_BYTES, Bytes, Words, big_endian_words
from caid_triage.hashset.column_files import ColumnWriter
from caid_triage.hashset.external_sort import sorted_blocks
from caid_triage.hashset.mih import LEAST_ENTRIES, WordColumns, chunk_bits, chunks_for, index_tables
from caid_triage.hashset.photodna import squared_lengths
from caid_triage.hashset.prefix import PrefixTable, PresenceBits, fingerprints


@dataclass(frozen=True, slots=True)
class HashBlock:
    """Some hashes uint8[n, length], the record of each, and its quality (255: not stated).

    ``frames`` uint64[n] if any hash of the set is of a video's frame: as in ``batch.HashColumn``.
    """

    hashes: Bytes
    records: NDArray[np.uint32]
    quality: NDArray[np.uint8]
    frames: NDArray[np.uint64] | None = None


HashBlocks = Callable[[], Iterable[HashBlock]]


def hash_part(kind: str, blocks: HashBlocks, count: int, *, frames: bool = False) -> Callable[[ColumnWriter], None]:
    """Writes the columns of ``count`` hashes of one kind; ``frames``: its blocks say of which frame each hash is."""

    def write(writer: ColumnWriter) -> None:
        if kind in DIGEST_BYTES:
            _write_digests(writer, kind, blocks, count)
        elif kind in PERCEPTUAL_BYTES:
            _write_perceptual(writer, kind, blocks, frames=frames)
        else:
            _write_vectors(writer, kind, blocks)

    return write


def _sorted(writer: ColumnWriter, blocks: HashBlocks, width: int, more: int = 0) -> Iterator[Words]:
    """The hashes as words, sorted, then a word that holds the record and, in its last 8 bits, the quality; with

    ``more`` = 1 a last word that holds the frame.
    """

    def rows() -> Iterator[Words]:
        for block in blocks():
            table = np.empty((len(block.hashes), width + 1 + more), dtype=np.uint64)
            table[:, :width] = big_endian_words(block.hashes)
            table[:, width] = (block.records.astype(np.uint64) << np.uint64(8)) | block.quality
            if block.frames is not None:
                table[:, width + 1] = block.frames
            yield table

    return sorted_blocks(rows(), width + 1 + more, writer.scratch)


def _write_digests(writer: ColumnWriter, kind: str, blocks: HashBlocks, count: int) -> None:
    width = -(-DIGEST_BYTES[kind] // 8)
    with ExitStack() as stack:
        rows = stack.enter_context(writer.create(f"{kind}/rows.npy", np.uint64, width))
        records = stack.enter_context(writer.create(f"{kind}/rec.npy", np.uint32))
        fp32 = stack.enter_context(writer.create(f"{kind}/fp32.npy", np.uint32))
        table = stack.enter_context(writer.create(f"{kind}/table.npy", np.uint32))
        present = stack.enter_context(writer.create(f"{kind}/present.npy", np.uint8))
        prefix_table, presence = PrefixTable(count), PresenceBits(count)
        for block in _sorted(writer, blocks, width):
            rows.append(block[:, :width])
            records.append(block[:, width] >> np.uint64(8))
            fp32.append(fingerprints(block[:, 0]))
            for slots in prefix_table.add(block):
                table.append(slots)
            for bits in presence.add(block):
                present.append(bits)
        for slots in prefix_table.finish():
            table.append(slots)
        for bits in presence.finish():
            present.append(bits)


def _write_perceptual(writer: ColumnWriter, kind: str, blocks: HashBlocks, *, frames: bool = False) -> None:
    """Each different hash once, in order; ``start`` says where its records (and qualities) begin."""
    width = PERCEPTUAL_BYTES[kind] // 8
    with ExitStack() as stack:
        words = [stack.enter_context(writer.create(f"{kind}/word{number}.npy", np.uint64)) for number in range(width)]
        start = stack.enter_context(writer.create(f"{kind}/start.npy", np.uint32))
        records = stack.enter_context(writer.create(f"{kind}/rec.npy", np.uint32))
        quality = stack.enter_context(writer.create(f"{kind}/quality.npy", np.uint8)) if kind == "pdq" else None
        numbers = stack.enter_context(writer.create(f"{kind}/frame.npy", np.uint32)) if frames else None
        times = stack.enter_context(writer.create(f"{kind}/time_ms.npy", np.uint32)) if frames else None
        written, last = 0, np.zeros((0, width), dtype=np.uint64)
        for block in _sorted(writer, blocks, width, int(frames)):
            hashes = block[:, :width]
            new = np.ones(len(block), dtype=np.bool_)
            new[1:] = (hashes[1:] != hashes[:-1]).any(axis=1)
            new[0] = not len(last) or bool((hashes[0] != last[0]).any())
            for number, word in enumerate(words):
                word.append(hashes[new, number])
            start.append(np.flatnonzero(new) + written)
            records.append(block[:, width] >> np.uint64(8))
            if quality is not None:
                quality.append(block[:, width] & np.uint64(0xFF))
            if numbers is not None and times is not None:
                numbers.append(block[:, width + 1] >> np.uint64(32))
                times.append(block[:, width + 1] & np.uint64(0xFFFFFFFF))
            written, last = written + len(block), hashes[-1:].copy()
        start.append(np.array([written]))
    _write_index(writer, kind, [writer.open(f"{kind}/word{number}.npy") for number in range(width)])


def _write_vectors(writer: ColumnWriter, kind: str, blocks: HashBlocks) -> None:
    """PhotoDNA bytes as they came, and the squared length of each."""
    with ExitStack() as stack:
        vectors = stack.enter_context(writer.create(f"{kind}/vec.npy", np.uint8, 144))
        records = stack.enter_context(writer.create(f"{kind}/rec.npy", np.uint32))
        norms = stack.enter_context(writer.create(f"{kind}/norm.npy", np.uint32))
        for block in blocks():
            vectors.append(block.hashes)
            records.append(block.records)
            norms.append(squared_lengths(block.hashes))


def _write_index(writer: ColumnWriter, kind: str, words: WordColumns, least: int = LEAST_ENTRIES) -> None:
    """Write the tables of ``words`` (different hashes, w columns); a small set gets none."""
    entries = len(words[0])
    if entries < least:
        return
    bits = chunk_bits(kind, chunks_for(kind, entries))
    places = np.uint32 if entries * len(bits) < 1 << 32 else np.uint64
    with ExitStack() as stack:
        start = stack.enter_context(writer.create(f"{kind}/mih_start.npy", places))
        ids = stack.enter_context(writer.create(f"{kind}/mih_ids.npy", np.uint32))
        for begins, members in index_tables(words, bits):
            start.append(begins)
            ids.append(members)
    if len(words) == 1:
        members = writer.open(f"{kind}/mih_ids.npy")
        with writer.create(f"{kind}/mih_values.npy", np.uint64) as values:
            for number in range(len(bits)):
                values.append(words[0].take(members[number * entries : (number + 1) * entries]))
