"""The decoders that few files need, each imported once and late, and set to be quiet and single-threaded.

Loading one takes time that is not the file's: who measures a file's time is told before and after.
All but Pillow's may be left out by a unit: each is an extra of this package. Without it its pictures come out as
``no-decoder`` (a problem that names the type), never as an error.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import ModuleType
from typing import Any

from PIL import Image

# Module, and the extra of this package that installs it.
OPTIONAL = {"av": "video", "imagecodecs": "jxl", "pillow_heif": "heif", "rawpy": "raw"}
# What opens containers; imported when the first of its kind is met.
READERS = ("archi", "backports.zstd", "brotli", "compression.zstd", "olefile", "pikepdf", "py7zr", "pypff")

# Called with True before something is loaded and with False after it.
told_of_loading: ContextVar[Callable[[bool], None]] = ContextVar("told_of_loading", default=lambda _began: None)


@contextmanager
def loading() -> Iterator[None]:
    """Say before and after that something is loaded."""
    told = told_of_loading.get()
    told(True)
    try:
        yield
    finally:
        told(False)


@lru_cache(maxsize=len(OPTIONAL) + len(READERS))
def library(name: str) -> ModuleType | None:
    """Return a module of ``OPTIONAL`` or ``READERS``, None where it is not installed or cannot be loaded."""
    try:
        with loading():
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


@lru_cache(maxsize=1)
def load_pillow_formats() -> None:
    """Have Pillow import all its formats: to be called before a picture is opened with it."""
    with loading():
        Image.init()
        try:
            avif: Any = importlib.import_module("PIL.AvifImagePlugin")
        except ImportError:  # Pillow before 11.3
            return
        avif.DEFAULT_MAX_THREADS = 1  # a worker is one process a core


def load_libraries() -> None:
    """Import every decoder that is installed."""
    load_pillow_formats()
    for name in OPTIONAL:
        library(name)
