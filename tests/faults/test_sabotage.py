"""A tool that was broken on purpose must not pass: each sabotage makes `validate` fail, by the requirement it is about.

The tool is broken where its parts meet (a function of it is replaced), in this process, with the serial executor;
exhibits are made once by the whole tool. What only changes matching or reports starts from a stored case, as `match`
and `report` do. One sabotaged *build* (a changed copy of the package) goes through the command and its workers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caid_triage
from caid_triage.case import counts, store
from caid_triage.case.store import open_case_for_writing
from caid_triage.examine import digests, looks
from caid_triage.hashset.schemes import CategoryScheme
from caid_triage.match import exact as match_exact
from caid_triage.match import match as match_module
from caid_triage.match.options import MatchOptions
from caid_triage.model import Digests, FileEntry, MatchKind, PerceptualHash, Problem, ScanRecord, State
from caid_triage.report import html, ledger_csv, matches_csv, rows_csv, summary_json
from caid_triage.scan import one_source, serial
from caid_triage.scan import sources as scan_sources
from caid_triage.scan.case_of_scan import open_hashsets
from caid_triage.scan.rematch import match_stored, stored_options
from caid_triage.validate.catalogue import REQUIREMENTS, chosen
from caid_triage.validate.exhibits import Exhibits, Plan
from caid_triage.validate.laboratory import Laboratory
from caid_triage.validate.reports import Reports
from caid_triage.validate.requirement import Result, Status
from caid_triage.validate.run import validated

SMALL = Plan(seed="sabotage", workers=1, executor="serial", listed=2, strangers=12, others=20, more=0)
Patch = pytest.MonkeyPatch


class Base:
    """The exhibits, and cases that the whole tool made of them: matched with all sets, and with none."""

    def __init__(self, folder: Path) -> None:
        self.made = Exhibits(folder / "exhibits", SMALL)
        self.lab = Laboratory(folder, self.made)
        self.matched = self.lab.disk_scan
        self.lab.scanned("unmatched", [self.made.disk.exhibit], [])
        assert self.lab.others_scan.files
        assert self.made.hashing
        assert self.made.limit_sets

    def fresh(self, folder: Path) -> Laboratory:
        """A laboratory with these exhibits and no scan yet."""
        return Laboratory(folder, self.made)

    def rematched(self, folder: Path) -> Laboratory:
        """One whose disk was scanned by the whole tool and is matched now."""
        lab = self.fresh(folder)
        shutil.copytree(self.lab.case("unmatched"), lab.case("disk"))
        with open_case_for_writing(lab.case("disk")) as case:
            match_stored(case, open_hashsets(self.made.disk_sets.paths), stored_options(case))
        lab.disk_scan = lab.reported(lab.case("disk"))
        return lab

    def rewritten(self, folder: Path) -> Laboratory:
        """One whose disk and other volumes were scanned and matched by the whole tool; only the reports are new."""
        lab = self.fresh(folder)
        shutil.copytree(self.lab.folder / "cases", lab.folder / "cases")
        lab.disk_scan = lab.reported(lab.case("disk"))
        lab.others_scan = lab.reported(lab.case("others"))
        return lab


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base(tmp_path_factory.mktemp("sabotage"))


def results(lab: Laboratory, *identifiers: str) -> dict[str, Result]:
    return {result.requirement.identifier: result for result in validated(lab, chosen(identifiers)).results}


def assert_caught(lab: Laboratory, *identifiers: str) -> None:
    for identifier, result in results(lab, *identifiers).items():
        assert result.status is Status.FAILED, f"{identifier} did not notice"
        assert result.faults


# What the walk does ----------------------------------------------------------------------------------------------


def without(wanted: Callable[[FileEntry], bool]) -> Callable[..., Iterator[Any]]:
    whole = one_source._walk_new

    def walk(items: Iterator[Any], *rest: Any) -> Iterator[Any]:
        yield from whole((item for item in items if not (isinstance(item, FileEntry) and wanted(item))), *rest)

    return walk


def drop_deleted_files(patch: Patch) -> None:
    patch.setattr(one_source, "_walk_new", without(lambda entry: entry.state is State.DELETED))


def drop_orphans(patch: Patch) -> None:
    patch.setattr(one_source, "_walk_new", without(lambda entry: entry.state is State.ORPHAN))


def no_carving(patch: Patch) -> None:
    patch.setattr(scan_sources, "CARVING", {"standard": "none"})


def cut_names(patch: Patch) -> None:
    whole = one_source._walk_new

    def walk(items: Iterator[Any], *rest: Any) -> Iterator[Any]:
        for item in whole(items, *rest):
            named = isinstance(item, FileEntry) and item.state is State.ALLOCATED
            yield replace(item, path=item.path.encode("ascii", "replace").decode()) if named else item

    patch.setattr(one_source, "_walk_new", walk)


def nothing_inside(patch: Patch) -> None:
    patch.setattr(serial.Examiner, "begin", _closed(serial.Examiner.begin))


def _closed(begin: Callable[..., Any]) -> Callable[..., Any]:
    def closed(*args: Any, **options: Any) -> Any:
        run = begin(*args, **options)
        run.inside = lambda *_: iter(())
        return run

    return closed


def lose_a_batch(patch: Patch) -> None:
    whole, calls = store.CaseWriter.write_batch, [0]

    def write_batch(self: Any, *args: Any) -> None:
        calls[0] += 1
        if calls[0] != 1:
            whole(self, *args)

    patch.setattr(store.CaseWriter, "write_batch", write_batch)


@pytest.mark.parametrize(
    ("sabotage", "identifiers"),
    [
        (drop_deleted_files, ("REQ-05", "REQ-14", "REQ-25", "REQ-28")),
        (drop_orphans, ("REQ-06",)),
        (no_carving, ("REQ-07", "REQ-08")),
        (nothing_inside, ("REQ-09",)),
        (cut_names, ("REQ-04", "REQ-10")),
        (lose_a_batch, ("REQ-28",)),
    ],
)
def test_a_scan_that_overlooks_or_loses_files_is_caught(
    base: Base, tmp_path: Path, monkeypatch: Patch, sabotage: Callable[[Patch], None], identifiers: tuple[str, ...]
) -> None:
    sabotage(monkeypatch)
    lab = base.fresh(tmp_path)
    if "REQ-28" in identifiers:
        lab.copies_scan = lab.others_scan = lab.damage_scan = base.lab.others_scan
    elif "REQ-05" not in identifiers:
        lab.others_scan = base.lab.others_scan
    assert_caught(lab, *identifiers)


# What examining does ---------------------------------------------------------------------------------------------


def shift_pdq(patch: Patch) -> None:
    _shift(patch, "_pdq_looks", lambda found: ([_one_bit_off(found[0][0]), *found[0][1:]], found[1]))


def shift_phash(patch: Patch) -> None:
    _shift(patch, "_phash_hashes", lambda found: (_one_bit_off(found[0]), found[1]))


def wrong_quality(patch: Patch) -> None:
    def worse(found: Any) -> Any:
        first = found[0][0]
        return [replace(first, quality=max(0, (first.quality or 0) - 1)), *found[0][1:]], found[1]

    _shift(patch, "_pdq_looks", worse)


def _shift(patch: Patch, name: str, change: Callable[[Any], Any]) -> None:
    whole = getattr(looks, name)
    patch.setattr(looks, name, lambda *args: change(whole(*args)))


def _one_bit_off(item: PerceptualHash) -> PerceptualHash:
    return replace(item, value=item.value[:-1] + bytes([item.value[-1] ^ 1]))


def digests_of_the_wrong_bytes(patch: Patch) -> None:
    whole = digests.Digesting.update
    patch.setattr(digests.Digesting, "update", lambda self, chunk: whole(self, bytes(chunk).rstrip(b"\0a")))


def sha1_of_nothing(patch: Patch) -> None:
    whole = digests.Digesting.digests
    patch.setattr(digests.Digesting, "digests", lambda self: Digests(whole(self).md5, bytes(20), whole(self).sha256))


@pytest.mark.parametrize(
    ("sabotage", "identifier"),
    [
        (shift_pdq, "REQ-12"),
        (wrong_quality, "REQ-12"),
        (shift_phash, "REQ-13"),
        (digests_of_the_wrong_bytes, "REQ-11"),
        (sha1_of_nothing, "REQ-11"),
    ],
)
def test_wrong_hashes_are_caught(
    base: Base, tmp_path: Path, monkeypatch: Patch, sabotage: Callable[[Patch], None], identifier: str
) -> None:
    sabotage(monkeypatch)
    lab = base.fresh(tmp_path)
    lab.disk_scan, lab.others_scan = base.lab.disk_scan, base.lab.others_scan
    assert_caught(lab, identifier)


def test_a_problem_that_is_not_told_is_caught(base: Base, tmp_path: Path, monkeypatch: Patch) -> None:
    quiet = {"partial-decode", "decoder-failed", "undecodable", "inside-encrypted", "volume-encrypted"}
    whole = store.CaseWriter.write_batch

    def write_batch(self: Any, source: int, records: Any, *rest: Any) -> None:
        whole(self, source, [_untroubled(record, quiet) for record in records], *rest)

    monkeypatch.setattr(store.CaseWriter, "write_batch", write_batch)
    told = store.CaseWriter._add_wide_problems

    def add(self: Any, source: int, origin: str, problems: Any) -> None:
        told(self, source, origin, [problem for problem in problems if problem.code not in quiet])

    monkeypatch.setattr(store.CaseWriter, "_add_wide_problems", add)
    assert_caught(base.fresh(tmp_path), "REQ-30", "REQ-31")


def _untroubled(record: ScanRecord, quiet: set[str]) -> ScanRecord:
    def left(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        return tuple(problem for problem in problems if problem.code not in quiet)

    examination = replace(record.examination, problems=left(record.examination.problems))
    return ScanRecord(replace(record.entry, problems=left(record.entry.problems)), examination)


# What matching does ----------------------------------------------------------------------------------------------


def ignore_sha1(patch: Patch) -> None:
    whole = match_exact.exact_pairs

    def pairs(hashset: Any, columns: Any) -> Any:
        return whole(hashset, {**columns, "sha1": np.zeros_like(columns["sha1"])})

    patch.setattr(match_module, "exact_pairs", pairs)


def believe_the_weaker_digest(patch: Patch) -> None:
    whole = match_exact.exact_pairs

    def pairs(hashset: Any, columns: Any) -> Any:
        found = whole(hashset, columns)
        return replace(found, contradicted=np.zeros_like(found.contradicted))

    patch.setattr(match_module, "exact_pairs", pairs)


def call_md5_sha1(patch: Patch) -> None:
    _each_match(patch, lambda match: replace(match, algorithm=match.algorithm.replace("md5", "sha1")))


def near_called_exact(patch: Patch) -> None:
    _each_match(patch, lambda match: replace(match, match_kind=MatchKind.EXACT, distance=0))


def categories_mixed(patch: Patch) -> None:
    def other(match: Any) -> Any:
        category = match.category
        return replace(match, category=replace(category, code={"1": "2", "2": "1"}.get(category.code, category.code)))

    _each_match(patch, other)


def one_set_wins(patch: Patch) -> None:
    whole = match_module.match_batch

    def batch(*args: Any) -> Any:
        found = whole(*args)
        return replace(found, matches=[matches[:1] for matches in found.matches])

    patch.setattr(match_module, "match_batch", batch)


def harmless_md5_hides(patch: Patch) -> None:
    whole = match_module.match_batch

    def batch(*args: Any) -> Any:
        found = whole(*args)
        shown = [
            () if any(match.role in match_module.NEGATIVE for match in matches) else matches
            for matches in found.matches
        ]
        return replace(found, matches=shown)

    patch.setattr(match_module, "match_batch", batch)


def harmless_md5_hides_looks(patch: Patch) -> None:
    whole = match_module._excluded

    def excluded(count: int, sets: Any, exact: Any) -> Any:
        found = whole(count, sets, exact)
        for hashset, pairs in zip(sets, exact, strict=True):
            if hashset.role in match_module.NEGATIVE:
                found[pairs.queries] = True
        return found

    patch.setattr(match_module, "_excluded", excluded)


def codes_are_legal_categories(patch: Patch) -> None:
    patch.setattr(CategoryScheme, "_label", lambda self, code, known: f"Category {'?ABC'[int(code or 0)]}")


def _each_match(patch: Patch, change: Callable[[Any], Any]) -> None:
    whole = match_module.match_batch

    def batch(*args: Any) -> Any:
        found = whole(*args)
        return replace(found, matches=[tuple(map(change, matches)) for matches in found.matches])

    patch.setattr(match_module, "match_batch", batch)


@pytest.mark.parametrize(
    ("sabotage", "identifiers"),
    [
        (ignore_sha1, ("REQ-14", "REQ-25")),
        (believe_the_weaker_digest, ("REQ-16", "REQ-25")),
        (call_md5_sha1, ("REQ-15",)),
        (near_called_exact, ("REQ-22", "REQ-25")),
        (categories_mixed, ("REQ-14",)),
        (one_set_wins, ("REQ-26",)),
        (harmless_md5_hides, ("REQ-27",)),
        (harmless_md5_hides_looks, ("REQ-27",)),
        (codes_are_legal_categories, ("REQ-24",)),
    ],
)
def test_wrong_matching_is_caught(
    base: Base, tmp_path: Path, monkeypatch: Patch, sabotage: Callable[[Patch], None], identifiers: tuple[str, ...]
) -> None:
    sabotage(monkeypatch)
    lab = base.rematched(tmp_path)
    lab.alike_scan = lab.disk_scan  # has no part in these
    assert_caught(lab, *identifiers)


@pytest.mark.parametrize("step", [-1, 1])
def test_a_limit_that_is_one_bit_off_is_caught(base: Base, tmp_path: Path, monkeypatch: Patch, step: int) -> None:
    whole = MatchOptions.radius
    monkeypatch.setattr(MatchOptions, "radius", lambda self, hashset, name: whole(self, hashset, name) + step)
    assert_caught(base.fresh(tmp_path), "REQ-18")


def test_false_and_missed_look_alikes_are_caught(base: Base, tmp_path: Path, monkeypatch: Patch) -> None:
    whole = match_module.match_batch

    def crossed(records: Any, hashsets: Any, options: Any) -> Any:
        found = whole(records, hashsets, options)
        return replace(found, matches=[found.matches[-1], *found.matches[:-1]])  # each file's are its neighbour's

    monkeypatch.setattr(match_module, "match_batch", crossed)
    assert_caught(base.fresh(tmp_path), "REQ-17", "REQ-23")


def test_an_index_that_overlooks_an_entry_is_caught(base: Base, tmp_path: Path, monkeypatch: Patch) -> None:
    from caid_triage.hashset.store import HashSet

    whole = HashSet.near

    def near(self: Any, *args: Any) -> Any:
        return tuple(column[1:] for column in whole(self, *args))

    monkeypatch.setattr(HashSet, "near", near)
    assert_caught(base.fresh(tmp_path), "REQ-19")


def test_films_that_are_not_compared_are_caught(base: Base, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(match_module, "_video_matches", lambda *_: {})
    assert_caught(base.fresh(tmp_path), "REQ-20")


# What the reports say --------------------------------------------------------------------------------------------


def lose_a_csv_row(patch: Patch) -> None:
    whole = rows_csv.write_rows
    for module in (matches_csv, sys.modules["caid_triage.report.files_csv"]):
        patch.setattr(module, "write_rows", lambda out, kind, rows, *more: whole(out, kind, list(rows)[:-1], *more))


def add_one_to_a_count(patch: Patch) -> None:
    whole = summary_json.summary

    def summary(view: Any) -> Any:
        found = whole(view)
        found["counts"][0]["files"] += 1
        return found

    patch.setattr(summary_json, "summary", summary)


def count_look_alikes(patch: Patch) -> None:
    patch.setattr(
        counts,
        "PROPOSED",
        counts.PROPOSED.replace("SELECT entry_id, match_kind,", "SELECT entry_id, 'exact' AS match_kind,", 1),
    )


def another_number_on_the_page(patch: Patch) -> None:
    patch.setitem(html.prepared_page()[0].environment.filters, "number", lambda value: f"{value + 1:,}")
    html.prepared_page.cache_clear()
    whole = html.text.number
    patch.setattr(html.text, "number", lambda value: whole(value + 1))


def no_escaping(patch: Patch) -> None:
    html.prepared_page.cache_clear()
    whole = html.Environment
    patch.setattr(html, "Environment", lambda **options: whole(**{**options, "autoescape": False}))


def lose_a_range(patch: Patch) -> None:
    whole = ledger_csv.write_rows
    patch.setattr(ledger_csv, "write_rows", lambda out, kind, rows, *more: whole(out, kind, list(rows)[1:], *more))


@pytest.mark.parametrize(
    ("sabotage", "identifiers"),
    [
        (lose_a_csv_row, ("REQ-28", "REQ-14")),
        (add_one_to_a_count, ("REQ-25", "REQ-34")),
        (count_look_alikes, ("REQ-25", "REQ-34")),
        (another_number_on_the_page, ("REQ-25",)),
        (no_escaping, ("REQ-36",)),
        (lose_a_range, ("REQ-29",)),
    ],
)
def test_wrong_reports_are_caught(
    base: Base, tmp_path: Path, monkeypatch: Patch, sabotage: Callable[[Patch], None], identifiers: tuple[str, ...]
) -> None:
    sabotage(monkeypatch)
    try:
        lab = base.rewritten(tmp_path)
        lab.copies_scan = lab.damage_scan = lab.others_scan
        assert_caught(lab, *identifiers)
    finally:
        html.prepared_page.cache_clear()


# What is done to the evidence, and when a scan is broken off -----------------------------------------------------


def test_evidence_that_is_written_to_is_caught(base: Base, tmp_path: Path) -> None:
    made = Exhibits(tmp_path / "exhibits", SMALL)
    lab = Laboratory(tmp_path, made)
    image = made.disk.exhibit.path
    lab.disk_scan = lab.copies_scan = base.lab.disk_scan
    assert results(lab, "REQ-03")["REQ-03"].status is Status.PASSED
    os.utime(image)
    assert_caught(lab, "REQ-03")


def a_row_less(base: Base, folder: Path, name: str) -> Reports:
    """The reports of the disk, of which one lost its last line."""
    copy = folder / "reports"
    shutil.copytree(base.lab.disk_scan.folder, copy)
    lines = (copy / name).read_text("utf-8").splitlines(keepends=True)
    (copy / name).write_text("".join(lines[:-1]), "utf-8")
    return replace(base.lab.disk_scan, folder=copy)


@pytest.mark.parametrize("name", ["matches.csv", "files.csv", "ledger.csv"])
@pytest.mark.parametrize(
    ("scan", "counted", "identifier"),
    [("stopped_and_resumed", True, "REQ-33"), ("with_killed_workers", True, "REQ-32"), ("again", False, "REQ-37")],
)
def test_a_scan_that_ends_otherwise_when_disturbed_is_caught(
    base: Base, tmp_path: Path, monkeypatch: Patch, name: str, scan: str, counted: bool, identifier: str
) -> None:
    if identifier == "REQ-32" and not Path("/proc/self/cmdline").exists():
        pytest.skip("REQ-32 is not run where there is no /proc")
    lab = base.fresh(tmp_path)
    lab.disk_scan = base.lab.disk_scan
    broken = a_row_less(base, tmp_path, name)
    monkeypatch.setattr(lab, scan, lambda *_: (50, broken) if counted else broken)
    assert_caught(lab, identifier)


def test_a_later_match_with_another_outcome_is_caught(base: Base, tmp_path: Path, monkeypatch: Patch) -> None:
    lab = base.fresh(tmp_path)
    lab.disk_scan = base.lab.disk_scan
    broken = a_row_less(base, tmp_path, "matches.csv")
    monkeypatch.setattr(lab, "matched_later", lambda: broken)
    assert_caught(lab, "REQ-21")


def test_a_container_that_hides_a_file_is_caught(base: Base, tmp_path: Path) -> None:
    lab = base.fresh(tmp_path)
    lab.disk_scan = lab.copies_scan = base.lab.disk_scan  # which has no rows of the copies
    assert_caught(lab, "REQ-01")


def test_a_verify_that_lets_everything_pass_is_caught(base: Base, tmp_path: Path, monkeypatch: Patch) -> None:
    lab = base.fresh(tmp_path)
    lab.disk_scan, lab.copies_scan, lab.damage_scan = base.lab.disk_scan, base.lab.disk_scan, base.lab.damage_scan
    monkeypatch.setattr(lab, "command", lambda *_: 0)
    assert_caught(lab, "REQ-02", "REQ-35")


def test_there_is_a_sabotage_for_every_requirement() -> None:
    """A requirement that nothing makes fail proves nothing."""
    own = Path(__file__).read_text("utf-8").partition("# Nothing is broken ---")[0]
    assert set(re.findall(r"REQ-\d\d", own)) == {one.identifier for one in REQUIREMENTS}


# Nothing is broken -----------------------------------------------------------------------------------------------


def test_what_is_not_broken_passes(base: Base) -> None:
    """The same requirements with the same exhibits: a sabotage is what makes the others fail."""
    base.lab.copies_scan = base.lab.others_scan
    asked = (
        "REQ-04", "REQ-05", "REQ-06", "REQ-07", "REQ-08", "REQ-09", "REQ-10", "REQ-11", "REQ-12", "REQ-13", "REQ-14",
        "REQ-15", "REQ-16", "REQ-17", "REQ-18", "REQ-19", "REQ-20", "REQ-22", "REQ-23", "REQ-24", "REQ-25", "REQ-26",
        "REQ-27", "REQ-28", "REQ-29", "REQ-30", "REQ-31", "REQ-34", "REQ-36",
    )  # fmt: skip
    failed = {
        name: result.faults for name, result in results(base.lab, *asked).items() if result.status is not Status.PASSED
    }
    assert not failed


# A sabotaged build -----------------------------------------------------------------------------------------------


def test_a_sabotaged_build_fails_with_exit_code_7(tmp_path: Path) -> None:
    """A copy of the package with one line changed, run as a user runs it: workers and all."""
    package = Path(caid_triage.__file__).parent
    copy = tmp_path / "build" / "caid_triage"
    shutil.copytree(package, copy)
    module = copy / "examine" / "looks.py"
    text = module.read_text("utf-8")
    line = "    stored = hashes[0] if exact is None else exact[0]\n"
    assert text.count(line) == 1
    module.write_text(text.replace(line, line + "    stored = stored[:-1] + bytes([stored[-1] ^ 1])\n"), "utf-8")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(copy.parent), os.environ.get("PYTHONPATH", "")])}
    finished = subprocess.run(
        [sys.executable, "-P", "-m", "caid_triage", "validate", "--quick", "--only", "REQ-12", "--out",
         tmp_path / "out"],
        capture_output=True, text=True, check=False, timeout=300, env=environment,
    )  # fmt: skip
    assert finished.returncode == 7, finished.stdout + finished.stderr
    assert "validation FAILED: REQ-12 not met" in finished.stdout
    record = json.loads((tmp_path / "out" / "validation.json").read_text("utf-8"))
    (result,) = record["requirements"]
    assert (record["result"], result["id"], result["result"]) == ("failed", "REQ-12", "failed")
    assert result["faults"]
    assert "NOT MET" in (tmp_path / "out" / "validation.html").read_text("utf-8")
