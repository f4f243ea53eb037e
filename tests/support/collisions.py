"""Pairs of contents with one MD5, made of the first pair that was published."""

from __future__ import annotations

# X. Wang, D. Feng, X. Lai, H. Yu: Collisions for Hash Functions MD4, MD5, HAVAL-128 and RIPEMD (2004), in the version
# with the right byte order; two blocks, so whatever stands behind both keeps their MD5 equal.
_FIRST = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
_DIFFERENCES = (19, 45, 59, 83, 109, 123)


def twins(behind: bytes = b"") -> tuple[bytes, bytes]:
    """Two different contents with one MD5 and one length that end in ``behind``."""
    other = bytes(byte ^ (0x80 if place in _DIFFERENCES else 0) for place, byte in enumerate(_FIRST))
    return _FIRST + behind, other + behind
