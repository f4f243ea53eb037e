"""LVM2 physical volumes: the logical volumes whose parts all lie on this one are opened, the others are named.

The layout is that of LVM2's own sources (lib/format_text/layout.h, import_vsn1.c): a label in one of the first four
sectors, a header with the places of the metadata areas, and in them the newest description of the volume group as
text, in sectors of 512 bytes. tests/unit/evidence/test_lvm.py compares with libvslvm.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from caid_triage.evidence.faults import LIBRARY_ERRORS
from caid_triage.evidence.layers.layer import UNWRAPPED, Area, Child, Unwrapped
from caid_triage.evidence.layers.view import Claim, Run, view_of_runs
from caid_triage.evidence.secrets import Secrets
from caid_triage.model import Problem

NAME = "LVM2 physical volume"
_SECTOR = 512
_MAGIC = b" LVM2 x[5A%r0N*>"
_LONGEST_TEXT = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9+_.-]{1,127}")
_DEEPEST = 8
_MOST_AREAS = 16
_MOST_RUNS = 100_000

Value: TypeAlias = "str | int | list[Value] | dict[str, Value]"
Section: TypeAlias = dict[str, Value]

_TOKEN = re.compile(r'\s*(?:#[^\n]*\s*)*("(?:[^"\\]|\\.)*"|[{}\[\]=,]|[^\s{}\[\]=,"#]+)')


def unwrap_lvm(area: Area, _secrets: Secrets) -> Unwrapped | None:
    """The logical volumes on a physical volume."""
    label = next((at for at in range(0, 4 * _SECTOR, _SECTOR) if area.head[at : at + 8] == b"LABELONE"), None)
    if label is None or area.head[label + 24 : label + 32] != b"LVM2 001":
        return None
    try:
        identifier, text = _metadata(area, label)
        group_name, group = _group(text)
        own = next(
            (name for name, pv in _sections(group, "physical_volumes") if _plain_id(pv.get("id")) == identifier), None
        )
        if own is None:
            return _not_read(area, f"the volume group {group_name} does not know this physical volume")
        return _unwrapped(area, group_name, group, own)
    except (*LIBRARY_ERRORS, struct.error, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, ValueError) else "its description is damaged"
        return _not_read(area, reason)


def _not_read(area: Area, reason: str) -> Unwrapped:
    detail = f"this volume is an {NAME} and its logical volumes could not be read: {reason}"
    return Unwrapped(NAME, "not-understood", problems=(Problem("open", "layer-damaged", detail, volume=area.name),))


# ---------------------------------------------------------------- the label and the text behind it


def _crc(data: bytes) -> int:
    """LVM2's checksum: CRC-32 begun with its own number and not inverted at the end."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _metadata(area: Area, label: int) -> tuple[str, str]:
    """This physical volume's identifier, and the newest text of its volume group. Errors: ValueError."""
    (checksum, offset) = struct.unpack_from("<II", area.head, label + 16)
    if _crc(area.head[label + 20 : label + _SECTOR]) != checksum:
        raise ValueError("its label does not agree with its checksum")
    if not 32 <= offset <= _SECTOR - 40:
        raise ValueError("its label points nowhere")
    header = area.head[label + offset : label + _SECTOR]
    identifier = header[:32].decode("ascii")
    places = [struct.unpack_from("<QQ", header, at) for at in range(40, len(header) - 15, 16)]
    end = places.index((0, 0))  # data areas, a pair of zeros, metadata areas, a pair of zeros
    best: tuple[int, str] | None = None
    for start, _ in places[end + 1 : end + 1 + _MOST_AREAS]:
        if not start:
            break
        for text in _texts(area, start):
            found = re.search(r"\bseqno\s*=\s*(\d{1,18})", text)
            number = int(found[1]) if found else 0
            if best is None or number > best[0]:
                best = number, text
    if best is None:
        raise ValueError("no description of its volume group could be read")
    return identifier, best[1]


def _texts(area: Area, start: int) -> Iterator[str]:
    """The text that a metadata area says is the present one, if its checksum is right."""
    header = area.read(start, _SECTOR)
    if len(header) < _SECTOR or header[4:20] != _MAGIC:
        return
    _, begin, size = struct.unpack_from("<IQQ", header, 20)
    offset, length, checksum, _ = struct.unpack_from("<QQII", header, 40)
    if not _SECTOR <= offset < size or not 0 < length <= min(size - _SECTOR, _LONGEST_TEXT):
        return
    text = area.read(begin + offset, min(length, size - offset))
    if len(text) < length:  # the area is a ring behind its header
        text += area.read(begin + _SECTOR, length - len(text))
    if _crc(text) == checksum:
        yield text.rstrip(b"\0").decode("utf-8", "replace")


def parse(text: str) -> Section:
    """LVM2's text as nested dicts. Errors: ValueError."""
    tokens = [match[1] for match in _TOKEN.finditer(text)]
    place = 0

    def taken() -> str:
        nonlocal place
        if place >= len(tokens):
            raise ValueError("its description ends too early")
        place += 1
        return tokens[place - 1]

    def value(word: str) -> Value:
        if word == "[":
            items: list[Value] = []
            while (word := taken()) != "]":
                if word == "[":
                    raise ValueError("its description nests lists")
                if word != ",":
                    items.append(value(word))
            return items
        if word.startswith('"'):
            return re.sub(r"\\(.)", r"\1", word[1:-1])
        return int(word) if re.fullmatch(r"-?\d{1,18}", word) else word

    def section(depth: int) -> Section:
        if depth > _DEEPEST:
            raise ValueError("its description nests too deep")
        found: Section = {}
        while place < len(tokens):
            name = taken()
            if name == "}":
                return found
            mark = taken()
            if mark == "{":
                found[name] = section(depth + 1)
            elif mark == "=":
                found[name] = value(taken())
            else:
                raise ValueError("its description is damaged")
        return found

    return section(0)


def _group(text: str) -> tuple[str, Section]:
    """The name and the section of the volume group. Errors: ValueError."""
    for name, found in parse(text).items():
        if isinstance(found, dict) and "physical_volumes" in found:
            return name, found
    raise ValueError("its description names no volume group")


def _sections(parent: Section, name: str) -> list[tuple[str, Section]]:
    inside = parent.get(name, {})
    return (
        [(key, found) for key, found in inside.items() if isinstance(found, dict)] if isinstance(inside, dict) else []
    )


def _plain_id(value: Value | None) -> str:
    return value.replace("-", "") if isinstance(value, str) else ""


def _number(section: Section, name: str) -> int:
    found = section[name]
    if not isinstance(found, int) or not 0 <= found < 1 << 53:
        raise ValueError(f"{name} is no number in its description")
    return found


# ---------------------------------------------------------------- logical volumes


class _Missing(Exception):  # noqa: N818 - no fault: the rest of it lies elsewhere
    """Why a logical volume cannot be put together here."""


@dataclass(slots=True)
class _Group:
    """A volume group as seen from one of its physical volumes."""

    area: Area
    extent: int
    own: str
    first: int  # byte of the area where extent 0 of the own physical volume begins
    volumes: dict[str, Section]

    def runs(self, name: str, depth: int = 0) -> list[Run]:
        """Where a logical volume lies on this physical volume, from its first byte on. Errors: _Missing, ValueError."""
        if depth > _DEEPEST:
            raise ValueError("logical volumes lie in each other in a circle")
        volume = self.volumes.get(name)
        if volume is None:
            raise _Missing(f"it is built of {name}, which is not described")
        runs: list[Run] = []
        segments = sorted(
            (item for key, item in volume.items() if key.startswith("segment") and isinstance(item, dict)),
            key=lambda item: _number(item, "start_extent"),
        )
        at = 0
        for segment in segments:
            if _number(segment, "start_extent") * self.extent != at:
                raise _Missing("its parts do not follow each other")
            length = _number(segment, "extent_count") * self.extent
            runs += self._segment(segment, at, length, depth)
            at += length
            if len(runs) > _MOST_RUNS:
                raise ValueError("a logical volume has too many parts")
        return runs

    def _segment(self, segment: Section, at: int, length: int, depth: int) -> list[Run]:
        kind = segment.get("type")
        if kind == "striped" and _number(segment, "stripe_count") == 1:
            where, extent = _pair(segment, "stripes")
            if where != self.own:
                raise _Missing(f"a part of it lies on another physical volume ({where})")
            place = self.first + extent * self.extent
            if place + length > self.area.length:
                raise _Missing("a part of it lies behind the end of this physical volume")
            return [Run(at, length, self.area.offset + place)]
        if kind in ("raid1", "mirror"):  # every copy is the whole; the first that lies here is taken
            legs = segment.get("raids" if kind == "raid1" else "mirrors")
            names = [item for item in legs if isinstance(item, str)] if isinstance(legs, list) else []
            for name in names[1::2] if kind == "raid1" else names:
                try:
                    copy = self.runs(name, depth + 1)
                except _Missing:
                    continue
                if sum(run.length for run in copy) >= length:
                    return [Run(at + run.start, min(run.length, length - run.start), run.at) for run in copy
                            if run.start < length]  # fmt: skip
            raise _Missing("none of its copies lies wholly on this physical volume")
        count = segment.get("stripe_count")
        raise _Missing(f"it is of the kind {kind}" + (f" over {count} stripes" if kind == "striped" else ""))

    def touches(self, name: str) -> bool:
        """Whether any part of a logical volume, or of what it is built of, lies on this physical volume."""
        pending, seen = [name], {name}
        while pending:
            for key, segment in self.volumes.get(pending.pop(), {}).items():
                if not key.startswith("segment") or not isinstance(segment, dict):
                    continue
                said = [item for name, item in segment.items() if name not in ("type", "tags")]
                words = [word for item in said for word in (item if isinstance(item, list) else [item])]
                if self.own in words:
                    return True
                below = {word for word in words if isinstance(word, str) and word in self.volumes} - seen
                pending += sorted(below)
                seen |= below
        return False


def _pair(segment: Section, name: str) -> tuple[str, int]:
    found = segment.get(name)
    if isinstance(found, list) and len(found) == 2 and isinstance(found[0], str) and isinstance(found[1], int):
        return found[0], found[1]
    raise ValueError(f"{name} of a logical volume are damaged")


def _unwrapped(area: Area, group_name: str, group: Section, own: str) -> Unwrapped:
    extent = _number(group, "extent_size") * _SECTOR
    present = dict(_sections(group, "physical_volumes"))
    if not extent:
        raise ValueError("its extents have no size")
    first = _number(present[own], "pe_start") * _SECTOR
    view = _Group(area, extent, own, first, dict(_sections(group, "logical_volumes")))
    children, elsewhere = [], 0
    for name, volume in sorted(view.volumes.items()):
        status = volume.get("status")
        if not isinstance(status, list) or "VISIBLE" not in status:
            continue
        if not view.touches(name):
            elsewhere += 1
            continue
        if not _NAME.fullmatch(name):
            raise ValueError("a logical volume has a name that LVM2 does not allow")
        description = f"logical volume {name} of the volume group {group_name} (LVM2)"
        try:
            runs = view.runs(name)
            if not runs:
                raise _Missing("it has no parts")
            children.append(Child(name, description, view_of_runs(area.image, runs)))
        except _Missing as missing:
            detail = f"this logical volume could not be put together: {missing}. None of its files were examined"
            problem = Problem("open", "volume-incomplete", detail, volume=f"{area.name}/{name}")
            children.append(Child(name, description, None, problems=(problem,)))
    problems = []
    if len(present) > 1:
        detail = (
            f"the volume group {group_name} has {len(present)} physical volumes; only logical volumes that lie wholly "
            f"on one of them are opened, and {elsewhere} have no part on this one"
        )
        problems.append(Problem("open", "volume-group-spread", detail, volume=area.name))
    claims: tuple[Claim, ...] = ((area.offset, min(first, area.length), "partition_table"),)
    return Unwrapped(NAME, UNWRAPPED, tuple(children), tuple(problems), claims)
