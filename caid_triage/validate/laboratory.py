"""Where exhibits are scanned: each scan is made when a requirement first asks for it, once.

A scan is the one that ``caid-triage scan`` makes: the same functions, the same reports. What is judged are the files
that it wrote.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from caid_triage.case.store import open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.config import OFF, ScanOptions
from caid_triage.model import Severity
from caid_triage.report.on_record import REPORTS, write_reports_on_record
from caid_triage.scan.progress import Progress, Show
from caid_triage.scan.run import run_scan
from caid_triage.scan.sources import SourceRequest
from caid_triage.scan.workforce import Workforce, started_workers
from caid_triage.validate.exhibits import Exhibits
from caid_triage.validate.reports import Reports
from caid_triage.validate.truth import Exhibit

COMMAND_SECONDS = 300
STOP_AFTER = 40


class Stopped(KeyboardInterrupt):
    """The interruption that a test makes; a real one, by whoever runs the validation, goes through."""


class Laboratory:
    """The scans of one validation, in a folder of its own; ``made`` are the exhibits. Closing it ends its workers."""

    def __init__(self, folder: Path, made: Exhibits) -> None:
        self.folder = folder
        self.made = made

    @cached_property
    def _workforce(self) -> Workforce:
        """The workers of all usual scans: as a scan keeps its own for all its sources."""
        return started_workers(self._options())

    def close(self) -> None:
        """End the workers."""
        self._workforce.close()

    def _options(self) -> ScanOptions:
        return ScanOptions(workers=self.made.plan.workers, executor=self.made.plan.executor)

    def case(self, name: str) -> Path:
        """Where the case of that name lies."""
        return self.folder / "cases" / name

    def scanned(
        self,
        name: str,
        exhibits: Sequence[Exhibit],
        hashsets: Sequence[Path],
        options: ScanOptions | None = None,
        show: Show = lambda _progress: None,
        *,
        own_workers: bool = False,
    ) -> Reports:
        """Scan into the case ``name`` and write its reports; a case that is there is resumed. CaidTriageError."""
        self.made.say(f"scanning {', '.join(exhibit.reference for exhibit in exhibits)} (case {name})")
        case = self.case(name)
        case.parent.mkdir(exist_ok=True)
        requests = [SourceRequest(one.path, one.reference, one.path.name) for one in exhibits]
        workforce = None if own_workers else self._workforce
        outcome = run_scan(requests, case, list(hashsets), options or self._options(), show, workforce)
        return self.reported(case, outcome.exit_code)

    def reported(self, case: Path, exit_code: int = 0) -> Reports:
        """Write the reports of a case as the scan does at its end; 3 in place of 0 where something was not examined."""
        with open_case_for_writing(case) as writer:
            write_reports_on_record(writer, case / REPORTS)
        with open_case(case) as view:
            if not exit_code and any(row.severity is Severity.PROBLEM for row in view.problem_counts()):
                exit_code = 3
        return Reports(case / REPORTS, exit_code)

    @cached_property
    def disk_scan(self) -> Reports:
        """The disk, matched with all its sets."""
        return self.scanned("disk", [self.made.disk.exhibit], self.made.disk_sets.paths)

    @cached_property
    def copies_scan(self) -> Reports:
        """The copies of the disk, compared with their acquisition hashes first."""
        options = replace(self._options(), verify_source=True)
        return self.scanned("copies", self.made.copies, self.made.disk_sets.paths, options)

    @cached_property
    def others_scan(self) -> Reports:
        """The other file systems; the files with hostile names are listed."""
        return self.scanned("others", self.made.others, [self.made.name_set])

    @cached_property
    def hashing_scan(self) -> Reports:
        """Known answers, matched with nothing."""
        return self.scanned("hashing", [self.made.hashing[0]], [])

    @cached_property
    def alike_scan(self) -> Reports:
        """Near-duplicates and strangers, with the hashes of the listed pictures among others."""
        return self.scanned("alike", [self.made.alike.exhibit], [self.made.alike_set])

    @cached_property
    def limits_scan(self) -> Reports:
        """The pictures for exact distances, without leads beyond them."""
        options = replace(self._options(), leads=OFF)
        return self.scanned("limits", [self.made.limits[0]], self.made.limit_sets, options)

    @cached_property
    def damage_scan(self) -> Reports:
        """All that is damaged, locked or altered."""
        return self.scanned("damage", self.made.damaged, [], replace(self._options(), verify_source=True))

    @cached_property
    def films_scan(self) -> Reports:
        """The films, with the set that ``hashset make`` makes of the listed one."""
        return self.scanned("films", [self.made.films], [self.made.film_set])

    # ---- the disk again, otherwise

    def again(self, name: str, options: ScanOptions, show: Show = lambda _progress: None) -> Reports:
        """The disk scanned once more, with other workers, or with somebody looking on."""
        paths = self.made.disk_sets.paths
        return self.scanned(name, [self.made.disk.exhibit], paths, options, show, own_workers=True)

    def stopped_and_resumed(self) -> tuple[int, Reports]:
        """The disk scanned, stopped when some files were examined, and resumed: how many were, and the reports."""
        options = ScanOptions(workers=self.made.plan.workers, batch_files=16)
        reached = [0]

        def stop(progress: Progress) -> None:
            reached[0] = progress.files
            if progress.files >= STOP_AFTER:
                raise Stopped

        with suppress(Stopped):
            self.again("stopped", options, stop)
        return reached[0], self.again("stopped", options)

    def with_killed_workers(self) -> tuple[int, Reports]:
        """The disk scanned while workers are killed twice from outside: how many were, and the reports."""
        killed: set[int] = set()

        def kill(progress: Progress) -> None:
            if progress.files > STOP_AFTER * len(killed) and len(killed) < 2:
                for pid in sorted(_workers_of(os.getpid()) - killed)[:1]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
                        killed.add(pid)

        options = ScanOptions(workers=self.made.plan.workers, batch_files=8)
        reports = self.again("killed", options, kill)
        return len(killed), reports

    def matched_later(self) -> Reports:
        """The disk scanned without any set, and the stored case matched with all of them by ``caid-triage match``."""
        self.scanned("later", [self.made.disk.exhibit], [])
        self.made.say("matching the stored case")
        named = [word for path in self.made.disk_sets.paths for word in ("--hashset", path)]
        code = self.command("match", "--case", self.case("later"), *named)
        return Reports(self.case("later") / "reports", code)

    def command(self, *arguments: object) -> int:
        """The exit code of ``caid-triage`` run as a process of its own."""
        finished = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "caid_triage", *map(str, arguments)],
            capture_output=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        return finished.returncode


def _workers_of(parent: int) -> set[int]:
    """The worker processes that were started by ``parent``, as /proc has them; nothing where there is no /proc."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent and b"caid_triage.scan.worker" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found
