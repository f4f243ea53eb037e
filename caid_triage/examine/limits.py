"""How much work one file may cost before it is refused, said so and listed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of examining one file; what exceeds one keeps its digests and gets a Problem.

    ``max_pixels``: a header that claims more is not decoded (a 40-byte file can claim gigabytes).
    ``max_jpeg_pixels``: the same for JPEG, which is decoded reduced: telephones take 200 megapixels.
    ``max_side``: no picture for eyes is longer in pixels (a fuzzed header made one 6,356,992 wide).
    ``max_scans``: a progressive JPEG is cut after that many (real ones have up to 23; 5,000 hang
    every decoder), and after fewer if scans times pixels exceed ``max_scan_pixels``.
    ``max_content_bytes``: a picture file above it is not held in memory.
    ``min_reduced_side``: a large JPEG is decoded at 1/2, 1/4 or 1/8 as long as its shorter side
    keeps that many pixels, and any JPEG in grey; 0 decodes every picture whole and in colour.
    ``max_frames`` and ``max_frame_pixels`` (frames times their size) bound how much of an animation is
    decoded.

    ``max_video_bytes``: a longer video is not held in memory but read again where its decoder looks, at most
    ``max_reread_bytes`` of it. ``max_video_frames`` frames of one video are hashed at most, ``max_video_pixels`` pixels
    decoded. ``dense_video`` hashes a frame each ``dense_step`` seconds of any video that this allows (graded videos of
    a unit's own), where otherwise keyframes do.

    Of what lies inside a file at most ``max_inside_files`` are examined, to ``max_inside_depth`` containers inside each
    other, and at most ``max_inside_bytes`` bytes are unpacked, or ``max_inside_ratio`` times the file's own size where
    that is more. ``inside_step_bytes``: so often the walk inside says that it goes on.
    """

    max_pixels: int = 100_000_000
    max_jpeg_pixels: int = 250_000_000
    max_side: int = 100_000
    max_scans: int = 64
    max_scan_pixels: int = 2_500_000_000
    max_content_bytes: int = 512 * 1024 * 1024
    min_reduced_side: int = 256
    max_frames: int = 500
    max_frame_pixels: int = 96_000_000
    max_video_bytes: int = 64 * 1024 * 1024
    max_reread_bytes: int = 512 * 1024 * 1024
    max_video_frames: int = 512
    max_video_pixels: int = 4_500_000_000
    dense_video: bool = False
    dense_step: float = 1.0
    max_inside_files: int = 1_000_000
    max_inside_depth: int = 6
    max_inside_bytes: int = 16 * 1024 * 1024 * 1024
    max_inside_ratio: int = 20
    inside_step_bytes: int = 16 * 1024 * 1024
