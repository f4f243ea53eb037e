"""The unit's cluster in a queue: what may be said of it, as ``scan`` has it, and whether it is there and fits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from caid_triage.config import ClusterOptions, ScanOptions
from caid_triage.errors import CaidTriageError, UsageError

NO_CLUSTER = ClusterOptions()
CLUSTER_KEYS: Mapping[str, str] = {
    "scheduler": "text",
    "maps": "texts",
    "tls_ca": "text",
    "tls_cert": "text",
    "tls_key": "text",
}
TLS_KEYS = ("tls_ca", "tls_cert", "tls_key")


def map_of(text: str, folder: Path) -> tuple[str, str]:
    """The two roots of "HERE=THERE": here seen from ``folder``, on the workers as it stands. UsageError."""
    here, equals, there = text.partition("=")
    if not equals or not here.strip() or not there.strip():
        raise UsageError(f"maps are HERE=THERE, a folder of this machine and where the workers have it, not {text!r}")
    return os.path.normpath(folder / here), there  # as a scan makes its sources whole: lexically


def chosen_executor(given: Mapping[str, Any]) -> dict[str, Any]:
    """The executor and the cluster of a scan from the values of its keys; UsageError for what cannot be meant.

    Of an executor that needs no cluster what the defaults say of one is left out.
    """
    executor = given.get("executor", "pool")
    if executor != "dask":
        ScanOptions(executor=executor)
        return {"executor": executor}
    words = {key: str(given[key]) for key in ("scheduler", *TLS_KEYS) if key in given}
    cluster = ClusterOptions(maps=tuple(given.get("maps", ())), **words)
    return {"executor": ScanOptions(executor=executor, cluster=cluster).executor, "cluster": cluster}


def cluster_words(executor: str, cluster: ClusterOptions) -> list[str]:
    """The options of ``scan`` for an executor and its cluster; none for the pool."""
    words = [] if executor == "pool" else [f"--executor={executor}"]
    words += [f"--scheduler={cluster.scheduler}"] * bool(cluster.scheduler)
    words += [f"--map={here}={there}" for here, there in cluster.maps]
    return words + [f"--{key.replace('_', '-')}={path}" for key, path in _tls_files(cluster)]


def _tls_files(cluster: ClusterOptions) -> list[tuple[str, str]]:
    """Each certificate or key that is named, with its key in a queue."""
    files = cluster.tls_ca, cluster.tls_cert, cluster.tls_key
    return [(key, path) for key, path in zip(TLS_KEYS, files, strict=True) if path]


def unreadable(cluster: ClusterOptions) -> Iterator[str]:
    """A sentence for each certificate or key that cannot be read."""
    for key, text in _tls_files(cluster):
        try:
            if not Path(text).is_file():
                yield f"{key}: {text} is no file; check its path"
            else:
                Path(text).open("rb").close()
        except OSError as error:
            yield f"{key}: {text} cannot be read: {error.strerror or error}"


def why_unfit(asked: Iterable[tuple[ClusterOptions, bool]]) -> dict[tuple[ClusterOptions, bool], CaidTriageError]:
    """Why a scan could not be given to a cluster, for each that is asked for and cannot; what fits is left out.

    A cluster comes with whether secrets go to it. That it can be joined, has workers, and that all of them have this
    very program is found out here once, not by forty scans one after the other; whether they see the evidence, each
    scan asks them itself. Of a cluster that a scan makes for itself only the extra is looked for.
    """
    from caid_triage.scan.clusters import check_program  # noqa: PLC0415 - only where a queue has a cluster

    found: dict[tuple[ClusterOptions, bool], CaidTriageError] = {}
    for cluster, secrets in dict.fromkeys(asked):
        try:
            check_program(ScanOptions(workers=1, executor="dask", cluster=cluster), secrets=secrets)
        except CaidTriageError as error:
            found[cluster, secrets] = error
    return found
