"""The fuzzing itself: kept inputs stay answered, seeds and a little damage too, and a planted fault is noticed."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from caid_triage.evidence.carve.search import Carved, Search
from caid_triage.examine.boundary import Failure
from caid_triage.examine.embedded import thumbcache, walk
from caid_triage.hashset.readers import hash_lines
from caid_triage.hashset.store import HashSet
from caid_triage.scan.inside import SoFar
from fuzz import patches
from fuzz.engine import Run, damaged, has_atheris, run_plain
from fuzz.inner import watched
from fuzz.run import TARGETS, run_target
from fuzz.target import REGRESSIONS, Target, judged, regressions

# A machine that others use too: what is looked for here is not speed.
PATIENCE = 20.0
SEEDS, DAMAGED = 12, 15

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no timer of processor time")


def target_of(name: str) -> Target:
    found: Target = importlib.import_module(f"fuzz.targets.{name}").TARGET
    assert found.name == name
    if found.prepare is not None:
        found.prepare()
    return found


def faults_of(target: Target, inputs: Iterator[tuple[str, bytes]]) -> dict[str, str]:
    """What is amiss by the name of the input."""
    answers = {name: judged(target, data, PATIENCE) for name, data in inputs}
    assert answers
    return {name: answer.finding.text for name, answer in answers.items() if answer.finding is not None}


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_a_little_damage_are_answered(name: str) -> None:
    target = target_of(name)
    seeds = target.seeds()
    assert all(len(data) <= 2 * target.longest for data in seeds.values())

    def inputs() -> Iterator[tuple[str, bytes]]:
        chance = random.Random(name)
        yield from chance.sample(sorted(seeds.items()), min(SEEDS, len(seeds)))
        for number in range(DAMAGED):
            whole = chance.choice(list(seeds.values()))
            yield f"damaged {number}", damaged(target, whole, f"{name} {number}")

    assert faults_of(target, inputs()) == {}


@pytest.mark.parametrize("name", [one for one in TARGETS if regressions(one)])
def test_what_once_was_a_fault_is_answered(name: str) -> None:
    assert faults_of(target_of(name), iter(regressions(name).items())) == {}


def test_kept_inputs_are_small_and_of_targets_that_there_are() -> None:
    kept = [one for one in REGRESSIONS.rglob("*") if one.is_file()]
    assert {one.parent.name for one in kept} <= set(TARGETS)
    assert all(one.stat().st_size <= 1 << 16 for one in kept)


# ---------------------------------------------------------------- what a target must notice


def noticed(target: Target, name: str) -> str:
    """What is said of a seed ("" for nothing)."""
    finding = judged(target, target.seeds()[name], PATIENCE).finding
    return "" if finding is None else finding.text


def test_a_lost_row_of_a_hash_list_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of("hashsets")
    assert noticed(target, "hashes") == ""
    plain = hash_lines._is_entry
    monkeypatch.setattr(hash_lines, "_is_entry", lambda line: plain(line) and "SHA1" not in line)
    assert "rows and refused rows are not the entries" in noticed(target, "hashes")


def test_an_error_of_ours_that_the_boundary_hides_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of("caches")
    assert noticed(target, "thumbcache of Windows 7") == ""
    monkeypatch.setattr(thumbcache, "LAYOUTS", {**thumbcache.LAYOUTS, 21: "forty-eight"})
    assert "TypeError" in noticed(target, "thumbcache of Windows 7")
    with watched() as met:
        at_the_boundary = walk.at_the_boundary
        assert isinstance(at_the_boundary(lambda: bytes(4)[7]), Failure)
    assert met == [], "a line of the tests is not one of ours"


def test_a_cache_entry_that_is_passed_over_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of("caches")
    plain = thumbcache._next
    monkeypatch.setattr(thumbcache, "_next", lambda content, start: plain(content, start + 40))
    assert "other entries than a plain reading has" in noticed(target, "thumbcache of Windows 7, three")


def test_a_file_outside_of_what_was_searched_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of("carver")
    monkeypatch.setattr(Search, "run", lambda *_: [Carved("p0", ((0, 1 << 30),), "jpg")])
    assert "a file lies outside of what was searched" in noticed(target, "noise.png on sectors")


def test_inner_files_out_of_order_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of("protocol")
    assert noticed(target, "dies once") == ""

    def takes(self: SoFar, _found: object) -> None:
        self.delivered += 1

    monkeypatch.setattr(SoFar, "takes", takes)
    assert "parts are not counted one by one" in noticed(target, "dies once")


def test_a_set_that_is_another_than_was_built_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = target_of("store")
    assert noticed(target, "all 0, patched") == ""
    monkeypatch.setattr(HashSet, "verify", lambda _self: None)
    assert "verify passes a set that is another" in noticed(target, "all 0, patched")


# ---------------------------------------------------------------- what a run must notice


def test_a_run_notices_what_ends_or_hangs_its_process_and_goes_on(tmp_path: Path) -> None:
    found = run_target("fuzz.planted", tmp_path, 2.0, "plain")
    said = " ".join(found["findings"])
    for word in ("the process ended with", "Hung", "IndexError", "a law is broken"):
        assert word in said
    assert found["words"]["ValueError"] > 0
    assert found["words"]["fine"] > 0
    kept = {path.read_bytes() for path in (tmp_path / "planted" / "findings").glob("*.bin")}
    assert all(any(word in data for data in kept) for word in (b"die", b"hang", b"index", b"law"))


def test_plain_damage_is_the_same_each_time(tmp_path: Path) -> None:
    def inputs(folder: Path) -> list[bytes]:
        seen: list[bytes] = []

        def check(data: bytes) -> str:
            seen.append(data)
            return "fine"

        target = Target("x", "x", lambda: {"a": bytes(range(64)), "b": b"b" * 64}, check, (), longest=256)
        run_plain(Run(target, folder, 0.05, "plain"), 7)
        return seen

    one, two = inputs(tmp_path / "one"), inputs(tmp_path / "two")
    shorter = min(len(one), len(two))
    assert shorter > 50
    assert one[:shorter] == two[:shorter]
    assert len(set(one)) > shorter // 2


def test_patches_reach_structures_and_can_cut() -> None:
    whole = b"head" + bytes(2044) + b"tail"
    places = patches.places_of(whole)
    assert places == [0, 2048]
    data = b"\0\0" + patches.patch(1, 0, b"TAIL") + patches.patch(0, 1, b"E")
    assert patches.patched(data, whole, places) == b"hEad" + bytes(2044) + b"TAIL"
    assert patches.patched(b"\0\0" + patches.patch(0, 100, b""), whole, places) == whole[:100]


def test_the_command_tells_of_an_unknown_target_and_of_its_engine(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("run.py"))
    wrong = subprocess.run([sys.executable, script, "nothing"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "there are: caches, carver" in wrong.stderr
    command = [sys.executable, script, "texts", "--seconds", "0.5", "--work", str(tmp_path), "--engine", "plain"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"target": "texts", "engine": "plain"' in done.stdout
    assert (tmp_path / "runs.jsonl").read_text() == done.stdout
    assert isinstance(has_atheris(), bool)
