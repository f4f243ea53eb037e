"""What Dask runs on a worker: bytes in, bytes out. What is done with them: scan/cluster_desk.py."""

from __future__ import annotations

import threading

from distributed import Worker, get_worker

from caid_triage.scan.cluster_desk import Desk

_DESK = "caid_triage_desk"


def answer_order(payload: bytes) -> bytes:
    """The answer to an order of a coordinator; runs in a thread of a worker, and raises nothing."""
    worker = get_worker()
    desk: Desk = vars(worker).setdefault(_DESK, Desk(worker.address))
    return desk.answer(payload)


def lend_desk(worker: Worker, desk: Desk) -> None:
    """Have a worker in this process use a desk that is known here."""
    vars(worker)[_DESK] = desk


async def leave_scan(scan: str, dask_worker: Worker) -> None:
    """A scan has ended: let go of its sources. Runs in the worker's own loop, which must not wait for it."""
    desk: Desk | None = vars(dask_worker).get(_DESK)
    if desk is not None:
        threading.Thread(target=desk.leave, args=(scan,), name="leaves", daemon=True).start()
