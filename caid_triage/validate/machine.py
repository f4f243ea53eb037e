"""What a validation ran on: versions and the size of the machine. No host name, no user, no path of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import distributions
from typing import Any

from caid_triage.version import __version__

# The libraries that read evidence, decode, hash or write reports (docs/decisions/0002), the optional ones too.
LIBRARIES = (
    "archi", "av", "backports.zstd", "brotli", "click", "cryptography", "deflate", "hyperscan", "imagecodecs",
    "imagehash", "jinja2", "libbde-python", "libewf-python", "libfsapfs-python", "libfshfs-python", "libfsxfs-python",
    "libfvde-python", "libluksde-python", "libmodi-python", "libpff-python", "libvshadow-python", "libvslvm-python",
    "numba", "numpy", "olefile", "opencv-python-headless", "pikepdf", "pillow", "pillow-heif", "py7zr", "pytsk3",
    "rawpy", "rich", "scipy",
)  # fmt: skip


def machine_facts(name: str = "") -> dict[str, Any]:
    """The tool, the interpreter, the libraries, the system and the size of the machine; ``name`` only where given."""
    own = {"name": name} if name else {}
    return {
        **own,
        "tool": {"name": "caid-triage", "version": __version__},
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "system": {"name": platform.system(), "release": platform.release(), "processor": platform.machine()},
        "cpus": os.cpu_count(),
        "memory_bytes": memory_bytes(),
        "libraries": libraries(),
    }


def memory_bytes() -> int | None:
    """The machine's memory; None where the system does not tell (Windows)."""
    with suppress(AttributeError, ValueError, OSError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def libraries() -> Mapping[str, str]:
    """The versions of the installed ones among LIBRARIES, by name."""
    wanted = {name.lower().replace("_", "-") for name in LIBRARIES}
    found = {}
    for distribution in distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name in wanted:
            found[name] = distribution.version
    return dict(sorted(found.items()))
