"""The perceptual hashes of an animation's frames beside its first picture, each with its time."""

from __future__ import annotations

from caid_triage.examine.decoded import Decoded
from caid_triage.examine.pdq import pdq
from caid_triage.examine.pdq_naive import SMALLEST_SIDE
from caid_triage.examine.phash import LEAST_DETAIL, detail, phash_of_tiny, tiny
from caid_triage.model import PerceptualHash


def frame_hashes(decoded: Decoded) -> tuple[PerceptualHash, ...]:
    """Return PDQ with quality, and pHash, of ``decoded.frames``; a frame too small or too flat for one has none."""
    found: list[PerceptualHash] = []
    for seconds, pixels in decoded.frames:
        if min(pixels.shape[:2]) >= SMALLEST_SIDE:
            found.append(PerceptualHash("pdq", *pdq(pixels), seconds))
        small = tiny(pixels)
        if detail(small) >= LEAST_DETAIL:
            found.append(PerceptualHash("phash", phash_of_tiny(small), None, seconds))
    return tuple(found)
