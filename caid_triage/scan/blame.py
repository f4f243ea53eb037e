"""Which places of a source its processes died of: who is tried again, what is left out, and when to give up.

A death is tried twice more, since it may have been somebody else's (a machine short of memory kills what it likes);
what did not come to an end is not. Then the place is left out: a record, a folder, a volume that is opened, a MiB of
free space. Where that does not help, what lies around it is.
"""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass, field

from caid_triage.evidence.steps import DIED, HUNG, Place, Step
from caid_triage.scan.evidence_page import Leaving

_MOST_UNKNOWN = 10
OF_CONTENT = "of the content of this file"
_IN_A_WALK = frozenset((Step.ROOT, Step.FOLDER, Step.NAME, Step.RECORD, Step.STREAMS, Step.LISTED))


class GivenUp(Exception):  # noqa: N818 - an order, not an error
    """No further process is started for this source; the text says why."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended: it ``hung``, or died by ``reason``."""

    hung: bool
    reason: str

    @property
    def code(self) -> str:
        """The code of the Problem that names what it died of."""
        return HUNG if self.hung else DIED

    def detail(self, what: str) -> str:
        """What a Problem says of the place that is left out."""
        if self.hung:
            return f"the process that reads the evidence did not come to an end {what} and was stopped: it was left out"
        return f"the process that reads the evidence died {what}, again and again ({self.reason}): it was left out"


def reason_of(returncode: int, ending: str) -> str:
    """Why a process ended by itself, in words: the exception, the signal or the code."""
    if ending:
        return ending
    if returncode < 0:
        try:
            return f"signal {-returncode}, {signal.Signals(-returncode).name}"
        except ValueError:
            return f"signal {-returncode}"
    return f"exit code {returncode}"


@dataclass(slots=True)
class Blame:
    """The deaths of the processes of one source.

    There may be at most so many; what was died of is tried ``retries`` times more. ``left_out`` is what the next
    process is told to leave out.
    ``unread`` are the entries whose content is not read any more, by their number.
    """

    most: int
    retries: int
    left_out: dict[Place, Leaving] = field(default_factory=dict)
    unread: dict[int, Leaving] = field(default_factory=dict)
    deaths: int = 0
    _tried: Counter[Place] = field(default_factory=Counter)

    def died(self, place: Place | None, death: Death) -> None:
        """A process died at a place (None: it could be any of two). Raises GivenUp."""
        self.deaths += 1
        if self.deaths > self.most:
            raise GivenUp(f"the process that reads the evidence died {self.deaths} times ({death.reason})")
        if place is None:
            return
        self._tried[place] += 1
        if place.step == Step.IDLE:
            if self._tried[place] > _MOST_UNKNOWN:
                raise GivenUp(f"the process that reads the evidence died at no place that it named ({death.reason})")
            return
        if place.step == Step.READING:
            if death.hung or self._tried[place] > self.retries:
                self.unread[place.first] = Leaving(death.code, death.detail(OF_CONTENT))
            return
        if place in self.left_out:
            self._around(place, death)
        elif death.hung or self._tried[place] > self.retries:
            if place.step in (Step.OPENING, Step.LEDGER, Step.VERIFYING, Step.IDLE):
                raise GivenUp(death.detail(_WHERE[Step(place.step)]))
            self.left_out[place] = Leaving(death.code, death.detail(_WHERE[Step(place.step)]))

    def _around(self, place: Place, death: Death) -> None:
        """Leave out what lies around a place, where leaving out the place alone did not help."""
        if place.step == Step.VOLUME:
            before = (place._replace(second=number) for number in range(place.second - 1, 0, -1))
            outer = next((one for one in before if one not in self.left_out), None)
        elif place.step in (Step.SEARCH, Step.SPACE):
            outer = Place(Step.SITE, place.volume)
        else:
            outer = None
        if outer is not None and outer not in self.left_out:
            self.left_out[outer] = Leaving(death.code, death.detail(_WHERE[Step(outer.step)]))
        elif place.step in _IN_A_WALK and not self.left_out[place].ends:
            self.left_out[place] = Leaving(death.code, death.detail(_WHERE[Step(place.step)]), ends=True)
        else:
            raise GivenUp(death.detail(_WHERE[Step(place.step)]))


_WHERE = {
    Step.OPENING: "while it opened the source",
    Step.VOLUME: "while it opened this volume",
    Step.ROOT: "at the beginning of this volume",
    Step.FOLDER: "of the list of names of this folder",
    Step.NAME: "of a name in this folder",
    Step.RECORD: "of the record of this file",
    Step.STREAMS: "of the record of this file",
    Step.LISTED: "of an entry in the list of files",
    Step.SEARCH: "while it searched free space",
    Step.SPACE: "of the map of what is free",
    Step.SITE: "while it searched free space",
    Step.LEDGER: "while it accounted for the bytes of the source",
    Step.VERIFYING: "while it verified the source",
    Step.READING: OF_CONTENT,
    Step.IDLE: "at no place that it named",
}
