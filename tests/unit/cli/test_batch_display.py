"""How a batch is shown: the same facts live, as plain lines and as JSON, and nothing that a reference could do."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from rich.console import Console

from caid_triage.batch.journal import State
from caid_triage.batch.progress import BatchProgress, Happened, InWork
from caid_triage.cli.batch_display import batch_line, batch_table, event_line, shown_batch, work_cells

LINE = {
    "stage": "examining", "files": 20, "resumed_files": 5, "total_files": 100, "hits": {"code 1": 3, "code 2": 4},
    "leads": 2, "problems": 1, "seconds": 30, "seconds_left": 90,
}  # fmt: skip


def half_done() -> BatchProgress:
    """100 GB: 10 done before, 20 in this run, one scan of 40 a quarter through; 60 s on the clock."""
    states = Counter({State.DONE: 3, State.IN_WORK: 1, State.WAITING: 2, State.FAILED: 0})
    work = [InWork("[b]ABC/1[/b]\x1b[2J\u202e", 2, 40 * 10**9, LINE)]
    made = BatchProgress(states, work, 100 * 10**9, 10 * 10**9, 20 * 10**9)
    made.started -= 60
    return made


def test_the_time_left_is_that_of_the_bytes_that_are_left_at_the_rate_of_this_run() -> None:
    progress = half_done()
    assert progress.bytes_now() == 30 * 10**9  # 20 and a quarter of 40
    assert progress.seconds_left() == pytest.approx(120, rel=0.02)  # 60 more at 30 a minute
    assert BatchProgress(bytes=5, bytes_before=5).seconds_left() == 0
    assert BatchProgress(bytes=5).seconds_left() is None


def test_a_plain_line() -> None:
    line = batch_line(half_done())
    assert line == "batch: 3 done, 1 in work, 2 waiting | 40.0 GB of 100.0 GB | time left: 0:02:00"
    assert batch_line(BatchProgress(watching=True)).endswith("| watching")


def test_the_live_block_shows_a_hostile_reference_as_text() -> None:
    out = io.StringIO()
    Console(file=out, width=200).print(batch_table(half_done()))
    text = out.getvalue()
    assert "[b]ABC/1[/b]\\u{001b}[2J\\u{202e}" in text
    assert "\x1b[2J" not in text
    assert "25 of 100 files" in text
    assert "known 7" in text


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with shown_batch(quiet=False, as_json=True) as (show, tell):
        show(half_done())
        show(half_done())  # too soon
        tell(Happened("exhibit-ended", "A", "done", {"state": State.DONE, "files": 3}))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["states"] == {"done": 3, "in work": 1, "waiting": 2}
    assert (first["bytes_done"], first["in_work"][0]["seconds_left"]) == (40 * 10**9, 90)
    assert second == {"event": "exhibit-ended", "reference": "A", "told": "done", "state": "done", "files": 3}


def test_events_in_words() -> None:
    ended = Happened(
        "exhibit-ended", "A", "done", {"files": 1234, "exact": 2, "leads": 0, "problems": 1, "exit_code": 0}
    )
    assert event_line(ended) == "A: done (1,234 files, 2 exact, 0 leads, 1 problem)"
    assert event_line(Happened("note", "", "something")) == "something"


def test_what_counts_as_no_hit_is_shown_apart() -> None:
    line = LINE | {"not_pertinent": {"Ignorable": 1200}}
    assert "known 7, not pertinent 1,200" in work_cells(InWork("A", 1, 1, line))
    assert "known 7" in work_cells(InWork("A", 1, 1, LINE))
    assert InWork("A", 1, 1, line).as_json()["not_pertinent"] == {"Ignorable": 1200}
    facts = {"files": 9, "exact": 3, "ignorable": 3, "leads": 0, "problems": 0}
    told = "9 files, 3 exact, of them 3 ranked as not pertinent, 0 leads"
    assert told in event_line(Happened("x", "A", "done", facts))
    assert "pertinent" not in event_line(Happened("x", "A", "done", facts | {"ignorable": 0}))
