"""What a worker asks for again: bytes of the file of its task, and of a file beside it with a name that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from caid_triage.errors import EvidenceError
from caid_triage.examine.video_bytes import ReadAt as BytesAt
from caid_triage.model import FileEntry
from caid_triage.scan import protocol
from caid_triage.scan.results import Beside, ReadAt


def neighbour(entry: FileEntry, name: str, read_at: ReadAt, beside: Beside | None) -> tuple[int, BytesAt]:
    """Size and bytes of the file of an allowed name beside an entry. Errors: EvidenceError where there is none."""
    found = beside(entry, name) if beside is not None and name in protocol.BESIDE else None
    if found is None or not found.readable or found.size is None:
        raise EvidenceError("read", "not-readable", "there is no file of that name beside this one")
    return found.size, partial(read_at, found)


@dataclass(slots=True)
class _Counted:
    """The bytes of one file of ``size`` bytes, counted."""

    size: int
    read: Callable[[int, int], bytes]
    asked: int = 0
    needed: int = 0

    def bytes_for(self, value: dict[str, Any]) -> bytes:
        """The bytes that a worker asks for. Errors: ProtocolError for a bad or one too many, EvidenceError."""
        offset, length = protocol.need_from_plain(value, self.size)
        self.counts(length)
        return self.read(offset, length)

    def counts(self, length: int) -> None:
        """Count a question. Errors: ProtocolError."""
        self.asked, self.needed = self.asked + 1, self.needed + length
        if protocol.needs_too_much(self.asked, self.needed, self.size):
            raise protocol.ProtocolError("the worker asks for more of the file than any decoder needs")


@dataclass(slots=True)
class Rereads:
    """The answers to the NEEDs of one attempt at an ``entry`` of which ``size`` bytes were sent."""

    entry: FileEntry
    size: int
    read_at: ReadAt
    beside: Beside | None = None
    _own: _Counted = field(init=False)
    _others: dict[str, _Counted | EvidenceError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._own = _Counted(self.size, partial(self.read_at, self.entry))

    @property
    def asked_beside(self) -> bool:
        """Whether the worker asked for a file beside the entry, so that what it found is not of the content alone."""
        return bool(self._others)

    def answer(self, value: dict[str, Any]) -> tuple[bytes, bytes]:
        """The frame that answers a NEED. Errors: ProtocolError for one that no good worker says."""
        try:
            return protocol.CHUNK, self._bytes(value)
        except EvidenceError as error:
            return protocol.ABORT, protocol.to_json(protocol.fault_to_plain(error))

    def _bytes(self, value: dict[str, Any]) -> bytes:
        if "beside" not in value:
            return self._own.bytes_for(value)
        name = value["beside"]
        if not isinstance(name, str) or name not in protocol.BESIDE:
            raise protocol.ProtocolError("the worker asks for a file that no worker needs")
        other = self._others.get(name)
        if other is None:
            other = self._others[name] = self._opened(name)
        if isinstance(other, EvidenceError):
            self._own.counts(0)
            raise other
        if "offset" in value:
            return other.bytes_for(value)
        other.counts(0)
        return protocol.SIZE.pack(other.size)

    def _opened(self, name: str) -> _Counted | EvidenceError:
        """The file beside, or why there is none: it is looked for once."""
        try:
            return _Counted(*neighbour(self.entry, name, self.read_at, self.beside))
        except EvidenceError as error:
            return error
