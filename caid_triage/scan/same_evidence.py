"""Whether what lies under a mapped root on another machine is the evidence of the coordinator.

Compared are the size of every segment, the first and the last MiB of the first and the last of them, and what was found
on opening: kind, size, acquisition, volumes. Of a folder: names and sizes of the first files of its walk, and the first
and last MiB of some. It finds another copy, another exhibit, a share that is not mounted; a byte that differs in
the middle of an image it does not find (``caid-triage verify`` does).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from caid_triage.errors import EvidenceError
from caid_triage.evidence.source import EvidenceSource
from caid_triage.model import FileEntry
from caid_triage.scan import evidence_words as words
from caid_triage.scan.protocol import to_json

END = 1 << 20
LISTED = 200
"""So many items of a folder's walk are compared."""
_SAMPLED = 4

Maps = Sequence[tuple[str, str]]
MAP_VARIABLE = "CAID_TRIAGE_MAP"
"""On a worker: COORDINATOR-PATH=WORKER-PATH, several with the separator of PATH between them."""


def maps_of_environment(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    """The pairs in ``CAID_TRIAGE_MAP``; one without an equals sign is left out."""
    pairs = (one.partition("=") for one in environment.get(MAP_VARIABLE, "").split(os.pathsep))
    return [(here, there) for here, equals, there in pairs if equals and here and there]


def mapped(path: str, maps: Maps) -> str:
    """Where a path of the coordinator lies on a worker: of the roots that it lies under the longest is exchanged."""
    best: tuple[str, str] | None = None
    for here, there in maps:
        root = here.rstrip("/\\") or here
        below = path == root or (path.startswith(root) and (root[-1] in "/\\" or path[len(root)] in "/\\"))
        if below and (best is None or len(root) > len(best[0])):
            best = root, there
    if best is None:
        return path
    rest = path[len(best[0]) :].lstrip("/\\")
    return os.path.join(best[1], *rest.replace("\\", "/").split("/")) if rest else best[1]  # noqa: PTH118 - any bytes


def segment_paths(source: EvidenceSource, path: str) -> list[str]:
    """The files that an image consists of, whole paths; of anything else the path that it was opened by."""
    segments = [os.path.abspath(one) for one in source.info.segments]  # noqa: PTH100 - lexical
    return segments if segments and not Path(path).is_dir() else [path]


def evidence_facts(source: EvidenceSource, path: str) -> dict[str, str]:
    """What tells this evidence, opened by ``path``, from another, by name of the fact. Errors: OSError."""
    opened = words.info_to_plain(source.info) | {"segments": []}  # a share may be called something else there
    facts = {
        "kind and acquisition": _digest(to_json(opened)),
        "volumes": _digest(to_json({"volumes": words.volumes_to_plain(source.volumes())})),
        "findings on opening": _digest(to_json({"codes": sorted([p.code, p.volume] for p in source.problems())})),
    }
    if source.info.kind == "directory":
        return facts | _of_folder(source)
    files = [one for one in segment_paths(source, path) if not Path(one).is_dir()]
    facts["sizes"] = ", ".join(str(_size(one)) for one in files)
    facts["first and last MiB"] = _digest(*(end for one in files[:1] + files[1:][-1:] for end in _ends(one)))
    return facts


def first_difference(here: Mapping[str, str], there: Mapping[str, str]) -> str:
    """The first fact in which two differ, "" for none."""
    return next((name for name in {**here, **there} if here.get(name) != there.get(name)), "")


def _of_folder(source: EvidenceSource) -> dict[str, str]:
    entries = [one for one in islice(source.walk(named_only=True), LISTED) if isinstance(one, FileEntry)]
    names = _digest(*(b"%d %s" % (one.size or 0, one.raw_path) for one in entries))
    ends = []
    for entry in [one for one in entries if one.readable and one.size][:_SAMPLED]:
        length = min(END, entry.size or 0)
        try:
            ends += [source.read_at(entry, 0, length), source.read_at(entry, (entry.size or 0) - length, length)]
        except EvidenceError as error:
            ends.append(error.code.encode())
    return {"names and sizes of its files": names, "first and last MiB of its files": _digest(*ends)}


def _size(path: str) -> int:
    with Path(path).open("rb") as file:
        return file.seek(0, os.SEEK_END)


def _ends(path: str) -> tuple[bytes, bytes]:
    with Path(path).open("rb") as file:
        first = file.read(END)
        file.seek(max(0, file.seek(0, os.SEEK_END) - END))
        return first, file.read(END)


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()
