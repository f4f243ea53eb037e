"""Cases made by hand that report and browser tests print."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from unit.case import samples

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.model import Category, DecodeState, Kind, LedgerRange, Match, ScanRecord, Severity, State

HEADER = CaseHeader("OP/7", "Larch", "DC 1 <b>", {"pdq_radius": 31}, {"name": "caid-triage", "version": "9.9"})
CONFIRMED = {**samples.NOTABLE, "scheme_title": "United Kingdom", "scheme_confirmed_by": "A. Unit, 2026-01-02"}
IGNORABLE = Category("9", "Ignorable", "uk", 0)
STARTED = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)

HOSTILE_NAMES = (
    "/<script>window.hacked=1</script>.jpg",
    "/<img src=x onerror=window.hacked=1>.jpg",
    '/"><a href="javascript:window.hacked=1">x</a>.jpg',
    "/{{ 7*7 }}{% raw %}.jpg",
    "/annexe\u202egpj.exe",
    "/invisible\u200b\u2066\u00adname.jpg",
    "/" + "very-long-name-" * 300 + ".jpg",
    "/&lt;b&gt;&#0;.jpg",
    "/ünï/写真/\U0001f4f7.jpg",
    "/=cmd|' /C calc'!A0.jpg",
    '/a,b;"c".jpg',
)

# Two terabytes with a small volume, a locked one that holds a volume of a hostile name, a table and a hole.
WIDE_LEDGER = (
    LedgerRange(0, 512, "", "partition_table"),
    LedgerRange(512, 1 << 20, "", "unpartitioned"),
    LedgerRange(1 << 20, 2 << 20, "p1", "metadata"),
    LedgerRange(2 << 20, 31 << 20, "p1", "file_content"),
    LedgerRange(31 << 20, (31 << 20) + 512, "p1", "unreadable"),
    LedgerRange((31 << 20) + 512, 101 << 20, "p1", "unallocated_searched"),
    LedgerRange(101 << 20, 102 << 20, "p2", "partition_table"),
    LedgerRange(102 << 20, 202 << 20, "p2", "encrypted"),
    LedgerRange(202 << 20, 302 << 20, "p2/<b>root", "not_understood"),
    LedgerRange(302 << 20, 303 << 20, "p2/<b>root", "possibly_encrypted"),
    LedgerRange(303 << 20, 2_000_000_000_000, "", "unpartitioned"),
)

Item = tuple[ScanRecord, tuple[Match, ...]]


def busy_items() -> list[Item]:
    """Exact matches and leads of several categories, kinds and states, and files that met nothing."""
    same = {"content": b"same"}
    return [
        (samples.record(0, **same), (samples.match(),)),
        (samples.record(1, **same, state=State.DELETED, path="/gone.jpg"), (samples.match(),)),
        (samples.record(2, kind=Kind.VIDEO, media_type="video/mp4", hashes=()), (samples.match(samples.CATEGORY_C),)),
        (samples.record(3, state=State.CARVED), (samples.match(samples.UNKNOWN, algorithm="md5"),)),
        (samples.record(4), (samples.near(distance=8), samples.near(samples.CATEGORY_C, distance=2))),
        (samples.record(5), (samples.match(samples.CATEGORY_C), samples.near())),
        (samples.record(6, state=State.ORPHAN), (samples.near(samples.CATEGORY_C),)),
        (
            samples.record(
                7, found=(samples.problem("decode-failed", step="decode"),), decode_state=DecodeState.UNDECODABLE
            ),
            (),
        ),
        (samples.record(8, found=(samples.problem("read-failed"),), digests=None, hashes=()), ()),
        (samples.record(9, found=(samples.problem("odd-name", severity=Severity.NOTE),)), ()),
        *((samples.record(10 + n, path=name), (samples.match(),)) for n, name in enumerate(HOSTILE_NAMES)),
    ]


def make_case(
    folder: Path,
    items: Sequence[Item],
    *,
    batch: int = 4,
    started: datetime = STARTED,
    hashsets: Sequence[dict[str, object]] = (samples.NOTABLE,),
    finish: bool = True,
    unseen: bool = True,
) -> Path:
    """A case with these items in one source, and a second exhibit without any file."""
    with create_case(folder, HEADER) as case:
        run = case.begin_run("scan", started)
        first = case.add_source(samples.source(), {"size": 1})
        second = case.add_source(samples.source(exhibit="ABC/2", source="stick.raw", acquisition={}), {"size": 2})
        for info in hashsets:
            case.record_hashset(info)
        for begin in range(0, len(items), batch):
            part = items[begin : begin + batch]
            case.write_batch(first, [i[0] for i in part], [i[1] for i in part], [], begin + len(part))
        lvm = samples.volume("p2", file_system="", status="not-understood", description="Linux LVM <0x8e>")
        volumes = [samples.volume(), *[lvm] * unseen]
        told = [samples.problem("volume-not-understood", step="open", volume="p2")] * unseen
        case.set_volumes(first, volumes, told, {"file_system": 9000, "unpartitioned": 1000})
        case.finish_source(first, len(items), len(items))
        if finish:
            case.finish_source(second, 0, 0)
            case.end_run(run, started.replace(minute=5), "finished")
    return folder
