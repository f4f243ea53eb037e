"""The decoders that a unit may leave out, each imported once and late, and set to be quiet and single-threaded.

Every one of them is an extra of this package. Without it its pictures come out as ``no-decoder``
(a problem that names the type), never as an error.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from types import ModuleType
from typing import Any

# Module, and the extra of this package that installs it.
OPTIONAL = {"av": "video", "imagecodecs": "jxl", "pillow_heif": "heif", "rawpy": "raw"}
# What opens containers; imported when the first of its kind is met.
READERS = ("archi", "olefile", "pikepdf", "py7zr", "pypff", "zstandard")


@lru_cache(maxsize=len(OPTIONAL) + len(READERS))
def library(name: str) -> ModuleType | None:
    """Return a module of ``OPTIONAL`` or ``READERS``, None where it is not installed or cannot be loaded."""
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError):  # OSError: installed, but a shared library of it is missing
        return None
    if name == "av":
        module.logging.set_level(module.logging.PANIC)  # errors are counted and kept; nothing is printed
    if name == "pillow_heif":
        # One thread a worker, and only the picture: thumbnails, depth and auxiliary pictures are not asked for.
        module.options.DECODE_THREADS = 1
        module.options.THUMBNAILS = False
        module.options.DEPTH_IMAGES = False
        module.options.AUX_IMAGES = False
    return module


def load_libraries() -> None:
    """Import every decoder that is installed, so that no file's time is charged for it."""
    for name in OPTIONAL:
        library(name)
    try:
        avif: Any = importlib.import_module("PIL.AvifImagePlugin")
    except ImportError:  # Pillow before 11.3
        return
    avif.DEFAULT_MAX_THREADS = 1  # a worker is one process a core
