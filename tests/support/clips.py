"""Small films, drawn here and encoded with PyAV when a test needs them: benign, and nobody's but ours (CC0)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Edit = Callable[[Picture], Picture]


def scene(seed: int, width: int = 320, height: int = 240) -> Picture:
    """A cloud of colours that no other seed gives; large shapes weigh more than small ones, as in photographs."""
    numbers = np.random.default_rng(seed)
    cloud = np.zeros((height, width, 3))
    for octave in range(4):
        rough = numbers.normal(size=(3 << octave, 4 << octave, 3)) / 1.2**octave
        cloud += cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 40 * cloud, 0, 255).astype(np.uint8)


def frames(seconds: int, rate: int, seed: int, size: tuple[int, int] = (320, 240)) -> Iterator[Picture]:
    """A film whose scene changes every second and moves a little within it."""
    for number in range(seconds * rate):
        yield np.roll(scene(1000 * seed + number // rate, *size), number % rate, axis=1)


def encode(
    pictures: Iterable[Picture],
    container: str = "mp4",
    codec: str = "libx264",
    rate: int = 10,
    gop: int = 10,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    streams: int = 1,
) -> bytes:
    """The pictures (uint8[h,w,3] RGB, all of one size) as a film. Skips the test where PyAV is not installed."""
    av: Any = pytest.importorskip("av", reason="films are made and read with PyAV (extra: video)")
    out = io.BytesIO()
    with av.open(out, "w", format=container, options=muxer or {}) as film:
        film.metadata.update(metadata or {})
        quick = {"preset": "ultrafast", "threads": "1"} if codec == "libx264" else {"threads": "1"}
        if codec.startswith("libvpx"):
            quick |= {"deadline": "realtime", "cpu-used": "8", "b": "600k"}
        tracks = [film.add_stream(codec, rate=rate, options=quick | (options or {})) for _ in range(streams)]
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            for track in tracks:
                if not number:
                    track.height, track.width = picture.shape[:2]
                    track.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                    track.codec_context.gop_size = gop
                    track.bit_rate = 800_000
                film.mux(track.encode(frame))
        for track in tracks:
            film.mux(track.encode(None))
    return out.getvalue()


def clip(seed: int = 1, seconds: int = 6, rate: int = 10, edit: Edit | None = None, **how: Any) -> bytes:
    """A film of scenes of one second each."""
    drawn = frames(seconds, rate, seed)
    return encode((edit(one) for one in drawn) if edit else drawn, rate=rate, **how)


def with_cover(cover: Picture, seed: int = 1, seconds: int = 3) -> bytes:
    """An MP4 with a picture attached to it."""
    av: Any = pytest.importorskip("av", reason="films are made and read with PyAV (extra: video)")
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as film:
        moving, still = film.add_stream("libx264", rate=10), film.add_stream("mjpeg", rate=1)
        still.disposition = av.stream.Disposition.attached_pic
        for track, pixel_format in ((moving, "yuv420p"), (still, "yuvj420p")):
            track.width, track.height, track.pix_fmt = 320, 240, pixel_format
        for track, pictures in ((still, [cover]), (moving, frames(seconds, 10, seed))):
            for number, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                film.mux(track.encode(frame))
            film.mux(track.encode(None))
    return out.getvalue()


def sound(seconds: int = 2) -> bytes:
    """An MP4 that holds sound only."""
    av: Any = pytest.importorskip("av", reason="films are made and read with PyAV (extra: video)")
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as film:
        track = film.add_stream("aac", rate=8000)
        track.layout = "mono"
        wave = np.sin(np.arange(8000 * seconds) / 9).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate = 8000
        for piece in (frame, None):
            film.mux(track.encode(piece))
    return out.getvalue()


def grey(picture: Picture) -> Picture:
    """Without its colours."""
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)


def sepia(picture: Picture) -> Picture:
    """In the brown of old photographs."""
    mixed = picture @ np.array([[0.393, 0.349, 0.272], [0.769, 0.686, 0.534], [0.189, 0.168, 0.131]]) * 0.74
    return np.clip(mixed, 0, 255).astype(np.uint8)


def with_logo(picture: Picture) -> Picture:
    """With a small mark in a corner that lets the picture shine through."""
    marked = picture.copy()
    marked[8:20, 8:32] = np.clip(picture[8:20, 8:32].astype(int) + 60, 0, 255)
    return marked


def padded(film: bytes, size: int) -> bytes:
    """An MP4 made ``size`` bytes long by a box of nothing at its end."""
    room = size - len(film)
    return film + room.to_bytes(4, "big") + b"free" + bytes(room - 8)
