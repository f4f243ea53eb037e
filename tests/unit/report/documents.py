"""A case with what documents for the case file must get right, and their texts read by programs that are not ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import docx
from docx.oxml.ns import qn
from pypdf import PdfReader
from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import create_case
from caid_triage.case.view import open_case
from caid_triage.model import Category, FileTimes, Kind, State
from caid_triage.report.write import FORMATS, write_reports

OTHER_SCHEME = Category("1", "code 1 (scheme us not confirmed)", "us", 20)
SECOND = {
    **samples.NOTABLE, "name": "second-set", "generation": "g7", "scheme": "us", "scheme_title": "United States",
    "sources": [{"file": "us.json", "sha256": "cd" * 32, "refused": 0}],
}  # fmt: skip
BASE = datetime(2024, 3, 1, 12, 0, tzinfo=UTC)


def make_mixed_case(
    folder: Path, *, batch: int = 4, started: datetime = exhibits.STARTED, further: Sequence[exhibits.Item] = ()
) -> Path:
    """Two exhibits of three sources, two schemes (one confirmed), all places, kinds, tiers, dates and none.

    ``further`` files, numbered from 30, stand at the end of the first source.
    """
    items = [
        *exhibits.busy_items(),
        *((samples.record(21 + n, path=f"/home/u/Summer holiday {n}/{name}", content=b"%d" % max(n, 1), **more), found)
          for n, (name, more, found) in enumerate(_more())),
        *further,
    ]  # fmt: skip
    with create_case(folder, exhibits.HEADER) as case:
        run = case.begin_run("scan", started)
        ids = [
            case.add_source(samples.source(), {"size": 1}),
            case.add_source(samples.source(source="phone.raw", acquisition={"sha256": "12" * 32, "verified": "x"}), {}),
            case.add_source(samples.source(exhibit="ABC/2", source="stick.raw", acquisition={}), {"size": 2}),
        ]
        for info in (exhibits.CONFIRMED, SECOND, samples.KNOWN_GOOD):
            case.record_hashset(info)
        for begin in range(0, len(items), batch):
            part = items[begin : begin + batch]
            case.write_batch(ids[0], [i[0] for i in part], [i[1] for i in part], [], begin + len(part))
        for place, source in enumerate(ids[1:], start=1):
            more = _elsewhere(place)
            case.write_batch(source, [i[0] for i in more], [i[1] for i in more], [], len(more))
            case.finish_source(source, len(more), len(more))
        case.set_volumes(ids[0], [samples.volume(), samples.volume("p2", file_system="", status="encrypted")], [], {})
        case.finish_source(ids[0], len(items), len(items))
        case.end_run(run, started + timedelta(minutes=9), "finished")
    return folder


def _more() -> list[tuple[str, dict[str, object], tuple[object, ...]]]:
    us = samples.match(OTHER_SCHEME, hashset="second-set", generation="g7")
    days = [BASE + timedelta(days=n) for n in range(9)]
    none = FileTimes()
    return [
        ("IMG_0001.jpg", {"times": FileTimes(created=days[0], modified=days[3])}, (samples.match(),)),
        ("lake at sunset.jpg", {"times": FileTimes(accessed=days[8])}, (samples.match(),)),
        ("boats on the river.jpg", {"times": none, "state": State.DELETED}, (samples.match(samples.CATEGORY_C),)),
        ("DSC_4.mp4", {"kind": Kind.VIDEO, "media_type": "video/mp4", "times": none}, (us,)),
        ("cat.jpg", {"state": State.SLACK, "times": none}, (us, samples.match(samples.CATEGORY_C))),
        ("f0001.jpg", {"state": State.CARVED, "times": none}, (samples.match(exhibits.IGNORABLE),)),
        ("report.docx", {"kind": Kind.OTHER, "media_type": "application/zip", "hashes": ()}, (us,)),
        ("a lead.jpg", {}, (samples.near(distance=50),)),
        ("md5.jpg", {}, (samples.match(algorithm="md5"),)),
    ]


def _elsewhere(place: int) -> list[exhibits.Item]:
    """Files of the other sources: a live file with a match, one inside it, one inside that it does not list."""
    source = "phone.raw" if place == 1 else "stick.raw"
    where = {"exhibit": "ABC/1" if place == 1 else "ABC/2", "source": source}
    outer = samples.record(0, path="/Album.zip", content=b"zip %d" % place, kind=Kind.OTHER, hashes=(), **where)
    freed = samples.problem("inside-unlisted")
    inner = samples.record(0, content=b"same", path="/Album.zip//garden party.jpg", state=State.EMBEDDED, **where)
    lost = samples.record(0, path="/Album.zip//x.jpg", content=b"x", state=State.EMBEDDED, found=(freed,), **where)
    return [
        (replace(inner, entry=replace(inner.entry, part=1)), (samples.match(),)),
        (replace(lost, entry=replace(lost.entry, part=2)), (samples.match(samples.CATEGORY_C),)),
        (outer, ()),
    ]


def written(folder: Path, out: Path, name: str) -> bytes:
    """The bytes of one format of a case."""
    with open_case(folder) as view:
        write_reports(view, out, [name])
    return (out / FORMATS[name].file).read_bytes()


def docx_lines(content: bytes) -> list[str]:
    """The text of every paragraph of the body, those of tables too, as python-docx reads them."""
    body = docx.Document(BytesIO(content)).element.body
    return ["".join(one.text or "" for one in found.iter(qn("w:t"))) for found in body.iter(qn("w:p"))]


def docx_tables(content: bytes) -> list[list[list[str]]]:
    """The cells of every table."""
    return [
        [[cell.text for cell in row.cells] for row in table.rows] for table in docx.Document(BytesIO(content)).tables
    ]


def pdf_text(content: bytes) -> str:
    """The text of every page with its white space taken out: where a line breaks is no part of it."""
    return squeezed("".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages))


def squeezed(text: str) -> str:
    """A text without white space."""
    return re.sub(r"\s", "", text)
