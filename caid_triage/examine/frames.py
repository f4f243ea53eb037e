"""The frames of an animation that look different: an animation whose first picture is black hides the others.

All frames up to a bound of number and pixels are decoded in order (each builds on those before it); those
that show something, and nothing that an earlier one showed, are candidates; the first, the middle and the
last of them are kept. The bound is of work and not of time, so that the result does not depend on the machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from caid_triage.examine.limits import Limits
from caid_triage.examine.pixels import as_grey_or_rgb

Pixels = NDArray[np.uint8]
Frame = tuple[float, Pixels]

# At most so many candidates are held; then every second one is let go, and of those to come likewise.
MOST_HELD = 8
# A frame whose sampled values lie closer together than this shows nothing.
LEAST_CONTRAST = 16
SAMPLED = 64
# Browsers show a frame without a duration for a tenth of a second.
UNSTATED_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames kept, how many were looked at, whether there are more, and what stopped the decoder ("" : nothing)."""

    kept: tuple[Frame, ...] = ()
    looked_at: int = 1
    more: bool = False
    fault: str = ""


def most_frames(width: int, height: int, limits: Limits) -> int:
    """Return how many frames of that size may be decoded, which also bounds what is held of them: two at least."""
    return max(2, min(limits.max_frames, limits.max_frame_pixels // max(1, width * height)))


def distinct(first: Pixels, others: Iterable[Frame]) -> tuple[Frame, ...]:
    """Return the first, middle and last frame that show something which no frame before them showed, but for ``first``.

    ``first`` is the animation's first picture, which is kept elsewhere; ``others`` follow it, in order.
    """
    seen = {_digest(first)}
    held: list[Frame] = [] if _shows_nothing(first) else [(-1.0, first)]
    found, step = len(held), 1
    last: Frame | None = None
    for seconds, pixels in others:
        digest = _digest(pixels)
        if digest in seen or _shows_nothing(pixels):
            continue
        seen.add(digest)
        last = (seconds, pixels)
        if found % step == 0:
            held.append(last)
        found += 1
        if len(held) > MOST_HELD:
            held, step = held[::2], step * 2
    chosen = {frame[0]: frame for frame in (*held[:1], *held[len(held) // 2 :][:1], *((last,) if last else ()))}
    return tuple(chosen[seconds] for seconds in sorted(chosen) if seconds >= 0)


def frames_of(image: Image.Image, first: Pixels, limits: Limits, errors: tuple[type[Exception], ...]) -> Frames:
    """Return the frames of an animation whose first one was loaded; ``errors`` are what its decoder raises."""
    most = most_frames(image.width, image.height, limits)
    state = _Reading(image, most, errors)
    kept = distinct(first, state.read())
    return Frames(kept, state.number, state.more, state.fault)


class _Reading:
    """One reading of an animation from its second frame on."""

    def __init__(self, image: Image.Image, most: int, errors: tuple[type[Exception], ...]) -> None:
        self.image, self.most, self.errors = image, most, errors
        self.number = 1
        self.more = False
        self.fault = ""

    def read(self) -> Iterator[Frame]:
        """Yield the frames in order, until the last, the bound or a fault."""
        seconds = _duration(self.image)
        size = self.image.size
        while True:
            if self.number >= self.most:
                self.more = True
                return
            try:
                self.image.seek(self.number)
            except EOFError:
                return
            except self.errors as error:
                self.fault = f"frame {self.number + 1} cannot be read ({type(error).__name__})"
                return
            try:
                self.image.load()
                pixels = as_grey_or_rgb(self.image)[0]
            except self.errors as error:
                self.fault = f"frame {self.number + 1} cannot be decoded ({type(error).__name__})"
                return
            if self.image.size != size:
                return
            self.number += 1
            yield seconds, pixels
            seconds = round(seconds + _duration(self.image), 3)


def _duration(image: Image.Image) -> float:
    """Return for how many seconds the current frame is shown."""
    stated = image.info.get("duration")
    if not isinstance(stated, (int, float)) or not 0 < stated < 1e9:
        return UNSTATED_SECONDS
    return float(stated) / 1000.0


def _digest(pixels: Pixels) -> bytes:
    """Return what tells two frames apart."""
    colours = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    return hashlib.blake2b(np.ascontiguousarray(colours).data, digest_size=16).digest()


def _shows_nothing(pixels: Pixels) -> bool:
    """Whether a frame is of one tone, as far as a grid of samples tells."""
    height, width = pixels.shape[:2]
    sample = pixels[:: max(1, height // SAMPLED), :: max(1, width // SAMPLED)]
    return int(sample.max()) - int(sample.min()) < LEAST_CONTRAST
