"""Showing how a batch goes: a live block on a terminal, plain lines when piped, JSON lines for other programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from caid_triage.batch.progress import BatchProgress, Happened, InWork, Show, Tell
from caid_triage.cli.console import GoneTerminal, say, say_json
from caid_triage.cli.display import JSON_SECONDS, human_bytes, human_seconds
from caid_triage.visible import many, shown

if TYPE_CHECKING:
    from typing import TextIO

    from rich.table import Table

PLAIN_SECONDS = 15.0


def batch_line(progress: BatchProgress) -> str:
    """One plain line of the whole: exhibits by state, bytes, time left. Never a path."""
    states = ", ".join(f"{count:,} {state}" for state, count in progress.states.items() if count) or "nothing yet"
    done = human_bytes(progress.bytes_before + progress.bytes_now())
    parts = [states, f"{done} of {human_bytes(progress.bytes)}", f"time left: {human_seconds(progress.seconds_left())}"]
    return "batch: " + " | ".join([*parts, *["watching"] * progress.watching])


def work_cells(one: InWork) -> tuple[str, ...]:
    """One scan that runs: stage, files, hits, leads, problems, time left."""
    line: Mapping[str, Any] = one.line
    seen, total = (line.get("files") or 0) + (line.get("resumed_files") or 0), line.get("total_files")
    files = many(seen, "file") if total is None else f"{seen:,} of {many(total, 'file')}"
    known, apart = (sum((line.get(key) or {}).values()) for key in ("hits", "not_pertinent"))
    return (
        one.reference,
        str(line.get("stage", "starting")),
        files,
        f"known {known:,}" + f", not pertinent {apart:,}" * bool(apart),
        f"leads {line.get('leads') or 0:,}",
        f"problems {line.get('problems') or 0:,}",
        f"time left {human_seconds(line.get('seconds_left'))}",
    )


def batch_table(progress: BatchProgress) -> Table:
    """The same facts as the live block of a terminal, a row for each scan that runs."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for one in progress.in_work:
        table.add_row(*(Text(shown(cell)) for cell in work_cells(one)))  # Text: a reference is no markup
    whole = Table.grid()
    whole.add_row(Text(shown(batch_line(progress))))
    whole.add_row(table)
    return whole


class _Paced:
    """True at most every ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, float("-inf")

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        return True


@contextmanager
def shown_batch(*, quiet: bool, as_json: bool) -> Iterator[tuple[Show, Tell]]:
    """What shows progress and what happened the way the caller wants it: JSON on stdout, the rest on stderr."""
    if as_json:
        paced = _Paced(JSON_SECONDS)
        yield (
            lambda progress: say_json(progress.as_json()) if paced.due() else None,
            lambda event: say_json(
                {"event": event.event, "reference": event.reference, "told": event.told, **event.facts}
            ),
        )
    elif quiet:
        yield (lambda _progress: None, lambda _event: None)
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        console = Console(file=cast("TextIO", GoneTerminal(sys.stderr)))
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            yield (
                lambda progress: live.update(batch_table(progress)),
                lambda event: console.print(Text(shown(event_line(event)))),
            )
    else:
        paced = _Paced(PLAIN_SECONDS)

        def show(progress: BatchProgress) -> None:
            if paced.due():
                say(batch_line(progress), err=True)
                for one in progress.in_work:
                    say("  " + " | ".join(work_cells(one)), err=True)

        yield show, lambda event: say(event_line(event), err=True)


def event_line(event: Happened) -> str:
    """What happened, as one line."""
    words = {"files": "file", "exact": "", "leads": "lead", "problems": "problem"}
    facts = {key: event.facts[key] for key in words if key in event.facts}
    counts = [many(int(str(count)), words[key]) if words[key] else f"{count:,} {key}" for key, count in facts.items()]
    if event.facts.get("ignorable"):
        counts.insert(2, f"of them {event.facts['ignorable']:,} ranked as not pertinent")
    more = f" ({', '.join(counts)})" if counts else ""
    more += f". {event.facts['answer']}" if event.facts.get("answer") else ""
    return f"{event.reference}: {event.told}{more}" if event.reference else event.told
