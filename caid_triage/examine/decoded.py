"""A picture that was decoded, or why there is none: what every decoder of the chain returns."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.headers import Header
from caid_triage.examine.limits import Limits
from caid_triage.model import DecodeState, Problem, Severity

Pixels = NDArray[np.uint8]

# Whatever Python code of decoders raises on damaged data. MemoryError is not among them.
DECODER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, or why there is none.

    ``pixels`` is uint8[h,w] grey or uint8[h,w,3] RGB, None when nothing was decoded. ``grey`` is
    Pillow's own grey version where that is not the grey of ``pixels`` (palettes). ``reduced``: the
    pixels are a smaller version of ``width`` x ``height``, which are the stored pixels. ``near``: the pixels are
    the grey of a JPEG's own decoder, reduced or not, and not those that the reference hashes are taken of; the
    hashes are a few bits from the references'. ``frames`` are
    the first, the middle and the last of an animation's frames that show something and differ from
    ``pixels`` (its first picture) and from each other, as (seconds from the start, pixels).
    """

    state: DecodeState
    width: int | None = None
    height: int | None = None
    pixels: Pixels | None = None
    grey: Pixels | None = None
    reduced: bool = False
    near: bool = False
    frames: tuple[tuple[float, Pixels], ...] = ()
    problems: tuple[Problem, ...] = ()


class Refused(Exception):  # noqa: N818  it names a state, not a mistake
    """A decoder found a picture larger than allowed before it decoded it."""

    def __init__(self, width: int | None = None, height: int | None = None) -> None:
        super().__init__("too many pixels")
        self.width, self.height = width, height


def problem(code: str, detail: str, severity: Severity = Severity.PROBLEM) -> Problem:
    """Return a Problem of the decode step; the code is documented in docs/problem-codes.md."""
    return Problem("decode", code, detail, severity)


def whole(pixels: Pixels, grey: Pixels | None = None) -> Decoded:
    """Return that a picture was decoded."""
    height, width = pixels.shape[:2]
    return Decoded(DecodeState.DECODED, width, height, pixels, grey)


def judged(result: Decoded, damage: str) -> Decoded:
    """Mark a picture as partial if ``damage`` says that something is wrong with its file."""
    if not damage or result.state is not DecodeState.DECODED:
        return result
    detail = f"{damage}; the perceptual hashes are of what could be decoded"
    return replace(result, state=DecodeState.PARTIAL, problems=(problem("partial-decode", detail), *result.problems))


def too_many(width: int | None, height: int | None, limits: Limits) -> bool:
    """Return whether a picture of that size is over a limit."""
    if not (width and height):
        return False
    return width * height > limits.max_pixels or max(width, height) > limits.max_side


def check_size(width: int | None, height: int | None, limits: Limits) -> None:
    """Raise Refused for a picture over a limit."""
    if too_many(width, height, limits):
        raise Refused(width, height)


def refused(width: int | None, height: int | None) -> Decoded:
    """Return that a picture is too large to be decoded."""
    claim = f"the header claims {width} x {height} pixels" if width else "a picture in it claims more pixels"
    detail = f"{claim}, more than is allowed; the picture was not decoded"
    return Decoded(DecodeState.REFUSED, width, height, problems=(problem("too-many-pixels", detail),))


def undecodable(header: Header, fault: str) -> Decoded:
    """Return that no decoder got a picture out of the file."""
    problems = (problem("undecodable", header.damage or fault),)
    return Decoded(DecodeState.UNDECODABLE, header.width, header.height, problems=problems)
