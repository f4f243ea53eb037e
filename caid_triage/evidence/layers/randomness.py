"""Whether an area looks random: encrypted without a mark (VeraCrypt and the like), or wiped with random bytes.

Samples spread over the area are counted by byte value; for random bytes the chi-square statistic of the counts has
255 degrees of freedom. Compressed files do not pass: their headers and the uneven values of their codes stand out in
some of the samples, and an area that is only partly filled has samples of zeros.
"""

from __future__ import annotations

import numpy as np

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.layers.view import ReadAt

SMALLEST = 1 << 20
"""Smaller areas are not judged: a boot loader's gap or a key store proves nothing."""

_SAMPLES = 64
_SAMPLE = 8192
_MOST_OF_ONE = 400.0  # random bytes: 255 on average, above 400 once in a hundred million samples
_MOST_OF_ALL = 360.0  # of all samples counted together: above once in a hundred thousand volumes
_MIN_OF_ONE = 130.0  # a pattern in which every value stands equally often is not random either


def looks_random(read: ReadAt, offset: int, length: int) -> bool:
    """Whether all of 64 samples of 8 KiB spread over ``length`` bytes (the first and the last among them) are random.

    False for an area below 1 MiB and for one that cannot be read.
    """
    if length < SMALLEST:
        return False
    total = np.zeros(256, dtype=np.int64)
    step = (length - _SAMPLE) / (_SAMPLES - 1)
    for number in range(_SAMPLES):
        try:
            sample = read(offset + int(number * step), _SAMPLE)
        except LIBRARY_ERRORS:
            return False
        if len(sample) < _SAMPLE:
            return False
        counts = np.bincount(np.frombuffer(sample, dtype=np.uint8), minlength=256)
        if not _MIN_OF_ONE < chi_square(counts) < _MOST_OF_ONE:
            return False
        total += counts
    return chi_square(total) < _MOST_OF_ALL


def chi_square(counts: np.ndarray) -> float:
    """How far the counts of 256 values are from being equal: the sum of (count - mean)**2 / mean."""
    mean = counts.sum() / 256
    return float(((counts - mean) ** 2).sum() / mean)
