"""The pictures that stand for listed material: drawn by a program, benign, kept as data.

They are kept and not drawn anew because encoders differ between versions and a hash must not.
"""

from __future__ import annotations

from importlib.resources import files

# Which category code of the sample scheme each picture stands for; the others are in no notable set.
GRADED = {
    "coast.jpg": "1",
    "marble.jpg": "1",
    "town.jpg": "2",
    "discs.png": "2",
    "ball.avi": "2",
    "waves.webp": "3",
    "fans.gif": "3",
    "orchard.jpg": "3",
}
MD5_ONLY = {"lagoon.jpg": "2"}
KNOWN_GOOD = ("clouds.jpg", "icon.bmp")
# Altered copies: listed nowhere by digest, alike to the eye.
NEAR = {"coast-small-bright.jpg": "coast.jpg", "town-again.jpg": "town.jpg"}
UNLISTED = ("boxes.jpg", "dunes.jpg", "meadow.jpg")
ALL_PICTURES = (*GRADED, *MD5_ONLY, *KNOWN_GOOD, *NEAR, *UNLISTED)


def picture(name: str) -> bytes:
    """The bytes of one sample picture; KeyError for a name that is none."""
    if name not in ALL_PICTURES:
        raise KeyError(name)
    return files("caid_triage.synth").joinpath("pictures", name).read_bytes()


def listed_document() -> bytes:
    """A text that the sample set lists: hits are not only pictures."""
    lines = [
        f"{n:3}. stir {n % 7 + 1} spoons of flour into the bowl and wait {n % 5 + 2} minutes" for n in range(1, 60)
    ]
    return ("A recipe that the sample hash set lists\n\n" + "\n".join(lines) + "\n").encode()


def known_program() -> bytes:
    """A file that stands for a part of an operating system, listed as known good."""
    return b"MZ" + bytes(n * n % 251 for n in range(9000))
