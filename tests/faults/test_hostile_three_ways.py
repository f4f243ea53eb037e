"""Some of the corpus of malformed files as a folder, on an NTFS volume and in a zip; `make hostile` takes all of it."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EVERY = 150


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "hostile_scan.py"
    spec = importlib.util.spec_from_file_location("hostile_scan", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hostile_scan"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def some(script: ModuleType, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder of some of the files, and their SHA-256 by name."""
    files = tmp_path_factory.mktemp("some") / "files"
    return files, script.unpacked(shared / "hostile" / "corpus.tar.xz", files, EVERY)


@pytest.mark.parametrize("way", ["folder", "ntfs", "zip"])
def test_every_malformed_file_has_its_one_record(
    script: ModuleType, some: tuple[Path, dict[str, str]], tmp_path: Path, way: str
) -> None:
    (files, wanted), source = some, tmp_path / "source"
    if way == "ntfs" and not script.as_ntfs(files, list(wanted), source):
        pytest.skip("mkntfs and ntfscp are not installed")
    if way == "zip":
        source.mkdir()
        script.as_zip(files, list(wanted), source / "all.zip")
    source = files if way == "folder" else source
    run = script.scanned(source, tmp_path / "case", 2)
    assert run["said"] == ""
    options = argparse.Namespace(workers=2, most_memory=2048)
    found = script.checked(tmp_path / "case", wanted, way, run, options)
    assert found["faults"] == []
    assert found["files"] == len(wanted) > 10
    # The check would have told: a file that is not there, too much memory, too much time.
    told = script.checked(tmp_path / "case", wanted | {"gone": "0" * 64}, way, run, options)
    assert told["faults"] == ["1 files have no record with their SHA-256"]
    slow = run | {"wall_s": 1e6, "most_memory_mib": 4096}
    assert len(script.checked(tmp_path / "case", wanted, way, slow, options)["faults"]) == 2
