"""A case with everything that the page speaks of: several exhibits, statements, series, cameras, caches, months."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from unit.case import samples
from unit.report import exhibits

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.model import Category, FileTimes, Kind, LedgerRange, Match, ScanRecord, State

CATEGORY_B = Category("2", "Category B", "uk", 20)
STATING = {
    **exhibits.CONFIRMED,
    "name": "caid-2026-11",
    "stated": {"victim-identified": 100, "distributed": 50, "series": 40, "self-generated": 0},
}
SILENT = {**exhibits.CONFIRMED, "name": "unit-own", "stated": {"victim-identified": 0, "distributed": 0, "series": 0}}
HEADER = CaseHeader(
    "OP/7/26", "Larch", "DC 1234 Example", {"pdq_radius": 31}, {"name": "caid-triage", "version": "9.9"}
)
FOLDERS = (
    "/Users/sam/Pictures/",
    "/Users/sam/AppData/Local/Google/Chrome/User Data/Default/Cache/",
    "/Users/sam/OneDrive/Photos/",
    "/Users/sam/AppData/Roaming/Telegram Desktop/tdata/",
    "/Users/sam/Downloads/",
    "/$RECYCLE.BIN/S-1-5/",
)
CATEGORIES = (samples.CATEGORY_A, CATEGORY_B, samples.CATEGORY_C, samples.CATEGORY_C)
SERIAL = (("camera-make", "Canon"), ("camera-model", "EOS 80D"), ("camera-serial", "0123498"))
FIRST_TIME = datetime(2021, 1, 1, tzinfo=UTC)
LEDGER = (LedgerRange(0, 512, "", "partition_table"), LedgerRange(512, 9000, "p1", "file_content"))

Item = tuple[ScanRecord, tuple[Match, ...]]


def items_of(exhibit: str, source: str, count: int, seed: int, *, varied: bool = False) -> list[Item]:
    """So many files of one source: a quarter identical to a listed item; the first 20 on each exhibit.

    ``varied``: some of them by MD5 alone to one of the unit's own set, and look-alikes have a look.
    """
    chance = random.Random(seed)
    found: list[Item] = []
    for number in range(count):
        when = FIRST_TIME + timedelta(days=chance.random() * 1700)
        film = number % 9 == 0
        changes = {
            "exhibit": exhibit,
            "source": source,
            "path": f"{FOLDERS[chance.randrange(len(FOLDERS))]}IMG_{number:05d}.{'mp4' if film else 'jpg'}",
            "times": FileTimes(created=when, modified=when + timedelta(days=40)),
            "metadata": SERIAL if number % 17 == 0 else (),
            "kind": Kind.VIDEO if film else Kind.IMAGE,
            "media_type": "video/mp4" if film else "image/jpeg",
            "state": State.DELETED if number % 7 == 0 else State.ALLOCATED,
            "size": chance.randrange(5000, 4_000_000),
            "hashes": (),
        }
        if varied and number % 13 == 0:
            del changes["hashes"]
        content = f"both {number}" if number < 20 else f"{exhibit} {number}"
        record = samples.record(number, content=content.encode(), **changes)
        met = matches_of(number, chance)
        if varied and number % 28 == 0:
            met = (samples.match(met[0].category, hashset="unit-own", algorithm="md5"),)
        found.append((record, met))
    return found


def matches_of(number: int, chance: random.Random) -> tuple[Match, ...]:
    """What the file of that number meets."""
    if number % 4 == 0:
        stated = ("distributed",) if number % 3 == 0 else ("victim-identified",) if number % 5 == 0 else ()
        series = "Harbour" if number % 8 == 0 else ""
        of_item = {"hashset": "caid-2026-11", "media_id": str(4000 + number), "stated": stated, "series": series}
        return (samples.match(CATEGORIES[number // 4 % 4], **of_item),)
    if number % 13 == 0:
        return (samples.near(hashset="unit-own", distance=chance.randrange(4, 31)),)
    return ()


def make_page_case(folder: Path, counts: Sequence[int] = (180, 40), batch: int = 1000, *, varied: bool = False) -> Path:
    """The case: an exhibit for each of the counts, an encrypted volume on the first."""
    own = {**SILENT, "counts": {"records": 9_000_000, "pdq": 9_000_000}} if varied else SILENT
    with create_case(folder, HEADER) as case:
        run = case.begin_run("scan", exhibits.STARTED)
        for info in (STATING, own):
            case.record_hashset(info)
        for place, count in enumerate(counts, start=1):
            exhibit, source = f"ABC/{place}", f"disk{place}.E01"
            source_id = case.add_source(samples.source(exhibit=exhibit, source=source), {"size": place})
            items = items_of(exhibit, source, count, seed=place, varied=varied)
            for begin in range(0, count, batch):
                part = items[begin : begin + batch]
                case.write_batch(source_id, [i[0] for i in part], [i[1] for i in part], [], begin + len(part))
            locked = samples.volume("p2", file_system="LUKS1", status="encrypted", description="Linux (GPT)")
            told = samples.problem("volume-encrypted", step="open", volume="p2", detail="no key opens it")
            volumes = [samples.volume(), *[locked] * (place == 1)]
            case.set_volumes(source_id, volumes, [told] * (place == 1), {"file_system": 9000}, LEDGER)
            case.finish_source(source_id, count, count)
        case.end_run(run, exhibits.STARTED.replace(minute=5), "finished")
    return folder
