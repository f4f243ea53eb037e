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
# Lines of text may fill a bar for so long, as a share of the side; a bar of another colour may be so high.
TEXT = 0.03
BAR = 0.1
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


@dataclass(frozen=True, slots=True)
class _Lines:
    """The rows of a picture: int16[n] the middle level of each, float64[n] the share of it that is of that level."""

    colours: Grey
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, grey: Pixels) -> _Lines:
        """Return the rows of uint8[h,w]."""
        levels = _levels(grey)
        colours = _middle(levels)
        return cls(colours, _share_near(levels, colours[:, None], SAME_IN_A_BAR))

    def ground(self, least: float) -> int | None:
        """Return the colour of most of the plain lines that both ends begin with; None if they begin with none.

        Plain is a line of which ``least`` is of one colour. Where all are plain the picture's own colour may be the
        usual one: then it is the first line's.
        """
        plain = self.shares >= least
        patience = int(len(plain) * TEXT)
        top, bottom = _bars(plain, patience), len(plain) - _bars(plain[::-1], patience)
        if top >= bottom:
            return int(self.colours[0])
        outside = np.concatenate([self.colours[:top][plain[:top]], self.colours[bottom:][plain[bottom:]]])
        return int(np.bincount(outside).argmax()) if outside.size else None

    def behind_ground(self, ground: int | None, least: float) -> tuple[int, int]:
        """Return the first line behind those of the ground's colour, and the first of those at the other end.

        Bars of another colour may lie at the edge and between.
        """
        if ground is None:
            return 0, len(self.colours)
        patience = int(len(self.colours) * BAR)
        of_ground = (self.shares >= least) & (np.abs(self.colours - ground) <= SAME_IN_A_BAR)
        ends = []
        for lines in (of_ground, of_ground[::-1]):
            begun = lines[: patience + 1].any()
            ends.append(_bars(np.append(begun, lines), patience) - 1 if begun else 0)
        return ends[0], max(ends[0], len(self.colours) - ends[1])

    def behind_edges(self, least: float) -> tuple[int, int]:
        """Return the first line that is not of the first one's colour, and the first of those of the last one's."""
        plain = self.shares >= least
        patience = int(len(plain) * TEXT)
        ends = [
            _bars(lines & (np.abs(colours - colours[0]) <= SAME_IN_A_BAR), patience)
            for lines, colours in ((plain, self.colours), (plain[::-1], self.colours[::-1]))
        ]
        return ends[0], max(ends[0], len(plain) - ends[1])


def boxes_inside(pixels: Pixels) -> dict[str, Box]:
    """Return what is left of uint8[h,w] or uint8[h,w,3] without its edges, by look.

    "trimmed" is without borders of one colour, "screenshot" also without bars that have text and symbols on them. Both
    cut into a picture whose own edges are plain. "bars" goes no further than what is of the ground's colour exactly,
    "window" than what is of the colour of each edge, and "letterbox" cuts two sides only. A look is left out where
    there is nothing to cut, next to nothing is left, or another look is the same.
    """
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 1]
    whole = Box(0, grey.shape[0], 0, grey.shape[1])
    if not any(_share_of_one_colour(edge) >= OF_A_BAR for edge in (grey[0], grey[-1], grey[:, 0], grey[:, -1])):
        return {}
    rows = _Lines.of(grey)
    found: dict[str, Box] = {}
    for look, box in (
        ("trimmed", _inside(grey, OF_A_BORDER)),
        ("screenshot", _inside(grey, OF_A_BAR)),
        ("bars", _inside_ground(grey, rows)),
        ("window", _inside_window(grey, rows)),
        ("letterbox", _between_bars(grey, rows)),
    ):
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
    return _worth_it(Box(top + above, top + below, left, right), grey)


def _inside_ground(grey: Pixels, rows: _Lines) -> Box | None:
    """Return the box without the lines of the ground's colour, as a viewer paints it around a picture."""
    ground = rows.ground(OF_A_BAR)
    top, bottom = rows.behind_ground(ground, OF_A_BAR)
    if bottom - top < LEAST_SIDE:
        return None
    columns = _Lines.of(grey[top:bottom].T)
    ground = columns.ground(OF_A_BORDER) if ground is None else ground
    return _worth_it(Box(top, bottom, *columns.behind_ground(ground, OF_A_BORDER)), grey)


def _inside_window(grey: Pixels, rows: _Lines) -> Box | None:
    """Return the box without what is at each edge of the very colour of that edge: a title above, tools below."""
    top, bottom = rows.behind_edges(OF_A_BAR)
    if bottom - top < LEAST_SIDE:
        return None
    return _worth_it(Box(top, bottom, *_Lines.of(grey[top:bottom].T).behind_edges(OF_A_BORDER)), grey)


def _between_bars(grey: Pixels, rows: _Lines) -> Box | None:
    """Return the box between bars above and below or left and right, whichever cut off more."""
    height, width = grey.shape
    above, below = rows.behind_edges(OF_A_BORDER)
    before, behind = _Lines.of(grey.T).behind_edges(OF_A_BORDER)
    boxes = []
    if 0 < above < below < height:
        boxes.append(Box(above, below, 0, width))
    if 0 < before < behind < width:
        boxes.append(Box(0, height, before, behind))
    smallest = min(boxes, key=lambda box: (box.bottom - box.top) * (box.right - box.left), default=None)
    return None if smallest is None else _worth_it(smallest, grey)


def _worth_it(box: Box, grey: Pixels) -> Box | None:
    """Return the box if enough is cut off, and enough is left."""
    height, width = box.bottom - box.top, box.right - box.left
    kept = height / grey.shape[0], width / grey.shape[1]
    if min(height, width) < LEAST_SIDE or min(kept) < LEAST_SHARE or max(1 - share for share in kept) < LEAST_CUT:
        return None
    return box


def _lines_kept(grey: Pixels, least: float) -> tuple[int, int]:
    """Return the first row that is no edge line, and the first row of those at the other end."""
    if least >= OF_A_BORDER:
        levels = _levels(grey)
        ends = [
            int(np.argmin(np.append(_share_near(lines, _middle(lines[:1])[0], SAME) >= least, False)))
            for lines in (levels, levels[::-1])
        ]
    else:
        plain = _Lines.of(grey).shares >= least
        patience = int(len(grey) * TEXT)
        ends = [_bars(plain, patience), _bars(plain[::-1], patience)]
    return ends[0], max(ends[0], len(grey) - ends[1])


def _levels(grey: Pixels) -> Grey:
    """Return at most 128 evenly spaced pixels of each row."""
    return grey[:, :: -(-grey.shape[1] // SAMPLES)].astype(np.int16)


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
    # Counted by a product of whole numbers, which is exact, in a third of the time that their mean takes.
    counted = (np.abs(levels - colour) <= stray).astype(np.float32) @ np.ones(levels.shape[1], dtype=np.float32)
    return np.asarray(counted.astype(np.float64) / levels.shape[1])


def _share_of_one_colour(line: Pixels) -> float:
    """Return the share of a line's pixels that are of its middle colour."""
    levels = line[None, :: -(-len(line) // SAMPLES)].astype(np.int16)
    return float(_share_near(levels, _middle(levels)[0], SAME)[0])
