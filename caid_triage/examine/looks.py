"""What a decoded picture looks like: its perceptual hashes, in every look that is worth a question to a hash set.

The stored pixels come first, in the convention of ``pdqhash`` and ``imagehash``. The further looks (their names are
in caid_triage/perceptual.py) are asked about only: what a report prints as a file's PDQ is that of its stored pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.borders import boxes_inside
from caid_triage.examine.decode import Decoded
from caid_triage.examine.levels import quality_asked_by
from caid_triage.examine.opencv import decode_with_opencv
from caid_triage.examine.pdq import grid_of, grids_of, pdq, pdq_reduced_turned, quality_of
from caid_triage.examine.pdq_naive import SMALLEST_SIDE
from caid_triage.examine.pdq_turns import WAYS, transformed, turned_coefficients
from caid_triage.examine.pdq_turns import hashes_of as hashes_of_coefficients
from caid_triage.examine.phash import phash_ways, tiny
from caid_triage.examine.recut import GUESSES, recut_coefficients
from caid_triage.examine.thumbnail import START, largest_thumbnail
from caid_triage.examine.unturned import hashes_turned_back
from caid_triage.model import PerceptualHash, Problem, Severity
from caid_triage.perceptual import HashName

Pixels = NDArray[np.uint8]
Turns = tuple[tuple[bytes, ...], int]


# Of a thumbnail of the same picture at most 48 of PDQ's bits are others, borders cut off (36 real cameras and
# editors): it shows something else from here on, of different pictures 128 are usual.
THUMBNAIL_DIFFERS = 90
# A thumbnail nearer than that to its picture would be found by every set that finds the picture.
THUMBNAIL_IS_THE_PICTURE = 24


def hashes_of(decoded: Decoded, content: bytes = b"") -> tuple[tuple[PerceptualHash, ...], tuple[Problem, ...]]:
    """Return the perceptual hashes of a picture, the stored pixels' first, and why one is missing.

    ``content`` is the file, for the thumbnail that a JPEG may hold.
    """
    pixels = decoded.pixels
    if pixels is None:
        return (), ()
    upright: list[PerceptualHash] = []
    further: list[PerceptualHash] = []
    notes: list[Problem] = []
    turns: Turns | None = None
    if min(pixels.shape[:2]) < SMALLEST_SIDE:
        text = f"a side is shorter than {SMALLEST_SIDE} pixels: there is no PDQ"
        notes.append(Problem("hash", "too-small", text, Severity.NOTE))
    else:
        found, turns = _pdq_looks(decoded, pixels)
        upright.append(found[0])
        further += found[1:]
    small = tiny(pixels if decoded.grey is None else decoded.grey, reduced=decoded.near)
    ways = phash_ways(small)
    if ways is None:
        text = "the picture is blank or nearly so: a pHash would meet that of every other blank"
        notes.append(Problem("hash", "flat-picture", text, Severity.NOTE))
    else:
        first, turned = _phash_hashes("", ways)
        upright.append(first)
        further.append(turned)
    if turns is not None and turns[1]:
        further += _inside(decoded, pixels)
        thumbnail, differs = _thumbnail(content, turns)
        further += thumbnail
        notes += differs
    return (*upright, *further), tuple(notes)


def _pdq_looks(decoded: Decoded, pixels: Pixels) -> tuple[list[PerceptualHash], Turns]:
    """Return the PDQ of all looks that come of the whole picture, upright first, and the upright look's turns.

    The coefficients of all looks are made first and hashed in one go. What is asked about beside the stored pixels goes
    by the quality at full contrast; not so the guesses, which of two dull and smooth pictures may look alike.
    """
    height, width = _stored_size(decoded, pixels)
    grids = grids_of(pixels, height, width)
    quality = quality_of(grids[0])
    exact = None if decoded.near else pdq(pixels, grids[0])
    if exact is not None:
        quality = exact[1]
    asked = quality_asked_by(pixels, grids[0], quality)
    ways = turned_coefficients(transformed(np.array(grids)))
    if not asked:  # a picture that shows nothing shows it in every look
        value = hashes_of_coefficients(ways[:1])[0] if exact is None else exact[0]
        return _pdq_hashes("", ((value,) * WAYS, 0)), ((value,) * WAYS, 0)
    hashes = hashes_of_coefficients(np.concatenate([ways, recut_coefficients(grids[0], height, width)]))
    stored = hashes[0] if exact is None else exact[0]
    found = [PerceptualHash(_name("pdq", ""), stored, quality)]
    if asked > quality:
        found.append(PerceptualHash(_name("pdq", "levels"), stored, asked))
    turns = hashes_turned_back(pixels, height, width, grids[0], (stored, *hashes[1:WAYS])), asked
    found += _pdq_hashes("", turns)[1:]
    if len(grids) > 1:
        in_512 = quality_of(grids[1])
        found += _pdq_hashes("512", (tuple(hashes[WAYS : 2 * WAYS]), max(in_512, asked) if asked > quality else in_512))
    guesses = zip(GUESSES, hashes[-len(GUESSES) :], strict=True)
    found += (PerceptualHash(_name("pdq", look), value, quality) for look, value in guesses)
    return found, turns


def _inside(decoded: Decoded, pixels: Pixels) -> list[PerceptualHash]:
    """Return the hashes of what is left without borders and without the bars of a screen."""
    found: list[PerceptualHash] = []
    factor = -(-(decoded.height or 1) // pixels.shape[0]) if decoded.reduced else 1
    for look, box in boxes_inside(pixels).items():
        part = box.cut(pixels)
        height, width = (side * factor for side in part.shape[:2])
        grid = grid_of(part, height, width)
        hashes, quality = pdq_reduced_turned(part, height, width, grid)
        found += _pdq_hashes(look, (hashes, quality_asked_by(part, grid, quality)))
        ways = phash_ways(tiny(part, reduced=decoded.near))
        found += _phash_hashes(look, ways) if ways else ()
    return found


def _thumbnail(content: bytes, turns: Turns) -> tuple[list[PerceptualHash], list[Problem]]:
    """Return the hashes of a JPEG's largest thumbnail if it adds to those of its picture, and a note if it differs."""
    small = largest_thumbnail(content) if content.startswith(START) else None
    compared = None if small is None else _compared(small, turns[0][0])
    if compared is None:
        return [], []
    pixels, whole, nearest = compared
    if not whole[1] or nearest <= THUMBNAIL_IS_THE_PICTURE:
        return [], []
    found = _pdq_hashes("thumbnail", whole)
    ways = phash_ways(tiny(pixels))
    found += _phash_hashes("thumbnail", ways) if ways else ()
    if nearest < THUMBNAIL_DIFFERS:
        return found, []
    height, width = pixels.shape
    text = (
        f"the embedded thumbnail ({width} x {height} pixels) does not look like the picture (PDQ distance {nearest} in "
        "the nearest orientation): the picture may have been changed or cropped after the thumbnail was made"
    )
    return found, [Problem("hash", "thumbnail-differs", text, Severity.NOTE)]


@lru_cache(maxsize=8)  # of one picture: it is asked for with the picture, and again for the thumbnail itself
def _compared(small: bytes, upright: bytes) -> tuple[Pixels, Turns, int] | None:
    """Return a thumbnail's pixels and hashes and how near it comes to a picture; None for one that has no look."""
    pixels = decode_with_opencv(small, grey=True)
    if pixels is None or min(pixels.shape) < SMALLEST_SIDE:
        return None
    whole = pdq_reduced_turned(pixels, *pixels.shape)
    nearest = _nearest(upright, whole)
    if nearest > THUMBNAIL_IS_THE_PICTURE:
        # Letterbox bars are part of how thumbnails are made, not of what they show.
        cuts = (box.cut(pixels) for box in boxes_inside(pixels).values())
        nearest = min([nearest, *(_nearest(upright, pdq_reduced_turned(part, *part.shape)) for part in cuts)])
    return pixels, whole, nearest


def is_asked_with(small: bytes, picture: Sequence[PerceptualHash]) -> bool:
    """Return whether a thumbnail needs no hashes of its own: it looks like its picture, or is one of its looks.

    ``picture`` are the hashes of the picture that it lies in, as :func:`hashes_of` returned them.
    """
    still = {one.algorithm: one for one in picture if one.frame_time is None}
    upright = still.get(_name("pdq", ""))
    if upright is None or _name("pdq", "", turned=True) not in still:  # the picture shows nothing to compare with
        return False
    for asked in filter(None, (upright, still.get(_name("pdq", "thumbnail")))):
        compared = _compared(small, asked.value)
        if compared is not None and compared[1][1] and compared[2] <= THUMBNAIL_IS_THE_PICTURE:
            return True
    return False


def _nearest(upright: bytes, other: Turns) -> int:
    """Return how many bits the first hash of one picture differs from the other's in, in the nearest orientation."""
    own = int.from_bytes(upright)
    return min((own ^ int.from_bytes(turned)).bit_count() for turned in other[0])


def _stored_size(decoded: Decoded, pixels: Pixels) -> tuple[int, int]:
    """Return height and width before the decoder reduced the picture."""
    if decoded.reduced and decoded.height and decoded.width:
        return decoded.height, decoded.width
    return pixels.shape[0], pixels.shape[1]


def _pdq_hashes(look: str, turns: Turns) -> list[PerceptualHash]:
    """Return one look's upright hash and, of a picture that shows something, those of the other orientations."""
    (upright, *turned), quality = turns
    found = [PerceptualHash(_name("pdq", look), upright, quality)]
    if quality:  # a picture that shows nothing shows it any way up
        found.append(PerceptualHash(_name("pdq", look, turned=True), b"".join(turned), quality))
    return found


def _phash_hashes(look: str, ways: tuple[bytes, bytes]) -> tuple[PerceptualHash, PerceptualHash]:
    """Return one look's upright pHash and those of the other orientations."""
    upright, turned = ways
    return (
        PerceptualHash(_name("phash", look), upright),
        PerceptualHash(_name("phash", look, turned=True), turned),
    )


@cache
def _name(algorithm: str, look: str, *, turned: bool = False) -> str:
    return HashName(algorithm, look, turned).text
