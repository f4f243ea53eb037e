"""A stored hash set (NAME.chs) whose files hostile bytes stand in: opening, exact and near look-up, its records.

An input is patches on the files of a good set, one after the other (fuzz/patches.py); with flag 1 the manifest is made
again to fit them (lengths, checksums, seal), as a hostile maker of sets would. Laws: opening and look-ups end in a
HashSetError or an answer within the set; a set whose verify passes without such help is the good one, and so are its
answers; verify ends in a VerificationError otherwise.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from caid_triage.errors import HashSetError, VerificationError
from caid_triage.hashset import hash_columns
from caid_triage.hashset.build import build_hashset, build_hashset_from_arrays
from caid_triage.hashset.manifest import generation_of, seal_of
from caid_triage.hashset.store import HashSet, open_hashset
from fuzz.patches import chosen, flags_of, patched, patching, places_of
from fuzz.target import Target, expect

KINDS = (("md5", 16), ("sha1", 20), ("sha256", 32))
NEAR = (("pdq", 32, (0, 31, 70)), ("phash", 8, (0, 8)))
# Each file begins on a unit of its own, so that a patch chooses a file as easily as a place in one.
ALIGNED = 512
MOST_UNITS = 8


def rows(length: int, count: int, seed: int, most: int = 256) -> Any:
    return np.random.default_rng(seed).integers(0, most, (count, length), dtype=np.uint8)


@cache
def sets() -> dict[str, dict[str, bytes]]:
    """The files of some good sets by name."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        folder = Path(made)
        build_hashset_from_arrays(
            folder / "all.chs", md5=rows(16, 40, 1), sha1=rows(20, 40, 2), sha256=rows(32, 40, 3), pdq=rows(32, 40, 4),
            phash=rows(8, 40, 5), photodna=rows(144, 40, 6), media_id=np.arange(40),
            category=["1", "2", "", "3"] * 10, name="all",
        )  # fmt: skip
        build_hashset_from_arrays(folder / "one.chs", md5=rows(16, 1, 7), name="one")
        with small_tables():
            build_hashset_from_arrays(folder / "tables.chs", pdq=rows(32, 40, 4), phash=rows(8, 40, 5), name="tables")
        video = folder / "video.txt"
        video.write_text("".join(f"{n},100,{row.tobytes().hex()},{n}.04\n" for n, row in enumerate(rows(32, 12, 8))))
        build_hashset([video], folder / "video.chs", name="video")
        found = {}
        for path in sorted(folder.glob("*.chs")):
            files = sorted(one for one in path.rglob("*") if one.is_file())
            found[path.stem] = {str(one.relative_to(path)): one.read_bytes() for one in files}
    return found


@contextmanager
def small_tables() -> Iterator[None]:
    """Sets are built as if they were large: with the tables of multi-index hashing."""
    write = hash_columns._write_index
    hash_columns._write_index = partial(write, least=1)  # type: ignore[assignment]
    try:
        yield
    finally:
        hash_columns._write_index = write


@cache
def wholes() -> dict[str, bytes]:
    """The files of each set as one row of bytes."""
    return {name: b"".join(_padded(data) for data in files.values()) for name, files in sets().items()}


@cache
def places(name: str) -> list[int]:
    """Some units of each file: the first, which has its header, and the last among them."""
    found, at = [], 0
    for data in sets()[name].values():
        units = places_of(data)
        found += [at + unit for unit in (units if len(units) <= MOST_UNITS else [*units[: MOST_UNITS - 1], units[-1]])]
        at += len(_padded(data))
    return found


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNED)


def files_of(name: str, data: bytes) -> dict[str, bytes]:
    """The files of a set after the patches of an input; where it was cut the last file is short, the rest gone."""
    made = patched(data, wholes()[name], places(name))
    found, at = {}, 0
    for file, good in sets()[name].items():
        piece = made[at : at + len(good)]
        at += len(_padded(good))
        if piece or not good:
            found[file] = piece
    return found


def fitted(files: dict[str, bytes]) -> dict[str, bytes]:
    """A manifest that fits the files as they are now, as far as it is JSON and they are arrays."""
    try:
        manifest = json.loads(files["manifest.json"])
        for column, facts in manifest["columns"].items():
            data = files.get(f"{manifest['folder']}/{column}", b"")
            facts |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            head = io.BytesIO(data)
            np.lib.format.read_magic(head)
            shape, _, dtype = np.lib.format.read_array_header_1_0(head)
            facts |= {"dtype": dtype.str, "shape": list(shape)}
        manifest["generation"] = generation_of(manifest)
        manifest["seal"] = seal_of(manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SyntaxError, TokenError):
        return files
    return files | {"manifest.json": json.dumps(manifest).encode()}


def queries(name: str, kind: str, length: int) -> Any:
    """What is asked for: every hash of the good set, and some that it does not have."""
    counts = {"all": 40, "one": 1, "tables": 40, "video": 12}
    seeds = {"md5": 7 if name == "one" else 1, "sha1": 2, "sha256": 3, "pdq": 8 if name == "video" else 4, "phash": 5,
             "photodna": 6}  # fmt: skip
    return np.concatenate([rows(length, counts[name], seeds[kind]), rows(length, 5, 99), rows(length, 1, 0, 1)])


def answers(name: str, found: HashSet) -> list[Any]:
    """Everything that is asked of a set, as plain data."""
    said: list[Any] = [len(found), found.name, found.generation, dict(found.counts)]
    for kind, length in KINDS:
        asked, records = found.exact(kind, queries(name, kind, length))
        _within(found, records, asked)
        said.append((kind, asked.tolist(), records.tolist(), _told(found, records)))
    for kind, length, radii in NEAR:
        for radius in radii:
            asked, records, distances = found.near(kind, queries(name, kind, length), radius)
            _within(found, records, asked)
            expect(not distances.size or int(distances.max()) <= radius, "farther than was asked for")
            said.append((kind, radius, asked.tolist(), records.tolist(), distances.tolist()))
    asked, records, distances = found.near_photodna(queries(name, "photodna", 144), 5_000)
    _within(found, records, asked)
    said.append((asked.tolist(), records.tolist(), distances.tolist()))
    videos = found.videos
    said.append(str(type(videos).__name__))
    return said


def _within(found: HashSet, records: Any, asked: Any) -> None:
    expect(len(records) == len(asked), "other rows than questions")
    inside = not records.size or (int(records.min()) >= 0 and int(records.max()) < len(found))
    expect(inside, "a record that the set does not have")


def _told(found: HashSet, records: Any) -> list[Any]:
    """What is said of records in a report."""
    told = found.records
    return [
        told.media_ids(records), told.series_of(records), told.sizes(records), told.flags_of(records),
        [(one.code, one.label) for one in found.categories(records)],
    ]  # fmt: skip


@cache
def good_answers(name: str) -> list[Any]:
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        return answers(name, open_hashset(_written(sets()[name], Path(made) / "set.chs")))


def _written(files: dict[str, bytes], path: Path) -> Path:
    for name, data in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return path


def check(data: bytes) -> str:
    name = chosen(data, sorted(sets()))
    files = files_of(name, data)
    helped = bool(flags_of(data) & 1)
    if helped:
        files = fitted(files)
    with tempfile.TemporaryDirectory(prefix="fuzz") as made:
        path = _written(files, Path(made) / "set.chs")
        try:
            found = open_hashset(path)
        except HashSetError as error:
            expect("set.chs" in str(error), "a refusal without the name of the set")
            return "not opened"
        try:
            found.verify()
            verified = True
        except VerificationError:
            verified = False
        try:
            said = answers(name, found)
        except HashSetError as error:
            expect("set.chs" in str(error), "a refusal without the name of the set")
            expect(not verified or helped, "a good set is refused")
            return "look-up refused"
        if verified and not helped:
            expect(_read(files) == _read(sets()[name]), "verify passes a set that is another")
            expect(said == good_answers(name), "another answer of a good set")
        return f"answered{', verified' if verified else ''}{', helped' if helped else ''}"


def _read(files: dict[str, bytes]) -> dict[str, Any]:
    """The files with the manifest as what it says: a tab for a blank between its words is the same set."""
    return files | {"manifest.json": json.loads(files["manifest.json"])}


def seeds() -> dict[str, bytes]:
    """The good sets, and one patch on each of them."""
    made = {}
    for number, name in enumerate(sorted(sets())):
        for flag in (0, 1):
            made[f"{name} {flag}"] = bytes((flag, number))
            made[f"{name} {flag}, patched"] = bytes((flag, number)) + b"\x05\0\x90\0\1\xff"
    return made


def prepare() -> None:
    """Make the sets once, and load what a look-up loads."""
    for name in sets():
        good_answers(name)


TARGET = Target(
    "store", "a stored hash set whose files are damaged or made by others", seeds, check, (), longest=2048,
    seconds=5.0, prepare=prepare, mutate=patching(wholes(), places),
)  # fmt: skip
