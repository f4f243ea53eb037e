"""A ledger in frames of the evidence process, checked; the account of a source that nobody is left to tell of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from caid_triage.evidence.account import DiskAccount
from caid_triage.evidence.coverage import KIND_OF_STATUS, LEDGER_KINDS
from caid_triage.evidence.ledger import Ledger
from caid_triage.model import Volume
from caid_triage.scan import evidence_words as words
from caid_triage.scan.protocol import ProtocolError, integer, read_frame, text


def ledger_from_frames(value: dict[str, Any], source: BinaryIO, size: int, known: set[str]) -> Ledger:
    """The ledger of a source of ``size`` bytes with volumes of the ``known`` names. Errors: ProtocolError, EOFError."""
    names = value.get("names")
    if not isinstance(names, list) or not names or names[0] != "" or len(set(map(str, names))) != len(names):
        raise ProtocolError("the names of a ledger are no list of different names")
    if not {text(name, 10_000) for name in names} <= known:
        raise ProtocolError("a ledger of volumes that there are not")
    count = integer(value.get("count"), 0, words.MOST_RANGES)
    if value.get("size") != size or (count == 0) != (size == 0):
        raise ProtocolError("a ledger of another size")
    starts: np.ndarray
    if value.get("starts") is not None:
        listed = value["starts"]
        if not isinstance(listed, list) or len(listed) != count:
            raise ProtocolError("the places of a ledger are no list of the right length")
        starts = np.array([integer(one, 0, size) for one in listed], dtype=object)
    else:
        starts = np.frombuffer(column(source, count * 8), dtype="<i8").astype(np.int64)
    kinds = np.frombuffer(column(source, count), dtype=np.uint8)
    volumes = np.frombuffer(column(source, count * 4), dtype="<i4").astype(np.int32)
    if count and (
        starts[0] != 0
        or starts[-1] >= size
        or not (starts[1:] > starts[:-1]).all()
        or kinds.max() >= len(LEDGER_KINDS)
        or volumes.min() < 0
        or volumes.max() >= len(names)
    ):
        raise ProtocolError("a ledger whose ranges do not tile the source")
    return Ledger(size, tuple(names), starts, kinds, volumes)


def column(source: BinaryIO, length: int) -> bytes:
    """So many bytes that come in frames."""
    pieces: list[bytes] = []
    left = length
    while left:
        kind, payload = read_frame(source, words.MOST_PIECE)
        if kind != words.CHUNK or not 0 < len(payload) <= left:
            raise ProtocolError("something else came than a column")
        pieces.append(payload)
        left -= len(payload)
    return b"".join(pieces)


def ledger_of_volumes(size: int, volumes: Sequence[Volume]) -> Ledger:
    """The bytes of a source by the status of its volumes; nothing of it counts as searched or read."""
    claims = [
        (one.offset, one.length, KIND_OF_STATUS.get(one.status, "not_understood"), one.name)
        for one in volumes
        if not one.parent
    ]
    return DiskAccount(size, volumes, claims).ledger()
