"""Whether two machines would come to the same results: this program, Python and every library that a result depends on.

here = program_here()              # on the coordinator and on a worker
differences(here, there)           # in words, "" where they are the same
"""

from __future__ import annotations

import hashlib
import platform
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import caid_triage
from caid_triage.case.command import tool_versions
from caid_triage.plugins import PERCEPTUAL_HASHES
from caid_triage.scan.protocol import ProtocolError, text

# They make documents, sign, print or compute faster, or read the evidence whose result is compared by itself.
_NO_MATTER = frozenset(("click", "hyperscan", "jinja2", "numba", "rfc3161-client", "rich"))
_MOST_FACTS = 500


def program_here() -> dict[str, str]:
    """What results depend on, by name; "" for a library that is not installed."""
    tool = tool_versions()
    libraries = tool["dependencies"]
    assert isinstance(libraries, dict)
    plugins = sorted(
        f"{point.name} = {point.value} {'' if point.dist is None else point.dist.version}"
        for point in entry_points(group=PERCEPTUAL_HASHES)
    )
    return {
        "caid-triage": str(tool["version"]),
        "caid-triage's code": code_digest(Path(caid_triage.__file__).parent),
        "Python": str(tool["python"]),
        "byte order": sys.byteorder,
        "processor": platform.machine(),
        "plug-ins": "; ".join(plugins),
        **{name: version or "" for name, version in sorted(libraries.items()) if name not in _NO_MATTER},
    }


def code_digest(folder: Path) -> str:
    """SHA-256 over the names and the content of all modules below a folder: two builds may have one version."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def program_from_plain(value: Any) -> dict[str, str]:
    """What a worker says of its program, or ProtocolError."""
    if not isinstance(value, dict) or len(value) > _MOST_FACTS:
        raise ProtocolError("a program is not told as a small object")
    return {text(name, 100): text(fact, 10_000) for name, fact in value.items()}


def differences(here: dict[str, str], there: dict[str, str]) -> str:
    """What differs, in words; "" for nothing."""
    parts = []
    for name in {**here, **there}:
        mine, other = here.get(name, ""), there.get(name, "")
        if mine == other:
            continue
        if name == "caid-triage's code":
            parts.append("caid-triage has the same version and another code" if _one_version(here, there) else name)
        else:
            parts.append(f"{name} is {other or 'not installed'} there and {mine or 'not installed'} here")
    return "; ".join(parts)


def _one_version(here: dict[str, str], there: dict[str, str]) -> bool:
    return here.get("caid-triage") == there.get("caid-triage")
