"""Plug-ins for perceptual hashes: what is taken from them, and that one that fails costs nothing else."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from caid_triage import plugins
from caid_triage.errors import UsageError
from caid_triage.examine import examine as module
from caid_triage.examine.examine import Examiner
from caid_triage.model import DecodeState, Examination
from caid_triage.perceptual import hash_name
from caid_triage.scan.protocol import examination_from_plain, examination_to_plain


def jpeg() -> bytes:
    noise = np.random.default_rng(4).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def plain_names(found: Examination) -> list[str]:
    """The algorithms of the hashes, without this tool's own further looks and turns of the picture."""
    names = [hash_name(item.algorithm) for item in found.hashes]
    return [name.text for name in names if not name.look and not name.turned]


def examined(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, Any]) -> Examination:
    monkeypatch.setattr(module, "perceptual_hash_plugins", lambda: found)
    run = Examiner().begin()
    run.update(jpeg())
    return run.finish()


def test_a_plug_in_adds_its_hash_and_it_survives_the_way_to_the_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def photodna(pixels: np.ndarray) -> bytes:
        seen.append(pixels.shape)
        return bytes(range(144))

    found = examined(monkeypatch, ("photodna", photodna), ("other", lambda _: (b"1234", 70)))
    assert seen == [(240, 320)]
    assert plain_names(found) == ["pdq", "phash", "photodna", "other"]
    assert (found.hashes[-2].value, found.hashes[-2].quality) == (bytes(range(144)), None)
    assert (found.hashes[-1].value, found.hashes[-1].quality) == (b"1234", 70)
    assert found.problems == ()
    assert examination_from_plain(examination_to_plain(found), found.digests) == found


@pytest.mark.parametrize("answer", [b"", b"x" * 143, b"x" * 2000, "text", (b"x" * 144, 101), (b"x" * 144, True), None])
def test_an_answer_that_breaks_the_contract_is_a_problem_and_the_rest_stays(
    monkeypatch: pytest.MonkeyPatch, answer: Any
) -> None:
    found = examined(monkeypatch, ("photodna", lambda _: answer))
    assert plain_names(found) == ["pdq", "phash"]
    assert [(p.step, p.code) for p in found.problems] == [("hash", "plugin-failed")]
    assert found.decode_state is DecodeState.DECODED


def test_a_plug_in_that_raises_costs_only_its_own_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_pixels: np.ndarray) -> bytes:
        raise ZeroDivisionError

    found = examined(monkeypatch, ("broken", broken), ("fine", lambda _: b"ok"))
    assert plain_names(found) == ["pdq", "phash", "fine"]
    assert [p.code for p in found.problems] == ["plugin-failed"]


@pytest.mark.parametrize("name", ["pdq", "pdq-turned", "phash", "pdq-crop10", "photodna-turned", "vpdq", "twice"])
def test_a_name_that_is_taken_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    points = [SimpleNamespace(name=word, value=f"made:{word}", load=lambda: len) for word in (name, "twice")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    plugins.perceptual_hash_plugins.cache_clear()
    try:
        with pytest.raises(UsageError, match="taken"):
            plugins.perceptual_hash_plugins()
    finally:
        plugins.perceptual_hash_plugins.cache_clear()


def test_without_plug_ins_there_are_none() -> None:
    plugins.perceptual_hash_plugins.cache_clear()
    assert plugins.perceptual_hash_plugins() == ()
