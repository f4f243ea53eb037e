"""caid-triage: find known images on seized disk images, by hash.

The public interface (docs/guide/python-api.md), the same functions that the commands use:

    open_hashset(path) -> HashSet              .exact(alg, digests), .near(alg, hashes, radius), .records
    build_hashset(paths, out, ...)             what `caid-triage hashset build` does
    build_hashset_from_arrays(out, md5=...)    for tools and benchmarks
    pdq(pixels) -> (bytes, quality)            uint8[h,w] luma or uint8[h,w,3] RGB
    phash(pixels) -> bytes                     imagehash's definition
    open_case(folder) -> CaseView              .files(), .matches(), .problems()

Each is imported when it is first asked for, so that a worker process does not load what it never uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from caid_triage.version import __version__

if TYPE_CHECKING:
    from caid_triage.case.view import CaseView, open_case
    from caid_triage.examine.pdq import pdq
    from caid_triage.examine.phash import phash
    from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
    from caid_triage.hashset.store import HashSet, open_hashset

__all__ = [
    "CaseView",
    "HashSet",
    "__version__",
    "build_hashset",
    "build_hashset_from_arrays",
    "open_case",
    "open_hashset",
    "pdq",
    "phash",
]

_HOMES = {
    "CaseView": "caid_triage.case.view",
    "HashSet": "caid_triage.hashset.store",
    "build_hashset": "caid_triage.hashset.build",
    "build_hashset_from_arrays": "caid_triage.hashset.build",
    "open_case": "caid_triage.case.view",
    "open_hashset": "caid_triage.hashset.store",
    "pdq": "caid_triage.examine.pdq",
    "phash": "caid_triage.examine.phash",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
