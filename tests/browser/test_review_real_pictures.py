"""The review page with real pictures: the real command on a real scan, drawn by a real worker, seen in a real browser.

Everything else in test_review_page.py is over a made-up desk. The pictures are drawings and a short film made here.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from unit.review.test_pictures import as_bytes, drawing, film

from caid_triage.config import ScanOptions
from caid_triage.report.verify import verify_case
from caid_triage.scan.run import run_scan
from caid_triage.scan.sources import SourceRequest

PATIENCE_MS = 60_000
# Of a canvas: its size, and how far its darkest and lightest pixels lie apart (0: blank).
PIXELS = """selector => {
    const canvas = document.querySelector(selector);
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    let [least, most] = [765, 0];
    for (let at = 0; at < data.length; at += 4) {
        const light = data[at] + data[at + 1] + data[at + 2];
        least = Math.min(least, light);
        most = Math.max(most, light);
    }
    return [canvas.width, canvas.height, most - least];
}"""
STYLE = "selector => getComputedStyle(document.querySelector(selector)).filter"
STORED = """async () => ({
    local: localStorage.length,
    session: Object.keys(sessionStorage).sort(),
    caches: (await caches.keys()).length,
    databases: (await indexedDB.databases()).length,
    images: document.querySelectorAll('img, video, audio, source, a[download]').length,
})"""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    evidence = tmp_path_factory.mktemp("evidence")
    (evidence / "a.png").write_bytes(as_bytes(drawing(), "PNG"))
    noise = np.random.default_rng(5).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    (evidence / "b.jpg").write_bytes(as_bytes(Image.fromarray(noise).resize((480, 360)), "JPEG"))
    (evidence / "cut.jpg").write_bytes(as_bytes(drawing(170), "JPEG")[:40])
    film(evidence / "z.mp4")
    folder = tmp_path_factory.mktemp("case") / "case"
    run_scan([SourceRequest(evidence, "PIC/1", "files")], folder, [], ScanOptions(workers=1))
    return folder


@pytest.fixture
def review(case: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command, and the address that it prints."""
    command = [sys.executable, "-P", "-m", "caid_triage", "review", "--case", str(case), "--scheme", "uk"]
    process = subprocess.Popen(
        [*command, "--examiner", "DC Larch"], stdout=subprocess.PIPE, text=True, cwd=tmp_path, env={**os.environ}
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http\S+", process.stdout.readline())
        assert found is not None
        yield process, found[0]
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def chosen(page: Any, name: str) -> None:
    """Choose the item of this name by keys, and wait for its picture or the words in its place."""
    page.focus("#grid")
    page.keyboard.press("Home")
    for _ in range(8):
        if page.inner_text("#details h2") == name:
            break
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#details h2") == name
    page.wait_for_selector("#details .large canvas, #details .large .no-picture")


def test_real_pictures_are_drawn_veiled_and_revealed_and_stored_nowhere(
    browser: Any, case: Path, review: tuple[subprocess.Popen[str], str]
) -> None:
    process, address = review
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    said: list[str] = []
    kept: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))

    def answered(answer: Any) -> None:
        if answer.headers.get("cache-control") != "no-store":
            kept.append(answer.url)

    page.on("response", answered)
    page.goto(address)
    page.wait_for_selector("#details .large")
    page.click("[data-queue=new]")
    page.wait_for_selector("#cell-0[data-empty=no]")
    assert page.locator("canvas").count() == 0
    page.keyboard.press("F8")
    shapes = {}
    for name in ("a.png", "b.jpg", "z.mp4"):
        chosen(page, name)
        page.wait_for_selector("#details canvas")
        *shapes[name], range_of_light = page.evaluate(PIXELS, "#details canvas")
        assert range_of_light > 200, name  # not blank
        assert page.evaluate(STYLE, "#details canvas") == "grayscale(1) blur(14px)"
        veiled = page.locator("#details canvas").screenshot()
        page.keyboard.down(" ")
        assert page.evaluate(STYLE, "#details canvas") == "grayscale(1)"
        assert page.locator("#details canvas").screenshot() != veiled
        page.keyboard.up(" ")
        assert page.evaluate(STYLE, "#details canvas") == "grayscale(1) blur(14px)"
    assert max(shapes["a.png"]) == max(shapes["b.jpg"]) == 320
    assert shapes["a.png"] == [320, 200]
    assert shapes["z.mp4"] != [320, 200]  # the film is 160 by 100: a sheet of stills, and not one of them
    assert page.inner_text("#viewed") == "3"
    assert page.evaluate(STORED) == {
        "local": 0, "session": ["due", "seconds"], "caches": 0, "databases": 0, "images": 0,
    }  # fmt: skip
    assert kept == []
    page.keyboard.press("1")  # the film, by a key; what is damaged follows with words in the place of a picture
    page.wait_for_selector("#grid .graded")
    page.click("[data-queue=damaged]")
    page.wait_for_selector("#details .large .no-picture")
    assert page.inner_text("#details h2") == "cut.jpg"
    page.keyboard.press("Escape")
    assert page.locator("canvas").count() == 0
    page.click("#come-back")
    page.click("#end")
    page.wait_for_selector("#away:not([hidden])")
    context.close()
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert said == []
    lines = [json.loads(line) for line in (case / "audit.jsonl").read_bytes().splitlines()]
    (ended,) = [line for line in lines if line["action"] == "review-ended"]
    assert (ended["shown"], ended["revealed"], ended["graded"]) == (3, 3, 1)
    assert verify_case(case) == []
