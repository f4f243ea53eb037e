"""``caid-triage demo``: the whole job on a generated exhibit, checked against the truth it was made with."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from caid_triage.cli.console import say
from caid_triage.cli.exit_codes import CommandWithExitCodes
from caid_triage.cli.on_record import given_command
from caid_triage.cli.scan import scan_and_report
from caid_triage.config import ScanOptions
from caid_triage.errors import UsageError
from caid_triage.examine.examine import examine_file
from caid_triage.hashset.build import build_hashset
from caid_triage.hashset.make import make_hashset
from caid_triage.model import Role
from caid_triage.scan.sources import SourceRequest
from caid_triage.scan.workforce import started_workers
from caid_triage.synth.exhibit import build_demo_exhibit
from caid_triage.synth.samples import (
    KNOWN_GOOD_NAME,
    SCHEME_NAME,
    VICS_NAME,
    write_graded_pictures,
    write_sample_hashsets,
)

MADE = ("exhibit", "hashsets", "case")


@click.command(cls=CommandWithExitCodes, short_help="The whole job on a generated exhibit.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("caid-triage-demo"),
    show_default=True,
    help="Folder to make; an earlier demo in it is replaced.",
)
@click.option("--workers", type=int, default=2, show_default=True, help="Worker processes.")
@click.pass_context
def demo(ctx: click.Context, out: Path, workers: int) -> None:
    """Build a small disk image and sample hash sets, scan one with the other, and print where the report is.

    Every picture in it is a drawing made for this purpose.
    """
    marker = out / ".caid-triage-demo"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        raise UsageError(f"{out} is not empty and is no earlier demo; choose another folder with --out")
    for name in MADE:
        if (out / name).exists():
            shutil.rmtree(out / name)
    out.mkdir(parents=True, exist_ok=True)
    marker.touch()
    exhibit, sets = out / "exhibit", out / "hashsets"
    exhibit.mkdir()
    sets.mkdir()

    say("1. a disk image with four file systems, live and deleted pictures (all drawings)")
    truth = build_demo_exhibit(exhibit)
    say(f"   {truth.image}")
    say("2. sample hash sets: VICS JSON, known-good, and one with perceptual hashes")
    write_sample_hashsets(sets)
    scheme = sets / SCHEME_NAME
    build_hashset([sets / VICS_NAME], sets / "sample-vics.chs", scheme=str(scheme), name="sample-vics")
    known_good = [sets / KNOWN_GOOD_NAME]
    build_hashset(known_good, sets / "sample-known-good.chs", role=Role.KNOWN_GOOD, name="sample-known-good")
    graded = sets / "graded"
    write_graded_pictures(graded)
    make_hashset(graded, sets / "sample-graded.chs", examine_file, name="sample-graded", scheme=scheme)
    say("3. the scan")
    options = ScanOptions(workers=workers)
    outcome = scan_and_report(
        [SourceRequest(truth.image, "DEMO/1", truth.image.name)],
        out / "case",
        tuple(sets / f"sample-{name}.chs" for name in ("vics", "known-good", "graded")),
        options,
        started_workers(options),
        quiet=False,
        as_json=False,
        command=given_command(ctx),
    )
    say(
        f"A scan of this exhibit ends with exit code {outcome.exit_code}: the exhibit holds a damaged picture, "
        "and the report says so."
    )
