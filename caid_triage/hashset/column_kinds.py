"""Whether the columns of a set are of the types and lengths that look-ups rely on, whoever made and sealed them.

A seal shows damage, not intent: whoever writes a manifest can seal it. What is checked here costs nothing, for it looks
at no content; a row that leads outside of the set is met where it is used (store.py, records.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from numpy.typing import NDArray

from caid_triage.errors import HashSetError
from caid_triage.hashset.algorithms import DIGEST_BYTES, PERCEPTUAL_BYTES, PHOTODNA_BYTES

Columns = Mapping[str, NDArray[Any]]
# Type of each column by its own name; of those with two sides their width too (docs/formats/hashsets.md).
_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("rec", "fp32", "table", "start", "frame", "time_ms", "mih_ids", "norm", "series"), ("<u4",)),
        **dict.fromkeys(("word0", "word1", "word2", "word3", "mih_values", "rows"), ("<u8",)),
        **dict.fromkeys(("media_id_end", "series_text_end"), ("<u8",)),
        **dict.fromkeys(("present", "quality", "vec", "media_id", "series_text"), ("|u1",)),
        **dict.fromkeys(("category", "flags", "source"), ("<u2",)),
        "mih_start": ("<u4", "<u8"),
        "size": ("<i8",),
    }
)
_WIDTHS = {f"{kind}/rows.npy": -(-length // 8) for kind, length in DIGEST_BYTES.items()} | {
    "photodna/vec.npy": PHOTODNA_BYTES
}


def check_columns(columns: Columns, where: str) -> None:
    """HashSetError where a column is of another type or length than look-ups rely on; ``where`` names the set."""
    for name, column in columns.items():
        types = _TYPES.get(name.rpartition("/")[2].removesuffix(".npy"))
        width = _WIDTHS.get(name)
        shape = (len(column), width) if width else (column.size,)
        if types is not None and (column.dtype.str not in types or column.shape != shape):
            raise HashSetError(_unfit(where, name))
    for kind, length in PERCEPTUAL_BYTES.items():
        if f"{kind}/word0.npy" in columns:
            _check_different(columns, kind, length // 8, where)


def _check_different(columns: Columns, kind: str, words: int, where: str) -> None:
    """The columns of the different hashes of a kind, and of the tables of near search, against each other."""
    count = len(columns[f"{kind}/word0.npy"])
    lengths = {f"{kind}/word{number}.npy": count for number in range(words)} | {f"{kind}/start.npy": count + 1}
    if f"{kind}/mih_start.npy" in columns:
        ids = f"{kind}/mih_ids.npy"
        chunks = len(columns[ids]) // count if count and ids in columns else 0
        from caid_triage.hashset.mih import chunk_bits  # noqa: PLC0415 - only large sets have these tables

        try:
            bits = chunk_bits(kind, chunks)
        except (ValueError, ZeroDivisionError):
            raise HashSetError(_unfit(where, ids)) from None
        lengths |= {ids: len(bits) * count, f"{kind}/mih_start.npy": sum(1 << wide for wide in bits) + 1}
        if f"{kind}/mih_values.npy" in columns:
            lengths[f"{kind}/mih_values.npy"] = len(bits) * count
    for name, length in lengths.items():
        if name not in columns or len(columns[name]) != length:
            raise HashSetError(_unfit(where, name))


def _unfit(where: str, name: str) -> str:
    return f"{where}: {name} does not fit the set. Build the set again from its source files."
