"""The cluster of a scan with ``executor="dask"``: opened where the extra is installed, and checked before the start."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING

from caid_triage.config import ScanOptions
from caid_triage.errors import UsageError
from caid_triage.evidence.secrets import Secret, Secrets
from caid_triage.evidence.source import EvidenceSource
from caid_triage.scan.sources import SourceRequest
from caid_triage.scan.trial import settle
from caid_triage.scan.workforce import Workforce

if TYPE_CHECKING:
    from caid_triage.scan.dask import Cluster


def opened_cluster(options: ScanOptions, stack: ExitStack, workforce: Workforce) -> Cluster | None:
    """The cluster of a scan, which is left with ``stack``; None for another executor.

    A local one works with ``workforce``. Errors: ClusterError, UsageError.
    """
    if options.executor != "dask":
        return None
    cluster: Cluster = stack.enter_context(_dask().opened_cluster(options, workforce))
    return cluster


def _dask() -> ModuleType:
    try:
        from caid_triage.scan import dask_start  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--executor dask needs the extra 'cluster' ({error.name} is not installed): pip install "
            "'caid-triage[cluster]'"
        ) from error
    return dask_start


def check_program(options: ScanOptions, *, secrets: bool) -> None:
    """Whether scans could be given to a cluster: it is there, it has workers, and each of them has this very program.

    ``secrets``: some would go to it. No evidence is looked at. Of a cluster that a scan makes for itself there is
    nothing to ask but the extra. Errors: ClusterError, UsageError.
    """
    from caid_triage.scan.cluster_desk import border_of  # noqa: PLC0415 - brings what a worker needs
    from caid_triage.scan.cluster_words import NO_EVIDENCE, SourceOrder  # noqa: PLC0415

    dask_start = _dask()
    if not options.cluster.scheduler:
        return
    with ExitStack() as stack:
        workforce = stack.enter_context(Workforce(options.limits, 1))
        cluster: Cluster = stack.enter_context(dask_start.opened_cluster(options))
        some = (Secret("password", ""),) * secrets  # that there are some decides; none is told
        cluster.check([SourceOrder(NO_EVIDENCE, "", "anything", secrets=some)], border_of(settle(workforce)))


def check_cluster(
    cluster: Cluster,
    opened: Sequence[tuple[SourceRequest, EvidenceSource]],
    secrets: Secrets,
    options: ScanOptions,
    workforce: Workforce,
) -> dict[str, object]:
    """Have every worker open every source and compare itself with this machine; returns what goes on record.

    Errors: ClusterError, UnseenError.
    """
    from caid_triage.scan.cluster_desk import border_of  # noqa: PLC0415 - brings what a worker needs
    from caid_triage.scan.cluster_words import SourceOrder  # noqa: PLC0415
    from caid_triage.scan.dask import facts_of  # noqa: PLC0415 - an extra
    from caid_triage.scan.same_evidence import evidence_facts  # noqa: PLC0415

    orders = []
    for request, source in opened:
        path = os.path.abspath(request.path)  # noqa: PTH100 - lexical
        facts = evidence_facts(source, path)
        orders.append(SourceOrder(path, request.exhibit, request.name, options.profile, secrets.items, facts))
    settled = settle(workforce)
    known = [] if settled is None else [one.detail for one in settled.problems()]
    cluster.check(orders, border_of(settled), known)
    return facts_of(cluster.joined())
