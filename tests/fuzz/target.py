"""What a fuzz target is, and how one input is judged: typed errors only, laws kept, in bounded time."""

from __future__ import annotations

import gc
import hashlib
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

PRODUCT = "caid_triage"
REGRESSIONS = Path(__file__).parent / "regressions"


class Broken(AssertionError):  # noqa: N818 - reads as what it says: a law is broken
    """A law that holds for every input does not hold for this one."""


class Hung(BaseException):
    """One input took so long that it was stopped; no handler of the product may catch it."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser, or family of parsers, that hostile bytes reach.

    ``seeds`` gives small whole inputs by name, made by the tree's own writers. ``check`` feeds one input to the product
    and returns in a word what came of it ("rows", "refused"), which is counted; it raises :class:`Broken` where a law
    does not hold, and whatever the product raises is let out. ``allowed`` are the errors that the product may answer
    with. ``mend`` puts right the checksums of a damaged input, so that the damage gets past them; ``mutate`` damages
    one as only who knows its structure can. ``prepare`` is called once before the first input. An input may take
    ``seconds`` of processor time and ``seconds_per_kib`` for each KiB of it; ``longest`` is in bytes.
    """

    name: str
    title: str
    seeds: Callable[[], dict[str, bytes]]
    check: Callable[[bytes], str]
    allowed: tuple[type[Exception], ...]
    longest: int = 1 << 16
    mend: Callable[[bytes], bytes] | None = None
    seconds: float = 2.0
    seconds_per_kib: float = 0.05
    prepare: Callable[[], None] | None = None
    mutate: Callable[[bytes, random.Random], bytes] | None = None

    def deadline(self, size: int) -> float:
        """Processor time that an input of ``size`` bytes may take."""
        return self.seconds + self.seconds_per_kib * size / 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that the product does not answer as it must. ``key`` is the same for inputs of one fault."""

    key: str
    text: str
    data: bytes

    @property
    def name(self) -> str:
        """A file name of its own."""
        return f"{hashlib.sha256(self.key.encode()).hexdigest()[:8]}-{hashlib.sha256(self.data).hexdigest()[:8]}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one input: the word of the target, or a finding, and the processor time it took."""

    word: str
    seconds: float
    finding: Finding | None = None


def judged(target: Target, data: bytes, slack: float = 1.0) -> Answer:
    """Feed one input to a target. ``slack`` multiplies its deadline: instrumented code is slower.

    An input that takes too long is tried once more, for a collection of garbage or the loading of a library may fall
    on any; the shorter time counts.
    """
    most = slack * target.deadline(len(data))
    answer = _once(target, data, most)
    if answer.finding is None and answer.seconds > most:
        gc.collect()
        again = _once(target, data, most)
        if again.finding is None and again.seconds > most:
            spent = min(answer.seconds, again.seconds)
            text = f"{len(data)} bytes took {spent:.1f} s of processor time, {most:.1f} allowed"
            return Answer("slow", spent, Finding(f"slow {target.name}", text, data))
    return answer


def _once(target: Target, data: bytes, most: float) -> Answer:
    begun = time.process_time()
    finding = None
    try:
        with _stopped_after(10 * most):
            word = target.check(data)
    except target.allowed as error:
        word = type(error).__name__
    except (Exception, Hung) as error:  # noqa: BLE001 - whatever else comes out of the product is what is looked for
        word, finding = "finding", Finding(_key(error), traceback.format_exc(), data)
    return Answer(word, time.process_time() - begun, finding)


def _key(error: BaseException) -> str:
    """Where an error came from: its type and the deepest lines of the product on its way."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f"{_short(one.filename)}:{one.lineno}" for one in frames if PRODUCT in one.filename][-2:]
    said = f" {error}" if isinstance(error, Broken) and not own else ""
    return " ".join([type(error).__name__ + said, *own])


def _short(filename: str) -> str:
    return filename.rpartition(f"{PRODUCT}/")[2]


class _stopped_after:  # noqa: N801 - reads as a function
    """Stop what takes much longer than allowed (where the system has a timer of processor time)."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        if sys.platform != "win32":
            signal.signal(signal.SIGPROF, _stop)
            signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, 0)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Hung("stopped: it took ten times as long as allowed")


def regressions(target: str) -> dict[str, bytes]:
    """The kept inputs of a target by name: what once was a finding, or nearly one."""
    folder = REGRESSIONS / target
    return {one.name: one.read_bytes() for one in sorted(folder.glob("*")) if one.is_file()} if folder.is_dir() else {}


def expect(holds: bool, what: str) -> None:
    """A law: :class:`Broken` with these words where it does not hold."""
    if not holds:
        raise Broken(what)
