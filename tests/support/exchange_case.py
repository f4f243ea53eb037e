"""A case with every state that formats for other programs must tell apart, and names that are hard to write."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from unit.case import samples
from unit.report import exhibits

from caid_triage.case.store import create_case, open_case_for_writing
from caid_triage.evidence.paths import display_name
from caid_triage.model import (
    IN_USE_CODE,
    Category,
    Decision,
    FileTimes,
    Kind,
    Match,
    ScanRecord,
    Severity,
    State,
)

WHEN = datetime(2026, 11, 29, 2, 30, tzinfo=UTC)
US = {
    **samples.NOTABLE, "name": "us-set", "scheme": "projectvic-us", "scheme_confirmed_by": "A. Unit, 2026-01-02",
    "scheme_file": {"regions": ["/2.0.xml/US/", "/2.0.xml/Default/"], "jurisdiction": "United States"},
}  # fmt: skip
UK = {
    **samples.NOTABLE, "scheme_confirmed_by": "A. Unit, 2026-01-02",
    "scheme_file": {"regions": ["/2.0.xml/UK/"], "jurisdiction": "England and Wales"},
}  # fmt: skip
# NFC and NFD of one name, every script and sign that somebody may have put into one, and bytes that are no UTF-8.
HARD_NAMES: tuple[bytes, ...] = (
    "/caf\u00e9.jpg".encode(),
    "/cafe\u0301.jpg".encode(),
    "/annexe\u202egpj.exe".encode(),
    "/写真\U0001f4f7.jpg".encode(),
    b"/line\nbreak\ttab\x01\x1b[31m.jpg",
    b"/]]>&<![CDATA[\"'.jpg",
    b"/\xff\xfe-not-utf8.jpg",
    b"/\xed\xa0\x80half.jpg",
    "/\ufffe\uffff\u0085.jpg".encode(),
    b"/back\nslash.jpg",
    b"/back\\x0aslash.jpg",
    b"/\\xff\\xfe-not-utf8.jpg",
    "/e\ufffe.jpg".encode(),
    b"/e\\ufffe.jpg",
    b"/=cmd|' C calc'!A0.jpg",
)

Item = tuple[ScanRecord, tuple[Match, ...]]


def hard_items(first: int) -> list[Item]:
    """One file a hard name, all listed, each a content of its own; numbered from ``first``."""
    found: list[Item] = []
    for number, raw in enumerate(HARD_NAMES, start=first):
        path = "/".join(map(display_name, raw.split(b"/")))
        found.append((samples.record(number, path=path, raw_path=raw), (samples.match(),)))
    return found


def state_items() -> list[Item]:
    """Nine files: every state, containers in containers, and a content that lies in several places.

    What lies in a container is numbered as it is stored: before the container that it lies in.
    """
    same = {"content": b"seen twice", "size": 10}
    inner = {"state": State.EMBEDDED, "times": FileTimes(), "physical_offset": None, "locator": ()}
    in_use = samples.problem(IN_USE_CODE, step="walk", severity=Severity.NOTE)
    freed = samples.problem("inside-freed", step="inside", severity=Severity.NOTE)
    archive = {"kind": Kind.OTHER, "media_type": "application/zip", "hashes": ()}
    met = (samples.match(),)
    origin = (("camera-make", "Nikon"), ("taken", "2014-07-12T16:17:10 zone unknown"), ("history", "saved"))
    return [
        (samples.record(0, **same, metadata=origin), met),
        (samples.record(1, **same, state=State.DELETED, path="/gone.jpg"), met),
        (samples.record(2, state=State.ORPHAN, path="/$OrphanFiles/two.jpg"), met),
        (samples.record(3, state=State.ORPHAN, path="/$OrphanFiles/three.jpg", problems=(in_use,)), met),
        (samples.record(4, state=State.CARVED, path="/$Carved/four.jpg"), met),
        (samples.record(5, state=State.SLACK, path="/$Slack/five.jpg"), met),
        (samples.record(6, b"deep", part=1, path="/a.zip//b.zip//deep.jpg", **inner), met),
        (samples.record(6, b"b", part=2, path="/a.zip//b.zip", **inner, **archive), ()),
        (samples.record(6, b"c", part=3, path="/a.zip//sub/c.jpg", **inner, problems=(freed,)), met),
        (samples.record(6, b"a", path="/a.zip", **archive), ()),
        (samples.record(7, b"d", part=1, path="/gone.zip//d.jpg", **inner), met),
        (samples.record(7, b"e", path="/gone.zip", state=State.DELETED, **archive), ()),
        (samples.record(8, b"near"), (samples.near(distance=40), samples.near(distance=8))),
        (samples.record(9, b"film", kind=Kind.VIDEO, media_type="video/mp4", hashes=()), ()),
        (samples.record(10, b"new picture"), ()),
        (samples.record(11, b"a text", kind=Kind.OTHER, media_type="text/plain", hashes=()), ()),
    ]


def make_exchange_case(folder: Path, items: list[Item] | None = None, *, batch: int = 4, info: object = UK) -> Path:
    """The case of :func:`state_items` and :func:`hard_items`, or of these items, in one source; not decided."""
    items = [*state_items(), *hard_items(20)] if items is None else items
    with create_case(folder, exhibits.HEADER) as case:
        run = case.begin_run("scan", exhibits.STARTED)
        source_id = case.add_source(samples.source(), {"size": 1})
        case.record_hashset(info)  # type: ignore[arg-type]
        case.record_hashset(samples.KNOWN_GOOD)
        files = sum(not record.entry.part for record, _ in items)
        for begin in range(0, len(items), batch):
            part = items[begin : begin + batch]
            case.write_batch(source_id, [i[0] for i in part], [i[1] for i in part], [], files)
        case.set_volumes(source_id, [samples.volume()], [], {"file_system": 9000})
        case.finish_source(source_id, files, len(items))
        case.end_run(run, exhibits.STARTED, "finished")
    return folder


def decide(folder: Path, content: bytes, category: Category, note: str = "") -> None:
    """Grade a content as an examiner."""
    with open_case_for_writing(folder) as case:
        case.decide(samples.digests(content).sha256, Decision("DC 9", WHEN, category, note))
