"""``caid-triage sample``: random sectors of a disk against a block set, and what that allows to be said."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from caid_triage.cli.console import GoneTerminal, say, say_json
from caid_triage.cli.exit_codes import COMPLETE, WITH_PROBLEMS, CommandWithExitCodes
from caid_triage.cli.on_record import given_command, say_faults, say_head
from caid_triage.cli.stated import (
    case_examiner_option,
    operation_option,
    reference_option,
    said_of_case,
    said_of_exhibits,
    unit_contact_option,
)
from caid_triage.errors import UsageError
from caid_triage.version import __version__

if TYPE_CHECKING:
    from typing import TextIO

    from caid_triage.case.details import Details
    from caid_triage.case.sampling import Fragment, Sampling
    from caid_triage.case.store import CaseWriter
    from caid_triage.report.block_searches import Statement
    from caid_triage.scan.sampling import SampleProgress, Sampler

_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
          "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))?\s*([A-Za-z]*)", re.ASCII)
_PER_CENT = re.compile(r"([0-9]{1,2}(?:\.[0-9]{1,6})?)\s*%?", re.ASCII)
ALL = "all"


def checked_size(text: str) -> int:
    """Bytes from "20MiB", "1 GB" or "4096"; UsageError for anything else, and for nothing."""
    match = _SIZE.fullmatch(text.strip())
    factor = _UNITS.get(match[3].upper()) if match else None
    size = 0 if match is None or factor is None else int(Fraction(f"{match[1]}.{match[2] or 0}") * factor)
    if not 0 < size < 1 << 60:
        raise UsageError(f"a size is written 20MiB, 500kB, 1GiB or a number of bytes, not {text!r}")
    return size


def checked_confidence(text: str) -> Fraction:
    """A share above 0 and below 1 from per cent: "99", "99.9". UsageError for anything else."""
    match = _PER_CENT.fullmatch(text.strip())
    share = Fraction(match[1]) / 100 if match else Fraction(0)
    if not 0 < share < 1:
        raise UsageError(
            f"a confidence is per cent, above 0 and below 100, with six places at most, such as 99.9, not {text!r}"
        )
    return share


def checked_samples(text: str | None) -> tuple[int | None, bool]:
    """How many samples are asked for (None: as many as are needed), and whether all of the disk is. UsageError."""
    if text is None:
        return None, False
    if text.lower() == ALL:
        return None, True
    digits = text.replace(",", "").replace("_", "")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20 and 0 < int(digits) < 1 << 60):
        raise UsageError(f"--samples is a number of samples, or all, not {text!r}")
    return int(digits), False


@click.command(cls=CommandWithExitCodes, short_help="Sample a disk for blocks of known files.")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--hashset",
    "hashset_path",
    required=True,
    type=click.Path(path_type=Path),
    help="A block set: hashset make DIR --blocks.",
)
@click.option(
    "--case", "case_folder", type=click.Path(path_type=Path), help="Folder of the case; made if new. Needed to go on."
)
@click.option("--exhibit", default=None, help="Exhibit reference  [default: the file's name without its extension]")
@click.option(
    "--confidence", default="99", show_default=True, metavar="PERCENT", help="Of the statement, such as 99.9."
)
@click.option(
    "--target", default="20MiB", show_default=True, metavar="SIZE", help="Less than this is to be said to be present."
)
@click.option("--seed", type=int, default=None, help="Which samples are drawn  [default: from disk size and set]")
@click.option(
    "--samples", default=None, metavar="N|all", help="So many samples; all: read the whole disk  [default: as needed]"
)
@reference_option
@operation_option
@unit_contact_option
@click.option("--seized", metavar="DATE", help="When the exhibit was seized.")
@case_examiner_option
@click.option("--quiet", is_flag=True, help="No progress, only the outcome.")
@click.option("--json-progress", "as_json", is_flag=True, help="Progress and outcome as JSON lines on standard output.")
@click.pass_context
def sample(
    ctx: click.Context,
    source: str,
    hashset_path: Path,
    case_folder: Path | None,
    exhibit: str | None,
    confidence: str,
    target: str,
    seed: int | None,
    samples: str | None,
    case_reference: str | None,
    operation: str | None,
    contact: Path | None,
    seized: str | None,
    examiner: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Read random sectors of SOURCE, a disk or its image, and say how much known material can be on it at most.

    Each sample is compared with the blocks of graded files. As many are drawn as are needed to say, if none is met,
    that less than --target is present; a first hit is said at once, and what lies around it is read. With --case the
    same command goes on where it was stopped, asks for more, or (--samples all) reads all of the disk; scan may use the
    same case afterwards. Nothing is said of what is encrypted, changed or coded anew.
    """
    from caid_triage.case.details import checked_words
    from caid_triage.hashset.store import open_hashset
    from caid_triage.match.draws import MOST_SEED
    from caid_triage.scan.case_of_scan import refuse_writing_into, to_state
    from caid_triage.scan.rematch import hashset_facts
    from caid_triage.scan.remote_sectors import opened_disk
    from caid_triage.scan.sample_plan import SampleOptions
    from caid_triage.scan.sampling import Sampler

    if seed is not None and not 0 <= seed <= MOST_SEED:
        raise UsageError(f"a seed is a number from 0 to {MOST_SEED}, not {seed}")
    if case_folder is None and (case_reference or operation or seized):
        raise UsageError("what is stated of a case needs one: give --case too")
    count, whole = checked_samples(samples)
    options = SampleOptions(checked_confidence(confidence), checked_size(target), seed, count, whole)
    path = Path(source)
    hashset = open_hashset(hashset_path)
    facts = {**hashset_facts(hashset), "blocks": hashset.manifest.get("blocks")}
    for large in ("scheme_file", "sources", "stated"):
        facts.pop(large, None)
    reference = exhibit or path.stem or path.name
    checked_words("an --exhibit reference", reference)
    said = said_of_case(reference=case_reference, operation=operation, examiner=examiner, contact=contact)
    said |= said_of_exhibits([reference], () if seized is None else (seized,))
    with ExitStack() as stack:
        sectors = stack.enter_context(opened_disk(path, reference, path.name or str(path)))
        case, stated = None, said
        if case_folder is not None:
            refuse_writing_into(path, case_folder)
            case = stack.enter_context(_opened_case(case_folder, reference))
            stated = to_state(case_folder, said, [reference])
        show = stack.enter_context(_shown(quiet=quiet, as_json=as_json))
        sampler = Sampler(sectors, hashset, facts, options, case, show, _first_hit(reference, as_json=as_json))
        try:
            if case is None:
                sampler.run(whole=whole)
            else:
                _run_on_record(ctx, case, sampler, stated, whole=whole)
        except KeyboardInterrupt:
            if not as_json:
                _say_outcome(sampler)  # what may be said by now: on scene, time may be up
            raise
    ctx.exit(_told(sampler, case_folder, case, as_json=as_json))


def _opened_case(folder: Path, reference: str) -> CaseWriter:
    from caid_triage.case.rows import CaseHeader
    from caid_triage.case.schema import holds_case
    from caid_triage.case.store import create_case, open_case_for_writing

    return open_case_for_writing(folder) if holds_case(folder) else create_case(folder, CaseHeader(reference))


def _run_on_record(ctx: click.Context, case: CaseWriter, sampler: Sampler, stated: Details, *, whole: bool) -> None:
    """Sample with lines of the audit chain before and after, then write the reports of the case."""
    from caid_triage.report.on_record import REPORTS, write_reports_on_record

    one = sampler.sampling
    case.audit_command(given_command(ctx))
    case.state(stated)
    run = case.begin_run("sample", datetime.now(UTC))
    began = {"exhibit": one.exhibit, "source": one.source, "name": one.hashset["name"], "seed": one.seed}
    began |= {"generation": one.hashset["generation"], "confidence": one.confidence, "target": one.target}
    ending = "failed"
    try:
        case.audit("sampling-began", version=__version__, wanted=one.wanted, drawn=one.drawn, whole=whole, **began)
        if sampler.run(whole=whole):
            ending = "finished"
    except KeyboardInterrupt:
        ending = "interrupted"
        raise
    finally:
        counts = {"drawn": one.drawn, "read": one.read, "unread": one.unread, "met": one.met, "read_to": one.scanned}
        case.audit(f"sampling-{ending}", exhibit=one.exhibit, source=one.source, **counts)
        case.end_run(run, datetime.now(UTC), ending)
    write_reports_on_record(case, case.folder / REPORTS)


def _told(sampler: Sampler, folder: Path | None, case: CaseWriter | None, *, as_json: bool) -> int:
    """Print the statement and its limits; the exit code."""
    from caid_triage.report.fragments import statement_facts
    from caid_triage.report.on_record import REPORTS

    one = sampler.sampling
    told, blocks, files = _statement(sampler)
    code = WITH_PROBLEMS if one.unread or one.scanned_unread or one.notes else COMPLETE
    if as_json:
        facts = statement_facts(one, told, blocks, files)
        page = {} if folder is None else {"report": str(folder / REPORTS / "report.html")}
        say_json({"event": "finished", "exit_code": code, **facts, **page})
    else:
        _say_outcome(sampler)
        if folder is not None and case is not None:
            say_head(case.last_line)
            say(f"report: {folder / REPORTS / 'report.html'}")
        else:
            say("not kept: without --case this sampling cannot go on, and stands in no report")
    if folder is not None:
        say_faults(folder)
    return code


def _statement(sampler: Sampler) -> tuple[Statement, int, int]:
    """The statement, and how many blocks of how many files were found."""
    from caid_triage.report.fragments import statement

    found = sampler.fragments
    blocks, files = sum(fragment.blocks for fragment in found), len({fragment.record for fragment in found})
    return statement(sampler.sampling, blocks, files), blocks, files


def _say_outcome(sampler: Sampler) -> None:
    from caid_triage.report.fragments import strength

    for line in statement_lines(sampler.sampling, _statement(sampler)[0], sampler.fragments, strength):
        say(line)


MOST_SHOWN = 20


def statement_lines(
    sampling: Sampling, told: Statement, found: list[Fragment], strength: Callable[[int], str]
) -> Iterator[str]:
    """The outcome as lines of a terminal: the statement, the longest fragments, the limits."""
    yield told.headline
    yield f"  {told.sentence}"
    size = sampling.block_size
    aligned: dict[tuple[int, int], int] = {}
    for one in found:
        place = one.record, one.line(size)
        aligned[place] = aligned.get(place, 0) + one.blocks
    longest = sorted(found, key=lambda one: (-one.blocks, one.offset))
    for one in longest[:MOST_SHOWN]:
        yield (
            f"  byte {one.offset:,}: blocks {one.first_block:,} to {one.first_block + one.blocks - 1:,} of "
            f"{one.file_blocks:,}, {one.category_label}, item {one.media_id} "
            f"({strength(aligned[one.record, one.line(size)])})"
        )
    if len(found) > MOST_SHOWN:
        yield f"  ... and {len(found) - MOST_SHOWN:,} shorter fragments"
    yield from (f"  {limit}" for limit in told.limits)


def _first_hit(exhibit: str, *, as_json: bool) -> Callable[[Fragment], None]:
    """What is said at once when the first block of a known file is met."""

    def told(one: Fragment) -> None:
        if as_json:
            facts = {"category_code": one.category_code, "category_label": one.category_label, "scheme": one.scheme}
            say_json({"event": "first-hit", "exhibit": exhibit, "offset": one.offset} | facts)
        else:
            say(f"FOUND: a block of a known file at byte {one.offset:,}, {one.category_label}", err=True)

    return told


def progress_line(progress: SampleProgress) -> str:
    """How far a sampling is, as one plain line."""
    from caid_triage.cli.display import human_bytes, human_seconds

    if progress.stage == "sampling":
        done = f"{progress.done:,} of {progress.wanted:,} samples"
    else:
        done = f"{human_bytes(progress.done)} of {human_bytes(progress.wanted)}"
    parts = [f"{progress.stage}: {done}", f"known blocks: {progress.blocks:,}"]
    if progress.unread:
        parts.append(f"not readable: {progress.unread:,}")
    parts.append(f"time left: {human_seconds(progress.seconds_left())}")
    return " | ".join(parts)


@contextmanager
def _shown(*, quiet: bool, as_json: bool) -> Iterator[Callable[[SampleProgress], None]]:
    """A function that shows progress: JSON on stdout, a live line on a terminal, else plain lines on stderr."""
    from caid_triage.cli.display import JSON_SECONDS, PLAIN_SECONDS

    last = time.monotonic()

    def due(seconds: float) -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < seconds:
            return False
        last = now
        return True

    def as_line(progress: SampleProgress) -> None:
        if due(PLAIN_SECONDS):
            say(progress_line(progress), err=True)

    def as_object(progress: SampleProgress) -> None:
        if due(JSON_SECONDS):
            facts: dict[str, object] = {"stage": progress.stage, "done": progress.done, "wanted": progress.wanted}
            facts |= {"blocks": progress.blocks, "unread": progress.unread, "seconds_left": progress.seconds_left()}
            say_json({"event": "progress", **facts})

    if as_json:
        yield as_object
    elif quiet:
        yield lambda _progress: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        terminal = Console(file=cast("TextIO", GoneTerminal(sys.stderr)))
        with Live(console=terminal, refresh_per_second=4, transient=True) as live:
            yield lambda progress: live.update(Text(progress_line(progress)))
    else:
        yield as_line
