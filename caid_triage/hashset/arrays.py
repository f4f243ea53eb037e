"""The columns of a set from whole arrays, without a Python object an entry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Bytes, checked_rows
from caid_triage.hashset.column_files import ColumnWriter
from caid_triage.hashset.columns import (
    HASH_BYTES,
    Blocks,
    Columns,
    Part,
    TextColumn,
    column_part,
    record_parts,
)
from caid_triage.hashset.hash_columns import HashBlock, hash_part
from caid_triage.hashset.manifest import QUALITY_UNKNOWN, SIZE_UNKNOWN
from caid_triage.hashset.rows import HAS_DIGEST

Mask = NDArray[np.bool_]
_BLOCK = 1 << 18  # rows looked at together


def columns_of_arrays(
    hashes: Mapping[str, Bytes | None],
    masks: Mapping[str, Mask | None],
    pdq_quality: NDArray[np.uint8] | None,
    category: Sequence[str | int] | NDArray[Any] | str | int | None,
    media_id: Sequence[str | int] | NDArray[Any] | None,
    size: NDArray[np.int64] | None,
    flags: NDArray[np.uint16] | None,
) -> tuple[Columns, list[str]]:
    """What is to be written and the category codes; ValueError where shapes or values do not fit together.

    The arrays may be memory-mapped: they are read block by block, when the columns are written.
    """
    given = {
        kind: checked_rows(values, HASH_BYTES[kind], kind) for kind, values in hashes.items() if values is not None
    }
    if not given:
        raise ValueError("no hashes were given: at least one of " + ", ".join(HASH_BYTES))
    count = len(next(iter(given.values())))
    for kind, values in given.items():
        _refuse_other_length(kind, len(values), count)
    for kind, mask in masks.items():
        if mask is not None and kind not in given:
            raise ValueError(f"{kind}_present needs {kind}")
    present = {kind: _mask(kind, masks[kind], count) for kind in given}
    quality = _quality(pdq_quality, count)
    codes_of, codes = _codes(category, count)
    parts = record_parts(
        category=codes_of,
        size=_sizes(size, count),
        flags=_flags(flags, present, count),
        source=_same(0, np.uint16, count),
        series=_same(0, np.uint32, count),
        media_id=_media_ids(media_id, count),
        series_texts=_texts([""]),
    )
    counts = {"records": count} | dict.fromkeys(HASH_BYTES, 0)
    for kind, values in given.items():
        mask = present[kind]
        counts[kind] = count if mask is None else int(np.count_nonzero(mask))
        if counts[kind]:
            blocks = _hash_blocks(values, mask, quality if kind == "pdq" else None)
            parts.append(hash_part(kind, blocks, counts[kind]))
    sized = sum(int(np.count_nonzero(block > 0)) for block in _sizes(size, count)()) if size is not None else 0
    return Columns(tuple(parts), counts, sized), codes


def _cuts(count: int) -> Iterator[slice]:
    """The rows in blocks."""
    return (slice(start, min(start + _BLOCK, count)) for start in range(0, count, _BLOCK))


def _same(value: int, dtype: Any, count: int) -> Blocks:
    """A column with one value."""
    return lambda: (np.full(cut.stop - cut.start, value, dtype=dtype) for cut in _cuts(count))


def _hash_blocks(
    values: Bytes, mask: Mask | None, quality: NDArray[np.uint8] | None
) -> Callable[[], Iterator[HashBlock]]:
    """The hashes that are there, block by block, with their records."""

    def blocks() -> Iterator[HashBlock]:
        for cut in _cuts(len(values)):
            there = np.arange(cut.stop - cut.start) if mask is None else np.flatnonzero(mask[cut])
            if not there.size:
                continue
            qualities = np.full(len(there), QUALITY_UNKNOWN, np.uint8) if quality is None else quality[cut][there]
            yield HashBlock(values[cut][there], (there + cut.start).astype(np.uint32), qualities)

    return blocks


def _refuse_other_length(what: str, length: int, count: int) -> None:
    if length != count:
        raise ValueError(f"{what} has {length} rows, the others {count}")


def _mask(kind: str, mask: Mask | None, count: int) -> Mask | None:
    if mask is None:
        return None
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.ndim != 1:
        raise ValueError(f"{kind}_present must be bool[n]")
    _refuse_other_length(f"{kind}_present", len(array), count)
    return array


def _quality(quality: NDArray[np.uint8] | None, count: int) -> NDArray[np.uint8] | None:
    """The PDQ quality of each record, None where none is known."""
    if quality is None:
        return None
    array = np.asarray(quality)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError("pdq_quality must be whole numbers, one a record")
    _refuse_other_length("pdq_quality", len(array), count)
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= 100:
        raise ValueError("pdq_quality must be 0 to 100")
    return array.astype(np.uint8)


def _codes(category: Sequence[str | int] | NDArray[Any] | str | int | None, count: int) -> tuple[Blocks, list[str]]:
    """The number of each record's code, and the codes."""
    if category is None or isinstance(category, (str, int)):
        return _same(0, np.uint16, count), ["" if category is None else str(category)]
    array = np.asarray(category)
    if array.dtype == np.object_ and all(value is None or type(value) in (str, int) for value in array.tolist()):
        array = np.array(["" if value is None else str(value) for value in array.tolist()], dtype=np.str_)
    if array.dtype.kind not in "iuU" and array.size:
        raise ValueError("category must be texts or whole numbers")
    _refuse_other_length("category", len(array), count)
    values = np.zeros(0, dtype=array.dtype)
    for cut in _cuts(count):
        values = np.union1d(values, array[cut])
        if len(values) > np.iinfo(np.uint16).max:
            raise ValueError("more than 65535 different category codes")
    numbers = lambda: (np.searchsorted(values, array[cut]) for cut in _cuts(count))  # noqa: E731
    return numbers, [str(value) for value in values.tolist()]


def _texts(texts: Iterable[Any]) -> TextColumn:
    column = TextColumn()
    for text in texts:
        column.append(str(text))
    return column


def _media_ids(media_id: Sequence[str | int] | NDArray[Any] | None, count: int) -> Part:
    if media_id is None:
        text = column_part("records/media_id.npy", np.uint8, tuple)
        ends = column_part("records/media_id_end.npy", np.uint64, _same(0, np.uint64, count))

        def write(writer: ColumnWriter) -> None:
            text(writer)
            ends(writer)

        return write
    _refuse_other_length("media_id", len(media_id), count)
    return _texts(media_id.tolist() if isinstance(media_id, np.ndarray) else media_id).part("records/media_id")


def _sizes(size: NDArray[np.int64] | None, count: int) -> Blocks:
    if size is None:
        return _same(SIZE_UNKNOWN, np.int64, count)
    array = np.ma.asarray(size)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise ValueError("size must be whole numbers of bytes, one a record")
    _refuse_other_length("size", len(array), count)
    if array.count() and int(array.min()) < 0:
        raise ValueError("size is negative; mask the sizes that are not known")
    return lambda: (
        np.where(np.ma.getmaskarray(array[cut]), SIZE_UNKNOWN, array[cut].data).astype(np.int64) for cut in _cuts(count)
    )


def _flags(flags: NDArray[np.uint16] | None, present: Mapping[str, Mask | None], count: int) -> Blocks:
    """The given flags with the bits for the digests that are there."""
    if flags is not None:
        _refuse_other_length("flags", len(flags), count)

    def blocks() -> Iterator[NDArray[np.uint16]]:
        for cut in _cuts(count):
            result = np.zeros(cut.stop - cut.start, dtype=np.uint16)
            if flags is not None:
                result |= np.asarray(flags[cut]).astype(np.uint16)
            for kind, bit in HAS_DIGEST.items():
                result &= np.uint16(0xFFFF ^ bit)
                if kind in present:
                    mask = present[kind]
                    result[slice(None) if mask is None else mask[cut]] |= np.uint16(bit)
            yield result

    return blocks
