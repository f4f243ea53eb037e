"""The tables of a queue's file: which keys there are, of which kind, where they stand, and what does not fit."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from caid_triage.batch.cluster import CLUSTER_KEYS, TLS_KEYS
from caid_triage.batch.queue import LONGEST_NAME, Fault
from caid_triage.batch.toml_places import Places

# What a key may hold: "text", "texts" (a text or a list of them), "yes or no", "number".
_WORDS = {
    "text": "a text in quotes",
    "texts": "a text in quotes, or a list of them",
    "flag": "true or false",
    "number": "a whole number",
}
_SCAN_KEYS = {
    "hashsets": "texts",
    "profile": "text",
    "priority": "number",
    "password_file": "text",
    "verify_source": "flag",
    "leads": "text",
    "distances": "texts",
    "examiner": "text",
    "case_reference": "text",
    "operation": "text",
    "contact": "text",
    "seized": "text",
    "executor": "text",
    **CLUSTER_KEYS,
}
_EXHIBIT_KEYS = {"reference": "text", "source": "texts", "case": "text", **_SCAN_KEYS}
TABLES: Mapping[str, Mapping[str, str]] = {
    "": {"cases": "text", "time_box": "text"},
    "defaults": _SCAN_KEYS,
    "budget": {"at_once": "number", "workers": "number", "memory": "text", "worker_memory": "text", "silence": "text"},
    "disk": {"path": "text", "readers": "number"},
    "notify": {"file": "text", "command": "texts"},
    "watch": {"quiet": "text", "marker": "text"},
    "exhibit": _EXHIBIT_KEYS,
}
# What is asked for and said elsewhere.
_ELSEWHERE = {"unit": "; the variable CAID_TRIAGE_UNIT says where the unit's memory is, for every scan of the batch"}
_PATHS = frozenset({"cases", "hashsets", "password_file", "contact", "source", "case", "path", "file", *TLS_KEYS})


class Tables:
    """The tables of one file; what does not fit is gathered in ``faults``."""

    def __init__(self, path: Path, data: Mapping[str, Any], found: Places) -> None:
        self.path, self.data, self.places = path, data, found
        self.base = path.parent
        self.written: dict[str, str] = {}
        self.faults: list[Fault] = []

    def tables(self, name: str) -> Sequence[Any]:
        """The tables of a name that may occur often."""
        given = self.data.get(name, [])
        if isinstance(given, list) and all(isinstance(one, dict) for one in given):
            return given
        self.fault(f"{name} is written as [[{name}]], once for each", self.head(name))
        return []

    def table(self, name: str, given: Any = None, number: int = 0, exhibit: str = "") -> dict[str, Any]:
        """The values of a table that have the kind their keys ask for; a list of texts for a "texts"."""
        if given is None:
            given = self.data.get(name, {})
            if not isinstance(given, dict):
                self.fault(f"{name} is a table, written [{name}]", self.head(name))
                return {}
        kinds, fitting = TABLES[name], {}
        where = f"[{name}]" if name else "a queue"
        for key, value in given.items():
            line = self.line(name, key, number)
            if key not in kinds:
                advice = _ELSEWHERE.get(key) or near(key, kinds)
                self.fault(f"there is no {key} in {where}{advice}", line, exhibit)
            elif (fits := _fitting(kinds[key], value)) is None:
                self.fault(f"{key} is {_WORDS[kinds[key]]}, not {spelt(value)}", line, exhibit)
            elif key in _PATHS and (long := _too_long(fits)):
                self.fault(f"{key} holds a name of more than {LONGEST_NAME} bytes: {spelt(long)}", line, exhibit)
            else:
                fitting[key] = fits
        return fitting

    def meant(self, text: str, folder: Path | None = None) -> Path:
        """A path as it is meant, seen from ``folder`` (or from the queue's own); how it is written is kept."""
        there = self._there(text)
        path = (folder or self.base) / there
        if ".." in there.parts:
            self.written[str(path)] = text
        return path

    @staticmethod
    def _there(text: str) -> Path:
        """A path as it is written, "~" as the home folder; without one it is seen from the queue's own folder."""
        try:
            return Path(text).expanduser() if text.startswith("~") else Path(text)
        except RuntimeError:  # "~somebody" whom this machine does not know
            return Path(text)

    def line(self, table: str, key: str, number: int = 0) -> int | None:
        """Where a key of the ``number``-th table (from 0) of a name stands, or that table; None: not known."""
        return self.places.line(table, number, key)

    def head(self, name: str) -> int | None:
        """Where a key of the top, or the first table of a name, stands."""
        return self.line("", name) or self.line(name, "")

    def fault(self, sentence: str, line: int | None, exhibit: str = "") -> None:
        """Keep what is wrong for the end, when all of it is told."""
        self.faults.append(Fault(sentence, line=line, exhibit=exhibit))


def _fitting(kind: str, value: Any) -> Any:
    """The value as its key has it, None if it is of another kind."""
    if kind == "text":
        return value if isinstance(value, str) and "\0" not in value else None
    if kind == "flag":
        return value if isinstance(value, bool) else None
    if kind == "number":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    texts = [value] if isinstance(value, str) else value
    good = isinstance(texts, list) and all(isinstance(text, str) and text and "\0" not in text for text in texts)
    return list(texts) if good else None


def _too_long(fits: str | list[str]) -> str:
    """A name in a path, or in one of some, that no file can have; "" where there is none."""
    paths = [fits] if isinstance(fits, str) else fits
    names = (name for path in paths for name in Path(path).parts)
    return next((name for name in names if len(os.fsencode(name)) > LONGEST_NAME), "")


def spelt(value: Any) -> str:
    """A value of the file as a message shows it: its beginning, on one line."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def near(word: str, known: Any) -> str:
    """The words for the known one that a wrong one is nearest to."""
    close = get_close_matches(word, [one for one in known if one], n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(one for one in known if one)}"
