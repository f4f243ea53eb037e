"""The canaries: a small drawing in every format and container, read under the confinement before any evidence is.

A confinement that is a little too tight makes good files look corrupt, without a word (measured: no AVIF was decoded
any more, because its decoder could not start a thread). So the first worker of a scan reads one known file of each kind
as it would read the suspect's; scan/trial.py says what follows if one does not come out as it was drawn.

The files in ``canaries/`` are drawn by fixtures/make_canaries.py and nobody's but ours (CC0-1.0). Outlook stores have
no canary: nothing writes them; the library that reads them is loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from importlib.util import find_spec
from types import MappingProxyType

import numpy as np

from caid_triage.examine.boundary import Failure, at_the_boundary
from caid_triage.examine.decode import decode
from caid_triage.examine.decoded import Pixels
from caid_triage.examine.embedded.content import Content
from caid_triage.examine.embedded.inner import Inner
from caid_triage.examine.examine import Run
from caid_triage.examine.libraries import OPTIONAL, READERS, library
from caid_triage.examine.limits import Limits
from caid_triage.examine.video import examine_video
from caid_triage.examine.video_bytes import in_memory
from caid_triage.model import DecodeState
from caid_triage.scan.protocol import ABSENT, SINGS

FOLDER = "canaries"
# What the containers hold.
INNER = "tiny.jpg"

# File -> media type, and the libraries without which it cannot be read.
PICTURES: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "jpeg.jpg": ("image/jpeg", ()),
        "jpeg-progressive.jpg": ("image/jpeg", ()),
        "png.png": ("image/png", ()),
        "gif.gif": ("image/gif", ()),
        "webp.webp": ("image/webp", ()),
        "bmp.bmp": ("image/bmp", ()),
        "tiff.tif": ("image/tiff", ()),
        "jpeg-2000.jp2": ("image/jp2", ()),
        "avif.avif": ("image/avif", ()),
        "heic.heic": ("image/heic", ("pillow_heif",)),
        "jpeg-xl.jxl": ("image/jxl", ("imagecodecs",)),
        "raw.dng": ("image/x-adobe-dng", ("rawpy",)),
    }
)
FILMS: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "h264.mp4": ("video/mp4", ("av",)),
        "vp9.webm": ("video/webm", ("av",)),
        "mpeg-4.avi": ("video/x-msvideo", ("av",)),
    }
)
CONTAINERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "zip.zip": (), "tar.tar": (), "gzip.gz": (), "bzip2.bz2": (), "xz.xz": (),
        "zstd.zst": ("backports.zstd",), "ar.ar": ("archi",), "cab.cab": ("archi",), "rar-4.rar": ("archi",),
        "rar-5.rar": ("archi",), "7z.7z": ("py7zr",), "pdf.pdf": ("pikepdf",), "mail.eml": (), "sqlite.db": (),
        "wal.db-wal": (), "thumbcache.db": (), "thumbs.db": ("olefile",), "ole.doc": ("olefile",),
        "chromium.cache": (), "firefox.cache": (),
    }
)  # fmt: skip
# Libraries that no canary needs: they are only loaded.
LOADED = ("pypff", "brotli")
# Means of the drawing's grey in four rows of four blocks; a decoder may differ in brightness, not in what it shows.
BLOCKS = 4
DRAWN = np.array((127, 107, 164, 149, 98, 114, 84, 115, 97, 94, 56, 91, 100, 91, 83, 133), dtype=np.float64)
LEAST_CORRELATION = 0.9


def installed_libraries() -> frozenset[str]:
    """The optional libraries that are installed; to be asked before a confinement could hide one."""
    found = set()
    for name in (*OPTIONAL, *READERS):
        try:
            if find_spec(name) is not None:
                found.add(name)
        except ImportError:  # the package around it is missing
            continue
    if "compression.zstd" in found:  # Python 3.14 and later has it itself
        found.add("backports.zstd")
    return frozenset(found)


def sing(installed: frozenset[str], limits: Limits) -> dict[str, str]:
    """Read every canary; its outcome by its name."""
    files = resources.files("caid_triage.scan") / FOLDER
    inner = hashlib.sha256((files / INNER).read_bytes()).digest()
    tries: dict[str, tuple[tuple[str, ...], Callable[[bytes], str]]] = {}
    for name, (media_type, needs) in PICTURES.items():
        tries[name] = needs, partial(_picture, media_type=media_type, limits=limits)
    for name, (media_type, needs) in FILMS.items():
        tries[name] = needs, partial(_film, media_type=media_type, limits=limits)
    for name, needs in CONTAINERS.items():
        tries[name] = needs, partial(_container, inner=inner, limits=limits)
    outcomes = {}
    for name, (needs, attempt) in tries.items():
        if not installed.issuperset(needs):
            outcomes[name] = ABSENT
            continue
        found = at_the_boundary(partial(attempt, (files / name).read_bytes()))
        outcomes[name] = found.said if isinstance(found, Failure) else found
    for name in LOADED:
        loaded = ABSENT if name not in installed else SINGS if library(name) else "it cannot be loaded"
        outcomes[name] = loaded
    return outcomes


def _picture(content: bytes, media_type: str, limits: Limits) -> str:
    run = _read(content, limits)
    if run.identified().media_type != media_type:
        return f"taken for {run.identified().media_type}"
    decoded = decode(content, media_type, limits)
    if decoded.state is not DecodeState.DECODED or decoded.pixels is None:
        codes = [problem.code for problem in decoded.problems]
        return ABSENT if codes == ["no-decoder"] else f"{decoded.state.value} {' '.join(codes)}".strip()
    return SINGS if shows_the_drawing(decoded.pixels) else "another picture came out"


def shows_the_drawing(pixels: Pixels) -> bool:
    """Whether pixels (uint8[h,w] or uint8[h,w,3]) are the canaries' drawing, of whatever size and brightness."""
    return bool(np.corrcoef(blocks(pixels), DRAWN)[0, 1] >= LEAST_CORRELATION)


def blocks(pixels: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Mean grey of the blocks of a picture, row by row, float64[16]."""
    grey = pixels.astype(np.float64)
    if grey.ndim == 3:
        grey = grey @ (0.299, 0.587, 0.114)
    rows = np.array_split(grey, BLOCKS, axis=0)
    return np.array([block.mean() for row in rows for block in np.array_split(row, BLOCKS, axis=1)])


def _film(content: bytes, media_type: str, limits: Limits) -> str:
    if _read(content, limits).identified().media_type != media_type:
        return "taken for something else"
    film = examine_video(in_memory(content), media_type, limits)
    if film.state is DecodeState.DECODED and film.hashes:
        return SINGS
    return f"{film.state.value} {' '.join(problem.code for problem in film.problems)}".strip()


def _container(content: bytes, inner: bytes, limits: Limits) -> str:
    within = _read(content, limits).container()
    if not isinstance(within, tuple):
        return "not known as a container"
    lister, file = within
    found = (item for item in lister(Content(file)) if isinstance(item, Inner) and item.pieces is not None)
    if any(inner in _ways_to_end(b"".join(item.pieces())) for item in found if item.pieces is not None):
        return SINGS
    return "what lies inside was not found"


def _ways_to_end(content: bytes) -> set[bytes]:
    """SHA-256 of a content and of it without the comment that makes it long enough for a compound file."""
    return {hashlib.sha256(one).digest() for one in (content, content[:2] + content[2 + 2 + 0x1000 :])}


def _read(content: bytes, limits: Limits) -> Run:
    run = Run(limits, "", len(content))
    run.update(content)
    return run
