"""Which cells of a disk are read, in which order of drawing: a permutation made from a seed, without a list of it.

Draw i is the i-th value of a permutation of all cells, so no cell comes twice, the first n draws are a sample without
replacement for every n, and a run goes on where another stopped. The permutation is a Feistel network of eight rounds
over the next even number of bits, walked on until a value is a cell ("cycle walking": Black and Rogaway, Ciphers with
Arbitrary Finite Domains, 2002). Its round keys are SHA-256 of the seed, its round function the finaliser of MurmurHash3
(64 bits). All of it is fixed here in whole numbers: a seed gives the same draws with every version of every library.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

ROUNDS = 8
MOST_SEED = 2**63 - 1
_FIRST, _SECOND, _SHIFT = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53), np.uint64(33)


def draws(seed: int, population: int, first: int, count: int) -> NDArray[np.int64]:
    """The cells of draws ``first`` to ``first + count - 1``, int64[count], in the order of drawing.

    ValueError where the population has not so many cells, or a seed is out of 0 to 2**63 - 1.
    """
    if not 0 <= seed <= MOST_SEED:
        raise ValueError(f"a seed is 0 to 2**63 - 1, not {seed}")
    if first < 0 or count < 0 or first + count > population or population >= 1 << 62:
        raise ValueError(f"of {population} cells draws {first} to {first + count} cannot be made")
    half = max(((population - 1).bit_length() + 1) // 2, 1)
    keys = round_keys(seed)
    values = np.arange(first, first + count, dtype=np.uint64)
    values = _enciphered(values, half, keys)
    outside = np.flatnonzero(values >= population)
    while outside.size:
        values[outside] = _enciphered(values[outside], half, keys)
        outside = outside[values[outside] >= population]
    return values.astype(np.int64)


def gap_cells(drawn: NDArray[np.int64], population: int, widest: int) -> NDArray[np.int64]:
    """The fewest cells, int64[n] ascending, with which no ``widest`` neighbouring cells are without one that is read.

    One every ``widest`` cells stands in each gap between the ``drawn`` cells, all different, that is so wide.
    """
    edges = np.concatenate([[-1], np.sort(drawn), [population]]).astype(np.int64)
    counts = (np.diff(edges) - 1) // widest
    wide = np.flatnonzero(counts)
    counts = counts[wide]
    within = np.arange(int(counts.sum()), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.repeat(edges[wide], counts) + (within + 1) * widest)


def round_keys(seed: int) -> NDArray[np.uint64]:
    """The keys of the rounds, uint64[8]: eight bytes of the SHA-256 of seed and round."""
    texts = (f"caid-triage draws {seed} {number}".encode() for number in range(ROUNDS))
    return np.array([int.from_bytes(hashlib.sha256(text).digest()[:8], "big") for text in texts], dtype=np.uint64)


def _enciphered(values: NDArray[np.uint64], half: int, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A permutation of 0 to 2**(2 * half) - 1."""
    width, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> width, values & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << width) | right


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """MurmurHash3's finaliser: each bit of the result depends on each bit of the value."""
    values = (values ^ (values >> _SHIFT)) * _FIRST
    values = (values ^ (values >> _SHIFT)) * _SECOND
    return values ^ (values >> _SHIFT)
