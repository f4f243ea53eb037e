"""The columns of a set from whole arrays, without a Python object an entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import DIGEST_BYTES, PERCEPTUAL_BYTES, PHOTODNA_BYTES, Bytes, checked_rows
from caid_triage.hashset.columns import (
    QUALITY_UNKNOWN,
    SIZE_UNKNOWN,
    Columns,
    TextColumn,
    digest_columns,
    pdq_columns,
    phash_columns,
    photodna_columns,
    record_columns,
)
from caid_triage.hashset.rows import HAS_DIGEST

_LENGTHS = {**DIGEST_BYTES, **PERCEPTUAL_BYTES, "photodna": PHOTODNA_BYTES}
Mask = NDArray[np.bool_]


def columns_of_arrays(
    hashes: Mapping[str, Bytes | None],
    masks: Mapping[str, Mask | None],
    pdq_quality: NDArray[np.uint8] | None,
    category: Sequence[str | int] | NDArray[Any] | str | int | None,
    media_id: Sequence[str | int] | NDArray[Any] | None,
    size: NDArray[np.int64] | None,
    flags: NDArray[np.uint16] | None,
) -> tuple[Columns, list[str]]:
    """The columns by file name and the category codes; ValueError where shapes or values do not fit together."""
    given = {kind: checked_rows(values, _LENGTHS[kind], kind) for kind, values in hashes.items() if values is not None}
    if not given:
        raise ValueError("no hashes were given: at least one of " + ", ".join(_LENGTHS))
    count = len(next(iter(given.values())))
    for kind, values in given.items():
        _refuse_other_length(kind, len(values), count)
    present = {kind: _mask(kind, masks[kind], count) for kind in given}
    for kind, mask in masks.items():
        if mask is not None and kind not in given:
            raise ValueError(f"{kind}_present needs {kind}")
    numbers, codes = _codes(category, count)
    columns = record_columns(
        category=numbers,
        media_id=_media_ids(media_id, count),
        size=_sizes(size, count),
        flags=_flags(flags, present, count),
        source=np.zeros(count, dtype=np.uint16),
        series=np.zeros(count, dtype=np.uint32),
        series_texts=_texts([""]),
    )
    for kind, values in given.items():
        rows = np.flatnonzero(present[kind])
        columns |= _hash_columns(kind, values[rows], rows.astype(np.uint32), _quality(pdq_quality, count)[rows])
    return columns, codes


def _hash_columns(kind: str, values: Bytes, rows: NDArray[np.uint32], quality: NDArray[np.uint8]) -> Columns:
    if kind in DIGEST_BYTES:
        return digest_columns(kind, values, rows)
    if kind == "pdq":
        return pdq_columns(values, rows, quality)
    return phash_columns(values, rows) if kind == "phash" else photodna_columns(values, rows)


def _refuse_other_length(what: str, length: int, count: int) -> None:
    if length != count:
        raise ValueError(f"{what} has {length} rows, the others {count}")


def _mask(kind: str, mask: Mask | None, count: int) -> Mask:
    if mask is None:
        return np.ones(count, dtype=np.bool_)
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.ndim != 1:
        raise ValueError(f"{kind}_present must be bool[n]")
    _refuse_other_length(f"{kind}_present", len(array), count)
    return array


def _quality(quality: NDArray[np.uint8] | None, count: int) -> NDArray[np.uint8]:
    """The PDQ quality of each record, 255 where not known."""
    if quality is None:
        return np.full(count, QUALITY_UNKNOWN, dtype=np.uint8)
    array = np.asarray(quality)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError("pdq_quality must be whole numbers, one a record")
    _refuse_other_length("pdq_quality", len(array), count)
    if array.size and not 0 <= int(array.min()) <= int(array.max()) <= 100:
        raise ValueError("pdq_quality must be 0 to 100")
    return array.astype(np.uint8)


def _codes(
    category: Sequence[str | int] | NDArray[Any] | str | int | None, count: int
) -> tuple[NDArray[np.uint16], list[str]]:
    """The number of each record's code, and the codes."""
    if category is None or isinstance(category, (str, int)):
        return np.zeros(count, dtype=np.uint16), ["" if category is None else str(category)]
    array = np.asarray(category)
    if array.dtype == np.object_ and all(value is None or type(value) in (str, int) for value in array.tolist()):
        array = np.array(["" if value is None else str(value) for value in array.tolist()], dtype=np.str_)
    if array.dtype.kind not in "iuU" and array.size:
        raise ValueError("category must be texts or whole numbers")
    _refuse_other_length("category", len(array), count)
    values, numbers = np.unique(array, return_inverse=True)
    if len(values) > np.iinfo(np.uint16).max:
        raise ValueError("more than 65535 different category codes")
    return numbers.astype(np.uint16), [str(value) for value in values.tolist()]


def _texts(texts: Sequence[Any]) -> TextColumn:
    column = TextColumn()
    for text in texts:
        column.append(str(text))
    return column


def _media_ids(media_id: Sequence[str | int] | NDArray[Any] | None, count: int) -> TextColumn:
    if media_id is None:
        return _texts([""] * count)
    _refuse_other_length("media_id", len(media_id), count)
    return _texts(media_id.tolist() if isinstance(media_id, np.ndarray) else media_id)


def _sizes(size: NDArray[np.int64] | None, count: int) -> NDArray[np.int64]:
    if size is None:
        return np.full(count, SIZE_UNKNOWN, dtype=np.int64)
    array = np.ma.asarray(size)
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise ValueError("size must be whole numbers of bytes, one a record")
    _refuse_other_length("size", len(array), count)
    if array.count() and int(array.min()) < 0:
        raise ValueError("size is negative; mask the sizes that are not known")
    return np.where(np.ma.getmaskarray(array), SIZE_UNKNOWN, array.data).astype(np.int64)


def _flags(flags: NDArray[np.uint16] | None, present: Mapping[str, Mask], count: int) -> NDArray[np.uint16]:
    """The given flags with the bits for the digests that are there."""
    result = np.zeros(count, dtype=np.uint16)
    if flags is not None:
        _refuse_other_length("flags", len(flags), count)
        result |= np.asarray(flags).astype(np.uint16)
    for kind, bit in HAS_DIGEST.items():
        result &= np.uint16(0xFFFF ^ bit)
        if kind in present:
            result[present[kind]] |= np.uint16(bit)
    return result
