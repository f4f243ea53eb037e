"""A worker that does what its content tells it to: it dies, hangs or talks nonsense like a decoder that was taken over.

It is the real worker but for the examiner's answer, so the pool under test sees real processes and real pipes.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from caid_triage.examine import examine
from caid_triage.examine.embedded import zip_archive
from caid_triage.examine.embedded.walk import Found
from caid_triage.examine.libraries import told_of_loading
from caid_triage.model import FileTimes
from caid_triage.scan import protocol, worker
from caid_triage.scan.inside import found_to_plain


class Obedient:
    """Passes everything to the real run, and obeys an order at the start of the content."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._order = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def update(self, chunk: bytes) -> None:
        if not self._order:
            self._order = bytes(chunk[:16])
        self._run.update(chunk)

    @property
    def has_work(self) -> bool:
        """A file may say that it is one of those about which the coordinator is asked first."""
        return b"waits" in self._order or bool(self._run.has_work)

    def digests(self) -> Any:
        if self._order.startswith(b"die-early"):
            os._exit(9)
        if self._order.startswith(b"sulk"):
            sulk()
        return self._run.digests()

    def finish(self) -> Any:
        if self._order.startswith(b"die-late"):
            os._exit(9)
        if self._order.startswith(b"hang"):
            time.sleep(600)
        if self._order.startswith(b"work"):
            time.sleep(0.1)
        if self._order.startswith(b"nap"):
            ctypes.CDLL(None).prctl(15, b"napping", 0, 0, 0)  # PR_SET_NAME: a worker cannot write into /proc
            time.sleep(1)
        if self._order.startswith(b"shout"):
            worker.PRIVATE[1].write(b"x\xff\xff\xff\xff nonsense")  # type: ignore[attr-defined]
            worker.PRIVATE[1].flush()  # type: ignore[attr-defined]
            time.sleep(600)
        if self._order.startswith(b"load-"):
            load(self._order[5:].split()[0].decode())
        if self._order.startswith(b"ask-"):
            ask(self._order[4:].split()[0].decode())
        return self._run.finish()


def sulk() -> None:
    """Say from now on that an answer is waited for, whether one was promised or not."""
    plain = protocol.to_json
    protocol.to_json = lambda value: plain(value | ({"waits": True} if "waits" in value else {}))


def load(how: str) -> None:
    """Say that a library is loaded: for longer than a decode may take, for ever, again and again, or wrongly."""
    told = told_of_loading.get()

    def loads(seconds: float) -> None:
        told(True)
        time.sleep(seconds)
        told(False)

    orders: dict[str, Callable[[], object]] = {
        "slowly": lambda: loads(5),
        "for-ever": lambda: loads(600),
        "often": lambda: [loads(0) for _ in range(1000)],
        "unsaid": lambda: (told(False), time.sleep(600)),
        "twice": lambda: (told(True), told(True), time.sleep(600)),
        "then-hang": lambda: (loads(0.1), time.sleep(600)),
    }
    orders[how]()


class ObedientRun(examine.Run):
    """The run of one content, inner ones too, that obeys an order at its start."""

    lied = False

    def _examination(self) -> Any:
        if self._head[6:].startswith(b"picture-die"):  # in a comment at the start of a JPEG
            os._exit(9)
        return super()._examination()

    def finish(self) -> Any:
        order = self._head[:16]
        found = super().finish()
        if order.startswith(b"inner-die"):
            os._exit(9)
        if order.startswith(b"inner-hang"):
            time.sleep(600)
        if order.startswith(b"inner-lie-order"):
            say(protocol.FOUND, found_to_plain(Found(99, (b"x",), 1, FileTimes(), True, (), found)))
        if order.startswith(b"inner-lie-steps"):
            for number in range(10, 1 << 30):
                say(protocol.STEP, {"step": number, "size": 0})
        if order.startswith(b"inner-lie-jump"):
            say(protocol.STEP, {"step": 1000, "size": 0})
            time.sleep(600)
        if order.startswith(b"inner-lie-back"):
            say(protocol.STEP, {"step": 1, "size": 0})
        if order.startswith(b"inner-lie-size"):
            say(protocol.STEP, {"step": 1 << 40, "size": 1 << 50})
            time.sleep(600)
        if order.startswith(b"inner-lie-count"):
            ObedientRun.lied = True
        elif ObedientRun.lied and found.inside:
            ObedientRun.lied = False
            found = replace(found, inside=found.inside + 1)
        return found


def say(kind: bytes, value: dict[str, Any]) -> None:
    """Say something to the coordinator that no good worker says."""
    sink = worker.PRIVATE[1]  # type: ignore[attr-defined]
    protocol.write_frame(sink, kind, protocol.to_json(value))
    sink.flush()


def local_that_dies(content: Any, offset: int, real: Any = zip_archive._local) -> Any:
    """The reader of a zip's entries, taken over by one of them."""
    entry = real(content, offset)
    if entry is not None and entry.name == b"die-listing":
        os._exit(9)
    return entry


def ask(what: str) -> None:
    """Ask for bytes of the file in a way that no good worker does."""
    source, sink = worker.PRIVATE  # type: ignore[attr-defined]

    def need(offset: object, length: object, **more: object) -> bytes:
        protocol.write_frame(sink, protocol.NEED, protocol.to_json({"offset": offset, "length": length, **more}))
        sink.flush()
        return protocol.read_frame(source, protocol.MAX_CHUNK)[1]

    orders: dict[str, Callable[[], object]] = {
        "negative": lambda: need(-1, 5),
        "beyond": lambda: need(10, 1 << 19),
        "long": lambda: need(0, 8 << 20),
        "nothing": lambda: need(0, 0),
        "text": lambda: need("0", 5),
        "path": lambda: need(0, 5, beside="../../etc/passwd"),
        "beside": lambda: (need(0, 5, beside="thumbnails.data"), os._exit(9)),
        "half": lambda: (need(0, 5), os._exit(9)),
        "slowly": lambda: [(need(0, 5), time.sleep(0.05)) for _ in range(100_000)],
        "much": lambda: [need(0, 5) for _ in range(100_000)],
    }
    orders[what]()
    time.sleep(600)


def main() -> None:
    """Start the real worker with the obedient examiner."""
    begin = examine.Examiner.begin
    examine.Examiner.begin = lambda self, *a, **k: Obedient(begin(self, *a, **k))  # type: ignore[assignment,method-assign,return-value]
    examine.Run = ObedientRun  # type: ignore[misc]
    zip_archive._local = local_that_dies
    streams = worker.private_streams

    def remembered() -> Any:
        worker.PRIVATE = streams()  # type: ignore[attr-defined]
        return worker.PRIVATE  # type: ignore[attr-defined]

    worker.private_streams = remembered
    sys.exit(worker.main())


if __name__ == "__main__":
    main()
