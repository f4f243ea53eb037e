"""Where a validation works: it makes each exhibit, set and scan when a requirement first asks for it, once.

A scan is the one that ``caid-triage scan`` makes: the same functions, the same reports. What is judged are the files
that it wrote.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from random import Random

import imagehash
from PIL import Image

from caid_triage.case.view import open_case
from caid_triage.config import OFF, ScanOptions
from caid_triage.examine.examine import examine_file
from caid_triage.hashset.make import make_hashset
from caid_triage.model import Severity
from caid_triage.report.write import write_reports
from caid_triage.scan.progress import Progress, Show
from caid_triage.scan.run import SourceRequest, run_scan
from caid_triage.validate import disks, folders, sets
from caid_triage.validate.draw import Pixels
from caid_triage.validate.reports import Reports
from caid_triage.validate.truth import Exhibit, file_digest

DEFAULT_SEED = "caid-triage"
LISTED, STRANGERS, OTHERS = 24, 500, 5_000
COMMAND_SECONDS = 300
STOP_AFTER = 40


@dataclass(frozen=True, slots=True)
class Plan:
    """What a validation is run with. ``strangers`` are pictures in no set, ``listed`` those that are copied."""

    seed: str = DEFAULT_SEED
    workers: int = 2
    executor: str = "pool"
    listed: int = LISTED
    strangers: int = STRANGERS
    others: int = OTHERS


class Stopped(KeyboardInterrupt):
    """The interruption that a test makes; a real one, by whoever runs the validation, goes through."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """How the files of an exhibit were when they were made: SHA-256, size, time of change, by path."""

    facts: dict[Path, tuple[str, int, int]] = field(default_factory=dict)


class Laboratory:
    """The exhibits, sets and scans of one validation, in a folder of its own."""

    def __init__(self, folder: Path, plan: Plan, say: Callable[[str], None] = lambda _line: None) -> None:
        """``say`` is told what is being made or scanned."""
        self.folder = folder
        self.plan = plan
        self.say = say
        self.sealed: dict[str, Sealed] = {}

    def rng(self, purpose: str) -> Random:
        """The random numbers for one purpose: always the same with the same seed."""
        return Random(f"{self.plan.seed}/{purpose}")  # noqa: S311 - a seed that can be repeated is the point

    def _room(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _seal(self, exhibit: Exhibit) -> Exhibit:
        facts = {}
        for path in exhibit.files():
            stat = path.stat()
            facts[path] = (file_digest(path), stat.st_size, stat.st_mtime_ns)
        self.sealed[exhibit.reference] = Sealed(facts)
        return exhibit

    # ---- exhibits

    @cached_property
    def disk(self) -> disks.Disk:
        """The disk with four file systems."""
        self.say("making a disk with NTFS, FAT16, exFAT and ext2")
        made = disks.build_disk(self._room("disk"), self.rng("disk"))
        self._seal(made.exhibit)
        return made

    @cached_property
    def copies(self) -> tuple[Exhibit, ...]:
        """The disk as an E01 of two segments and as a split raw image."""
        self.say("making an E01 and a split image of the disk")
        folder = self._room("copies")
        return tuple(map(self._seal, disks.build_copies(folder, self.disk.content, self.disk.exhibit.planted)))

    @cached_property
    def others(self) -> tuple[Exhibit, ...]:
        """A disk with FAT12, FAT32 and hostile names, and a data CD."""
        self.say("making a disk with FAT12, FAT32 and ext2, and a data CD")
        return tuple(map(self._seal, disks.build_other_volumes(self._room("others"), self.rng("others"))))

    @cached_property
    def hashing(self) -> tuple[Exhibit, list[folders.KnownLook]]:
        """Files of published digests and pictures of known hashes."""
        exhibit, looks = folders.build_hashing(self._room("hashing"))
        return self._seal(exhibit), looks

    @cached_property
    def alike(self) -> folders.Alike:
        """Near-duplicates and strangers."""
        plan = self.plan
        self.say(f"drawing {plan.listed} listed pictures, their edited copies, and {plan.strangers:,} others")
        made = folders.build_alike(self._room("alike"), self.rng("alike"), plan.listed, plan.strangers)
        self._seal(made.exhibit)
        return made

    @cached_property
    def limits(self) -> tuple[Exhibit, dict[str, Pixels]]:
        """Pictures for exact distances."""
        exhibit, pixels = folders.build_boundary(self._room("limits"), self.rng("limits"))
        return self._seal(exhibit), pixels

    @cached_property
    def damaged(self) -> tuple[Exhibit, ...]:
        """Damaged files, locked volumes, images that are not as acquired."""
        self.say("making damaged, locked and altered exhibits")
        folder = self._room("damage")
        rng = self.rng("damage")
        made = [
            folders.build_damage(self._room("damage/files"), rng),
            folders.build_locked(folder, rng),
            *folders.build_altered(folder, self.disk.content),
        ]
        return tuple(map(self._seal, made))

    @cached_property
    def films(self) -> Exhibit:
        """Films, of which one is listed."""
        self.say("making films")
        return self._seal(folders.build_films(self._room("films"), self._room("graded"), self.rng("films")))

    # ---- hash sets

    @cached_property
    def disk_sets(self) -> sets.DiskSets:
        """What the disk is matched with."""
        disk = self.disk
        return sets.build_disk_sets(self._room("sets"), disk.exhibit.planted, self.rng("sets"), disk.pixels)

    # ---- scans

    def _options(self) -> ScanOptions:
        return ScanOptions(workers=self.plan.workers, executor=self.plan.executor)

    def scanned(
        self,
        name: str,
        exhibits: Sequence[Exhibit],
        hashsets: Sequence[Path],
        options: ScanOptions | None = None,
        show: Show = lambda _progress: None,
    ) -> Reports:
        """Scan into the case ``name`` and write its reports; a case that is there is resumed. CaidTriageError."""
        self.say(f"scanning {', '.join(exhibit.reference for exhibit in exhibits)} ({name})")
        case = self.folder / "cases" / name
        case.parent.mkdir(exist_ok=True)
        requests = [SourceRequest(one.path, one.reference, one.path.name) for one in exhibits]
        outcome = run_scan(requests, case, list(hashsets), options or self._options(), show)
        return self._reported(case, outcome.exit_code)

    def _reported(self, case: Path, exit_code: int) -> Reports:
        with open_case(case) as view:
            write_reports(view, case / "reports")
            if not exit_code and any(row.severity is Severity.PROBLEM for row in view.problem_counts()):
                exit_code = 3
        return Reports(case / "reports", exit_code)

    @cached_property
    def disk_scan(self) -> Reports:
        """The disk, matched with all its sets."""
        return self.scanned("disk", [self.disk.exhibit], self.disk_sets.paths)

    @cached_property
    def copies_scan(self) -> Reports:
        """The copies of the disk, compared with their acquisition hashes first."""
        return self.scanned("copies", self.copies, self.disk_sets.paths, replace(self._options(), verify_source=True))

    @cached_property
    def others_scan(self) -> Reports:
        """The other file systems; the files with hostile names are listed."""
        hostile = [item for exhibit in self.others for item in exhibit.planted if item.kind == "hostile name"]
        listing = sets.build_listing(self._room("sets"), "names", hostile, "1")
        return self.scanned("others", self.others, [listing])

    @cached_property
    def hashing_scan(self) -> Reports:
        """Known answers, matched with nothing."""
        return self.scanned("hashing", [self.hashing[0]], [])

    @cached_property
    def alike_scan(self) -> Reports:
        """Near-duplicates and strangers, with the hashes of the listed pictures among others."""
        found = sets.build_alike_set(self._room("sets"), self.alike, self.rng("alike set"), self.plan.others)
        return self.scanned("alike", [self.alike.exhibit], [found])

    @cached_property
    def limit_phashes(self) -> dict[str, bytes]:
        """The pHash of each picture for exact distances, by imagehash."""
        return {
            path: int(str(imagehash.phash(Image.fromarray(pixels))), 16).to_bytes(8, "big")
            for path, pixels in self.limits[1].items()
        }

    @cached_property
    def limit_sets(self) -> tuple[Path, Path]:
        """Sets with a hash at every distance: PDQ, pHash."""
        return sets.build_limit_sets(self._room("sets"), self.limits[1], self.limit_phashes, self.rng("limit sets"))

    @cached_property
    def limits_scan(self) -> Reports:
        """The pictures for exact distances, without leads beyond them."""
        return self.scanned("limits", [self.limits[0]], self.limit_sets, replace(self._options(), leads=OFF))

    @cached_property
    def damage_scan(self) -> Reports:
        """All that is damaged, locked or altered."""
        return self.scanned("damage", self.damaged, [], replace(self._options(), verify_source=True))

    @cached_property
    def films_scan(self) -> Reports:
        """The films, with the set that ``hashset make`` makes of the listed one."""
        exhibit = self.films
        out = self._room("sets") / "films.chs"
        make_hashset(
            self.folder / "graded", out, examine_file, name="films", scheme=sets.write_scheme(self._room("sets"))
        )
        return self.scanned("films", [exhibit], [out])

    # ---- the disk again, otherwise

    def again(self, name: str, options: ScanOptions) -> Reports:
        """The disk scanned once more, with other workers."""
        return self.scanned(name, [self.disk.exhibit], self.disk_sets.paths, options)

    def stopped_and_resumed(self) -> tuple[int, Reports]:
        """The disk scanned, stopped when some files were examined, and resumed: how many were, and the reports."""
        options = ScanOptions(workers=self.plan.workers, batch_files=16)
        reached = [0]

        def stop(progress: Progress) -> None:
            reached[0] = progress.files
            if progress.files >= STOP_AFTER:
                raise Stopped

        with suppress(Stopped):
            self.scanned("stopped", [self.disk.exhibit], self.disk_sets.paths, options, stop)
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

        options = ScanOptions(workers=self.plan.workers, batch_files=8)
        reports = self.scanned("killed", [self.disk.exhibit], self.disk_sets.paths, options, kill)
        return len(killed), reports

    def matched_later(self) -> Reports:
        """The disk scanned without any set, and the stored case matched with all of them by ``caid-triage match``."""
        self.scanned("later", [self.disk.exhibit], [])
        case = self.folder / "cases" / "later"
        self.say("matching the stored case")
        code = self.command(
            "match", "--case", case, *(word for path in self.disk_sets.paths for word in ("--hashset", path))
        )
        return Reports(case / "reports", code)

    # ---- commands

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
