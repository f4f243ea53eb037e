"""The conformance test of plug-ins: a good one passes, each bad one is told what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from caid_triage import conformance
from caid_triage.conformance import NotConforming, check_perceptual_hash, faults_of, main


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "LARGE", (300, 400))


def means(pixels: np.ndarray) -> np.ndarray:
    """The means of 4 x 4 parts, uint8[16]: of the kind that a real hash is."""
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 1]
    rows = np.array_split(np.arange(grey.shape[0]), 4)
    columns = np.array_split(np.arange(grey.shape[1]), 4)
    parts = [grey[np.ix_(row, column)] for row in rows for column in columns]
    return np.array([part.mean() if part.size else 0 for part in parts]).astype(np.uint8)


def good(pixels: np.ndarray) -> tuple[bytes, int]:
    values = means(pixels)
    return values.tobytes(), min(100, int(values.std()))


def good_without_quality(pixels: np.ndarray) -> bytes:
    return np.repeat(means(pixels), 9).tobytes()


calls = iter(range(10**9))


def changes_pixels(pixels: np.ndarray) -> bytes:
    answer = means(pixels).tobytes()
    if pixels.flags.writeable:
        pixels[0, 0] = 255 - pixels[0, 0]
    return answer


def only_grey(pixels: np.ndarray) -> bytes:
    if pixels.ndim != 2:
        raise TypeError("grey only")
    return means(pixels).tobytes()


def needs_to_write(pixels: np.ndarray) -> bytes:
    pixels += 0
    return means(pixels).tobytes()


def turns_pictures(pixels: np.ndarray) -> bytes:
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 0]
    return min(hashlib.sha256(np.rot90(grey, turn).tobytes()).digest() for turn in range(4))


def of_shape(pixels: np.ndarray) -> bytes:
    return means(pixels).tobytes() + bytes([pixels.ndim])


def of_length(pixels: np.ndarray) -> bytes:
    return means(pixels).tobytes()[: 8 if pixels.ndim == 2 else 16]


def falls_over_small(pixels: np.ndarray) -> bytes:
    assert min(pixels.shape[:2]) >= 8
    return means(pixels).tobytes()


def sure_of_blanks(pixels: np.ndarray) -> tuple[bytes, int]:
    return means(pixels).tobytes(), 100


def at_times_sure(pixels: np.ndarray) -> bytes | tuple[bytes, int]:
    return good(pixels) if pixels.ndim == 2 else good(pixels)[0]


BAD: list[tuple[str, Callable[[Any], Any], str]] = [
    ("other", lambda _: bytes([next(calls) % 256]), "answers otherwise when asked"),
    ("other", lambda _: "text", "it answered str, but other must answer with 1 to 1,024 bytes"),
    ("other", lambda _: bytes(2000), "1 to 1,024 bytes"),
    ("other", lambda pixels: (means(pixels).tobytes(), 101), "quality of other must be 0 to 100"),
    ("photodna", lambda pixels: means(pixels).tobytes(), "144 bytes, not 16"),
    ("other", lambda _: b"same", "one hash to pictures that look nothing alike"),
    ("other", changes_pixels, "it changed the pixels of the picture 'grey'"),
    ("other", only_grey, "of the picture 'colour' it raised TypeError: grey only"),
    ("other", needs_to_write, "in memory that cannot be written to it raised ValueError"),
    ("other", turns_pictures, "turned by 90 degrees one hash"),
    ("other", of_shape, "three equal channels have two hashes"),
    ("other", of_length, "of 2 lengths (8, 16 bytes)"),
    ("other", falls_over_small, "of the picture '1 x 1' it raised AssertionError"),
    ("other", sure_of_blanks, "quality of the blank picture (100) is not below"),
    ("other", at_times_sure, "states a quality for some pictures and none for others"),
]


def test_good_plug_ins_conform() -> None:
    check_perceptual_hash("other", good)
    check_perceptual_hash("photodna", good_without_quality)


@pytest.mark.parametrize(("algorithm", "plugin", "words"), BAD, ids=[words for *_, words in BAD])
def test_a_bad_plug_in_is_told_what_is_wrong(algorithm: str, plugin: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(NotConforming) as caught:
        check_perceptual_hash(algorithm, plugin)
    assert words in str(caught.value)


def test_one_that_takes_its_time_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "MOST_SECONDS", -1.0)  # a coarse clock may say 0.0
    assert [fault for fault in faults_of("other", good) if "processor time" in fault]


def test_the_command_says_who_conforms(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    installed: dict[str, Any] = {"fine": good, "sure": sure_of_blanks}
    monkeypatch.setattr(conformance, "perceptual_hash_plugins", lambda: tuple(installed.items()))
    assert main(["fine"], said.append) == 0
    assert main([], said.append) == 1
    assert said[:2] == ["fine: conforms", "fine: conforms"]
    assert said[2] == "sure: 2 faults"
    assert main(["missing"], said.append) == 2
    installed.clear()
    assert main([], said.append) == 2
    assert said[-1] == "no plug-in is installed"
