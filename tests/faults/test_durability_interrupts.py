"""Ctrl+C behind any step of the coordinator's: it ends with 130, leaves nothing running, and the rest is done later."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support.cli import Small, comparable_reports, run_command, small_exhibit
from support.nights import assert_same

pytestmark = [
    pytest.mark.durability,
    pytest.mark.skipif(sys.platform != "linux", reason="sends POSIX signals and looks into /proc"),
]


PROGRAM = Path(__file__).parents[1] / "support" / "interrupted_at.py"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_exhibit(tmp_path_factory.mktemp("small"))


def session_of(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(place.name))
    return found


def interrupted(words: list[object], told: Path, step: int) -> tuple[int, str]:
    """The exit code and what was said; nothing of it lives any more."""
    program = [sys.executable, "-P", PROGRAM, told, step, *words]
    with subprocess.Popen(
        [*map(str, program)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as scan:
        _, errors = scan.communicate(timeout=120)
        end = time.monotonic() + 20
        while alive := session_of(scan.pid):
            assert time.monotonic() < end, f"still there: {alive}"
            time.sleep(0.05)
    return scan.returncode, errors


@pytest.mark.parametrize("executor", ["pool", "serial", "dask"])
def test_interrupted_behind_any_step_it_ends_in_order_and_goes_on(
    small: Small, tmp_path: Path, executor: str, faults: int, chance: random.Random, happened: Counter[str]
) -> None:
    if executor == "dask":
        pytest.importorskip("distributed")

    def scan(case: Path) -> list[object]:
        words = ["scan", small.image, "--case", case, "--hashset", small.hashset, "--executor", executor, "--quiet"]
        return [*words, "--workers", 1 if executor == "serial" else 2]

    told = tmp_path / "told"
    code, errors = interrupted(scan(tmp_path / "calm"), told, 0)
    calm = code
    assert calm in (0, 3), errors
    steps = json.loads(told.read_text())
    assert len(steps) > 1000
    for place, step in enumerate(chance.sample(steps, 2 + faults)):
        case = tmp_path / str(place)
        told.unlink()
        code, errors = interrupted(scan(case), told, step)
        if not told.exists():  # the way was another, and shorter
            assert code == calm, errors
            told.touch()
            continue
        if executor == "dask" and code == calm:  # all was done; Dask, closing its cluster, took the signal
            assert_same(comparable_reports(case / "reports"), comparable_reports(tmp_path / "calm" / "reports"))
            continue
        assert code == 130, (told.read_text(), errors)
        assert "interrupted" in errors, (told.read_text(), errors)
        assert "Traceback" not in errors, (told.read_text(), errors)
        again = run_command(*scan(case))
        assert again.returncode == calm, (told.read_text(), again.stderr)
        assert_same(comparable_reports(case / "reports"), comparable_reports(tmp_path / "calm" / "reports"))
        verified = run_command("verify", case)
        assert verified.returncode == 0, (told.read_text(), verified.stderr)
        happened[f"scan interrupted at a step ({executor})"] += 1
