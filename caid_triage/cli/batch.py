"""``caid-triage batch``: many exhibits unattended, each a scan of its own."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.cli.console import say, say_json
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.unit_option import VARIABLE, say_place_warning
from caid_triage.errors import UnitError, UsageError
from caid_triage.visible import many

if TYPE_CHECKING:
    from caid_triage.batch.budget import Budget
    from caid_triage.batch.check import Checked
    from caid_triage.batch.queue import Queue
    from caid_triage.batch.watch import Watcher


@click.command(cls=CommandWithExitCodes, short_help="Scan a queue of exhibits unattended.")
@click.argument("queue_file", type=click.Path(path_type=Path), metavar="QUEUE.toml")
@click.option("--check", is_flag=True, help="Look at the whole queue, say what would be done, and do nothing.")
@click.option(
    "--without-faulty",
    is_flag=True,
    help="Where single exhibits are at fault (a source is not there), do the others; the summary has them as failed.",
)
@click.option(
    "--problems-again",
    is_flag=True,
    help="Scan once more what an earlier run completed with problems: what could not be read then (a share that went "
    "away) is read again; all else is kept.",
)
@click.option(
    "--watch",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Take in what comes into this folder, too, once it is there whole; until Ctrl+C or --until.",
)
@click.option(
    "--until", metavar="MOMENT", help="When to take in nothing more: 07:30, 2026-03-02T07:30 or 8h (from now)."
)
@click.option(
    "--time-box",
    metavar="TIME",
    help="End after 90s, 20min or 2h: first a quick look at every exhibit, then each as the queue has it.",
)
@click.option(
    "--at-once", type=int, metavar="N", help="Most scans at the same time  [default: as cores and memory allow]"
)
@click.option("--workers", type=int, metavar="N", help="Workers of each scan  [default: the cores, shared]")
@click.option("--quiet", is_flag=True, help="No progress, only the outcome.")
@click.option("--json-progress", "as_json", is_flag=True, help="Progress and outcome as JSON lines on standard output.")
@click.pass_context
def batch(
    ctx: click.Context,
    queue_file: Path,
    check: bool,
    without_faulty: bool,
    problems_again: bool,
    watch: Path | None,
    until: str | None,
    time_box: str | None,
    at_once: int | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Scan every exhibit of QUEUE.toml into a case folder of its own, several at once, unattended.

    The whole queue is looked at before anything starts. Each exhibit is a scan in a process of its own: one that fails
    costs that one. Run again, the batch goes on: what is done is not done again, what failed is tried again. Beside the
    case folders it writes batch.html, batch.csv and batch.json, and ends with the worst exit code of all exhibits
    (docs/guide/batch.md).
    """
    from caid_triage.batch.budget import budget_of
    from caid_triage.batch.check import checked_queue
    from caid_triage.batch.spans import moment_of, seconds_of

    if until is not None and watch is None:
        raise UsageError("--until says when --watch ends; give --watch FOLDER too")
    if any(number is not None and number < 1 for number in (at_once, workers)):
        raise UsageError("--at-once and --workers are at least 1")
    moment = None if until is None else moment_of(until, datetime.now().astimezone())
    box = None if time_box is None else seconds_of(time_box)
    checked = checked_queue(queue_file, without_faulty=without_faulty, may_be_empty=watch is not None)
    words = checked.queue.budget
    words = replace(words, at_once=at_once or words.at_once, workers=workers or words.workers)
    queue = replace(checked.queue, budget=words, time_box=box or checked.queue.time_box)
    budget = budget_of(words)
    watcher = None if watch is None else _watcher(watch, queue)
    _warn_of_plain_words(queue)
    _warn_of_memory()
    _warn_of_nothing_to_compare(checked, watching=watcher is not None)
    if check:
        _say_plan(queue, checked, budget)
        ctx.exit(0)
    left = None if moment is None else time.monotonic() + (moment - datetime.now(UTC)).total_seconds()
    said = {"quiet": quiet, "as_json": as_json, "problems_again": problems_again}
    ctx.exit(_run(replace(checked, queue=queue), budget, watcher, left, **said))


def _warn_of_plain_words(queue: Queue) -> None:
    """Say once of each scheduler what each scan would say."""
    from caid_triage.cli.scan import plain_words

    clusters = [one.cluster for one in queue.exhibits]
    clusters += [queue.defaults["cluster"]] if "cluster" in queue.defaults else []
    for words in dict.fromkeys(filter(None, map(plain_words, clusters))):
        say(f"caid-triage: WARNING: {words}", err=True)


def _warn_of_nothing_to_compare(checked: Checked, *, watching: bool) -> None:
    """Say before a night is spent on it which exhibits would be listed and hashed and compared with nothing."""
    from caid_triage.report.on_exhibits import named

    bare = list(checked.uncompared)
    bare += ["what comes into the watched folder"] * (watching and checked.defaults_uncompared)
    if bare:
        why = 'no hash set of known material is given for them (in the queue: hashsets = ["NAME.chs"])'
        say(f"caid-triage: WARNING: nothing will be compared on {named(bare)}: {why}", err=True)


def _warn_of_memory() -> None:
    """Say before anything starts what each scan would say at its end: that the unit's memory cannot be used.

    ``CAID_TRIAGE_UNIT`` is inherited by every scan. UsageError for a URL that cannot be used.
    """
    if not (given := os.environ.get(VARIABLE)):
        return
    from caid_triage.unit.place import unit_place
    from caid_triage.unit.store import Mode, open_unit

    place = unit_place(given)
    say_place_warning(place)
    try:
        open_unit(place, Mode.READ).close()
    except UnitError as fault:
        say(f"caid-triage: WARNING: {VARIABLE}: {fault}; no scan can look its case up in it", err=True)


def _watcher(folder: Path, queue: Queue) -> Watcher:
    from caid_triage.batch.watch import Watcher

    if not folder.is_dir():
        raise UsageError(f"the folder to watch, {folder}, is not there")
    if queue.cases.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"the folder of the cases, {queue.cases}, lies inside the watched folder {folder}")
    return Watcher(folder.resolve(), queue.watch)


def _run(
    checked: Checked,
    budget: Budget,
    watcher: Watcher | None,
    until: float | None,
    *,
    quiet: bool,
    as_json: bool,
    problems_again: bool,
) -> int:
    """Run the batch, write its summary, say the outcome; the exit code."""
    from caid_triage.batch.journal import Journal
    from caid_triage.batch.notify import Notifier
    from caid_triage.batch.nursery import Nursery
    from caid_triage.batch.rows import exhibit_rows
    from caid_triage.batch.run import Batch, exit_code_of
    from caid_triage.batch.summary import Summary, as_json_outcome, write_summary
    from caid_triage.cli.batch_display import shown_batch

    queue = checked.queue
    with Journal(queue.cases) as journal, Notifier(queue.notify) as notifier:
        with shown_batch(quiet=quiet, as_json=as_json) as (show, tell), Nursery() as nursery:
            asked = queue, checked.generations, budget, journal, notifier, show, tell, watcher, until, nursery.begin
            work = Batch(*asked, problems_again=problems_again)
            outcome = work.run()
        records = journal.known.records
        code = exit_code_of(outcome, work.exhibits, records, checked.faulty)
        rows = list(exhibit_rows(work.exhibits, records, outcome.skipped, checked.faulty, queue.cases))
        summary = Summary(code, outcome.interrupted, outcome.time_up, outcome.seconds, datetime.now(UTC), rows, ())
        notifier.tell(
            event="batch-ended",
            exit_code=code,
            told=summary.headline,
            seconds=round(outcome.seconds, 1),
            answer=summary.answer,
        )
        notifier.close()
        notes = [*outcome.notes, *notifier.faults()]
        summary = replace(summary, notes=notes)
        page = write_summary(queue.cases, summary)[-1]
    if as_json:
        say_json(as_json_outcome(summary, page))
        return code
    for row in rows:
        if row.told or row.exit_code not in (0, None):
            say(f"{row.reference}: {row.state}{f': {row.told}' if row.told else ''}")
    for sentence in notes:
        say(f"note: {sentence}")
    for sentence in (summary.answer, *summary.found_words, *summary.problem_words):
        say(sentence)
    say(f"{'interrupted: ' if outcome.interrupted else ''}{summary.headline}")
    say(f"summary: {page}")
    return code


def _say_plan(queue: Queue, checked: Checked, budget: Budget) -> None:
    """What would be done, an exhibit a line, in the order in which they would be started."""
    at_once = f"up to {budget.at_once:,} at once, {many(budget.cores, 'core')}"
    say(f"{many(len(queue.exhibits), 'exhibit')}, {at_once}, cases in {queue.cases}")
    for one in sorted(queue.exhibits, key=lambda one: one.priority):
        where = f", on {one.cluster.scheduler or 'a cluster of its own'}" if one.executor == "dask" else ""
        sets = many(len(one.hashsets), "hash set")
        say(f"{one.reference}: priority {one.priority}, {one.profile}, {sets}, case {one.case.name}{where}")
    if given := os.environ.get(VARIABLE):
        from caid_triage.unit.place import unit_place

        say(f"each case is to be looked up in the unit's memory {unit_place(given)} ({VARIABLE})")
    for fault in checked.faulty:
        say(f"left out: {fault.told()}")
