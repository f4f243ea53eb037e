"""Showing a scan's progress: a live line on a terminal, plain lines when piped, JSON lines for other programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, cast

from caid_triage.cli.console import GoneTerminal, say, say_json
from caid_triage.scan.progress import FirstHit, Progress, Show
from caid_triage.visible import shown

if TYPE_CHECKING:
    from rich.table import Table

PLAIN_SECONDS = 5.0
JSON_SECONDS = 1.0


def human_bytes(size: float) -> str:
    """Bytes with a decimal unit: 1234567 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def human_seconds(seconds: float | None) -> str:
    """Seconds as h:mm:ss; "unknown" for None."""
    if seconds is None:
        return "unknown"
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _unlocking(progress: Progress) -> str:
    return f"{progress.stage}: {progress.secrets_tried:,} of {progress.secrets:,} secrets tried"


def progress_line(progress: Progress) -> str:
    """One plain line: files, bytes, rate, hits by category, leads, problems, time left. Never a path.

    What counts as no hit is named where there is any: it is there, and stops nothing.
    """
    if progress.secrets:
        return f"{_unlocking(progress)} | {human_seconds(progress.seconds())}"
    files = f"{progress.files + progress.resumed_files:,}"
    if progress.total_files is not None:
        files += f" of {progress.total_files:,}"
    parts = [
        f"{progress.stage}: {files} files",
        human_bytes(progress.bytes),
        f"{progress.files / progress.seconds():,.0f} files/s, {human_bytes(progress.bytes / progress.seconds())}/s",
        f"known{_of_this_run(progress)}: {_by_label(progress.hits, ' ') or 'none'}",
        *[f"not pertinent: {_by_label(progress.not_pertinent, ' ')}"] * bool(progress.not_pertinent),
        f"leads: {progress.leads:,}",
        f"problems: {progress.problems:,}",
        f"time left: {human_seconds(progress.seconds_left())}",
    ]
    if progress.searching.total:
        parts.insert(3, searching_words(progress))
    return " | ".join(parts)


def _by_label(counts: Mapping[str, int], between: str) -> str:
    return ", ".join(f"{label}{between}{count:,}" for label, count in sorted(counts.items()))


def _of_this_run(progress: Progress) -> str:
    """The words behind "known" of a resumed scan: what an earlier run met is in the case and not counted again."""
    return " since resumed" if progress.resumed_files else ""


def searching_words(progress: Progress) -> str:
    """How far the search of free space is: bytes, of how many, and the rate."""
    told = progress.searching
    done = f"free space: {human_bytes(told.searched)} of {human_bytes(told.total)} searched"
    return f"{done}, {human_bytes(told.rate)}/s"


def progress_table(progress: Progress) -> Table:
    """The same facts, as the live block of a terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))

    def add_row(*cells: str) -> None:
        """As Text: a label of a hash set or a volume's name is no markup, and steers nothing."""
        table.add_row(*(Text(shown(cell)) for cell in cells))

    if progress.secrets:
        add_row(_unlocking(progress), human_seconds(progress.seconds()))
        return table
    files = f"{progress.files + progress.resumed_files:,}"
    if progress.total_files is not None:
        files += f" of {progress.total_files:,}"
    add_row(progress.stage, f"{files} files", human_bytes(progress.bytes),
                  f"{progress.files / progress.seconds():,.0f} files/s",
                  f"{human_bytes(progress.bytes / progress.seconds())}/s",
                  f"time left {human_seconds(progress.seconds_left())}")  # fmt: skip
    if progress.searching.total:
        add_row("", searching_words(progress))
    add_row(f"known{_of_this_run(progress)}", _by_label(progress.hits, ": ") or "none so far")
    if progress.not_pertinent:
        add_row("not pertinent", _by_label(progress.not_pertinent, ": "))
    add_row("", f"leads (look-alikes) {progress.leads:,}", f"problems {progress.problems:,}")
    return table


def first_hit_line(hit: FirstHit) -> str:
    """One line: an exhibit, the category that was met in it for the first time, and when. Never a path."""
    what = f"{hit.label} (code {hit.code})" if hit.code and hit.code not in hit.label else hit.label
    return f"FIRST HIT in exhibit {hit.exhibit}: {what}, {human_seconds(hit.seconds)} after the start"


class _NewHits:
    """The first hits that were not shown yet."""

    def __init__(self) -> None:
        self._shown = 0

    def of(self, progress: Progress) -> list[FirstHit]:
        new = progress.first_hits[self._shown :]
        self._shown += len(new)
        return new


class _Paced:
    """Calls ``write`` at most every ``seconds``, and at each change of stage."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = 0.0
        self._stage = ""

    def due(self, progress: Progress) -> bool:
        now = time.monotonic()
        if progress.stage == self._stage and now - self._last < self._seconds:
            return False
        self._last, self._stage = now, progress.stage
        return True


def shown_import() -> Callable[[int, int], None]:
    """A function that says every few seconds how far the import of a hash set is: bytes of the file, records so far."""
    began = last = time.monotonic()

    def show(size: int, records: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PLAIN_SECONDS:
            last = now
            rate = records / (now - began)
            say(f"importing {human_bytes(size)}: {records:,} records | {rate:,.0f} records/s", err=True)

    return show


@contextmanager
def shown_progress(*, quiet: bool, as_json: bool) -> Iterator[Show]:
    """A function that shows progress the way the caller's terminal wants it: JSON on stdout, the rest on stderr."""
    new = _NewHits()
    if as_json:
        paced = _Paced(JSON_SECONDS)

        def show_json(progress: Progress) -> None:
            for hit in new.of(progress):
                say_json(hit.as_json())
            if paced.due(progress):
                say_json(progress.as_json())

        yield show_json
    elif quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        with Live(
            console=Console(file=cast("TextIO", GoneTerminal(sys.stderr))), refresh_per_second=4, transient=True
        ) as live:

            def show_live(progress: Progress) -> None:
                for hit in new.of(progress):
                    live.console.print(shown(first_hit_line(hit)), markup=False, highlight=False)
                live.update(progress_table(progress))

            yield show_live
    else:
        paced = _Paced(PLAIN_SECONDS)

        def show_lines(progress: Progress) -> None:
            for hit in new.of(progress):
                say(first_hit_line(hit), err=True)
            if paced.due(progress):
                say(progress_line(progress), err=True)

        yield show_lines
