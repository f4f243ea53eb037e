"""Some thousand VICS Media records at once as columns, several times faster than one by one.

It knows only the usual: values of the usual type and length. A record with anything else is *odd* and is left
to ``vics_record``, so that there is one place that says what is accepted and why not.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import Bytes
from caid_triage.hashset.batch import (
    HASH_BYTES,
    QUALITY_NOT_STATED,
    SIZE_NOT_STATED,
    HashColumn,
    RowBatch,
    coded,
    joined_texts,
)
from caid_triage.hashset.readers.fields import UnusableError, byte_size, category_code, is_true
from caid_triage.hashset.readers.vics_record import FIELDS, FLAGS, HASHES, IGNORED_FILES
from caid_triage.hashset.rows import HAS_DIGEST, SourceFile

_NOTHING = type(None)
_PLAIN = {str, int, _NOTHING}
Values = list[Any]


class OddError(ValueError):
    """Records that are not of the usual kind; ``rows`` are their numbers, None if it is all of them."""

    def __init__(self, rows: set[int] | None = None) -> None:
        super().__init__("odd records")
        self.rows = rows


def batch_of_media(records: Sequence[Any], offsets: NDArray[np.int64], source: SourceFile) -> RowBatch:
    """The batch of these records (dicts) that begin at these bytes; OddError if some need reading one by one.

    ``source.ignored`` is counted up only if it succeeds.
    """
    if set(map(type, records)) != {dict}:
        raise OddError({number for number, record in enumerate(records) if type(record) is not dict})
    keys = _spelling(set().union(*records))
    columns = {field: [record.get(key) for record in records] for field, key in keys.items()}
    if "alternativehashes" in columns and (odd := {i for i, v in enumerate(columns["alternativehashes"]) if v}):
        raise OddError(odd)
    count = len(records)
    odd = set[int]()
    hashes: dict[str, HashColumn] = {}
    flags = np.zeros(count, dtype=np.uint16)
    has_hash = np.zeros(count, dtype=np.bool_)
    for name, length in HASH_BYTES.items():
        column = hash_column(columns.get(name), length, odd, name)
        if column is not None:
            hashes[name] = column
            has_hash[column.rows] = True
            flags[column.rows] |= HAS_DIGEST.get(name, 0)
    category = _texts(columns.get("category"), count, odd, _PLAIN, category_code)
    series = _texts(columns.get("series"), count, odd, {str, _NOTHING}, _stripped)
    media_ids = _media_ids(columns.get("mediaid"), count, odd)
    size = sizes_column(columns.get("mediasize"), count, odd)
    for field, bit in FLAGS.items():
        if field in columns:
            flags[_yes(columns[field], odd)] |= bit
    odd.update(np.flatnonzero(~has_hash).tolist())
    if odd:
        raise OddError(odd)
    if files := sum(len(value) for value in columns.get("mediafiles", ()) if type(value) is list):
        source.ignored[IGNORED_FILES] += files
    category_numbers, category_texts = coded(category)
    series_numbers, series_texts = coded(series)
    media_id, ends = joined_texts(media_ids)
    return RowBatch(
        count=count,
        hashes=hashes,
        category=category_numbers,
        category_texts=category_texts,
        series=series_numbers,
        series_texts=series_texts,
        media_id=media_id,
        media_id_ends=ends,
        size=size,
        flags=flags,
        positions=offsets,
        position_word="byte",
    )


def _spelling(keys: set[str]) -> dict[str, str]:
    """How each of our fields is spelled in these records; OddError if one is spelled in two ways."""
    found: dict[str, str] = {}
    for key in keys:
        name = key.lower()
        if name in FIELDS:
            field = HASHES.get(name, name)
            if field in found:
                raise OddError
            found[field] = key
    return found


def hash_column(values: Values | None, length: int, odd: set[int], name: str) -> HashColumn | None:
    """The hashes of one kind from their texts; None if there are none. Rows not of the usual form go to ``odd``."""
    if values is None:
        return None
    rows: Sequence[int] = range(len(values))
    if None in values or "" in values:
        rows = [row for row in rows if values[row] is not None and values[row] != ""]
        values = [values[row] for row in rows]
        if not values:
            return None
    decode = _photodna if name == "photodna" else _from_hex
    packed = decode(values, length)
    if packed is None:
        alone = {row for row, value in zip(rows, values, strict=True) if decode([value], length) is None}
        odd.update(alone or rows)  # base64 beside hexadecimal: each good, but not together
        return None
    if name in HAS_DIGEST and not (there := packed.any(axis=1)).all():
        odd.update(np.asarray(rows)[~there].tolist())  # all zeros: a placeholder
    quality = np.full(len(values), QUALITY_NOT_STATED, dtype=np.uint8) if name == "pdq" else None
    return HashColumn(packed, np.asarray(rows, dtype=np.uint32), quality)


def _from_hex(values: Values, length: int) -> Bytes | None:
    """Hexadecimal texts as uint8[n, length]; None if one is anything else."""
    if set(map(type, values)) != {str} or set(map(len, values)) != {2 * length}:
        return None
    try:
        packed = binascii.unhexlify("".join(values))
    except ValueError:
        return None
    return np.frombuffer(packed, dtype=np.uint8).reshape(-1, length)


def _photodna(values: Values, length: int) -> Bytes | None:
    """PhotoDNA in base64 (or all in hexadecimal) as uint8[n, 144]; None if one is anything else."""
    if set(map(type, values)) != {str}:
        return None
    characters = set(map(len, values))
    if characters == {2 * length}:
        return _from_hex(values, length)
    if characters != {length // 3 * 4}:
        return None
    try:
        packed = binascii.a2b_base64("".join(values), strict_mode=True)
    except ValueError:
        return None
    return np.frombuffer(packed, dtype=np.uint8).reshape(-1, length) if len(packed) == length * len(values) else None


def _texts(
    values: Values | None, count: int, odd: set[int], types: set[type], text_of: Callable[[Any], str]
) -> Sequence[str]:
    """Few different values as texts; those of another type are odd."""
    if values is None:
        return [""] * count
    if not set(map(type, values)) <= types:
        odd.update(row for row, value in enumerate(values) if type(value) not in types)
        return [""] * count
    known = {value: text_of(value) for value in dict.fromkeys(values)}
    return [known[value] for value in values]


def _stripped(value: str | None) -> str:
    return "" if value is None else value.strip()


def _media_ids(values: Values | None, count: int, odd: set[int]) -> Sequence[str]:
    if values is None:
        return [""] * count
    types = set(map(type, values))
    if types == {int}:
        return list(map(str, values))
    if not types <= _PLAIN:
        odd.update(row for row, value in enumerate(values) if type(value) not in _PLAIN)
        return [""] * count
    return ["" if value is None else str(value).strip() for value in values]


def sizes_column(values: Values | None, count: int, odd: set[int]) -> NDArray[np.int64]:
    """Sizes in bytes int64[n], -1 where not stated. Rows with anything else go to ``odd``."""
    if values is None:
        return np.full(count, SIZE_NOT_STATED, dtype=np.int64)
    if set(map(type, values)) == {int}:
        try:
            sizes = np.array(values, dtype=np.int64)
        except OverflowError:
            pass
        else:
            if (sizes >= 0).all():
                return sizes
    stated = []
    for row, value in enumerate(values):
        try:
            size = byte_size(value)
        except UnusableError:
            odd.add(row)
            size = None
        stated.append(SIZE_NOT_STATED if size is None else size)
    return np.array(stated, dtype=np.int64)


def _yes(values: Values, odd: set[int]) -> NDArray[np.bool_]:
    """bool[n]: where a flag says yes."""
    types = {str, int, bool, _NOTHING}
    if not set(map(type, values)) <= types:
        odd.update(row for row, value in enumerate(values) if type(value) not in types)
        return np.zeros(len(values), dtype=np.bool_)
    known = {value: is_true(value) for value in dict.fromkeys(values)}
    return np.fromiter(map(known.__getitem__, values), dtype=np.bool_, count=len(values))
