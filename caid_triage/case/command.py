"""What the audit chain says of a command: its name and options, who ran it and where, and every version it ran with."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata

from caid_triage.actor import actor
from caid_triage.version import __version__

DEPENDENCIES = (
    "archi", "av", "backports.zstd", "brotli", "click", "cryptography", "deflate", "hyperscan", "imagecodecs",
    "imagehash", "jinja2", "libbde-python", "libewf-python", "libfsapfs-python", "libfshfs-python", "libfsxfs-python",
    "libfvde-python", "libluksde-python", "libmodi-python", "libpff-python", "libvshadow-python", "numba", "numpy",
    "olefile", "opencv-python-headless", "pikepdf", "pillow", "pillow-heif", "psycopg", "py7zr", "pytsk3", "rawpy",
    "rfc3161-client", "rich", "scipy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it was given. ``options`` are JSON-able and hold no path of the evidence, no secret, no hash.

    ``examiner`` as given; None: as configured (caid_triage/actor.py).
    """

    name: str
    options: Mapping[str, object] = field(default_factory=dict)
    examiner: str | None = None

    def facts(self) -> dict[str, object]:
        """The facts of the audit line ``command``."""
        tool = tool_versions()
        return {
            **actor(self.examiner),
            "command": self.name,
            "options": dict(self.options),
            "version": tool["version"],
            "python": tool["python"],
            # Not platform.platform(), which starts a process to ask for the name of the processor.
            "platform": " ".join((platform.system(), platform.release(), platform.machine())),
            "libraries": tool["dependencies"],
        }


def tool_versions() -> dict[str, object]:
    """Name and version of this tool, of Python and of the libraries results depend on (None: not installed)."""
    return {
        "name": "caid-triage",
        "version": __version__,
        "python": platform.python_version(),
        "dependencies": {name: _version(name) for name in DEPENDENCIES},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
