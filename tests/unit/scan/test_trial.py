"""What follows from what a worker tells of itself: which layer is blamed, what is noted; nonsense is not believed."""

from __future__ import annotations

from typing import Any

import pytest

from caid_triage.model import Severity
from caid_triage.scan import protocol
from caid_triage.scan.confine import LAYERS, OPTIONAL_LAYERS
from caid_triage.scan.trial import Settled, Told, judged, layers_told, told_from_plain

FORMATS = ("jpeg.jpg", "avif.avif", "h264.mp4")


def told(without: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> Told:
    active = tuple(name for name in LAYERS if name not in without)
    canary = tuple((name, "undecodable" if name in silent else "sings") for name in FORMATS)
    return Told(active, tuple((name, "it was left out") for name in without), 7, (), canary)


class Machine:
    """A machine on which layers harm formats: a worker starts again without some of them."""

    def __init__(self, harm: dict[str, tuple[str, ...]], broken: tuple[str, ...] = (), ends: str = "") -> None:
        self.harm, self.broken, self.ends = harm, broken, ends
        self.asked: list[tuple[str, ...]] = []

    def __call__(self, without: tuple[str, ...]) -> Told | None:
        self.asked.append(without)
        if self.ends and self.ends not in without:
            return None
        silent = {name for layer, names in self.harm.items() if layer not in without for name in names}
        return told(without, (*silent, *self.broken))


def settled(machine: Machine) -> Settled:
    first = machine(())
    machine.asked.clear()
    found = judged(first, machine)
    assert found is not None
    return found


def test_where_all_is_well_nobody_is_asked_again() -> None:
    machine = Machine({})
    found = settled(machine)
    assert (found.without, machine.asked, found.problems()) == ((), [], [])


@pytest.mark.parametrize("layer", OPTIONAL_LAYERS)
def test_the_layer_that_does_harm_alone_is_left_out(layer: str) -> None:
    found = settled(Machine({layer: ("avif.avif",)}))
    assert (found.without, found.harmed, found.unreadable) == ((layer,), ("avif.avif",), ())
    (note,) = found.problems()
    assert (note.code, note.severity) == ("workers-less-confined", Severity.NOTE)
    assert layer in note.detail
    assert "avif.avif" in note.detail


def test_two_layers_that_do_harm_are_both_left_out() -> None:
    found = settled(Machine({"landlock": ("avif.avif",), "seccomp": ("h264.mp4",)}))
    assert found.without == OPTIONAL_LAYERS
    assert found.harmed == ("avif.avif", "h264.mp4")


@pytest.mark.parametrize("layer", OPTIONAL_LAYERS)
def test_a_layer_under_which_no_worker_starts_is_left_out(layer: str) -> None:
    found = settled(Machine({}, ends=layer))
    assert found.without == (layer,)
    assert "any worker" in found.problems()[0].detail


def test_a_format_that_is_read_nowhere_is_a_problem_and_no_layer_is_blamed() -> None:
    machine = Machine({}, broken=("h264.mp4",))
    found = settled(machine)
    assert (found.without, machine.asked) == ((), [OPTIONAL_LAYERS])
    (problem,) = found.problems()
    assert (problem.code, problem.severity) == ("canary-failed", Severity.PROBLEM)
    assert "h264.mp4 (undecodable)" in problem.detail


def test_a_format_that_is_read_nowhere_does_not_hide_the_harm_of_a_layer() -> None:
    found = settled(Machine({"seccomp": ("avif.avif",)}, broken=("h264.mp4",)))
    assert (found.without, found.harmed) == (("seccomp",), ("avif.avif",))
    assert [one.code for one in found.problems()] == ["workers-less-confined", "canary-failed"]


def test_where_no_worker_starts_at_all_the_confinement_is_not_blamed() -> None:
    assert judged(None, lambda _without: None) is None


def test_what_is_not_there_and_what_is_still_possible_is_said() -> None:
    here = Told(LAYERS[:-1], (("seccomp", "Function not implemented"),), 1, ("open-network",), ())
    (note,) = Settled(here).problems()
    assert note.severity is Severity.NOTE
    assert "open network connections" in note.detail
    assert "seccomp (Function not implemented)" in note.detail


GOOD: dict[str, Any] = {
    "active": ["memory", "seccomp"],
    "missing": {"landlock": "Function not implemented"},
    "landlock": 0,
    "possible": ["create-file"],
    "canary": {"jpeg.jpg": "sings"},
}


def test_what_a_worker_tells_survives_the_pipe() -> None:
    found = told_from_plain(protocol.from_json(protocol.to_json(GOOD)))
    missing = (("landlock", "Function not implemented"),)
    assert found == Told(("memory", "seccomp"), missing, 0, ("create-file",), (("jpeg.jpg", "sings"),))
    assert layers_told(protocol.to_json(GOOD)) == {"memory", "seccomp"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"active": ["root"]}, {"active": "memory"}, {"active": [1]}, {"active": ["memory"] * 100}, {"missing": ["x"]},
        {"missing": {"root": "x"}}, {"missing": {"landlock": 5}}, {"landlock": -1}, {"landlock": "7"},
        {"possible": ["fly"]}, {"canary": {"a": "b" * 1000}}, {"canary": {str(n): "sings" for n in range(1000)}},
        {"canary": []}, {"active": None}, {"active": [[]]},
    ],
)  # fmt: skip
def test_a_worker_that_tells_nonsense_is_not_believed(wrong: dict[str, Any]) -> None:
    with pytest.raises(protocol.ProtocolError):
        told_from_plain(GOOD | wrong)


@pytest.mark.parametrize("name", ["active", "missing", "landlock"])
def test_a_worker_that_says_nothing_of_its_confinement_is_not_believed(name: str) -> None:
    with pytest.raises(protocol.ProtocolError):
        told_from_plain({key: value for key, value in GOOD.items() if key != name})
