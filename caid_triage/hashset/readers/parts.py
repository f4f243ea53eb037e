"""Sets that come in several files ("gold disks"): in which order they are read, and whether one is missing or double.

What is told from names: ``... 3 of 5``, ``part-03``, ``set_0001``. What is certain comes from a list of parts,
a checksum list as md5sum, sha1sum or sha256sum write it, if the giver of the set provides one.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from caid_triage.errors import HashSetError
from caid_triage.hashset.rows import printable

_OF = re.compile(r"(?P<number>\d{1,5})[ _-]*(?:of|von)[ _-]*(?P<count>\d{1,5})", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,5}")
_LISTED = re.compile(r"\\?(?P<digest>[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64})[ \t]+\*?(?P<name>.+)")
_BSD = re.compile(r"(?:MD5|SHA-?1|SHA-?256)[ \t]*\((?P<name>.+)\)[ \t]*=[ \t]*(?P<digest>[0-9A-Fa-f]{32,64})", re.I)
_BY_LENGTH = {32: "md5", 40: "sha1", 64: "sha256"}
_MAX_LIST = 1 << 24
_MAX_NAMED = 20


def order_of_parts(paths: Sequence[Path]) -> list[Path]:
    """The files in the natural order of their names (2 before 10), each once: however they were given, one set."""
    once = {path.resolve(): path for path in reversed(paths)}
    return sorted(once.values(), key=lambda path: (_natural(path.name), str(path)))


def check_parts(paths: Sequence[Path], parts_list: Path | None = None) -> list[str]:
    """What is missing from a set of several files, a sentence each; [] if nothing is known to be.

    HashSetError if a file is there but is not the one in ``parts_list``: that is damage, not a gap.
    """
    return (_from_list(paths, parts_list) if parts_list else []) + _from_names([path.name for path in paths])


def without_repeats(given: Sequence[Path], parts: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The parts of which no earlier one holds the same bytes, and a sentence for each that was given again.

    ``given`` are the files as they were named, ``parts`` the same each once and in order. Only files of one size are
    compared, by their SHA-256.
    """
    times = Counter(path.resolve() for path in given)
    said = [
        f"{printable(path.name)}: given {count} times, counted once. Nothing is lost."
        for path in parts
        if (count := times[path.resolve()]) > 1
    ]
    sizes = Counter(path.stat().st_size for path in parts if path.is_file())
    first: dict[str, Path] = {}
    kept = []
    for path in parts:
        if path.is_file() and sizes[path.stat().st_size] > 1:
            before = first.setdefault(_digest(path, "sha256"), path)
            if before is not path:
                said.append(
                    f"{printable(path.name)}: holds the same bytes as {printable(before.name)}: counted once, nothing "
                    "is lost. If it should be another part, copy it again from its source."
                )
                continue
        kept.append(path)
    return kept, said


def _from_names(names: Sequence[str]) -> list[str]:
    """Gaps in the numbering of names that are alike but for one number."""
    counted: dict[tuple[str, str, int], set[int]] = {}
    numbered: dict[tuple[str, str], set[int]] = {}
    for name in names:
        if match := _OF.search(name):
            key = (name[: match.start()], name[match.end() :], int(match["count"]))
            counted.setdefault(key, set()).add(int(match["number"]))
            continue
        for match in _NUMBER.finditer(name):
            numbered.setdefault((name[: match.start()], name[match.end() :]), set()).add(int(match[0]))
    said = []
    for (before, after, count), found in sorted(counted.items()):
        missing = [number for number in range(1, count + 1) if number not in found]
        if missing:
            said.append(f"{printable(before)}...{printable(after)}: {_parts(missing)} of {count} not given.")
    for (before, after), found in sorted(numbered.items()):
        missing = [number for number in range(1, max(found)) if number not in found]
        # One name alone may have a number for any reason, and names of which most lack are dates, not parts.
        if len(found) > 1 and 0 < len(missing) <= len(found):
            said.append(f"{printable(before)}...{printable(after)}: {_parts(missing)} not given, up to {max(found)}.")
    return said


def _from_list(paths: Sequence[Path], parts_list: Path) -> list[str]:
    """Parts that the list names and that were not given, and files that it does not name."""
    listed = _listed(parts_list)
    given = {path.name: path for path in paths}
    for name, digest in listed.items():
        if name in given and _digest(given[name], _BY_LENGTH[len(digest)]) != digest:
            raise HashSetError(
                f"{printable(name)}: is not the file that {printable(parts_list.name)} names: its checksum differs. "
                "Copy it again. Nothing was imported."
            )
    where = printable(parts_list.name)
    said = [f"{printable(name)}: named in {where}, not given." for name in sorted(listed) if name not in given]
    return said + [f"{printable(name)}: given, not named in {where}." for name in sorted(given) if name not in listed]


def _listed(parts_list: Path) -> dict[str, str]:
    try:
        with parts_list.open("rb") as file:
            text = file.read(_MAX_LIST).decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise HashSetError(f"{printable(parts_list.name)}: cannot be read: {error.strerror or error}.") from error
    listed: dict[str, str] = {}
    for line in text.splitlines():
        match = _BSD.fullmatch(line.strip()) or _LISTED.fullmatch(line.strip())
        if match and len(match["digest"]) in _BY_LENGTH:
            listed[re.split(r"[/\\]", match["name"].strip())[-1]] = match["digest"].lower()
    if not listed:
        raise HashSetError(
            f"{printable(parts_list.name)}: names no part. A list of parts is what md5sum, sha1sum or sha256sum write."
        )
    return listed


def _digest(path: Path, algorithm: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise HashSetError(f"{printable(path.name)}: cannot be read: {error.strerror or error}.") from error


def _parts(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MAX_NAMED])) + (" ..." if len(numbers) > _MAX_NAMED else "")
    return f"part {shown}" if len(numbers) == 1 else f"parts {shown}"


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", name.lower())]
