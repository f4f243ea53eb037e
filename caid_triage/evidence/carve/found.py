"""What a carver says of bytes that begin like a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from caid_triage.evidence.carve.space import Stretch


@dataclass(frozen=True, slots=True)
class Found:
    """A file by its own structure: its length, the ending its kind has, and whether its structure is whole.

    Of one that is not, ``length`` is what is good of it: up to the place where the structure breaks. ``worth`` says
    that such a head is worth keeping (a picture whose data has begun, a film that can be opened). ``checked`` says that
    the structure runs through the whole of it; where only a length was believed, the search goes on inside.
    ``open_end`` says that nothing marks the end: it is where the structure does. ``suspect`` says that a part looks
    like other data than the kind has. ``passed`` are places in it at which the same structure was followed to the same
    break, so that no file of this kind begins there.
    """

    length: int
    suffix: str
    whole: bool = True
    worth: bool = True
    checked: bool = True
    open_end: bool = False
    suspect: bool = False
    passed: tuple[int, ...] = ()


Carver = Callable[[Stretch], Found | None]
"""(the bytes from a header on) -> the file that begins there; None when it only looked like one."""

SECTOR = 512


def before_break(place: int, first: int) -> int:
    """The last sector's start at or before the place where a structure breaks, but not before ``first``."""
    return max(place // SECTOR * SECTOR, first)
