"""Walk what lies inside a content to a bounded depth: each inner file is examined like a file of its own.

The contents are hostile: an archive may claim a million files, unpack to petabytes, hold itself, or end a decoder. So
bytes, files and depth are counted (never seconds: the same content gives the same answer on every machine), and
before anything that could hang or die a :class:`Step` is announced. A coordinator that sees a worker die after a step
asks again with that step left out: one inner file is lost, and named, not the archive.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from caid_triage.examine.boundary import Failure, at_the_boundary
from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import GoesOn, Inner, Lister, Thumbnail, problem
from caid_triage.examine.identify import Identified
from caid_triage.examine.limits import Limits
from caid_triage.examine.video_bytes import VideoBytes
from caid_triage.model import REMOVED_CODES, DecodeState, Digests, Examination, FileTimes, Problem, Severity

LONGEST_NAME = 4096
# Of one step: what is longer says in between that it goes on. A container's claim of a size makes nobody wait longer.
MOST_STEP_BYTES = 512 << 20
# What is amiss is said so often of one container, and looked for so often in one walk.
MOST_SAID, MOST_PROBLEMS = 100, 1000


class Examined(Protocol):
    """What the walk needs of the examination of an inner file (examine.Run)."""

    @property
    def bytes_read(self) -> int: ...  # noqa: D102
    def update(self, chunk: bytes) -> None: ...  # noqa: D102
    def digests(self) -> Digests: ...  # noqa: D102
    def identified(self) -> Identified: ...  # noqa: D102
    def finish(self) -> Examination: ...  # noqa: D102
    def container(self) -> tuple[Lister, VideoBytes] | Problem | None: ...  # noqa: D102
    def thumbnails(self) -> tuple[Thumbnail, ...]: ...  # noqa: D102
    def shows(self, thumbnail: Thumbnail, found: Examination) -> bool: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Step:
    """Something begins that may take long or end the process: its number, and how many bytes it is about."""

    number: int
    size: int


@dataclass(frozen=True, slots=True)
class Found:
    """One file that lies inside, examined: ``names`` lead to it from the outermost container.

    ``part`` counts from 1 in the order in which they come out: what lies in a nested container before that itself.
    ``readable`` is False, and ``problems`` say why, where its content cannot be had.
    """

    part: int
    names: tuple[bytes, ...]
    size: int | None
    times: FileTimes
    readable: bool
    problems: tuple[Problem, ...]
    examination: Examination


@dataclass(frozen=True, slots=True)
class Again:
    """How to walk a content once more after a worker died in the middle of it.

    The first ``delivered`` files are known already and not examined again; of the steps in ``left_out`` each becomes
    the Problem code that it is given ("decoder-died", "decoder-hung").
    """

    delivered: int = 0
    left_out: Mapping[int, str] = field(default_factory=dict)


ONCE = Again()
WHY = {
    "decoder-died": "a decoder ended the worker process on it each time it was tried",
    "decoder-hung": "a decoder did not end in time and was stopped",
}


@dataclass(slots=True)
class Inside:
    """One walk through what lies inside one content of ``size`` bytes; ``problems`` are of the outermost container."""

    begin: Callable[[int | None], Examined]
    limits: Limits
    size: int
    again: Again = ONCE
    parts: int = 0
    problems: list[Problem] = field(default_factory=list)
    _steps: int = 0
    _bytes: int = 0
    _small: int = 0
    _listed_problems: int = 0
    _stopped: bool = False

    def walk(self, lister: Lister, file: VideoBytes) -> Iterator[Found | Step]:
        """Everything inside, in the order of the container."""
        yield from self._container(lister, file, (), self.problems)

    def _container(
        self,
        lister: Lister,
        file: VideoBytes,
        names: tuple[bytes, ...],
        problems: list[Problem],
        removed: tuple[Problem, ...] = (),
    ) -> Iterator[Found | Step]:
        """The files of one container; what is amiss with it itself is added to ``problems``.

        ``removed`` says that what it lies in does not list it: that is said of everything in it too.
        """
        content = Content(file)
        listed = lister(content)
        unsaid = 0
        while not self._stopped:
            step = self._step(content.size)
            yield step
            if self._left_out(step, problems, "what lies inside from here on was not examined"):
                return
            item = at_the_boundary(partial(next, listed, None))
            if isinstance(item, Failure):
                text = f"what lies inside could not be listed to its end: {item.said}"
                problems.append(problem("inside-damaged", text))
                break
            if item is None:
                break
            if isinstance(item, GoesOn):
                continue
            if isinstance(item, Problem):
                if len(problems) < MOST_SAID:
                    problems.append(item)
                else:
                    unsaid += 1
                self._listed_problems += 1
                if self._listed_problems >= MOST_PROBLEMS:
                    self._stop(problems, f"{MOST_PROBLEMS} parts of it are damaged")
            else:
                yield from self._file(_said_too(item, removed), names, problems)
        if unsaid:
            problems.append(problem("inside-damaged", f"{unsaid} more such problems of this container are not listed"))
        if content.fault:
            problems.append(
                problem("inside-not-finished", f"what lies inside was not seen to its end: {content.fault}")
            )

    def _file(self, inner: Inner, names: tuple[bytes, ...], problems: list[Problem]) -> Iterator[Found | Step]:
        """One inner file, after what lies inside it."""
        if self.parts - self._small >= self.limits.max_inside_files:
            self._stop(problems, f"only the first {self.limits.max_inside_files} files inside were examined")
            return
        names = (*names, inner.name[:LONGEST_NAME])
        if len(inner.name) > LONGEST_NAME:
            text = f"the name has {len(inner.name)} bytes; the first {LONGEST_NAME} are shown"
            inner = replace(inner, problems=(*inner.problems, problem("inside-name-cut", text, Severity.NOTE)))
        if inner.pieces is None:
            yield from self._out(inner, names, inner.problems, nothing())
            return
        run = self.begin(inner.size)
        step = self._step(self.limits.inside_step_bytes)
        yield step
        faults = list(inner.problems)
        if self._left_out(step, faults, "its content was not examined"):
            yield from self._out(inner, names, tuple(faults), nothing())
            return
        fault = yield from self._read(inner.pieces(), run, problems)
        if fault:
            if not run.bytes_read:
                faults.append(problem("inside-unreadable", fault))
                yield from self._out(inner, names, tuple(faults), nothing())
                return
            faults.append(problem("inside-cut", f"{fault}; the digests and hashes are of what could be read"))
        elif inner.size is not None and inner.size != run.bytes_read:
            text = f"the container claims {inner.size} bytes for this file, it has {run.bytes_read}"
            faults.append(problem("inside-other-size", text, Severity.NOTE))
        below: list[Problem] = []
        within = run.container()
        if isinstance(within, Problem):
            below.append(within)
        elif within is not None and len(names) >= self.limits.max_inside_depth:
            text = f"containers inside each other were opened to a depth of {self.limits.max_inside_depth}, not deeper"
            below.append(problem("inside-too-deep", text))
        elif within is not None:
            removed = tuple(said for said in inner.problems if said.code in REMOVED_CODES)
            yield from self._container(*within, names, below, removed)
        yield from self._looked_at(inner, names, run, faults, below)

    def _looked_at(
        self, inner: Inner, names: tuple[bytes, ...], run: Examined, faults: list[Problem], below: list[Problem]
    ) -> Iterator[Found | Step]:
        """The examination of an inner file that was read."""
        step = self._step(run.bytes_read)
        yield step
        small = len(run.thumbnails())
        if self.parts + small < self.again.delivered:
            self.parts += small
            self._small += small
            yield from self._out(inner, names, (), nothing())
            return
        given_up: list[Problem] = []
        if self._left_out(step, given_up, "its digests are kept, no perceptual hash"):
            what = run.identified()
            examination = Examination(
                run.digests(),
                run.bytes_read,
                what.kind,
                what.media_type,
                DecodeState.UNDECODABLE,
                problems=(*given_up,),
            )
        else:
            examination = run.finish()
        yield from self.thumbnails(run, examination, names, inner)
        if below:
            examination = replace(examination, problems=(*examination.problems, *below))
        yield from self._out(inner, names, tuple(faults), examination, readable=True)

    def thumbnails(
        self, picture: Examined, found: Examination, names: tuple[bytes, ...] = (), inner: Inner | None = None
    ) -> Iterator[Found | Step]:
        """The small pictures inside a picture, which was examined as ``found``: before the picture, like any inside.

        A thumbnail is hashed for its look only where that is not asked about with its picture already.
        """
        said = tuple(one for one in inner.problems if one.code in REMOVED_CODES) if inner else ()
        for number, one in enumerate(picture.thumbnails(), 1):
            name = b"thumbnail.jpg" if number == 1 else b"thumbnail-%d.jpg" % number
            run = self.begin(len(one.data))
            run.update(one.data)
            step = self._step(len(one.data))
            yield step
            faults = list(said)
            if self.parts < self.again.delivered:
                examination = nothing()
            elif self._left_out(step, faults, "its digests are kept, no perceptual hash"):
                examination = self._seen(run, one, DecodeState.UNDECODABLE)
            elif picture.shows(one, found):
                examination = self._seen(run, one, DecodeState.WITH_ITS_PICTURE)
            else:
                examination = run.finish()
            self._small += 1
            yield from self._out(
                Inner(name, None, len(one.data)), (*names, name), tuple(faults), examination, readable=True
            )

    def _seen(self, run: Examined, one: Thumbnail, state: DecodeState) -> Examination:
        """The examination of a thumbnail that is not decoded for itself."""
        what = run.identified()
        return Examination(
            run.digests(), run.bytes_read, what.kind, what.media_type, state, width=one.width, height=one.height
        )

    def _read(self, pieces: Iterator[bytes], run: Examined, problems: list[Problem]) -> Generator[Step, None, str]:
        """Feed an inner file to its examination; returns in words why it ended early ("": it did not)."""
        announced = 0
        while True:
            piece = at_the_boundary(partial(next, pieces, None))
            if isinstance(piece, Failure):
                return f"it could not be unpacked to its end: {piece.said}"
            if piece is None:
                return ""
            if self._bytes + len(piece) > self._most_bytes():
                self._stop(problems, "what lies inside unpacks to more bytes than are allowed")
                return "more bytes were unpacked than are allowed"
            self._bytes += len(piece)
            announced += len(piece)
            taken = at_the_boundary(partial(run.update, piece))  # a container is held in memory
            if isinstance(taken, Failure):
                return f"it could not be held: {taken.said}"
            if announced >= self.limits.inside_step_bytes:
                announced = 0
                yield self._step(self.limits.inside_step_bytes)

    def _most_bytes(self) -> int:
        return max(self.limits.max_inside_bytes, self.limits.max_inside_ratio * self.size)

    def _stop(self, problems: list[Problem], detail: str) -> None:
        self._stopped = True
        said = problem("inside-budget", f"{detail}; the rest was not examined")
        problems.append(said)
        if problems is not self.problems:  # the outermost container is not examined to its end either
            self.problems.append(said)

    def _step(self, size: int) -> Step:
        self._steps += 1
        return Step(self._steps, min(size, MOST_STEP_BYTES))

    def _left_out(self, step: Step, problems: list[Problem], consequence: str) -> bool:
        code = self.again.left_out.get(step.number)
        if code is None:
            return False
        problems.append(problem(code, f"{WHY[code]}; {consequence}"))
        return True

    def _out(
        self, inner: Inner, names: tuple[bytes, ...], problems: tuple[Problem, ...], found: Examination, *,
        readable: bool = False,
    ) -> Iterator[Found]:  # fmt: skip
        """The next file, but for those that the coordinator has from an earlier walk."""
        self.parts += 1
        if self.parts > self.again.delivered:
            size = found.bytes_read if readable else inner.size
            yield Found(self.parts, names, size, inner.times, readable, problems, found)


def _said_too(inner: Inner, removed: tuple[Problem, ...]) -> Inner:
    """The inner file, with what is said of the file that it lies in."""
    own = {said.code for said in inner.problems}
    more = tuple(said for said in removed if said.code not in own)
    return replace(inner, problems=(*inner.problems, *more)) if more else inner


def nothing() -> Examination:
    """The examination of an inner file whose content cannot be had."""
    return Examination(None, bytes_read=0, media_type="", decode_state=DecodeState.NOT_ATTEMPTED)
