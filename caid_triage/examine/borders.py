"""Where the picture lies inside a picture: without uniform borders, and without the bars of a screen.

Borders and screenshots move a picture's hashes out of reach (5% of border turns 80 of PDQ's 256 bits). What is cut
off here only makes one more look to ask about, so a cut that goes wrong costs a question, never an answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Grey = NDArray[np.int16]

# Grey levels that a border's one colour may stray by, since JPEG rings beside edges, and its share of a line.
SAME, OF_A_BORDER = 10, 0.98
# A bar of a screen is drawn in one colour exactly, but has text and symbols on it.
SAME_IN_A_BAR, OF_A_BAR = 3, 0.8
# Lines of text may fill a bar for so long, as a share of the side.
TEXT = 0.03
SAMPLES = 128
LEAST_SIDE = 24
LEAST_SHARE = 0.1
LEAST_CUT = 0.005


@dataclass(frozen=True, slots=True)
class Box:
    """Part of a picture, in pixels: rows from ``top`` up to ``bottom``, columns from ``left`` up to ``right``."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, pixels: Pixels) -> Pixels:
        """Return the pixels inside, as an array of its own."""
        return np.ascontiguousarray(pixels[self.top : self.bottom, self.left : self.right])

    def near(self, other: Box) -> bool:
        """Return whether no side lies more than one pixel elsewhere."""
        mine, others = (np.array([box.top, box.bottom, box.left, box.right]) for box in (self, other))
        return bool((np.abs(mine - others) <= 1).all())


def boxes_inside(pixels: Pixels) -> dict[str, Box]:
    """Return what is left of uint8[h,w] or uint8[h,w,3] without its edges, by look: "trimmed", "screenshot".

    "trimmed" is without borders of one colour, "screenshot" also without bars that have text and symbols on them. A
    look is left out where there is nothing to cut, next to nothing is left, or another look is the same.
    """
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 1]
    whole = Box(0, grey.shape[0], 0, grey.shape[1])
    if not any(_share_of_one_colour(edge) >= OF_A_BAR for edge in (grey[0], grey[-1], grey[:, 0], grey[:, -1])):
        return {}
    found: dict[str, Box] = {}
    for look, least in (("trimmed", OF_A_BORDER), ("screenshot", OF_A_BAR)):
        box = _inside(grey, least)
        if box and not box.near(whole) and not any(box.near(other) for other in found.values()):
            found[look] = box
    return found


def _inside(grey: Pixels, least: float) -> Box | None:
    """Return the box without edge lines that are of one colour in a share of at least ``least``."""
    top, bottom = _lines_kept(grey, least)
    if bottom - top < LEAST_SIDE:
        return None
    left, right = _lines_kept(grey[top:bottom].T, OF_A_BORDER)
    if right - left < LEAST_SIDE:
        return None
    # Once more: beside a picture the rows of a border are not of one colour before its columns are cut.
    above, below = _lines_kept(grey[top:bottom, left:right], least)
    box = Box(top + above, top + below, left, right)
    kept = (box.bottom - box.top) / grey.shape[0], (box.right - box.left) / grey.shape[1]
    if box.bottom - box.top < LEAST_SIDE or min(kept) < LEAST_SHARE or max(1 - share for share in kept) < LEAST_CUT:
        return None
    return box


def _lines_kept(grey: Pixels, least: float) -> tuple[int, int]:
    """Return the first row that is no edge line, and the first row of those at the other end."""
    levels = grey[:, :: -(-grey.shape[1] // SAMPLES)].astype(np.int16)
    if least >= OF_A_BORDER:
        ends = [
            int(np.argmin(np.append(_share_near(lines, _middle(lines[:1])[0], SAME) >= least, False)))
            for lines in (levels, levels[::-1])
        ]
    else:
        colours, patience = _middle(levels), int(len(grey) * TEXT)
        plain = _share_near(levels, colours[:, None], SAME_IN_A_BAR) >= least
        ends = [_bars(plain, patience), _bars(plain[::-1], patience)]
    return ends[0], max(ends[0], len(grey) - ends[1])


def _middle(levels: Grey) -> Grey:
    """Return the middle level of each line: the colour of a line that has one."""
    place = levels.shape[1] // 2
    return np.partition(levels, place, axis=1)[:, place]


def _bars(plain: NDArray[np.bool_], patience: int) -> int:
    """Return how many lines from the start on are bars, each line of one colour.

    Lines that are not plain may stand in a bar for ``patience`` lines: its text.
    """
    lines = np.flatnonzero(plain)
    if not plain[:1].any():
        return 0
    gaps = np.flatnonzero(np.diff(lines) > patience + 1)
    return int(lines[gaps[0] if gaps.size else -1]) + 1


def _share_near(levels: Grey, colour: np.int16 | Grey, stray: int) -> NDArray[np.float64]:
    """Return for each line the share of its pixels that stray from a colour by no more than ``stray``."""
    return np.asarray((np.abs(levels - colour) <= stray).mean(axis=1))


def _share_of_one_colour(line: Pixels) -> float:
    """Return the share of a line's pixels that are of its middle colour."""
    levels = line[None, :: -(-len(line) // SAMPLES)].astype(np.int16)
    return float(_share_near(levels, _middle(levels)[0], SAME)[0])
