"""The quality that a dark, pale or dull picture would have with its levels stretched, for what is only asked about.

Darkening a picture or taking its contrast turns next to none of PDQ's bits, since each says only whether a coefficient
lies above the median of them all. Its quality is a sum of steps in grey levels and falls with them: below 50 nothing
would be asked about a known picture that was darkened or blurred. What sets hold and reports print keeps the published
quality; the questions go by the quality at full contrast, where there is more in the picture than noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.pdq_naive import dct_matrix

Pixels = NDArray[np.uint8]
Float64 = NDArray[np.float64]

# The gate of PDQ's authors: what passes it is asked about as it is.
PUBLISHED_GATE = 50
# So many grey levels or more must half of the 256 coefficients lie from their median. Noise that the published gate
# holds back stays below (at most 1.7), ramps, vignettes and two tones are near 0, darkened photographs above 2.5.
LEAST_SPREAD = 2.0


def quality_asked_by(pixels: Pixels, grid: Float64, quality: int) -> int:
    """Return the quality (0..100) that questions about a picture go by: its own, or that of its stretched levels.

    ``pixels`` are uint8[h,w] or uint8[h,w,3], ``grid`` is their 64x64 grid (examine/pdq.py), ``quality`` its quality.
    It is the levels of the pixels that are stretched, not those of the averaged grid: a line of black text on white
    has its full range already and is gated as before, and so is one of grey text on grey.
    """
    if quality >= PUBLISHED_GATE:
        return quality
    green = pixels if pixels.ndim == 2 else pixels[:, :, 1]
    least, most = int(green.min()), int(green.max())
    matrix = dct_matrix().astype(np.float64)
    coefficients = matrix @ grid @ matrix.T
    if least == most or np.median(np.abs(coefficients - np.median(coefficients))) < LEAST_SPREAD:
        return quality
    return max(quality, _quality(np.round(grid * (255.0 / (most - least)), 6)))


def _quality(grid: Float64) -> int:
    """Return PDQ's quality of a 64x64 grid, whose levels may lie beyond 0..255 here."""
    changes = (np.abs(np.diff(grid, axis=axis)) * (100.0 / 255.0) for axis in (0, 1))
    return min(100, int(sum(np.floor(change).sum() for change in changes)) // 90)
