"""``--profile quick`` and ``--stop-after``: an order and a stop that change no result, and going on from there."""

from __future__ import annotations

import csv
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.cli import comparable_reports, picture, run_command, vics_record, write_vics

from caid_triage.batch.figures import case_figures
from caid_triage.case.store import CaseWriter, open_case_for_writing
from caid_triage.case.view import open_case
from caid_triage.cli.scan import scan_and_report
from caid_triage.config import ScanOptions, checked_stops
from caid_triage.errors import CaseError
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry, ScanRecord
from caid_triage.scan.outcome import ScanOutcome
from caid_triage.scan.run import SourceRequest, run_scan
from caid_triage.scan.workforce import started_workers
from caid_triage.synth.mbr import Partition, build_mbr
from caid_triage.synth.ntfs import build_ntfs
from caid_triage.synth.plan import PlannedFile

PLACES = ("/Windows", "/Users/ada/Pictures", "/stuff", "/Program Files/x", "/Users/ada/Documents")
ENDINGS = (".jpg", ".dat", ".JPG", ".txt")
FILES = 90
KNOWN = (33, 62, 88)  # one of them in the last folder that is walked


def content(number: int) -> bytes:
    return picture("coast.jpg") + b"%d" % number * (1 + number % 61)


OF_KNOWN_SIZES = [n for n in range(FILES) if len(content(n)) in {len(content(known)) for known in KNOWN}]


@dataclass(frozen=True)
class Disk:
    image: Path
    hashset: Path
    no_sizes: Path


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> Disk:
    """An NTFS partition with files of many sizes, deleted ones, streams, a zip, and pictures in free space."""
    folder = tmp_path_factory.mktemp("quick")
    plan = [
        PlannedFile(f"{PLACES[n * 5 // FILES]}/{n:04}{ENDINGS[n % 4]}", content(n), deleted=n % 17 == 5)
        for n in range(FILES)
    ]
    plan.append(PlannedFile("/stuff/with.txt", b"1" * 900, streams=(("more.jpg", picture("marble.jpg")),)))
    volume = build_ntfs(plan, size=24 << 20)
    at = len(volume) - (2 << 20)
    for name in ("town.jpg", "marble.jpg"):
        volume[at : at + len(picture(name))] = picture(name)
        at += 256 << 10
    image = folder / "disk.dd"
    image.write_bytes(build_mbr([Partition(7, bytes(volume))]))
    records = [vics_record(n, content(n), 1 + n % 3) for n in KNOWN]
    records.append(vics_record(900, picture("town.jpg"), 2))  # in free space
    built = {}
    for name, kept in (("set", records), ("nosizes", [{**records[0], "MediaSize": 0}, *records[1:]])):
        vics = write_vics(folder / f"{name}.json", kept)
        built[name] = folder / f"{name}.chs"
        assert run_command("hashset", "build", vics, "--out", built[name], "--name", "set").returncode == 0
    return Disk(image, built["set"], built["nosizes"])


def here(disk: Disk, case: Path, profile: str, code: int = 0, stop: tuple[str, ...] = (), **more: Any) -> ScanOutcome:
    """Scan and report in this process: what most of these tests need, and much sooner done."""
    more = {"executor": "serial", "workers": 2, **more}
    options = ScanOptions(profile=profile, stop_after=checked_stops(stop), **more)
    requests = [SourceRequest(disk.image, "Q/1", "disk.dd")]
    with started_workers(options) as workforce:
        outcome = scan_and_report(requests, case, (disk.hashset,), options, workforce, quiet=True, as_json=False)
    assert outcome.exit_code == code
    return outcome


def scanned(disk: Disk, case: Path, *options: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    """The same by the command."""
    done = run_command(
        "scan", disk.image, "--case", case, "--hashset", disk.hashset, "--workers", 2, "--exhibit", "Q/1", *options
    )
    assert done.returncode == code, (done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def calm(disk, tmp_path_factory) -> dict[str, dict[str, str]]:
    """The reports of each profile, scanned from scratch; the quick one in the order of the walk, in one process."""
    folder = tmp_path_factory.mktemp("calm")
    for profile in ("quick", "standard", "full"):
        here(disk, folder / profile, profile, order="walk")
    return {name: comparable_reports(folder / name / "reports") for name in ("quick", "standard", "full")}


def rows(case: Path, report: str) -> list[dict[str, str]]:
    with (case / "reports" / f"{report}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def audited(case: Path, action: str) -> list[dict[str, object]]:
    lines = (json.loads(line) for line in (case / "audit.jsonl").read_text().splitlines())
    return [line for line in lines if line.get("action") == action]


def test_the_order_changes_no_result(disk, calm, tmp_path) -> None:
    assert len(calm["quick"]["matches.csv"].splitlines()) > len(KNOWN)
    for name in ("pool", "serial"):
        here(disk, tmp_path / name, "quick", executor=name)
        assert comparable_reports(tmp_path / name / "reports") == calm["quick"]
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == [
            "audit.jsonl", "case.db", "case.lock", "reports",
        ]  # fmt: skip
    (order,) = audited(tmp_path / "pool", "order-by-yield")
    assert (order["records"], order["without_size"]) == (4, 0)


def test_known_sizes_are_examined_first(disk, tmp_path) -> None:
    """Three hits long before the end, wherever they lie; with the serial executor after them alone.

    Of a pool one worker may still be starting, with a known file, while the other goes on: the bound is no close one.
    """
    case = tmp_path / "pool"
    done = scanned(disk, case, "--profile", "quick", "--stop-after", "3hits", code=3)
    here(disk, tmp_path / "serial", "quick", 3, ("3hits",))
    for name, most in (("pool", FILES * 2 // 3), ("serial", len(OF_KNOWN_SIZES))):
        exact = {row["path"] for row in rows(tmp_path / name, "matches") if row["match_kind"] == "exact"}
        assert {int(Path(path).stem) for path in exact} == set(KNOWN)
        assert len(rows(tmp_path / name, "files")) <= most
    assert "FIRST HIT in exhibit Q/1: code " in done.stderr
    assert "(stopped early)" in done.stdout


def test_what_was_left_is_said_and_done_by_the_next_run(disk, calm, tmp_path) -> None:
    case = tmp_path / "case"
    done = scanned(disk, case, "--profile", "quick", "--stop-after", "1hit", "--stop-after", "2h", code=3)
    files = calm["quick"]["files.csv"].splitlines()
    (problem,) = [row for row in rows(case, "problems") if row["code"] == "stopped-early"]
    examined = len(rows(case, "files"))
    assert f"{len(files) - 1 - examined:,} of {len(files) - 1:,} files, " in problem["detail"]
    assert problem["detail"] in done.stdout
    named = list(csv.DictReader(files))
    met = {row["path"] for row in rows(case, "files")}
    source = open_source(disk.image, "Q/1", "disk.dd")
    items = [item for item in source.walk() if isinstance(item, FileEntry)]
    source.close()
    left = sum(item.size or 0 for item in items if item.readable and item.path not in met)
    assert f" {left:,} bytes, were not examined" in problem["detail"]
    summary = json.loads((case / "reports" / "summary.json").read_text())
    assert (summary["complete"], summary["stopped_early"]) == (False, True)
    assert (summary["walked"], summary["examined"], summary["stored"]) == (len(named), examined, examined)
    page = (case / "reports" / "report.html").read_text()
    assert "(scan stopped early)" in page
    assert "The scan was stopped early" in page
    assert "there may be more" in done.stdout
    assert run_command("verify", case).returncode == 0
    here(disk, case, "quick", 3, ("0.001s",))  # nothing new, and no second row
    assert [row["code"] for row in rows(case, "problems")].count("stopped-early") == 1
    assert len(rows(case, "files")) == examined
    here(disk, case, "quick")
    assert comparable_reports(case / "reports") == calm["quick"]
    here(disk, case, "quick", 0, ("0.001s",))  # nothing is left to be stopped
    assert comparable_reports(case / "reports") == calm["quick"]
    assert run_command("verify", case).returncode == 0


@pytest.mark.parametrize(
    ("profile", "executor", "stop"),
    [("standard", "pool", ("1hit",)), ("full", "serial", ("1hit",)), ("standard", "serial", ())],
)
def test_a_quick_case_goes_on_as_a_further_one(disk, calm, tmp_path, profile, executor, stop) -> None:
    """Stopped early or at its end: then it is what a scan from scratch is, and nothing was examined twice."""
    case = tmp_path / "case"
    here(disk, case, "quick", 3 if stop else 0, stop, executor=executor)
    before = {row["path"] for row in rows(case, "files")}
    examined: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CaseWriter, "write_batch", noting(examined, CaseWriter.write_batch))
        here(disk, case, profile, executor=executor)
    assert comparable_reports(case / "reports") == calm[profile]
    assert before.isdisjoint(examined)
    assert len(before) + len(examined) == len(rows(case, "files"))
    (upgraded,) = audited(case, "profile-upgraded")
    assert (upgraded["before"], upgraded["after"]) == ("quick", profile)
    assert run_command("verify", case).returncode == 0
    with pytest.raises(CaseError, match=rf"other options \(profile: it was {profile}, now quick\)"):
        here(disk, case, "quick")


def noting(paths: list[str], write: Callable[..., None]) -> Callable[..., None]:
    """What writes a batch, noting the files that it is given."""

    def write_batch(self: CaseWriter, source: int, records: Sequence[ScanRecord], *rest: Any) -> None:
        paths.extend(record.entry.path for record in records)
        write(self, source, records, *rest)

    return write_batch


def test_only_the_profile_may_change(disk, tmp_path) -> None:
    case = tmp_path / "case"
    here(disk, case, "quick", 3, ("1hit",))
    with pytest.raises(CaseError, match="leads; profile: it was quick, now standard"):
        here(disk, case, "standard", leads="off")
    assert not audited(case, "profile-upgraded")


def test_a_case_that_was_upgraded_is_not_complete_before_its_end(disk, tmp_path) -> None:
    case = tmp_path / "case"
    here(disk, case, "quick")
    with open_case_for_writing(case) as writer:
        writer.change_options({**writer.header.options, "profile": "standard"})
    with open_case(case) as view:
        assert not view.conservation().complete
        assert view.header.options["profile"] == "standard"
    assert run_command("verify", case).returncode == 0


@pytest.mark.parametrize("executor", ["serial", "pool"])
def test_a_standard_scan_stops_early_too(disk, calm, tmp_path, executor) -> None:
    case = tmp_path / "case"
    here(disk, case, "standard", 3, ("1hit",), executor=executor, workers=1)
    (problem,) = [row for row in rows(case, "problems") if row["code"] == "stopped-early"]
    assert "free space was not searched to its end" in problem["detail"]
    assert len(rows(case, "files")) < FILES
    here(disk, case, "standard", executor=executor)
    assert comparable_reports(case / "reports") == calm["standard"]


def test_of_every_source_it_is_said_what_was_left(disk, small, tmp_path) -> None:
    case = tmp_path / "case"
    requests = [SourceRequest(disk.image, "Q/1", "disk.dd"), SourceRequest(small.image, "Q/2", "small.dd")]
    for stop, code in ((("1hit",), 3), ((), 0)):
        options = ScanOptions(profile="quick", executor="serial", stop_after=checked_stops(stop))
        with started_workers(options) as workforce:
            done = scan_and_report(requests, case, (disk.hashset,), options, workforce, quiet=True, as_json=False)
        assert done.exit_code == code
        told = {row["source"]: row["detail"] for row in rows(case, "problems") if row["code"] == "stopped-early"}
        assert set(told) == ({"disk.dd", "small.dd"} if stop else set())
        assert not stop or "nothing of this source was listed or examined" in told["small.dd"]


def test_a_record_without_size_rules_nothing_out_and_hides_nothing(disk, calm, tmp_path) -> None:
    case = tmp_path / "case"
    outcome = here(replace(disk, hashset=disk.no_sizes), case, "quick")
    assert outcome.notes == [
        "1 of 4 records of the hash sets state no size: files of listed sizes were only examined first, and none is "
        "ruled out by its size"
    ]
    calm_paths = {row["path"] for row in csv.DictReader(calm["quick"]["matches.csv"].splitlines())}
    assert {row["path"] for row in rows(case, "matches")} == calm_paths
    (order,) = audited(case, "order-by-yield")
    assert (order["records"], order["without_size"]) == (4, 1)
    info = run_command("hashset", "info", disk.no_sizes).stdout
    assert "size stated by: 3 of 4 records: no file can be ruled out by its size" in info
    assert "size stated by: all 4 records" in run_command("hashset", "info", disk.hashset).stdout


def test_the_first_hit_is_told_and_stored_before_the_batch_is_full(disk, tmp_path) -> None:
    """Batches of a thousand files, of a minute: the case has the row when the line is printed."""
    case = tmp_path / "case"
    stored = []

    def show(progress) -> None:  # type: ignore[no-untyped-def]
        if progress.first_hits and not stored:
            with sqlite3.connect(f"file:{case / 'case.db'}?mode=ro", uri=True) as database:
                stored.extend(database.execute("SELECT (SELECT count(*) FROM entry), count(*) FROM file_match"))

    options = ScanOptions(profile="quick", executor="serial", batch_files=1000, batch_seconds=60.0)
    run_scan([SourceRequest(disk.image, "Q/1", "disk.dd")], case, [disk.hashset], options, show)
    ((entries, matches),) = stored
    assert matches >= 1
    assert entries <= 10


def test_first_hits_as_json(disk, tmp_path) -> None:
    done = scanned(disk, tmp_path / "case", "--profile", "quick", "--json-progress")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    hits = [event for event in told if event["event"] == "first-hit"]
    assert sorted(event["category_code"] for event in hits) == sorted({str(1 + n % 3) for n in KNOWN})
    assert {event["exhibit"] for event in hits} == {"Q/1"}
    assert set(hits[0]) == {"event", "exhibit", "category_code", "category_label", "scheme", "seconds"}
    stages = [event["stage"] for event in told if event["event"] == "progress"]
    assert stages[0] == "listing"
    assert "examining pictures and films in places of users" in stages
    assert stages[-1] == "finished"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills with a POSIX signal")
def test_killed_in_the_middle_it_resumes_to_the_same(disk, calm, tmp_path) -> None:
    case = tmp_path / "case"
    arguments = ["--case", case, "--hashset", disk.hashset, "--exhibit", "Q/1", "--workers", 2, "--profile", "quick"]
    command = [sys.executable, "-P", "-m", "caid_triage", "scan", disk.image, *arguments, "--json-progress"]
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "first-hit":  # some are stored, most are not
            process.kill()
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    here(disk, case, "quick", executor="pool")
    assert comparable_reports(case / "reports") == calm["quick"]
    assert sorted(path.name for path in case.iterdir()) == ["audit.jsonl", "case.db", "case.lock", "reports"]


def test_a_wrong_stop_is_a_wrong_call(disk, tmp_path) -> None:
    refused = scanned(disk, tmp_path / "case", "--stop-after", "soon", code=2)
    assert "20min, 90s, 2h, 3hits" in refused.stderr
    assert not (tmp_path / "case").exists()


SCHEME = """name = "unit-own"
title = "The unit's own"
jurisdiction = ""
regions = []
source = "made up"
confirmed_by = "{by}"
[[categories]]
code = "1"
label = "Category A"
legal_class = ""
severity = 90
meaning = "notable"
[[categories]]
code = "9"
label = "Ignorable"
legal_class = ""
severity = 0
meaning = "ignorable"
"""


@pytest.fixture(scope="module")
def ranked(tmp_path_factory) -> dict[str, Path]:
    """A folder whose first files a set lists as ignorable and the last as Category A; that set, confirmed or not."""
    folder = tmp_path_factory.mktemp("ranked")
    exhibit = folder / "exhibit" / "Users" / "ada" / "Pictures"
    exhibit.mkdir(parents=True)
    listed = {f"a{n}.jpg": picture("marble.jpg") + b"%d" % n for n in range(3)} | {"z.jpg": picture("town.jpg")}
    for name, bytes_ in listed.items():
        (exhibit / name).write_bytes(bytes_)
    (exhibit / "zz.jpg").write_bytes(picture("coast.jpg"))
    codes = {"z.jpg": 1}
    vics = write_vics(
        folder / "set.json",
        [vics_record(n, bytes_, codes.get(name, 9)) for n, (name, bytes_) in enumerate(listed.items())],
    )
    made = {"exhibit": folder / "exhibit"}
    for name, by in (("confirmed", "A. Examiner"), ("unconfirmed", "")):
        (folder / f"{name}.toml").write_text(SCHEME.format(by=by))
        made[name] = folder / f"{name}.chs"
        arguments = ["--out", made[name], "--name", "set", "--scheme", folder / f"{name}.toml"]
        assert run_command("hashset", "build", vics, *arguments).returncode == 0
    return made


def first_look(ranked: dict[str, Path], case: Path, executor: str, hashset: str, *more: str) -> list[dict[str, Any]]:
    """The events of a scan that stops at the first hit."""
    done = run_command(
        "scan", ranked["exhibit"], "--case", case, "--hashset", ranked[hashset], "--profile", "quick", "--executor",
        executor, "--workers", 1, "--stop-after", "1hit", "--json-progress", *more,
    )  # fmt: skip
    assert done.returncode == 3, (done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("executor", ["serial", "pool"])
def test_what_a_confirmed_scheme_ranks_as_not_pertinent_stops_nothing(ranked, tmp_path, executor) -> None:
    case = tmp_path / "case"
    told = first_look(ranked, case, executor, "confirmed")
    assert [event["category_label"] for event in told if event["event"] == "first-hit"] == ["Category A"]
    last = [event for event in told if event["event"] == "progress"][-1]
    assert last["hits"] == {"Category A": 1}
    assert last["stage"] == "stopped early"
    assert "Category A" in {row["category_label"] for row in rows(case, "matches")}
    (order,) = audited(case, "order-by-yield")
    assert (order["records"], order["not_pertinent"], order["sizes"]) == (1, 3, 1)
    if executor == "serial":  # one after the other: the first by size is the one that is looked for
        assert last["not_pertinent"] == {}
        (left,) = [row["detail"] for row in rows(case, "problems") if row["code"] == "stopped-early"]
        assert "after 1 exact hit" in left
        assert "none of them has a size that the hash sets state of pertinent items" in left
    done = run_command(
        "scan", ranked["exhibit"], "--case", case, "--hashset", ranked["confirmed"], "--profile", "quick"
    )
    assert done.returncode == 0
    assert "3 files" in done.stdout
    assert "1 file (1 different content) is identical to a listed item" in done.stdout


def test_in_the_order_of_the_walk_they_are_passed_by_too_and_shown_apart(ranked, tmp_path) -> None:
    seen = []
    options = ScanOptions(executor="serial", stop_after=checked_stops(("1hit",)), batch_files=1)
    requests = [SourceRequest(ranked["exhibit"], "Q/1", "exhibit")]

    def show(progress) -> None:  # type: ignore[no-untyped-def]
        seen.append((dict(progress.not_pertinent), dict(progress.hits), [hit.label for hit in progress.first_hits]))

    outcome = run_scan(requests, tmp_path / "case", [ranked["confirmed"]], options, show)
    assert outcome.stopped
    assert seen[-1] == ({"Ignorable": 3}, {"Category A": 1}, ["Category A"])
    with open_case(tmp_path / "case") as view:
        assert {row.path.rpartition("/")[2] for row in view.files()} == {"a0.jpg", "a1.jpg", "a2.jpg", "z.jpg"}
    figures = case_figures(tmp_path / "case")
    assert (figures.exact, figures.ignorable) == (4, 3)
    assert [hit.label for hit in figures.hits if not hit.ignorable] == ["Category A"]


def test_from_a_scheme_that_nobody_confirmed_any_listed_file_counts(ranked, tmp_path) -> None:
    told = first_look(ranked, tmp_path / "case", "serial", "unconfirmed")
    (hit,) = [event for event in told if event["event"] == "first-hit"]
    last = [event for event in told if event["event"] == "progress"][-1]
    assert hit["category_label"] == "code 9 (scheme unit-own not confirmed)"
    assert (sum(last["hits"].values()), last["not_pertinent"]) == (1, {})
    assert not any(hit.ignorable for hit in case_figures(tmp_path / "case").hits)
