"""The decoder boundary: the one place where any exception of foreign code on hostile bytes becomes a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


def plain(error: BaseException) -> str:
    """Return what a decoder complained of, without what differs from run to run (addresses)."""
    text = re.sub(r"<[^>]*>|0x[0-9a-fA-F]+", "...", str(error))
    text = "".join(letter if letter.isprintable() else " " for letter in text).strip()[:200]
    return f"the decoder says: {text}" if text else f"the decoder failed ({type(error).__name__})"


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
