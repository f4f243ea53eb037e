"""The label of an LVM2 physical volume and the text that describes its volume group.

The layout is that of LVM2's own sources (lib/format_text/layout.h, import_vsn1.c): a label in one of the first four
sectors, a header with the places of the metadata areas, and in them the newest description of the volume group as
text, in sectors of 512 bytes.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import TypeAlias

from caid_triage.evidence.layers.layer import Area

SECTOR = 512
_MAGIC = b" LVM2 x[5A%r0N*>"
_LONGEST_TEXT = 16 << 20
_DEEPEST = 8
_MOST_AREAS = 16

Value: TypeAlias = "str | int | list[Value] | dict[str, Value]"
Section: TypeAlias = dict[str, Value]

# A comment is a token without a group. A text that nothing closes is one to its end: to look for the end of each of
# its quotation marks anew would take a day for 16 MiB.
_TOKEN = re.compile(r'#[^\n]*|("(?:[^"\\]|\\.)*+"?|[{}\[\]=,]|[^\s{}\[\]=,"#]+)')
_CLOSED = re.compile(r'"(?:[^"\\]|\\.)*+"')


def checksum_of(data: bytes) -> int:
    """LVM2's checksum: CRC-32 begun with its own number and not inverted at the end."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def label_of(head: bytes) -> int | None:
    """Where in the first four sectors of a volume the label of a physical volume stands; None where there is none."""
    places = (at for at in range(0, 4 * SECTOR, SECTOR) if head[at : at + 8] == b"LABELONE")
    label = next(places, None)
    return label if label is not None and head[label + 24 : label + 32] == b"LVM2 001" else None


def metadata(area: Area, label: int) -> tuple[str, list[str]]:
    """This physical volume's identifier, and the texts of its volume group that it keeps. Errors: ValueError."""
    (checksum, offset) = struct.unpack_from("<II", area.head, label + 16)
    if checksum_of(area.head[label + 20 : label + SECTOR]) != checksum:
        raise ValueError("its label does not agree with its checksum")
    if not 32 <= offset <= SECTOR - 40:
        raise ValueError("its label points nowhere")
    header = area.head[label + offset : label + SECTOR]
    identifier = header[:32].decode("ascii")
    places = [struct.unpack_from("<QQ", header, at) for at in range(40, len(header) - 15, 16)]
    end = places.index((0, 0))  # data areas, a pair of zeros, metadata areas, a pair of zeros
    texts: list[str] = []
    for start, _ in places[end + 1 : end + 1 + _MOST_AREAS]:
        if not start:
            break
        texts += _texts(area, start)
    return identifier, texts


def number_of_change(text: str) -> int:
    """How often the volume group was changed before this text was written; of several the highest is the present."""
    found = re.search(r"\bseqno\s*=\s*(\d{1,18})", text)
    return int(found[1]) if found else 0


def _texts(area: Area, start: int) -> Iterator[str]:
    """The text that a metadata area says is the present one, if its checksum is right."""
    header = area.read(start, SECTOR)
    if len(header) < SECTOR or header[4:20] != _MAGIC:
        return
    _, begin, size = struct.unpack_from("<IQQ", header, 20)
    offset, length, checksum, _ = struct.unpack_from("<QQII", header, 40)
    if not SECTOR <= offset < size or not 0 < length <= min(size - SECTOR, _LONGEST_TEXT):
        return
    text = area.read(begin + offset, min(length, size - offset))
    if len(text) < length:  # the area is a ring behind its header
        text += area.read(begin + SECTOR, length - len(text))
    if checksum_of(text) == checksum:
        yield text.rstrip(b"\0").decode("utf-8", "replace")


def parse(text: str) -> Section:
    """LVM2's text as nested dicts. Errors: ValueError."""
    tokens = [match[1] for match in _TOKEN.finditer(text) if match[1]]
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
            if not _CLOSED.fullmatch(word):
                raise ValueError("its description has a text that does not end")
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


def group_of(text: str) -> tuple[str, Section]:
    """The name and the section of the volume group. Errors: ValueError."""
    for name, found in parse(text).items():
        if isinstance(found, dict) and "physical_volumes" in found:
            return name, found
    raise ValueError("its description names no volume group")


def sections(parent: Section, name: str) -> list[tuple[str, Section]]:
    """The named sections inside a section of a section; none where there is no such."""
    inside = parent.get(name, {})
    return (
        [(key, found) for key, found in inside.items() if isinstance(found, dict)] if isinstance(inside, dict) else []
    )


def plain_id(value: Value | None) -> str:
    """An identifier without its dashes, as the label has it."""
    return value.replace("-", "") if isinstance(value, str) else ""


def number_of(section: Section, name: str) -> int:
    """A count or place that a section gives. Errors: ValueError, KeyError."""
    found = section[name]
    if not isinstance(found, int) or not 0 <= found < 1 << 53:
        raise ValueError(f"{name} is no number in its description")
    return found
