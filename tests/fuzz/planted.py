"""A target with planted faults, one for each thing that a run must notice; only the tests of the fuzzing run it."""

from __future__ import annotations

import os

from fuzz.target import Target, expect


def check(data: bytes) -> str:
    if b"die" in data:
        os.abort()
    if b"hang" in data:
        while True:
            pass
    if b"index" in data:
        return str(data[len(data)])
    expect(b"law" not in data, "a law is broken")
    if b"typed" in data:
        raise ValueError("as it must")
    return "fine"


def seeds() -> dict[str, bytes]:
    words = ("fine", "typed", "index", "law", "die", "hang")
    return {word: word.encode() for word in words}


TARGET = Target("planted", "planted faults", seeds, check, (ValueError,), longest=64, seconds=0.02, seconds_per_kib=0.0)
