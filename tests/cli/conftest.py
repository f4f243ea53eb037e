"""A small exhibit and hash set for the command-line tests."""

from __future__ import annotations

import pytest
from support.cli import Run, Small, run_command, small_exhibit


@pytest.fixture(scope="session")
def run() -> Run:
    return run_command


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small_exhibit(tmp_path_factory.mktemp("small"))
