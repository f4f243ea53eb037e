"""Who ran a command and where: as configured, else by the system, and nothing where that is forbidden."""

from __future__ import annotations

import getpass
import platform

import pytest

from caid_triage.actor import EXAMINER, HOST, actor
from caid_triage.case.command import Command


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EXAMINER, raising=False)
    monkeypatch.delenv(HOST, raising=False)


def test_without_configuration_it_is_the_login_name_and_the_computer() -> None:
    assert actor() == {"user": getpass.getuser(), "host": platform.node()}


def test_what_is_configured_or_given_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXAMINER, " A. Examiner ")
    monkeypatch.setenv(HOST, "lab-7")
    assert actor() == {"user": "A. Examiner", "host": "lab-7"}
    assert actor("B. Examiner") == {"user": "B. Examiner", "host": "lab-7"}


def test_set_to_nothing_it_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXAMINER, "")
    monkeypatch.setenv(HOST, "  ")
    assert actor() == {}


def test_a_name_is_one_printable_line() -> None:
    assert actor("A\x1b[2J\nB\udcff\u202e")["user"] == "A\\x1b[2J\\nB\\udcff\\u202e"
    assert len(actor("x" * 999)["user"]) == 200


def test_a_user_without_a_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert "user" not in actor()


def test_a_command_says_what_it_was_and_with_what() -> None:
    facts = Command("scan", {"--profile": "quick"}, "A").facts()
    assert (facts["command"], facts["options"], facts["user"]) == ("scan", {"--profile": "quick"}, "A")
    libraries = facts["libraries"]
    assert isinstance(libraries, dict)
    assert {"numpy", "opencv-python-headless", "pillow", "av", "pytsk3", "cryptography", "libewf-python"} <= set(
        libraries
    )
    assert platform.machine() in str(facts["platform"])
