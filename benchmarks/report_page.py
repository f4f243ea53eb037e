"""report.html of a case with very many matches in a real browser: how large it is, how soon it can be used.

    python benchmarks/report_page.py [--hits 100000] [--files 200000] [--rounds 5] [--keep]

The case is generated: names, folders, times, sizes and items as scans give them, some names not in ASCII. The peer is
the same page with every match as a row of plain HTML, without script. Chromium and playwright must be installed.
``open_wall_ms`` is as an officer waits: from the call to the page's load event with the first rows drawn. A busy
machine stretches it, so ``open_cpu_ms`` is beside it: CPU time of the browser's main thread, which does nearly all.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import TimeoutError as NotInTime
from playwright.sync_api import sync_playwright
from store_bench import about_the_run, finish, peak_mb

from caid_triage.case.rows import CaseHeader
from caid_triage.case.store import create_case
from caid_triage.case.view import open_case
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
    Role,
    ScanRecord,
    SourceInfo,
    State,
)
from caid_triage.report import page as page_module
from caid_triage.report.html import write_html

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CATEGORIES = tuple(Category(str(n), f"Category {c}", "uk", 40 - 10 * n) for n, c in enumerate("ABC", start=1))
PARTS = ("Users", "sam", "Pictures", "AppData", "Local", "Google", "Chrome", "Cache", "OneDrive", "new folder", "写真")
BATCH = 1000
LONGEST = 120  # seconds that a page may take to open
SET = {
    "name": "caid-2026-11", "generation": "g1", "role": "notable", "scheme": "uk", "scheme_title": "United Kingdom",
    "scheme_confirmed_by": "A. Unit", "entries": 12_000_000, "sources": [], "counts": {"records": 12_000_000},
    "stated": {"victim-identified": 900_000, "distributed": 2_000_000, "series": 500_000},
}  # fmt: skip


def records(files: int, hits: int) -> Iterator[tuple[ScanRecord, tuple[Match, ...]]]:
    """The generated files, the matches spread evenly among them."""
    chance = random.Random(20261129)
    folders = ["/" + "/".join(chance.choices(PARTS, k=chance.randrange(3, 8))) for _ in range(4000)]
    met = 0
    for number in range(files):
        when = datetime(2015, 1, 1, tzinfo=UTC) + timedelta(seconds=chance.randrange(300_000_000))
        path = f"{chance.choice(folders)}/{chance.choice(('IMG', 'DSC', 'バラ', 'pic of'))}_{number:07d}.jpg"
        entry = FileEntry(
            exhibit="ABC/1",
            source="disk.E01",
            volume="p2",
            number=number,
            path=path,
            raw_path=path.encode(),
            state=State.DELETED if number % 9 == 0 else State.ALLOCATED,
            size=chance.randrange(2000, 9_000_000),
            times=FileTimes(created=when, modified=when),
            inode=number,
            physical_offset=4096 * number,
            locator=(number,),
        )
        content = chance.randbytes(32)
        digests = Digests(content[:16], content[:20], content)
        kind, media_type = (Kind.VIDEO, "video/mp4") if number % 11 == 0 else (Kind.IMAGE, "image/jpeg")
        examined = Examination(
            digests=digests,
            bytes_read=entry.size or 0,
            kind=kind,
            media_type=media_type,
            decode_state=DecodeState.DECODED,
        )
        matches: tuple[Match, ...] = ()
        if (number + 1) * hits // files > met:
            met += 1
            match = Match(
                match_kind=MatchKind.EXACT,
                algorithm="sha1",
                distance=0,
                threshold=0,
                category=chance.choice(CATEGORIES),
                hashset="caid-2026-11",
                generation="g1",
                role=Role.NOTABLE,
                media_id=str(chance.randrange(12_000_000)),
                record_row=met,
                stated=("distributed",) if met % 3 == 0 else (),
                series=f"Series {met % 300}" if met % 4 == 0 else "",
            )
            matches = (match,)
        yield ScanRecord(entry, examined), matches


def make(folder: Path, files: int, hits: int) -> None:
    """Store the case."""
    with create_case(folder, CaseHeader("OP/7/26", "", "DC 1234", {}, {"name": "caid-triage", "version": "0"})) as case:
        run = case.begin_run("scan", datetime(2026, 11, 29, tzinfo=UTC))
        source = SourceInfo(exhibit="ABC/1", source="disk.E01", kind="ewf", size=10**12, segments=(), acquisition={})
        source_id = case.add_source(source, {})
        case.record_hashset(SET)
        part: list[tuple[ScanRecord, tuple[Match, ...]]] = []
        for number, item in enumerate(records(files, hits), start=1):
            part.append(item)
            if len(part) == BATCH or number == files:
                case.write_batch(source_id, [i[0] for i in part], [i[1] for i in part], [], number)
                part.clear()
        case.finish_source(source_id, files, files)
        case.end_run(run, datetime(2026, 11, 29, 1, tzinfo=UTC), "finished")


def write(case: Path, out: Path) -> dict[str, Any]:
    """Write the page; CPU time, size and the most memory so far."""
    began = time.process_time()
    with open_case(case) as view, out.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        write_html(view, file)
    return {
        "write_cpu_s": round(time.process_time() - began, 2),
        "megabytes": round(out.stat().st_size / 1e6, 2),
        "peak_mb": peak_mb(),
    }


def median_ms(values: list[float]) -> int:
    """The median of seconds, in milliseconds."""
    return round(1000 * statistics.median(values))


def opened(browser: Any, address: str, rounds: int, *, script: bool) -> dict[str, Any]:
    """Open the page some times in a fresh tab; with script also filter, sort and turn to the last page."""
    waits: dict[str, list[float]] = {}
    said: list[str] = []

    def timed(name: str, act: Any) -> None:
        began = time.perf_counter()
        act()
        waits.setdefault(name, []).append(time.perf_counter() - began)

    cpu = []
    for _ in range(rounds):
        tab = browser.new_page(viewport={"width": 1280, "height": 800}, java_script_enabled=script)
        tab.on("console", lambda message: said.append(message.text))
        ticks = tab.context.new_cdp_session(tab)
        ticks.send("Performance.enable", {"timeDomain": "threadTicks"})
        try:
            timed("open", lambda tab=tab: tab.goto(address, timeout=1000 * LONGEST))
        except NotInTime:
            return {"open": f"not within {LONGEST} s"}
        metrics = {item["name"]: item["value"] for item in ticks.send("Performance.getMetrics")["metrics"]}
        cpu.append(metrics["TaskDuration"])
        if script:
            timed(
                "filter_category",
                lambda tab=tab: tab.select_option("#hits-controls select[data-facet=category]", index=2),
            )
            set_text = "value => {const f = document.getElementById('hits-text'); f.value = value; \
                f.dispatchEvent(new Event('input'));}"
            timed("sort_by_size", lambda tab=tab: tab.click("#hits th[data-sort=size] button"))
            timed("sort_by_file", lambda tab=tab: tab.click("#hits th[data-sort=file] button"))
            timed("last_page", lambda tab=tab: tab.click("#hits-last"))
            tab.evaluate(set_text, "onedrive 0009")
            tab.wait_for_timeout(400)
            assert "that fit" in tab.inner_text("#hits-said"), tab.inner_text("#hits-said")
        tab.close()
    return {f"{name}_wall_ms": median_ms(values) for name, values in waits.items()} | {
        "open_cpu_ms": median_ms(cpu),
        "slowest_open_wall_ms": round(1000 * max(waits["open"])), "said": said,
    }  # fmt: skip


def main() -> None:
    """Make the case, write the pages, open them."""

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", type=Path, help="a folder to keep the case in, used again if it is there")
    parser.add_argument("--peer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--keep", action="store_true", help="keep the figures in runs/")
    options = parser.parse_args()
    path = next(filter(None, map(shutil.which, BROWSERS)))
    with tempfile.TemporaryDirectory() as folder:
        case, ours, peer = options.case or Path(folder) / "case", Path(folder) / "ours.html", Path(folder) / "peer.html"
        if not case.exists():
            make(case, options.files, options.hits)
        figures: dict[str, Any] = {**about_the_run(), "files": options.files, "hits": options.hits}
        figures["ours"] = write(case, ours)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            figures["ours"] |= opened(browser, ours.as_uri(), options.rounds, script=True)
            if options.peer:
                page_module.MATCHES_SHOWN = options.hits
                figures["peer"] = write(case, peer) | opened(browser, peer.as_uri(), 1, script=False)
            browser.close()
    finish("report-page", figures, options.keep)


if __name__ == "__main__":
    main()
