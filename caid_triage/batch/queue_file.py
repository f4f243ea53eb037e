"""A queue's file: read whole, what it means, and every fault of its words told at once.

The file is TOML (docs/guide/batch.md). Here is checked what words alone can tell.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from caid_triage.batch.cluster import CLUSTER_KEYS, TLS_KEYS, chosen_executor, map_of
from caid_triage.batch.queue import (
    LEAST_PRIORITY,
    LONGEST_REFERENCE,
    MOST_PRIORITY,
    OWN_NAMES,
    USUAL_QUIET,
    BudgetWords,
    Exhibit,
    Fault,
    Notify,
    Queue,
    WatchWords,
    folder_name,
    same_on_any_disk,
)
from caid_triage.batch.queue_tables import TABLES, Tables, near
from caid_triage.batch.spans import seconds_of
from caid_triage.batch.toml_places import MOST_DOTS, crowded_line, places
from caid_triage.case.details import checked_moment, checked_words
from caid_triage.config import PROFILES, checked_leads
from caid_triage.errors import UsageError
from caid_triage.match.options import set_radius

_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(MB|GB|TB)")
_SIZES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def read_queue(path: Path) -> tuple[Queue, list[Fault]]:
    """The queue of a file, and what is wrong with its words. UsageError for a file that cannot be read as TOML."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"the queue {path} could not be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the queue {path} is not UTF-8 text (byte {error.start})") from None
    if (line := crowded_line(text)) is not None:
        raise UsageError(f"the queue {path} is no queue: line {line} has a key of more than {MOST_DOTS} parts")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the queue {path} is not TOML: {error}") from None
    except (RecursionError, ValueError):  # brackets in brackets, a number of thousands of digits
        raise UsageError(f"the queue {path} is no queue: it holds what cannot be read as TOML within limits") from None
    return _Reader(path.resolve(), data, places(text)).queue()


class _Reader(Tables):
    """Gives the tables of one file their meaning."""

    def queue(self) -> tuple[Queue, list[Fault]]:
        """The queue, and the faults in the order of the file."""
        for name in self.data:
            if name not in TABLES and name not in TABLES[""]:
                self.fault(f"there is no {name} in a queue{near(name, [*TABLES, *TABLES['']])}", self.head(name))
        top = self.table("", {name: value for name, value in self.data.items() if name in TABLES[""]})
        cases = self.meant(top.get("cases", "cases"))
        general = self.table("defaults")
        defaults = self._scanned(general, "defaults", 0, "") | self._executor(general, general, "defaults", 0, "")
        exhibits = tuple(
            self._exhibit(table, number, cases, defaults, general)
            for number, table in enumerate(self.tables("exhibit"))
        )
        disks = [self.table("disk", table, number) for number, table in enumerate(self.tables("disk"))]
        queue = Queue(
            file=self.path,
            cases=cases,
            exhibits=exhibits,
            defaults=defaults,
            budget=self._budget(self.table("budget")),
            readers=tuple(filter(None, (self._disk(disk, number) for number, disk in enumerate(disks)))),
            notify=self._notify(self.table("notify")),
            watch=self._watch(self.table("watch")),
            time_box=self._span(top, "", "time_box"),
            written=self.written,
        )
        self._alike(queue.exhibits)
        return queue, sorted(self.faults, key=lambda fault: (fault.line is None, fault.line or 0))

    # -- exhibits -----------------------------------------------------------------------------------------------------

    def _exhibit(
        self, given: Any, number: int, cases: Path, defaults: Mapping[str, Any], general: Mapping[str, Any]
    ) -> Exhibit:
        reference = given.get("reference")
        named = reference if isinstance(reference, str) else f"{number + 1} of the file"
        table = self.table("exhibit", given, number, named)
        line = self.places.line("exhibit", number)
        fault = _reference_fault(table.get("reference"))
        if fault and ("reference" in table or "reference" not in given):
            self.fault(fault, self.line("exhibit", "reference", number) or line, named)
        if not table.get("source") and ("source" in table or "source" not in given):
            self.fault("source is missing: an image, a device or a folder", line, named)
        options = dict(defaults) | self._scanned(table, "exhibit", number, named)
        if {"executor", *CLUSTER_KEYS} & table.keys():
            options = {key: value for key, value in options.items() if key not in ("executor", "cluster")}
            options |= self._executor({**general, **table}, table, "exhibit", number, named)
        folder = table.get("case") or folder_name(str(table.get("reference", "")))
        if str(table.get("reference", "")).strip() and (not folder or folder.casefold().startswith(OWN_NAMES)):
            self.fault('no case folder can be named so; give one with case = "NAME"', line, named)
        # One at fault is given too, for nothing of such a file is run: so a source that is not there, a reference that
        # is there twice are told at once with its spelling. What cannot be told of it has a name that no other has.
        return Exhibit(
            reference=f"{number + 1} of the file" if fault else named,
            sources=tuple(map(self.meant, table.get("source", ()))),
            case=self.meant(folder or f"{OWN_NAMES}{number}", cases),
            line=line,
            **options,
        )

    def _scanned(self, table: Mapping[str, Any], name: str, number: int, exhibit: str) -> dict[str, Any]:
        """The options of a scan that a table gives, as :class:`Exhibit` has them."""
        made: dict[str, Any] = {key: table[key] for key in ("verify_source", "examiner") if key in table}
        if "hashsets" in table:
            made["hashsets"] = tuple(map(self.meant, table["hashsets"]))
        made |= {key: self.meant(table[key]) for key in ("password_file", "contact") if key in table}
        checks: dict[str, Callable[[Any], object]] = {
            "profile": _checked_profile,
            "priority": _checked_priority,
            "leads": checked_leads,
            "distances": _checked_distances,
            "case_reference": partial(checked_words, "case_reference"),
            "operation": partial(checked_words, "operation"),
            "seized": checked_moment,
        }
        for key, check in checks.items():
            if key in table:
                try:
                    made[key] = check(table[key])
                except UsageError as error:
                    self.fault(str(error), self.line(name, key, number), exhibit)
        return made

    def _executor(
        self, given: Mapping[str, Any], own: Mapping[str, Any], name: str, number: int, exhibit: str
    ) -> dict[str, Any]:
        """The executor and cluster that ``given`` keys say, of which ``own`` stand in the table itself."""
        first = next((key for key in ("executor", *CLUSTER_KEYS) if key in own), "")
        line = self.line(name, first, number)
        unused = next((key for key in CLUSTER_KEYS if key in own), "")
        if unused and given.get("executor", "pool") != "dask" and (exhibit or not self._names_dask()):
            sentence = f'{unused} is for executor = "dask", which is not said here'
            self.fault(sentence, self.line(name, unused, number), exhibit)
            return {}
        try:
            paths = {key: os.path.normpath(self.meant(given[key])) for key in TLS_KEYS if key in given}
            maps = {"maps": [map_of(text, self.base) for text in given["maps"]]} if "maps" in given else {}
            return chosen_executor({**given, **paths, **maps}) if first else {}
        except UsageError as error:
            self.fault(str(error), line, exhibit)
            return {}

    def _names_dask(self) -> bool:
        """Whether some exhibit of the file asks for a cluster by itself: then the defaults say which."""
        exhibits = self.data.get("exhibit")
        return isinstance(exhibits, list) and any(
            isinstance(one, dict) and one.get("executor") == "dask" for one in exhibits
        )

    def _alike(self, exhibits: Sequence[Exhibit]) -> None:
        """Two exhibits of one reference, of one case folder or of one source."""
        seen: dict[tuple[str, str], Exhibit] = {}
        for one in exhibits:
            words = [("reference", one.reference), ("case folder", same_on_any_disk(one.case))]
            words += [("source", os.path.normpath(source)) for source in one.sources]
            said = {os.path.normpath(source): self.written.get(str(source), str(source)) for source in one.sources}
            for what, value in words:
                first = seen.setdefault((what, value), one)
                if first is not one or [value for kind, value in words if kind == what].count(value) > 1:
                    again = "" if first is one else f", as in line {first.line}" if first.line else ""
                    told = one.case.name if what == "case folder" else said.get(value, value)
                    self.fault(f"the {what} {told} is there twice{again}", one.line, one.reference)
                    break

    # -- the rest -----------------------------------------------------------------------------------------------------

    def _budget(self, table: Mapping[str, Any]) -> BudgetWords:
        for key in ("at_once", "workers"):
            if table.get(key, 1) < 1:
                self.fault(f"{key} is at least 1, not {table[key]}", self.line("budget", key))
        sizes = {key: self._size(table, key) for key in ("memory", "worker_memory")}
        counts = {key: table.get(key) for key in ("at_once", "workers")}
        return BudgetWords(**counts, **sizes, silence=self._span(table, "budget", "silence"))

    def _size(self, table: Mapping[str, Any], key: str) -> int | None:
        if key not in table:
            return None
        met = _SIZE.fullmatch(table[key].strip())
        if met is None or not (size := int(float(met[1]) * _SIZES[met[2]])):
            self.fault(f"{key} is written 500MB or 12GB, not {table[key]!r}", self.line("budget", key))
            return None
        return size

    def _span(self, table: Mapping[str, Any], name: str, key: str) -> int | None:
        if key not in table:
            return None
        try:
            return seconds_of(table[key])
        except UsageError as error:
            self.fault(f"{key}: {error}", self.line(name, key))
            return None

    def _disk(self, table: Mapping[str, Any], number: int) -> tuple[Path, int] | None:
        if "path" not in table or table.get("readers", 0) < 1:
            self.fault("a [[disk]] has a path and readers, at least 1", self.places.line("disk", number))
            return None
        return self.meant(table["path"]), table["readers"]

    def _notify(self, table: Mapping[str, Any]) -> Notify:
        command = tuple(table.get("command", ()))
        if "command" in table and not (command and command[0]):
            self.fault(
                'command is a program and its words, such as ["/usr/local/bin/tell"]', self.line("notify", "command")
            )
        file = self.meant(table["file"]) if "file" in table else None
        return Notify(file, command)

    def _watch(self, table: Mapping[str, Any]) -> WatchWords:
        marker = table.get("marker", "")
        if "marker" in table and (not marker.strip() or "/" in marker or "\\" in marker):
            self.fault('marker is the end of a file\'s name, such as ".complete"', self.line("watch", "marker"))
        return WatchWords(self._span(table, "watch", "quiet") or USUAL_QUIET, marker)


def _reference_fault(text: Any) -> str:
    if not isinstance(text, str) or not text.strip():
        return "reference is missing: how the unit calls the exhibit"
    if not text.isprintable() or len(text) > LONGEST_REFERENCE:
        return f"a reference is 1 to {LONGEST_REFERENCE} printable characters: it is printed in every report"
    return ""


def _checked_profile(text: str) -> str:
    if text not in PROFILES:
        raise UsageError(f"profile is one of {', '.join(PROFILES)}, not {text!r}")
    return text


def _checked_priority(number: int) -> int:
    if not MOST_PRIORITY <= number <= LEAST_PRIORITY:
        raise UsageError(f"priority is {MOST_PRIORITY} (first) to {LEAST_PRIORITY} (last), not {number}")
    return number


def _checked_distances(texts: Sequence[str]) -> tuple[str, ...]:
    for text in texts:
        set_radius(text)
    return tuple(texts)
