"""The exhibits and hash sets of a validation: each is made when it is first asked for, once, from the seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from random import Random

import imagehash
from PIL import Image

from caid_triage.examine.examine import examine_file
from caid_triage.hashset.make import make_hashset
from caid_triage.validate import disks, folders, sets
from caid_triage.validate.draw import Pixels
from caid_triage.validate.truth import Exhibit, file_digest

DEFAULT_SEED = "caid-triage"
LISTED, STRANGERS, OTHERS, MORE = 24, 500, 5_000, 8
QUICK_LISTED, QUICK_STRANGERS, QUICK_OTHERS, QUICK_MORE = 4, 60, 500, 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a validation is run with.

    ``strangers`` are pictures in no set, ``listed`` those of which edited copies are made, ``others`` further entries
    of the set that they are compared with, ``more`` how many further small pictures each volume has of every state.
    """

    seed: str = DEFAULT_SEED
    workers: int = 2
    executor: str = "pool"
    listed: int = LISTED
    strangers: int = STRANGERS
    others: int = OTHERS
    more: int = MORE


def plan_of(seed: str, workers: int, executor: str, *, quick: bool = False, strangers: int | None = None) -> Plan:
    """The plan of a usual or a quick validation; ``strangers`` goes before either."""
    if quick:
        plan = Plan(seed, workers, executor, QUICK_LISTED, QUICK_STRANGERS, QUICK_OTHERS, QUICK_MORE)
    else:
        plan = Plan(seed, workers, executor)
    return plan if strangers is None else replace(plan, strangers=strangers)


@dataclass(frozen=True, slots=True)
class Sealed:
    """How the files of an exhibit were when they were made: SHA-256, size, time of change, by path."""

    facts: dict[Path, tuple[str, int, int]] = field(default_factory=dict)


class Exhibits:
    """What is scanned and what it is matched with, in a folder of its own; ``sealed`` is how each exhibit was made."""

    def __init__(self, folder: Path, plan: Plan, say: Callable[[str], None] = lambda _line: None) -> None:
        """``say`` is told what is being made."""
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
        made = disks.build_disk(self._room("disk"), self.rng("disk"), self.plan.more)
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
        return tuple(
            map(self._seal, disks.build_other_volumes(self._room("others"), self.rng("others"), self.plan.more))
        )

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
            *folders.build_altered(folder, disks.build_small_disk(rng)),
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
    def name_set(self) -> Path:
        """A set that lists the files with hostile names."""
        hostile = [item for exhibit in self.others for item in exhibit.planted if item.kind == "hostile name"]
        return sets.build_listing(self._room("sets"), "names", hostile, "1")

    @cached_property
    def alike_set(self) -> Path:
        """A set with the looks of the listed pictures, among others."""
        return sets.build_alike_set(self._room("sets"), self.alike, self.rng("alike set"), self.plan.others)

    @cached_property
    def film_set(self) -> Path:
        """The set that ``hashset make`` makes of the listed film."""
        exhibit, room = self.films, self._room("sets")
        self.say(f"making a set of the film that {exhibit.reference} has again")
        out = room / "films.chs"
        make_hashset(self.folder / "graded", out, examine_file, name="films", scheme=sets.write_scheme(room))
        return out
