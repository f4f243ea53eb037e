"""From the database's rows to the typed rows of rows.py: one reader for all of them, by the names of the fields."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from caid_triage.case.encode import Row, moment, whole_back
from caid_triage.model import Category, Decision, DecodeState, Kind, MatchKind, State, Tier, parent_of

T = TypeVar("T")


def decision(stored: str | None) -> Decision | None:
    """An examiner's grade from its JSON form."""
    if stored is None:
        return None
    examiner, decided, code, label, scheme, severity, note = json.loads(stored)
    when = moment(decided)
    return None if when is None else Decision(examiner, when, Category(code, label, scheme, severity), note)


def codes(joined: str | None) -> tuple[str, ...]:
    """Problem codes from their ";"-joined form, each once, in order."""
    return () if joined is None else tuple(dict.fromkeys(joined.split(";")))


def strip(stored: str) -> tuple[tuple[float | None, int | None], ...]:
    """The cells of a strip of frames from their JSON form."""
    return tuple((seconds, percent) for seconds, percent in json.loads(stored))


# What is stored otherwise than it is handed out. ``parent_path`` is selected as the path.
BY_FIELD: Mapping[str, Callable[[Any], Any]] = {
    "state": lambda value: None if value is None else State(value),
    "decode_state": DecodeState,
    "container_state": lambda value: State(value) if value else None,
    "removed": bool,
    "kind": lambda value: None if value is None else Kind(value),
    "match_kind": lambda value: MatchKind(value) if value else None,
    "tier": lambda value: Tier(value) if value else None,
    "size": whole_back,
    "offset": whole_back,
    "length": whole_back,
    "physical_offset": whole_back,
    "created": moment,
    "modified": moment,
    "accessed": moment,
    "changed": moment,
    "started": moment,
    "finished": moment,
    "other_added": moment,
    "graded": moment,
    "looked": moment,
    "added": moment,
    "parent_path": parent_of,
    "problems": codes,
    "inode": whole_back,
    "holder_offset": whole_back,
    "in_use": bool,
    "look_alikes": bool,
    "contradicted": bool,
    "pairs": lambda value: tuple((name, text) for name, text in json.loads(value)),
    "others": lambda value: tuple((name, Category(*category)) for name, *category in json.loads(value)),
    "sets": lambda value: tuple((name, algorithm) for name, algorithm in json.loads(value)),
    "stated": lambda value: tuple(filter(None, value.split(";"))),
    "segments": lambda value: tuple(json.loads(value)),
    "acquisition": json.loads,
    "coverage": json.loads,
    "complete": bool,
    "decision": decision,
    "strip": strip,
    "listed_strip": strip,
}


def reader(row_type: type[T]) -> Callable[[Row], T]:
    """A function that makes a ``row_type`` of a row whose columns are its fields in order.

    Use only on types whose fields called like one of BY_FIELD are stored that way.
    """
    names = [field.name for field in fields(row_type)]  # type: ignore[arg-type]
    steps = [(place, BY_FIELD[name]) for place, name in enumerate(names) if name in BY_FIELD]

    def read(row: Row) -> T:
        values = list(row)
        for place, convert in steps:
            values[place] = convert(values[place])
        return row_type(*values)

    return read
