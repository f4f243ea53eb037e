"""Fixtures that every test may use."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support.postgres import Server, missing, running_server

PROJECT = Path(__file__).resolve().parents[1]

# How long an example took says how busy the machine is, and nothing of what a test is about.
settings.register_profile("on any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("on any machine")


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
    chosen = time.time_ns() % 10**9 if given == "new" else int(given)
    config.stash[SEED_KEY] = getattr(config, "workerinput", {}).get("fault_seed", chosen)
    if config.getoption("dist", "no") != "no":
        config.pluginmanager.register(SideBySide(config.stash[SEED_KEY]))


class SideBySide:
    """Tests run by several processes (pytest -n): they have one seed, and one summary at the end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def pytest_configure_node(self, node: Any) -> None:
        node.workerinput["fault_seed"] = self.seed

    def pytest_testnodedown(self, node: Any) -> None:
        HAPPENED.update(getattr(node, "workeroutput", {}).get("happened", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["happened"] = dict(HAPPENED)


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL server of the tests' own; tests that need it skip where none can be started."""
    if why := missing():
        pytest.skip(why)
    with running_server() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> str:
    """The URL of an empty database, for its owner."""
    postgres_server.run("DROP SCHEMA IF EXISTS caid_unit CASCADE")
    return postgres_server.url()
