"""How a scan comes to its cluster of Dask: the scheduler that is named is joined, or a local cluster is made.

    with opened_cluster(options, workforce) as cluster: ...       # scan/dask.py

A local cluster is for one scan and within this process: a scheduler, and one worker with a thread for each child.
Nothing is gained by processes of Dask's own, for what a worker does with a file is to hand it on to a confined child,
as a thread of the pool does. Nobody else can join it or listen, for what its parts say to each other goes over no
socket. Its temporary files lie in a folder of its own.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import dask.config
from distributed import Client, LocalCluster, Security, Worker
from distributed.comm import connect, inproc
from distributed.threadpoolexecutor import ThreadPoolExecutor
from tornado.ioloop import PeriodicCallback

from caid_triage.config import ClusterOptions, ScanOptions
from caid_triage.errors import CaidTriageError, ClusterError, UsageError
from caid_triage.scan.cluster_desk import Desk
from caid_triage.scan.dask import Cluster
from caid_triage.scan.dask_worker import lend_desk
from caid_triage.scan.workforce import Workforce

CONNECT_SECONDS = 10.0
JOIN_SECONDS = 120.0
"""How long a scheduler that answers may take: its machine may be busy, and this one."""
_LOCAL = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.comm.timeouts.connect": JOIN_SECONDS / 2,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.interval": "60s",
    "distributed.admin.tick.interval": "1s",
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": None,
    "distributed.diagnostics.nvml": False,
}
"""No pages for other users of this machine, nothing of a task on a disk, and no statistics that nobody looks at: by
default Dask samples its threads a hundred times a second."""
_STILL = ("find-missing", "heartbeat", "idle-timeout", "monitor", "no-workers-timeout")
"""What else Dask does every few tenths of a second, to notice machines that are lost: here is one process."""


def scheduler_address(options: ClusterOptions) -> str:
    """The address with its protocol; UsageError for one that does not go with the TLS options."""
    address = options.scheduler
    if "://" not in address:
        address = f"{'tls' if options.tls_ca else 'tcp'}://{address}"
    if options.tls_ca and not address.startswith("tls://"):
        raise UsageError(
            f"--scheduler {address} is not encrypted, and --tls-ca is given: its address begins with tls://"
        )
    return address


@contextmanager
def opened_cluster(options: ScanOptions, workforce: Workforce | None = None) -> Iterator[Cluster]:
    """Join the scheduler that is named, or make a local cluster, whose children come from ``workforce``.

    Errors: ClusterError, UsageError, saying what to do.
    """
    with ExitStack() as stack:
        if options.cluster.scheduler:
            cluster = Cluster(stack.enter_context(_joined(options.cluster)), options)
        else:
            client, desk = stack.enter_context(_made(options.workers, workforce))
            cluster = Cluster(client, options, desk)
        stack.callback(cluster.leave)
        yield cluster


@contextmanager
def _made(workers: int, workforce: Workforce | None) -> Iterator[tuple[Client, Desk]]:
    # A name for what is within this process. Dask would ask the system which address leads to a server of the internet.
    vars(inproc.global_manager)["_ip"] = "127.0.0.1"
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="caid-triage-", ignore_cleanup_errors=True))
        stack.enter_context(dask.config.set(_LOCAL))
        try:
            local = stack.enter_context(
                LocalCluster(
                    n_workers=1,
                    threads_per_worker=workers,
                    processes=False,
                    memory_limit=None,
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                    local_directory=folder,
                )
            )
            (worker,) = local.workers.values()
            assert isinstance(worker, Worker)
            _start_threads(worker, workers)
            client = _client(local.scheduler_address, Security())
        except (OSError, TimeoutError, RuntimeError) as error:
            raise CaidTriageError(
                f"the cluster on this machine did not start ({type(error).__name__}): is it short of memory or very "
                "busy? The pool (without --executor dask) needs less"
            ) from error
        local.loop.add_callback(_be_still, local.scheduler.periodic_callbacks, worker.periodic_callbacks)
        desk = Desk(worker.address, workforce)
        lend_desk(worker, desk)
        with client:
            yield client, desk
    desk.close()  # the threads of Dask have ended, and with them the children that they had started


def _start_threads(worker: Worker, count: int) -> None:
    """Start all threads that tasks are given to. RuntimeError where the system gives no more.

    Dask would start one with each of the first tasks; where it cannot, it loses the task, and all wait for it for ever.
    """
    pool = worker.executors["default"]
    assert isinstance(pool, ThreadPoolExecutor)
    try:
        for _ in range(count):
            pool.submit(int)
    except RuntimeError:
        for thread in [one for one in pool._threads if one.ident is None]:
            pool._threads.discard(thread)  # it would be waited for at the end
        raise


def _be_still(*parts: Mapping[str, PeriodicCallback]) -> None:
    """Runs in the loop of a local cluster."""
    for callbacks in parts:
        for name in _STILL:
            if name in callbacks:
                callbacks[name].stop()


@contextmanager
def _joined(options: ClusterOptions) -> Iterator[Client]:
    address = scheduler_address(options)
    if options.tls_ca:
        security = Security(
            tls_ca_file=options.tls_ca,
            tls_client_cert=options.tls_cert,
            tls_client_key=options.tls_key,
            require_encryption=True,
        )
    else:
        security = Security()
    if address.startswith("tls://") and not security.tls_client_cert:
        raise UsageError(
            f"the scheduler {address} wants certificates: give --tls-ca, --tls-cert and --tls-key, or name them in "
            "Dask's own configuration (docs/guide/cluster.md)"
        )
    with _quiet():
        try:
            asyncio.run(_knocked(address, security))  # before there is a client, which is slow to give up
            client = _client(address, security)
        except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
            raise ClusterError(
                f"the scheduler {address} could not be joined ({type(error).__name__}): is it running, is its port "
                "open in the firewall, and are certificates of one authority on both sides? (docs/guide/cluster.md)"
            ) from error
        with client:
            yield client


async def _knocked(address: str, security: Security) -> None:
    comm = await connect(address, timeout=CONNECT_SECONDS, **security.get_connection_args("client"))
    await comm.close()


def _client(address: str, security: Security) -> Client:
    return Client(
        address,
        security=security,
        timeout=JOIN_SECONDS,
        set_as_default=False,
        deserializers=("dask", "msgpack", "error"),  # of what a worker sends nothing is unpickled
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Dask's own words about lost connections go nowhere: what matters of them is said by us."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
