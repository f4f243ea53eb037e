"""What an examiner waits for in the review page: a real browser, the real command, a case of a million items.

    python benchmarks/review_desk.py --items 1000000 --case /tmp/review-case
    python benchmarks/review_page.py --case /tmp/review-case

Starts ``caid-triage review`` on the case and opens its address in Chromium. ``first`` is from asking for the page until
the first item's words stand beside the list; ``jump`` from pressing Enter on a number until that item's words stand
there; ``grade`` from the key of a grade (on disk when the server answers) until the next item's words stand there, and
``page`` from Page Down until every card on the screen has its words. Times are the page's own clock, medians and the
worst; ``server`` are the same requests asked without a browser. Memory is the most that the server's process held.
The grades that are given are taken back one by one, but stay in the case's journal: use a copy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHOSEN = """at => {
    const item = document.getElementById(`cell-${at}`);
    const shown = document.querySelector('#details .large');
    return item?.ariaSelected === 'true' && item.dataset.empty === 'no' && shown !== null;
}"""
# Looks at every frame and says how long it took from the key on: to ask from outside would cost more than that.
WATCH = """([key, wanted]) => new Promise((done, failed) => {
    const grid = document.getElementById('grid');
    const begin = performance.now();
    grid.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
    const look = () => {
        const cells = [...grid.querySelectorAll('[role=gridcell]')];
        const at = Number(grid.getAttribute('aria-activedescendant')?.slice(5) ?? -1);
        const words = document.querySelector('#details .large') !== null;
        const all = cells.length > 0 && cells.every((cell) => cell.dataset.empty === 'no');
        if (words && all && (wanted < 0 || at === wanted))
            done(performance.now() - begin);
        else if (performance.now() - begin > 60000) failed(new Error('nothing came'));
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})"""


def measure(case: Path, rounds: int, scheme: str) -> dict[str, object]:
    """Measure everything; milliseconds and bytes."""
    words = ["review", "--case", str(case), "--examiner", "benchmark", "--scheme", scheme, "--break-minutes", "0"]
    begin = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-P", "-m", "caid_triage", *words], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r"http\S+", server.stdout.readline())
        assert found is not None
        opened = time.perf_counter() - begin
        result: dict[str, object] = {"command_ready_s": round(opened, 3)}
        with sync_playwright() as playwright:
            path = next(filter(None, map(shutil.which, BROWSERS)))
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            result |= in_browser(browser.new_page(viewport={"width": 1440, "height": 900}), found[0], rounds)
            browser.close()
        status = Path(f"/proc/{server.pid}/status").read_text()
        peak = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert peak is not None
        result["server_memory_mb"] = round(int(peak[1]) * 1024 / 1e6, 1)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
    return result


def in_browser(page: Any, address: str, rounds: int) -> dict[str, object]:
    """The waits that the page itself sees."""
    found: dict[str, object] = {}
    begin = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#details .large")
    found["first_ms"] = round(1000 * (time.perf_counter() - begin), 1)
    page.click("[data-queue=new]")
    page.wait_for_selector("#cell-0[data-empty=no]")
    total = int(re.sub(r"\D", "", page.inner_text("#place").rpartition("of")[2]))
    found["items"] = total
    chance = random.Random(7)

    def jump() -> float:
        at = chance.randrange(total)
        page.keyboard.press("Control+g")
        page.fill("#goto-number", str(at + 1))
        begin = time.perf_counter()
        page.keyboard.press("Enter")
        while not page.evaluate(CHOSEN, at):
            time.sleep(0.002)
        return 1000 * (time.perf_counter() - begin)

    def grade() -> float:
        at = int(page.get_attribute("#grid", "aria-activedescendant")[5:])
        return float(page.evaluate(WATCH, ["0", at + 1]))

    def timed(name: str, run: Callable[[], float], times: int) -> None:
        waits = [run() for _ in range(times)]
        found[name] = {"median_ms": round(statistics.median(waits), 1), "most_ms": round(max(waits), 1), "times": times}

    timed("jump", jump, rounds)
    page.keyboard.press("Home")
    page.wait_for_selector("#cell-0[data-empty=no]")
    page.focus("#grid")
    timed("page_down", lambda: float(page.evaluate(WATCH, ["PageDown", -1])), rounds)
    found["last_ms"] = round(float(page.evaluate(WATCH, ["End", total - 1])), 1)
    found["elements"] = page.evaluate("document.querySelectorAll('*').length")
    page.keyboard.press("Home")
    page.wait_for_selector("#cell-0[data-empty=no]")
    timed("grade_to_next", grade, rounds)
    for _ in range(rounds):
        page.keyboard.press("Control+z")
        page.wait_for_timeout(60)
    found["browser_memory_mb"] = round(page.evaluate("performance.memory.usedJSHeapSize") / 1e6, 1)
    return found


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--scheme", default="uk")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(json.dumps({"load": round(load, 1), **measure(given.case, given.rounds, given.scheme)}, indent=1))


if __name__ == "__main__":
    main()
