"""Seeded damage to a content, as disks, cut downloads and people make it: the same number gives the same bytes."""

from __future__ import annotations

import random

# Values that size fields, counts and offsets are set to, in either byte order.
WIDTHS = (1, 2, 4, 8)
HEAD = 8  # the first bytes, without which nobody would look inside, are mostly left alone


def mutated(data: bytes, seed: str) -> bytes:
    """The content with one to some places flipped, set to an extreme, cut, moved, doubled or mixed with noise."""
    chance = random.Random(seed)
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        first = 0 if chance.random() < 0.05 or len(made) <= HEAD else HEAD
        at = chance.randrange(first, max(len(made), first + 1))
        chance.choice((_flip, _flip, _extreme, _extreme, _extreme, _cut, _splice, _remove, _double, _noise))(
            chance, made, at
        )
    return bytes(made)


def _flip(chance: random.Random, made: bytearray, at: int) -> None:
    if at < len(made):
        made[at] ^= 1 << chance.randrange(8)


def _extreme(chance: random.Random, made: bytearray, at: int) -> None:
    width = chance.choice(WIDTHS)
    bits = 8 * width
    near = (len(made), len(made) - 1, len(made) // 2, at, at + 1)
    value = chance.choice((0, 1, 2, (1 << bits) - 1, (1 << bits) - 2, 1 << (bits - 1), (1 << (bits - 1)) - 1, *near))
    made[at : at + width] = (value % (1 << bits)).to_bytes(width, chance.choice(("little", "big")))


def _cut(chance: random.Random, made: bytearray, at: int) -> None:
    if chance.random() < 0.3:
        del made[at:]


def _splice(chance: random.Random, made: bytearray, at: int) -> None:
    """A piece of the content over another."""
    start = chance.randrange(max(len(made), 1))
    piece = made[start : start + chance.choice((4, 16, 64, 512))]
    made[at : at + len(piece)] = piece


def _remove(chance: random.Random, made: bytearray, at: int) -> None:
    del made[at : at + chance.choice((1, 2, 8, 100))]


def _double(chance: random.Random, made: bytearray, at: int) -> None:
    made[at:at] = made[at : at + chance.choice((1, 8, 64, 1024))]


def _noise(chance: random.Random, made: bytearray, at: int) -> None:
    count = min(chance.choice((2, 8, 32)), max(len(made) - at, 0))
    made[at : at + count] = chance.randbytes(count)
