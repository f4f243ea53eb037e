"""What benchmarks/run_all.py runs exists, takes the options it is given, and is told of in benchmarks/README.md."""

from __future__ import annotations

import importlib.util
import re
from argparse import Namespace
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TOLD = set(re.findall(r"^\| `(\w+\.py)` \|", (BENCHMARKS / "README.md").read_text(encoding="utf-8"), re.MULTILINE))


@pytest.fixture(scope="module")
def run_all() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_all", BENCHMARKS / "run_all.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_tells_of_benchmarks_that_are_there() -> None:
    assert len(TOLD) >= 9
    assert all((BENCHMARKS / script).is_file() for script in TOLD)


@pytest.mark.parametrize("full", [False, True])
def test_all_are_run_with_options_that_they_have(run_all: ModuleType, full: bool) -> None:
    jobs = run_all.jobs(Namespace(photos="photos", keep="kept", folder="folder", videos="videos", full=full))
    assert {script for _, script, _ in jobs} <= TOLD
    assert len({name for name, *_ in jobs}) == len(jobs)
    for _, script, arguments in jobs:
        known = set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', (BENCHMARKS / script).read_text(encoding="utf-8")))
        assert {argument for argument in arguments if argument.startswith("--")} <= known, script


def test_a_benchmark_that_fails_is_said_to_have_failed(run_all: ModuleType, tmp_path: Path) -> None:
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit('no such thing')")
    assert run_all.run(str(script), [], 60)["failed"] == "no such thing"
    script.write_text("print('{}')\nraise SystemExit(3)")
    assert run_all.run(str(script), [], 60)["failed"] == "exit code 3"
    script.write_text("import time\ntime.sleep(60)")
    assert "stopped after" in run_all.run(str(script), [], 0.5)["failed"]
