"""A source of a scan as a worker of a cluster has it: opened where it lies here, and read with care.

A record is given only of an entry that was read here to its end without a fault: what of a fault is the evidence's and
what the network's is not for a worker to say. The coordinator reads such an entry itself.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from caid_triage.config import ScanOptions
from caid_triage.errors import CaidTriageError, EvidenceError
from caid_triage.evidence.secrets import Secret, Secrets
from caid_triage.model import FileEntry
from caid_triage.scan.cluster_words import Order
from caid_triage.scan.locked import LockedSource
from caid_triage.scan.remote import RemoteSource
from caid_triage.scan.same_evidence import evidence_facts, first_difference, mapped, maps_of_environment
from caid_triage.scan.slot import Slot
from caid_triage.scan.sources import SourceRequest, begin_opening


class Unfit(Exception):  # noqa: N818 - told to the coordinator
    """This worker must not examine: ``why`` is "program", "missing", "evidence", "start", "stopped" or "other"."""

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(detail)
        self.why = why
        self.detail = detail


class Reading:
    """How one thread reads a source for its child, and whether that failed for the entry it is at."""

    def __init__(self, source: LockedSource) -> None:
        self._source = source
        self.failed = False

    def read(self, entry: FileEntry) -> Iterator[bytes]:
        """The content of an entry."""
        try:
            yield from self._source.read(entry)
        except EvidenceError:
            self.failed = True
            raise

    def read_at(self, entry: FileEntry, offset: int, length: int) -> bytes:
        """Bytes of an entry from anywhere in it."""
        try:
            return self._source.read_at(entry, offset, length)
        except EvidenceError:
            self.failed = True
            raise

    def beside(self, entry: FileEntry, name: str) -> FileEntry | None:
        """The living file of that name in the folder of an entry; that there is none is for the coordinator to say."""
        found = self._source.beside(entry, name)
        self.failed = self.failed or found is None
        return found


@dataclass(slots=True)
class SourceHere:
    """A source of a scan, opened here by the first thread that needs it."""

    opening: threading.Lock = field(default_factory=threading.Lock)
    stopping: threading.Event = field(default_factory=threading.Event)
    stack: ExitStack = field(default_factory=ExitStack)
    source: LockedSource | None = None
    remote: RemoteSource | None = None
    slots: list[Slot] = field(default_factory=list)
    users: int = 0
    used: float = field(default_factory=time.monotonic)


def open_here(order: Order, here: SourceHere) -> None:
    """Open the source of an order where it lies here. Raises Unfit."""
    maps = [*maps_of_environment(os.environ), *order.maps]
    path = mapped(order.source.path, maps)
    if not Path(path).exists():
        raise Unfit("missing", path)
    secrets = Secrets(
        tuple(
            Secret(one.kind, mapped(one.value, maps)) if one.kind == "key-file" else one for one in order.source.secrets
        )
    )
    request = SourceRequest(Path(path), order.source.exhibit, order.source.name)
    options = ScanOptions(profile=order.source.profile, parser=order.parser)
    try:
        source = begin_opening(request, secrets, options, here.stack)()
        difference = first_difference(order.source.facts, evidence_facts(source, path))
    except (CaidTriageError, OSError) as error:
        here.stack.close()
        raise Unfit("missing", path) from error
    if difference:
        here.stack.close()
        raise Unfit("evidence", f"{path}: {difference}")
    here.remote = source if isinstance(source, RemoteSource) else None
    here.source = LockedSource(source)
