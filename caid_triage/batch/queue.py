"""The nouns of a queue: an exhibit and how it is scanned, the queue of them, what is wrong with one.

How its file is read: :mod:`caid_triage.batch.queue_file`, over :mod:`caid_triage.batch.queue_tables`. Whether sources
and hash sets are there is looked at in :mod:`caid_triage.batch.check`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caid_triage.batch.cluster import NO_CLUSTER
from caid_triage.config import AUTO, ClusterOptions
from caid_triage.errors import UsageError

LEAST_PRIORITY, MOST_PRIORITY, USUAL_PRIORITY = 9, 1, 5
LONGEST_REFERENCE = 200
USUAL_QUIET = 60
LONGEST_NAME = 255
"""Bytes in a name of a file; Windows counts otherwise, and never less."""
OWN_NAMES = "batch."
"""How the files of the batch itself begin, which lie beside the case folders."""
_OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]) *(\..*)?", re.IGNORECASE)
_LONGEST_FOLDER = 200  # bytes of UTF-8: a hundred letters of any other writing are more than a name may have


@dataclass(frozen=True, slots=True)
class Exhibit:
    """One exhibit of the queue and how it is scanned. Paths are absolute. ``priority``: 1 is the most urgent.

    ``executor`` and ``cluster`` say who examines, ``examiner`` to ``seized`` what is stated of the case
    (case/details.py; empty: nothing): they change no result. ``line`` is where it stands in the file, None for one that
    was not written there.
    """

    reference: str
    sources: tuple[Path, ...]
    case: Path
    hashsets: tuple[Path, ...] = ()
    profile: str = "standard"
    priority: int = USUAL_PRIORITY
    password_file: Path | None = None
    verify_source: bool = False
    leads: str = AUTO
    distances: tuple[str, ...] = ()
    examiner: str = ""
    case_reference: str = ""
    operation: str = ""
    contact: Path | None = None
    seized: str = ""
    executor: str = "pool"
    cluster: ClusterOptions = NO_CLUSTER
    line: int | None = field(default=None, compare=False)

    def definition(self, generations: Mapping[Path, str]) -> str:
        """A digest of all that its result depends on: an exhibit that is queued again otherwise is not done yet."""
        told = [
            self.reference, [str(path) for path in self.sources], self.profile, self.leads,
            [[str(path), generations.get(path, "")] for path in self.hashsets], self.verify_source,
            list(self.distances), str(self.password_file or ""),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class BudgetWords:
    """What the file says of the budget; None: to be worked out (caid_triage/batch/budget.py). Bytes, seconds."""

    at_once: int | None = None
    workers: int | None = None
    memory: int | None = None
    worker_memory: int | None = None
    silence: int | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    """Who is told: a file that lines are appended to, and a command that gets a line on its standard input."""

    file: Path | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchWords:
    """When something in a watched folder is complete: unchanged for ``quiet`` seconds, or as soon as a marker is there.

    The marker of ``NAME`` is the file ``NAME`` + ``marker`` beside it.
    """

    quiet: int = USUAL_QUIET
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, read whole. ``cases`` is the folder of the case folders; ``defaults`` are those of an exhibit.

    ``readers`` says for paths how many scans may read that disk at once; ``time_box`` is in seconds, None: no limit.
    ``written`` is how the file has those paths that lead upwards ("../x"), by the path that it means.
    """

    file: Path
    cases: Path
    exhibits: tuple[Exhibit, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    budget: BudgetWords = BudgetWords()
    readers: tuple[tuple[Path, int], ...] = ()
    notify: Notify = Notify()
    watch: WatchWords = WatchWords()
    time_box: int | None = None
    written: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a queue cannot be run as it stands: where, a sentence, and the exit code that it would end with.

    ``reference`` is set where only that one exhibit is affected, so that the others could be run.
    """

    sentence: str
    code: int = UsageError.exit_code
    line: int | None = None
    exhibit: str = ""
    reference: str | None = None

    def told(self) -> str:
        """The fault as one line: "line 12, exhibit ABC/1: ..."."""
        where = [f"line {self.line}"] if self.line is not None else []
        where += [f"exhibit {self.exhibit}"] if self.exhibit else []
        return f"{', '.join(where)}: {self.sentence}" if where else self.sentence


def folder_name(reference: str) -> str:
    """The name of a case folder for a reference: "ABC/1" -> "ABC-1"; "" where nothing of it can be in a name."""
    name = re.sub(r"[^\w.\- ]+", "-", reference).strip(" .")[:100]
    name = name.encode()[:_LONGEST_FOLDER].decode(errors="ignore").rstrip(" .")
    if _OF_WINDOWS.fullmatch(name):  # Windows means a device by it, whatever stands behind a dot
        name = f"_{name}"
    return name if re.search(r"\w", name) else ""


def same_on_any_disk(folder: Path) -> str:
    """A folder as a disk tells it from others that knows no capitals, and one way to write a letter with an accent."""
    return unicodedata.normalize("NFC", os.path.normpath(folder)).casefold()
