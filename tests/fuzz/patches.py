"""Damage to a large whole as a small input: which whole, and what is written where.

An input is a byte of flags, a byte that chooses the whole, then patches: two bytes choose one of its places (units that
are not all zeros, so that damage meets structures and not emptiness), two bytes an offset from there, one byte a length
n, and n bytes to write; a length of 0 cuts the whole there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

UNIT = 512
MOST_PATCHES = 24
NEAR = (0, 1, 2, 3, 4, 5, 7, 8, 16, 0x7F, 0x80, 0xFF, 0x100, 0x1FF, 0x200, 0xFFF, 0x1000, 0x7FFF, 0x8000, 0xFFFF,
        0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)  # fmt: skip


def places_of(whole: bytes, unit: int = UNIT) -> list[int]:
    """Where the units begin that are not all zeros; at least the first."""
    empty = bytes(unit)
    return [at for at in range(0, len(whole), unit) if whole[at : at + unit] != empty[: len(whole) - at]] or [0]


def flags_of(data: bytes) -> int:
    """The first byte of an input."""
    return data[0] if data else 0


def chosen(data: bytes, names: Sequence[str]) -> str:
    """Which whole an input is about."""
    return names[data[1] % len(names)] if len(data) > 1 else names[0]


def patched(data: bytes, whole: bytes, places: Sequence[int]) -> bytes:
    """The whole with the patches of an input."""
    made = bytearray(whole)
    at = 2
    for _ in range(MOST_PATCHES):
        if at + 5 > len(data):
            break
        place = places[int.from_bytes(data[at : at + 2], "little") % len(places)]
        offset = place + int.from_bytes(data[at + 2 : at + 4], "little") % (2 * UNIT)
        length = data[at + 4]
        piece = data[at + 5 : at + 5 + length]
        at += 5 + length
        if not length:
            del made[offset:]
        elif offset < len(made):
            made[offset : offset + len(piece)] = piece[: len(made) - offset]
    return bytes(made)


def patch(place: int, offset: int, piece: bytes) -> bytes:
    """One patch, to be added to an input."""
    return place.to_bytes(2, "little") + offset.to_bytes(2, "little") + bytes((len(piece),)) + piece


def patching(
    wholes: Mapping[str, bytes], places: Callable[[str], Sequence[int]], modes: int = 2
) -> Callable[[bytes, random.Random], bytes]:
    """A mutation of inputs over these wholes: adds or drops patches; so many values of the flags mean something."""
    names = sorted(wholes)

    def mutate(data: bytes, chance: random.Random) -> bytes:
        if len(data) < 2 or chance.random() < 0.05:
            return bytes((chance.randrange(modes), chance.randrange(len(names))))
        made = bytearray(data)
        if chance.random() < 0.1:
            made[0] = chance.randrange(modes)
        if chance.random() < 0.2 and len(made) > 12:
            del made[chance.randrange(2, len(made)) :]
        name = chosen(bytes(made), names)
        whole = wholes[name]
        for _ in range(chance.choice((1, 1, 2, 3))):
            number = chance.randrange(len(places(name)))
            offset = chance.randrange(UNIT)
            old = whole[places(name)[number] + offset :][:8]
            made += patch(number, offset, _piece(chance, old, whole))
        return bytes(made)

    return mutate


def _piece(chance: random.Random, old: bytes, whole: bytes) -> bytes:
    """What is written: a nasty number of either order, a bit flipped, noise, a piece of elsewhere, or a cut."""
    what = chance.random()
    if what < 0.4:
        width = chance.choice((1, 2, 4, 8))
        value = chance.choice((*NEAR, len(whole), len(whole) // 512, len(whole) // 4096)) % (1 << 8 * width)
        return value.to_bytes(width, chance.choice(("little", "big")))
    if what < 0.7 and old:
        return bytes((old[0] ^ 1 << chance.randrange(8),))
    if what < 0.75 and old:
        return bytes(((old[0] + chance.choice((1, 255))) & 255,))
    if what < 0.85:
        return chance.randbytes(chance.choice((1, 4, 16, 64)))
    if what < 0.97:
        start = chance.randrange(max(1, len(whole)))
        return whole[start : start + chance.choice((4, 16, 64, 200))] or b"\0"
    return b""
