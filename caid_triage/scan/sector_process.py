"""The process that reads the sectors of one disk for a sampling: a container's parser that dies takes nothing along.

It is run, asked and watched as the evidence process is (scan/serving.py, scan/evidence_link.py); it opens the disk
without its file systems, and answers one kind of question (scan/evidence_words.py).

``first`` is the number of the first place: before each the page says which is read, and that number is to blame for a
death. Places of a raw image are read several at once, with no parser at work: there the first of a handful is said.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from caid_triage.evidence.sector_places import Place, handfuls
from caid_triage.evidence.sectors import Sectors, open_sectors
from caid_triage.scan import evidence_words as words
from caid_triage.scan.evidence_page import PageSteps
from caid_triage.scan.protocol import ProtocolError, write_frame
from caid_triage.scan.serving import Answer, Value, serve_and_end


def answer(sectors: Sectors, sink: BinaryIO, places: Sequence[Place], first: int) -> None:
    """Read places, and send each handful once it is there."""
    found = sectors.read_each(places, first)
    for handful in handfuls(places):
        given = list(islice(found, len(handful)))
        if len(handful) == 1:
            write_frame(sink, words.MISSED if given[0] is None else words.LAST, given[0] or b"")
        else:
            read = bytes(data is not None for data in given)
            write_frame(sink, words.CHUNK, b"".join([read, *(data for data in given if data is not None)]))
        sink.flush()


def opened(value: Value, _steps: PageSteps, sink: BinaryIO) -> tuple[dict[str, Any], Answer]:
    """Open the disk that the coordinator names. Errors: SourceError."""
    sectors = open_sectors(Path(os.fsdecode(bytes.fromhex(value["path"]))), value["exhibit"], value["name"])

    def answer_request(kind: bytes, asked: Value) -> None:
        if kind != words.SECTORS:
            raise ProtocolError("a request that there is not")
        answer(sectors, sink, [(start, length) for start, length in asked["places"]], int(asked["first"]))

    problems = [words.problem_to_plain(one) for one in sectors.problems]
    return {"info": words.info_to_plain(sectors.info), "volumes": [], "problems": problems}, answer_request


if __name__ == "__main__":
    serve_and_end(opened)
