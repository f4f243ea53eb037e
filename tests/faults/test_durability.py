"""A command that is killed, or whose disk fails, at any moment: run again, it comes to what a calm one comes to.

CI tries a few moments of each kind, `make faults` many. Moments are spread over the run: by the clock (killed from
outside), and by the calls that change the disk (support/bad_disk.py), SQLite's among them.
"""

from __future__ import annotations

import random
import shutil
import sys
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import clips
from support.cli import comparable_reports, many_pictures, picture, run_command, vics_record, write_vics
from support.evidence_files import ex01, written
from support.nights import (
    Calm,
    Job,
    calm_run,
    failing_at,
    killed_after,
    spread,
    spread_steps,
    survive,
    told,
)
from support.trail import verify_audit

from caid_triage.case.schema import DATABASE, holds_case
from caid_triage.case.view import open_case
from caid_triage.hashset.make_blocks import make_block_set
from caid_triage.hashset.store import open_hashset
from caid_triage.report.delta import tells_of
from caid_triage.report.manifest import verify_manifest
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

pytestmark = [
    pytest.mark.durability,
    pytest.mark.skipif(sys.platform != "linux", reason="sends SIGKILL and looks into /proc"),
]
# What `verify` says of a case whose command was killed, and of no other.
STOPPED = (
    "is torn: the program was stopped",
    "the case was not closed",
    "the program was stopped just before it wrote",
)
Told = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Exhibits:
    """An Ex01 of an NTFS volume (live, deleted and carved pictures), a folder (an archive, a film), and two hash sets.

    ``old`` and ``new`` are generations of one set, ``new_list`` the file that ``new`` is built from; ``blocks`` is a
    block set of a picture in the image, which has ``image_size`` bytes.
    """

    image: Path
    folder: Path
    old: Path
    new: Path
    new_list: Path
    blocks: Path
    image_size: int


@pytest.fixture(scope="module")
def exhibits(tmp_path_factory: pytest.TempPathFactory) -> Exhibits:
    base = tmp_path_factory.mktemp("exhibits")
    coast, town = picture("coast.jpg"), picture("town.jpg")
    plan = [PlannedFile(f"/f{n % 2}/{n}.jpg", coast + b"%d" % n, deleted=n % 4 == 3) for n in range(9)]
    disk = bytearray(build_ntfs(plan, size=4 << 20))
    disk[-(1 << 20) : -(1 << 20) + len(town)] = town  # in free space
    image = written(base, "Ex01", ex01(bytes(disk)))
    folder = base / "folder"
    folder.mkdir()
    many_pictures(folder, 5)
    (folder / "cut.jpg").write_bytes(coast[:9000])
    (folder / "film.mp4").write_bytes(clips.clip(1, 2))
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"{number}.jpg", town + b"%d" % number)
    old_list = write_vics(base / "old.json", [vics_record(1, coast + b"3", 1), vics_record(2, coast + b"4", 1)])
    listed = [vics_record(1, coast + b"3", 2), vics_record(3, town, 1), vics_record(4, town + b"2", 1)]
    new_list = write_vics(base / "new.json", listed)
    for records, out in ((old_list, "old"), (new_list, "new")):
        built = run_command("hashset", "build", records, "--out", base / out / "a.chs", "--name", "a")
        assert built.returncode == 0, built.stderr
    (base / "graded" / "1").mkdir(parents=True)
    (base / "graded" / "1" / "town.jpg").write_bytes(town)
    make_block_set(base / "graded", base / "blocks.chs", 512)
    sets = base / "old" / "a.chs", base / "new" / "a.chs"
    return Exhibits(image, folder, *sets, new_list, base / "blocks.chs", len(disk))


def case_result(folder: Path) -> dict[str, str]:
    """The reports of a case at rest, which verifies and holds nothing but what a case holds."""
    case = folder / "case"
    assert sorted(path.name for path in case.iterdir()) == ["audit.jsonl", DATABASE, "case.lock", "reports"]
    verified = run_command("verify", case)
    assert verified.returncode == 0, verified.stderr
    return comparable_reports(case / "reports")


def case_is_whole(folder: Path) -> None:
    """Whatever was cut short: a case opens or was never made, and its audit chain has no fault but a torn last line."""
    case = folder / "case"
    if holds_case(case):
        left = [str(fault) for fault in verify_audit(case)]
        assert [fault for fault in left if not any(words in fault for words in STOPPED)] == []
        with open_case(case) as view:
            view.conservation()


def said_of_files(case: Path) -> Told:
    """The generation of the case's hash set, and what is matched with it."""
    with open_case(case) as view:
        (info,) = view.hashsets()
        return str(info["generation"]), tuple((row.path, row.media_id) for row in view.matches())


def set_result(folder: Path) -> object:
    """What a hash set says of itself, but for when and where it was built; nothing else lies beside it or in it."""
    opened = open_hashset(folder / "sets" / "a.chs")
    opened.verify()
    manifest = {name: value for name, value in opened.manifest.items() if name not in ("built", "seal", "folder")}
    inside = {path.name for path in (folder / "sets" / "a.chs").iterdir()}
    assert inside == {"manifest.json", opened.manifest["folder"]}
    assert [path.name for path in (folder / "sets").iterdir()] == ["a.chs"]
    return manifest


def scanning(exhibits: Exhibits) -> Job:
    def arguments(folder: Path) -> list[object]:
        sources = ["scan", exhibits.image, exhibits.folder, "--hashset", exhibits.old]
        return [*sources, "--case", folder / "case", "--workers", 2, "--quiet"]

    return Job(lambda folder: folder.mkdir(), arguments, "case", case_result, case_is_whole, 3)


def matching(exhibits: Exhibits, stored: Path, states: set[Told]) -> Job:
    def either(folder: Path) -> None:
        case_is_whole(folder)
        assert said_of_files(folder / "case") in states

    def complete(folder: Path) -> dict[str, str] | None:
        """The reports, where all are in place and tell of the matching: only the last words are missing."""
        reports = folder / "case" / "reports"
        if not tells_of(reports, 1):
            return None
        for left in reports.glob("*.part"):
            left.unlink()
        return comparable_reports(reports)

    return Job(
        lambda folder: shutil.copytree(stored, folder),
        lambda folder: ["match", "--case", folder / "case", "--hashset", exhibits.new],
        "case",
        case_result,
        either,
        done=complete,
    )


def reporting(unreported: Path, before: dict[str, bytes], after: dict[str, bytes]) -> Job:
    def whole_or_said(folder: Path) -> None:
        reports = folder / "case" / "reports"
        now = {name: (reports / name).read_bytes() for name in after if (reports / name).is_file()}
        for name, content in now.items():
            assert content in (before.get(name), after[name]), name
        if now not in (before, after):
            assert verify_manifest(reports), "reports of two moments, and nothing says so"

    return Job(
        lambda folder: shutil.copytree(unreported, folder),
        lambda folder: ["report", "--case", folder / "case"],
        "case",
        case_result,
        whole_or_said,
    )


def building(exhibits: Exhibits) -> Job:
    generations = {open_hashset(path).generation for path in (exhibits.old, exhibits.new)}

    def usable(folder: Path) -> None:
        opened = open_hashset(folder / "sets" / "a.chs")
        opened.verify()
        assert opened.generation in generations

    return Job(
        lambda folder: shutil.copytree(exhibits.old.parent, folder / "sets"),
        lambda folder: ["hashset", "build", exhibits.new_list, "--out", folder / "sets" / "a.chs", "--name", "a"],
        "sets",
        set_result,
        usable,
    )


def drawing(exhibits: Exhibits) -> Job:
    """A sampling of the image: the same draws, blocks and statement, however often it is stopped."""

    def whole(folder: Path) -> None:
        case_is_whole(folder)
        if holds_case(folder / "case"):
            with open_case(folder / "case") as view:
                assert [one.size for one in view.samplings()] in ([], [exhibits.image_size])

    def arguments(folder: Path) -> list[object]:
        words = ["sample", exhibits.image, "--hashset", exhibits.blocks, "--case", folder / "case"]
        return [*words, "--target", "64KiB", "--quiet"]

    return Job(lambda folder: folder.mkdir(), arguments, "case", case_result, whole)


def reports_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "case" / "reports").iterdir()}


@pytest.fixture(scope="module")
def jobs(exhibits: Exhibits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Job, Calm]]:
    """Every job, and what it comes to undisturbed; a later one begins where an earlier one ends."""
    base = tmp_path_factory.mktemp("calm")
    found: dict[str, tuple[Job, Calm]] = {}

    def add(name: str, job: Job) -> Path:
        (base / name).mkdir()
        found[name] = job, calm_run(job, base / name)
        return base / name / "plain"

    stored = add("scan", scanning(exhibits))
    states = {said_of_files(stored / "case")}
    matched = add("match", matching(exhibits, stored, states))
    states.add(said_of_files(matched / "case"))
    assert len(states) == 2
    before, after = reports_of(stored), reports_of(matched)
    unreported = base / "unreported"
    shutil.copytree(matched, unreported)
    shutil.rmtree(unreported / "case" / "reports")
    shutil.copytree(stored / "case" / "reports", unreported / "case" / "reports")
    add("report", reporting(unreported, before, after))
    add("build", building(exhibits))
    add("sample", drawing(exhibits))
    return found


NAMES = ["scan", "match", "report", "build", "sample"]


@pytest.mark.parametrize("name", NAMES)
def test_killed_by_the_clock(
    jobs: dict[str, tuple[Job, Calm]],
    name: str, tmp_path: Path, faults: int, chance: random.Random, happened: Counter[str],
) -> None:  # fmt: skip
    """SIGKILL at moments spread over the run; of every third the run that resumes is killed as well."""
    job, calm = jobs[name]
    killed = 0
    longest = 0.9 * calm.seconds
    for number, moment in enumerate(spread(chance, faults, 0.05, longest)):
        moments = [moment] if number % 3 else [moment, chance.uniform(0.05, longest)]
        with told(moments=moments):
            ends = survive(job, tmp_path / str(number), calm, [killed_after(seconds) for seconds in moments])
        killed += sum(ended.code == -9 for ended in ends)
        shutil.rmtree(tmp_path / str(number))
    assert killed >= faults // 4, "hardly a run was killed: the test shows nothing"
    happened[f"{name} killed by the clock"] += killed


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_a_step(
    jobs: dict[str, tuple[Job, Calm]],
    name: str, tmp_path: Path, faults: int, chance: random.Random, happened: Counter[str],
) -> None:  # fmt: skip
    """SIGKILL instead of a write (half of it done), a rename, an fsync ...; of every third the resuming run too."""
    job, calm = jobs[name]
    for number, step in enumerate(spread_steps(chance, faults, calm.steps)):
        steps = [step] if number % 3 else [step, chance.randint(1, calm.steps)]
        with told(steps=steps, of=calm.steps):
            ends = survive(job, tmp_path / str(number), calm, [failing_at(step, "kill") for step in steps])
            # Steps are not the same in every run (a batch is stored by its age too): the last ones may not be reached.
            assert ends[0].code in (-9, job.code)
        happened[f"{name} killed at one of {calm.steps} steps"] += sum(ended.code == -9 for ended in ends)
        shutil.rmtree(tmp_path / str(number))


ERRORS = ["ENOSPC", "EDQUOT", "EROFS", "EIO", "ENOENT"]
"""A full disk, a used-up quota, a disk that the system made read-only, one that fails, one that was pulled out."""


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_fails_at_a_step(
    jobs: dict[str, tuple[Job, Calm]],
    name: str, tmp_path: Path, faults: int, chance: random.Random, happened: Counter[str],
) -> None:  # fmt: skip
    """Exit 6 (of a build 5) and a sentence with the folder and what to do; once the disk is well, all is as if calm."""
    job, calm = jobs[name]
    refused = 5 if name == "build" else 6
    stopped = 0
    for number, step in enumerate(spread_steps(chance, faults, calm.steps)):
        error, last = ERRORS[(number + NAMES.index(name)) % len(ERRORS)], step if number % 4 == 3 else None
        with told(step=step, of=calm.steps, error=error, for_ever=last is None):
            (ended,) = survive(job, tmp_path / str(number), calm, [failing_at(step, error, last)])
            assert ended.code in (refused, job.code), ended.said
            if ended.code == refused:
                stopped += 1
                assert_says_what_to_do(ended.said, tmp_path / str(number) / job.target)
        happened[f"{name} on a disk with {error}: exit {ended.code}"] += 1
        shutil.rmtree(tmp_path / str(number))
    assert stopped >= faults // 4, "hardly a run was stopped: the test shows nothing"


def assert_says_what_to_do(said: str, folder: Path) -> None:
    """The last line is one sentence that names the folder (of a set: the set) and says what to do."""
    line = said.strip().splitlines()[-1]
    assert line.startswith("caid-triage: "), said
    assert str(folder) in line or "a.chs" in line, line
    assert any(word in line for word in ("then run", "and run", "choose", "build again", "build it again")), line
