"""Telling cameras apart by what files state: maker, model and serial number, compared as a person would compare them.

A serial number is unique within a maker's models at best, and many programs write one that means nothing. Which are not
used, and why, is decided here and written in docs/formats/metadata.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# More models than these with one serial number: then it is no camera's own.
MOST_MODELS = 2
LEAST_LETTERS = 3
PLACEHOLDERS = frozenset(
    {"na", "none", "null", "nil", "unknown", "undefined", "default", "serial", "serialnumber", "serialno", "sernum",
     "notavailable", "notset", "notapplicable", "empty", "test", "dummy", "camera", "digitalcamera", "xxxx", "deadbeef"}
)  # fmt: skip
RUNS = ("123456789012345678901234567890", "987654321098765432109876543210", "abcdefghijklmnopqrstuvwxyz")


@dataclass(frozen=True, slots=True, order=True)
class CameraKey:
    """What two files must have in common to state the same camera; ``serial`` "" for a model alone.

    ``internal``: the serial number is the one that is not on the body; the two kinds are never compared.
    """

    maker: str
    model: str
    serial: str
    internal: bool = False


def camera_key(said: Mapping[str, str]) -> CameraKey | None:
    """Return the camera that a file's metadata names, None where it names none."""
    maker = _letters(said.get("camera-make", "").split(" ")[0])
    model = _letters(said.get("camera-model", ""))
    model = model.removeprefix(maker) or model
    serial, internal = _number(said.get("camera-serial", "")), False
    if not serial:
        serial, internal = _number(said.get("camera-internal-serial", "")), True
    if not (maker or model or serial):
        return None
    return CameraKey(maker, model, serial, internal and bool(serial))


def camera_name(make: str, model: str) -> str:
    """Return maker and model for a reader, the maker's name once where the model begins with it."""
    first = make.split(" ", maxsplit=1)[0].casefold()
    return model if first and model.casefold().startswith(first) else f"{make} {model}".strip()


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _number(text: str) -> str:
    """A serial number as it is compared: some programs write the zeros before it and others do not."""
    letters = _letters(text)
    return (letters.lstrip("0") or "0") if letters.isdecimal() else letters


def unusable(key: CameraKey) -> str:
    """Return why a serial number tells nothing by itself, "" for one that may."""
    if not key.serial:
        return "no serial number"
    if not key.model:
        return "no model with it"
    if len(key.serial) < LEAST_LETTERS:
        return "too short"
    if len(set(key.serial)) == 1 or key.serial in PLACEHOLDERS or any(run.startswith(key.serial) for run in RUNS):
        return "a placeholder"
    if key.serial in (key.model, key.maker, key.maker + key.model):
        return "the name of the model"
    return ""


def reasons(keys: Iterable[CameraKey]) -> dict[CameraKey, str]:
    """Return for each camera of a case why its serial number links no files, "" where it does."""
    every = list(keys)
    models: defaultdict[tuple[str, bool], set[tuple[str, str]]] = defaultdict(set)
    for key in every:
        models[key.serial, key.internal].add((key.maker, key.model))
    found = {}
    for key in every:
        shared = len(models[key.serial, key.internal])
        found[key] = unusable(key) or (f"shared by {shared} models" if shared > MOST_MODELS else "")
    return found
