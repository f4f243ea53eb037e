"""Fixtures that every test may use."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real test material beside the project; tests that need it skip where it is not."""
    folder = PROJECT.parent / "shared"
    if not (folder / "images" / "INDEX.tsv").exists():
        pytest.skip("the folder of real test material (../shared) is not beside the project")
    return folder


# The durability suite (-m durability): a few moments of each kind in CI, many with `make faults`.
FAULTS, SEED = 1, 20261129
HAPPENED: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--faults", type=int, default=FAULTS, help="moments a durability test tries of each kind")
    parser.addoption("--fault-seed", default=str(SEED), help="seed of these moments; 'new' for one by the clock")


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--fault-seed")
    config.stash[SEED_KEY] = time.time_ns() % 10**9 if given == "new" else int(given)


SEED_KEY = pytest.StashKey[int]()


def pytest_report_header(config: pytest.Config) -> str:
    return f"durability: --faults {config.getoption('--faults')} --fault-seed {config.stash[SEED_KEY]}"


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> int:
    """How many moments of each kind a durability test tries."""
    return int(request.config.getoption("--faults"))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Where the moments of a durability test come from: the same for the same seed and test."""
    return random.Random(f"{request.config.stash[SEED_KEY]} {request.node.nodeid}")


@pytest.fixture
def happened() -> Counter[str]:
    """What the durability tests did, for the summary at the end."""
    return HAPPENED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not HAPPENED:
        return
    terminalreporter.section(f"durability, seed {config.stash[SEED_KEY]}")
    for what, times in sorted(HAPPENED.items()):
        terminalreporter.line(f"{times:6}  {what}")
