"""What a plug-in for a perceptual hash must do, as a test that its author runs: ``python -m caid_triage.conformance``.

    python -m caid_triage.conformance                 every installed plug-in
    python -m caid_triage.conformance NAME            one of them
    check_perceptual_hash("photodna", of_pixels)      the same from a test of one's own; raises NotConforming

The pictures are made here and show nothing. What is asked of a plug-in and why: docs/formats/plugins.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from caid_triage.examine.decoded import DECODER_ERRORS
from caid_triage.plugins import HashPlugin, checked_hash, perceptual_hash_plugins

Pixels = NDArray[np.uint8]
Answer = tuple[bytes, int | None]

# Seconds of processor time for the 12 megapixels: a tenth of what a scan allows for a file.
MOST_SECONDS = 5.0
LARGE = (3000, 4000)


class NotConforming(Exception):  # noqa: N818  it names a verdict, not a mistake
    """A plug-in broke the contract; the message says all that was found, a line each."""


def check_perceptual_hash(algorithm: str, plugin: HashPlugin) -> None:
    """Try a plug-in against the contract; NotConforming says everything that is wrong with it."""
    faults = tuple(faults_of(algorithm, plugin))
    if faults:
        raise NotConforming("\n".join(f"{algorithm}: {fault}" for fault in faults))


def faults_of(algorithm: str, plugin: HashPlugin) -> Iterator[str]:
    """Yield what is wrong with a plug-in, in words."""
    answers: dict[str, Answer] = {}
    for name, pixels in pictures().items():
        yield from _one(algorithm, plugin, name, pixels, answers)
    lengths = {len(value) for value, _ in answers.values()}
    if len(lengths) > 1:
        yield f"its hashes are of {len(lengths)} lengths ({', '.join(map(str, sorted(lengths)))} bytes); one is allowed"
    if len({quality is None for _, quality in answers.values()}) > 1:
        yield "it states a quality for some pictures and none for others; do one or the other"
    yield from _compared(answers)
    yield from _large(algorithm, plugin)


def pictures() -> dict[str, Pixels]:
    """The pictures that are tried, by what they are: made, seeded, benign."""
    rng = np.random.default_rng(20)
    scene = _scene(rng, 240, 320)
    colour = np.stack([scene, _scene(rng, 240, 320), _scene(rng, 240, 320)], axis=2)
    tall = _scene(rng, 320, 240)
    return {
        "grey": scene,
        "colour": colour,
        "the grey one as colour": np.repeat(scene[:, :, None], 3, axis=2),
        "another": tall,
        "turned by 90 degrees": np.ascontiguousarray(np.rot90(scene)),
        "1 x 1": np.full((1, 1), 128, np.uint8),
        "1 x 1 in colour": np.full((1, 1, 3), 128, np.uint8),
        "3 x 500": _scene(rng, 3, 500),
        "blank": np.full((200, 300), 255, np.uint8),
        "black in colour": np.zeros((200, 300, 3), np.uint8),
    }


def _scene(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Return soft blobs with edges: enough for any hash of what a picture looks like."""
    coarse = rng.integers(0, 256, (height // 40 + 2, width // 40 + 2)).astype(np.float64)
    rows, columns = np.linspace(0, coarse.shape[0] - 1.001, height), np.linspace(0, coarse.shape[1] - 1.001, width)
    top, left = rows.astype(int), columns.astype(int)
    down, across = (rows - top)[:, None], columns - left
    upper = coarse[top][:, left] * (1 - across) + coarse[top][:, left + 1] * across
    lower = coarse[top + 1][:, left] * (1 - across) + coarse[top + 1][:, left + 1] * across
    return np.asarray(np.rint(upper * (1 - down) + lower * down), dtype=np.uint8)


def _one(algorithm: str, plugin: HashPlugin, name: str, pixels: Pixels, answers: dict[str, Answer]) -> Iterator[str]:
    """Ask about one picture, twice, and of a copy that may not be written to; keep a good answer."""
    before = pixels.copy()
    found, fault = _asked(algorithm, plugin, pixels)
    if found is None:
        yield f"of the picture {name!r} {fault}"
        return
    answers[name] = found
    if not np.array_equal(before, pixels):
        yield f"it changed the pixels of the picture {name!r}, which others look at after it"
    again, _ = _asked(algorithm, plugin, before.copy())
    if again != found:
        yield f"it answers otherwise when asked about the picture {name!r} again: the same pixels must give the same"
    locked = before.copy()
    locked.flags.writeable = False
    read_only, fault = _asked(algorithm, plugin, locked)
    if read_only != found:
        yield f"of the picture {name!r} in memory that cannot be written to {fault or 'it says something else'}"


def _asked(algorithm: str, plugin: HashPlugin, pixels: Pixels) -> tuple[Answer | None, str]:
    """Return what a plug-in answers within the contract, or what it did instead."""
    try:
        answer = plugin(pixels)
    except DECODER_ERRORS as error:
        return None, f"it raised {type(error).__name__}: {error}"
    try:
        return checked_hash(algorithm, answer), ""
    except ValueError as error:
        return None, f"it answered {type(answer).__name__}, but {error}"


def _compared(answers: dict[str, Answer]) -> Iterator[str]:
    """Yield what is wrong between the answers of different pictures."""

    def same(one: str, other: str) -> bool:
        return one in answers and other in answers and answers[one][0] == answers[other][0]

    if same("grey", "another") and same("colour", "grey"):
        yield "it gives one hash to pictures that look nothing alike"
    if same("grey", "turned by 90 degrees"):
        yield "it gives a picture and the same turned by 90 degrees one hash: the stored pixels are to be hashed"
    if {"grey", "the grey one as colour"} <= answers.keys() and not same("grey", "the grey one as colour"):
        yield "a grey picture and the same in three equal channels have two hashes, but large JPEGs come in grey"
    qualities = {name: quality for name, (_, quality) in answers.items() if quality is not None}
    shown = qualities.get("colour")
    for name in ("blank", "black in colour"):
        if shown is not None and name in qualities and qualities[name] >= shown:
            which = name.split()[0]
            yield f"the quality of the {which} picture ({qualities[name]}) is not below that of a scene ({shown})"


def _large(algorithm: str, plugin: HashPlugin) -> Iterator[str]:
    """Ask about 12 megapixels, against the clock."""
    rng = np.random.default_rng(21)
    large = _scene(rng, *LARGE)
    began = time.process_time()
    found, fault = _asked(algorithm, plugin, np.repeat(large[:, :, None], 3, axis=2))
    seconds = time.process_time() - began
    if found is None:
        yield f"of a picture of 12 megapixels {fault}"
    if seconds > MOST_SECONDS:
        yield f"12 megapixels took it {seconds:.1f} s of processor time; at most {MOST_SECONDS:.0f} are allowed"


def main(arguments: Sequence[str], say: Callable[[str], object]) -> int:
    """Check the installed plug-ins (or those named): 0 if all conform, 1 if one does not, 2 if there is none."""
    installed = dict(perceptual_hash_plugins())
    missing = [name for name in arguments if name not in installed]
    if missing or not installed:
        say(f"no plug-in is installed as {', '.join(missing)}" if missing else "no plug-in is installed")
        return 2
    status = 0
    for name in arguments or installed:
        faults = tuple(faults_of(name, installed[name]))
        say(f"{name}: " + ("conforms" if not faults else f"{len(faults)} faults"))
        for fault in faults:
            say(f"  {fault}")
        status = status or int(bool(faults))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda line: sys.stdout.write(line + "\n")))
