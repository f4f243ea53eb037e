"""The pipe between a process of ours and the coordinator, kept away from the libraries that the process calls."""

from __future__ import annotations

import os
from typing import BinaryIO


def private_streams() -> tuple[BinaryIO, BinaryIO]:
    """The pipe to the coordinator, moved away from stdin and stdout so that no library can write into it."""
    source = os.fdopen(os.dup(0), "rb", buffering=1 << 20)
    sink = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    return source, sink
