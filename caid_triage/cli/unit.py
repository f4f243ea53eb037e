"""``caid-triage unit``: the unit's memory of earlier cases."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from caid_triage.actor import actor
from caid_triage.cli.console import say, say_json
from caid_triage.cli.exit_codes import WITH_PROBLEMS, GroupWithExitCodes
from caid_triage.cli.on_record import examiner_option, given_command, say_faults, say_head
from caid_triage.cli.unit_option import VARIABLE, say_place_warning, unit_option
from caid_triage.errors import UsageError
from caid_triage.visible import many

if TYPE_CHECKING:
    from caid_triage.case.command import Command
    from caid_triage.case.links import LinkFigures, UnitLook
    from caid_triage.unit.place import UnitPlace

# As caid_triage/unit/add.py and look.py have them; tests/cli/test_unit_command.py holds them together.
SMALLEST, COMMON = 256, 10

the_unit = unit_option("The unit's memory: a file, or the URL of a PostgreSQL database.")
smallest_option = click.option(
    "--smallest",
    type=click.IntRange(min=0),
    default=SMALLEST,
    show_default=True,
    metavar="BYTES",
    help="Leave out smaller contents, unless they are listed or graded.",
)
case_argument = click.argument("case_folder", type=click.Path(path_type=Path), metavar="CASE")


@click.group(cls=GroupWithExitCodes)
def unit() -> None:
    """The unit's memory: what other cases had, who graded it.

    It keeps digests, PDQ, cameras and grades by case and exhibit; no path, no name, no picture.
    """


def _place(place: UnitPlace | None) -> UnitPlace:
    if place is None:
        raise UsageError(f"say which memory: --unit PATH|URL, or set {VARIABLE}")
    say_place_warning(place)
    return place


def _command(ctx: click.Context) -> Command:
    given = given_command(ctx)
    return replace(given, name=f"unit {given.name}")


def _show(stage: str) -> None:
    say(f"{stage} ...", err=True)


@unit.command(short_help="Make an empty memory, or say that there is one.")
@the_unit
def make(unit: UnitPlace | None) -> None:
    """Make an empty memory, or say that there is one. On a server: as the role that is to own it."""
    from caid_triage.unit.store import Mode, open_unit

    place = _place(unit)
    store = open_unit(place, Mode.MAKE)
    store.close()
    say(f"unit's memory {place}, number {store.unit}")


@unit.command(short_help="Add a finished case to the memory.")
@case_argument
@the_unit
@smallest_option
@click.option("--reference", help="What the unit calls the case  [default: as the case says]")
@click.option("--restricted", metavar="NAME", help="Keep no name of this case: others are told to ask NAME.")
@examiner_option
@click.pass_context
def add(
    ctx: click.Context,
    case_folder: Path,
    unit: UnitPlace | None,
    smallest: int,
    reference: str | None,
    restricted: str | None,
    examiner: str | None,
) -> None:
    """Add CASE to the memory; of a case that is in it the earlier rows are replaced.

    The case is verified first, and refused if anything of it was changed, its scan is not finished, or a command is
    writing to it. What known-good sets list (never on MD5 alone) and the smallest files are left out.
    """
    from caid_triage.case.details import checked_words
    from caid_triage.report.verify import check_whole_case
    from caid_triage.unit.add import add_case

    for option, text in (("reference", reference), ("restricted", restricted)):
        if text is not None:
            checked_words(f"a --{option}", text, "reports of other cases")
    added = add_case(
        case_folder,
        _place(unit),
        smallest=smallest,
        reference=reference,
        restricted=restricted or "",
        by=actor(examiner).get("user", ""),
        command=_command(ctx),
        check=check_whole_case,
        show=_show,
    )
    earlier = "" if added.before is None else f", in place of {added.before:,} contents of before"
    say(f"case {added.reference} added (key {added.key[:16]}){earlier}")
    if added.contact:
        say(f"  restricted: no name of it is in the memory, others are told to ask {added.contact}; note its key")
    say(f"  {many(added.contents, 'content')} of {many(added.files, 'file')} on {many(added.exhibits, 'exhibit')}")
    say(f"  {many(added.pictures, 'picture')} by look, {many(added.cameras, 'camera')}, {many(added.grades, 'grade')}")
    say(f"  left out: {added.known_good:,} known-good contents, {added.small:,} below {smallest:,} bytes")


@unit.command(short_help="Look a case up, and write its reports with the links.")
@case_argument
@the_unit
@smallest_option
@click.option(
    "--common",
    type=click.IntRange(min=0),
    default=COMMON,
    show_default=True,
    metavar="N",
    help="A content on more than N exhibits of other cases is counted, and these are not named.",
)
@click.option(
    "--no-look-alikes",
    is_flag=True,
    help="Compare no pictures by look (PDQ): among millions that takes longer than all the rest.",
)
@click.option(
    "--changed-case", is_flag=True, help="Look a case up too that was changed from outside the program, and say so."
)
@examiner_option
@click.pass_context
def look(
    ctx: click.Context,
    case_folder: Path,
    unit: UnitPlace | None,
    smallest: int,
    common: int,
    no_look_alikes: bool,
    changed_case: bool,
    examiner: str | None,
) -> None:
    """Look CASE up in the memory, keep what was found in the case, and write its reports with it.

    What an earlier look-up found is replaced. What is found are facts about other cases; it enters no count. A case
    whose audit trail does not hold, or says that the case was changed from outside, is refused.
    """
    from caid_triage.case.store import open_case_for_writing
    from caid_triage.case.view import open_case
    from caid_triage.report.on_record import REPORTS, write_reports_on_record
    from caid_triage.unit.look import case_faults, first_of
    from caid_triage.unit.look import look as look_case_up

    place = _place(unit)
    with open_case_for_writing(case_folder) as case:
        case.audit_command(_command(ctx))
        found = look_case_up(
            case, place, smallest=smallest, common=common, look_alikes=not no_look_alikes, changed=changed_case
        )
        faults = case_faults(case)
        paths = write_reports_on_record(case, case_folder / REPORTS)
    with open_case(case_folder) as view:
        _say_found(found, view.link_figures())
    if faults:
        say(f"caid-triage: WARNING: the case was looked up although {first_of(faults)}", err=True)
    say_head(case.last_line)
    say_faults(case_folder)
    say(f"report: {next(path for path in paths if path.name == 'report.html')}")


def _say_found(found: UnitLook, figures: LinkFigures) -> None:
    """Figures only: what was found is in the reports."""
    memory = f"{many(found.cases, 'other case')}, {many(found.exhibits, 'exhibit')}"
    say(f"looked up {many(found.asked, 'content')} in the memory of {memory}")
    same = figures.listed + figures.unlisted + figures.other
    linked = len({one.exhibit for one in found.same} - {None} - {one.exhibit for one in found.twins})
    common = f"{figures.common:,} of them on so many that none is named"
    say(f"  the same content: {same:,}, on {many(linked, 'exhibit')}; {common}")
    if found.twins:
        say(f"  the same exhibit in another case: {len(found.twins):,}; {figures.same_exhibit:,} contents on it alone")
    say(f"  graded before: {figures.graded:,}")
    say(f"  the same camera serial number: {figures.cameras:,}")
    if found.look_alikes:
        say(f"  look-alikes (leads): {figures.alike:,}")
    else:
        say("  look-alikes: left out (--no-look-alikes), no picture was compared by look")


@unit.command(short_help="Take a case out of the memory for good.")
@the_unit
@click.option("--case", "wanted", required=True, metavar="REF", help="Reference of the case, or its key (unit info).")
@click.confirmation_option("--yes", prompt="Take everything that came from this case out for good?", help="Do not ask.")
@examiner_option
@click.pass_context
def purge(ctx: click.Context, unit: UnitPlace | None, wanted: str, examiner: str | None) -> None:
    """Take out everything that came from a case, and check that it is gone.

    What other cases were told of it stays in those: look them up again.
    """
    from caid_triage.unit.add import purge_case

    purged = purge_case(_place(unit), wanted, actor(examiner).get("user", ""))
    say(f"purged: {purged.rows:,} rows of the case with key {purged.key[:16]}; none is left")
    for remark in purged.remarks:
        say(f"caid-triage: {remark}", err=True)
    if purged.remarks:
        ctx.exit(WITH_PROBLEMS)


@unit.command(short_help="Make a hash set of the unit's own grades.")
@the_unit
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="NAME.chs", help="Folder to make.")
@click.option("--scheme", required=True, help="Category scheme of the grades: a shipped name or a TOML file.")
@click.option("--two-examiners", is_flag=True, help="Only what two examiners or more graded alike.")
@click.option("--name", default=None, help="What reports call the set.  [default: the folder's name]")
def hashset(unit: UnitPlace | None, out: Path, scheme: str, two_examiners: bool, name: str | None) -> None:
    """Make a notable hash set of the unit's own grades, with SHA-256, SHA-1, MD5 and PDQ.

    Contents that were graded differently, by whom and in which case ever, are left out and counted.
    """
    from caid_triage.unit.graded import build_graded_set

    made = build_graded_set(_place(unit), out, scheme, two=two_examiners, name=name)
    say(f"built {out}")
    for what, count in sorted(made.built.counts.items()):
        say(f"  {what}: {count:,}")
    for why, count in made.left_out.items():
        say(f"  left out, {why}: {count:,}")


@unit.command(short_help="Say which cases are in the memory.")
@the_unit
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def info(unit: UnitPlace | None, as_json: bool) -> None:
    """Say which cases are in the memory and how much of each. No digest is printed."""
    from caid_triage.case.encode import moment
    from caid_triage.unit.store import Mode, open_unit

    place = _place(unit)
    store = open_unit(place, Mode.READ)
    try:
        with store.reading():
            members, exhibits = store.members(), store.exhibits()
    finally:
        store.close()
    if as_json:
        of = {one.id: [asdict(x) for x in exhibits if x.member_id == one.id] for one in members}
        cases = [asdict(one) | {"added": str(moment(one.added)), "exhibits": of[one.id]} for one in members]
        say_json({"unit": store.unit, "made": str(moment(store.made)), "cases": cases}, indent=2)
        return
    say(f"unit's memory {place}, number {store.unit}")
    say(f"cases: {len(members):,}, exhibits: {len(exhibits):,}, digests: {sum(one.contents for one in exhibits):,}")
    for member in members:
        count = sum(one.member_id == member.id for one in exhibits)
        added = moment(member.added)
        when = f"{added:%Y-%m-%d %H:%M} UTC" if added else "?"
        by = f" by {member.added_by}" if member.added_by else ""
        called = f"restricted case (ask {member.contact})" if member.contact else f"case {member.reference}"
        say(f"{called}, key {member.key[:16]}: {many(count, 'exhibit')}, {many(member.contents, 'content')}, "
            f"added {when}{by}")  # fmt: skip
