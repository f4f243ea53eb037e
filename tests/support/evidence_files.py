"""Ex01, L01, Lx01 and AD1 made for the tests by hand, from the public descriptions of the formats.

The sources are those that the readers name (caid_triage/evidence). The writers share no code with the readers.
"""

from __future__ import annotations

import bz2
import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from caid_triage.errors import EvidenceError, SourceError
from caid_triage.evidence.source import open_source
from caid_triage.model import FileEntry

CHUNK = 32768
LZ, BZIP2 = 1, 2
NIL_MD5 = "0" * 32


def with_sum(data: bytes) -> bytes:
    """Data followed by its adler32."""
    return data + struct.pack("<I", zlib.adler32(data))


def written(folder: Path, extension: str, segments: Sequence[bytes]) -> Path:
    """Segment files written as made.Ex01, made.Ex02 ... (or .L01, .ad1, by ``extension``); the first of them."""
    stem = extension.rstrip("0123456789")
    width = len(extension) - len(stem)
    paths = [folder / f"made.{stem}{number:0{width}d}" for number in range(1, len(segments) + 1)]
    for path, segment in zip(paths, segments, strict=True):
        path.write_bytes(segment)
    return paths[0]


def examined(path: Path) -> str:
    """What becomes of an image that is opened, walked and read: "whole", "faults" or "refused" (by its name).

    Every byte of a disk must be counted, and each file read in pieces is what it is when read at once.
    """
    try:
        source = open_source(path, "E", "s")
    except SourceError as error:
        return "refused" if str(path) in str(error) else "refused without its name"
    try:
        faults = len(source.problems())
        for item in source.walk():
            if not isinstance(item, FileEntry):
                faults += 1
            elif item.readable and item.size is not None:
                faults += len(item.problems)
                try:
                    head = b"".join(islice(source.chunks(item), 4))
                    assert (
                        source.read_at(item, len(head) // 3, len(head) // 2) == head[len(head) // 3 :][: len(head) // 2]
                    )
                except EvidenceError:
                    faults += 1
        if source.info.size is not None:
            assert sum(source.coverage().values()) == source.info.size
    finally:
        source.close()
    return "faults" if faults else "whole"


# ---------------------------------------------------------------- EWF version 2 (Ex01, Lx01)


class Ewf2Segment:
    """One segment file in the making: sections are appended, each closed by its descriptor."""

    def __init__(self, signature: bytes, number: int, method: int = LZ) -> None:
        self.data = bytearray(struct.pack("<8sBBHI16s", signature, 2, 1, method, number, b"\x07" * 16))
        self._previous = 0

    def section(
        self, kind: int, body: bytes, *, hashed: bool = False, encrypted: bool = False, stated: int | None = None
    ) -> None:
        """A section of ``body``, padded to 16 bytes; ``stated`` is a size to write in place of the true one."""
        padding = -len(body) % 16
        whole = body + bytes(padding)
        flags = (1 if hashed else 0) | (2 if encrypted else 0)
        self.data += whole
        at = len(self.data)
        size = len(whole) if stated is None else stated
        digest = hashlib.md5(whole, usedforsecurity=False).digest() if hashed else bytes(16)
        self.data += with_sum(struct.pack("<IIQQII16s12x", kind, flags, self._previous, size, 64, padding, digest))
        self._previous = at


def object_text(tags: Sequence[str], values: Sequence[object]) -> str:
    """The text of an object called main with one line of values."""
    return "1\nmain\n" + "\t".join(tags) + "\n" + "\t".join(map(str, values)) + "\n\n"


def packed_text(text: str, method: int = LZ) -> bytes:
    """A text as sections of EWF version 2 keep it."""
    data = b"\xff\xfe" + text.encode("utf-16-le", "surrogatepass")
    return bz2.compress(data) if method == BZIP2 else zlib.compress(data)


@dataclass(frozen=True)
class Ex01Plan:
    """How an Ex01 is to be made. ``forms`` are the ways of storing chunks, taken in turn; see :func:`_stored`."""

    forms: tuple[str, ...] = ("packed",)
    method: int = LZ
    sectors: int = 64
    bytes_per_sector: int = 512
    entries: int = 7
    chunks_a_segment: int | None = None
    hashes: tuple[str, ...] = ("md5", "sha1")
    errors: tuple[tuple[int, int], ...] = ()
    encrypted: bool = False
    drop_tables: tuple[int, ...] = ()
    padded_size: bool = False
    full_last: bool = False
    extra_sections: tuple[tuple[int, bytes], ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    total: int | None = None


def _stored(chunk: bytes, form: str, method: int, at: int) -> tuple[bytes, int, int, int]:
    """A chunk as it lies in the file, and the offset, size and flags of its entry.

    A chunk of one repeated pattern of 8 bytes is kept as that where the form is "pattern", packed otherwise.
    """
    if form == "pattern" and len(chunk) % 8 == 0 and chunk == chunk[:8] * (len(chunk) // 8):
        return b"", int.from_bytes(chunk[:8], "little"), 0, 5
    if form == "plain":
        data = with_sum(chunk)
        return data, at, len(data), 2
    if form == "bare":
        return chunk, at, len(chunk), 0
    data = bz2.compress(chunk) if method == BZIP2 else zlib.compress(chunk)
    return data, at, len(data), 1


DEFAULT = Ex01Plan()


def ex01(disk: bytes, plan: Ex01Plan = DEFAULT, signature: bytes = b"EVF2\r\n\x81\x00", tree: str = "") -> list[bytes]:
    """The segment files of an Ex01 of a disk; of an Lx01 where ``signature`` and ``tree`` (its list of files) say so.

    The stored hashes are those of ``disk``.
    """
    size = plan.sectors * plan.bytes_per_sector
    chunks = [disk[at : at + size] for at in range(0, len(disk), size)]
    if plan.full_last and chunks:
        chunks[-1] = chunks[-1].ljust(size, b"\0")
    per_segment = plan.chunks_a_segment or max(1, len(chunks))
    segments, number, table = [], 0, 0
    total = len(disk) // plan.bytes_per_sector if plan.total is None else plan.total
    device = object_text(["sn", "md", "ts", "dt", "bp", "ph"], ["S-1", "Drive", total, "f", plan.bytes_per_sector, 1])
    facts = {"cn": "case 7", "en": "ABC/1", "ex": "examiner", "nm": "a disk", "nt": "line\u0001two", **plan.facts}
    facts |= {"av": "7.1", "os": "Windows 7", "tt": "1577689768", "at": "1577660400"}
    facts |= {"tb": str(len(chunks)), "cp": str(plan.method), "sb": str(plan.sectors), "gr": "64"}
    case = object_text(list(facts), list(facts.values()))
    for first in range(0, max(1, len(chunks)), per_segment):
        segment = Ewf2Segment(signature, len(segments) + 1, plan.method)
        segment.section(1, packed_text(device, plan.method), hashed=plan.encrypted, encrypted=plan.encrypted)
        segment.section(2, packed_text(case, plan.method), hashed=plan.encrypted, encrypted=plan.encrypted)
        for start in range(first, min(first + per_segment, len(chunks)), plan.entries):
            body, entries = bytearray(), b""
            group = chunks[start : min(start + plan.entries, first + per_segment)]
            for chunk in group:
                form = plan.forms[number % len(plan.forms)]
                data, at, length, flags = _stored(chunk, form, plan.method, len(segment.data) + len(body))
                padding = -len(data) % 16
                body += data + bytes(padding)
                if plan.padded_size and length:
                    length += padding
                entries += struct.pack("<QII", at, length, flags)
                number += 1
            segment.section(3, bytes(body), encrypted=plan.encrypted)
            if table not in plan.drop_tables:
                head = with_sum(struct.pack("<QI4x", start, len(group))) + bytes(12)
                segment.section(4, head + with_sum(entries), encrypted=plan.encrypted)
            table += 1
        last = first + per_segment >= len(chunks)
        if last:
            _closing(segment, disk, plan, tree)
        segment.section(0xF if last else 0xD, b"")
        segments.append(bytes(segment.data))
    return segments


def _closing(segment: Ewf2Segment, disk: bytes, plan: Ex01Plan, tree: str) -> None:
    """The sections that only the last segment has."""
    if tree:
        segment.section(0x20, tree.encode("utf-16-le", "surrogatepass"), hashed=True)
    if plan.errors:
        entries = b"".join(struct.pack("<QI4x", first, count) for first, count in plan.errors)
        head = with_sum(struct.pack("<I12x", len(plan.errors))) + bytes(12)
        segment.section(5, head + with_sum(entries))
    if "md5" in plan.hashes:
        segment.section(8, with_sum(hashlib.md5(disk, usedforsecurity=False).digest()))
    if "sha1" in plan.hashes:
        segment.section(9, with_sum(hashlib.sha1(disk, usedforsecurity=False).digest()))
    for kind, body in plan.extra_sections:
        segment.section(kind, body)
    if plan.encrypted:
        segment.section(0xB, struct.pack("<IIQ", 32, 0, 2) + bytes(16), hashed=True)


# ---------------------------------------------------------------- the list of files of L01 and Lx01


@dataclass
class Logical:
    """A file or folder to be put into a logical image. ``sparse``: "byte" or "again" (lies where ``same_as`` lies).

    ``values`` replace or add values of the list; ``pieces`` is into how many extents the content is cut.
    """

    name: str
    content: bytes | None = None
    children: list[Logical] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    sparse: str = ""
    same_as: str = ""
    pieces: int = 1
    hashed: bool = True


_TAGS_5 = "p n id opr src sub cid jq cr ac wr mo dl aq ha ls du lo po mid cfi be pm lpt"
_TAGS_7 = (
    "mid ls be id cr ac wr mo dl sig ha sha ent snh p n du lo po pm oes opr src sub cid jq alt ep aq cfi sg ea lpt"
)


def logical_list(tree: Sequence[Logical], *, version: int = 7) -> tuple[bytes, str]:
    """The data of a logical image and the text of its list of files, as EnCase 5 to 6 or 7 writes it."""
    media, lines, places = bytearray(), [], {}
    tags = (_TAGS_7 if version == 7 else _TAGS_5).split()
    kind = "26" if version == 7 else "0"

    def put(node: Logical, number: int) -> None:
        values = {"id": str(number), "pm": "-1", "ha": NIL_MD5, "sha": "0" * 40, "lo": "-1", "po": "-1"}
        if node.content is None:
            values["p"] = "1"
            values["be"] = "0"
        else:
            content = node.content
            values["ls"] = str(len(content)) if content or version == 5 else ""
            if node.sparse:
                stored = content[:1] or b"\0"
                values["opr"] = str(0x04000000)
                if node.sparse == "again":
                    values["du"] = str(places[node.same_as])
            else:
                stored = content or b"\0"
                places[node.name] = len(media)
            step = max(1, -(-len(stored) // node.pieces))
            extents = []
            for at in range(0, len(stored), step):
                piece = stored[at : at + step]
                extents.append(f"{len(media):x} {len(piece):x}")
                media.extend(piece)
            values["be"] = " ".join([f"{len(extents):x}", *extents])
            if node.hashed:
                values["ha"] = hashlib.md5(content, usedforsecurity=False).hexdigest().upper()
                if version == 7:
                    values["sha"] = hashlib.sha1(content, usedforsecurity=False).hexdigest().upper()
        values |= node.values
        row = {**values, "n": node.name}
        lines.append(f"{kind}\t{len(node.children)}")
        lines.append("\t".join(row.get(tag, "") for tag in tags))
        for child in node.children:
            put(child, len(lines))

    root = Logical("LogicalEntries" if version == 7 else "", None, list(tree))
    put(root, 0)
    text = f"5\nrec\ntb\tcl\n{len(media)}\t\n\n"
    text += "perm\n1\t1\np\tn\ts\tpr\tnta\tnti\n0\t1\n1\t\t\t10\t\t\n0\t0\n1\t\t\t10\t\t\n\n"
    text += "srce\n1\t1\np\tn\tid\n0\t1\n1\t\t\n0\t0\n\tF\t1\n\nsub\n0\t1\np\tn\tid\n0\t0\n\t\t\n\n"
    text += f"entry\n{len(lines) // 2 - 1}\t1\n" + "\t".join(tags) + "\n" + "\n".join(lines) + "\n\n"
    return bytes(media), text


def lx01(tree: Sequence[Logical], plan: Ex01Plan = DEFAULT) -> list[bytes]:
    """The segment files of an Lx01."""
    media, text = logical_list(tree)
    return ex01(media, plan, b"LEF2\r\n\x81\x00", text)


# ---------------------------------------------------------------- EWF version 1 (L01)


def section1(kind: bytes, offset: int, body: bytes, *, last: bool = False) -> bytes:
    """One section of a segment of version 1 that begins at ``offset``."""
    length = 76 + len(body)
    head = struct.pack("<16sQQ40x", kind, offset if last else offset + length, length)
    return with_sum(head) + body


def l01(
    tree: Sequence[Logical], *, version: int = 7, compressed: bool = True, chunks_a_segment: int | None = None
) -> list[bytes]:
    """The segment files of an L01 as EnCase 5 to 6 or 7 writes it."""
    media, text = logical_list(tree, version=version)
    chunks = [media[at : at + CHUNK] for at in range(0, len(media), CHUNK)]
    per_segment = chunks_a_segment or max(1, len(chunks))
    tags = ["a", "c", "n", "e", "t", "av", "ov", "m", "u"]
    values = ["files", "case 7", "ABC/1", "examiner", "notes", "7.1", "Windows 7", "1577689768", "1577660400"]
    header = zlib.compress(b"\xff\xfe" + object_text(tags, values).encode("utf-16-le"))
    volume = with_sum(struct.pack("<B3xIIIQ", 0x0E, 0, 64, 512, 0).ljust(1048, b"\0"))
    segments = []
    for first in range(0, max(1, len(chunks)), per_segment):
        out = bytearray(struct.pack("<8sBHH", b"LVF\x09\x0d\x0a\xff\x00", 1, len(segments) + 1, 0))
        if not segments:
            out += section1(b"header2", len(out), header)
            out += section1(b"volume", len(out), volume)
        data, entries = b"", []
        for chunk in chunks[first : first + per_segment]:
            entries.append(76 + len(data) | (0x80000000 if compressed else 0))
            data += zlib.compress(chunk) if compressed else with_sum(chunk)
        base = len(out)
        out += section1(b"sectors", len(out), data)
        table = with_sum(struct.pack("<I4xQ4x", len(entries), base))
        table += with_sum(struct.pack(f"<{len(entries)}I", *entries))
        for kind in (b"table", b"table2"):
            out += section1(kind, len(out), table)
        last = first + per_segment >= len(chunks)
        if last:
            body = text.encode("utf-16-le", "surrogatepass")
            digest = hashlib.md5(body, usedforsecurity=False).digest()
            head = bytearray(struct.pack("<16sQ24x", digest, len(body)))
            head[24:28] = struct.pack("<I", zlib.adler32(head))
            out += section1(b"ltree", len(out), bytes(head) + body)
            out += section1(b"data", len(out), volume)
        out += section1(b"done" if last else b"next", len(out), b"", last=True)
        segments.append(bytes(out))
    return segments


# ---------------------------------------------------------------- AD1


@dataclass
class AdItem:
    """A file or folder of an AD1; ``kind`` is the character of its class (1 file, 3 folder, 6 slack)."""

    name: bytes
    content: bytes | None = None
    children: list[AdItem] = field(default_factory=list)
    kind: bytes = b""
    values: list[tuple[int, int, bytes]] = field(default_factory=list)
    hashed: bool = True


AD_CHUNK = 65536


def ad1(
    tree: Sequence[AdItem], *, segment_size: int | None = None, version: int = 4, source: bytes = b"E:\\x"
) -> list[bytes]:
    """The segment files of an AD1; ``segment_size`` is that of a segment file (None: one)."""
    name_at = 92 if version == 4 else 48
    out = bytearray(name_at) + source
    meta_at = len(out)
    out += struct.pack("<QIII", 0, 1, 0x10002, len(source)) + source

    def patch(at: int, value: int) -> None:
        out[at : at + 8] = struct.pack("<Q", value)

    def put(item: AdItem, parent: int) -> int:
        at = len(out)
        content = item.content
        folder = content is None
        out.extend(struct.pack("<QQQQQII", 0, 0, 0, 0, len(content or b""), 5 if folder else 0, len(item.name)))
        out.extend(item.name + struct.pack("<Q", parent))
        if content:
            pieces = [zlib.compress(content[o : o + AD_CHUNK]) for o in range(0, len(content), AD_CHUNK)]
            patch(at + 24, len(out))
            start = len(out) + 8 * (len(pieces) + 2)
            ends = [start]
            for piece in pieces:
                ends.append(ends[-1] + len(piece))
            out.extend(struct.pack(f"<Q{len(ends)}Q", len(pieces), *ends))
            out.extend(b"".join(pieces))
        values = [(2, 2, item.kind or (b"3" if folder else b"1")), (3, 3, b"%d" % len(content or b"")), *item.values]
        if content is not None and item.hashed:
            values.append((1, 0x5001, hashlib.md5(content, usedforsecurity=False).hexdigest().encode()))
            values.append((1, 0x5002, hashlib.sha1(content, usedforsecurity=False).hexdigest().encode()))
        link = at + 16
        for category, key, data in values:
            patch(link, len(out))
            link = len(out)
            out.extend(struct.pack("<QIII", 0, category, key, len(data)) + data)
        chain(item.children, at + 8, at)
        return at

    def chain(items: Sequence[AdItem], link: int, parent: int) -> None:
        for item in items:
            patch(link, len(out))
            link = put(item, parent)

    first = len(out)
    chain(tree, 36, 0)
    assert first == int.from_bytes(out[36:44], "little") or not tree
    attributes = len(out)
    out += b"ATTRGUID" + bytes(4) + struct.pack("<I", 0)
    places = len(out)
    out += b"LOCSGUID" + bytes(4) + struct.pack("<II", 1, 1) + bytes(16)
    out[:16] = b"ADLOGICALIMAGE\0\0"
    out[16:36] = struct.pack("<IIIQ", version, 1, AD_CHUNK, meta_at)
    out[44:48] = struct.pack("<I", len(source))
    if version == 4:
        out[48:92] = struct.pack("<4sQQQQQ", b"AD", name_at, attributes, 0, places, 0)
    whole = segment_size or 512 + len(out)
    room = whole - 512
    pieces = [bytes(out[at : at + room]) for at in range(0, len(out), room)]
    head = (b"ADSEGMENTEDFILE\0", 1, 2)
    return [
        struct.pack("<16sIIIIQI", *head, number, len(pieces), whole, 512).ljust(512, b"\0") + piece
        for number, piece in enumerate(pieces, 1)
    ]
