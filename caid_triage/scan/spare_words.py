"""The spare bytes of a source, asked of the evidence process: its frames, checked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, BinaryIO

import numpy as np

from caid_triage.evidence.spare import KINDS, Content, Spare
from caid_triage.scan import evidence_words as words
from caid_triage.scan.blame import GivenUp
from caid_triage.scan.evidence_link import Died, Link
from caid_triage.scan.ledger_words import column
from caid_triage.scan.protocol import ProtocolError, from_json, integer, text

MOST_GROUPS = 1 << 20
_LARGEST = 1 << 62


def asked_spare(
    link: Link,
    size: int,
    known: Collection[str],
    whole: Iterable[Content],
    damaged: Iterable[Content],
    walked: Callable[[], None],
) -> list[Spare]:
    """The spare bytes of a source of ``size`` bytes with volumes of the ``known`` names; none where no process lives.

    ``walked`` has a new process walk to the end: it would not know slack otherwise.
    """
    asked = {"whole": contents_to_plain(whole), "damaged": contents_to_plain(damaged)}
    with link.lock:
        while not link.given_up:
            try:
                link.ready()
                walked()
                process, kind, payload = link.asked(words.SPARE, asked)
                with link.exchange(process):
                    if kind != words.SPARE:
                        raise ProtocolError("an unexpected answer")
                    return spare_from_frames(from_json(payload), process.source, size, known)
            except Died:
                continue
            except GivenUp:
                link.goes_on()  # its bytes may still be accounted for
                break
    return []


def asked_places(link: Link, size: int, site: int, spans: Iterable[tuple[int, int]]) -> list[int | None]:
    """Where on a source of ``size`` bytes each (first byte, bytes) of a site stands in one piece as it is read."""
    listed = [list(one) for one in spans]
    with link.lock:
        while not link.given_up:
            try:
                process, kind, payload = link.asked(words.PLACES, {"site": site, "spans": listed})
                with link.exchange(process):
                    if kind != words.PLACES:
                        raise ProtocolError("an unexpected answer")
                    return places_from_plain(from_json(payload).get("places"), len(listed), size)
            except Died:
                continue
            except GivenUp:
                break
    return [None for _ in listed]


def contents_to_plain(contents: Iterable[Content]) -> list[list[Any]]:
    """Contents as plain data."""
    return [[one.in_use, list(one.locator)] for one in contents]


def spare_from_frames(value: dict[str, Any], source: BinaryIO, size: int, known: Collection[str]) -> list[Spare]:
    """The spare bytes of a source of ``size`` bytes with volumes of the ``known`` names.

    There may be as many of a kind and volume as the source has bytes, and no more: what a process claims is read.
    Errors: ProtocolError, EOFError.
    """
    listed = value.get("groups")
    if not isinstance(listed, list) or len(listed) > MOST_GROUPS:
        raise ProtocolError("spare bytes are not a list of a possible length")
    found, left = [], words.MOST_RANGES
    for one in listed:
        try:
            site, volume, kind, placed, count = one
        except (TypeError, ValueError) as error:
            raise ProtocolError("spare bytes with a missing field") from error
        if text(volume, 10_000) not in known or kind not in KINDS or not isinstance(placed, bool):
            raise ProtocolError("spare bytes of a volume or kind that there is not")
        number, count = integer(site, 0, 1 << 20), integer(count, 0, left)
        left -= count
        spans = np.frombuffer(column(source, count * 16), dtype="<i8").astype(np.int64).reshape(-1, 2)
        if count and (
            spans[0, 0] < 0
            or spans[-1, 1] >= _LARGEST
            or not (spans[:, 0] < spans[:, 1]).all()
            or not (spans[1:, 0] >= spans[:-1, 1]).all()
            or int((spans[:, 1] - spans[:, 0]).sum()) > size
        ):
            raise ProtocolError("spare bytes that are not in order, or more than the source has")
        found.append(Spare(number, volume, kind, placed, spans))
    return found


def places_from_plain(value: Any, count: int, size: int) -> list[int | None]:
    """Places on a source of ``size`` bytes, ``count`` of them. Errors: ProtocolError."""
    if not isinstance(value, list) or len(value) != count:
        raise ProtocolError("places are not a list of the right length")
    return [None if one is None else integer(one, 0, size) for one in value]
