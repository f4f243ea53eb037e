"""The nouns of looking inside: one inner file as its container lists it, and what a reader of containers is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from caid_triage.examine.embedded.content import Content
from caid_triage.model import FileTimes, Problem, Severity

STEP = "inside"
"""The step of the pipeline that Problems of this room name."""

PIECE = 1 << 20
NO_TIMES = FileTimes()


@dataclass(frozen=True, slots=True)
class Inner:
    """One file inside a container.

    ``name`` is its name there as bytes, with "/" between folders; whatever it says, it is only ever printed.
    ``pieces`` gives the content in pieces of at most 1 MiB when called; None where it cannot be read, and ``problems``
    say why. ``size`` is what the container claims, in bytes. It must be read before the next one is asked for.
    """

    name: bytes
    pieces: Callable[[], Iterator[bytes]] | None
    size: int | None = None
    times: FileTimes = NO_TIMES
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A whole JPEG that a picture keeps of itself, from its first marker to its last, and its stored pixels."""

    data: bytes
    width: int
    height: int
    scans: int


@dataclass(frozen=True, slots=True)
class GoesOn:
    """A lister has read a while without finding anything, and goes on."""


GOES_ON = GoesOn()

Listed = Inner | Problem | GoesOn
"""A Problem is of the container itself: what of it could not be looked into."""

Lister = Callable[[Content], Iterator[Listed]]
"""Lists what lies inside a content, lazily, in the same order each time. It may raise whatever a decoder may."""


def problem(code: str, detail: str, severity: Severity = Severity.PROBLEM) -> Problem:
    """A Problem of looking inside; the code is documented in docs/problem-codes.md."""
    return Problem(STEP, code, detail, severity)


def locked(name: bytes, what: str, size: int | None = None, times: FileTimes = NO_TIMES) -> Inner:
    """An inner file that needs a password: its name is listed, its content is not examined."""
    detail = f"this file lies encrypted in {what}; only its name is known, the content was not examined"
    return Inner(name, None, size, times, (problem("inside-encrypted", detail),))


def unread(name: bytes, reason: str, size: int | None = None, times: FileTimes = NO_TIMES) -> Inner:
    """An inner file that cannot be read, and why."""
    return Inner(name, None, size, times, (problem("inside-unreadable", reason),))


def whole(content: bytes) -> Callable[[], Iterator[bytes]]:
    """The pieces of a content that is in memory."""

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(content), PIECE):
            yield content[start : start + PIECE]

    return pieces
