"""What the evidence process says of spare bytes comes out as it went in, and nonsense is refused."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from caid_triage.evidence.spare import Content, Spare
from caid_triage.scan import evidence_words as words
from caid_triage.scan.protocol import ProtocolError, write_frame
from caid_triage.scan.spare_words import contents_to_plain, places_from_plain, spare_from_frames

SPANS = [[512, 1000], [1000, 4096], [8192, 9000]]


def frames(spans: list[list[int]], cut: int = 0) -> io.BytesIO:
    stream = io.BytesIO()
    column = np.array(spans, dtype="<i8").tobytes()
    write_frame(stream, words.CHUNK, column[: len(column) - cut])
    stream.seek(0)
    return stream


def test_spare_bytes_come_out_as_they_went_in() -> None:
    value = json.loads(json.dumps({"groups": [[0, "p1", "slack", True, 3], [2, "", "unpartitioned", False, 0]]}))
    one, none = spare_from_frames(value, frames(SPANS), 10_000, {"", "p1"})
    assert (one.site, one.volume, one.kind, one.placed, one.spans.tolist()) == (0, "p1", "slack", True, SPANS)
    assert isinstance(none, Spare)
    assert none.spans.shape == (0, 2)
    assert contents_to_plain([Content((0, 5, 128, 0), True)]) == [[True, [0, 5, 128, 0]]]
    assert places_from_plain([None, 7], 2, 8) == [None, 7]


@pytest.mark.parametrize(
    ("group", "spans"),
    [
        ([0, "p2", "slack", True, 3], SPANS),
        ([0, "p1", "metadata", True, 3], SPANS),
        ([0, "p1", "slack", 1, 3], SPANS),
        ([-1, "p1", "slack", True, 3], SPANS),
        ([0, "p1", "slack", True, -3], SPANS),
        ([0, "p1", "slack", True], SPANS),
        ([0, "p1", "slack", True, 1], [[512, 512]]),
        ([0, "p1", "slack", True, 1], [[-512, 512]]),
        ([0, "p1", "slack", True, 1], [[0, 10_001]]),
        ([0, "p1", "slack", True, 1], [[0, 1 << 62]]),
        ([0, "p1", "slack", True, 2], [[512, 1000], [999, 2000]]),
        ([0, "p1", "slack", True, 2], [[0, 512]]),
    ],
)
def test_spare_bytes_that_cannot_be_are_nonsense(group: list[Any], spans: list[list[int]]) -> None:
    with pytest.raises((ProtocolError, EOFError)):
        spare_from_frames({"groups": [group]}, frames(spans), 10_000, {"", "p1"})


@pytest.mark.parametrize("value", [None, [1], [1, "2"], [1, -1], [1, 11], [1, 2, 3]])
def test_places_that_cannot_be_are_nonsense(value: Any) -> None:
    with pytest.raises(ProtocolError):
        places_from_plain(value, 2, 10)
