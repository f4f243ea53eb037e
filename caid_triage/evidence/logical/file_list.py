"""The list of files of L01 and Lx01: text in categories, of which "entry" holds the tree of files.

Format: libyal, "Expert Witness Compression Format", section "ltree", the same text in Lx01: UTF-16 little-endian lines
of tab separated values; half surrogate pairs occur. After the line "entry" come a line that is not needed, the tags of
the values, and the tree from its root down, two lines for each node: its type and how many nodes lie in it, then its
values. Here used: n name, p is a folder, ls size, be extents in the data (a count, then an offset and a length for
each, hexadecimal), opr flags, du where the same data lies already, cr ac wr mo times (UNIX), ha MD5, sha SHA-1, id.
A stream is called after its file with a middle dot between.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from caid_triage.evidence.logical.image import (
    LogicalFile,
    depth_problem,
    list_damaged,
    name_bytes,
    text_bytes,
    too_deep,
)
from caid_triage.evidence.times import unix_time
from caid_triage.model import FileTimes, Problem, State

ZONE_NOTE = "UTC as the program that made the image took it"
EXTENTS, REPEATED = 0, 1
"""The first number of a place: extents (offset, length) follow, or the offset of one byte that fills the content."""

_DELETED, _STREAM, _FOLDER, _SPARSE = 0x80, 0x2000, 0x02000000, 0x04000000
_MIDDLE_DOT = "\u00b7"
_LONGEST_LINE = 1 << 22
_MOST_EXTENTS = 10_000
_LARGEST_FILLED = 64 << 30  # bytes of a file that is one byte over and over: nothing but time bounds it otherwise


@dataclass(slots=True)
class _Folder:
    """A node whose children are being read: how many are to come, its names from the root, whether it is too deep."""

    left: int
    names: tuple[bytes, ...]
    lost: bool


def lines_of(blocks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a text that comes in blocks of bytes. ValueError at one that is longer than any can be."""
    decoder = codecs.getincrementaldecoder("utf-16-le")("surrogatepass")
    rest = ""
    for block in blocks:
        lines = (rest + decoder.decode(block)).split("\n")
        rest = lines.pop()
        if len(rest) > _LONGEST_LINE:
            raise ValueError("it has a line of more than 4 million characters")
        yield from lines
    yield rest


def total_bytes(lines: Iterable[str]) -> int | None:
    """The bytes of the data, from the category "rec"; None where the text does not begin as a list of files does."""
    head = iter(lines)
    if not next(head, "").lstrip("\ufeff").strip().isdigit() or next(head, "") != "rec":
        return None
    tags, values = next(head, "").split("\t"), next(head, "").split("\t")
    found = dict(zip(tags, values, strict=False)).get("tb", "")
    return _number(found, 10)


def files_of(lines: Iterator[str], data_size: int) -> Iterator[LogicalFile | Problem]:
    """The files of the tree, whose data is of ``data_size`` bytes; a Problem where it breaks, which ends it.

    ValueError where :func:`lines_of` raises it.
    """
    for line in lines:
        if line == "entry":
            break
    else:
        yield list_damaged("it has no entries")
        return
    next(lines, "")
    tags = next(lines, "").split("\t")
    if "n" not in tags or "ls" not in tags:
        yield list_damaged("its entries do not say what their values are")
        return
    pending: list[_Folder] = []
    at_root = True
    while at_root or pending:
        counts, row = next(lines, ""), next(lines, None)
        children = _number(counts.split("\t")[1] if counts.count("\t") == 1 else "", 10)
        if children is None or row is None:
            yield list_damaged(f"it breaks off, and {sum(folder.left for folder in pending)} entries are missing")
            return
        values = {tag: value for tag, value in zip(tags, row.split("\t"), strict=False) if value}
        parent = pending[-1] if pending else None
        names = (*parent.names, name_bytes(values.get("n", ""))) if parent else ()
        lost = parent is not None and parent.lost
        if not lost and too_deep(names):
            lost = True
            yield depth_problem(names)
        if parent is not None and not lost and not _is_folder(values, children):
            yield _file(names, values, data_size)
        if parent is not None:
            parent.left -= 1
        if children:
            pending.append(_Folder(children, names if not lost else (), lost))
        while pending and not pending[-1].left:
            pending.pop()
        at_root = False


def _is_folder(values: Mapping[str, str], children: int) -> bool:
    """Whether a node is a folder and nothing else.

    One that has bytes of its own is a file too: a mounted archive is a parent and would be missed otherwise.
    """
    holds = values.get("p") == "1" or bool(_flags(values) & _FOLDER) or children > 0
    return holds and not _number(values.get("ls", ""), 10)


def _flags(values: Mapping[str, str]) -> int:
    return _number(values.get("opr", ""), 10) or 0


def _file(names: tuple[bytes, ...], values: Mapping[str, str], data_size: int) -> LogicalFile:
    flags = _flags(values)
    stream = b""
    if flags & _STREAM and _MIDDLE_DOT in values.get("n", ""):
        name, _, own = values["n"].rpartition(_MIDDLE_DOT)
        names, stream = (*names[:-1], name_bytes(name)), text_bytes(own)
    size = _number(values.get("ls", "0"), 10)
    place, fault = _place(values, size or 0, sparse=bool(flags & _SPARSE))
    if not fault and (size or 0) > (_LARGEST_FILLED if place[0] == REPEATED else data_size):
        fault = f"this file would be of {size} bytes, but all data of the image is of {data_size}"
    if size is None:
        fault = "the list of files does not say how large this file is"
    return LogicalFile(
        names, stream, State.DELETED if flags & _DELETED else State.ALLOCATED, size, _times(values),
        _number(values.get("id", ""), 10), place, tuple(_hashes(values)), fault,
    )  # fmt: skip


def _place(values: Mapping[str, str], size: int, *, sparse: bool) -> tuple[tuple[int, ...], str]:
    """Where the content of a file lies, and why it cannot be read ("" where it can)."""
    if not size:
        return (EXTENTS,), ""
    same = _number(values.get("du", ""), 10)
    if sparse and same is not None:
        return (EXTENTS, same, size), ""
    words = values.get("be", "").split()[1:]
    numbers = [_number(word, 16) for word in words]
    if len(words) > 2 * _MOST_EXTENTS:
        return (EXTENTS,), f"the content lies in more than {_MOST_EXTENTS} pieces"
    extents = [number for number in numbers if number is not None]
    if len(extents) != len(words) or len(words) % 2 or not words:
        return (EXTENTS,), "the list of files does not say, in a way that is known, where the content of this file lies"
    total = sum(extents[1::2])
    if sparse and total == 1 and size > 1:
        return (REPEATED, extents[0]), ""
    if total < size:
        return (EXTENTS, *extents), f"the image holds {total} of the {size} bytes of this file"
    return (EXTENTS, *extents), ""


def _times(values: Mapping[str, str]) -> FileTimes:
    created, accessed, modified, changed = (
        unix_time(_number(values.get(tag, ""), 10) or 0) for tag in ("cr", "ac", "wr", "mo")
    )
    return FileTimes(created, modified, accessed, changed, ZONE_NOTE)


def _hashes(values: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    for tag, name, length in (("ha", "md5", 16), ("sha", "sha1", 20)):
        try:
            digest = bytes.fromhex(values.get(tag, ""))
        except ValueError:
            continue
        if len(digest) == length and any(digest):  # nothing but zeros: none was taken
            yield name, digest


def _number(text: str, base: int) -> int | None:
    """A whole number of up to 18 digits (16 of hexadecimal ones are more than any file has); None for other text."""
    if not text or not text.isascii() or not text.isalnum() or len(text) > 18:
        return None
    try:
        return int(text, base)
    except ValueError:
        return None
