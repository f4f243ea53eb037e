"""Small pictures of hostile contents, for eyes: upright, in colour, of a film some of its frames beside each other.

What leaves here is pixels and nothing else, so no byte of the content itself is shown to anybody's program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from math import ceil, sqrt
from typing import Any

import numpy as np

from caid_triage.examine.boundary import Failure, at_the_boundary
from caid_triage.examine.decode import decode
from caid_triage.examine.decoded import Pixels, too_many
from caid_triage.examine.jpeg import scan_jpeg
from caid_triage.examine.libraries import library
from caid_triage.examine.limits import Limits
from caid_triage.examine.opencv import opencv
from caid_triage.examine.video import keyframes_of
from caid_triage.examine.video_bytes import VideoBytes
from caid_triage.examine.video_frames import Stream
from caid_triage.examine.video_open import open_container, pictures_and_covers
from caid_triage.examine.video_plan import Plan, Stop, thinned
from caid_triage.model import Kind

LEAST_SIDE, MOST_SIDE = 16, 512
STILLS = 4  # of a film


def small_picture(content: bytes, media_type: str, limits: Limits, side: int) -> Pixels | str:
    """A picture, uint8[h,w] or uint8[h,w,3] RGB, of at most ``side`` by ``side`` pixels; in words why there is none.

    A JPEG is turned as its orientation tag says. Never raises for a fault of the content.
    """

    def made() -> Pixels | str:
        pixels = _upright_jpeg(content, limits, side) if media_type == "image/jpeg" else None
        if pixels is None:
            decoded = decode(content, media_type, replace(limits, min_reduced_side=side))
            if decoded.pixels is None:
                return decoded.problems[0].detail if decoded.problems else "no decoder here opens it"
            pixels = decoded.pixels
        return fitted(pixels, side)

    found = at_the_boundary(made)
    return found.said if isinstance(found, Failure) else found


def small_film(file: VideoBytes, media_type: str, limits: Limits, side: int) -> Pixels | str:
    """Some frames of a film spread over it, in rows, as one picture like that of :func:`small_picture`."""

    def made() -> Pixels | str:
        av = library("av")
        if av is None:
            return "films cannot be opened here: PyAV is not installed"
        stills = _stills(av, file, media_type, limits, max(LEAST_SIDE, side // 2))
        return sheet(stills, side) if stills else "no frame of it could be seen"

    found = at_the_boundary(made)
    return found.said if isinstance(found, Failure) else found


def small_of(kind: Kind, content: bytes, media_type: str, limits: Limits, side: int) -> Pixels | str:
    """A small picture of a content that is held in memory."""
    if kind is Kind.VIDEO:
        return small_film(VideoBytes(len(content), lambda at, size: content[at : at + size], 1 << 40), media_type,
                          limits, side)  # fmt: skip
    return small_picture(content, media_type, limits, side)


def fitted(pixels: Pixels, side: int) -> Pixels:
    """The picture made smaller so that it fits; a smaller one stays as it is."""
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    if scale == 1.0:
        return np.ascontiguousarray(pixels)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    found: Pixels = opencv().resize(pixels, size, interpolation=opencv().INTER_AREA)
    return np.ascontiguousarray(found)


def sheet(stills: Sequence[Pixels], side: int) -> Pixels:
    """Stills in rows on a dark ground, each in a square of its own."""
    across = ceil(sqrt(len(stills)))
    cell = side // across
    found: Pixels = np.full((cell * ceil(len(stills) / across), cell * across, 3), 32, np.uint8)
    for number, still in enumerate(stills):
        one = fitted(still, cell)
        row, column = divmod(number, across)
        top, left = row * cell + (cell - one.shape[0]) // 2, column * cell + (cell - one.shape[1]) // 2
        found[top : top + one.shape[0], left : left + one.shape[1]] = one
    return found


def _upright_jpeg(content: bytes, limits: Limits, side: int) -> Pixels | None:
    """A JPEG by OpenCV, decoded reduced and turned by its tag; None where that is not for it to do."""
    scan = scan_jpeg(content)
    if scan.damage or scan.components not in (1, 3) or scan.precision != 8 or not (scan.width and scan.height):
        return None
    most = min(limits.max_scans, limits.max_scan_pixels // (scan.width * scan.height))
    if len(scan.scans) > most or too_many(scan.width, scan.height, replace(limits, max_pixels=limits.max_jpeg_pixels)):
        return None
    cv2 = opencv()
    least = max(scan.width, scan.height)
    factor = next((by for by in (8, 4, 2) if least // by >= side), 1)
    flags = {8: cv2.IMREAD_REDUCED_COLOR_8, 4: cv2.IMREAD_REDUCED_COLOR_4, 2: cv2.IMREAD_REDUCED_COLOR_2}
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags.get(factor, cv2.IMREAD_COLOR))
    return None if pixels is None or not pixels.size else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _stills(av: Any, file: VideoBytes, media_type: str, limits: Limits, side: int) -> list[Pixels]:
    """Frames of the first stream of moving pictures, evenly over the film."""
    with open_container(av, file, limits, media_type) as container:
        pictures, _ = pictures_and_covers(av, container)
        if not pictures:
            return []
        number = pictures[0].index
        stream = Stream(av, container, container.streams[number], limits)
        if too_many(stream.codec.width, stream.codec.height, limits):
            return []
        keys = keyframes_of(stream, file, limits)
        plan = Plan(tuple(Stop(key) for key in thinned(keys.times, STILLS)), most_decoded=limits.max_video_frames)
        if keys.seeks is not None:
            return [_shown(frame, side) for _, frame in islice(stream.frames(keys, plan), STILLS)]
    file.rewind()
    with open_container(av, file, limits, media_type) as container:
        again = Stream(av, container, container.streams[number], limits)
        again.without_keyframes = stream.without_keyframes
        return [_shown(frame, side) for _, frame in islice(again.frames(keys, plan), STILLS)]


def _shown(frame: Any, side: int) -> Pixels:
    """A frame as small pixels, turned as the film says."""
    scale = min(1.0, side / max(frame.width, frame.height))
    small = frame.reformat(max(1, round(frame.width * scale)), max(1, round(frame.height * scale)), "rgb24")
    turned: Pixels = np.rot90(small.to_ndarray(), int(frame.rotation or 0) // 90 % 4)
    return np.ascontiguousarray(turned)
