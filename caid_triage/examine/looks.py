"""What a decoded picture looks like: its perceptual hashes, in every look that is worth a question to a hash set.

The stored pixels come first, in the convention of ``pdqhash`` and ``imagehash``. The further looks (their names are
in caid_triage/perceptual.py) are asked about only: what a report prints as a file's PDQ is that of its stored pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.decode import Decoded
from caid_triage.examine.pdq import (
    SIDE_OF_512,
    pdq_512_reduced_turned,
    pdq_512_turned,
    pdq_reduced_turned,
    pdq_turned,
)
from caid_triage.examine.pdq_naive import SMALLEST_SIDE
from caid_triage.examine.phash import LEAST_DETAIL, detail, phash_of_tiny, tiny
from caid_triage.model import PerceptualHash, Problem, Severity
from caid_triage.perceptual import HashName

Pixels = NDArray[np.uint8]
Turns = tuple[tuple[bytes, ...], int]


def hashes_of(decoded: Decoded) -> tuple[tuple[PerceptualHash, ...], tuple[Problem, ...]]:
    """Return the perceptual hashes of a picture, the stored pixels' first, and why one is missing."""
    pixels = decoded.pixels
    if pixels is None:
        return (), ()
    upright: list[PerceptualHash] = []
    further: list[PerceptualHash] = []
    notes: list[Problem] = []
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        text = f"a side is shorter than {SMALLEST_SIDE} pixels: there is no PDQ"
        notes.append(Problem("hash", "too-small", text, Severity.NOTE))
    else:
        first, *turned = _pdq_hashes("", _pdq(decoded, pixels))
        upright.append(first)
        further += turned
        if turned and max(decoded.width or 0, decoded.height or 0) > SIDE_OF_512:
            further += _pdq_hashes("512", _pdq_512(decoded, pixels))
    small = tiny(pixels if decoded.grey is None else decoded.grey, reduced=decoded.reduced)
    if detail(small) < LEAST_DETAIL:
        text = "the picture is blank or nearly so: a pHash would meet that of every other blank"
        notes.append(Problem("hash", "flat-picture", text, Severity.NOTE))
    else:
        upright.append(PerceptualHash("phash", phash_of_tiny(small)))
    return (*upright, *further), tuple(notes)


def _pdq(decoded: Decoded, pixels: Pixels) -> Turns:
    """Return the PDQ of the stored pixels in eight orientations."""
    if decoded.reduced and decoded.height and decoded.width:
        return pdq_reduced_turned(pixels, decoded.height, decoded.width)
    return pdq_turned(pixels)


def _pdq_512(decoded: Decoded, pixels: Pixels) -> Turns:
    """Return the PDQ in the convention of Meta's C++ tool, in eight orientations."""
    if decoded.reduced and decoded.height and decoded.width:
        return pdq_512_reduced_turned(pixels, decoded.height, decoded.width)
    return pdq_512_turned(pixels)


def _pdq_hashes(look: str, turns: Turns) -> list[PerceptualHash]:
    """Return one look's upright hash and, of a picture that shows something, those of the other orientations."""
    (upright, *turned), quality = turns
    found = [PerceptualHash(HashName("pdq", look).text, upright, quality)]
    if quality:  # a picture that shows nothing shows it any way up
        found.append(PerceptualHash(HashName("pdq", look, turned=True).text, b"".join(turned), quality))
    return found
