"""What an examiner waits for at the desk of a review, with a case of a million items: rows only, no picture.

    python benchmarks/review_desk.py --items 1000000 --case /tmp/review-case

Makes the case where there is none (written as a scan writes it, so with digests of its rows; families of look-alike
hashes, matches, damage, problems, cameras), then measures in a fresh process: opening the desk, the first page, jumps
to random positions, pages behind a key, filters, grade-to-next (a grade on disk and the next page), a refresh, the
clusters, and the memory of the process at its highest. Wall times, medians; ``most`` is the worst of all.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha1, sha256
from pathlib import Path

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.model import (
    Category,
    DecodeState,
    Digests,
    Examination,
    FileEntry,
    FileTimes,
    Kind,
    Match,
    MatchKind,
    PerceptualHash,
    Problem,
    Role,
    ScanRecord,
    SourceInfo,
    State,
)  # fmt: skip
from caid_triage.review.desk import ReviewDesk
from caid_triage.review.items import ItemFilter

SEED, BATCH = 20261129, 5000
CATEGORIES = [Category(code, f"code {code} (scheme drawn not confirmed)", "drawn", 4 - int(code)) for code in "123"]
SET = {"name": "drawn", "generation": "g1", "role": "notable", "scheme": "drawn", "entries": 1000}
FOLDERS = [f"/Users/a/Pictures/{year}" for year in range(2010, 2026)] + [
    "/Windows/Temp",
    "/Users/a/AppData/Local/Cache",
]
WHEN = datetime(2015, 1, 1, tzinfo=UTC)


def make_case(folder: Path, items: int) -> None:
    """Make a case of so many pictures and films, one in a hundred twice."""
    chance = random.Random(SEED)
    with create_case(folder, CaseHeader("drawn")) as case:
        case.record_hashset(SET)
        source = case.add_source(SourceInfo("DRAWN/1", "drawn.raw", "raw", 1 << 40), {"kind": "raw"})
        family = 0
        for begin in range(0, items, BATCH):
            records, matches = [], []
            end = min(begin + BATCH, items)
            for number in range(begin, end):
                if chance.random() < 0.7:
                    family = chance.getrandbits(256)  # else it looks like the one before, a few bits off
                records.append(_record(chance, number, family))
                matches.append(_matches(chance))
            case.write_batch(source, records, matches, [], end)
        case.finish_source(source, items, items)


def _record(chance: random.Random, number: int, family: int) -> ScanRecord:
    content = b"%d" % (number - 1 if chance.random() < 0.01 else number)
    video = chance.random() < 0.02
    state = chance.choices([DecodeState.DECODED, DecodeState.PARTIAL, DecodeState.UNDECODABLE], [0.98, 0.01, 0.01])[0]
    look = family
    for _ in range(chance.randrange(12)):
        look ^= 1 << chance.randrange(256)
    hashes = () if video else (PerceptualHash("pdq", look.to_bytes(32, "big"), chance.choice([30, 80, 100])),)
    problems = (Problem("decode", "undecodable", "drawn"),) if state is DecodeState.UNDECODABLE else ()
    name = f"{chance.choice(FOLDERS)}/{number}.jpg"
    when = WHEN + timedelta(minutes=chance.randrange(5_000_000))
    entry = FileEntry(
        "DRAWN/1", "drawn.raw", "p1", number, name, name.encode(),
        State.DELETED if chance.random() < 0.2 else State.ALLOCATED, chance.randrange(1 << 24),
        FileTimes(when, when), number, locator=(number, 128, 0),
    )  # fmt: skip
    camera = (("camera-make", "Drawn"), ("camera-model", f"M{chance.randrange(9)}")) if chance.random() < 0.1 else ()
    return ScanRecord(
        entry,
        Examination(
            Digests(md5(content).digest(), sha1(content).digest(), sha256(content).digest()),
            entry.size or 0,
            Kind.VIDEO if video else Kind.IMAGE,
            "video/mp4" if video else "image/jpeg",
            state,
            640,
            480,
            hashes=hashes,
            metadata=camera,
            problems=problems,
        ),
    )


def _matches(chance: random.Random) -> tuple[Match, ...]:
    kind = chance.choices([None, MatchKind.EXACT, MatchKind.NEAR], [0.97, 0.01, 0.02])[0]
    if kind is None:
        return ()
    near = kind is MatchKind.NEAR
    distance = chance.randrange(60) if near else 0
    named = "pdq" if near else "sha256", distance, 60 if near else 0
    return (Match(kind, *named, chance.choice(CATEGORIES), "drawn", "g1", Role.NOTABLE, "7", 1),)


def measure(folder: Path, rounds: int) -> dict[str, object]:
    """Measure everything in this process."""
    chance = random.Random(SEED + 1)
    found: dict[str, object] = {}

    def timed(name: str, run: Callable[[], object], times: int = 1) -> None:
        waits = []
        for _ in range(times):
            begin = time.perf_counter()
            run()
            waits.append(time.perf_counter() - begin)
        found[name] = {"median_s": round(statistics.median(waits), 5), "most_s": round(max(waits), 5)}

    desks: list[ReviewDesk] = []
    timed("open", lambda: desks.append(ReviewDesk(folder)))
    desk = desks[0]
    new = ItemFilter("new")
    timed("queues", desk.queues)
    found["queues_items"] = {queue.name: queue.items for queue in desk.queues()}
    timed("first_page", lambda: desk.page(new, None, 60))
    total = desk.count(new)

    def jump() -> None:
        key = desk.at(new, chance.randrange(total))
        desk.page(new, key, 60)

    timed("jump", jump, rounds)
    timed("last_page", lambda: desk.before(new, None, 60), rounds)
    filters = {
        "state": ItemFilter("new", states=("deleted",)),
        "size_and_date": ItemFilter("new", size_min=1 << 20, date_from=WHEN + timedelta(days=365)),
        "text": ItemFilter("new", text="temp"),
        "device": ItemFilter("new", device="m3"),
        "category": ItemFilter("near", categories=("1",)),
        "location": ItemFilter("new", locations=("pictures",)),
    }
    for name, which in filters.items():
        timed(f"filter_{name}", lambda which=which: desk.page(which, None, 60))
        timed(f"filter_{name}_again", lambda which=which: desk.page(which, None, 60))
    undecided = ItemFilter("new", decided=False, examiner="A. Examiner")
    place = [desk.page(undecided, None, 1)[0].key]

    def grade() -> None:
        desk.decide([place[0]], CATEGORIES[2], "A. Examiner")
        place[0] = desk.page(undecided, place[0], 1)[0].key

    timed("grade_to_next", grade, rounds)
    timed("undo", lambda: desk.undo("A. Examiner"), min(rounds, 20))
    if hasattr(desk, "make_clusters"):
        timed("clusters", desk.make_clusters)
        timed("page_by_cluster", lambda: desk.page(new, None, 60))
    timed("refresh", desk.refresh, 1)
    timed("close_and_take_in", desk.close)
    found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return found


def main() -> None:
    """Make the case where there is none, measure in a fresh process, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--case", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--measure", action="store_true", help="measure only, in this process")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.case, options.rounds)))
        return
    made = None
    if not options.case.exists():
        begin = time.perf_counter()
        make_case(options.case, options.items)
        made = round(time.perf_counter() - begin, 1)
    arguments = [sys.executable, __file__, "--case", str(options.case), "--rounds", str(options.rounds), "--measure"]
    told = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    facts = {"items": options.items, "made_s": made, "load": os.getloadavg()[0], **json.loads(told)}
    print(json.dumps(facts, indent=1))


if __name__ == "__main__":
    main()
