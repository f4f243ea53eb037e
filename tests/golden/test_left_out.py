"""At any step of a walk a place can be left out: it is said, entries stay numbered, and the ledger tiles the source.

What a process does that is told to leave out a place (scan/evidence_process.py), in this very process and on real
images. The places are those that a calm walk says, one of each kind.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from golden.test_ledger_golden import image_of
from support.ledgers import check_ledger

from caid_triage.evidence.source import open_source
from caid_triage.evidence.steps import DIED, LeftOut, Place, Step, Steps, VolumeEnds, told_of_steps
from caid_triage.model import FileEntry, Problem, Severity

IMAGES = (
    "ext2-e01",
    "dftt-7",
    "exfat-orphan",
    "dfvfs-apfs.raw",
)
IN_A_WALK = (Step.FOLDER, Step.NAME, Step.RECORD, Step.STREAMS)


class Listening(Steps):
    """Keeps every place that is said."""

    def __init__(self) -> None:
        self.places: dict[Step, dict[Place, None]] = defaultdict(dict)

    def at(self, step: Step, volume: int = 0, first: int = 0, second: int = 0) -> None:
        self.places[step][Place(step, volume, first, second)] = None

    def searches(self, site: int, offset: int) -> None:
        self.at(Step.SEARCH, site, offset >> 20)


class Leaving(Steps):
    """Leaves out one place."""

    def __init__(self, place: Place, *, ends: bool = False) -> None:
        self.place = place
        self.ends = ends
        self.met = 0

    def at(self, step: Step, volume: int = 0, first: int = 0, second: int = 0) -> None:
        if self.place == Place(step, volume, first, second):
            self.met += 1
            if self.ends:
                raise VolumeEnds(DIED, "left out")
            raise LeftOut("walk", DIED, "left out")

    def searches(self, site: int, offset: int) -> None:
        try:
            self.at(Step.SEARCH, site, offset >> 20)
        except LeftOut as error:
            raise OSError(error.detail) from error


def walked(path: Path, steps: Steps) -> list[FileEntry | Problem]:
    """What a walk gives, the problems of opening first; the ledger is checked."""
    told = told_of_steps.set(steps)
    try:
        with closing(open_source(path, "E", "s", carving="fast")) as source:
            items = [item for item in source.walk() if isinstance(item, FileEntry | Problem)]
            check_ledger(source)
            return [*source.problems(), *items]
    finally:
        told_of_steps.reset(told)


def problems_of(items: list[FileEntry | Problem]) -> list[Problem]:
    return [one for item in items for one in (item.problems if isinstance(item, FileEntry) else (item,))]


@pytest.mark.parametrize("name", IMAGES)
def test_any_place_can_be_left_out(
    name: str, golden_image: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    path = image_of(name, golden_image, request)
    calm = Listening()
    walked(path, calm)
    chosen = random.Random(name)
    kinds = [step for step in calm.places if step not in (Step.OPENING, Step.IDLE)]
    assert {Step.VOLUME, Step.ROOT, Step.FOLDER, Step.NAME, Step.SITE} <= set(kinds)
    for step in kinds:
        places = list(calm.places[step])
        for place in [chosen.choice(places)]:
            for ends in (False, True) if step in IN_A_WALK else (False,):
                leaving = Leaving(place, ends=ends)
                found = walked(path, leaving)
                assert leaving.met, place
                entries = [item for item in found if isinstance(item, FileEntry)]
                assert [entry.number for entry in entries] == list(range(len(entries))), place
                left = [one for one in problems_of(found) if one.code == DIED]
                if step == Step.SEARCH:
                    assert "source-unreadable" in {one.code for one in problems_of(found)}, place
                else:
                    assert left, place
                    assert all(one.severity is Severity.PROBLEM for one in left), place
