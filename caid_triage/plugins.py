"""Plug-ins: what a unit installs beside this tool and this tool then uses, by entry point.

    group "caid_triage.perceptual_hashes"     a hash of what a picture looks like
        name      the algorithm; "photodna" is matched with the PhotoDNA vectors of hash sets
        object    function(pixels) -> bytes | (bytes, quality)

``pixels`` is uint8[h, w] luma or uint8[h, w, 3] RGB as it was decoded (JPEGs are decoded in grey, large ones at reduced
size); "photodna" must answer with 144 bytes. A plug-in runs in a worker process; what it raises is recorded as a
problem of the file, and the hashes of this tool are kept. ``python -m caid_triage.conformance`` tries an installed
plug-in against this contract. Only installed packages are looked at, nothing is loaded
from a case or an exhibit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from caid_triage.errors import UsageError
from caid_triage.perceptual import hash_name

PERCEPTUAL_HASHES = "caid_triage.perceptual_hashes"
OWN_ALGORITHMS = frozenset({"pdq", "phash", "vpdq"})

HashPlugin = Callable[[Any], "bytes | tuple[bytes, int]"]


@lru_cache(maxsize=1)
def perceptual_hash_plugins() -> tuple[tuple[str, HashPlugin], ...]:
    """The installed perceptual-hash plug-ins, by algorithm; UsageError for one that takes a name of this tool's own."""
    found: dict[str, HashPlugin] = {}
    for point in sorted(entry_points(group=PERCEPTUAL_HASHES), key=lambda point: point.name):
        if _is_own(point.name) or point.name in found:
            raise UsageError(
                f"the plug-in {point.value} calls itself {point.name!r}, which is taken: remove it, or ask its makers"
            )
        found[point.name] = point.load()
    return tuple(found.items())


def _is_own(name: str) -> bool:
    """Return whether a name means one of this tool's hashes, or a look of one (``pdq-512``, ``photodna-turned``)."""
    meant = hash_name(name)
    return meant.algorithm in OWN_ALGORITHMS or meant.algorithm != name


def checked_hash(algorithm: str, answer: bytes | tuple[bytes, int]) -> tuple[bytes, int | None]:
    """The value and quality (None: not stated) of a plug-in's answer; ValueError if it breaks the contract."""
    value, quality = answer if isinstance(answer, tuple) else (answer, None)
    if not isinstance(value, bytes) or not 0 < len(value) <= 1024:
        raise ValueError(f"{algorithm} must answer with 1 to 1,024 bytes")
    if algorithm == "photodna" and len(value) != 144:
        raise ValueError(f"photodna must answer with 144 bytes, not {len(value)}")
    if quality is not None and (isinstance(quality, bool) or not isinstance(quality, int) or not 0 <= quality <= 100):
        raise ValueError(f"the quality of {algorithm} must be 0 to 100")
    return value, quality
