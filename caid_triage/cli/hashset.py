"""``caid-triage hashset``: build, inspect, search and remove sets of known material."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from caid_triage.cli.console import say, say_json
from caid_triage.cli.exit_codes import WITH_PROBLEMS, CommandWithExitCodes, GroupWithExitCodes
from caid_triage.errors import UsageError
from caid_triage.model import Role

if TYPE_CHECKING:
    from caid_triage.hashset.build import BuildResult
    from caid_triage.hashset.lookup import Lookup
    from caid_triage.hashset.schemes import CategoryScheme

MOST_REFUSED_SHOWN = 20
# Of a graded video a frame each eighth of a second, or so many in all (docs/formats/videos.md says why).
GRADED_STEP, GRADED_FRAMES = 0.125, 2048

path_argument = click.argument("path", type=click.Path(path_type=Path), metavar="NAME.chs")
out_option = click.option(
    "--out", required=True, type=click.Path(path_type=Path), metavar="NAME.chs", help="Folder to make."
)
scheme_option = partial(click.option, "--scheme", default=None)
SCHEME = "Category scheme: a shipped name or a TOML file.  [default: {}]"
role_option = click.option(
    "--role", type=click.Choice([role.value for role in Role]), default=Role.NOTABLE.value, show_default=True
)
distance_option = click.option(
    "--distance",
    "distances",
    multiple=True,
    metavar="ALG=BITS[,...]",
    help="Near-match distance of this set, e.g. pdq=20,phash=4; may be repeated.  [default: that of the scan]",
)
name_option = click.option("--name", default=None, help="What reports call the set.  [default: the folder's name]")


class FormatChoice(click.Choice[str]):
    """The names of the readers, which are imported only where they are shown or chosen from."""

    def __init__(self) -> None:
        super().__init__(())

    @property
    def choices(self) -> tuple[str, ...]:
        """Every reader's name."""
        from caid_triage.hashset.readers.registry import readers

        return tuple(reader.name for reader in readers())

    @choices.setter
    def choices(self, _none: tuple[str, ...]) -> None:
        """Nothing: they are those of the readers."""


@click.group(cls=GroupWithExitCodes)
def hashset() -> None:
    """Build, inspect, search and remove sets of known material."""


def _say_result(ctx: click.Context, result: BuildResult, out: Path) -> None:
    say(f"built {out}")
    for what, count in sorted(result.counts.items()):
        say(f"  {what}: {count:,}")
    from caid_triage.hashset.store import open_hashset

    built = open_hashset(out)
    _say_scheme(built.scheme)
    if built.role is Role.NOTABLE and (without := built.uncategorised()):
        say(f"  without a category: {without:,} records. What is identical to one is reported as known material")
        say("  without one. An export of a case, with its look-alikes and unknown pictures, is no such list.")
    for warning in result.warnings:
        say(f"warning: {warning}", err=True)
    for folder in result.leftovers:
        say(f"{folder} is left of another build of this set, which may still run; it holds hashes", err=True)
    if not result.counts["refused"]:
        if result.warnings:
            ctx.exit(WITH_PROBLEMS)
        return
    say(f"refused rows: {result.counts['refused']:,}", err=True)
    for row in result.refused[:MOST_REFUSED_SHOWN]:
        say(f"  {row.file}, {row.position}: {row.reason}", err=True)
    if result.counts["refused"] > MOST_REFUSED_SHOWN:
        say(f"  ... and {result.counts['refused'] - MOST_REFUSED_SHOWN:,} more", err=True)
    ctx.exit(WITH_PROBLEMS)


def _say_completeness(manifest: dict[str, Any]) -> None:
    """Whether anything of the source files is known to be missing from the set."""
    parts = manifest.get("completeness") or {}
    missing = [str(name) for name in parts.get("missing", [])] if isinstance(parts, dict) else []
    refused = manifest.get("refused", {}).get("rows", 0)
    if missing:
        say(f"completeness: INCOMPLETE: {'; '.join(missing)}")
    elif refused:
        say(f"completeness: {refused:,} rows of the source files could not be used and are not in the set")
    else:
        say(f"completeness: every row of {len(manifest['sources']):,} source files is in the set")


def _say_scheme(scheme: CategoryScheme) -> None:
    if scheme.confirmed_by:
        say(f"  scheme: {scheme.name}, confirmed by {scheme.confirmed_by}")
        return
    say(f"  scheme: {scheme.name}, NOT confirmed: reports print category codes, not labels.")
    say("  To confirm: `caid-triage schemes export NAME FILE.toml`, check each code with your unit, fill in its")
    say("  confirmed_by, and build again with --scheme FILE.toml (docs/formats/hashsets.md).")


def _header(columns: tuple[str, ...]) -> dict[str, str] | None:
    """The fields of CSV columns by their titles, from TITLE=FIELD."""
    pairs = [text.rpartition("=")[::2] for text in columns]
    for title, field in pairs:
        if not title or not field:
            raise UsageError("--column is written TITLE=FIELD, for example Checksum=md5")
    return dict(pairs) or None


def _distances(texts: tuple[str, ...]) -> dict[str, int]:
    """The distances of a set's own, from pdq=20,phash=4; the builder says what is too far."""
    radius: dict[str, int] = {}
    for text in ",".join(texts).split(",") if texts else ():
        algorithm, _, number = text.strip().partition("=")
        if not (number.isascii() and number.isdecimal()) or algorithm in radius:
            raise UsageError(f"--distance is written pdq=BITS, phash=BITS or photodna=NUMBER, each once, not {text!r}")
        radius[algorithm] = int(number)
    return radius


@hashset.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SRC...")
@out_option
@click.option(
    "--format",
    "format_name",
    type=FormatChoice(),
    default=None,
    help="[default: by the file's content]",
)
@scheme_option(help=SCHEME.format("by the region in the file, else none"))
@role_option
@name_option
@click.option("--salvage", is_flag=True, help="Keep what is whole in a broken file, and say which bytes were lost.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="TITLE=FIELD",
    help="What a CSV column is that is not recognised, e.g. Checksum=md5; may be repeated.",
)
@click.option(
    "--parts-list",
    type=click.Path(path_type=Path),
    default=None,
    help="Checksum list of all files of a set in several parts: a missing one is named.",
)
@distance_option
@click.pass_context
def build(
    ctx: click.Context,
    sources: tuple[Path, ...],
    out: Path,
    format_name: str | None,
    scheme: str | None,
    role: str,
    name: str | None,
    salvage: bool,
    columns: tuple[str, ...],
    parts_list: Path | None,
    distances: tuple[str, ...],
) -> None:
    """Import hash sets: VICS / Project VIC / CAID JSON, NSRL, CSV, Autopsy, EnCase, md5sum and other lists.

    The format is told by the content (`--format` names them all). Files of a set in several parts may be given in any
    order; a part that is missing or given twice is named, and the exit code is then 3.
    """
    from caid_triage.cli.display import shown_import
    from caid_triage.hashset.build import build_hashset

    result = build_hashset(
        list(sources),
        out,
        scheme=scheme,
        role=Role(role),
        name=name,
        format=format_name,
        progress=shown_import(),
        salvage=salvage,
        header=_header(columns),
        parts_list=parts_list,
        radius=_distances(distances),
    )
    _say_result(ctx, result, out)


@hashset.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@out_option
@scheme_option(help=SCHEME.format("none, codes without labels"))
@role_option
@name_option
@distance_option
@click.option(
    "--blocks",
    is_flag=True,
    help="Make a block set instead: it finds parts of these files on a disk (caid-triage sample).",
)
@click.option(
    "--block-size",
    type=click.Choice(["512", "4096"]),
    default=None,
    help="Bytes of a block: 512 finds small rests of files, of a set eight times as large.  [default: 4096]",
)
@click.option(
    "--common",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A block set, or a folder of harmless files, whose blocks are left out; may be repeated.",
)
@click.pass_context
def make(
    ctx: click.Context,
    folder: Path,
    out: Path,
    scheme: str | None,
    role: str,
    name: str | None,
    distances: tuple[str, ...],
    blocks: bool,
    block_size: str | None,
    common: tuple[Path, ...],
) -> None:
    """Make a set with perceptual hashes from graded pictures and videos: a sub-folder of DIR for each category code.

    With --role not-this it holds pictures that look like listed ones and are not: they are never proposed again. With
    --blocks it holds the hashes of the blocks of these files, and of the whole files; blocks that many files have are
    left out.
    """
    if blocks:
        if distances:
            raise UsageError("--distance is of looks, and a block set has none; leave it out")
        _make_blocks(ctx, folder, out, scheme, role, name, int(block_size or 4096), common)
        return
    if block_size is not None or common:
        raise UsageError("--block-size and --common are of block sets: give --blocks too")
    from caid_triage.examine.examine import examine_file
    from caid_triage.examine.limits import Limits
    from caid_triage.hashset.make import make_hashset

    radius = _distances(distances)
    # Many frames: a copy that was cut elsewhere has its keyframes at other moments, and a hand-held film moves fast.
    dense = Limits(dense_video=True, dense_step=GRADED_STEP, max_video_frames=GRADED_FRAMES)
    examine = partial(examine_file, limits=dense)
    result = make_hashset(folder, out, examine, name=name, scheme=scheme, role=Role(role), radius=radius)
    _say_result(ctx, result, out)


def _make_blocks(
    ctx: click.Context,
    folder: Path,
    out: Path,
    scheme: str | None,
    role: str,
    name: str | None,
    block_size: int,
    common: tuple[Path, ...],
) -> None:
    from caid_triage.cli.display import shown_import
    from caid_triage.hashset.make_blocks import make_block_set
    from caid_triage.hashset.store import open_hashset

    if role == Role.NOT_THIS.value:
        raise UsageError("a block set is notable or known-good: what looks like a listed item has no block of it")
    result = make_block_set(
        folder, out, block_size, name=name, scheme=scheme, role=role, common=common, progress=shown_import()
    )
    _say_blocks(open_hashset(out).manifest["blocks"])
    _say_result(ctx, result, out)


def _say_blocks(facts: dict[str, Any]) -> None:
    """What a block set holds, and what it does not."""
    say(f"blocks of {facts['size']:,} bytes: {facts['kept']:,} kept, of {facts['files']:,} files")
    for reason, count in sorted(facts["left_out"].items()):
        say(f"  left out, {reason}: {count:,}")
    if facts["files_without"]:
        say(f"  files without a block of their own, never found by blocks: {facts['files_without']:,}")


@hashset.command()
@path_argument
@click.option("--json", "as_json", is_flag=True, help="The whole manifest as JSON.")
def info(path: Path, as_json: bool) -> None:
    """Say what a set holds and where it came from. No hash is printed."""
    from caid_triage.hashset.store import open_hashset

    opened = open_hashset(path)
    if as_json:
        say_json(opened.manifest, indent=2, sort_keys=True)
        return
    say(f"name: {opened.name}")
    say(f"role: {opened.role.value}")
    say(f"generation: {opened.generation}")
    for what, count in sorted(opened.counts.items()):
        say(f"{what}: {count:,}")
    _say_sizes(opened.manifest)
    for source in opened.manifest["sources"]:
        say(f"source: {source['file']}, {source['size']:,} bytes, sha256 {source['sha256']}")
    if "blocks" in opened.manifest:
        _say_blocks(opened.manifest["blocks"])
    _say_completeness(opened.manifest)
    for algorithm, distance in sorted(opened.manifest.get("radius", {}).items()):
        say(f"its own {algorithm} distance: {distance}")
    _say_scheme(opened.scheme)


def _say_sizes(manifest: dict[str, Any]) -> None:
    """How many records state their size: what a quick scan goes by (a set of an earlier version does not say)."""
    sizes = manifest.get("sizes")
    if not isinstance(sizes, dict):
        return
    stated, missing = int(sizes["stated"]), int(sizes["missing"])
    if missing:
        say(f"size stated by: {stated:,} of {stated + missing:,} records: no file can be ruled out by its size")
    else:
        say(f"size stated by: all {stated:,} records: a file of another size is no exact match")


@hashset.command()
@path_argument
@click.argument("hashes", nargs=-1, required=True, metavar="HASH...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a hash.")
def lookup(path: Path, hashes: tuple[str, ...], as_json: bool) -> None:
    """Look up MD5, SHA-1 or SHA-256 hashes.

    One line a hash: the hash, `known` or `unknown`, then code, label, scheme and media id of each record, tabs between.
    """
    from caid_triage.hashset.lookup import lookup as look_up
    from caid_triage.hashset.store import open_hashset

    opened = open_hashset(path)
    answers = [look_up(opened, text) for text in hashes]  # all before the first line: a wrong one answers for none
    for text, answer in zip(hashes, answers, strict=True):
        _say_lookup(text, answer, as_json=as_json)
    for algorithm in sorted({answer.algorithm for answer in answers}):
        if not opened.counts[algorithm]:
            say(f"caid-triage: {path} holds no {algorithm} at all: `unknown` says nothing there", err=True)


def _say_lookup(text: str, answer: Lookup, *, as_json: bool) -> None:
    records = answer.records
    if as_json:
        found = [
            {"code": r.category.code, "label": r.category.label, "scheme": r.category.scheme, "media_id": r.media_id}
            for r in records
        ]
        say_json({"hash": text, "known": bool(records), "records": found})
        return
    columns = [text, "known" if records else "unknown"]
    for record in records:
        columns += [record.category.code, record.category.label, record.category.scheme, record.media_id]
    say(*columns)


@hashset.command(cls=CommandWithExitCodes)
@path_argument
def verify(path: Path) -> None:
    """Check every file of a set against the checksums of its manifest."""
    from caid_triage.hashset.contradictions import digests_in_several_categories
    from caid_triage.hashset.store import open_hashset

    opened = open_hashset(path)
    opened.verify()
    say(f"{path}: every file is as it was built (generation {opened.generation})")
    for algorithm, count in digests_in_several_categories(opened).items():
        say(f"contradictions: {count:,} {algorithm} digests stand in several categories (all are kept and matched)")


@hashset.command()
@path_argument
@click.confirmation_option("--yes", prompt="Delete this hash set for good?", help="Do not ask.")
def purge(path: Path) -> None:
    """Delete a set for good, leaving an audit line beside it."""
    from caid_triage.hashset.purge import purge_hashset

    note = purge_hashset(path)
    say(f"{path} deleted; noted in {note}")
