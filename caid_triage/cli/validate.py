"""``caid-triage validate``: run the known-answer pack and write the validation record."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.cli.console import say
from caid_triage.cli.exit_codes import COMPLETE, VERIFICATION, WITH_PROBLEMS, CommandWithExitCodes
from caid_triage.config import EXECUTORS
from caid_triage.errors import UsageError

if TYPE_CHECKING:
    from caid_triage.validate.requirement import Result
    from caid_triage.validate.run import Validation

MARKER, EXHIBITS = ".caid-triage-validation", "exhibits"
LEAST_PICTURES, MOST_PICTURES = 10, 1_000_000
LONGEST_NAME = 200


@click.command(cls=CommandWithExitCodes, short_help="Run the known-answer pack and write the validation record.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("caid-triage-validation"),
    show_default=True,
    help="Folder for validation.html and validation.json; an earlier validation in it is replaced.",
)
@click.option("--seed", default=None, metavar="TEXT", help="Make other exhibits: any text of your own.")
@click.option("--quick", is_flag=True, help="Fewer pictures: every requirement, but wider intervals.")
@click.option("--pictures", type=int, default=None, metavar="N", help="How many unlisted pictures are compared.")
@click.option("--workers", type=int, default=2, show_default=True, help="Worker processes.")
@click.option(
    "--executor", type=click.Choice(EXECUTORS), default="pool", show_default=True, help="How the usual scans are run."
)
@click.option("--only", multiple=True, metavar="REQ-NN,...", help="Test these requirements alone; may be repeated.")
@click.option("--keep", is_flag=True, help="Keep the exhibits, hash sets and cases, in OUT/exhibits.")
@click.option("--by", default="", metavar="NAME", help="Who runs it, for the record.")
@click.option("--machine", default="", metavar="NAME", help="How the record calls this machine; else it has no name.")
@click.option("--list", "list_only", is_flag=True, help="List the requirements and do nothing.")
@click.pass_context
def validate(
    ctx: click.Context,
    out: Path,
    seed: str | None,
    quick: bool,
    pictures: int | None,
    workers: int,
    executor: str,
    only: tuple[str, ...],
    keep: bool,
    by: str,
    machine: str,
    list_only: bool,
) -> None:
    """Make exhibits whose truth is known, scan them, and compare the reports with the truth.

    Every requirement is tested: what is read, found, hashed, matched, counted, kept under damage and interruption, and
    reported. OUT/validation.html says for each what is required, when it is met, the result, the measured rates with
    their intervals, and the limits. Exit code 7 if a requirement is not met, 3 if one could not be tested here. All
    exhibits are drawings made for this purpose (docs/guide/validation.md).
    """
    from caid_triage.validate.catalogue import REQUIREMENTS, chosen

    requirements = chosen(only)
    if list_only:
        for one in sorted(requirements, key=lambda one: one.identifier):
            say(f"{one.identifier}  {one.group}: {one.text}")
        return
    _check_names(by, machine)
    if pictures is not None and not LEAST_PICTURES <= pictures <= MOST_PICTURES:
        raise UsageError(f"--pictures is {LEAST_PICTURES} to {MOST_PICTURES:,}, not {pictures}")
    from caid_triage.validate.exhibits import DEFAULT_SEED, Exhibits, plan_of
    from caid_triage.validate.laboratory import Laboratory
    from caid_triage.validate.machine import machine_facts
    from caid_triage.validate.record import record, write_record
    from caid_triage.validate.run import validated

    plan = plan_of(DEFAULT_SEED if seed is None else seed, workers, executor, quick=quick, strangers=pictures)
    folder = _prepared(out)
    try:
        made = Exhibits(folder, plan, lambda line: say(f"  {line}", err=True))
        with closing(Laboratory(folder, made)) as lab:
            validation = validated(lab, requirements, _say)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    asked = tuple(one.identifier for one in requirements) if len(requirements) < len(REQUIREMENTS) else ()
    content = record(validation, plan, machine_facts(machine), by=by, only=asked)
    _, page, digest = write_record(out, content, validation, len(REQUIREMENTS))
    _conclude(validation, len(REQUIREMENTS))
    say(f"SHA-256 of validation.json: {digest}")
    say(f"record: {page}")
    ctx.exit(exit_code_of(validation))


def exit_code_of(validation: Validation) -> int:
    """7 when a requirement is not met, 3 when one could not be tested, else 0."""
    from caid_triage.validate.requirement import Status

    if validation.count(Status.FAILED):
        return VERIFICATION
    return WITH_PROBLEMS if validation.count(Status.NOT_RUN) else COMPLETE


def _check_names(*names: str) -> None:
    if any(not name.isprintable() or len(name) > LONGEST_NAME for name in names):
        raise UsageError(f"--by and --machine are up to {LONGEST_NAME} printable characters: the record prints them")


def _prepared(out: Path) -> Path:
    """The empty folder for exhibits inside OUT, which must be empty, new, or that of an earlier validation."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARKER).exists())):
        raise UsageError(f"{out} is not empty and is no earlier validation; choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / MARKER).touch()
    for name in ("validation.html", "validation.json"):  # a run that is broken off must not leave an older verdict
        (out / name).unlink(missing_ok=True)
    folder = out / EXHIBITS
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def _say(result: Result) -> None:
    """One line for a requirement as soon as it is tested, and what is wrong."""
    say(f"{result.requirement.identifier}  {result.status:<7}  {result.requirement.text}")
    for fault in result.faults[:3]:
        say(f"        {fault}")
    if result.failed > 3:
        say(f"        and {result.failed - 3:,} more, see the record")
    if result.reason:
        say(f"        {result.reason}")


def _conclude(validation: Validation, complete: int) -> None:
    from caid_triage.validate.requirement import Status

    failed = [result.requirement.identifier for result in validation.results if result.status is Status.FAILED]
    checks = sum(result.checks for result in validation.results)
    met = f"{validation.count(Status.PASSED)} of {complete} requirements tested and met, {checks:,} checks"
    if failed:
        say(f"validation FAILED: {', '.join(failed)} not met; {met}")
    elif validation.count(Status.PASSED) < complete:
        say(f"validation not complete: {met}, none failed")
    else:
        say(f"validation passed: {met}")
