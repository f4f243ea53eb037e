"""JSON of somebody else's: whatever it is made of, it is read or is a ValueError."""

from __future__ import annotations

import json
from typing import Any

DEEPEST = 100  # reports, options and schemes nest some ten levels


def read_foreign_json(content: bytes) -> Any:
    """The value of a JSON text. ValueError: it is none, no UTF-8, or nests deeper than anything that we write."""
    try:
        value = json.loads(content)
    except RecursionError as fault:
        raise ValueError("it nests too deep") from fault
    level = [value]
    for _ in range(DEEPEST):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return value
    raise ValueError("it nests too deep")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
