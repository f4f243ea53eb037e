"""Draw films of the usual codecs and spacings of keyframes, to see that no speed was tuned to a few clips.

    python benchmarks/video_drawn.py FOLDER [--seconds N]

Each film pans and zooms over drawn clouds and cuts to another every three seconds. What this build of FFmpeg has no
encoder for is left out. video_speed.py then takes the folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
RATE = 30
SCENE_FRAMES = 3 * RATE


class Film(NamedTuple):
    name: str
    codec: str
    width: int
    height: int
    keyint: int
    options: dict[str, str]
    bit_rate: int = 0
    pixels: str = "yuv420p"


PHONE = {"preset": "veryfast", "bf": "0", "refs": "1", "crf": "26"}
WEB = {"preset": "medium", "crf": "26", "sc_threshold": "0"}
FILMS = (
    Film("h264-web-keyint-12.mp4", "libx264", 640, 480, 12, WEB),
    Film("h264-web-keyint-60-1080.mp4", "libx264", 1920, 1080, 60, WEB),
    Film("h264-web-keyint-250.mp4", "libx264", 1280, 720, 250, WEB),
    Film("h264-one-keyframe.mkv", "libx264", 640, 480, 100_000, WEB),
    Film("h264-phone-keyint-30.mp4", "libx264", 1280, 720, 30, PHONE),
    Film("hevc-keyint-60.mp4", "libx265", 1280, 720, 60, {"preset": "fast", "x265-params": "log-level=none"}),
    Film("mpeg4-keyint-12.avi", "mpeg4", 640, 480, 12, {}, 1_500_000),
    Film("mpeg4-b-keyint-250.mp4", "mpeg4", 640, 480, 250, {"bf": "2"}, 1_500_000),
    Film("vp9-keyint-128.webm", "libvpx-vp9", 640, 480, 128, {"deadline": "realtime", "cpu-used": "8"}, 1_500_000),
    Film("av1-keyint-60.mp4", "libsvtav1", 640, 480, 60, {"preset": "12"}),
    Film("mjpeg.avi", "mjpeg", 640, 480, 1, {"q:v": "4"}, 8_000_000, "yuvj420p"),
)  # fmt: skip


def cloud(seed: int, width: int, height: int) -> Picture:
    """uint8[h,w,3]: large shapes and small ones, as in photographs."""
    numbers = np.random.default_rng(seed)
    made = np.zeros((height, width, 3), dtype=np.float32)
    for octave in range(7):
        rough = numbers.normal(size=(3 << octave, 4 << octave, 3)).astype(np.float32) / 1.5**octave
        made += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 40 * made, 0, 255).astype(np.uint8)


def pictures(width: int, height: int, count: int) -> Iterator[Picture]:
    """A camera that moves over one scene after the other."""
    scene = cloud(0, width, height)
    for number in range(count):
        within = number % SCENE_FRAMES
        if number and not within:
            scene = cloud(number, width, height)
        zoom = 1.1 + 0.2 * within / SCENE_FRAMES
        at = within / SCENE_FRAMES * (zoom - 1)
        moved = np.array([[zoom, 0, -at * width], [0, zoom, -at * height / 2]])
        yield cv2.warpAffine(scene, moved, (width, height), flags=cv2.INTER_LINEAR)


def encode(film: Film, folder: Path, seconds: int) -> None:
    with av.open(str(folder / film.name), "w") as out:
        track = out.add_stream(film.codec, rate=RATE, options={"threads": "1", **film.options})
        track.width, track.height, track.pix_fmt = film.width, film.height, film.pixels
        track.codec_context.gop_size = film.keyint
        if film.bit_rate:
            track.bit_rate = film.bit_rate
        for number, picture in enumerate(pictures(film.width, film.height, seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=film.pixels)
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=10)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for film in FILMS:
        if film.codec in av.codecs_available:
            encode(film, options.folder, options.seconds)


if __name__ == "__main__":
    main()
