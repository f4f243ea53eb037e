"""The decoder boundary: the one place where any exception of foreign code on hostile bytes becomes a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from caid_triage.examine.decoded import plain

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """Foreign code failed: the name of its exception, what it said in plain words, and whether memory ran out."""

    kind: str
    said: str
    out_of_memory: bool = False


def at_the_boundary(step: Callable[[], T]) -> T | Failure:
    """Run foreign code on hostile bytes; whatever it raises comes back as a Failure."""
    try:
        return step()
    except MemoryError as error:
        return Failure(type(error).__name__, "it asked for more memory than there is", out_of_memory=True)
    except Exception as error:  # noqa: BLE001  a decoder may raise anything; the file is named, the scan goes on
        return Failure(type(error).__name__, plain(error))
