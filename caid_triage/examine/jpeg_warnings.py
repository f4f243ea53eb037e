"""What libjpeg says while OpenCV decodes: the only place where damage inside the compressed data shows.

A sector overwritten with something that looks like compressed data leaves every marker in place; the decoder
notices, writes one line to standard error and goes on. That line is read here. It costs four microseconds.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

# Lines of libjpeg (jerror.h) after which pixels are missing or wrong.
DAMAGE = re.compile(
    rb"premature end|Premature end|bad Huffman code|bad arithmetic code|instead of RST|Inconsistent progression"
)
LEFT_OVER = re.compile(rb"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
# Every line that libjpeg writes about a file. Whatever else was written meanwhile is handed on.
OURS = re.compile(
    rb"^(?:Corrupt JPEG data|Premature end|Warning: unknown JFIF|Inconsistent|Invalid SOS|Unknown Adobe).*\n?", re.M
)
# Webcams leave up to some thirty bytes behind a scan; a decoder that lost its way leaves more.
MOST_LEFT_OVER = 31
MOST_READ = 1 << 16


def listening(step: Callable[[], T]) -> tuple[T, str]:
    """Return what ``step`` returns, and in words what libjpeg said of damage meanwhile ("" : nothing)."""
    sink = _sink()
    try:
        before = os.dup(2) if sink is not None else None
    except OSError:  # a process without standard error
        before = None
    if sink is None or before is None:
        return step(), ""
    os.ftruncate(sink, 0)
    os.lseek(sink, 0, os.SEEK_SET)
    os.dup2(sink, 2)
    try:
        found = step()
    finally:
        os.dup2(before, 2)
        os.close(before)
    said = _read(sink)
    return found, _damage(said) if said else ""


def _read(sink: int) -> bytes:
    """Return what was written, and hand on what is not libjpeg's."""
    os.lseek(sink, 0, os.SEEK_SET)
    said = os.read(sink, MOST_READ)
    others = OURS.sub(b"", said)
    if others:
        os.write(2, others)
    return said


def _damage(said: bytes) -> str:
    """Return in words what is wrong with the compressed data."""
    if DAMAGE.search(said):
        return "the compressed data are damaged: the decoder lost its way in them"
    left = LEFT_OVER.search(said)
    if left is None:
        return ""
    count, marker = int(left[1]), left[2]
    if b"d0" <= marker <= b"d7" or (marker in (b"d9", b"da", b"c4") and count > MOST_LEFT_OVER):
        return f"the compressed data are damaged: {count} bytes of them were left over"
    return ""


@lru_cache(maxsize=1)
def _sink() -> int | None:
    """Return the descriptor of a file without a name, None where there can be none."""
    try:
        if hasattr(os, "memfd_create"):
            return os.memfd_create("libjpeg")
        with tempfile.TemporaryFile(buffering=0) as file:
            return os.dup(file.fileno())
    except OSError:
        return None
