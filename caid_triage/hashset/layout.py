"""What the columns of a set must be like, whoever wrote them: names, types, shapes, and numbers that point elsewhere.

A set that somebody else made is read without trust: its seal and checksums say that it is as it was written, not by
whom. Searching runs compiled where that is installed and looks where these numbers point, so they are looked at first.
docs/formats/hashsets.md has the table; tests/unit/hashset/test_foreign_sets.py holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caid_triage.hashset.algorithms import DIGEST_BYTES, PHOTODNA_BYTES

Column = NDArray[Any]

_RECORDS = {
    "category": "<u2", "size": "<i8", "flags": "<u2", "source": "<u2", "series": "<u4", "media_id": "|u1",
    "media_id_end": "<u8", "series_text": "|u1", "series_text_end": "<u8",
}  # fmt: skip
_OF_DIGEST = {"rec": "<u4", "fp32": "<u4", "table": "<u4", "present": "|u1"}
_OF_LOOK = {"word0": "<u8", "start": "<u4", "rec": "<u4", "mih_ids": "<u4", "mih_values": "<u8"}
# Name -> types that it may have, and the numbers in each row (0: a plain list).
FORMS: Mapping[str, tuple[tuple[str, ...], int]] = {
    **{f"records/{name}.npy": ((dtype,), 0) for name, dtype in _RECORDS.items()},
    **{f"{kind}/{name}.npy": ((dtype,), 0) for kind in DIGEST_BYTES for name, dtype in _OF_DIGEST.items()},
    **{f"{kind}/rows.npy": (("<u8",), -(-length // 8)) for kind, length in DIGEST_BYTES.items()},
    **{f"{kind}/{name}.npy": ((dtype,), 0) for kind in ("pdq", "phash") for name, dtype in _OF_LOOK.items()},
    **{f"{kind}/mih_start.npy": (("<u4", "<u8"), 0) for kind in ("pdq", "phash")},
    **{f"pdq/word{number}.npy": (("<u8",), 0) for number in (1, 2, 3)},
    **{f"pdq/{name}.npy": ((dtype,), 0) for name, dtype in (("quality", "|u1"), ("frame", "<u4"), ("time_ms", "<u4"))},
    "photodna/vec.npy": (("|u1",), PHOTODNA_BYTES),
    "photodna/rec.npy": (("<u4",), 0),
    "photodna/norm.npy": (("<u4",), 0),
    "blocks/rows.npy": (("<u8",), 3),
    **{f"blocks/{name}.npy": ((dtype,), 0) for name, dtype in (*_OF_DIGEST.items(), ("number", "<u4"))},
}


def fits(name: str, dtype: str, shape: tuple[int, ...]) -> bool:
    """Whether a set may have a column of this name, type and shape."""
    dtypes, width = FORMS.get(name, ((), 0))
    return dtype in dtypes and (len(shape) == 1 if not width else len(shape) == 2 and shape[1] == width)


def uneven(columns: Mapping[str, Column]) -> Iterator[str]:
    """The columns of perceptual hashes that do not have the length that the others give them; costs nothing."""
    for kind, words in (("pdq", 4), ("phash", 1)):
        if f"{kind}/word0.npy" not in columns:
            continue
        different = len(columns[f"{kind}/word0.npy"])
        expected = {f"{kind}/word{number}.npy": different for number in range(words)}
        expected[f"{kind}/start.npy"] = different + 1
        ids = columns.get(f"{kind}/mih_ids.npy")
        if ids is not None:
            expected[f"{kind}/mih_ids.npy"] = max(different, len(ids) - len(ids) % max(different, 1))
            if kind == "phash":
                expected["phash/mih_values.npy"] = len(ids)
        missing = np.zeros(0)
        yield from (name for name, length in expected.items() if len(columns.get(name, missing)) != length)
        if not different or (ids is None) != (f"{kind}/mih_start.npy" not in columns):
            yield f"{kind}/mih_start.npy" if different else f"{kind}/word0.npy"


def points_inside(start: Column, ids: Column, slots: int, different: int) -> bool:
    """Whether an index leads nowhere but to hashes of the set: ``start`` ascends over all of ``ids``, each a hash."""
    return (
        len(start) == slots + 1
        and int(start[0]) == 0
        and int(start[-1]) == len(ids)
        and bool((start[1:] >= start[:-1]).all())
        and int(ids.max(initial=0)) < different
    )
