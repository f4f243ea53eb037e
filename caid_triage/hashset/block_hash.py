"""The hashes of blocks: aligned pieces of 512 or 4,096 bytes, told from all others by three words of 64 bits.

A block's first word, its probe, is a sum over its bytes that costs one pass over a disk whatever the number of places
a block may begin at: each sector of 512 bytes is summed once, and the sums of the sectors of a block are put together.
It finds candidates. The other two words are the first 16 bytes of the block's SHA-256, which is worked out for
candidates alone and decides. Blocks that are equal have equal probes, so the probe loses none.

Why SHA-256 and not MD5: where processors have instructions for it it takes half of MD5's time, and nobody can make two
blocks of one value. Why 16 bytes of it: of 2**40 blocks on a disk against 2**32 in a set, two that differ agree with a
chance of 2**-56; that is not the error that matters (docs/formats/hashsets.md: what does is a block that many files
have).
"""

from __future__ import annotations

import hashlib

import numpy as np

from caid_triage.hashset.algorithms import Words

SECTOR = 512
BLOCK_SIZES = (512, 4096)
WIDTH = 3
"""Words of a block's hash: its probe, then 16 bytes of its SHA-256."""
_WORDS = SECTOR // 8
# Odd factors that nobody chose: the words of a SHA-256 that is said here.
_FACTORS = np.frombuffer(
    b"".join(hashlib.sha256(f"caid-triage block probe {n}".encode()).digest() for n in range(_WORDS // 4 + 2)),
    dtype=">u8",
).astype(np.uint64) | np.uint64(1)
_OF_WORDS, _OF_SECTORS = _FACTORS[:_WORDS].copy(), _FACTORS[_WORDS : _WORDS + 8].copy()
_FIRST, _SECOND, _SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)


def sector_sums(data: bytes | memoryview) -> Words:
    """The sum of each whole sector of some bytes, uint64[len(data) // 512]."""
    whole = len(data) // SECTOR
    words = np.frombuffer(data, dtype="<u8", count=whole * _WORDS).reshape(whole, _WORDS)
    return np.asarray(np.einsum("ij,j->i", words, _OF_WORDS, dtype=np.uint64, casting="unsafe"))


def probes(sums: Words, block_size: int) -> Words:
    """The probe of the block that begins at each sector, from the sums of all of them.

    uint64[n], one a place where a whole block can begin: as many as there are sectors, less those of a block but one.
    """
    sectors = block_size // SECTOR
    count = max(len(sums) - sectors + 1, 0)
    total = np.zeros(count, dtype=np.uint64)
    for place in range(sectors):
        total += sums[place : place + count] * _OF_SECTORS[place]
    # MurmurHash3's finaliser: what a set's tables look at first are the leading bits.
    total = (total ^ (total >> _SHIFT)) * _FIRST
    total = (total ^ (total >> _SHIFT)) * _SECOND
    return total ^ (total >> _SHIFT)


def sha_words(blocks: list[bytes] | list[memoryview]) -> Words:
    """The first 16 bytes of the SHA-256 of each block as two words, uint64[n, 2]."""
    joined = b"".join(hashlib.sha256(block).digest()[:16] for block in blocks)
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64).reshape(len(blocks), 2)


def block_words(data: bytes | memoryview, block_size: int) -> Words:
    """The three words of each whole aligned block of some bytes, uint64[len(data) // block_size, 3]."""
    view = memoryview(data)
    count = len(view) // block_size
    words = np.empty((count, WIDTH), dtype=np.uint64)
    words[:, 0] = probes(sector_sums(view[: count * block_size]), block_size)[:: block_size // SECTOR]
    words[:, 1:] = sha_words([view[place * block_size : (place + 1) * block_size] for place in range(count)])
    return words
