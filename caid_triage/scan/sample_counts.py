"""What cells held that were read as samples, counted by the round and added to the sampling."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from caid_triage.case.sampling import Sampling
from caid_triage.evidence.layers.randomness import chi_square
from caid_triage.scan.sample_plan import CELL

_RANDOM = 330.0  # chi-square of 4,096 random bytes: 255 on average, above this once in a thousand
_NOT_RANDOM = 185.0  # and below this as seldom


@dataclass(slots=True)
class CellCounts:
    """Cells that were ``read`` and could not be (``unread``); of the read ones those that ``met`` a known block, held
    one byte value alone (``constant``), looked ``random``. Each has the name of the Sampling's sum that it belongs to.
    """

    read: int = 0
    unread: int = 0
    met: int = 0
    constant: int = 0
    random: int = 0

    def take(self, cell: bytes) -> None:
        """Count a cell that was read."""
        self.read += 1
        if cell.count(cell[:1]) == len(cell):
            self.constant += 1
        elif len(cell) == CELL and looks_random(cell):
            self.random += 1

    def add_to(self, sampling: Sampling) -> None:
        """Add every count to the sum of its name."""
        for one in fields(self):
            setattr(sampling, one.name, getattr(sampling, one.name) + getattr(self, one.name))


def looks_random(cell: bytes) -> bool:
    """Whether the values of 4,096 bytes stand as evenly as those of random bytes do: encrypted, or well compressed."""
    return _NOT_RANDOM < chi_square(np.bincount(np.frombuffer(cell, dtype=np.uint8), minlength=256)) < _RANDOM
